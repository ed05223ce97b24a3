"""What charge lines say beside their amount, from FOCUS files through a ledger: prices, kinds of tokens, new resources, lines that came twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.sign_lines import read_sign_lines
from forecast.anomalies.signs import AMOUNTS
from tests.adapters.ledger_rows import Row, row, write_csv

DIMENSIONS = ("provider", "service", "team", "stage")
FIRST, STRANGE, LAST = date(2026, 1, 1), date(2026, 4, 1), date(2026, 4, 10)
RECEIVED = datetime(2026, 4, 12, tzinfo=UTC)
INPUT, OUTPUT = "Input Tokens", "Output Tokens"


def line(day: date, team: str, meter: str, quantity: float, price: float, **changes: str | None) -> Row:
    """One line of a day; quantity in tokens, price a million."""
    cost = f"{quantity * price / 1e6:.6f}"
    values = row(
        BilledCost=cost,
        EffectiveCost=cost,
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{day + timedelta(days=1)}T00:00:00Z",
        BillingPeriodStart=f"{day.replace(day=1)}T00:00:00Z",
        BillingPeriodEnd=f"{(day.replace(day=28) + timedelta(days=4)).replace(day=1)}T00:00:00Z",
        ServiceName="OpenAI API",
        Tags=json.dumps({"team": team, "env": "prod"}),
        ChargeFrequency="Usage-Based",
        SkuId=f"gpt-4o-{meter}",
        SkuMeter=meter,
        ResourceId=f"key-{team}",
        ConsumedQuantity=f"{quantity:.3f}",
        ConsumedUnit="Tokens",
        x_ModelId="gpt-4o",
    )
    return values | changes


def company(last: date = LAST) -> Iterator[Row]:
    """Five teams with the same use every day; four of them have trouble on one day."""
    for number in range((last - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        hit = day == STRANGE
        for team in ("steady", "dearer", "looping", "keyed", "twice"):
            yield line(day, team, INPUT, 40e6 if hit and team == "looping" else 10e6, 12.0 if hit and team == "dearer" else 2.0)
            yield line(day, team, OUTPUT, 2e6, 10.0)
        if day >= STRANGE:
            yield line(day, "keyed", OUTPUT, 5e6, 10.0, ResourceId="key-leaked")
        if hit:
            yield line(day, "twice", OUTPUT, 2e6, 10.0)
        if day.day == 1:
            yield line(day, "steady", OUTPUT, 0.0, 0.0, EffectiveCost="700", BilledCost="700", ChargeCategory="Purchase", ChargeFrequency="Recurring")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("signs")
    found = Ledger(folder / "ledger")
    report = found.ingest([write_csv(folder / "bills.csv", list(company()))], received_at=RECEIVED)
    assert report.quarantined == 0
    return found


@pytest.fixture(scope="module")
def found(ledger: Ledger) -> pd.DataFrame:
    return read_sign_lines(ledger, DIMENSIONS, date(2026, 3, 1), LAST + timedelta(days=1))


def amount(frame: pd.DataFrame, team: str, column: str, day: date = STRANGE) -> float:
    return float(frame.loc[(frame["team"] == team) & (frame["ds"] == pd.Timestamp(day)), column].sum())


def test_there_is_one_row_a_day_and_leaf_with_every_amount(found: pd.DataFrame) -> None:
    assert list(found.columns) == ["ds", *DIMENSIONS, "spend", *AMOUNTS]
    assert not found.duplicated(["ds", *DIMENSIONS]).any()
    assert found.groupby("ds")["team"].nunique().eq(5).all()
    assert (found["ds"].min(), found["ds"].max()) == (pd.Timestamp("2026-03-01"), pd.Timestamp(LAST))
    assert found[["spend", *AMOUNTS]].notna().all().all()


def test_days_on_which_nothing_happened_have_no_sign(found: pd.DataFrame) -> None:
    calm = found[(found["ds"] < pd.Timestamp(STRANGE)) | (found["team"] == "steady")]
    for name in ("price", "newcomers", "duplicates"):
        assert calm[name].abs().max() == pytest.approx(0.0, abs=1e-9), name
    assert amount(found, "steady", "input") == pytest.approx(20.0)
    assert amount(found, "steady", "output") == pytest.approx(20.0)


def test_price_step_is_the_money_that_the_new_price_added(found: pd.DataFrame) -> None:
    assert amount(found, "dearer", "price") == pytest.approx(10e6 * 10.0 / 1e6)
    assert amount(found, "dearer", "price", STRANGE + timedelta(days=1)) == pytest.approx(0.0, abs=1e-9)
    assert amount(found, "looping", "price") == pytest.approx(0.0, abs=1e-9), "more tokens at the same price are no price error"


def test_retry_storm_is_input_without_output(found: pd.DataFrame) -> None:
    assert amount(found, "looping", "input") == pytest.approx(80.0)
    assert amount(found, "looping", "output") == pytest.approx(20.0)


def test_new_key_is_a_newcomer_for_a_week_and_then_one_of_all(found: pd.DataFrame) -> None:
    by_day = [amount(found, "keyed", "newcomers", STRANGE + timedelta(days=number)) for number in range(-1, 9)]
    assert by_day == pytest.approx([0.0, *[50.0] * 7, 0.0, 0.0])


def test_line_that_came_twice_is_counted_once_too_often(found: pd.DataFrame) -> None:
    assert amount(found, "twice", "duplicates") == pytest.approx(20.0)
    assert amount(found, "twice", "spend") == pytest.approx(60.0)


def test_what_follows_a_schedule_is_not_learnt_from(found: pd.DataFrame) -> None:
    assert amount(found, "steady", "spend", date(2026, 4, 1)) == pytest.approx(40.0)


def test_what_is_said_of_a_day_does_not_depend_on_where_one_begins_to_read(ledger: Ledger, found: pd.DataFrame) -> None:
    late = read_sign_lines(ledger, DIMENSIONS, date(2026, 3, 28), LAST + timedelta(days=1))
    same = found[found["ds"] >= pd.Timestamp("2026-03-28")]
    keys = ["ds", *DIMENSIONS]
    left, right = (frame.sort_values(keys).reset_index(drop=True) for frame in (late, same))
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-9, atol=1e-9, check_dtype=False)


def test_restated_bill_is_read_as_it_was_known_at_a_moment(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    wrong = list(company(STRANGE))
    is_wrong = [one["SkuMeter"] == INPUT and "dearer" in one["Tags"] and one["ChargePeriodStart"].startswith(str(STRANGE)) for one in wrong]
    assert sum(is_wrong) == 1
    right = [one | ({"EffectiveCost": "20", "BilledCost": "20"} if bad else {}) for one, bad in zip(wrong, is_wrong, strict=True)]
    ledger.ingest([write_csv(tmp_path / "wrong.csv", wrong)], received_at=RECEIVED)
    ledger.ingest([write_csv(tmp_path / "right.csv", right)], received_at=RECEIVED + timedelta(days=3), replace=True)
    until = STRANGE + timedelta(days=1)
    before = read_sign_lines(ledger, DIMENSIONS, STRANGE, until, as_of=RECEIVED + timedelta(days=1))
    after = read_sign_lines(ledger, DIMENSIONS, STRANGE, until)
    assert amount(before, "dearer", "price") == pytest.approx(100.0)
    assert amount(after, "dearer", "price") == pytest.approx(0.0, abs=1e-9)
    assert amount(before, "looping", "input") == amount(after, "looping", "input")
    nothing = read_sign_lines(ledger, DIMENSIONS, STRANGE, until, as_of=RECEIVED - timedelta(days=1))
    assert nothing.empty


def test_values_that_a_line_does_not_say_are_unknown_and_not_lost(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.ingest([write_csv(tmp_path / "bills.csv", [line(FIRST, "", OUTPUT, 1e6, 5.0, Tags=None, ResourceId=None)])], received_at=RECEIVED)
    found = read_sign_lines(ledger, DIMENSIONS, FIRST, FIRST + timedelta(days=1))
    assert found["spend"].sum() == pytest.approx(5.0)
    assert found[list(DIMENSIONS)].notna().all().all()
