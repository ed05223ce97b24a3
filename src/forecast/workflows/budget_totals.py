"""What budgets will come to: the joint totals of each budget's scope and period, and its amount in the snapshot's currency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import Converted, amount_in, conversion
from forecast.budgets.occurrence import occurrence
from forecast.errors import BudgetError, InputError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.workflows.readings import Reading
from forecast.workflows.scope_futures import ScopeFuture, scope_futures

_EMPTY: NDArray[np.float64] = np.zeros(0)


@dataclass(frozen=True)
class BudgetTotals:
    """One budget in the futures of a snapshot.

    budget : the occurrence that is answered for. amount : its money in the snapshot's currency; converted : how it came about, None where nothing
    was converted. reading : its scope in its period. totals : (n_paths,) the period's total, path by path jointly with all other budgets of the
    same snapshot. spent : what is billed. error : why there is no answer; then reading is None, totals are empty and the rest is 0.
    """

    budget: Budget
    amount: float
    converted: Converted | None
    reading: Reading | None
    totals: NDArray[np.float64]
    spent: float
    error: InputError | None = None

    def checked(self) -> Reading:
        """The reading; raises `error` where there is none."""
        if self.reading is None:
            raise self.error or BudgetError(f"Budget {self.budget.id} has no answer", field="budget_id", got=self.budget.id)
        return self.reading


def budget_totals(
    snapshot: Snapshot,
    budgets: Sequence[Budget],
    *,
    rates: Rates | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    at: date | None = None,
) -> list[BudgetTotals]:
    """Totals of each budget, in the order given.

    rates : for budgets in another currency. calendar, at : of a budget that repeats, the occurrence that holds `at` is meant, by default the one
    that holds the first day after the cutoff. A budget that the snapshot cannot answer (a scope that never occurred, a period that it cannot
    see, no rate, the other cost) has `error`.
    """
    found: dict[int, BudgetTotals] = {}
    for place, one, _ in each_total(snapshot, budgets, rates=rates, calendar=calendar, at=at):
        found[place] = one
    return [found[place] for place in range(len(budgets))]


def each_total(
    snapshot: Snapshot, budgets: Sequence[Budget], *, rates: Rates | None, calendar: FiscalCalendar, at: date | None
) -> Iterator[tuple[int, BudgetTotals, ScopeFuture | None]]:
    """(place in `budgets`, totals, its scope) scope by scope, so that the paths of one scope at a time are in memory."""
    meant: dict[int, tuple[Budget, Converted | None]] = {}
    for place, budget in enumerate(budgets):
        try:
            meant[place] = _meant(snapshot, budget, rates, calendar, at or snapshot.cutoff + timedelta(days=1))
        except InputError as error:
            yield place, _unanswered(budget, error), None
    places: dict[object, list[int]] = {}
    for place, (budget, _) in meant.items():
        places.setdefault(budget.scope, []).append(place)
    for future in scope_futures(snapshot, [(budget.scope, budget.period) for budget, _ in meant.values()]):
        for place in places[future.scope]:
            budget, converted = meant[place]
            try:
                reading = future.reading(budget.period)
            except InputError as error:
                yield place, _unanswered(budget, error), None
                continue
            yield place, BudgetTotals(budget, amount_in(budget, converted), converted, reading, reading.totals(), reading.spent), future


def _meant(snapshot: Snapshot, budget: Budget, rates: Rates | None, calendar: FiscalCalendar, day: date) -> tuple[Budget, Converted | None]:
    """The occurrence that is asked about, and how its money becomes the snapshot's currency."""
    if budget.cost != snapshot.cost:
        raise BudgetError(
            f"Budget {budget.id} counts {budget.cost} cost, snapshot {snapshot.id[:12]} is of {snapshot.cost} cost",
            field="cost",
            got=budget.cost,
            allowed=snapshot.cost,
        )
    return occurrence(budget, day, calendar), conversion(budget, snapshot.currency, snapshot.cutoff, rates)


def _unanswered(budget: Budget, error: InputError) -> BudgetTotals:
    return BudgetTotals(budget, 0.0, None, None, _EMPTY, 0.0, error)
