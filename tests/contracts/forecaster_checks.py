"""The promises of every forecaster, one plain function each, named after the promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from forecast.errors import InputError, InsufficientHistoryError, NotFittedError
from tests.contracts import panel_checks
from tests.contracts.panels import DAYS, autoregressive_panel, long_panel, spend_panel


def check_init_only_stores(forecaster: Any) -> None:
    """The constructor keeps its arguments as they are and nothing else, so that clone works."""
    params = forecaster.get_params(deep=False)
    assert vars(clone(forecaster)) == params


def check_fit_returns_self(forecaster: Any) -> None:
    assert forecaster.fit(spend_panel()) is forecaster


def check_fit_leaves_input_alone(forecaster: Any) -> None:
    panel = spend_panel()
    before = panel.copy(deep=True)
    forecaster.fit(panel)
    pd.testing.assert_frame_equal(panel, before)


def check_unfitted_raises_with_class_name(forecaster: Any) -> None:
    with pytest.raises(NotFittedError, match=type(forecaster).__name__):
        forecaster.simulate(7)


def check_shape_and_domain(forecaster: Any) -> None:
    """Paths are finite float32, (series, horizon, paths), non-negative where history is, and start the day after the last row."""
    paths = forecaster.fit(spend_panel()).simulate(40, n_paths=50, seed=1)
    assert paths.values.shape == (12, 40, 50)
    assert paths.values.dtype == np.float32
    assert np.isfinite(paths.values).all()
    assert (paths.values >= 0).all()
    assert (paths.starts[:, 0] == np.datetime64("2026-01-01") + DAYS).all()
    assert (paths.ends[:, :-1] == paths.starts[:, 1:]).all()


def check_seed_decides(forecaster: Any) -> None:
    """Same seed, same bytes, also after another draw; another seed, other paths."""
    forecaster.fit(spend_panel())
    first = forecaster.simulate(20, n_paths=40, seed=3).values.tobytes()
    other = forecaster.simulate(20, n_paths=40, seed=4).values.tobytes()
    again = forecaster.simulate(20, n_paths=40, seed=3).values.tobytes()
    assert first == again
    assert first != other


def check_state_roundtrip(forecaster: Any) -> None:
    """A forecaster rebuilt from its state simulates the same bytes; the state is plain data."""
    forecaster.fit(spend_panel())
    state = forecaster.state()
    _assert_plain(state)
    rebuilt = type(forecaster).from_state(state)
    assert rebuilt.simulate(30, n_paths=30, seed=5).values.tobytes() == forecaster.simulate(30, n_paths=30, seed=5).values.tobytes()


def check_scale_equivariance(forecaster: Any) -> None:
    """Cents are a hundred times dollars."""
    panel = spend_panel()
    dollars = clone(forecaster).fit(panel).simulate(28, n_paths=60, seed=1).values
    cents = clone(forecaster).fit(panel.assign(y=panel["y"] * 100)).simulate(28, n_paths=60, seed=1).values
    np.testing.assert_allclose(cents, dollars * 100, rtol=2e-3, atol=1e-3)


def check_series_order_is_irrelevant(forecaster: Any) -> None:
    panel = spend_panel()
    shuffled = panel.sample(frac=1.0, random_state=3)
    assert list(shuffled["unique_id"].unique()) != list(panel["unique_id"].unique())
    first = clone(forecaster).fit(panel).simulate(14, n_paths=20, seed=1)
    second = clone(forecaster).fit(shuffled).simulate(14, n_paths=20, seed=1)
    assert first.ids == second.ids
    np.testing.assert_array_equal(first.values, second.values)


def check_refit_forgets(forecaster: Any) -> None:
    """A second fit leaves no trace of the first."""
    fresh = clone(forecaster).fit(spend_panel(seed=2)).simulate(14, n_paths=20, seed=1).values
    used = clone(forecaster).fit(spend_panel(seed=1, count=15)).fit(spend_panel(seed=2)).simulate(14, n_paths=20, seed=1).values
    np.testing.assert_array_equal(fresh, used)


def check_short_history_names_the_series(forecaster: Any) -> None:
    with pytest.raises(InsufficientHistoryError, match="series-0"):
        forecaster.fit(spend_panel(days=9))


def check_bad_arguments_are_named(forecaster: Any) -> None:
    forecaster.fit(spend_panel())
    for arguments, name in (({"horizon": 0}, "horizon"), ({"horizon": 7, "n_paths": -1}, "n_paths"), ({"horizon": 7, "seed": -2}, "seed")):
        with pytest.raises(InputError, match=name) as caught:
            forecaster.simulate(**arguments)
        assert caught.value.field == name


def check_constant_series_stays(forecaster: Any) -> None:
    """A series that always cost the same is forecast to go on, nearly surely."""
    values = np.full((8, DAYS), 80.0)
    total = forecaster.fit(long_panel(values)).simulate(28, n_paths=200, seed=1).total()
    assert np.isfinite(total.to_numpy()).all()
    np.testing.assert_allclose(total.mean(axis=1), 80.0 * 28, rtol=0.02)


def check_zero_spend_stays_zero(forecaster: Any) -> None:
    panel = spend_panel()
    panel.loc[panel["unique_id"] == "series-05", "y"] = 0.0
    paths = forecaster.fit(panel).simulate(28, n_paths=30, seed=1)
    assert (paths.values[5] == 0).all()


def check_one_day_spike_recovers(forecaster: Any) -> None:
    """A day at fifty times normal, ten days ago, does not become the forecast."""
    values = autoregressive_panel(7, 12, DAYS)
    values[0, -10] *= 50
    total = forecaster.fit(long_panel(values)).simulate(28, n_paths=300, seed=1).total()
    assert float(total.iloc[0].median()) < 3.0 * 28 * 100


def check_series_may_end_on_different_days(forecaster: Any) -> None:
    """Each series' horizon starts after its own last row."""
    panel = spend_panel()
    ended = panel[~((panel["unique_id"] == "series-00") & (panel["ds"] >= "2026-06-01"))]
    paths = forecaster.fit(ended).simulate(14, n_paths=20, seed=1)
    assert paths.starts[0, 0] == np.datetime64("2026-06-01")
    assert paths.starts[1, 0] == np.datetime64("2026-01-01") + DAYS


