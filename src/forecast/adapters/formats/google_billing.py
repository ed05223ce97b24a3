"""Google Cloud billing export rows as BigQuery writes them: JSON lines and Parquet, the standard and the detailed table, with nested records.

**Money.** `cost` is before `credits`, which are negative amounts inside the row. BilledCost = EffectiveCost = cost + the sum of all credits
of the row, as Google's own FOCUS view has it: that is the invoice's subtotal, and a row's discounts stay with what they discount. Nothing
is split off into rows of its own, so that a row is one row of the export; `x_cost_before_credits` and `x_credits` keep the parts, and
`x_promotion` what of it is a promotion (money that ends some day, unlike a discount).

**Commitments.** Google charges a committed use discount as it runs, there is no fee up front to spread, so billed and effective are the
same. In the older model the fee stands on rows of its own ("Commitment …": purchases, recurring) and credits take covered usage down to 0;
in the newer one a credit FEE_UTILIZATION_OFFSET takes the used part off the fee's row and covered usage costs its committed price. In both,
cost plus credits is the used and the unused part, each once. The fee is not allocated to usage in the older model: the file does not say how.

ListCost is `cost_at_list`; ContractedCost `cost_at_effective_price_default`, else `cost`, for usage.

Kinds: `tax` is a tax; `adjustment` and `rounding_error` are adjustments (a correction where `adjustment_info` says so); `regular` is usage,
or a purchase where the SKU is a commitment's fee. Another cost type is not guessed: its row is refused. So is a row with a credit that
cannot be read. The billing period is the invoice month, in UTC; the export's own months begin at midnight in California.

Tags are the labels of the resource, then those of its project, then inherited tags; the first that has a key counts.
An AI model is what the SKU's description begins with, up to what is measured: `Gemini 2.5 Flash GA Text Input - Predictions` is
`Gemini 2.5 Flash`; only for families named in this module.

BigQuery writes whole and exact numbers as strings in JSON, times as `2026-01-01 00:00:00 UTC`, and lists in Parquet either as lists or as
records `list.element`; all are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.formats.base import REFUSED, Reading, has_all, tags_sql
from forecast.adapters.formats.cloud_sql import MONEY, NO_TEXT, Given, amount, cases, computed, extracted, moment_text, one_of
from forecast.spend import focus

_WANTED = ("billing_account_id", "service", "sku", "usage_start_time", "usage_end_time", "cost", "currency")
_COST_TYPES: Mapping[str, str | None] = {"regular": "Usage", "tax": "Tax", "adjustment": "Adjustment", "rounding_error": "Adjustment"}
_COMMITMENT_CREDITS = ("COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE")

_AI_SERVICES = (
    "(?i)vertex ai|gemini|generative language|cloud tpu|dialogflow|document ai|cloud vision|cloud natural language|cloud translat|cloud speech"
    "|cloud text-to-speech|recommendations ai|agent ?space|discovery engine|ai platform|automl"
)
_CATEGORIES: Mapping[str, str | None] = {
    "compute engine": "Compute",
    "kubernetes engine": "Compute",
    "cloud run": "Compute",
    "cloud run functions": "Compute",
    "app engine": "Compute",
    "cloud storage": "Storage",
    "cloud filestore": "Storage",
    "cloud sql": "Databases",
    "cloud spanner": "Databases",
    "cloud bigtable": "Databases",
    "cloud firestore": "Databases",
    "alloydb": "Databases",
    "bigquery": "Analytics",
    "cloud dataflow": "Analytics",
    "cloud pub/sub": "Integration",
    "networking": "Networking",
}
_FAMILIES = "gemini|gemma|claude|llama|mistral|mixtral|codestral|jamba|deepseek|qwen|imagen|veo|lyria|chirp|palm|codey|gpt-oss|grok"
_MODEL = (
    rf"(?i)^((?:{_FAMILIES}).*?)(?: +(?:ga|live|thinking|native|regional|global|batch|priority|cached|long|short))*"
    r"[ -]+(?:text|image|audio|video|input|output|character|token|embedding|cach|context|generation|prediction|tuning)"
)
_TOKEN_KINDS = (("cached input", "(?i)cach"), ("input", "(?i)input"), ("output", "(?i)output"))


_READING = Reading("replace")


@dataclass(frozen=True)
class GoogleBillingExport:
    name: str = "google-billing"
    title: str = "Google Cloud billing export (BigQuery rows, standard or detailed)"
    looks_for: str = "billing_account_id, service, sku, usage_start_time, usage_end_time, cost and currency, in JSON lines or Parquet"
    reading: Reading = _READING

    def recognise(self, sample: Sample) -> str | None:
        """By the names of the export's table; in JSON they may stand anywhere in the beginning of the file."""
        names = sample.columns or tuple(sample.keys)
        if sample.file.kind == "csv" or not has_all(names, *_WANTED):
            return None
        which = "detailed" if has_all(names, "resource") or has_all(names, "global_name") else "standard"
        return f"has billing_account_id, service, sku, usage_start_time and cost of a Google Cloud billing export ({which})"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return table_rows(connection, file)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SQL for every FOCUS column that the export can fill."""
        export = _Export(Given(rows))
        return {
            **_costs(export),
            **_charge(export),
            **_accounts(export),
            **_product(export),
            **_commitments(export),
            **_additions(export),
        }


@dataclass(frozen=True)
class _Export:
    """Nested records by their path."""

    given: Given

    def text(self, path: str) -> str:
        """The text under `record.field`; null where the file lacks the record."""
        record, _, field = path.partition(".")
        if not field:
            return self.given.text(record)
        if not self.given.has(record):
            return NO_TEXT
        return f"nullif(trim({self.given.json(record)} ->> {quoted_text('$.' + field)}), '')"

    def items(self, path: str) -> str:
        """The elements of a repeated record as JSON[]; an empty list where there are none."""
        record, _, field = path.partition(".")
        if not self.given.has(record):
            return "CAST([] AS JSON[])"
        value = f"({self.given.json(record)} -> '$.{field}')" if field else self.given.json(record)
        wrapped = f"coalesce(nullif({value} -> '$.list[*].element', []), {value} -> '$.list[*].item')"
        return f"coalesce(CASE json_type({value}) WHEN 'ARRAY' THEN {value} -> '$[*]' WHEN 'OBJECT' THEN {wrapped} END, [])"

    def tags(self, path: str) -> str:
        """Repeated records of key and value as JSON of one object; an empty one where there are none."""
        key, value = "(item ->> '$.key')", "(item ->> '$.value')"
        entries = f"list_filter({self.items(path)}, lambda item: nullif({key}, '') IS NOT NULL AND nullif({value}, '') IS NOT NULL)"
        written = f"list_transform({entries}, lambda item: concat(CAST(to_json({key}) AS VARCHAR), ':', CAST(to_json({value}) AS VARCHAR)))"
        return f"concat('{{', array_to_string({written}, ','), '}}')"

    @property
    def sku(self) -> str:
        return self.text("sku.description")

    @property
    def is_fee(self) -> str:
        return f"(coalesce({self.sku}, '') ILIKE 'commitment%')"

    def credit_types(self, *types: str) -> str:
        """Whether the row has a credit of one of the types."""
        wanted = ", ".join(quoted_text(name) for name in types)
        return f"(len(list_filter({self.items('credits')}, lambda item: (item ->> '$.type') IN ({wanted}))) > 0)"


_CREDIT = amount("(item ->> '$.amount')")


def _credit_sum(export: _Export, only: str = "") -> str:
    """The exact sum of the row's credits, or of those of one type; 0 where there are none."""
    items = export.items("credits")
    if only:
        items = f"list_filter({items}, lambda item: (item ->> '$.type') = {quoted_text(only)})"
    return f"coalesce(list_sum(list_transform({items}, lambda item: {_CREDIT})), CAST(0 AS {MONEY}))"


