"""A hierarchy of budgets answered jointly: additive, consistent with the answer of each budget, and not what independence would say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from forecast.budgets.budget import Budget
from forecast.errors import BudgetError, NotFoundError, OutsideHorizonError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from forecast.workflows.budget_branches import MOST_LEVELS
from forecast.workflows.budget_tree import budget_tree
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_scope
from tests.snapshots_for_tests import shared_snapshot

Q1 = "2027-Q1"
TEAMS = ("ads", "research", "search")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def totals(snapshot: Snapshot, scope: str, period: str = Q1) -> Any:
    return read_scope(snapshot, Scope.parse(scope), parse_period(period)).totals()


def plan(budget_id: str, scope: str = "", amount: float = 1e5, parent: str | None = None, period: str = Q1, **more: Any) -> Budget:
    days = parse_period(period)
    return Budget(budget_id, Scope.parse(scope), days.start, days.end, amount, parent=parent, **more)


def at_mean(
    snapshot: Snapshot, budget_id: str, scope: str = "", parent: str | None = None, period: str = Q1, factor: float = 1.0, **more: Any
) -> Budget:
    return plan(budget_id, scope, factor * float(totals(snapshot, scope, period).mean()), parent, period, **more)


def three_levels(snapshot: Snapshot) -> list[Budget]:
    """Company, teams, and their stages; research has one stage, and its stage has no budget."""
    return [
        at_mean(snapshot, "company"),
        *(at_mean(snapshot, team, f"team={team}", "company", factor=0.99) for team in TEAMS),
        *(
            at_mean(snapshot, f"{team}-{stage}", f"team={team},stage={stage}", team, factor=factor)
            for team in ("ads", "search")
            for stage, factor in (("prod", 0.97), ("dev", 1.05))
        ),
    ]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


def only(answer: dict[str, Any]) -> dict[str, Any]:
    assert len(answer["trees"]) == 1
    tree: dict[str, Any] = answer["trees"][0]
    return tree


def added_up(rows: list[dict[str, Any]]) -> float:
    return float(sum(row["contribution"] for row in rows))


def test_each_budget_of_a_tree_has_its_own_answer(snapshot: Snapshot) -> None:
    budgets = three_levels(snapshot)
    answer = budget_tree(snapshot, budgets)
    found = list(nodes(only(answer)))
    assert [node["budget_id"] for node in found[:2]] == ["company", "ads"]
    assert sorted(node["budget_id"] for node in found) == sorted(budget.id for budget in budgets)
    for node in found:
        alone = overrun_answer(snapshot, next(budget for budget in budgets if budget.id == node["budget_id"]))
        for name in ("amount", "spent", "overrun_probability", "standard_error", "expected_overrun", "scope", "start", "end"):
            assert node[name] == pytest.approx(alone[name]) if isinstance(alone[name], float) else node[name] == alone[name], name
        assert node["total"]["p90"] == pytest.approx(alone["total"]["p90"])
    assert answer["findings"] == []
    assert answer["left_out"] == []
    json.dumps(answer, allow_nan=False)


def test_contributions_add_up_to_the_expected_overrun_on_every_level(snapshot: Snapshot) -> None:
    tree = only(budget_tree(snapshot, three_levels(snapshot)))
    parents = [node for node in nodes(tree) if node["children"]]
    assert len(parents) == 3
    for node in parents:
        assert added_up(node["contributions"]) == pytest.approx(node["expected_overrun"], rel=1e-6)
        assert [row["contribution"] for row in node["contributions"]] == sorted((row["contribution"] for row in node["contributions"]), reverse=True)
        assert sum(row["share"] for row in node["contributions"]) == pytest.approx(1.0, rel=1e-6)
    lowest = tree["all_contributions"]
    assert added_up(lowest) == pytest.approx(tree["expected_overrun"], rel=1e-6)
    assert {row["budget_id"] for row in lowest if row["part"] == "budget"} == {"research", "ads-prod", "ads-dev", "search-prod", "search-dev"}
    assert "all_contributions" not in tree["children"][0]


def test_joint_shares_are_those_of_the_paths(snapshot: Snapshot) -> None:
    budgets = three_levels(snapshot)
    amounts = {budget.id: budget.amount for budget in budgets}
    over = {budget.id: totals(snapshot, str(budget.scope)) > budget.amount for budget in budgets}
    children = np.array([over[team] for team in TEAMS])
    tree = only(budget_tree(snapshot, budgets))
    jointly = tree["jointly"]
    assert jointly["any_child"]["probability"] == children.any(axis=0).mean()
    assert jointly["parent"]["probability"] == over["company"].mean() == tree["overrun_probability"]
    assert jointly["any"]["probability"] == np.any(list(over.values()), axis=0).mean()
    assert jointly["parent_alone"]["probability"] == (over["company"] & ~children.any(axis=0)).mean()
    assert jointly["children_alone"]["probability"] == (children.any(axis=0) & ~over["company"]).mean()
    assert jointly["children_over"] == pytest.approx(children.sum(axis=0).mean())
    money = sum(np.maximum(totals(snapshot, f"team={team}") - amounts[team], 0.0) for team in TEAMS)
    assert jointly["children_overrun"]["mean"] == pytest.approx(money.mean())
    assert jointly["children_overrun"]["p90"] == pytest.approx(np.quantile(money, 0.9))
    ads = next(row for row in tree["contributions"] if row["budget_id"] == "ads")
    assert ads["overrun_given_parent"]["probability"] == pytest.approx(over["ads"][over["company"]].mean())


def test_independence_would_say_something_else_of_children_that_share_a_shock(snapshot: Snapshot) -> None:
    """All leaves of the test's company share a daily shock; each budget is at its mean, so about every second one overruns."""
    tree = only(budget_tree(snapshot, [at_mean(snapshot, "company"), *(at_mean(snapshot, team, f"team={team}", "company") for team in TEAMS)]))
    jointly, apart = tree["jointly"], tree["if_independent"]
    assert jointly["rank_correlation"] > 0.5
    assert apart["any_child"] - jointly["any_child"]["probability"] > 4 * jointly["any_child"]["standard_error"]
    assert tree["total"]["p90"] - tree["total"]["mean"] > 1.2 * (apart["total"]["p90"] - apart["total"]["mean"])
    assert apart["expected_overrun"] < 0.9 * tree["expected_overrun"]
    assert apart["total"]["mean"] == pytest.approx(tree["total"]["mean"])
    assert any("wrong, because children are not independent" in sentence for sentence in tree["sentences"])


