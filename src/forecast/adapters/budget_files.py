"""Files of budgets: CSV and XLSX, in and out.

A spreadsheet is data here: macros, links and formulas are never run, and what is read is bounded. A formula counts with the value that the
spreadsheet program stored for it; one without is an error. Text that a spreadsheet would take for a formula is written so that it stays text.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import zip_longest
from pathlib import Path
from typing import Any

from forecast.adapters.reports import atomically, check_suffix
from forecast.budgets.budget import Budget
from forecast.budgets.budget_rows import COLUMNS, MOST_ROWS, Cell, Table, column_letters, column_name, row_of
from forecast.budgets.phase_rows import plain_number
from forecast.errors import BudgetError, DeliveryError, InputError, SchemaError

FILES = (".csv", ".xlsx")
SHEET = "Budgets"
MOST_BYTES = 16 * 1024 * 1024
MOST_UNPACKED = 200 * 1024 * 1024
MOST_COLUMNS = 300
LONGEST_CELL = 100_000
"""Characters. `csv` has a limit too, but one of the whole process, which readers of bills raise."""

_FORMULA = re.compile(r"^'*[=+\-@\t\r]")
_WIDTHS = {"scope": 32, "name": 28, "owner": 20, "phases": 40, "thresholds": 40}


def read_table(path: Path, sheet: str | None = None) -> Table:
    """The table in a CSV or XLSX file, by its ending; `sheet` : of a workbook, else `Budgets` or its only one.

    Raises InputError and its kin that say where the file is at fault.
    """
    suffix = path.suffix.lower()
    if suffix not in FILES:
        allowed = ", ".join(FILES)
        raise InputError(f"{path} has the ending {suffix or '(none)'}; allowed are {allowed}", field="file", got=str(path), allowed=allowed)
    content = _content(path)
    if suffix == ".xlsx":
        return _read_sheet(path, content, sheet)
    if sheet is not None:
        raise InputError(f"{path} is CSV and has no sheets", field="sheet", got=sheet, allowed="no --sheet, or an .xlsx file")
    return _read_csv(path, content)


def write_budgets(budgets: Sequence[Budget], path: Path) -> None:
    """Budgets as CSV or XLSX, by the file's ending; reading it gives the same budgets."""
    suffix = check_suffix(path, FILES)
    with atomically(path) as temporary:
        if suffix == ".csv":
            temporary.write_text(csv_text(budgets), encoding="utf-8", newline="")
        else:
            _write_sheet(budgets, temporary)


