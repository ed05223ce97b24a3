"""AWS Cost and Usage Reports: legacy CUR (`lineItem/UsageStartDate`), its Athena and Parquet spelling, and CUR 2.0 with its map columns.

**BilledCost** is `lineItem/UnblendedCost`. Where the file has the `discount` columns of CUR 2.0, discounts are inside the rows and the
unblended cost is before them; then it is `line_item_net_unblended_cost` where that is filled, and discount line items count only with
their net cost (none where it is empty), for their amount is already in the rows that they discount. In all other files discounts are
line items of their own, and net columns would count them twice or not at all; they are kept as `x_net_unblended_cost` only.

**EffectiveCost** follows the published amortisation rules:

    DiscountedUsage            reservation/EffectiveCost
    RIFee                      the unused part: UnusedAmortizedUpfrontFeeForBillingPeriod + UnusedRecurringFee
    Fee with a reservation     0, for it is spread over the rows above
    SavingsPlanCoveredUsage    savingsPlan/SavingsPlanEffectiveCost
    SavingsPlanRecurringFee    the unused part: TotalCommitmentToDate - UsedCommitment
    SavingsPlanUpfrontFee      0
    SavingsPlanNegation        0
    all others                 as billed

Where the vendor's amortised column is not in the file, or empty in the row, the row is effective as billed: cash instead of money lost.
In files with discounts inside the rows the net amortised columns come first, and the unused part of a savings plan is taken at the net
share of its fee, since no net column says it.

Billed covered usage is its on-demand cost and the negation takes it back, as the invoice does; together they are 0, and a team's billed
cost without its negation rows (they carry no tags) is too high. Totals are the vendor's own. Children of split cost allocation have no
cost of their own (`x_split_cost` has the share); they count as 0.

Kinds: fees are purchases (recurring for RIFee, SavingsPlanRecurringFee and flat rates, else one-time), discounts of all kinds are
adjustments by usage, a refund is an adjustment that corrects an earlier bill. A line item type that says none of this is not guessed:
its row is refused. A charge without a length, as one-time fees have, lasts an hour, the finest step of a report; an end at the last
second of an hour is the next full hour.

Tags lose the prefix `user:` (`user_`), which says only that a customer made them; `aws:` stays. An AI model is named where the product
(`… (Amazon Bedrock Edition)`), the product's attribute `model` or the usage type (`USE1-NovaPro-input-tokens`) names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.formats.aws_words import AI_CODES, CATEGORIES, CHARGES, DISCOUNTS
from forecast.adapters.formats.base import Reading, has_all, tags_sql
from forecast.adapters.formats.cloud_sql import Given, amount, cases, computed, dated_rows, extracted, moment_text, object_text, one_of
from forecast.spend import focus

_BEDROCK_MODEL = (
    r"^(?:[A-Z]{2,4}[0-9]{0,2}-)?([A-Za-z0-9][A-Za-z0-9.\-]*?)(?:-mantle)?-(?i:input|output|cache|customization|t2i|i2i|batch|provisioned|modelunit)"
)
_MARKETPLACE_MODEL = r"(?i)^(.*?) \(Amazon Bedrock Edition\)"
_INSTANCE = r":((?:ml\.)?[a-z][a-z0-9\-]*\.[a-z0-9\-]+)$"
_TOKEN_KIND = (
    ("cached input", r"(?i)cache-?_?read"),
    ("cache write", r"(?i)cache-?_?write"),
    ("input", r"(?i)input"),
    ("output", r"(?i)output|response"),
)


_READING = Reading("replace")
_DATES: Mapping[str, str] = {
    "lineItem/UsageStartDate": focus.CHARGE_START,
    "lineItem/UsageEndDate": focus.CHARGE_END,
    "bill/BillingPeriodStartDate": focus.BILLING_START,
    "bill/BillingPeriodEndDate": focus.BILLING_END,
}


@dataclass(frozen=True)
class AwsCostAndUsageReport:
    name: str = "aws-cur"
    title: str = "AWS Cost and Usage Report (legacy, Athena spelling, CUR 2.0)"
    looks_for: str = "the columns lineItem/LineItemType and lineItem/UnblendedCost, or line_item_line_item_type and line_item_unblended_cost"
    reading: Reading = _READING

    def recognise(self, sample: Sample) -> str | None:
        """A report is known by two columns that no other bill has; both spellings are AWS's own."""
        if has_all(sample.columns, "lineItem/LineItemType", "lineItem/UnblendedCost"):
            return "has the columns lineItem/LineItemType and lineItem/UnblendedCost of a Cost and Usage Report"
        if has_all(sample.columns, "line_item_line_item_type", "line_item_unblended_cost"):
            nested = any(name.lower() in ("product", "resource_tags") for name in sample.columns)
            which = "CUR 2.0 (it has map columns)" if nested else "a Cost and Usage Report in Athena's spelling"
            return f"has the columns line_item_line_item_type and line_item_unblended_cost of {which}"
        return None

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        dates = {spelling: column for name, column in _DATES.items() for spelling in (name, snake(name))}
        return dated_rows(connection, table_rows(connection, file), dates)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SQL for every FOCUS column that a report can fill; `x_line_item_type` keeps AWS's own kind."""
        report = _Report(Given(rows))
        return {
            **_costs(report),
            **_charge(report),
            **_accounts(report),
            **_product(report),
            **_commitments(report),
            **_additions(report),
        }


