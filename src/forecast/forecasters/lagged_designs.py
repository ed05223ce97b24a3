"""Which lags an autoregression looks at, for each rhythm and length of history.

Every design forecasts x_t − x_{t−k} (k = `difference`) from *moves* (earlier differences) and *gaps* (how far x_{t−k} lies from what
was usual: the value a season ago, the mean of the same place in three seasons, of the last season). A gap says what many lags of differences
would have to say together, with one coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from forecast.forecasters.history import Rhythm
from forecast.spend.panel import parse_freq

LONGEST_SHORT_SEASON = 31
"""Seasons up to this come round often enough to be differenced at; a year of weeks does not."""

CYCLES_FOR_GAPS = 2.5
CYCLES_FOR_DIFFERENCE = 4.0


@dataclass(frozen=True)
class Design:
    """One regression.

    difference : k. moves : lags of differences at `moves_at` (1: from period to period). gaps : groups of lags of x whose mean is compared with
    x_{t−k}. linear : on the scale of money, else on an asinh scale. half_life : of the weight of past periods, None for all alike.
    trust : periods that the pool's coefficients count as against a series' own.
    """

    difference: int
    moves_at: int
    moves: tuple[int, ...]
    gaps: tuple[tuple[int, ...], ...]
    linear: bool
    half_life: float | None
    trust: float

    @property
    def reach(self) -> int:
        """Periods before the one that is forecast that are looked at."""
        return max(self.difference, max(self.moves) + self.moves_at, *(max(lags) for lags in self.gaps), 1)

    @property
    def width(self) -> int:
        return len(self.moves) + len(self.gaps)


def cycle_of(freq: str, season: int) -> int | None:
    """Periods in the longer cycle around the season: a week of hours, 52 weeks of days; None where there is none."""
    offset = parse_freq(freq)
    if offset == pd.tseries.offsets.Day():
        return 364
    intraday = isinstance(offset, pd.tseries.offsets.Tick) and pd.Timedelta(offset) < pd.Timedelta("1D")
    return 7 * season if intraday and season > 1 else None


def designs_of(freq: str, rhythm: Rhythm, n_periods: int) -> tuple[Design, ...]:
    """The designs whose median is the forecast: each kind of difference on the asinh and on the linear scale."""
    season = rhythm.season
    cycle = cycle_of(freq, season)
    if cycle is not None and n_periods < CYCLES_FOR_GAPS * cycle:
        cycle = None
    kinds = [_of_steps(season, cycle)]
    if season > 1 and (season <= LONGEST_SHORT_SEASON or cycle is not None):
        kinds.append(_of_seasons(season, cycle))
    if cycle is not None and n_periods >= CYCLES_FOR_DIFFERENCE * cycle:
        kinds.append(_of_cycles(season, cycle))
    return tuple(Design(*kind[:4], linear, *kind[4:]) for kind in kinds for linear in (False, True))


_Kind = tuple[int, int, tuple[int, ...], tuple[tuple[int, ...], ...], float | None, float]


def _of_steps(season: int, cycle: int | None) -> _Kind:
    """From one period to the next."""
    if season == 1:
        return 1, 1, (1, 2, 3, 4), (tuple(range(1, 9)),), None, 30.0
    if season > LONGEST_SHORT_SEASON and cycle is None:
        between = tuple(sorted({round(season * share) for share in (0.15, 0.25, 0.5, 0.75)}))
        moves = (1, 2, 3, 4, *between, *_around(season, 2), *_around(2 * season, 1))
        return 1, 1, _distinct(moves), ((season,),), None, 30.0
    moves = (1, 2, 3, *_around(season, 1), *(_around(cycle, 1) if cycle else _around(2 * season, 1)))
    gaps = [(season,), _repeated(season), tuple(range(1, season + 1))]
    if cycle:
        gaps += [(cycle,), _repeated(cycle)]
    return 1, 1, _distinct(moves), tuple(gaps), 2.0 * cycle if cycle else None, 10.0


def _of_seasons(season: int, cycle: int | None) -> _Kind:
    """From one season to the next."""
    moves = (1, 2, 3, *_around(season, 1), *(_around(cycle, 1) if cycle else ()))
    gaps = [tuple(season * number for number in (2, 3, 4))]
    if cycle:
        gaps += [(cycle,), _repeated(cycle)]
    return season, 1, _distinct(moves), tuple(gaps), 2.0 * cycle if cycle else None, 30.0


def _of_cycles(season: int, cycle: int) -> _Kind:
    """From one cycle to the next: what last week differed from the week before goes on."""
    return cycle, cycle, _distinct((1, 2, 3, *_around(season, 1), *_around(2 * season, 1), *_around(cycle, 1))), ((season,),), None, 10.0


def _around(lag: int, width: int) -> tuple[int, ...]:
    return tuple(range(lag - width, lag + width + 1))


def _repeated(lag: int) -> tuple[int, ...]:
    return lag, 2 * lag, 3 * lag


def _distinct(lags: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({lag for lag in lags if lag >= 1}))
