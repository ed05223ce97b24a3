"""What resampled past errors cannot show: that their scale is itself uncertain, and that a short history has seen little.

Two widenings, both of them the same for all sums of series, because they are applied to the paths:

- *scale*: k windows say how far errors spread only roughly. The predictive distribution of a normal sample of k is wider by
  sqrt((k + 1) / (k − 1)) and has Student's tails; a window of 91 days has few independent copies in 18 months and one of 7 days many,
  so the factor belongs to a stretch of steps and not to the forecast.
- *drift*: a calm month does not show how far the next one may lie. Short histories get a drift of the log level believed beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from forecast.forecasters.batches import in_batches
from forecast.forecasters.history import Floats, History

SCALE_BELIEF = 3.0
"""Windows that the pool of series adds to what is known about the scale: degrees of freedom are windows + this."""

FEWEST_WINDOWS = 2.0
"""Below two windows nothing is known about a spread; the factor is held there (√3)."""

WIDEST_TAIL = 0.01
"""The scale is drawn between this quantile and its complement: no path is widened beyond what 1 in 100 would be."""

OFFSET = 0.05
"""Added to mean ratios before logarithms, so that a stretch without spend is far down but not infinitely far."""

FULL_SPREAD = 0.4
"""Log spread up to which a stretch is widened in proportion. A bursty series' past already holds factors of three and more; stretched in
proportion, their mean would be carried by paths that nothing has shown."""

COMMON_SHARE = 0.25
"""Share of the variance that widening adds which is common to all series."""

UNSEEN_DRIFT = 0.44
"""Standard deviation of the log level over one short window (four weeks of days) that is believed before history has shown any.

Public token markets moved by 0.22 a week, and GPU teams with a calm month behind them halved in the next week: a month of
history cannot show how far the next month may lie, so its intervals must not be narrow because data are few.
"""

DRIFT_TAILS = 3.0
"""Degrees of freedom of the drift: most months are calmer than its standard deviation, a few halve."""

DRIFT_LIMIT = 4.0

CALM_SHARE = 0.5
"""Least share of the drift that a series gets that has hardly moved so far."""


def scale_factors(windows: Floats, rng: np.random.Generator, n_paths: int) -> Floats:
    """(stretches, n_paths) factors on log deviations; one draw of how badly the scale is known for all stretches and series of a path.

    windows : (stretches,) independent windows behind each stretch.
    """
    share = np.clip(rng.random(n_paths), WIDEST_TAIL, 1 - WIDEST_TAIL)
    count = np.maximum(windows, FEWEST_WINDOWS)[:, None]
    freedom = count + SCALE_BELIEF
    return np.asarray(np.sqrt((count + 1) / (count - 1) * freedom / stats.chi2.ppf(share[None, :], freedom)))


def split(factors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A widening by `factors` as (common, own): deviations times `common` plus `own` times the spread times noise of each series' own.

    Together they have the variance of deviations times `factors`. The windows that are missing would have shown other things to
    each series, so only COMMON_SHARE of what is added moves all of them together: sums of many series are widened less than each.
    """
    added = np.maximum(np.square(factors) - 1.0, 0.0)
    common = np.where(factors < 1.0, factors, np.sqrt(1.0 + COMMON_SHARE * added))
    return common, np.sqrt((1.0 - COMMON_SHARE) * added)


def widen(means: NDArray[Any], factors: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """(stretches, n_paths) log factors that move each path's mean ratios away from the middle of all paths.

    means : (stretches, n_paths) mean ratio of each stretch of each path, ≥ 0. factors : (stretches, n_paths) from `scale_factors`.
    own : (n_paths,) standard normal noise of this series.
    """
    logs = np.log(np.maximum(means, 0.0) + OFFSET)
    away = logs - logs.mean(axis=1, keepdims=True)
    spread = away.std(axis=1, keepdims=True)
    common, alone = split(factors)
    return np.asarray(((common - 1.0) * away + alone * spread * own) * np.minimum(1.0, FULL_SPREAD / np.maximum(spread, 1e-12)))


def unseen_drift(history: History) -> Floats:
    """(n,) standard deviation per period of the log drift to add; fades as history grows beyond half of the long window, 0 from two long windows on.

    Series that hardly move from one period to the next get half of it.
    """
    half = history.rhythm.long / 2
    weight = _remaining(history.n_periods / half)
    if weight == 0.0:
        return np.zeros(history.n_series)
    level = np.maximum(history.level(np.array([history.n_periods], dtype=np.int64))[:, 0], 1e-300)
    moves = np.median(np.abs(np.diff(history.filled, axis=1)), axis=1) / level
    restless = np.clip(moves / 0.1, CALM_SHARE, 1.0)
    return np.asarray(UNSEEN_DRIFT * np.sqrt(weight / history.rhythm.short) * restless)


def _remaining(length: float) -> float:
    """Share of the drift's variance that a history of so many half long windows leaves: 1 for none, ½ about one, 0 from four on."""
    last = 1.0 / (1.0 + 4.0**2)
    return max(0.0, (1.0 / (1.0 + length**2) - last) / (1.0 - last))


def wander(paths: NDArray[np.float32], drift: Floats, reach: int, rng: np.random.Generator, threads: int = 1) -> None:
    """Multiply paths (n, horizon, n_paths) in place by the unseen drift, means kept: half of its variance common to all series.

    drift : (n,) standard deviation per step. reach : steps after which it stays where it is.
    """
    n_series, horizon, n_paths = paths.shape
    steps = np.sqrt(np.minimum(np.arange(1, horizon + 1), reach)).astype(np.float32)[:, None]
    shocks = rng.standard_normal((horizon, n_paths)) * (np.arange(horizon) < reach)[:, None]
    common = (np.cumsum(shocks, axis=0) * _heavy(rng, (n_paths,))).astype(np.float32)
    own = (rng.standard_normal((n_series, n_paths)) * _heavy(rng, (n_series, n_paths))).astype(np.float32)
    size = (drift * np.sqrt(0.5)).astype(np.float32)

    def widened(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            if drift[row] > 0:
                factor = steps * own[row]
                factor += common
                factor *= size[row]
                np.exp(factor, out=factor)
                paths[row] *= factor
                paths[row] /= factor.mean(axis=1, keepdims=True)

    in_batches(widened, n_series, threads)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Scales of this shape that turn normal draws into Student's."""
    return np.minimum(np.sqrt(DRIFT_TAILS / rng.chisquare(DRIFT_TAILS, shape)), DRIFT_LIMIT)
