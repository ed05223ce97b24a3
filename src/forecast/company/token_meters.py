"""LLM tokens by AI model and meter: product traffic, developers, evaluation runs, nightly and monthly batches.

Demand is drawn in USD at reference prices and turned into tokens, so that a price cut or a move to another model changes
the bill and not the traffic. Inside a unit (one API project or one person's key)

    tokens(t, family, model) = demand(t) · share(t, family) · reaction(t, family) / p_ref(family) · generation(t, model)

where share is the family's part of the unit's demand, p_ref the blended price of the model that the family had on the first
day, generation the part that has moved on to each model since its release (logistic), and reaction what cheaper prices do to
demand: (smoothed price relative to the first day)^−0.3. Each model's tokens are split over input, cached input and output.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import cast

import numpy as np
import pandas as pd

from forecast.company.catalogue import FAMILIES, FAMILIES_OF, FAMILIES_PER_VENDOR, GENERATIONS, LLM_PROVIDERS
from forecast.company.circumstances import Circumstances
from forecast.company.levers import demand_factors, moves, price_factors
from forecast.company.lines import Attributes, ChargeLines, attributes_of, money
from forecast.company.lives import NEVER
from forecast.company.organisation import Kind, Leaf, LeafTraits, Organisation
from forecast.company.processes import (
    DeveloperUse,
    EvaluationRuns,
    Holidays,
    MonthEndBatch,
    MultiplicativeGrowth,
    PersistentNoise,
    Spells,
    WeeklyBatch,
    held,
    logistic_switch,
)
from forecast.company.span import Booleans, Floats, Integers
from forecast.company.stretch import Streams, Stretch

METERS: tuple[tuple[str, str], ...] = (("Input Tokens", "input"), ("Cached Input Tokens", "cached"), ("Output Tokens", "output"))
SERVICE_CATEGORY = ("AI and Machine Learning", "Generative AI")
KINDS: tuple[Kind, ...] = ("api_demand", "month_end_batch", "weekly_batch", "developer_use", "evaluation_runs")
RHYTHM = {"api_demand": "demand", "developer_use": "office", "evaluation_runs": "flat", "month_end_batch": "flat", "weekly_batch": "flat"}
ELASTICITY = 0.3
REACTION_DAYS = 30.0
LATE_ADOPTERS = 0.35
TRYING_OUT = 0.03
"""Part of the people who take up language models only within the company's span (and within two years), and their use before that."""
FAVOURITE_DAYS = 25.0
TASTE_SD = 3.0
"""Mean days until a person draws a favourite family anew, and how far tastes differ (log sd on the families' weights)."""
TRIAL_DAYS = 15.0
TRIAL_PAUSE = 15.0
TRIAL_SHARE = 0.3
"""Mean days on which a person also asks another family, and between them; on what share of those days it is asked at all."""
CELLS: tuple[tuple[int, int], ...] = tuple(product(range(FAMILIES_PER_VENDOR), range(GENERATIONS)))
"""(family slot of the vendor, generation) of each AI model that a unit can use."""
BASE_PRICE = np.array([[[model.input, model.cached_input, model.output] for model in family.models] for family in FAMILIES])
"""(families, generations, meters) USD per million tokens."""


@dataclass(frozen=True)
class Unit:
    """One API project or personal key: the part `share` of its leaf's demand."""

    leaf_index: int
    leaf: Leaf
    resource: tuple[str, str, str]
    share: float


@dataclass(frozen=True, eq=False)
class TokenUsage:
    """Tokens and prices of one stretch.

    tokens : (slot, generation) → (days, worlds, units).  split : input, cached and output parts, each (days, worlds, units).
    price : (days, worlds, units, slots), list prices relative to the first day's.  discounted : (days, 1, units) of list.
    """

    tokens: dict[tuple[int, int], Floats]
    split: tuple[Floats, Floats, Floats]
    price: Floats
    discounted: Floats


