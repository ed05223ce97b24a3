"""What provisional days will come to: known costs, brought to their final size with the uncertainty that is left.

A source's day is one event for all of its series: whether it has arrived, and how wrong its first totals are, is drawn once for all of them
from the source's past days (`completeness.Pool`). What is a series' own: that it was left out of a day that has arrived (nothing or less
than usual is known of it), and an item of the month's edge that comes with the invoice. What is missing is drawn from `outlook`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.spend.completeness import Completeness, is_settled
from forecast.spend.developments import Booleans, Floats, Integers
from forecast.spend.examples import Pool
from forecast.spend.outlook import Outlook, item_amounts, usual, zero_probability

MOST_PERIODS = {"D": 35, "h": 24 * 8}
"""Periods before the last one that are looked at; what is older is taken as it is."""
SMALLEST_SHARE = 0.02
BINS = np.array([0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.94, 0.97, 0.98, 0.99, 0.995, 0.9995, 1.0005, 1.005, 1.01, 1.02, 1.03, 1.06, 1.1, 1.3])
"""Edges between classes of a series' own share known, given its source's."""
COMPLETE_CLASS = 12
OWN_PRIOR = 20.0
"""Series and days, all complete, that are believed before any are seen."""
LEAST_SPREAD = 0.15
UNSEEN_ITEM = 0.75
"""Chance that an item which every month had, and this one has not, still comes, where no month was watched."""
MEMORY = 14.0
ITEM_DAYS = 8
"""Days after which an item that has not come will not come."""


@dataclass(frozen=True, eq=False)
class Nowcast:
    """Days as they will be, as far as is known.

    ids : (n,). ds : (T,) period starts. known, mean : (n, T); equal, bit for bit, where nothing was nowcast. settled : (n, T); a source of
    which nothing was learned is not settled, and taken as it is. share : (n, T) expected share known of the series' source. first : first
    column that was nowcast for any series; T where none was. draws : (n, T − first, n_draws), jointly drawn: draw k of all series and periods
    is one way in which the bills may end.
    """

    ids: tuple[str, ...]
    ds: pd.DatetimeIndex
    known: Floats
    mean: Floats
    settled: Booleans
    share: Floats
    first: int
    draws: Floats

    def total(self, rows: Integers | slice = slice(None), start: int | None = None) -> Floats:
        """(n_draws,) sum over some series of the periods from column `start` (default: all provisional ones) on, settled ones included."""
        begin = self.first if start is None else start
        certain = self.known[rows, begin : self.first].sum() if begin < self.first else 0.0
        return np.asarray(certain + self.draws[rows, max(0, begin - self.first) :].sum(axis=(0, 1)))


def nowcast(
    known: Floats,
    ds: pd.DatetimeIndex,
    ids: Sequence[str],
    sources: Sequence[str],
    completeness: Completeness,
    *,
    n_draws: int = 500,
    seed: int = 0,
) -> Nowcast:
    """Bring provisional periods to their final size.

    known : (n, T) cost as known at `completeness.as_of`, T consecutive periods (history included: what is missing is judged by it), 0 without
    a charge. ids : names of the series, as in the developments that the completeness was learned from. sources : of each series. Ages follow
    from `ds` and `as_of`. Sources of which nothing was learned are taken as they are. Same seed, same draws.
    Raises InputError where the shapes do not fit.
    """
    n, periods = known.shape
    if len(ids) != n or len(sources) != n or len(ds) != periods:
        raise InputError(
            f"known has shape {known.shape} for {len(ids)} ids, {len(sources)} sources and {len(ds)} periods",
            field="known",
            got=known.shape,
            allowed="(n_series, n_periods)",
        )
    rng = np.random.default_rng(seed)
    owner = np.asarray([str(source) for source in sources], dtype=np.str_)
    members = {str(name): np.flatnonzero(owner == name) for name in np.unique(owner)}
    begin = max(0, periods - MOST_PERIODS[completeness.freq])
    stamps = ds.to_numpy().astype("datetime64[h]")
    pools = {(name, column): completeness.pool(name, stamps[column]) for name in members for column in range(begin, periods)}
    settled, share = np.ones((n, periods), dtype=np.bool_), np.ones((n, periods))
    provisional = np.zeros((n, periods), dtype=np.bool_)
    for (name, column), pool in pools.items():
        settled[members[name], column] = is_settled(pool)
        share[members[name], column] = pool.mean
        provisional[members[name], column] = not is_settled(pool) and len(pool.total) > 0
    open_columns = np.flatnonzero(provisional.any(axis=0))
    first = int(open_columns[0]) if len(open_columns) else periods
    mean, draws = known.copy(), np.repeat(known[:, first:, None], n_draws, axis=2)
    if first == periods:
        return Nowcast(tuple(ids), ds, known, mean, settled, share, first, draws)
    ordinary, items, misses = item_amounts(known, ds) if completeness.freq == "D" else (known, np.zeros_like(known), np.empty(0))
    filled = ordinary.copy()
    outlook = Outlook.of(filled, first, completeness.freq)
    picks = outlook.picks(n_draws, periods - first, rng)
    names = {name: [ids[int(row)] for row in rows] for name, rows in members.items()}
    seen = {
        column: {name: _unbilled(completeness, name, names[name], items[rows], ds, column) for name, rows in members.items()}
        for column in range(first, periods)
        if items[:, column].any()
    }
    for column in range(first, periods):
        missing = outlook.draws(filled, column, picks, column - first)
        base, size = usual(filled, column, outlook.season)
        zero = zero_probability(filled, column)
        for name, rows in members.items():
            if not provisional[rows, column].any():
                continue
            pool = pools[name, column]
            day = _Day(known[rows, column], missing[rows], base[rows], size[rows], zero[rows])
            drawn = day.drawn(pool, _own_shares(*completeness.own_shares(name, stamps[column])), rng)
            mean[rows, column] = drawn.mean(axis=1)
            filled[rows, column] = mean[rows, column]
            expected = items[rows, column]
            if expected.any():
                owed = np.abs(day.known - day.base) < 0.5 * np.abs(expected)
                unbilled = _unbilled_chance(name, seen[column])
                noise = rng.choice(misses, n_draws) if len(misses) else np.ones(n_draws)
                drawn = drawn + np.where((rng.random(n_draws) < unbilled) & owed[:, None], expected[:, None] * noise, 0.0)
                mean[rows, column] = drawn.mean(axis=1)
            draws[rows, column - first] = drawn
    return Nowcast(tuple(ids), ds, known, mean, settled, share, first, draws)


@dataclass(frozen=True, eq=False)
class _Day:
    """One provisional period of one source: (S,) known, base, size, zero (chance of no cost); missing (S, K) what it may cost at all."""

    known: Floats
    missing: Floats
    base: Floats
    size: Floats
    zero: Floats

    def drawn(self, pool: Pool, own: tuple[Floats, Floats], rng: np.random.Generator) -> Floats:
        """(S, K) plausible final costs."""
        n_draws = self.missing.shape[1]
        if not pool.has_arrived:
            return self._not_arrived(pool, rng)
        usable = np.isfinite(pool.shock)
        typical = float(np.median(pool.shock[usable])) if usable.any() else 1.0
        shocks = np.maximum(np.where(usable, pool.shock, typical), SMALLEST_SHARE)
        pick = rng.choice(len(shocks), n_draws, p=self._plausible(pool.weight, shocks))
        shock = shocks[pick]
        here = self.known != 0.0
        share = np.where(here[:, None], shock * self._own(shock, own, here, rng), 0.0)
        safe = np.maximum(np.where(here[:, None], share, 1.0), SMALLEST_SHARE)
        # The smaller the share, the less can be told from it, and the more from what is usual (Benktander's way between both).
        trust = np.minimum(1.0, safe**2)
        found = trust * self.known[:, None] / safe + (1.0 - trust) * (self.known[:, None] + np.maximum(1.0 - safe, 0.0) * self.missing)
        # Series of which nothing is known though the day is there: late, or nothing was used.
        series = max(len(self.known), 1)
        late = (pool.late[pick] * series + 2.0 * float(pool.late @ pool.weight)) / (series + 2.0)
        return np.where(here[:, None], found, self._late(late[None, :] + np.zeros((series, 1)), rng.random((series, n_draws))))

    def _plausible(self, weight: Floats, shocks: Floats) -> Floats:
        """(N,) chances of past days, given that their share known must make a plausible cost of what is known of the source today."""
        known, missing = float(self.known.sum()), self.missing.sum(axis=0)
        if known <= 0.0 or np.median(missing) <= 0.0:
            return weight
        logs = np.log(np.maximum(missing, 0.05 * np.median(missing)))
        distance = (np.log(known / shocks) - logs.mean()) / max(float(logs.std()), LEAST_SPREAD)
        found = weight * _likelihood(distance)
        return np.asarray(found / found.sum())

    def _not_arrived(self, pool: Pool, rng: np.random.Generator) -> Floats:
        n_draws = self.missing.shape[1]
        chance = np.clip((pool.not_arrived * pool.days + 0.05) / (pool.days + 1.0), 1e-3, 1.0)
        nothing = float(np.prod(np.clip(self.zero, 0.0, 1.0)))
        probability = chance * (1.0 - nothing) / (chance * (1.0 - nothing) + nothing)
        comes = rng.random(n_draws) < probability
        return np.where(comes[None, :], self.known[:, None] + self.missing, self.known[:, None])

    def _late(self, late: Floats, uniform: Floats) -> Floats:
        zero = self.zero[:, None]
        probability = late * (1.0 - zero) / np.maximum(late * (1.0 - zero) + zero, 1e-12)
        cost = np.where(self.missing != 0.0, self.missing, self.size[:, None])
        return np.where(uniform < probability, cost, 0.0)

    def _own(self, shock: Floats, own: tuple[Floats, Floats], here: Booleans, rng: np.random.Generator) -> Floats:
        """(S, K) each series' own share known, given its source's and how usual its final cost would then be."""
        uniform = rng.random((len(self.known), len(shock)))
        found = np.ones_like(uniform)
        if len(self.known) < 2:
            return found
        values, chances = own  # (2, C): of days whose charges had not moved from their final ones, and of others
        logs = np.log(np.maximum(self.missing, 0.05 * np.maximum(self.size, 1e-12)[:, None]))
        centre, spread = logs.mean(axis=1), np.maximum(logs.std(axis=1), LEAST_SPREAD)
        judged = here & (self.known > 0) & (self.base > 0)
        moved = shock != 1.0
        for kind in (0, 1):
            mine = moved == bool(kind)
            if not mine.any():
                continue
            level = float(np.median(shock[mine]))
            final = np.log(np.maximum(self.known, 1e-12))[:, None] - np.log(np.maximum(values[kind] * level, SMALLEST_SHARE))[None, :]
            distance = np.where(judged[:, None], (final - centre[:, None]) / spread[:, None], 0.0)
            weight = chances[kind] * _likelihood(distance)
            passed = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)  # (S, C)
            code = np.zeros((len(self.known), int(mine.sum())), dtype=np.int64)
            for end in passed.T[:-1]:
                code += uniform[:, mine] > end[:, None]
            found[:, mine] = values[kind][code]
        return found


def _likelihood(distance: Floats) -> Floats:
    """How likely a cost so many spreads from the usual one is: Student's t with four degrees of freedom, for spend has bursts."""
    return np.asarray((1.0 + distance**2 / 4.0) ** -2.5)


