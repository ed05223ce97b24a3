"""Files of budgets: what is written reads back, and a spreadsheet is data that nothing of is run."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from openpyxl import Workbook, load_workbook

from forecast.adapters import budget_files
from forecast.adapters.budget_files import csv_text, read_table, write_budgets
from forecast.budgets.budget import Budget, Phase
from forecast.budgets.budget_rows import COLUMNS, read_budgets
from forecast.budgets.thresholds import Threshold
from forecast.errors import InputError
from forecast.spend.scope import Scope
from tests.budgets.test_budget_rows import budgets

ADS = Budget("ads", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 600.0)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''-x", '=HYPERLINK("https://example.org")', "=cmd|' /C calc'!A0")


def saved(path: Path, rows: Sequence[Sequence[Any]], *, name: str = "Budgets", more: Sequence[str] = ()) -> Path:
    book = Workbook()
    for empty in book.worksheets:
        book.remove(empty)
    sheet = book.create_sheet(name)
    for row in rows:
        sheet.append(list(row))
    for other in more:
        book.create_sheet(other)
    book.save(path)
    return path


def repacked(path: Path, part: str, change: tuple[str, str] | None, *, content: str = "") -> None:
    """The workbook with a text inside one of its parts replaced, or with a part more."""
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    if change is None:
        parts[part] = content.encode()
    else:
        assert change[0].encode() in parts[part]
        parts[part] = parts[part].replace(change[0].encode(), change[1].encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, inside in parts.items():
            package.writestr(name, inside)


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
@given(budget=budgets())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_budgets_read_back_from_their_file_exactly(tmp_path: Path, ending: str, budget: Budget) -> None:
    path = tmp_path / f"budgets.{ending}"
    written = [budget, replace(ADS, id=f"{budget.id[:50]}-2", amount=0.1 + 0.2)]
    write_budgets(written, path)
    assert list(read_budgets(read_table(path)).budgets) == written


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_looks_like_a_formula_stays_text_and_comes_back(tmp_path: Path, ending: str, text: str) -> None:
    path = tmp_path / f"budgets.{ending}"
    budget = replace(ADS, name=text, owner=text)
    write_budgets([budget], path)
    assert read_budgets(read_table(path)).budgets == (budget,)
    if ending == "csv":
        cells = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))[1]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    else:
        cell = load_workbook(path)["Budgets"].cell(2, COLUMNS.index("name") + 1)
        assert (cell.data_type, cell.value, cell.quotePrefix) == ("s", text, True)


def test_phases_and_thresholds_stand_in_their_cells(tmp_path: Path) -> None:
    phases = (Phase(date(2027, 1, 1), 100000.0), Phase(date(2027, 2, 1), 120000.5))
    budget = replace(ADS, amount=220000.5, phases=phases, thresholds=(Threshold.parse("probability>=30%:warn"), Threshold.parse("actual>=80%:act")))
    text = csv_text([budget])
    assert "2027-01-01:100000;2027-02-01:120000.5,probability>=30%:warn;actual>=80%:act" in text
    write_budgets([budget], tmp_path / "b.xlsx")
    sheet = load_workbook(tmp_path / "b.xlsx")["Budgets"]
    assert sheet["C2"].value == datetime(2027, 1, 1)
    assert sheet["E2"].value == 220000.5


def test_csv_of_a_spreadsheet_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes('\ufeffID;Period;Amount;Unit Price;\r\nads;2027-Q1;600;;\r\n;;;;\r\n"b";2027-Q1;1;;\r\n'.encode())
    table = read_table(path)
    assert [number for number, _ in table.rows] == [2, 4]
    assert [budget.id for budget in read_budgets(table).budgets] == ["ads", "b"]


def test_lines_are_counted_through_cells_with_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text('id,period,amount,name\na,2027,1,"two\nlines"\nb,2027,x,\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2, column name.*line 4, column amount"):
        read_budgets(read_table(path))


def test_months_typed_into_a_spreadsheet_are_columns(tmp_path: Path) -> None:
    path = saved(tmp_path / "b.xlsx", [["id", datetime(2027, 1, 1), "2027-02"], ["a", 5, 6]])
    assert read_budgets(read_table(path)).budgets[0].amount == 11.0


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("=1+1", r"sheet Budgets, cell C2: its formula has no stored value"),
        ("#REF!", r"cell C2: it holds the error #REF!"),
        (True, r"cell C2 \(column amount\): amount 'True' is not a number"),
        (datetime(2027, 1, 1), r"cell C2 \(column amount\)"),
        (time(3), r"cell C2 \(column amount\)"),
        ("many", r"cell C2 \(column amount\): amount 'many' is not a number"),
    ],
)
def test_cell_that_is_no_amount_is_told_by_its_place(tmp_path: Path, cell: object, problem: str) -> None:
    path = saved(tmp_path / "b.xlsx", [["id", "period", "amount"], ["a", "2027", cell]])
    with pytest.raises(InputError, match=problem):
        read_budgets(read_table(path))


def test_formula_counts_with_the_value_that_was_stored_for_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "b.xlsx", [["id", "period", "amount", "owner"], ["a", "2027", "=2*3", '=""']])
    repacked(path, "xl/worksheets/sheet1.xml", ("<f>2*3</f><v />", "<f>2*3</f><v>6</v>"))
    repacked(path, "xl/worksheets/sheet1.xml", ('<c r="D2"><f>""</f><v />', '<c r="D2" t="str"><f>""</f><v></v>'))
    budget = read_budgets(read_table(path)).budgets[0]
    assert (budget.amount, budget.owner) == (6.0, "")


def test_sheet_is_the_only_one_or_budgets_or_the_one_that_is_named(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["id", "period", "amount"], ["a", "2027", 5]]
    assert len(read_table(saved(tmp_path / "one.xlsx", rows, name="Plan")).rows) == 1
    several = saved(tmp_path / "several.xlsx", rows, name="budgets", more=("Notes",))
    assert len(read_table(several).rows) == 1
    unnamed = saved(tmp_path / "unnamed.xlsx", rows, name="Plan", more=("Notes",))
    with pytest.raises(InputError) as caught:
        read_table(unnamed)
    assert "Plan, Notes" in str(caught.value.allowed)
    assert len(read_table(unnamed, "plan").rows) == 1
    with pytest.raises(InputError, match="no sheet 'Other'"):
        read_table(unnamed, "Other")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("b.xlsx", b"", "empty"),
        ("b.xlsx", b"id,amount\na,5\n", "not a workbook"),
        ("b.xlsx", b"PK\x03\x04 and nothing more", "not a workbook"),
        ("b.csv", b"  \n", "empty"),
        ("b.csv", b"id,\xff\xfe", "not UTF-8"),
        ("b.csv", b"id,amount\na\n", "1 fields, the header 2"),
        ("b.csv", b"id,amount\na,team=x,stage=y\n", "text with a comma stands in quotes"),
        ("b.csv", b'id,amount\n"a,5\n', "not CSV"),
        ("b.csv", b"id\n" + b"x" * 200_000, "not CSV"),
        ("b.xlsm", b"PK", "ending .xlsm"),
        ("b.ods", b"PK", "ending .ods"),
    ],
)
def test_file_that_cannot_be_read_is_told_in_words(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_table(path)


def test_file_that_is_not_there_or_is_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="folder"):
        read_table(tmp_path / "folder.csv")


def test_workbook_with_macros_or_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[list[Any]] = [["id", "period", "amount"], ["a", "2027", 5]]
    macros = saved(tmp_path / "macros.xlsx", rows)
    repacked(macros, "xl/vbaProject.bin", None)
    with pytest.raises(InputError, match="macros"):
        read_table(macros)
    bomb = saved(tmp_path / "bomb.xlsx", rows)
    repacked(bomb, "xl/media/zeros", None, content="0" * 5_000_000)
    assert bomb.stat().st_size < 100_000
    monkeypatch.setattr(budget_files, "MOST_UNPACKED", 1_000_000)
    with pytest.raises(InputError, match="unpacks to"):
        read_table(bomb)


def test_entities_that_grow_without_end_are_not_expanded(tmp_path: Path) -> None:
    path = saved(tmp_path / "laughs.xlsx", [["id", "period", "amount"], ["a", "2027", 5]])
    entities = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY l0 "lol">{entities}]>'
    repacked(path, "xl/worksheets/sheet1.xml", ("<worksheet", f"{bomb}<worksheet"))
    repacked(path, "xl/worksheets/sheet1.xml", ("<t>a</t>", "<t>&l9;</t>"))
    with pytest.raises(InputError, match="cannot be read as a workbook"):
        read_table(path)


def test_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_files, "MOST_ROWS", 3)
    path = tmp_path / "b.csv"
    path.write_text("id,period,amount\n" + "a,2027,5\n" * 4, encoding="utf-8")
    with pytest.raises(InputError, match="more than 3 rows"):
        read_table(path)
    monkeypatch.setattr(budget_files, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_table(path)


def test_a_workbook_that_says_a_wrong_size_of_itself_is_read_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "b.xlsx", [["id", "period", "amount"], ["a", "2027", 5], ["b", "2027", 6]])
    repacked(path, "xl/worksheets/sheet1.xml", ('ref="A1:C3"', 'ref="A1:A2"'))
    assert [budget.amount for budget in read_budgets(read_table(path)).budgets] == [5.0, 6.0]
    repacked(path, "xl/worksheets/sheet1.xml", ('ref="A1:A2"', 'ref="A1:XFD1048576"'))
    assert len(read_table(path).rows) == 2


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_budgets([ADS], tmp_path / "nowhere" / "b.csv")
    with pytest.raises(InputError, match="ending"):
        write_budgets([ADS], tmp_path / "b.txt")
    assert list(tmp_path.iterdir()) == []