def _costs(export: _Export) -> dict[str, str]:
    cost = export.text("cost")
    with_credits = f"CASE WHEN {cost} IS NOT NULL THEN {computed(f'{amount(cost)} + {_credit_sum(export)}', cost)} END"
    unread = f"len(list_filter({export.items('credits')}, lambda item: ({_CREDIT}) IS NULL)) > 0"
    usage = f"({one_of(export.text('cost_type'), 'regular')} AND NOT {export.is_fee})"
    return {
        focus.BILLED_COST: with_credits,
        focus.EFFECTIVE_COST: with_credits,
        focus.LIST_COST: export.text("cost_at_list"),
        focus.CONTRACTED_COST: f"CASE WHEN {usage} THEN coalesce({export.text('cost_at_effective_price_default')}, {cost}) END",
        focus.BILLING_CURRENCY: export.text("currency"),
        focus.LIST_UNIT_PRICE: export.text("price.list_price"),
        focus.CONTRACTED_UNIT_PRICE: f"coalesce({export.text('price.effective_price_default')}, {export.text('price.effective_price')})",
        REFUSED: f"CASE WHEN {unread} THEN 'credits|has an amount that is not a number|a decimal number in each credit' END",
    }


def _charge(export: _Export) -> dict[str, str]:
    kind, start, end = export.text("cost_type"), export.text("usage_start_time"), export.text("usage_end_time")
    invoice = export.text("invoice.month")
    month = f"try_strptime({invoice}, '%Y%m')"
    corrects = f"coalesce({export.text('adjustment_info.type')}, '') ILIKE '%CORRECTION%'"
    spot = f"regexp_matches(coalesce({export.sku}, ''), '(?i)spot|preemptible')"
    # Exports from before the column hold regular costs only.
    stated = f"coalesce({kind}, 'regular')"
    regular = f"(lower({stated}) = 'regular')"
    plain = f"({regular} AND NOT {export.is_fee})"
    return {
        focus.CHARGE_CATEGORY: f"CASE WHEN {regular} AND {export.is_fee} THEN 'Purchase' ELSE {cases(stated, _COST_TYPES, kind)} END",
        focus.CHARGE_CLASS: f"CASE WHEN {corrects} THEN 'Correction' END",
        focus.CHARGE_FREQUENCY: f"CASE WHEN {regular} THEN CASE WHEN {export.is_fee} THEN 'Recurring' ELSE 'Usage-Based' END "
        f"WHEN {one_of(kind, 'adjustment', 'rounding_error')} THEN 'One-Time' END",
        focus.CHARGE_DESCRIPTION: export.sku,
        focus.CHARGE_START: start,
        focus.CHARGE_END: end,
        focus.BILLING_START: moment_text(month, invoice),
        focus.BILLING_END: moment_text(f"{month} + INTERVAL 1 MONTH", invoice),
        focus.CONSUMED_QUANTITY: export.text("usage.amount"),
        focus.CONSUMED_UNIT: export.text("usage.unit"),
        focus.PRICING_QUANTITY: f"coalesce({export.text('usage.amount_in_pricing_units')}, {export.text('usage.amount_in_pricing_unit')})",
        focus.PRICING_UNIT: export.text("usage.pricing_unit"),
        focus.PRICING_CATEGORY: f"CASE WHEN {_covered(export)} THEN 'Committed' WHEN {spot} THEN 'Dynamic' WHEN {plain} THEN 'Standard' END",
    }


