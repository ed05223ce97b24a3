"""What vendors do to everybody: they release AI models, change prices, fail for some hours. One law for the whole market."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.catalogue import FAMILIES, GENERATIONS, LLM_PROVIDERS
from forecast.company.lives import NEVER
from forecast.company.span import Floats, Integers
from forecast.company.stretch import Streams, Stretch

RELEASES_A_YEAR = 1.3
PRICE_CHANGES_A_YEAR = 0.2
"""Both per family."""
PRICE_FACTORS = (0.5, 0.6, 0.75, 0.8, 1.2)
PRICE_NOTICE = 14
"""Days from the announcement of a price to its first day."""
OUTAGES_A_YEAR = 4.0
"""Per vendor."""


@dataclass(frozen=True, eq=False)
class MarketDays:
    """The market during one stretch.

    released : (worlds, families, generations) day of each model's release; 0 for those that exist from the beginning, NEVER
    for those that have not come. price : (days, worlds, families), list price relative to the first. outage : (days, worlds,
    vendors) part of a day's usage that goes through.
    """

    released: Integers
    price: Floats
    outage: Floats
    changes: list[tuple[int, int, float]]
    """In one world: (family, first day, factor) of price changes that were announced in this stretch."""


@dataclass(frozen=True, eq=False)
class Market:
    """Releases: every family's next model comes with a constant chance a day. Prices: with a constant chance a day a family's prices
    are multiplied by one of PRICE_FACTORS, known PRICE_NOTICE days before. Outages: 20 to 70 % of a vendor's day is lost."""

    first_generation: Integers

    @classmethod
    def drawn(cls, streams: Streams) -> Market:
        rng = streams.of("market", "beginning")
        return cls((rng.random(len(FAMILIES)) < 0.4).astype(np.int64))

    def run(self, stretch: Stretch) -> MarketDays:
        place = stretch.called("market")
        n = len(FAMILIES)
        price, changes = self._prices(place, n)
        return MarketDays(self._releases(place, n), price, self._outages(place), changes)

    def _releases(self, place: Stretch, n: int) -> Integers:
        before = cast("Integers | None", place.recall("released"))
        if before is None:
            old = np.arange(GENERATIONS)[None, :] <= self.first_generation[:, None]
            before = np.where(old, 0, NEVER)[None]
        released = np.broadcast_to(before, (place.worlds, n, GENERATIONS)).copy()
        hits = place.uniform("releases", n) < RELEASES_A_YEAR / 365.0
        for day, world, family in np.argwhere(hits):
            coming = np.flatnonzero(released[world, family] == NEVER)
            if len(coming):
                released[world, family, coming[0]] = place.first_day + day
        place.remember("released", released)
        return released

    def _prices(self, place: Stretch, n: int) -> tuple[Floats, list[tuple[int, int, float]]]:
        uniform = place.uniform("prices", n)
        chance = PRICE_CHANGES_A_YEAR / 365.0
        # The same number says whether and which: given a hit it is uniform again.
        which = np.minimum((uniform / chance * len(PRICE_FACTORS)).astype(np.int64), len(PRICE_FACTORS) - 1)
        decided = np.where(uniform < chance, np.log(PRICE_FACTORS)[which], 0.0)
        pending = cast("Floats | None", place.recall("pending"))
        pending = np.zeros((PRICE_NOTICE, 1, n)) if pending is None else pending
        everything = np.concatenate([np.broadcast_to(pending, (PRICE_NOTICE, *decided.shape[1:])), decided])
        level = cast("Floats | None", place.recall("level"))
        walk = np.cumsum(everything[: place.days], axis=0) + (0.0 if level is None else level)
        place.remember("pending", everything[place.days :])
        place.remember("level", walk[-1])
        changes = [
            (int(family), place.first_day + int(day) + PRICE_NOTICE, float(np.round(np.exp(decided[day, 0, family]), 4)))
            for day, _, family in np.argwhere(decided[:, :1] != 0.0)
        ]
        return np.asarray(np.round(np.exp(walk), 6)), changes

    def _outages(self, place: Stretch) -> Floats:
        uniform = place.uniform("outages", len(LLM_PROVIDERS))
        chance = OUTAGES_A_YEAR / 365.0
        return np.asarray(np.where(uniform < chance, 0.3 + 0.5 * uniform / chance, 1.0))
