"""The columns of the FinOps Open Cost and Usage Specification (FOCUS) 1.0 to 1.3, as data.

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

VERSIONS: tuple[str, ...] = ("1.0", "1.1", "1.2", "1.3")

ALLOCATED_METHOD_DETAILS = "AllocatedMethodDetails"
ALLOCATED_METHOD_ID = "AllocatedMethodId"
ALLOCATED_RESOURCE_ID = "AllocatedResourceId"
ALLOCATED_RESOURCE_NAME = "AllocatedResourceName"
ALLOCATED_TAGS = "AllocatedTags"
AVAILABILITY_ZONE = "AvailabilityZone"
BILLED_COST = "BilledCost"
BILLING_ACCOUNT_ID = "BillingAccountId"
BILLING_ACCOUNT_NAME = "BillingAccountName"
BILLING_ACCOUNT_TYPE = "BillingAccountType"
BILLING_CURRENCY = "BillingCurrency"
BILLING_END = "BillingPeriodEnd"
BILLING_START = "BillingPeriodStart"
CAPACITY_RESERVATION_ID = "CapacityReservationId"
CAPACITY_RESERVATION_STATUS = "CapacityReservationStatus"
CHARGE_CATEGORY = "ChargeCategory"
CHARGE_CLASS = "ChargeClass"
CHARGE_DESCRIPTION = "ChargeDescription"
CHARGE_FREQUENCY = "ChargeFrequency"
CHARGE_END = "ChargePeriodEnd"
CHARGE_START = "ChargePeriodStart"
COMMITMENT_DISCOUNT_CATEGORY = "CommitmentDiscountCategory"
COMMITMENT_DISCOUNT_ID = "CommitmentDiscountId"
COMMITMENT_DISCOUNT_NAME = "CommitmentDiscountName"
COMMITMENT_DISCOUNT_QUANTITY = "CommitmentDiscountQuantity"
COMMITMENT_DISCOUNT_STATUS = "CommitmentDiscountStatus"
COMMITMENT_DISCOUNT_TYPE = "CommitmentDiscountType"
COMMITMENT_DISCOUNT_UNIT = "CommitmentDiscountUnit"
CONSUMED_QUANTITY = "ConsumedQuantity"
CONSUMED_UNIT = "ConsumedUnit"
CONTRACT_APPLIED = "ContractApplied"
CONTRACTED_COST = "ContractedCost"
CONTRACTED_UNIT_PRICE = "ContractedUnitPrice"
EFFECTIVE_COST = "EffectiveCost"
HOST_PROVIDER_NAME = "HostProviderName"
INVOICE_ID = "InvoiceId"
INVOICE_ISSUER_NAME = "InvoiceIssuerName"
LIST_COST = "ListCost"
LIST_UNIT_PRICE = "ListUnitPrice"
PRICING_CATEGORY = "PricingCategory"
PRICING_CURRENCY = "PricingCurrency"
PRICING_CURRENCY_CONTRACTED_UNIT_PRICE = "PricingCurrencyContractedUnitPrice"
PRICING_CURRENCY_EFFECTIVE_COST = "PricingCurrencyEffectiveCost"
PRICING_CURRENCY_LIST_UNIT_PRICE = "PricingCurrencyListUnitPrice"
PRICING_QUANTITY = "PricingQuantity"
PRICING_UNIT = "PricingUnit"
PROVIDER_NAME = "ProviderName"
PUBLISHER_NAME = "PublisherName"
REGION_ID = "RegionId"
REGION_NAME = "RegionName"
RESOURCE_ID = "ResourceId"
RESOURCE_NAME = "ResourceName"
RESOURCE_TYPE = "ResourceType"
SERVICE_CATEGORY = "ServiceCategory"
SERVICE_NAME = "ServiceName"
SERVICE_PROVIDER_NAME = "ServiceProviderName"
SERVICE_SUBCATEGORY = "ServiceSubcategory"
SKU_ID = "SkuId"
SKU_METER = "SkuMeter"
SKU_PRICE_DETAILS = "SkuPriceDetails"
SKU_PRICE_ID = "SkuPriceId"
SUB_ACCOUNT_ID = "SubAccountId"
SUB_ACCOUNT_NAME = "SubAccountName"
SUB_ACCOUNT_TYPE = "SubAccountType"
TAGS = "Tags"

COSTS: Mapping[str, str] = {"effective": EFFECTIVE_COST, "billed": BILLED_COST}
"""What `cost` may say, and the column that it stands for: amortised (trends) or as invoiced (cash)."""


@dataclass(frozen=True)
class Column:
    """One column of the specification.

    since : first version that has it. mandatory : every conforming dataset has it, in `since` and all later versions.
    allowed : the only values a row may hold, where the specification closes the list.
    deprecated : first version that advises against it; the column stays valid there.
    """

    name: str
    kind: Kind
    since: str = "1.0"
    mandatory: bool = False
    allowed: tuple[str, ...] = ()
    deprecated: str | None = None


COLUMNS: tuple[Column, ...] = (
    Column(ALLOCATED_METHOD_DETAILS, "json", since="1.3"),
    Column(ALLOCATED_METHOD_ID, "string", since="1.3"),
    Column(ALLOCATED_RESOURCE_ID, "string", since="1.3"),
    Column(ALLOCATED_RESOURCE_NAME, "string", since="1.3"),
    Column(ALLOCATED_TAGS, "json", since="1.3"),
    Column(AVAILABILITY_ZONE, "string"),
    Column(BILLED_COST, "decimal", mandatory=True),
    Column(BILLING_ACCOUNT_ID, "string", mandatory=True),
    Column(BILLING_ACCOUNT_NAME, "string", mandatory=True),
    Column(BILLING_ACCOUNT_TYPE, "string", since="1.2"),
    Column(BILLING_CURRENCY, "string", mandatory=True),
    Column(BILLING_END, "timestamp", mandatory=True),
    Column(BILLING_START, "timestamp", mandatory=True),
    Column(CAPACITY_RESERVATION_ID, "string", since="1.1"),
    Column(CAPACITY_RESERVATION_STATUS, "string", since="1.1", allowed=("Used", "Unused")),
    Column(CHARGE_CATEGORY, "string", mandatory=True, allowed=("Usage", "Purchase", "Tax", "Credit", "Adjustment")),
    Column(CHARGE_CLASS, "string", mandatory=True, allowed=("Correction",)),
    Column(CHARGE_DESCRIPTION, "string", mandatory=True),
    Column(CHARGE_FREQUENCY, "string", allowed=("One-Time", "Recurring", "Usage-Based")),
    Column(CHARGE_END, "timestamp", mandatory=True),
    Column(CHARGE_START, "timestamp", mandatory=True),
    Column(COMMITMENT_DISCOUNT_CATEGORY, "string", allowed=("Spend", "Usage")),
    Column(COMMITMENT_DISCOUNT_ID, "string"),
    Column(COMMITMENT_DISCOUNT_NAME, "string"),
    Column(COMMITMENT_DISCOUNT_QUANTITY, "decimal", since="1.1"),
    Column(COMMITMENT_DISCOUNT_STATUS, "string", allowed=("Used", "Unused")),
    Column(COMMITMENT_DISCOUNT_TYPE, "string"),
    Column(COMMITMENT_DISCOUNT_UNIT, "string", since="1.1"),
    Column(CONSUMED_QUANTITY, "decimal"),
    Column(CONSUMED_UNIT, "string"),
    Column(CONTRACT_APPLIED, "json", since="1.3"),
    Column(CONTRACTED_COST, "decimal", mandatory=True),
    Column(CONTRACTED_UNIT_PRICE, "decimal"),
    Column(EFFECTIVE_COST, "decimal", mandatory=True),
    Column(HOST_PROVIDER_NAME, "string", since="1.3", mandatory=True),
    Column(INVOICE_ID, "string", since="1.2"),
    Column(INVOICE_ISSUER_NAME, "string", mandatory=True),
    Column(LIST_COST, "decimal", mandatory=True),
    Column(LIST_UNIT_PRICE, "decimal"),
    Column(PRICING_CATEGORY, "string", allowed=("Standard", "Dynamic", "Committed", "Other")),
    Column(PRICING_CURRENCY, "string", since="1.2"),
    Column(PRICING_CURRENCY_CONTRACTED_UNIT_PRICE, "decimal", since="1.2"),
    Column(PRICING_CURRENCY_EFFECTIVE_COST, "decimal", since="1.2"),
    Column(PRICING_CURRENCY_LIST_UNIT_PRICE, "decimal", since="1.2"),
    Column(PRICING_QUANTITY, "decimal", mandatory=True),
    Column(PRICING_UNIT, "string", mandatory=True),
    Column(PROVIDER_NAME, "string", mandatory=True, deprecated="1.3"),
    Column(PUBLISHER_NAME, "string", mandatory=True, deprecated="1.3"),
    Column(REGION_ID, "string"),
    Column(REGION_NAME, "string"),
    Column(RESOURCE_ID, "string"),
    Column(RESOURCE_NAME, "string"),
    Column(RESOURCE_TYPE, "string"),
    Column(SERVICE_CATEGORY, "string", mandatory=True),
    Column(SERVICE_NAME, "string", mandatory=True),
    Column(SERVICE_PROVIDER_NAME, "string", since="1.3", mandatory=True),
    Column(SERVICE_SUBCATEGORY, "string", since="1.1"),
    Column(SKU_ID, "string"),
    Column(SKU_METER, "string", since="1.1"),
    Column(SKU_PRICE_DETAILS, "json", since="1.1"),
    Column(SKU_PRICE_ID, "string"),
    Column(SUB_ACCOUNT_ID, "string"),
    Column(SUB_ACCOUNT_NAME, "string"),
    Column(SUB_ACCOUNT_TYPE, "string", since="1.2"),
    Column(TAGS, "json"),
)
"""The 65 columns of FOCUS 1.3 in alphabetical order, as the specification lists them."""

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

SUBSTITUTES: Mapping[str, str] = {PROVIDER_NAME: SERVICE_PROVIDER_NAME}
"""Required columns that a later version replaces, and the column that says the same there: a reader fills the one from the other."""

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
    """Columns that the specification demands of every dataset of the version of `names`, and we can count rows without.

    A column that this version advises against is not missed.
    """
    present = set(names)
    version = version_of(present)
    demanded = [column for column in columns_of(version) if column.mandatory and not _is_deprecated(column, version)]
    return tuple(column.name for column in demanded if column.name not in present and column.name not in REQUIRED)


def _is_deprecated(column: Column, version: str) -> bool:
    return column.deprecated is not None and VERSIONS.index(column.deprecated) <= VERSIONS.index(version)
