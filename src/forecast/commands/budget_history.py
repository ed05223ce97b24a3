"""How a budget's risk went: `forecast budget history`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from forecast.commands.budgets import budget
from forecast.commands.console import JsonOption, amounts, emit, line, money, percent, table
from forecast.commands.home import Home
from forecast.errors import InputError


def register(app: typer.Typer) -> None:
    """The command stands in the `budget` program, which `commands.budgets` registers; importing this module adds it."""


@budget.command("history", epilog="Example: forecast budget history search-q1 --since 2027-02-01")
def history(
    budget_id: Annotated[str, typer.Argument(metavar="ID", help="A stored budget.")],
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only trainings whose last day is this one or later.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What each training said of a budget: one row a snapshot, as it was said then."""
    from datetime import UTC, datetime

    from forecast.adapters.kept_snapshots import kept_snapshots
    from forecast.adapters.rates import find_rates
    from forecast.spend.periods import parse_day
    from forecast.workflows.risk_history import history_answer

    home = Home()
    first = None if since is None else parse_day(since, "since")
    if not home.has_records:
        raise InputError(
            f"No budget has the id {budget_id!r}: there are none in {home.folder}", field="id", got=budget_id, allowed="an id of the list of budgets"
        )
    stored, risks = home.records.budget(budget_id), home.records.risks(budget_id, first)
    kept = kept_snapshots(home.records, home.snapshots, cost=stored.cost, without={risk.snapshot_id for risk in risks}, since=first)
    rates = None if stored.currency is None else find_rates(home.settings.rates, home.folder)
    answer = history_answer(stored, risks, kept, now=datetime.now(UTC), since=first, rates=rates, calendar=home.settings.calendar)
    emit(answer, as_json, lambda: _show(answer))


def _show(answer: Mapping[str, Any]) -> None:
    rows = []
    for row in answer["history"]:
        moved = row["change"]
        change = "" if moved is None else f"{100 * moved['overrun_probability']:+.1f}"
        of = f"{row['start']}..{row['end']}"
        risk = [percent(row["overrun_probability"]), change, row["state"]]
        rows.append([str(row["cutoff"]), of, "" if row["stored"] else "now", money(row["amount"]), money(row["spent"]), *amounts(row), *risk])
    if not rows:
        line(f"No training has seen budget {answer['budget_id']} yet: forecast train")
    else:
        columns = ["known until", "period", "asked", "amount", "spent", "mean", "P10", "P50", "P90", "overrun", "change", "state"]
        table(f"Risk of {answer['budget_id']}, {answer['history'][-1]['currency']}", columns, rows, left=3)
    for text in answer["notes"]:
        line(f"Note: {text}")
