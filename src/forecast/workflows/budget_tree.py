"""Will a company, its teams and their projects overrun, and who brings it about? A hierarchy of budgets read from the same joint paths.

Every number of a tree is a share or a mean over the same futures, so that what is said of a parent and of its children cannot contradict each
other. Beside it stands what would be said if the children were independent of each other, which they are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.budget import Budget
from forecast.budgets.family import children_of, cycles, once
from forecast.budgets.joint import Estimate, contributions, given, independently, mean_of, rank_correlation, together
from forecast.budgets.rollup import check_rollup
from forecast.errors import BudgetError, InputError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.nearest import not_kept
from forecast.workflows.budget_branches import Branch, all_below, fill, grow
from forecast.workflows.budget_parts import Part, Parts
from forecast.workflows.budget_totals import BudgetTotals
from forecast.workflows.budget_tree_words import sentences
from forecast.workflows.summary import distribution, heading


def budget_tree(
    snapshot: Snapshot,
    budgets: Sequence[Budget],
    root: str | None = None,
    *,
    at: date | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    rates: Rates | None = None,
) -> dict[str, Any]:
    """The hierarchy below one budget, or all hierarchies of the snapshot's cost, each answered jointly.

    budgets : all that there are; those that are in no hierarchy are left alone. root : id of the budget at the top. at : the day whose occurrence of
    a repeating budget is meant, by default the first day after the cutoff. calendar : the company's. rates : for budgets in other currencies.
    Raises NotFoundError for a root that does not exist; what the root's own answer raises; BudgetError for a circle of parents and for a tree that
    is too large. A child without an answer has an `error` in its place, and the others go on without it.
    """
    day = at or snapshot.cutoff + timedelta(days=1)
    by_id = {budget.id: budget for budget in budgets}
    below = children_of(by_id)
    left_out: list[dict[str, str]] = []
    trees: list[dict[str, Any]] = []
    members: dict[str, Budget] = {}
    for top in _tops(by_id, below, root):
        try:
            branch = grow(once(by_id[top], day, calendar), below, calendar, left_out)
            fill(snapshot, branch, rates)
            trees.append(_tree(snapshot, branch))
        except InputError as error:
            if root is not None:
                raise
            left_out.append({"budget_id": top, "reason": str(error)})
            continue
        members.update({one.budget.id: by_id[one.budget.id] for one in all_below(branch)})
    if root is None:  # budgets in a circle or below a parent that is missing are in no tree, and nobody would hear of them
        members = {budget.id: budget for budget in budgets if budget.parent is not None or budget.id in below}
    else:
        members[root] = replace(by_id[root], parent=None)
    findings = check_rollup(list(members.values()), calendar=calendar, currency=snapshot.currency, hierarchy=snapshot.hierarchy)
    return {
        **heading(snapshot),
        "at": day.isoformat(),
        "trees": trees,
        "findings": [finding.describe() for finding in findings],
        "left_out": left_out,
    }


def _tops(by_id: Mapping[str, Budget], below: Mapping[str, Sequence[Budget]], root: str | None) -> list[str]:
    """The budget that was asked for, or those that have children and no parent."""
    circles = {budget_id: circle for circle in cycles(by_id) for budget_id in circle}
    if root is None:
        return [top for top in sorted(below) if top in by_id and top not in circles and by_id[top].parent not in by_id]
    if root not in by_id:
        raise not_kept("No budget has the id", root, by_id, field="budget_id")
    if root in circles:
        way = " > ".join([*circles[root], circles[root][0]])
        raise BudgetError(f"Budget {root} is a part of itself: {way}", field="parent", got=by_id[root].parent, allowed="a parent above it, or none")
    return [root]


def _tree(snapshot: Snapshot, top: Branch) -> dict[str, Any]:
    answer = _node(snapshot, top)
    if any(branch.children for branch in top.children):
        answer["all_contributions"] = _ranked(top, _lowest(top))
    return answer


def _node(snapshot: Snapshot, branch: Branch) -> dict[str, Any]:
    """One budget of a tree, with all below it."""
    budget = branch.budget
    answer: dict[str, Any] = {
        "budget_id": budget.id,
        "name": budget.name,
        "owner": budget.owner,
        "kind": budget.kind,
        "scope": str(budget.scope),
        "start": budget.start.isoformat(),
        "end": budget.end.isoformat(),
    }
    if branch.found is None:
        return {**answer, "error": str(branch.error), "children": [_node(snapshot, child) for child in branch.children]}
    found = branch.found
    answer |= {
        "amount": found.amount,
        "converted": None if found.converted is None else found.converted.describe(),
        "spent": found.spent,
        **_risk(found.totals, found.amount),
        "note": branch.note,
    }
    if branch.children:
        answer |= _jointly(snapshot, branch)
    return {**answer, "children": [_node(snapshot, child) for child in branch.children]}


def _risk(totals: NDArray[np.float64], amount: float) -> dict[str, Any]:
    probability = mean_of(np.asarray(totals > amount))
    return {
        "total": distribution(totals),
        "overrun_probability": probability.value,
        "standard_error": probability.standard_error,
        "expected_overrun": float(np.maximum(totals - amount, 0.0).mean()),
    }


def _jointly(snapshot: Snapshot, branch: Branch) -> dict[str, Any]:
    """What is only true of a budget and its children together."""
    parent, parts = branch.answered(), branch.parts or Parts((), frozenset())
    answered = [child for child in branch.children if child.found is not None]
    totals = np.array([child.answered().totals for child in answered]).reshape(len(answered), -1)
    amounts = np.array([child.answered().amount for child in answered])
    over = branch.over
    if not answered:
        totals = np.zeros((0, snapshot.n_paths))
    both = together(totals, amounts, over)
    anywhere = over.copy()
    for one in all_below(branch):
        if one.found is not None:
            anywhere |= one.over
    unallocated, above, twice = (parts.of_kind(kind) for kind in ("unallocated", "over_allocated", "double_counted"))
    answer = {
        "jointly": {
            "any_child": _shown(both.any_child),
            "parent": _shown(both.parent),
            "any": _shown(mean_of(anywhere)),
            "parent_alone": _shown(both.parent_alone),
            "children_alone": _shown(both.children_alone),
            "children_over": both.number.value,
            "children_overrun": {**distribution(both.overrun), "standard_error": both.expected.standard_error},
            "rank_correlation": rank_correlation(totals) if len(answered) else None,
        },
        "if_independent": _if_independent(snapshot, parent, parts, totals, amounts),
        "contributions": _ranked(branch, [(branch.children[part.number] if part.number is not None else branch, part) for part in parts.all]),
        "unallocated": None if unallocated is None else {"amount": unallocated.amount, **_risk(unallocated.totals, unallocated.amount)},
        "over_allocated": None if above is None else -above.amount,
        "double_counted": None if twice is None else distribution(-twice.totals),
    }
    expected = mean_of(np.maximum(parent.totals - parent.amount, 0.0))
    return {**answer, "sentences": sentences(branch.budget, expected, answer, len(answered), snapshot.currency, parts.unsettled)}


def _if_independent(
    snapshot: Snapshot, parent: BudgetTotals, parts: Parts, totals: NDArray[np.float64], amounts: NDArray[np.float64]
) -> dict[str, Any]:
    children = [part for part in parts.all if part.kind == "budget"]
    samples = np.array([part.totals for part in children]).reshape(len(children), snapshot.n_paths)
    apart = independently(
        samples, np.array([part.amount for part in children]), parent.totals - samples.sum(axis=0), parent.amount, seed=int(snapshot.id[:8], 16)
    )
    any_child = 1.0 - float(np.prod(1.0 - (totals > amounts[:, None]).mean(axis=1)))
    return {"any_child": any_child, "parent": apart.parent, "expected_overrun": apart.expected_overrun, "total": distribution(apart.totals)}


def _lowest(top: Branch) -> list[tuple[Branch, Part]]:
    """Parts of a tree that have no parts themselves, each with the budget that it is, or is the rest of."""
    found: list[tuple[Branch, Part]] = []
    waiting = [top]
    while waiting:
        branch = waiting.pop()
        for part in branch.parts.all if branch.parts is not None else ():
            child = branch if part.number is None else branch.children[part.number]
            if part.number is not None and child.parts is not None:
                waiting.append(child)
            else:
                found.append((child, part))
    return found


def _ranked(top: Branch, parts: Sequence[tuple[Branch, Part]]) -> list[dict[str, Any]]:
    """Contributions to the expected overrun of `top`, the largest first; they add up to it."""
    if not parts:
        return []
    over, whole = top.over, top.answered()
    expected = float(np.maximum(whole.totals - whole.amount, 0.0).mean())
    money = contributions(np.array([part.totals for _, part in parts]), np.array([part.amount for _, part in parts]), over)
    rows = [
        {
            "part": part.kind,
            "budget_id": branch.budget.id,
            "start": branch.budget.start.isoformat(),
            "end": branch.budget.end.isoformat(),
            "contribution": estimate.value,
            "standard_error": estimate.standard_error,
            "share": estimate.value / expected if expected > 0 else None,
            "overrun_given_parent": _given(part, over),
        }
        for (branch, part), estimate in zip(parts, money, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row["contribution"], row["budget_id"], row["start"]))


def _given(part: Part, over: NDArray[np.bool_]) -> dict[str, float] | None:
    """How often a budget is overrun where its parent is."""
    found = given(np.asarray(part.totals > part.amount), over) if part.kind == "budget" else None
    return None if found is None else _shown(found)


def _shown(estimate: Estimate) -> dict[str, float]:
    return {"probability": estimate.value, "standard_error": estimate.standard_error}
