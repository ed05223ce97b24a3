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
    list_price, contracted_price : (days, lines), USD per pricing unit, at most ten decimals.
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
        return money(self.quantity * self.contracted_price) * amortised


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
    resource: tuple[str, str, str],
    sku: str,
    meter: str,
    unit: str,
    price_details: Mapping[str, str | int],
    charge_category: str = "Usage",
    pricing_category: str = "Standard",
    zone: str | None = None,
    rhythm: str = "flat",
    whole: bool = False,
    billed: bool = True,
    effective: bool = True,
    ai_model: str | None = None,
) -> Attributes:
    """Everything about a line that does not change with time; a key that names a FOCUS column becomes that column.

    index : position of its leaf. category : service category and subcategory. resource : id, name, type.
    rhythm : how a day spreads over its hours, `flat`, `demand` or `office`. whole : quantities are integers.
    billed, effective : whether BilledCost and EffectiveCost are charged (a licence is billed on the 1st and used daily).
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
        "charge_frequency": "Recurring" if charge_category == "Purchase" else "Usage-Based",
        "pricing_category": pricing_category,
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
        "sku_price_id": f"{sku}.{leaf.region.id}",
        "sku_price_details": details(**price_details),
        "sub_account_id": f"{provider.account}-{leaf.team}",
        "sub_account_name": leaf.team,
        "tags": details(env=leaf.stage, project=leaf.project, team=leaf.team, workload=leaf.workload),
        "rhythm": rhythm,
        "whole": whole,
        "billed": billed,
        "effective": effective,
        "ai_model": ai_model,
    }
