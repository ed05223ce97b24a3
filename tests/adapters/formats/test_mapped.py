"""Mapping files: read as they say and never guessed at; every mistake in one is named with its line."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forecast.adapters.formats.mapped import MappedFormat
from forecast.adapters.formats.mapping import load_mapping, parse_mapping
from forecast.errors import InputError, SchemaError
from tests.adapters.formats.cloud_bills import write_csv, write_parquet
from tests.adapters.formats.pages_for_tests import HOSTILE, found, read, sample, written

GERMAN = """
[columns]
BilledCost = "Betrag"
servicename = "Leistung"
[constants]
ProviderName = "Acme"
BillingCurrency = "EUR"
[amounts]
decimal = ","
thousands = "."
symbol = "€"
[dates]
format = "dmy"
[period]
column = "Datum"
length = "day"
[tags]
team = "Kostenstelle"
"""
PLAIN = """
[columns]
BilledCost = "cost"
ServiceName = "service"
ChargePeriodStart = "start"
ChargePeriodEnd = "end"
[constants]
ProviderName = "Acme"
BillingCurrency = "USD"
"""


def german(**changes: Any) -> dict[str, Any]:
    return {"Datum": "31.01.2026", "Betrag": "1.234,50 €", "Leistung": "GPU", "Kostenstelle": "Suche", "Bemerkung": "x"} | changes


def plain(**changes: Any) -> dict[str, Any]:
    return {"start": "2026-01-05", "end": "2026-01-06", "cost": "1.5", "service": "GPU"} | changes


def lines(tmp_path: Path, mapping: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return read(MappedFormat(parse_mapping(mapping, "acme.toml")), found(write_csv(tmp_path / "a.csv", rows)))


def test_a_table_is_read_as_its_mapping_says(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, GERMAN, german())
    assert row["BilledCost"] == row["EffectiveCost"] == Decimal("1234.5")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (dt.datetime(2026, 1, 31), dt.datetime(2026, 2, 1))
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (dt.datetime(2026, 1, 1), dt.datetime(2026, 2, 1))
    assert (row["ProviderName"], row["ServiceName"], row["BillingCurrency"], row["ChargeCategory"]) == ("Acme", "GPU", "EUR", "Usage")
    assert json.loads(row["Tags"]) == {"team": "Suche"}
    assert (row["x_Bemerkung"], row["x_refused"]) == ("x", None)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0,01", "0.01"),
        ("-1.234.567,89", "-1234567.89"),
        ("(12,30)", "-12.30"),
        ("12,30-", "-12.30"),
        ("1234", "1234"),
        ("1.234", "1234"),
        (",5", "0.5"),
    ],
)
def test_amounts_are_read_with_the_marks_of_the_mapping(tmp_path: Path, text: str, amount: str) -> None:
    assert lines(tmp_path, GERMAN, german(Betrag=text))[0]["BilledCost"] == Decimal(amount)


@pytest.mark.parametrize("text", ["1,234.50", "1.23", "12.5", "1.2345,00", "$5", "NaN", "1e3", "5 USD", "1,2,3", "1_000"])
def test_an_amount_that_is_written_otherwise_is_refused_and_not_guessed_at(tmp_path: Path, text: str) -> None:
    (row,) = lines(tmp_path, GERMAN, german(Betrag=text))
    assert row["BilledCost"] is None
    assert row["x_refused"].startswith(f"BilledCost|'{text}' is not an amount as the mapping describes it|")


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [(".", ",", "1,234.5"), (".", "'", "1'234.5"), (",", " ", "1 234,5"), (",", " ", "1\u202f234,5"), (".", "", "1234.5")],
)
def test_every_pair_of_marks_can_be_declared(tmp_path: Path, decimal: str, thousands: str, text: str) -> None:
    mapping = GERMAN.replace('decimal = ","', f'decimal = "{decimal}"').replace('thousands = "."', f'thousands = "{thousands}"')
    assert lines(tmp_path, mapping, german(Betrag=text))[0]["BilledCost"] == Decimal("1234.5")


@pytest.mark.parametrize(("unit", "amount"), [("units", "12345.67"), ("cents", "123.4567"), ("micros", "0.01234567")])
def test_small_units_become_whole_ones_exactly_and_quantities_stay(tmp_path: Path, unit: str, amount: str) -> None:
    mapping = PLAIN.replace("[constants]", f'ConsumedQuantity = "used"\n[amounts]\nunit = "{unit}"\n[constants]')
    (row,) = lines(tmp_path, mapping, plain(cost="12345.67", used="12345.67"))
    assert (row["BilledCost"], row["ConsumedQuantity"]) == (Decimal(amount), Decimal("12345.67"))


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("iso", "2026-03-04T00:00:00+00:00"),
        ("ymd", "2026/3/4"),
        ("ymd", "2026.03.04 00:00"),
        ("mdy", "3/4/26"),
        ("mdy", "03-04-2026 12:00 AM"),
        ("dmy", "4.3.26"),
        ("dmy", "04/03/2026 00:00:00"),
        ("epoch", "1772582400"),
        ("epoch_ms", "1772582400000"),
        ("%d %b %Y", "04 Mar 2026"),
        ("%Y%m%d%H", "2026030400"),
        ("%Y-%m-%d %H:%M %z", "2026-03-04 01:00 +01"),
    ],
)
def test_times_are_read_in_the_format_of_the_mapping(tmp_path: Path, format: str, text: str) -> None:
    mapping = GERMAN.replace('"dmy"', f'"{format}"')
    (row,) = lines(tmp_path, mapping, german(Datum=text))
    assert (row["ChargePeriodStart"], row["x_refused"]) == (dt.datetime(2026, 3, 4), None)


@pytest.mark.parametrize(
    ("format", "text"),
    [("mdy", "13/1/26"), ("dmy", "1/13/26"), ("ymd", "04.03.2026"), ("iso", "04.03.2026"), ("epoch", "2026-03-04"), ("%d.%m.%Y", "4/3/26")],
)
def test_a_time_that_is_written_otherwise_is_refused(tmp_path: Path, format: str, text: str) -> None:
    (row,) = lines(tmp_path, GERMAN.replace('"dmy"', f'"{format}"'), german(Datum=text))
    assert row["x_refused"].startswith(f"ChargePeriodStart|'{text}' is not a time as the mapping describes it|")


@pytest.mark.parametrize(("length", "start", "end"), [("hour", (31, 13), (31, 14)), ("day", (31, 0), (32, 0)), ("month", (1, 0), (32, 0))])
def test_one_column_and_a_length_make_a_period(tmp_path: Path, length: str, start: tuple[int, int], end: tuple[int, int]) -> None:
    mapping = GERMAN.replace('length = "day"', f'length = "{length}"')
    (row,) = lines(tmp_path, mapping, german(Datum="31.01.2026 13:45"))
    first = dt.datetime(2026, 1, 1)
    assert row["ChargePeriodStart"] == first + dt.timedelta(days=start[0] - 1, hours=start[1])
    assert row["ChargePeriodEnd"] == first + dt.timedelta(days=end[0] - 1, hours=end[1])


def test_typed_columns_need_no_marks_and_no_formats(tmp_path: Path) -> None:
    rows = [german(Datum=dt.date(2026, 1, 31), Betrag=0.1), german(Datum=dt.date(2026, 2, 1), Betrag=2.5)]
    parquet = write_parquet(tmp_path / "a.parquet", rows, {"Betrag": pa.float64()})
    as_parquet = read(MappedFormat(parse_mapping(GERMAN, "m")), found(parquet))
    as_json = read(MappedFormat(parse_mapping(GERMAN, "m")), written(tmp_path / "a.json", german(Betrag=0.1), german(Betrag="2,5"), layout="list"))
    assert [row["BilledCost"] for row in as_parquet] == [row["BilledCost"] for row in as_json] == [Decimal("0.1"), Decimal("2.5")]
    assert as_parquet[0]["ChargePeriodStart"] == dt.datetime(2026, 1, 31)


def test_names_and_texts_of_a_mapping_are_never_sql(tmp_path: Path) -> None:
    name = "co\"st'; DROP TABLE x; --"
    mapping = (
        PLAIN.replace('"cost"', json.dumps(name)).replace('"Acme"', json.dumps(HOSTILE)) + f"[tags]\n{json.dumps(HOSTILE)} = {json.dumps(name)}\n"
    )
    row = {name if key == "cost" else key: value for key, value in plain().items()}
    (line,) = lines(tmp_path, mapping, row)
    assert (line["BilledCost"], line["ProviderName"], json.loads(line["Tags"])) == (Decimal("1.5"), HOSTILE, {HOSTILE: "1.5"})


def test_a_table_without_the_columns_is_refused_with_the_lines_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"lacks 'Betrag' \(line 3 of acme.toml\), 'Kostenstelle' \(line 18 of acme.toml\)") as caught:
        lines(tmp_path, GERMAN, {"Datum": "1.1.26", "Leistung": "x"})
    assert caught.value.field == "Betrag"


def test_a_table_is_recognised_by_all_columns_of_the_mapping(tmp_path: Path) -> None:
    format = MappedFormat(parse_mapping(GERMAN, "acme.toml"))
    assert format.recognise(sample(found(write_csv(tmp_path / "a.csv", [german()])))) == "it has all 4 columns of the mapping acme.toml"
    assert format.recognise(sample(found(write_csv(tmp_path / "b.csv", [plain()])))) is None
    assert format.recognise(sample(written(tmp_path / "a.json", german()))) is not None


def test_the_reading_comes_from_the_mapping_with_the_names_of_the_ledger() -> None:
    assert parse_mapping(PLAIN, "m").reading.mode == "append"
    reading = parse_mapping(PLAIN + '[reading]\nmode = "merge"\nkey = ["service", "position", "x_own", "SkuId"]\n', "m").reading
    assert (reading.mode, reading.key) == ("merge", ("ServiceName", "x_position", "x_own", "SkuId"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[columns]", "[column]", r"m.toml, line 2: \[column\] is not known; perhaps columns"),
        ("servicename", "ServiceNam", r"m.toml, line 4: \[columns\] ServiceNam is not known; perhaps ServiceName"),
        ('BillingCurrency = "EUR"', "", "nothing says the BillingCurrency of a row"),
        ('BilledCost = "Betrag"', 'ListCost = "Betrag"', "nothing says the BilledCost of a row"),
        ('column = "Datum"', "", "nothing says the ChargePeriodStart of a row"),
        ('length = "day"', "", "nothing says the ChargePeriodEnd of a row"),
        ('decimal = ","', 'decimal = ";"', r"line 9: \[amounts\] decimal is ';'; allowed is '.', ','"),
        ('thousands = "."', 'thousands = ","', r"line 10: \[amounts\] thousands is ','"),
        ('symbol = "€"', 'sign = "€"', r"line 11: \[amounts\] sign is not known"),
        ('symbol = "€"', 'unit = "pence"', r"line 11: \[amounts\] unit is 'pence'; allowed is 'units', 'cents', 'micros'"),
        ('"dmy"', '"european"', r"line 13: \[dates\] format is 'european'"),
        ('"dmy"', '"%d.%m"', r"line 13: \[dates\] format is '%d.%m'; allowed is .*a year, a month and a day"),
        ('"dmy"', '"%Y-%m-%d %Q"', r"line 13: \[dates\] format"),
        ('length = "day"', 'length = "week"', r"line 16: \[period\] length is 'week'"),
        ('ProviderName = "Acme"', "ProviderName = 5", r"line 6: \[constants\] ProviderName is 5; allowed is a text in quotes"),
        ('ProviderName = "Acme"', 'ServiceName = "x"', r"line 6: \[constants\] ServiceName is 'x'; allowed is ServiceName only once"),
        ('ProviderName = "Acme"', 'ListCost = "1"', r"line 6: \[constants\] ListCost is '1'; allowed is columns that hold text"),
        ("[tags]", '[reading]\nmode = "merge"\n[tags]', r"\[reading\] key is \[\]; allowed is columns where the mode is merge"),
        ("[tags]", "[tags", "m.toml is not TOML: .*line 17"),
        ('servicename = "Leistung"', 'ServiceName = "a"\nservicename = "b"', "line 5: .*ServiceName only once"),
        ('servicename = "Leistung"', 'servicename = "Leistung"\nTags = "t"', "either tags one by one or a column that holds them all"),
        ('servicename = "Leistung"', 'servicename = "a"\nChargePeriodStart = "t"', r"line 16: \[period\] column is 'Datum'; allowed is either"),
    ],
)
def test_every_mistake_is_named_with_its_line(old: str, new: str, message: str) -> None:
    assert old in GERMAN
    with pytest.raises(InputError, match=message):
        parse_mapping(GERMAN.replace(old, new, 1), "m.toml")


def test_a_mapping_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text("\ufeff" + GERMAN, encoding="utf-8")
    assert load_mapping(path).wanted == ("Betrag", "Leistung", "Kostenstelle", "Datum")
    with pytest.raises(InputError, match="No such mapping file"):
        load_mapping(tmp_path / "none.toml")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_mapping(path)
