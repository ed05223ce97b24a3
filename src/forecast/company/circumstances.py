"""What many processes share: lives of workloads, the market, product traffic, announced campaigns, and the levers pulled.

Shared causes are what makes a company's spend move together: a good week of a product is seen at its LLM vendors, in its
GPU pool, its vector reads and its egress.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from forecast.company.levers import Lever
from forecast.company.lives import Lived, live
from forecast.company.market import Market, MarketDays
from forecast.company.organisation import Organisation
from forecast.company.processes import Bursts, Holidays, LevelShifts, MultiplicativeGrowth, PersistentNoise, WeeklyRhythm
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch

CAMPAIGNS_A_YEAR = 0.3
"""Per product workload."""
CAMPAIGN_NOTICE = 21
CAMPAIGN_DAYS = (7, 15)
CAMPAIGN_FACTOR = (1.3, 2.0)
_CAMPAIGN_REACH = CAMPAIGN_NOTICE + CAMPAIGN_DAYS[1]


@dataclass(frozen=True)
class Campaign:
    """Traffic of one workload is multiplied by `factor` on days [first_day, last_day); decided on day `decided`."""

    life: int
    decided: int
    first_day: int
    last_day: int
    factor: float


@dataclass(frozen=True, eq=False)
class Circumstances:
    """The circumstances of one stretch.

    lived, market : see there. traffic : (days, worlds, lives) demand of each product workload relative to its level, campaigns
    included. tide : (days, worlds, 1) the part of traffic that the whole company shares. campaigns : of the one world that happens.
    """

    stretch: Stretch
    lived: Lived
    market: MarketDays
    traffic: Floats
    tide: Floats
    campaigns: list[Campaign]
    levers: tuple[Lever, ...]


@dataclass(frozen=True, eq=False)
class Backdrop:
    """Traits behind the circumstances.

    traffic of a workload = growth · level shifts (every two months one, log sd 0.30) · AR(1) (log sd 0.28, lag-1 0.5) · bursts ·
    weekly rhythm · holidays · the company's tide (fast AR(1) of log sd 0.05, slow one of 0.14) · its campaigns.
    """

    organisation: Organisation
    market: Market
    growth: MultiplicativeGrowth
    rhythm: WeeklyRhythm

    @classmethod
    def drawn(cls, organisation: Organisation, streams: Streams) -> Backdrop:
        rng = streams.of("backdrop")
        n = len(organisation.lives)
        growth = MultiplicativeGrowth(rng.normal(0.45, 0.3, n), 0.008)
        return cls(organisation, Market.drawn(streams), growth, WeeklyRhythm.drawn(rng, rng.uniform(0.15, 0.50, n)))

    def run(self, stretch: Stretch, levers: Sequence[Lever] = ()) -> Circumstances:
        lives = self.organisation.lives
        n = len(lives)
        place = stretch.called("traffic")
        traffic = self.growth.factors(place)
        traffic *= LevelShifts(1.0 / 60.0, 0.30).factors(place.called("shifts"), n)
        traffic *= PersistentNoise(0.28, 0.50).factors(place.called("daily"), n)
        traffic *= Bursts(0.005, 0.35, 0.75).factors(place.called("bursts"), n)
        traffic *= self.rhythm.factors(stretch.span)
        traffic *= Holidays(0.85).factors(stretch.span)
        tide = PersistentNoise(0.05, 0.85).factors(place.called("tide"), 1) * PersistentNoise(0.14, 0.96).factors(place.called("slow tide"), 1)
        traffic *= tide
        campaigns = self._campaigns(place.called("campaigns"), traffic)
        return Circumstances(stretch, live(lives, stretch), self.market.run(stretch), traffic, tide, campaigns, tuple(levers))

    def _campaigns(self, place: Stretch, traffic: Floats) -> list[Campaign]:
        """Multiply traffic in place; campaigns decided before this stretch go on in it."""
        products = np.array([bool(life.workload) for life in self.organisation.lives])
        uniform = place.uniform("campaigns", len(products))
        decided = np.where((uniform < CAMPAIGNS_A_YEAR / 365.0) & products, uniform * 365.0 / CAMPAIGNS_A_YEAR, 0.0)
        recent = cast("Floats | None", place.recall("recent"))
        recent = np.zeros((_CAMPAIGN_REACH, 1, len(products))) if recent is None else recent
        everything = np.concatenate([np.broadcast_to(recent, (_CAMPAIGN_REACH, *decided.shape[1:])), decided])
        place.remember("recent", everything[-_CAMPAIGN_REACH:])
        found = []
        for row, world, life in np.argwhere(everything):
            # One number in (0, 1) says how long and how strong: its hundredths and what lies behind them.
            size, length = np.modf(everything[row, world, life] * 100.0)
            day = int(row) - _CAMPAIGN_REACH
            begin = day + CAMPAIGN_NOTICE
            end = begin + CAMPAIGN_DAYS[0] + int(length) % (CAMPAIGN_DAYS[1] - CAMPAIGN_DAYS[0] + 1)
            factor = round(float(CAMPAIGN_FACTOR[0] + size * (CAMPAIGN_FACTOR[1] - CAMPAIGN_FACTOR[0])), 2)
            traffic[max(begin, 0) : max(end, 0), world, life] *= factor
            if day >= 0:
                first = place.first_day
                found.append(Campaign(int(life), first + day, first + begin, first + end, factor))
        return found
