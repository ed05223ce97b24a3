"""OpenAI's costs API (`/v1/organization/costs`): pages of daily buckets with amounts in dollars.

Read by merge: a day that is fetched again restates its charges. The identity of a charge is its bucket, everything it is grouped by
(organisation, project, API key, line item) and its place among equals of its bucket: without `group_by` there is one result a
bucket, and where there should be two that agree in all of it, both count. Fetch one account with one `group_by`: a day that is fetched
once by project and once by line item is there twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample
from forecast.adapters.formats.base import Reading, tags_sql
from forecast.adapters.formats.pages import (
    BY_CHARGE_ID,
    CHARGE_ID,
    charge_id,
    focus_columns,
    moment_of_seconds,
    month_of,
    occurrence,
    page_results,
    readable,
)

PROVIDER, SERVICE = "OpenAI", "OpenAI API"
CATEGORY, SUBCATEGORY = "AI and Machine Learning", "Generative AI"

_RESULT = ("organization_id", "project_id", "api_key_id", "line_item", "quantity_unit")
_FIELDS: dict[str, str] = {
    "start_time": "bucket ->> 'start_time'",
    "end_time": "bucket ->> 'end_time'",
    "value": "result -> 'amount' ->> 'value'",
    "currency": "result -> 'amount' ->> 'currency'",
    **{name: f"result ->> '{name}'" for name in (*_RESULT, "project_name", "organization_name", "quantity", "user_id", "user_email")},
}
_IDENTITY = ("start_time", "end_time", *_RESULT, "user_id", "currency")

# Line items are written `gpt-4o-2024-08-06, cached input` and `gpt-image-1 image, output`; what is not so is a meter of its own.
_TOKENS = r"^(\S+)(?: (text|audio|image))?, (input|output|cached input|cache write|cached)$"
_METERS = {"input": "Input Tokens", "output": "Output Tokens", "cached input": "Cached Input Tokens", "cache write": "Cache Write Tokens"}


@dataclass(frozen=True)
class OpenAICosts:
    """Cost pages of OpenAI."""

    name: str = "openai-costs"
    title: str = "OpenAI costs API pages"
    looks_for: str = "JSON pages whose results are `organization.costs.result`, or cost buckets without results"
    reading: Reading = BY_CHARGE_ID

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"object", "data", "results", "start_time"} <= sample.keys:
            return None
        if '"organization.costs.result"' in sample.text:
            return "its results are `organization.costs.result`"
        # A month without spend has no result that could say what it is; a usage page without results reads the same and costs as little.
        empty = '"organization.usage.' not in sample.text and '"bucket"' in sample.text and '"page"' in sample.text
        return "its pages have buckets by `start_time` without any result" if empty and "amount" not in sample.keys else None

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        identity = [_FIELDS[name] for name in _IDENTITY]
        place = occurrence(["page_number", "bucket_number", *identity], "result_number")
        return page_results(connection, file, {**_FIELDS, CHARGE_ID: charge_id(self.name, [*identity, place])})

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        start, end = moment_of_seconds(at["start_time"]), moment_of_seconds(at["end_time"])
        month, next_month = month_of(start)
        item = at["line_item"]
        tokens = f"regexp_full_match({item}, '{_TOKENS}')"
        model = f"CASE WHEN {tokens} THEN regexp_extract({item}, '{_TOKENS}', 1) END"
        kind, medium = f"regexp_extract({item}, '{_TOKENS}', 3)", f"regexp_extract({item}, '{_TOKENS}', 2)"
        cases = " ".join(f"WHEN '{written}' THEN '{meter}'" for written, meter in _METERS.items())
        of_medium = f"CASE {medium} WHEN 'audio' THEN 'Audio ' WHEN 'image' THEN 'Image ' ELSE '' END"
        meter = f"CASE WHEN {tokens} THEN concat({of_medium}, CASE {kind} WHEN 'cached' THEN 'Cached Input Tokens' {cases} END) ELSE {item} END"
        unit = f"coalesce({at['quantity_unit']}, CASE WHEN {tokens} THEN 'Tokens' END)"
        amount = at["value"]
        return {
            **focus_columns(
                billed_cost=amount,
                effective_cost=amount,
                list_cost=amount,
                contracted_cost=amount,
                billing_currency=f"upper({at['currency']})",
                billing_account_id=at["organization_id"],
                billing_account_name=at["organization_name"],
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(start, at["start_time"]),
                charge_period_end=readable(end, at["end_time"]),
                charge_category=f"CASE WHEN TRY_CAST({amount} AS DECIMAL(38, 12)) < 0 THEN 'Credit' ELSE 'Usage' END",
                charge_description=item,
                charge_frequency="'Usage-Based'",
                consumed_quantity=f"CASE WHEN {unit} IS NOT NULL THEN {at['quantity']} END",
                consumed_unit=f"CASE WHEN {at['quantity']} IS NOT NULL THEN {unit} END",
                provider_name=f"'{PROVIDER}'",
                publisher_name=f"'{PROVIDER}'",
                invoice_issuer_name=f"'{PROVIDER}'",
                service_name=f"'{SERVICE}'",
                service_category=f"'{CATEGORY}'",
                service_subcategory=f"'{SUBCATEGORY}'",
                resource_id=at["api_key_id"],
                resource_type=f"CASE WHEN {at['api_key_id']} IS NOT NULL THEN 'API Key' END",
                sub_account_id=at["project_id"],
                sub_account_name=at["project_name"],
                sku_meter=meter,
                sku_id=item,
                sku_price_details=tags_sql({"ModelId": model}),
                tags=tags_sql(
                    {"project": f"coalesce({at['project_name']}, {at['project_id']})", "user": f"coalesce({at['user_email']}, {at['user_id']})"}
                ),
            ),
            CHARGE_ID: at[CHARGE_ID],
        }
