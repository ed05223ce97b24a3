"""Reports for people who live in spreadsheets: the quarterly forecast as XLSX, CSV or JSON, panels as CSV or Parquet.

Every file is written beside its place and renamed, so that nobody ever opens half a report.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from openpyxl import Workbook
    from openpyxl.cell.cell import Cell, MergedCell
    from openpyxl.worksheet.worksheet import Worksheet


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end, or leaves nothing where the block fails.

    InputError where the folder does not exist or cannot be written.
    """
    temporary: Path | None = None
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix="".join(path.suffixes), dir=path.parent)
        os.close(number)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes a file for its owner alone
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(
                f"{path} cannot be written: {error.strerror}", field="out", got=str(path), allowed="a file in a folder that exists"
            ) from None
        raise


def check_suffix(path: Path, allowed: tuple[str, ...]) -> str:
    """The file's ending in lower case; InputError where it is none of `allowed`."""
    suffix = path.suffix.lower()
    if suffix not in allowed:
        raise InputError(
            f"{path} has the ending {suffix or '(none)'}; allowed are {', '.join(allowed)}", field="out", got=str(path), allowed=", ".join(allowed)
        )
    if not path.parent.is_dir():
        raise InputError(
            f"{path} cannot be written: the folder {path.parent} does not exist", field="out", got=str(path), allowed="a folder that exists"
        )
    return suffix


PANEL_FILES = (".csv", ".parquet")


def write_panel(frame: pd.DataFrame, path: Path) -> None:
    """unique_id, ds, y (and the dimensions) as CSV or Parquet, by the file's ending."""
    suffix = check_suffix(path, PANEL_FILES)
    with atomically(path) as temporary:
        if suffix == ".csv":
            frame.to_csv(temporary, index=False, lineterminator="\n")
        else:
            frame.to_parquet(temporary, index=False)


REPORT_FILES = (".xlsx", ".csv", ".json")
MONEY = "#,##0;[Red]-#,##0"
PERCENT = "0.0%"

QUANTILES_MEAN = (
    "P10, P50 and P90: in one of ten futures the total is below P10, in half of them below P50, in nine of ten below P90. "
    "The mean is what it comes to on average."
)
COSTS = {"effective": "effective (amortised: prepaid and reserved cost counts when it is used)", "billed": "billed (as invoiced, for cash budgets)"}
_AMOUNTS = ("mean", "p10", "p50", "p90", "last_quarter", "change", "change_percent", "budget", "overrun_probability")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def check_report_path(path: Path) -> None:
    """InputError where a report could not be written there; asked before the work."""
    check_suffix(path, REPORT_FILES)


def write_quarter_report(answer: Mapping[str, Any], path: Path) -> None:
    """What `quarter_answer` says as .xlsx (a sheet of numbers and a chart, a sheet that says where they come from), .csv or .json."""
    suffix = check_suffix(path, REPORT_FILES)
    with atomically(path) as temporary:
        if suffix == ".xlsx":
            _workbook(answer).save(temporary)
        elif suffix == ".csv":
            _write_csv(answer, temporary)
        else:
            temporary.write_text(json.dumps(answer, ensure_ascii=False, allow_nan=False, indent=2) + "\n", encoding="utf-8")


def _write_csv(answer: Mapping[str, Any], path: Path) -> None:
    """One line a group and one for the total; what holds for all of them is repeated, so that every line stands alone."""
    groups, record = list(answer["by"]), answer["backtest"]
    constant = {
        "quarter": answer["quarter"],
        "start": answer["start"],
        "end": answer["end"],
        "currency": answer["currency"],
        "cost": answer["cost"],
        "snapshot_id": answer["snapshot_id"],
        "cutoff": answer["cutoff"],
        **{f"backtest_{name}": record.get(name) for name in ("cutoffs", "wape", "bias", "coverage_80", "grade")},
    }
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", *groups, *_AMOUNTS, *constant, "note"])
        for kind, row in [*(("group", row) for row in answer["rows"]), ("total", answer["total"])]:
            named = [_harmless(row["group"].get(name, "")) for name in groups]
            note = "means add up over rows; quantiles do not" if kind == "total" else ""
            writer.writerow([kind, *named, *(row[name] for name in _AMOUNTS), *constant.values(), note])


def _harmless(text: str) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _workbook(answer: Mapping[str, Any]) -> Workbook:
    from openpyxl import Workbook

    book = Workbook()
    for empty in book.worksheets:
        book.remove(empty)
    _fill_forecast(book.create_sheet("Forecast"), answer)
    _fill_about(book.create_sheet("About"), answer)
    return book