def test_months_of_a_quarter_are_its_parts(snapshot: Snapshot) -> None:
    quarter = at_mean(snapshot, "ads", "team=ads", factor=1.03)
    monthly = plan("ads-monthly", "team=ads", quarter.amount / 3, "ads", "2027-01", repeats="month")
    answer = budget_tree(snapshot, [quarter, monthly])
    tree = only(answer)
    assert [(node["start"], node["end"]) for node in tree["children"]] == [
        ("2027-01-01", "2027-02-01"),
        ("2027-02-01", "2027-03-01"),
        ("2027-03-01", "2027-04-01"),
    ]
    assert tree["unallocated"] is None
    assert sum(node["total"]["mean"] for node in tree["children"]) == pytest.approx(tree["total"]["mean"], rel=1e-6)
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-5)
    assert tree["jointly"]["parent_alone"]["probability"] == 0.0  # a quarter of thirds cannot overrun while each third holds
    assert any("ads-monthly of 2027-0" in sentence for sentence in tree["sentences"])
    assert answer["findings"] == []


def test_project_of_one_month_is_only_in_that_month(snapshot: Snapshot) -> None:
    budgets = [
        at_mean(snapshot, "ads", "team=ads"),
        plan("ads-monthly", "team=ads", 3e4, "ads", "2027-01", repeats="month"),
        plan("campaign", "team=ads,stage=dev", 1e3, "ads-monthly", "2027-02-03..2027-02-20"),
        plan("late", "team=ads,stage=dev", 1e3, "ads-monthly", "2027-05-03..2027-05-20"),
    ]
    answer = budget_tree(snapshot, budgets)
    tree = only(answer)
    assert [[child["budget_id"] for child in month["children"]] for month in tree["children"]] == [[], ["campaign"], []]
    assert [row["budget_id"] for row in answer["left_out"]] == ["late"]
    assert added_up(tree["all_contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-5)


def test_spend_that_no_child_has_is_a_part_with_its_own_risk(snapshot: Snapshot) -> None:
    budgets = [at_mean(snapshot, "company", factor=1.01), at_mean(snapshot, "ads", "team=ads", "company", factor=2.0)]
    tree = only(budget_tree(snapshot, budgets))
    rest = totals(snapshot, "") - totals(snapshot, "team=ads")
    left = budgets[0].amount - budgets[1].amount
    assert tree["unallocated"]["amount"] == pytest.approx(left)
    assert tree["unallocated"]["total"]["mean"] == pytest.approx(rest.mean())
    assert tree["unallocated"]["overrun_probability"] == (rest > left).mean() > 0.9
    assert tree["over_allocated"] is None
    assert tree["contributions"][0]["part"] == "unallocated"
    assert tree["jointly"]["any_child"]["probability"] == 0.0
    assert tree["jointly"]["parent_alone"]["probability"] == tree["overrun_probability"] > 0.0


def test_children_that_may_spend_more_than_their_parent_say_so(snapshot: Snapshot) -> None:
    budgets = [at_mean(snapshot, "company"), *(at_mean(snapshot, team, f"team={team}", "company", factor=1.5) for team in TEAMS)]
    answer = budget_tree(snapshot, budgets)
    tree = only(answer)
    assert tree["over_allocated"] == pytest.approx(0.5 * budgets[0].amount, rel=1e-5)
    assert tree["unallocated"] is None
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-5)
    assert [finding["check"] for finding in answer["findings"]] == ["children_exceed"]


@pytest.mark.parametrize("period", [Q1, "2027-02-10..2027-03-05"])
def test_spend_that_two_children_count_is_told_apart(snapshot: Snapshot, period: str) -> None:
    budgets = [
        at_mean(snapshot, "company"),
        at_mean(snapshot, "ads", "team=ads", "company"),
        at_mean(snapshot, "openai", "provider=openai", "company", period),
    ]
    answer = budget_tree(snapshot, budgets)
    tree = only(answer)
    twice = totals(snapshot, "team=ads,provider=openai", period)
    assert tree["double_counted"]["mean"] == pytest.approx(twice.mean(), rel=1e-6)
    assert tree["double_counted"]["p90"] == pytest.approx(np.quantile(twice, 0.9), rel=1e-6)
    neither = totals(snapshot, "") - totals(snapshot, "team=ads") - totals(snapshot, "provider=openai", period) + twice
    assert tree["unallocated"]["total"]["p10"] == pytest.approx(np.quantile(neither, 0.1), rel=1e-6)
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-6)
    assert [finding["check"] for finding in answer["findings"]] == ["overlap"]
    assert any("twice" in sentence for sentence in tree["sentences"])


