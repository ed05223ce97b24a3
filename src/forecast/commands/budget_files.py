"""Budgets from and for spreadsheets: `forecast budget import`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forecast.commands.budgets import budget, stored_budgets
from forecast.commands.console import JsonOption, emit, line
from forecast.commands.home import Home


def register(app: typer.Typer) -> None:
    """The commands stand in the `budget` program, which `commands.budgets` registers; importing this module adds them."""


@budget.command("import", epilog="Example: forecast budget import budgets.xlsx --dry-run")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv or .xlsx with a column for each field; id, amount and days are needed.")],
    sheet: Annotated[str | None, typer.Option(metavar="NAME", help="Of a workbook; default Budgets, or its only one.")] = None,
    ignore_unknown: Annotated[bool, typer.Option("--ignore-unknown", help="Leave out columns that are not known.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check, write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take in a table of budgets, all rows or none; rows replace budgets of their id."""
    from datetime import UTC, datetime

    from forecast.adapters.budget_files import read_table
    from forecast.budgets.budget_rows import check_parents_of, describe, losses, read_budgets
    from forecast.budgets.entry import warnings_of

    home = Home()
    calendar = home.settings.calendar
    read = read_table(file, sheet)
    found = read_budgets(read, calendar, ignore_unknown=ignore_unknown)
    before = {item.id: item for item in stored_budgets(home)}
    check_parents_of(read, found, {item.id: item.parent for item in before.values()})
    if not dry_run:
        home.make()
        home.records.put_budgets(found.budgets, now=datetime.now(UTC))
    after = {**before, **{item.id: item for item in found.budgets}}
    warnings = [*losses(read, found, before), *warnings_of(found.budgets, [after[key] for key in sorted(after)], calendar)]
    document = {
        "added": sum(item.id not in before for item in found.budgets),
        "replaced": sum(item.id in before and item != before[item.id] for item in found.budgets),
        "unchanged": sum(item == before.get(item.id) for item in found.budgets),
        "dry_run": dry_run,
        "ignored": list(found.ignored),
        "budgets": [describe(item) for item in found.budgets],
        "warnings": warnings,
    }

    def show() -> None:
        done = "would be taken in" if dry_run else "taken in"
        counts = f"{document['added']} added, {document['replaced']} replaced, {document['unchanged']} unchanged"
        line(f"{len(found.budgets)} budgets of {file} {done}: {counts}")
        if found.ignored:
            line(f"Note: columns left out: {', '.join(name or '(no name)' for name in found.ignored)}")
        for text in warnings:
            line(f"Note: {text}")

    emit(document, as_json, show)


@budget.command("export", epilog="Example: forecast budget export budgets.xlsx")
def export_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv or .xlsx; what is there is replaced.")],
    as_json: JsonOption = False,
) -> None:
    """Write all budgets to a file that `import` reads back unchanged."""
    from forecast.adapters.budget_files import write_budgets

    budgets = stored_budgets(Home())
    write_budgets(budgets, file)
    emit({"exported": len(budgets), "file": str(file)}, as_json, lambda: line(f"{len(budgets)} budgets written to {file}"))