@dataclass(frozen=True)
class _Report:
    """Columns by their legacy name; Athena's spelling of it and, for products, the map of CUR 2.0 are looked at too."""

    given: Given

    def text(self, *names: str) -> str:
        return self.given.text(*(spelling for name in names for spelling in (name, snake(name))))

    def amount(self, *names: str) -> str:
        return self.given.amount(*(spelling for name in names for spelling in (name, snake(name))))

    def has(self, name: str) -> bool:
        return self.given.has(name, snake(name))

    def product(self, *names: str) -> str:
        """An attribute of the product, as a column or as a key of the map `product`."""
        columns = self.text(*(f"product/{name}" for name in names))
        if not self.given.has("product"):
            return columns
        keys = [f"nullif(trim({self.given.pairs('product')}[{quoted_text(key)}]), '')" for key in dict.fromkeys(snake(name) for name in names)]
        return f"coalesce({', '.join([columns, *keys])})"

    @property
    def line_item_type(self) -> str:
        return self.text("lineItem/LineItemType")

    def is_type(self, *names: str) -> str:
        return one_of(self.line_item_type, *names)

    @property
    def usage_type(self) -> str:
        return self.text("lineItem/UsageType")

    @property
    def discounts_inside_rows(self) -> bool:
        inside = self.given.has("discount", "discount_total_discount", "discount/TotalDiscount")
        return inside and self.has("lineItem/NetUnblendedCost")


def snake(name: str) -> str:
    """A column's name in Athena and Parquet: `savingsPlan/SavingsPlanARN` is `savings_plan_savings_plan_a_r_n`."""
    return re.sub(r"_+", "_", re.sub(r"([A-Z])", r"_\1", name.replace("/", "_").replace(":", "_"))).strip("_").lower()


def _costs(report: _Report) -> dict[str, str]:
    billed = _billed(report)
    covered, plain = report.is_type("SavingsPlanCoveredUsage", "DiscountedUsage"), report.is_type("Usage", "SavingsPlanCoveredUsage")
    return {
        focus.BILLED_COST: billed,
        focus.EFFECTIVE_COST: _effective(report, billed),
        focus.LIST_COST: f"CASE WHEN {covered} OR {plain} THEN {report.text('pricing/publicOnDemandCost')} END",
        focus.CONTRACTED_COST: f"CASE WHEN {plain} THEN {report.text('lineItem/UnblendedCost')} END",
        focus.BILLING_CURRENCY: report.text("lineItem/CurrencyCode"),
        focus.LIST_UNIT_PRICE: report.text("pricing/publicOnDemandRate"),
        focus.CONTRACTED_UNIT_PRICE: f"CASE WHEN {plain} THEN {report.text('lineItem/UnblendedRate')} END",
    }


def _billed(report: _Report) -> str:
    unblended = report.text("lineItem/UnblendedCost")
    if report.has("splitLineItem/ParentResourceId"):
        unblended = f"coalesce({unblended}, CASE WHEN {report.text('splitLineItem/ParentResourceId')} IS NOT NULL THEN '0' END)"
    if not report.discounts_inside_rows:
        return unblended
    net = report.text("lineItem/NetUnblendedCost")
    return f"CASE WHEN {report.is_type(*DISCOUNTS)} THEN coalesce({net}, '0') ELSE coalesce({net}, {unblended}) END"


