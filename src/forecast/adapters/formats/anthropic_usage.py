"""Anthropic's usage report (`/v1/organizations/usage_report/messages`): pages of token counts, priced from the price table.

Read by merge. Where cost reports can be had, take those, and not both for the same days. Ask with
`group_by[]=model,service_tier,context_window` (and `workspace_id`, `api_key_id` …); a tier that is not said is priced as standard, and inference
in one geography and the fast mode are tiers of their own (`standard us`, `standard fast`), as they have prices of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample
from forecast.adapters.formats.base import Reading
from forecast.adapters.formats.pages import BY_CHARGE_ID, moment_of_text
from forecast.adapters.formats.pricing import shipped_prices
from forecast.adapters.formats.token_usage import UNREADABLE, Line, lines_sql, usage_columns, usage_rows
from forecast.spend.prices import PriceTable

PROVIDER, SERVICE = "Anthropic", "Claude API"

_COUNTS: Mapping[str, str] = {
    "input": "(result ->> 'uncached_input_tokens')",
    "cache_write_5m": "coalesce(result -> 'cache_creation' ->> 'ephemeral_5m_input_tokens', result ->> 'cache_creation_input_tokens')",
    "cache_write_1h": "(result -> 'cache_creation' ->> 'ephemeral_1h_input_tokens')",
    "cached_input": "(result ->> 'cache_read_input_tokens')",
    "output": "(result ->> 'output_tokens')",
    "web_searches": "(result -> 'server_tool_use' ->> 'web_search_requests')",
}
_GIVEN = (
    "workspace_id", "workspace_name", "api_key_id", "account_id", "service_account_id",
    "model", "service_tier", "context_window", "inference_geo", "speed",
)  # fmt: skip
_IDENTITY = ("start", "end", *(name for name in _GIVEN if name != "workspace_name"))
_GEOGRAPHY = "(result ->> 'inference_geo')"
_FIELDS: dict[str, str] = {
    # A web search costs the same whatever the tier; the tier of a line decides, so it is said line by line.
    "tier": f"""CASE WHEN line.meter = 'web_searches' THEN 'standard'
                     WHEN coalesce(result ->> 'service_tier', result ->> 'speed', {_GEOGRAPHY}) IS NOT NULL
                     THEN concat_ws(' ', lower(coalesce(result ->> 'service_tier', 'standard')),
                                    CASE WHEN result ->> 'speed' <> 'standard' THEN lower(result ->> 'speed') END,
                                    CASE WHEN {_GEOGRAPHY} NOT IN ('global', 'not_available') THEN lower({_GEOGRAPHY}) END) END""",
    "context": "(result ->> 'context_window')",
    "moment": moment_of_text("(bucket ->> 'starting_at')"),
    "start": "(bucket ->> 'starting_at')",
    "end": "(bucket ->> 'ending_at')",
    **{name: f"(result ->> '{name}')" for name in _GIVEN},
}


def _lines() -> str:
    lines: list[Line] = [(f"'{meter}'", count, "'Requests'" if meter == "web_searches" else "'Tokens'") for meter, count in _COUNTS.items()]
    unreadable = " OR ".join(f"({count} IS NOT NULL AND TRY_CAST({count} AS BIGINT) IS NULL)" for count in _COUNTS.values())
    return f"CASE WHEN {unreadable} THEN {lines_sql([UNREADABLE])} ELSE {lines_sql(lines)} END"


@dataclass(frozen=True)
class AnthropicUsage:
    """Usage report pages of Anthropic. prices : the table that stands in place of the shipped list prices."""

    prices: PriceTable | None = None
    name: str = "anthropic-usage"
    title: str = "Anthropic messages usage report pages"
    looks_for: str = "JSON pages of buckets by `starting_at` whose results count `uncached_input_tokens`"
    reading: Reading = BY_CHARGE_ID

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"data", "results", "starting_at", "uncached_input_tokens"} <= sample.keys:
            return None
        return "its buckets have `starting_at`, and their results `uncached_input_tokens`"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        ask = "the usage report gives it with group_by[]=model"
        return usage_rows(connection, file, self.prices or shipped_prices(), self.name, PROVIDER, _FIELDS, _lines(), _IDENTITY, ask)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        workspace = f"coalesce({at['workspace_name']}, {at['workspace_id']})"
        return usage_columns(
            rows,
            SERVICE,
            at["moment"],
            moment_of_text(at["end"]),
            about={"x_ServiceTier": at["tier"], "x_ContextWindow": at["context_window"]},
            tags={"project": workspace, "workspace": workspace, "user": f"coalesce({at['account_id']}, {at['service_account_id']})"},
            sub_account_id=at["workspace_id"],
            sub_account_name=at["workspace_name"],
            resource_id=at["api_key_id"],
            resource_type=f"CASE WHEN {at['api_key_id']} IS NOT NULL THEN 'API Key' END",
            region_id=f"CASE WHEN {at['inference_geo']} <> 'not_available' THEN {at['inference_geo']} END",
        )
