"""A saved scenario over time: what it says, what changed since, and the plan beside what happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from forecast.adapters.snapshots import PrunedPaths
from forecast.budgets.budget import Budget
from forecast.errors import InputError, NotFoundError, PlanError
from forecast.scenarios.saved import SavedScenario, ScenarioRun
from forecast.snapshot import Snapshot
from forecast.spend.fiscal import CALENDAR_YEAR
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.readings import read_scope
from forecast.workflows.scenario_actual import actual_answer
from forecast.workflows.scenario_changes import changes_answer
from forecast.workflows.scenario_runs import earlier_run, on_days, run_scenario, saved_plan, scenario_answer, touched_budgets
from tests.snapshots_for_tests import make_snapshot, shared_snapshot

NOW = datetime(2026, 12, 11, 6, 30, tzinfo=UTC)
LATER = date(2027, 2, 14)
PLAN: dict[str, Any] = {
    "start": "2027-01-01",
    "end": "2027-04-01",
    "levers": [
        {"type": "scale_usage", "name": "traffic", "scope": "team=ads", "factor": 2.0, "from": "2027-01-15"},
        {"type": "change_price", "name": "discount", "scope": "provider=openai", "factor": 0.9},
    ],
}
BUDGETS = [Budget("ads-q1", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 100_000.0)]


def saved(plan: dict[str, Any] = PLAN, **changes: Any) -> SavedScenario:
    return replace(SavedScenario("growth", 3, 3, "", plan, "ada", "", NOW, NOW), **changes)


@cache
def newer() -> Snapshot:
    """Made 66 days later, on bills of those days."""
    return make_snapshot(seed=1, cutoff=LATER, history_days=266)


def pruned(snapshot: Snapshot) -> Snapshot:
    paths: Any = PrunedPaths(snapshot.id, snapshot.leaf_paths.shape)
    nodes: Any = PrunedPaths(snapshot.id, snapshot.node_paths.shape)
    return replace(snapshot, leaf_paths=paths, node_paths=nodes)


def first_run(plan: dict[str, Any] = PLAN) -> ScenarioRun:
    return run_scenario(shared_snapshot(), saved(plan), BUDGETS, now=NOW)


def test_a_run_keeps_what_the_answer_says_with_its_months() -> None:
    run = first_run()
    whole = scenario_answer(shared_snapshot(), saved_plan(saved()), BUDGETS, ())
    assert (run.snapshot_id, run.version, run.cutoff) == (shared_snapshot().id, 3, shared_snapshot().cutoff)
    assert run.summary["delta"] == {name: whole["delta"][name] for name in ("mean", "p10", "p50", "p90")}
    months = run.summary["months"]
    assert [(month["start"], month["end"]) for month in months] == [
        ("2027-01-01", "2027-02-01"),
        ("2027-02-01", "2027-03-01"),
        ("2027-03-01", "2027-04-01"),
    ]
    assert sum(month["delta"]["mean"] for month in months) == pytest.approx(whole["delta"]["mean"], rel=1e-9)
    assert [lever["name"] for lever in run.summary["levers"]] == ["traffic", "discount"]
    assert run.summary["budgets"][0]["overrun_probability_after"] == whole["budgets"][0]["overrun_probability_after"]


def test_a_plan_that_cannot_be_run_names_scenario_and_version() -> None:
    with pytest.raises(PlanError, match="scenario growth version 3: levers\\[0\\]"):
        saved_plan(saved({**PLAN, "levers": [{"type": "scale_usage", "factor": -1}]}))


def test_budgets_are_those_that_share_days_with_the_plan_and_that_the_snapshot_sees() -> None:
    period = Period(date(2027, 1, 1), date(2027, 4, 1))
    other = [
        replace(BUDGETS[0], id="later", start=date(2027, 4, 1), end=date(2027, 7, 1)),
        replace(BUDGETS[0], id="far", end=date(2035, 1, 1)),
        replace(BUDGETS[0], id="old", start=date(2020, 1, 1)),
    ]
    assert [budget.id for budget in touched_budgets(shared_snapshot(), [*BUDGETS, *other], period, CALENDAR_YEAR)] == ["ads-q1"]


def test_the_earlier_run_is_the_first_or_the_one_on_a_named_snapshot() -> None:
    runs = [first_run(), replace(first_run(), snapshot_id="ab" * 32)]
    assert earlier_run(saved(), runs, None) is runs[0]
    assert earlier_run(saved(), runs, "abababab") is runs[1]
    assert earlier_run(saved(), runs, "cdcdcdcd") is None
    with pytest.raises(NotFoundError, match="was never run"):
        earlier_run(saved(), [], None)


def test_levers_keep_their_days_and_ramps_on_fewer_days() -> None:
    plan = saved_plan(saved())
    cut = on_days(plan, Period(date(2027, 1, 1), date(2027, 1, 10)))
    assert [lever.name for lever in cut.levers] == ["discount"]
    assert cut.levers[0] == plan.levers[1]


def test_changes_tell_days_that_went_by_from_a_forecast_that_changed() -> None:
    answer, after = changes_answer(saved(), first_run(), newer(), BUDGETS, now=NOW, older=shared_snapshot())
    assert (after.snapshot_id, after.version) == (newer().id, 3)
    assert answer["before"]["delta"] == first_run().summary["delta"]
    assert answer["after"]["delta"] == after.summary["delta"]
    for name in ("baseline", "scenario", "delta"):
        for figure in ("mean", "p10", "p50", "p90"):
            assert answer["change"][name][figure] == after.summary[name][figure] - first_run().summary[name][figure]
    # 1 January to 14 February are over.
    assert answer["days_passed"] == 45
    still = answer["remaining"]
    assert (still["start"], still["end"]) == ("2027-02-15", "2027-04-01")
    rest = scenario_answer(shared_snapshot(), on_days(saved_plan(saved()), Period(date(2027, 2, 15), date(2027, 4, 1))), (), ())
    assert still["before"]["delta"]["mean"] == rest["delta"]["mean"]
    # What is over is not changed any more: all of the new delta lies in the days that are open.
    assert still["after"]["delta"]["mean"] == pytest.approx(after.summary["delta"]["mean"], rel=1e-9)
    assert [lever["name"] for lever in answer["levers"]] == ["traffic", "discount"]
    assert answer["budgets"][0]["before"]["overrun_probability_after"] is not None
    assert "45 of its days are over since" in answer["sentence"]


def test_changes_without_the_old_paths_say_so_and_on_the_same_snapshot_nothing_moves() -> None:
    for older in (None, pruned(shared_snapshot())):
        answer, _ = changes_answer(saved(), first_run(), newer(), BUDGETS, now=NOW, older=older)
        assert answer["remaining"] is None
        assert any("not told apart" in text for text in answer["warnings"])
    answer, _ = changes_answer(saved(), first_run(), shared_snapshot(), BUDGETS, now=NOW, older=shared_snapshot())
    assert set(answer["change"]["delta"].values()) == {0.0}
    assert any("nothing can have changed but budgets" in text for text in answer["warnings"])
    with pytest.raises(InputError, match="billed cost"):
        changes_answer(saved(), replace(first_run(), cost="billed"), newer(), now=NOW)


def test_the_bill_beside_the_plan_is_the_history_of_exactly_the_days_that_went_by() -> None:
    answer = actual_answer(saved(), first_run(), newer(), older=shared_snapshot())
    assert (answer["start"], answer["end"]) == ("2027-01-01", "2027-02-15")
    assert not answer["is_over"]
    days = (newer().history_ds >= np.datetime64("2027-01-01")) & (newer().history_ds < np.datetime64("2027-02-15"))
    assert answer["actual"]["cost"] == pytest.approx(newer().leaf_history[:, days].sum(), rel=1e-9)
    period = Period(date(2027, 1, 1), date(2027, 2, 15))
    assert answer["baseline"]["mean"] == pytest.approx(read_scope(shared_snapshot(), Scope(), period).totals().mean(), rel=1e-9)
    assert answer["effect"]["mean"] == answer["actual"]["cost"] - answer["baseline"]["mean"]
    assert answer["effect"]["p10"] == answer["actual"]["cost"] - answer["baseline"]["p90"]
    teams = {row["group"]["team"]: row for row in answer["rows"]}
    assert sum(row["actual"]["cost"] for row in teams.values()) == pytest.approx(answer["actual"]["cost"], rel=1e-9)
    mask = newer().hierarchy.leaf_mask(Scope.parse("team=ads"))
    assert teams["ads"]["actual"]["cost"] == pytest.approx(newer().leaf_history[mask][:, days].sum(), rel=1e-9)
    lever = answer["levers"][0]
    assert (lever["name"], lever["start"], lever["end"]) == ("traffic", "2027-01-15", "2027-02-15")
    assert lever["scenario"]["mean"] == pytest.approx(2 * lever["baseline"]["mean"], rel=0.2)


def test_a_plan_that_came_true_is_told_from_one_that_did_not() -> None:
    doubled = {**PLAN, "levers": [{"type": "scale_usage", "scope": "team=research", "factor": 4.0}], "scope": "team=research"}
    history = newer().leaf_history.copy()
    mask = newer().hierarchy.leaf_mask(Scope.parse("team=research"))
    then = newer().history_ds >= np.datetime64("2027-01-01")
    went_so = history.copy()
    went_so[np.ix_(mask, then)] *= 4.0
    answers = [
        actual_answer(saved(doubled), first_run(doubled), replace(newer(), leaf_history=bill), older=shared_snapshot()) for bill in (history, went_so)
    ]
    assert [answer["is_telling"] for answer in answers] == [True, True]
    assert answers[0]["realised_share"] == pytest.approx(0.0, abs=0.25)
    assert answers[1]["realised_share"] == pytest.approx(1.0, abs=0.35)
    assert answers[0]["place"]["scenario"] == "below P10"
    assert answers[1]["place"]["baseline"] == "above P90"
    small = {**doubled, "levers": [{"type": "scale_usage", "scope": "team=research", "factor": 1.01}]}
    told = actual_answer(saved(small), first_run(small), newer(), older=shared_snapshot())
    assert told["is_telling"] is False
    assert "cannot tell whether it worked" in told["sentence"]


def test_periods_of_what_happened_add_up_and_a_plan_that_is_over_says_so() -> None:
    late = make_snapshot(seed=2, cutoff=date(2027, 4, 20), history_days=331)
    answer = actual_answer(saved(), first_run(), late, older=shared_snapshot(), group_by=(), granularity="month")
    assert answer["is_over"]
    assert [row["start"] for row in answer["rows"]] == ["2027-01-01", "2027-02-01", "2027-03-01"]
    assert sum(row["actual"]["cost"] for row in answer["rows"]) == pytest.approx(answer["actual"]["cost"], rel=1e-9)
    changed, _ = changes_answer(saved(), first_run(), late, now=NOW, older=shared_snapshot())
    assert changed["remaining"] is None
    assert changed["days_passed"] == 90
    assert any("all days of the plan are over" in text for text in changed["warnings"])


def test_what_happened_is_told_by_ai_model_as_far_as_charge_lines_are_kept() -> None:
    off = {"type": "switch_off", "scope": "ai_model=gpt-large", "from": "2027-01-10"}
    late = {"type": "change_price", "scope": "ai_model=opus", "factor": 0.9, "from": "2027-01-15"}
    plan = {**PLAN, "levers": [off, late], "scope": "ai_model=gpt-large|opus"}
    answer = actual_answer(saved(plan), first_run(plan), newer(), older=shared_snapshot(), group_by=("ai_model",))
    assert sum(row["actual"]["cost"] for row in answer["rows"]) == pytest.approx(answer["actual"]["cost"])
    assert {row["group"]["ai_model"]: row["place"]["scenario"] for row in answer["rows"]}["gpt-large"] == "above P90", "it was never switched off"
    assert [lever["scope"] for lever in answer["levers"]] == ["ai_model=gpt-large", "ai_model=opus"]
    assert any("times recent shares" in text for text in answer["warnings"])
    early = {**plan, "levers": [{**late, "from": "2027-01-02"}]}
    assert actual_answer(saved(early), first_run(early), newer(), older=shared_snapshot())["levers"] == []


def test_without_the_old_paths_whole_months_are_compared_by_what_was_kept() -> None:
    march = make_snapshot(seed=2, cutoff=date(2027, 3, 10), history_days=290)
    for older in (None, pruned(shared_snapshot())):
        answer = actual_answer(saved(), first_run(), march, older=older)
        assert (answer["start"], answer["end"]) == ("2027-01-01", "2027-03-01")
        assert answer["baseline"]["mean"] == pytest.approx(sum(month["baseline"]["mean"] for month in first_run().summary["months"][:2]))
        assert answer["baseline"]["p10"] is None
        assert answer["is_telling"] is None
        assert [row["place"]["scenario"] is not None for row in answer["rows"]] == [True, True]
        assert any("only their means add up" in text for text in answer["warnings"])
    with pytest.raises(PlanError, match="no whole month"):
        actual_answer(saved(), first_run(), make_snapshot(seed=2, cutoff=date(2027, 1, 20), history_days=241), older=None)


def test_a_plan_of_which_nothing_has_happened_says_what_is_needed() -> None:
    with pytest.raises(PlanError, match="no day of the plan") as caught:
        actual_answer(saved(), first_run(), shared_snapshot(), older=shared_snapshot())
    assert "2027-01-01" in str(caught.value.allowed)
    with pytest.raises(PlanError, match="no day of the plan"):
        actual_answer(saved(), first_run(), make_snapshot(cutoff=date(2026, 12, 31) - timedelta(days=1)), older=None)
