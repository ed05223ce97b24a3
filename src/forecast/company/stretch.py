"""Some days of a company in one or in many parallel worlds: the noise that drives them and what is remembered between them.

A company is lived stretch by stretch. Every law is causal and Markov: what it needs from earlier days lies under its name in
`memory`, and its noise comes day by day from random streams that are its own. So the state of the whole company at a cutoff
is the memory at that day; what really came afterwards is the same streams going on; and an alternative future is a fork: the
same memory, other streams. Two forks with the same number have the same noise, whatever else is changed in one of them.

Arrays of a stretch have the shape (days, worlds, n); remembered ones (worlds, n), or (1, n) where all worlds share them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from forecast.company.span import Booleans, Floats, Span

Memory = dict[tuple[str, ...], npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Streams:
    """Independent random streams by name: a process that is added later does not shift the others."""

    seed: int

    def of(self, *names: str) -> np.random.Generator:
        """The generator of the process called `names`; calling again starts it anew."""
        key = tuple(zlib.crc32(name.encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


@dataclass(frozen=True, eq=False)
class Chance:
    """Noise by name. A name's draws go on from one stretch to the next, whatever other names draw."""

    streams: Streams
    fork: tuple[str, ...] = ()
    _running: dict[tuple[str, ...], np.random.Generator] = field(default_factory=dict)

    def of(self, names: tuple[str, ...]) -> np.random.Generator:
        if names not in self._running:
            self._running[names] = self.streams.of(*names, *self.fork)
        return self._running[names]


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive days in `worlds` parallel worlds.

    span : these days. first_day : number of the first of them since the company's beginning. whole_days : length of the
    company's own span, over which levels have their expected mean. place : the names of the process that is at work.
    """

    span: Span
    first_day: int
    whole_days: int
    worlds: int
    chance: Chance
    memory: Memory
    place: tuple[str, ...] = ()

    @classmethod
    def beginning(cls, span: Span, streams: Streams, whole_days: int) -> Stretch:
        """The first stretch of a company, in the one world that happens."""
        return cls(span, 0, whole_days, 1, Chance(streams), {})

    @property
    def days(self) -> int:
        return self.span.days

    @property
    def day(self) -> npt.NDArray[np.int64]:
        """(days,) number of each day since the company's beginning."""
        return np.arange(self.first_day, self.first_day + self.days)

    def called(self, *names: str) -> Stretch:
        """The same stretch for the process `names`: its noise and memory are its own."""
        return replace(self, place=(*self.place, *names))

    def next(self, days: int) -> Stretch:
        """What happens next: the same streams go on. Call it when this stretch has been lived."""
        return replace(self, span=Span(self.span.end, self.span.end + timedelta(days=days)), first_day=self.first_day + self.days)

    def fork(self, days: int, worlds: int, number: int, memory: Mapping[tuple[str, ...], npt.NDArray[np.generic]]) -> Stretch:
        """`worlds` alternative continuations of a lived stretch from the memory that it left; equal numbers have equal noise."""
        after = self.next(days)
        return replace(after, worlds=worlds, chance=Chance(self.chance.streams, ("future", str(number))), memory=dict(memory))

    def normal(self, name: str, n: int) -> Floats:
        """Standard normal noise, (days, worlds, n)."""
        return self.chance.of((*self.place, name)).standard_normal((self.days, self.worlds, n))

    def uniform(self, name: str, n: int) -> Floats:
        """Uniform noise in [0, 1), (days, worlds, n)."""
        return self.chance.of((*self.place, name)).random((self.days, self.worlds, n))

    def exponential(self, name: str, n: int) -> Floats:
        """Noise from the exponential law of mean one, (days, worlds, n)."""
        return self.chance.of((*self.place, name)).standard_exponential((self.days, self.worlds, n))

    def recall(self, name: str) -> npt.NDArray[np.generic] | None:
        """What was remembered under a name; None on the company's first day."""
        return self.memory.get((*self.place, name))

    def remember(self, name: str, value: npt.NDArray[np.generic]) -> None:
        """Keep a value for the next stretch. It must not be changed afterwards: forks share it."""
        self.memory[(*self.place, name)] = value


def first_hit(hits: Booleans, first_day: int, never: int) -> npt.NDArray[np.int64]:
    """Number of the first day on which `hits` (days, worlds, n) is true, or `never`; (worlds, n)."""
    found = hits.any(axis=0)
    return np.where(found, hits.argmax(axis=0) + first_day, never)