def _covered(export: _Export) -> str:
    """Whether a commitment covers the usage: by its credits in the older model, by its consumption model in the newer one."""
    model = export.text("consumption_model.description")
    by_model = f"({model} IS NOT NULL AND NOT {one_of(model, 'Default')})"
    return f"(NOT {export.is_fee} AND ({export.credit_types(*_COMMITMENT_CREDITS)} OR {by_model}))"


def _accounts(export: _Export) -> dict[str, str]:
    project = export.text("project.id")
    return {
        focus.BILLING_ACCOUNT_ID: export.text("billing_account_id"),
        focus.SUB_ACCOUNT_ID: project,
        focus.SUB_ACCOUNT_NAME: f"coalesce({export.text('project.name')}, {project})",
        focus.SUB_ACCOUNT_TYPE: f"CASE WHEN {project} IS NOT NULL THEN 'Project' END",
        focus.INVOICE_ISSUER_NAME: "'Google Cloud'",
        focus.PROVIDER_NAME: "'Google Cloud'",
        focus.PUBLISHER_NAME: f"coalesce({export.text('seller_name')}, 'Google Cloud')",
    }


def _product(export: _Export) -> dict[str, str]:
    service, sku = export.text("service.description"), export.sku
    model = extracted(sku, _MODEL)
    is_ai = f"(regexp_matches(coalesce({service}, ''), {quoted_text(_AI_SERVICES)}) OR {model} IS NOT NULL)"
    kinds = " ".join(f"WHEN regexp_matches({sku}, {quoted_text(pattern)}) THEN {quoted_text(kind)}" for kind, pattern in _TOKEN_KINDS)
    tags = f"json_merge_patch({export.tags('tags')}, {export.tags('project.labels')}, {export.tags('labels')})"
    return {
        focus.SERVICE_NAME: f"coalesce({service}, {export.text('service.id')})",
        focus.SERVICE_CATEGORY: f"CASE WHEN {is_ai} THEN 'AI and Machine Learning' ELSE {cases(service, _CATEGORIES)} END",
        focus.REGION_ID: f"coalesce({export.text('location.region')}, {export.text('location.location')})",
        focus.REGION_NAME: export.text("location.location"),
        focus.AVAILABILITY_ZONE: export.text("location.zone"),
        focus.RESOURCE_ID: export.text("resource.global_name"),
        focus.RESOURCE_NAME: export.text("resource.name"),
        focus.SKU_ID: export.text("sku.id"),
        focus.SKU_METER: sku,
        focus.SKU_PRICE_DETAILS: tags_sql(
            {"ModelId": model, "TokenType": f"CASE WHEN {model} IS NOT NULL THEN CASE {kinds} END END", "InstanceType": _machine(export)}
        ),
        focus.TAGS: f"nullif(CAST({tags} AS VARCHAR), '{{}}')",
    }


