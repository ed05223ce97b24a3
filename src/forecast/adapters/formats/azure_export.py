"""Azure cost and usage details: the columns of Enterprise Agreements, Customer Agreements and pay-as-you-go, actual and amortised files.

Azure writes two files of one month with the same columns. An **actual** one is what is invoiced: reservations and savings plans are bought
in it, and usage that they cover costs nothing. An **amortised** one leaves those purchases out, gives covered usage its share of them, and
has rows of their unused part. No row of one file says what it costs in the other, so one file alone gives both columns like this:

    row                                          from        BilledCost   EffectiveCost
    nothing to do with a commitment              either      cost         cost           the two are equal by definition
    unused part of a commitment                  amortised   0            cost
    usage covered by a commitment                amortised   0            cost           no such row is invoiced
    usage covered by a commitment                actual      0            0              its cost in the file is 0
    purchase or refund of a commitment           actual      cost         cost           not spread: cash, so that no money is lost

So an amortised file gives EffectiveCost exactly and BilledCost without the purchases, which it does not have; an actual file gives
BilledCost exactly and EffectiveCost on a cash basis. Rows that a commitment touches say in `x_incomplete_cost` which column is meant.
Which file a row is from need not be known: the rows above tell themselves apart.

Ingest one of the two for a month, never both as they are: uncovered usage is in both. To have both columns exactly, ingest the amortised
export, and then the actual one with `--format azure-commitments`, which is a source of its own: that takes only purchases and refunds of
commitments out of it, with EffectiveCost 0. Together the sums of both columns are those of the two files.

Days are written M/D/YYYY (also YYYY-MM-DD and YYYYMMDD); a charge lasts its day. Azure's billing period ends on its last day, FOCUS's on
the day after. Without billing period columns it is the calendar month. A refund is a purchase with ChargeClass Correction, as in
Microsoft's own FOCUS export. Region ids are in lower case without blanks, for Azure writes `CentralUS` and `centralus` in one file.
ListCost is the pay-as-you-go price (`PayGPrice`), ContractedCost the agreed price (`UnitPrice`), each times quantity, and only where
pricing and billing currency are the same or the file has the rate. The AI model of Azure OpenAI is the meter's name up to the kind of
token (`gpt-4o-0806-Inp-glbl Tokens` is `gpt-4o-0806`), as Azure writes it: newer meters shorten it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.formats.base import Reading, has_all, tags_sql
from forecast.adapters.formats.cloud_sql import NO_TEXT, Given, cases, extracted, moment, moment_text, month_start, one_of, product
from forecast.spend import focus

_COST = ("CostInBillingCurrency", "Cost", "PreTaxCost")
_CURRENCY = (focus.BILLING_CURRENCY, "BillingCurrencyCode", "Currency")
_CHARGE_CATEGORIES: Mapping[str, str | None] = {
    "usage": "Usage",
    "unusedreservation": "Usage",
    "unusedsavingsplan": "Usage",
    "purchase": "Purchase",
    "refund": "Purchase",
    "tax": "Tax",
    "roundingadjustment": "Adjustment",
}
_FREQUENCIES: Mapping[str, str | None] = {"onetime": "One-Time", "recurring": "Recurring", "usagebased": "Usage-Based"}
_PRICING: Mapping[str, str | None] = {"ondemand": "Standard", "spot": "Dynamic", "reservation": "Committed", "savingsplan": "Committed"}
_CATEGORIES: Mapping[str, str | None] = {
    "ai + machine learning": "AI and Machine Learning",
    "analytics": "Analytics",
    "compute": "Compute",
    "containers": "Compute",
    "databases": "Databases",
    "developer tools": "Developer Tools",
    "integration": "Integration",
    "internet of things": "Internet of Things",
    "management and governance": "Management and Governance",
    "networking": "Networking",
    "security": "Security",
    "storage": "Storage",
    "web": "Web",
}
_AI_METERS = (
    "azure openai",
    "azure openai service",
    "cognitive services",
    "foundry models",
    "foundry tools",
    "azure machine learning",
    "azure applied ai services",
    "azure cognitive search",
    "azure ai search",
    "azure bot service",
    "machine learning studio",
)
_SERVICE_NAMES = ("MeterCategory", "ConsumedService", "ProductOrderName", "ProductName", "Product", "PlanName", focus.PUBLISHER_NAME)
_BEFORE_TOKENS = (
    r"(?i)^(.+?)(?:[ -]+(?:batch|c+hd|cc+hd|cached|cd|pp|ft|dev|data zone|dzone|dz|glbl|gl|regnl|rg))*"
    r"[ -]+(?:inp|input|out|outp|output|opt|in|prompt|completion)(?:[ -]|$)"
)
_BEFORE_SCOPE = r"(?i)^(.+?)(?:[ -]+(?:glbl|global|gl|regnl|regional|rg|dzone|data zone|dz))?(?:[ -]+1[km])?[ -]+tokens$"
_TOKEN_KINDS = (
    ("cached input", r"(?i)[ -](c+hd|cached|cd)[ -]"),
    ("input", r"(?i)[ -](inp|input|in|prompt)([ -]|$)"),
    ("output", r"(?i)[ -](out|outp|output|opt|completion)([ -]|$)"),
)


_READING = Reading("replace")


@dataclass(frozen=True)
class AzureCostExport:
    """commitments_only : of an actual export, only what an amortised one lacks: purchases and refunds of reservations and savings plans."""

    name: str = "azure"
    title: str = "Azure cost and usage details (EA, MCA, pay-as-you-go; actual or amortised)"
    looks_for: str = "the columns MeterCategory, MeterId, ChargeType (or OfferId) and CostInBillingCurrency, Cost or PreTaxCost"
    reading: Reading = _READING
    commitments_only: bool = False

    def recognise(self, sample: Sample) -> str | None:
        """By meter and cost columns. Azure's FOCUS export has neither under these names."""
        names = sample.columns
        if self.commitments_only or has_all(names, focus.BILLED_COST) or not has_all(names, "MeterCategory", "MeterId"):
            return None
        cost = next((name for name in _COST if has_all(names, name)), None)
        if cost is None or not (has_all(names, "ChargeType") or has_all(names, "OfferId")):
            return None
        agreement = "a Customer Agreement" if has_all(names, "billingProfileId", "servicePeriodStartDate") else "an Enterprise Agreement or alike"
        unused = any(mark in sample.text for mark in ("UnusedReservation", "UnusedSavingsPlan"))
        seen = "; it begins with unused commitments, so it is an amortised one" if unused else ""
        return f"has the columns MeterCategory, MeterId and {cost} of an Azure cost export of {agreement}{seen}"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        rows = table_rows(connection, file)
        if not self.commitments_only:
            return rows
        given = Given(rows)
        return replace(rows, sql=f"SELECT * FROM ({rows.sql}) WHERE {_is_commitment(given)} AND {one_of(given.text('ChargeType'), *_BOUGHT)}")

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SQL for every FOCUS column that the file's agreement fills; the table in the module's docstring gives the costs."""
        given = Given(rows)
        return {
            **_costs(given, self.commitments_only),
            **_charge(given),
            **_accounts(given),
            **_product(given),
            **_commitments(given),
            **({} if self.commitments_only else {"x_incomplete_cost": _incomplete(given)}),
            **_additions(given),
        }


_BOUGHT = ("Purchase", "Refund")
_UNUSED = ("UnusedReservation", "UnusedSavingsPlan")


def _benefit(given: Given) -> str:
    return given.text("benefitId", "ReservationId")


def _is_commitment(given: Given) -> str:
    by_model = one_of(given.text("PricingModel"), "Reservation", "SavingsPlan")
    return f"({_benefit(given)} IS NOT NULL OR {by_model} OR {one_of(given.text('ChargeType'), *_UNUSED)})"


def _costs(given: Given, commitments_only: bool) -> dict[str, str]:
    cost, kind = given.text(*_COST), given.text("ChargeType")
    covered = f"({_is_commitment(given)} AND {one_of(kind, 'Usage', *_UNUSED)})"
    usage = one_of(kind, "Usage") if given.has("ChargeType") else "true"
    quantity, rate = given.amount("Quantity", "UsageQuantity"), _rate(given)
    list_price, agreed_price = (f"({given.amount(name)} * {rate})" for name in ("PayGPrice", "UnitPrice"))
    readable = f"{given.amount(*_COST)} IS NOT NULL"
    return {
        # An unreadable cost stays as it is, for quarantine to name.
        focus.BILLED_COST: f"CASE WHEN {covered} AND {readable} THEN '0' ELSE {cost} END",
        focus.EFFECTIVE_COST: f"CASE WHEN {readable} THEN '0' ELSE {cost} END" if commitments_only else cost,
        focus.LIST_COST: f"CASE WHEN {usage} THEN coalesce({given.amount('paygCostInBillingCurrency')}, {product(list_price, quantity)}) END",
        focus.CONTRACTED_COST: f"CASE WHEN {usage} THEN {product(agreed_price, quantity)} END",
        focus.BILLING_CURRENCY: given.text(*_CURRENCY),
        focus.PRICING_CURRENCY: given.text("pricingCurrency", "PricingCurrencyCode"),
    }


def _rate(given: Given) -> str:
    """From pricing to billing currency: 1 where the file has one currency, null where it has two and no rate."""
    pricing, billing = given.text("pricingCurrency", "PricingCurrencyCode"), given.text(*_CURRENCY)
    stated = given.amount("exchangeRatePricingToBilling", "exchangeRate")
    return f"CAST(CASE WHEN {pricing} IS NULL OR {pricing} = {billing} THEN 1 ELSE {stated} END AS DOUBLE)"


def _charge(given: Given) -> dict[str, str]:
    kind, day_text, day = (
        given.text("ChargeType"),
        given.text("Date", "UsageDateTime", "UsageDate"),
        given.moment("Date", "UsageDateTime", "UsageDate", slashed="mdy"),
    )
    start_text, end_text = (given.text(f"BillingPeriod{which}Date", f"BillingPeriod{which}") for which in ("Start", "End"))
    start = f"CASE WHEN {start_text} IS NULL THEN {month_start(day)} ELSE {moment(start_text, 'mdy')} END"
    end = f"CASE WHEN {end_text} IS NULL THEN {month_start(day)} + INTERVAL 1 MONTH ELSE {moment(end_text, 'mdy')} + INTERVAL 1 DAY END"
    frequency = cases(given.text("Frequency"), _FREQUENCIES)
    # Files of pay-as-you-go subscriptions without the column hold usage only.
    category = cases(kind, _CHARGE_CATEGORIES, kind) if given.has("ChargeType") else "'Usage'"
    return {
        focus.CHARGE_CATEGORY: category,
        focus.CHARGE_CLASS: f"CASE WHEN {one_of(kind, 'Refund')} THEN 'Correction' END",
        focus.CHARGE_FREQUENCY: f"CASE WHEN {one_of(kind, *_UNUSED)} THEN 'Usage-Based' "
        f"WHEN {one_of(kind, 'Refund')} THEN 'One-Time' ELSE {frequency} END",
        focus.CHARGE_DESCRIPTION: given.text("ProductName", "Product", "MeterName"),
        focus.CHARGE_START: moment_text(f"date_trunc('day', {day})", day_text),
        focus.CHARGE_END: moment_text(f"date_trunc('day', {day}) + INTERVAL 1 DAY", day_text),
        focus.BILLING_START: moment_text(start, start_text),
        focus.BILLING_END: moment_text(end, end_text),
        focus.PRICING_QUANTITY: given.text("Quantity", "UsageQuantity"),
        focus.PRICING_UNIT: given.text("UnitOfMeasure"),
        focus.CONSUMED_QUANTITY: f"CASE WHEN {one_of(kind, 'Usage')} THEN {given.text('Quantity', 'UsageQuantity')} END",
        focus.CONSUMED_UNIT: f"CASE WHEN {one_of(kind, 'Usage')} THEN {given.text('UnitOfMeasure')} END",
        focus.PRICING_CATEGORY: cases(given.text("PricingModel"), _PRICING),
        focus.CONTRACTED_UNIT_PRICE: given.text("UnitPrice"),
        focus.LIST_UNIT_PRICE: given.text("PayGPrice"),
    }


def _accounts(given: Given) -> dict[str, str]:
    publisher = given.text(focus.PUBLISHER_NAME)
    own = one_of(given.text("PublisherType"), "Azure", "Microsoft")
    return {
        focus.BILLING_ACCOUNT_ID: given.text(focus.BILLING_ACCOUNT_ID),
        focus.BILLING_ACCOUNT_NAME: given.text(focus.BILLING_ACCOUNT_NAME),
        focus.SUB_ACCOUNT_ID: given.text("SubscriptionId", "SubscriptionGuid"),
        focus.SUB_ACCOUNT_NAME: given.text("SubscriptionName"),
        focus.SUB_ACCOUNT_TYPE: f"CASE WHEN {given.text('SubscriptionId', 'SubscriptionGuid')} IS NOT NULL THEN 'Subscription' END",
        focus.INVOICE_ID: given.text("invoiceId"),
        focus.INVOICE_ISSUER_NAME: f"coalesce({given.text('partnerName')}, 'Microsoft')",
        focus.PROVIDER_NAME: "'Microsoft'",
        focus.PUBLISHER_NAME: f"coalesce({publisher}, CASE WHEN {own} THEN 'Microsoft' END)",
    }


def _product(given: Given) -> dict[str, str]:
    category, meter = given.text("MeterCategory"), given.text("MeterName")
    is_openai = " OR ".join(f"coalesce({given.text(name)}, '') ILIKE '%openai%'" for name in ("MeterCategory", "MeterSubCategory", "ProductName"))
    is_ai = f"({one_of(category, *_AI_METERS)} OR {is_openai})"
    tokens = f"(({is_openai}) AND {meter} ILIKE '%token%')"
    model = f"CASE WHEN {tokens} THEN coalesce({extracted(meter, _BEFORE_TOKENS)}, {extracted(meter, _BEFORE_SCOPE)}) END"
    kinds = " ".join(f"WHEN regexp_matches({meter}, {quoted_text(pattern)}) THEN {quoted_text(kind)}" for kind, pattern in _TOKEN_KINDS)
    resource = given.text(focus.RESOURCE_ID, "InstanceId", "InstanceName")
    last_part = f"CASE WHEN starts_with({resource}, '/') THEN {extracted(resource, '([^/]+)$')} END"
    return {
        # Purchases and marketplace charges may have no meter.
        focus.SERVICE_NAME: given.text(*_SERVICE_NAMES),
        focus.SERVICE_CATEGORY: f"CASE WHEN {is_ai} THEN 'AI and Machine Learning' ELSE {cases(given.text('ServiceFamily'), _CATEGORIES)} END",
        focus.SERVICE_SUBCATEGORY: f"CASE WHEN {is_openai} THEN 'Generative AI' END",
        focus.REGION_ID: f"lower(replace({given.text('ResourceLocation')}, ' ', ''))",
        focus.REGION_NAME: given.text("location", "ResourceLocation"),
        focus.RESOURCE_ID: resource,
        focus.RESOURCE_NAME: f"coalesce({given.text(focus.RESOURCE_NAME)}, {last_part})",
        focus.RESOURCE_TYPE: extracted(resource, "(?i)/providers/([^/]+/[^/]+)/"),
        focus.SKU_ID: given.text("MeterId"),
        focus.SKU_METER: meter,
        focus.SKU_PRICE_ID: given.text("ProductId", "PartNumber"),
        focus.SKU_PRICE_DETAILS: tags_sql(
            {"ModelId": model, "TokenType": f"CASE WHEN {tokens} THEN CASE {kinds} END END", "InstanceType": _instance_type(given)}
        ),
        focus.TAGS: _object(given, focus.TAGS),
    }


def _object(given: Given, name: str) -> str:
    """JSON text of an object; exports of Enterprise Agreements leave the braces away. Null where it is not JSON."""
    text = given.text(name)
    braced = f"CASE WHEN starts_with({text}, '{{') THEN {text} ELSE concat('{{', {text}, '}}') END"
    return f"CASE WHEN {text} IS NOT NULL AND json_valid({braced}) THEN nullif({braced}, '{{}}') END"


def _instance_type(given: Given) -> str:
    return f"nullif(trim(TRY_CAST({_object(given, 'AdditionalInfo')} AS JSON) ->> '$.ServiceType'), '')" if given.has("AdditionalInfo") else NO_TEXT


def _commitments(given: Given) -> dict[str, str]:
    kind, model = given.text("ChargeType"), given.text("PricingModel")
    plan = f"({one_of(model, 'SavingsPlan')} OR {one_of(kind, 'UnusedSavingsPlan')} OR coalesce({given.text('benefitId')}, '') ILIKE '%savingsplan%')"
    is_commitment = _is_commitment(given)
    return {
        focus.COMMITMENT_DISCOUNT_ID: _benefit(given),
        focus.COMMITMENT_DISCOUNT_NAME: given.text("benefitName", "ReservationName"),
        focus.COMMITMENT_DISCOUNT_TYPE: f"CASE WHEN {is_commitment} THEN CASE WHEN {plan} THEN 'Savings Plan' ELSE 'Reservation' END END",
        focus.COMMITMENT_DISCOUNT_CATEGORY: f"CASE WHEN {is_commitment} THEN CASE WHEN {plan} THEN 'Spend' ELSE 'Usage' END END",
        focus.COMMITMENT_DISCOUNT_STATUS: f"CASE WHEN {one_of(kind, *_UNUSED)} THEN 'Unused' "
        f"WHEN {is_commitment} AND {one_of(kind, 'Usage')} THEN 'Used' END",
    }


def _incomplete(given: Given) -> str:
    """The column that this file does not say for a row that a commitment touches; null elsewhere."""
    kind, is_commitment = given.text("ChargeType"), _is_commitment(given)
    nothing = f"({one_of(kind, 'Usage')} AND coalesce({given.amount(*_COST)}, 1) = 0)"
    column = f"CASE WHEN {one_of(kind, *_BOUGHT)} OR {nothing} THEN '{focus.EFFECTIVE_COST}' ELSE '{focus.BILLED_COST}' END"
    return f"CASE WHEN {is_commitment} THEN {column} END"


def _additions(given: Given) -> dict[str, str]:
    found = {
        "x_charge_type": given.text("ChargeType"),
        "x_pricing_model": given.text("PricingModel"),
        "x_effective_price": given.text("EffectivePrice"),
        "x_meter_category": given.text("MeterCategory"),
        "x_meter_subcategory": given.text("MeterSubCategory"),
        "x_product_id": given.text("ProductId"),
        "x_resource_group": given.text("ResourceGroup", "ResourceGroupName"),
        "x_invoice_section_name": given.text("InvoiceSectionName", "DepartmentName"),
        "x_billing_profile_id": given.text("BillingProfileId"),
        "x_cost_center": given.text("CostCenter"),
        "x_consumed_service": given.text("ConsumedService"),
        "x_instance_type": _instance_type(given),
        "x_term": given.text("Term"),
        "x_product_order_id": given.text("ProductOrderId"),
        "x_additional_info": _object(given, "AdditionalInfo"),
        "x_cost_allocation_rule_name": given.text("CostAllocationRuleName"),
        "x_service_period_start": given.text("servicePeriodStartDate"),
        "x_service_period_end": given.text("servicePeriodEndDate"),
        "x_previous_invoice_id": given.text("previousInvoiceId"),
        # Tags that are not JSON are kept as they are written.
        "x_tags_unread": f"CASE WHEN {_object(given, focus.TAGS)} IS NULL THEN nullif({given.text(focus.TAGS)}, '{{}}') END"
        if given.has(focus.TAGS)
        else NO_TEXT,
    }
    return {name: sql for name, sql in found.items() if sql != NO_TEXT}


AZURE_EXPORT = AzureCostExport()
AZURE_COMMITMENT_PURCHASES = AzureCostExport(
    name="azure-commitments",
    title="Azure actual cost export: only purchases and refunds of commitments, to go with an amortised export",
    looks_for="never taken by itself: --format azure-commitments asks for it",
    commitments_only=True,
)
