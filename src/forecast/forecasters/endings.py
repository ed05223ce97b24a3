"""Series that have ended: a silence longer than any before is taken for an ending, as often as such silences were endings in this panel.

A forecaster's past errors know how a series came back from the silences that it has had; of a longer one they know nothing, and what is left of
a level long gone would be forecast for ever. So each path of such a series is nothing with the chance that it has ended. How likely a return is,
all series say together: every silence that outgrew its predecessors is counted once for each length that it reached.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import joined
from forecast.forecasters.history import Floats, History, is_intraday, rhythm_of

MONTH_AND_MORE = 1.25
"""Silence, in short windows, that is always long enough to ask: what comes once a month must not end between two times."""

WEEK = 0.25
"""Silence, in short windows, below which nothing ends."""

SPENDS = 6.0
"""Periods with spend that a silence must have been expected to hold, by the share of such periods before it."""

WORKING_WEEK = 5
"""Days of silence below which nothing ends where periods are parts of days: a weekend is no end."""

EDGES = (1.0, 1.5, 2.5, 4.0)
"""Length of a silence in the longest one before (or the least that counts) from which it is one of a kind."""

USUAL_RETURNS = (0.35, 0.2, 0.1, 0.04)
"""Chance, by kind, that spend comes back within one short window, believed beforehand."""

BELIEF = 5.0
"""Silences that this belief counts as."""


def relative_silence(history: History) -> Floats:
    """(n, T + 1) silence before each column, in the longest one that came before it (or the least that counts). A period not known is no silence."""
    n, periods = history.values.shape
    column = np.arange(periods)
    heard = (history.values != 0.0) & (column[None, :] >= history.first[:, None])  # NaN is heard
    latest = np.maximum.accumulate(np.where(heard, column, -1), axis=1)
    before = np.concatenate([np.full((n, 1), -1), latest[:, :-1]], axis=1)
    longest = np.maximum.accumulate(np.where(heard & (before >= 0), column - before - 1, 0), axis=1)
    # A first purchase says nothing about how often others follow: believed to be rare until a short window has shown it.
    active = np.maximum(latest - history.first[:, None] + 1, 1) + history.rhythm.short
    least = _least(history, np.cumsum(heard, axis=1) / active)
    found = np.zeros((n, periods + 1))
    found[:, 1:] = np.where(latest >= 0, column - latest, 0) / np.maximum(longest, least)
    return found


def _least(history: History, share: Floats) -> Floats:
    """Silence that counts after so large a share of periods with spend."""
    short, day = history.rhythm.short, rhythm_of(history.freq, 10**9).season
    if is_intraday(history.freq):
        return np.full_like(share, max(WORKING_WEEK * day, MONTH_AND_MORE * short))
    return np.clip(SPENDS / np.maximum(share, 1e-9), WEEK * short, MONTH_AND_MORE * short)


class Endings(NamedTuple):
    """returns : (kinds,) chance that a silence of each kind is not the end."""

    returns: Floats

    @classmethod
    def of(cls, history: History, threads: int = 1) -> Endings:
        """Learn from all silences of all series that outgrew their predecessors."""
        short = history.rhythm.short

        def count(rows: slice) -> tuple[Floats, Floats]:
            part = history.part(rows)
            relative = relative_silence(part)
            sums = np.concatenate([np.zeros((part.n_series, 1)), np.cumsum(np.nan_to_num(part.values) != 0.0, axis=1)], axis=1)
            reached, back = np.zeros((2, part.n_series, len(EDGES)))
            judged = np.arange(1, max(part.n_periods - short + 1, 1))
            later = sums[:, np.minimum(judged + short, part.n_periods)] > sums[:, np.minimum(judged, part.n_periods)]
            for kind, edge in enumerate(EDGES):
                crossed = (relative[:, judged] >= edge) & (relative[:, judged - 1] < edge)
                reached[:, kind], back[:, kind] = crossed.sum(axis=1), (crossed & later).sum(axis=1)
            return reached, back

        if history.n_periods <= short:
            return cls(np.array(USUAL_RETURNS))
        reached, back = (found.sum(axis=0) for found in joined(count, history.n_series, threads))
        return cls(np.asarray((back + BELIEF * np.array(USUAL_RETURNS)) / (reached + BELIEF)))

    def alive(self, relative: Floats) -> Floats:
        """Chance that a series has not ended, by its relative silence; 1 below the first kind, and falling further beyond the last."""
        kind = np.searchsorted(EDGES, relative, side="right") - 1
        chance = np.where(kind >= 0, self.returns[np.maximum(kind, 0)], 1.0)
        return np.asarray(np.where(relative > EDGES[-1], chance * EDGES[-1] / np.maximum(relative, 1.0), chance))

    def now(self, history: History, threads: int = 1) -> Floats:
        """(n,) chance that each series has not ended at the end of its history."""

        def last(rows: slice) -> tuple[Floats]:
            part = history.part(rows)
            return (self.alive(relative_silence(part)[:, -1]),)

        return joined(last, history.n_series, threads)[0]


def end(paths: NDArray[np.float32], alive: Floats, rng: np.random.Generator) -> None:
    """Silence, in place, so many of each series' paths (n, horizon, n_paths) as its chance of having ended says."""
    for row in np.flatnonzero(alive < 1.0):
        paths[row][:, rng.random(paths.shape[2]) >= alive[row]] = 0.0