def _machine(export: _Export) -> str:
    if not export.given.has("system_labels"):
        return NO_TEXT
    machine = f"list_filter({export.items('system_labels')}, lambda item: (item ->> '$.key') = 'compute.googleapis.com/machine_spec')"
    return f"nullif(trim(({machine})[1] ->> '$.value'), '')"


def _commitments(export: _Export) -> dict[str, str]:
    covered, subscription = _covered(export), export.text("subscription.instance_id")
    by_money = f"({export.credit_types('COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE')} OR coalesce({export.sku}, '') ILIKE 'commitment%dollar%')"
    involved = f"({covered} OR {export.is_fee})"
    by_resource = f"({export.credit_types('COMMITTED_USAGE_DISCOUNT')} OR {export.is_fee})"
    return {
        focus.COMMITMENT_DISCOUNT_ID: subscription,
        focus.COMMITMENT_DISCOUNT_TYPE: f"CASE WHEN {involved} THEN 'Committed Use Discount' END",
        # The newer model does not say whether money or resources were committed.
        focus.COMMITMENT_DISCOUNT_CATEGORY: f"CASE WHEN {involved} THEN CASE WHEN {by_money} THEN 'Spend' WHEN {by_resource} THEN 'Usage' END END",
        focus.COMMITMENT_DISCOUNT_STATUS: f"CASE WHEN {covered} THEN 'Used' END",
    }


def _additions(export: _Export) -> dict[str, str]:
    credits = f"CAST(to_json({export.items('credits')}) AS VARCHAR)"
    found = {
        "x_cost_type": export.text("cost_type"),
        "x_cost_before_credits": export.text("cost"),
        "x_credits": f"nullif({credits}, '[]')",
        "x_promotion": f"nullif({_credit_sum(export, 'PROMOTION')}, 0)",
        "x_service_id": export.text("service.id"),
        "x_project_number": export.text("project.number"),
        "x_instance_type": _machine(export),
        "x_consumption_model": export.text("consumption_model.description"),
        "x_currency_conversion_rate": export.text("currency_conversion_rate"),
        "x_adjustment_id": export.text("adjustment_info.id"),
        "x_adjustment_type": export.text("adjustment_info.type"),
        "x_transaction_type": export.text("transaction_type"),
        "x_country": export.text("location.country"),
        "x_export_time": export.text("export_time"),
    }
    if export.given.has("system_labels"):
        found["x_system_labels"] = f"nullif({export.tags('system_labels')}, '{{}}')"
    return {name: sql for name, sql in found.items() if sql != NO_TEXT}


GOOGLE_BILLING = GoogleBillingExport()