def _effective(report: _Report, billed: str) -> str:
    """CASE over the line item types; each amortised value falls back to what is billed."""

    def amortised(gross: str, net: str) -> str:
        return report.text(net, gross) if report.discounts_inside_rows else report.text(gross)

    unused_upfront = amortised("reservation/UnusedAmortizedUpfrontFeeForBillingPeriod", "reservation/NetUnusedAmortizedUpfrontFeeForBillingPeriod")
    unused_recurring = amortised("reservation/UnusedRecurringFee", "reservation/NetUnusedRecurringFee")
    unused_reservation = (
        f"CASE WHEN coalesce({unused_upfront}, {unused_recurring}) IS NOT NULL THEN "
        f"{computed(f'coalesce({amount(unused_upfront)}, 0) + coalesce({amount(unused_recurring)}, 0)', unused_upfront, unused_recurring)} END"
    )
    when = {
        report.is_type("DiscountedUsage"): amortised(f"reservation/{focus.EFFECTIVE_COST}", "reservation/NetEffectiveCost"),
        report.is_type("RIFee"): unused_reservation,
        report.is_type("SavingsPlanCoveredUsage"): amortised("savingsPlan/SavingsPlanEffectiveCost", "savingsPlan/NetSavingsPlanEffectiveCost"),
        report.is_type("SavingsPlanRecurringFee"): _unused_plan(report),
    }
    if report.has("savingsPlan/SavingsPlanEffectiveCost"):
        when[report.is_type("SavingsPlanNegation", "SavingsPlanUpfrontFee")] = "'0'"
    if report.has("reservation/UnusedAmortizedUpfrontFeeForBillingPeriod"):
        when[f"({report.is_type('Fee')} AND {_reservation(report)} IS NOT NULL)"] = "'0'"
    branches = " ".join(f"WHEN {condition} THEN coalesce({value}, {billed})" for condition, value in when.items())
    return f"CASE {branches} ELSE {billed} END"


def _unused_plan(report: _Report) -> str:
    """The part of a savings plan's fee that no usage took; null where the file does not say."""
    total, used = report.text("savingsPlan/TotalCommitmentToDate"), report.text("savingsPlan/UsedCommitment")
    unused = f"({amount(total)} - coalesce({amount(used)}, 0))"
    if not report.discounts_inside_rows:
        return computed(unused, total, used)
    upfront, recurring = "savingsPlan/{}AmortizedUpfrontCommitmentForBillingPeriod", "savingsPlan/{}RecurringCommitmentForBillingPeriod"
    net, gross = (
        f"(coalesce({report.amount(upfront.format(kind))}, 0) + coalesce({report.amount(recurring.format(kind))}, 0))" for kind in ("Net", "")
    )
    said = f"{report.text(upfront.format('Net'), recurring.format('Net'))} IS NOT NULL"
    share = f"CAST(CAST({unused} AS DOUBLE) * CAST({net} AS DOUBLE) / CAST({gross} AS DOUBLE) AS DECIMAL(38, 12))"
    return computed(f"CASE WHEN {said} AND {gross} <> 0 AND {net} <> {gross} THEN {share} ELSE {unused} END", total, used)


def _reservation(report: _Report) -> str:
    return report.text("reservation/ReservationARN")


