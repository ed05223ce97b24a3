"""What-if answers: the empty plan is the forecast, deltas are exact, untouched spend stays to the bit."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from forecast.budgets.budget import Budget
from forecast.errors import OutsideHorizonError, PlanError
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_scope
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import shared_snapshot

QUARTER = parse_period("2027-Q1")
DOUBLE = {"type": "scale_usage", "scope": "team=search", "factor": 2.0}
MOVE = {
    "type": "move_share",
    "scope": "team=search,service=OpenAI API",
    "to": "provider=anthropic,service=Claude API",
    "share": 0.5,
    "price_ratio": 0.6,
}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def plan(*levers: dict[str, Any], period: str = "2027-Q1", **more: Any) -> dict[str, Any]:
    return {"period": period, "levers": list(levers), **more}


def total_of(snapshot: Snapshot, text: str, period: Period = QUARTER) -> np.ndarray:
    return read_scope(snapshot, Scope.parse(text), period).totals()


@pytest.mark.parametrize("text", ["", "team=ads", "team=ads|search"])
@pytest.mark.parametrize("period", ["2027-Q1", "2026-Q4", "2027-03-10..2027-08-15"])
def test_empty_plan_is_the_forecast_to_the_bit(snapshot: Snapshot, text: str, period: str) -> None:
    answer = whatif_answer(snapshot, plan(period=period, scope=text))
    total = forecast_answer(snapshot, scope=Scope.parse(text), period=parse_period(period))["total"]
    for name in ("mean", "p10", "p50", "p90"):
        assert answer["baseline"][name] == answer["scenario"][name] == total[name]
        assert answer["delta"][name] == 0.0
    assert answer["levers"] == answer["budgets"] == []


def test_doubling_adds_the_baseline_again_path_by_path(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(DOUBLE))
    search, company = total_of(snapshot, "team=search"), total_of(snapshot, "")
    assert answer["delta"]["mean"] == pytest.approx(search.mean(), rel=1e-6)
    assert answer["delta"]["p90"] == pytest.approx(np.quantile(search, 0.9), rel=1e-6)
    assert answer["scenario"]["p90"] == pytest.approx(np.quantile(company + search, 0.9), rel=1e-6)
    assert answer["probability_cheaper"] == 0.0


def test_rows_that_no_lever_touches_are_exactly_unchanged(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(DOUBLE, MOVE))
    for row in answer["rows"]:
        if row["group"]["team"] != "search":
            assert row["baseline"] == row["scenario"]
            assert set(row["delta"].values()) == {0.0}
    assert sum(row["delta"]["mean"] for row in answer["rows"]) == pytest.approx(answer["delta"]["mean"])


def test_move_takes_from_one_and_gives_to_the_other_at_its_price(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(MOVE), group_by=("provider",))
    moved = 0.5 * total_of(snapshot, "team=search,service=OpenAI API").mean()
    delta = {row["group"]["provider"]: row["delta"]["mean"] for row in answer["rows"]}
    assert delta["openai"] == pytest.approx(-moved)
    assert delta["anthropic"] == pytest.approx(0.6 * moved)
    assert delta["aws"] == 0.0
    assert answer["delta"]["mean"] == pytest.approx(-0.4 * moved)
    assert answer["probability_cheaper"] == 1.0


def test_move_keeps_team_stage_and_workload(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(MOVE), group_by=("service", "stage", "workload"))
    for row in answer["rows"]:
        group = row["group"]
        if group["service"] == "Claude API" and group["workload"] in {"answers", "index"}:
            source = f"team=search,service=OpenAI API,stage={group['stage']},workload={group['workload']}"
            assert row["delta"]["mean"] == pytest.approx(0.3 * total_of(snapshot, source).mean(), rel=1e-6)


def test_levers_contribute_in_order_and_add_up(snapshot: Snapshot) -> None:
    price = {"type": "change_price", "scope": "provider=anthropic", "factor": 0.5, "from": "2027-02-01"}
    answer = whatif_answer(snapshot, plan(DOUBLE, MOVE, price))
    assert sum(lever["delta"]["mean"] for lever in answer["levers"]) == pytest.approx(answer["delta"]["mean"], rel=1e-9)
    assert answer["levers"][0]["delta"]["mean"] == pytest.approx(total_of(snapshot, "team=search").mean(), rel=1e-6)
    assert "levers 0, 1 and 2 touch the same spend" in answer["warnings"][0]
    assert [lever["type"] for lever in answer["levers"]] == ["scale_usage", "move_share", "change_price"]


def test_days_that_are_over_are_never_changed(snapshot: Snapshot) -> None:
    over = whatif_answer(snapshot, plan(DOUBLE, period="2026-10"))
    assert over["delta"]["mean"] == 0.0
    assert over["baseline"] == over["scenario"]
    running = whatif_answer(snapshot, plan(DOUBLE, period="2026-Q4"))
    assert running["delta"]["mean"] == pytest.approx(
        read_scope(snapshot, Scope.parse("team=search"), parse_period("2026-Q4")).to_come().mean(), rel=1e-6
    )
    assert any("are over and not changed" in text for text in running["warnings"])


def test_dates_ramps_and_months_count_by_days(snapshot: Snapshot) -> None:
    lever = {**DOUBLE, "from": "2027-02-01", "until": "2027-03-01"}
    answer = whatif_answer(snapshot, plan(lever), granularity="month")
    february = total_of(snapshot, "team=search", parse_period("2027-02")).mean()
    assert answer["delta"]["mean"] == pytest.approx(february, rel=1e-6)
    by_month = {row["start"]: row["delta"]["mean"] for row in answer["rows"] if row["group"]["team"] == "search"}
    assert by_month == {"2027-01-01": 0.0, "2027-02-01": pytest.approx(february, rel=1e-6), "2027-03-01": 0.0}
    far = whatif_answer(snapshot, plan({**DOUBLE, "from": "2027-09-11"}, period="2027-09"))
    september = total_of(snapshot, "team=search", parse_period("2027-09")).mean()
    assert far["delta"]["mean"] == pytest.approx(september * 20 / 30, rel=1e-6)
    ramp = whatif_answer(snapshot, plan({**DOUBLE, "ramp": "linear"}, period="2027-09"))
    assert ramp["delta"]["mean"] == pytest.approx(september * np.mean((np.arange(30) + 1) / 30), rel=1e-6)


def test_budgets_show_both_probabilities(snapshot: Snapshot) -> None:
    mean = total_of(snapshot, "team=search").mean()
    budgets = [
        Budget("search-q1", Scope.parse("team=search"), QUARTER.start, QUARTER.end, mean * 1.05),
        Budget("ads-q1", Scope.parse("team=ads"), QUARTER.start, QUARTER.end, 115_000.0),
        Budget("haiku", Scope.parse("ai_model=haiku"), QUARTER.start, QUARTER.end, 1000.0),
        Budget("euros", Scope.parse("team=ads"), QUARTER.start, QUARTER.end, 1000.0, currency="EUR"),
        Budget("far", Scope.parse("team=ads"), date(2031, 1, 1), date(2031, 2, 1), 1000.0),
    ]
    found = whatif_answer(snapshot, plan({**DOUBLE, "factor": 1.1}), budgets)["budgets"]
    before = overrun_answer(snapshot, budgets[0])
    assert found[0]["overrun_probability_before"] == before["overrun_probability"]
    assert found[0]["overrun_probability_after"] > found[0]["overrun_probability_before"]
    assert found[1]["overrun_probability_after"] == found[1]["overrun_probability_before"]
    assert found[2]["derived"] == "share"
    assert found[2]["overrun_probability_before"] == overrun_answer(snapshot, budgets[2])["overrun_probability"]
    assert found[2]["expected_overrun_after"] > found[2]["expected_overrun_before"]
    assert [entry["overrun_probability_after"] for entry in found[3:]] == [None, None]
    assert ["warning" in entry for entry in found] == [False, False, False, True, True]


def test_scope_finer_than_a_leaf_acts_on_its_recent_share(snapshot: Snapshot) -> None:
    lever = {"type": "change_price", "scope": "ai_model=gpt-large", "factor": 0.0}
    answer = whatif_answer(snapshot, plan(lever))
    fine = forecast_answer(snapshot, scope=Scope.parse("ai_model=gpt-large"), period=QUARTER)["total"]["mean"]
    assert answer["delta"]["mean"] == pytest.approx(-fine, rel=0.1)
    assert answer["levers"][0]["derived"] == "share"
    switch = {"type": "move_share", "scope": "ai_model=gpt-large", "to": "ai_model=gpt-mini", "share": 1.0, "price_ratio": 0.2}
    assert whatif_answer(snapshot, plan(switch))["delta"]["mean"] == pytest.approx(0.8 * answer["delta"]["mean"], rel=1e-6)


def test_move_into_the_place_itself_only_moves_what_is_outside(snapshot: Snapshot) -> None:
    lever = {"type": "move_share", "scope": "team=search", "to": "provider=anthropic,service=Claude API", "share": 1.0, "price_ratio": 0.5}
    answer = whatif_answer(snapshot, plan(lever))
    outside = total_of(snapshot, "team=search,provider!=anthropic").mean()
    assert answer["delta"]["mean"] == pytest.approx(-0.5 * outside, rel=1e-6)
    with pytest.raises(PlanError, match="already") as caught:
        whatif_answer(snapshot, plan({**lever, "scope": "provider=anthropic"}))
    assert caught.value.field == "levers[0].to"


@pytest.mark.parametrize(
    ("lever", "field", "hint"),
    [
        ({**DOUBLE, "scope": "team=serch"}, "levers[1].scope", "search"),
        ({**DOUBLE, "scope": "ai_model=gpt-larg"}, "levers[1].scope", "gpt-large"),
        ({**DOUBLE, "scope": "colour=red"}, "levers[1].scope", "tenant"),
        ({**DOUBLE, "scope": "team=research,stage=prod"}, "levers[1].scope", "a scope with spend"),
        ({**MOVE, "to": "provider=antropic"}, "levers[1].to", "anthropic"),
    ],
)
def test_errors_name_the_lever_and_what_is_near(snapshot: Snapshot, lever: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(PlanError) as caught:
        whatif_answer(snapshot, plan(DOUBLE, lever))
    assert caught.value.field == field
    assert hint in str(caught.value.allowed)


def test_days_beyond_the_horizon_are_refused(snapshot: Snapshot) -> None:
    with pytest.raises(OutsideHorizonError):
        whatif_answer(snapshot, plan(DOUBLE, period="2030"))


def test_snapshot_is_not_touched_and_the_answer_is_json(snapshot: Snapshot) -> None:
    before = snapshot.leaf_paths.tobytes()
    answer = whatif_answer(snapshot, plan(DOUBLE, MOVE, period="2026-Q4"), granularity="week")
    assert snapshot.leaf_paths.tobytes() == before
    json.dumps(answer, allow_nan=False)
