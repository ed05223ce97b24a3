"""Features of an autoregression: their moments for the regression, and the recursion that forecasts with them. All series and origins at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats, Ints
from forecast.forecasters.lagged_designs import Design

OUTLIER = 4.0
"""Standard deviations beyond which moves, gaps and answers count as so many. M4: 3 to 5 alike, without a limit 2 % worse."""

SMALLEST = 1e-9
"""Standard deviation that a series without any moves is taken to have, in units of x."""


class Moments(NamedTuple):
    """Of standardised features. products : (n, P, P). answers : (n, P). mass : (n,) weight of the rows. spread : (n,) standard deviation of what is
    forecast, and sizes : (n, P) of the features, in units of x."""

    products: Floats
    answers: Floats
    mass: Floats
    spread: Floats
    sizes: Floats


def moments(x: Floats, first: Ints, end: Ints, design: Design) -> Moments:
    """Weighted sums over x (n, T) from each series' column `first` up to before column `end`; features that reach back to before `first` are 0."""
    periods, k = x.shape[1], design.difference
    columns = np.arange(periods)[None, :]
    begun = (columns >= first[:, None]) & (columns < end[:, None])
    moving = begun & later(begun, design.moves_at)
    step = np.where(moving, x - later(x, design.moves_at), 0.0)
    counted = begun & later(begun, k)
    answer = np.where(counted, x - later(x, k), 0.0)
    move = _size(step, moving)
    spread = _size(answer, counted)
    moved = np.clip(step / move[:, None], -OUTLIER, OUTLIER)
    table = np.empty((*x.shape, design.width))
    sizes = np.repeat(move[:, None], design.width, axis=1)
    for place, lag in enumerate(design.moves):
        table[:, :, place] = later(moved, lag)
    for place, lags in enumerate(design.gaps, start=len(design.moves)):
        number, total = np.zeros_like(x), np.zeros_like(x)
        for lag in lags:
            there = later(begun, lag)
            number += there
            total += np.where(there, later(x, lag), 0.0)
        seen = counted & (number > 0)
        gap = np.where(seen, total / np.maximum(number, 1.0) - later(x, k), 0.0)
        sizes[:, place] = _size(gap, seen)
        table[:, :, place] = np.clip(gap / sizes[:, place, None], -OUTLIER, OUTLIER)
    weight = (counted & (columns > first[:, None] + k)).astype(np.float64)
    if design.half_life is not None:
        weight *= 0.5 ** (np.maximum(end[:, None] - 1 - columns, 0) / design.half_life)
    weighted = (table * weight[:, :, None]).transpose(0, 2, 1)
    target = np.clip(answer / spread[:, None], -OUTLIER, OUTLIER)
    return Moments(weighted @ table, (weighted @ target[:, :, None])[:, :, 0], weight.sum(axis=1), spread, sizes)


def recursion(x: Floats, known: NDArray[np.bool_], horizon: int, design: Design, coefficients: Floats, limits: Floats) -> Floats:
    """(horizon, cells) x at each step after the last row.

    x : (reach or more, cells) what was before, oldest first; a cell is a series at an origin, so that a lag is a row and all cells of a row are
    computed on at once. known : the same shape, False before a series began. coefficients, limits : (P, cells).
    """
    past, cells = x.shape
    k, at = design.difference, design.moves_at
    values = np.zeros((past + horizon, cells))
    values[:past] = np.where(known, x, 0.0)
    seen = np.ones(values.shape, dtype=bool)
    seen[:past] = known
    steps = np.zeros_like(values)
    between = np.where(known[at:] & known[: past - at], values[at:past] - values[: past - at], 0.0)
    steps[at:past] = np.clip(between, -limits[0], limits[0]) if design.moves else between
    everything = bool(known.all())
    for now in range(past, past + horizon):
        change = np.zeros(cells)
        for place, lag in enumerate(design.moves):
            change += coefficients[place] * steps[now - lag]
        # Where the value to start from is not known (a series younger than the difference), the last one goes on.
        start = values[now - k] if everything else np.where(seen[now - k], values[now - k], values[now - 1])
        for place, lags in enumerate(design.gaps, start=len(design.moves)):
            total = sum_of(values, now, lags)
            if everything:
                gap = total / len(lags) - start
            else:
                number = sum_of(seen, now, lags)
                gap = np.where((number > 0) & seen[now - k], total / np.maximum(number, 1) - start, 0.0)
            change += coefficients[place] * np.clip(gap, -limits[place], limits[place])
        values[now] = start + change
        steps[now] = values[now] - values[now - at]
    return values[past:]


def sum_of(rows: NDArray[Any], now: int, lags: tuple[int, ...]) -> Floats:
    """(cells,) sum of the rows so many before `now`."""
    found: Floats = rows[now - lags[0]].astype(np.float64)
    for lag in lags[1:]:
        found += rows[now - lag]
    return found


def later(values: NDArray[Any], lag: int) -> NDArray[Any]:
    """(n, T) values `lag` columns before; 0 (False) before the first."""
    found = np.zeros_like(values)
    if lag < values.shape[1]:
        found[:, lag:] = values[:, : values.shape[1] - lag]
    return found


def _size(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """(n,) root mean square where counted."""
    mean = np.square(np.where(counted, values, 0.0)).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return np.asarray(np.maximum(np.sqrt(mean), SMALLEST))
