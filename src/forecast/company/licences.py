"""Seats: bought on the first of each month, used up day by day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.catalogue import LICENCES
from forecast.company.circumstances import Circumstances
from forecast.company.levers import price_factors
from forecast.company.lines import Attributes, Metered, attributes_of, money
from forecast.company.organisation import Leaf, LeafTraits, Organisation
from forecast.company.span import Floats
from forecast.company.stretch import Streams

HEADCOUNT_GROWTH = 0.25


@dataclass(frozen=True, eq=False)
class Licences:
    """Seats of each team and product as two lines, so that billed and amortised cost are both right.

    seats(month) = round(heads · share · e^(0.25 · years) · noise), noise a random walk of log sd 0.04 a month; constant within a
    month. The purchase on the 1st carries BilledCost and no EffectiveCost; each day's use carries EffectiveCost = seats · price /
    days in the month and no BilledCost. A month whose 1st lies before the company's first day shows its use and not its purchase.
    A team that is founded within a month buys from the next 1st on, one that is dissolved to the end of its month.
    """

    positions: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    traits: LeafTraits
    share: Floats
    monthly: Floats

    @classmethod
    def drawn(cls, organisation: Organisation, streams: Streams) -> Licences:
        positions = organisation.of_kind("licence")
        leaves = tuple(organisation.leaves[index] for index in positions)
        monthly = np.array([next(item.monthly for item in LICENCES if item.service == leaf.service) for leaf in leaves])
        share = streams.of("licences", "traits").uniform(0.5, 0.95, len(leaves))
        return cls(tuple(positions), leaves, LeafTraits.of(list(leaves)), share, monthly)

    def meter(self, now: Circumstances) -> Metered:
        """A purchase line and a use line for each licence leaf."""
        place = now.stretch.called("licences")
        span, n = place.span, len(self.leaves)
        present = now.lived.size(place.day, self.traits.life, self.traits.early, np.ones(n)) > 0.0
        heads = np.array([leaf.heads for leaf in self.leaves]) * self.share
        noise = 0.04 * place.normal("hires", n)
        walk, seats = cast("Floats | None", place.recall("walk")), cast("Floats | None", place.recall("seats"))
        held = np.empty((place.days, place.worlds, n))
        for step, day in enumerate(place.day):
            if walk is None or seats is None or span.day_of_month[step] == 1:
                walk = noise[step] + (0.0 if walk is None else walk)
                seats = np.maximum(np.round(heads * np.exp(HEADCOUNT_GROWTH * day / 365.0 + walk)), 1.0) * present[step]
            held[step] = seats
        if walk is not None and seats is not None:
            place.remember("walk", walk)
            place.remember("seats", seats)
        bought = np.where((span.day_of_month == 1)[:, None, None], held, 0.0)
        price = money(self.monthly * price_factors(now.levers, self.leaves, span))
        daily = money(price / span.days_in_month[:, None, None])
        rows = [_attributes(index, leaf, purchase) for purchase in (True, False) for index, leaf in zip(self.positions, self.leaves, strict=True)]
        both = np.concatenate([price, daily], axis=2)
        return Metered.of(rows, np.concatenate([bought, held], axis=2), both, both)


def _attributes(index: int, leaf: Leaf, purchase: bool) -> Attributes:
    product = next(item for item in LICENCES if item.service == leaf.service)
    return attributes_of(
        index,
        leaf,
        category=(product.category, product.subcategory),
        description=f"{product.service}, {'monthly seats' if purchase else 'use of monthly seats'}",
        resource=(f"seats-{product.workload}-{leaf.team}", f"{product.service} {leaf.team}", "Subscription"),
        sku=f"{product.workload}-seat",
        meter="Seats" if purchase else "Seat Days",
        unit="Seats" if purchase else "Seat-Days",
        price_details={"Product": product.service},
        charge_category="Purchase" if purchase else "Usage",
        whole=purchase,
        billed=float(purchase),
        effective=float(not purchase),
    )
