"""All processes of a company together, run over a stretch: as charge lines of what happens, or as costs of what may happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.company.catalogue import PROVIDERS
from forecast.company.circumstances import Backdrop, Circumstances
from forecast.company.gpus import GpuPools
from forecast.company.invoices import Invoices
from forecast.company.keys import KEY_COLUMNS
from forecast.company.levers import Lever
from forecast.company.licences import Licences
from forecast.company.lines import ChargeLines, Metered, concatenate
from forecast.company.managed import ManagedServices
from forecast.company.organisation import Organisation
from forecast.company.premises import OwnDataCentre
from forecast.company.span import Floats
from forecast.company.stretch import Streams, Stretch
from forecast.company.token_meters import TokenMeters
from forecast.spend.dimensions import UNKNOWN


@dataclass(frozen=True, eq=False)
class Simulation:
    """A company's processes with their traits. discount : negotiated part off the list price, by provider."""

    organisation: Organisation
    backdrop: Backdrop
    discount: Mapping[str, float]
    tokens: TokenMeters
    gpus: GpuPools
    managed: ManagedServices
    licences: Licences
    premises: OwnDataCentre
    invoices: Invoices

    @classmethod
    def drawn(cls, organisation: Organisation, streams: Streams, whole_days: int) -> Simulation:
        backdrop = Backdrop.drawn(organisation, streams)
        rng = streams.of("contracts")
        discount = {name: round(float(rng.uniform(*provider.discount)), 2) for name, provider in PROVIDERS.items()}
        return cls(
            organisation,
            backdrop,
            discount,
            TokenMeters.drawn(organisation, discount, backdrop.market.first_generation, streams, whole_days),
            GpuPools.drawn(organisation, discount, streams),
            ManagedServices.drawn(organisation, discount, streams),
            Licences.drawn(organisation, streams),
            OwnDataCentre.drawn(organisation, streams),
            Invoices.drawn(organisation, streams),
        )

    def happen(self, stretch: Stretch) -> tuple[ChargeLines, Circumstances]:
        """Charge lines of the one world that happens; always the same lines in the same order, used or not."""
        now = self.backdrop.run(stretch)
        usage = self.tokens.usage(now)
        metered = self._metered(now, self.tokens.cost(usage))
        return concatenate([self.tokens.lines(usage), *(part.lines() for part in metered)]), now

    def may_happen(self, stretch: Stretch, levers: Sequence[Lever]) -> tuple[pd.DataFrame, Floats]:
        """USD of EffectiveCost: keys (one row a series, columns KEY_COLUMNS), and cost (days, worlds, series)."""
        now = self.backdrop.run(stretch, levers)
        tokens = self.tokens.cost(self.tokens.usage(now))
        keys = [(leaf, ai_model, "Usage") for leaf, ai_model in self.tokens.cost_keys()]
        parts = [tokens.reshape(*tokens.shape[:2], -1)]
        for part in self._metered(now, tokens):
            pairs, number = _key_of_line(part.attributes)
            summed = np.zeros((*part.quantity.shape[:2], len(pairs)))
            cost = part.cost()
            for line, place in enumerate(number):
                summed[..., place] += cost[..., line]
            keys += [(leaf, UNKNOWN, category) for leaf, category in pairs]
            parts.append(summed)
        return self._named(keys), np.concatenate(parts, axis=2)

    def _named(self, keys: Sequence[tuple[int, str, str]]) -> pd.DataFrame:
        rows = []
        for index, ai_model, category in keys:
            leaf = self.organisation.leaves[index]
            values = {**leaf.scope(), "project": leaf.project}
            row = {name: value or UNKNOWN for name, value in values.items()}
            rows.append({**row, "region": leaf.region.id, "ai_model": ai_model, "charge_category": category})
        return pd.DataFrame(rows, columns=list(KEY_COLUMNS))

    def _metered(self, now: Circumstances, tokens: Floats) -> list[Metered]:
        """Everything but tokens; invoices come last, for they depend on all others."""
        found = [component.meter(now) for component in (self.gpus, self.managed, self.licences, self.premises)]
        parts = [part for part in found if len(part.attributes)]
        effective: dict[str, Floats] = {}
        leaves = [leaf for leaf, _ in self.tokens.cost_keys()][:: tokens.shape[3]]
        for number, index in enumerate(leaves):
            vendor = self.organisation.leaves[index].provider
            effective[vendor] = effective.get(vendor, 0.0) + tokens[:, :, number].sum(axis=2)
        billed = dict(effective)
        for part in parts:
            for table, amount in ((effective, part.cost()), (billed, part.billed())):
                for name, columns in part.attributes.groupby("provider_name", sort=True).indices.items():
                    table[str(name)] = table.get(str(name), 0.0) + amount[..., columns].sum(axis=2)
        return [*parts, self.invoices.meter(now, billed, effective)]


def _key_of_line(attributes: pd.DataFrame) -> tuple[list[tuple[int, str]], list[int]]:
    """Distinct (leaf, charge category) in order of appearance, and the place of each line among them."""
    pairs = list(zip(attributes["leaf"].tolist(), attributes["charge_category"].tolist(), strict=True))
    places = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    return list(places), [places[pair] for pair in pairs]
