"""Do budgets fit together? Checks of a hierarchy of budgets (company > team > project) before anybody asks for its risk.

A check never changes a budget and never refuses one: it says what a controller would want to know before the numbers of parents and children are
laid side by side. Only amounts and periods are looked at here, no spend; a hierarchy of leaves settles which scopes share spend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from forecast.budgets.budget import CENT, Budget
from forecast.budgets.family import children_of, cycles, occurrences_within, once
from forecast.budgets.scope_relations import ScopeRelations, relate
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.periods import Period
from forecast.spend.scope import Scope

CHECKS = (
    "missing_parent",
    "cycle",
    "other_cost",
    "other_currency",
    "period_outside",
    "scope_outside",
    "scope_unclear",
    "overlap",
    "children_exceed",
    "children_exceed_phase",
)
"""What is looked for. An `error` makes joint numbers of parent and children wrong; a `warning` is true of sound plans too."""

ERRORS = frozenset({"missing_parent", "cycle", "other_cost", "period_outside", "scope_outside"})
MOST_OTHERS = 20
"""Other budgets that a finding lists."""
NAMED = 3
"""Other budgets that a sentence names before it counts the rest."""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit.

    check : one of CHECKS. budget_id : the budget that it is about; others : those that it does not fit with, sorted. amount : by how much, in
    `currency`, where it is about money. start, end : the days that it is about, where it is not all of them. sentence : the same for people.
    """

    check: str
    budget_id: str
    sentence: str
    others: tuple[str, ...] = ()
    amount: float | None = None
    currency: str | None = None
    start: date | None = None
    end: date | None = None

    @property
    def severity(self) -> str:
        return "error" if self.check in ERRORS else "warning"

    def describe(self) -> dict[str, Any]:
        """As answers carry it."""
        return {
            "check": self.check,
            "severity": self.severity,
            "budget_id": self.budget_id,
            "others": list(self.others),
            "amount": self.amount,
            "currency": self.currency,
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "sentence": self.sentence,
        }


def check_rollup(
    budgets: Sequence[Budget],
    *,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    currency: str | None = None,
    hierarchy: Hierarchy | None = None,
) -> list[Finding]:
    """What does not fit in the budgets, by parent and in the order of CHECKS; empty where all is well.

    calendar : of budgets that repeat. currency : the ledger's, which a budget without one has. hierarchy : of a forecast; with it, scopes whose
    writing does not tell (`workload=ranking` under `team=ads`) are compared by the leaves that they hold.
    """
    by_id = {budget.id: budget for budget in budgets}
    found = [
        Finding("missing_parent", budget.id, f"{budget.id} is a part of {budget.parent}, which does not exist", (budget.parent,))
        for budget in by_id.values()
        if budget.parent is not None and budget.parent not in by_id
    ]
    circles = cycles(by_id)
    for circle in circles:
        way = " > ".join([*circle, circle[0]])
        found.append(Finding("cycle", circle[0], f"{circle[0]} is a part of itself: {way}", tuple(sorted(circle[1:]))))
    circular = {budget_id for circle in circles for budget_id in circle}
    for parent_id, children in sorted(children_of(by_id).items()):
        if parent_id in by_id and parent_id not in circular:
            found += _check_parent(by_id[parent_id], children, calendar, currency, hierarchy)
    return found


def _check_parent(
    parent: Budget, children: Sequence[Budget], calendar: FiscalCalendar, currency: str | None, hierarchy: Hierarchy | None
) -> list[Finding]:
    relations = relate([parent.scope, *(child.scope for child in children)], hierarchy)
    comparable = [child for child in children if child.cost == parent.cost and _same_currency(child, parent, currency)]
    windows = _windows(parent, children, calendar)
    return [
        *_other_money(parent, children, currency),
        *_periods(parent, children, windows, calendar),
        *_scopes(parent, children, relations),
        *_overlaps(children, relations),
        *_sums(parent, comparable, windows, calendar, _currency(parent, currency)),
        *_phases(parent, comparable, calendar, _currency(parent, currency)),
    ]


def _currency(budget: Budget, currency: str | None) -> str | None:
    return budget.currency or currency


def _same_currency(one: Budget, other: Budget, currency: str | None) -> bool:
    """Whether two budgets are in one currency; one that names none, of a ledger that is not known, is not held to be in another."""
    return len({_currency(one, currency), _currency(other, currency)} - {None}) < 2


def _windows(parent: Budget, children: Sequence[Budget], calendar: FiscalCalendar) -> list[Period]:
    """Periods of the parent in which children are compared with it: its own; of one that repeats, the first and those in which children begin."""
    if parent.repeats is None:
        return [parent.period]
    days = {parent.start, *(max(child.start, parent.start) for child in children)}
    return sorted({once(parent, day, calendar).period for day in days})


def _other_money(parent: Budget, children: Sequence[Budget], currency: str | None) -> Iterator[Finding]:
    for child in children:
        if child.cost != parent.cost:
            sentence = f"{child.id} counts {child.cost} cost, {parent.id} {parent.cost} cost: their money does not add up"
            yield Finding("other_cost", child.id, sentence, (parent.id,))
        if not _same_currency(child, parent, currency):
            mine, theirs = _currency(child, currency), _currency(parent, currency)
            sentence = f"{child.id} is in {mine}, {parent.id} in {theirs}: it is not in the sum of the children"
            yield Finding("other_currency", child.id, sentence, (parent.id,))


