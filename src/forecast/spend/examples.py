"""Past days as examples of how complete a day is at some age, how alike they are to the day in question, and what they say together.

Examples are weighted by how recent they are, by how alike (same weekday, same edge of the month, as far as that matters) and by state: a day
that has been revised already is another kind of day than one that still says what it said first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.spend.developments import Booleans, Floats, Trajectories
from forecast.spend.recurring import day_kinds

MATURE_HOURS = (8 * 24.0, 3 * 24.0)
"""An example's cost is taken for final so long after the age in question; the second where the first leaves fewer than LEAST_EXAMPLES."""
LEAST_EXAMPLES = 8
GROUP_EXAMPLES = 3
"""Examples that a weekday or an edge of the month needs, on average and itself, before it is told apart."""
STATE_TRUST = 3.0
"""Examples that days in another state count for."""
ARRIVED = 0.02
"""A day of whose usual cost less than this share is known has not arrived."""
REVISED = 1e-3
"""A day whose charges have moved by more than this part since they were first known has been revised."""
UNMOVED = 5e-4
"""A day whose typical series differs by less than this part from its final cost was right."""
TOLERANCE = 0.005
"""A day that changes by no more than this part has not changed for anybody who plans with it."""
PRIOR_DAYS, PRIOR_CHANGES = 3.0, 0.2
"""What is believed before any example: of 3 days 20 % change by more than the tolerance."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Past periods of a source at one age; all (D,). weight is 0 where a period is no example.

    total : share known of the source's whole cost. shock : share known of the typical series (median by money, of those of which anything
    was known), NaN where nothing had arrived. late : share of series with cost of which nothing was known though the period had arrived.
    revised, arrived : state. weight : recency. group : weekday (or hour of the day). edge : of the month, see `recurring.day_kinds`.
    """

    total: Floats
    shock: Floats
    late: Floats
    revised: Booleans
    arrived: Booleans
    weight: Floats
    group: Floats
    edge: Floats


@dataclass(frozen=True, eq=False)
class Pool:
    """Weighted examples for one period of one source; (N,) each, weights sum to 1 (all empty where there are none).

    days : number of the source's own examples behind it, counted by weight. own : their part of the weight. not_arrived : share of the
    source's examples with cost that had not arrived at this age. has_arrived, is_revised : state of the period in question.
    """

    total: Floats
    shock: Floats
    late: Floats
    weight: Floats
    days: float
    own: float
    not_arrived: float
    has_arrived: bool
    is_revised: bool

    def quantile(self, levels: Sequence[float]) -> Floats:
        """Quantiles of the share known; 1 where nothing is known about lateness."""
        if not len(self.total):
            return np.ones(len(levels))
        order = np.argsort(self.total)
        passed = np.cumsum(self.weight[order])
        return self.total[order][np.minimum(np.searchsorted(passed, np.asarray(levels) * passed[-1] - 1e-12), len(order) - 1)]

    @property
    def mean(self) -> float:
        return float(self.total @ self.weight) if len(self.total) else 1.0

    @property
    def change_probability(self) -> float:
        """That the cost will still change by more than TOLERANCE."""
        with np.errstate(divide="ignore"):
            changes = np.abs(1.0 / self.total - 1.0) > TOLERANCE
        moved = float(self.weight[changes].sum()) if len(self.total) else 0.0
        return (moved * self.days + PRIOR_CHANGES * PRIOR_DAYS) / (self.days + PRIOR_DAYS)


def examples_at(found: Trajectories, age: float, freq: str, half_life: float) -> Examples:
    """What all periods of a source looked like when they had this age (hours, on its clock)."""
    known, final = found.known(np.array([age]))[:, :, 0], found.final
    whole = final.sum(axis=0)
    size = np.abs(whole)
    usual = np.median(size[size > 0]) if (size > 0).any() else 0.0
    seen = (found.observed_from <= age) & (size > ARRIVED * usual)
    for hours in MATURE_HOURS:
        usable = seen & (found.now >= max(age, 0.0) + hours)
        if usable.sum() >= LEAST_EXAMPLES:
            break
    divisor = np.where(size > 0, whole, 1.0)
    total = known.sum(axis=0) / divisor
    same_sign = known * final > 0.0
    shock = weighted_median(np.where(same_sign, known / nonzero(final), np.nan), np.where(same_sign, np.abs(final), 0.0))
    first = found.first_value.reshape(final.shape)
    moved = weighted_median(np.where(known != 0.0, known / nonzero(first), np.nan), np.abs(known))
    # Cents are rounded and single lines are restated when a month is closed: neither makes a day wrong.
    shock = np.where(np.abs(shock - 1.0) < UNMOVED, 1.0, shock)
    arrived = (np.abs(total) >= ARRIVED) & np.isfinite(shock)
    charged = (final != 0.0).sum(axis=0)
    late = ((final != 0.0) & (known == 0.0)).sum(axis=0) / np.maximum(charged, 1)
    weight = np.where(usable, 0.5 ** (found.now / (24.0 * half_life)), 0.0)
    dates = pd.DatetimeIndex(found.ds.astype("datetime64[us]"))
    group = dates.day_of_week if freq == "D" else dates.hour
    edge = day_kinds(dates)
    return Examples(
        total,
        shock,
        late,
        np.abs(np.nan_to_num(moved, nan=1.0) - 1.0) > REVISED,
        arrived,
        weight,
        group.to_numpy(np.float64),
        edge.astype(np.float64),
    )


