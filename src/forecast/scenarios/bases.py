"""What differs from path to path in a scenario, each once: how large an uncertain lever turns out, how many machines a pool then needs, what is paid.

Coefficients of the map (`effects.py`) are numbers by day; what is uncertain of them is a product of bases, named by their numbers. So a lever that
touches a thousand leaves is drawn once, and sums over leaves are made before anything is multiplied path by path.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.primitives import Change

Floats = NDArray[np.float64]

Product = tuple[int, ...]
"""Numbers of bases that are multiplied, sorted; () is 1."""


@dataclass(frozen=True, eq=False)
class Demand:
    """What levers did to the demand of one leaf's machines. share : part of the leaf's spend that the machines are.

    steps : (part, change, in proportion); machines run for Π (1 + part × change) of those that are not in proportion (`values`), and what they
    cost is then multiplied with Π of those that are (`running`): machines that run for fewer hours or have moved away.
    """

    leaf: int
    share: float
    steps: tuple[tuple[float, Change, bool], ...]

    def values(self) -> Floats:
        """(n_days, 1) or (n_days, n_paths)."""
        return self._product(in_proportion=False)

    def running(self) -> Floats:
        """(n_days, 1) or (n_days, n_paths)."""
        return self._product(in_proportion=True)

    def _product(self, *, in_proportion: bool) -> Floats:
        found: Floats = np.ones((1, 1))
        for part, change, proportional in self.steps:
            if proportional == in_proportion:
                found = found * (1.0 + part * change.values())
        return np.maximum(found, 0.0)


@dataclass(frozen=True, eq=False)
class Covered:
    """A leaf's machines whose usage a commitment covers: what they cost hangs on all usage that it covers.

    own : number of the leaf's demand. beside : numbers of all demands under the commitment that levers changed, its own too. commitment : number of
    it in `Responses.commitments`.
    """

    own: int
    beside: Product
    commitment: int


@dataclass(eq=False)
class Bases:
    """Arrays that were named so far, shared by all sets of levers that are looked at: one thing has one number, however it is come by."""

    found: list[Floats | Demand | Covered | None] = field(default_factory=list)
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _keys: list[Hashable] = field(default_factory=list)
    _kept: list[object] = field(default_factory=list)
    _made: dict[Hashable, tuple[object, Any]] = field(default_factory=dict)

    def array(self, values: Floats) -> int:
        """Number of a (n_paths,) or (n_days, n_paths) array; the same array has the same number."""
        return self._number(("array", id(values)), values, values)

    def demand(self, demand: Demand) -> int:
        """Number of what a leaf's machines cost after ÷ before (made when it is read: `machine_costs.py`)."""
        key = ("demand", demand.leaf, demand.share, *((part, id(change), proportional) for part, change, proportional in demand.steps))
        return self._number(key, demand, demand)

    def covered(self, covered: Covered) -> int:
        """Number of the same, where a commitment covers a part."""
        return self._number(("covered", covered.own, covered.beside, covered.commitment), covered, covered)

    def of(self, change: Change) -> Product:
        """What of a change is not in its `by_day`."""
        if change.table is not None:
            return (self.array(change.table),)
        return () if change.by_path is None else (self.array(change.by_path),)

    def is_vector(self, product: Product) -> bool:
        """Whether the product is the same on all days of a path."""
        return all(isinstance(base := self.found[number], np.ndarray) and base.ndim == 1 for number in product)

    def is_demand(self, number: int) -> bool:
        return isinstance(self.found[number], Demand | Covered)

    def forget(self, number: int) -> None:
        """Give up an array that only one set of levers had."""
        self._numbers.pop(self._keys[number], None)
        self.found[number] = self._kept[number] = None

    def once(self, key: Hashable, about: object, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once a key. about : kept alive, because keys hang on identities."""
        if key not in self._made:
            self._made[key] = (about, make())
        return self._made[key][1]

    def _number(self, key: Hashable, base: Floats | Demand | Covered, kept: object) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(base)
            self._keys.append(key)
            # A number hangs on the array's identity: it must live as long as its number.
            self._kept.append(kept)
        return self._numbers[key]
