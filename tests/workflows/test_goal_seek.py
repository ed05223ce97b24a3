"""Goal seek on real scenarios: the value is where the answer says it is, and what cannot be answered is named."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from forecast.budgets.budget import Budget
from forecast.errors import NotFoundError, PlanError
from forecast.scenarios.goal_request import Goal, parse_goal
from forecast.scenarios.plan import parse_plan
from forecast.spend.scope import Scope
from forecast.workflows.goal_seek import goal_answer
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import shared_snapshot

FIRST, END = date(2027, 1, 1), date(2027, 4, 1)


def plan(factor: Any = 2.0, scope: str = "team=ads") -> dict[str, Any]:
    return {
        "start": "2027-01-01",
        "end": "2027-04-01",
        "levers": [
            {"type": "scale_usage", "name": "traffic", "scope": scope, "factor": factor},
            {"type": "change_price", "factor": 0.9, "scope": "team=search"},
        ],
    }


def budget(amount: float, **changes: Any) -> Budget:
    return Budget(**{"id": "ads-q1", "scope": Scope.parse("team=ads"), "start": FIRST, "end": END, "amount": amount, **changes})


def told(text: str, budgets: list[Budget] | None = None, **changes: Any) -> dict[str, Any]:
    return goal_answer(shared_snapshot(), plan(**changes), parse_goal(text), budgets or [])


def risk(factor: float, held: Budget) -> float:
    return float(whatif_answer(shared_snapshot(), parse_plan(plan(factor)), [held])["budgets"][0]["overrun_probability_after"])


def test_traffic_grows_as_far_as_the_budget_lets_it() -> None:
    base = whatif_answer(shared_snapshot(), parse_plan({**plan(), "scope": "team=ads", "levers": []}))["baseline"]["mean"]
    held = budget(1.7 * base)
    answer = told("traffic.factor 1..3 while overrun(ads-q1) <= 20%", [held, budget(1e9, id="other")])
    assert answer["status"] == "found"
    assert answer["is_monotone"]
    low, high = answer["bracket"]["low"], answer["bracket"]["high"]
    assert answer["value"] == low
    assert high - low <= 0.002 * 1.01
    assert risk(low, held) <= 0.2 < risk(high, held)
    assert answer["figure"] == risk(low, held)
    assert [point["value"] for point in answer["curve"]] == sorted(point["value"] for point in answer["curve"])
    assert {row["id"] for row in answer["at"]["budgets"]} == {"ads-q1", "other"}
    assert "traffic.factor may go up to" in answer["sentence"]
    assert answer["goal"] == {**parse_goal("0.factor 1..3 while overrun(ads-q1) <= 20%").describe()}
    # Asked the other way round: how small must it be?
    down = told("traffic.factor 1..3 until overrun(ads-q1) < 20%", [held])
    assert down["value"] == pytest.approx(answer["value"], abs=0.005)
    assert "down to" in down["sentence"]


def test_what_is_never_and_what_is_always_so_says_it() -> None:
    never = told("traffic.factor 1..3 while overrun(ads-q1) <= 20%", [budget(1.0)])
    assert (never["status"], never["value"], never["bracket"], never["at"], never["ranges"]) == ("never", None, None, None, [])
    assert never["sentence"].startswith("No traffic.factor from 1 to 3")
    always = told("traffic.factor 1..3 while overrun(ads-q1) <= 20%", [budget(1e9)])
    assert (always["status"], always["value"], always["bracket"]) == ("always", 3.0, None)
    assert "the limit is not reached" in always["sentence"]
    assert always["at"]["scenario"]["mean"] == always["curve"][-1]["mean"]


def test_the_value_of_least_cost_is_found_and_an_end_of_the_range_is_told() -> None:
    answer = told("traffic.factor 1..3 minimise p90")
    assert (answer["status"], answer["value"]) == ("at_low", 1.0)
    assert "end of the range" in answer["sentence"]
    assert len(answer["curve"]) == 10
    # Nothing is below a factor of 0: there is no beyond.
    assert "end of the range" not in told("traffic.factor 0..1 minimise mean")["sentence"]
    flat = told("1.factor 0..1 maximise delta.mean", scope="team=ads")
    assert flat["status"] == "at_high"


def test_a_range_moves_with_the_value_and_draws_the_same_futures() -> None:
    answer = told("traffic.factor 1..3 while delta.p90 <= 50000", factor={"expected": 2.0, "low": 1.5, "high": 3.0})
    figures = [point["figure"] for point in answer["curve"]]
    assert answer["is_monotone"]
    assert figures == sorted(figures)


@pytest.mark.parametrize(
    ("goal", "field", "message"),
    [
        (Goal("traffic", "factr", 1, 2, "mean", "minimise"), "goal.field", "nearest: factor"),
        (Goal("traffic", "share", 0, 1, "mean", "minimise"), "goal.field", "not a field of scale_usage"),
        (Goal("trafic", "factor", 1, 2, "mean", "minimise"), "goal.lever", "nearest: traffic"),
        (Goal(7, "factor", 1, 2, "mean", "minimise"), "goal.lever", "no lever 7"),
        (Goal("traffic", "factor", 2, 1, "mean", "minimise"), "goal.high", "reversed"),
        (Goal("traffic", "factor", -1, 1, "mean", "minimise"), "goal.low", "cannot be -1"),
        (Goal("traffic", "factor", 1, 2, "overrun_probability", "at_most", 0.2, "ads-q2"), "goal.budget", "nearest: ads-q1"),
    ],
)
def test_a_goal_that_the_plan_has_no_answer_to_names_the_field(goal: Goal, field: str, message: str) -> None:
    with pytest.raises((PlanError, NotFoundError), match=message) as caught:
        goal_answer(shared_snapshot(), plan(), goal, [budget(1e5)])
    assert caught.value.field == field


def test_a_budget_that_nothing_can_be_said_of_says_why() -> None:
    with pytest.raises(PlanError, match="billed cost") as caught:
        told("traffic.factor 1..3 while overrun(ads-q1) <= 20%", [budget(1e5, cost="billed")])
    assert caught.value.field == "goal.budget"
    with pytest.raises(PlanError, match="not a list of tables"):
        goal_answer(shared_snapshot(), {"start": "2027-01-01", "end": "2027-04-01", "levers": "x"}, Goal(0, "factor", 1, 2, "mean", "minimise"))
