"""Overrun answers: against a loop over every day of every path, the promises of the probability, and a budget in every state."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.budget import Budget, Phase
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, InputError, OutsideHorizonError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import AD_HOC, budget_totals, overrun_answer, overrun_answers
from forecast.workflows.readings import read_scope
from tests.oracles.overruns import slow_overrun
from tests.snapshots_for_tests import CUTOFF, make_snapshot, shared_snapshot

ADS = Scope.parse("team=ads")
SCOPES = ("", "team=ads", "provider=openai,team=search", "team=ads|search,stage!=dev", "service=Amazon EC2,team=research,stage=dev")
RATES = Rates.of([DatedRate("EUR", "USD", CUTOFF - timedelta(days=3), Decimal("1.25"), "central bank")])


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


@cache
def small() -> Snapshot:
    """A snapshot whose last days are not fully billed, and which is small enough for loops."""
    made = make_snapshot(n_paths=20, history_days=70, daily=50, months=5, with_detector=False)
    rng = np.random.default_rng(5)
    owed = made.leaf_history[:, -6:, None] * rng.uniform(-0.1, 0.6, (len(made.leaf_history), 6, 20))
    return replace(made, pending=owed.astype(np.float32))


def budget(scope: Scope, period: Period, amount: float, **more: Any) -> Budget:
    return Budget(AD_HOC, scope, period.start, period.end, amount, **more)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    """Budgets that `small` can see: any scope and days, amounts around what will be spent, with and without phases."""
    scope = Scope.parse(draw(st.sampled_from(SCOPES)))
    first = small().first_day + timedelta(days=draw(st.integers(0, 130)))
    days = Period(first, first + timedelta(days=draw(st.integers(1, 80))))
    mean = float(read_scope(small(), scope, days).totals().mean())
    cuts = sorted(draw(st.sets(st.integers(1, days.days - 1), max_size=3))) if days.days > 1 else []
    if not draw(st.booleans()):
        # Never the very total of days that are over: which side of it a sum comes to rest on is a matter of rounding.
        return budget(scope, days, mean * draw(st.floats(0.5, 1.5)) + 0.0137)
    shares = draw(st.lists(st.floats(0.0, 1.0), min_size=len(cuts) + 1, max_size=len(cuts) + 1))
    phases = tuple(Phase(first + timedelta(days=cut), mean * share + 0.01) for cut, share in zip([0, *cuts], shares, strict=True))
    return budget(scope, days, sum(phase.amount for phase in phases), phases=phases)


def close(name: str, expected: Any, size: float) -> Any:
    """What is equal to a figure but for rounding: paths of ready nodes are kept in single precision."""
    if not isinstance(expected, float):
        return expected
    return pytest.approx(expected, rel=1e-6, abs=1e-9 if "probability" in name or name == "burn_ratio" else 1e-6 * size)


@settings(max_examples=60, deadline=None)
@given(budgets())
def test_answer_is_what_a_loop_over_every_day_of_every_path_finds(asked: Budget) -> None:
    answer, slow = overrun_answer(small(), asked), slow_overrun(small(), asked)
    answer["mean"] = answer["total"]["mean"]
    phases = slow.pop("phases")
    for name, expected in slow.items():
        assert answer[name] == close(name, expected, slow["mean"]), name
    assert len(answer["phases"]) == len(phases)
    for found, expected in zip(answer["phases"], phases, strict=True):
        for name, value in expected.items():
            assert found[name] == close(name, value, slow["mean"]), name


@settings(max_examples=10, deadline=None)
@given(st.lists(budgets(), min_size=1, max_size=12))
def test_many_at_once_are_answered_as_one_by_one(asked: list[Budget]) -> None:
    assert overrun_answers(small(), asked) == [overrun_answer(small(), one) for one in asked]


def test_scopes_finer_than_a_leaf_are_read_together_and_answered_as_alone(snapshot: Snapshot) -> None:
    scopes = ("ai_model=haiku", "ai_model=opus", "ai_model=gpt-large", "ai_model=llama", "region=eu-west", "stage=prod,tenant=tenant-1")
    periods = ("2026-Q4", "2027-Q1", "2026-08", "2026-11-20..2027-02-10")
    asked = [budget(Scope.parse(scope), parse_period(period), 5e4) for period in periods for scope in scopes]
    found = overrun_answers(snapshot, asked)
    for one, answer in zip(asked, found, strict=True):
        assert answer == overrun_answer(snapshot, one)
        assert answer["derived"] == "share"
    json.dumps(found, allow_nan=False)


def test_budgets_without_an_answer_stand_in_their_place(snapshot: Snapshot) -> None:
    days = parse_period("2027-Q1")
    asked = [
        budget(ADS, days, 1e5),
        budget(Scope.parse("team=nobody"), days, 1e5),
        budget(ADS, parse_period("2030"), 1e5),
        budget(ADS, days, 1e5, currency="EUR"),
        budget(ADS, days, 1e5, cost="billed"),
        budget(Scope.parse("ai_model=nothing"), days, 1e5),
    ]
    found = overrun_answers(snapshot, asked)
    assert isinstance(found[0], dict)
    assert [type(answer) for answer in found[1:]] == [UnknownScopeError, OutsideHorizonError, BudgetError, BudgetError, UnknownScopeError]
    totals = budget_totals(snapshot, asked)
    assert [one.error is None for one in totals] == [True, False, False, False, False, False]
    with pytest.raises(UnknownScopeError):
        totals[1].checked()


def test_totals_of_several_budgets_are_joint(snapshot: Snapshot) -> None:
    days = parse_period("2027-Q1")
    parts = [budget(Scope.parse(f"team={team}"), days, 1.0) for team in ("ads", "search", "research")]
    *found, whole = budget_totals(snapshot, [*parts, budget(Scope(), days, 1.0)])
    np.testing.assert_allclose(sum(one.totals for one in found), whole.totals, rtol=1e-6)


def test_probability_falls_with_the_amount_and_agrees_with_the_forecast(snapshot: Snapshot) -> None:
    period = parse_period("2027-Q1")
    total = forecast_answer(snapshot, scope=ADS, period=period)["total"]
    answers = [overrun_answer(snapshot, budget(ADS, period, amount)) for amount in np.linspace(0.8, 1.2, 9) * total["mean"]]
    probabilities = [answer["overrun_probability"] for answer in answers]
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] == 1.0
    assert probabilities[-1] == 0.0
    at_p90 = overrun_answer(snapshot, budget(ADS, period, total["p90"]))
    assert at_p90["overrun_probability"] == pytest.approx(0.1, abs=0.01)
    assert at_p90["total"] == {**at_p90["total"], **{name: total[name] for name in ("mean", "p10", "p50", "p90")}}
    assert at_p90["budget_at_risk"]["p90"] == pytest.approx(0.0, abs=1e-6)
    assert at_p90["budget_at_risk"]["p95"] == pytest.approx(np.quantile(read_scope(snapshot, ADS, period).totals(), 0.95) - total["p90"])


@pytest.mark.parametrize(("amount", "probability"), [(1.0, 1.0), (1e9, 0.0)])
def test_period_that_is_over_is_certain(snapshot: Snapshot, amount: float, probability: float) -> None:
    answer = overrun_answer(snapshot, budget(ADS, parse_period("2026-10"), amount))
    assert (answer["status"], answer["overrun_probability"], answer["standard_error"]) == ("over", probability, 0.0)
    assert answer["run_rate"] == pytest.approx(answer["spent"])
    assert answer["daily_allowance"] is None
    assert answer["exhaustion_day"]["p50"] == ("2026-10-01" if probability else None)
    assert answer["state"] == ("act" if probability else "ok")


def test_status_burn_ratio_and_run_rate(snapshot: Snapshot) -> None:
    ahead = overrun_answer(snapshot, budget(ADS, parse_period("2027-Q1"), 1e5))
    assert (ahead["status"], ahead["spent"], ahead["burn_ratio"], ahead["daily_allowance"]) == ("ahead", 0.0, None, 1e5 / 90)
    running = overrun_answer(snapshot, budget(ADS, parse_period("2026-Q4"), 1e5))
    history = snapshot.scope_history(ADS)
    assert running["status"] == "running"
    assert running["burn_ratio"] == pytest.approx((running["spent"] / 1e5) / (71 / 92))
    assert running["run_rate"] == pytest.approx(running["spent"] + history[-28:].mean() * 21)
    assert running["daily_allowance"] == pytest.approx(max(1e5 - running["spent"], 0.0) / 21)


def test_days_that_are_not_fully_billed_are_provisional() -> None:
    made = small()
    days = Period(CUTOFF - timedelta(days=20), CUTOFF + timedelta(days=10))
    answer = overrun_answer(made, budget(ADS, days, 1e4))
    billed = made.scope_history(ADS)[-21:]
    assert answer["spent_provisional"] == pytest.approx(billed[-6:].sum())
    assert answer["spent_settled"] == pytest.approx(billed[:-6].sum())
    assert answer["spent_settled"] + answer["spent_provisional"] == pytest.approx(answer["spent"])
    assert answer["pending"]["mean"] > 0.0
    assert overrun_answer(shared_snapshot(), budget(ADS, days, 1e4))["spent_provisional"] == 0.0


def test_amount_that_was_used_up_before_a_bill_was_corrected_was_used_up() -> None:
    made = small()
    owed = np.zeros((len(made.leaf_history), 1, made.n_paths), dtype=np.float32)
    owed[:] = -2.0 * made.leaf_history[:, -1:, None]  # the last day will turn out as a refund
    days = Period(CUTOFF - timedelta(days=4), CUTOFF + timedelta(days=1))
    billed = made.scope_history(ADS)[-5:]
    before, after = billed[:-1].sum(), billed[:-1].sum() - billed[-1]
    answer = overrun_answer(replace(made, pending=owed), budget(ADS, days, (before + after) / 2))
    assert answer["overrun_probability"] == 0.0
    assert answer["probability_exhausted"] == 1.0
    assert answer["exhaustion_day"]["p50"] == str(CUTOFF - timedelta(days=1))


def test_state_is_what_its_thresholds_say(snapshot: Snapshot) -> None:
    days = parse_period("2026-Q4")
    answer = overrun_answer(snapshot, budget(ADS, days, 1e5))
    assert [one["threshold"] for one in answer["thresholds"]] == ["probability>=30%:warn", "probability>=60%:act"]
    own = tuple(Threshold.parse(text) for text in ("actual>=50%:act", "forecast>=2000000", "exhaustion<2027-01-01"))
    judged = overrun_answer(snapshot, budget(ADS, days, 1e5, thresholds=own))
    assert judged["state"] == "act"
    assert [one["reached"] for one in judged["thresholds"]] == [True, False, judged["exhaustion_day"]["p50"] is not None]
    assert judged["thresholds"][0]["value"] == pytest.approx(judged["spent"])


def test_amount_in_another_currency_is_converted_and_says_how(snapshot: Snapshot) -> None:
    days = parse_period("2027-Q1")
    phases = (Phase(days.start, 30_000.0), Phase(date(2027, 2, 1), 50_000.0))
    euros = budget(ADS, days, 80_000.0, currency="EUR", phases=phases, thresholds=(Threshold.parse("forecast>=80000"),))
    answer = overrun_answer(snapshot, euros, rates=RATES)
    plain = overrun_answer(snapshot, budget(ADS, days, 100_000.0))
    assert answer["converted"] == {
        "from": "EUR",
        "to": "USD",
        "amount": 80_000.0,
        "rate": "1.25",
        "day": str(CUTOFF - timedelta(days=3)),
        "source": "central bank",
        "way": "quoted",
    }
    for name in ("amount", "currency", "overrun_probability", "expected_overrun", "total", "exhaustion_day", "daily_allowance"):
        assert answer[name] == plain[name], name
    assert [phase["amount"] for phase in answer["phases"]] == [37_500.0, 62_500.0]
    (threshold,) = answer["thresholds"]
    assert threshold["value"] == pytest.approx(answer["total"]["mean"] / 1.25)
    assert threshold["reached"] == (answer["total"]["mean"] >= 100_000.0)


def test_thresholds_are_in_the_budgets_own_currency(snapshot: Snapshot) -> None:
    own = tuple(Threshold.parse(text) for text in ("actual>=1", "forecast>=1"))
    answer = overrun_answer(snapshot, budget(ADS, parse_period("2026-Q4"), 80_000.0, currency="EUR", thresholds=own), rates=RATES)
    assert [one["value"] for one in answer["thresholds"]] == pytest.approx([answer["spent"] / 1.25, answer["total"]["mean"] / 1.25])


@pytest.mark.parametrize(
    ("currency", "rates", "told"),
    [
        ("EUR", None, "no table of rates"),
        ("GBP", RATES, "GBP→USD"),
        ("EUR", Rates.of([DatedRate("EUR", "USD", date(2026, 1, 1), Decimal("1.1"))]), "newest is 2026-01-01"),
        ("EUR", Rates.of([DatedRate("EUR", "USD", CUTOFF + timedelta(days=1), Decimal("1.1"))]), "the first of EUR→USD"),
        ("XXQ", RATES, "not a currency"),
    ],
)
def test_currency_without_a_rate_is_an_error_that_says_how_to_give_one(snapshot: Snapshot, currency: str, rates: Rates | None, told: str) -> None:
    with pytest.raises(BudgetError, match=told) as caught:
        overrun_answer(snapshot, budget(ADS, parse_period("2027-Q1"), 1e5, currency=currency), rates=rates)
    assert caught.value.field == "currency"
    assert "rates.csv" in str(caught.value.allowed)


def test_budget_that_repeats_is_answered_for_the_occurrence_that_is_running(snapshot: Snapshot) -> None:
    monthly = budget(ADS, parse_period("2026-09"), 35_000.0, repeats="month")
    assert overrun_answer(snapshot, monthly)["start"] == "2026-12-01"
    later = overrun_answer(snapshot, monthly, at=date(2027, 2, 14))
    assert (later["start"], later["end"], later["status"]) == ("2027-02-01", "2027-03-01", "ahead")
    assert overrun_answer(snapshot, monthly, at=date(2020, 1, 1))["start"] == "2026-09-01"
    assert overrun_answer(snapshot, monthly, at=date(2026, 10, 31))["status"] == "over"
    with pytest.raises(OutsideHorizonError, match="horizon ends on"):
        overrun_answer(snapshot, monthly, at=date(2031, 1, 1))
    fiscal = budget(ADS, Period(date(2026, 8, 1), date(2026, 11, 1)), 1e5, repeats="quarter")
    assert overrun_answer(snapshot, fiscal, calendar=FiscalCalendar(2))["start"] == "2026-11-01"


def test_stored_budget_says_whose_it_is(snapshot: Snapshot) -> None:
    days = parse_period("2027-Q1")
    stored = Budget("ads-q1", ADS, days.start, days.end, 1e5, name="Ads", owner="ads-leads", parent="company")
    answer = overrun_answer(snapshot, stored)
    expected = {"budget_id": "ads-q1", "name": "Ads", "owner": "ads-leads", "kind": "budget", "parent": "company", "repeats": None}
    assert {name: answer[name] for name in expected} == expected
    assert {name: value for name, value in answer.items() if name not in expected} == overrun_answer(snapshot, replace(stored, id=AD_HOC))


def test_balance_says_what_will_be_left_also_in_its_unit(snapshot: Snapshot) -> None:
    days = parse_period("2026-Q4")
    credits = budget(ADS, days, 60_000.0, kind="balance", unit="credits", unit_price=2.0)
    answer = overrun_answer(snapshot, credits)
    totals = read_scope(snapshot, ADS, days).totals()
    assert answer["amount"] == 120_000.0
    assert answer["overrun_probability"] == float(np.mean(totals > 120_000.0))
    assert answer["balance"]["unused"]["mean"] == pytest.approx(np.maximum(120_000.0 - totals, 0.0).mean())
    assert answer["balance"]["units"]["unused"]["mean"] == pytest.approx(answer["balance"]["unused"]["mean"] / 2.0)
    assert [row["day"] for row in answer["balance"]["over_time"]] == ["2026-11-01", "2026-12-01", "2027-01-01"]
    assert "balance" not in overrun_answer(snapshot, budget(ADS, days, 60_000.0))


def test_company_days_of_another_time_zone_add_up_to_the_same_money() -> None:
    days = Period(CUTOFF - timedelta(days=20), CUTOFF + timedelta(days=70))
    utc = overrun_answer(small(), budget(ADS, days, 1e4))
    west = replace(small(), meta={**small().meta, "time_zone": "America/New_York"})
    answer = overrun_answer(west, budget(ADS, days, 1e4))
    assert answer["time_zone"] == "America/New_York"
    assert answer["total"]["mean"] == pytest.approx(utc["total"]["mean"], rel=0.02)
    assert answer["total"]["mean"] != utc["total"]["mean"]
    assert answer["exhaustion_day"]["p50"] is not None


@pytest.mark.parametrize("amount", [0.0, -5.0, float("nan"), float("inf"), True])
def test_amount_that_is_not_money_is_refused(amount: float) -> None:
    with pytest.raises(BudgetError) as caught:
        budget(ADS, parse_period("2027-Q1"), amount)
    assert caught.value.field == "amount"


@pytest.mark.parametrize("period", ["2030", "2028-06-01..2028-09-01", "2027-01-01..2029-01-01"])
def test_period_beyond_the_horizon_says_how_far_it_sees(snapshot: Snapshot, period: str) -> None:
    with pytest.raises(OutsideHorizonError, match=f"horizon ends on {snapshot.horizon_end}") as caught:
        overrun_answer(snapshot, budget(ADS, parse_period(period), 1.0))
    assert str(snapshot.horizon_end) in str(caught.value.allowed)


def test_period_before_the_first_spend_says_when_it_was(snapshot: Snapshot) -> None:
    with pytest.raises(InputError, match=f"first day of spend {snapshot.first_day}"):
        overrun_answer(snapshot, budget(ADS, parse_period("2020"), 1.0))


def test_snapshot_of_the_other_cost_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(BudgetError, match="counts billed cost") as caught:
        overrun_answer(snapshot, budget(ADS, parse_period("2027-Q1"), 1e5, cost="billed"))
    assert (caught.value.field, caught.value.allowed) == ("cost", "effective")
