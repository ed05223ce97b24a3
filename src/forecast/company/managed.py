"""Managed services around the models: vector stores and managed machine learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.company.lines import Attributes, ChargeLines, attributes_of, money
from forecast.company.organisation import Leaf, Organisation, alive
from forecast.company.plans import Plan
from forecast.company.processes import Bursts, MultiplicativeGrowth, PersistentNoise, Streams, WeeklyRhythm
from forecast.company.span import Floats, Span

# meter, unit, USD per unit, part of the leaf's expected cost
VECTOR_METERS = (("Storage", "GB-Hours", 0.00046, 0.35), ("Read Units", "Read Units", 0.000016, 0.50), ("Write Units", "Write Units", 0.000004, 0.15))
ML_METERS = (("Hosting", "Hours", 1.212, 0.7), ("Processing", "Hours", 0.461, 0.3))


@dataclass(frozen=True)
class ManagedServices:
    """Vector stores and managed ML as charge lines.

    storage : GB never fall; each day adds a lognormal part of a growing base. reads : growth · AR(1) · weekly rhythm.
    writes : reads' law with strong bursts (re-indexing). hosting : growth · very slow AR(1), a nearly flat line.
    processing : growth · AR(1) with bursts.
    """

    organisation: Organisation
    plan: Plan
    streams: Streams
    span: Span

    def lines(self) -> ChargeLines:
        """Three meters a vector store, two a managed ML leaf."""
        attributes: list[Attributes] = []
        quantity: list[Floats] = []
        list_price: list[Floats] = []
        contracted: list[Floats] = []
        for kind, meters in (("vector_store", VECTOR_METERS), ("managed_ml", ML_METERS)):
            positions = self.organisation.of_kind("vector_store" if kind == "vector_store" else "managed_ml")
            leaves = [self.organisation.leaves[index] for index in positions]
            for meter, unit, price, part in meters:
                if not leaves:
                    continue
                level = np.array([leaf.daily_cost * part / price for leaf in leaves])
                # Hours of a shared managed service are not whole machines, but nothing is billed below a hundredth.
                amounts = np.round(level * alive(leaves, self.span.days) * self._factors(meter, len(leaves)), 2 if unit == "Hours" else 0)
                for number, (index, leaf) in enumerate(zip(positions, leaves, strict=True)):
                    attributes.append(_attributes(index, leaf, kind, meter, unit))
                    quantity.append(amounts[:, number])
                    list_price.append(np.full(self.span.days, price))
                    contracted.append(money(list_price[-1] * (1.0 - self.plan.discount[leaf.provider])))
        if not attributes:
            return ChargeLines.none(self.span.days)
        return ChargeLines.of(attributes, *(np.stack(columns, axis=1) for columns in (quantity, list_price, contracted)))

    def _factors(self, meter: str, n: int) -> Floats:
        rng = self.streams.of("managed", meter)
        days = self.span.days
        if meter == "Storage":
            steps = np.exp(rng.standard_normal((days, n)) - 0.5)
            grown = np.cumsum(steps * rng.uniform(0.3, 1.5, n) / 548.0, axis=0)
            return np.asarray(0.6 + grown)
        growth = MultiplicativeGrowth(rng.normal(0.35, 0.25, n), 0.006).factors(rng, days)
        if meter == "Hosting":
            return np.asarray(growth * PersistentNoise(0.06, 0.97).factors(rng, days, n))
        noise = PersistentNoise(0.2, 0.6).factors(rng, days, n) * WeeklyRhythm(rng.uniform(0.1, 0.4, n)).factors(rng, self.span)
        if meter == "Read Units":
            return np.asarray(growth * noise)
        return np.asarray(growth * noise * Bursts(0.02, 0.9, 0.5).factors(rng, days, n) * 0.9)


def _attributes(index: int, leaf: Leaf, kind: str, meter: str, unit: str) -> Attributes:
    code = meter.lower().replace(" ", "-")
    product = leaf.service.lower().replace(" ", "-")
    kind_name = "Vector Index" if kind == "vector_store" else "Endpoint"
    return attributes_of(
        index,
        leaf,
        category=("Databases", "NoSQL Databases") if kind == "vector_store" else ("AI and Machine Learning", "AI Platforms"),
        description=f"{leaf.service}, {meter.lower()}",
        resource=(f"{product}-{leaf.slug}", leaf.workload, kind_name),
        sku=f"{product}-{code}",
        meter=meter,
        unit=unit,
        price_details={"Meter": meter},
        rhythm="flat" if meter in ("Storage", "Hosting") else "demand",
        whole=unit != "Hours",
    )
