"""Will we overrun? Budgets, stored or ad hoc, read from the snapshot's joint paths."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.balance import balance_fields
from forecast.budgets.budget import Budget
from forecast.budgets.burn import burn_ratio, daily_allowance, planned_to_date, run_rate
from forecast.budgets.exhaustion import Exhaustion, exhaustion
from forecast.budgets.overrun import expected_overrun, overrun_probability, standard_error
from forecast.budgets.thresholds import USUAL, standings, state
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, split
from forecast.workflows.budget_totals import BudgetTotals as BudgetTotals
from forecast.workflows.budget_totals import budget_totals as budget_totals
from forecast.workflows.budget_totals import each_total
from forecast.workflows.known_costs import known_costs
from forecast.workflows.readings import Reading
from forecast.workflows.scope_futures import ScopeFuture
from forecast.workflows.summary import STANDARD, distribution, heading, means_of, quantile_key, quantiles_of

AD_HOC = "ad-hoc"
"""Id of a budget that was made for one question; its answer says nothing of who it belongs to."""

AT_RISK = (0.9, 0.95)
"""Quantiles of the total that are compared with the amount."""


def overrun_answer(
    snapshot: Snapshot, budget: Budget, *, rates: Rates | None = None, calendar: FiscalCalendar = CALENDAR_YEAR, at: date | None = None
) -> dict[str, Any]:
    """Probability, expected size and day of an overrun of a budget, stored or made for one question (id `AD_HOC`).

    Every money of the answer is in the snapshot's currency. `status` is "ahead" (nothing is over yet), "running" or "over"; a period that is over
    answers 0 or 1 with the actual cost. `docs/how-to/overrun-answers.md` explains each field.
    rates : for a budget in another currency than the snapshot. calendar, at : of a budget that repeats, the occurrence that holds `at` is meant,
    by default the one that holds the first day after the cutoff.
    Raises BudgetError for a currency without a rate or the other cost, OutsideHorizonError for a period that the snapshot cannot see,
    UnknownScopeError for unknown values.
    """
    answer = overrun_answers(snapshot, [budget], rates=rates, calendar=calendar, at=at)[0]
    if isinstance(answer, InputError):
        raise answer
    return answer


def overrun_answers(
    snapshot: Snapshot,
    budgets: Sequence[Budget],
    *,
    rates: Rates | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    at: date | None = None,
) -> list[dict[str, Any] | InputError]:
    """The answer of each budget, in the order given, the same as `overrun_answer` of each; what that would raise stands in its place."""
    found: dict[int, dict[str, Any] | InputError] = {}
    for place, one, future in each_total(snapshot, budgets, rates=rates, calendar=calendar, at=at):
        if future is None:
            found[place] = one.error or InputError(f"Budget {one.budget.id} has no answer", field="budget_id", got=one.budget.id)
        else:
            found[place] = _answer(snapshot, one, future, calendar)
    return [found[place] for place in range(len(budgets))]


def _answer(snapshot: Snapshot, found: BudgetTotals, future: ScopeFuture, calendar: FiscalCalendar) -> dict[str, Any]:
    budget, reading, totals, amount, spent = found.budget, found.checked(), found.totals, found.amount, found.spent
    period, days_over, days_left = budget.period, len(reading.past), budget.period.days - len(reading.past)
    owed = reading.owed()
    used = spent if owed is None else spent + float(owed.mean())
    in_own_money = amount / budget.amount  # what one unit of the budget's own amounts is in the answer's currency
    planned = planned_to_date(budget, days_over) * in_own_money
    probability = overrun_probability(0.0, totals, amount)
    total, at_risk = _total(totals, amount)
    exhausted = reading_exhaustion(reading, period, totals, amount)
    days = [None if day is None else period.start + timedelta(days=day) for day in exhausted.days]
    provisional = _provisional(reading)
    measured = {"actual": spent / in_own_money, "forecast": total["mean"] / in_own_money, "probability": probability, "exhaustion": days[1]}
    judged = standings(budget.thresholds or USUAL, budget.amount, measured)
    answer: dict[str, Any] = {
        **heading(snapshot, budget.scope, period),
        "amount": float(amount),
        "converted": None if found.converted is None else found.converted.describe(),
        "status": "over" if not days_left else "running" if days_over else "ahead",
        "state": state(judged),
        "spent": spent,
        "spent_settled": spent - provisional,
        "spent_provisional": provisional,
        "pending": None if owed is None else distribution(owed),
        "overrun_probability": probability,
        "standard_error": standard_error(probability, snapshot.n_paths),
        "expected_overrun": expected_overrun(totals, amount),
        "budget_at_risk": at_risk,
        "total": total,
        "run_rate": run_rate(used, future.recent_daily_mean, days_left) if days_left else used,
        "burn_ratio": burn_ratio(used, planned),
        "planned_to_date": planned,
        "daily_allowance": daily_allowance(amount, used, days_left),
        "probability_exhausted": exhausted.probability,
        "exhaustion_day": {name: None if day is None else day.isoformat() for name, day in zip(("p10", "p50", "p90"), days, strict=True)},
        "thresholds": [one.describe() for one in judged],
        "phases": _phases(budget, future, in_own_money),
        "known": [one.describe() for one in known_costs(future, reading, period)],
        "warnings": list(reading.warnings),
    }
    if budget.kind == "balance":
        answer["balance"] = _balance(budget, reading, totals, amount, spent, owed, calendar)
    if reading.derived:
        answer["derived"] = reading.derived
    return answer if budget.id == AD_HOC else {**_stored(budget), **answer}


def _stored(budget: Budget) -> dict[str, Any]:
    """Whose budget it is."""
    return {
        "budget_id": budget.id,
        "name": budget.name,
        "owner": budget.owner,
        "kind": budget.kind,
        "parent": budget.parent,
        "repeats": budget.repeats,
    }


def _total(totals: NDArray[np.float64], amount: float) -> tuple[dict[str, Any], dict[str, float]]:
    """The distribution of the total, and what its high quantiles are above the amount; one sort for both."""
    *found, high, higher = quantiles_of(totals, (*STANDARD, *AT_RISK)).tolist()
    total = {"mean": float(means_of(totals)), **dict(zip(("p10", "p50", "p90"), found, strict=True))}
    total["quantiles"] = dict(zip(map(quantile_key, STANDARD), found, strict=True))
    return total, {"p90": max(high - amount, 0.0), "p95": max(higher - amount, 0.0)}


def _provisional(reading: Reading) -> float:
    """What is billed of days whose bill is expected to change yet."""
    if not len(reading.pending):
        return 0.0
    return float(reading.past[np.isin(reading.past_days, reading.open_days)].sum())


def reading_exhaustion(reading: Reading, period: Period, totals: NDArray[np.float64], amount: float) -> Exhaustion:
    """When the amount is used up; days that are not fully billed count as each path says they will be."""
    if totals.max() <= amount and not len(reading.pending) and not ((reading.past < 0.0).any() or (reading.paths < 0.0).any()):
        return Exhaustion(0.0, (None,) * len(STANDARD))  # what never falls and ends within the amount was never beyond it
    start, k = np.datetime64(period.start, "D"), len(reading.pending)
    settled = len(reading.past) - k
    past_days = (reading.past_days - start).astype(np.int64)
    lengths = (reading.ends - reading.starts).astype(np.int64)
    whole = reading.weights == 1.0
    coming = reading.paths if whole.all() else reading.paths * reading.weights[:, None]
    first = (np.maximum(reading.starts, start) - start).astype(np.int64)
    days = np.where(whole, lengths, np.maximum(np.rint(reading.weights * lengths), 1)).astype(np.int64)
    if k:
        coming = np.concatenate([reading.past[settled:, None] + reading.pending, coming])
        first, days = np.concatenate([past_days[settled:], first]), np.concatenate([np.ones(k, dtype=np.int64), days])
    return exhaustion(reading.past[:settled], past_days[:settled], coming, first, days, amount, STANDARD)


def _phases(budget: Budget, future: ScopeFuture, in_own_money: float) -> list[dict[str, Any]]:
    """Each phase by itself, and from the first to it against what was planned until then."""
    if not budget.phases:
        return []
    found, so_far, planned = [], np.zeros(future.snapshot.n_paths), 0.0
    for phase, period in zip(budget.phases, budget.phase_periods(), strict=True):
        reading = future.reading(period)
        totals, amount = reading.totals(), phase.amount * in_own_money
        so_far, planned = so_far + totals, planned + amount
        found.append(
            {
                "start": period.start.isoformat(),
                "end": period.end.isoformat(),
                "amount": amount,
                "spent": reading.spent,
                **distribution(totals),
                "overrun_probability": float(np.mean(totals > amount)),
                "expected_overrun": expected_overrun(totals, amount),
                "cumulative_amount": planned,
                "cumulative_overrun_probability": float(np.mean(so_far > planned)),
            }
        )
    return found


def _balance(
    budget: Budget,
    reading: Reading,
    totals: NDArray[np.float64],
    amount: float,
    spent: float,
    owed: NDArray[np.float64] | None,
    calendar: FiscalCalendar,
) -> dict[str, Any]:
    months = split(budget.period, "month", calendar)
    return balance_fields(
        totals,
        amount,
        used=spent if owed is None else spent + owed,
        spent=spent,
        unit=budget.unit,
        unit_price=None if budget.unit_price is None else amount / budget.amount,
        ends=[month.end for month in months],
        costs=reading.buckets(months),
    )
