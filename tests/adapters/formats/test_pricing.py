"""Pricing by DuckDB says what the pure rules say, exactly, and refuses what has no price."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from forecast.adapters import duck
from forecast.adapters.bill_files import Rows
from forecast.adapters.formats.pricing import PRICED, USAGE, load_prices, priced_rows, shipped_prices
from forecast.errors import InputError, SchemaError
from forecast.spend.prices import PriceTable, read_prices


def priced(prices: PriceTable, usage: list[tuple[str | None, ...]]) -> list[dict[str, object]]:
    values = ", ".join(
        f"({number}, {', '.join('NULL' if cell is None else duck.quoted_text(cell) for cell in row)})" for number, row in enumerate(usage)
    )
    names = ", ".join(f"c{place}" for place in range(len(USAGE)))
    sql = f"SELECT * REPLACE (CAST(c7 AS TIMESTAMP) AS c7) FROM (VALUES {values}) AS given(row_number, {names})"
    with duck.connect() as connection:
        rows = priced_rows(connection, Rows(sql, USAGE, (*("VARCHAR",) * 7, "TIMESTAMP")), prices, "ask for it")
        found = duck.execute(connection, f"SELECT * FROM ({rows.sql}) ORDER BY row_number")
        assert rows.names == (*USAGE, *PRICED)
        assert len(rows.types) == len(rows.names)
    return [dict(zip(("row_number", *rows.names), row, strict=True)) for row in found]


def test_every_price_is_the_one_that_the_pure_rules_find() -> None:
    table = shipped_prices()
    draw = random.Random(7)
    models = [
        *{entry.model.rstrip("*") for entry in table.entries},
        "gpt-4o-2024-11-20",
        "claude-opus-4-20250514",
        "ft:gpt-4o-mini-2024-07-18:x",
        "nobody",
        None,
    ]
    asked: list[tuple[str | None, ...]] = []
    for _ in range(4000):
        entry = draw.choice(table.entries)
        model = draw.choice([entry.model.rstrip("*"), f"{entry.model.rstrip('*')}-2025-01-31", draw.choice(models)])
        tier = draw.choice([None, "", "standard", "batch", "flex", entry.tier])
        day = date(2024, 1, 1) + timedelta(days=draw.randrange(1050))
        context = draw.choice([None, "0-200k", "200k-1M"])
        quantity = str(draw.randrange(10 ** draw.randrange(1, 13)))
        asked.append((entry.provider, model, entry.meter, tier, context, entry.counted, quantity, f"{day} 23:59:59"))
    answered = 0
    for row in priced(table, asked):
        provider, model, meter, tier, context, unit, quantity, moment = (str(row[name] or "") for name in USAGE)
        expected = table.find(
            str(provider), str(model or ""), str(meter), str(unit), date.fromisoformat(str(moment)[:10]), str(tier or ""), str(context or "")
        )
        if expected is None:
            assert row["cost"] is None
            assert "has no price" in str(row["refused"])
        else:
            answered += 1
            assert row["cost"] == Decimal(str(quantity)) * expected.of_one
            assert row["refused"] is None
            assert row["unit_price"] == expected.price
            assert row["cost"] == Decimal(str(row["pricing_quantity"])) * expected.price
            assert row["priced_by"] == f"prices {table.version}: {expected.sentence}"
    assert 500 < answered < 4000


def test_a_row_without_price_is_refused_in_three_parts_whatever_its_model_is_called() -> None:
    rows = priced(
        shipped_prices(),
        [("OpenAI", "o'|\"x", "input", None, None, "Tokens", "5", "2026-01-01"), ("OpenAI", None, "input", None, None, "Tokens", "5", "2026-01-01")],
    )
    named, unnamed = (str(row["refused"]).split("|") for row in rows)
    assert named[0] == unnamed[0] == "BilledCost"
    assert named[1] == "has no price: none in prices for OpenAI o'/\"x input (standard) per Tokens on its day"
    assert unnamed[1].endswith("no model is given, ask for it")
    assert "--prices FILE" in named[2]
    assert [row["cost"] for row in rows] == [None, None]


@pytest.mark.parametrize("quantity", ["-1", "many", None])
def test_a_quantity_that_is_not_a_count_is_refused(quantity: str | None) -> None:
    (row,) = priced(shipped_prices(), [("OpenAI", "gpt-4o", "input", None, None, "Tokens", quantity, "2026-01-01")])
    assert row["cost"] is None
    assert str(row["refused"]).startswith("quantity|is not a number of 0 or more: ")


def test_what_is_free_by_the_table_costs_nothing_and_says_so() -> None:
    (row,) = priced(shipped_prices(), [("OpenAI", "omni-moderation-latest", "input", None, None, "Tokens", "500", "2026-01-01")])
    assert row["cost"] == 0
    assert "0.00 USD" in str(row["priced_by"])


def test_gpu_hours_are_priced_to_a_billionth_of_an_hour() -> None:
    (row,) = priced(shipped_prices(), [("AWS", None, "H100", None, None, "GPU-hour", "1.123456789", "2026-01-01")])
    assert row["cost"] == Decimal("1.123456789") * Decimal("6.88")


def test_a_table_of_the_users_own_stands_in_place_of_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "it's ours.csv"
    file.write_text("provider,model,meter,unit,price,currency,valid_from\nOpenAI,gpt-4o,input,1M Tokens,1.10,EUR,2026-01-01\n", encoding="utf-8")
    usage: list[tuple[str | None, ...]] = [("OpenAI", "gpt-4o", meter, None, None, "Tokens", "1000", "2026-01-01") for meter in ("input", "output")]
    first, second = priced(load_prices(file), usage)
    assert (first["cost"], first["currency"]) == (Decimal("0.0011"), "EUR")
    assert first["priced_by"] == "prices it's ours.csv 2026-01-01: OpenAI gpt-4o input 1.10 EUR per 1M Tokens since 2026-01-01"
    assert "none in prices it's ours.csv" in str(second["refused"])


def test_an_empty_table_prices_nothing() -> None:
    table = read_prices("provider,model,meter,unit,price,currency,valid_from\n", "mine")
    (row,) = priced(table, [("OpenAI", "gpt-4o", "input", None, None, "Tokens", "1000", "2026-01-01")])
    assert row["cost"] is None


def test_a_price_file_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such price table"):
        load_prices(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"provider,\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_prices(broken)
    broken.write_text("model,price\n", encoding="utf-8")
    with pytest.raises(SchemaError, match="lacks provider, meter, unit, currency, valid_from"):
        load_prices(broken)
