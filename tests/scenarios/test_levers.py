"""Plans and levers: what is read, and the errors that name the lever."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from forecast.errors import PlanError
from forecast.scenarios.plan import parse_plan
from forecast.spend.scope import Scope

PLAN = {"start": "2027-01-01", "end": "2027-04-01"}
SCALE = {"type": "scale_usage", "scope": "team=ads", "factor": 2.0}
MOVE = {"type": "move_share", "scope": "team=ads", "to": "provider=aws", "share": 0.5}


def plan_with(**changes: Any) -> dict[str, Any]:
    return {**PLAN, "levers": [SCALE, {**SCALE, **changes}]}


def test_toml_and_plain_data_read_alike() -> None:
    text = """
    start = 2027-01-01
    end = 2027-04-01
    scope = "team=ads"
    [[levers]]
    type = "scale_usage"
    scope = { team = "ads", stage = ["dev", "prod"] }
    factor = 2
    from = 2027-02-01
    ramp = "linear"
    """
    lever = {"type": "scale_usage", "scope": "stage=dev|prod,team=ads", "factor": 2.0, "from": "2027-02-01", "ramp": "linear"}
    assert parse_plan(text) == parse_plan({**PLAN, "scope": "team=ads", "levers": [lever]})


def test_defaults_are_the_plans_days_at_full_strength() -> None:
    (lever,) = parse_plan({"period": "2027-Q1", "levers": [MOVE]}).levers
    assert (lever.start, lever.end, lever.ramp, lever.price_ratio) == (date(2027, 1, 1), date(2027, 4, 1), "step", 1.0)
    assert lever.to == Scope.parse("provider=aws")
    assert lever.as_dict() == {
        "type": "move_share", "scope": "team=ads", "from": "2027-01-01", "until": "2027-04-01", "ramp": "step", "to": "provider=aws",
        "share": 0.5, "price_ratio": 1.0,
    }  # fmt: skip


def test_ramps() -> None:
    days = np.arange(np.datetime64("2027-01-30"), np.datetime64("2027-02-06"))
    dates = {"from": "2027-02-01", "until": "2027-02-05"}
    step, linear, quick = (
        parse_plan({**PLAN, "levers": [{**SCALE, **dates, **ramp}]}).levers[0].strength(days).tolist()
        for ramp in ({}, {"ramp": "linear"}, {"ramp": "linear", "ramp_days": 2})
    )
    assert step == [0, 0, 1, 1, 1, 1, 0]
    assert linear == [0, 0, 0.25, 0.5, 0.75, 1, 0]
    assert quick == [0, 0, 0.5, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (plan_with(type="scale_usge"), "levers[1].type"),
        (plan_with(type=["scale_usage"]), "levers[1].type"),
        (plan_with(factor=-1.0), "levers[1].factor"),
        (plan_with(factor=float("nan")), "levers[1].factor"),
        (plan_with(factor="2"), "levers[1].factor"),
        (plan_with(factor=True), "levers[1].factor"),
        (plan_with(factr=2.0), "levers[1].factr"),
        (plan_with(**{"from": "2027-03-01", "until": "2027-02-01"}), "levers[1].until"),
        (plan_with(**{"from": "2028-03-01", "until": "2028-04-01"}), "levers[1].from"),
        (plan_with(**{"from": "soon"}), "levers[1].from"),
        (plan_with(**{"from": 5}), "levers[1].from"),
        (plan_with(ramp="s-curve"), "levers[1].ramp"),
        (plan_with(ramp_days=3), "levers[1].ramp_days"),
        (plan_with(scope="team"), "levers[1].scope"),
        (plan_with(scope=7), "levers[1].scope"),
        (plan_with(name=7), "levers[1].name"),
        ({**PLAN, "levers": [{**MOVE, "share": 1.2}]}, "levers[0].share"),
        ({**PLAN, "levers": [{**MOVE, "price_ratio": -0.1}]}, "levers[0].price_ratio"),
        ({**PLAN, "levers": [{**MOVE, "to": "provider=aws|openai"}]}, "levers[0].to"),
        ({**PLAN, "levers": [{"type": "move_share", "share": 0.5}]}, "levers[0].to"),
        ({**PLAN, "levers": [{"type": "scale_usage"}]}, "levers[0].factor"),
        ({**PLAN, "levers": ["double"]}, "levers[0]"),
        ({**PLAN, "levers": {"a": 1}}, "levers"),
        ({**PLAN, "levers": [SCALE] * 51}, "levers"),
        ({**PLAN, "lever": []}, "lever"),
        ({"start": "2027-01-01"}, "end"),
        ({"start": "2027-04-01", "end": "2027-01-01"}, "end"),
        ({"period": "soon"}, "period"),
        ({**PLAN, "period": "2027-Q1"}, "period"),
        ({**PLAN, "scope": 5}, "scope"),
        ("start = ", "plan"),
        (["a"], "plan"),
    ],
)  # fmt: skip
def test_errors_name_the_lever_and_the_field(data: Any, field: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(data)
    assert caught.value.field == field
    assert caught.value.allowed


def test_unknown_type_suggests_the_nearest() -> None:
    with pytest.raises(PlanError, match="nearest: scale_usage"):
        parse_plan(plan_with(type="scale_usge"))
