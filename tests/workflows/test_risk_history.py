"""The history of a budget's risk: what each training said, as it was said then."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from forecast.budgets.budget import Budget
from forecast.budgets.risk_history import BudgetRisk
from forecast.snapshot import Snapshot
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.scope import Scope
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.risk_history import SETTLED_DAYS, budget_risks, history_answer
from tests.snapshots_for_tests import CUTOFF, make_snapshot, shared_snapshot

NOW = datetime(2026, 12, 11, 6, tzinfo=UTC)
DECEMBER = Budget("ads-dec", Scope.parse("team=ads"), date(2026, 12, 1), date(2027, 1, 1), 37_000.0, owner="Ada")


def risk_of(snapshot: Snapshot, now: datetime = NOW) -> BudgetRisk:
    (risk,), _ = budget_risks(snapshot, [DECEMBER], now=now)
    return risk


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


@pytest.fixture(scope="module")
def later() -> Snapshot:
    return make_snapshot(n_paths=100, cutoff=CUTOFF + timedelta(days=7), history_days=207, with_detector=False)


def test_row_is_what_the_overrun_answer_says(snapshot: Snapshot) -> None:
    risk, answer = risk_of(snapshot), overrun_answer(snapshot, DECEMBER)
    assert (risk.budget_id, risk.snapshot_id, risk.cutoff, risk.computed_at) == ("ads-dec", snapshot.id, snapshot.cutoff, NOW)
    assert (risk.start, risk.end, risk.amount, risk.currency) == (DECEMBER.start, DECEMBER.end, 37_000.0, "USD")
    assert (risk.mean, risk.p10, risk.p50, risk.p90) == tuple(answer["total"][name] for name in ("mean", "p10", "p50", "p90"))
    for name in ("spent", "overrun_probability", "expected_overrun", "state"):
        assert getattr(risk, name) == answer[name]


def test_budget_that_cannot_be_answered_is_a_note_and_silences_no_other(snapshot: Snapshot) -> None:
    nobody = replace(DECEMBER, id="nobody", scope=Scope.parse("team=nobody"))
    beyond = replace(DECEMBER, id="beyond", end=date(2035, 1, 1))
    euros = replace(DECEMBER, id="euros", currency="EUR")
    risks, notes = budget_risks(snapshot, [nobody, DECEMBER, beyond, euros], now=NOW)
    assert [risk.budget_id for risk in risks] == ["ads-dec"]
    assert len(notes) == 3
    for note, name in zip(notes, ("nobody", "beyond", "euros"), strict=True):
        assert f"budget {name} " in note


def test_budgets_that_are_none_of_a_snapshots_business_are_left_out_without_a_word(snapshot: Snapshot) -> None:
    settled = replace(DECEMBER, id="settled", start=date(2026, 9, 1), end=CUTOFF - timedelta(days=SETTLED_DAYS))
    just_over = replace(DECEMBER, id="just-over", start=date(2026, 11, 1), end=date(2026, 12, 1))
    cash = replace(DECEMBER, id="cash", cost="billed")
    far = replace(DECEMBER, id="far", start=date(2040, 1, 1), end=date(2041, 1, 1))
    unbilled = replace(DECEMBER, id="unbilled", kind="experiment", scope=Scope.parse("workload=brand-new"))
    risks, notes = budget_risks(snapshot, [settled, just_over, cash, far, unbilled], now=NOW)
    assert ([risk.budget_id for risk in risks], notes) == (["just-over"], [])
    assert risks[0].overrun_probability in {0.0, 1.0}


def test_history_is_in_order_of_cutoffs_and_says_what_moved(snapshot: Snapshot, later: Snapshot) -> None:
    stored = [risk_of(later, NOW + timedelta(days=7)), risk_of(snapshot)]
    answer = history_answer(DECEMBER, stored, now=NOW)
    first, second = answer["history"]
    assert [first["cutoff"], second["cutoff"]] == ["2026-12-10", "2026-12-17"]
    assert first["change"] is None
    assert second["change"]["mean"] == pytest.approx(second["mean"] - first["mean"])
    assert second["change"]["overrun_probability"] == pytest.approx(second["overrun_probability"] - first["overrun_probability"])
    assert (answer["owner"], answer["scope"], answer["notes"]) == ("Ada", "team=ads", [])
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def test_stored_row_stays_as_it_was_said_though_the_budget_has_changed(snapshot: Snapshot) -> None:
    stored = [risk_of(snapshot)]
    raised = replace(DECEMBER, amount=80_000.0)
    row = history_answer(raised, stored, [snapshot], now=NOW)["history"][0]
    assert (row["amount"], row["stored"]) == (37_000.0, True)


def test_kept_snapshot_without_a_row_is_asked_now_and_says_so(snapshot: Snapshot, later: Snapshot) -> None:
    stored = [risk_of(later)]
    answer = history_answer(DECEMBER, stored, [later, snapshot], now=NOW + timedelta(days=30))
    assert [(row["cutoff"], row["stored"]) for row in answer["history"]] == [("2026-12-10", False), ("2026-12-17", True)]
    since = history_answer(DECEMBER, stored, [later, snapshot], now=NOW, since=date(2026, 12, 12))
    assert [row["cutoff"] for row in since["history"]] == ["2026-12-17"]
    assert history_answer(replace(DECEMBER, scope=Scope.parse("team=nobody")), [], [snapshot], now=NOW)["notes"]


def test_changes_are_within_one_occurrence_of_a_budget_that_repeats(snapshot: Snapshot) -> None:
    december = risk_of(snapshot)
    january = replace(december, snapshot_id="0" * 64, cutoff=date(2026, 12, 31), start=date(2027, 1, 1), end=date(2027, 2, 1))
    again = replace(january, snapshot_id="1" * 64, cutoff=date(2027, 1, 7), mean=january.mean + 5.0)
    history = history_answer(DECEMBER, [december, january, again], now=NOW)["history"]
    assert [row["change"] and row["change"]["mean"] for row in history] == [None, None, pytest.approx(5.0)]


def test_budget_that_repeats_has_the_row_of_the_days_to_come(snapshot: Snapshot) -> None:
    monthly = replace(DECEMBER, start=date(2026, 7, 1), end=date(2026, 8, 1), repeats="month")
    (risk,), _ = budget_risks(snapshot, [monthly], now=NOW)
    assert (risk.start, risk.end) == (DECEMBER.start, DECEMBER.end)
    quarterly = replace(DECEMBER, start=date(2026, 7, 1), end=date(2026, 10, 1), repeats="quarter")
    (in_february,), _ = budget_risks(snapshot, [quarterly], now=NOW, calendar=FiscalCalendar(2))
    assert (in_february.start, in_february.end) == (date(2026, 11, 1), date(2027, 2, 1))