def _charge(report: _Report) -> dict[str, str]:
    kind = report.line_item_type
    start, end = (report.text(f"lineItem/Usage{which}Date") for which in ("Start", "End"))
    begins, ends = (report.given.moment(f"lineItem/Usage{which}Date", f"line_item_usage_{which.lower()}_date") for which in ("Start", "End"))
    whole = f"CASE WHEN second({ends}) = 59 THEN {ends} + INTERVAL 1 SECOND ELSE {ends} END"
    return {
        focus.CHARGE_CATEGORY: cases(kind, {name: charge[0] for name, charge in CHARGES.items()}, kind),
        focus.CHARGE_CLASS: cases(kind, {name: charge[1] for name, charge in CHARGES.items()}),
        focus.CHARGE_FREQUENCY: cases(kind, {name: charge[2] for name, charge in CHARGES.items()}),
        focus.CHARGE_DESCRIPTION: report.text("lineItem/LineItemDescription"),
        focus.CHARGE_START: moment_text(begins, start),
        focus.CHARGE_END: moment_text(f"CASE WHEN {ends} > {begins} THEN {whole} WHEN {ends} = {begins} THEN {begins} + INTERVAL 1 HOUR END", end),
        focus.BILLING_START: report.text("bill/BillingPeriodStartDate"),
        focus.BILLING_END: report.text("bill/BillingPeriodEndDate"),
        focus.CONSUMED_QUANTITY: f"CASE WHEN {_is_usage(report)} THEN {report.text('lineItem/UsageAmount')} END",
        focus.CONSUMED_UNIT: f"CASE WHEN {_is_usage(report)} THEN {report.text('pricing/unit')} END",
        focus.PRICING_QUANTITY: report.text("lineItem/UsageAmount"),
        focus.PRICING_UNIT: report.text("pricing/unit"),
        focus.PRICING_CATEGORY: f"CASE WHEN {report.is_type('DiscountedUsage', 'SavingsPlanCoveredUsage')} THEN 'Committed' "
        f"WHEN {one_of(report.text('pricing/term'), 'Spot')} OR contains({report.usage_type}, 'SpotUsage') THEN 'Dynamic' "
        f"WHEN {report.is_type('Usage')} THEN 'Standard' END",
    }


def _is_usage(report: _Report) -> str:
    return report.is_type("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")


def _accounts(report: _Report) -> dict[str, str]:
    account = report.text("lineItem/UsageAccountId")
    return {
        focus.BILLING_ACCOUNT_ID: report.text("bill/PayerAccountId"),
        focus.BILLING_ACCOUNT_NAME: report.text("bill/PayerAccountName"),
        focus.SUB_ACCOUNT_ID: account,
        focus.SUB_ACCOUNT_NAME: report.text("lineItem/UsageAccountName"),
        focus.SUB_ACCOUNT_TYPE: f"CASE WHEN {account} IS NOT NULL THEN 'Account' END",
        focus.INVOICE_ID: report.text(f"bill/{focus.INVOICE_ID}"),
        focus.INVOICE_ISSUER_NAME: report.text("bill/InvoicingEntity"),
        focus.PROVIDER_NAME: "'AWS'",
        focus.PUBLISHER_NAME: report.text("lineItem/LegalEntity"),
    }


def _product(report: _Report) -> dict[str, str]:
    code, named = report.text("lineItem/ProductCode"), report.product("ProductName")
    is_ai = (
        f"(regexp_matches(coalesce({code}, ''), {quoted_text(AI_CODES)}) OR regexp_matches(coalesce({named}, ''), '(?i)amazon (bedrock|sagemaker)'))"
    )
    model = _model(report, code, named)
    details = {"ModelId": model, "TokenType": f"CASE WHEN {model} IS NOT NULL THEN {_token_kind(report)} END", "InstanceType": _instance_type(report)}
    return {
        focus.SERVICE_NAME: f"coalesce({named}, {report.product('servicename', 'servicecode')}, {code})",
        focus.SERVICE_CATEGORY: f"CASE WHEN {is_ai} THEN 'AI and Machine Learning' ELSE {cases(code, CATEGORIES)} END",
        focus.REGION_ID: report.product("regionCode", "region"),
        focus.REGION_NAME: report.product("location"),
        focus.AVAILABILITY_ZONE: report.text(f"lineItem/{focus.AVAILABILITY_ZONE}"),
        focus.RESOURCE_ID: report.text(f"lineItem/{focus.RESOURCE_ID}"),
        focus.RESOURCE_TYPE: report.product("productFamily"),
        focus.SKU_ID: report.product("sku"),
        focus.SKU_METER: report.usage_type,
        focus.SKU_PRICE_ID: report.text("pricing/RateCode", "pricing/RateId"),
        focus.SKU_PRICE_DETAILS: tags_sql(details),
        focus.TAGS: _tags(report),
    }


def _model(report: _Report, code: str, named: str) -> str:
    usage_type = report.usage_type
    from_usage = extracted(usage_type, _BEDROCK_MODEL)
    is_bedrock = f"(coalesce({code}, '') ILIKE 'amazonbedrock%' AND NOT contains(coalesce({usage_type}, ''), 'MP:'))"
    return (
        f"coalesce({extracted(named, _MARKETPLACE_MODEL)}, "
        f"CASE WHEN coalesce({code}, '') ILIKE 'amazonbedrock%' THEN {report.product('model')} END, "
        f"CASE WHEN {is_bedrock} THEN {from_usage} END)"
    )


