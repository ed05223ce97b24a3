"""Charge lines: one resource metered by one SKU, over all days. The form that every spending process hands over.

A line has constant text attributes; its quantity and prices are arrays (days, lines). `rows.py` turns the days on which
a quantity is not zero into FOCUS rows, so an idle day leaves no row, as in a real bill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecast.company.catalogue import PROVIDERS
from forecast.company.organisation import Leaf
from forecast.company.span import Floats

MONEY_DECIMALS = 10

Attributes = dict[str, Any]


@dataclass(frozen=True)
class ChargeLines:
    """Lines of one family.

    attributes : one row a line, the columns of `attributes_of`.  quantity : (days, lines), in the line's pricing unit.
    list_price, contracted_price : (days, lines), USD per pricing unit, at most ten decimals. A credit has negative prices.
    """

    attributes: pd.DataFrame
    quantity: Floats
    list_price: Floats
    contracted_price: Floats

    @classmethod
    def of(cls, attributes: list[Attributes], quantity: Floats, list_price: Floats, contracted_price: Floats) -> ChargeLines:
        """From one dictionary a line."""
        return cls(pd.DataFrame(attributes), quantity, list_price, contracted_price)

    @classmethod
    def none(cls, days: int) -> ChargeLines:
        """No lines at all."""
        nothing = np.zeros((days, 0))
        return cls(pd.DataFrame(), nothing, nothing, nothing)

    def effective_cost(self) -> Floats:
        """(days, lines) USD, amortised."""
        amortised: Floats = self.attributes["effective"].to_numpy(dtype=np.float64)
        return money(money(self.quantity * self.contracted_price) * amortised)

    def then(self, later: ChargeLines) -> ChargeLines:
        """The same lines over the days of both."""
        return ChargeLines(
            self.attributes,
            np.concatenate([self.quantity, later.quantity]),
            np.concatenate([self.list_price, later.list_price]),
            np.concatenate([self.contracted_price, later.contracted_price]),
        )

    def used(self) -> ChargeLines:
        """Without lines that have no quantity on any day."""
        kept = np.flatnonzero(self.quantity.any(axis=0))
        attributes = self.attributes.iloc[kept].reset_index(drop=True)
        return ChargeLines(attributes, self.quantity[:, kept], self.list_price[:, kept], self.contracted_price[:, kept])


@dataclass(frozen=True, eq=False)
class Metered:
    """What a process metered in a stretch, in all its worlds; prices may share their worlds axis.

    attributes : one row a line.  quantity : (days, worlds, lines).  list_price, contracted_price : (days, worlds or 1, lines).
    """

    attributes: pd.DataFrame
    quantity: Floats
    list_price: Floats
    contracted_price: Floats

    @classmethod
    def of(cls, attributes: Sequence[Attributes], quantity: Floats, list_price: Floats, contracted_price: Floats) -> Metered:
        return cls(pd.DataFrame(list(attributes)), quantity, list_price, contracted_price)

    @classmethod
    def joined(cls, parts: Sequence[Metered]) -> Metered:
        """The lines of all parts."""
        worlds = max(part.quantity.shape[1] for part in parts)

        def side_by_side(arrays: Sequence[Floats]) -> Floats:
            return np.concatenate([np.broadcast_to(array, (len(array), worlds, array.shape[2])) for array in arrays], axis=2)

        return cls(
            pd.concat([part.attributes for part in parts], ignore_index=True),
            side_by_side([part.quantity for part in parts]),
            side_by_side([part.list_price for part in parts]),
            side_by_side([part.contracted_price for part in parts]),
        )

    def lines(self) -> ChargeLines:
        """The lines of the one world that happens."""
        if not len(self.attributes):
            return ChargeLines.none(len(self.quantity))
        return ChargeLines(self.attributes, self.quantity[:, 0], self.list_price[:, 0], self.contracted_price[:, 0])

    def cost(self) -> Floats:
        """(days, worlds, lines) USD, amortised."""
        return np.asarray(self.quantity * self.contracted_price * self.attributes["effective"].to_numpy(dtype=np.float64))

    def billed(self) -> Floats:
        """(days, worlds, lines) USD, as invoiced."""
        return np.asarray(self.quantity * self.contracted_price * self.attributes["billed"].to_numpy(dtype=np.float64))


def concatenate(families: Sequence[ChargeLines]) -> ChargeLines:
    """All lines of all families, in the given order."""
    parts = [family for family in families if len(family.attributes)]
    return ChargeLines(
        pd.concat([part.attributes for part in parts], ignore_index=True),
        np.concatenate([part.quantity for part in parts], axis=1),
        np.concatenate([part.list_price for part in parts], axis=1),
        np.concatenate([part.contracted_price for part in parts], axis=1),
    )


def money(values: Floats) -> Floats:
    """Rounded to the ten decimals that a bill carries."""
    return np.asarray(np.round(values, MONEY_DECIMALS), dtype=np.float64)


def details(**values: str | int) -> str:
    """SkuPriceDetails or Tags as JSON text with sorted keys."""
    return json.dumps(values, sort_keys=True)


def attributes_of(
    index: int,
    leaf: Leaf,
    *,
    category: tuple[str, str],
    description: str,
    resource: tuple[str | None, str | None, str | None],
    sku: str | None,
    meter: str | None,
    unit: str | None,
    price_details: Mapping[str, str | int] | None,
    charge_category: str = "Usage",
    pricing_category: str | None = "Standard",
    commitment: str | None = None,
    zone: str | None = None,
    rhythm: str = "flat",
    whole: bool = False,
    billed: float = 1.0,
    effective: float = 1.0,
    ai_model: str | None = None,
) -> Attributes:
    """Everything about a line that does not change with time; a key that names a FOCUS column becomes that column.

    index : position of its leaf. category : service category and subcategory. resource : id, name, type.
    rhythm : how a day spreads over its hours, `flat`, `demand` or `office`. whole : quantities are integers.
    billed, effective : part of the contracted cost that is BilledCost and EffectiveCost (a licence is billed on the 1st and
    used daily; usage under a commitment is billed nothing and costs its discounted price). commitment : `Used` or `Unused`.
    ai_model : id of the language model, where the line is about one.
    """
    provider = PROVIDERS[leaf.provider]
    return {
        "leaf": index,
        "provider_name": provider.name,
        "publisher_name": provider.publisher,
        "invoice_issuer_name": provider.publisher,
        "billing_account_id": provider.account,
        "service_name": leaf.service,
        "service_category": category[0],
        "service_subcategory": category[1],
        "charge_category": charge_category,
        "charge_description": description,
        "charge_frequency": {"Usage": "Usage-Based", "Purchase": "Recurring", "Tax": "Recurring"}.get(charge_category, "One-Time"),
        "pricing_category": pricing_category,
        "commitment_discount_status": commitment,
        "pricing_unit": unit,
        "consumed_unit": None if charge_category == "Purchase" else unit,
        "region_id": leaf.region.id,
        "region_name": leaf.region.name,
        "availability_zone": zone,
        "resource_id": resource[0],
        "resource_name": resource[1],
        "resource_type": resource[2],
        "sku_id": sku,
        "sku_meter": meter,
        "sku_price_id": f"{sku}.{leaf.region.id}" if sku else None,
        "sku_price_details": details(**price_details) if price_details else None,
        "sub_account_id": f"{provider.account}-{leaf.team}" if leaf.team else None,
        "sub_account_name": leaf.team or None,
        "tags": details(env=leaf.stage, project=leaf.project, team=leaf.team, workload=leaf.workload) if leaf.team else None,
        "rhythm": rhythm,
        "whole": whole,
        "billed": billed,
        "effective": effective,
        "ai_model": ai_model,
    }
