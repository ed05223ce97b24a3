"""A detector that knows what a schedule brings, and which money came once: neither is strange on its day.

The detector learns what is usual without the schedules' money, and its expectation of each day is moved by the money known of that day. It
goes on seeing what came once: whether the next such invoice will be strange cannot be told before it comes, so it belongs to the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError


def with_known_money(arrays: Mapping[str, NDArray[Any]], known: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """A snapshot detector's arrays with the expectation of each day moved by `known` (n, n_days) money; spreads stay what they are in money.

    Days on which nothing could be expected yet stay so. Raises InputError for another shape.
    """
    location, spread = arrays["location"].astype(np.float64), arrays["spread"].astype(np.float64)
    if known.shape != location.shape:
        raise InputError(f"known has shape {known.shape}", field="known", got=known.shape, allowed=f"{location.shape}, as the detector's days")
    moved, width = moved_by(location, spread, np.asarray(arrays["constant"], dtype=np.float64)[:, None], known)
    return {**arrays, "location": moved.astype(np.float32), "spread": width.astype(np.float32)}


def moved_by(
    location: NDArray[np.float64],
    spread: NDArray[np.float64],
    constant: NDArray[np.float64] | float,
    known: NDArray[np.float64],
    miss: NDArray[np.float64] | float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and spread (on the transformed scale, all of one shape) with `known` money added, whose own spread is `miss`, in money."""
    moved = np.arcsinh(np.sinh(location) + known / constant)
    width = np.hypot(spread * np.cosh(location), miss / constant) / np.cosh(moved)
    same = known == 0.0
    return np.where(same, location, moved), np.where(same, spread, width)
