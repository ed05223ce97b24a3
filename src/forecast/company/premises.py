"""The company's own GPU data centre: depreciation by the day and energy by the kilowatt-hour, charged to the teams that use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from forecast.company.circumstances import Circumstances
from forecast.company.levers import demand_factors, price_factors
from forecast.company.lines import Attributes, Metered, attributes_of, money
from forecast.company.organisation import Leaf, LeafTraits, Organisation
from forecast.company.processes import PersistentNoise, autoregression
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch

NODE_DAY = 96.0
"""USD a day that a node of eight GPUs loses in value: 140,000 USD over four years, straight line."""
ENERGY_PART = 0.3
NODE_KILOWATTS = 6.0
KILOWATT_HOUR = 0.21
EXTENSIONS_A_YEAR = 0.4


@dataclass(frozen=True, eq=False)
class OwnDataCentre:
    """nodes : whole, extended by a third with a constant chance a day, never fewer.  depreciation = nodes · NODE_DAY, flat.
    energy = nodes · 24 h · 6 kW · use · price, use an AR(1) (lag-1 0.8) around 0.65, price a slow AR(1) around 0.21 USD/kWh by month.
    Depreciation is a cost and is not billed."""

    positions: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    traits: LeafTraits
    nodes: Floats

    @classmethod
    def drawn(cls, organisation: Organisation, streams: Streams) -> OwnDataCentre:
        positions = organisation.of_kind("on_premises")
        leaves = tuple(organisation.leaves[index] for index in positions)
        nodes = np.maximum(np.round([leaf.daily_cost * (1.0 - ENERGY_PART) / NODE_DAY for leaf in leaves]), 1.0)
        return cls(tuple(positions), leaves, LeafTraits.of(list(leaves)), np.asarray(nodes, dtype=np.float64))

    def meter(self, now: Circumstances) -> Metered:
        """A line for depreciation and one for energy for each leaf."""
        place = now.stretch.called("premises")
        if not self.leaves:
            nothing = np.zeros((place.days, place.worlds, 0))
            return Metered(pd.DataFrame(), nothing, nothing, nothing)
        n = len(self.leaves)
        alive = now.lived.size(place.day, self.traits.life, self.traits.early, np.ones(n)) > 0.0
        nodes = self._nodes(place) * alive
        use = np.clip(
            0.65 * PersistentNoise(0.15, 0.8).factors(place.called("use"), n) * demand_factors(now.levers, self.leaves, place.span), 0.0, 1.0
        )
        hours = np.round(24.0 * NODE_KILOWATTS * nodes * np.where(nodes > 0.0, 0.25 + 0.75 * use, 0.0))
        changed = price_factors(now.levers, self.leaves, place.span)
        tariff = money(self._tariff(place) * changed)
        value = np.broadcast_to(money(NODE_DAY * changed), tariff.shape)
        rows = [_attributes(index, leaf, energy) for energy in (False, True) for index, leaf in zip(self.positions, self.leaves, strict=True)]
        price = np.concatenate([value, tariff], axis=2)
        return Metered.of(rows, np.concatenate([nodes, hours], axis=2), price, price)

    def _nodes(self, place: Stretch) -> Floats:
        extended = place.uniform("extensions", len(self.leaves)) < EXTENSIONS_A_YEAR / 365.0
        before = place.recall("nodes")
        now = self.nodes if before is None else cast(Floats, before)
        found = np.empty((place.days, place.worlds, len(self.leaves)))
        for step in range(place.days):
            now = np.where(extended[step], np.ceil(now * 4.0 / 3.0), now)
            found[step] = now
        place.remember("nodes", now)
        return found

    @staticmethod
    def _tariff(place: Stretch) -> Floats:
        """(days, worlds, 1) USD per kWh: settled on the first of a month."""
        drift = autoregression(place, "tariff", 0.985, 1)
        before = place.recall("settled")
        now = drift[0] if before is None else cast(Floats, before)
        found = np.empty_like(drift)
        for step, first in enumerate(place.span.day_of_month == 1):
            now = drift[step] if first else now
            found[step] = now
        place.remember("settled", now)
        return np.asarray(np.round(KILOWATT_HOUR * np.exp(0.12 * found), 4))


def _attributes(index: int, leaf: Leaf, energy: bool) -> Attributes:
    return attributes_of(
        index,
        leaf,
        category=("Compute", "Other (Compute)"),
        description="energy of GPU nodes" if energy else "depreciation of GPU nodes",
        resource=(f"rack-{leaf.slug}", f"{leaf.workload} nodes", "GPU Node Group"),
        sku="energy" if energy else "gpu-node-depreciation",
        meter="Energy" if energy else "Node Days",
        unit="kWh" if energy else "Node-Days",
        price_details={"GpuCount": 8},
        whole=energy,
        billed=float(energy),
    )
