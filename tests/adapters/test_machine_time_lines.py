"""Machine time that never varies, and resources that only lost a tag, read from FOCUS files through a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.sign_lines import SAME_FOR, read_sign_lines
from tests.adapters.ledger_rows import Row, row, write_csv

FIRST, FORGOTTEN, UNTAGGED, LAST = date(2026, 1, 1), date(2026, 3, 20), date(2026, 4, 2), date(2026, 4, 10)


def machine(day: date, name: str, hours: float, unit: str = "Hours", *, tagged: bool = True) -> Row:
    cost = f"{2.0 * hours:.6f}"
    return row(
        BilledCost=cost,
        EffectiveCost=cost,
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{day + timedelta(days=1)}T00:00:00Z",
        BillingPeriodStart=f"{day.replace(day=1)}T00:00:00Z",
        BillingPeriodEnd=f"{(day.replace(day=28) + timedelta(days=4)).replace(day=1)}T00:00:00Z",
        ServiceName="Compute",
        Tags=json.dumps({"team": "ml", "env": "dev"} if tagged else {"team": "ml"}),
        ChargeFrequency="Usage-Based",
        SkuId=f"gpu-{unit}",
        SkuMeter="Instance Hours",
        ResourceId=name,
        ConsumedQuantity=f"{hours:.3f}",
        ConsumedUnit=unit,
    )


def bills() -> Iterator[Row]:
    """People use a pool more on some days than on others; one pool is forgotten; disks are as large every day."""
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        yield machine(day, "used", 20.0 + 5.0 * (number % 7), tagged=day < UNTAGGED)
        yield machine(day, "disk", 50.0, "GB-Months")
        if day >= FORGOTTEN:
            yield machine(day, "forgotten", 24.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("machines")
    ledger = Ledger(folder / "ledger")
    ledger.ingest([write_csv(folder / "bills.csv", list(bills()))], received_at=datetime(2026, 4, 12, tzinfo=UTC))
    return read_sign_lines(ledger, ("provider", "service", "team", "stage"), date(2026, 3, 1), LAST + timedelta(days=1)).set_index("ds")


def test_machine_time_that_was_the_same_for_a_week_is_told_and_disks_are_not(found: pd.DataFrame) -> None:
    constant = found.groupby("ds")["constant"].sum()
    since = pd.Timestamp(FORGOTTEN) + pd.Timedelta(days=SAME_FOR - 1)
    assert (constant[constant.index < since] == 0.0).all()
    assert (constant[constant.index >= since] == 48.0).all()


def test_a_machine_that_lost_its_tag_is_not_new(found: pd.DataFrame) -> None:
    newcomers = found.groupby("ds")["newcomers"].sum()
    assert newcomers[pd.Timestamp(FORGOTTEN)] == 48.0
    assert (newcomers[newcomers.index >= pd.Timestamp(UNTAGGED)] == 0.0).all()
