"""The columns of the FinOps Open Cost and Usage Specification (FOCUS) 1.0 to 1.2, as data.

The only place where their PascalCase names are written. What a column means is the specification's business; here
stand its name, its type, since when it exists, whether a dataset must have it, and which values it may hold.
`REQUIRED` is our own, shorter list: without these columns a row cannot be counted. Real exports lack some of the other
mandatory ones, so those are a note in the ingestion report and not an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "decimal", "timestamp", "json"]

VERSIONS: tuple[str, ...] = ("1.0", "1.1", "1.2")

BILLED_COST = "BilledCost"
EFFECTIVE_COST = "EffectiveCost"
BILLING_CURRENCY = "BillingCurrency"
BILLING_START = "BillingPeriodStart"
BILLING_END = "BillingPeriodEnd"
CHARGE_START = "ChargePeriodStart"
CHARGE_END = "ChargePeriodEnd"
CHARGE_CATEGORY = "ChargeCategory"
PROVIDER_NAME = "ProviderName"
SERVICE_NAME = "ServiceName"
SUB_ACCOUNT_NAME = "SubAccountName"
REGION_ID = "RegionId"
REGION_NAME = "RegionName"
RESOURCE_ID = "ResourceId"
RESOURCE_NAME = "ResourceName"
SKU_ID = "SkuId"
SKU_METER = "SkuMeter"
SKU_PRICE_ID = "SkuPriceId"
SKU_PRICE_DETAILS = "SkuPriceDetails"
TAGS = "Tags"

COSTS: Mapping[str, str] = {"effective": EFFECTIVE_COST, "billed": BILLED_COST}
"""What `cost` may say, and the column that it stands for: amortised (trends) or as invoiced (cash)."""


@dataclass(frozen=True)
class Column:
    """One column of the specification.

    since : first version that has it. mandatory : every conforming dataset has it, in `since` and all later versions.
    allowed : the only values a row may hold, where the specification closes the list.
    """

    name: str
    kind: Kind
    since: str = "1.0"
    mandatory: bool = False
    allowed: tuple[str, ...] = ()


COLUMNS: tuple[Column, ...] = (
    Column("AvailabilityZone", "string"),
    Column(BILLED_COST, "decimal", mandatory=True),
    Column("BillingAccountId", "string", mandatory=True),
    Column("BillingAccountName", "string", mandatory=True),
    Column("BillingAccountType", "string", since="1.2"),
    Column(BILLING_CURRENCY, "string", mandatory=True),
    Column(BILLING_END, "timestamp", mandatory=True),
    Column(BILLING_START, "timestamp", mandatory=True),
    Column("CapacityReservationId", "string", since="1.1"),
    Column("CapacityReservationStatus", "string", since="1.1", allowed=("Used", "Unused")),
    Column(CHARGE_CATEGORY, "string", mandatory=True, allowed=("Usage", "Purchase", "Tax", "Credit", "Adjustment")),
    Column("ChargeClass", "string", mandatory=True, allowed=("Correction",)),
    Column("ChargeDescription", "string", mandatory=True),
    Column("ChargeFrequency", "string", allowed=("One-Time", "Recurring", "Usage-Based")),
    Column(CHARGE_END, "timestamp", mandatory=True),
    Column(CHARGE_START, "timestamp", mandatory=True),
    Column("CommitmentDiscountCategory", "string", allowed=("Spend", "Usage")),
    Column("CommitmentDiscountId", "string"),
    Column("CommitmentDiscountName", "string"),
    Column("CommitmentDiscountQuantity", "decimal", since="1.1"),
    Column("CommitmentDiscountStatus", "string", allowed=("Used", "Unused")),
    Column("CommitmentDiscountType", "string"),
    Column("CommitmentDiscountUnit", "string", since="1.1"),
    Column("ConsumedQuantity", "decimal"),
    Column("ConsumedUnit", "string"),
    Column("ContractedCost", "decimal", mandatory=True),
    Column("ContractedUnitPrice", "decimal"),
    Column(EFFECTIVE_COST, "decimal", mandatory=True),
    Column("InvoiceId", "string", since="1.2"),
    Column("InvoiceIssuerName", "string", mandatory=True),
    Column("ListCost", "decimal", mandatory=True),
    Column("ListUnitPrice", "decimal"),
    Column("PricingCategory", "string", allowed=("Standard", "Dynamic", "Committed", "Other")),
    Column("PricingCurrency", "string", since="1.2"),
    Column("PricingCurrencyContractedUnitPrice", "decimal", since="1.2"),
    Column("PricingCurrencyEffectiveCost", "decimal", since="1.2"),
    Column("PricingCurrencyListUnitPrice", "decimal", since="1.2"),
    Column("PricingQuantity", "decimal", mandatory=True),
    Column("PricingUnit", "string", mandatory=True),
    Column(PROVIDER_NAME, "string", mandatory=True),
    Column("PublisherName", "string", mandatory=True),
    Column(REGION_ID, "string"),
    Column(REGION_NAME, "string"),
    Column(RESOURCE_ID, "string"),
    Column(RESOURCE_NAME, "string"),
    Column("ResourceType", "string"),
    Column("ServiceCategory", "string", mandatory=True),
    Column(SERVICE_NAME, "string", mandatory=True),
    Column("ServiceSubcategory", "string", since="1.1"),
    Column(SKU_ID, "string"),
    Column(SKU_METER, "string", since="1.1"),
    Column(SKU_PRICE_DETAILS, "json", since="1.1"),
    Column(SKU_PRICE_ID, "string"),
    Column("SubAccountId", "string"),
    Column(SUB_ACCOUNT_NAME, "string"),
    Column("SubAccountType", "string", since="1.2"),
    Column(TAGS, "json"),
)
"""The 57 columns of FOCUS 1.2 in alphabetical order, as the specification lists them."""

BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}

REQUIRED: tuple[str, ...] = (
    BILLED_COST,
    EFFECTIVE_COST,
    BILLING_CURRENCY,
    CHARGE_START,
    CHARGE_END,
    BILLING_START,
    PROVIDER_NAME,
    SERVICE_NAME,
    CHARGE_CATEGORY,
)
"""Columns without which a row cannot be counted: a file must have them, a row must have a value in each."""

_CANONICAL = {column.name.lower(): column.name for column in COLUMNS}


def canonical_name(name: str) -> str | None:
    """The specification's spelling of a column name, or None where it is not a FOCUS column.

    Upper and lower case are not told apart: query engines fold them (`billedcost`), and hand-made files misspell them.
    """
    return _CANONICAL.get(name.strip().lower())


def columns_of(version: str) -> tuple[Column, ...]:
    """The columns that exist in a version of the specification, e.g. 43 in `1.0`."""
    return tuple(column for column in COLUMNS if VERSIONS.index(column.since) <= VERSIONS.index(version))


def version_of(names: Iterable[str]) -> str:
    """The first version that knows all the FOCUS columns among `names`; other names do not count."""
    found = [BY_NAME[name].since for name in names if name in BY_NAME]
    return max(found, key=VERSIONS.index, default=VERSIONS[0])


def missing_required(names: Iterable[str]) -> tuple[str, ...]:
    """Columns of `REQUIRED` that are not among `names`."""
    present = set(names)
    return tuple(name for name in REQUIRED if name not in present)


def missing_mandatory(names: Iterable[str]) -> tuple[str, ...]:
    """Columns that the specification demands of every dataset, and we can count rows without."""
    present = set(names)
    return tuple(column.name for column in COLUMNS if column.mandatory and column.name not in present and column.name not in REQUIRED)
