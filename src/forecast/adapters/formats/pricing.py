"""Prices usage: the dated price table as a relation of DuckDB, joined to rows that say what was used and not what it cost.

A format gives its usage as rows with the columns of `USAGE`; `priced_rows` adds those of `PRICED`. Cost is quantity × price in
decimals, never in floats. A row without a price is refused (`refused` says why), never counted as 0.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import duckdb

from forecast.adapters.bill_files import Rows
from forecast.adapters.duck import execute, quoted_text
from forecast.adapters.formats.pages import refusal
from forecast.errors import InputError
from forecast.spend import focus
from forecast.spend.prices import SNAPSHOT, STANDARD, Price, PriceTable, read_prices

USAGE: tuple[str, ...] = ("provider", "model", "meter", "tier", "context", "unit", "quantity", "moment")
"""Columns that usage must have. meter : as in the price table. unit : what is counted (`Tokens`). quantity : of it, a number or its text.
moment : when it was used, a TIMESTAMP or TIMESTAMPTZ in UTC; its day decides which price holds. tier, context, model may be null."""

PRICED: tuple[str, ...] = ("cost", "unit_price", "pricing_unit", "pricing_quantity", "currency", "priced_by", "refused")
"""Columns that pricing adds. unit_price : of one `pricing_unit` (`1M Tokens`). refused : null, or `column|problem|allowed`."""

_QUANTITY, _OF_ONE, _PRICE = "DECIMAL(22, 9)", "DECIMAL(16, 12)", "DECIMAL(18, 12)"
_FIELDS = (
    "provider", "match", "stem", "meter", "tier", "context", "counted", "unit", "of_one", "price", "scale", "currency",
    "valid_from", "valid_until", "sentence",
)  # fmt: skip


@lru_cache(maxsize=1)
def shipped_prices() -> PriceTable:
    """The list prices that ship with the package."""
    return read_prices(files("forecast.spend").joinpath("data", "prices.csv").read_text(encoding="utf-8"), "prices")


def load_prices(path: str | Path) -> PriceTable:
    """A price table from a file of the user's; it stands in place of the shipped one. InputError says what is wrong, and where."""
    given = Path(path)
    try:
        text = given.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"No such price table: {given}", field="prices", got=str(given), allowed="a CSV file that exists") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or "it cannot be opened"
        raise InputError(f"{given.name} cannot be read: {problem}", field="prices", got=str(given), allowed="a CSV file in UTF-8") from None
    return read_prices(text, f"prices {given.name}")


def prices_relation(prices: PriceTable, providers: Collection[str] | None = None) -> str:
    """The table as SQL that needs nothing of the connection; one column for each thing that the join asks about.

    It is one JSON text: DuckDB binds that more than twice as fast as a VALUES list. providers : of these only.
    """
    title = f"{prices.name} {prices.version}".strip()
    entries = [
        _fields(entry, end or date.max, title)
        for entry, end in zip(prices.entries, prices.ends, strict=True)
        if providers is None or entry.provider in providers
    ]
    shape = json.dumps([dict.fromkeys(_FIELDS, "VARCHAR")])
    return f"""
        SELECT * REPLACE (CAST(of_one AS {_OF_ONE}) AS of_one, CAST(price AS {_PRICE}) AS price, CAST(scale AS INTEGER) AS scale,
                          CAST(valid_from AS DATE) AS valid_from, CAST(valid_until AS DATE) AS valid_until)
        FROM (SELECT unnest(from_json({quoted_text(json.dumps(entries, ensure_ascii=False))}, {quoted_text(shape)}), recursive := true))
    """


def _fields(entry: Price, end: date, title: str) -> dict[str, str]:
    return {
        "provider": entry.provider,
        "match": entry.match,
        "stem": entry.stem,
        "meter": entry.meter,
        "tier": entry.tier,
        "context": entry.context,
        "counted": entry.counted,
        "unit": entry.unit,
        "of_one": f"{entry.of_one:f}",
        "price": f"{entry.price:f}",
        "scale": str(entry.scale),
        "currency": entry.currency,
        "valid_from": str(entry.valid_from),
        "valid_until": str(end),
        "sentence": f"{title}: {entry.sentence}",
    }