def test_overlap_of_scopes_finer_than_a_leaf_is_said_not_guessed(snapshot: Snapshot) -> None:
    budgets = [at_mean(snapshot, "company"), plan("haiku", "ai_model=haiku", 1e5, "company"), at_mean(snapshot, "ads", "team=ads", "company")]
    tree = only(budget_tree(snapshot, budgets))
    assert tree["double_counted"] is None
    assert any("may overlap" in sentence for sentence in tree["sentences"])
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-6)
    assert next(node for node in tree["children"] if node["budget_id"] == "haiku")["note"]


@pytest.mark.parametrize(("scope", "period"), [("team=search", Q1), ("team=ads|search", Q1), ("team=ads", "2027-03-01..2027-05-01")])
def test_child_outside_of_its_parent_is_no_part_of_it(snapshot: Snapshot, scope: str, period: str) -> None:
    budgets = [at_mean(snapshot, "ads", "team=ads"), at_mean(snapshot, "stray", scope, "ads", period, factor=0.01)]
    answer = budget_tree(snapshot, budgets)
    tree = only(answer)
    assert {row["part"] for row in tree["contributions"]} == {"unallocated"}
    assert tree["jointly"]["any_child"]["probability"] == 1.0  # it is a child all the same, and overrun for certain
    assert {finding["severity"] for finding in answer["findings"]} == {"error"}


def test_child_that_never_spent_counts_as_spending_nothing(snapshot: Snapshot) -> None:
    budgets = [at_mean(snapshot, "ads", "team=ads"), plan("launch", "team=ads,workload=launch", 100.0, "ads")]
    tree = only(budget_tree(snapshot, budgets))
    child = tree["children"][0]
    assert (child["total"]["mean"], child["overrun_probability"]) == (0.0, 0.0)
    assert "spending nothing" in child["note"]
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-6)
    assert tree["unallocated"]["amount"] == pytest.approx(budgets[0].amount - 100.0)


def test_child_without_a_rate_is_marked_and_the_others_go_on(snapshot: Snapshot) -> None:
    budgets = [
        at_mean(snapshot, "company"),
        plan("ads", "team=ads", 9e4, "company", currency="EUR"),
        at_mean(snapshot, "search", "team=search", "company"),
    ]
    answer = budget_tree(snapshot, budgets)
    tree = only(answer)
    assert "EUR" in tree["children"][0]["error"]
    assert "overrun_probability" not in tree["children"][0]
    assert {row["budget_id"] for row in tree["contributions"] if row["part"] == "budget"} == {"search"}
    assert [finding["check"] for finding in answer["findings"]] == ["other_currency"]
    rates = Rates((DatedRate("EUR", "USD", snapshot.cutoff, Decimal("1.25")),))
    converted = only(budget_tree(snapshot, budgets, rates=rates))["children"][0]
    assert converted["amount"] == pytest.approx(9e4 * 1.25)
    assert converted["converted"]["from"] == "EUR"
    assert converted["overrun_probability"] == (totals(snapshot, "team=ads") > 9e4 * 1.25).mean()


