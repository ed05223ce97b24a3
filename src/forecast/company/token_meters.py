"""LLM tokens by AI model and meter: product traffic, developers, evaluation runs, the monthly closing.

Demand is drawn in USD at reference prices and turned into tokens, so that a price cut or a move to another model changes
the bill and not the traffic. Inside a unit (one API project or one person's key)

    tokens(t, model, meter) = round(demand(t) · share(t, family) / p_ref(family) · generation(t, model) · split(t, meter))

where share is the family's part of the unit's reference cost, p_ref the blended price of the family's old model, generation
the logistic move from the old to the new model after its release, and split the input, cached-input and output parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.company.catalogue import FAMILIES
from forecast.company.lines import Attributes, ChargeLines, attributes_of, money
from forecast.company.organisation import NEVER, Leaf, Organisation, alive
from forecast.company.plans import Plan
from forecast.company.processes import (
    Bursts,
    DeveloperUse,
    EvaluationRuns,
    MonthEndBatch,
    MultiplicativeGrowth,
    PersistentNoise,
    Spells,
    Streams,
    WeeklyRhythm,
    YearEndLull,
    logistic_switch,
)
from forecast.company.span import Booleans, Floats, Integers, Span

METERS: tuple[tuple[str, str], ...] = (("Input Tokens", "input"), ("Cached Input Tokens", "cached"), ("Output Tokens", "output"))
SERVICE_CATEGORY = ("AI and Machine Learning", "Generative AI")
RHYTHM = {"api_demand": "demand", "developer_use": "office", "evaluation_runs": "flat", "month_end_batch": "flat"}


@dataclass(frozen=True)
class Unit:
    """One API project or personal key: the part `share` of its leaf's demand."""

    leaf_index: int
    leaf: Leaf
    resource: tuple[str, str, str]
    share: float


@dataclass(frozen=True)
class TokenPrices:
    """List price in USD per token, (days, families, generations, meters); cut by the plan's factor from its day on."""

    values: Floats

    @classmethod
    def of(cls, plan: Plan, days: int) -> TokenPrices:
        """Base prices of the catalogue, rounded to ten decimals after the cut."""
        base = np.array([[[model.input, model.cached_input, model.output] for model in (family.old, family.new)] for family in FAMILIES])
        factor = np.ones((days, len(FAMILIES), 1, 1))
        factor[plan.cut_day :, plan.cut_family] = plan.cut_factor
        return cls(money(base[None] * factor / 1e6))


