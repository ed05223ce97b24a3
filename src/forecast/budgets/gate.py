"""May a run go on? The cost of a run from its plan and its own report, on top of what its scope has been billed, against a budget.

A plan says what the whole run costs: P50 `planned`, P10 `low`, P90 `high`. It is taken for lognormal on either side of its middle, so that the
three numbers are met exactly. A report says `spent` and, where it can, `progress` p. What one whole run costs at the pace of its rest is then

    ln pace = (1 − p) · ln planned + p · ln (spent / p),    spread: the plan's, times √(1 − p)

which is the posterior of a pace with the plan as its prior and a projection whose error is the plan's spread times √((1 − p) / p): plan and
projection weighed by progress. What is spent is known and the rest costs (1 − p) · pace, so a run that is done is certain, and one that has
not begun costs what its plan says. Without progress the plan counts as far as it lies above what is spent; without a plan the projection alone.

Bills and reports overlap. Bills of the scope from the run's first day on are the same money as its report, and **the larger of the two counts**.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri, ndtri_exp

from forecast.budgets.thresholds import USUAL, Threshold
from forecast.errors import BudgetError

Samples = NDArray[np.float64]

DECISIONS = ("go", "warn", "stop")
LOW, HIGH = 0.8, 1.5
"""P10 and P90 of a plan that names none, as shares of what is planned: a run costs more than planned more often than less."""
DRAWS = 4000
"""Draws where there are no paths whose number would have to be met."""
WIDEST = 5.0
"""The most by which a projection without a plan is wider than plans usually are, reached at 4 % of progress."""
LARGEST = 1e15
USUAL_WARN, USUAL_STOP = (float(threshold.at) for threshold in USUAL if not isinstance(threshold.at, date))
_Z = float(ndtri(0.9))
_MOST = math.log(1e18)


@dataclass(frozen=True)
class Plan:
    """What the whole run costs: P50, P10 and P90. assumed : low and high are the usual ones, nobody said them."""

    planned: float
    low: float
    high: float
    assumed: bool = False

    @classmethod
    def of(cls, planned: float | None, low: float | None = None, high: float | None = None) -> Plan | None:
        """The plan, or None where none was said. Raises BudgetError for one that cannot be."""
        if planned is None:
            if low is None and high is None:
                return None
            raise BudgetError("low and high are said and planned is not", field="planned", got=None, allowed="money above 0")
        _check_money("planned", planned, above=0.0)
        if (low is None) != (high is None):
            missing = "low" if low is None else "high"
            raise BudgetError(f"{missing} is missing: low and high of a plan go together", field=missing, got=None, allowed="both or neither")
        if low is None or high is None:
            return cls(planned, LOW * planned, HIGH * planned, True)
        _check_money("low", low, above=0.0)
        _check_money("high", high, above=0.0)
        if low > high:
            raise BudgetError(f"low {low:,.2f} is above high {high:,.2f}", field="low", got=low, allowed=f"at most high, {high:,.2f}")
        if not low <= planned <= high:
            raise BudgetError(
                f"planned {planned:,.2f} is not between low {low:,.2f} and high {high:,.2f}",
                field="planned",
                got=planned,
                allowed=f"{low:,.2f} to {high:,.2f}",
            )
        return cls(planned, low, high)

    def times(self, rate: float) -> Plan:
        """The same plan in another currency."""
        return Plan(self.planned * rate, self.low * rate, self.high * rate, self.assumed)


@dataclass(frozen=True)
class Report:
    """What a run says of itself. spent : so far, None where it says nothing. progress : share of its work that is done. since : its first day."""

    spent: float | None = None
    progress: float | None = None
    since: date | None = None

    def __post_init__(self) -> None:
        if self.spent is not None:
            _check_money("spent", self.spent)
        if self.progress is None:
            return
        if isinstance(self.progress, bool) or not (math.isfinite(self.progress) and 0.0 <= self.progress <= 1.0):
            raise BudgetError(f"progress {self.progress} is not a share", field="progress", got=self.progress, allowed="0 to 1")
        if self.spent is None:
            raise BudgetError(
                "progress is said and spent is not: a share of the work says nothing of money", field="spent", got=None, allowed="money, 0 or more"
            )

    def times(self, rate: float) -> Report:
        """The same report in another currency."""
        return Report(None if self.spent is None else self.spent * rate, self.progress, self.since)


@dataclass(frozen=True)
class Bills:
    """What is known of the scope, (n_paths,) each: cost of the period's days before the run's first day, of those from it on up to the cutoff
    (both with what they will still be billed), and of the days to come."""

    before: Samples
    since: Samples
    coming: Samples

    @property
    def n_paths(self) -> int:
        return len(self.before)

    @classmethod
    def none(cls, n_paths: int = DRAWS) -> Bills:
        """Nothing was ever billed."""
        return cls(*(np.zeros(n_paths) for _ in range(3)))


@dataclass(frozen=True)
class Limits:
    """Probabilities of an overrun at and above which the answer is warn, and stop."""

    warn: float
    stop: float

    @classmethod
    def of(cls, thresholds: Sequence[Threshold] = (), warn: float | None = None, stop: float | None = None) -> Limits:
        """What was asked for, else the lowest of the budget's own thresholds on probability, else the usual 30 % and 60 %.

        One that was not asked for gives way to one that was. Raises BudgetError for what is no probability, and for warn above stop.
        """
        for name, value in (("warn", warn), ("stop", stop)):
            if value is not None and (isinstance(value, bool) or not (math.isfinite(value) and 0.0 < value <= 1.0)):
                raise BudgetError(f"{name} {value} is not a probability", field=name, got=value, allowed="above 0 and at most 1")
        if warn is not None and stop is not None and warn > stop:
            raise BudgetError(f"warn {warn} is above stop {stop}", field="warn", got=warn, allowed=f"at most stop, {stop}")
        own = [threshold for threshold in thresholds if threshold.measure == "probability"]
        stop_at = stop if stop is not None else _lowest(own, "act", USUAL_STOP)
        warn_at = warn if warn is not None else _lowest(own, "warn", stop_at if own else USUAL_WARN)
        return cls(warn_at, max(warn_at, stop_at)) if warn is not None else cls(min(warn_at, stop_at), stop_at)


def decide(probability: float, limits: Limits) -> str:
    """go, warn or stop."""
    return "stop" if probability >= limits.stop else "warn" if probability >= limits.warn else "go"


def rest_of_run(plan: Plan | None, spent: float, progress: float | None, n: int, seed: int) -> Samples | None:
    """(n,) what a run that has spent `spent` will still cost, in no order; None where neither plan nor progress says anything of it.

    Draws are stratified: their quantiles are the distribution's to 1 / n, and `seed` only decides which comes where.
    """
    ranks = (np.random.default_rng(seed).permutation(n) + 0.5) / n
    if progress == 1.0:
        return np.zeros(n)
    if progress is None:
        return None if plan is None else _beyond(plan, spent, ranks)
    projected = spent / progress if spent > 0.0 and progress > 0.0 else None
    if plan is not None:
        centre = math.log(plan.planned)
        if projected is not None:
            centre = (1.0 - progress) * centre + progress * math.log(projected)
        spreads, share = _spreads(plan), math.sqrt(1.0 - progress)
    elif projected is not None:
        centre, spreads = math.log(projected), _spreads(Plan(1.0, LOW, HIGH))
        share = min(math.sqrt((1.0 - progress) / progress), WIDEST)
    else:
        return None
    return (1.0 - progress) * _lognormal(centre, [share * spread for spread in spreads], ndtri(ranks))


def run_and_scope(bills: Bills, plan: Plan | None, report: Report, *, alone: bool, seed: int) -> tuple[Samples, Samples | None]:
    """(n_paths,) total of the budget's period with the run in it, and what the run will still cost (None where nobody can tell).

    alone : the run is all that its scope does from its first day on (an experiment's own scope): its plan or progress stands in the place of the
    scope's forecast, and what is billed since then tells what it has spent where it reports less or nothing. Otherwise the scope goes on beside it.
    """
    n, reported = bills.n_paths, -math.inf if report.spent is None else report.spent
    known = np.maximum(bills.since, reported)
    if not alone:
        rest = rest_of_run(plan, report.spent or 0.0, report.progress, n, seed)
        return bills.before + known + bills.coming + (0.0 if rest is None else rest), rest
    rest = rest_of_run(plan, float(known.mean()), report.progress, n, seed)
    if rest is None:
        return bills.before + np.maximum(bills.since + bills.coming, reported), None
    return bills.before + known + rest, rest


def _beyond(plan: Plan, spent: float, ranks: Samples) -> Samples:
    """What the plan's total is above `spent`, given that it is above it."""
    spreads = _spreads(plan)
    if spent <= 0.0:
        return _lognormal(math.log(plan.planned), spreads, ndtri(ranks))
    distance = math.log(spent) - math.log(plan.planned)
    least = distance / max(spreads[int(distance > 0.0)], 1e-9)
    # On the scale of ln P(above), which has room for runs that cost far more than any plan said.
    z = -ndtri_exp(log_ndtr(-least) + np.log(ranks))
    return np.maximum(_lognormal(math.log(plan.planned), spreads, z) - spent, 0.0)


def _spreads(plan: Plan) -> list[float]:
    """Standard deviations of the logarithm below and above the middle."""
    middle = math.log(plan.planned)
    return [(middle - math.log(plan.low)) / _Z, (math.log(plan.high) - middle) / _Z]


def _lognormal(centre: float, spreads: Sequence[float], z: Samples) -> Samples:
    below, above = spreads
    found: Samples = np.exp(np.minimum(centre + np.where(z < 0.0, below, above) * z, _MOST))
    return found


def _lowest(thresholds: Sequence[Threshold], level: str, default: float) -> float:
    return min((one.at for one in thresholds if one.level == level and not isinstance(one.at, date)), default=default)


def _check_money(name: str, value: float, above: float | None = None) -> None:
    least = "0 or more" if above is None else "above 0"
    right = not isinstance(value, bool) and math.isfinite(value) and value <= LARGEST and (value >= 0.0 if above is None else value > above)
    if not right:
        raise BudgetError(f"{name} {value} is not money", field=name, got=value, allowed=f"a number, {least}, at most {LARGEST:.0e}")
