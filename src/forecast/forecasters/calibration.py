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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import joined
from forecast.forecasters.error_record import LEAST_KNOWN, ErrorRecord, pull
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.resampling import resample
from forecast.forecasters.widening import unseen_drift, wander

__all__ = ["LEAST_KNOWN", "MOST_ORIGINS", "ErrorBank", "choose_origins"]

MOST_ORIGINS = 60

MOST_REACH = 8
"""Long windows before the end beyond which no origin lies; its weight would be a sixteenth."""


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
    # What is older than this hardly counts.
    begin = max(begin, total - head - MOST_REACH * history.rhythm.long)
    span = total - head - begin
    # A trajectory that is shorter than a season holds no phase of it.
    phase = season if 1 < season <= head and span // season >= 12 else 1
    step = phase * max(1, -(-(span // phase) // MOST_ORIGINS))
    # The newest origin whose first window is known and that has the phase of "now".
    newest = total - -(-head // phase) * phase
    origins = np.arange(newest, begin - 1, -step, dtype=np.int64)[::-1]
    return (origins if len(origins) else np.array([newest], dtype=np.int64)), block


@dataclass(frozen=True)
class ErrorBank:
    """Past error trajectories of all series, ready to be resampled together.

    ratios : (n, block, O) float32; origin o's column is one joint past. additive : (n,) differences in levels instead of ratios.
    level : (n,) recent level at the end. pull : (n, block) factors that bring points back from a burst. largest : (n, S) largest mean
    over a window as long as each stretch that history has shown. weights : (O,) draw probabilities. edges : (S + 1,) steps at which
    stretches begin, and the end. windows : (S,) independent windows behind each stretch. drift : (n,) and reach : see `widening.wander`.
    one_whole : whether the series are parts of one whole, see `resampling.DRAWN`.
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
    one_whole: bool

    @classmethod
    def build(cls, history: History, points: Callable[[Ints, int], NDArray[np.floating]], *, first_origin: int = 0, threads: int = 1) -> ErrorBank:
        """Errors of `points(origins, horizon)` (n, O, horizon) at past origins."""
        origins, block = choose_origins(history, first_origin)
        return cls.of(history, origins, points(origins, block), threads=threads)

    @classmethod
    def of(cls, history: History, origins: Ints, expected: NDArray[np.floating], *, threads: int = 1) -> ErrorBank:
        """Errors of `expected` (n, O, block), the points made at `origins`."""
        block, rhythm, additive = expected.shape[2], history.rhythm, history.additive
        now = np.array([history.n_periods], dtype=np.int64)
        # Credits come and go as a whole: their errors are money, not shares of what there was then. The root mean square of all history
        # keeps them finite for whoever borrows them.
        recent = history.level(now)[:, 0]
        scale = np.where(additive, np.maximum(recent, np.sqrt(np.einsum("st,st->s", history.filled, history.filled) / history.n_periods)), recent)
        edges = np.array(sorted({0, *(edge for edge in (rhythm.season, rhythm.short) if edge < block), block}), dtype=np.int64)
        weights = 0.5 ** ((origins[-1] - origins) / (2.0 * rhythm.long))
        record = ErrorRecord(history, origins, expected, scale, edges, weights / weights.sum(), threads)
        by_step = record.reversion()
        return cls(
            ratios=record.trajectories(by_step),
            additive=additive,
            level=scale,
            pull=pull(history, now, by_step)[:, 0],
            largest=_largest(history, edges, threads),
            weights=record.weights,
            edges=edges,
            windows=record.windows,
            season=rhythm.season,
            drift=unseen_drift(history),
            reach=2 * rhythm.short,
            one_whole=history.one_whole,
        )

    def simulate(self, points: Floats, n_paths: int, rng: np.random.Generator, threads: int = 1) -> NDArray[np.float32]:
        """(n, horizon, n_paths) joint paths around `points` (n, horizon); `threads` changes nothing but the time it takes."""
        paths = resample(self, points, n_paths, rng, threads)
        if self.drift.any():
            wander(paths, self.drift, self.reach, rng, threads)
        return paths

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
            "one_whole": self.one_whole,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ErrorBank:
        return cls(**{**state, "season": int(state["season"]), "reach": int(state["reach"]), "one_whole": bool(state["one_whole"])})


def _largest(history: History, edges: Ints, threads: int) -> Floats:
    """(n, S) largest mean over as many periods as each stretch has."""
    widths = np.minimum(np.diff(edges), history.n_periods)

    def largest(rows: slice) -> tuple[Floats]:
        spent = np.maximum(history.filled[rows], 0.0)
        sums = np.concatenate([np.zeros((len(spent), 1)), np.cumsum(spent, axis=1)], axis=1)
        return (np.stack([(sums[:, width:] - sums[:, :-width]).max(axis=1) / width for width in widths], axis=1),)

    return joined(largest, history.n_series, threads)[0]