def _own_shares(ratio: Floats, moved: Booleans) -> tuple[Floats, Floats]:
    """(2, C) values and (2, C) chances of a series' share known ÷ its source's: on days whose charges had their final size, and others."""
    classes = len(BINS) + 1
    code = np.searchsorted(BINS, ratio)
    middle = np.concatenate([[0.05], 0.5 * (BINS[1:] + BINS[:-1]), [1.5]])
    values, chances = np.ones((2, classes)), np.zeros((2, classes))
    for kind in (0, 1):
        mine = moved == bool(kind)
        counts = np.bincount(code[mine], minlength=classes).astype(np.float64)
        sums = np.bincount(code[mine], weights=ratio[mine], minlength=classes)
        values[kind] = np.where(counts > 0, sums / np.maximum(counts, 1.0), middle)
        counts[COMPLETE_CLASS] += OWN_PRIOR
        chances[kind] = counts / counts.sum()
    values[:, COMPLETE_CLASS] = 1.0
    return values, chances


def _unbilled_chance(source: str, seen: Mapping[str, tuple[int, int]]) -> float:
    """Chance that a source's recurring items are not billed yet: how often they were not at that age, its own and, as two more, all sources'."""
    missing, expected = (sum(counts[place] for counts in seen.values()) for place in (0, 1))
    if not expected:
        return UNSEEN_ITEM
    own_missing, own_expected = seen[source]
    return (own_missing + 2.0 * (missing + 0.5) / (expected + 1.0)) / (own_expected + 2.0)


