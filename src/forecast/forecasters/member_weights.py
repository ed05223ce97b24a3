"""Weights of members from their errors at past origins.

Errors are those of single steps (a run rate may be right for a week of hours and wrong in every one of them), of totals of one short window (28
days of days) and of the whole trajectory. A series' own errors are shrunk to the pool's, because differences between good members on few windows are
mostly noise, and the weights are a power of their inverses. Members that are clearly worse than the best one over all series take no part,
where there is evidence enough to say so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import joined
from forecast.forecasters.error_record import LEAST_KNOWN
from forecast.forecasters.history import Floats, History, Ints, Rhythm

EQUAL_SHARE = 0.05
"""Share of the weights that is equal among the members that take part, so that none is left out for one bad quarter."""

FIT_TO_STAY = 1.25
"""Members whose typical error is beyond so many times the best one's take no part."""

EVIDENCE = 4.0
"""Independent origins below which every member takes part."""

MOST_ERROR = 3.0
"""In levels: what is worse than this is bad enough."""


def weights_of(history: History, origins: Ints, said: Sequence[NDArray[np.float32]], pool_trust: float, sharpness: float, threads: int = 1) -> Floats:
    """(members, n, 2) near and far weights of `said` (n, O, block) each, every series' summing to one.

    pool_trust : independent origins that the pool's errors count as. sharpness : exponent on inverse errors, 0 is equal weights.
    """
    block, short = said[0].shape[2], min(history.rhythm.short, said[0].shape[2])
    level = history.level(origins)
    valid = (history.age(origins) >= LEAST_KNOWN) & (level > 0)
    last = np.minimum(history.n_periods - origins, block)  # steps that are over
    season = min(history.rhythm.season, short)
    judged_by = (((season, short), short), ((short, block), block))  # widths of totals, and steps, for near and far

    def errors(rows: slice) -> tuple[Floats, ...]:
        actual = history.part(rows).future(origins, block)
        judged = valid[rows]
        known = np.isfinite(actual) & judged[:, :, None]
        came = np.where(known, actual, 0.0)
        scale = np.where(judged, level[rows], 1.0)
        found = np.zeros((len(came), len(said), len(judged_by)))
        usual = np.zeros((len(came), len(origins), len(said), len(judged_by)))
        for place, points in enumerate(said):
            away = np.where(known, points[rows] - came, 0.0)
            squares = np.square(away / scale[:, :, None])
            for run, (widths, steps) in enumerate(judged_by):
                for width in sorted(set(widths)):
                    error = np.abs(away[..., :width].sum(axis=2)) / (width * scale)
                    found[:, place, run] += _mean(np.minimum(error, MOST_ERROR), judged & (last >= width))
                size = np.sqrt(squares[..., :steps].sum(axis=2) / np.maximum(known[..., :steps].sum(axis=2), 1))
                usual[:, :, place, run] = np.minimum(size, MOST_ERROR)
                found[:, place, run] += _mean(usual[:, :, place, run], judged)
        # Beside the middle member's, so that a month in which every member was wrong says nothing about who is right.
        middle = np.median(usual, axis=2)
        compared = judged[:, :, None] & (middle > 0)
        relative = usual / np.where(compared, middle, 1.0)[:, :, None]
        return found, np.where(compared[:, :, None], relative, 0.0).sum(axis=1), compared.sum(axis=1)

    own, relative, compared = joined(errors, history.n_series, threads)
    counts = valid.sum(axis=1)
    share = np.sqrt(np.where(valid, level, 0.0).sum(axis=1))
    share = share / max(float(share.sum()), 1e-300)
    pool = np.einsum("s,smr->mr", share, own)
    # Origins overlap: their number counts in trajectories, not in days.
    spacing = max((origins[-1] - origins[0]) / max(len(origins) - 1, 1), 1)
    independent = counts * min(1.0, spacing / max(short, 1))
    trust = (independent / (independent + pool_trust))[:, None, None]
    raw = (1.0 / np.maximum(trust * own + (1 - trust) * pool, 1e-9)) ** sharpness
    typical = relative.sum(axis=0) / np.maximum(compared.sum(axis=0), 1)
    enough = independent.max(initial=0.0) >= EVIDENCE
    fit = typical <= FIT_TO_STAY * typical.min(axis=0) if enough else np.ones_like(typical, dtype=bool)
    raw = np.where(fit, raw, 0.0)
    weights = raw / raw.sum(axis=1, keepdims=True)
    return np.asarray((1 - EQUAL_SHARE) * weights + EQUAL_SHARE * fit / fit.sum(axis=0)).transpose(1, 0, 2)


def share_of_far(rhythm: Rhythm, horizon: int) -> NDArray[np.float32]:
    """(horizon,) how much the far weights count at each step: none up to the end of the short window, all from the end of the long one on."""
    return np.clip((np.arange(horizon) - rhythm.short) / max(rhythm.long - rhythm.short, 1), 0.0, 1.0).astype(np.float32)


def _mean(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """(n,) mean over the counted origins; 0 where there is none."""
    return np.asarray(np.where(counted, values, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))
