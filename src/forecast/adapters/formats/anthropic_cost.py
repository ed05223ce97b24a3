"""Anthropic's cost report (`/v1/organizations/cost_report`): pages of daily buckets; an amount is the decimal text of a number of cents.

Read by merge: a day that is fetched again restates its charges. The identity of a charge is its bucket, everything it is grouped by and its
place among equals of its bucket. Fetch one organisation with one `group_by[]` (`workspace_id` and `description` say most): a day that is
fetched once with it and once without is there twice.
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
    moment_of_text,
    month_of,
    occurrence,
    page_results,
    readable,
)
from forecast.adapters.formats.token_usage import CATEGORY, METER_NAMES, SUBCATEGORY

PROVIDER, SERVICE = "Anthropic", "Claude API"

_RESULT = ("workspace_id", "description", "cost_type", "model", "token_type", "service_tier", "context_window", "inference_geo", "speed", "currency")
_FIELDS: dict[str, str] = {
    "start": "(bucket ->> 'starting_at')",
    "end": "(bucket ->> 'ending_at')",
    "amount": "(result ->> 'amount')",
    **{name: f"(result ->> '{name}')" for name in (*_RESULT, "workspace_name")},
}
_IDENTITY = ("start", "end", *_RESULT)

_TOKEN_TYPES: Mapping[str, str] = {
    "uncached_input_tokens": METER_NAMES["input"],
    "output_tokens": METER_NAMES["output"],
    "cache_read_input_tokens": METER_NAMES["cached_input"],
    "cache_creation.ephemeral_5m_input_tokens": METER_NAMES["cache_write_5m"],
    "cache_creation.ephemeral_1h_input_tokens": METER_NAMES["cache_write_1h"],
}
_COST_TYPES: Mapping[str, str] = {
    "web_search": "Web Searches",
    "code_execution": "Code Execution",
    "session_usage": "Session Usage",
    "tokens": "Tokens",
}


def hundredth_sql(text: str) -> str:
    """SQL of the hundredth of a decimal text, as text with every digit: the point moves, nothing is computed. Other text stays as it is."""
    whole, rest = f"regexp_extract({text}, '^-?([0-9]+)', 1)", f"regexp_extract({text}, '^-?[0-9]+\\.([0-9]*)$', 1)"
    padded = f"CASE WHEN length({whole}) < 3 THEN lpad({whole}, 3, '0') ELSE {whole} END"
    moved = f"concat(CASE WHEN starts_with({text}, '-') THEN '-' ELSE '' END, ({padded})[:-3], '.', ({padded})[-2:], {rest})"
    # An amount with an exponent is not what the report writes; 14 decimals of a cent are kept of one.
    computed = f"CAST(TRY_CAST({text} AS DECIMAL(36, 14)) * CAST('0.01' AS DECIMAL(2, 2)) AS VARCHAR)"
    return f"CASE WHEN regexp_full_match({text}, '-?[0-9]+(\\.[0-9]*)?') THEN {moved} ELSE coalesce({computed}, {text}) END"


@dataclass(frozen=True)
class AnthropicCost:
    """Cost report pages of Anthropic."""

    name: str = "anthropic-cost"
    title: str = "Anthropic cost report pages"
    looks_for: str = "JSON pages of buckets by `starting_at` whose results have an `amount` in cents, or have no results"
    reading: Reading = BY_CHARGE_ID

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"data", "results", "starting_at", "ending_at"} <= sample.keys or "object" in sample.keys:
            return None
        if {"amount", "currency"} <= sample.keys and "uncached_input_tokens" not in sample.keys:
            return "its buckets have `starting_at`, and their results an `amount` (in cents) and a `currency`"
        # Days without spend have no result that could say what they are; a usage report without results reads the same and costs as little.
        others = sample.keys - {"data", "results", "starting_at", "ending_at", "has_more", "next_page"}
        return "its buckets have `starting_at` and no result" if not others else None

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        identity = [_FIELDS[name] for name in _IDENTITY]
        place = occurrence(["page_number", "bucket_number", *identity], "result_number")
        return page_results(connection, file, {**_FIELDS, CHARGE_ID: charge_id(self.name, [*identity, place])})

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        start, end = moment_of_text(at["start"]), moment_of_text(at["end"])
        month, next_month = month_of(start)
        amount = hundredth_sql(at["amount"])
        types = " ".join(f"WHEN '{written}' THEN '{meter}'" for written, meter in _TOKEN_TYPES.items())
        kinds = " ".join(f"WHEN '{written}' THEN '{meter}'" for written, meter in _COST_TYPES.items())
        # A kind that is not known yet keeps the vendor's own word.
        meter = f"coalesce(CASE {at['token_type']} {types} ELSE {at['token_type']} END, CASE {at['cost_type']} {kinds} ELSE {at['cost_type']} END)"
        workspace = f"coalesce({at['workspace_name']}, {at['workspace_id']})"
        return {
            **focus_columns(
                billed_cost=amount,
                effective_cost=amount,
                list_cost=amount,
                contracted_cost=amount,
                billing_currency=f"upper({at['currency']})",
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(start, at["start"]),
                charge_period_end=readable(end, at["end"]),
                charge_category=f"CASE WHEN starts_with({at['amount']}, '-') THEN 'Credit' ELSE 'Usage' END",
                charge_description=at["description"],
                charge_frequency="'Usage-Based'",
                provider_name=f"'{PROVIDER}'",
                publisher_name=f"'{PROVIDER}'",
                invoice_issuer_name=f"'{PROVIDER}'",
                service_name=f"'{SERVICE}'",
                service_category=f"'{CATEGORY}'",
                service_subcategory=f"'{SUBCATEGORY}'",
                region_id=f"CASE WHEN {at['inference_geo']} <> 'not_available' THEN {at['inference_geo']} END",
                sub_account_id=at["workspace_id"],
                sub_account_name=at["workspace_name"],
                sku_meter=meter,
                sku_price_details=tags_sql(
                    {"ModelId": at["model"], "x_ServiceTier": at["service_tier"], "x_ContextWindow": at["context_window"], "x_Speed": at["speed"]}
                ),
                tags=tags_sql({"project": workspace, "workspace": workspace}),
            ),
            CHARGE_ID: at[CHARGE_ID],
        }
