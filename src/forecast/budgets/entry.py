"""What is looked at when a budget is entered, by command, file or HTTP: what cannot be is refused, what is odd is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from forecast.budgets.budget import Budget
from forecast.budgets.occurrence import check_repeats
from forecast.errors import BudgetError
from forecast.spend.fiscal import FiscalCalendar

LONGEST_TEXT = 200
LARGEST_AMOUNT = 1e15
MOST_WARNINGS = 20
FIRST_YEAR, LAST_YEAR = 1970, 2200
_WORDS = ("name", "owner", "unit")


def check_entry(budget: Budget, calendar: FiscalCalendar) -> None:
    """BudgetError for what no stored budget may have: control characters, a text or an amount without end, a period that cannot repeat."""
    for field in _WORDS:
        text: str = getattr(budget, field)
        if len(text) > LONGEST_TEXT or any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise BudgetError(
                f"Budget {budget.id}: {field} {text[:40]!r} is too long or has control characters",
                field=field,
                got=text[:LONGEST_TEXT],
                allowed=f"at most {LONGEST_TEXT} printable characters",
            )
    if any(ord(character) < 32 for character in str(budget.scope)):
        raise BudgetError(f"Budget {budget.id}: scope has control characters", field="scope", got=str(budget.scope), allowed="printable text")
    if budget.amount > LARGEST_AMOUNT or budget.money > LARGEST_AMOUNT:
        raise BudgetError(
            f"Budget {budget.id}: amount {budget.amount:g} is no money that anybody has",
            field="amount",
            got=budget.amount,
            allowed=f"at most {LARGEST_AMOUNT:g}",
        )
    if budget.start.year < FIRST_YEAR or budget.end.year > LAST_YEAR:
        field = "start" if budget.start.year < FIRST_YEAR else "end"
        raise BudgetError(
            f"Budget {budget.id}: its period {budget.period} is not one of spend",
            field=field,
            got=str(getattr(budget, field)),
            allowed=f"years {FIRST_YEAR} to {LAST_YEAR}",
        )
    check_repeats(budget, calendar)


def check_parents(entered: Sequence[Budget], stored: Mapping[str, str | None]) -> None:
    """BudgetError for the first entered budget whose parent does not exist or that would be its own ancestor.

    stored : id → parent of the budgets that there are; entered ones take the place of those with their ids.
    """
    parents = {**stored, **{budget.id: budget.parent for budget in entered}}
    for budget in entered:
        if problem := parent_problem(budget, parents):
            raise problem


def parent_problem(budget: Budget, parents: Mapping[str, str | None]) -> BudgetError | None:
    """What is wrong with a budget's parent; parents : id → parent of all budgets, this one among them."""
    if budget.parent is not None and budget.parent not in parents:
        return BudgetError(
            f"Budget {budget.id}: its parent {budget.parent} does not exist", field="parent", got=budget.parent, allowed="the id of another budget"
        )
    way, above = [budget.id], budget.parent
    while above is not None and above in parents and above not in way:
        way.append(above)
        above = parents[above]
    if above != budget.id:
        return None
    return BudgetError(
        f"Budget {budget.id} would be a part of itself: {' < '.join([*way, budget.id])}",
        field="parent",
        got=budget.parent,
        allowed="a budget that is not below it",
    )


def advice(budget: Budget, calendar: FiscalCalendar) -> list[str]:
    """What is probably a slip of whoever wrote the budget, in sentences."""
    said = []
    last = calendar.bucket(budget.end, "month")
    if budget.repeats is None and budget.end + timedelta(days=1) == last.end and calendar.bucket(budget.start, "month").start == budget.start:
        said.append(f"{budget.id} ends before the last day of a month: end {budget.end} does not count; {last.end} is the end of the whole month")
    return said


def warnings_of(entered: Iterable[Budget], every: Sequence[Budget], calendar: FiscalCalendar) -> list[str]:
    """What is odd about entered budgets, alone and beside the others of their family, `MOST_WARNINGS` at most.

    every : all stored budgets, the entered ones among them.
    """
    from forecast.budgets.rollup import check_rollup

    entered = list(entered)
    own = {budget.id for budget in entered}
    parents = {budget.parent for budget in entered if budget.parent is not None}
    family = [budget for budget in every if budget.id in own | parents or budget.parent in own | parents]
    ids = {budget.id for budget in family}
    alone = [budget if budget.parent in ids else replace(budget, parent=None) for budget in family]
    found = [
        finding.sentence
        for finding in check_rollup(alone, calendar=calendar)
        if finding.check != "scope_unclear"  # only `budget check` has a forecast to ask
        and (own & {finding.budget_id, *finding.others} or (finding.check.startswith("children") and finding.budget_id in parents))
    ]
    said = [*(sentence for budget in entered for sentence in advice(budget, calendar)), *found]
    rest = len(said) - MOST_WARNINGS
    return said if rest <= 0 else [*said[:MOST_WARNINGS], f"and {rest} more; `forecast budget check` tells all that does not fit"]
