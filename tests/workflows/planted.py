"""A company in which each team's spend changes in one way that is known: what an explanation has to find."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from tests.adapters.ledger_rows import Row, row, write_csv
from tests.training.homes import NOW, TrainingHome

FIRST, CHANGED, LAST = date(2026, 6, 1), date(2026, 10, 1), date(2026, 10, 31)
WEEKEND = 0.5
"""Part of a working day's usage on Saturdays and Sundays."""


def line(day: date, team: str, cost: float, quantity: float | None = None, **changes: str | None) -> Row:
    after = day + timedelta(days=1)
    values = row(
        BilledCost=f"{cost:.6f}",
        EffectiveCost=f"{cost:.6f}",
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{after}T00:00:00Z",
        BillingPeriodStart=f"{day.replace(day=1)}T00:00:00Z",
        BillingPeriodEnd=f"{(day.replace(day=28) + timedelta(days=4)).replace(day=1)}T00:00:00Z",
        Tags=json.dumps({"team": team, "env": "prod", "workload": "inference"}),
        ChargeFrequency="Usage-Based",
        ConsumedQuantity=None if quantity is None else f"{quantity:.6f}",
        ConsumedUnit=None if quantity is None else "Tokens",
        SkuId=None,
        SkuMeter=None,
        ChargeDescription=None,
        x_ModelId=None,
    )
    return values | changes


def tokens(day: date, team: str, ai_model: str, quantity: float, price: float, **changes: str | None) -> Row:
    """Output tokens of an AI model; price in USD a million."""
    own = quantity * (WEEKEND if day.weekday() >= 5 else 1.0)
    described = {
        "SkuId": f"{ai_model}-output",
        "SkuMeter": "Output Tokens",
        "ChargeDescription": f"{ai_model}, output tokens",
        "ResourceName": ai_model,
        "x_ModelId": ai_model,
    }
    return line(day, team, own * price / 1e6, own, **{**described, **changes})


def rows() -> Iterator[Row]:
    """Days of all teams. What changes, changes on the first of October."""
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        later = day >= CHANGED
        # switched: a tenth of the price, the same tokens. cheaper: 20 % off. busier: twice the tokens.
        yield tokens(day, "switched", "gpt-4o-mini" if later else "gpt-4o", 40e6, 1.0 if later else 10.0)
        yield tokens(day, "cheaper", "gpt-4o", 30e6, 8.0 if later else 10.0)
        yield tokens(day, "busier", "gpt-4o", 50e6 if later else 25e6, 10.0)
        yield tokens(day, "steady", "gpt-4o", 10e6, 10.0)
        # counted: from thousands of tokens to tokens, and dearer. uncounted: no quantities at all.
        yield tokens(day, "counted", "gpt-4o", 9e6, 12.0 if later else 10.0, **({} if later else {"ConsumedUnit": "1K Tokens"}))
        yield line(day, "uncounted", 150.0 if later else 100.0)
        if later:
            yield tokens(day, "begun", "gpt-4o", 6e6, 10.0)
        else:
            yield tokens(day, "stopped", "gpt-4o", 7e6, 10.0)
        if day.day == 1:
            fee: dict[str, Any] = {
                "ChargeCategory": "Purchase",
                "ChargeFrequency": "Recurring",
                "ServiceName": "Seats",
                "ChargeDescription": "Seats, monthly",
            }
            yield line(day, "seats", 900.0 if later else 600.0, **fee)
        if day == date(2026, 9, 15):
            once: dict[str, Any] = {
                "ChargeCategory": "Purchase",
                "ChargeFrequency": "One-Time",
                "ServiceName": "Setup",
                "ChargeDescription": "Setup fee",
            }
            yield line(day, "seats", 2500.0, **once)


@cache
def planted_home() -> Path:
    """A home with the company's bills taken in and learnt from; made once, and only read."""
    folder = Path(tempfile.mkdtemp(prefix="forecast-planted-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    settings = load_settings(home=folder / "home", threads=1, paths=100, daily_steps=60, months=6)
    home = TrainingHome(settings, Ledger(settings.ledger_address), Records(settings.records_address), SnapshotStore(settings.snapshots_folder))
    report = home.ledger.ingest([write_csv(folder / "bills.csv", list(rows()))], received_at=NOW)
    if report.quarantined:
        raise ValueError(f"{report.quarantined} rows are in quarantine")
    home.train()
    home.close()
    return folder / "home"


def planted_snapshot() -> Snapshot:
    """What was learnt."""
    store = SnapshotStore(load_settings(home=planted_home()).snapshots_folder)
    return store.open(store.ids()[0])
