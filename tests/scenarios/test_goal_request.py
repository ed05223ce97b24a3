"""What a goal asks, read from data and from a line of text; mistakes are named."""

from __future__ import annotations

from typing import Any

import pytest

from forecast.errors import PlanError
from forecast.scenarios.goal_request import Goal, goal_field, is_whole, lever_number, parse_goal, plan_with, read_goal

DATA: dict[str, Any] = {
    "lever": 0,
    "field": "factor",
    "low": 1,
    "high": 5,
    "figure": "overrun_probability",
    "budget": "ads-q1",
    "aim": "at_most",
    "limit": 0.2,
}
LEVERS = [
    {"type": "scale_usage", "name": "traffic", "factor": 2.0},
    {"type": "change_price", "factor": 0.9},
    {"type": "change_price", "factor": 0.8},
    {"type": "gpus", "count": 8, "price_an_hour": 2.5},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traffic.factor 1..5 while overrun(ads-q1) <= 20%", Goal("traffic", "factor", 1, 5, "overrun_probability", "at_most", 0.2, "ads-q1")),
        ("levers[0].factor from 1 to 5 until overrun(ads-q1) > 20 %", Goal(0, "factor", 1, 5, "overrun_probability", "at_most", 0.2, "ads-q1")),
        ("0.factor .5..1e3 until overrun_probability( a.b ) >= 0.2", Goal(0, "factor", 0.5, 1000, "overrun_probability", "below", 0.2, "a.b")),
        ("commit.a_day 0..8_000 minimise mean", Goal("commit", "a_day", 0, 8000, "mean", "minimise")),
        ("commit.a_day 0..8000 maximize scenario.p90", Goal("commit", "a_day", 0, 8000, "p90", "maximise")),
        ("two words.share 0..1 while delta.mean < -1000.5", Goal("two words", "share", 0, 1, "delta.mean", "below", -1000.5)),
        ("x.factor -1..1 while probability_cheaper >= 90%", Goal("x", "factor", -1, 1, "probability_cheaper", "at_least", 0.9)),
        ("x.factor 0..1 minimise expected_overrun(q1)", Goal("x", "factor", 0, 1, "expected_overrun", "minimise", None, "q1")),
    ],
)
def test_a_line_of_text_is_a_goal(text: str, expected: Goal) -> None:
    assert parse_goal(text) == expected
    assert read_goal(expected.describe()) == expected


@pytest.mark.parametrize(
    "text",
    ["", "factor 1..5 minimise mean", "x.factor 1..5", "x.factor 1..5 while mean", "x.factor 1..5 while mean = 3", "x.factor a..b minimise mean"],
)
def test_text_that_is_no_goal_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(PlanError, match="not one that can be read") as caught:
        parse_goal(text)
    assert "LEVER.FIELD LOW..HIGH" in str(caught.value.allowed)


@pytest.mark.parametrize(
    ("change", "field", "told"),
    [
        ({"low": 5, "high": 1}, "goal.high", "reversed"),
        ({"low": "1"}, "goal.low", "not a number"),
        ({"lever": True}, "goal.lever", "True"),
        ({"lever": None}, "goal.lever", "None"),
        ({"field": 7}, "goal.field", "7"),
        ({"figure": "overun_probability"}, "goal.figure", "nearest: overrun_probability"),
        ({"aim": "atmost"}, "goal.aim", "nearest: at_most"),
        ({"limit": 20}, "goal.limit", "got 20"),
        ({"limit": None}, "goal.limit", "got None"),
        ({"limit": "0.2"}, "goal.limit", "0.2"),
        ({"budget": None}, "goal.budget", "overrun_probability"),
        ({"figure": "mean"}, "goal.budget", "figure mean"),
        ({"figure": "mean", "budget": None, "aim": "minimise"}, "goal.limit", "with aim minimise"),
        ({"points": 1}, "goal.points", "got 1"),
        ({"points": 2.5}, "goal.points", "got 2.5"),
        ({"limt": 0.1}, "goal.limt", "nearest: limit"),
    ],
)
def test_a_goal_that_cannot_be_names_the_field(change: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_goal({**DATA, **change})
    assert caught.value.field == field
    assert told in str(caught.value)
    with pytest.raises(PlanError, match="not a table"):
        read_goal("minimise")


def test_a_lever_is_found_by_number_name_or_a_type_that_only_one_has() -> None:
    assert [lever_number(LEVERS, wanted) for wanted in (0, "traffic", "scale_usage", "gpus", 2)] == [0, 0, 0, 3, 2]
    for wanted, told in (("trafic", "nearest: traffic"), ("change_price", "2 levers"), (4, "no lever 4"), (-1, "no lever -1")):
        with pytest.raises(PlanError, match=told) as caught:
            lever_number(LEVERS, wanted)
        assert caught.value.field == "goal.lever"
    with pytest.raises(PlanError, match="change_price"):
        lever_number(LEVERS, "change_price")


def test_a_field_that_the_lever_has_not_is_named_with_the_nearest_and_bounds_are_held_to_the_field() -> None:
    goal = read_goal(DATA)
    assert goal_field(LEVERS[0], goal).name == "factor"
    for change, field, told in (
        ({"field": "facter"}, "goal.field", "nearest: factor"),
        ({"field": "share"}, "goal.field", "not a field of scale_usage"),
        ({"field": "response"}, "goal.field", "not a number of scale_usage"),
        ({"low": -1}, "goal.low", "factor cannot be -1"),
        ({"high": 1e9}, "goal.high", "factor cannot be"),
    ):
        with pytest.raises(PlanError, match=told) as caught:
            goal_field(LEVERS[0], read_goal({**DATA, **change}))
        assert caught.value.field == field
    with pytest.raises(PlanError, match="not a field of None"):
        goal_field({"factor": 1}, goal)


def test_only_the_field_changes_and_a_range_keeps_its_width() -> None:
    plan = {"period": "2027-Q1", "levers": [{"type": "scale_usage", "factor": {"expected": 2.0, "low": 1.5, "high": 3.0}}, LEVERS[1], LEVERS[3]]}
    field = goal_field(plan["levers"][0], read_goal(DATA))  # type: ignore[arg-type]
    assert plan_with(plan, 0, field, 4.0)["levers"][0]["factor"] == {"expected": 4.0, "low": 3.0, "high": 6.0}
    assert plan["levers"][0]["factor"]["expected"] == 2.0  # type: ignore[index]
    assert plan_with(plan, 1, field, 0.5) == {**plan, "levers": [plan["levers"][0], {"type": "change_price", "factor": 0.5}, LEVERS[3]]}
    count = goal_field(LEVERS[3], read_goal({**DATA, "field": "count"}))
    assert is_whole(count)
    assert plan_with(plan, 2, count, 12.0)["levers"][2]["count"] == 12
    move = {"type": "move_share", "to": "ai_model=haiku", "share": {"expected": 0.5, "low": 0.4, "high": 0.7}}
    share = goal_field(move, read_goal({**DATA, "field": "share", "low": 0, "high": 1}))
    assert plan_with({"levers": [move]}, 0, share, 0.9)["levers"][0]["share"] == pytest.approx({"expected": 0.9, "low": 0.8, "high": 1.0})
