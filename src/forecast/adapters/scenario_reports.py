"""What-if answers for people who live in spreadsheets: sheets of totals, levers, groups, periods and budgets, with a waterfall chart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.adapters.reports import COSTS, MONEY, PERCENT, QUANTILES_MEAN, atomically, check_suffix, write_text
from forecast.adapters.scenario_pictures import waterfall_steps

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

REPORTS = (".xlsx", ".json")
_FIGURES = ("mean", "p10", "p50", "p90")
_TITLES = ("Mean", "P10", "P50", "P90")
_SIDES = (("baseline", "Forecast"), ("scenario", "Scenario"), ("delta", "Change"))
NUMBER = "#,##0.####"


def write_json(answer: Mapping[str, Any], path: Path) -> None:
    """The answer as one JSON document."""
    check_suffix(path, (".json",))
    with atomically(path) as temporary:
        temporary.write_text(json.dumps(answer, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")


def write_whatif_report(answer: Mapping[str, Any], periods: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A what-if answer as .xlsx. periods : its rows of the whole scope by day, week or month."""
    with _book(path) as book:
        sheet = _sheet(book, "Scenario", ["", *_TITLES])
        for name, title in _SIDES:
            _row(sheet, [title, *_money(answer[name])])
        _row(sheet, ["P(cheaper)", (answer["probability_cheaper"], PERCENT)])
        _waterfall(sheet, answer)
        shares = {part.get("lever"): part["mean"] for part in (answer.get("waterfall") or {}).get("parts", ())}
        sheet = _sheet(
            book,
            "Levers",
            ["Lever", "Name", "Type", "Scope", "From", "Until", *(f"In its turn: {title}" for title in _TITLES), "Share of the change"],
        )
        for number, lever in enumerate(answer["levers"]):
            named = [str(number), lever.get("name", ""), lever["type"], lever.get("scope", ""), lever.get("from", ""), lever.get("until", "")]
            _row(sheet, [*named, *_money(lever["delta"]), (shares.get(number), MONEY)])
        _fill_rows(book, "Groups", answer["rows"])
        _fill_rows(book, "Periods", periods)
        _fill_budgets(book, answer["budgets"])
        _fill_about(book, answer)


def write_comparison_report(answer: Mapping[str, Any], path: Path) -> None:
    """Scenarios side by side as .xlsx."""
    with _book(path) as book:
        sheet = _sheet(
            book,
            "Compare",
            ["Scenario", "Name", "Version", *_TITLES, *(f"Change: {title}" for title in _TITLES), "P(cheaper)", "Against the first", "P(cheapest)"],
        )
        _row(sheet, ["(forecast as it is)", "", "", *_money(answer["baseline"])])
        for one in answer["scenarios"]:
            told = [
                *_money(one["scenario"]),
                *_money(one["delta"]),
                (one["probability_cheaper"], PERCENT),
                (one["against_first"]["mean"], MONEY),
                (one["probability_least"], PERCENT),
            ]
            _row(sheet, [one["id"], one["name"], "" if one["version"] is None else str(one["version"]), *told])
        names = list(answer["rows"][0]["group"]) if answer["rows"] else []
        ids = [one["id"] for one in answer["scenarios"]]
        sheet = _sheet(book, "Groups", [*names, "Forecast: mean", *(f"{each}: {title}" for each in ids for title in ("mean", "change"))])
        for row in answer["rows"]:
            told = [(row["scenarios"][each][figure], MONEY) for each in ids for figure in ("mean", "delta")]
            _row(sheet, [*row["group"].values(), (row["baseline"]["mean"], MONEY), *told])
        sheet = _sheet(book, "Budgets", ["Budget", "Scope", "Amount", "P(overrun): forecast", *(f"P(overrun): {each}" for each in ids)])
        risks: dict[str, dict[str, Any]] = {}
        for one in answer["scenarios"]:
            for budget in one["budgets"]:
                risks.setdefault(budget["id"], {"budget": budget})[one["id"]] = budget["overrun_probability_after"]
        for budget_id, by_id in risks.items():
            budget = by_id["budget"]
            told = [(budget["amount"], MONEY), (budget["overrun_probability_before"], PERCENT), *((by_id.get(each), PERCENT) for each in ids)]
            _row(sheet, [budget_id, budget["scope"] or "company", *told])
        _fill_about(book, answer)


