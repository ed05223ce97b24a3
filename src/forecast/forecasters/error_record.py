"""From points at past origins and what came to trajectories of ratios: three passes over batches of series.

What all series say together (how bursts end, how large an error may be, how biased points are) must be known before any of them is finished, and
10,000 series at 60 origins with all their temporaries do not fit into memory. So each pass works out again what it needs, batch by batch:

1. totals of stretches, for the pool's reversion; 2. sizes and biases, for the pool's limits; 3. the finished trajectories.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import in_batches, joined
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.reversion import overshoot, reversion
from forecast.forecasters.trajectories import NEUTRAL, bias_corrected, completed, lent, money_base, pool_bias, size_limits, tamed, total_ratios

LEAST_KNOWN = 8

LARGEST_DIFFERENCE = 1e6
"""In levels: what a series of credits may be away from its point, so that 32 bits hold it in money too."""


@dataclass(frozen=True)
class ErrorRecord:
    """Points made at past origins, beside the history that came after them.

    origins : (O,) ascending. expected : (n, O, block) points, of any float type. scale : (n,) what differences of series of credits are counted in.
    edges : (S + 1,) steps at which stretches begin, and the end. weights : (O,) how much each origin counts, summing to one.
    """

    history: History
    origins: Ints
    expected: NDArray[np.floating]
    scale: Floats
    edges: Ints
    weights: Floats
    threads: int = 1

    @property
    def length(self) -> Ints:
        """(O,) steps of each trajectory that are over."""
        return np.minimum(self.history.n_periods - self.origins, self.expected.shape[2])

    @property
    def windows(self) -> Floats:
        """(S,) independent windows behind each stretch: those that reach further overlap more, so fewer stand behind what they say."""
        over = [self.origins[self.length >= end] for end in self.edges[1:]]
        return np.array([1.0 + float(np.ptp(one)) / end if len(one) else 1.0 for one, end in zip(over, self.edges[1:], strict=True)])

    def reversion(self) -> Floats:
        """(block,) how far points come back from bursts by each step, see `reversion.py`."""
        history, length = self.history, self.length

        def totals(rows: slice) -> tuple[Floats, ...]:
            part = history.part(rows)
            actual, _, base = self._beside(rows, part)
            settled = (part.age(self.origins) >= 2 * part.rhythm.short) & ~part.additive[:, None]
            came, known = np.zeros((2, len(self.edges) - 1, *base.shape[:2]))
            for stretch, (begin, end) in enumerate(pairwise(self.edges)):
                inside = actual[:, :, begin:end]
                counted = settled & (length >= end)[None, :]
                came[stretch] = np.where(counted, np.nan_to_num(inside).sum(axis=2), 0.0)
                known[stretch] = np.where(counted, np.where(np.isfinite(inside), base[:, :, begin:end], 0.0).sum(axis=2), 0.0)
            return came.transpose(1, 2, 0), known.transpose(1, 2, 0), overshoot(part, self.origins)

        came, known, above = joined(totals, history.n_series, self.threads)
        usual = history.window_mean(np.array([history.n_periods], dtype=np.int64), history.n_periods, size=True)[:, 0]
        slopes = [
            reversion(came[:, :, stretch], known[:, :, stretch], above, usual * (end - begin), self.windows[stretch])
            for stretch, (begin, end) in enumerate(pairwise(self.edges))
        ]
        return np.asarray(smoothing(self.edges) @ np.array(slopes))

    def trajectories(self, by_step: Floats) -> NDArray[np.float32]:
        """(n, block, O) float32 ratios (differences in levels for credits), fit to be resampled. by_step : from `reversion`."""
        n_series, n_origins, block = self.expected.shape
        head = min(block, self.history.rhythm.short)
        length, windows = self.length, self.windows
        over = [length >= end for end in self.edges[1:]]

        def sizes(rows: slice) -> tuple[NDArray[Any], ...]:
            ratios, actual, base, valid, additive = self._ratios(rows, by_step)
            totals = np.empty((2, len(windows), len(ratios)))
            for stretch, (begin, end) in enumerate(pairwise(self.edges)):
                weight = np.where(valid & over[stretch], self.weights, 0.0)
                inside = actual[:, :, begin:end]
                totals[0, stretch] = (np.nan_to_num(inside).sum(axis=2) * weight).sum(axis=1)
                totals[1, stretch] = (np.where(np.isfinite(inside), base[:, :, begin:end], 0.0).sum(axis=2) * weight).sum(axis=1)
            return total_ratios(np.abs(ratios[:, :, :head]), base[:, :, :head], additive), valid, totals[0].T, totals[1].T

        means, valid, came, expected = joined(sizes, n_series, self.threads)
        additive = self.history.additive
        limits = size_limits(means, valid, additive)
        pools = [pool_bias(came[~additive, stretch], expected[~additive, stretch], windows[stretch]) for stretch in range(len(windows))]
        kept = np.empty((n_series, block, n_origins), dtype=np.float32)

        def finish(rows: slice) -> None:
            ratios, _, base, valid, additive = self._ratios(rows, by_step)
            ratios = completed(tamed(ratios, means[rows], limits[rows]), length, head, additive)
            for stretch, (begin, end) in enumerate(pairwise(self.edges)):
                part = np.s_[:, :, begin:end]
                ratios[part] = bias_corrected(
                    ratios[part],
                    base[part],
                    came[rows, stretch],
                    expected[rows, stretch],
                    valid=valid,
                    over=over[stretch],
                    additive=additive,
                    weights=self.weights,
                    windows=windows[stretch],
                    pool=pools[stretch],
                )
            kept[rows] = ratios.transpose(0, 2, 1)

        in_batches(finish, n_series, self.threads)
        lent(kept, valid, additive)
        return kept

    def _beside(self, rows: slice, part: History) -> tuple[Floats, Floats, Floats]:
        """What came (n, O, block), the level (n, O, 1) and what ratios multiply (n, O, block), of some series."""
        level = np.where(part.additive[:, None], self.scale[rows, None], part.level(self.origins))[:, :, None]
        base = money_base(self.expected[rows].astype(np.float64), level, part.additive[:, None, None])
        return part.future(self.origins, self.expected.shape[2]), level, base

    def _ratios(self, rows: slice, by_step: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Ratios (n, O, block) without gaps, what came, what they multiply, which (n, O) trajectories are honest, and (n,) series of credits."""
        part = self.history.part(rows)
        additive = part.additive
        credits = additive[:, None, None]
        actual, level, base = self._beside(rows, part)
        head = min(base.shape[2], part.rhythm.short)
        base *= pull(part, self.origins, by_step)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = actual / base
            if additive.any():
                away = np.clip((actual - self.expected[rows]) / level, -LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
                ratios = np.where(credits, away, ratios)
        neutral = np.where(additive, 0.0, NEUTRAL)[:, None, None]
        ratios = np.where((level <= 0) & (np.nan_to_num(actual) == 0), neutral, ratios)
        known = np.isfinite(ratios)
        valid = (part.age(self.origins) >= LEAST_KNOWN) & (known[:, :, :head].mean(axis=2) >= 0.8)
        if not known.all():
            # A day that is not known is taken for a day like the others of its trajectory.
            count = known.sum(axis=2, keepdims=True)
            like_others = np.where(known, ratios, 0.0).sum(axis=2, keepdims=True) / np.maximum(count, 1)
            ratios = np.where(known, ratios, np.where(count > 0, like_others, neutral))
        return ratios, actual, base, valid, additive


def pull(history: History, origins: Ints, by_step: Floats) -> Floats:
    """(n, O, block) factors that bring points back from bursts; 1 for series of credits."""
    above = np.where(history.additive[:, None], 0.0, overshoot(history, origins))
    return np.asarray(np.exp(above[:, :, None] * by_step[None, None, :]))


def smoothing(edges: Ints) -> Floats:
    """(block, S) weights that pass smoothly from one stretch's value to the next."""
    middles = (edges[:-1] + edges[1:] - 1) / 2
    return np.stack([np.interp(np.arange(edges[-1]), middles, one) for one in np.eye(len(middles))], axis=1)
