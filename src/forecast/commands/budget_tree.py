"""Will a company, its teams and their projects overrun together: `forecast budget tree`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.budgets import budget
from forecast.commands.console import JsonOption, SnapshotOption, emit, line, money, origin, percent, table
from forecast.commands.home import Home
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.budgets.budget import Budget
    from forecast.spend.fiscal import FiscalCalendar

SHOWN_CONTRIBUTORS = 8


def register(app: typer.Typer) -> None:
    """The command stands in the `budget` program, which `commands.budgets` registers; importing this module adds it."""


@budget.command("tree", epilog="Example: forecast budget tree company-q1")
def tree(
    budget_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The budget at the top; default all that have children.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Budgets of a .csv or .xlsx file in place of the stored ones.")] = None,
    at: Annotated[str | None, typer.Option(metavar="DATE", help="The day whose month, quarter or year of a repeating budget is meant.")] = None,
    cost: Annotated[str | None, typer.Option(metavar="COST", help="effective (default) or billed; a budget that is named says its own.")] = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Parents and children jointly: who overruns, who brings it about, and what reckoning them apart would get wrong."""
    from forecast.adapters.rates import find_rates
    from forecast.spend.periods import parse_day
    from forecast.workflows.budget_tree import budget_tree

    home = Home()
    day = None if at is None else parse_day(at, "at")
    calendar = home.settings.calendar
    budgets = _read(file, calendar) if file is not None else home.records.budgets() if home.has_records else []
    named = next((item for item in budgets if item.id == budget_id), None)
    if named is not None and cost is not None and cost != named.cost:
        raise InputError(f"Budget {named.id} counts {named.cost} cost, not {cost}", field="cost", got=cost, allowed=f"{named.cost}, or nothing")
    snapshot = home.snapshot(named.cost if named is not None else cost or "effective", snapshot_id)
    foreign = any(item.currency not in {None, snapshot.currency} for item in budgets)
    rates = find_rates(home.settings.rates, home.folder) if foreign else None
    answer = budget_tree(snapshot, budgets, budget_id, at=day, calendar=calendar, rates=rates)
    emit(answer, as_json, lambda: show_trees(answer))


def _read(file: Path, calendar: FiscalCalendar) -> Sequence[Budget]:
    from forecast.adapters.budget_files import read_table
    from forecast.budgets.budget_rows import read_budgets

    return read_budgets(read_table(file), calendar).budgets


def show_trees(answer: Mapping[str, Any]) -> None:
    """Each tree as a table with its sentences, then what does not fit."""
    if not answer["trees"]:
        line("No budget has children yet: forecast budget add ID --parent ID …")
    for top in answer["trees"]:
        _show_tree(top, answer["currency"])
    for finding in answer["findings"]:
        line(f"{finding['severity'].capitalize()}: {finding['sentence']}")
    for left_out in answer["left_out"]:
        line(f"Left out: {left_out['budget_id']}: {left_out['reason']}")
    origin({**answer, "warnings": []})


def _show_tree(top: Mapping[str, Any], currency: str) -> None:
    rows = list(_rows(top, 0))
    columns = ["budget", "scope", "from", "to", "amount", "mean", "P90", "overrun", "expected overrun", "any child"]
    table(f"Budgets below {top['budget_id']}, {currency}", columns, rows, left=4)
    contributions = top.get("all_contributions") or top.get("contributions") or []
    if any(row["share"] is not None for row in contributions):
        shown = [[_part(row), row["start"], money(row["contribution"]), percent(row["share"], 0)] for row in contributions[:SHOWN_CONTRIBUTORS]]
        title = f"What {top['budget_id']} is expected to overrun by: {money(top['expected_overrun'])} {currency}"
        table(title, ["comes from", "from", "money", "share"], shown, left=2)
        if len(contributions) > len(shown):
            line(f"and {money(sum(row['contribution'] for row in contributions[len(shown) :]))} from the rest")
    for sentence in top.get("sentences", ()):
        line(sentence)
    line()


def _rows(node: Mapping[str, Any], level: int) -> list[list[str]]:
    name = "  " * level + node["budget_id"]
    head = [name, node["scope"] or "company", node["start"], node["end"]]
    if "error" in node:
        row = [*head, "–", "–", "–", "–", "–", "–"]
    else:
        any_child = percent(node["jointly"]["any_child"]["probability"]) if "jointly" in node else ""
        amounts = [money(node["amount"]), money(node["total"]["mean"]), money(node["total"]["p90"])]
        row = [*head, *amounts, percent(node["overrun_probability"]), money(node["expected_overrun"]), any_child]
    return [row, *(below for child in node["children"] for below in _rows(child, level + 1))]


def _part(row: Mapping[str, Any]) -> str:
    name: str = row["budget_id"]
    return {
        "budget": name,
        "unallocated": f"rest of {name} that no child has",
        "over_allocated": f"children's budgets beyond {name}",
        "double_counted": f"counted twice within {name}",
    }[row["part"]]