def write_goal_report(answer: Mapping[str, Any], path: Path) -> None:
    """The curve of a goal as .xlsx, with a chart of it."""
    from openpyxl.chart import Reference, ScatterChart, Series

    goal = answer["goal"]
    form = PERCENT if goal["figure"] in {"overrun_probability", "probability_cheaper"} else MONEY
    with _book(path) as book:
        sheet = _sheet(book, "Curve", [goal["field"], goal["figure"], *(f"Scenario: {title}" for title in _TITLES)])
        for point in answer["curve"]:
            _row(sheet, [(point["value"], NUMBER), (point["figure"], form), *_money(point)])
        chart = ScatterChart()
        chart.title, chart.style, chart.x_axis.title, chart.y_axis.title = answer["sentence"][:200], 13, goal["field"], goal["figure"]
        chart.x_axis.delete, chart.y_axis.delete, chart.legend = False, False, None
        last = 1 + len(answer["curve"])
        across, up = (Reference(sheet, min_col=column, min_row=2, max_row=last) for column in (1, 2))
        chart.series.append(Series(up, across))
        chart.width, chart.height = 20, 10
        sheet.add_chart(chart, "I2")
        _fill_about(book, answer)


def write_actual_report(answer: Mapping[str, Any], path: Path) -> None:
    """A plan beside what happened as .xlsx."""
    titles = [
        "Billed",
        "Expected yet",
        "Actual",
        *(f"{side}: {title}" for _, side in _SIDES for title in _TITLES),
        "Actual less forecast",
        "Bill and forecast",
        "Bill and scenario",
    ]
    with _book(path) as book:
        names = list(answer["rows"][0]["group"]) if answer["rows"] else []
        sheet = _sheet(book, "Actual", [*names, "From", "To", *titles])
        for row in [*answer["rows"], {**answer, "group": dict.fromkeys(names, "") | ({names[0]: "Total"} if names else {})}]:
            spent = [(row["actual"][name], MONEY) for name in ("billed", "pending", "cost")]
            sides = [cell for side, _ in _SIDES for cell in _money(row[side])]
            places = [row["place"]["baseline"] or "", row["place"]["scenario"] or ""]
            _row(sheet, [*row["group"].values(), row["start"], row["end"], *spent, *sides, (row["effect"]["mean"], MONEY), *places])
        sheet = _sheet(book, "Levers", ["Lever", "Name", "Type", "Scope", "From", "To", *titles])
        for row in answer["levers"]:
            spent = [(row["actual"][name], MONEY) for name in ("billed", "pending", "cost")]
            sides = [cell for side, _ in _SIDES for cell in _money(row[side])]
            named = [str(row["lever"]), row["name"], row["type"], row["scope"], row["start"], row["end"]]
            _row(sheet, [*named, *spent, *sides, (row["effect"]["mean"], MONEY), row["place"]["baseline"] or "", row["place"]["scenario"] or ""])
        _fill_about(book, answer)


@contextmanager
def _book(path: Path) -> Iterator[Workbook]:
    """A workbook without sheets that takes the place of the file at the end."""
    check_suffix(path, (".xlsx",))
    from openpyxl import Workbook

    book = Workbook()
    for empty in book.worksheets:
        book.remove(empty)
    yield book
    for sheet in book.worksheets:
        _fit(sheet)
    with atomically(path) as temporary:
        book.save(temporary)


def _sheet(book: Workbook, name: str, titles: Sequence[str]) -> Worksheet:
    from openpyxl.styles import Alignment, Font, PatternFill

    sheet: Worksheet = book.create_sheet(name)
    for column, title in enumerate(titles, start=1):
        cell = write_text(sheet, 1, column, title)
        cell.font, cell.fill = Font(bold=True, color="FFFFFF"), PatternFill("solid", fgColor="1F3A5F")
        cell.alignment = Alignment(wrap_text=True, vertical="center", horizontal="center")
    sheet.freeze_panes = "B2"
    return sheet


Cell = str | tuple[float | None, str]


def _row(sheet: Worksheet, cells: Sequence[Cell]) -> None:
    """Text stays text, whatever it looks like; a number comes with its format."""
    number = sheet.max_row + 1
    for column, cell in enumerate(cells, start=1):
        if isinstance(cell, str):
            write_text(sheet, number, column, cell)
        else:
            written = sheet.cell(number, column, cell[0])
            written.number_format = cell[1]


def _money(distribution: Mapping[str, Any]) -> list[Cell]:
    return [(distribution[name], MONEY) for name in _FIGURES]


