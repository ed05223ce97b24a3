"""Batches and threads change how long it takes, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.errors import InsufficientHistoryError
from forecast.forecasters.batches import in_batches, joined
from forecast.forecasters.boosting import BoostingForecaster
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.structural import StructuralForecaster
from tests.contracts.panels import autoregressive_panel, long_panel

MANY = 150
"""Series: more than two batches."""


def values(days: int) -> np.ndarray:
    """Series that begin on different days, one of credits, one that is silent, one with gaps."""
    found = autoregressive_panel(6, MANY, days)
    found[:40] = np.where(np.arange(days)[None, :] < np.linspace(0, days - 10, 40)[:, None], np.nan, found[:40])
    found[50] -= 150.0
    found[51] = 0.0
    found[52, 60:75] = np.nan
    return found


@pytest.mark.parametrize("days", [60, 420])
def test_one_thread_and_four_give_the_same_bytes(days: int) -> None:
    panel = long_panel(values(days)).dropna()
    one, four = (SpendForecaster(threads=threads).fit(panel) for threads in (1, 4))
    assert one.bank_.ratios.tobytes() == four.bank_.ratios.tobytes()
    assert one.simulate(100, n_paths=60, seed=5).values.tobytes() == four.simulate(100, n_paths=60, seed=5).values.tobytes()


@pytest.mark.parametrize("member", ["structural", "boosting", "recent_level", "seasonal_naive", "autoregression"])
def test_a_part_says_what_the_whole_says(member: str) -> None:
    fitted = SpendForecaster(members=(member,)).fit(long_panel(values(300)).dropna()).fitted_[member]
    origins = np.array([200, 290, 300])
    whole = fitted.points(origins, 35)
    np.testing.assert_allclose(fitted.part(slice(30, 70)).points(origins, 35), whole[30:70], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fitted.points_in_batches(origins, 35, threads=3), whole, rtol=1e-5, atol=1e-6)


def test_batches_come_back_in_order() -> None:
    for threads in (1, 3):
        assert in_batches(lambda rows: rows.start, 10, threads, at_once=4) == [0, 4, 8]
        np.testing.assert_array_equal(joined(lambda rows: (np.arange(rows.start, rows.stop),), 10, threads, at_once=3)[0], np.arange(10))


def test_error_in_a_thread_is_raised_as_it_is() -> None:
    panel = long_panel(values(300)).dropna()
    few = panel[panel["unique_id"] == "series-100"].tail(20)
    with pytest.raises(InsufficientHistoryError, match="training rows"):
        BoostingForecaster(threads=4).fit(few)


def test_trees_learn_from_a_bounded_sample_of_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = long_panel(values(420)).dropna()
    everything = BoostingForecaster(rounds=20).fit(panel)
    monkeypatch.setattr("forecast.forecasters.boosting.MOST_ROWS", 4_000)
    fewer = BoostingForecaster(rounds=20).fit(panel)
    now = np.array([420])
    full, some = (one.points(now, 28).sum(axis=2)[60:] for one in (everything, fewer))
    np.testing.assert_allclose(some.sum(), full.sum(), rtol=0.05)
    assert not np.array_equal(full, some)


def test_states_are_computed_again_and_not_kept() -> None:
    fitted = StructuralForecaster().fit(long_panel(autoregressive_panel(3, 8, 200)))
    restored = StructuralForecaster.from_state(fitted.state())
    assert "states" not in fitted.state()["learned"]
    np.testing.assert_array_equal(restored.states_, fitted.states_)
