"""What machines cost after levers ÷ before, by day and path: whole machines, slow pools, and commitments that go on whatever is used.

A commitment covers usage of several leaves and is paid all the same. At the price without it their usage is worth V, and it covers W of that: what
is paid beyond the commitment is max(V - W, 0). When levers change the usage to V', the leaves together cost max(V', W) - max(V, W) more: below W
nothing more is saved, and usage that fills what was unused costs nothing. Of what goes on unused each leaf has its part by how much its usage falls,
of what is filled by how much it grows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.bases import Bases, Covered, Demand
from forecast.scenarios.responses import STEPS, Responses, followed, machine_ratio

Floats = NDArray[np.float64]

KEPT_BYTES = 400 * 2**20
"""Of ratios of machines."""
KEPT_COVERS = 4
"""Commitments and sets of levers whose sharing out is kept."""
ALL_PATHS = slice(None)

Shared = tuple[Floats, Floats]


class MachineCosts:
    """Reads demands. spend : (leaf, which paths) → (n_days, those paths) baseline money a day. kept : ratios by number, shared by copies."""

    def __init__(self, spend: Callable[[int, slice], Floats], responses: Responses, bases: Bases, n_days: int, kept: dict[int, Floats]) -> None:
        self.spend, self.responses, self.bases, self.n_days = spend, responses, bases, n_days
        self._ratios = kept
        self._shares: dict[tuple[object, ...], Shared] = {}

    def ratio(self, number: int) -> Floats:
        """(n_days, n_paths) of all paths; the latest are kept, because stages, subsets and budgets ask for the same."""
        found = self._ratios.pop(number, None)
        if found is None:
            found = self._made(number, ALL_PATHS)
        self._ratios[number] = found
        while len(self._ratios) * found.nbytes > KEPT_BYTES:
            del self._ratios[next(iter(self._ratios))]
        return found

    def on(self, number: int, some: slice) -> Floats:
        """(n_days, those paths) the same on some paths."""
        if some == ALL_PATHS:
            return self.ratio(number)
        found = self._ratios.get(number)
        return self._made(number, some) if found is None else found[:, some]

    def _made(self, number: int, some: slice) -> Floats:
        base = self.bases.found[number]
        if isinstance(base, Demand):
            return self._machines(base, some)
        if not isinstance(base, Covered):
            raise TypeError("only demands have machines")
        change = self.on(base.own, some) - 1.0
        saved, paid = self._shared_out(base, some)
        change *= saved if saved is paid else np.where(change < 0.0, saved, paid)
        change += 1.0
        return np.maximum(change, 0.0, out=change)

    def _machines(self, base: Demand, some: slice) -> Floats:
        known = self.responses
        quantum = float(known.quantum[base.leaf]) / base.share
        found = machine_ratio(self.spend(base.leaf, some), quantum, self._demand(base, some), known.phase_of(base.leaf)[some])
        if not any(in_proportion for _, _, in_proportion in base.steps):
            return found
        running = base.running()
        return found * (running[:, some] if running.shape[1] > 1 else running)

    def _demand(self, base: Demand, some: slice) -> Floats:
        """(n_days, 1) or (n_days, n_paths) what machines run for; one array for all leaves of which levers ask the same."""
        rates = self.responses.follows(base.leaf)
        steps = tuple((part, change) for part, change, in_proportion in base.steps if not in_proportion)

        def make() -> Floats:
            wanted = base.values()
            wanted = wanted[:, some] if wanted.shape[1] > 1 else wanted
            wanted = np.broadcast_to(wanted, (self.n_days, wanted.shape[1]))
            return wanted if rates is None else followed(wanted, rates[some])

        if any(part != 1.0 for part, _ in steps):
            return make()
        key = ("demanded", rates is None, some.step, *((part, id(change)) for part, change in steps))
        found: Floats = self.bases.once(key, steps, make)
        return found

    def _shared_out(self, base: Covered, some: slice) -> Shared:
        """What an hour that is given up saves, and what one that is added costs, ÷ what an hour costs on the mean."""
        key = (base.commitment, base.beside, some.step)
        found = self._shares.pop(key, None)
        if found is None:
            found = self._share_out(base, some)
        self._shares[key] = found
        while len(self._shares) > KEPT_COVERS:
            del self._shares[next(iter(self._shares))]
        return found

    def _share_out(self, base: Covered, some: slice) -> Shared:
        worth = self.responses.commitments[base.commitment].worth
        usage, price = self._usage(base.commitment, some)
        more, change = np.zeros_like(usage), np.zeros_like(usage)
        for number in base.beside:
            demand = self.bases.found[number]
            if not isinstance(demand, Demand):
                raise TypeError("only demands are covered")
            own = self.on(number, some) - 1.0
            own *= np.maximum(self.spend(demand.leaf, some), 0.0)
            own *= demand.share
            change += own
            more += np.maximum(own, 0.0, out=own)
        added, given_up = more * price, (more - change) * price
        idle = np.maximum(worth - (usage + added - given_up), 0.0) - np.maximum(worth - usage, 0.0)
        if not idle.any():
            return price, price
        saved = 1.0 - np.divide(np.maximum(idle, 0.0), given_up, out=np.zeros_like(usage), where=given_up > 0.0)
        paid = 1.0 - np.divide(np.maximum(-idle, 0.0), added, out=np.zeros_like(usage), where=added > 0.0)
        return price * np.clip(saved, 0.0, 1.0), price * np.clip(paid, 0.0, 1.0)

    def _usage(self, number: int, some: slice) -> tuple[Floats, Floats]:
        """(n_days, those paths) what all usage under a commitment is worth without it, and that ÷ what it costs."""
        commitment = self.responses.commitments[number]

        def make() -> tuple[Floats, Floats]:
            shares = self.responses.shares[commitment.leaves, STEPS]
            spend = sum(
                np.maximum(self.spend(leaf, some), 0.0) * share for leaf, share in zip(commitment.leaves.tolist(), shares.tolist(), strict=True)
            )
            cost = np.asarray(spend, dtype=np.float64)
            usage = commitment.usage(cost)
            return usage, np.divide(usage, cost, out=np.ones_like(usage), where=cost > 0.0)

        found: tuple[Floats, Floats] = self.bases.once(("usage", number, some.step), commitment, make)
        return found
