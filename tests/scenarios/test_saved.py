"""Saved scenarios as values: what may be kept, what may name it, and what is said of a name that is not."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest

from forecast.errors import PlanError
from forecast.scenarios.saved import (
    MOST_COMPARED,
    MOST_PLAN_BYTES,
    SavedScenario,
    check_compared,
    check_scenario_id,
    digest_of,
    no_scenario,
    plan_data,
)

NOW = datetime(2026, 12, 11, tzinfo=UTC)


def test_a_plan_becomes_json_data_with_days_as_text() -> None:
    plan = {"start": date(2027, 1, 1), "end": datetime(2027, 4, 1, 0, 0), "levers": ({"factor": 2, "until": date(2027, 2, 1)},), "name": None}
    assert plan_data(plan) == {"start": "2027-01-01", "end": "2027-04-01T00:00:00", "levers": [{"factor": 2, "until": "2027-02-01"}], "name": None}
    assert digest_of("", plan_data(plan)) == digest_of("", dict(reversed(plan_data(plan).items())))
    assert digest_of("", plan_data(plan)) != digest_of("x", plan_data(plan))


@pytest.mark.parametrize(
    ("plan", "field", "told"),
    [
        ({"levers": [{"factor": math.nan}]}, "levers[0].factor", "finite"),
        ({"levers": [{"scope": {"team": {1, 2}}}]}, "levers[0].scope.team", "set"),
        ({"name": "x" * MOST_PLAN_BYTES}, "plan", "bytes"),
    ],
)
def test_a_plan_that_cannot_be_kept_names_the_place(plan: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(PlanError, match=told) as caught:
        plan_data(plan)
    assert caught.value.field == field


def test_names_of_scenarios_are_short_and_plain() -> None:
    assert check_scenario_id("growth-2027.v2_a") == "growth-2027.v2_a"
    for wrong in ("", "a b", ".hidden", "a/b", "x" * 101, "é", "a\n"):
        with pytest.raises(PlanError):
            check_scenario_id(wrong)


def test_at_most_ten_are_compared_and_each_once() -> None:
    ids = [f"s{number}" for number in range(MOST_COMPARED)]
    assert check_compared(ids) == tuple(ids)
    with pytest.raises(PlanError, match="names 11 scenarios") as caught:
        check_compared([*ids, "one-more"])
    assert (caught.value.field, caught.value.allowed) == ("compare_to", "at most 10")
    with pytest.raises(PlanError, match="'s0' twice") as caught:
        check_compared(["s0", "s1", "s0"])
    assert caught.value.field == "compare_to[2]"


def test_the_error_of_an_unknown_name_has_the_nearest_or_what_there_is() -> None:
    assert "nearest: growth" in str(no_scenario("growht", ["growth", "exit"]))
    assert "saved are exit, growth" in str(no_scenario("zzz", ["growth", "exit"]))
    assert "none is saved yet" in str(no_scenario("zzz", []))


def test_the_title_is_the_name_the_plans_name_or_the_id() -> None:
    saved = SavedScenario("growth", 1, 1, "", {"name": "Traffic"}, "", "", NOW, NOW)
    assert saved.title == "Traffic"
    assert SavedScenario("growth", 1, 1, "Given", {"name": "Traffic"}, "", "", NOW, NOW).title == "Given"
    assert SavedScenario("growth", 1, 1, "", {}, "", "", NOW, NOW).title == "growth"
    assert saved.describe()["created_at"] == "2026-12-11T00:00:00+00:00"
