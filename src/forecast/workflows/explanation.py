"""Why will it cost more or less than last time? A period's mean forecast minus the period before, in contributions that add up to the cent.

Read from the snapshot alone. What each contribution is stands in `leaf_changes.py`; here they are summed over a scope and put into words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, parse_period, period_before
from forecast.spend.scope import Scope
from forecast.workflows.explanation_words import Told, headline, in_words
from forecast.workflows.leaf_changes import LEVEL, NAMES, LeafChanges, leaf_changes
from forecast.workflows.readings import read_scope
from forecast.workflows.summary import distribution, heading

MOST_ROWS = 2000
MOST_METERS = 12
"""AI models and meters that an answer lists, those that changed most first."""

ROUNDING = 1e-11
"""Part of the two totals below which a contribution is rounding."""


@dataclass(frozen=True)
class Contribution:
    """One part of the change. money : in the answer's currency. share : of the comparison period's total; None where that is nothing."""

    name: str
    money: float
    share: float | None
    sentence: str


@dataclass(frozen=True)
class Explanation:
    """Why a period is expected to cost more or less than the comparison period.

    before, after : totals; after is the mean forecast, with the actual cost of days that are over. forecast : its mean and quantiles.
    actual_before, actual_after : what of them is billed. contributions : in the order in which they are told, those that are nothing left out;
    they add up to `change`. rows : the same by group, money by contribution. meters : what lies behind price, volume and mix, by AI model and
    meter. sentence : the whole in one.
    """

    scope: Scope
    period: Period
    comparison: Period
    before: float
    after: float
    forecast: Mapping[str, float]
    actual_before: float
    actual_after: float
    contributions: tuple[Contribution, ...]
    rows: tuple[Mapping[str, Any], ...]
    meters: tuple[Mapping[str, Any], ...]
    sentence: str
    warnings: tuple[str, ...]

    @property
    def change(self) -> float:
        return self.after - self.before

    def as_answer(self, snapshot: Snapshot) -> dict[str, Any]:
        """The explanation as the command line and the service answer it."""
        return {
            **heading(snapshot, self.scope, self.period),
            "comparison": {
                "start": self.comparison.start.isoformat(),
                "end": self.comparison.end.isoformat(),
                "total": self.before,
                "actual": self.actual_before,
                "over": self.comparison.end <= snapshot.first_open_day,
            },
            "forecast": {**self.forecast, "actual": self.actual_after},
            "change": self.change,
            "change_percent": _percent(self.change, self.before),
            "contributions": [asdict(contribution) for contribution in self.contributions],
            "rows": [dict(row) for row in self.rows],
            "meters": [dict(meter) for meter in self.meters],
            "sentence": self.sentence,
            "warnings": list(self.warnings),
        }


def explanation_answer(snapshot: Snapshot, **asked: Any) -> dict[str, Any]:
    """What `explain` finds, as plain data."""
    return explain(snapshot, **asked).as_answer(snapshot)


def explain(
    snapshot: Snapshot,
    *,
    scope: Scope,
    period: Period,
    comparison: Period | None = None,
    group_by: Sequence[str] = (),
    calendar: FiscalCalendar = CALENDAR_YEAR,
) -> Explanation:
    """Contributions to a scope's mean forecast of `period` minus the actual cost of `comparison`.

    comparison : by default the period before (`period_before`); days of it that are not over count with their mean forecast, which a warning
    says. group_by : leaf dimensions of the rows. Raises OutsideHorizonError, UnknownScopeError with the nearest values, and InputError for a
    period before the first day of spend and for dimensions finer than a leaf.
    """
    names = parse_dimensions(group_by)
    _check_leaves(snapshot, scope, names)
    inside = snapshot.hierarchy.leaf_mask(scope)
    snapshot.check_visible(period)
    chosen = _comparison(snapshot, period, comparison, calendar)
    changes = leaf_changes(snapshot, period, chosen)
    told = Told(snapshot, changes, period, chosen, calendar)
    money = contributions_of(changes, inside)
    before, after = float(changes.before[inside].sum()), float(changes.after[inside].sum())
    contributions = tuple(
        Contribution(name, amount, amount / before if before else None, in_words(told, name, inside, amount)) for name, amount in money.items()
    )
    billed = (_billed(snapshot, scope, inside, chosen), _billed(snapshot, scope, inside, period))
    return Explanation(
        scope,
        period,
        chosen,
        before,
        after,
        {**distribution(read_scope(snapshot, scope, period).totals()), "mean": after},
        *billed,
        contributions,
        tuple(_rows(snapshot, changes, inside, names, tuple(money))),
        tuple(_meters(changes, inside)),
        headline(told, before, after, money),
        tuple(_warnings(snapshot, scope, inside, chosen, period)),
    )


def contributions_of(changes: LeafChanges, inside: NDArray[np.bool_], names: Sequence[str] | None = None) -> dict[str, float]:
    """Each contribution summed over leaves, in order. Where nothing among them has a quantity, the level is one contribution.

    names : those of a whole of which these leaves are a part, so that both are split alike.
    """
    money = {name: float(changes.money[name][inside].sum()) for name in NAMES}
    rounding = ROUNDING * float(np.abs(changes.before[inside]).sum() + np.abs(changes.after[inside]).sum())
    if any(name in names for name in LEVEL[1:4]) if names is not None else any(abs(money[name]) > rounding for name in LEVEL[1:4]):
        money["unquantified"] += money.pop("level")
    else:
        money["level"] += sum(money.pop(name) for name in LEVEL[1:])
    # What is left of differences of large sums is nobody's contribution.
    largest = max(money, key=lambda name: abs(money[name]))
    for name in [name for name, amount in money.items() if abs(amount) <= rounding and name != largest]:
        money[largest] += money.pop(name)
    return {name: amount for name, amount in money.items() if amount != 0.0}


def read_comparison(text: str | None, start: date | None, end: date | None, calendar: FiscalCalendar) -> Period | None:
    """The comparison period as it was asked for: by name, by its days, or not at all. InputError where it is said twice or by half."""
    allowed = "compare such as 2026-Q4, or both compare_start and compare_end, or neither: the period before"
    if text is None and start is None and end is None:
        return None
    if text is not None:
        if start is not None or end is not None:
            raise InputError("The days to compare with are said twice, by a name and by their days", field="compare", got=text, allowed=allowed)
        try:
            return parse_period(text, calendar)
        except InputError as error:
            raise InputError(f"compare: {error}", field="compare", got=text, allowed=error.allowed) from None
    if start is None or end is None:
        missing = "compare_start" if start is None else "compare_end"
        raise InputError(f"{missing} is missing", field=missing, got=None, allowed=allowed)
    return Period(start, end)


def _check_leaves(snapshot: Snapshot, scope: Scope, names: Sequence[str]) -> None:
    known = snapshot.hierarchy.dimensions
    for name, field in [*((name, "scope") for name in scope.dimensions), *((name, "group_by") for name in names)]:
        if name not in known:
            raise InputError(
                f"{field} {name!r} is finer than a leaf, which is as far down as explanations go; AI models and meters are in the answer's meters",
                field=field,
                got=name,
                allowed=", ".join(known),
            )


def _comparison(snapshot: Snapshot, period: Period, asked: Period | None, calendar: FiscalCalendar) -> Period:
    chosen = asked or period_before(period, calendar)
    if chosen.start < snapshot.first_day:
        first = snapshot.first_day
        what = "The period to compare with" if asked else "The period before"
        raise InputError(
            f"{what}, {chosen.start} to {chosen.end}, begins before the first day of spend {first}",
            field="compare_start",
            got=str(chosen.start),
            allowed=f"at least {first}: give compare_start and compare_end",
        )
    snapshot.check_visible(chosen)
    return chosen


def _billed(snapshot: Snapshot, scope: Scope, inside: NDArray[np.bool_], period: Period) -> float:
    if snapshot.midnights is not None:
        return read_scope(snapshot, scope, period).spent
    return float(snapshot.leaf_history[inside, snapshot.past_slice(period)].sum())


def _rows(snapshot: Snapshot, changes: LeafChanges, inside: NDArray[np.bool_], names: Sequence[str], told: tuple[str, ...]) -> list[dict[str, Any]]:
    if not names:
        return []
    leaves = snapshot.hierarchy.leaves.loc[inside, list(names)]
    numbers, found = np.flatnonzero(inside), []
    groups = leaves.groupby(list(names), sort=True).indices
    if len(groups) > MOST_ROWS:
        raise InputError(f"the answer would have {len(groups)} rows", field="group_by", got=len(groups), allowed=f"at most {MOST_ROWS} rows")
    for key, places in groups.items():
        values = key if isinstance(key, tuple) else (key,)
        own = np.zeros(len(inside), dtype=np.bool_)
        own[numbers[places]] = True
        before, after = float(changes.before[own].sum()), float(changes.after[own].sum())
        if not before and not after:
            continue
        found.append(
            {
                "group": dict(zip(names, map(str, values), strict=True)),
                "comparison": before,
                "forecast": after,
                "change": after - before,
                "change_percent": _percent(after - before, before),
                "contributions": contributions_of(changes, own, told),
            }
        )
    return sorted(found, key=lambda row: -abs(row["change"]))


def _meters(changes: LeafChanges, inside: NDArray[np.bool_]) -> list[dict[str, Any]]:
    if changes.items is None:
        return []
    items, parts = changes.items, changes.items.parts
    own = inside[items.meters.leaf] & ~(changes.began | changes.stopped)[items.meters.leaf]
    table = {
        "cost_before": items.cost_before,
        "cost_after": items.cost_after,
        "quantity_before": items.quantity_before,
        "quantity_after": items.quantity_after,
        "price": parts["price"],
        "usage": parts["volume"] + parts["mix"] + parts["new"] + parts["ended"],
        "unquantified": parts["unquantified"],
    }
    code = items.meters.name[own]
    sums = {name: np.bincount(code, weights=values[own], minlength=len(items.meters.names)) for name, values in table.items()}
    rounding = ROUNDING * (np.abs(sums["cost_before"]) + np.abs(sums["cost_after"]))
    for name in ("price", "usage", "unquantified"):
        sums[name] = np.where(np.abs(sums[name]) > rounding, sums[name], 0.0)
    size = np.max([np.abs(sums[name]) for name in ("price", "usage", "unquantified")], axis=0)
    largest = [int(row) for row in np.argsort(-size, kind="stable")[:MOST_METERS] if size[row] > 0]
    return [
        {**dict(zip(("ai_model", "meter", "unit"), items.meters.names[row], strict=True)), **{name: float(sums[name][row]) for name in table}}
        for row in largest
    ]


def _warnings(snapshot: Snapshot, scope: Scope, inside: NDArray[np.bool_], comparison: Period, period: Period) -> list[str]:
    found = []
    if not inside.any():
        found.append(f"no spend has ever had all of {scope}: the answer is zero")
    if comparison.end > snapshot.first_open_day:
        first = max(snapshot.first_open_day, comparison.start)
        found.append(f"the comparison period is not over: its days from {first} on count with their mean forecast")
    first_open = snapshot.cutoff - timedelta(days=len(snapshot.history_ds) - snapshot.first_pending - 1)
    if any(one.end > first_open and one.start <= snapshot.cutoff for one in (comparison, period)) and first_open <= snapshot.cutoff:
        found.append(f"days from {first_open} on are not fully billed: they count with what is expected to be billed")
    if snapshot.meters is None:
        found.append("this snapshot keeps no quantities, so the level is not split into price, volume and mix: `forecast train` makes one that does")
    if snapshot.known_money is None:
        found.append("this snapshot does not tell fees and what came once apart from usage: `forecast train` makes one that does")
    return found


def _percent(change: float, before: float) -> float | None:
    return 100.0 * change / abs(before) if before else None
