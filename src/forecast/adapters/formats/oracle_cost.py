"""Oracle Cloud Infrastructure cost reports: one line a resource and hour, as CSV, a few hours in each file.

**Reading.** Oracle writes a report every six hours; it holds those hours, late lines of days before, and corrections as lines of their own.
A report therefore stands for no whole day or month, and reading it as *replace* would throw away everything else of the period. Lines are
told apart by `lineItem/referenceNo` (*merge*): a file taken twice changes nothing, late lines come in, and nothing is lost. Oracle
does not promise that the two parts of a line that goes over the commitment have different numbers, so the hour and the overage flag
belong to the key too.

**Corrections** (`lineItem/isCorrection`) add to the line that `lineItem/backreferenceNo` names, they do not take its place: ChargeClass is
Correction, the number of the corrected line is `x_corrects_line_item_id`. Oracle's documentation does not say which of the two is meant;
adding is FOCUS's meaning of a correction and the only one that keeps what was known before.

**Money.** `cost/myCost` is BilledCost and EffectiveCost: Universal Credits are charged at the agreed price as they are used, and reports
have no line for buying them. It includes overage (`cost/myCostOverage` is a part of it). `cost/attributedCost` spreads shared resources
another way and is kept as an addition. A usage report of the same days has no cost and is not recognised.

The billing period is the calendar month of the hour, in UTC: reports have none of their own. Tags keep the whole name of the column after
`tags/`, with the namespace. The AI model is what the description says after "Generative AI -".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.formats.base import Reading, has_all, tags_sql
from forecast.adapters.formats.cloud_sql import NO_TEXT, Given, cases, dated_rows, extracted, moment_text, month_start, one_of
from forecast.spend import focus

_TAG = "tags/"
_AI_SERVICES = r"(?i)generative|^ai[_ ]|data[_ ]?science|_ai$|anomaly[_ ]detection|digital[_ ]assistant"
_CATEGORIES: Mapping[str, str | None] = {
    "compute": "Compute",
    "functions": "Compute",
    "oke": "Compute",
    "block_storage": "Storage",
    "object_storage": "Storage",
    "objectstorage": "Storage",
    "file_storage": "Storage",
    "database": "Databases",
    "mysql": "Databases",
    "network": "Networking",
    "load_balancer": "Networking",
}
_MODEL = r"(?i)generative ai(?: agents?)? *[-–] *(?:dedicated *[-–] *)?(.+?)(?: *[-–] .*)?$"


_DATES: Mapping[str, str] = {"lineItem/intervalUsageStart": focus.CHARGE_START, "lineItem/intervalUsageEnd": focus.CHARGE_END}
_READING = Reading("merge", ("x_line_item_id", focus.CHARGE_START, "x_overage"))


@dataclass(frozen=True)
class OracleCostReport:
    name: str = "oracle-cost"
    title: str = "Oracle Cloud Infrastructure cost report"
    looks_for: str = "the columns lineItem/referenceNo, lineItem/intervalUsageStart and cost/myCost"
    reading: Reading = _READING

    def recognise(self, sample: Sample) -> str | None:
        """By columns that only Oracle writes; a usage report has no cost/myCost."""
        if has_all(sample.columns, "lineItem/referenceNo", "lineItem/intervalUsageStart", "cost/myCost"):
            return "has the columns lineItem/referenceNo, lineItem/intervalUsageStart and cost/myCost of an Oracle cost report"
        return None

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return dated_rows(connection, table_rows(connection, file), _DATES)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SQL for every FOCUS column that a report can fill."""
        given = Given(rows)
        return {**_charge(given), **_product(given), **_additions(given)}


