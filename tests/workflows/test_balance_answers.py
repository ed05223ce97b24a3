"""A balance is burnt down by the same paths as a budget; its answer says what is left and what is lost, in money and in units."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from forecast.budgets.budget import Budget
from forecast.snapshot import Snapshot
from forecast.spend.currency import DatedRate, Rates
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_scope
from tests.snapshots_for_tests import CUTOFF, shared_snapshot

OPENAI = Scope.parse("provider=openai")
FALL = Period(date(2026, 11, 1), date(2027, 2, 1))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def balance(amount: float, **more: object) -> Budget:
    return Budget("credits", OPENAI, FALL.start, FALL.end, amount, kind="balance", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.8, 1.0, 1.3])
def test_balance_and_overrun_agree_path_by_path(snapshot: Snapshot, share: float) -> None:
    totals = read_scope(snapshot, OPENAI, FALL).totals()
    amount = share * float(np.median(totals))
    answer = overrun_answer(snapshot, balance(amount))
    found = answer["balance"]
    left = np.maximum(amount - totals, 0.0)
    assert found["forfeited"] == pytest.approx(left.mean())
    assert [found["unused"][name] for name in ("p10", "p50", "p90")] == pytest.approx(np.quantile(left, [0.1, 0.5, 0.9]).tolist())
    assert found["probability_unused"] == pytest.approx(1.0 - answer["overrun_probability"])
    assert found["forfeited"] - answer["expected_overrun"] == pytest.approx(amount - answer["total"]["mean"])
    assert found["remaining"]["mean"] == pytest.approx(max(amount - answer["spent"], 0.0))
    json.dumps(answer, allow_nan=False)


def test_balance_is_used_up_on_the_day_a_budget_would_be(snapshot: Snapshot) -> None:
    amount = 0.9 * float(np.median(read_scope(snapshot, OPENAI, FALL).totals()))
    as_balance = overrun_answer(snapshot, balance(amount))
    as_budget = overrun_answer(snapshot, Budget("credits", OPENAI, FALL.start, FALL.end, amount))
    assert as_balance["exhaustion_day"] == as_budget["exhaustion_day"]
    assert as_balance["exhaustion_day"]["p50"] is not None
    assert "balance" not in as_budget


def test_what_is_left_when_each_month_ends_goes_down_to_what_is_unused(snapshot: Snapshot) -> None:
    amount = 1.3 * float(np.median(read_scope(snapshot, OPENAI, FALL).totals()))
    found = overrun_answer(snapshot, balance(amount))["balance"]
    rows = found["over_time"]
    assert [row["day"] for row in rows] == ["2026-12-01", "2027-01-01", "2027-02-01"]
    november = read_scope(snapshot, OPENAI, Period(date(2026, 11, 1), date(2026, 12, 1)))
    assert rows[0]["p10"] == rows[0]["p90"] == pytest.approx(amount - november.spent)  # it is over and settled
    assert rows[2]["mean"] == pytest.approx(found["unused"]["mean"])
    assert rows[0]["mean"] > rows[1]["mean"] > rows[2]["mean"]


def test_virtual_currency_is_counted_in_its_units_and_judged_in_money(snapshot: Snapshot) -> None:
    money = 1.1 * float(np.median(read_scope(snapshot, OPENAI, FALL).totals()))
    in_money = overrun_answer(snapshot, balance(money))
    in_units = overrun_answer(snapshot, balance(money / 0.02, unit="credits", unit_price=0.02))
    for name in ("amount", "overrun_probability", "expected_overrun", "exhaustion_day", "spent"):
        assert in_units[name] == pytest.approx(in_money[name])
    units = in_units["balance"]["units"]
    assert (units["unit"], units["unit_price"]) == ("credits", pytest.approx(0.02))
    assert units["amount"] == pytest.approx(money / 0.02)
    assert units["spent"] == pytest.approx(in_money["spent"] / 0.02)
    assert units["forfeited"] == pytest.approx(in_money["balance"]["forfeited"] / 0.02)
    assert in_money["balance"]["units"] is None


def test_units_that_are_worth_another_currency_stay_the_same_units(snapshot: Snapshot) -> None:
    rates = Rates.of([DatedRate("EUR", "USD", CUTOFF, Decimal("1.25"))])
    answer = overrun_answer(snapshot, balance(1e6, unit="credits", unit_price=0.1, currency="EUR"), rates=rates)
    assert answer["amount"] == pytest.approx(125_000.0)
    assert answer["balance"]["units"]["amount"] == pytest.approx(1e6)
    assert answer["balance"]["units"]["unit_price"] == pytest.approx(0.125)