def alike(examples: Examples, column: int) -> Floats:
    """Weights of the examples when days like the one in `column` are asked about: as far as weekdays and edges of the month matter.

    Bühlmann's credibility: the share of the scatter that lies between groups, given how many examples the own group has.
    """
    weight = examples.weight
    for group in (examples.group, examples.edge):
        same = (group == group[column]) & (weight > 0)
        if not same.any() or same.sum() == (weight > 0).sum():
            continue
        trust = _credibility(examples.total, group, weight, group[column])
        weight = weight.sum() * (trust * np.where(same, weight, 0.0) / weight[same].sum() + (1.0 - trust) * weight / weight.sum())
    return weight


def _credibility(values: Floats, groups: Floats, weight: Floats, mine: float) -> float:
    """Bühlmann–Straub credibility of the mean of group `mine`, in [0, 1)."""
    inside = weight > 0
    values, groups, weight = np.clip(values[inside], -2.0, 3.0), groups[inside], weight[inside]
    names, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, weights=weight * values) / np.bincount(codes, weights=weight)
    n, k = counts.sum(), len(names)
    if k < 2 or n < GROUP_EXAMPLES * k or counts[names == mine].sum() < GROUP_EXAMPLES:
        return 0.0
    within = float((weight * (values - means[codes]) ** 2).sum() / weight.mean() / (n - k))
    centre = float((counts * means).sum() / n)
    between = float(((counts * (means - centre) ** 2).sum() - (k - 1) * within) / (n - (counts**2).sum() / n))
    if between <= 1e-12:
        return 0.0
    own = float(counts[names == mine].sum())
    return own / (own + within / between) if within > 0 else own / (own + 0.1)


def matched(examples: Examples, weight: Floats, arrived: bool, revised: bool) -> tuple[Floats, float]:
    """(weights that sum to 1, effective number of examples) with those in the same state preferred."""
    if arrived:
        weight = np.where(examples.arrived, weight, 0.0)
        same = np.where(examples.revised == revised, weight, 0.0)
        n = _effective(same)
        trust = n / (n + STATE_TRUST)
        if weight.sum() > 0:
            weight = (1.0 - trust) * weight / weight.sum() + (trust * same / same.sum() if same.sum() > 0 else 0.0)
    mass = weight.sum()
    return (weight / mass, _effective(weight)) if mass > 0 else (weight, 0.0)


def _effective(weight: Floats) -> float:
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def joined(parts: list[tuple[Examples, Floats]], days: float, own: float, not_arrived: float, has_arrived: bool, is_revised: bool) -> Pool:
    """One pool of several sources' examples with their weights."""
    kept = [(examples, weight, weight > 0) for examples, weight in parts if weight.any()]
    if not kept:
        empty = np.zeros(0)
        return Pool(empty, empty, empty, empty, 0.0, 0.0, not_arrived, has_arrived, is_revised)
    total, shock, late = (np.concatenate([getattr(examples, name)[used] for examples, _, used in kept]) for name in ("total", "shock", "late"))
    weight = np.concatenate([weight[used] for _, weight, used in kept])
    return Pool(total, shock, late, weight / weight.sum(), days, own, not_arrived, has_arrived, is_revised)


def weighted_median(values: Floats, weight: Floats) -> Floats:
    """(D,) medians over axis 0 of (S, D), NaN left out; NaN where nothing is left."""
    usable = np.isfinite(values)
    order = np.argsort(np.where(usable, values, np.inf), axis=0)
    mass = np.take_along_axis(np.where(usable, weight, 0.0), order, axis=0)
    passed = np.cumsum(mass, axis=0)
    place = np.argmax(passed >= 0.5 * passed[-1:], axis=0)
    found = np.take_along_axis(np.take_along_axis(values, order, axis=0), place[None, :], axis=0)[0]
    return np.where(passed[-1] > 0, found, np.nan)


def nonzero(values: Floats) -> Floats:
    """NaN for 0, to divide by."""
    return np.where(values != 0.0, values, np.nan)
