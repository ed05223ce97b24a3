"""Rented GPU machines: serving pools, training campaigns, notebooks; and the commitment that covers a part of serving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.catalogue import GPU_INSTANCES, GPU_SERVICES, GpuInstance
from forecast.company.circumstances import Circumstances
from forecast.company.levers import demand_factors, price_factors
from forecast.company.lines import Attributes, Metered, attributes_of, money
from forecast.company.organisation import Kind, Leaf, LeafTraits, Organisation
from forecast.company.processes import Autoscaler, Holidays, MultiplicativeGrowth, PersistentNoise, Spells, WeeklyRhythm, autoregression, held
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch

SERVICE_CATEGORY = ("Compute", "Virtual Machines")
QUEUES = 3
"""Independent queues of training campaigns in one leaf."""
CAMPAIGN_DAYS = 5.0
PAUSE_DAYS = 5.0
SESSION_DAYS = 8.0
EMPTY_DAYS = 1.6
SMOOTHING = 0.05
FEWEST_MACHINES: dict[Kind, float] = {"gpu_serving": 6.0, "gpu_training": 3.0 * QUEUES, "gpu_notebooks": 3.0}
"""Machine types are chosen so small that a leaf needs at least so many of them."""
PAID: dict[Kind, float] = {"gpu_serving": 0.75, "gpu_training": 0.70, "gpu_notebooks": 0.93}
"""Part of the list price of full days that is paid on average: agreed discounts, commitment, spot, first days of campaigns."""
CLOUD_OUTAGES_A_YEAR = 1.0
COMMITTED_SHARE = 0.6
COMMITMENT_DISCOUNT = 0.35
COMMITMENT_DAYS = 365


def fitting_instance(provider: str, budget: float, machines: float = 3.0) -> GpuInstance:
    """The dearest machine of a provider of which `budget` USD a day pay `machines`; the cheapest where there is none."""
    offers = sorted((offer for offer in GPU_INSTANCES if offer.provider == provider), key=lambda offer: offer.hourly)
    return next((offer for offer in reversed(offers) if 24.0 * offer.hourly <= budget / machines), offers[0])


@dataclass(frozen=True, eq=False)
class _Pools:
    """Leaves of one kind: positions, machine types, mean machines, traits of their law."""

    positions: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    offers: tuple[GpuInstance, ...]
    traits: LeafTraits
    machines: Floats
    growth: MultiplicativeGrowth
    rhythm: WeeklyRhythm
    discount: Floats

    @property
    def hourly(self) -> Floats:
        return np.array([offer.hourly for offer in self.offers])


@dataclass(frozen=True, eq=False)
class GpuPools:
    """All GPU leaves, on demand, spot (training) and committed (serving).

    serving : an autoscaler follows the smoothed traffic of the product in shifts of machines; smooth, persistent, in steps.
    training : three queues a leaf, each with campaigns of mean 5 days and pauses as long; each draws its number of machines
    (lognormal) and what part of them is spot; the first day is a part of a day; spot machines lose hours to interruptions.
    notebooks : sessions of mean 8 days with empty days between them · growth · AR(1) (lag-1 0.55) · weekly rhythm of an office.
    outages : about once a year a cloud loses 50 to 98 % of a day's GPU hours, in all its pools.
    commitment : a spend commitment at the cloud with the most serving, for a year at a time, of COMMITTED_SHARE of the serving of the
    weeks before, COMMITMENT_DISCOUNT cheaper. Used hours cost their committed price, what is not used is charged as unused; both
    are billed by a monthly purchase.
    """

    pools: dict[Kind, _Pools]
    cloud: str
    central: int
    central_leaf: Leaf

    @classmethod
    def drawn(cls, organisation: Organisation, discount: dict[str, float], streams: Streams) -> GpuPools:
        rng = streams.of("gpus", "traits")
        pools: dict[Kind, _Pools] = {}
        kinds: tuple[Kind, ...] = ("gpu_serving", "gpu_notebooks", "gpu_training")
        drifts = {"gpu_serving": (0.0, 0.0), "gpu_notebooks": (0.25, 0.25), "gpu_training": (0.3, 0.3)}
        for kind in kinds:
            positions = organisation.of_kind(kind)
            leaves = tuple(organisation.leaves[index] for index in positions)
            n = len(leaves)
            on_share = CAMPAIGN_DAYS / (CAMPAIGN_DAYS + PAUSE_DAYS) if kind == "gpu_training" else 1.0
            budgets = [leaf.daily_cost / on_share / PAID[kind] for leaf in leaves]
            offers = tuple(fitting_instance(leaf.provider, budget, FEWEST_MACHINES[kind]) for leaf, budget in zip(leaves, budgets, strict=True))
            machines = np.array([budget / (24.0 * offer.hourly) for budget, offer in zip(budgets, offers, strict=True)])
            growth = MultiplicativeGrowth(rng.normal(*drifts[kind], n), 0.004 if kind == "gpu_training" else 0.006)
            rhythm = WeeklyRhythm.drawn(rng, rng.uniform(0.1, 0.5, n))
            agreed = np.array([discount[leaf.provider] for leaf in leaves])
            pools[kind] = _Pools(tuple(positions), leaves, offers, LeafTraits.of(list(leaves)), machines, growth, rhythm, agreed)
        serving = pools["gpu_serving"]
        by_cloud = {cloud: sum(leaf.daily_cost for leaf in serving.leaves if leaf.provider == cloud) for cloud in GPU_SERVICES}
        cloud = max(by_cloud, key=lambda name: by_cloud[name])
        central = organisation.central(cloud, GPU_SERVICES[cloud])
        return cls(pools, cloud, central, organisation.leaves[central])

    def meter(self, now: Circumstances) -> Metered:
        """One line per leaf and way of paying; a purchase and an unused line of the commitment."""
        place = now.stretch.called("gpus")
        attributes: list[Attributes] = []
        hours: list[Floats] = []
        price: list[Floats] = []
        paid: list[Floats] = []
        spot_price = self._spot_price(place)
        running = self._outages(place)

        def add(row: Attributes, used: Floats, list_price: Floats, contracted: Floats) -> None:
            attributes.append(row)
            hours.append(used)
            price.append(np.broadcast_to(list_price, used.shape))
            paid.append(np.broadcast_to(contracted, used.shape))

        for kind, pool in self.pools.items():
            if not pool.leaves:
                continue
            life = now.lived.size(place.day, pool.traits.life, pool.traits.early, pool.traits.ramp_days)
            wanted = demand_factors(now.levers, pool.leaves, place.span)
            changed = price_factors(now.levers, pool.leaves, place.span)
            law = place.called(kind)
            up = running[:, :, [list(GPU_SERVICES).index(leaf.provider) for leaf in pool.leaves]]
            spot = committed = None
            if kind == "gpu_training":
                on_demand, spot = (np.floor(used * up) for used in self._training(law, pool, life * wanted * now.tide))
            elif kind == "gpu_notebooks":
                on_demand = np.floor(self._notebooks(law, pool, life * wanted * now.tide) * up)
            else:
                serving = np.floor(self._serving(law, pool, now.traffic[:, :, pool.traits.life] * life * wanted) * up)
                committed, purchased, unused = self._committed(law.called("commitment"), pool, serving)
                on_demand = serving - committed
                # Billed at the rate of the month's first day.
                first = place.span.day_of_month == 1
                amount = money(purchased * place.span.days_in_month[:, None])
                one = np.ones(())
                add(self._commitment("Purchase", "monthly fee of the compute commitment"), np.where(first[:, None], amount, 0.0), one, one)
                add(self._commitment("Usage", "unused part of the compute commitment"), money(unused), one, one)
            for number, (index, leaf, offer) in enumerate(zip(pool.positions, pool.leaves, pool.offers, strict=True)):
                list_price = money(offer.hourly * changed[:, :, number])
                agreed = money(list_price * (1.0 - pool.discount[number]))
                add(_attributes(index, leaf, offer, "on-demand"), on_demand[:, :, number], list_price, agreed)
                if spot is not None:
                    add(_attributes(index, leaf, offer, "spot"), spot[:, :, number], list_price, money(list_price * spot_price))
                if committed is not None and leaf.provider == self.cloud:
                    add(_attributes(index, leaf, offer, "committed"), committed[:, :, number], list_price, agreed)
        if not attributes:
            nothing = np.zeros((place.days, place.worlds, 0))
            return Metered.of([], nothing, nothing, nothing)
        return Metered.of(attributes, *(np.stack(columns, axis=2) for columns in (hours, price, paid)))

    def _spot_price(self, place: Stretch) -> Floats:
        """Share of the on-demand price that spot costs, (days, worlds): a slow AR(1) around 0.42 between 0.25 and 0.7, two decimals."""
        noise = autoregression(place, "spot price", 0.985, 1)[:, :, 0]
        return np.asarray(np.round(np.clip(0.42 + 0.08 * noise, 0.25, 0.7), 2), dtype=np.float64)

    def _outages(self, place: Stretch) -> Floats:
        """Part of a day's machine hours that each cloud delivers, (days, worlds, clouds)."""
        chance = CLOUD_OUTAGES_A_YEAR / 365.0
        uniform = place.uniform("outages", len(GPU_SERVICES))
        # The same number says whether and how much: given a hit it is uniform again.
        return np.where(uniform < chance, 0.02 + 0.48 * np.square(uniform / chance), 1.0)

    def _serving(self, place: Stretch, pool: _Pools, demand: Floats) -> Floats:
        """Machine hours for the demand relative to its mean, all (days, worlds, n)."""
        smooth = np.empty_like(demand)
        before = place.recall("smooth")
        state = demand[0] if before is None else cast(Floats, before)
        for day in range(len(demand)):
            # Nobody waits for a smoothed load to come down where a product is switched off.
            state = np.where(demand[day] > 0.0, state + SMOOTHING * (demand[day] - state), 0.0)
            smooth[day] = state
        place.remember("smooth", state)
        load = np.maximum(pool.machines / (1.0 + Autoscaler.spare), 0.7) * smooth
        pools = Autoscaler().machines(place, load)
        restarts = 1.0 - 0.01 * place.uniform("restarts", len(pool.leaves))
        return np.asarray(np.round(24.0 * pools * restarts))

    def _notebooks(self, place: Stretch, pool: _Pools, size: Floats) -> Floats:
        n = len(pool.leaves)
        noise = PersistentNoise(0.35, 0.55).factors(place.called("daily"), n) * pool.growth.factors(place)
        open_, _ = Spells(np.full(n, SESSION_DAYS), np.full(n, EMPTY_DAYS)).simulate(place.called("sessions"))
        present = open_ * ((SESSION_DAYS + EMPTY_DAYS) / SESSION_DAYS)
        return np.asarray(
            np.round(24.0 * pool.machines * noise * present * pool.rhythm.factors(place.span) * Holidays(0.3).factors(place.span) * size)
        )

    def _training(self, place: Stretch, pool: _Pools, life: Floats) -> tuple[Floats, Floats]:
        """On-demand and spot machine hours, each (days, worlds, n)."""
        n = len(pool.leaves) * QUEUES
        on, age = Spells(np.full(n, CAMPAIGN_DAYS), np.full(n, PAUSE_DAYS)).simulate(place)
        growth, life = (np.repeat(factor, QUEUES, axis=2) for factor in (pool.growth.factors(place), life))
        usual = np.repeat(pool.machines / QUEUES, QUEUES)
        size = held(place, "size", np.exp(0.65 * place.normal("sizes", n) - 0.21) * growth, age)
        which = place.uniform("ways", n)
        spot_part = held(place, "way", np.where(which < 0.45, 0.0, np.where(which < 0.75, 0.5, 1.0)), age)
        machines = np.maximum(np.round(usual * size * life), 1.0) * on * (life > 0.0)
        spot_machines = np.floor(machines * spot_part)
        first_day_hours = np.where(age == 0, 6.0 + np.floor(19.0 * place.uniform("starts", n)), 24.0)
        # The best of four tries: most of a day's spot hours are kept, some days many are lost.
        kept = 1.0 - 0.35 * place.uniform("interruptions", n) ** 3
        hours = (machines - spot_machines) * first_day_hours, np.floor(spot_machines * first_day_hours * kept)
        both = [used.reshape(*used.shape[:2], len(pool.leaves), QUEUES).sum(axis=3) for used in hours]
        return both[0], both[1]

    def _committed(self, place: Stretch, pool: _Pools, hours: Floats) -> tuple[Floats, Floats, Floats]:
        """Covered hours (days, worlds, n), USD committed a day and USD unused, (days, worlds)."""
        covers = np.array([leaf.provider == self.cloud for leaf in pool.leaves])
        unit = np.where(covers, pool.hourly * (1.0 - pool.discount) * (1.0 - COMMITMENT_DISCOUNT), 0.0)
        value = hours @ unit
        amount = np.empty_like(value)
        usual, current = cast("Floats | None", place.recall("usual")), cast("Floats | None", place.recall("amount"))
        expected = np.full((1,), float((24.0 * pool.machines) @ unit))
        usual = expected if usual is None else usual
        current = COMMITTED_SHARE * expected if current is None else current
        for step, day in enumerate(place.day):
            if day > 0 and day % COMMITMENT_DAYS == 0:
                current = COMMITTED_SHARE * usual
            usual = usual + (value[step] - usual) / 28.0
            amount[step] = current
        place.remember("usual", usual)
        place.remember("amount", current)
        amount = np.asarray(np.round(amount, 2))
        share = np.minimum(1.0, amount / np.maximum(value, 1e-9))
        covered = np.where(covers, np.floor(hours * share[..., None]), 0.0)
        return covered, amount, np.maximum(amount - covered @ unit, 0.0)

    def _commitment(self, category: str, description: str) -> Attributes:
        """The purchase is billed and costs nothing, the unused part costs and is not billed."""
        bought = category == "Purchase"
        return attributes_of(
            self.central,
            self.central_leaf,
            category=SERVICE_CATEGORY,
            description=description,
            resource=(f"commitment-{self.cloud.lower().replace(' ', '-')}", "compute commitment", "Commitment"),
            sku="compute-commitment",
            meter="Commitment",
            unit="USD",
            price_details={"TermYears": 1},
            charge_category=category,
            pricing_category="Committed",
            commitment=None if bought else "Unused",
            billed=float(bought),
            effective=float(not bought),
        )


def _attributes(index: int, leaf: Leaf, offer: GpuInstance, way: str) -> Attributes:
    committed = way == "committed"
    pool = f"{leaf.slug}-{'spot' if way == 'spot' else 'on-demand'}"
    return attributes_of(
        index,
        leaf,
        category=SERVICE_CATEGORY,
        description=f"{offer.type} {way} instance hours",
        resource=(f"pool-{pool}", pool, "Instance Pool"),
        sku=f"{offer.type}-{way}",
        meter="Spot Instance Hours" if way == "spot" else "Instance Hours",
        unit="Hours",
        price_details={"GpuCount": offer.gpu_count, "InstanceType": offer.type},
        pricing_category={"spot": "Dynamic", "committed": "Committed"}.get(way, "Standard"),
        commitment="Used" if committed else None,
        zone=f"{leaf.region.id}a",
        whole=True,
        billed=0.0 if committed else 1.0,
        effective=1.0 - COMMITMENT_DISCOUNT if committed else 1.0,
    )
