"""Seats: bought on the first of each month, used up day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecast.company.catalogue import LICENCES
from forecast.company.lines import Attributes, ChargeLines, attributes_of, money
from forecast.company.organisation import Organisation
from forecast.company.processes import Streams
from forecast.company.span import Floats, Span


@dataclass(frozen=True)
class Licences:
    """Seats of each team and product as two lines, so that billed and amortised cost are both right.

    seats(month) = round(heads · share · e^(0.25 · months / 12) · noise), constant within a month. The purchase on the 1st
    carries BilledCost and no EffectiveCost; each day's use carries EffectiveCost = seats · price / days in the month and
    no BilledCost. A month whose 1st lies before the span shows its use and not its purchase.
    """

    organisation: Organisation
    streams: Streams
    span: Span

    def lines(self) -> ChargeLines:
        """A purchase line and a use line for each licence leaf."""
        rng = self.streams.of("licences")
        month = self.span.month_index
        attributes: list[Attributes] = []
        quantity: list[Floats] = []
        prices: list[Floats] = []
        for index in self.organisation.of_kind("licence"):
            leaf = self.organisation.leaves[index]
            product = next(product for product in LICENCES if product.service == leaf.service)
            months = np.arange(int(month[-1]) + 1)
            noise = np.exp(0.04 * rng.standard_normal(len(months)).cumsum())
            seats = np.maximum(np.round(leaf.heads * rng.uniform(0.5, 0.95) * np.exp(0.25 * months / 12.0) * noise), 1.0)[month]
            alive = np.arange(self.span.days) >= leaf.first_day
            # A team that is founded within a month buys from the next 1st on.
            bought = alive & (alive[np.maximum(np.arange(self.span.days) - self.span.day_of_month + 1, 0)])
            for purchase in (True, False):
                attributes.append(
                    attributes_of(
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
                        billed=purchase,
                        effective=not purchase,
                    )
                )
                quantity.append(np.where(bought & ((self.span.day_of_month == 1) | (not purchase)), seats, 0.0))
                prices.append(np.full(self.span.days, product.monthly) if purchase else money(product.monthly / self.span.days_in_month))
        price = np.stack(prices, axis=1)
        return ChargeLines.of(attributes, np.stack(quantity, axis=1), price, price)
