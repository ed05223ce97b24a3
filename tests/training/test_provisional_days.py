"""A company whose bills come in daily, late and restated: trained and asked as its user would, and judged by what the bills came to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records
from forecast.adapters.snapshots import SnapshotStore
from forecast.adapters.spend_history import known_until, last_usable_day, read_history
from forecast.budgets.budget import Budget
from forecast.company.deliveries import deliveries, known_at
from forecast.company.generate import Company, generate
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.overruns import overrun_answer
from forecast.workflows.readings import read_groups, read_scope
from forecast.workflows.spikes import SpendRow, anomaly_answer
from tests.training.homes import QUICK
from training.train import train

END = dt.date(2026, 6, 20)
FIRST, LAST = dt.datetime(2026, 5, 1, 20, tzinfo=dt.UTC), dt.datetime(2026, 6, 12, 20, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def company() -> Company:
    return generate(5, 120, 2, end=END)


@pytest.fixture(scope="module")
def home(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """History in one delivery, then what came in each day."""
    folder = tmp_path_factory.mktemp("late")
    ledger = Ledger(folder / "ledger")

    def take(rows: pd.DataFrame, at: dt.datetime) -> None:
        file = folder / "delivery.parquet"
        rows.to_parquet(file)
        ledger.ingest([file], received_at=at, key="x_charge_id")

    take(known_at(company, FIRST), FIRST)
    for delivery in deliveries(company, since=FIRST, until=LAST):
        if len(delivery.rows):
            take(delivery.rows, delivery.received_at)
    return folder


@pytest.fixture(scope="module")
def truth(company: Company) -> pd.Series:
    """What each day came to."""
    rows = company.rows
    return rows.groupby(rows["ChargePeriodStart"].dt.floor("D"))["EffectiveCost"].sum()


@pytest.fixture(scope="module")
def snapshot(home: Path) -> Iterator[Snapshot]:
    settings = load_settings(home=home, threads=1, paths=300, daily_steps=40, months=3)
    records = Records(settings.records_address)
    try:
        store = SnapshotStore(settings.snapshots_folder)
        report = train(settings, Ledger(home / "ledger"), records, store, spec=QUICK, now=LAST)
        yield store.open(report.snapshot_id)
    finally:
        records.close()


def test_days_of_which_most_is_known_are_used_and_ages_are_counted_to_the_last_delivery(home: Path) -> None:
    ledger = Ledger(home / "ledger")
    until = known_until(ledger)
    assert until == np.datetime64(LAST.date(), "us")  # deliveries are made at midnight
    # Nothing is known yet of the day that ended then; most of the day before is.
    assert last_usable_day(ledger) == LAST.date() - dt.timedelta(days=2)
    early = FIRST + dt.timedelta(days=2)
    assert known_until(ledger, early) is None  # three deliveries say nothing about lateness


def test_a_nowcast_is_nearer_to_the_truth_than_the_bill(home: Path, company: Company, truth: pd.Series) -> None:
    ledger = Ledger(home / "ledger")
    history = read_history(ledger, ("provider", "service", "team"), last_usable_day(ledger), n_draws=300)
    assert history.provisional is not None
    first = history.provisional.first
    assert (history.billed[:, :first] == history.matrix.values[:, :first]).all()
    days = history.matrix.ds[first:]
    came = truth.reindex(days).to_numpy()
    billed, expected = (values[:, first:].sum(axis=0)[-3:] for values in (history.billed, history.matrix.values))
    assert abs(expected.sum() - came[-3:].sum()) < abs(billed.sum() - came[-3:].sum())
    assert np.allclose(history.provisional.draws.mean(axis=2), history.provisional.mean, rtol=1e-3, atol=1e-2)


def test_every_answer_counts_what_is_billed_what_is_not_yet_and_what_is_to_come(snapshot: Snapshot) -> None:
    assert snapshot.pending is not None
    period = Period(dt.date(2026, 6, 1), dt.date(2026, 7, 1))
    whole = read_scope(snapshot, Scope(), period)
    owed = whole.owed()
    assert owed is not None
    assert np.allclose(whole.totals(), whole.spent + owed + whole.to_come())
    teams = read_groups(snapshot, Scope(), ("team",), period)
    assert np.allclose(np.sum([team.totals() for team in teams], axis=0), whole.totals(), rtol=1e-5)
    finer = read_groups(snapshot, Scope(), ("ai_model",), period)
    assert np.allclose(np.sum([part.totals() for part in finer], axis=0), whole.totals(), rtol=1e-5)
    days = [Period(day, day + dt.timedelta(days=1)) for day in (snapshot.cutoff, snapshot.cutoff - dt.timedelta(days=1))]
    assert np.allclose(whole.buckets(days)[0], snapshot.node_history[0, -1] + snapshot.node_pending[0, -1])  # type: ignore[index]
    assert np.isclose(whole.expected_past().sum(), whole.spent + owed.mean())


def test_the_forecast_says_what_is_not_billed_yet(snapshot: Snapshot, truth: pd.Series) -> None:
    period = Period(dt.date(2026, 6, 1), dt.date(2026, 6, 20))
    answer = forecast_answer(snapshot, scope=Scope(), period=period, granularity="day")
    assert answer["pending"]["p10"] < answer["pending"]["p90"]
    rows = answer["rows"]
    settled = [row for row in rows if "actual" in row]
    assert len(settled) >= 3
    assert all(row["p90"] - row["p10"] <= 0.02 * row["mean"] for row in settled)
    last = next(row for row in rows if row["start"] == snapshot.cutoff.isoformat())
    assert last["provisional"]
    assert "actual" not in last
    assert last["p10"] < last["p90"]
    assert np.isclose(sum(row["mean"] for row in rows), answer["total"]["mean"], rtol=1e-6)
    over = Period(dt.date(2026, 6, 1), snapshot.cutoff + dt.timedelta(days=1))
    spread = forecast_answer(snapshot, scope=Scope(), period=over)["total"]
    came = truth[(truth.index >= "2026-06-01") & (truth.index < pd.Timestamp(over.end))].sum()
    assert spread["p10"] * 0.9 < came < spread["p90"] * 1.1
    before = forecast_answer(snapshot, scope=Scope(), period=Period(dt.date(2026, 3, 1), dt.date(2026, 4, 1)))
    assert before["pending"] is None


def test_a_budget_counts_the_days_that_are_not_fully_billed(snapshot: Snapshot) -> None:
    over = Period(dt.date(2026, 6, 1), snapshot.cutoff + dt.timedelta(days=1))
    reading = read_scope(snapshot, Scope(), over)
    between = float(np.median(reading.totals()))
    risk = overrun_answer(snapshot, Budget("ad-hoc", Scope(), over.start, over.end, between))
    assert risk["status"] == "over"
    assert 0.3 < risk["overrun_probability"] < 0.7
    assert risk["probability_exhausted"] == pytest.approx(risk["overrun_probability"], abs=1e-9)
    assert risk["spent"] + risk["pending"]["mean"] == pytest.approx(risk["total"]["mean"])


def test_an_incomplete_day_is_no_anomaly_and_a_runaway_day_is_strange_whatever_is_missing(snapshot: Snapshot) -> None:
    assert snapshot.watermarks is not None
    now = LAST
    yesterday = snapshot.cutoff
    usual = float(snapshot.expected_node_history[0, -28:].mean())
    running = dt.datetime.combine(now.date(), dt.time())
    nothing_yet, half, fortune = anomaly_answer(
        snapshot, [SpendRow(Scope(), running, 0.0), SpendRow(Scope(), yesterday, 0.5 * usual), SpendRow(Scope(), yesterday, 50 * usual)], now=now
    )["rows"]
    assert not nothing_yet["is_anomaly"]
    assert nothing_yet["p_value"] > 0.5
    assert fortune["p_value"] < 0.01 < half["p_value"]  # whether it alarms is the threshold's business
    later = anomaly_answer(snapshot, [SpendRow(Scope(), yesterday, 0.5 * usual)], now=now + dt.timedelta(days=60))["rows"][0]
    assert half["p_value"] >= later["p_value"]


def test_a_run_on_the_same_ledger_is_the_same_run(home: Path) -> None:
    ledger = Ledger(home / "ledger")
    cutoff = last_usable_day(ledger)
    one, two = (read_history(ledger, ("provider", "service", "team"), cutoff, n_draws=50, seed=3) for _ in range(2))
    assert one.matrix.values.tobytes() == two.matrix.values.tobytes()
    assert one.provisional is not None
    assert two.provisional is not None
    assert one.provisional.draws.tobytes() == two.provisional.draws.tobytes()
