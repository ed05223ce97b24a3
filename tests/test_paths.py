"""SpendPaths: every reduction against a slow twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, OutsideHorizonError
from forecast.paths import SpendPaths

DAY = np.timedelta64(1, "D")


def make_paths(seed: int = 0, series: int = 3, horizon: int = 10, paths: int = 40) -> SpendPaths:
    rng = np.random.default_rng(seed)
    starts = (np.datetime64("2026-10-01", "ns") + np.arange(horizon) * DAY)[None, :]
    values = rng.lognormal(2, 1, (series, horizon, paths)).astype(np.float32)
    return SpendPaths(tuple(f"s{number}" for number in range(series)), starts, starts + DAY, values)


def test_quantile_gives_back_the_floats_that_were_asked_for() -> None:
    paths = make_paths()
    frame = paths.quantile([0.1, 0.5, 0.9])
    assert list(frame.columns) == ["unique_id", "ds", "quantile", "value"]
    assert list(frame["quantile"].unique()) == [0.1, 0.5, 0.9]
    one = frame[(frame["unique_id"] == "s1") & (frame["ds"] == pd.Timestamp("2026-10-04")) & (frame["quantile"] == 0.9)]["value"].item()
    assert one == pytest.approx(float(np.quantile(paths.values[1, 3], 0.9)))


def test_total_equals_the_sum_day_by_day() -> None:
    paths = make_paths()
    total = paths.total("2026-10-03", "2026-10-08")
    assert total.shape == (3, 40)
    slow = [[sum(float(paths.values[s, h, p]) for h in range(2, 7)) for p in range(40)] for s in range(3)]
    np.testing.assert_allclose(total.to_numpy(), slow, rtol=1e-9)
    np.testing.assert_allclose(paths.total().to_numpy(), paths.values.sum(axis=1, dtype=float), rtol=1e-9)


def test_a_step_that_the_period_cuts_counts_with_its_share_of_days() -> None:
    starts = np.array([["2026-10-01", "2026-11-01"]], dtype="datetime64[ns]")
    ends = np.array([["2026-11-01", "2026-12-01"]], dtype="datetime64[ns]")
    paths = SpendPaths(("a",), starts, ends, np.full((1, 2, 5), 30.0, dtype=np.float32))
    assert paths.total("2026-11-01", "2026-11-11").iloc[0, 0] == pytest.approx(10.0)


def test_quantile_of_a_sum_is_not_the_sum_of_quantiles_but_means_add_up() -> None:
    paths = make_paths(series=8)
    whole = paths.aggregate(["all"] * 8)
    assert whole.total().mean(axis=1).item() == pytest.approx(paths.total().mean(axis=1).sum(), rel=1e-6)
    assert whole.total().quantile(0.9, axis=1).item() < paths.total().quantile(0.9, axis=1).sum()


@pytest.mark.parametrize("quantiles", [[], [0.0], [1.0], [90], [float("nan")], [0.5] * 100])
def test_quantiles_outside_zero_and_one_are_refused(quantiles: list[float]) -> None:
    with pytest.raises(InputError) as caught:
        make_paths().quantile(quantiles)
    assert caught.value.field == "quantiles"


def test_a_period_outside_the_horizon_says_what_can_be_seen() -> None:
    with pytest.raises(OutsideHorizonError, match="2026-10-11"):
        make_paths().total("2026-10-05", "2026-12-01")
    with pytest.raises(InputError, match="not after"):
        make_paths().total("2026-10-05", "2026-10-05")
