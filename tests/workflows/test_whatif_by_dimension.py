"""What-if answers by dimensions finer than a leaf: rows add up, stand on the forecast's own shares, and levers act on them exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.budget import Budget
from forecast.errors import PlanError, UnknownScopeError
from forecast.scenarios.goal_request import parse_goal
from forecast.scenarios.plan import parse_plan
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.spend.prices import read_prices
from forecast.spend.scope import Scope
from forecast.workflows import finer_views
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.goal_seek import goal_answer
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_groups, read_scope
from forecast.workflows.scenario_compare import Compared, base_plan, compare_answer
from forecast.workflows.scenario_paths import delta_paths
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import make_snapshot, shared_snapshot

MONTH = parse_period("2027-01")
FIGURES = ("mean", "p10", "p50", "p90")
RANGE = {"expected": 1.6, "low": 1.2, "high": 2.0}
LARGE_TO_MINI = {"type": "move_share", "scope": "ai_model=gpt-large", "to": "ai_model=gpt-mini", "share": 0.4, "price_ratio": 0.2}
OFF = {"type": "switch_off", "scope": "ai_model=gpt-large", "keeps_fixed": False}
LEVERS: list[dict[str, Any]] = [
    {"type": "scale_usage", "scope": "team=search", "factor": 2.0},
    {"type": "scale_usage", "scope": "ai_model=haiku,stage=prod", "factor": RANGE, "from": "2027-01-10", "ramp": "linear", "ramp_days": 9},
    {"type": "change_price", "scope": "region=eu-west", "factor": 0.7},
    {"type": "change_price", "scope": "tenant=tenant-1", "factor": 1.3},
    LARGE_TO_MINI,
    {"type": "move_share", "scope": "team=ads,provider=openai", "to": "ai_model=opus", "share": 0.3, "price_ratio": 1.5},
    {"type": "move_share", "scope": "team=search", "to": "region=eu-west", "share": 0.5, "price_ratio": 1.1},
    {"type": "new_workload", "like": "team=search,service=OpenAI API", "scale": 0.5, "target": "team=robots"},
    {"type": "one_off", "amount": 500.0, "target": "team=ads"},
    {**OFF, "from": "2027-01-20"},
]
GROUPS = [("ai_model",), ("region",), ("team", "ai_model"), ("ai_model", "region"), ("tenant",), ("sku",), ("service", "meter")]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def plan(*levers: dict[str, Any], period: str = "2027-01", **more: Any) -> dict[str, Any]:
    return {"period": period, "levers": list(levers), **more}


def by_group(answer: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(row["group"].values()): row for row in answer["rows"]}


@given(
    st.lists(st.sampled_from(LEVERS), min_size=1, max_size=3, unique_by=str),
    st.sampled_from(GROUPS),
    st.sampled_from(["", "team=search", "ai_model=haiku|opus"]),
)
@settings(max_examples=25, deadline=None)
def test_rows_add_up_to_the_total_and_levers_to_the_rows(levers: list[dict[str, Any]], names: tuple[str, ...], scope: str) -> None:
    answer = whatif_answer(shared_snapshot(), plan(*levers, scope=scope), group_by=names)
    size = max(abs(answer["baseline"]["mean"]), abs(answer["delta"]["mean"]))
    assert sum(row["delta"]["mean"] for row in answer["rows"]) == pytest.approx(answer["delta"]["mean"], rel=1e-9, abs=1e-9 * size)
    assert sum(lever["delta"]["mean"] for lever in answer["levers"]) == pytest.approx(answer["delta"]["mean"], rel=1e-9, abs=1e-9 * size)
    assert answer["waterfall"]["sum"] == pytest.approx(answer["delta"]["mean"], rel=1e-9, abs=1e-9 * size)
    assert sum(row["baseline"]["mean"] for row in answer["rows"]) == pytest.approx(answer["baseline"]["mean"], rel=1e-6)
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("names", GROUPS)
@pytest.mark.parametrize(
    ("scope", "period"), [("", "2027-01"), ("team=search", "2026-12"), ("ai_model=haiku|opus,team!=ads", "2027-03-10..2027-06-15")]
)
def test_baseline_rows_are_those_of_the_forecast(snapshot: Snapshot, names: tuple[str, ...], scope: str, period: str) -> None:
    answer = whatif_answer(snapshot, plan(LEVERS[0], scope=scope, period=period), group_by=names)
    told = {
        tuple(reading.group.values()): reading.totals().mean() for reading in read_groups(snapshot, Scope.parse(scope), names, parse_period(period))
    }
    assert {group: row["baseline"]["mean"] for group, row in by_group(answer).items()} == pytest.approx(told, rel=1e-12)
    total = forecast_answer(snapshot, scope=Scope.parse(scope), period=parse_period(period))["total"]
    assert {name: answer["baseline"][name] for name in FIGURES} == {name: total[name] for name in FIGURES}


@pytest.mark.parametrize("scope", ["ai_model=haiku", "region=eu-west,team=search", "tenant!=tenant-1"])
def test_empty_plan_of_a_finer_scope_is_the_forecast_to_the_bit(snapshot: Snapshot, scope: str) -> None:
    answer = whatif_answer(snapshot, plan(scope=scope), group_by=("sku",))
    total = forecast_answer(snapshot, scope=Scope.parse(scope), period=MONTH)["total"]
    for name in FIGURES:
        assert answer["baseline"][name] == answer["scenario"][name] == total[name]
        assert answer["delta"][name] == 0.0


def test_move_takes_its_share_from_one_ai_model_and_gives_it_to_the_other_at_its_price(snapshot: Snapshot) -> None:
    rows = by_group(whatif_answer(snapshot, plan(LARGE_TO_MINI), group_by=("ai_model",)))
    large = rows["gpt-large",]
    for name in FIGURES:
        assert large["scenario"][name] == pytest.approx(0.6 * large["baseline"][name], rel=1e-6)
    assert rows["gpt-mini",]["delta"]["mean"] == pytest.approx(0.4 * 0.2 * large["baseline"]["mean"], rel=1e-6)
    assert all(row["baseline"] == row["scenario"] for (name,), row in rows.items() if name not in ("gpt-large", "gpt-mini"))


def test_moved_spend_stays_in_its_region_and_team(snapshot: Snapshot) -> None:
    names = ("team", "region", "ai_model")
    rows = by_group(whatif_answer(snapshot, plan(LARGE_TO_MINI), group_by=names))
    for (team, region, model), row in rows.items():
        if model == "gpt-mini":
            assert row["delta"]["mean"] == pytest.approx(0.08 * rows[team, region, "gpt-large"]["baseline"]["mean"], rel=1e-6)


def test_what_is_switched_off_is_nothing_from_that_day_on_whatever_the_future(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan({**OFF, "from": "2027-01-20"}), group_by=("ai_model",), granularity="day")
    for row in answer["rows"]:
        if row["group"]["ai_model"] != "gpt-large" or row["start"] < "2027-01-20":
            assert row["baseline"] == row["scenario"]
        else:
            assert row["baseline"]["p10"] > 0.0
            assert max(abs(row["scenario"][name]) for name in FIGURES) < 1e-9 * row["baseline"]["mean"]


def test_scope_on_one_ai_model_is_left_with_nothing_when_it_is_switched_off(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(OFF, scope="ai_model=gpt-large"), group_by=("team",))
    # The total and the teams are summed apart, in the float32 that paths are kept in.
    assert max(abs(answer["scenario"][name]) for name in FIGURES) < 1e-7 * answer["baseline"]["mean"]
    assert answer["probability_cheaper"] == 1.0
    alone = whatif_answer(snapshot, plan(OFF, scope="ai_model=gpt-large"), group_by=())
    assert max(abs(alone["scenario"][name]) for name in FIGURES) < 1e-9 * alone["baseline"]["mean"]


def test_lever_on_a_team_costs_the_same_whatever_it_is_grouped_by(snapshot: Snapshot) -> None:
    whole = whatif_answer(snapshot, plan(LEVERS[0]))["delta"]
    for names in GROUPS:
        assert whatif_answer(snapshot, plan(LEVERS[0]), group_by=names)["delta"] == pytest.approx(whole, rel=1e-5)


def test_ai_model_that_nobody_used_gets_a_row_of_its_own(snapshot: Snapshot) -> None:
    prices = read_prices("provider,model,meter,unit,price,currency,valid_from\nopenai,gpt-nano,input,1M Tokens,0.1,USD,2024-01-01\n", "test prices")
    lever = {**LARGE_TO_MINI, "to": "ai_model=gpt-nano"}
    later = {"type": "scale_usage", "scope": "ai_model=gpt-nano", "factor": 3.0}
    answer = whatif_answer(snapshot, plan(lever, later), group_by=("ai_model",), prices=prices)
    rows = by_group(answer)
    assert set(rows["gpt-nano",]["baseline"].values()) == {0.0}
    assert rows["gpt-nano",]["delta"]["mean"] == pytest.approx(3.0 * 0.08 * rows["gpt-large",]["baseline"]["mean"], rel=1e-6)
    assert any("never been used" in note for note in answer["levers"][0]["notes"])
    with pytest.raises(PlanError, match=r"levers\[0\].scope.*levers\[1\] brings"):
        whatif_answer(snapshot, plan(later, lever), group_by=("ai_model",), prices=prices)


def test_new_workload_uses_the_ai_models_of_what_it_is_like(snapshot: Snapshot) -> None:
    rows = by_group(whatif_answer(snapshot, plan(LEVERS[7]), group_by=("team", "ai_model")))
    for model in ("gpt-large", "gpt-mini"):
        like = read_scope(snapshot, Scope.parse(f"team=search,service=OpenAI API,ai_model={model}"), MONTH).totals().mean()
        assert rows["robots", model]["delta"]["mean"] == pytest.approx(0.5 * like, rel=1e-5)


@pytest.mark.parametrize(
    "later",
    [
        {"type": "scale_usage", "scope": "team=robots", "factor": 2.0},
        {"type": "change_price", "scope": "", "factor": 0.5},
        {"type": "move_share", "scope": "team=ads", "to": "team=robots", "share": 0.5, "price_ratio": 2.0},
        {"type": "commit", "scope": "provider=openai", "a_day": 500.0, "discount": 0.3, "term_days": 365},
    ],
    ids=lambda lever: str(lever["type"]),
)
def test_later_levers_act_on_what_earlier_ones_brought_whatever_it_is_grouped_by(snapshot: Snapshot, later: dict[str, Any]) -> None:
    whole = whatif_answer(snapshot, plan(LEVERS[7], later))["delta"]
    for names in GROUPS[:4]:
        assert whatif_answer(snapshot, plan(LEVERS[7], later), group_by=names)["delta"] == pytest.approx(whole, rel=1e-5)


def test_budget_finer_than_a_leaf_is_told_by_its_own_shares(snapshot: Snapshot) -> None:
    fine = [
        Budget("large", Scope.parse("ai_model=gpt-large"), MONTH.start, MONTH.end, 9000.0),
        Budget("eu", Scope.parse("region=eu-west,team=search"), MONTH.start, MONTH.end, 9000.0),
    ]
    for names in (None, ("ai_model",), ("region", "ai_model")):
        large, eu = whatif_answer(snapshot, plan(OFF), fine, names)["budgets"]
        for budget, found in zip(fine, (large, eu), strict=True):
            assert found["overrun_probability_before"] == overrun_answer(snapshot, budget)["overrun_probability"]
            assert found["derived"] == "share"
        assert large["overrun_probability_after"] == large["expected_overrun_after"] == 0.0
        assert 0.0 < eu["expected_overrun_after"] < eu["expected_overrun_before"] or eu["expected_overrun_before"] == 0.0


def test_goal_is_sought_for_a_budget_on_an_ai_model(snapshot: Snapshot) -> None:
    scope = Scope.parse("ai_model=haiku")
    budget = Budget("haiku", scope, MONTH.start, MONTH.end, 1.5 * float(np.median(read_scope(snapshot, scope, MONTH).totals())))
    lever = {"type": "scale_usage", "scope": "ai_model=haiku", "factor": 1.0, "name": "traffic"}
    answer = goal_answer(snapshot, plan(lever), parse_goal("traffic.factor 1..3 while overrun(haiku) <= 50%"), [budget])
    assert answer["value"] == pytest.approx(1.5, abs=0.02)


def test_scenarios_are_compared_by_ai_model_on_the_same_futures(snapshot: Snapshot) -> None:
    one = Compared("move", parse_plan(plan(LARGE_TO_MINI)))
    answer = compare_answer(snapshot, [one, base_plan(MONTH, Scope())], group_by=("ai_model",))
    alone = whatif_answer(snapshot, plan(LARGE_TO_MINI), group_by=("ai_model",))
    assert answer["scenarios"][0]["delta"] == alone["delta"]
    assert delta_paths(snapshot, one.plan, group_by=("ai_model",)).mean() == pytest.approx(alone["delta"]["mean"])
    assert {row["group"]["ai_model"]: row["scenarios"]["move"]["delta"] for row in answer["rows"]} == {
        row["group"]["ai_model"]: row["delta"]["mean"] for row in alone["rows"]
    }


@pytest.mark.parametrize(
    ("group_by", "scope", "field", "hint"),
    [
        (("ai_modle",), "", "group_by", "ai_model"),
        (("tennant",), "", "group_by", "tenant"),
        (("project",), "", "group_by", "do not keep"),
        ((), "regoin=eu-west", "scope", "region"),
        ((), "ai_model=gpt-larg", "scope", "gpt-large"),
    ],
)  # fmt: skip
def test_dimensions_and_values_that_are_not_known_are_refused_with_the_nearest(
    snapshot: Snapshot, group_by: tuple[str, ...], scope: str, field: str, hint: str
) -> None:
    with pytest.raises((PlanError, UnknownScopeError), match=hint) as caught:
        whatif_answer(snapshot, plan(LEVERS[0], scope=scope), group_by=group_by)
    assert caught.value.field == field


def test_more_combinations_than_one_answer_holds_are_refused_with_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finer_views, "MOST_NUMBERS", 20_000)
    with pytest.raises(PlanError, match=r"combinations over \d+ weeks") as caught:
        whatif_answer(make_snapshot(seed=1), plan(LEVERS[0]), group_by=("sku",))
    assert "at most" in str(caught.value.allowed)


def test_forecast_that_keeps_no_charge_lines_says_so() -> None:
    snapshot = shared_snapshot()
    with pytest.raises(PlanError, match="keeps no recent charge lines"):
        whatif_answer(replace(snapshot, recent=snapshot.recent.iloc[:0]), plan(LEVERS[0]), group_by=("region",))


def test_days_of_a_company_far_from_greenwich_add_up_too() -> None:
    made = make_snapshot(seed=3)
    snapshot = replace(made, meta={**made.meta, "time_zone": "America/Los_Angeles"})
    answer = whatif_answer(snapshot, plan(LARGE_TO_MINI, LEVERS[0], period="2026-12-01..2027-02-01"), group_by=("ai_model",), granularity="month")
    assert sum(row["delta"]["mean"] for row in answer["rows"]) == pytest.approx(answer["delta"]["mean"], rel=1e-9)
    off = by_group(whatif_answer(snapshot, plan(OFF, period="2027-01"), group_by=("ai_model",)))["gpt-large",]
    assert abs(off["scenario"]["mean"]) < 1e-6 * off["baseline"]["mean"]


def test_second_question_is_answered_with_what_the_first_kept() -> None:
    snapshot = make_snapshot(seed=2)
    first = whatif_answer(snapshot, plan(*LEVERS[:3]), group_by=("ai_model",))
    assert len(snapshot.__dict__["_rows_kept"]) == 1
    assert whatif_answer(snapshot, plan(*LEVERS[:3]), group_by=("ai_model",)) == first
    whatif_answer(snapshot, plan(LARGE_TO_MINI), group_by=("ai_model",))
    assert whatif_answer(snapshot, plan(*LEVERS[:3]), group_by=("ai_model",)) == first