def test_budget_that_repeats_is_answered_for_the_day_asked(snapshot: Snapshot) -> None:
    budgets = [
        plan("ads", "team=ads", 3e4, None, "2026-11", repeats="month"),
        plan("ads-prod", "team=ads,stage=prod", 2e4, "ads", "2026-11", repeats="month"),
        plan("campaign", "team=ads,stage=dev", 1e3, "ads", "2027-02-03..2027-02-20"),
    ]
    now = budget_tree(snapshot, budgets, "ads")
    assert (now["at"], only(now)["start"], [node["start"] for node in only(now)["children"]]) == ("2026-12-11", "2026-12-01", ["2026-12-01"])
    assert [row["budget_id"] for row in now["left_out"]] == ["campaign"]
    later = budget_tree(snapshot, budgets, at=date(2027, 2, 11))
    assert [(node["budget_id"], node["start"]) for node in only(later)["children"]] == [("ads-prod", "2027-02-01"), ("campaign", "2027-02-03")]
    assert later["left_out"] == []
    assert later["findings"] == []


def test_period_that_is_over_is_certain(snapshot: Snapshot) -> None:
    budgets = [plan("ads", "team=ads", 1.0, None, "2026-10"), plan("ads-prod", "team=ads,stage=prod", 1e9, "ads", "2026-10")]
    tree = only(budget_tree(snapshot, budgets))
    assert tree["jointly"]["parent_alone"] == {"probability": 1.0, "standard_error": 0.0}
    assert tree["if_independent"]["parent"] == 1.0
    assert tree["jointly"]["rank_correlation"] is None
    assert added_up(tree["contributions"]) == pytest.approx(tree["expected_overrun"])


def test_parent_that_no_future_overruns_has_no_contributor(snapshot: Snapshot) -> None:
    budgets = [plan("ads", "team=ads", 1e9), plan("ads-prod", "team=ads,stage=prod", 1e8, "ads")]
    tree = only(budget_tree(snapshot, budgets))
    assert all(row["contribution"] == 0.0 and row["share"] is None and row["overrun_given_parent"] is None for row in tree["contributions"])
    assert any("nobody contributes" in sentence for sentence in tree["sentences"])


def test_budget_without_children_is_a_tree_of_one(snapshot: Snapshot) -> None:
    tree = only(budget_tree(snapshot, three_levels(snapshot), "ads-dev"))
    assert tree["children"] == []
    assert "jointly" not in tree


def test_middle_of_a_tree_can_be_asked_about(snapshot: Snapshot) -> None:
    budgets = three_levels(snapshot)
    whole, answer = only(budget_tree(snapshot, budgets)), budget_tree(snapshot, budgets, "ads")
    assert only(answer) == whole["children"][0]
    assert answer["findings"] == []


def test_budgets_of_another_cost_are_left_out_of_the_question_about_all(snapshot: Snapshot) -> None:
    budgets = [plan("cash", cost="billed"), plan("cash-ads", "team=ads", 1.0, "cash", cost="billed"), plan("lonely", "team=ads")]
    answer = budget_tree(snapshot, budgets)
    assert answer["trees"] == []
    assert [row["budget_id"] for row in answer["left_out"]] == ["cash"]
    with pytest.raises(BudgetError, match="billed cost"):
        budget_tree(snapshot, budgets, "cash")


def test_budgets_that_are_in_no_tree_for_a_mistake_are_found(snapshot: Snapshot) -> None:
    budgets = [plan("a", parent="b"), plan("b", parent="a"), plan("c", parent="compnay"), plan("lonely")]
    answer = budget_tree(snapshot, budgets)
    assert answer["trees"] == []
    assert sorted(finding["check"] for finding in answer["findings"]) == ["cycle", "missing_parent"]


def test_questions_that_cannot_be_answered_say_why(snapshot: Snapshot) -> None:
    with pytest.raises(NotFoundError, match="'company'"):
        budget_tree(snapshot, [], "company")
    circle = [plan("a", parent="b"), plan("b", parent="a")]
    with pytest.raises(BudgetError, match="a part of itself"):
        budget_tree(snapshot, circle, "a")
    with pytest.raises(OutsideHorizonError, match="horizon ends on"):
        budget_tree(snapshot, [plan("far", period="2031")], "far")
    with pytest.raises(UnknownScopeError):
        budget_tree(snapshot, [plan("nobody", "team=nobody")], "nobody")
    chain = [plan("b0"), *(plan(f"b{number}", parent=f"b{number - 1}") for number in range(1, MOST_LEVELS + 1))]
    with pytest.raises(BudgetError, match="more levels"):
        budget_tree(snapshot, chain, "b0")
    assert len(list(nodes(only(budget_tree(snapshot, chain[:-1], "b0"))))) == MOST_LEVELS


def test_same_question_has_the_same_answer(snapshot: Snapshot) -> None:
    budgets = three_levels(snapshot)
    assert budget_tree(snapshot, budgets) == budget_tree(snapshot, budgets[::-1])
