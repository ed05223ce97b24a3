"""What a tree of budgets says, in sentences that a controller can read out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forecast.budgets.budget import Budget
from forecast.budgets.joint import Estimate

MANY_ERRORS = 2.0
"""Standard errors by which two numbers must be apart to be called different."""
WORTH_NAMING = 0.1
"""Share of the expected overrun from which a contributor is named."""


def sentences(parent: Budget, expected: Estimate, answer: Mapping[str, Any], n_children: int, currency: str, unsettled: bool) -> list[str]:
    """A few sentences about a budget and its children. expected : its expected overrun. answer : what is known of them jointly."""
    found = [_risk(parent, answer["jointly"], n_children)]
    found += _who(parent, answer["contributions"])
    found += _independence(parent, answer, n_children, expected, currency)
    found += _rest(parent, answer, currency, unsettled)
    return found


def _risk(parent: Budget, jointly: Mapping[str, Any], n_children: int) -> str:
    one_of = "its child" if n_children == 1 else f"at least one of its {n_children} children"
    return (
        f"{parent.id} overruns with {_chance(jointly['parent'])}, {one_of} with {_chance(jointly['any_child'])}; "
        f"it does although no child does with {_percent(jointly['parent_alone']['probability'])}, "
        f"and a child does although it does not with {_percent(jointly['children_alone']['probability'])}."
    )


def _who(parent: Budget, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not any(row["share"] is not None for row in rows):
        return [f"No future overruns {parent.id}, so nobody contributes to it."] if rows else []
    named = [row for row in rows if row["share"] >= WORTH_NAMING][:3] or list(rows[:1])
    names = [row["budget_id"] for row in rows if row["part"] == "budget"]
    parts = [f"{_name(row, names.count(row['budget_id']) > 1)} ({_percent(row['share'], 0)})" for row in named]
    return [
        f"What {parent.id} is expected to overrun by comes mostly from {' and '.join([', '.join(parts[:-1]), parts[-1]] if parts[1:] else parts)}."
    ]


def _name(row: Mapping[str, Any], repeats: bool) -> str:
    if row["part"] == "unallocated":
        return f"spend of {row['budget_id']} that no child has"
    if row["part"] == "double_counted":
        return f"spend that children of {row['budget_id']} count twice"
    if row["part"] == "over_allocated":
        return f"budgets of children beyond that of {row['budget_id']}"
    return f"{row['budget_id']} of {row['start']}" if repeats else str(row["budget_id"])


def _independence(parent: Budget, answer: Mapping[str, Any], n_children: int, expected: Estimate, currency: str) -> list[str]:
    if n_children < 2:
        return []
    jointly, apart = answer["jointly"], answer["if_independent"]
    chances = f"at least one child would overrun with {_percent(apart['any_child'])} and {parent.id} with {_percent(apart['parent'])}"
    money = f"by an expected {apart['expected_overrun']:,.0f} {currency} instead of {expected.value:,.0f}"
    differs = any(
        abs(jointly[name]["probability"] - apart[name]) > MANY_ERRORS * max(jointly[name]["standard_error"], 1e-3) for name in ("any_child", "parent")
    )
    differs = differs or abs(expected.value - apart["expected_overrun"]) > MANY_ERRORS * expected.standard_error
    if not differs:
        return [f"Taken as independent, {chances}, {money}: here nearly the same within the error of the simulation."]
    correlation = jointly["rank_correlation"]
    why = "" if correlation is None else f" (mean rank correlation of their totals {correlation:.2f})"
    return [f"Taken as independent, {chances}, {money}: wrong, because children are not independent{why}."]


def _rest(parent: Budget, answer: Mapping[str, Any], currency: str, unsettled: bool) -> list[str]:
    found = []
    if rest := answer["unallocated"]:
        spend = f"spend that no child has is expected to be {rest['total']['mean']:,.0f} {currency}"
        with_none = f"{rest['amount']:,.0f} {currency} of {parent.id} is with no child, and " if rest["amount"] > 0 else ""
        found.append(f"{with_none}{spend if with_none else f'S{spend[1:]}'}.")
    if answer["over_allocated"] is not None:
        found.append(f"Children of {parent.id} may spend {answer['over_allocated']:,.0f} {currency} more together than {parent.id} may.")
    if twice := answer["double_counted"]:
        found.append(f"Children of {parent.id} count {twice['mean']:,.0f} {currency} twice, because their scopes overlap.")
    if unsettled:
        found.append(f"Scopes of children of {parent.id} may overlap: what they count twice is missing in the spend that no child has.")
    return found


def _chance(estimate: Mapping[str, float]) -> str:
    return f"{_percent(estimate['probability'])} ± {_percent(estimate['standard_error'])}"


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"
