"""Exchange rates from a file, and conversion of charge lines in DuckDB.

Two steps, so that no sum is ever made of what has no rate: `rates_used` looks at the currencies and days of the lines and
raises where one is not covered, and returns what the answer shows; `converted_sql` then joins each line to its rate.

A rate is kept in two decimals, `rate` (9 decimals) and `rest` (what is left of it, up to 18 decimals), because one factor of 18
decimals would leave no room for the money: DECIMAL(38, 12) × DECIMAL(27, 9) is a DECIMAL(38, 21), which holds 10^17. Quoted
rates of up to 18 decimals are therefore exact to 10^-15 a line and those of up to 9 exact without exception; rates that were turned
round or joined are exact to 5·10^-19 of a unit. Beyond 10^17 DuckDB raises an out-of-range error; it never wraps.
"""

from __future__ import annotations

import csv
import datetime as dt
import tomllib
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.errors import DeliveryError, InputError, SchemaError, SpendDataError
from forecast.spend import focus
from forecast.spend.currency import MAX_AGE_DAYS, DatedRate, Rates, RatesUsed, Step, check_currency, rounded
from forecast.spend.periods import parse_day

COLUMNS = ("date", "from", "to", "rate", "source")
OPTIONS = ("base", "inverse", "max_age_days")
CONVERTED = "DECIMAL(38, 21)"
WHOLE_PLACES, REST_PLACES = 9, 18

_SCHEMA = pa.schema(
    [
        pa.field("currency", pa.string()),
        pa.field("first_day", pa.date32()),
        pa.field("last_day", pa.date32()),
        pa.field("rate", pa.decimal128(27, WHOLE_PLACES)),
        pa.field("rest", pa.decimal128(18, REST_PLACES)),
    ]
)


