"""A day comes in without learning again: nothing new changes nothing, and the answer is near to that of learning again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from forecast.errors import InputError, NotFittedError
from forecast.forecasters.autoregression import Autoregression
from forecast.forecasters.base import Forecaster
from forecast.forecasters.baselines import RunRate, SeasonalNaive
from forecast.forecasters.boosting import BoostingForecaster
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.recent_level import RecentLevel
from forecast.forecasters.structural import StructuralForecaster
from tests.contracts.panels import autoregressive_panel, long_panel

KNOWN, NEWER = 300, 9
FORECASTERS: list[Forecaster] = [
    SeasonalNaive(),
    RunRate(),
    RecentLevel(),
    StructuralForecaster(),
    BoostingForecaster(rounds=30),
    Autoregression(),
    SpendForecaster(),
]
each_forecaster = pytest.mark.parametrize("forecaster", FORECASTERS, ids=lambda one: type(one).__name__)


def panel(count: int = 12, days: int = KNOWN + NEWER) -> pd.DataFrame:
    """Autoregressive series with a month-end line in the first one and a weekly rhythm in the second."""
    values = autoregressive_panel(4, count, days)
    values[0, 29::30] += 400.0
    values[1] *= np.where(np.arange(days) % 7 < 5, 1.2, 0.5)
    return long_panel(values)


def before(frame: pd.DataFrame, day: int) -> pd.DataFrame:
    return frame[frame["ds"] < frame["ds"].min() + pd.Timedelta(days=day)]


def since(frame: pd.DataFrame, day: int) -> pd.DataFrame:
    return frame[frame["ds"] >= frame["ds"].min() + pd.Timedelta(days=day)]


def drawn(forecaster: Forecaster, horizon: int = 40) -> bytes:
    return forecaster.simulate(horizon, n_paths=40, seed=3).values.tobytes()


@each_forecaster
def test_update_with_nothing_new_changes_nothing(forecaster: Forecaster) -> None:
    known = before(panel(), KNOWN)
    fitted = clone(forecaster).fit(known)
    first = drawn(fitted)
    assert fitted.update(known.iloc[:0]) is fitted
    assert drawn(fitted) == first
    assert drawn(fitted.update(since(known, KNOWN - 5))) == first


@each_forecaster
def test_update_is_close_to_learning_again(forecaster: Forecaster) -> None:
    everything = panel()
    updated = clone(forecaster).fit(before(everything, KNOWN)).update(since(everything, KNOWN)).simulate(28, n_paths=1500, seed=1)
    again = clone(forecaster).fit(everything).simulate(28, n_paths=1500, seed=1)
    np.testing.assert_array_equal(updated.starts, again.starts)
    ours, theirs = updated.total().to_numpy(), again.total().to_numpy()
    np.testing.assert_allclose(ours.mean(axis=1), theirs.mean(axis=1), rtol=0.06)
    widths = [np.ptp(np.quantile(totals, [0.1, 0.9], axis=1), axis=0) for totals in (ours, theirs)]
    np.testing.assert_allclose(np.median(widths[0] / widths[1]), 1.0, atol=0.1)


@each_forecaster
def test_days_one_by_one_are_the_days_at_once(forecaster: Forecaster) -> None:
    everything = panel()
    newer = since(everything, KNOWN)
    one_by_one, at_once = (clone(forecaster).fit(before(everything, KNOWN)) for _ in range(2))
    for _, day in newer.groupby("ds"):
        one_by_one.update(day)
    assert drawn(one_by_one) == drawn(at_once.update(newer))


@each_forecaster
def test_updated_state_survives_and_a_restored_one_can_be_updated(forecaster: Forecaster) -> None:
    everything = panel()
    fitted = clone(forecaster).fit(before(everything, KNOWN))
    restored = type(forecaster).from_state(fitted.state())
    updated = drawn(fitted.update(since(everything, KNOWN)))
    assert drawn(restored.update(since(everything, KNOWN))) == updated
    assert drawn(type(forecaster).from_state(fitted.state())) == updated


def test_series_without_new_rows_stay_where_they_were() -> None:
    everything = panel()
    newer = since(everything, KNOWN)
    fitted = SpendForecaster().fit(before(everything, KNOWN)).update(newer[newer["unique_id"] != "series-02"])
    paths = fitted.simulate(14, n_paths=20, seed=1)
    start = everything["ds"].min().to_datetime64()
    assert paths.starts[2, 0] == start + np.timedelta64(KNOWN, "D")
    assert (np.delete(paths.starts[:, 0], 2) == start + np.timedelta64(KNOWN + NEWER, "D")).all()


def test_corrected_bill_counts_as_if_it_had_been_known() -> None:
    everything = panel()
    wrong = everything.copy()
    late = (wrong["ds"] >= wrong["ds"].max() - pd.Timedelta(days=20)) & (wrong["unique_id"] == "series-03")
    wrong.loc[late, "y"] *= 3.0
    fitted = RunRate().fit(wrong)
    assert drawn(fitted) != drawn(RunRate().fit(everything))
    assert drawn(fitted.update(everything[late])) == drawn(RunRate().fit(everything))


def test_outage_that_goes_on_is_a_new_level_after_an_update() -> None:
    """Two days near nothing are an outage and unknown; a third one shows that they were not, and the two come back."""
    values = np.full((3, 100), 50.0) + autoregressive_panel(1, 3, 100) / 100
    values[0, 95:] = 0.5
    everything = long_panel(values)
    fitted = RunRate().fit(before(everything, 97))
    assert np.isnan(fitted.history_.values[0, -2:]).all()
    fitted.update(since(everything, 97))
    np.testing.assert_array_equal(fitted.history_.values, RunRate().fit(everything).history_.values)
    assert np.isfinite(fitted.history_.values[0, -5:]).all()


def test_weeks_are_updated_like_days() -> None:
    values = autoregressive_panel(2, 6, 130)
    everything = long_panel(values)
    everything["ds"] = everything["ds"].min() + (everything["ds"] - everything["ds"].min()) * 7
    last = everything["ds"].max()
    fitted = SpendForecaster(freq="W").fit(everything[everything["ds"] < last]).update(everything[everything["ds"] == last])
    paths = fitted.simulate(4, n_paths=20, seed=1)
    assert paths.starts[0, 0] == (last + pd.Timedelta(days=7)).to_datetime64()


def test_new_series_and_times_off_the_grid_are_refused_by_name() -> None:
    fitted = RunRate().fit(before(panel(), KNOWN))
    newer = since(panel(), KNOWN)
    with pytest.raises(InputError, match="newcomer") as caught:
        fitted.update(newer[newer["unique_id"] == "series-00"].assign(unique_id="newcomer"))
    assert caught.value.field == "unique_id"
    with pytest.raises(InputError, match="before the history") as caught:
        fitted.update(newer.assign(ds=newer["ds"] - pd.Timedelta(days=4000)))
    assert caught.value.field == "ds"
    with pytest.raises(NotFittedError, match="RunRate"):
        RunRate().update(newer)
