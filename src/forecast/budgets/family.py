"""Parents and children of budgets, and the occurrences of children in one period of their parent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from forecast.budgets.budget import Budget
from forecast.budgets.occurrence import occurrence
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period

MOST_OCCURRENCES = 400
"""Of one child in one period of its parent: more than there are months in thirty years."""


def children_of(budgets: Mapping[str, Budget]) -> dict[str, list[Budget]]:
    """Children of each parent that is named, by id; the parent itself may be missing."""
    found: dict[str, list[Budget]] = defaultdict(list)
    for budget in sorted(budgets.values(), key=lambda budget: budget.id):
        if budget.parent is not None:
            found[budget.parent].append(budget)
    return dict(found)


def cycles(budgets: Mapping[str, Budget]) -> list[tuple[str, ...]]:
    """Circles of parents, each once, from its least id along the parents."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for first in sorted(budgets):
        way: dict[str, int] = {}
        at: str | None = first
        while at is not None and at in budgets and at not in done and at not in way:
            way[at] = len(way)
            at = budgets[at].parent
        if at is not None and at in way:
            circle = list(way)[way[at] :]
            turn = circle.index(min(circle))
            found.append((*circle[turn:], *circle[:turn]))
        done.update(way)
    return found


def occurrences_within(budget: Budget, window: Period, calendar: FiscalCalendar) -> list[Budget]:
    """Each occurrence of a budget that touches the window, as a budget of its own that does not repeat; the first is never before its start.

    A budget that does not repeat is its only occurrence.
    """
    if budget.repeats is None:
        return [budget] if budget.start < window.end and window.start < budget.end else []
    found: list[Budget] = []
    day = max(window.start, budget.start)
    while day < window.end and len(found) < MOST_OCCURRENCES:
        found.append(once(budget, day, calendar))
        day = found[-1].end
    return found


def once(budget: Budget, day: date, calendar: FiscalCalendar) -> Budget:
    """The occurrence of a budget that holds `day`, as a budget that does not repeat; without phases after the first, they may not fit elsewhere."""
    if budget.repeats is None or day < budget.end:
        return replace(budget, repeats=None)
    return replace(occurrence(replace(budget, phases=()), day, calendar), repeats=None)
