"""From a driver in the records to the snapshot: what training makes of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.artifacts import ArtifactStore
from forecast.company.requests import requests_of
from forecast.spend.drivers import Driver, read_drivers
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.explanation import explanation_answer
from tests.training.homes import LAST, TrainingHome, make_home
from training.backtest import load_history, run_backtest
from training.knowledge import driven, knowing, read_knowledge
from training.specs import Spec

QUICK = Spec(name="quick", forecaster="SpendForecaster", params={"members": ["seasonal_naive", "recent_level"]})
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> TrainingHome:
    return make_home(tmp_path_factory.mktemp("driven"), days=200)


@pytest.fixture(scope="module")
def drivers() -> tuple[Driver, ...]:
    """Requests of the company's products, and a plan that triples them, made two days after the last day of spend."""
    came = requests_of(3, 200, 1)
    ahead = pd.date_range("2026-11-01", periods=120)
    plans = [
        pd.DataFrame({"name": name, "scope": scope, "ds": ahead, "value": 3.0 * part["value"].iloc[-28:].mean()})
        for (name, scope), part in came.groupby(["name", "scope"])
    ]
    return read_drivers(pd.concat([came, *plans]), known_on=pd.Timestamp("2026-11-02"), kind="requests", unit="requests")


def test_training_uses_drivers_and_says_so(home: TrainingHome, drivers: tuple[Driver, ...]) -> None:
    plain = home.store.open(home.train(spec=QUICK, now=NOW).snapshot_id)
    assert plain.meta["drivers"] == []
    for driver in drivers:
        home.records.put_driver(driver, now=NOW)
    report = home.train(spec=QUICK, now=NOW)
    snapshot = home.store.open(report.snapshot_id)
    told = {one["driver"]: one for one in snapshot.meta["drivers"]}
    assert set(told) == {driver.name for driver in drivers}
    used = [one for one in told.values() if one["leaves"]]
    assert used
    assert all(one["planned_until"] == "2027-02-28" and one["low"] < one["value"] < one["high"] and one["gain"] > 0 for one in used)
    for one in used:
        scope = Scope.parse(one["scope"])
        rows = np.flatnonzero(snapshot.hierarchy.leaf_mask(scope))
        more = snapshot.leaf_paths[rows, :28].sum() / plain.leaf_paths[rows, :28].sum()
        assert more > 1.2
    # What drivers do is money of the paths, and the explanation of a change has it as a part of its own that adds up with the others.
    assert plain.driver_effects is None
    assert snapshot.driver_effects is not None
    assert set(snapshot.driver_effects["driver"]) == {one["driver"] for one in used}
    moved = snapshot.driver_effects["effect"].sum()
    assert 0 < moved < snapshot.leaf_paths.sum(axis=(0, 1), dtype=np.float64).mean()
    start = snapshot.cutoff + timedelta(days=1)
    told_why = explanation_answer(snapshot, scope=Scope(), period=Period(start, start + timedelta(days=28)))
    parts = {one["name"]: one["money"] for one in told_why["contributions"]}
    days = snapshot.driver_effects["step"] < 28
    assert parts["drivers"] == pytest.approx(float(snapshot.driver_effects.loc[days, "effect"].sum()))
    assert sum(parts.values()) == pytest.approx(told_why["change"])
    artifact = ArtifactStore(home.settings.models_folder).load(report.artifact)
    assert type(artifact).__name__ == "DrivenForecaster"
    assert {one.driver for one in artifact.elasticities_} == set(told)


def test_a_backtest_knows_no_plan_that_was_made_later(home: TrainingHome, drivers: tuple[Driver, ...]) -> None:
    for driver in drivers:
        home.records.put_driver(driver, now=NOW)
    told = run_backtest(home.settings, home.ledger, spec=QUICK, cutoffs=2, records=home.records)
    for driver in drivers:
        values = driver.values
        past = values[values["ds"] <= pd.Timestamp(LAST)]
        home.records.delete_driver(driver.name)
        home.records.put_driver(Driver(driver.name, driver.scope, past.reset_index(drop=True), driver.unit, driver.kind), now=NOW)
    without_plan = run_backtest(home.settings, home.ledger, spec=QUICK, cutoffs=2, records=home.records)
    pd.testing.assert_frame_equal(told.rows, without_plan.rows)
    for driver in drivers:
        home.records.delete_driver(driver.name)


def test_a_cutoff_of_the_past_does_not_know_todays_plan(home: TrainingHome, drivers: tuple[Driver, ...]) -> None:
    history = load_history(home.settings, home.ledger, cutoff="2026-10-20", cost="effective")
    planned = {}
    for until in (date(2026, 10, 20), NOW.date()):
        known = read_knowledge([], home.ledger, history, cost="effective", until=until, drivers=drivers)
        fitted = driven(knowing(QUICK.build(), history, known, known_until=until).fit(history.panel, history.hierarchy))
        assert fitted is not None
        planned[until] = {one.planned_until for one in fitted.elasticities_ if one.value is not None}
    assert planned == {date(2026, 10, 20): {None}, NOW.date(): {date(2027, 2, 28)}}
