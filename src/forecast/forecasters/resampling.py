"""Past error trajectories drawn into joint paths: the inner loop of every simulation.

All that is random is drawn beforehand, for all series at once; then each series is a few passes over (block, n_paths) numbers of 32 bits, which
stay in the processor's cache (0.2 MB for 91 days and 500 paths). Batches of series may be shared by threads: they write into one array, and no
number depends on who wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.batches import in_batches
from forecast.forecasters.error_record import smoothing
from forecast.forecasters.history import Floats, Ints
from forecast.forecasters.trajectories import PERSISTENCE, money_base
from forecast.forecasters.widening import scale_factors, split, widen

if TYPE_CHECKING:
    from forecast.forecasters.calibration import ErrorBank

Singles = NDArray[np.float32]

MOST_SEEN = 2.0
"""Most that a stretch may cost, in the largest that history has shown over such a time."""

MEAN_KEPT = 0.5
"""Widening on a log scale keeps the median and raises the mean. Kept whole, the mean would push most paths down for the sake of a few: half-way."""

SKEWED, SKEWED_ALONE = 0.5, 0.2
"""Share of a stretch's mean at which its median still is brought to the point, among many series and of one alone; below, ever less of it: the mean
is never raised beyond its inverse in points. Members are judged by absolute errors, so what they say is a median. Held by their mean, most paths of
a bursty series lay far below every member's forecast for the sake of a few bursts. Among many it is the sum that counts, and with it the mean."""

MOST_LIFTED = 4.0
"""Most that a stretch is lifted or lowered."""

POOL_WINDOWS, POOL_SERIES = 6.0, 10.0
"""Windows and series at which what all series together spent, in the mean of past errors, is believed by half."""

DRAWN = 0.35
"""How far the drift of a part is drawn towards the drift of the whole, on a log scale, where parts are many: single drifts are noisy, and what grows
a company grows its teams. Series that are a mere collection have no common drift (decision 12)."""

LARGEST_DRIFT = 1.1
"""Log of a drift beyond which a series ends or begins, which says nothing about others (a factor of three)."""

LARGEST = 1e30
"""A ratio that no limit holds."""


def resample(bank: ErrorBank, points: Floats, n_paths: int, rng: np.random.Generator, threads: int) -> Singles:
    """(n, horizon, n_paths) joint paths around `points` (n, horizon)."""
    n_series, horizon = points.shape
    block, n_origins = bank.ratios.shape[1:]
    paths = np.empty((n_series, horizon, n_paths), dtype=np.float32)
    base = money_base(points, bank.level[:, None], bank.additive[:, None]) * bank.pull[:, np.minimum(np.arange(horizon), block - 1)]
    said = np.maximum(points, 0.0) * bank.pull[:, np.minimum(np.arange(horizon), block - 1)]
    carry = np.where(bank.additive[:, None], np.float32(0.0), np.ones((n_series, n_paths), dtype=np.float32))
    spend = np.flatnonzero(~bank.additive)
    factors = scale_factors(bank.windows, rng, n_paths)  # (S, n_paths)
    own = rng.standard_normal((n_series, n_paths)).astype(np.float32)
    for begin in range(0, horizon, block):
        first, second = (rng.choice(n_origins, size=n_paths, p=bank.weights) for _ in range(2))
        # Half of the paths are a past as it was; the others blend two, so that few origins do not make few futures.
        angle = np.where(rng.random(n_paths) < 0.5, 0.0, rng.random(n_paths) * np.pi / 2)
        if begin:
            factors = np.repeat(factors[-1:], len(factors), axis=0)
        one, two = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        block_of = Block(bank, first, second, one, two, factors.astype(np.float32), later=begin > 0, steps=min(block, horizon - begin))
        steps = slice(begin, min(begin + block, horizon))
        found = np.ones((4, n_series, len(block_of.inside)))  # lifts, money, doubt, and money after

        def write(rows: slice, drawn: Block = block_of, steps: slice = steps, found: Floats = found) -> None:
            spare = drawn.spare()
            for row in range(rows.start, rows.stop):
                if bank.additive[row]:
                    drawn.differences(row, base[row, steps], own[row], carry[row], paths[row, steps], spare)
                else:
                    found[:, row] = drawn.ratios(row, base[row, steps], said[row, steps], own[row], carry[row], paths[row, steps], spare)

        in_batches(write, n_series, threads)
        lifts, money, doubt, after = found[:, spend]
        together = block_of.held_together(lifts, money, doubt)
        if bank.one_whole:
            together *= block_of.drawn_to_common(together * after, bank.level[spend], steps.stop - steps.start)
        held = block_of.by_step(together, steps.stop - steps.start)

        def hold(rows: slice, held: Singles = held, steps: slice = steps) -> None:
            for row, factors in zip(spend[rows], held[rows], strict=True):
                paths[row, steps] *= factors[:, None]

        in_batches(hold, len(spend), threads)
    return paths


