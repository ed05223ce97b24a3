"""What a plan does to budgets: how likely each is overrun, by how much, and on which day it is used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import amount_in, conversion
from forecast.budgets.occurrence import occurrence
from forecast.budgets.overrun import expected_overrun, overrun_probability
from forecast.errors import InputError
from forecast.scenarios.bins import Wanted
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period
from forecast.workflows.applied_plans import AppliedPlan, PlanViews
from forecast.workflows.overruns import reading_exhaustion
from forecast.workflows.readings import Reading, read_scope

Floats = NDArray[np.float64]

FIGURES = ("overrun_probability", "expected_overrun", "exhaustion_day")


def meant_budget(snapshot: Snapshot, budget: Budget, period: Period, calendar: FiscalCalendar) -> Budget:
    """The occurrence of a repeating budget that a plan for `period` is first about; its days that are over cannot be planned."""
    return occurrence(budget, max(period.start, snapshot.first_open_day), calendar)


@dataclass(frozen=True, eq=False)
class BudgetCase:
    """One budget: what is known of it without the plan, and what the plan's figures are to be summed by.

    reading : None where nothing can be said of it. applied : the plan in a view that tells the budget's scope. bins : (n_days,) number of the
    reading's step that each of the plan's days is in.
    """

    budget: Budget
    answer_so_far: dict[str, Any]
    reading: Reading | None = None
    applied: AppliedPlan | None = None
    bins: NDArray[np.int64] | None = None

    def wanted(self) -> Wanted | None:
        """What is to be summed in the view's paths; None where nothing can be said."""
        if self.reading is None or self.applied is None or self.bins is None:
            return None
        change = self.applied.final.change(self.applied.inside(self.budget.scope))
        return Wanted([change], self.bins, max(len(self.reading.starts), 1))

    def answer(self, delta: Floats | None) -> dict[str, Any]:
        """delta : (n_steps, n_paths) of the budget's own days; None where nothing can be said."""
        if self.reading is None or delta is None:
            return self.answer_so_far
        amount = float(self.answer_so_far["amount"])
        before = _figures(self.reading, self.budget, amount)
        after = _figures(_with(self.reading, delta), self.budget, amount) if delta.any() else before
        found = {**self.answer_so_far}
        for name in FIGURES:
            found[f"{name}_before"], found[f"{name}_after"] = before[name], after[name]
        return found


def budget_cases(
    snapshot: Snapshot, budgets: Sequence[Budget], views: PlanViews, days: NDArray[np.datetime64], rates: Rates | None
) -> list[BudgetCase]:
    """Each budget; of those that cannot be compared the answer says why."""
    return [_case(snapshot, budget, views, days, rates) for budget in budgets]


def other_deltas(cases: Sequence[BudgetCase], main: AppliedPlan) -> dict[int, Floats]:
    """Number of a case → (n_steps, n_paths), of budgets that are finer than the plan's main view tells; each view's paths are read once."""
    found: dict[int, Floats] = {}
    asked = [
        (number, case.applied, wanted) for number, case in enumerate(cases) if case.applied is not main and (wanted := case.wanted()) is not None
    ]
    for applied in {id(one): one for _, one, _ in asked if one is not None}.values():
        own = [(number, wanted) for number, one, wanted in asked if one is applied]
        totals = applied.view.spending.totals([wanted for _, wanted in own])
        found |= {number: total[0] for (number, _), total in zip(own, totals, strict=True)}
    return found


def _case(snapshot: Snapshot, budget: Budget, views: PlanViews, days: NDArray[np.datetime64], rates: Rates | None) -> BudgetCase:
    answer: dict[str, Any] = {
        "id": budget.id,
        "name": budget.name,
        "scope": str(budget.scope),
        "start": budget.start.isoformat(),
        "end": budget.end.isoformat(),
        "amount": budget.amount,
        **{f"{name}_{when}": None for name in FIGURES for when in ("before", "after")},
    }
    if budget.cost != snapshot.cost:
        return BudgetCase(budget, {**answer, "warning": f"the budget counts {budget.cost} cost, the forecast {snapshot.cost}"})
    try:
        converted = conversion(budget, snapshot.currency, snapshot.cutoff, rates)
        reading = read_scope(snapshot, budget.scope, budget.period)
        applied = views.telling(budget.scope)
    except InputError as error:
        return BudgetCase(budget, {**answer, "warning": str(error)})
    answer["amount"] = amount_in(budget, converted)
    if converted is not None:
        answer["converted"] = converted.describe()
    if reading.derived:
        answer["derived"] = reading.derived
    step = np.searchsorted(reading.starts, days, side="right") - 1
    inside = (step >= 0) & (days >= np.datetime64(budget.start, "D")) & (days < np.datetime64(budget.end, "D"))
    return BudgetCase(budget, answer, reading, applied, np.where(inside, step, -1).astype(np.int64))


def _with(reading: Reading, delta: Floats) -> Reading:
    """The reading with a change of each of its steps; of a step that lies partly in the period the change is that of the part."""
    return replace(reading, paths=reading.paths + delta / np.where(reading.weights > 0.0, reading.weights, 1.0)[:, None])


def _figures(reading: Reading, budget: Budget, amount: float) -> dict[str, Any]:
    totals = reading.totals()
    exhausted = reading_exhaustion(reading, budget.period, totals, amount)
    days = [None if day is None else (budget.start + timedelta(days=day)).isoformat() for day in exhausted.days]
    return {
        "overrun_probability": overrun_probability(0.0, totals, amount),
        "expected_overrun": expected_overrun(totals, amount),
        "exhaustion_day": dict(zip(("p10", "p50", "p90"), days, strict=True)),
    }