def read_rates(path: str | Path, *, inverse: bool | None = None, base: str | None = None, max_age_days: int | None = None) -> Rates:
    """Rates of a CSV file (columns date, from, to, rate, source) or a TOML file (the same in `[[rates]]`, the options above them).

    Options that are given here count before those of the file; without either no pair is turned round or joined. Rates are exact decimal
    text: in TOML they stand in quotes, because a float is not the number that was written.

    Raises DeliveryError for a file that cannot be read, SchemaError for missing or unknown columns, SpendDataError with the line's place.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(
            f"{file.name} cannot be read as a table of rates: {error}", field="rates", got=str(path), allowed="a UTF-8 file"
        ) from None
    if file.suffix.lower() == ".toml":
        rows, options = _toml(text, file.name)
    elif file.suffix.lower() == ".csv":
        rows, options = _csv(text, file.name), {}
    else:
        raise DeliveryError(f"{file.name} is not a table of rates", field="rates", got=file.suffix, allowed=".csv or .toml")
    given = {"inverse": inverse, "base": base, "max_age_days": max_age_days}
    chosen: dict[str, Any] = {"max_age_days": MAX_AGE_DAYS, **options, **{name: value for name, value in given.items() if value is not None}}
    if not rows:
        raise SpendDataError(f"{file.name} has no rates", field="rates", got=0, allowed="at least one row")
    return Rates.of(rows, **chosen)


def find_rates(path: str | Path | None, home: str | Path) -> Rates | None:
    """The configured table of rates (`path`), else `rates.csv` in the home folder, else None. Raises as `read_rates`."""
    if path is not None:
        return read_rates(path)
    file = Path(home) / "rates.csv"
    return read_rates(file) if file.exists() else None


def rates_used(
    connection: duckdb.DuckDBPyConnection,
    lines: str,
    rates: Rates | None,
    to_currency: str,
    *,
    currency: str = focus.BILLING_CURRENCY,
    day: str | None = None,
) -> tuple[RatesUsed, ...]:
    """The rates that `lines` (SQL of a relation) need in `to_currency`, one entry a currency that is not it; () where nothing is converted.

    rates : None where there is no table. currency : its column. day : SQL of the day that a line is converted by, by default the UTC day on
    which its charge period starts.

    Raises SpendDataError for a currency and day without a rate, InputError for a code that is no currency, both before anything is summed.
    """
    target = check_currency(to_currency, "to")
    name, when = quoted_name(currency), _day(day)
    found = execute(
        connection, f"SELECT DISTINCT {name}, {when} FROM {lines} AS lines WHERE {name} IS DISTINCT FROM {quoted_text(target)} ORDER BY 1, 2"
    )
    days: dict[str, list[dt.date]] = {}
    for code, at in found:
        if not isinstance(code, str) or not isinstance(at, dt.date):
            raise SpendDataError(
                f"A line has no {'day' if code else 'currency'}", field=currency, got=[str(code), str(at)], allowed="both in every line"
            )
        days.setdefault(code, []).append(at)
    if days and rates is None:
        code, when_first = next((code, when[0]) for code, when in days.items())
        message = f"no rate {code}→{target} for {when_first}: there is no table of rates (setting `rates`)"
        raise SpendDataError(message, field="rates", got=None, allowed="a table of rates")
    return () if rates is None else tuple(rates.used(code, target, when) for code, when in days.items())


def register_rates(
    connection: duckdb.DuckDBPyConnection, rates: Rates, to_currency: str, currencies: Iterable[str], *, name: str = "exchange_rates"
) -> str:
    """Make the rates of `currencies` in `to_currency` a relation of the connection and return its name, for `converted_sql`.

    Columns currency, first_day, last_day (both included), rate, rest; the target itself has the rate 1 for ever.
    """
    target = check_currency(to_currency, "to")
    rows = [(target, dt.date(1, 1, 1), dt.date.max, Decimal(1), Decimal(0))]
    for code in sorted({check_currency(code) for code in currencies} - {target}):
        rows += [(code, step.first, step.last, *_two(step)) for step in rates.steps(code, target)]
    connection.register(
        name,
        pa.Table.from_arrays([pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)], schema=_SCHEMA),
    )
    return name


def converted_sql(
    lines: str,
    relation: str,
    *,
    money: Sequence[str] = tuple(focus.COSTS.values()),
    currency: str = focus.BILLING_CURRENCY,
    day: str | None = None,
) -> str:
    """SELECT of `lines` with the columns `money` in the target currency, exact with 21 decimals: sum first, round at the end.

    relation : of `register_rates`. A line without a rate is an error of the query too, though `rates_used` comes first and says it better.
    """
    covered = f"rates.last_day >= {_day(day, 'lines')}"
    message = quoted_text("no rate for ")
    fault = f"error({message} || coalesce(lines.{quoted_name(currency)}, 'null') || ' on ' || CAST({_day(day, 'lines')} AS VARCHAR))"
    replaced = ", ".join(f"CASE WHEN {covered} THEN {_times(f'lines.{quoted_name(name)}')} ELSE {fault} END AS {quoted_name(name)}" for name in money)
    return f"""
        SELECT lines.* REPLACE ({replaced}) FROM {lines} AS lines ASOF LEFT JOIN {quoted_name(relation)} AS rates
        ON lines.{quoted_name(currency)} = rates.currency AND {_day(day, "lines")} >= rates.first_day
    """


def _times(amount: str) -> str:
    """amount × (rate + rest). The second product needs only so many decimals of the amount as reach 10^-15."""
    rest = f"CAST(CAST({amount} AS DECIMAL(38, 6)) * rates.rest AS {CONVERTED})"
    return f"CAST({amount} * rates.rate AS {CONVERTED}) + CASE WHEN rates.rest = 0 THEN 0 ELSE {rest} END"


def _day(day: str | None, table: str = "") -> str:
    return day or f"CAST({f'{table}.' if table else ''}{quoted_name(focus.CHARGE_START)} AS DATE)"


def _two(step: Step) -> tuple[Decimal, Decimal]:
    """The rate with 9 decimals, cut off, and the rest of it."""
    exact = step.quote.rate
    whole = Decimal(int(exact * 10**WHOLE_PLACES)).scaleb(-WHOLE_PLACES)
    return whole, rounded(exact - type(exact)(whole), REST_PLACES)


def _csv(text: str, name: str) -> list[DatedRate]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        columns = [column.strip().lower() for column in reader.fieldnames or []]
        _check_names(columns, name)
        reader.fieldnames = columns
        return [_row(row, f"{name}, line {reader.line_num}") for row in reader if any(value for value in row.values())]
    except csv.Error as error:
        raise DeliveryError(f"{name} is not a CSV file: line {reader.line_num}: {error}", field="rates", got=name, allowed="CSV") from None


def _toml(text: str, name: str) -> tuple[list[DatedRate], dict[str, Any]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeliveryError(f"{name} is not TOML: {error}", field="rates", got=name, allowed="TOML") from None
    rows = document.pop("rates", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SchemaError(f"{name}: rates is not an array of tables", field="rates", got=type(rows).__name__, allowed="[[rates]]")
    for option, value in document.items():
        kinds = {"base": str, "inverse": bool, "max_age_days": int}
        if option not in kinds or type(value) is not kinds[option]:
            raise SchemaError(f"{name}: {option} = {value!r} is not an option of rates", field=option, got=value, allowed=", ".join(OPTIONS))
    for number, row in enumerate(rows, 1):
        _check_names(list(row), f"{name}, rate {number}")
    return [_row(row, f"{name}, rate {number}") for number, row in enumerate(rows, 1)], document


def _check_names(names: Sequence[str], where: str) -> None:
    missing = [column for column in COLUMNS[:-1] if column not in names]
    unknown = [column for column in names if column not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        wrong = f"no {', '.join(missing)}" if missing else f"what is {', '.join(unknown)}?" if unknown else "a column twice"
        raise SchemaError(
            f"{where}: {wrong}; allowed are the columns {', '.join(COLUMNS)}", field="rates", got=list(names), allowed=", ".join(COLUMNS)
        )


def _row(row: dict[str, Any], where: str) -> DatedRate:
    if None in row or None in row.values():
        raise SpendDataError(
            f"{where}: has {'more' if None in row else 'fewer'} values than columns", field="rates", got=str(row), allowed=", ".join(COLUMNS)
        )
    rate = row["rate"]
    try:
        # A float has lost what was written; a whole number has not.
        amount = Decimal(rate.strip() if isinstance(rate, str) else rate) if isinstance(rate, str | int) and "_" not in str(rate) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        allowed = 'decimal text such as "1.0834", with a point'
        raise SpendDataError(f"{where}: the rate {rate!r} is not exact; allowed is {allowed}", field="rate", got=rate, allowed=allowed)
    try:
        checked = Rates.of([DatedRate(str(row["from"]), str(row["to"]), parse_day(row["date"]), amount, str(row.get("source", "")).strip())])
    except InputError as error:
        raise SpendDataError(f"{where}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    return checked.rows[0]