def priced_rows(
    connection: duckdb.DuckDBPyConnection, usage: Rows, prices: PriceTable, ask: str = "", providers: Collection[str] | None = None
) -> Rows:
    """Rows of usage with the columns of `PRICED` beside their own.

    ask : how the vendor's API is asked for the model, for the refusal. providers : the only ones that the usage can be of, where that is known.
    """
    own = {name: usage.find(name) for name in USAGE}
    missing = [name for name, reference in own.items() if reference is None]
    if missing:
        raise KeyError(f"Usage lacks {', '.join(missing)}")
    references = ", ".join(f"c{place}" for place in range(len(usage.names)))
    asked = f"""
        {own["provider"]} AS provider, lower(coalesce({own["model"]}, '')) AS model, {own["meter"]} AS meter,
        coalesce(nullif({own["tier"]}, ''), {quoted_text(STANDARD)}) AS tier, coalesce({own["context"]}, '') AS context,
        {own["unit"]} AS counted, CAST({own["moment"]} AS DATE) AS day
    """
    # Ranks as in `spend.prices`: the name itself, then the name with a date, then the longest beginning; then an entry for just this context.
    matches = f"""
        CASE WHEN entries.match = 'prefix' THEN CASE WHEN starts_with(asked.model, entries.stem) THEN 1 + length(entries.stem) ELSE 0 END
             WHEN asked.model = entries.stem THEN 1000000
             WHEN starts_with(asked.model, entries.stem)
                  AND regexp_full_match(substr(asked.model, length(entries.stem) + 1), {quoted_text(SNAPSHOT)}) THEN 500000
             ELSE 0 END
    """
    about = "concat_ws(' ', provider, nullif(model, ''), meter, concat('(', concat_ws(', ', tier, nullif(context, '')), ')'))"
    hint = f"CASE WHEN model = '' THEN {quoted_text(f'; no model is given, {ask}')} ELSE '' END" if ask else "''"
    # Without the day itself: equal problems are counted together in reports, and the row says when it was.
    without_price = refusal(
        focus.BILLED_COST,
        f"concat('has no price: none in ', {quoted_text(prices.name)}, ' for ', {about}, ' per ', counted, ' on its day', {hint})",
        "'usage that the price table has an entry for; another table is given with --prices FILE'",
    )
    bad_quantity = refusal("quantity", "concat('is not a number of 0 or more: ', coalesce(quantity, 'nothing'))", "'a count such as 1000'")
    sql = f"""
        WITH usage AS ({usage.sql}),
        given AS (SELECT row_number, {references}, {asked}, CAST({own["quantity"]} AS VARCHAR) AS quantity,
                         TRY_CAST({own["quantity"]} AS {_QUANTITY}) AS amount FROM usage),
        entries AS ({prices_relation(prices, providers)}),
        asked AS (SELECT DISTINCT provider, model, meter, tier, context, counted, day FROM given),
        answered AS (
            SELECT asked.provider, asked.model, asked.meter, asked.tier, asked.context, asked.counted, asked.day,
                   entries.of_one, entries.price, entries.unit, entries.scale, entries.currency, entries.sentence
            FROM asked JOIN entries
              ON entries.provider = asked.provider AND entries.meter = asked.meter AND entries.tier = asked.tier AND entries.counted = asked.counted
            WHERE entries.context IN ('', asked.context) AND entries.valid_from <= asked.day AND asked.day < entries.valid_until AND {matches} > 0
            QUALIFY row_number() OVER (
                PARTITION BY asked.provider, asked.model, asked.meter, asked.tier, asked.context, asked.counted, asked.day
                ORDER BY {matches} DESC, entries.context DESC
            ) = 1
        )
        SELECT row_number, {references}, CASE WHEN amount >= 0 THEN amount * of_one END AS cost, price, unit,
               amount * CAST(CASE scale WHEN 9 THEN '0.000000001' WHEN 6 THEN '0.000001' WHEN 3 THEN '0.001' WHEN 0 THEN '1' END AS DECIMAL(10, 9)),
               currency,
               CASE WHEN amount >= 0 THEN sentence END AS priced_by,
               CASE WHEN amount IS NULL OR amount < 0 THEN {bad_quantity} WHEN sentence IS NULL THEN {without_price} END AS refused
        FROM given LEFT JOIN answered USING (provider, model, meter, tier, context, counted, day)
    """
    columns = ", ".join(["row_number", *(f"c{place}" for place in range(len(usage.names) + len(PRICED)))])
    named = f"WITH priced({columns}) AS ({sql}) SELECT * FROM priced"
    types = [str(row[1]) for row in execute(connection, f"DESCRIBE {named}")][1:]
    return Rows(named, (*usage.names, *PRICED), tuple(types), usage.notes)
