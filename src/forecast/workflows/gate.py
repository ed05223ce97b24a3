"""May this run go on? go, warn or stop by the probability that its budget is overrun: bills, the run's own report, its plan, and the forecast.

It answers before the first bill of the scope (a scope that nobody has been billed for yet costs nothing but the run) and without any snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import Converted, conversion
from forecast.budgets.gate import DECISIONS, Bills, Limits, Plan, Report, Samples, decide, run_and_scope
from forecast.budgets.overrun import overrun_probability, standard_error
from forecast.errors import BudgetError, InputError, NotFoundError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.periods import Period
from forecast.workflows.gate_words import reasons
from forecast.workflows.readings import read_scope
from forecast.workflows.summary import distribution

SEED = 20270101
NOTHING = Report()


@dataclass(frozen=True)
class Asked:
    """A question of the gate and what is known for it; money in the answer's currency.

    budget : the occurrence that is asked about. alone : the run is all that its scope does. known_until : last day of the bills, None where nothing
    was ever billed for the scope. spent : billed in the period. first_day : of the run, as far as bills are its own. today : None where nobody says.
    """

    budget: Budget
    amount: float
    currency: str | None
    plan: Plan | None
    report: Report
    limits: Limits
    alone: bool
    bills: Bills
    known_until: date | None
    spent: float | None
    first_day: date | None
    today: date | None

    @property
    def is_of_a_run(self) -> bool:
        return self.plan is not None or self.report != NOTHING

    @property
    def is_outside(self) -> bool:
        """A run that spends on a day that the budget is not for."""
        return self.is_of_a_run and self.today is not None and not self.budget.start <= self.today < self.budget.end


def gate_answer(
    snapshot: Snapshot | None,
    budget: Budget,
    *,
    plan: Plan | None = None,
    report: Report = NOTHING,
    warn: float | None = None,
    stop: float | None = None,
    today: date | None = None,
    rates: Rates | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """go, warn or stop, with the probability behind it and reasons in numbers.

    budget : the occurrence that is asked about. plan, report : of the run, in the budget's currency; with neither of them it is the plain
    probability of an overrun. warn, stop : probabilities; default the budget's own thresholds, else 30 % and 60 %. today : a run outside the
    budget's days is warned at least. Equal questions have equal answers: draws come from `seed`.

    Bills of the scope from `report.since` on and the report are the same money: the larger counts. Without `since`, an experiment's run that reports
    spend is taken to have begun with its budget; any other has none of the bills. Raises BudgetError, OutsideHorizonError, and where there is
    neither plan nor report UnknownScopeError and NotFoundError (no snapshot).
    """
    limits = Limits.of(budget.thresholds, warn, stop)
    if report.since is not None and today is not None and report.since > today:
        raise BudgetError(
            f"since {report.since} is after today {today}: a run begins before it spends",
            field="since",
            got=str(report.since),
            allowed=f"up to {today}",
        )
    converted = None if snapshot is None else conversion(budget, snapshot.currency, snapshot.cutoff, rates)
    factor = 1.0 if converted is None else converted.factor
    plan, report = None if plan is None else plan.times(factor), report.times(factor)
    alone = budget.kind == "experiment"
    first_day = report.since or (budget.start if alone and report.spent is not None else None)
    bills, known_until, spent = _bills(snapshot, budget, first_day, plan, report, alone)
    asked = Asked(
        budget,
        budget.money * factor,
        budget.currency if snapshot is None else snapshot.currency,
        plan,
        report,
        limits,
        alone,
        bills,
        known_until,
        spent,
        first_day,
        today,
    )
    totals, rest = run_and_scope(bills, plan, report, alone=alone, seed=seed)
    return _answer(asked, snapshot, totals, rest, converted)


def _answer(asked: Asked, snapshot: Snapshot | None, totals: Samples, rest: Samples | None, converted: Converted | None) -> dict[str, Any]:
    budget = asked.budget
    probability = overrun_probability(0.0, totals, asked.amount)
    decision = decide(probability, asked.limits)
    if asked.is_outside:
        decision = max(decision, "warn", key=DECISIONS.index)
    total = distribution(totals)
    return {
        "decision": decision,
        "probability": probability,
        "standard_error": standard_error(probability, len(totals)),
        "warn": asked.limits.warn,
        "stop": asked.limits.stop,
        "budget_id": budget.id,
        "kind": budget.kind,
        "scope": str(budget.scope),
        "start": budget.start.isoformat(),
        "end": budget.end.isoformat(),
        "cost": budget.cost,
        "currency": asked.currency,
        "amount": asked.amount,
        "converted": None if converted is None else converted.describe(),
        "spent": asked.spent,
        "reported": asked.report.spent,
        "rest": None if rest is None else distribution(rest),
        "expected_total": total["mean"],
        "p10": total["p10"],
        "p50": total["p50"],
        "p90": total["p90"],
        "reasons": reasons(asked, probability, totals, rest),
        "snapshot_id": None if snapshot is None else snapshot.id,
        "cutoff": None if snapshot is None else snapshot.cutoff.isoformat(),
    }


def _bills(
    snapshot: Snapshot | None, budget: Budget, first_day: date | None, plan: Plan | None, report: Report, alone: bool
) -> tuple[Bills, date | None, float | None]:
    """What the snapshot knows of the scope, up to which day, and what is billed."""
    says_something = plan is not None or report.spent is not None
    if snapshot is None:
        if not says_something:
            raise NotFoundError(
                f"There is no snapshot, and nothing is said of the run: budget {budget.id} has no probability",
                field="planned",
                got=None,
                allowed="planned or spent of the run, or a snapshot (forecast train)",
            )
        return Bills.none(), None, None
    # A run's own scope is asked for its bills only: its rest is its plan's, however far the forecast sees.
    end = min(budget.end, snapshot.horizon_end) if alone and says_something else budget.end
    start = max(budget.start, snapshot.first_day)
    if end <= start:
        return Bills.none(), snapshot.cutoff, 0.0
    try:
        reading = read_scope(snapshot, budget.scope, Period(start, end))
    except UnknownScopeError:
        if not says_something:
            raise
        return Bills.none(), None, 0.0
    owed, coming = reading.owed(), reading.to_come()
    billed = np.full(len(coming), reading.spent) if owed is None else reading.spent + owed
    since = np.zeros(len(coming))
    if first_day is not None and first_day <= snapshot.cutoff:
        since = billed if first_day <= start else billed - read_scope(snapshot, budget.scope, Period(start, min(first_day, end))).totals()
    return Bills(billed - since, since, coming), snapshot.cutoff, reading.spent


def read_run(
    *,
    planned: float | None = None,
    low: float | None = None,
    high: float | None = None,
    spent: float | None = None,
    progress: float | None = None,
    since: date | None = None,
) -> tuple[Plan | None, Report]:
    """Plan and report as they were said. Raises BudgetError, or InputError, naming what cannot be."""
    if since is not None and planned is None and spent is None:
        raise InputError("since is said, and neither planned nor spent of the run", field="since", got=str(since), allowed="planned or spent with it")
    return Plan.of(planned, low, high), Report(spent, progress, since)