def check_negative_where_history_is(forecaster: Any) -> None:
    """Credits: a series with negative history may have negative futures; the others may not."""
    values = autoregressive_panel(11, 12, DAYS)
    values[4] -= 130.0
    paths = forecaster.fit(long_panel(values)).simulate(28, n_paths=200, seed=1)
    assert np.isfinite(paths.values).all()
    assert (paths.values[4] < 0).any()
    assert (np.delete(paths.values, 4, axis=0) >= 0).all()


def check_days_depend_on_each_other(forecaster: Any) -> None:
    """The spread of a period's total is far from that of independent days."""
    values = autoregressive_panel(3, 20, 300, persistence=0.9)
    paths = forecaster.fit(long_panel(values)).simulate(28, n_paths=400, seed=1)
    total = paths.total().to_numpy().std(axis=1)
    independent = np.sqrt((paths.values.astype(float).std(axis=2) ** 2).sum(axis=1))
    assert float(np.median(total / independent)) > 1.5


def check_series_depend_on_each_other(forecaster: Any) -> None:
    """Series that always moved together still do in the paths: their sum is as uncertain as its history."""
    rng = np.random.default_rng(5)
    common = autoregressive_panel(5, 1, 300, persistence=0.9)
    values = common * (1 + 0.02 * rng.normal(size=(10, 300)))
    totals = forecaster.fit(long_panel(values)).simulate(28, n_paths=400, seed=1).total().to_numpy()
    correlation = np.corrcoef(totals)[np.triu_indices(10, 1)]
    assert float(np.median(correlation)) > 0.5


def check_interval_coverage_of_period_totals(forecaster: Any) -> None:
    """80 % intervals of 28-day totals cover 80 % ± 15 points over 4 cutoffs of 40 autoregressive series."""
    values = autoregressive_panel(9, 40, 420)
    inside = []
    for cutoff in (308, 336, 364, 392):
        totals = clone(forecaster).fit(long_panel(values[:, :cutoff])).simulate(28, n_paths=400, seed=cutoff).total().to_numpy()
        low, high = np.quantile(totals, [0.1, 0.9], axis=1)
        actual = values[:, cutoff : cutoff + 28].sum(axis=1)
        inside.append((low <= actual) & (actual <= high))
    assert 0.65 <= float(np.mean(inside)) <= 0.95


CHECKS = [value for module in (globals(), vars(panel_checks)) for name, value in sorted(module.items()) if name.startswith("check_")]
"""Promises about what panels may look like have their own module."""


def _assert_plain(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str)
            _assert_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _assert_plain(item)
    elif isinstance(value, np.ndarray):
        assert value.dtype != object
    else:
        assert value is None or isinstance(value, str | int | float | bool | np.generic)
