"""Where each dimension of a charge line comes from: FOCUS columns, tags and price details, as a table of rules.

The ledger turns these rules into SQL once, when rows come in; nothing here computes. The first source that has a
value wins; where none has, the dimension is `UNKNOWN`, so that untagged spend stays visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS


@dataclass(frozen=True)
class FromColumn:
    """The value of a column; names outside the specification (`x_…`) are columns that a vendor added."""

    column: str


@dataclass(frozen=True)
class FromKey:
    """The value under a key of a JSON column (`Tags`, `SkuPriceDetails`); upper and lower case are not told apart."""

    column: str
    key: str


Source = FromColumn | FromKey


@dataclass(frozen=True)
class DimensionRule:
    """Sources in order of preference. any_case : the value is taken in lower case; `names` then says what it means, else it stands itself."""

    dimension: str
    sources: tuple[Source, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    any_case: bool = False


def tag(key: str) -> FromKey:
    return FromKey(focus.TAGS, key)


STAGES: Mapping[str, str] = {
    "dev": "dev",
    "development": "dev",
    "test": "test",
    "testing": "test",
    "qa": "test",
    "stage": "test",
    "staging": "test",
    "prod": "prod",
    "production": "prod",
}
"""What people write in an environment tag, and the stage that it means."""

RULES: tuple[DimensionRule, ...] = (
    DimensionRule("provider", (FromColumn(focus.PROVIDER_NAME),)),
    DimensionRule("service", (FromColumn(focus.SERVICE_NAME),)),
    # People write `search`, `Search` and `SEARCH` for one team. Lower case, not the most common spelling: that one could change with every
    # delivery, and rows would move between teams.
    DimensionRule("team", (tag("team"), FromColumn(focus.SUB_ACCOUNT_NAME)), any_case=True),
    DimensionRule("stage", (tag("env"), tag("environment"), tag("stage")), STAGES, any_case=True),
    DimensionRule("region", (FromColumn(focus.REGION_ID), FromColumn(focus.REGION_NAME))),
    DimensionRule(
        "ai_model",
        (
            FromKey(focus.SKU_PRICE_DETAILS, "ModelId"),
            FromKey(focus.SKU_PRICE_DETAILS, "x_ModelId"),
            FromKey(focus.SKU_PRICE_DETAILS, "Model"),
            FromColumn("x_ModelId"),
            FromColumn("x_Model"),
            tag("model"),
        ),
    ),
    DimensionRule("meter", (FromColumn(focus.SKU_METER),)),
    DimensionRule("sku", (FromColumn(focus.SKU_ID), FromColumn(focus.SKU_PRICE_ID))),
    DimensionRule("resource", (FromColumn(focus.RESOURCE_ID), FromColumn(focus.RESOURCE_NAME))),
    DimensionRule("charge_category", (FromColumn(focus.CHARGE_CATEGORY),)),
    DimensionRule("workload", (tag("workload"),)),
)

BY_DIMENSION: Mapping[str, DimensionRule] = {name: rule for name in DIMENSIONS for rule in RULES if rule.dimension == name}