def _fill_rows(book: Workbook, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    groups = list(rows[0]["group"]) if rows else []
    sheet = _sheet(book, name, [*groups, "From", "To", *(f"{side}: {title}" for _, side in _SIDES for title in _TITLES)])
    for row in rows:
        _row(sheet, [*row["group"].values(), row["start"], row["end"], *(cell for side, _ in _SIDES for cell in _money(row[side]))])


def _fill_budgets(book: Workbook, budgets: Sequence[Mapping[str, Any]]) -> None:
    titles = ["Budget", "Name", "Scope", "From", "To", "Amount", "P(overrun) before", "P(overrun) after", "Expected overrun before", "after", "Note"]
    sheet = _sheet(book, "Budgets", titles)
    for row in budgets:
        risks: list[Cell] = [(row[f"overrun_probability_{when}"], PERCENT) for when in ("before", "after")]
        over: list[Cell] = [(row[f"expected_overrun_{when}"], MONEY) for when in ("before", "after")]
        named = [row["id"], row["name"], row["scope"] or "company", row["start"], row["end"]]
        _row(sheet, [*named, (row["amount"], MONEY), *risks, *over, row.get("warning", "")])


def _waterfall(sheet: Worksheet, answer: Mapping[str, Any]) -> None:
    """A table of what stands below, what is added and what is taken away, and columns stacked of them."""
    from openpyxl.chart import BarChart, Reference

    first, at = sheet.max_row + 3, answer["baseline"]["mean"]
    for column, title in enumerate(("Waterfall of the mean", "below", "total", "more", "less"), start=1):
        write_text(sheet, first, column, title)
    _row(sheet, ["forecast", (0.0, MONEY), (at, MONEY), (0.0, MONEY), (0.0, MONEY)])
    for name, change in waterfall_steps(answer):
        _row(sheet, [name, (min(at, at + change), MONEY), (0.0, MONEY), (max(change, 0.0), MONEY), (max(-change, 0.0), MONEY)])
        at += change
    _row(sheet, ["scenario", (0.0, MONEY), (answer["scenario"]["mean"], MONEY), (0.0, MONEY), (0.0, MONEY)])
    chart = BarChart()
    chart.type, chart.grouping, chart.overlap, chart.gapWidth = "col", "stacked", 100, 40
    chart.title, chart.y_axis.title, chart.y_axis.number_format = "Waterfall of the mean", answer["currency"], "#,##0"
    chart.x_axis.delete, chart.y_axis.delete, chart.legend = False, False, None
    chart.add_data(Reference(sheet, min_col=2, max_col=5, min_row=first, max_row=sheet.max_row), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=first + 1, max_row=sheet.max_row))
    chart.series[0].graphicalProperties.noFill = True
    for series, colour in zip(chart.series[1:], ("6B7785", "C2410C", "15803D"), strict=True):
        series.graphicalProperties.solidFill = colour
    chart.width, chart.height = 24, 11
    sheet.add_chart(chart, "H2")


def _fill_about(book: Workbook, answer: Mapping[str, Any]) -> None:
    """Where the numbers come from, and how to read them."""
    from openpyxl.styles import Alignment, Font

    sheet: Worksheet = book.create_sheet("About")
    lines = [
        ("First day", answer["start"]),
        ("End (exclusive)", answer["end"]),
        ("Scope", answer.get("scope") or "the whole company"),
        ("Name", str(answer.get("name") or "")),
        ("Currency", answer["currency"]),
        ("Cost", COSTS.get(answer["cost"], answer["cost"])),
        ("Snapshot", answer["snapshot_id"]),
        ("Cutoff (last day the forecaster saw)", answer["cutoff"]),
        ("Method", "The plan acts on the same simulated futures that the forecast is made of; every change is computed future by future."),
        ("How to read quantiles", QUANTILES_MEAN),
        *([("In a sentence", answer["sentence"])] if answer.get("sentence") else []),
        *(("Note", text) for text in answer.get("warnings") or ()),
    ]
    for number, (name, value) in enumerate(lines, start=1):
        write_text(sheet, number, 1, name).font = Font(bold=True)
        write_text(sheet, number, 2, value).alignment = Alignment(wrap_text=True, vertical="top", horizontal="left")
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 40, 90


def _fit(sheet: Worksheet) -> None:
    """Columns as wide as what they hold, within reason."""
    from openpyxl.utils import get_column_letter

    if sheet.title == "About":
        return
    for column in range(1, sheet.max_column + 1):
        letter = get_column_letter(column)
        texts = [len(str(cell.value)) for cell in sheet[letter][1:] if isinstance(cell.value, str)]
        sheet.column_dimensions[letter].width = min(max(14, *texts, 0) + 2, 48)
