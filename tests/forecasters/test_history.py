"""History: outages are not known, ends and late starts are."""

from __future__ import annotations

import numpy as np

from forecast.forecasters.history import history_of, outages
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel


def test_a_day_on_which_a_steady_series_stopped_is_not_known() -> None:
    values = np.full((1, 40), 100.0)
    values[0, 20] = 1.0
    found = outages(values, np.array([0]))
    assert found.nonzero()[1].tolist() == [20]
    assert history_of(to_matrix(long_panel(values), "D")).filled[0, 20] == 100.0


def test_a_longer_silence_or_an_intermittent_series_is_spend_as_it_was() -> None:
    silent = np.full((1, 40), 100.0)
    silent[0, 20:23] = 0.0
    assert not outages(silent, np.array([0])).any()
    weekends = np.where(np.arange(42) % 7 < 5, 100.0, 0.0)[None, :]
    assert not outages(weekends, np.array([0])).any()


def test_a_lasting_fall_is_no_outage() -> None:
    fallen = np.concatenate([np.full(30, 100.0), np.full(30, 2.0)])[None, :]
    assert not outages(fallen, np.array([0])).any()


def test_series_are_aligned_at_their_own_last_day_and_leading_zeros_have_not_begun() -> None:
    values = np.arange(1.0, 61.0).reshape(2, 30)
    values[1, :10] = 0.0
    panel = long_panel(values, ["a", "b"])
    panel = panel[~((panel["unique_id"] == "a") & (panel["ds"] >= "2026-01-21"))]
    history = history_of(to_matrix(panel, "D"))
    assert history.values[0, -1] == 20.0
    assert history.values[1, -1] == 60.0
    assert history.first.tolist() == [10, 10]
    assert history.age(np.array([30])).ravel().tolist() == [20, 20]


def test_windows_and_levels_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    history = history_of(to_matrix(long_panel(rng.lognormal(3, 1, (3, 50))), "D"))
    origins = np.array([20, 35, 50])
    for width in (3, 7, 60):
        slow = [[history.filled[s, max(0, o - width) : o].mean() for o in origins] for s in range(3)]
        np.testing.assert_allclose(history.window_mean(origins, width), slow)
    future = history.future(origins, 5)
    np.testing.assert_array_equal(future[:, 0], history.values[:, 20:25])
    assert np.isnan(future[:, 2]).all()
