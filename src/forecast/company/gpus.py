"""Rented GPU machines: serving pools, training campaigns, notebooks. Whole machines, whole hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.company.catalogue import GPU_INSTANCES, GpuInstance
from forecast.company.lines import Attributes, ChargeLines, attributes_of, money
from forecast.company.organisation import Leaf, Organisation, alive
from forecast.company.plans import Plan
from forecast.company.processes import MultiplicativeGrowth, PersistentNoise, Spells, Streams, WeeklyRhythm, YearEndLull, autoregression
from forecast.company.span import Floats, Span

SERVICE_CATEGORY = ("Compute", "Virtual Machines")
CAMPAIGN_DAYS = 7.0
PAUSE_DAYS = 9.0


def fitting_instance(provider: str, budget: float) -> GpuInstance:
    """The dearest machine of a provider whose day costs at most a third of `budget` USD; the cheapest where none does."""
    offers = sorted((offer for offer in GPU_INSTANCES if offer.provider == provider), key=lambda offer: offer.hourly)
    return next((offer for offer in reversed(offers) if 24.0 * offer.hourly <= budget / 3.0), offers[0])


@dataclass(frozen=True)
class GpuPools:
    """All GPU leaves as charge lines, on demand and (training) spot.

    serving : machine hours = round(24 · level), level = growth · slow AR(1) (lag-1 0.95) · faint weekly rhythm, at least
    one machine: smooth and persistent.
    training : campaigns of mean 7 days with pauses of mean 9; each draws its number of machines (lognormal) and what part
    of them is spot; the first day is a part of a day; spot machines lose hours to interruptions.
    notebooks : growth · AR(1) (lag-1 0.5) · weekly rhythm of an office.
    """

    organisation: Organisation
    plan: Plan
    streams: Streams
    span: Span

    def lines(self) -> ChargeLines:
        """One line per leaf and way of paying."""
        attributes: list[Attributes] = []
        hours: list[Floats] = []
        list_price: list[Floats] = []
        contracted: list[Floats] = []
        spot_price = self._spot_price()
        for kind in ("gpu_serving", "gpu_notebooks", "gpu_training"):
            positions = self.organisation.of_kind(kind)
            if not positions:
                continue
            leaves = [self.organisation.leaves[index] for index in positions]
            on_share = CAMPAIGN_DAYS / (CAMPAIGN_DAYS + PAUSE_DAYS) if kind == "gpu_training" else 1.0
            offers = [fitting_instance(leaf.provider, leaf.daily_cost / on_share) for leaf in leaves]
            machines = np.array([leaf.daily_cost / (24.0 * offer.hourly) for leaf, offer in zip(leaves, offers, strict=True)])
            if kind == "gpu_training":
                demand_hours, spot_hours = self._training(machines / on_share, leaves)
            else:
                demand_hours = self._serving(machines, leaves) if kind == "gpu_serving" else self._notebooks(machines, leaves)
                spot_hours = np.zeros_like(demand_hours)
            for number, (index, leaf, offer) in enumerate(zip(positions, leaves, offers, strict=True)):
                for spot, used in ((False, demand_hours[:, number]), (True, spot_hours[:, number])):
                    if used.any():
                        on_demand = np.full(self.span.days, offer.hourly)
                        attributes.append(_attributes(index, leaf, offer, spot))
                        hours.append(used)
                        list_price.append(on_demand)
                        contracted.append(money(on_demand * (spot_price if spot else 1.0 - self.plan.discount[leaf.provider])))
        return ChargeLines.of(attributes, *(np.stack(columns, axis=1) for columns in (hours, list_price, contracted)))

    def _spot_price(self) -> Floats:
        """Share of the on-demand price that spot costs, (days,): a slow AR(1) around 0.42 between 0.25 and 0.7, two decimals."""
        noise = autoregression(self.streams.of("gpus", "spot_price").standard_normal((self.span.days, 1)), 0.985)[:, 0]
        return np.asarray(np.round(np.clip(0.42 + 0.08 * noise, 0.25, 0.7), 2), dtype=np.float64)

    def _serving(self, machines: Floats, leaves: list[Leaf]) -> Floats:
        rng = self.streams.of("gpus", "serving")
        days, n = self.span.days, len(leaves)
        growth = MultiplicativeGrowth(rng.normal(0.35, 0.25, n), 0.004).factors(rng, days)
        level = (
            machines * growth * PersistentNoise(0.09, 0.95).factors(rng, days, n) * WeeklyRhythm(rng.uniform(0.0, 0.06, n)).factors(rng, self.span)
        )
        life = alive(leaves, self.span.days)
        return np.asarray(np.where(life > 0.0, np.maximum(np.round(24.0 * level * life), 24.0), 0.0))

    def _notebooks(self, machines: Floats, leaves: list[Leaf]) -> Floats:
        rng = self.streams.of("gpus", "notebooks")
        days, n = self.span.days, len(leaves)
        growth = MultiplicativeGrowth(rng.normal(0.25, 0.25, n), 0.006).factors(rng, days)
        noise = PersistentNoise(0.35, 0.55).factors(rng, days, n)
        weekly = WeeklyRhythm(rng.uniform(0.2, 0.8, n)).factors(rng, self.span)
        return np.asarray(np.round(24.0 * machines * growth * noise * weekly * YearEndLull(0.3).factors(self.span) * alive(leaves, self.span.days)))

    def _training(self, machines: Floats, leaves: list[Leaf]) -> tuple[Floats, Floats]:
        """On-demand and spot machine hours, each (days, n)."""
        rng = self.streams.of("gpus", "training")
        days, n = self.span.days, len(leaves)
        on, age = Spells(np.full(n, CAMPAIGN_DAYS), np.full(n, PAUSE_DAYS)).simulate(rng, days)
        growth = MultiplicativeGrowth(rng.normal(0.3, 0.3, n), 0.004).factors(rng, days)
        size = Spells.held(np.exp(0.55 * rng.standard_normal((days, n)) - 0.15) * growth, age)
        spot_part = Spells.held(rng.choice([0.0, 0.5, 1.0], size=(days, n), p=[0.45, 0.3, 0.25]), age)
        pool = np.maximum(np.round(machines * size), 1.0) * on * (alive(leaves, self.span.days) > 0.0)
        spot_pool = np.floor(pool * spot_part)
        first_day_hours = np.where(age == 0, rng.integers(6, 25, (days, n)), 24)
        kept = rng.beta(12.0, 1.5, (days, n))
        return (pool - spot_pool) * first_day_hours, np.floor(spot_pool * first_day_hours * kept)


def _attributes(index: int, leaf: Leaf, offer: GpuInstance, spot: bool) -> Attributes:
    way = "spot" if spot else "on-demand"
    pool = f"{leaf.slug}-{way}"
    return attributes_of(
        index,
        leaf,
        category=SERVICE_CATEGORY,
        description=f"{offer.type} {way} instance hours",
        resource=(f"pool-{pool}", pool, "Instance Pool"),
        sku=f"{offer.type}-{way}",
        meter="Spot Instance Hours" if spot else "Instance Hours",
        unit="Hours",
        price_details={"GpuCount": offer.gpu_count, "InstanceType": offer.type},
        pricing_category="Dynamic" if spot else "Standard",
        zone=f"{leaf.region.id}a",
        whole=True,
    )
