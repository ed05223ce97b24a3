"""Plans and levers: what is read, and the errors that name the lever."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest

from forecast.errors import PlanError
from forecast.scenarios.kinds import KINDS, example
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
    assert (lever.start, lever.end, lever.ramp) == (date(2027, 1, 1), date(2027, 4, 1), "step")
    assert lever.values["to"] == Scope.parse("provider=aws")
    assert lever.as_dict() == {
        "type": "move_share", "scope": "team=ads", "from": "2027-01-01", "until": "2027-04-01", "ramp": "step", "to": "provider=aws",
        "share": 0.5, "token_ratio": 1.0, "retry_rate": 0.0,
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


@pytest.mark.parametrize("form", ["toml", "json", "yaml"])
def test_plans_are_read_from_toml_json_and_yaml_alike(form: str) -> None:
    texts = {
        "toml": 'start = 2027-01-01\nend = 2027-04-01\n[[levers]]\ntype = "scale_usage"\nfactor = { expected = 2, low = 1.5, high = 3 }\n',
        "json": '{"start": "2027-01-01", "end": "2027-04-01", "levers": [{"type": "scale_usage", "factor": {"expected": 2, "low": 1.5, "high": 3}}]}',
        "yaml": "# a plan\nstart: 2027-01-01\nend: '2027-04-01'\nlevers:\n  - type: scale_usage\n    factor: {expected: 2, low: 1.5, high: 3}\n",
    }
    (lever,) = parse_plan(texts[form]).levers
    assert lever.as_dict()["factor"] == {"expected": 2.0, "low": 1.5, "high": 3.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"start": ', "not JSON"),
        ("start = ", "not TOML"),
        ("[[levers", "not TOML"),
        ("start: [", "not YAML"),
        ("start: &a 2027-01-01\nend: *a\n", "references"),
        ("- start\n- end\n", "not a table"),
        ("[" * 200_000, "not TOML"),
        ("a" * 300_000, "characters"),
    ],
)
def test_texts_that_are_no_plan_say_why(text: str, words: str) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        parse_plan(text)
    assert caught.value.field == "plan"


def test_s_curve_is_slow_fast_slow_and_ends_full() -> None:
    days = np.arange(np.datetime64("2027-02-01"), np.datetime64("2027-02-12"))
    (lever,) = parse_plan({**PLAN, "levers": [{**SCALE, "from": "2027-02-01", "ramp": "s_curve", "ramp_days": 10}]}).levers
    strength = lever.strength(days)
    steps = np.diff(np.concatenate([[0.0], strength]))
    assert strength[-2:].tolist() == [1.0, 1.0]
    assert steps[0] < steps[4] > steps[8]
    assert strength[4] == pytest.approx(0.5)


def test_levers_that_are_alike_but_for_their_numbers_draw_each_for_itself() -> None:
    first, second, other = parse_plan({**PLAN, "levers": [SCALE, {**SCALE, "factor": 3.0}, {**SCALE, "name": "other"}]}).levers
    assert len({first.key, second.key, other.key}) == 3
    assert parse_plan({**PLAN, "levers": [{**SCALE, "factor": 9.0}]}).levers[0].key == first.key


@pytest.mark.parametrize("name", sorted(KINDS))
def test_examples_of_all_kinds_are_read_and_written_back_as_they_are_meant(name: str) -> None:
    for way in range(max(len(KINDS[name].ways), 1)):
        (lever,) = parse_plan({**PLAN, "levers": [example(KINDS[name], way)]}).levers
        written = lever.as_dict()
        assert parse_plan({**PLAN, "levers": [written]}).levers == (lever,)
        assert set(written) - {"type", "scope", "from", "until", "ramp"} <= set(KINDS[name].field_names)
