"""Spend of unlike processes, generated: what the prior learns from. No line of it is anybody's bill.

Each family is a law (rng, count, days) → (count, days) spend ≥ 0 around size 1. Families of `TRAINED` and sums of two to four of them teach;
those of `HELD_OUT` are other laws, which the prior never sees and is judged by. Parameters span what public descriptions of AI spend report:
smooth persistent pools, bursty users who change regime and *stay* there, weak weekly rhythms, growth by factors, models with short lives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.errors import InputError
from forecast.forecasters.history import Floats, Ints
from forecast.forecasters.prior.draws import between, log_between, mixed, noise, of_spell, persistent, shocks, spells, switching, walk, weekly

PAST = 140
"""Longest history in days."""

FUTURE = 56
"""Days that follow it."""

SHORTEST = 12

SUMS = 0.2
"""Share of series that are sums of others."""

BURN_IN = 20
"""Days before the longest history begins."""

Law = Callable[[np.random.Generator, int, int], Floats]


def pools(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Capacity: smooth and persistent around a level that jumps now and then; sometimes at a ceiling; outages of a day."""
    slow = 1 - log_between(rng, 0.01, 0.5, count)
    level = np.exp(log_between(rng, 0.02, 0.5, count) * persistent(rng, slow, count, days))
    spell = spells(rng, log_between(rng, 25, 400, count), between(rng, 0.3, 1.0, count), count, days)
    steps = np.cumsum(log_between(rng, 0.03, 0.6, count) * shocks(rng, count, int(spell.max()) + 1), axis=1)
    value = level * np.exp(of_spell(steps, spell)) * weekly(rng, count, days, none=0.5) * noise(rng, log_between(rng, 0.001, 0.2, count), count, days)
    ceiling = np.quantile(value, 0.6, axis=1, keepdims=True)
    value = np.where(rng.random((count, 1)) < 0.2, np.minimum(value, ceiling), value)
    down = (rng.random((count, days)) < 0.006) & (rng.random((count, 1)) < 0.3)
    return np.where(down, value * rng.uniform(0.0, 0.2, (count, days)), value)


