"""A hierarchy of budgets as a tree of their occurrences, with the totals of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import conversion
from forecast.budgets.family import occurrences_within
from forecast.errors import BudgetError, InputError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.workflows.budget_parts import Parts, parts_of
from forecast.workflows.budget_totals import BudgetTotals, each_total

MOST_LEVELS = 20
MOST_BUDGETS = 5_000
"""Of a tree; a budget that repeats counts once for each occurrence."""


@dataclass(eq=False)
class Branch:
    """One occurrence of a budget in a tree. found : its totals; None where `error` says why there are none. `note` is to be known about them."""

    budget: Budget
    level: int
    children: list[Branch] = field(default_factory=list)
    found: BudgetTotals | None = None
    error: InputError | None = None
    note: str | None = None
    parts: Parts | None = None

    @property
    def over(self) -> NDArray[np.bool_]:
        """(n_paths,) whether it is overrun."""
        found = self.answered()
        return np.asarray(found.totals > found.amount)

    def answered(self) -> BudgetTotals:
        """The totals; raises `error` where there are none."""
        if self.found is None:
            raise self.error or BudgetError(f"Budget {self.budget.id} has no answer", field="budget_id", got=self.budget.id)
        return self.found


def grow(top: Budget, below: Mapping[str, Sequence[Budget]], calendar: FiscalCalendar, left_out: list[dict[str, str]]) -> Branch:
    """The tree below an occurrence of a budget: of each child the occurrences that touch its parent's period.

    left_out : children that touch none of their parent's periods are added here.
    """
    found = Branch(top, 0)
    waiting, count = [found], 1
    missed: dict[str, str] = {}
    grown: set[str] = set()
    while waiting:
        branch = waiting.pop()
        for child in below.get(branch.budget.id, ()):
            parts = occurrences_within(child, branch.budget.period, calendar)
            if parts:
                grown.add(child.id)
            else:
                missed[child.id] = f"{child.id} ({child.period}) has no day in common with {branch.budget.id} ({branch.budget.period})"
            branch.children += [Branch(part, branch.level + 1) for part in parts]
            count += len(parts)
        if branch.children and branch.level + 1 >= MOST_LEVELS:
            raise BudgetError(f"The tree of {top.id} has more levels than one answer holds", field="parent", allowed=f"at most {MOST_LEVELS} levels")
        if count > MOST_BUDGETS:
            raise BudgetError(
                f"The tree of {top.id} has more budgets than one answer holds", field="parent", allowed=f"at most {MOST_BUDGETS} budgets"
            )
        waiting += branch.children
    left_out += [{"budget_id": child, "reason": reason} for child, reason in sorted(missed.items()) if child not in grown]
    return found


def all_below(branch: Branch) -> list[Branch]:
    """The branch and all below it, parents first."""
    found = [branch]
    for one in found:
        found += one.children
    return found


def fill(snapshot: Snapshot, top: Branch, rates: Rates | None) -> None:
    """Totals of all branches, and the parts of those that have children."""
    branches = all_below(top)
    asked = [branch.budget for branch in branches]
    for place, found, _ in each_total(snapshot, asked, rates=rates, calendar=CALENDAR_YEAR, at=None):  # no branch repeats, so neither counts
        branch = branches[place]
        if found.error is None:
            # Totals are all that a tree needs; the days of thousands of readings would not fit into memory.
            branch.found = replace(found, reading=None)
            branch.note = "; ".join(found.checked().warnings) or None
        elif isinstance(found.error, UnknownScopeError) and branch is not top:
            # A project that is to begin has a budget before it has a bill: until then it has spent nothing.
            converted = conversion(branch.budget, snapshot.currency, snapshot.cutoff, rates)
            amount = branch.budget.money if converted is None else branch.budget.money * converted.factor
            branch.found = BudgetTotals(branch.budget, amount, converted, None, np.zeros(snapshot.n_paths), 0.0)
            branch.note = f"{found.error}: it counts as spending nothing"
        else:
            branch.error = found.error
    if top.error is not None:
        raise top.error
    for branch in branches:
        if branch.children and branch.found is not None:
            branch.parts = parts_of(snapshot, branch.found, [child.found for child in branch.children])