def csv_text(budgets: Iterable[Budget]) -> str:
    """Budgets as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_written(cell) for cell in row_of(budget)] for budget in budgets)
    return file.getvalue()


def _written(cell: Cell) -> str:
    """A cell of CSV. Text that begins like a formula gets an apostrophe before it, which `_plain` takes away."""
    if isinstance(cell, str):
        return f"'{cell}" if _FORMULA.match(cell) else cell
    return "" if cell is None else plain_number(cell) if isinstance(cell, int | float) else str(cell)


def _plain(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a file", field="file", got=str(path), allowed="a file")
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES} bytes", field="file", got=str(path), allowed=f"at most {MOST_BYTES} bytes")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", field="file", got=str(path), allowed="a file that exists") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", field="file", got=str(path), allowed="a file that can be read") from None
    if not content.strip():
        raise DeliveryError(f"{path} is empty", field="file", got=str(path), allowed="a file with content")
    return content


def _read_csv(path: Path, content: bytes) -> Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DeliveryError(f"{path} is not UTF-8 text", field="file", got=str(path), allowed="UTF-8 text; save it as CSV UTF-8") from None
    first = text.lstrip().splitlines()[0]
    delimiter = max((",", ";", "\t"), key=first.count)  # spreadsheets of many countries write semicolons
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: tuple[str, ...] | None = None
    rows: list[tuple[int, tuple[Cell, ...]]] = []
    ended = 0
    try:
        for values in reader:
            number, ended = ended + 1, reader.line_num  # a row with line breaks inside is told by its first line
            if any(len(value) > LONGEST_CELL for value in values):
                raise csv.Error(f"a field has more than {LONGEST_CELL} characters")
            cells = [_plain(value.strip()) for value in values]
            if not any(cells):
                continue
            if header is None:
                header = _header(path, cells)
            elif len(cells) < len(header) or any(cells[len(header) :]):
                raise SchemaError(
                    f"{path}, line {number}: it has {len(cells)} fields, the header {len(header)}; text with a {_named(delimiter)} stands in quotes",
                    field="file",
                    got=len(cells),
                    allowed=f"{len(header)} fields",
                )
            else:
                rows.append((number, tuple(cells[: len(header)])))
                _check_rows(path, rows)
    except csv.Error as error:
        raise DeliveryError(f"{path}, line {reader.line_num}: not CSV: {error}", field="file", got=str(path), allowed="CSV") from None
    return Table(str(path), header or (), tuple(rows))


def _read_sheet(path: Path, content: bytes, sheet: str | None) -> Table:
    _check_package(path, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's words about styles and extensions that it leaves out
            values, formulas = _open(content, data_only=True), _open(content, data_only=False)
            name = _sheet_name(path, values.sheetnames, sheet)
            return _table_of(path, name, values[name], formulas[name])
    except InputError:
        raise
    except Exception as error:  # a broken workbook fails anywhere inside the reader, with any class
        raise DeliveryError(
            f"{path} cannot be read as a workbook: {type(error).__name__}: {str(error)[:200]}",
            field="file",
            got=str(path),
            allowed="an .xlsx file as spreadsheet programs save it",
        ) from None


def _open(content: bytes, *, data_only: bool) -> Any:
    from openpyxl import load_workbook

    return load_workbook(io.BytesIO(content), read_only=True, data_only=data_only, keep_links=False)


def _check_package(path: Path, content: bytes) -> None:
    """That it is a workbook, unpacks to a bounded size, and holds no macros."""
    allowed = f"an .xlsx file of at most {MOST_UNPACKED} bytes unpacked, without macros"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = package.infolist()
    except zipfile.BadZipFile:
        raise DeliveryError(f"{path} is not a workbook", field="file", got=str(path), allowed=allowed) from None
    size = sum(part.file_size for part in parts)
    if size > MOST_UNPACKED or len(parts) > 1000:
        raise DeliveryError(f"{path} unpacks to {size} bytes in {len(parts)} parts", field="file", got=size, allowed=allowed)
    if any("vbaproject" in part.filename.lower() for part in parts):
        raise DeliveryError(f"{path} holds macros", field="file", got=str(path), allowed=allowed)


def _sheet_name(path: Path, names: Sequence[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    found = [name for name in names if name.lower() == (wanted or SHEET).lower()]
    if not found:
        problem = f"has no sheet {wanted!r}" if wanted is not None else f"has {len(names)} sheets and none is called {SHEET}"
        raise SchemaError(f"{path} {problem}", field="sheet", got=wanted, allowed=f"--sheet with one of {', '.join(names)}")
    return found[0]


def _table_of(path: Path, name: str, values: Any, formulas: Any) -> Table:
    header: tuple[str, ...] | None = None
    rows: list[tuple[int, tuple[Cell, ...]]] = []
    called = f"{path}, sheet {name}"
    for sheet in (values, formulas):
        sheet.reset_dimensions()  # what the file says of its size may be wrong
    for number, (stored, entered) in enumerate(zip(values.iter_rows(), formulas.iter_rows(), strict=True), start=1):
        if len(stored) > MOST_COLUMNS and any(cell.value is not None for cell in stored[MOST_COLUMNS:]):
            raise SchemaError(f"{called}, row {number}: it has more than {MOST_COLUMNS} columns", field="file", got=len(stored), allowed="fewer")
        cells = [_cell(called, number, column, *pair) for column, pair in enumerate(zip(stored, entered, strict=True), start=1)]
        if not any(cell is not None and cell != "" for cell in cells):
            continue
        if header is None:
            header = _header(path, cells)
            continue
        if any(cell is not None and cell != "" for cell in cells[len(header) :]):
            raise SchemaError(f"{called}, row {number}: it has cells beyond the header", field="file", got=len(cells), allowed=f"{len(header)} cells")
        kept = [cell for cell, _ in zip_longest(cells[: len(header)], header)]
        rows.append((number, tuple(kept)))
        _check_rows(path, rows)
    return Table(called, header or (), tuple(rows), is_sheet=True)


def _cell(called: str, number: int, column: int, stored: Any, entered: Any) -> Cell:
    """What a cell holds; BudgetError for errors (#REF!), lengths of time, and formulas that nothing is stored for."""
    value, where = stored.value, f"{called}, cell {column_letters(column)}{number}"
    if value is None:
        if entered.value is not None and entered.data_type == "f" and stored.data_type != "str":
            raise BudgetError(
                f"{where}: its formula has no stored value",
                field="file",
                got=str(entered.value)[:80],
                allowed="a value, or a workbook that was calculated and saved",
            )
        return None
    if stored.data_type == "e":
        raise BudgetError(f"{where}: it holds the error {value}", field="file", got=str(value), allowed="a value")
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | int | float | date | datetime | time):
        return value
    raise BudgetError(f"{where}: it holds a {type(value).__name__}", field="file", got=str(value)[:80], allowed="text, a number or a day")


def _header(path: Path, cells: Sequence[Cell]) -> tuple[str, ...]:
    names = [column_name(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise SchemaError(f"{path} has {len(names)} columns", field="file", got=len(names), allowed=f"at most {MOST_COLUMNS}")
    return tuple(names)


def _check_rows(path: Path, rows: Sequence[Any]) -> None:
    if len(rows) > MOST_ROWS:
        raise InputError(f"{path} has more than {MOST_ROWS} rows", field="file", got=len(rows), allowed=f"at most {MOST_ROWS} rows")


def _named(delimiter: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]


def _write_sheet(budgets: Sequence[Budget], path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    for empty in book.worksheets:
        book.remove(empty)
    sheet = book.create_sheet(SHEET)
    sheet.append(COLUMNS)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for number, budget in enumerate(budgets, start=2):
        for column, value in _numbered(row_of(budget)):
            _put(sheet.cell(number, column), value)
    sheet.freeze_panes = "B2"
    for column, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[column_letters(column)].width = _WIDTHS.get(name, 14)
    book.save(path)


def _numbered(cells: Sequence[Cell]) -> Iterator[tuple[int, Cell]]:
    return ((column, cell) for column, cell in enumerate(cells, start=1) if cell is not None and cell != "")


def _put(cell: Any, value: Cell) -> None:
    """A cell that reads back as it was: text stays text, and a number that a workbook would round is written as text."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if isinstance(value, float) and float(f"{value:.16g}") != value:
        value = plain_number(value)
    if isinstance(value, str):
        cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
        cell.data_type = "s"
        cell.quotePrefix = _FORMULA.match(value) is not None
        return
    cell.value = value
    if isinstance(value, date):
        cell.number_format = "yyyy-mm-dd"
    elif isinstance(value, float):
        cell.number_format = "#,##0.00"