@dataclass(frozen=True)
class TokenMeters:
    """All LLM leaves of an organisation as charge lines."""

    organisation: Organisation
    plan: Plan
    streams: Streams
    span: Span

    def lines(self) -> ChargeLines:
        """One line per (resource, AI model, meter)."""
        units = self._units()
        demand = self._demand(units)
        family_cost = self._family_shares(units) * demand[:, :, None]  # (days, units, families), USD at reference prices
        generation = self._generations(units)
        split = self._meter_split(len(units))
        prices = TokenPrices.of(self.plan, self.span.days).values

        attributes: list[Attributes] = []
        index: list[tuple[int, int, int, int]] = []
        for position, unit in enumerate(units):
            for number, family in enumerate(FAMILIES):
                if family.provider != unit.leaf.provider:
                    continue
                for newer, model in enumerate((family.old, family.new)):
                    for meter, (meter_name, code) in enumerate(METERS):
                        index.append((position, number, newer, meter))
                        attributes.append(
                            attributes_of(
                                unit.leaf_index,
                                unit.leaf,
                                category=SERVICE_CATEGORY,
                                description=f"{model.id}, {meter_name.lower()}",
                                resource=unit.resource,
                                sku=f"{model.id}-{code}",
                                meter=meter_name,
                                unit="Tokens",
                                price_details={"ModelDeveloper": family.developer, "ModelFamily": family.name, "ModelId": model.id},
                                rhythm=RHYTHM[unit.leaf.kind],
                                whole=True,
                                ai_model=model.id,
                            )
                        )
        position, number, newer, meter = np.array(index, dtype=np.int64).T
        reference = np.array([family.old.blended(0.85, 0.35) / 1e6 for family in FAMILIES])
        tokens = family_cost[:, position, number] / reference[number]
        tokens *= np.where(newer == 1, generation[:, position, number], 1.0 - generation[:, position, number])
        tokens *= split[:, position, meter]
        quantity = np.floor(tokens + 0.5)
        used = quantity.any(axis=0)
        list_price = prices[:, number, newer, meter]
        discount = np.array([self.plan.discount[unit.leaf.provider] for unit in units])[position]
        kept = [row for row, keep in zip(attributes, used, strict=True) if keep]
        return ChargeLines.of(kept, quantity[:, used], list_price[:, used], money(list_price * (1.0 - discount))[:, used])

    def _units(self) -> list[Unit]:
        """One API project a leaf; leaves of developers have one to four people with a key each."""
        rng = self.streams.of("token_meters", "units")
        units = []
        for index in self.organisation.of_kind("api_demand", "month_end_batch", "developer_use", "evaluation_runs"):
            leaf = self.organisation.leaves[index]
            code = leaf.provider.split()[0].lower()
            if leaf.kind == "developer_use":
                people = 1 + int(rng.binomial(3, 0.35))
                for number, share in enumerate(rng.dirichlet(np.full(people, 2.0)), start=1):
                    units.append(
                        Unit(index, leaf, (f"key-{code}-{leaf.slug}-{number:02d}", f"{leaf.workload} {number:02d}", "API Key"), float(share))
                    )
            else:
                units.append(Unit(index, leaf, (f"proj-{code}-{leaf.slug}", leaf.workload, "Project"), 1.0))
        return units

    def _demand(self, units: list[Unit]) -> Floats:
        """USD a day at reference prices, (days, units)."""
        days, span = self.span.days, self.span
        leaves = [unit.leaf for unit in units]
        level = np.array([unit.share * unit.leaf.daily_cost for unit in units])
        demand = level * alive(leaves, days)
        for kind in ("api_demand", "month_end_batch", "developer_use", "evaluation_runs"):
            chosen = np.array([leaf.kind == kind for leaf in leaves])
            if chosen.any():
                demand[:, chosen] *= self._factors(kind, int(chosen.sum()), self.streams.of("token_meters", kind))
        day = np.arange(days)
        for promotion in self.plan.promotions:
            hit = np.array([leaf.kind == "api_demand" and (leaf.team, leaf.workload) == (promotion.team, promotion.workload) for leaf in leaves])
            during = (day >= promotion.first_day) & (day < promotion.last_day)
            demand *= np.where(during[:, None] & hit[None, :], promotion.factor, 1.0)
        traffic = PersistentNoise(0.05, 0.85).factors(self.streams.of("traffic"), days, 1)
        return np.asarray(demand * np.where([leaf.kind == "api_demand" for leaf in leaves], traffic, 1.0)) * np.ones((span.days, 1))

    def _factors(self, kind: str, n: int, rng: np.random.Generator) -> Floats:
        """The law of each kind, (days, n), mean near one."""
        days, span = self.span.days, self.span
        if kind == "api_demand":
            growth = MultiplicativeGrowth(rng.normal(0.5, 0.3, n), 0.010).factors(rng, days)
            noise = PersistentNoise(0.30, 0.45).factors(rng, days, n) * Bursts(0.006, 0.35, 0.75).factors(rng, days, n)
            weekly = WeeklyRhythm(rng.uniform(0.10, 0.40, n)).factors(rng, span)
            return np.asarray(growth * noise * weekly * YearEndLull(0.8).factors(span))
        if kind == "month_end_batch":
            growth = MultiplicativeGrowth(rng.normal(0.3, 0.2, n), 0.006).factors(rng, days)
            return np.asarray(growth * PersistentNoise(0.25, 0.3).factors(rng, days, n) * MonthEndBatch(9.0).factors(span))
        if kind == "developer_use":
            growth = MultiplicativeGrowth(rng.normal(0.5, 0.3, n), 0.006).factors(rng, days)
            return np.asarray(growth * DeveloperUse().factors(rng, span, n) * YearEndLull(0.25).factors(span))
        growth = MultiplicativeGrowth(rng.normal(0.4, 0.3, n), 0.006).factors(rng, days)
        return np.asarray(growth * EvaluationRuns(rng.uniform(0.2, 0.6, n)).factors(rng, span) * YearEndLull(0.2).factors(span))

    def _family_shares(self, units: list[Unit]) -> Floats:
        """Part of a unit's reference cost that goes to each family, (days, units, families); sums to one over families.

        A product uses one or two families in steady parts. A person has a favourite for some weeks (mean 25 days), asks
        another family on one day in five, and then takes a new favourite.
        """
        rng = self.streams.of("token_meters", "families")
        days, n = self.span.days, len(units)
        allowed = np.array([[family.provider == unit.leaf.provider for family in FAMILIES] for unit in units])
        weight = np.where(allowed, np.array([family.weight for family in FAMILIES]), 0.0)
        # Gumbel noise on the log weights picks a family with probability proportional to its weight.
        with np.errstate(divide="ignore"):
            scores = np.log(weight)
        main = np.eye(len(FAMILIES))[np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)]
        second_scores = np.where(main == 1.0, -np.inf, scores + rng.gumbel(size=scores.shape))
        second = np.eye(len(FAMILIES))[np.argmax(second_scores, axis=1)]
        part = np.where(rng.random(n) < 0.5, rng.uniform(0.1, 0.45, n), 0.0)
        moving = np.clip(part * PersistentNoise(0.25, 0.97).factors(rng, days, n), 0.0, 0.9)
        steady = main[None] * (1.0 - moving[:, :, None]) + second[None] * moving[:, :, None]

        _, age = Spells(np.full(n, 25.0), np.full(n, 25.0)).simulate(rng, days)
        draws = rng.gumbel(size=(days, *scores.shape))
        first_day = np.arange(days)[:, None] - age
        favourite = np.argmax(scores[None] + np.take_along_axis(draws, first_day[:, :, None], axis=0), axis=2)
        other = np.argmax(np.where(np.eye(len(FAMILIES))[favourite] == 1.0, -np.inf, scores[None] + draws), axis=2)
        aside = np.where(rng.random((days, n)) < 0.2, rng.uniform(0.05, 0.4, (days, n)), 0.0)[:, :, None]
        personal = np.eye(len(FAMILIES))[favourite] * (1.0 - aside) + np.eye(len(FAMILIES))[other] * aside
        developer = np.array([unit.leaf.kind == "developer_use" for unit in units])
        return np.asarray(np.where(developer[None, :, None], personal, steady), dtype=np.float64)

    def _generations(self, units: list[Unit]) -> Floats:
        """Share of each family's usage on its new model, (days, units, families): people move in days, products in weeks, some never."""
        rng = self.streams.of("token_meters", "generations")
        shape = (len(units), len(FAMILIES))
        person = np.array([unit.leaf.kind == "developer_use" for unit in units])[:, None]
        width = np.where(person, rng.uniform(4, 12, shape), rng.uniform(21, 56, shape))
        lag = np.where(person, rng.exponential(8, shape), rng.exponential(25, shape))
        moves = rng.random(shape) < 0.87
        midpoint = np.where(moves, self.plan.releases[None, :] + 1.0 + lag + 0.6 * width, float(NEVER))
        return logistic_switch(self.span.days, midpoint.ravel(), width.ravel()).reshape(self.span.days, *shape)

    def _meter_split(self, n: int) -> Floats:
        """Parts of the tokens that are plain input, cached input and output, (days, units, 3); caching is taken up over time."""
        rng = self.streams.of("token_meters", "split")
        days = self.span.days
        output = rng.uniform(0.07, 0.25, n) * PersistentNoise(0.08, 0.6).factors(rng, days, n)
        early, late = rng.uniform(0.0, 0.25, n), rng.uniform(0.3, 0.7, n)
        adopted = logistic_switch(days, rng.uniform(0.1, 0.9, n) * days, rng.uniform(20, 90, n))
        cached = (1.0 - output) * (early + (late - early) * adopted)
        return np.stack([1.0 - output - cached, cached, output], axis=2)


def lines_of(lines: ChargeLines, resource: str, ai_model: str) -> Integers:
    """Positions of the meters of one AI model at one resource."""
    found: Booleans = ((lines.attributes["resource_id"] == resource) & (lines.attributes["ai_model"] == ai_model)).to_numpy(dtype=np.bool_)
    return np.flatnonzero(found)
