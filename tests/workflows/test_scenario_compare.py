"""Scenarios side by side: the same days, scope and futures for all of them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from forecast.budgets.budget import Budget
from forecast.errors import InputError, OutsideHorizonError, PlanError
from forecast.scenarios.plan import parse_plan
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.scenario_compare import Compared, base_plan, compare_answer
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import shared_snapshot

Q1 = Period(date(2027, 1, 1), date(2027, 4, 1))
BUDGETS = [Budget("ads-q1", Scope.parse("team=ads"), Q1.start, Q1.end, 60_000.0), Budget("later", Scope(), date(2027, 4, 1), date(2027, 7, 1), 1e6)]


def compared(name: str, factor: float, scope: str = "team=ads", **plan: Any) -> Compared:
    days = {"start": "2027-01-01", "end": "2027-04-01"} | plan
    return Compared(name, parse_plan({**days, "levers": [{"type": "scale_usage", "scope": scope, "factor": factor}]}), name.title(), 1)


def test_each_scenario_says_what_it_says_alone() -> None:
    plans = [compared("double", 2.0), compared("half", 0.5), base_plan(Q1, Scope())]
    answer = compare_answer(shared_snapshot(), plans, BUDGETS)
    for one, told in zip(plans, answer["scenarios"], strict=True):
        alone = whatif_answer(shared_snapshot(), one.plan, BUDGETS[:1])
        assert told["scenario"] == alone["scenario"]
        assert told["delta"] == alone["delta"]
        assert told["budgets"] == alone["budgets"]
        assert answer["baseline"] == alone["baseline"]
    assert [told["id"] for told in answer["scenarios"]] == ["double", "half", "base"]
    assert answer["scenarios"][2]["scenario"] == answer["baseline"]
    assert answer["best"] == {"mean": "half", "p90": "half", "budgets": {"ads-q1": "half"}}
    assert answer["scenarios"][0]["against_first"] == {"mean": 0.0, "p10": 0.0, "p50": 0.0, "p90": 0.0, "probability_cheaper": 0.0}
    half = answer["scenarios"][1]["against_first"]
    assert half["mean"] == pytest.approx(answer["scenarios"][1]["scenario"]["mean"] - answer["scenarios"][0]["scenario"]["mean"], rel=1e-9)
    assert half["probability_cheaper"] == 1.0
    # Future by future half is double less 1.5 times what there is: far tighter than the two totals are.
    ads = whatif_answer(shared_snapshot(), {"start": "2027-01-01", "end": "2027-04-01", "scope": "team=ads"})["baseline"]
    assert half["p10"] == pytest.approx(-1.5 * ads["p90"], rel=1e-4)
    assert [told["probability_least"] for told in answer["scenarios"]] == [0.0, 1.0, 0.0]
    rows = {row["group"]["team"]: row for row in answer["rows"]}
    assert rows["ads"]["scenarios"]["double"]["mean"] == pytest.approx(2 * rows["ads"]["baseline"]["mean"], rel=1e-6)
    assert rows["search"]["scenarios"]["double"]["delta"] == 0.0


def test_all_are_brought_to_the_days_and_the_scope_that_are_asked_for() -> None:
    february = compared("february", 3.0, start="2027-02-01", end="2027-03-01", scope="team=ads")
    answer = compare_answer(shared_snapshot(), [compared("double", 2.0), february], scope=Scope.parse("team=ads"))
    assert (answer["start"], answer["end"], answer["scope"]) == ("2027-01-01", "2027-04-01", "team=ads")
    told = answer["scenarios"][1]
    assert told["delta"]["mean"] == pytest.approx(whatif_answer(shared_snapshot(), february.plan)["delta"]["mean"], rel=1e-9)
    assert any("its own days are 2027-02-01..2027-03-01" in text for text in told["notes"])
    march = compare_answer(shared_snapshot(), [compared("double", 2.0), february], period=Period(date(2027, 3, 1), date(2027, 4, 1)))
    assert march["scenarios"][1]["delta"] == {"mean": 0.0, "p10": 0.0, "p50": 0.0, "p90": 0.0}
    assert any("act on none of these days" in text for text in march["warnings"])


def test_scenarios_that_are_equally_cheap_share_being_the_cheapest() -> None:
    answer = compare_answer(shared_snapshot(), [compared("one", 1.0), base_plan(Q1, Scope()), compared("double", 2.0)])
    assert [told["probability_least"] for told in answer["scenarios"]] == [0.5, 0.5, 0.0]


def test_eleven_beside_the_first_are_refused_and_a_plan_that_cannot_be_carried_out_is_named() -> None:
    with pytest.raises(PlanError, match="12 scenarios") as caught:
        compare_answer(shared_snapshot(), [compared(f"s{number}", 1.0) for number in range(12)])
    assert caught.value.field == "compare_to"
    assert len(compare_answer(shared_snapshot(), [compared(f"s{number}", 1.0 + number) for number in range(11)])["scenarios"]) == 11
    with pytest.raises(InputError, match=r"scenario typo: levers\[0\]\.scope.*nearest: ads"):
        compare_answer(shared_snapshot(), [compared("double", 2.0), compared("typo", 2.0, scope="team=adz")])
    with pytest.raises(OutsideHorizonError, match="scenario far: "):
        compare_answer(shared_snapshot(), [compared("far", 2.0, start="2031-01-01", end="2031-04-01")])
