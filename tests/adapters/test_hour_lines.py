"""Money of single hours from FOCUS files through a ledger: which lines have hours, and what a snapshot keeps of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.hour_lines import read_day_hours, read_hour_lines
from forecast.adapters.ledger import Ledger
from forecast.adapters.sign_lines import read_signs
from forecast.adapters.spend_history import read_history
from forecast.anomalies.hours import DAYS_BEFORE, day_hours, node_hours
from tests.adapters.ledger_rows import Row, row, write_csv

DIMENSIONS = ("provider", "service", "team")
FIRST, DAYS = date(2026, 1, 1), 75
LAST = FIRST + timedelta(days=DAYS - 1)
STRANGE = LAST - timedelta(days=3)
RECEIVED = datetime(2026, 3, 20, tzinfo=UTC)


def line(start: datetime, length: timedelta, team: str, cost: float, **changes: str | None) -> Row:
    end, month = start + length, start.replace(day=1, hour=0, minute=0)
    values = row(
        BilledCost=f"{cost:.6f}",
        EffectiveCost=f"{cost:.6f}",
        ChargePeriodStart=f"{start:%Y-%m-%dT%H:%M:%SZ}",
        ChargePeriodEnd=f"{end:%Y-%m-%dT%H:%M:%SZ}",
        BillingPeriodStart=f"{month:%Y-%m-%dT00:00:00Z}",
        BillingPeriodEnd=f"{(month + timedelta(days=31)).replace(day=1):%Y-%m-%dT00:00:00Z}",
        ServiceName="OpenAI API",
        Tags=json.dumps({"team": team}),
        ChargeFrequency="Usage-Based",
    )
    return values | changes


def company(hourly: bool) -> Iterator[Row]:
    """Team search spends two an hour between six and ten, in two lines, and three times as much at two one night; team batch has lines of a day, team
    sync lines of six hours, and the first of a month brings a fee."""
    hour = timedelta(hours=1)
    for number in range(DAYS):
        day = datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(days=number)
        busy = [*range(6, 10), *([2] if day.date() == STRANGE else [])]
        for at in busy if hourly else []:
            cost = 6.0 if at == 2 else 1.0
            yield line(day + at * hour, hour, "search", cost)
            yield line(day + at * hour + hour / 2, hour / 4, "search", cost + 1e-6 * number)
        if not hourly:
            yield line(day, 24 * hour, "search", 8.0)
        yield line(day, 24 * hour, "batch", 20.0)
        for at in (0, 6, 12, 18):
            yield line(day + at * hour, 6 * hour, "sync", 3.0)
        if day.day == 1:
            yield line(day, hour, "search", 500.0, ChargeCategory="Purchase", ChargeFrequency="Recurring")


def ledger_of(folder: Path, *, hourly: bool) -> Ledger:
    found = Ledger(folder / "ledger")
    report = found.ingest([write_csv(folder / "bills.csv", list(company(hourly)))], received_at=RECEIVED)
    assert report.quarantined == 0
    return found


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return ledger_of(tmp_path_factory.mktemp("hours"), hourly=True)


def test_lines_of_an_hour_or_less_are_added_up_by_hour_and_the_others_say_nothing(ledger: Ledger) -> None:
    found = read_hour_lines(ledger, DIMENSIONS, STRANGE, STRANGE + timedelta(days=1))
    assert found.combinations["team"].tolist() == ["search"]
    assert found.hour.tolist() == [datetime(STRANGE.year, STRANGE.month, STRANGE.day, at) for at in (2, 6, 7, 8, 9)]
    assert found.spend == pytest.approx([12.0, 2.0, 2.0, 2.0, 2.0], abs=1e-3)


def test_money_by_a_schedule_is_not_in_the_hours(ledger: Ledger) -> None:
    found = read_hour_lines(ledger, DIMENSIONS, date(2026, 2, 1), date(2026, 2, 2))
    assert found.spend.max() < 3.0


def test_what_was_not_known_yet_is_not_there(ledger: Ledger) -> None:
    found = read_hour_lines(ledger, DIMENSIONS, FIRST, LAST, as_of=RECEIVED - timedelta(hours=1))
    assert len(found.spend) == len(found.combinations) == 0


@pytest.mark.parametrize("days_at_once", [11, 400])
def test_what_a_snapshot_keeps_is_the_same_however_the_days_are_cut(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, days_at_once: int) -> None:
    monkeypatch.setattr("forecast.adapters.hour_lines.DAYS_AT_ONCE", days_at_once)
    history = read_history(ledger, DIMENSIONS, LAST)
    kept = read_day_hours(ledger, history, FIRST)
    lines = read_hour_lines(ledger, DIMENSIONS, FIRST, LAST + timedelta(days=1))
    leaf = int(history.leaf_of.loc[history.leaf_of["team"] == "search", "leaf"].iloc[0])
    hours = lines.by_hour(np.array([leaf]), len(history.hierarchy.leaf_ids), np.datetime64(FIRST) - DAYS_BEFORE, DAYS + DAYS_BEFORE)
    leaves, nodes = day_hours(hours), day_hours(node_hours(hours, history.hierarchy.members))
    matrix = np.zeros((len(leaves.amount) + len(nodes.amount), DAYS))
    column = (kept["ds"].to_numpy().astype("datetime64[D]") - np.datetime64(FIRST)).astype(int)
    matrix[kept["leaf"], column] = kept["hours"]
    whole = np.concatenate([leaves.amount, nodes.amount])
    large = whole > 0.5
    np.testing.assert_allclose(matrix[large], whole[large], atol=1e-6)
    assert large[leaf].sum() == 1
    assert kept.loc[(kept["leaf"] == leaf) & (kept["hours"] > 0.5), "ds"].tolist() == [pd.Timestamp(STRANGE)]
    assert kept.loc[kept["leaf"] == leaf, "hours_money"].max() == pytest.approx(12.0, abs=1e-3)


def test_a_snapshot_keeps_hours_of_leaves_and_nodes_beside_the_other_signs(ledger: Ledger) -> None:
    history = read_history(ledger, DIMENSIONS, LAST)
    signs = read_signs(ledger, history)
    assert signs["leaf"].max() >= len(history.hierarchy.leaf_ids)
    assert signs.notna().all().all()
    assert not signs.duplicated(["leaf", "ds"]).any()
    nodes = signs[signs["leaf"] >= len(history.hierarchy.leaf_ids)]
    assert not nodes.drop(columns=["leaf", "ds", "hours", "hours_money"]).to_numpy().any()


def test_bills_without_hours_keep_what_they_kept_before(tmp_path: Path) -> None:
    daily = ledger_of(tmp_path, hourly=False)
    history = read_history(daily, DIMENSIONS, LAST)
    assert read_day_hours(daily, history, FIRST).empty
    assert "hours" not in read_signs(daily, history)
