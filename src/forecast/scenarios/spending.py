"""What a map comes to in money: sums over baseline paths, path by path or on the mean, for any days.

Leaves whose coefficients are alike are added up before anything is multiplied, and uncertain levers multiply sums and not leaves: that is why a
thousand leaves cost little more than the reading of their paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.bases import Bases, Covered, Demand, Product
from forecast.scenarios.bins import DAY_BY_DAY, Wanted, add_days, binned
from forecast.scenarios.blocks import NOWHERE, Changes
from forecast.scenarios.finer_paths import RowPaths
from forecast.scenarios.machine_costs import MachineCosts
from forecast.scenarios.responses import Responses
from forecast.spend.hierarchy import sum_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spending:
    """Baseline paths on the days of a plan.

    leaf_paths : (n_leaves, n_steps, n_paths) money a step, or `RowPaths` where leaves are taken apart; then rows stand for leaves. nodes : rows of
    leaves (as bytes) → (n_steps, n_paths), sums that are ready. step : (n_days,) step in which a day lies, length : (n_days,) its days; shares :
    (n_days, n_steps) in place of both, where days are cut from steps.
    thin : means of what comes in machines are taken on every so manieth path.
    """

    leaf_paths: NDArray[np.floating] | RowPaths
    nodes: Mapping[bytes, NDArray[np.floating]]
    step: Ints
    length: Floats
    responses: Responses
    bases: Bases
    shares: Floats | None = None
    thin: int = 1
    _ratios: dict[int, Floats] = field(default_factory=dict)
    _moments: dict[Product, tuple[NDArray[np.bool_], Floats]] = field(default_factory=dict)

    @property
    def n_days(self) -> int:
        return len(self.step)

    @property
    def n_paths(self) -> int:
        return int(self.leaf_paths.shape[2])

    def by_day(self, steps: NDArray[np.floating]) -> Floats:
        """(n_steps, n_paths) → (n_days, n_paths): a day of a longer step is an even part of it."""
        if self.shares is not None:
            return np.asarray(self.shares @ steps, dtype=np.float64)
        found = np.asarray(steps, dtype=np.float64)
        if len(found) != self.n_days or (self.step[1:] == self.step[:-1]).any():
            found = found[self.step]
        return found if (self.length == 1.0).all() else found / self.length[:, None]

    def of(self, leaves: Ints) -> Floats:
        """(n_steps, n_paths) sum of some leaves."""
        if isinstance(self.leaf_paths, RowPaths):
            return self.leaf_paths.of(leaves)
        ready = self.nodes.get(leaves.tobytes()) if len(leaves) > 1 else None
        if ready is not None:
            return ready.astype(np.float64)
        return self.leaf_paths[int(leaves[0])].astype(np.float64) if len(leaves) == 1 else sum_rows(self.leaf_paths, leaves)

    # Each lever is bounded by its own rules; many large ones in a row still multiply to more than a number holds, which is looked at below.
    @np.errstate(over="ignore", invalid="ignore")
    def totals(self, wanted: Sequence[Wanted]) -> list[Floats]:
        """For each figure (n_stages, n_bins, n_paths) money, from one reading of every path; PlanError where it is beyond all numbers."""
        found = [np.zeros((len(one.changes), one.n_bins, self.n_paths)) for one in wanted]
        for product, alike in self._alike(wanted).items():
            vector = self.bases.is_vector(product)
            part = [np.zeros_like(total) for total in found] if vector and product else found
            for sources, owns in alike:
                if vector and sources[0] == NOWHERE:
                    for number, own in owns:
                        part[number] += binned(own, wanted[number])[:, :, None]
                    continue
                if vector:
                    steps = self.of(sources)
                    for number, own in owns:
                        self._add_steps(part[number], own, wanted[number], steps)
                else:
                    days = self._day_paths(product, sources)
                    for number, own in owns:
                        add_days(part[number], own, wanted[number], days)
            if vector and product:
                factor = self._vector(product)
                for number, total in enumerate(part):
                    found[number] += total * factor
        if not all(np.isfinite(total).all() for total in found):
            raise PlanError("The levers together grow beyond all numbers", field="levers", allowed="smaller factors")
        return found

    def held(self, change: Changes) -> Floats:
        """(n_days, n_paths) spend or change of it by day and path."""
        bins = np.arange(self.n_days, dtype=np.int64)
        return np.asarray(self.totals([Wanted([change], bins, self.n_days)])[0][0], dtype=np.float64)

    def mean(self, change: Changes) -> float:
        """Mean over the paths of all days' money; the moments that it takes are kept for the next call."""
        return float(self.mean_by_source(change).sum())

    def mean_by_source(self, change: Changes) -> Floats:
        """(n_leaves + 1,) the same by the leaf whose spend it was; the last is money from nowhere."""
        found = np.zeros(len(self.leaf_paths) + 1)
        for product, (sources, values) in change.items():
            found[sources] += np.einsum("md,md->m", values, self._moment(product, sources))
        return found

    def _alike(self, wanted: Sequence[Wanted]) -> dict[Product, list[tuple[Ints, list[tuple[int, Floats]]]]]:
        """Product → groups of sources that have the same coefficients in all figures: rows, and (figure, (n_stages, n_days) coefficients)."""
        by_product: dict[Product, dict[int, dict[int, Floats]]] = {}
        for number, one in enumerate(wanted):
            for stage, change in enumerate(one.changes):
                for product, (sources, values) in change.items():
                    of_source = by_product.setdefault(product, {})
                    for source, own in zip(sources.tolist(), values, strict=True):
                        owns = of_source.setdefault(source, {})
                        if len(one.changes) == 1:
                            owns[number] = own[None, :]
                        else:
                            if number not in owns:
                                owns[number] = np.zeros((len(one.changes), self.n_days))
                            owns[number][stage] = own
        found: dict[Product, list[tuple[Ints, list[tuple[int, Floats]]]]] = {}
        for product, of_source in by_product.items():
            groups: dict[tuple[object, ...], tuple[list[int], list[tuple[int, Floats]]]] = {}
            for source, owns in of_source.items():
                key = tuple((number, own.tobytes()) for number, own in owns.items())
                apart = (source,) if source == NOWHERE else ()
                groups.setdefault((*apart, *key), ([], list(owns.items())))[0].append(source)
            found[product] = [(np.array(sorted(sources), dtype=np.int64), owns) for sources, owns in groups.values()]
        return found

    def _add_steps(self, total: Floats, own: Floats, wanted: Wanted, steps: Floats) -> None:
        """total += coefficients × paths, by bin; coefficients are by day, paths by step."""
        if wanted.n_bins >= DAY_BY_DAY:
            self._add_many(total, own, wanted, steps)
            return
        masks = np.stack([own * (wanted.bins == number) for number in range(wanted.n_bins)], axis=1)
        weights = masks.reshape(-1, self.n_days)
        if self.shares is not None:
            by_step = weights @ self.shares
        elif len(steps) == self.n_days:
            by_step = weights / self.length
        else:
            starts = np.flatnonzero(np.concatenate([[True], np.diff(self.step) != 0]))
            by_step = np.zeros((len(weights), len(steps)))
            by_step[:, self.step[starts]] = np.add.reduceat(weights / self.length, starts, axis=1)
        total += (by_step @ steps).reshape(total.shape)

    def _add_many(self, total: Floats, own: Floats, wanted: Wanted, steps: Floats) -> None:
        """The same for many bins: step by step where a step's days are all in one bin, else day by day."""
        starts = np.flatnonzero(np.concatenate([[True], np.diff(self.step) != 0]))
        bins = wanted.bins[starts]
        if (
            self.shares is not None
            or (np.repeat(bins, np.diff(np.append(starts, self.n_days))) != wanted.bins).any()
            or len(np.unique(bins)) < len(bins)
        ):
            add_days(total, own, wanted, self.by_day(steps))
            return
        weights = np.add.reduceat(own / self.length, starts, axis=1)
        inside = bins >= 0
        for stage, weight in enumerate(weights):
            total[stage, bins[inside]] += weight[inside, None] * steps[self.step[starts[inside]]]

    def _day_paths(self, product: Product, sources: Ints) -> Floats:
        """(n_days, n_paths) baseline of some sources × the product's bases."""
        spend = np.ones((self.n_days, self.n_paths)) if sources[0] == NOWHERE else self.by_day(self.of(sources))
        for number in product:
            # What `of` gives is a copy, so it may be written over.
            np.multiply(spend, self._base(number), out=spend)
        return spend

    def _base(self, number: int) -> Floats:
        base = self.bases.found[number]
        if isinstance(base, Demand | Covered):
            return self._machines.ratio(number)
        if base is None:
            raise TypeError("a base that was given up is read")
        return base[None, :] if base.ndim == 1 else base

    @cached_property
    def _machines(self) -> MachineCosts:
        # Of a copy: holding itself, this would keep all that machines cost in memory until the next collection of garbage.
        money = replace(self)

        def spend(leaf: int, some: slice) -> Floats:
            return money.by_day(money.leaf_paths[leaf][:, some])

        return MachineCosts(spend, self.responses, self.bases, self.n_days, self._ratios)

    def _vector(self, product: Product) -> Floats:
        found = np.ones(self.n_paths)
        for number in product:
            found = found * self._base(number)[0]
        return found

    def _moment(self, product: Product, sources: Ints) -> Floats:
        """(m, n_days) mean over the paths of baseline × bases, of each source."""
        n_leaves = len(self.leaf_paths)
        known, values = self._moments.setdefault(product, (np.zeros(n_leaves + 1, dtype=bool), np.zeros((n_leaves + 1, self.n_days))))
        missing = sources[~known[sources]]
        if not len(missing):
            return values[sources]
        if self.bases.is_vector(product):
            factor = self._vector(product) / self.n_paths
            if isinstance(self.leaf_paths, RowPaths):
                rows = missing[missing != NOWHERE]
                values[rows] = self.by_day(self.leaf_paths.weighted(rows, factor).T).T
                missing = missing[missing == NOWHERE]
            for source in missing.tolist():
                values[source] = factor.sum() if source == NOWHERE else self.by_day((self.leaf_paths[source] @ factor)[:, None])[:, 0]
        elif self.thin > 1 and any(self.bases.is_demand(number) for number in product):
            whole = self._moment((), missing)
            for place, source in enumerate(missing.tolist()):
                values[source] = whole[place] * self._thinned(product, source)
        else:
            for source in missing.tolist():
                values[source] = self._day_paths(product, np.array([source], dtype=np.int64)).mean(axis=1)
        known[sources] = True
        return values[sources]

    def _thinned(self, product: Product, source: int) -> Floats:
        """(n_days,) mean of spend × bases ÷ mean of spend, on every so manieth path."""
        some = slice(None, None, self.thin)
        paths = self.by_day(self.leaf_paths[source][:, some])
        spend = paths.copy()
        for number in product:
            spend *= self._machines.on(number, some) if self.bases.is_demand(number) else self._base(number)[..., some]
        usual = paths.mean(axis=1)
        return np.divide(spend.mean(axis=1), usual, out=np.zeros(self.n_days), where=usual != 0.0)

    def forget(self, number: int) -> None:
        """Give up an array that only one set of levers had, and what was summed with it."""
        for product in [product for product in self._moments if number in product]:
            del self._moments[product]
        self.bases.forget(number)
