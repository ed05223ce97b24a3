"""Forecast metrics under the field's names, on plain arrays.

Every metric takes arrays that broadcast against each other and returns a float over all pairs. A pair in which the actual or
a prediction is NaN ("not known") is left out; where no pair is left, or the denominator is zero, the result is NaN: not zero,
which would claim perfection. Calibration is judged on period totals, so rows are usually totals of several days.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.errors import InputError

Floats = NDArray[np.float64]

GRADES: tuple[tuple[str, float], ...] = (("run", 0.12), ("walk", 0.15), ("crawl", 0.20))
"""FinOps maturity by forecast error: the largest WAPE of a 28-day total that still earns the name."""


def mae(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the actuals' currency."""
    y, f = _pairs(actual, predicted)
    return _mean(np.abs(y - f))


def wape(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Σ|y − ŷ| / Σ|y|: the share of the money that was misplaced. Small series cannot dominate it, as they do MAPE."""
    y, f = _pairs(actual, predicted)
    return _ratio(np.abs(y - f).sum(), np.abs(y).sum())


def bias(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Σ(ŷ − y) / Σ|y|: positive where the forecast is too high. A share, so that it compares with `wape`."""
    y, f = _pairs(actual, predicted)
    return _ratio((f - y).sum(), np.abs(y).sum())


def seasonal_scale(history: ArrayLike, season: int) -> float:
    """Mean |y_t − y_{t−season}| of a history, the scale of MASE and of scaled losses. NaN where the history is too short."""
    y = np.asarray(history, dtype=np.float64)
    if season < 1:
        raise InputError(f"season is not usable: got {season}, allowed is 1 or more", field="season", got=season, allowed="1 or more")
    differences = np.abs(y[..., season:] - y[..., :-season])
    return _mean(differences[np.isfinite(differences)])


def mase(actual: ArrayLike, predicted: ArrayLike, scale: float) -> float:
    """`mae` in units of `scale` (see `seasonal_scale`); below 1 beats the seasonal naive forecast of one step."""
    return _ratio(mae(actual, predicted), scale)


def quantile_loss(actual: ArrayLike, predicted: ArrayLike, quantile: float) -> float:
    """Mean pinball loss of one quantile: q·(y − ŷ) where y is above, (1 − q)·(ŷ − y) where it is below."""
    _check_quantile(quantile)
    y, f = _pairs(actual, predicted)
    error = y - f
    return _mean(np.maximum(quantile * error, (quantile - 1.0) * error))


def scaled_quantile_loss(actual: ArrayLike, predicted: ArrayLike, quantile: float, scale: float) -> float:
    """`quantile_loss` in units of `scale`, so that series of different size may be averaged."""
    return _ratio(quantile_loss(actual, predicted, quantile), scale)


def mean_quantile_loss(actual: ArrayLike, predicted: ArrayLike, quantiles: Sequence[float]) -> float:
    """Mean of `quantile_loss` over quantiles; `predicted` has one more axis than `actual`, the last, one entry a quantile."""
    f = np.asarray(predicted, dtype=np.float64)
    _check_last_axis(f, quantiles)
    return float(np.mean([quantile_loss(actual, f[..., number], level) for number, level in enumerate(quantiles)]))


def scaled_crps(actual: ArrayLike, predicted: ArrayLike, quantiles: Sequence[float]) -> float:
    """2 · mean over quantiles of Σ pinball / Σ|y|: the continuous ranked probability score as a share of the money."""
    f = np.asarray(predicted, dtype=np.float64)
    _check_last_axis(f, quantiles)
    y = np.asarray(actual, dtype=np.float64)
    complete = np.isfinite(y) & np.isfinite(f).all(axis=-1)
    return _ratio(2.0 * mean_quantile_loss(y[complete], f[complete], quantiles) * complete.sum(), np.abs(y[complete]).sum())


def crps(actual: ArrayLike, samples: ArrayLike) -> Floats:
    """CRPS of each actual under its samples (last axis): E|X − y| − ½ E|X − X′|, in the actuals' currency.

    The second term is Σ (2i − n − 1) x_(i) / n² over sorted samples, so the cost is one sort and not n² pairs.
    """
    x = np.sort(np.asarray(samples, dtype=np.float64), axis=-1)
    y = np.asarray(actual, dtype=np.float64)
    n = x.shape[-1]
    spread = (x * (2.0 * np.arange(1, n + 1) - n - 1.0)).sum(axis=-1) / n**2
    return np.asarray(np.abs(x - y[..., None]).mean(axis=-1) - spread)


def coverage(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of actuals inside [lower, upper], ends included."""
    y, low, high = _pairs(actual, lower, upper)
    return _mean(((y >= low) & (y <= high)).astype(np.float64))


def winkler_score(actual: ArrayLike, lower: ArrayLike, upper: ArrayLike, interval_coverage: float) -> float:
    """Mean width of the interval plus 2/(1 − interval_coverage) for each unit of money that the actual lies outside."""
    _check_quantile(interval_coverage)
    y, low, high = _pairs(actual, lower, upper)
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return _mean(high - low + 2.0 / (1.0 - interval_coverage) * outside)


def calibration(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Share of actuals at or below the predicted quantile; a calibrated 0.9 quantile gives 0.9."""
    y, f = _pairs(actual, predicted)
    return _mean((y <= f).astype(np.float64))


def pit(actual: ArrayLike, samples: ArrayLike) -> Floats:
    """Probability integral transform: share of samples below the actual, ties counted half. Uniform where calibrated.

    samples : one more axis than `actual`, the last. NaN actuals give NaN.
    """
    y = np.asarray(actual, dtype=np.float64)
    x = np.asarray(samples)
    below = (x < y[..., None]).mean(axis=-1) + 0.5 * (x == y[..., None]).mean(axis=-1)
    return np.asarray(np.where(np.isnan(y), np.nan, below), dtype=np.float64)


def brier_score(probability: ArrayLike, outcome: ArrayLike) -> float:
    """Mean squared distance between a probability and what happened (0 or 1)."""
    p, happened = _pairs(probability, outcome)
    return _mean((p - happened) ** 2)


def grade(error: float) -> str | None:
    """FinOps maturity word for a WAPE: run ≤ 12 %, walk ≤ 15 %, crawl ≤ 20 %, else "pre-crawl"; None where unknown."""
    if not np.isfinite(error):
        return None
    return next((name for name, most in GRADES if error <= most), "pre-crawl")


def _pairs(*arrays: ArrayLike) -> tuple[Floats, ...]:
    """The arrays broadcast, flat, without the places where any of them is not known."""
    wide = np.broadcast_arrays(*(np.asarray(array, dtype=np.float64) for array in arrays))
    known = np.logical_and.reduce([~np.isnan(array) for array in wide])
    return tuple(array[known] for array in wide)


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")


def _check_quantile(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise InputError(
            f"quantile: got {level}, allowed are floats strictly between 0 and 1",
            field="quantile",
            got=level,
            allowed="floats strictly between 0 and 1",
        )


def _check_last_axis(predicted: Floats, quantiles: Sequence[float]) -> None:
    if predicted.shape[-1:] != (len(quantiles),):
        raise InputError(
            f"predicted: last axis of shape {predicted.shape} has to hold {len(quantiles)} quantiles",
            field="predicted",
            got=predicted.shape,
            allowed=f"(…, {len(quantiles)})",
        )
