"""Figures that are asked of a map, and days summed into their bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.blocks import Changes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_BY_DAY = 12
"""From so many bins on, sums are made day by day; fewer are one matrix product a group of leaves."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """One figure that is asked for.

    changes : the maps (one or several stages of one plan) whose spend is summed. bins : (n_days,) which bin each day counts in, -1 for none.
    """

    changes: Sequence[Changes]
    bins: Ints
    n_bins: int = 1


def binned(own: Floats, wanted: Wanted) -> Floats:
    """(n_stages, n_days) → (n_stages, n_bins) sums."""
    inside = np.flatnonzero(wanted.bins >= 0)
    masks = np.zeros((len(inside), wanted.n_bins))
    masks[np.arange(len(inside)), wanted.bins[inside]] = 1.0
    return np.asarray(own[:, inside] @ masks, dtype=np.float64)


def add_days(total: Floats, own: Floats, wanted: Wanted, days: Floats) -> None:
    """total += coefficients × (n_days, n_paths), by bin."""
    inside = np.flatnonzero(wanted.bins >= 0)
    if not len(inside):
        return
    bins = wanted.bins[inside]
    for stage in range(len(own)):
        if not own[stage].any():
            continue
        if wanted.n_bins < DAY_BY_DAY:
            masks = np.zeros((wanted.n_bins, len(inside)))
            masks[bins, np.arange(len(inside))] = own[stage, inside]
            total[stage] += masks @ days[inside]
            continue
        weighted = own[stage, inside, None] * days[inside]
        starts = np.flatnonzero(np.concatenate([[True], np.diff(bins) != 0]))
        total[stage, bins[starts]] += weighted if len(starts) == len(inside) else np.add.reduceat(weighted, starts, axis=0)
