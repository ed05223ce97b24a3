"""What-if answers with every kind of response, uncertain levers, shares of the delta, and levers that contradict each other."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.budgets.budget import Budget
from forecast.errors import PlanError
from forecast.scenarios.kinds import KINDS, example
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from forecast.workflows import whatif_waterfall
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_scope
from forecast.workflows.whatif import whatif_answer
from tests.oracles.scenarios import shapley_by_orders
from tests.snapshots_for_tests import make_snapshot

QUARTER = parse_period("2027-Q1")
RANGE = {"expected": 2.0, "low": 1.5, "high": 3.0}
DRIVERS = [
    {
        "driver": "requests", "scope": "team=search", "value": 0.8, "low": 0.7, "high": 0.9, "gain": 0.2, "origins": 6, "gain_if_known": 0.35,
        "weight": 1.0, "leaves": 4, "leaves_in_scope": 8, "planned_until": None, "unit": "requests", "kind": "volume", "note": "",
    },
    {
        "driver": "users", "scope": "", "value": None, "low": None, "high": None, "gain": 0.0, "origins": 0, "gain_if_known": 0.0,
        "weight": 0.0, "leaves": 0, "leaves_in_scope": 28, "planned_until": None, "unit": "", "kind": "volume", "note": "too few days",
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """Tokens, machines by the hour (service Amazon EC2) of which team ads pays half by schedule, and a driver of team search."""
    made = make_snapshot()
    leaves = made.hierarchy.leaves.reset_index(drop=True)
    recent = made.leaf_history[:, -10:].sum(axis=1)
    machines = (leaves["service"] == "Amazon EC2").to_numpy()
    ads = (leaves["team"] == "ads").to_numpy()
    learnt = np.where(machines & ads, 0.5, 1.0) * recent
    meters = pd.DataFrame(
        {
            "leaf": np.arange(len(leaves)),
            "start": np.datetime64("2026-12-01", "s"),
            "end": np.datetime64("2026-12-11", "s"),
            "recent": True,
            "ai_model": np.where(machines, "(none)", "gpt-large"),
            "meter": np.where(machines, "Instance Hours", "Input Tokens"),
            "unit": np.where(machines, "Hours", "Tokens"),
            "cost": learnt,
            "quantity": np.where(machines, learnt / 3.0, learnt / 2e-6),
        }
    )
    own = np.flatnonzero(machines & ads)
    known = pd.DataFrame({"leaf": own, "ds": np.datetime64("2026-12-01", "s"), "kind": "scheduled", "cost": 0.5 * recent[own]})
    lines = made.recent.assign(meter=np.where(machines[made.recent["leaf"].to_numpy()], "Instance Hours", "Input Tokens"))
    return replace(made, recent=lines, meters=meters, known_money=known, meta={**made.meta, "drivers": DRIVERS})


def plan(*levers: dict[str, Any], period: str = "2027-Q1", **more: Any) -> dict[str, Any]:
    return {"period": period, "levers": list(levers), **more}


def delta(snapshot: Snapshot, *levers: dict[str, Any], **more: Any) -> dict[str, float]:
    found: dict[str, float] = whatif_answer(snapshot, plan(*levers, **more))["delta"]
    return found


def mean_of(snapshot: Snapshot, text: str) -> float:
    return float(read_scope(snapshot, Scope.parse(text), QUARTER).totals().mean())


DOUBLE = {"type": "scale_usage", "scope": "team=search", "factor": 2.0}
CHEAPER = {"type": "change_price", "scope": "provider=openai", "factor": 0.7, "from": "2027-02-01"}
MOVE = {
    "type": "move_share",
    "scope": "team=search,service=OpenAI API",
    "to": "provider=anthropic,service=Claude API",
    "share": 0.5,
    "price_ratio": 0.6,
}
LIKELY = {"type": "scale_usage", "scope": "team=ads", "factor": RANGE, "name": "ads grow"}


def test_cost_follows_usage_as_each_part_of_the_spend_does(snapshot: Snapshot) -> None:
    for text, least, most in (
        ("team=ads,service=OpenAI API", 1.0, 1.0),
        ("team=search,service=Amazon EC2", 0.75, 1.0),
        ("team=ads,service=Amazon EC2", 0.3, 0.5),
    ):
        answer = whatif_answer(snapshot, plan({"type": "scale_usage", "scope": text, "factor": 2.0}))
        assert least - 1e-9 <= answer["delta"]["mean"] / mean_of(snapshot, text) <= most + 1e-9, text
    assert answer["levers"][0]["response"] == pytest.approx({"elastic": 0.0, "measured": 0.0, "steps": 0.5, "fixed": 0.5})
    assert "50% of this spend is fixed" in answer["levers"][0]["notes"][0]


def test_what_is_known_of_the_spend_can_be_overridden(snapshot: Snapshot) -> None:
    lever: dict[str, Any] = {"type": "scale_usage", "scope": "team=ads,service=Amazon EC2", "factor": 2.0}
    whole = mean_of(snapshot, lever["scope"])
    assert delta(snapshot, {**lever, "response": "elastic"})["mean"] == pytest.approx(whole)
    assert delta(snapshot, {**lever, "elasticity": 0.5})["mean"] == pytest.approx(whole * (2.0**0.5 - 1.0))
    assert delta(snapshot, {**lever, "response": "fixed"})["mean"] == 0.0
    assert 0.6 * whole < delta(snapshot, {**lever, "scope": "team=search,service=Amazon EC2", "response": "steps"})["mean"]
    with pytest.raises(PlanError, match="what a machine costs"):
        delta(snapshot, {**DOUBLE, "response": "steps"})


def test_scaling_down_leaves_what_is_fixed(snapshot: Snapshot) -> None:
    off: dict[str, Any] = {"type": "switch_off", "scope": "team=ads,service=Amazon EC2"}
    whole = mean_of(snapshot, off["scope"])
    assert delta(snapshot, off)["mean"] == pytest.approx(-0.5 * whole)
    assert delta(snapshot, {**off, "keeps_fixed": False})["mean"] == pytest.approx(-whole)
    assert delta(snapshot, {**off, "exit_cost": 1000.0})["mean"] == pytest.approx(-0.5 * whole + 1000.0)
    assert delta(snapshot, {"type": "downsize", "scope": off["scope"], "factor": 0.6})["mean"] == pytest.approx(-0.4 * 0.5 * whole)
    hours = {"type": "schedule", "scope": off["scope"], "hours_a_week": 84.0}
    assert delta(snapshot, hours)["mean"] == pytest.approx(-0.5 * 0.5 * whole)
    assert delta(snapshot, {"type": "schedule", "scope": off["scope"], "nights_and_weekends": True})["mean"] < -0.5 * 0.5 * whole


def test_growth_compounds_by_day_from_the_levers_first_day(snapshot: Snapshot) -> None:
    lever = {"type": "grow", "scope": "service=OpenAI API", "percent_a_month": 10.0, "from": "2027-02-01"}
    rows = whatif_answer(snapshot, plan(lever), group_by=(), granularity="month")["rows"]
    whole = [read_scope(snapshot, Scope.parse("service=OpenAI API"), parse_period(f"2027-0{month}")).totals().mean() for month in (1, 2, 3)]
    ratio = [row["delta"]["mean"] / total for row, total in zip(rows, whole, strict=True)]
    assert ratio[0] == 0.0
    assert ratio[1] == pytest.approx(0.047, abs=0.003)
    assert ratio[2] == pytest.approx(1.1 ** (43.5 / 30.4) - 1.0, abs=0.005)


def test_driver_levers_use_the_measured_relation_with_its_uncertainty(snapshot: Snapshot) -> None:
    lever = {"type": "scale_driver", "driver": "requests", "factor": 1.5}
    answer = whatif_answer(snapshot, plan(lever))
    whole = mean_of(snapshot, "team=search")
    assert answer["delta"]["mean"] == pytest.approx(whole * (1.5**0.8 - 1.0), rel=0.02)
    figures = answer["levers"][0]["figures"]
    assert (figures["elasticity"], figures["out_of_sample_gain"]) == (0.8, 0.35)
    assert "35 % off the error" in answer["levers"][0]["notes"][1]
    share = {name: answer["delta"][name] / whole for name in ("p10", "p90")}
    assert share["p90"] - share["p10"] > 0.5 * (1.5**0.9 - 1.5**0.7)
    for name, words in (("request", "requests"), ("users", "too few days"), ("users", "nothing is measured")):
        with pytest.raises(PlanError, match=words) as caught:
            delta(snapshot, {**lever, "driver": name})
        assert caught.value.field == "levers[0].driver"


def test_uncertain_levers_have_the_quantiles_that_were_said(snapshot: Snapshot) -> None:
    certain = {name: delta(snapshot, {**LIKELY, "factor": RANGE[name], "response": "elastic"})["mean"] for name in ("low", "expected", "high")}
    found = delta(snapshot, {**LIKELY, "response": "elastic"})
    for name, quantile in (("low", "p10"), ("expected", "p50"), ("high", "p90")):
        assert found[quantile] == pytest.approx(certain[name], rel=0.15)


def test_a_lever_draws_the_same_in_every_plan(snapshot: Snapshot) -> None:
    alone = whatif_answer(snapshot, plan(LIKELY))["levers"][0]["delta"]
    assert whatif_answer(snapshot, plan({**CHEAPER, "scope": "team=search"}, LIKELY))["levers"][1]["delta"] == pytest.approx(alone)
    twice = whatif_answer(snapshot, plan(LIKELY, {**LIKELY, "scope": "team=search"}))["levers"]
    assert twice[0]["delta"] == pytest.approx(alone)


@pytest.mark.parametrize("levers", [(DOUBLE, MOVE, CHEAPER, LIKELY), (LIKELY, {**LIKELY, "name": "more"}, CHEAPER)])
def test_waterfall_is_what_all_orders_give_and_adds_up(snapshot: Snapshot, levers: tuple[dict[str, Any], ...]) -> None:
    answer = whatif_answer(snapshot, plan(*levers))
    subsets = [subset for size in range(len(levers) + 1) for subset in combinations(range(len(levers)), size)]
    value = {subset: delta(snapshot, *(levers[number] for number in subset))["mean"] for subset in subsets}
    expected = shapley_by_orders(len(levers), value)
    parts = [part["mean"] for part in answer["waterfall"]["parts"]]
    assert answer["waterfall"]["method"] == "exact"
    assert parts == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert answer["waterfall"]["sum"] == pytest.approx(answer["delta"]["mean"], rel=1e-9)
    assert [lever["share_of_delta"] for lever in answer["levers"]] == parts


def test_waterfall_does_not_hang_on_the_order_where_order_does_not_matter(snapshot: Snapshot) -> None:
    levers = [DOUBLE, CHEAPER, {"type": "scale_usage", "scope": "stage=prod,service=OpenAI API", "factor": 1.3}]
    forward, backward = (whatif_answer(snapshot, plan(*order)) for order in (levers, levers[::-1]))
    assert [lever["share_of_delta"] for lever in forward["levers"]] == pytest.approx([lever["share_of_delta"] for lever in backward["levers"][::-1]])
    assert forward["levers"][0]["delta"]["mean"] != pytest.approx(backward["levers"][2]["delta"]["mean"])


def test_more_levers_than_can_be_taken_in_all_orders_are_sampled_and_still_add_up(snapshot: Snapshot) -> None:
    levers = [
        {"type": "change_price", "scope": f"team=search,provider!={name}", "factor": 0.9 + 0.01 * number}
        for number, name in enumerate(["aws", "openai", "anthropic"] * 3)
    ]
    answer = whatif_answer(snapshot, plan(*levers, {"type": "scale_usage", "scope": "team=ads", "factor": 2.0}))
    assert answer["waterfall"]["method"] == "sampled"
    assert answer["waterfall"]["orders"] >= 2
    assert answer["waterfall"]["sum"] == pytest.approx(answer["delta"]["mean"], rel=1e-9)
    assert answer["waterfall"]["parts"][-1]["mean"] == pytest.approx(answer["levers"][-1]["delta"]["mean"])
    again = whatif_answer(snapshot, plan(*levers, {"type": "scale_usage", "scope": "team=ads", "factor": 2.0}))
    assert again["waterfall"] == answer["waterfall"]


def test_budgets_say_on_which_day_they_are_used_up_before_and_after(snapshot: Snapshot) -> None:
    budgets = [
        Budget(team, Scope.parse(f"team={team}"), QUARTER.start, QUARTER.end, 0.95 * mean_of(snapshot, f"team={team}")) for team in ("search", "ads")
    ]
    search, ads = whatif_answer(snapshot, plan({**DOUBLE, "factor": 1.3, "from": "2027-02-01"}), budgets)["budgets"]
    before = overrun_answer(snapshot, budgets[0])
    assert search["exhaustion_day_before"] == before["exhaustion_day"]
    assert search["exhaustion_day_after"]["p50"] < search["exhaustion_day_before"]["p50"]
    assert {name: ads[f"{name}_after"] for name in ("overrun_probability", "exhaustion_day")} == {
        name: ads[f"{name}_before"] for name in ("overrun_probability", "exhaustion_day")
    }


def test_new_places_are_rows_of_their_own_and_their_budgets_count_them(snapshot: Snapshot) -> None:
    lever = {"type": "one_off", "amount": 5000.0, "day": "2027-02-01", "target": "team=robots,provider=openai"}
    rows = {row["group"]["team"]: row for row in whatif_answer(snapshot, plan(lever))["rows"]}
    assert rows["robots"]["baseline"]["mean"] == 0.0
    assert rows["robots"]["delta"]["mean"] == pytest.approx(5000.0)
    assert rows["ads"]["delta"]["mean"] == 0.0
    by_provider = {row["group"]["provider"]: row["delta"]["mean"] for row in whatif_answer(snapshot, plan(lever), group_by=("provider",))["rows"]}
    assert by_provider == {"anthropic": 0.0, "aws": 0.0, "openai": pytest.approx(5000.0)}
    assert delta(snapshot, lever, scope="provider=openai")["mean"] == pytest.approx(5000.0)
    assert delta(snapshot, lever, scope="provider=aws")["mean"] == 0.0


def test_a_plan_that_costs_first_and_saves_later_says_when_it_has_paid(snapshot: Snapshot) -> None:
    saved = -delta(snapshot, CHEAPER)["mean"]
    answer = whatif_answer(snapshot, plan(CHEAPER, {"type": "one_off", "amount": 0.5 * saved}))
    assert answer["break_even"]["probability"] == 1.0
    assert "2027-02-20" < answer["break_even"]["p50"] < "2027-03-15"
    assert answer["break_even"]["p10"] <= answer["break_even"]["p50"] <= answer["break_even"]["p90"]
    never = whatif_answer(snapshot, plan(DOUBLE))["break_even"]
    assert never == {"probability": 0.0, "p10": None, "p50": None, "p90": None}


def test_unit_costs_follow_prices_and_not_volume(snapshot: Snapshot) -> None:
    for lever, ratio in ((DOUBLE, 1.0), ({"type": "change_price", "scope": "", "factor": 0.7}, 0.7)):
        tokens, hours = whatif_answer(snapshot, plan({**lever, "response": "elastic"} if lever is DOUBLE else lever, scope="team=search"))[
            "unit_costs"
        ]
        assert (tokens["unit"], hours["unit"]) == ("million_tokens", "machine_hour")
        assert tokens["before"] == pytest.approx(2.0)
        assert hours["before"] == pytest.approx(3.0)
        assert tokens["after"] == pytest.approx(ratio * 2.0)
        assert tokens["quantity_after"] == pytest.approx(tokens["quantity_before"] * (2.0 if lever is DOUBLE else 1.0))


def test_delta_is_told_as_volume_price_and_money(snapshot: Snapshot) -> None:
    answer = whatif_answer(snapshot, plan(DOUBLE, CHEAPER, MOVE, {"type": "one_off", "amount": 77.0}))
    parts = answer["decomposition"]
    assert sum(parts.values()) == pytest.approx(answer["delta"]["mean"])
    assert parts["money"] == pytest.approx(77.0)
    assert parts["volume"] == pytest.approx(delta(snapshot, DOUBLE)["mean"])


def test_scaling_and_scaling_back_restores_elastic_spend_and_disjoint_levers_commute(snapshot: Snapshot) -> None:
    scope = {"scope": "service=OpenAI API"}
    back = delta(snapshot, {"type": "scale_usage", "factor": 3.7, **scope}, {"type": "scale_usage", "factor": 1.0 / 3.7, **scope})
    assert max(abs(value) for value in back.values()) < 1e-9 * mean_of(snapshot, "service=OpenAI API")
    one, two = {**LIKELY, "scope": "team=ads"}, {**MOVE}
    assert delta(snapshot, one, two) == pytest.approx(delta(snapshot, two, one), rel=1e-9)
    equal = {**MOVE, "price_ratio": 1.0, "share": {"expected": 0.5, "low": 0.2, "high": 0.8}}
    assert max(abs(value) for value in delta(snapshot, equal).values()) < 1e-9 * mean_of(snapshot, "team=search")


@pytest.mark.parametrize(
    ("levers", "field", "words"),
    [
        (({**MOVE, "share": 0.7}, {**MOVE, "share": 0.5, "to": "provider=aws"}), "levers[1].share", "120%"),
        (({"type": "switch_off", "scope": "team=ads"}, {"type": "switch_off", "scope": "team=ads,stage=dev"}), "levers[1].scope", "switched off"),
        (({"type": "switch_off", "scope": "team=search"}, MOVE), "levers[1].scope", "switched off"),
        (({**DOUBLE, "factor": -1},), "levers[0].factor", "allowed"),
        (({**MOVE, "share": 40},), "levers[0].share", "40 % is 0.4"),
        (({"type": "change_price", "scope": "team=ads", "factor": "10%"},), "levers[0].factor", "without quotes or units"),
        (({**DOUBLE, "factor": {"expected": 2, "low": 3, "high": 4}},), "levers[0].factor", "not in this order"),
        (({**DOUBLE, "factor": {"expected": 2, "low": 1}},), "levers[0].factor.high", "nothing"),
        (({**DOUBLE, "factor": {"mean": 2}},), "levers[0].factor.mean", "range"),
        (({"type": "schedule", "scope": "team=ads"},), "levers[0].hours_a_week", "nothing"),
        (({"type": "schedule", "scope": "team=ads", "hours_a_week": 200},), "levers[0].hours_a_week", "168"),
        (({"type": "schedule", "hours_a_week": 50, "nights_and_weekends": True},), "levers[0].nights_and_weekends", "together"),
        (({"type": "one_off", "amount": 1, "scope": "team=ads"},), "levers[0].scope", "not a field"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_named_exactly(snapshot: Snapshot, levers: tuple[dict[str, Any], ...], field: str, words: str) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        whatif_answer(snapshot, plan(*levers))
    assert caught.value.field == field


def test_shares_that_move_on_different_days_do_not_add_up(snapshot: Snapshot) -> None:
    first, second = {**MOVE, "share": 0.7, "until": "2027-02-01"}, {**MOVE, "share": 0.7, "from": "2027-02-01"}
    assert whatif_answer(snapshot, plan(first, second))["delta"]["mean"] < 0.0


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_example_of_each_kind_can_be_carried_out(snapshot: Snapshot, name: str) -> None:
    own = {"to": "ai_model=gpt-mini", "like": "service=Amazon EC2", "target": "team=robots", "driver": "requests"}
    for way in range(max(len(KINDS[name].ways), 1)):
        written = example(KINDS[name], way)
        lever = {field: own.get(field, value) if isinstance(value, str) else value for field, value in written.items()}
        lever |= {"cache_hit_rate": {"from_share": 0.1, "discount": 0.9}, "currency": {"share": 0.5}}.get(name, {})
        answer = whatif_answer(snapshot, plan(lever))
        json.dumps(answer, allow_nan=False)
        assert answer["waterfall"]["sum"] == pytest.approx(answer["delta"]["mean"], rel=1e-9, abs=1e-6)


def test_fewer_paths_for_machines_change_the_waterfall_little_and_it_still_adds_up(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    levers = [{"type": "scale_usage", "scope": scope, "factor": 1.4, "name": scope} for scope in ("service=Amazon EC2", "team=search", "stage=prod")]
    whole = whatif_answer(snapshot, plan(*levers))["waterfall"]
    monkeypatch.setattr(whatif_waterfall, "MOST_NUMBERS", 1)
    thinned = whatif_answer(snapshot, plan(*levers))["waterfall"]
    assert thinned["sum"] == pytest.approx(whole["sum"], rel=1e-9)
    parts = [[part["mean"] for part in one["parts"]] for one in (whole, thinned)]
    assert parts[0] != parts[1]
    assert parts[1] == pytest.approx(parts[0], rel=0.01)


def test_levers_of_which_the_order_does_not_matter_are_sampled_one_by_one_alike(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    levers = [{"type": "scale_usage", "scope": "team=search", "factor": 1.0 + 0.02 * number, "name": str(number)} for number in range(10)]
    quick = whatif_answer(snapshot, plan(*levers))["waterfall"]
    monkeypatch.setattr(whatif_waterfall._Game, "along", lambda self, order: None)
    slow = whatif_answer(snapshot, plan(*levers))["waterfall"]
    assert [part["mean"] for part in quick["parts"]] == pytest.approx([part["mean"] for part in slow["parts"]], rel=1e-6)


def test_a_commitment_is_settled_last_wherever_it_stands_in_the_plan() -> None:
    snapshot = make_snapshot()
    commit = {"type": "commit", "scope": "provider=openai", "a_day": 50.0, "discount": 0.3, "term_days": 365}
    less = {"type": "scale_usage", "scope": "provider=openai", "factor": 0.1}
    first, last = (
        whatif_answer(snapshot, {"start": "2027-01-01", "end": "2027-02-01", "levers": levers}) for levers in ([commit, less], [less, commit])
    )
    assert first["delta"] == pytest.approx(last["delta"])
    assert first["levers"][0]["delta"]["mean"] == pytest.approx(last["levers"][1]["delta"]["mean"])
    assert [part["mean"] for part in first["waterfall"]["parts"]] == pytest.approx([part["mean"] for part in last["waterfall"]["parts"]][::-1])
    assert any("commitments and minimum fees after all others" in text for text in first["warnings"])


def test_what_a_lever_brings_is_met_by_those_after_it_and_all_of_it_adds_up(snapshot: Snapshot) -> None:
    launch: dict[str, Any] = {"type": "new_workload", "like": "team=search,service=OpenAI API", "scale": RANGE, "target": "team=maps,provider=openai"}
    cheaper: dict[str, Any] = {"type": "change_price", "scope": "provider=openai", "factor": 0.8, "from": "2027-02-01"}
    twice: dict[str, Any] = {"type": "scale_usage", "scope": "team=maps", "factor": RANGE, "from": "2027-03-01"}
    found = whatif_answer(snapshot, plan(launch, cheaper, twice, {"type": "scale_usage", "factor": 1.1}), group_by=("team",))
    whole = found["delta"]["mean"]
    assert sum(lever["delta"]["mean"] for lever in found["levers"]) == pytest.approx(whole, rel=1e-9)
    assert found["waterfall"]["sum"] == pytest.approx(whole, rel=1e-9)
    assert sum(row["delta"]["mean"] for row in found["rows"]) == pytest.approx(whole, rel=1e-9)
    (maps,) = (row for row in found["rows"] if row["group"] == {"team": "maps"})
    assert maps["baseline"]["mean"] == 0.0
    subsets = [subset for size in range(4) for subset in combinations((launch, cheaper, twice), size)]
    value = {
        tuple((launch, cheaper, twice).index(lever) for lever in subset): delta(snapshot, *subset)["mean"]
        for subset in subsets
        if not (twice in subset and launch not in subset)
    }
    # Without the launch there is nothing to double.
    value |= {(2,): value[()], (1, 2): value[1,]}
    shares = [part["mean"] for part in whatif_answer(snapshot, plan(launch, cheaper, twice))["waterfall"]["parts"]]
    assert shares == pytest.approx(shapley_by_orders(3, value), rel=1e-6)
    with pytest.raises(PlanError, match=r"levers\[1\] brings team 'maps', and acts after levers\[0\]"):
        whatif_answer(snapshot, plan(twice, launch))
