"""Tables of rates from files, and lines converted in DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from forecast.adapters import duck
from forecast.adapters.rates import converted_sql, rates_used, read_rates, register_rates
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend.currency import DatedRate, Rates

CSV = """date,from,to,rate,source
2026-02-20,EUR,USD,1.08341,central bank
2026-02-23,eur,usd,1.1,central bank

2026-02-20,EUR,JPY,160.5,market
"""
TOML = """
base = "EUR"
inverse = true
max_age_days = 10

[[rates]]
date = 2026-02-20
from = "EUR"
to = "USD"
rate = "1.08341"
source = "central bank"

[[rates]]
date = "2026-02-20"
from = "EUR"
to = "JPY"
rate = "160.5"
"""


def written(folder: Path, text: str, name: str = "rates.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_csv_is_read_exactly_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    rates = read_rates(written(tmp_path, "\ufeff" + CSV))
    assert len(rates.rows) == 3
    assert rates.rate("EUR", "USD", dt.date(2026, 2, 20)).decimal == Decimal("1.08341")
    assert (rates.inverse, rates.base, rates.max_age_days) == (False, None, 7)


def test_toml_says_what_may_be_made_of_its_rates(tmp_path: Path) -> None:
    rates = read_rates(written(tmp_path, TOML, "rates.toml"))
    assert (rates.inverse, rates.base, rates.max_age_days) == (True, "EUR", 10)
    assert rates.rate("USD", "JPY", dt.date(2026, 3, 1)).way == "over EUR"


def test_options_that_are_given_count_before_those_of_the_file(tmp_path: Path) -> None:
    rates = read_rates(written(tmp_path, TOML, "rates.toml"), inverse=False, max_age_days=3)
    assert (rates.inverse, rates.base, rates.max_age_days) == (False, "EUR", 3)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("1.08341", "1,08", "line 2: has more values than columns"),
        ("1.08341", "abc", "line 2: the rate 'abc' is not exact"),
        ("1.08341", "1_0", "is not exact"),
        ("1.08341", "", "line 2: the rate '' is not exact"),
        ("1.08341", "-1", "line 2: .* is not usable"),
        ("1.08341", "NaN", "is not exact"),
        ("2026-02-23", "23.02.2026", "line 3: .*is not a day"),
        ("eur", "ERU", "line 3: from is not a currency: got 'ERU'"),
        ("2026-02-23", "2026-02-20", "two rates for 2026-02-20"),
        (",market", "", "fewer values than columns"),
    ],
)
def test_bad_row_is_refused_with_its_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(SpendDataError, match=problem):
        read_rates(written(tmp_path, CSV.replace(old, new, 1)))


@pytest.mark.parametrize("header", ["day,from,to,rate,source", "date,from,to", "date,from,to,rate,price", "date,from,from,rate,to"])
def test_columns_must_be_the_five(tmp_path: Path, header: str) -> None:
    with pytest.raises(SchemaError, match="allowed are the columns date, from, to, rate, source"):
        read_rates(written(tmp_path, CSV.replace("date,from,to,rate,source", header)))


def test_source_may_be_left_out(tmp_path: Path) -> None:
    assert read_rates(written(tmp_path, "rate,date,to,from\n1.1,2026-02-20,USD,EUR\n")).rows[0].source == ""


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("rates.toml", "rates = 3", SchemaError),
        ("rates.toml", "[[rates", DeliveryError),
        ("rates.toml", 'inverse = "yes"\n' + TOML.replace("inverse = true", ""), SchemaError),
        ("rates.toml", "invers = true\n" + TOML, SchemaError),
        ("rates.toml", TOML.replace('"1.08341"', "1.08341"), SpendDataError),
        ("rates.csv", "date,from,to,rate,source\n", SpendDataError),
        ("rates.csv", "", SchemaError),
        ("rates.xlsx", CSV, DeliveryError),
    ],
)
def test_file_that_is_no_table_of_rates_is_refused(tmp_path: Path, name: str, text: str, error: type[InputError]) -> None:
    with pytest.raises(error):
        read_rates(written(tmp_path, text, name))


def test_missing_file_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=r"none\.csv cannot be read as a table of rates"):
        read_rates(tmp_path / "none.csv")


# In the database

Line = tuple[str, str, str, str]
LINES: list[Line] = [
    ("USD", "2026-02-01T00:00:00", "10.000000000001", "1"),
    ("EUR", "2026-02-20T23:00:00", "100.10", "2"),
    ("EUR", "2026-02-22T00:00:00", "0.000000000003", "3"),
    ("EUR", "2026-02-25T00:00:00", "-100", "4"),
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duck.connect()
    yield opened
    opened.close()


def register(connection: duckdb.DuckDBPyConnection, lines: list[Line]) -> None:
    money = pa.decimal128(38, 12)
    columns = {
        "BillingCurrency": [line[0] for line in lines],
        "ChargePeriodStart": [dt.datetime.fromisoformat(line[1]) for line in lines],
        "BilledCost": pa.array([Decimal(line[2]) for line in lines], money),
        "EffectiveCost": pa.array([Decimal(line[2]) for line in lines], money),
        "name": [line[3] for line in lines],
    }
    connection.register("charges", pa.table(columns))


def euro(**options: bool) -> Rates:
    rows = [("2026-02-20", "1.08341"), ("2026-02-23", "1.1")]
    return Rates.of([DatedRate("EUR", "USD", dt.date.fromisoformat(day), Decimal(rate), "bank") for day, rate in rows], **options)  # type: ignore[arg-type]


def test_each_line_has_the_rate_of_its_day_and_the_target_stays_as_it_is(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, LINES)
    relation = register_rates(connection, euro(), "USD", ["EUR", "USD"])
    rows = connection.execute(f"SELECT name, {'EffectiveCost'}, BilledCost FROM ({converted_sql('charges', relation)}) ORDER BY name").fetchall()
    expected = [Decimal("10.000000000001"), Decimal("108.449341"), Decimal("0.00000000000325023"), Decimal("-110")]
    assert [row[1] for row in rows] == expected
    assert [row[2] for row in rows] == expected


def test_answer_shows_each_currency_with_its_days_and_rates(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, LINES)
    (used,) = rates_used(connection, "charges", euro(), "USD")
    assert used.as_json() == {
        "from": "EUR",
        "to": "USD",
        "first_day": "2026-02-20",
        "last_day": "2026-02-25",
        "lowest": "1.08341",
        "highest": "1.1",
        "oldest_rate": "2026-02-20",
        "newest_rate": "2026-02-23",
        "oldest_in_days": 2,
        "source": "bank",
        "way": "quoted",
        "sentence": "1 EUR is 1.08341 to 1.1 USD (rates of 2026-02-20 to 2026-02-23, bank; charges of 2026-02-20 to 2026-02-25)",
    }


def test_one_currency_needs_no_table(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, LINES[:1])
    assert rates_used(connection, "charges", Rates.of([]), "USD") == ()


def test_day_without_a_rate_is_found_before_anything_is_summed(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, [*LINES, ("EUR", "2026-03-05T00:00:00", "1", "5")])
    with pytest.raises(SpendDataError, match=r"no rate EUR→USD for 2026-03-05: newest is 2026-02-23"):
        rates_used(connection, "charges", euro(), "USD")


@pytest.mark.parametrize(
    "line", [("EUR", "2026-03-05T00:00:00", "1", "5"), ("EUR", "2026-02-01T00:00:00", "1", "5"), ("GBP", "2026-02-21T00:00:00", "1", "5")]
)
def test_query_itself_refuses_a_line_without_a_rate(connection: duckdb.DuckDBPyConnection, line: Line) -> None:
    register(connection, [*LINES, line])
    relation = register_rates(connection, euro(), "USD", ["EUR"])
    with pytest.raises(duckdb.Error, match=f"no rate for {line[0]} on {line[1][:10]}"):
        connection.execute(f"SELECT sum(EffectiveCost) FROM ({converted_sql('charges', relation)})").fetchall()


def test_line_in_tokens_is_refused_with_the_currencies_that_there_are(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, [("TOK", "2026-02-21T00:00:00", "1", "5")])
    with pytest.raises(InputError, match="is not a currency: got 'TOK'"):
        rates_used(connection, "charges", euro(), "USD")


def test_amount_beyond_the_range_is_an_error_and_never_another_number(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, [("EUR", "2026-02-20T00:00:00", "99999999999999999999999999", "1")])
    relation = register_rates(connection, euro(), "USD", ["EUR"])
    with pytest.raises(duckdb.OutOfRangeException):
        connection.execute(f"SELECT sum(EffectiveCost) FROM ({converted_sql('charges', relation)})").fetchall()


def test_turned_round_rate_converts_a_billion_to_the_cent(connection: duckdb.DuckDBPyConnection) -> None:
    register(connection, [("USD", "2026-02-20T00:00:00", "999999999.99", "1")])
    rates = euro(inverse=True)
    relation = register_rates(connection, rates, "EUR", ["USD"])
    found = connection.execute(f"SELECT EffectiveCost FROM ({converted_sql('charges', relation)})").fetchall()[0][0]
    assert round(found, 2) == rates.convert(Decimal("999999999.99"), "USD", "EUR", dt.date(2026, 2, 20), 2)