def _fill_forecast(sheet: Worksheet, answer: Mapping[str, Any]) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    groups, currency, last = list(answer["by"]), answer["currency"], answer["last_quarter"]
    told = "actual" if last["over"] else "actual and forecast"
    titles = ["Mean", "P10", "P50", "P90", f"Last quarter ({told})", "Change", "Change %", "Budget", "P(overrun)"]
    formats = [MONEY] * 6 + [PERCENT, MONEY, PERCENT]
    sheet.append([*(name.replace("_", " ").capitalize() for name in groups or ["scope"]), *titles])
    for cell in sheet[1]:
        cell.font, cell.fill = Font(bold=True, color="FFFFFF"), PatternFill("solid", fgColor="1F3A5F")
        cell.alignment = Alignment(wrap_text=True, vertical="center", horizontal="center")
    n_names = max(len(groups), 1)
    for row in [*answer["rows"], answer["total"]]:
        number = sheet.max_row + 1
        is_total = row is answer["total"]
        names = ["Total", *[""] * (n_names - 1)] if is_total else [row["group"][name] for name in groups]
        for column, name in enumerate(names, start=1):
            write_text(sheet, number, column, name)
        for column, (name, form) in enumerate(zip(_AMOUNTS, formats, strict=True), start=n_names + 1):
            value = row[name]
            sheet.cell(number, column, value / 100.0 if name == "change_percent" and value is not None else value).number_format = form
        if is_total:
            for column in range(1, n_names + len(titles) + 1):
                written = sheet.cell(number, column)
                written.font, written.border = Font(bold=True), Border(top=Side("thin"))
    last_row = sheet.max_row
    sheet.freeze_panes = sheet.cell(2, n_names + 1).coordinate
    for column in range(1, n_names + len(titles) + 1):
        letter = get_column_letter(column)
        texts = [len(str(each.value or "")) for each in sheet[letter][1:]] if column <= n_names else [13]
        sheet.column_dimensions[letter].width = min(max(14, *texts) + 2, 48)
    origin = f"{answer['quarter']}: {answer['start']} to {answer['end']} (exclusive), {answer['cost']} cost in {currency}. "
    origin += f"Snapshot {answer['snapshot_id'][:12]}, cutoff {answer['cutoff']}; more on the sheet About."
    for number, text in enumerate([origin, QUANTILES_MEAN, *answer["notes"], *answer["warnings"]], start=last_row + 2):
        write_text(sheet, number, 1, text).font = Font(italic=True, color="555555")
    if answer["rows"]:
        _add_chart(sheet, answer, n_names)
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = "1:1"


def _add_chart(sheet: Worksheet, answer: Mapping[str, Any], n_names: int) -> None:
    """Bars of last quarter, the forecast mean and its P90 for each group."""
    from openpyxl.chart import BarChart, Reference

    chart = BarChart()
    chart.title, chart.y_axis.title = f"{answer['quarter']} by {', '.join(answer['by'])}", answer["currency"]
    chart.y_axis.number_format, chart.x_axis.delete, chart.y_axis.delete = "#,##0", False, False
    end = 1 + len(answer["rows"])
    for offset in (5, 1, 4):
        column = n_names + offset
        chart.add_data(Reference(sheet, min_col=column, min_row=1, max_row=end), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, max_col=n_names, min_row=2, max_row=end))
    chart.width, chart.height = 26, 12
    sheet.add_chart(chart, sheet.cell(1, n_names + len(_AMOUNTS) + 2).coordinate)


def _fill_about(sheet: Worksheet, answer: Mapping[str, Any]) -> None:
    """Where the numbers come from, how good such numbers were, and how to read them."""
    from openpyxl.styles import Alignment, Font

    record, last = answer["backtest"], answer["last_quarter"]
    lines: list[tuple[str, Any, str | None]] = [
        ("Quarter", answer["quarter"], None),
        ("First day", answer["start"], None),
        ("End (exclusive)", answer["end"], None),
        ("Grouped by", ", ".join(answer["by"]) or "nothing", None),
        ("Currency", answer["currency"], None),
        ("Cost", COSTS.get(answer["cost"], answer["cost"]), None),
        ("Last quarter", f"{last['start']} to {last['end']} (exclusive), {'over' if last['over'] else 'not over at the cutoff'}", None),
        ("Snapshot", answer["snapshot_id"], None),
        ("Cutoff (last day the forecaster saw)", answer["cutoff"], None),
        ("Method", "Joint simulated futures of every series: each quantile is one of the summed futures, never a sum of quantiles.", None),
        ("How to read quantiles", QUANTILES_MEAN, None),
        ("Backtest: whose record", record.get("scope") or "the whole company", None),
        ("Backtest: cutoffs", _count(record.get("cutoffs")), "0"),
        ("Backtest: WAPE (mean absolute error ÷ spend)", record.get("wape"), PERCENT),
        ("Backtest: bias (above 0: forecasts were too high)", record.get("bias"), PERCENT),
        ("Backtest: 80 % intervals held", record.get("coverage_80"), PERCENT),
        ("Backtest: grade", record.get("grade"), None),
        *(("Note", text, None) for text in (*answer["notes"], *answer["warnings"])),
    ]
    for number, (name, value, form) in enumerate(lines, start=1):
        sheet.cell(number, 1, name).font = Font(bold=True)
        cell = (
            write_text(sheet, number, 2, "not known" if value is None else value) if isinstance(value, str | None) else sheet.cell(number, 2, value)
        )
        cell.alignment = Alignment(wrap_text=True, vertical="top", horizontal="left")
        if form is not None:
            cell.number_format = form
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 48, 90


def _count(cutoffs: Any) -> int | None:
    return cutoffs if isinstance(cutoffs, int | None) else len(cutoffs)


def write_text(sheet: Worksheet, row: int, column: int, text: str) -> Cell | MergedCell:
    """Text that stays text: a team called `=1+1` is a name and no formula."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cell = sheet.cell(row, column)
    cell.value = ILLEGAL_CHARACTERS_RE.sub("", text)
    cell.data_type = "s"
    return cell
