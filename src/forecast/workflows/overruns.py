"""Will we overrun? One budget, stored or ad hoc, read from the snapshot's joint paths."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.exhaustion import NEVER, censored_quantiles, daily, exhaustion_days
from forecast.budgets.overrun import budget_at_risk, burn_ratio, expected_overrun, overrun_probability, run_rate, standard_error
from forecast.errors import BudgetError
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.readings import Reading, read_scope
from forecast.workflows.summary import STANDARD, distribution, heading

RECENT_DAYS = 28
"""Days whose mean is the run rate: four whole weeks, so that weekends count with their share."""


def overrun_answer(snapshot: Snapshot, *, scope: Scope, period: Period, amount: float) -> dict[str, Any]:
    """Probability, expected size and day of an overrun of `amount` by a scope in a period.

    spent : what is billed. pending : what the days that are over will still be billed, null where they are settled; run rate and burn ratio
    count its mean. `status` is "ahead" (nothing is over yet), "running" or "over"; a period that is over answers 0 or 1 with the actual cost.
    `exhaustion_day` is null where P(exhausted by the end) is below that quantile. Raises BudgetError for an amount that is
    not money, OutsideHorizonError for a period that the snapshot cannot see, UnknownScopeError for unknown values.
    """
    if isinstance(amount, bool) or not (math.isfinite(amount) and amount > 0):
        raise BudgetError(f"amount {amount} is not money", field="amount", got=amount, allowed="a finite number above 0")
    reading = read_scope(snapshot, scope, period)
    totals, spent = reading.totals(), reading.spent
    days_over = len(reading.past)
    probability = overrun_probability(0.0, totals, amount)
    exhausted = _exhausted(reading, amount)
    owed = reading.owed()
    used = spent if owed is None else spent + float(owed.mean())
    answer = {
        **heading(snapshot, scope, period),
        "amount": float(amount),
        "status": "over" if days_over == period.days else "running" if days_over else "ahead",
        "spent": spent,
        "pending": None if owed is None else distribution(owed),
        "overrun_probability": probability,
        "standard_error": standard_error(probability, snapshot.n_paths),
        "expected_overrun": expected_overrun(totals, amount),
        "budget_at_risk": {"p90": budget_at_risk(totals, amount, 0.9), "p95": budget_at_risk(totals, amount, 0.95)},
        "total": distribution(totals, STANDARD),
        "run_rate": run_rate(used, _recent_daily_mean(snapshot, reading, scope, period), period.days - days_over),
        "burn_ratio": burn_ratio(used, amount, days_over, period.days),
        "probability_exhausted": float(np.mean(exhausted != NEVER)),
        "exhaustion_day": {
            name: None if day is None else (period.start + timedelta(days=day)).isoformat()
            for name, day in zip(("p10", "p50", "p90"), censored_quantiles(exhausted, STANDARD), strict=True)
        },
        "warnings": list(reading.warnings),
    }
    if reading.derived:
        answer["derived"] = reading.derived
    return answer


def _exhausted(reading: Reading, amount: float) -> NDArray[np.int64]:
    """(n_paths,) day on which each path uses the amount up; days that are not fully billed count as each path says they will be."""
    coming = daily(reading.paths, reading.weights, (reading.ends - reading.starts).astype(np.int64))
    k = len(reading.pending)
    if not k:
        return exhaustion_days(reading.past, coming, amount)
    return exhaustion_days(reading.past[:-k], np.concatenate([reading.past[-k:, None] + reading.pending, coming]), amount)


def _recent_daily_mean(snapshot: Snapshot, reading: Reading, scope: Scope, period: Period) -> float:
    """Mean cost of the last four weeks of history."""
    if reading.derived is None:
        if reading.node is not None:
            return float(snapshot.expected_node_history[reading.node, -RECENT_DAYS:].mean())
        return float(snapshot.expected_history[snapshot.hierarchy.leaf_mask(scope), -RECENT_DAYS:].sum(axis=0).mean())
    end = snapshot.cutoff + timedelta(days=1)
    start = max(snapshot.first_day, end - timedelta(days=RECENT_DAYS))
    recent = read_scope(snapshot, scope, Period(start, end))
    return float(recent.expected_past().sum()) / (end - start).days