@dataclass(frozen=True, eq=False)
class TokenMeters:
    """All LLM leaves of an organisation.

    family : (units, slots) positions of the vendor's families.  reference : (units, slots) USD per token at which demand is counted.
    main, second : (units,) slots of a product's families; `second_part` goes to the second.  taste : (units, slots)
    weights of a person's families.  adoption : (units,) midpoint and width of a person's taking them up.  lag, width, moves : (units, slots,
    generations − 1), how a unit follows a release.  output, cached_early, cached_late, cached_day, cached_width : (units,), the split.
    """

    units: tuple[Unit, ...]
    traits: LeafTraits
    kind: dict[Kind, Booleans]
    laws: dict[Kind, tuple[MultiplicativeGrowth, Floats]]
    family: Integers
    reference: Floats
    main: Integers
    second: Integers
    second_part: Floats
    taste: Floats
    adoption: tuple[Floats, Floats]
    lag: Floats
    width: Floats
    moves: Booleans
    output: Floats
    cached: tuple[Floats, Floats, Floats, Floats]
    discount: Floats
    attributes: pd.DataFrame

    @classmethod
    def drawn(
        cls, organisation: Organisation, discount: dict[str, float], first_generation: Integers, streams: Streams, whole_days: int
    ) -> TokenMeters:
        """Draw what does not move in time."""
        units = _units(organisation, streams)
        n = len(units)
        rng = streams.of("token_meters", "traits")
        kind = {name: np.array([unit.leaf.kind == name for unit in units]) for name in KINDS}
        drifts: dict[Kind, tuple[float, float, float]] = {
            "month_end_batch": (0.3, 0.2, 0.006),
            "weekly_batch": (0.3, 0.2, 0.006),
            "developer_use": (0.35, 0.3, 0.006),
            "evaluation_runs": (0.4, 0.3, 0.006),
        }
        laws: dict[Kind, tuple[MultiplicativeGrowth, Floats]] = {}
        for name, (mean, spread, sd) in drifts.items():
            count = int(kind[name].sum())
            laws[name] = (MultiplicativeGrowth(rng.normal(mean, spread, count), sd), rng.random(count))
        family = np.array([FAMILIES_OF[unit.leaf.provider] for unit in units], dtype=np.int64)
        weight = np.array([number.weight for number in FAMILIES])[family]
        # Gumbel noise on the log weights picks a family with probability proportional to its weight.
        scores = np.log(weight) + rng.gumbel(size=weight.shape)
        order = np.argsort(-scores, axis=1)
        shape = (n, FAMILIES_PER_VENDOR, GENERATIONS - 1)
        person = kind["developer_use"][:, None, None]
        output = rng.uniform(0.07, 0.25, n)
        blended = np.array([family.models[int(first)].blended(0.85, 0.35) for family, first in zip(FAMILIES, first_generation, strict=True)])
        return cls(
            units,
            LeafTraits.of([unit.leaf for unit in units]),
            kind,
            laws,
            family,
            (blended / 1e6)[family],
            order[:, 0],
            order[:, 1],
            np.where(rng.random(n) < 0.5, rng.uniform(0.1, 0.45, n), 0.0),
            weight * np.exp(TASTE_SD * rng.standard_normal(weight.shape)),
            (np.where(rng.random(n) < LATE_ADOPTERS, rng.random(n) * min(whole_days, 730), -1e4), rng.uniform(60, 240, n)),
            np.where(person, rng.exponential(8, shape), rng.exponential(25, shape)),
            np.where(person, rng.uniform(4, 12, shape), rng.uniform(21, 56, shape)),
            rng.random(shape) < 0.87,
            output,
            (rng.uniform(0.0, 0.25, n), rng.uniform(0.3, 0.7, n), rng.uniform(0.1, 0.9, n) * whole_days, rng.uniform(20, 90, n)),
            np.array([discount[unit.leaf.provider] for unit in units]),
            pd.DataFrame([row for unit in units for row in _attributes(unit)]),
        )

    def usage(self, now: Circumstances) -> TokenUsage:
        """Tokens of every unit and AI model in a stretch."""
        place = now.stretch.called("token_meters")
        leaves = [unit.leaf for unit in self.units]
        demand = self._demand(now, place)
        price = now.market.price[:, :, self.family]
        demand *= demand_factors(now.levers, leaves, place.span)
        per_slot = demand[..., None] * self._family_shares(place) * self._reaction(now, place)[:, :, self.family] / self.reference
        generation = self._generations(now)
        tokens = {(slot, newer): per_slot[..., slot] * generation[slot][newer] for slot, newer in CELLS}
        for source, target, share in moves(now.levers, leaves, place.span):
            moved = tokens[source] * share
            tokens[source] = tokens[source] - moved
            tokens[target] = tokens[target] + moved
        output = self.output * PersistentNoise(0.08, 0.6).factors(place.called("split"), len(self.units))
        early, late, midpoint, width = self.cached
        cached = (1.0 - output) * (early + (late - early) * logistic_switch(place.day, midpoint, width)[:, None, :])
        discounted = (1.0 - self.discount) * price_factors(now.levers, leaves, place.span)
        return TokenUsage(tokens, (1.0 - output - cached, cached, output), price, discounted)

    def lines(self, usage: TokenUsage) -> ChargeLines:
        """One line per unit, AI model and meter, in the order of `attributes`; whole tokens."""
        days, _, n = usage.split[0].shape
        shape = (days, n, FAMILIES_PER_VENDOR, GENERATIONS, len(METERS))
        quantity = np.empty(shape)
        list_price = np.empty(shape)
        for (slot, newer), tokens in usage.tokens.items():
            for meter, part in enumerate(usage.split):
                quantity[:, :, slot, newer, meter] = np.floor(tokens[:, 0] * part[:, 0] + 0.5)
                list_price[:, :, slot, newer, meter] = money(BASE_PRICE[self.family[:, slot], newer, meter] / 1e6 * usage.price[:, 0, :, slot])
        contracted = money(list_price * usage.discounted[:, 0, :, None, None, None])
        return ChargeLines(self.attributes, *(array.reshape(days, -1) for array in (quantity, list_price, contracted)))

    def cost(self, usage: TokenUsage) -> Floats:
        """USD by leaf and AI model: (days, worlds, leaves of `cost_keys`, cells); the lines' sum but for the rounding of tokens."""
        starts = np.flatnonzero(np.diff([unit.leaf_index for unit in self.units], prepend=-1))
        found = np.empty((*usage.split[0].shape[:2], len(starts), len(CELLS)))
        for cell, (slot, newer) in enumerate(CELLS):
            base = BASE_PRICE[self.family[:, slot], newer] / 1e6
            unit_price = usage.split[0] * base[:, 0]
            unit_price += usage.split[1] * base[:, 1]
            unit_price += usage.split[2] * base[:, 2]
            unit_price *= usage.tokens[slot, newer]
            unit_price *= usage.price[..., slot]
            unit_price *= usage.discounted
            found[..., cell] = np.add.reduceat(unit_price, starts, axis=2)
        return found

    def cost_keys(self) -> list[tuple[int, str]]:
        """(leaf, AI model) of each element of the last two axes of `cost`, in their order."""
        seen = dict.fromkeys((unit.leaf_index, unit.leaf.provider) for unit in self.units)
        return [(leaf, FAMILIES[FAMILIES_OF[vendor][slot]].models[newer].id) for leaf, vendor in seen for slot, newer in CELLS]

    def _demand(self, now: Circumstances, place: Stretch) -> Floats:
        """USD a day at reference prices, (days, worlds, units)."""
        demand = now.lived.size(place.day, self.traits.life, self.traits.early, self.traits.ramp_days)
        demand = demand * np.array([unit.share for unit in self.units]) * self.traits.daily_cost
        for name, chosen in self.kind.items():
            if chosen.any():
                demand[:, :, chosen] *= self._factors(name, chosen, now, place.called(name))
        vendor = np.array([LLM_PROVIDERS.index(unit.leaf.provider) for unit in self.units])
        demand *= now.market.outage[:, :, vendor]
        return np.asarray(demand)

    def _factors(self, name: Kind, chosen: Booleans, now: Circumstances, place: Stretch) -> Floats:
        """The law of each kind, mean near one."""
        n, span = int(chosen.sum()), place.span
        if name == "api_demand":
            return now.traffic[:, :, self.traits.life[chosen]] * PersistentNoise(0.22, 0.4).factors(place, n)
        law, trait = self.laws[name]
        growth = law.factors(place)
        if name == "month_end_batch":
            return np.asarray(growth * PersistentNoise(0.25, 0.3).factors(place.called("daily"), n) * MonthEndBatch(9.0).factors(span))
        if name == "weekly_batch":
            weekly = WeeklyBatch((trait * 7).astype(np.int64)).factors(place.called("nights"))
            return np.asarray(growth * PersistentNoise(0.2, 0.3).factors(place.called("daily"), n) * weekly)
        if name == "developer_use":
            midpoint, width = (trait[chosen] for trait in self.adoption)
            adopted = TRYING_OUT + (1.0 - TRYING_OUT) * logistic_switch(place.day, midpoint, width)[:, None, :]
            adopted /= 1.0 - 0.5 * LATE_ADOPTERS * (1.0 - TRYING_OUT)
            return np.asarray(growth * adopted * DeveloperUse().factors(place.called("person"), n) * Holidays(0.25).factors(span))
        return np.asarray(growth * EvaluationRuns(0.2 + 0.4 * trait).factors(place.called("runs")) * Holidays(0.2).factors(span))

    def _family_shares(self, place: Stretch) -> Floats:
        """Part of a unit's demand that goes to each family, (days, worlds, units, slots); sums to one over slots.

        A product uses one or two families in steady parts. A person has a favourite for FAVOURITE_DAYS and then draws a new one
        (mostly the same) by a taste of her own; in trials of TRIAL_DAYS another family gets a part of some days' use, then perhaps
        the third.
        """
        place = place.called("families")
        n, slots = len(self.units), np.arange(FAMILIES_PER_VENDOR)
        part = np.clip(self.second_part * PersistentNoise(0.25, 0.97).factors(place.called("second"), n), 0.0, 0.9)[..., None]
        found = np.where(slots == self.main[:, None], 1.0 - part, np.where(slots == self.second[:, None], part, 0.0))

        people = self.kind["developer_use"]
        count = int(people.sum())
        if count:
            _, age = Spells(np.full(count, FAVOURITE_DAYS), np.full(count, FAVOURITE_DAYS)).simulate(place)
            edges = np.cumsum(self.taste[people], axis=1) / self.taste[people].sum(axis=1, keepdims=True)
            drawn = place.uniform("favourites", count)
            fresh = (drawn[..., None] > edges[:, :-1]).sum(axis=-1).astype(np.float64)
            favourite = held(place, "favourite", fresh, age).astype(np.int64)
            trials = place.called("trials")
            trying, since = Spells(np.full(count, TRIAL_DAYS), np.full(count, TRIAL_PAUSE)).simulate(trials)
            other = (favourite + 1 + (held(trials, "others", trials.uniform("others", count), since) < 0.5)) % FAMILIES_PER_VENDOR
            # One number says whether it is one of the days on which the other is asked, and for which part of the work.
            asked = np.maximum(1.0 - trials.uniform("parts", count) / TRIAL_SHARE, 0.0)
            aside = (trying * np.sqrt(asked))[..., None]
            found[:, :, people] = np.where(slots == favourite[..., None], 1.0 - aside, np.where(slots == other[..., None], aside, 0.0))
        return found

    def _generations(self, now: Circumstances) -> list[list[Floats]]:
        """Share of each family's usage on each of its models, by slot and generation, (days, worlds, units).

        People move in days, products in weeks, some never; who skipped a model may take the next.
        """
        found = []
        for slot in range(FAMILIES_PER_VENDOR):
            released = now.market.released[:, self.family[:, slot]]  # (worlds, units, generations)
            reached: list[Floats] = []
            for newer in range(1, GENERATIONS):
                when = released[..., newer]
                steps = self.lag[:, slot, newer - 1], self.width[:, slot, newer - 1]
                midpoint = np.where(self.moves[:, slot, newer - 1] & (when < NEVER), when + 1.0 + steps[0] + 0.6 * steps[1], float(NEVER))
                # What was there on the first day everybody has.
                reached.append(logistic_switch(now.stretch.day, np.where(when <= 0, -float(NEVER), midpoint), steps[1]))
            for newer in range(GENERATIONS - 2, 0, -1):
                reached[newer - 1] = np.maximum(reached[newer - 1], reached[newer])
            found.append([1.0 - reached[0], *(old - new for old, new in pairwise(reached)), reached[-1]])
        return found

    def _reaction(self, now: Circumstances, place: Stretch) -> Floats:
        """What prices do to demand, (days, worlds, families): follows them in REACTION_DAYS."""
        level = np.log(now.market.price)
        before = place.recall("felt price")
        state = level[0] if before is None else cast(Floats, before)
        felt = np.empty_like(level)
        for day in range(len(level)):
            state = state + (level[day] - state) / REACTION_DAYS
            felt[day] = state
        place.remember("felt price", state)
        return np.asarray(np.exp(-ELASTICITY * felt))


def _units(organisation: Organisation, streams: Streams) -> tuple[Unit, ...]:
    """One API project a leaf; leaves of developers have one to four people with a key each. In order of their leaves."""
    rng = streams.of("token_meters", "units")
    units = []
    for index in organisation.of_kind(*KINDS):
        leaf = organisation.leaves[index]
        code = leaf.provider.split()[0].lower()
        if leaf.kind == "developer_use":
            people = 1 + int(rng.binomial(3, 0.35))
            for number, share in enumerate(rng.dirichlet(np.full(people, 2.0)), start=1):
                units.append(Unit(index, leaf, (f"key-{code}-{leaf.slug}-{number:02d}", f"{leaf.workload} {number:02d}", "API Key"), float(share)))
        else:
            units.append(Unit(index, leaf, (f"proj-{code}-{leaf.slug}", leaf.workload, "Project"), 1.0))
    return tuple(units)


def _attributes(unit: Unit) -> list[Attributes]:
    """A line for each family slot, generation and meter."""
    rows = []
    for slot, newer in CELLS:
        family = FAMILIES[FAMILIES_OF[unit.leaf.provider][slot]]
        model = family.models[newer]
        for meter_name, code in METERS:
            rows.append(
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
    return rows
