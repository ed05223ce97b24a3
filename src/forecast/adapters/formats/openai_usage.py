"""OpenAI's usage API (`/v1/organization/usage/…`): pages of counts without money, priced from the price table.

Read by merge, as the costs pages are. Where costs pages can be had, take those: they are what is billed, these are an estimate at list
price that knows models, users and meters. Do not take in both for the same days. Ask with `group_by=model,batch` (and `project_id` …): without a
model there is no price, and usage whose tier is not said is priced as standard.

`input_tokens` holds everything that went in; today's pages split it by cache (cached, written, neither) and what is neither by medium.
Pages from before that split count audio apart from `input_tokens` and `output_tokens`, and have no `input_text_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample
from forecast.adapters.formats.base import Reading
from forecast.adapters.formats.pages import BY_CHARGE_ID, moment_of_seconds
from forecast.adapters.formats.pricing import shipped_prices
from forecast.adapters.formats.token_usage import UNREADABLE, Line, lines_sql, usage_columns, usage_rows
from forecast.spend.prices import PriceTable

PROVIDER, SERVICE = "OpenAI", "OpenAI API"

_TOKENS = "'Tokens'"
_INPUT = ("input_tokens", "input_cached_tokens", "input_cache_write_tokens", "input_audio_tokens", "input_image_tokens")
_CACHED = ("input_cached_audio_tokens", "input_cached_image_tokens")
_OUTPUT = ("output_tokens", "output_audio_tokens", "output_image_tokens")
_OTHER = ("images", "characters", "seconds", "usage_bytes", "num_sessions", "num_requests")
_COUNTS = (*_INPUT, *_CACHED, *_OUTPUT, "input_uncached_tokens", *_OTHER)
_IDENTITY = ("kind", "start", "end", "organization_id", "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "size", "source")


def _text(name: str) -> str:
    return f"(result ->> '{name}')"


def _count(name: str) -> str:
    return f"coalesce(TRY_CAST({_text(name)} AS BIGINT), 0)"


def _token_lines() -> str:
    whole, cached, written, audio, image = (_count(name) for name in _INPUT)
    whole = f"coalesce(TRY_CAST({_text('input_tokens')} AS BIGINT), {_count('input_uncached_tokens')} + {cached} + {written})"
    cached_audio, cached_image = (_count(name) for name in _CACHED)
    output, audio_output, image_output = (_count(name) for name in _OUTPUT)
    media: list[Line] = [
        ("'cache_write'", written, _TOKENS),
        ("'audio_input'", audio, _TOKENS),
        ("'cached_audio_input'", cached_audio, _TOKENS),
        ("'audio_output'", audio_output, _TOKENS),
        ("'image_input'", image, _TOKENS),
        ("'cached_image_input'", cached_image, _TOKENS),
        ("'image_output'", image_output, _TOKENS),
    ]
    today: list[Line] = [
        ("'input'", f"{whole} - {cached} - {written} - {audio} - {image}", _TOKENS),
        ("'cached_input'", f"{cached} - {cached_audio} - {cached_image}", _TOKENS),
        ("'output'", f"{output} - {audio_output} - {image_output}", _TOKENS),
    ]
    before: list[Line] = [("'input'", f"{whole} - {cached} - {written}", _TOKENS), ("'cached_input'", cached, _TOKENS), ("'output'", output, _TOKENS)]
    split = "(json_exists(result, '$.input_text_tokens') OR json_exists(result, '$.input_uncached_tokens'))"
    return f"CASE WHEN {split} THEN {lines_sql([*today, *media])} ELSE {lines_sql([*before, *media])} END"


def _lines() -> str:
    unreadable = " OR ".join(f"({_text(name)} IS NOT NULL AND TRY_CAST({_text(name)} AS BIGINT) IS NULL)" for name in _COUNTS)
    # A store's bytes are there all day long and are priced by the day, 10^9 bytes to the GB; the hour of a day is no exact decimal of it.
    seconds = "(TRY_CAST(bucket ->> 'end_time' AS BIGINT) - TRY_CAST(bucket ->> 'start_time' AS BIGINT))"
    amount = (
        f"CAST({_count('usage_bytes')} AS DECIMAL(19, 0)) * TRY_CAST({seconds} // 86400 AS DECIMAL(5, 0)) * CAST('0.000000001' AS DECIMAL(10, 9))"
    )
    storage = f"""CASE WHEN {_count("usage_bytes")} = 0 THEN '0' WHEN {seconds} % 86400 = 0 THEN CAST({amount} AS VARCHAR)
                       ELSE 'bytes in a bucket that is not whole days' END"""
    kinds: dict[str, str] = {
        **dict.fromkeys(("completions", "embeddings", "moderations"), _token_lines()),
        "images": lines_sql([(f"concat_ws(' ', 'images', {_text('size')})", _text("images"), "'Images'")]),
        "audio_speeches": lines_sql([("'characters'", _text("characters"), "'Characters'")]),
        "audio_transcriptions": lines_sql([("'seconds'", _text("seconds"), "'Seconds'")]),
        "vector_stores": lines_sql([("'vector_storage'", storage, "'GB-days'")]),
        "code_interpreter_sessions": lines_sql([("'code_interpreter_sessions'", _text("num_sessions"), "'Sessions'")]),
        "web_search_calls": lines_sql([("'web_searches'", _text("num_requests"), "'Requests'")]),
        "file_search_calls": lines_sql([("'file_searches'", _text("num_requests"), "'Requests'")]),
    }
    cases = " ".join(f"WHEN 'organization.usage.{kind}.result' THEN {lines}" for kind, lines in kinds.items())
    unknown = lines_sql([("'unknown usage'", "concat('results of ', coalesce(result ->> 'object', 'no kind'), ' are not known')", "'Results'")])
    return f"CASE WHEN {unreadable} THEN {lines_sql([UNREADABLE])} ELSE CASE result ->> 'object' {cases} ELSE {unknown} END END"


_FIELDS: dict[str, str] = {
    "model": _text("model"),
    "tier": f"""CASE WHEN {_text("batch")} = 'true' THEN 'batch' WHEN lower({_text("service_tier")}) IN ('default', 'auto') THEN 'standard'
                     ELSE coalesce(lower({_text("service_tier")}), CASE WHEN {_text("batch")} = 'false' THEN 'standard' END) END""",
    "context": "CAST(NULL AS VARCHAR)",
    "moment": moment_of_seconds("(bucket ->> 'start_time')"),
    "start": "(bucket ->> 'start_time')",
    "end": "(bucket ->> 'end_time')",
    "kind": _text("object"),
    **{
        name: _text(name)
        for name in (
            "organization_id",
            "project_id",
            "project_name",
            "user_id",
            "user_email",
            "api_key_id",
            "batch",
            "service_tier",
            "size",
            "source",
        )
    },
}


@dataclass(frozen=True)
class OpenAIUsage:
    """Usage pages of OpenAI. prices : the table that stands in place of the shipped list prices."""

    prices: PriceTable | None = None
    name: str = "openai-usage"
    title: str = "OpenAI usage API pages"
    looks_for: str = "JSON pages whose results are `organization.usage.….result`"
    reading: Reading = BY_CHARGE_ID

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"object", "data", "results", "start_time"} <= sample.keys:
            return None
        if '"organization.usage.' not in sample.text or '"organization.costs.result"' in sample.text:
            return None
        return "its results are `organization.usage.….result`, counts without money"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        ask = "the usage API gives it with group_by=model"
        return usage_rows(connection, file, self.prices or shipped_prices(), self.name, PROVIDER, _FIELDS, _lines(), _IDENTITY, ask)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        return usage_columns(
            rows,
            SERVICE,
            at["moment"],
            moment_of_seconds(at["end"]),
            about={"x_ServiceTier": at["tier"], "x_ImageSize": at["size"]},
            tags={"project": f"coalesce({at['project_name']}, {at['project_id']})", "user": f"coalesce({at['user_email']}, {at['user_id']})"},
            billing_account_id=at["organization_id"],
            sub_account_id=at["project_id"],
            sub_account_name=at["project_name"],
            resource_id=at["api_key_id"],
            resource_type=f"CASE WHEN {at['api_key_id']} IS NOT NULL THEN 'API Key' END",
        )
