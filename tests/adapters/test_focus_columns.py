"""How single values are read: what says one thing only is read, what may say two is refused with its reason."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.adapters import duck
from forecast.adapters.date_order import FIRST_ROWS, find_date_order
from forecast.adapters.focus_columns import DateOrder, GivenColumn, doubt, typed
from forecast.spend import focus

COST, START, END = (focus.BY_NAME[name] for name in (focus.BILLED_COST, focus.BILLING_START, focus.BILLING_END))


def read(column: focus.Column, value: str, order: DateOrder | None = None, sql_type: str = "VARCHAR") -> object:
    given = GivenColumn(column.name, column.name, sql_type, "v")
    with duck.connect() as connection:
        sql = f"SELECT {typed(column, given, date_order=order)} FROM (SELECT CAST({duck.quoted_text(value)} AS {sql_type}) AS v)"
        return duck.execute(connection, sql)[0][0]


def is_doubtful(column: focus.Column, value: str, order: DateOrder | None = None) -> bool:
    found = doubt(column, GivenColumn(column.name, column.name, "VARCHAR", "v"), date_order=order)
    if found is None:
        return False
    with duck.connect() as connection:
        return bool(duck.execute(connection, f"SELECT {found.holds} FROM (SELECT {duck.quoted_text(value)} AS v)")[0][0])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("12.30", "12.30"),
        (" -0.000000000001 ", "-0.000000000001"),
        ("1e-3", "0.001"),
        ("$10,000.00 ", "10000"),
        ("1,234.56", "1234.56"),
        ("1,234,567", "1234567"),
        ("(12.30)", "-12.30"),
        ("($1,000.50)", "-1000.50"),
        ("-$5", "-5"),
        ("$-5.5", "-5.5"),
        ("$ 7", "7"),
    ],
)
def test_amounts_that_say_one_thing_are_read(written: str, meant: str) -> None:
    assert read(COST, written) == Decimal(meant)
    assert not is_doubtful(COST, written)


@pytest.mark.parametrize("written", ["1,234", "$1,234", "(1,234)", "-12,345"])
def test_an_amount_whose_comma_may_be_a_decimal_mark_is_refused_as_doubtful(written: str) -> None:
    assert read(COST, written) is None
    assert is_doubtful(COST, written)


@pytest.mark.parametrize(
    "written",
    [
        "NaN",
        "inf",
        "1e308",
        "1e400",
        "1_000",
        "12,30",
        "1.234,56",
        "1,23,456.00",
        "0,234.50",
        "1 234.00",
        "€5",
        "12.30-",
        "-(5)",
        "--5",
        "$",
        "()",
        "abc",
    ],
)
def test_amounts_that_say_nothing_or_something_else_are_refused(written: str) -> None:
    assert read(COST, written) is None
    assert not is_doubtful(COST, written)


@pytest.mark.parametrize("written", ["", "  "])
def test_empty_amounts_are_null(written: str) -> None:
    assert read(COST, written) is None


@given(st.decimals(min_value=Decimal("-1e14"), max_value=Decimal("1e14"), places=2, allow_nan=False))
def test_an_amount_in_any_clear_dress_is_the_same_amount(amount: Decimal) -> None:
    magnitude = abs(amount)
    dresses = [f"{amount:f}", f"{amount:,.2f}", f" {amount:f} ", f"-${magnitude:,.2f}" if amount < 0 else f"${magnitude:,.2f}"]
    dresses += [f"({magnitude:,.2f})"] if amount < 0 else []
    given_column = GivenColumn(COST.name, COST.name, "VARCHAR", "v")
    with duck.connect() as connection:
        values = ", ".join(f"({duck.quoted_text(dress)})" for dress in dresses)
        found = duck.execute(connection, f"SELECT DISTINCT {typed(COST, given_column)} FROM (VALUES {values}) AS dresses(v)")
    assert found == [(amount,)]


def test_floats_keep_their_shortest_text_and_non_finite_ones_are_refused() -> None:
    assert read(COST, "0.1", sql_type="DOUBLE") == Decimal("0.1")
    assert read(COST, "NaN", sql_type="DOUBLE") is None
    assert read(COST, "1e308", sql_type="DOUBLE") is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T01:00:00+01:00", "2026-01-31"),
        ("2026-01-31 00:00:00 UTC", "2026-01-31"),
        ("2026/01/31", "2026-01-31"),
        ("20260131", "2026-01-31"),
        ("1/1/26", "2026-01-01"),
        ("02/02/2026", "2026-02-02"),
    ],
)
def test_times_that_say_one_thing_are_read_without_an_order(written: str, meant: str) -> None:
    assert read(START, written) == dt.datetime.fromisoformat(meant)


@pytest.mark.parametrize("time", ["", " 0:00", " 00:00:00", " 12:00 AM", " 12:00:00 AM"])
def test_dates_with_slashes_are_read_as_the_file_decides(time: str) -> None:
    assert read(START, f"4/1/25{time}", "mdy") == dt.datetime(2025, 4, 1)
    assert read(START, f"04/01/2025{time}", "mdy") == dt.datetime(2025, 4, 1)
    assert read(START, f"4/1/25{time}", "dmy") == dt.datetime(2025, 1, 4)
    assert read(START, f"4/1/25{time}") is None
    assert is_doubtful(START, f"4/1/25{time}")


def test_the_reason_for_a_refused_date_is_told_apart_by_what_the_file_decided() -> None:
    assert read(START, "4/31/25", "mdy") is None
    assert not is_doubtful(START, "4/31/25", "mdy")


@pytest.mark.parametrize(
    "written", ["1767225600", "1767225600000", "20269931", "2026-02-30", "0004-01-25", "infinity", "31.01.2026", "01-02-2026", "13/13/25", "Jan 5"]
)
def test_times_that_are_none_are_refused(written: str) -> None:
    assert read(START, written) is None


def order_of(*periods: tuple[str, str], sql_type: str = "VARCHAR") -> DateOrder | None:
    values = ", ".join(f"({place}, {duck.quoted_text(start)}, {duck.quoted_text(end)})" for place, (start, end) in enumerate(periods))
    columns = [GivenColumn(name, name, sql_type, reference) for name, reference in ((START.name, "c0"), (END.name, "c1"))]
    with duck.connect() as connection:
        return find_date_order(connection, f"SELECT * FROM (VALUES {values}) AS given(row_number, c0, c1)", columns)


def test_a_billing_period_begins_on_the_first_day_of_a_month() -> None:
    assert order_of(("4/1/25", "5/1/25")) == "mdy"
    assert order_of(("1/4/25", "1/5/25")) == "dmy"


def test_the_end_of_a_billing_period_decides_where_its_beginning_is_the_first_of_january() -> None:
    assert order_of(("1/1/25", "2/1/25")) == "mdy"
    assert order_of(("1/1/25", "1/2/25")) == "dmy"
    assert order_of(("01/01/2025", "01/31/2025")) == "mdy"


def test_dates_that_contradict_each_other_or_say_nothing_decide_nothing() -> None:
    assert order_of(("4/1/25", "5/1/25"), ("1/4/25", "1/5/25")) is None
    assert order_of(("1/1/25", "1/1/25")) is None
    assert order_of(("2025-04-01", "2025-05-01")) is None


def test_a_date_that_is_none_in_any_order_does_not_stop_the_others() -> None:
    assert order_of(("13/13/25", "5/1/25"), ("4/1/25", "5/1/25")) == "mdy"


def test_a_file_without_such_dates_in_its_first_rows_is_not_searched() -> None:
    columns = [GivenColumn(START.name, START.name, "VARCHAR", "c0")]
    raw = f"SELECT i AS row_number, CASE WHEN i < {FIRST_ROWS} THEN '2025-04-01' ELSE '4/1/25' END AS c0 FROM range({FIRST_ROWS + 10}) AS numbers(i)"
    with duck.connect() as connection:
        assert find_date_order(connection, raw, columns) is None


def test_columns_that_are_no_text_are_not_searched() -> None:
    with duck.connect() as connection:
        columns = [GivenColumn(START.name, START.name, "DATE", "c0")]
        assert find_date_order(connection, "SELECT 1 AS row_number, DATE '2025-04-01' AS c0", columns) is None
