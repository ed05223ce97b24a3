"""New machines that run on unchanged, and what is new and what only lost a tag, read from FOCUS files through a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.sign_lines import read_sign_lines
from forecast.anomalies.signs import UNCHANGED_MOST
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


def call(day: date, team: str, model: str, region: str, key: str | None) -> Row:
    return {
        **machine(day, "", 5.0, "Tokens"),
        "Tags": json.dumps({"team": team, "env": "dev"}),
        "ServiceName": "Models",
        "SkuId": model,
        "SkuMeter": "Input Tokens",
        "ResourceId": key,
        "RegionId": region,
        "x_Model": model,
    }


def bills() -> Iterator[Row]:
    """People use a pool more on some days than on others; one pool is forgotten; one has always served; disks are as large every day."""
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        yield machine(day, "used", 20.0 + 5.0 * (number % 7), tagged=day < UNTAGGED)
        yield machine(day, "serving", 24.0)
        yield machine(day, "disk", 50.0, "GB-Months")
        if day >= FORGOTTEN:
            yield machine(day, "forgotten", 10.0 if day == FORGOTTEN else 24.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("machines")
    ledger = Ledger(folder / "ledger")
    ledger.ingest([write_csv(folder / "bills.csv", list(bills()))], received_at=datetime(2026, 4, 12, tzinfo=UTC))
    return read_sign_lines(ledger, ("provider", "service", "team", "stage"), date(2026, 3, 1), LAST + timedelta(days=1)).set_index("ds")


def test_a_new_machine_that_runs_on_unchanged_is_told_from_its_second_whole_day_on_and_what_serves_is_not(found: pd.DataFrame) -> None:
    told = found.groupby("ds")[["constant", "constant_days"]].sum()
    since = pd.Timestamp(FORGOTTEN) + pd.Timedelta(days=2)
    assert (told[told.index < since] == 0.0).all(axis=None)
    assert (told.loc[told.index >= since, "constant"] == 48.0).all()
    whole_days = range(2, (LAST - FORGOTTEN).days + 1)
    assert told.loc[told.index >= since, "constant_days"].tolist() == [48.0 * min(number, UNCHANGED_MOST) for number in whole_days]


def test_a_machine_that_lost_its_tag_is_not_new(found: pd.DataFrame) -> None:
    newcomers = found.groupby("ds")["newcomers"].sum()
    assert newcomers[pd.Timestamp(FORGOTTEN)] == 20.0
    assert (newcomers[newcomers.index >= pd.Timestamp(UNTAGGED)] == 0.0).all()


@pytest.mark.parametrize(
    ("team", "model", "region", "key", "is_new"),
    [
        ("search", "small", "eu", "key-1", False),
        ("search", "small", "eu", "key-2", True),
        ("search", "small", "us", "key-1", True),
        ("search", "vast", "eu", "key-1", True),
        ("search", "large", "eu", "key-1", False),
        ("ml", "large", "eu", None, True),
        ("ads", "large", "eu", None, False),
    ],
    ids=["nothing", "key", "region", "model", "model that another team knows", "model where no key is named", "known where no key is named"],
)
def test_keys_regions_models_and_services_are_new_where_they_were_not_seen(
    tmp_path: Path, team: str, model: str, region: str, key: str | None, is_new: bool
) -> None:
    lines = [
        one
        for number in range((LAST - FIRST).days + 1)
        for day in [FIRST + timedelta(days=number)]
        for one in (call(day, "search", "small", "eu", "key-1"), call(day, "ads", "large", "eu", None), call(day, "ml", "small", "eu", None))
    ]
    ledger = Ledger(tmp_path / "ledger")
    ledger.ingest([write_csv(tmp_path / "bills.csv", [*lines, call(LAST, team, model, region, key)])], received_at=datetime(2026, 4, 12, tzinfo=UTC))
    found = read_sign_lines(ledger, ("team",), date(2026, 3, 1), LAST + timedelta(days=1)).set_index("ds")["newcomers"]
    assert (found[pd.Timestamp(LAST)].sum() > 0.0) == is_new
    assert (found.drop(pd.Timestamp(LAST)) == 0.0).all()
