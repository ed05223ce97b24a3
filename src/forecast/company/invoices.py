"""What vendors put on an invoice beside usage: sales tax, promotional credits, credits for outages. No team is charged for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.catalogue import GOOGLE, GPU_SERVICES, LICENCES, LLM_PROVIDERS, LLM_SERVICES
from forecast.company.circumstances import Circumstances
from forecast.company.lines import Attributes, Metered, attributes_of, money
from forecast.company.organisation import Organisation
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch

TAX_RATES = (0.0, 0.0625, 0.0825)
GRANTS_A_YEAR = 0.7
GRANT_DAYS = (6.0, 20.0)
"""Size of a promotional credit, in days of the whole company's expected spend."""
CREDIT_SHARE = 0.5
"""Part of a day's charges that promotional credit pays while it lasts."""
OUTAGE_CREDIT = 0.3
OUTAGE_CREDIT_DELAY = 20


@dataclass(frozen=True, eq=False)
class Invoices:
    """tax : on the last day of a month, a share of what a vendor billed in it.  promotional credit : Google Cloud grants a sum with a
    constant chance a day; it pays CREDIT_SHARE of each day's charges until it is used up.  outage credit : OUTAGE_CREDIT of what an
    LLM vendor charged on the day of an outage comes back OUTAGE_CREDIT_DELAY days later."""

    organisation: Organisation
    rates: Mapping[str, float]

    @classmethod
    def drawn(cls, organisation: Organisation, streams: Streams) -> Invoices:
        rng = streams.of("invoices", "traits")
        vendors = (*(vendor for vendor in LLM_PROVIDERS if vendor != GOOGLE), *(item.provider for item in LICENCES))
        return cls(organisation, {vendor: float(TAX_RATES[int(rng.integers(len(TAX_RATES)))]) for vendor in vendors})

    def meter(self, now: Circumstances, billed: Mapping[str, Floats], effective: Mapping[str, Floats]) -> Metered:
        """One line a vendor and kind of charge. billed, effective : USD by provider, (days, worlds)."""
        place = now.stretch.called("invoices")
        rows: list[Attributes] = []
        amounts: list[Floats] = []
        nothing = np.zeros((place.days, place.worlds))
        for vendor, rate in self.rates.items():
            rows.append(self._attributes(vendor, "Tax", "sales tax of the month"))
            amounts.append(rate * self._by_month(place.called(vendor), billed.get(vendor, nothing)))
        rows.append(self._attributes(GOOGLE, "Credit", "promotional credit", GPU_SERVICES[GOOGLE]))
        amounts.append(-self._promotion(place.called("promotion"), effective.get(GOOGLE, nothing)))
        for number, vendor in enumerate(LLM_PROVIDERS):
            rows.append(self._attributes(vendor, "Credit", "service credit for an outage", LLM_SERVICES[vendor]))
            lost = np.where(now.market.outage[:, :, number] < 1.0, effective.get(vendor, nothing), 0.0)
            amounts.append(-OUTAGE_CREDIT * self._later(place.called("outages", vendor), lost))
        price = money(np.stack(amounts, axis=2).round(2))
        return Metered.of(rows, (price != 0.0).astype(np.float64), price, price)

    @staticmethod
    def _by_month(place: Stretch, billed: Floats) -> Floats:
        """What was billed in a month, on its last day, (days, worlds)."""
        before = place.recall("month to date")
        total = np.zeros(1) if before is None else cast(Floats, before)
        found = np.zeros_like(billed)
        for step, rest in enumerate(place.span.days_to_month_end):
            total = total + billed[step]
            if rest == 0:
                found[step] = total
                total = np.zeros(1)
        place.remember("month to date", total)
        return found

    def _promotion(self, place: Stretch, charged: Floats) -> Floats:
        """USD that promotional credit pays, (days, worlds)."""
        drawn = place.uniform("grants", 1)[:, :, 0]
        chance = GRANTS_A_YEAR / 365.0
        size = GRANT_DAYS[0] + (GRANT_DAYS[1] - GRANT_DAYS[0]) * drawn / chance
        grants = np.where(drawn < chance, size * self.organisation.daily_cost, 0.0)
        before = place.recall("balance")
        balance = np.zeros(1) if before is None else cast(Floats, before)
        paid = np.empty_like(charged)
        for step in range(place.days):
            balance = balance + grants[step]
            paid[step] = np.minimum(balance, CREDIT_SHARE * charged[step])
            balance = balance - paid[step]
        place.remember("balance", balance)
        return paid

    @staticmethod
    def _later(place: Stretch, amount: Floats) -> Floats:
        """The same amounts OUTAGE_CREDIT_DELAY days later, (days, worlds)."""
        before = place.recall("owed")
        owed = np.zeros((OUTAGE_CREDIT_DELAY, 1)) if before is None else cast(Floats, before)
        everything = np.concatenate([np.broadcast_to(owed, (OUTAGE_CREDIT_DELAY, amount.shape[1])), amount])
        place.remember("owed", everything[len(amount) :])
        return everything[: len(amount)]

    def _attributes(self, vendor: str, category: str, description: str, service: str | None = None) -> Attributes:
        index = self.organisation.central(vendor, service)
        leaf = self.organisation.leaves[index]
        return attributes_of(
            index,
            leaf,
            category=("AI and Machine Learning", "Other (AI and Machine Learning)"),
            description=description,
            resource=(None, None, None),
            sku=None,
            meter=None,
            unit=None,
            price_details=None,
            charge_category=category,
            pricing_category=None,
        )
