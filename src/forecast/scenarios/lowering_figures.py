"""What lowering functions share: figures that can be written down, expected values of uncertain numbers, days that bind."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forecast.scenarios.levers import Lever
from forecast.scenarios.primitives import Change, Place
from forecast.scenarios.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Figures(dict[str, "float | str | None"]):
    """Numbers and words that belong to one lever; what is infinite or unknown is None when it is written down."""

    def plain(self) -> dict[str, float | str | None]:
        return {name: value if isinstance(value, str) else _finite(value) for name, value in self.items()}


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def expected(value: ArrayLike) -> float:
    """Mean over the paths."""
    return float(np.mean(np.asarray(value, dtype=np.float64)))


def change_of(by_day: Floats, size: ArrayLike) -> Change:
    """by_day × size. size : a number or (n_paths,)."""
    found = np.asarray(size, dtype=np.float64)
    return Change(by_day * float(found)) if found.ndim == 0 else Change(by_day, found)


def days_in_month(days: NDArray[np.datetime64]) -> Floats:
    """(n_days,) days of the calendar month that each day is in."""
    months = days.astype("datetime64[M]")
    return np.asarray(((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.float64))


def bound_strength(lever: Lever, days: NDArray[np.datetime64], length: int) -> Floats:
    """(n_days,) strength of a lever that binds for `length` days from its start, whether it ends before or not: then it stays as it last was."""
    since = (days - np.datetime64(lever.start, "D")).astype(np.int64)
    last = np.datetime64(lever.end, "D") - np.timedelta64(1, "D")
    return np.where((since >= 0) & (since < length), lever.strength(np.minimum(days, last)), 0.0)


def scope_place(leaves: Ints, parts: Floats, world: World) -> Place:
    """The leaves of a scope themselves, by their recent spend in it."""
    size = np.maximum(world.recent[leaves] * parts, 0.0)
    return Place(leaves, size / size.sum() if size.sum() > 0.0 else np.full(len(leaves), 1.0 / len(leaves)))
