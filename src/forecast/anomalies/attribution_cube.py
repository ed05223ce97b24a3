"""Charge lines of an incident and of ordinary days as one cube: numbers for values, and sums by value in one pass.

Lines with equal values become one cell, whatever their number: a million lines of a day are often a few thousand cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.dimensions import UNKNOWN

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MOST_CODES = 2**62


@dataclass(frozen=True, eq=False)
class Cube:
    """Cells that have a cost now or had one on ordinary days.

    values : the values of each dimension. codes : dimension → (n_cells,) number of the cell's value. now, usual : (n_cells,) money on the
    incident's days, and what was expected for them. quantity_now, quantity_usual : (n_cells,), NaN where not known; None without such a column.
    cell, day, cost : (n_entries,) money of a cell on an ordinary day (days numbered from 0), in the same scale as `usual`; n_days of them;
    empty where lines have no days. length : how many days the incident has.
    """

    values: dict[str, pd.Index]
    codes: dict[str, Integers]
    now: Floats
    usual: Floats
    quantity_now: Floats | None
    quantity_usual: Floats | None
    cell: Integers
    day: Integers
    cost: Floats
    n_days: int
    length: int

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(self.values)

    def part(self, inside: NDArray[np.bool_]) -> Cube:
        """The cells where `inside`, (n_cells,), is true."""
        place = np.cumsum(inside) - 1
        kept = inside[self.cell]
        return replace(
            self,
            codes={name: codes[inside] for name, codes in self.codes.items()},
            now=self.now[inside],
            usual=self.usual[inside],
            quantity_now=None if self.quantity_now is None else self.quantity_now[inside],
            quantity_usual=None if self.quantity_usual is None else self.quantity_usual[inside],
            cell=place[self.cell[kept]].astype(np.int64),
            day=self.day[kept],
            cost=self.cost[kept],
        )

    def where(self, scope: dict[str, str]) -> NDArray[np.bool_]:
        """(n_cells,) which cells have these values."""
        inside = np.ones(len(self.now), dtype=np.bool_)
        for name, value in scope.items():
            inside &= self.codes[name] == self.values[name].get_loc(value)
        return inside

    def text(self, name: str, number: int) -> str:
        """A value by its number."""
        return str(self.values[name][number])

    def by_value(self, name: str) -> tuple[Integers, Floats, Floats]:
        """Values of a dimension that occur (their numbers), and the money of each now and expected, (n,) each."""
        size, codes = len(self.values[name]), self.codes[name]
        present = np.flatnonzero(np.bincount(codes, minlength=size)).astype(np.int64)
        return present, sums(codes, self.now, size)[present], sums(codes, self.usual, size)[present]

    def deviation(self, group: Integers, size: int) -> Floats:
        """(size,) standard deviation of each group's money over as many ordinary days as the incident has; 0 where lines have no days.

        group : (n_cells,) numbers from 0. A departure of a day is taken to last into the next by half: between independent days and one long one.
        """
        if self.n_days < 2:
            return np.zeros(size)
        pair = group[self.cell] * self.n_days + self.day
        if size * self.n_days <= 4 * len(pair):
            daily = sums(pair, self.cost, size * self.n_days).reshape(size, self.n_days)
            total, squares = daily.sum(axis=1), (daily**2).sum(axis=1)
        else:
            number, first = numbered([(pair, size * self.n_days)], len(pair))
            each, owner = sums(number, self.cost, len(first)), pair[first] // self.n_days
            total, squares = sums(owner, each, size), sums(owner, each**2, size)
        variance = np.maximum(squares - total**2 / self.n_days, 0.0) / (self.n_days - 1)
        # `cost` adds up to `usual`, to `length` days of money: a whole day's departure is n_days / length times as large.
        return np.asarray(np.sqrt(variance) * self.n_days / self.length * self.length**0.75)


def build_cube(current: pd.DataFrame, reference: pd.DataFrame, dimensions: Sequence[str], *, actual: float, expected: float) -> Cube:
    """Lines of the incident's days and of ordinary days, scaled to what was paid and to what was expected.

    current, reference : columns `cost`, the dimensions (those that one of both lacks are left out), `quantity` and `ds` where known.
    Lines that add up to nothing, or to the other side of it, stay as they are.
    """
    names = [name for name in dimensions if name in current and name in reference]
    n_now = len(current)
    codes: dict[str, Integers] = {}
    values: dict[str, pd.Index] = {}
    for name in names:
        codes[name], values[name] = _numbers(current[name], reference[name])
    cell, first = numbered([(codes[name], len(values[name])) for name in names], n_now + len(reference))
    n_cells = len(first)
    factor_now, factor_usual = _factor(current, actual), _factor(reference, expected)
    cost_now = current["cost"].to_numpy(dtype=np.float64) * factor_now
    cost_usual = reference["cost"].to_numpy(dtype=np.float64) * factor_usual
    quantities: list[Floats | None] = [None, None]
    if "quantity" in current and "quantity" in reference:
        for number, (frame, place, factor) in enumerate(((current, cell[:n_now], factor_now), (reference, cell[n_now:], factor_usual))):
            quantities[number] = sums(place, frame["quantity"].to_numpy(dtype=np.float64) * factor, n_cells)
    days, n_days = np.zeros(0, dtype=np.int64), 0
    if "ds" in reference and len(reference):
        found, on = pd.factorize(reference["ds"].to_numpy(), sort=True)
        days, n_days = found.astype(np.int64), len(on)
    length = int(current["ds"].nunique()) if "ds" in current and n_now else 1
    empty = np.zeros(0, dtype=np.int64)
    return Cube(
        values,
        {name: found[first] for name, found in codes.items()},
        sums(cell[:n_now], cost_now, n_cells),
        sums(cell[n_now:], cost_usual, n_cells),
        quantities[0],
        quantities[1],
        cell[n_now:] if n_days else empty,
        days,
        cost_usual if n_days else np.zeros(0),
        n_days,
        max(length, 1),
    )


def _numbers(current: pd.Series, reference: pd.Series) -> tuple[Integers, pd.Index]:
    """One numbering of the values of both columns. Sorting is left out: it orders a million resources to no use."""
    if isinstance(current.dtype, pd.CategoricalDtype) and isinstance(reference.dtype, pd.CategoricalDtype):
        values = current.cat.categories
        later = reference.cat.codes.to_numpy()
        if not values.equals(reference.cat.categories):
            values = values.union(reference.cat.categories, sort=False)
            later = np.append(values.get_indexer(reference.cat.categories), -1)[later]
        numbers = np.concatenate([current.cat.codes.to_numpy().astype(np.int64), later.astype(np.int64)])
    else:
        codes, values = pd.factorize(pd.concat([current, reference], ignore_index=True))
        numbers = np.asarray(codes, dtype=np.int64)
    if len(numbers) and numbers.min() < 0:
        numbers = np.where(numbers < 0, len(values), numbers)
        values = values.append(pd.Index([UNKNOWN]))
    return numbers, values


def numbered(columns: Sequence[tuple[Integers, int]], n: int) -> tuple[Integers, Integers]:
    """(n,) number of each combination of codes, and a place of each. columns : codes below a size."""
    code, width = np.zeros(n, dtype=np.int64), 1
    for column, size in columns:
        if width * max(size, 1) > MOST_CODES:
            code, unique = pd.factorize(code)
            width = len(unique)
        code = code * max(size, 1) + column
        width *= max(size, 1)
    if width <= n // 4:
        found = np.full(width, n, dtype=np.int64)
        found[code[::-1]] = np.arange(n - 1, -1, -1)
        present = np.flatnonzero(found < n)
        table = np.zeros(width, dtype=np.int64)
        table[present] = np.arange(len(present))
        return table[code], found[present]
    number, unique = pd.factorize(code)
    first = np.empty(len(unique), dtype=np.int64)
    first[number[::-1]] = np.arange(n - 1, -1, -1)
    return number.astype(np.int64), first


def _factor(frame: pd.DataFrame, total: float) -> float:
    own = float(frame["cost"].sum())
    if own == 0.0 or not np.isfinite(own):
        return 1.0
    factor = total / own
    return factor if factor > 0.0 else 1.0


def sums(codes: Integers, weights: Floats, size: int) -> Floats:
    """(size,) weights added up by code."""
    # An empty bincount is one of integers.
    return np.bincount(codes, weights=weights, minlength=size).astype(np.float64)
