"""Drivers in the forecast: how spend follows them is found, used where it helps, and touches nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast.adapters.artifacts import ArtifactStore
from forecast.errors import InputError, NotFittedError
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.driven import DrivenForecaster
from forecast.forecasters.driver_paths import Plan, driver_paths
from forecast.forecasters.elasticity import _regression, elasticities, weekly
from forecast.forecasters.planned_events import EventfulForecaster
from forecast.spend.drivers import Driver, read_drivers
from forecast.spend.events import FACTOR, Effect, PlannedEvent
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.scope import Scope
from tests.oracles import elasticity as slow

Floats = NDArray[np.float64]

DAYS = 400
GRID = pd.date_range("2025-06-01", periods=DAYS, freq="D")
CUTOFF = GRID[-1]
LEAVES = ("a|web", "a|batch", "b|web")
HIERARCHY = Hierarchy(
    pd.DataFrame({"team": ["a", "a", "b"], "workload": ["web", "batch", "web"]}, index=pd.Index(LEAVES, name="unique_id")), ((), ("team",))
)


def world(seed: int, beta: float, *, leaves: int = 1, days: int = DAYS, noise: float = 0.08, drift: float = 0.01) -> tuple[Floats, Floats]:
    """Spend (leaves, days) that follows a driver (days,) with an elasticity."""
    rng = np.random.default_rng(seed)
    week = 1.0 + 0.3 * np.sin(np.arange(days) * 2.0 * np.pi / 7.0)
    driver = np.cumsum(0.025 * rng.standard_normal(days)) + 0.1 * rng.standard_normal(days)
    own = np.cumsum(drift * rng.standard_normal((leaves, days)), axis=1) + noise * rng.standard_normal((leaves, days))
    return 100.0 * week * np.exp(beta * driver + own), 5000.0 * week * np.exp(driver)


def panel_of(values: Floats, ids: tuple[str, ...] = LEAVES) -> pd.DataFrame:
    return pd.DataFrame({"unique_id": np.repeat(ids, values.shape[1]), "ds": np.tile(GRID[: values.shape[1]], len(ids)), "y": values.ravel()})


def driver_of(values: Floats, scope: str = "team=a", *, ahead: Floats | None = None, name: str = "requests", **columns: Any) -> Driver:
    plan = np.empty(0) if ahead is None else ahead
    frame = pd.DataFrame({"ds": pd.date_range(GRID[0], periods=len(values) + len(plan)), "value": np.concatenate([values, plan])}).assign(**columns)
    (driver,) = read_drivers(frame, known_on=CUTOFF, name=name, scope=scope)
    return driver


def quick() -> SpendForecaster:
    return SpendForecaster(members=("seasonal_naive", "recent_level"))


@pytest.fixture(scope="module")
def company() -> tuple[pd.DataFrame, Floats]:
    """Two leaves of a team that follow its requests, and one of another team that does not."""
    spend, requests = world(3, 1.0, leaves=2)
    other, _ = world(4, 1.0)
    return panel_of(np.concatenate([spend, other])), requests


@pytest.fixture(scope="module")
def doubled(company: tuple[pd.DataFrame, Floats]) -> DrivenForecaster:
    panel, requests = company
    plan = 2.0 * np.tile(requests[-28:].reshape(4, 7).mean(axis=0), 6)
    return DrivenForecaster(quick(), (driver_of(requests, ahead=plan),)).fit(panel, HIERARCHY)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_a_known_elasticity_is_found_and_its_intervals_hold_it(beta: float) -> None:
    values, inside = [], []
    for seed in range(30):
        spend, driver = world(seed, beta, leaves=2, days=300, noise=0.15)
        found = elasticities(spend, driver)
        values += found.value.tolist()
        inside += (np.abs(found.value - beta) < 1.2816 * found.error).tolist()
    assert np.mean(values) == pytest.approx(beta, abs=0.06)
    assert 0.68 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize("days", [120, 301])
def test_the_regression_is_that_of_its_slow_twin(days: int) -> None:
    spend, driver = world(11, 0.8, leaves=2, days=days, noise=0.2)
    spend[1, 40:43] *= 30.0
    value, variance, _ = _regression(weekly(spend), weekly(driver))
    for leaf in range(2):
        np.testing.assert_allclose((value[leaf], variance[leaf]), slow.regression(spend[leaf].tolist(), driver.tolist()), rtol=1e-9)


def test_what_only_grows_together_is_no_elasticity() -> None:
    rng = np.random.default_rng(1)
    trend = np.linspace(0.0, 2.0, DAYS)
    spend = np.exp(trend + 0.2 * rng.standard_normal(DAYS))[None]
    driver = np.exp(trend + 0.2 * np.cumsum(rng.standard_normal(DAYS)) / 10.0)
    found = elasticities(spend, driver)
    assert abs(found.value[0]) < 0.5


def test_a_plan_that_doubles_requests_doubles_spend(doubled: DrivenForecaster) -> None:
    paths, without = doubled.simulate(28, 400, 7), doubled.forecaster_.simulate(28, 400, 7)
    ratio = paths.total().mean(axis=1) / without.total().mean(axis=1)
    assert ratio["a|web"] == pytest.approx(2.0, rel=0.15)
    assert ratio["a|batch"] == pytest.approx(2.0, rel=0.15)
    (one,) = doubled.elasticities_
    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low < 1.0 < one.high
    assert one.gain > 0.2
    assert (one.leaves, one.leaves_in_scope, str(one.planned_until)) == (2, 2, str((CUTOFF + pd.Timedelta(days=42)).date()))


def test_leaves_outside_the_scope_keep_their_bytes(doubled: DrivenForecaster, company: tuple[pd.DataFrame, Floats]) -> None:
    plain = quick().fit(company[0], HIERARCHY).simulate(28, 100, 7)
    driven = doubled.simulate(28, 100, 7)
    row = plain.ids.index("b|web")
    assert driven.ids == plain.ids
    assert driven.values[row].tobytes() == plain.values[row].tobytes()
    assert driven.values[plain.ids.index("a|web")].tobytes() != plain.values[plain.ids.index("a|web")].tobytes()


def test_without_a_usable_driver_all_bytes_are_kept(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    plain = quick().fit(panel, HIERARCHY).simulate(14, 50, 1).values.tobytes()
    short = driver_of(requests[-40:].copy(), name="short")
    short = Driver("short", short.scope, short.values.assign(ds=short.values["ds"] + pd.Timedelta(days=DAYS - 40)))
    useless = (
        driver_of(requests, "team=zebra", name="nobody"),
        driver_of(requests, "ai_model=x", name="finer"),
        driver_of(np.full(DAYS, 7.0), name="constant"),
        driver_of(np.zeros(DAYS), name="nothing"),
        driver_of(requests[: DAYS - 30], name="ended"),
        short,
    )
    for drivers in ((), useless):
        fitted = DrivenForecaster(quick(), drivers).fit(panel, HIERARCHY)
        assert fitted.simulate(14, 50, 1).values.tobytes() == plain
    notes = {one.driver: one.note for one in fitted.elasticities_}
    assert "zebra" in notes["nobody"]
    assert "finer than the leaves" in notes["finer"]
    assert "no clear gain" in notes["constant"]
    assert "was nothing" in notes["nothing"]
    assert "end more than two weeks before" in notes["ended"]
    assert "84 are needed" in notes["short"]


def test_the_unit_of_a_driver_changes_nothing(company: tuple[pd.DataFrame, Floats], doubled: DrivenForecaster) -> None:
    panel, requests = company
    plan = 2.0 * np.tile(requests[-28:].reshape(4, 7).mean(axis=0), 6)
    thousand = DrivenForecaster(quick(), (driver_of(1024.0 * requests, ahead=1024.0 * plan),)).fit(panel, HIERARCHY)
    np.testing.assert_allclose(thousand.simulate(56, 60, 2).values, doubled.simulate(56, 60, 2).values, rtol=1e-3)


def test_the_same_seed_gives_the_same_bytes(doubled: DrivenForecaster) -> None:
    assert doubled.simulate(60, 80, 5).values.tobytes() == doubled.simulate(60, 80, 5).values.tobytes()
    assert doubled.simulate(60, 80, 5).values.tobytes() != doubled.simulate(60, 80, 6).values.tobytes()


def test_state_survives_saving_as_data(doubled: DrivenForecaster, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    again = store.load(store.save(doubled))
    assert again.simulate(60, 80, 5).values.tobytes() == doubled.simulate(60, 80, 5).values.tobytes()
    assert again.elasticities_ == doubled.elasticities_
    assert "requests" in again.card_["drivers"]


@pytest.mark.parametrize("planned", [True, False])
def test_a_useless_driver_hardly_changes_the_forecast(planned: bool) -> None:
    errors = []
    for seed in range(6):
        spend, _ = world(seed, 0.0, leaves=3, days=DAYS)
        _, stranger = world(100 + seed, 1.0, days=DAYS)
        known, came = spend[:, : DAYS - 28], spend[:, DAYS - 28 :].sum(axis=1)
        frame = pd.DataFrame({"ds": GRID, "value": stranger, "known_from": [min(day, GRID[DAYS - 29]) if planned else day for day in GRID]})
        drivers = read_drivers(frame, known_on=CUTOFF, name="weather")
        fitted = DrivenForecaster(quick(), drivers).fit(panel_of(known), HIERARCHY)
        said = [one.simulate(28, 200, seed).total().mean(axis=1)[list(LEAVES)].to_numpy() for one in (fitted.forecaster_, fitted)]
        errors.append([np.abs(one - came).sum() for one in said])
    without, with_it = np.sum(errors, axis=0)
    assert with_it <= 1.02 * without


def test_the_future_is_not_seen_before_its_time(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    poisoned = requests.copy()
    poisoned[-28:] = 1e9
    early = panel[panel["ds"] <= GRID[-29]]
    bytes_of = [
        DrivenForecaster(quick(), (driver_of(one),)).fit(early, HIERARCHY).simulate(28, 50, 3).values.tobytes() for one in (requests, poisoned)
    ]
    assert bytes_of[0] == bytes_of[1]


def test_of_two_drivers_the_surer_one_is_used(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    stranger = world(77, 1.0)[1]
    plan = np.full(28, 5000.0)
    drivers = (driver_of(stranger, ahead=plan, name="weather"), driver_of(requests, ahead=plan, name="requests"))
    fitted = DrivenForecaster(quick(), drivers).fit(panel, HIERARCHY)
    used = {one.driver: one.leaves for one in fitted.elasticities_}
    assert used == {"weather": 0, "requests": 2}
    assert fitted.driver_names_ == ("requests",)


def test_the_doubt_of_a_plan_is_in_the_paths() -> None:
    rng = np.random.default_rng(0)
    forecast = 100.0 * np.exp(0.1 * rng.standard_normal((60, 4000)))
    nothing = np.full(60, np.nan)
    sure = driver_paths(forecast, Plan(np.full(30, 50.0), nothing[:30], nothing[:30]), np.random.default_rng(1))
    np.testing.assert_allclose(sure[:30].mean(axis=1), 50.0, rtol=1e-9)
    assert sure[30:].mean() == pytest.approx(50.0, rel=0.02)
    doubtful = driver_paths(forecast, Plan(np.full(30, 50.0), np.full(30, 25.0), np.full(30, 200.0)), np.random.default_rng(1))
    low, middle, high = np.quantile(doubtful[:30].mean(axis=0), [0.1, 0.5, 0.9])
    assert middle == pytest.approx(50.0, rel=0.1)
    assert low == pytest.approx(25.0, rel=0.15)
    assert high == pytest.approx(200.0, rel=0.15)


def test_a_plan_of_nothing_leaves_next_to_nothing(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    fitted = DrivenForecaster(quick(), (driver_of(requests, ahead=np.zeros(28)),)).fit(panel, HIERARCHY)
    totals, before = fitted.simulate(28, 200, 1).total().mean(axis=1), fitted.forecaster_.simulate(28, 200, 1).total().mean(axis=1)
    assert totals["a|web"] < 0.1 * before["a|web"]


def test_a_plan_of_weeks_keeps_the_rhythm_of_the_week(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    weeks = pd.DataFrame({"ds": pd.date_range(CUTOFF + pd.Timedelta(days=1), periods=6, freq="7D"), "value": float(requests[-28:].mean())})
    history = pd.DataFrame({"ds": GRID, "value": requests})
    driver = read_drivers(pd.concat([history, weeks]), known_on=CUTOFF, name="requests", scope="team=a")
    daily = driver_of(requests, ahead=np.tile(requests[-28:].reshape(4, 7).mean(axis=0), 6))
    weekly = [DrivenForecaster(quick(), given).fit(panel, HIERARCHY).simulate(28, 300, 1).mean() for given in (driver, (daily,))]
    one, two = (frame[frame["unique_id"] == "a|web"]["value"].to_numpy() for frame in weekly)
    np.testing.assert_allclose(one, two, rtol=0.12)


def test_two_drivers_of_one_name_and_unfitted_use_are_refused(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    with pytest.raises(InputError, match="Two drivers are called 'requests'"):
        DrivenForecaster(quick(), (driver_of(requests), driver_of(requests))).fit(panel, HIERARCHY)
    with pytest.raises(NotFittedError, match="DrivenForecaster is not fitted"):
        DrivenForecaster(quick()).simulate(7)
    with pytest.raises(NotFittedError, match="DrivenForecaster is not fitted"):
        DrivenForecaster(quick()).state()


def test_planned_events_act_inside_and_are_left_out_of_the_state(company: tuple[pd.DataFrame, Floats]) -> None:
    panel, requests = company
    campaign = PlannedEvent(
        "sale", "Sale", "campaign", date(2026, 7, 10), date(2026, 7, 20), Scope.parse("team=b"), Effect(FACTOR, 2.0, 2.0, 2.0), CUTOFF.date()
    )
    driver = driver_of(requests, ahead=np.full(28, float(requests[-28:].mean())))
    driven = DrivenForecaster(EventfulForecaster(quick(), (campaign,)), (driver,)).fit(panel, HIERARCHY)
    without = DrivenForecaster(quick(), (driver,)).fit(panel, HIERARCHY)
    said = [one.simulate(28, 100, 3).total("2026-07-10", "2026-07-20").mean(axis=1) for one in (driven, without)]
    assert said[0]["b|web"] == pytest.approx(2.0 * said[1]["b|web"], rel=1e-5)
    assert said[0]["a|web"] == pytest.approx(said[1]["a|web"], rel=1e-6)
    again = DrivenForecaster.from_state(driven.state())
    assert again.simulate(28, 50, 3).values.tobytes() == without.simulate(28, 50, 3).values.tobytes()