def _token_kind(report: _Report) -> str:
    found = " ".join(f"WHEN regexp_matches({report.usage_type}, {quoted_text(pattern)}) THEN {quoted_text(kind)}" for kind, pattern in _TOKEN_KIND)
    return f"CASE {found} END"


def _instance_type(report: _Report) -> str:
    return f"coalesce({report.product('instanceType')}, {extracted(report.usage_type, _INSTANCE)})"


def _tags(report: _Report) -> str:
    """One JSON object from a column for each tag, or from the map of CUR 2.0."""
    given = report.given
    if given.has("resource_tags"):
        return object_text(given.pairs("resource_tags"), "^user[_:]")
    return _columns_under(given, "resourceTags/", "resource_tags_", "user")


def _columns_under(given: Given, legacy: str, athena: str, dropped: str = "") -> str:
    """JSON text of the columns with a prefix, under the rest of their names."""
    found: dict[str, str] = {}
    for name, reference in zip(given.rows.names, (f"c{place}" for place in range(len(given.rows.names))), strict=True):
        prefix = next((prefix for prefix in (legacy, athena) if name.lower().startswith(prefix.lower())), None)
        if prefix is not None:
            key = name[len(prefix) :]
            found[re.sub(f"^{dropped}[:_]", "", key) if dropped else key] = reference
    return tags_sql(found)


def _commitments(report: _Report) -> dict[str, str]:
    plan, reservation = report.text("savingsPlan/SavingsPlanARN"), _reservation(report)
    reserved = report.text(f"capacityReservation/{focus.CAPACITY_RESERVATION_STATUS}")
    return {
        focus.COMMITMENT_DISCOUNT_ID: f"coalesce({plan}, {reservation})",
        focus.COMMITMENT_DISCOUNT_TYPE: f"CASE WHEN {plan} IS NOT NULL THEN coalesce({report.text('savingsPlan/OfferingType')}, 'Savings Plan') "
        f"WHEN {reservation} IS NOT NULL THEN 'Reservation' END",
        focus.COMMITMENT_DISCOUNT_CATEGORY: f"CASE WHEN {plan} IS NOT NULL THEN 'Spend' WHEN {reservation} IS NOT NULL THEN 'Usage' END",
        focus.COMMITMENT_DISCOUNT_STATUS: f"CASE WHEN {report.is_type('DiscountedUsage', 'SavingsPlanCoveredUsage')} THEN 'Used' END",
        focus.CAPACITY_RESERVATION_ID: report.text("capacityReservation/CapacityReservationArn"),
        focus.CAPACITY_RESERVATION_STATUS: cases(reserved, {"used": "Used", "unused": "Unused"}),
    }


def _additions(report: _Report) -> dict[str, str]:
    given = report.given
    categories = object_text(given.pairs("cost_category")) if given.has("cost_category") else _columns_under(given, "costCategory/", "cost_category_")
    found = {
        "x_line_item_id": report.text("identity/LineItemId"),
        "x_line_item_type": report.line_item_type,
        "x_operation": report.text("lineItem/Operation"),
        "x_product_code": report.text("lineItem/ProductCode"),
        "x_billing_entity": report.text("bill/BillingEntity"),
        "x_bill_type": report.text("bill/BillType"),
        "x_instance_type": _instance_type(report),
        "x_net_unblended_cost": report.text("lineItem/NetUnblendedCost"),
        "x_unblended_cost": report.text("lineItem/UnblendedCost") if report.discounts_inside_rows else "",
        "x_discount": _DISCOUNT_TEXT.format(json=given.json("discount")) if given.has("discount") else "",
        "x_cost_categories": categories,
        "x_split_parent_resource_id": report.text("splitLineItem/ParentResourceId"),
        "x_split_cost": report.text("splitLineItem/SplitCost"),
    }
    absent = "CAST(NULL AS VARCHAR)"
    return {name: sql for name, sql in found.items() if sql not in ("", absent)}


_DISCOUNT_TEXT = "nullif(CAST({json} AS VARCHAR), '{{}}')"

AWS_CUR = AwsCostAndUsageReport()
