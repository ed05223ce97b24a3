"""The shipped prior at work: whole scaled futures of generated neighbours, moved to where this series' future lies.

A row's future is  scale × weekday factor × location(step) × deviation(step).  Location comes from boosted trees, deviations are those of
generated histories that fall into the same leaves of a forest: they are whole futures, so days depend on each other as they did there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from forecast.errors import ArtifactError
from forecast.forecasters.history import Floats, Ints
from forecast.forecasters.prior.container import unpack
from forecast.forecasters.prior.features import see, shaped
from forecast.forecasters.prior.growing import leaf_numbers, location_by_step, tamed
from forecast.forecasters.prior.processes import FUTURE

DATA = "prior.bin"
DIGEST = "digest.json"

HELD = 28
"""Beyond FUTURE days the last four weeks of a trajectory repeat: its level, its gaps and its weekdays stay where they were."""

LARGEST_MEAN = 2.0
"""Futures count in points with at most this times their location a month: judged by money misplaced, a mean that a few carry misleads."""

_CHUNK = 2048


def steps_of(horizon: int) -> Ints:
    """(horizon,) which of the FUTURE steps stands for each step."""
    step = np.arange(horizon)
    return np.where(step < FUTURE, step, FUTURE - HELD + (step - FUTURE) % HELD)


@dataclass(frozen=True)
class Prior:
    """location : trees of each window of steps. forest : trees whose leaves hold neighbours.

    bank : (b, FUTURE) float16 deviations. members : (leaves, m) rows of the bank in each leaf, smallest month first. offsets : (trees + 1,)
    first leaf of every tree.
    """

    location: tuple[Any, ...]
    forest: tuple[Any, ...]
    bank: NDArray[np.float16]
    members: NDArray[np.uint16]
    offsets: Ints

    @classmethod
    def of(cls, parts: dict[str, Any]) -> Prior:
        """From the parts of `growing.grow`."""
        import lightgbm

        def trees(kind: str) -> tuple[Any, ...]:
            names = sorted(name for name in parts if name.startswith(kind))
            return tuple(lightgbm.Booster(model_str=parts[name]) for name in names)

        return cls(trees("location_"), trees("forest_"), parts["bank"], parts["members"], parts["offsets"])

    def means(self, windows: Floats, age: Ints, horizon: int) -> Floats:
        """(rows, horizon) mean of all trajectories, large ones tamed; 0 where nothing was spent. windows : (rows, PAST) spend ≥ 0."""
        found = np.zeros((len(windows), horizon))
        for part, base, profile, leaves in self._placed(windows, age):
            deviation = np.zeros((len(base), FUTURE), dtype=np.float32)
            for tree in range(leaves.shape[1]):
                deviation += self._leaf_means[leaves[:, tree]]
            found[part] = shaped(base * (deviation / leaves.shape[1]), profile)[:, steps_of(horizon)]
        return found

    def trajectories(self, windows: Floats, age: Ints, horizon: int, count: int, rng: np.random.Generator, together: float) -> NDArray[np.float32]:
        """(rows, count, horizon) whole futures. `together` : correlation of the rows' places among their neighbours within one future."""
        found = np.zeros((len(windows), count, horizon), dtype=np.float32)
        common = rng.standard_normal(count) * np.sqrt(together)
        tree = np.arange(count) * 7919 % (len(self.offsets) - 1)
        for part, base, profile, leaves in self._placed(windows, age):
            place = ndtr(common + np.sqrt(1 - together) * rng.standard_normal((len(base), count)))
            rank = np.minimum((place * self.members.shape[1]).astype(np.int64), self.members.shape[1] - 1)
            chosen = self.members[leaves[:, tree], rank]
            found[part] = shaped(base[:, None, :] * self.bank[chosen], profile)[:, :, steps_of(horizon)]
        return found

    def _placed(self, windows: Floats, age: Ints) -> Iterator[tuple[Ints, Floats, Floats, Ints]]:
        """Pieces of rows that have spend: (their numbers, scale × location (rows, FUTURE), week's shape (rows, 7), leaves (rows, trees))."""
        for begin in range(0, len(windows), _CHUNK):
            seen = see(windows[begin : begin + _CHUNK], age[begin : begin + _CHUNK])
            alive = np.flatnonzero(seen.scale > 0)
            if not len(alive):
                continue
            features = seen.features[alive]
            knots = np.stack([np.asarray(trees.predict(features, num_threads=1)) for trees in self.location], axis=1)
            base = seen.scale[alive, None] * location_by_step(knots)
            leaves = np.concatenate([leaf_numbers(trees, features) for trees in self.forest], axis=1) + self.offsets[:-1]
            yield begin + alive, base, seen.profile[alive], leaves

    @cached_property
    def _leaf_means(self) -> NDArray[np.float32]:
        """(leaves, FUTURE) mean deviation of each leaf's members, the largest tamed once more."""
        bank = tamed(self.bank, LARGEST_MEAN).astype(np.float32)
        found = np.empty((len(self.members), FUTURE), dtype=np.float32)
        for leaf, rows in enumerate(self.members):
            found[leaf] = bank[rows].mean(axis=0)
        return found


@lru_cache(maxsize=1)
def shipped() -> Prior:
    """The prior that ships with the package, read once. Raises ArtifactError where it is missing or not the one that was shipped."""
    package = resources.files("forecast.forecasters.prior")
    try:
        digest = json.loads(package.joinpath(DIGEST).read_text(encoding="utf-8"))
        data = package.joinpath(DATA).read_bytes()
    except FileNotFoundError as missing:
        raise ArtifactError(f"The shipped prior is missing from the package: {missing}; install the package again or run `make prior`") from missing
    return Prior.of(unpack(data, digest["sha256"]))
