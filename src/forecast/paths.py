"""SpendPaths: joint sample paths, the one type that flows. Every answer is a reduction of it.

Only means add up over rows. Quantiles of a sum come from the summed paths, never from summed quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, OutsideHorizonError

Time = str | date | datetime | pd.Timestamp | np.datetime64


@dataclass(frozen=True)
class SpendPaths:
    """Simulated futures of several series.

    ids : (n_series,) names.
    starts, ends : (n_series, horizon) or (1, horizon) datetime64[ns], the half-open period that each step stands for.
    values : (n_series, horizon, n_paths) float32, cost per step in the series' currency. Path k of every series is one joint future.
    """

    ids: tuple[str, ...]
    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        n_series, horizon, _ = self.values.shape
        for name, array in (("starts", self.starts), ("ends", self.ends)):
            if array.shape not in {(n_series, horizon), (1, horizon)}:
                raise InputError(
                    f"paths: {name} has shape {array.shape}, allowed is ({n_series}, {horizon}) or (1, {horizon})",
                    field=name,
                    got=array.shape,
                    allowed=f"({n_series}, {horizon}) or (1, {horizon})",
                )
        if len(self.ids) != n_series:
            raise InputError(f"paths: {len(self.ids)} ids for {n_series} series", field="ids", got=len(self.ids), allowed=str(n_series))

    @property
    def n_series(self) -> int:
        return self.values.shape[0]

    @property
    def horizon(self) -> int:
        return self.values.shape[1]

    @property
    def n_paths(self) -> int:
        return self.values.shape[2]

    def mean(self) -> pd.DataFrame:
        """Columns unique_id, ds, value: the mean of each step. Means add up."""
        return self._long(self.values.mean(axis=2, dtype=np.float64), "value")

    def quantile(self, quantiles: Sequence[float]) -> pd.DataFrame:
        """Columns unique_id, ds, quantile, value; `quantile` holds the floats that were asked for, in that order."""
        wanted = check_quantiles(quantiles)
        found = np.empty((*self.values.shape[:2], len(wanted)))
        for row, values in enumerate(self.values):  # series by series, so that the sorted copy stays small
            found[row] = sorted_quantiles(values, wanted)
        frames = [self._long(found[:, :, number], "value").assign(quantile=level) for number, level in enumerate(wanted)]
        return pd.concat(frames, ignore_index=True)[["unique_id", "ds", "quantile", "value"]]

    def total(self, start: Time | None = None, end: Time | None = None) -> pd.DataFrame:
        """Samples of each series' total over [start, end): one row a series (index unique_id), one column a path.

        A step that the period cuts counts with its share of time. Without dates: the whole horizon.
        """
        weights = self.step_weights(start, end)
        totals = np.einsum("sh,shp->sp", np.broadcast_to(weights, self.values.shape[:2]), self.values, dtype=np.float64)
        return pd.DataFrame(totals, index=pd.Index(self.ids, name="unique_id"))

    def step_weights(self, start: Time | None = None, end: Time | None = None) -> NDArray[np.float64]:
        """(n_series or 1, horizon) share of each step that lies in [start, end); raises where the period leaves the horizon."""
        first = self.starts[:, :1] if start is None else np.full((1, 1), _stamp(start))
        last = self.ends[:, -1:] if end is None else np.full((1, 1), _stamp(end))
        if (last <= first).any():
            raise InputError(f"total: end {end} is not after start {start}", field="end", got=str(end), allowed=f"after {start}")
        if (first < self.starts[:, :1]).any() or (last > self.ends[:, -1:]).any():
            seen = (self.starts.min().astype("datetime64[D]"), self.ends.max().astype("datetime64[D]"))
            raise OutsideHorizonError(
                f"total: [{start}, {end}) is not inside the simulated days [{seen[0]}, {seen[1]})",
                field="start" if (first < self.starts[:, :1]).any() else "end",
                got=f"{start}..{end}",
                allowed=f"{seen[0]}..{seen[1]}",
            )
        return overlap(self.starts, self.ends, first, last)

    def aggregate(self, groups: Sequence[str], names: Sequence[str] | None = None) -> SpendPaths:
        """Paths of sums: `groups[i]` names the group of series i. Series must share their time steps."""
        if self.starts.shape[0] > 1 and (self.starts != self.starts[:1]).any():
            raise InputError("aggregate: series have different horizons", field="starts", got="different", allowed="series that end on one day")
        codes, unique = pd.factorize(pd.Index(groups), sort=names is None)
        summed = np.zeros((len(unique), *self.values.shape[1:]), dtype=np.float64)
        for row, code in enumerate(codes):
            summed[code] += self.values[row]
        return SpendPaths(tuple(map(str, unique)), self.starts[:1], self.ends[:1], summed.astype(np.float32))

    def _long(self, per_step: NDArray[np.float64], name: str) -> pd.DataFrame:
        starts = np.broadcast_to(self.starts, per_step.shape)
        return pd.DataFrame({"unique_id": np.repeat(np.array(self.ids, dtype=object), self.horizon), "ds": starts.ravel(), name: per_step.ravel()})


def sorted_quantiles(samples: NDArray[np.floating], quantiles: Sequence[float]) -> NDArray[np.float64]:
    """(…, n_samples) → (…, n_quantiles), the numbers that `np.quantile` gives (linear between order statistics).

    One sort a row; with 17 quantiles of 1,000 samples `np.quantile` partitions for each of them and took ten times as long.
    """
    place = np.asarray(quantiles, dtype=np.float64) * (samples.shape[-1] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, samples.shape[-1] - 1)
    ordered = np.sort(samples, axis=-1)
    below, above = ordered[..., low].astype(np.float64), ordered[..., high].astype(np.float64)
    return np.asarray(below + (place - low) * (above - below))


def overlap(
    starts: NDArray[np.datetime64],
    ends: NDArray[np.datetime64],
    first: NDArray[np.datetime64] | np.datetime64,
    last: NDArray[np.datetime64] | np.datetime64,
) -> NDArray[np.float64]:
    """Share of each step [start, end) that lies inside [first, last), in 0..1."""
    inside = (np.minimum(ends, last) - np.maximum(starts, first)).astype("timedelta64[s]").astype(np.float64)
    length = (ends - starts).astype("timedelta64[s]").astype(np.float64)
    return np.clip(inside / length, 0.0, 1.0)


def check_quantiles(quantiles: Sequence[float], most: int = 99) -> list[float]:
    """The quantiles as floats, each strictly between 0 and 1."""
    wanted = [float(level) for level in quantiles]
    if not 0 < len(wanted) <= most:
        raise InputError(
            f"quantiles: got {len(wanted)} of them, allowed are 1 to {most}", field="quantiles", got=len(wanted), allowed=f"1 to {most} floats"
        )
    for level in wanted:
        if not 0.0 < level < 1.0:
            raise InputError(
                f"quantiles: got {level}, allowed are floats strictly between 0 and 1, such as 0.9 (not 90)",
                field="quantiles",
                got=level,
                allowed="floats strictly between 0 and 1",
            )
    return wanted


def _stamp(time: Time) -> np.datetime64:
    try:
        stamp = pd.Timestamp(time)
    except ValueError:
        raise InputError(f"{time!r} is not a time", field="start", got=str(time), allowed="YYYY-MM-DD") from None
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return stamp.to_datetime64().astype("datetime64[ns]")