def _unbilled(completeness: Completeness, source: str, ids: Sequence[str], items: Floats, ds: pd.DatetimeIndex, column: int) -> tuple[int, int]:
    """Of the past recurring items of a source: how many were not billed yet at the age that a column has now, and how many there were."""
    found = completeness.sources.get(source)
    stamps = ds.to_numpy().astype("datetime64[h]")
    place = completeness.column(source, stamps[column])
    if found is None or place is None:
        return 0, 0
    row = {name: number for number, name in enumerate(found.series)}
    cells = [(row[name], line) for line, name in enumerate(ids) if name in row]
    if not cells:
        return 0, 0
    rows, lines = np.array(cells).T
    past = np.flatnonzero((items[:, :column] != 0.0).any(axis=0))
    at = np.array([completeness.column(source, stamps[day]) for day in past], dtype=object)
    past, at = past[[here is not None for here in at]], at[[here is not None for here in at]].astype(np.int64)
    age = float(found.now[place])
    usable = (found.observed_from[at] <= age) & (found.now[at] >= age + ITEM_DAYS * 24.0)
    past, at = past[usable], at[usable]
    if not len(past):
        return 0, 0
    expected = items[np.ix_(lines, past)] != 0.0
    final = found.final[np.ix_(rows, at)]
    then = found.known(np.array([age]))[:, :, 0][np.ix_(rows, at)]
    return int((expected & (np.abs(then) < 0.5 * np.abs(final))).sum()), int(expected.sum())


def carried(paths: NDArray[np.float32], found: Nowcast, memory: float = MEMORY) -> NDArray[np.float32]:
    """Paths of a forecaster that was fitted on `found.mean`, with the nowcast's uncertainty carried into the future.

    paths : (n, horizon, n_paths), series as in `found`. Path k belongs to draw k (draws are used again where there are fewer): where a draw says
    that a series' provisional days cost a part more than expected, its path is higher by as much of that part as the provisional days
    weigh among the `memory` days that levels are learned from. Each series' mean stays. Without provisional days: the same paths.
    """
    periods = found.draws.shape[1]
    if not periods:
        return paths
    expected = found.mean[:, found.first :].sum(axis=1)
    drawn = found.draws.sum(axis=1)[:, np.arange(paths.shape[2]) % found.draws.shape[2]]
    usable = (expected > 0) & (drawn >= 0).all(axis=1)
    ratio = np.where(usable[:, None], drawn / np.where(usable, expected, 1.0)[:, None], 1.0)
    factor = np.clip(ratio, 0.2, 5.0) ** (periods / (periods + memory))
    return np.asarray(paths * (factor / factor.mean(axis=1, keepdims=True))[:, None, :], dtype=np.float32)
