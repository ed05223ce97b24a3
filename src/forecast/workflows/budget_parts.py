"""What a budget is made of: its children, the rest that no child has, and the spend that several children count.

Parts add up to the whole on every path and in their amounts, so that whatever is said of the whole can be told apart by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.scope_relations import relate
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.budget_totals import BudgetTotals
from forecast.workflows.readings import read_groups

NOISE = 1e-6
"""Share of a parent's total below which a rest is rounding: ready nodes are kept as float32, their children are summed in float64."""

MOST_VALUES = 25_000_000
"""Numbers that are held at once to find out what children count twice (200 MB)."""


KINDS = ("budget", "unallocated", "over_allocated", "double_counted")
"""A child; spend and budget that no child has; what children may spend together beyond the parent's budget; spend that several children count."""


@dataclass(frozen=True, eq=False)
class Part:
    """kind : one of KINDS. number : of the child among the children, None for the other kinds.

    totals : (n_paths,) its spend; amount : its share of the parent's budget. What is double counted is spend below nothing without a budget, what is
    over-allocated a budget below nothing without spend.
    """

    kind: str
    number: int | None
    totals: NDArray[np.float64]
    amount: float


@dataclass(frozen=True, eq=False)
class Parts:
    """all : the parts of a parent, children first. outside : numbers of the children that are none, because their spend is not the parent's.

    unsettled : children share spend, and how much could not be told apart; then it is in the unallocated rest with the sign turned round.
    """

    all: tuple[Part, ...]
    outside: frozenset[int]
    unsettled: bool = False

    def of_kind(self, kind: str) -> Part | None:
        return next((part for part in self.all if part.kind == kind), None)


def parts_of(snapshot: Snapshot, parent: BudgetTotals, children: Sequence[BudgetTotals | None]) -> Parts:
    """The parts of a parent in one period. children : its budgets with their totals, None for one without an answer."""
    answered = [number for number, child in enumerate(children) if child is not None]
    found = [child for child in children if child is not None]
    relations = relate([parent.budget.scope, *(child.budget.scope for child in found)], snapshot.hierarchy)
    whole = parent.budget.period
    # What the writing leaves open is taken as it was declared: the child names this parent.
    inside = [
        not relations.outside[row, 0] and whole.start <= child.budget.start and child.budget.end <= whole.end
        for row, child in enumerate(found, start=1)
    ]
    counted = [child for child, is_part in zip(found, inside, strict=True) if is_part]
    shared = relations.shared[1:, 1:][np.ix_(inside, inside)]
    twice, unsettled = _double_counted(snapshot, parent, counted, shared)
    rest = parent.totals - sum((child.totals for child in counted), np.zeros(len(parent.totals))) + twice
    amount = parent.amount - sum(child.amount for child in counted)
    least = NOISE * max(float(np.abs(parent.totals).mean()), parent.amount)
    parts = [Part("budget", number, child.totals, child.amount) for number, child, is_part in zip(answered, found, inside, strict=True) if is_part]
    if np.abs(rest).max() > least or amount > least:
        parts.append(Part("unallocated", None, _quiet(rest, least), max(amount, 0.0)))
    if amount < -least:
        parts.append(Part("over_allocated", None, np.zeros(len(rest)), amount))
    if twice.any():
        parts.append(Part("double_counted", None, -twice, 0.0))
    return Parts(tuple(parts), frozenset(number for number, is_part in zip(answered, inside, strict=True) if not is_part), unsettled)


def _quiet(samples: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Zero where all of it is rounding."""
    return samples if np.abs(samples).max() > least else np.zeros(len(samples))


def _double_counted(
    snapshot: Snapshot, parent: BudgetTotals, children: Sequence[BudgetTotals], shared: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], bool]:
    """(n_paths,) what children count more than once, and whether that could not be found out."""
    nothing = np.zeros(len(parent.totals))
    starts = np.array([child.budget.start for child in children], dtype="datetime64[D]")
    ends = np.array([child.budget.end for child in children], dtype="datetime64[D]")
    meeting = shared & (starts[:, None] < ends[None, :]) & (starts[None, :] < ends[:, None])
    np.fill_diagonal(meeting, False)
    doubtful = [children[number] for number in np.flatnonzero(meeting.sum(axis=1)).tolist()]
    if not doubtful:
        return nothing, False
    dimensions = sorted({name for child in doubtful for name in child.budget.scope.dimensions})
    segments = _segments([child.budget.period for child in doubtful])
    within = Period(segments[0].start, segments[-1].end)
    steps = int(np.count_nonzero(snapshot.future_weights(within)))
    if not all(name in snapshot.hierarchy.dimensions for name in dimensions):
        return nothing, True
    groups = len(snapshot.hierarchy.leaves[dimensions].drop_duplicates()) if dimensions else 1
    if groups * max(steps, 1) * snapshot.n_paths > MOST_VALUES:
        return nothing, True
    found = nothing.copy()
    for reading in read_groups(snapshot, parent.budget.scope, dimensions, within):
        times = np.array(
            [[_matches(child.budget.scope, reading.group) and _holds(child.budget.period, segment) for segment in segments] for child in doubtful]
        ).sum(axis=0)
        if (times > 1).any():
            found += np.maximum(times - 1, 0) @ reading.buckets(segments)
    return found, False


def _segments(periods: Sequence[Period]) -> list[Period]:
    """Days between the edges of any of the periods."""
    edges: list[date] = sorted({edge for period in periods for edge in (period.start, period.end)})
    return [Period(start, end) for start, end in pairwise(edges)]


def _holds(period: Period, inner: Period) -> bool:
    return period.start <= inner.start and inner.end <= period.end


def _matches(scope: Scope, group: dict[str, str]) -> bool:
    """Whether a group, which has a value for each dimension of the scope, lies in it."""
    return all((group[clause.dimension] in clause.values) != clause.exclude for clause in scope.clauses)