def _periods(parent: Budget, children: Sequence[Budget], windows: Sequence[Period], calendar: FiscalCalendar) -> Iterator[Finding]:
    for child in children:
        parts = [(part.period, window) for window in windows for part in occurrences_within(child, window, calendar)]
        out = next((part for part, window in parts if part.start < window.start or part.end > window.end), None if parts else child.period)
        if out is not None:
            inside = windows[0] if parent.repeats is None else f"one {parent.repeats}"
            how = "reaches beyond" if parts else "lies outside of"
            sentence = f"{child.id} ({out}) {how} {parent.id} ({inside})"
            yield Finding("period_outside", child.id, sentence, (parent.id,), start=out.start, end=out.end)


def _scopes(parent: Budget, children: Sequence[Budget], relations: ScopeRelations) -> Iterator[Finding]:
    for row, child in enumerate(children, start=1):
        if relations.inside[row, 0]:
            continue
        mine, theirs = _shown(child), _shown(parent)
        if not relations.shared[row, 0]:
            yield Finding("scope_outside", child.id, f"{child.id} ({mine}) has no spend in common with {parent.id} ({theirs})", (parent.id,))
        elif relations.outside[row, 0]:
            yield Finding("scope_outside", child.id, f"Some spend of {child.id} ({mine}) is not spend of {parent.id} ({theirs})", (parent.id,))
        else:
            missing = [clause for clause in parent.scope.clauses if clause.dimension not in child.scope.dimensions]
            written = Scope(tuple(sorted([*missing, *child.scope.clauses])))
            sentence = f"{child.id} ({mine}) does not say that its spend is spend of {parent.id} ({theirs}); if it is, write its scope {written}"
            yield Finding("scope_unclear", child.id, sentence, (parent.id,))


def _overlaps(children: Sequence[Budget], relations: ScopeRelations) -> Iterator[Finding]:
    starts = np.array([child.start for child in children], dtype="datetime64[D]")
    ends = np.array([date.max if child.repeats else child.end for child in children], dtype="datetime64[D]")
    meeting = relations.shared[1:, 1:] & (starts[:, None] < ends[None, :]) & (starts[None, :] < ends[:, None])
    for row, child in enumerate(children):
        others = [children[other] for other in np.flatnonzero(meeting[row]).tolist() if other > row]
        if not others:
            continue
        spend = f"{_shown(child)} meets {_listed([_shown(other) for other in others])}"
        sentence = f"{child.id} and {_listed([other.id for other in others])} count the same spend wherever {spend}"
        yield Finding("overlap", child.id, sentence, tuple(other.id for other in others[:MOST_OTHERS]))


def _sums(parent: Budget, children: Sequence[Budget], windows: Sequence[Period], calendar: FiscalCalendar, currency: str | None) -> Iterator[Finding]:
    worst: tuple[float, Period, list[Budget]] | None = None
    for window in windows:
        parts = [part for child in children for part in occurrences_within(child, window, calendar)]
        excess = math.fsum(part.money for part in parts) - parent.money
        if excess > _tolerance(parent.money) and (worst is None or excess > worst[0]):
            worst = excess, window, parts
    if worst is not None:
        excess, window, parts = worst
        names = sorted({part.id for part in parts})
        sentence = (
            f"Children of {parent.id} ({_listed(names)}) add up to {_money(parent.money + excess, currency)} in {window}, "
            f"{_money(excess, currency)} more than its {_money(parent.money, currency)}"
        )
        yield Finding("children_exceed", parent.id, sentence, tuple(names), excess, currency, window.start, window.end)


def _phases(parent: Budget, children: Sequence[Budget], calendar: FiscalCalendar, currency: str | None) -> Iterator[Finding]:
    """Phases of the parent that its children's parts exceed; only where every part lies within one phase, so that nothing must be spread."""
    price = 1.0 if parent.unit_price is None else parent.unit_price
    phases = list(zip(parent.phase_periods() if parent.phases else (), parent.phases, strict=True))
    pieces = [piece for child in children for part in occurrences_within(child, parent.period, calendar) for piece in _pieces(part)]
    homes = [[number for number, (period, _) in enumerate(phases) if _holds(period, piece[1])] for piece in pieces]
    if not phases or not all(homes):
        return
    for number, (period, phase) in enumerate(phases):
        inside = [piece for piece, home in zip(pieces, homes, strict=True) if home == [number]]
        planned = phase.amount * price
        excess = math.fsum(amount for _, _, amount in inside) - planned
        if excess > _tolerance(parent.money):
            names = sorted({name for name, _, _ in inside})
            sentence = (
                f"Children of {parent.id} ({_listed(names)}) plan {_money(planned + excess, currency)} for its phase {period}, "
                f"{_money(excess, currency)} more than its {_money(planned, currency)}"
            )
            yield Finding("children_exceed_phase", parent.id, sentence, tuple(names), excess, currency, period.start, period.end)


def _pieces(budget: Budget) -> list[tuple[str, Period, float]]:
    """Id, days and money of each phase, or of the whole budget where it has none."""
    price = 1.0 if budget.unit_price is None else budget.unit_price
    if not budget.phases:
        return [(budget.id, budget.period, budget.money)]
    return [(budget.id, period, phase.amount * price) for period, phase in zip(budget.phase_periods(), budget.phases, strict=True)]


def _holds(period: Period, inner: Period) -> bool:
    return period.start <= inner.start and inner.end <= period.end


def _tolerance(amount: float) -> float:
    return max(CENT, 1e-9 * amount)


def _money(amount: float, currency: str | None) -> str:
    return f"{amount:,.2f} {currency}" if currency else f"{amount:,.2f}"


def _shown(budget: Budget) -> str:
    return str(budget.scope) or "the company"


def _listed(names: Sequence[str]) -> str:
    """`a, b, c and 4 others`."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