class Block:
    """What all series share over one trajectory's length of a simulation; each of its forms writes one series.

    first, second : (n_paths,) the two origins that each path blends, with the shares `one` and `two`. factors : (S, n_paths) of `scale_factors`.
    later : whether another trajectory came before. steps : how many are wanted; stretches beyond the next one are left out.
    """

    def __init__(self, bank: ErrorBank, first: Ints, second: Ints, one: Singles, two: Singles, factors: Singles, *, later: bool, steps: int) -> None:
        self.bank, self.first, self.second, self.one, self.two, self.later = bank, first, second, one, two, later
        stretches = min(int(np.searchsorted(bank.edges, steps)) + 1, len(bank.edges) - 1)
        edges = bank.edges[: stretches + 1]
        place = np.arange(edges[-1])
        self.inside = ((place >= edges[:-1, None]) & (place < edges[1:, None])).astype(np.float32)  # (S, steps) steps of each stretch
        self.smooth = smoothing(edges).astype(np.float32)  # (steps, S)
        block = bank.ratios.shape[1]
        self.tail = slice(max(0, block - 4 * bank.season), block)
        self.ends = edges[-1] == block
        self.weights = bank.weights.astype(np.float32)
        self.factors = factors[:stretches]
        self.common, self.alone = split(self.factors)
        n_series = int((~bank.additive).sum())
        self.skewed = SKEWED_ALONE + (SKEWED - SKEWED_ALONE) * n_series / (n_series + POOL_SERIES)
        self.windows = np.full(stretches, bank.windows[-1]) if later else bank.windows[:stretches]

    def spare(self) -> tuple[Singles, Singles]:
        """Room for one series at a time; asking for new memory at every step costs as much as the numbers."""
        shape = (self.inside.shape[1], len(self.first))
        return np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)

    def ratios(
        self, row: int, base: Floats, said: Floats, own: Singles, carry: Singles, out: Singles, spare: tuple[Singles, Singles]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Write the paths of a series of spend: `base` (steps,) times drawn ratios.

        said : (steps,) points, on which the paths are centred. carry : (n_paths,) where it starts, changed to where it ends. Gives back (S,) by
        how much each stretch was lifted, its mean money before, its doubt (the standard deviation of its total in shares of the mean), and
        its mean money after.
        """
        past = self.bank.ratios[row]  # (block, O)
        centre = past @ self.weights
        drawn = self._drawn(past, centre, spare)
        drawn += centre[: len(drawn), None]
        # Negative only on days on which one of the two pasts was (refunds).
        refunds = past.min() < 0.0
        floor = np.minimum(np.minimum(past[: len(drawn), self.first], past[: len(drawn), self.second]), 0.0) if refunds else np.float32(0.0)
        np.maximum(drawn, floor, out=drawn)
        if self.later:
            drawn *= self._levelling(centre)[: len(drawn), None]
        within = _shares(self.inside, base)
        means = within @ drawn  # (S, n_paths)
        wider = np.matmul(self.smooth, widen(means, self.factors, own), out=spare[1])
        drawn *= np.exp(wider, out=wider)
        have, had = (within @ drawn).mean(axis=1), means.mean(axis=1)
        # A stretch that refunds take below nothing keeps what the widening made of it.
        kept = self.smooth @ np.where((have > 1e-12) & (had > 0), np.maximum(had, 0.0) / np.maximum(have, 1e-12), 1.0).astype(np.float32) ** MEAN_KEPT
        if self.later:
            drawn *= carry
        means = (within * kept) @ drawn
        lifted = self._lift(means, base, said)
        kept = kept * (self.smooth @ lifted).astype(np.float32)
        centred = (within * kept) @ drawn
        held = self._within_reason(row, centred, base)
        if held is not None:
            drawn *= np.matmul(self.smooth, held, out=wider)
            centred *= held
        np.multiply(drawn[: len(base)], (base * kept[: len(base)])[:, None].astype(np.float32), out=out)
        if self.ends:
            ends = np.maximum(kept[self.tail] @ drawn[self.tail], 0.0)
            carry[:] = PERSISTENCE * ends / max(float(ends.mean()), 1e-12) + 1 - PERSISTENCE
            carry /= max(float(carry.mean()), 1e-12)
        mean = means.mean(axis=1, dtype=np.float64)
        doubt = np.where(mean > 0, means.std(axis=1, dtype=np.float64) / np.where(mean > 0, mean, 1.0), 0.0)
        money = self.inside[:, : len(base)] @ base
        return lifted, mean * money, doubt, centred.mean(axis=1, dtype=np.float64) * money

    def differences(self, row: int, base: Floats, own: Singles, carry: Singles, out: Singles, spare: tuple[Singles, Singles]) -> None:
        """Write the paths of a series of credits: `base` plus drawn differences in units of its level."""
        past = self.bank.ratios[row]
        centre = past @ self.weights
        drawn = self._drawn(past, centre, spare)
        # What the first block's errors say about growth is said once: later blocks stay where it ended.
        middle = np.full_like(centre, centre[self.tail].mean()) if self.later else centre
        spread = (self.inside @ drawn / self.inside.sum(axis=1, keepdims=True)).std(axis=1, keepdims=True)
        drawn *= np.matmul(self.smooth, self.common, out=spare[1])
        drawn += np.matmul(self.smooth, self.alone * spread * own, out=spare[1])
        drawn += middle[: len(drawn), None]
        steps = drawn[: len(base)] + carry
        steps *= np.float32(self.bank.level[row])
        np.add(steps, base[:, None].astype(np.float32), out=out)
        if self.ends:
            ends = drawn[self.tail].mean(axis=0)
            carry += PERSISTENCE * (ends - ends.mean())

    def _drawn(self, past: Singles, centre: Singles, spare: tuple[Singles, Singles]) -> Singles:
        """(steps, n_paths) deviations from `centre`, of one past origin or blended from two."""
        drawn, other = spare
        around = (past - centre[:, None])[: len(drawn)]
        np.take(around, self.first, axis=1, out=drawn, mode="clip")
        drawn *= self.one
        np.take(around, self.second, axis=1, out=other, mode="clip")
        other *= self.two
        drawn += other
        return drawn

    def _levelling(self, centre: Singles) -> Singles:
        """(block,) factors that hold the mean trajectory `centre` (block,) where it ended, weekdays kept."""
        width = min(max(self.bank.season, 1) * 4, len(centre))
        padded = np.pad(centre, (width // 2, width - 1 - width // 2), mode="edge")
        smooth = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
        ended = float(centre[self.tail].mean())
        return np.where(smooth > 1e-9, ended / np.maximum(smooth, 1e-9), 1.0).astype(np.float32)

    def held_together(self, lifts: Floats, money: Floats, doubt: Floats) -> Floats:
        """(n, S) factors, so that lifting each series towards its median leaves what they spend together where past errors put it.

        What is too much is taken from each in proportion to its doubt: a series that is known to a few percent
        stays on its points. lifts, money, doubt : (n, S) as `ratios` gives them back. A few series, or few windows, know little about a sum.
        """
        trust = self.windows / (self.windows + POOL_WINDOWS) * len(lifts) / (len(lifts) + POOL_SERIES)
        doubtful = (lifts * money * doubt).sum(axis=0)
        excess = trust * ((lifts - 1.0) * money).sum(axis=0)
        share = np.where(doubtful > 0, excess / np.where(doubtful > 0, doubtful, 1.0), 0.0)
        return np.clip(1.0 - share * doubt, 1.0 / MOST_LIFTED, MOST_LIFTED)

    def drawn_to_common(self, money: Floats, level: Floats, steps: int) -> Floats:
        """(n, S) factors that draw each part's drift towards that of the whole, and leave what they spend together as it is.

        money : (n, S) mean money of each stretch's first `steps`. level : (n,) recent cost of a step. The first stretch, a season, is left alone.
        """
        usual = level[:, None] * self.inside[:, :steps].sum(axis=1, dtype=np.float64)
        spends = (money > 0) & (usual > 0)
        own = np.log(np.where(spends, money, 1.0) / np.where(spends, usual, 1.0))
        like = spends & (np.abs(own) < LARGEST_DRIFT)
        whole = np.where(like, money, 0.0).sum(axis=0)
        common = np.log(np.maximum(whole, 1e-300) / np.maximum(np.where(like, usual, 0.0).sum(axis=0), 1e-300))
        share = DRAWN * like.sum(axis=0) / (like.sum(axis=0) + POOL_SERIES)
        if not self.later:
            share[0] = 0.0
        factors = np.where(like, np.exp(share * (common - own)), 1.0)
        moved = np.where(like, factors * money, 0.0).sum(axis=0)
        return np.where(like, factors * whole / np.where(moved > 0, moved, 1.0), 1.0)

    def by_step(self, factors: Floats, steps: int) -> Singles:
        """(n, steps) of factors (n, S), smooth between stretches."""
        return (self._reached(factors, steps) @ self.smooth[:steps].T).astype(np.float32)

    def _lift(self, means: Singles, base: Floats, said: Floats) -> Floats:
        """(S,) factors that bring the median of each stretch's total to the points' total, or the mean where most paths hold next to nothing.

        means : (S, n_paths) mean ratios to `base` (steps,). said : (steps,) points.
        """
        steps = self.inside[:, : len(base)]
        money, mean = steps @ base, means.mean(axis=1)
        usable = (money > 0) & (mean > 0)
        share = np.where(usable, np.maximum(np.median(means, axis=1), 0.0) / np.where(usable, mean, 1.0), 1.0)
        least = self.skewed
        # 1 / share down to the least, from there in a straight line to 1 where there is no median.
        wanted = np.where(share >= least, 1.0 / np.maximum(share, least), 1.0 + share * (1.0 / least - 1.0) / least)
        factor = wanted * (steps @ said) / np.where(usable, money * mean, 1.0)
        lifted = np.where(usable & (factor > 0), np.clip(factor, 1.0 / MOST_LIFTED, MOST_LIFTED), 1.0)
        return self._reached(lifted, len(base))

    def _reached(self, values: Floats, steps: int) -> Floats:
        """(…, S) `values`; stretches that begin after the last of `steps` have the one before them."""
        last = int(np.flatnonzero(self.inside[:, :steps].any(axis=1))[-1])
        return np.where(np.arange(values.shape[-1]) > last, values[..., last, None], values)

    def _within_reason(self, row: int, means: Singles, base: Floats) -> Singles | None:
        """(S, n_paths) factors that hold each stretch below MOST_SEEN times what history (or the point) has shown over such a time; None for ones.

        means : (S, n_paths) mean ratios. A small series' past ratios are large numbers, and times a burst they would be fortunes.
        """
        steps = self.inside[:, : len(base)]
        usual = steps @ base / np.maximum(steps.sum(axis=1), 1)
        seen = MOST_SEEN * np.maximum(self.bank.largest[row, : len(usual)], usual)
        limit = np.where(usual * LARGEST > seen, seen / np.where(usual > 0, usual, 1.0), LARGEST).astype(np.float32)[:, None]
        above = means > limit
        return np.where(above, limit / np.maximum(means, limit), np.float32(1.0)) if above.any() else None


def _shares(inside: Singles, base: Floats) -> Singles:
    """(S, block) share of each step in its stretch's money, by `base` (steps ≤ block,); equal shares where it holds none."""
    money = np.zeros(inside.shape[1])
    money[: len(base)] = base
    weighted = inside * money
    sums = weighted.sum(axis=1, keepdims=True)
    return np.where(sums > 0, weighted / np.maximum(sums, 1e-300), inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)
