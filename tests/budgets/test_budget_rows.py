"""Budgets as rows of a table: what is written reads back, and what cannot be is told with its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.budgets.budget import KINDS, Budget, Phase
from forecast.budgets.budget_rows import COLUMNS, Cell, Table, check_parents_of, column_letters, column_name, describe, read_budgets, row_of
from forecast.budgets.entry import advice, check_parents, warnings_of
from forecast.budgets.phase_rows import plain_number, read_phase
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, InputError, SchemaError
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.scope import Scope

ADS = Budget("ads", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 600.0)
words = st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Zl", "Zp")), max_size=20).map(str.strip)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
money = st.floats(0.01, 1e14)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    start = draw(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
    days = draw(st.integers(1, 400))
    amounts = draw(st.lists(st.floats(0.01, 1e9), max_size=min(days, 5)))
    kind = draw(st.sampled_from(KINDS))
    in_units = kind == "balance" and draw(st.booleans())
    percent = draw(st.integers(1, 1000)) / 10.0
    return Budget(
        draw(ids),
        Scope.parse(draw(st.sampled_from(["", "team=ads|search,stage!=dev", r"owner=a\,b"]))),
        start,
        start + timedelta(days=days),
        sum(amounts) if amounts else draw(money),
        draw(st.sampled_from([None, "EUR"])),
        draw(st.sampled_from(["effective", "billed"])),
        draw(words),
        draw(words),
        kind,
        "the-parent",
        None,
        tuple(Phase(start + timedelta(days=number), amount) for number, amount in enumerate(amounts)),
        tuple(Threshold.parse(text) for text in draw(st.sampled_from([[], [f"actual>={percent}%:act", "exhaustion<2027-03-01"]]))),
        draw(words) if in_units else "",
        draw(st.floats(1e-6, 1.0)) if in_units else None,
    )


def table(*rows: tuple[Cell, ...], header: str = "id scope start end amount", sheet: bool = False) -> Table:
    return Table("budgets.csv", tuple(header.split()), tuple(enumerate(rows, start=2)), sheet)


def row(
    budget: str = "ads", scope: Cell = "team=ads", start: Cell = "2027-01-01", end: Cell = "2027-04-01", amount: Cell = "600"
) -> tuple[Cell, ...]:
    return budget, scope, start, end, amount


@given(budgets())
@settings(max_examples=300)
def test_a_budget_reads_back_from_its_row_exactly(budget: Budget) -> None:
    assert read_budgets(Table("t", COLUMNS, ((2, row_of(budget)),))).budgets == (budget,)
    as_text = tuple("" if cell is None else plain_number(cell) if isinstance(cell, int | float) else str(cell) for cell in row_of(budget))
    assert read_budgets(Table("t", COLUMNS, ((2, as_text),))).budgets == (budget,)
    assert describe(budget)["amount"] == budget.amount


def test_a_period_stands_for_start_and_end_and_is_the_companys() -> None:
    found = read_budgets(table(("a", "2027-Q1", 5), header="id period amount"), FiscalCalendar(start=4)).budgets[0]
    assert (found.start, found.end) == (date(2026, 4, 1), date(2026, 7, 1))


def test_a_column_for_each_month_makes_phases_and_says_period_and_amount() -> None:
    found = read_budgets(table(("a", 100, None, 300.5), header="id 2027-01 2027-02 2027-03")).budgets[0]
    assert (found.start, found.end, found.amount) == (date(2027, 1, 1), date(2027, 4, 1), 400.5)
    assert found.phases == (Phase(date(2027, 1, 1), 100.0), Phase(date(2027, 2, 1), 0.0), Phase(date(2027, 3, 1), 300.5))


def test_months_beside_a_longer_period_leave_phases_of_nothing_around_them() -> None:
    found = read_budgets(table(("a", "2027-01-15", "2027-05-01", 9), header="id start end 2027-02")).budgets[0]
    assert [(phase.start.isoformat(), phase.amount) for phase in found.phases] == [("2027-01-15", 0.0), ("2027-02-01", 9.0), ("2027-03-01", 0.0)]


def test_rows_without_months_beside_rows_with_them_have_no_phases() -> None:
    found = read_budgets(table(("a", "2027", 7, None), ("b", "2027-Q1", None, 5), header="id period amount 2027-01")).budgets
    assert [len(budget.phases) for budget in found] == [0, 2]


@pytest.mark.parametrize(
    ("header", "cells", "problem"),
    [
        ("id 2027-01 2027-Q1", ("a", 1, 2), "2027-Q1 begins before"),
        ("id start end 2027-06", ("a", "2027-01-01", "2027-04-01", 1), "2027-06 lies outside"),
        ("id phases 2027-01", ("a", "2027-01-01:5", 5), "said twice"),
        ("id period start amount", ("a", "2027", "2027-01-01", 5), "said twice"),
        ("id amount", ("a", 5), "start is missing"),
        ("id start amount", ("a", "2027-01-01", 5), "end is missing"),
        ("id period", ("a", "2027"), "amount is missing"),
        ("id period amount phases", ("a", "2027", 5, "2027-01-01:4"), "add up to 4.00"),
        ("id period amount phases", ("a", "2027", 5, "5"), "START:AMOUNT"),
        ("id period amount thresholds", ("a", "2027", 5, "spend>80"), "Threshold"),
        ("id period amount kind", ("a", "2027", 5, "grant"), "budget, experiment, balance"),
        ("id period amount repeats", ("a", "2027-Q1", 5, "month"), "company's calendar"),
        ("id period amount parent", ("a", "2027", 5, "a"), "own parent"),
        ("id period amount name", ("a", "2027", 5, "nul\x00"), "control characters"),
        ("id period amount name", ("a", "2027", 5, "x" * 201), "too long"),
        ("id period amount", ("a", "1400", 5), "not one of spend"),
        ("id period amount", ("a", "2027", 1e16), "no money"),
        ("id period amount owner", ("a", "2027", 5, date(2027, 1, 1)), "no text"),
    ],
)
def test_row_that_cannot_be_is_told_with_its_line(header: str, cells: tuple[Cell, ...], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read_budgets(table(cells, header=header))
    assert str(caught.value).startswith("budgets.csv, line 2")
    assert problem in f"{caught.value} {caught.value.allowed}"


@pytest.mark.parametrize(
    "amount", ["1,000", "1.000,50", "95.000", "1.250", "1_000", "nan", "inf", "1e999", "$5", "5 USD", "٣", "", "-5", "0", True, float("inf")]
)
def test_amount_that_may_mean_two_things_or_nothing_is_refused(amount: Cell) -> None:
    with pytest.raises(BudgetError) as caught:
        read_budgets(table(row(amount=amount)))
    assert caught.value.field == "amount"
    assert "column amount" in str(caught.value)


@pytest.mark.parametrize("day", ["1/2/2027", "2027-13-01", "2027-02-30", "20270101", "2027-01-01T12:00", datetime(2027, 1, 1, 12), 46388, "soon"])
def test_day_that_may_mean_two_things_is_refused(day: Cell) -> None:
    with pytest.raises(BudgetError, match=r"line 2, column start: start .* is not a day"):
        read_budgets(table(row(start=day)))


@pytest.mark.parametrize(("text", "amount"), [("95.125", 95.125), ("95.00", 95.0), ("1234.560", 1234.56), (".5", 0.5), ("1e3", 1000.0), ("+5", 5.0)])
def test_plain_numbers_are_amounts(text: str, amount: float) -> None:
    assert read_budgets(table(row(amount=text))).budgets[0].amount == amount


def test_days_of_a_spreadsheet_and_midnights_are_days() -> None:
    for day in (date(2027, 1, 1), datetime(2027, 1, 1), "2027-01-01T00:00:00", " 2027-01-01 "):
        assert read_budgets(table(row(start=day))).budgets[0].start == date(2027, 1, 1)


def test_problems_of_a_table_are_told_together_with_cells_of_a_sheet() -> None:
    rows = [row("a"), row("b", amount="x"), row("a"), row("", end="2027-01-01")]
    with pytest.raises(BudgetError) as caught:
        read_budgets(table(*rows, sheet=True))
    told = str(caught.value)
    assert told.startswith("3 problems, nothing is taken in: budgets.csv, cell E3 (column amount)")
    assert "cell A4 (column id): it is the budget a of row 2 again" in told
    assert "row 5" in told or "cell A5" in told
    many = [row(f"b{number}", amount="x") for number in range(30)]
    with pytest.raises(BudgetError, match=r"^30 problems.*and 20 more$"):
        read_budgets(table(*many))


def test_unknown_columns_are_named_with_those_that_are_known_unless_they_are_left_out() -> None:
    odd = table((*row(), "x", "y"), header="id scope start end amount colour 2027_01")
    with pytest.raises(SchemaError, match="colour, 2027_01") as caught:
        read_budgets(odd)
    assert caught.value.field == "colour"
    assert all(name in str(caught.value.allowed) for name in (*COLUMNS, "period", "2027-Q1"))
    found = read_budgets(odd, ignore_unknown=True)
    assert (found.ignored, found.budgets) == (("colour", "2027_01"), (ADS,))


@pytest.mark.parametrize("header", ["id id amount", "scope amount", "id 2027-13"])
def test_header_that_cannot_be_is_refused(header: str) -> None:
    with pytest.raises(InputError):
        read_budgets(table(("a", "b", "c"), header=header))


def test_table_without_rows_is_an_error() -> None:
    with pytest.raises(InputError, match="no rows"):
        read_budgets(table())


def test_parent_may_come_in_the_same_table_and_nowhere_is_told_with_its_cell() -> None:
    read = table(("a", "2027", 5, "b"), ("b", "2027", 5, "c"), header="id period amount parent", sheet=True)
    found = read_budgets(read)
    check_parents_of(read, found, {"c": None})
    with pytest.raises(BudgetError, match=r"cell D3 \(column parent\): Budget b: its parent c does not exist"):
        check_parents_of(read, found, {})
    with pytest.raises(BudgetError, match="a < b < c < a"):
        check_parents_of(read, found, {"c": "a"})


def test_a_circle_among_others_does_not_stop_a_budget_below_it() -> None:
    check_parents([replace(ADS, parent="x")], {"x": "y", "y": "x"})


def test_end_that_is_the_last_day_of_a_month_is_probably_a_slip() -> None:
    assert "2027-04-01 is the end" in advice(replace(ADS, end=date(2027, 3, 31)), CALENDAR_YEAR)[0]
    assert advice(ADS, CALENDAR_YEAR) == advice(replace(ADS, start=date(2027, 1, 2), end=date(2027, 3, 31)), CALENDAR_YEAR) == []


def test_warnings_are_about_the_family_that_was_entered_only() -> None:
    company = replace(ADS, id="company", scope=Scope(), amount=500.0)
    child = replace(ADS, parent="company")
    stranger = replace(ADS, id="s", amount=1.0)
    orphan = replace(ADS, id="t", parent="s", amount=2.0)
    said = warnings_of([child], [child, company, stranger, orphan], CALENDAR_YEAR)
    assert len(said) == 1
    assert "company" in said[0]
    assert "500" in said[0]
    assert warnings_of([company], [child, company], CALENDAR_YEAR) == said
    twin = replace(child, id="twin")
    other = replace(ADS, id="other", scope=Scope.parse("team=other"), parent="company", amount=1.0)
    assert len(warnings_of([other], [child, company, other, twin], CALENDAR_YEAR)) == 1  # of ads and its twin `budget check` tells
    many = [replace(child, id=f"ads-{number}", end=date(2027, 3, 31)) for number in range(30)]
    assert warnings_of(many, [*many, company], CALENDAR_YEAR)[-1].startswith("and ")
    grand = replace(ADS, id="grand", parent="ads", amount=1.0)
    assert warnings_of([grand], [child, company, grand], CALENDAR_YEAR) == []


def test_phase_on_the_command_line_may_name_a_month() -> None:
    assert read_phase("2027-02=5.5", "=") == Phase(date(2027, 2, 1), 5.5)
    assert read_phase("2027-Q1=5", "=", FiscalCalendar(start=4)) == Phase(date(2026, 4, 1), 5.0)
    with pytest.raises(BudgetError, match="2027-02") as caught:
        read_phase("2027-02", "=")
    assert caught.value.field == "phases"
    assert "START=AMOUNT" in str(caught.value.allowed)


def test_names_of_columns_are_read_as_people_write_them() -> None:
    assert [column_name(cell) for cell in ("Unit Price", " ID ", "2027-p01", "2027-q1", datetime(2027, 1, 1), None, 2027)] == [
        "unit_price",
        "id",
        "2027-P01",
        "2027-Q1",
        "2027-01",
        "",
        "2027",
    ]
    assert [column_letters(number) for number in (1, 26, 27, 702, 703)] == ["A", "Z", "AA", "ZZ", "AAA"]


@pytest.mark.parametrize("text", ["actual>=80%:act", "actual>=12345678901234.5:warn", "probability>=33.3333333333333%:warn", "forecast>=0.1%:warn"])
def test_threshold_reads_back_from_its_text_exactly(text: str) -> None:
    assert str(Threshold.parse(text)) == text
    assert Threshold.parse(str(Threshold.parse(text))) == Threshold.parse(text)
