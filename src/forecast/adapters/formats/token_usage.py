"""Usage of language models as charge lines: one line for each kind of token (meter), so that price × volume stays visible.

OpenAI's and Anthropic's usage pages differ in where their counts stand, and in nothing else that matters here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from forecast.adapters.bill_files import BillFile, Rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.formats.base import PRICED_BY, REFUSED, tags_sql
from forecast.adapters.formats.pages import CHARGE_ID, charge_id, focus_columns, month_of, occurrence, page_results, readable
from forecast.adapters.formats.pricing import priced_rows
from forecast.spend.prices import PriceTable

CATEGORY, SUBCATEGORY = "AI and Machine Learning", "Generative AI"

METER_NAMES: Mapping[str, str] = {
    "input": "Input Tokens",
    "cached_input": "Cached Input Tokens",
    "cache_write": "Cache Write Tokens",
    "cache_write_5m": "5m Cache Write Tokens",
    "cache_write_1h": "1h Cache Write Tokens",
    "output": "Output Tokens",
    "audio_input": "Audio Input Tokens",
    "cached_audio_input": "Cached Audio Input Tokens",
    "audio_output": "Audio Output Tokens",
    "image_input": "Image Input Tokens",
    "cached_image_input": "Cached Image Input Tokens",
    "image_output": "Image Output Tokens",
    "characters": "Characters",
    "seconds": "Transcription Seconds",
    "web_searches": "Web Searches",
    "file_searches": "File Searches",
    "code_interpreter_sessions": "Code Interpreter Sessions",
    "vector_storage": "Vector Storage",
}
"""Meters of the price table and their names in bills; a meter that is not here keeps its own."""

Line = tuple[str, str, str]
"""SQL of a meter, of its quantity (a number or text; null and 0 make no line) and of what is counted."""

UNREADABLE: Line = ("'unreadable counts'", "'unreadable counts'", "'Tokens'")
"""The line of a result whose counts are not whole numbers: it is refused, instead of parts of it counted."""


def lines_sql(lines: Sequence[Line]) -> str:
    """A list of structs (meter, quantity, unit), in order."""
    listed = ", ".join(f"{{'meter': {meter}, 'quantity': CAST({quantity} AS VARCHAR), 'unit': {unit}}}" for meter, quantity, unit in lines)
    return f"[{listed}]" if lines else "CAST([] AS STRUCT(meter VARCHAR, quantity VARCHAR, unit VARCHAR)[])"


def usage_rows(
    connection: duckdb.DuckDBPyConnection,
    file: BillFile,
    prices: PriceTable,
    kind: str,
    provider: str,
    fields: Mapping[str, str],
    lines: str,
    identity: Sequence[str],
    ask: str,
) -> Rows:
    """Priced lines of usage pages.

    fields : name → SQL over `result` and `bucket`; with model, tier, context, moment, and the text of start and end.
    lines : SQL of the list of lines of a result. identity : names in `fields` that say which result of its bucket it is.
    """
    of_line = {"meter": "line.meter", "unit": "line.unit", "quantity": "line.quantity"}
    same = [*(fields[name] for name in identity), "line.meter"]
    place = occurrence(["page_number", "bucket_number", *same], "result_number")
    selected = {"provider": quoted_text(provider), **fields, **of_line, CHARGE_ID: charge_id(kind, [*same, place])}
    # Text that is no number stays, to be refused.
    unnested = f", unnest({lines}) AS lines(line) WHERE line.quantity IS NOT NULL AND coalesce(TRY_CAST(line.quantity AS DECIMAL(38, 9)) <> 0, true)"
    return priced_rows(connection, page_results(connection, file, selected, unnested, ", line.meter"), prices, ask, (provider,))


def usage_columns(rows: Rows, service: str, start: str, end: str, about: Mapping[str, str], tags: Mapping[str, str], **more: str) -> dict[str, str]:
    """FOCUS columns of priced lines. start, end : SQL of moments. about, tags : SQL by key, of price details and of tags. more : further columns."""
    at = {name: f"c{place}" for place, name in enumerate(rows.names)}
    month, next_month = month_of(start)
    names = " ".join(f"WHEN {quoted_text(meter)} THEN {quoted_text(name)}" for meter, name in METER_NAMES.items())
    meter = f"CASE {at['meter']} {names} ELSE concat(upper({at['meter']}[1]), {at['meter']}[2:]) END"
    no_tier = f"CASE WHEN {at['tier']} IS NULL THEN ' (no tier given: standard)' ELSE '' END"
    cost = at["cost"]
    return {
        **focus_columns(
            billed_cost=cost,
            effective_cost=cost,
            list_cost=cost,
            contracted_cost=cost,
            list_unit_price=at["unit_price"],
            contracted_unit_price=at["unit_price"],
            billing_currency=at["currency"],
            billing_period_start=month,
            billing_period_end=next_month,
            charge_period_start=readable(start, at["start"]),
            charge_period_end=readable(end, at["end"]),
            charge_category="'Usage'",
            charge_description=f"concat_ws(' ', {at['model']}, {meter})",
            charge_frequency="'Usage-Based'",
            consumed_quantity=at["quantity"],
            consumed_unit=at["unit"],
            pricing_quantity=at["pricing_quantity"],
            pricing_unit=at["pricing_unit"],
            pricing_category=f"CASE WHEN {cost} IS NOT NULL THEN 'Standard' END",
            provider_name=at["provider"],
            publisher_name=at["provider"],
            invoice_issuer_name=at["provider"],
            service_name=quoted_text(service),
            service_category=quoted_text(CATEGORY),
            service_subcategory=quoted_text(SUBCATEGORY),
            sku_meter=meter,
            sku_price_details=tags_sql({"ModelId": at["model"], **about}),
            tags=tags_sql(tags),
            **more,
        ),
        CHARGE_ID: at[CHARGE_ID],
        PRICED_BY: f"({at['priced_by']} || {no_tier})",
        REFUSED: at["refused"],
    }