def services(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Demand of many users: a random walk, deployments that move the level for good, a weekly rhythm, little noise."""
    level = np.exp(walk(rng, log_between(rng, 0.003, 0.15, count), count, days))
    spell = spells(rng, log_between(rng, 10, 200, count), between(rng, 0.3, 1.0, count), count, days)
    deployed = np.where(rng.random((count, 1)) < 0.5, 0.0, log_between(rng, 0.03, 0.6, count))
    steps = np.cumsum(deployed * shocks(rng, count, int(spell.max()) + 1), axis=1)
    rest = noise(rng, log_between(rng, 0.002, 0.3, count), count, days)
    return level * np.exp(of_spell(steps, spell)) * weekly(rng, count, days, none=0.35) * rest


def growth(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Growth by factors whose rate changes and dies away; a few shrink."""
    rate = mixed(rng, (0.004, 0.012, 0.03, -0.008), (0.35, 0.3, 0.15, 0.2), count) * between(rng, 0.3, 1.7, count)
    pace = rate * (1 + 0.8 * persistent(rng, between(rng, 0.9, 0.99, count), count, days))
    turn = rng.uniform(0, 1.5 * days, (count, 1))
    pace = np.where(np.arange(days)[None, :] > turn, pace * rng.uniform(-0.6, 0.5, (count, 1)), pace)
    level = np.exp(np.cumsum(pace, axis=1) + walk(rng, log_between(rng, 0.005, 0.08, count), count, days))
    return level * weekly(rng, count, days) * noise(rng, log_between(rng, 0.03, 0.6, count), count, days)


def bursts(rng: np.random.Generator, count: int, days: int) -> Floats:
    """On and off: inside a burst the level persists, the next burst has another one; nothing or little in between."""
    active, spell = switching(rng, log_between(rng, 2, 40, count), log_between(rng, 1.5, 40, count), between(rng, 0.2, 1.2, count), count, days)
    highest = int(spell.max()) + 1
    level = np.exp(persistent(rng, between(rng, 0.0, 0.8, count), count, highest) * between(rng, 0.2, 1.4, count))
    inside = np.exp(log_between(rng, 0.05, 0.9, count) * persistent(rng, between(rng, 0.0, 0.95, count), count, days))
    base = np.where(rng.random((count, 1)) < 0.5, 0.0, log_between(rng, 0.005, 0.3, count))
    return np.where(active, of_spell(level, spell) * inside, base * noise(rng, between(rng, 0.1, 0.8, count), count, days)) * weekly(rng, count, days)


def regimes(rng: np.random.Generator, count: int, days: int) -> Floats:
    """A user who changes habits: each regime has its own level, share of idle days and roughness, and stays for a week to months."""
    spell = spells(rng, log_between(rng, 7, 70, count), between(rng, 0.2, 0.9, count), count, days)
    highest = int(spell.max()) + 1
    jump = between(rng, 0.5, 2.2, count)
    # Half come back to a usual level, half go on from where they are.
    steady = persistent(rng, between(rng, 0.3, 0.95, count), count, highest)
    wandering = np.cumsum(0.7 * shocks(rng, count, highest), axis=1)
    level = np.clip(np.where(rng.random((count, 1)) < 0.5, steady, wandering) * jump, -12, 12)
    idle = np.where(rng.random((count, highest)) < 0.45, 0.0, rng.beta(0.7, 1.3, (count, highest)))
    dead = rng.random((count, highest)) < between(rng, 0.0, 0.3, count)
    rough = between(rng, 0.1, 1.3, count)
    inside = rough * persistent(rng, between(rng, 0.0, 0.9, count), count, days) - rough**2 / 2
    value = np.exp(of_spell(level, spell) + inside) * (rng.random((count, days)) >= of_spell(idle, spell))
    return np.where(of_spell(dead.astype(float), spell) > 0, 0.0, value) * weekly(rng, count, days)


def climbers(rng: np.random.Generator, count: int, days: int) -> Floats:
    """A user who takes to it: restless from day to day, and a level that wanders by weeks, mostly upwards while the habit grows."""
    start = rng.uniform(-100, 0.8 * days, (count, 1))
    habit = log_between(rng, 10, 120, count)
    gain = log_between(rng, 0.3, 8, count)
    age = np.maximum(np.arange(days)[None, :] - start, 0.0)
    climb = gain * (1 - np.exp(-age / habit))
    week = spells(rng, log_between(rng, 4, 14, count), between(rng, 0.1, 0.6, count), count, days)
    wandering = np.cumsum(between(rng, 0.1, 0.7, count) * shocks(rng, count, int(week.max()) + 1), axis=1)
    rough = between(rng, 0.2, 1.2, count)
    inside = rough * persistent(rng, between(rng, 0.0, 0.7, count), count, days) - rough**2 / 2
    active = rng.random((count, days)) >= mixed(rng, (0.0, 0.1, 0.3, 0.6), (0.3, 0.25, 0.25, 0.2), count)
    value = np.exp(np.clip(climb + of_spell(wandering, week) + inside, -12, 12)) * active * weekly(rng, count, days)
    return np.where(np.arange(days)[None, :] >= start, value, 0.0)


def campaigns(rng: np.random.Generator, count: int, days: int) -> Floats:
    """A base, and training campaigns upon it that ramp up, run and end."""
    active, spell = switching(rng, log_between(rng, 3, 35, count), log_between(rng, 5, 60, count), between(rng, 0.2, 0.8, count), count, days)
    highest = int(spell.max()) + 1
    height = log_between(rng, 0.3, 15, count) * np.exp(between(rng, 0.1, 0.9, count) * rng.standard_normal((count, highest)))
    wanted = np.where(active, of_spell(height, spell), 0.0)
    smooth = np.empty((days, count))
    state, speed = wanted[:, 0], between(rng, 0.25, 1.0, count)[:, 0]
    for day in range(days):
        state = state + speed * (wanted[:, day] - state)
        smooth[day] = state
    base = np.where(rng.random((count, 1)) < 0.25, 0.0, 1.0) * np.exp(walk(rng, log_between(rng, 0.003, 0.05, count), count, days))
    value = (base + smooth.T) * weekly(rng, count, days) * noise(rng, log_between(rng, 0.02, 0.5, count), count, days)
    return np.where(value < 0.01 * value.max(axis=1, keepdims=True), 0.0, value)


def lives(rng: np.random.Generator, count: int, days: int) -> Floats:
    """An AI model's life in a bill: launch, ramp, plateau, and a decline that may be sudden; most are born inside the window."""
    birth = np.where(rng.random((count, 1)) < 0.3, -rng.uniform(0, 120, (count, 1)), rng.uniform(0, 0.85 * days, (count, 1)))
    age = np.arange(days)[None, :] - birth
    ramp = log_between(rng, 1, 40, count)
    until = log_between(rng, 8, 300, count)
    fade = np.where(rng.random((count, 1)) < 0.35, 0.5, log_between(rng, 2, 50, count))
    shape = (1 - np.exp(-np.maximum(age, 0) / ramp)) * np.exp(-np.maximum(age - until, 0) / fade)
    # Some open with a rush of trials that cools to the plateau.
    rush = np.where(rng.random((count, 1)) < 0.3, rng.uniform(0.5, 4, (count, 1)), 0.0) * np.exp(-np.maximum(age, 0) / log_between(rng, 3, 20, count))
    level = np.exp(walk(rng, log_between(rng, 0.005, 0.15, count), count, days))
    value = np.where(age >= 0, (shape + rush) * level, 0.0) * weekly(rng, count, days) * noise(rng, log_between(rng, 0.03, 0.8, count), count, days)
    return np.where(value < 0.002 * value.max(axis=1, keepdims=True), 0.0, value)


def rhythms(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Work that follows the week: dead weekends, a batch on one or two weekdays, and days that are left out or moved."""
    batch = (rng.random((count, 7)) < between(rng, 0.1, 0.8, count)).astype(float)
    batch[np.arange(count), rng.integers(0, 7, count)] = 1.0
    phase = rng.integers(0, 7, (count, 1))
    days_of_work = np.take_along_axis(batch, (np.arange(days)[None, :] + phase) % 7, axis=1)
    kept = rng.random((count, days)) >= mixed(rng, (0.0, 0.05, 0.2), (0.5, 0.3, 0.2), count)
    level = np.exp(walk(rng, log_between(rng, 0.003, 0.1, count), count, days))
    base = np.where(rng.random((count, 1)) < 0.6, 0.0, between(rng, 0.02, 0.4, count))
    return level * (days_of_work * kept + base) * noise(rng, log_between(rng, 0.03, 0.8, count), count, days)


def intermittent(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Spend on few days, of unlike size; the chance of a day drifts and clusters."""
    chance = log_between(rng, 0.02, 0.8, count)
    lean = np.log(chance / (1 - chance)) + between(rng, 0.0, 1.5, count) * persistent(rng, between(rng, 0.5, 0.99, count), count, days)
    spent = rng.random((count, days)) < 1 / (1 + np.exp(-lean))
    size = np.exp(between(rng, 0.1, 1.4, count) * persistent(rng, between(rng, 0.0, 0.9, count), count, days))
    return spent * size * weekly(rng, count, days)


def fees(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Reserved capacity and licences: the same every day until a contract changes, for most of them rarely."""
    spell = spells(rng, log_between(rng, 20, 2000, count), between(rng, 0.2, 1.0, count), count, days)
    steps = np.cumsum(log_between(rng, 0.02, 0.7, count) * shocks(rng, count, int(spell.max()) + 1), axis=1)
    ends = (rng.random((count, 1)) < 0.1) & (np.arange(days)[None, :] >= rng.uniform(0, 1.5 * days, (count, 1)))
    ripple = np.where(rng.random((count, 1)) < 0.5, 0.0, log_between(rng, 0.0005, 0.01, count))
    return np.where(ends, 0.0, np.exp(of_spell(steps, spell) + ripple * shocks(rng, count, days)))


def lumps(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Invoices: one charge a month, a quarter or a year, on its day or a few days about it, nothing or small change in between."""
    every = mixed(rng, (30.44, 91.3, 365.0, 10_000.0), (0.5, 0.12, 0.23, 0.15), count)
    # Whatever its period, a bill that is looked at has had at least one.
    shift = np.where(every > 200, rng.uniform(0, days, (count, 1)), rng.uniform(0, 1, (count, 1)) * every)
    number = np.floor((np.arange(days)[None, :] + every - shift) / every)
    due = np.diff(number, axis=1, prepend=number[:, :1]) > 0
    late = (rng.random((count, 1)) < 0.3) & (rng.random((count, days)) < 0.5)
    moved = np.zeros_like(due)
    moved[:, 1:] = (due & late)[:, :-1]
    size = np.exp(mixed(rng, (0.0, 0.1, 0.6), (0.4, 0.3, 0.3), count) * rng.standard_normal((count, days)))
    small = np.where(rng.random((count, 1)) < 0.75, 0.0, log_between(rng, 0.0005, 0.02, count)) * noise(
        rng, between(rng, 0.1, 1.0, count), count, days
    )
    return np.where((due & ~late) | moved, size, 0.0) + small


TRAINED: dict[str, tuple[Law, float]] = {
    "fees": (fees, 0.05),
    "lumps": (lumps, 0.06),
    "pools": (pools, 0.15),
    "services": (services, 0.14),
    "growth": (growth, 0.10),
    "bursts": (bursts, 0.08),
    "regimes": (regimes, 0.13),
    "climbers": (climbers, 0.08),
    "campaigns": (campaigns, 0.06),
    "lives": (lives, 0.06),
    "rhythms": (rhythms, 0.05),
    "intermittent": (intermittent, 0.04),
}
"""Name → (law, share of the series)."""


def queues(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Held out: jobs arrive at random, take 2^k GPUs and run for heavy-tailed times; a cluster has room for so many."""
    lasting = np.arange(1, 41, dtype=float)[None, :]
    tail = between(rng, 1.1, 2.5, count)
    survive = lasting**-tail
    arrivals = rng.poisson(np.broadcast_to(log_between(rng, 0.1, 8, count), (count, days)))
    gpus = arrivals * 2.0 ** rng.integers(0, 5, (count, days))
    running = np.zeros((count, days))
    for lag in range(40):
        thinned = rng.binomial(arrivals[:, : days - lag], survive[:, lag : lag + 1]) / np.maximum(arrivals[:, : days - lag], 1)
        running[:, lag:] += gpus[:, : days - lag] * thinned
    return np.minimum(running, np.quantile(running, between(rng, 0.7, 1.0, 1)[0, 0], axis=1, keepdims=True) + 1e-9)


def excited(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Held out: counts that excite themselves (a retry storm, an agent that calls agents), times a price that is cut now and then."""
    base, branch, memory = log_between(rng, 0.1, 20, count)[:, 0], between(rng, 0.2, 0.95, count)[:, 0], between(rng, 0.2, 0.9, count)[:, 0]
    found = np.empty((days, count))
    stirred = base * branch
    for day in range(days):
        found[day] = rng.poisson(np.minimum(base + stirred, 1e6))
        stirred = memory * stirred + (1 - memory) * branch * found[day]
    cuts = np.cumsum(np.log(np.where(rng.random((count, days)) < 0.008, rng.uniform(0.3, 0.8, (count, days)), 1.0)), axis=1)
    return np.ascontiguousarray(found.T) * np.exp(cuts)


def volatile(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Held out: a mean-reverting logarithm whose volatility is itself a persistent process."""
    usual = log_between(rng, 0.03, 0.6, count)
    volatility = usual * np.exp(between(rng, 0.1, 0.8, count) * persistent(rng, between(rng, 0.9, 0.99, count), count, days))
    kept = between(rng, 0.3, 0.995, count)[:, 0]
    state, found = np.zeros(count), np.empty((days, count))
    for day in range(days):
        state = kept * state + volatility[:, day] * rng.standard_normal(count)
        found[day] = state
    return np.exp(np.ascontiguousarray(found.T))


def adoption(rng: np.random.Generator, count: int, days: int) -> Floats:
    """Held out: logistic adoption in an organisation by users who work on weekdays and leave again."""
    middle, width = rng.uniform(-40, days + 40, (count, 1)), log_between(rng, 4, 40, count)
    users = log_between(rng, 2, 300, count) / (1 + np.exp(-(np.arange(days)[None, :] - middle) / width))
    working = np.where((np.arange(days)[None, :] + rng.integers(0, 7, (count, 1))) % 7 < 5, 1.0, between(rng, 0.05, 0.6, count))
    calls = rng.poisson(users * working)
    return rng.gamma(np.maximum(calls, 1e-9) * between(rng, 0.3, 3, count)) * (calls > 0)


HELD_OUT: dict[str, tuple[Law, float]] = {
    "queues": (queues, 0.25),
    "excited": (excited, 0.25),
    "volatile": (volatile, 0.25),
    "adoption": (adoption, 0.25),
}


@dataclass(frozen=True)
class Histories:
    """Generated series with their futures.

    past : (n, PAST) right-aligned, 0 before `age` days. future : (n, FUTURE). age : (n,) days since the first spend that is known.
    family : (n,) number of the family in the table they came from; sums have the number after the last.
    """

    past: Floats
    future: Floats
    age: Ints
    family: Ints


def generate(count: int, seed: int, families: dict[str, tuple[Law, float]] | None = None, sums: float = SUMS) -> Histories:
    """About `count` histories of SHORTEST to PAST days (those without spend in them are dropped), each with its FUTURE.

    A history begins when a company's bills do (anywhere in the process) or with the series' own first spend, whichever is later.
    Raises InputError where count is not positive.
    """
    if count < 1:
        raise InputError(f"count is not usable: got {count!r}, allowed is 1 or more", field="count", got=count, allowed="1 or more")
    table = TRAINED if families is None else families
    rng = np.random.default_rng([seed, 8191])
    days = BURN_IN + PAST + FUTURE
    shares = np.array([share for _, share in table.values()])
    sizes = np.maximum(np.rint(count * (1 - sums) * shares / shares.sum()).astype(int), 1)
    parts = [_unit(law(rng, int(size), days)) for (law, _), size in zip(table.values(), sizes, strict=True)]
    values = np.concatenate(parts)
    family = np.repeat(np.arange(len(table)), sizes)
    mixtures = round(count * sums)
    if mixtures:
        parents = rng.integers(0, len(values), (mixtures, 4))
        weights = np.exp(1.2 * rng.standard_normal((mixtures, 4))) * (np.arange(4)[None, :] < rng.integers(2, 5, (mixtures, 1)))
        mixed_values = sum(values[parents[:, part]] * weights[:, part : part + 1] for part in range(4))
        values = np.concatenate([values, np.asarray(mixed_values)])
        family = np.concatenate([family, np.full(mixtures, len(table))])
    order = rng.permutation(len(values))
    values, family = values[order, BURN_IN:], family[order]
    past, future = values[:, :PAST], values[:, PAST:]
    # Half of the bills are young, the others of any age.
    young = np.exp(rng.uniform(np.log(SHORTEST), np.log(PAST), len(values)))
    known = np.where(rng.random(len(values)) < 0.5, young, rng.uniform(SHORTEST, PAST + 1, len(values)))
    begin = PAST - np.floor(known).astype(np.int64)
    spent = (past > 0) & (np.arange(PAST)[None, :] >= begin[:, None])
    alive = spent.any(axis=1)
    first = np.argmax(spent, axis=1)
    past = np.where(np.arange(PAST)[None, :] >= first[:, None], past, 0.0)
    return Histories(past[alive], future[alive], (PAST - first)[alive], family[alive])


def _unit(values: Floats) -> Floats:
    """Series of one size, so that sums are sums of equals before they are weighted."""
    size = values.mean(axis=1, keepdims=True)
    return values / np.where(size > 0, size, 1.0)
