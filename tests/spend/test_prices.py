"""The dated price table: which entry answers for a usage, and which tables are refused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib.resources import files

import pytest

from forecast.errors import InputError, SchemaError
from forecast.spend.prices import PriceTable, read_prices

HEADER = "provider,model,meter,tier,context,unit,price,currency,valid_from,valid_until,checked,source\n"
TABLE = (
    "# made-up prices\n"
    + HEADER
    + """Acme,owl,input,,,1M Tokens,5.00,USD,2025-01-01,,2026-02-03,list
Acme,owl,input,,,1M Tokens,2.50,USD,2025-07-01,,2026-02-04,list
Acme,owl-2025-02-02,input,,,1M Tokens,9.00,USD,2025-02-02,,,list
Acme,owl,input,batch,,1M Tokens,1.25,USD,2025-07-01,,,list
Acme,owl,input,,200k-1M,1M Tokens,7.50,USD,2025-07-01,,,list
Acme,ft:owl*,input,,,1M Tokens,6.00,USD,2025-01-01,,,list
Acme,ft:owl-mini*,input,,,1M Tokens,0.075,USD,2025-01-01,,,list
Acme,*,H100,,,GPU-hour,3.00,USD,2025-01-01,2025-03-01,,promotion
Acme,*,H100,,,GPU-hour,4.00,USD,2025-04-01,,,list
"""
)


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return read_prices(TABLE, "prices")


@pytest.mark.parametrize(
    ("model", "day", "tier", "context", "price"),
    [
        ("owl", date(2025, 6, 30), None, None, "5.00"),
        ("owl", date(2025, 7, 1), None, None, "2.50"),
        ("OWL", date(2025, 7, 1), "standard", "0-200k", "2.50"),
        ("owl", date(2025, 7, 1), "batch", None, "1.25"),
        ("owl", date(2025, 7, 1), None, "200k-1M", "7.50"),
        ("owl-2025-02-02", date(2025, 8, 1), None, None, "9.00"),
        ("owl-2025-05-05", date(2025, 8, 1), None, None, "2.50"),
        ("owl-20250505", date(2025, 8, 1), None, None, "2.50"),
        ("owl-latest", date(2025, 8, 1), None, None, "2.50"),
        ("ft:owl:team::1", date(2025, 8, 1), None, None, "6.00"),
        ("ft:owl-mini:team::1", date(2025, 8, 1), None, None, "0.075"),
        ("owl-mini", date(2025, 8, 1), None, None, None),
        ("owl-2025-05-05-preview", date(2025, 8, 1), None, None, None),
        ("owl", date(2024, 12, 31), None, None, None),
        ("owl", date(2025, 6, 30), "batch", None, None),
        ("owl", date(2025, 8, 1), "priority", None, None),
        (None, date(2025, 8, 1), None, None, None),
    ],
)
def test_the_most_exact_entry_of_the_day_answers(
    table: PriceTable, model: str | None, day: date, tier: str | None, context: str | None, price: str | None
) -> None:
    entry = table.find("Acme", model, "input", "Tokens", day, tier, context)
    assert (entry.price if entry else None) == (Decimal(price) if price else None)


@pytest.mark.parametrize(("day", "price"), [(date(2025, 2, 28), "3"), (date(2025, 3, 1), None), (date(2025, 4, 1), "4")])
def test_valid_until_leaves_a_gap_where_nothing_is_priced(table: PriceTable, day: date, price: str | None) -> None:
    entry = table.find("Acme", None, "H100", "GPU-hour", day)
    assert (entry.price if entry else None) == (Decimal(price) if price else None)


def test_a_price_counts_only_what_it_is_the_price_of(table: PriceTable) -> None:
    assert table.find("Acme", "owl", "input", "Characters", date(2025, 8, 1)) is None


def test_the_price_of_one_thing_is_exact_and_the_entry_is_told_in_words(table: PriceTable) -> None:
    entry = table.find("Acme", "ft:owl-mini:x", "input", "Tokens", date(2025, 8, 1))
    assert entry is not None
    assert entry.of_one == Decimal("0.000000075")
    assert entry.sentence == "Acme ft:owl-mini* input 0.075 USD per 1M Tokens since 2025-01-01"
    assert table.version == "2026-02-04"


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ("Acme,owl,input,,,1M Tokens,-1,USD,2026-01-01,,,", "price", "line 2: price is '-1'"),
        ("Acme,owl,input,,,1M Tokens,NaN,USD,2026-01-01,,,", "price", "'NaN'"),
        ("Acme,owl,input,,,1M Tokens,1_0,USD,2026-01-01,,,", "price", "'1_0'"),
        ('Acme,owl,input,,,1M Tokens,"1,000",USD,2026-01-01,,,', "price", "'1,000'"),
        ("Acme,owl,input,,,1M Tokens,0.0000001,USD,2026-01-01,,,", "price", "at most 6 decimals"),
        ("Acme,owl,input,,,1M Tokens,,USD,2026-01-01,,,", "price", "a value"),
        ("Acme,owl,input,,,1M Tokens,1,usd,2026-01-01,,,", "currency", "three letters"),
        ("Acme,owl,input,,,1M Tokens,1,USD,01/02/2026,,,", "valid_from", "a day such as"),
        ("Acme,owl,input,,,1M Tokens,1,USD,2026-01-02,2026-01-02,,", "valid_until", "after valid_from"),
        ("Acme,o*l,input,,,1M Tokens,1,USD,2026-01-02,,,", "model", "followed by"),
        ("Acme,owl,input", "line", "3 fields, the header 12"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_its_line(line: str, field: str, says: str) -> None:
    with pytest.raises(InputError, match="mine") as caught:
        read_prices(HEADER + line + "\n", "mine.csv")
    assert caught.value.field == field
    assert says in str(caught.value)
    assert "mine.csv" in str(caught.value)


@pytest.mark.parametrize(
    "second",
    ["Acme,OWL,input,standard,,1K Tokens,2,USD,2026-01-01,,,", "Acme,owl,input,,,1M Tokens,2,USD,2026-06-01,,,"],
)
def test_two_entries_for_one_day_are_refused(second: str) -> None:
    first = "Acme,owl,input,,,1M Tokens,1,USD,2026-01-01,2026-12-31,,"
    with pytest.raises(InputError, match="lines 2 and 3 both say what 'Acme owl input 1 USD"):
        read_prices(f"{HEADER}{first}\n{second}\n", "mine.csv")


def test_a_header_without_a_needed_column_is_refused() -> None:
    with pytest.raises(SchemaError, match="lacks currency"):
        read_prices("provider,model,meter,unit,price,valid_from\n", "mine.csv")
    with pytest.raises(SchemaError, match="has colour"):
        read_prices(HEADER.replace("source", "colour"), "mine.csv")
    with pytest.raises(SchemaError, match="holds no prices"):
        read_prices("# nothing\n", "mine.csv")


def test_a_table_needs_only_the_columns_that_must_say_something() -> None:
    table = read_prices("\ufeffPrice,Provider,model,meter,unit,currency,valid_from\n1,Acme,*,x,Requests,EUR,2026-01-01\n", "mine.csv")
    entry = table.find("Acme", "whatever", "x", "Requests", date(2026, 1, 1))
    assert entry is not None
    assert (entry.currency, entry.of_one) == ("EUR", Decimal(1))


def test_the_shipped_table_holds_the_models_and_gpus_that_companies_use() -> None:
    table = read_prices(files("forecast.spend").joinpath("data", "prices.csv").read_text(encoding="utf-8"), "prices")
    assert all(entry.source and entry.checked for entry in table.entries)
    day = date(2026, 10, 1)
    asked = [("OpenAI", model) for model in ("gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-4.1", "gpt-5", "gpt-5-mini", "o3-mini", "o4-mini")]
    asked += [("Anthropic", model) for model in ("claude-3-7-sonnet-20250219", "claude-sonnet-4-5-20250929", "claude-haiku-4-5", "claude-opus-4-1")]
    for provider, model in asked:
        for meter in ("input", "cached_input", "output"):
            assert table.find(provider, model, meter, "Tokens", day) is not None, (provider, model, meter)
    for gpu in ("H100", "A100-80GB", "A100", "A10G"):
        assert table.find("Kubernetes", None, gpu, "GPU-hour", day) is not None


def test_the_shipped_batch_tier_is_half_of_standard_where_it_is_given() -> None:
    table = read_prices(files("forecast.spend").joinpath("data", "prices.csv").read_text(encoding="utf-8"), "prices")
    batch = [entry for entry in table.entries if entry.tier == "batch" and entry.provider == "Anthropic"]
    assert len(batch) > 100
    for entry in batch:
        standard = table.find(entry.provider, entry.model, entry.meter, entry.counted, entry.valid_from, None, entry.context or None)
        assert standard is not None
        assert standard.price == 2 * entry.price
