"""The quarterly answer for finance."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from forecast.budgets.budget import Budget
from forecast.snapshot import Snapshot
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.quarter import quarter_answer
from tests.snapshots_for_tests import make_snapshot, shared_snapshot

QUARTER = parse_period("2027-Q1")


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def test_it_is_the_next_quarter_by_team_and_means_add_up(snapshot: Snapshot) -> None:
    answer = quarter_answer(snapshot)
    assert (answer["quarter"], answer["start"], answer["end"]) == ("2027-Q1", "2027-01-01", "2027-04-01")
    assert [row["group"] for row in answer["rows"]] == [{"team": "ads"}, {"team": "research"}, {"team": "search"}]
    for name in ("mean", "last_quarter", "last_quarter_actual", "change"):
        assert sum(row[name] for row in answer["rows"]) == pytest.approx(answer["total"][name])
    assert answer["total"]["p90"] < sum(row["p90"] for row in answer["rows"])
    assert any("quantiles do not" in note for note in answer["notes"])
    assert answer["backtest"]["cutoffs"] == 6
    assert (answer["snapshot_id"], answer["cutoff"], answer["currency"], answer["cost"]) == (snapshot.id, "2026-12-10", "USD", "effective")


def test_numbers_are_those_of_the_forecast(snapshot: Snapshot) -> None:
    row = quarter_answer(snapshot)["rows"][0]
    total = forecast_answer(snapshot, scope=Scope.parse("team=ads"), period=QUARTER)["total"]
    last = forecast_answer(snapshot, scope=Scope.parse("team=ads"), period=parse_period("2026-Q4"))
    assert all(row[name] == total[name] for name in ("mean", "p10", "p50", "p90"))
    assert row["last_quarter"] == pytest.approx(last["total"]["mean"])
    assert row["last_quarter_actual"] == last["spent"]
    assert row["last_quarter_over"] is False
    assert "Last quarter (2026-Q4) is not over: its days from 2026-12-11 on count with their mean forecast." in quarter_answer(snapshot)["notes"]
    assert row["change_percent"] == pytest.approx(100 * (total["mean"] / last["total"]["mean"] - 1))


def test_last_quarter_that_is_over_is_all_actual(snapshot: Snapshot) -> None:
    answer = quarter_answer(snapshot, period=parse_period("2026-Q4"))
    row = answer["rows"][0]
    assert answer["last_quarter"] == {"start": "2026-07-01", "end": "2026-10-01", "over": True}
    assert row["last_quarter_over"] is True
    assert not any("is not over" in note for note in answer["notes"])
    assert row["last_quarter"] == pytest.approx(row["last_quarter_actual"])


def test_budget_of_exactly_that_scope_and_quarter_is_beside_it(snapshot: Snapshot) -> None:
    ads = Scope.parse("team=ads")
    budgets = [
        Budget("other-period", ads, date(2027, 1, 1), date(2027, 2, 1), 1.0),
        Budget("other-cost", ads, QUARTER.start, QUARTER.end, 2.0, cost="billed"),
        Budget("ads", ads, QUARTER.start, QUARTER.end, 115_000.0),
        Budget("company", Scope(), QUARTER.start, QUARTER.end, 1e6),
    ]
    answer = quarter_answer(snapshot, budgets=budgets)
    row = answer["rows"][0]
    assert (row["budget_id"], row["budget"]) == ("ads", 115_000.0)
    assert row["overrun_probability"] == overrun_answer(snapshot, Budget("ad-hoc", ads, QUARTER.start, QUARTER.end, 115_000.0))["overrun_probability"]
    assert answer["rows"][1]["budget"] is None
    assert answer["total"]["budget_id"] == "company"


def test_fiscal_quarters_and_other_groups(snapshot: Snapshot) -> None:
    answer = quarter_answer(snapshot, by=("provider", "ai_model"), calendar=FiscalCalendar(2))
    assert (answer["quarter"], answer["start"]) == ("2027-Q1", "2027-02-01") or answer["start"] == "2027-02-01"
    assert answer["derived"] == "share"
    assert sum(row["mean"] for row in answer["rows"]) == pytest.approx(answer["total"]["mean"], rel=1e-6)
    custom = quarter_answer(snapshot, by=(), period=Period(date(2027, 1, 11), date(2027, 1, 21)))
    assert (custom["rows"], custom["quarter"]) == ([], "2027-01-11..2027-01-21")
    assert custom["total"]["last_quarter"] is not None


def test_history_too_short_for_a_last_quarter_says_so() -> None:
    answer = quarter_answer(make_snapshot(n_paths=50, history_days=60, with_detector=False))
    assert answer["total"]["last_quarter"] is None
    assert answer["rows"][0]["change"] is None
    assert any("no last quarter" in note for note in answer["notes"])
    json.dumps(answer, allow_nan=False)


def test_budget_that_repeats_counts_for_the_quarter_it_has_come_to(snapshot: Snapshot) -> None:
    third = Budget("ads", Scope.parse("team=ads"), date(2026, 7, 1), date(2026, 10, 1), 115_000.0, repeats="quarter")
    row = next(row for row in quarter_answer(snapshot, budgets=[third])["rows"] if row["group"] == {"team": "ads"})
    assert (row["budget"], row["budget_id"]) == (115_000.0, "ads")
    assert row["overrun_probability"] == overrun_answer(snapshot, third, at=QUARTER.start)["overrun_probability"]


def test_budget_in_another_currency_is_converted_or_left_out_with_a_note(snapshot: Snapshot) -> None:
    euros = Budget("ads", Scope.parse("team=ads"), QUARTER.start, QUARTER.end, 92_000.0, "EUR")
    rates = Rates.of([DatedRate("EUR", "USD", snapshot.cutoff, Decimal("1.25"))])
    answer = quarter_answer(snapshot, budgets=[euros], rates=rates)
    row = next(row for row in answer["rows"] if row["group"] == {"team": "ads"})
    assert row["budget"] == 115_000.0
    without = quarter_answer(snapshot, budgets=[euros])
    assert all(row["budget"] is None for row in without["rows"])
    assert any("EUR→USD" in note for note in without["notes"])
    assert not any("EUR→USD" in note for note in answer["notes"])
