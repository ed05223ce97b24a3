"""Building blocks of generated spend: persistent noise, spells of random length, weekly rhythms. Vectorised over series; loops run over days only."""

from __future__ import annotations

import numpy as np

from forecast.forecasters.history import Floats, Ints

WEEK = 7


def between(rng: np.random.Generator, low: float, high: float, count: int) -> Floats:
    """(count, 1) uniform draws."""
    return rng.uniform(low, high, (count, 1))


def log_between(rng: np.random.Generator, low: float, high: float, count: int) -> Floats:
    """(count, 1) draws whose logarithms are uniform."""
    return np.exp(rng.uniform(np.log(low), np.log(high), (count, 1)))


def mixed(rng: np.random.Generator, values: tuple[float, ...], shares: tuple[float, ...], count: int) -> Floats:
    """(count, 1) draws from a few values."""
    return np.array(values)[np.searchsorted(np.cumsum(shares)[:-1], rng.random((count, 1)))]


def shocks(rng: np.random.Generator, count: int, days: int) -> Floats:
    """(count, days) standard noise; a third of the series has Student's tails."""
    normal = rng.standard_normal((count, days))
    heavy = np.where(rng.random((count, 1)) < 1 / 3, np.sqrt(3.0 / rng.chisquare(5.0, (count, days))), 1.0)
    return normal * heavy


def persistent(rng: np.random.Generator, persistence: Floats, count: int, days: int) -> Floats:
    """(count, days) first-order autoregressions of unit variance; persistence : (count, 1) in [0, 1)."""
    new = shocks(rng, count, days) * np.sqrt(1 - persistence**2)
    found = np.empty((days, count))
    state = rng.standard_normal(count)
    keep = persistence[:, 0]
    for day, shock in enumerate(np.ascontiguousarray(new.T)):
        state = keep * state + shock
        found[day] = state
    return np.ascontiguousarray(found.T)


def noise(rng: np.random.Generator, spread: Floats, count: int, days: int) -> Floats:
    """(count, days) positive factors with mean 1 and log spread `spread` (count, 1)."""
    return np.asarray(np.exp(spread * shocks(rng, count, days) - spread**2 / 2))


def spells(rng: np.random.Generator, length: Floats, unevenness: Floats, count: int, days: int) -> Ints:
    """(count, days) number of the spell that each day is in. length : (count, 1) mean days; unevenness : (count, 1) log spread of lengths.

    The first day is somewhere inside a spell, as if the process had begun long ago.
    """
    most = int(days / 2) + 2
    drawn = length * np.exp(unevenness * rng.standard_normal((count, most)) - unevenness**2 / 2)
    ends = np.cumsum(np.maximum(np.rint(drawn), 1.0), axis=1)
    ends -= np.floor(rng.random((count, 1)) * ends[:, :1])
    marks = np.zeros((count, days + 1), dtype=np.int64)
    row, column = np.nonzero(ends < days)
    np.add.at(marks, (row, ends[row, column].astype(np.int64)), 1)
    return np.minimum(np.cumsum(marks[:, :days], axis=1), most - 1)


def switching(rng: np.random.Generator, on: Floats, off: Floats, unevenness: Floats, count: int, days: int) -> tuple[np.ndarray, Ints]:
    """Spells that alternate between on and off: (count, days) whether on, and the number of the on-spell. on, off : (count, 1) mean days."""
    most = int(days / 2) + 2
    odd = np.arange(most)[None, :] % 2 == 1
    odd = odd ^ (rng.random((count, 1)) < off / (on + off))
    mean = np.where(odd, off, on)
    drawn = mean * np.exp(unevenness * rng.standard_normal((count, most)) - unevenness**2 / 2)
    ends = np.cumsum(np.maximum(np.rint(drawn), 1.0), axis=1)
    ends -= np.floor(rng.random((count, 1)) * ends[:, :1])
    marks = np.zeros((count, days + 1), dtype=np.int64)
    row, column = np.nonzero(ends < days)
    np.add.at(marks, (row, ends[row, column].astype(np.int64)), 1)
    spell = np.minimum(np.cumsum(marks[:, :days], axis=1), most - 1)
    return ~np.take_along_axis(np.broadcast_to(odd, (count, most)), spell, axis=1), spell


def of_spell(values: Floats, spell: Ints) -> Floats:
    """(count, days) each day's value of its spell. values : (count, spells)."""
    return np.take_along_axis(values, spell, axis=1)


def weekly(rng: np.random.Generator, count: int, days: int, none: float = 0.45) -> Floats:
    """(count, days) weekday factors with mean 1: a share `none` has none, the others a weak or strong weekend, or days of their own."""
    kind = rng.random((count, 1))
    weekend = np.arange(WEEK)[None, :] >= 5
    depth = np.where(rng.random((count, 1)) < 0.25, rng.uniform(0.0, 0.15, (count, 1)), rng.uniform(0.2, 1.05, (count, 1)))
    factors = np.where(weekend, depth, 1.0) * np.exp(0.06 * rng.standard_normal((count, WEEK)))
    free = np.exp(rng.uniform(0.05, 0.5, (count, 1)) * rng.standard_normal((count, WEEK)))
    factors = np.where(kind < none + (1 - none) * 0.3, free, factors)
    factors = np.where(kind < none, 1.0, factors)
    factors /= factors.mean(axis=1, keepdims=True)
    phase = rng.integers(0, WEEK, (count, 1))
    return np.take_along_axis(factors, (np.arange(days)[None, :] + phase) % WEEK, axis=1)


def walk(rng: np.random.Generator, step: Floats, count: int, days: int) -> Floats:
    """(count, days) random walk of logarithms. step : (count, 1) standard deviation a day."""
    return np.cumsum(step * shocks(rng, count, days), axis=1)