def _charge(given: Given) -> dict[str, str]:
    start, end, cost = given.text("lineItem/intervalUsageStart"), given.text("lineItem/intervalUsageEnd"), given.text("cost/myCost")
    month = month_start(given.moment("lineItem/intervalUsageStart"))
    compartment = given.text("product/compartmentId")
    return {
        focus.BILLED_COST: cost,
        focus.EFFECTIVE_COST: cost,
        focus.BILLING_CURRENCY: given.text("cost/currencyCode"),
        focus.CONTRACTED_UNIT_PRICE: given.text("cost/unitPrice"),
        focus.CHARGE_CATEGORY: "'Usage'",
        focus.CHARGE_CLASS: f"CASE WHEN {one_of(given.text('lineItem/isCorrection'), 'true')} THEN 'Correction' END",
        focus.CHARGE_FREQUENCY: "'Usage-Based'",
        focus.CHARGE_DESCRIPTION: given.text("product/Description"),
        focus.CHARGE_START: start,
        focus.CHARGE_END: end,
        focus.BILLING_START: moment_text(month),
        focus.BILLING_END: moment_text(f"{month} + INTERVAL 1 MONTH"),
        focus.CONSUMED_QUANTITY: given.text("usage/consumedQuantity"),
        focus.CONSUMED_UNIT: given.text("usage/consumedQuantityUnits"),
        focus.PRICING_QUANTITY: given.text("usage/billedQuantity"),
        focus.PRICING_UNIT: given.text("cost/skuUnitDescription", "cost/billingUnitReadable"),
        focus.BILLING_ACCOUNT_ID: given.text("lineItem/tenantId"),
        focus.SUB_ACCOUNT_ID: compartment,
        focus.SUB_ACCOUNT_NAME: given.text("product/compartmentName"),
        focus.SUB_ACCOUNT_TYPE: f"CASE WHEN {compartment} IS NOT NULL THEN 'Compartment' END",
        focus.INVOICE_ISSUER_NAME: "'Oracle'",
        focus.PROVIDER_NAME: "'Oracle'",
        focus.PUBLISHER_NAME: "'Oracle'",
    }


def _product(given: Given) -> dict[str, str]:
    service, described = given.text("product/service"), given.text("product/Description")
    model = extracted(described, _MODEL)
    is_ai = f"(regexp_matches(coalesce({service}, ''), {quoted_text(_AI_SERVICES)}) OR {model} IS NOT NULL)"
    tags = {name[len(_TAG) :]: f"c{place}" for place, name in enumerate(given.rows.names) if name.lower().startswith(_TAG)}
    return {
        focus.SERVICE_NAME: service,
        focus.SERVICE_CATEGORY: f"CASE WHEN {is_ai} THEN 'AI and Machine Learning' ELSE {cases(service, _CATEGORIES)} END",
        focus.REGION_ID: given.text("product/region"),
        focus.AVAILABILITY_ZONE: given.text("product/availabilityDomain"),
        focus.RESOURCE_ID: given.text("product/resourceId"),
        focus.SKU_ID: given.text("cost/productSku"),
        focus.SKU_METER: described,
        focus.SKU_PRICE_DETAILS: tags_sql({"ModelId": model}),
        focus.TAGS: tags_sql(tags),
    }


def _additions(given: Given) -> dict[str, str]:
    found = {
        "x_line_item_id": given.text("lineItem/referenceNo"),
        "x_corrects_line_item_id": given.text("lineItem/backreferenceNo", "lineItem/backReference"),
        "x_overage": f"coalesce({given.text('cost/overageFlag')}, 'N')",
        "x_overage_cost": given.text("cost/myCostOverage"),
        "x_overage_quantity": given.text("usage/billedQuantityOverage"),
        "x_attributed_cost": given.text("cost/attributedCost"),
        "x_attributed_usage": given.text("usage/attributedUsage"),
        "x_subscription_id": given.text("cost/subscriptionId"),
        "x_billing_unit": given.text("cost/billingUnitReadable"),
        "x_resource_kind": given.text("product/resource"),
    }
    return {name: sql for name, sql in found.items() if sql != NO_TEXT}


ORACLE_COST = OracleCostReport()
