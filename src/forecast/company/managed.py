"""Managed services around the models: vector stores, managed machine learning, data transfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.company.circumstances import Circumstances
from forecast.company.levers import demand_factors, price_factors
from forecast.company.lines import Attributes, Metered, attributes_of, money
from forecast.company.organisation import Kind, Leaf, LeafTraits, Organisation
from forecast.company.processes import Accumulation, Bursts, MultiplicativeGrowth, PersistentNoise, WeeklyRhythm
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch


@dataclass(frozen=True)
class Meter:
    """One meter of a managed service: `price` USD per `unit`; `part` of the leaf's expected cost; quantities have `decimals`."""

    name: str
    unit: str
    price: float
    part: float
    decimals: int = 0


METERS: dict[Kind, tuple[Meter, ...]] = {
    "vector_store": (
        Meter("Storage", "GB-Hours", 0.00046, 0.35),
        Meter("Read Units", "Read Units", 0.000016, 0.50),
        Meter("Write Units", "Write Units", 0.000004, 0.15),
    ),
    # Hours of a shared managed service are not whole machines, but nothing is billed below a hundredth.
    "managed_ml": (Meter("Hosting", "Hours", 1.212, 0.7, 2), Meter("Processing", "Hours", 0.461, 0.3, 2)),
    "egress": (Meter("Data Transfer Out", "GB", 0.085, 1.0, 3),),
}
CATEGORY = {
    "vector_store": ("Databases", "NoSQL Databases"),
    "managed_ml": ("AI and Machine Learning", "AI Platforms"),
    "egress": ("Networking", "Content Delivery"),
}


@dataclass(frozen=True, eq=False)
class _Family:
    """All leaves of one kind with one meter, and the traits of their law."""

    kind: Kind
    meter: Meter
    leaves: tuple[Leaf, ...]
    traits: LeafTraits
    growth: MultiplicativeGrowth
    rhythm: WeeklyRhythm
    stock: Accumulation
    attributes: tuple[Attributes, ...]
    discount: Floats


@dataclass(frozen=True, eq=False)
class ManagedServices:
    """Vector stores, managed ML and egress.

    storage : GB never fall; each day adds a lognormal part. reads : traffic of the product · AR(1). writes : traffic with strong
    bursts (re-indexing). hosting : growth · very slow AR(1), a nearly flat line. processing : growth · AR(1) · rhythm with bursts.
    data transfer : traffic · AR(1).
    """

    families: tuple[_Family, ...]

    @classmethod
    def drawn(cls, organisation: Organisation, discount: dict[str, float], streams: Streams) -> ManagedServices:
        families = []
        for kind, meters in METERS.items():
            positions = organisation.of_kind(kind)
            leaves = tuple(organisation.leaves[index] for index in positions)
            for meter in meters if leaves else ():
                rng = streams.of("managed", "traits", meter.name)
                n = len(leaves)
                families.append(
                    _Family(
                        kind,
                        meter,
                        leaves,
                        LeafTraits.of(list(leaves)),
                        MultiplicativeGrowth(rng.normal(0.35, 0.25, n), 0.006),
                        WeeklyRhythm.drawn(rng, rng.uniform(0.1, 0.4, n)),
                        Accumulation(rng.uniform(0.3, 1.2, n)),
                        tuple(_attributes(index, leaf, kind, meter) for index, leaf in zip(positions, leaves, strict=True)),
                        np.array([discount[leaf.provider] for leaf in leaves]),
                    )
                )
        return cls(tuple(families))

    def meter(self, now: Circumstances) -> Metered:
        """One line per leaf and meter."""
        place = now.stretch.called("managed")
        found = [self._metered(family, now, place.called(family.meter.name)) for family in self.families]
        if not found:
            nothing = np.zeros((place.days, place.worlds, 0))
            return Metered(pd.DataFrame(), nothing, nothing, nothing)
        return Metered.joined(found)

    def _metered(self, family: _Family, now: Circumstances, place: Stretch) -> Metered:
        meter, traits = family.meter, family.traits
        level = traits.daily_cost * meter.part / meter.price
        amounts = level * now.lived.size(place.day, traits.life, traits.early, traits.ramp_days) * self._factors(family, now, place)
        if meter.name != "Storage":
            amounts = amounts * demand_factors(now.levers, family.leaves, place.span)
        list_price = money(meter.price * price_factors(now.levers, family.leaves, place.span))
        return Metered.of(family.attributes, np.round(amounts, meter.decimals), list_price, money(list_price * (1.0 - family.discount)))

    @staticmethod
    def _factors(family: _Family, now: Circumstances, place: Stretch) -> Floats:
        n, name = len(family.leaves), family.meter.name
        if name == "Storage":
            return np.asarray(0.7 * family.stock.factors(place))
        daily = place.called("daily")
        if name == "Hosting":
            return np.asarray(family.growth.factors(place) * PersistentNoise(0.06, 0.97).factors(daily, n))
        noise = PersistentNoise(0.12, 0.6).factors(daily, n)
        if name == "Processing":
            return np.asarray(
                family.growth.factors(place)
                * family.rhythm.factors(place.span)
                * noise
                * Bursts(0.02, 0.9, 0.5).factors(place.called("bursts"), n)
                * 0.9
            )
        followed = now.traffic[:, :, family.traits.life] * noise
        if name == "Write Units":
            return np.asarray(followed * Bursts(0.02, 0.9, 0.5).factors(place, n) * 0.9)
        return np.asarray(followed)


def _attributes(index: int, leaf: Leaf, kind: Kind, meter: Meter) -> Attributes:
    code = meter.name.lower().replace(" ", "-")
    product = leaf.service.lower().replace(" ", "-")
    return attributes_of(
        index,
        leaf,
        category=CATEGORY[kind],
        description=f"{leaf.service}, {meter.name.lower()}",
        resource=(f"{product}-{leaf.slug}", leaf.workload, {"vector_store": "Vector Index", "egress": "Network Gateway"}.get(kind, "Endpoint")),
        sku=f"{product}-{code}",
        meter=meter.name,
        unit=meter.unit,
        price_details={"Meter": meter.name},
        rhythm="flat" if meter.name in ("Storage", "Hosting") else "demand",
        whole=meter.decimals == 0,
    )
