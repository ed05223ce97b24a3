"""Joint paths from a forecaster's own past errors, so that totals of any period come out right.

From every past origin the point forecast and what really came give one *trajectory of ratios* per series:
`q[h] = actual[h] / (point[h] + ε level)`. A future path of **all** series takes one origin's trajectories together, so the
dependence between days and between series is kept as it was, and period totals are resampled as totals (independent days
would make an 80 % interval of 28-day totals cover less than half of them). Four things are done per *stretch* of steps
(a season, the rest of a short window, the rest of the trajectory), because each has its own number of independent windows:
points are brought back from bursts (`reversion.py`), the mean is corrected, the spread is widened for being known from few
windows (`widening.py`), and the newest origins, whose long stretches are not over yet, lend their short ones. Beyond the
longest trajectory, blocks are chained and carry the ratio that the block before ended on, so uncertainty grows with the horizon.

Ratios keep zeros zero and spend non-negative. Series made of credits use differences in units of the level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.reversion import overshoot, reversion
from forecast.forecasters.trajectories import EPSILON, NEUTRAL, PERSISTENCE, bias_corrected, completed, lent, tamed
from forecast.forecasters.widening import scale_factors, split, unseen_drift, wander, widen

LEAST_KNOWN = 8
MOST_ORIGINS = 60

MOST_SEEN = 2.0
"""Most that a stretch may cost, in the largest that history has shown over such a time."""

MEAN_KEPT = 0.5
"""Widening on a log scale keeps the median and raises the mean. Kept whole, the mean would push most paths down for the sake of a few: half-way."""


def choose_origins(history: History, first_honest: int = 0) -> tuple[Ints, int]:
    """Origins to take errors from, oldest first, and the length of a trajectory.

    All origins have their first short window (or the whole trajectory, where that is shorter) before the end; the newest ones lack the
    rest. Where history allows, they lie whole seasons before the end, so that a trajectory's weekdays fall on the weekdays of the future
    that it stands for.
    """
    total, season = history.n_periods, history.rhythm.season
    begin = max(first_honest, LEAST_KNOWN, min(season + 1, total // 2))
    block = int(np.clip((total - begin) // 3, 1, history.rhythm.long))
    head = min(block, history.rhythm.short)
    span = total - head - begin
    step = season if span // season >= 12 else max(1, -(-span // MOST_ORIGINS))
    if season > 1 and span // season >= 12:
        step *= max(1, -(-(span // season) // MOST_ORIGINS))
    newest = total - head
    # The newest origin whose first window is known and that has the phase of "now".
    if step % season == 0 and season > 1:
        newest = total - -(-head // season) * season
    origins = np.arange(newest, begin - 1, -step, dtype=np.int64)[::-1]
    return (origins if len(origins) else np.array([newest], dtype=np.int64)), block


@dataclass(frozen=True)
class ErrorBank:
    """Past error trajectories of all series, ready to be resampled together.

    ratios : (n, block, O) float32; origin o's column is one joint past. additive : (n,) differences in levels instead of ratios.
    level : (n,) recent level at the end. pull : (n, block) factors that bring points back from a burst. largest : (n, S) largest mean
    over a window as long as each stretch that history has shown. weights : (O,) draw probabilities. edges : (S + 1,) steps at which
    stretches begin, and the end. windows : (S,) independent windows behind each stretch. drift : (n,) and reach : see `widening.wander`.
    """

    ratios: NDArray[np.float32]
    additive: NDArray[np.bool_]
    level: Floats
    pull: Floats
    largest: Floats
    weights: Floats
    edges: Ints
    windows: Floats
    season: int
    drift: Floats
    reach: int

    @classmethod
    def build(cls, history: History, points: Callable[[Ints, int], Floats], *, first_origin: int = 0) -> ErrorBank:
        """Errors of `points(origins, horizon)` (n, O, horizon) at past origins."""
        origins, block = choose_origins(history, first_origin)
        return cls.of(history, origins, points(origins, block))

    @classmethod
    def of(cls, history: History, origins: Ints, expected: Floats) -> ErrorBank:
        """Errors of `expected` (n, O, block), the points made at `origins`."""
        block = expected.shape[2]
        rhythm = history.rhythm
        head = min(block, rhythm.short)
        length = np.minimum(history.n_periods - origins, block)  # (O,) steps of each trajectory that are over
        actual = history.future(origins, block)  # (n, O, block)
        additive = history.additive
        now = np.array([history.n_periods], dtype=np.int64)
        # Credits come and go as a whole: their errors are money, not shares of what there was then. The root mean square of all history
        # keeps them finite for whoever borrows them.
        recent = history.level(now)[:, 0]
        scale = np.where(additive, np.maximum(recent, np.sqrt(np.square(history.filled).mean(axis=1))), recent)
        level = np.where(additive[:, None], scale[:, None], history.level(origins))[:, :, None]
        base = _base(expected, level, additive[:, None, None])
        edges = np.array(sorted({0, *(edge for edge in (rhythm.season, rhythm.short) if edge < block), block}), dtype=np.int64)
        windows = np.array([_windows(origins, length, int(end)) for end in edges[1:]])
        pull = _pull(history, origins, length, actual, base, edges, windows)
        base = base * pull(origins)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(additive[:, None, None], (actual - expected) / level, actual / base)
        neutral = np.where(additive, 0.0, NEUTRAL)[:, None, None]
        ratios = np.where((level <= 0) & (np.nan_to_num(actual) == 0), neutral, ratios)
        known = np.isfinite(ratios)
        valid = (history.age(origins) >= LEAST_KNOWN) & (known[:, :, :head].mean(axis=2) >= 0.8)
        # A day that is not known is taken for a day like the others of its trajectory.
        count = known.sum(axis=2, keepdims=True)
        like_others = np.where(known, ratios, 0.0).sum(axis=2, keepdims=True) / np.maximum(count, 1)
        ratios = np.where(known, ratios, np.where(count > 0, like_others, neutral))
        weights = 0.5 ** ((origins[-1] - origins) / (2.0 * rhythm.long))
        weights /= weights.sum()
        ratios = completed(tamed(ratios, base, valid, additive, head), length, head, additive)
        for stretch, (begin, end) in enumerate(pairwise(edges)):
            over = length >= end
            part = np.s_[:, :, begin:end]
            ratios[part] = bias_corrected(ratios[part], actual[part], base[part], valid, over, additive, weights, windows[stretch])
        ratios = lent(ratios, valid, additive)
        kept = np.ascontiguousarray(ratios.transpose(0, 2, 1), dtype=np.float32)
        return cls(
            kept,
            additive,
            scale,
            pull(now)[:, 0],
            _largest(history, edges),
            weights,
            edges,
            windows,
            rhythm.season,
            unseen_drift(history),
            2 * rhythm.short,
        )

    def simulate(self, points: Floats, n_paths: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n, horizon, n_paths) joint paths around `points` (n, horizon)."""
        n_series, horizon = points.shape
        block, n_origins = self.ratios.shape[1:]
        paths = np.empty((n_series, horizon, n_paths), dtype=np.float32)
        base = _base(points, self.level[:, None], self.additive[:, None]) * self.pull[:, np.minimum(np.arange(horizon), block - 1)]
        carry = np.where(self.additive[:, None], np.zeros((n_series, n_paths)), 1.0)
        factors = scale_factors(self.windows, rng, n_paths)  # (S, n_paths)
        inside, smooth = _stretches(self.edges)
        tail = slice(max(0, block - 4 * self.season), block)
        own = rng.standard_normal((n_series, n_paths))
        refunds = np.asarray((self.ratios < 0).any(axis=(1, 2)))
        for begin in range(0, horizon, block):
            steps = min(block, horizon - begin)
            first, second = (rng.choice(n_origins, size=n_paths, p=self.weights) for _ in range(2))
            # Half of the paths are a past as it was; the others blend two, so that few origins do not make few futures.
            angle = np.where(rng.random(n_paths) < 0.5, 0.0, rng.random(n_paths) * np.pi / 2)
            one, two = np.cos(angle), np.sin(angle)
            if begin:
                factors = np.repeat(factors[-1:], len(factors), axis=0)
            for row in range(n_series):
                past = self.ratios[row].astype(np.float64)  # (block, O)
                centre = past @ self.weights  # (block,)
                around = past - centre[:, None]
                drawn = around[:, first] * one
                drawn += around[:, second] * two
                if self.additive[row]:
                    # What the first block's errors say about growth is said once: later blocks stay where it ended.
                    middle = centre if not begin else np.full(block, centre[tail].mean())
                    common, alone = split(factors)
                    spread = (inside @ drawn / inside.sum(axis=1, keepdims=True)).std(axis=1, keepdims=True)
                    drawn = drawn * (smooth @ common) + smooth @ (alone * spread * own[row]) + middle[:, None]
                    paths[row, begin : begin + steps] = base[row, begin : begin + steps, None] + (drawn[:steps] + carry[row]) * self.level[row]
                    ends = drawn[tail].mean(axis=0)
                    carry[row] += PERSISTENCE * (ends - ends.mean())
                    continue
                drawn += centre[:, None]
                # Negative only on days on which one of the two pasts was (refunds).
                floor = np.minimum(0.0, np.minimum(past[:, first], past[:, second])) if refunds[row] else 0.0
                np.maximum(drawn, floor, out=drawn)
                if begin:
                    drawn *= self._levelling(centre, tail)[:, None]
                within = _shares(inside, base[row, begin : begin + steps])
                means = within @ drawn  # (S, n_paths)
                wider = drawn * np.exp(smooth @ widen(means, factors, own[row]))
                have, had = (within @ wider).mean(axis=1), means.mean(axis=1)
                # A stretch that refunds take below nothing keeps what the widening made of it.
                wider *= (smooth @ np.where((have > 1e-12) & (had > 0), np.maximum(had, 0.0) / np.maximum(have, 1e-12), 1.0) ** MEAN_KEPT)[:, None]
                wider *= carry[row]
                wider *= smooth @ self._within_reason(row, within @ wider, base[row, begin : begin + steps], inside)
                paths[row, begin : begin + steps] = base[row, begin : begin + steps, None] * wider[:steps]
                ends = np.maximum(wider[tail].mean(axis=0), 0.0)
                carry[row] = PERSISTENCE * ends / max(ends.mean(), 1e-12) + 1 - PERSISTENCE
                carry[row] /= max(carry[row].mean(), 1e-12)
        if self.drift.any():
            wander(paths, self.drift, self.reach, rng)
        return paths

    def _levelling(self, centre: Floats, tail: slice) -> Floats:
        """(block,) factors that hold the mean trajectory `centre` (block,) where it ended, weekdays kept."""
        width = min(max(self.season, 1) * 4, len(centre))
        padded = np.pad(centre, (width // 2, width - 1 - width // 2), mode="edge")
        smooth = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
        ended = float(centre[tail].mean())
        return np.where(smooth > 1e-9, ended / np.maximum(smooth, 1e-9), 1.0)

    def _within_reason(self, row: int, means: Floats, base: Floats, inside: NDArray[np.bool_]) -> Floats:
        """(S, n_paths) factors that hold each stretch below MOST_SEEN times what history (or the point) has shown over such a time.

        means : (S, n_paths) mean ratios. A small series' past ratios are large numbers, and times a burst they would be fortunes.
        """
        steps = inside[:, : len(base)]
        usual = (steps * base).sum(axis=1) / np.maximum(steps.sum(axis=1), 1)
        money = means * usual[:, None]
        limit = MOST_SEEN * np.maximum(self.largest[row], usual)[:, None]
        return np.where(money > limit, limit / np.maximum(money, 1e-12), 1.0)

    def state(self) -> dict[str, Any]:
        return {
            "ratios": self.ratios,
            "additive": self.additive,
            "level": self.level,
            "pull": self.pull,
            "largest": self.largest,
            "weights": self.weights,
            "edges": self.edges,
            "windows": self.windows,
            "season": self.season,
            "drift": self.drift,
            "reach": self.reach,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ErrorBank:
        return cls(**{**state, "season": int(state["season"]), "reach": int(state["reach"])})


def _base(points: Floats, level: Floats, additive: NDArray[np.bool_]) -> Floats:
    """What ratios multiply: the point and a share of the level; differences are added to the point itself."""
    return np.where(additive, points, np.maximum(points, 0.0) + EPSILON * level)


def _stretches(edges: Ints) -> tuple[NDArray[np.bool_], Floats]:
    """(S, block) steps of each stretch, and (block, S) weights that pass smoothly from one stretch's value to the next."""
    steps = np.arange(edges[-1])
    inside = (steps >= edges[:-1, None]) & (steps < edges[1:, None])
    middles = (edges[:-1] + edges[1:] - 1) / 2
    smooth = np.stack([np.interp(steps, middles, one) for one in np.eye(len(middles))], axis=1)
    return inside, smooth


def _windows(origins: Ints, length: Ints, end: int) -> float:
    """Independent windows behind a stretch: those that reach further overlap more, so fewer stand behind what they say."""
    over = origins[length >= end]
    return 1.0 + float(np.ptp(over)) / end if len(over) else 1.0


def _largest(history: History, edges: Ints) -> Floats:
    """(n, S) largest mean over as many periods as each stretch has."""
    sums = np.concatenate([np.zeros((history.n_series, 1)), np.cumsum(np.maximum(history.filled, 0.0), axis=1)], axis=1)
    widths = np.minimum(np.diff(edges), history.n_periods)
    return np.stack([(sums[:, width:] - sums[:, :-width]).max(axis=1) / width for width in widths], axis=1)


def _pull(history: History, origins: Ints, length: Ints, actual: Floats, base: Floats, edges: Ints, windows: Floats) -> Callable[[Ints], Floats]:
    """A function of origins: (n, O, block) factors on the base, see `reversion.py`; 1 for series of credits."""
    above = overshoot(history, origins)
    usual = history.window_mean(np.array([history.n_periods], dtype=np.int64), history.n_periods, size=True)[:, 0]
    settled = (history.age(origins) >= 2 * history.rhythm.short) & ~history.additive[:, None]
    slopes = np.empty(len(windows))
    for stretch, (begin, end) in enumerate(pairwise(edges)):
        counted = settled & (length >= end)[None, :]
        came = np.where(counted, np.nan_to_num(actual[:, :, begin:end]).sum(axis=2), 0.0)
        known = np.where(np.isfinite(actual[:, :, begin:end]), base[:, :, begin:end], 0.0).sum(axis=2)
        slopes[stretch] = reversion(came, np.where(counted, known, 0.0), above, usual * (end - begin), windows[stretch])
    by_step = _stretches(edges)[1] @ slopes  # (block,)

    def factors(at: Ints) -> Floats:
        start = np.where(history.additive[:, None], 0.0, overshoot(history, at))
        return np.asarray(np.exp(start[:, :, None] * by_step[None, None, :]))

    return factors


def _shares(inside: NDArray[np.bool_], base: Floats) -> Floats:
    """(S, block) share of each step in its stretch's money, by `base` (steps ≤ block,); equal shares where it holds none."""
    money = np.zeros(inside.shape[1])
    money[: len(base)] = base
    weighted = inside * money
    sums = weighted.sum(axis=1, keepdims=True)
    return np.where(sums > 0, weighted / np.maximum(sums, 1e-300), inside / inside.sum(axis=1, keepdims=True))
