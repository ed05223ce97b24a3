"""Joint paths from a forecaster's own past errors, so that totals of any period come out right.

From every past origin the point forecast and what really came give one *trajectory of ratios* per series:
`q[h] = actual[h] / (point[h] + ε level)`. A future path of **all** series takes one origin's trajectories together, so the
dependence between days and between series is kept as it was, and period totals are resampled as totals (independent days
would make an 80 % interval of 28-day totals cover less than half of them). Beyond the longest trajectory, blocks are chained
and carry the ratio that the block before ended on, so uncertainty grows with the horizon.

Ratios keep zeros zero and spend non-negative. Series with credits (negative values) use differences in units of the level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from forecast.forecasters.history import Floats, History, Ints

EPSILON = 0.25
"""Share of the recent level added to a point before a ratio is taken: keeps the ratio of a series that wakes up finite."""

LEAST_KNOWN = 8

UNSEEN_DRIFT = 0.44
"""Standard deviation of the log level over one short window (four weeks of days) that is believed before history has shown any.

Public token markets moved by 0.22 a week, and GPU teams with a calm month behind them halved in the next week: a month of
history cannot show how far the next month may lie, so its intervals must not be narrow because data are few.
"""
MOST_ORIGINS = 60


def choose_origins(history: History, first_honest: int = 0) -> tuple[Ints, int]:
    """Origins to take errors from, oldest first, and the length of a trajectory.

    Where history allows, origins lie whole seasons before the end, so that a trajectory's weekdays fall on the weekdays
    of the future that it stands for.
    """
    total, season = history.n_periods, history.rhythm.season
    begin = max(first_honest, LEAST_KNOWN, min(season + 1, total // 2))
    block = int(np.clip((total - begin) // 3, 1, history.rhythm.long))
    span = total - block - begin
    step = season if span // season >= 12 else max(1, -(-span // MOST_ORIGINS))
    if season > 1 and span // season >= 12:
        step *= max(1, -(-(span // season) // MOST_ORIGINS))
    newest = total - block
    # The newest origin whose trajectory is known and that has the phase of "now".
    if step % season == 0 and season > 1:
        newest = total - -(-block // season) * season
    origins = np.arange(newest, begin - 1, -step, dtype=np.int64)[::-1]
    return (origins if len(origins) else np.array([newest], dtype=np.int64)), block


@dataclass(frozen=True)
class ErrorBank:
    """Past error trajectories of all series, ready to be resampled together.

    ratios : (n, block, O) float32; origin o's column is one joint past. additive : (n,) differences in levels instead of ratios.
    level : (n,) recent level at the end. weights : (O,) draw probabilities. stretch : ≥ 1, widening for few independent origins.
    """

    ratios: NDArray[np.float32]
    additive: NDArray[np.bool_]
    level: Floats
    weights: Floats
    stretch: float
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
        actual = history.future(origins, block)  # (n, O, block)
        level = history.level(origins)[:, :, None]
        additive = history.signed
        base = expected + EPSILON * level
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(additive[:, None, None], (actual - expected) / level, actual / base)
        neutral = np.where(additive, 0.0, 1.0)[:, None, None]
        ratios = np.where((level <= 0) & (np.nan_to_num(actual) == 0), neutral, ratios)
        unknown = ~np.isfinite(ratios)
        valid = (history.age(origins) >= LEAST_KNOWN) & (unknown.mean(axis=2) <= 0.2)
        ratios = np.where(unknown, neutral, ratios)
        weights = 0.5 ** ((origins[-1] - origins) / (2.0 * history.rhythm.long))
        weights /= weights.sum()
        ratios = _tame(ratios, valid, additive)
        independent = 1.0 + (origins[-1] - origins[0]) / max(1, min(block, history.rhythm.short))
        edges = sorted({0, *(edge for edge in (history.rhythm.season, history.rhythm.short) if edge < block), block})
        for begin, end in pairwise(edges):
            part = np.s_[:, :, begin:end]
            # Windows that reach further overlap more, so fewer independent ones stand behind what they say.
            windows = 1.0 + (origins[-1] - origins[0]) / end
            ratios[part] = _correct_bias(ratios[part], actual[part], base[part], valid, additive, weights, windows / (windows + 6.0))
        ratios = _lend(ratios, valid, additive)
        now = history.level(np.array([history.n_periods], dtype=np.int64))[:, 0]
        return cls(
            np.ascontiguousarray(ratios.transpose(0, 2, 1), dtype=np.float32),
            additive,
            now,
            weights,
            small_sample_stretch(independent),
            history.rhythm.season,
            unseen_drift(history),
            2 * history.rhythm.short,
        )

    def simulate(self, points: Floats, n_paths: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n, horizon, n_paths) joint paths around `points` (n, horizon)."""
        n_series, horizon = points.shape
        block, n_origins = self.ratios.shape[1:]
        paths = np.empty((n_series, horizon, n_paths), dtype=np.float32)
        base = np.where(self.additive[:, None], points, points + EPSILON * self.level[:, None])
        carry = np.where(self.additive[:, None], np.zeros((n_series, n_paths)), 1.0)
        for begin in range(0, horizon, block):
            steps = min(block, horizon - begin)
            first, second = (rng.choice(n_origins, size=n_paths, p=self.weights) for _ in range(2))
            # Half of the paths are a past as it was; the others blend two, so that few origins do not make few futures.
            angle = np.where(rng.random(n_paths) < 0.5, 0.0, rng.random(n_paths) * np.pi / 2)
            one, two = np.cos(angle), np.sin(angle)
            tail = slice(max(0, block - 4 * self.season), block)
            for row in range(n_series):
                past = self.ratios[row]  # (block, O)
                centre = past @ self.weights  # (block,)
                around = past - centre[:, None]
                drawn = around[:, first] * one + around[:, second] * two + centre[:, None]
                if begin:
                    # What the first block's errors say about growth is said once: later blocks stay where it ended.
                    drawn = self._levelled(drawn, centre, tail, bool(self.additive[row]))
                if self.additive[row]:
                    drawn = self.stretch * drawn
                    paths[row, begin : begin + steps] = base[row, begin : begin + steps, None] + (drawn[:steps] + carry[row]) * self.level[row]
                    ends = drawn[tail].mean(axis=0)
                    carry[row] += 0.7 * (ends - ends.mean())
                    continue
                np.maximum(drawn, 0.0, out=drawn)
                drawn *= _stretched(drawn.mean(axis=0), self.stretch)
                paths[row, begin : begin + steps] = base[row, begin : begin + steps, None] * (drawn[:steps] * carry[row])
                # A quarter of pull towards one: a month of silence does not end a series for ever.
                ends = drawn[tail].mean(axis=0)
                carry[row] *= (ends / max(ends.mean(), 1e-12) + 0.33) / 1.33
                carry[row] /= max(carry[row].mean(), 1e-12)
        if self.drift.any():
            self._wander(paths, rng)
        return paths

    def _wander(self, paths: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Multiply paths in place by the drift that a short history has not shown: half of its variance common to all series."""
        n_series, horizon, n_paths = paths.shape
        steps = np.minimum(np.arange(1, horizon + 1), self.reach).astype(float)
        shocks = rng.standard_normal((horizon, n_paths)) * (np.arange(horizon) < self.reach)[:, None]
        common = np.cumsum(shocks, axis=0)
        for row in range(n_series):
            if self.drift[row] > 0:
                own = np.sqrt(steps)[:, None] * rng.standard_normal(n_paths)
                log_factor = self.drift[row] * np.sqrt(0.5) * (common + own) - 0.5 * self.drift[row] ** 2 * steps[:, None]
                paths[row] *= np.exp(log_factor).astype(np.float32)

    def _levelled(self, drawn: Floats, centre: Floats, tail: slice, additive: bool) -> Floats:
        """Trajectories (block, n_paths) whose mean stays at the end of the mean trajectory `centre` (block,), weekdays kept."""
        width = min(max(self.season, 1) * 4, len(centre))
        padded = np.pad(centre, (width // 2, width - 1 - width // 2), mode="edge")
        smooth = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
        ended = float(centre[tail].mean())
        if additive:
            return drawn - (smooth - ended)[:, None]
        return drawn * np.where(smooth > 1e-9, ended / np.maximum(smooth, 1e-9), 1.0)[:, None]

    def state(self) -> dict[str, Any]:
        return {
            "ratios": self.ratios,
            "additive": self.additive,
            "level": self.level,
            "weights": self.weights,
            "stretch": self.stretch,
            "season": self.season,
            "drift": self.drift,
            "reach": self.reach,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ErrorBank:
        return cls(**{**state, "stretch": float(state["stretch"]), "season": int(state["season"]), "reach": int(state["reach"])})


def unseen_drift(history: History) -> Floats:
    """(n,) standard deviation per period of the log drift to add; fades as history grows beyond half of the long window, 0 from 3.5 long windows on.

    Series that hardly move from one period to the next get a quarter of it.
    """
    half = history.rhythm.long / 2
    if history.n_periods > 7 * half:
        return np.zeros(history.n_series)
    weight = 1.0 / (1.0 + (history.n_periods / half) ** 2)
    level = np.maximum(history.level(np.array([history.n_periods], dtype=np.int64))[:, 0], 1e-300)
    moves = np.median(np.abs(np.diff(history.filled, axis=1)), axis=1) / level
    restless = np.clip(moves / 0.1, 0.25, 1.0)
    return UNSEEN_DRIFT * np.sqrt(weight / history.rhythm.short) * restless


def small_sample_stretch(independent: float) -> float:
    """The widening that a Student-t interval with `independent` observations has over a normal one, at 80 %."""
    count = max(independent, 3.0)
    return float(stats.t.ppf(0.9, count - 1) * np.sqrt(1 + 1 / count) / stats.norm.ppf(0.9))


def _stretched(mean_ratio: Floats, stretch: float) -> Floats:
    """(n_paths,) factor that moves each trajectory's mean ratio away from the middle by `stretch`, without crossing zero."""
    middle = max(mean_ratio.mean(), 1e-12)
    wanted = np.maximum(middle + stretch * (mean_ratio - middle), 0.2 * mean_ratio)
    wanted *= middle / max(wanted.mean(), 1e-12)
    return np.where(mean_ratio > 0, wanted / np.maximum(mean_ratio, 1e-12), 1.0)


def _correct_bias(
    ratios: Floats, actual: Floats, base: Floats, valid: NDArray[np.bool_], additive: NDArray[np.bool_], weights: Floats, trust: float
) -> Floats:
    """Give each series' ratios the mean that its past errors justify, shrunk to the pool's; for a stretch of steps at a time.

    The mean of ratios is not a bias: where points are noisy, E[actual / point] is far above sum(actual) / sum(point) (Jensen). So the
    wanted mean is the ratio of sums, and a series' own counts with `trust`. Differences are centred likewise.
    """
    weight = np.where(valid, weights, 0.0)
    mass = weight.sum(axis=1)
    known = mass > 0
    mean = (ratios.mean(axis=2) * weight).sum(axis=1) / np.maximum(mass, 1e-300)  # (n,)
    came = (np.nan_to_num(actual).sum(axis=2) * weight).sum(axis=1)
    expected = (np.where(np.isfinite(actual), base, 0.0).sum(axis=2) * weight).sum(axis=1)
    multiplicative = known & ~additive & (expected > 0)
    neutral = 1.0 / (1.0 + EPSILON)
    seen = came[multiplicative].sum() / max(expected[multiplicative].sum(), 1e-300) if multiplicative.any() else neutral
    pool = neutral + trust * (np.clip(seen, 0.8 * neutral, 1.25 * neutral) - neutral)
    share = trust * mass
    own = np.where(multiplicative, came / np.maximum(expected, 1e-300), pool)
    wanted = np.where(additive, share * mean, share * own + (1 - share) * pool)
    factor = np.where(multiplicative & (mean > 0.05 * wanted), wanted / np.maximum(mean, 1e-12), 1.0)
    shifted = ratios - np.where(known & additive, mean - wanted, 0.0)[:, None, None]
    return np.where(additive[:, None, None], shifted, ratios * factor[:, None, None])


def _tame(ratios: Floats, valid: NDArray[np.bool_], additive: NDArray[np.bool_]) -> Floats:
    """Scale trajectories down whose mean ratio is beyond the pool's 99.5 % point: one leaked key is not a law of nature."""
    means = np.abs(ratios).mean(axis=2)
    tamed = ratios
    for group in (additive, ~additive):
        pooled = means[group][valid[group]]
        if pooled.size < 50:
            continue
        limit = max(float(np.quantile(pooled, 0.995)), 1.0)
        factor = np.where(means > limit, limit / np.maximum(means, 1e-12), 1.0)
        tamed = np.where(group[:, None, None], tamed * factor[:, :, None], tamed)
    return tamed


def _lend(ratios: Floats, valid: NDArray[np.bool_], additive: NDArray[np.bool_]) -> Floats:
    """Where a series has no honest trajectory at an origin (too young, unknown), it borrows another series' of the same origin."""
    lent = ratios.copy()
    rng = np.random.default_rng(len(ratios))
    for group in (additive, ~additive):
        rows = np.flatnonzero(group)
        donors_by_origin = valid[rows]
        everything = np.argwhere(donors_by_origin)
        for origin in range(ratios.shape[1]):
            needy = rows[~donors_by_origin[:, origin]]
            if not len(needy) or not len(everything):
                continue
            donors = rows[donors_by_origin[:, origin]]
            if len(donors):
                lent[needy, origin] = ratios[rng.choice(donors, size=len(needy)), origin]
            else:
                pick = everything[rng.integers(len(everything), size=len(needy))]
                lent[needy, origin] = ratios[rows[pick[:, 0]], pick[:, 1]]
    return lent
