"""What will become of budgets: `forecast budget risk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.budget_answers import show_overrun, show_overruns
from forecast.commands.budgets import budget
from forecast.commands.console import JsonOption, ScopeOption, SnapshotOption, emit, note
from forecast.commands.files import read_text
from forecast.commands.forecasts import EndOption, PeriodOption, StartOption, read_days
from forecast.commands.home import Home
from forecast.errors import BudgetError, InputError, SchemaError

if TYPE_CHECKING:
    from forecast.budgets.budget import Budget
    from forecast.snapshot import Snapshot

COLUMNS = ("scope", "start", "end", "amount")


def register(app: typer.Typer) -> None:
    """The command stands in the `budget` program, which `commands.budgets` registers; importing this module adds it."""


@budget.command("risk", epilog="Example: forecast budget risk --scope team=search --start 2027-01-01 --end 2027-04-01 --amount 250000")
def risk(
    budget_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A stored budget; without any other option all of them.")] = None,
    scope: ScopeOption = "",
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    amount: Annotated[float | None, typer.Option(metavar="MONEY", help="What may be spent, for an ad hoc question.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Of that amount; default the ledger's.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="CSV", help="Many at once: columns scope, start, end, amount (and currency).")] = None,
    cost: Annotated[str | None, typer.Option(metavar="COST", help="effective (default) or billed; a stored budget says its own.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="What was known on that day: the newest snapshot with a cutoff by then.")] = None,
    at: Annotated[str | None, typer.Option(metavar="DATE", help="Of a budget that repeats: the month, quarter or year that holds this day.")] = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The probability of an overrun, its size, and the day when the budget would be used up."""
    from forecast.spend.periods import parse_day

    home = Home()
    ad_hoc = bool(scope or period or start or end or currency or amount is not None)
    if sum((budget_id is not None, file is not None, ad_hoc)) > 1 or (cost is not None and budget_id is not None):
        allowed = "a budget ID, or --file, or --scope with --period (or --start and --end) and --amount"
        raise InputError(f"The question is asked in two ways at once: give {allowed}", field="budget_id" if budget_id else "file", allowed=allowed)
    known_by = None if as_of is None else parse_day(as_of, "as_of")
    day = None if at is None else parse_day(at, "at")
    if day is not None and (file is not None or ad_hoc):
        raise InputError(
            "--at chooses an occurrence of a budget that repeats; these days are given", field="at", got=at, allowed="with a budget ID, or with all"
        )
    if file is not None:
        asked = read_budgets(file, cost or "effective")
        snapshot = home.snapshot(cost or "effective", snapshot_id, known_by)
        if cost is None:  # a snapshot that was named says which cost
            asked = [(number, replace(item, cost=snapshot.cost)) for number, item in asked]
        found = _of_rows(home, snapshot, asked, file)
        emit({"budgets": found}, as_json, lambda: show_overruns(found))
    elif ad_hoc:
        question = _ad_hoc(home, scope, period, start, end, amount, currency, cost or "effective")
        snapshot = home.snapshot(question.cost, snapshot_id, known_by)
        if cost is None:
            question = replace(question, cost=snapshot.cost)
        of_question = _answers(home, snapshot, [question], None)[0]
        emit(_checked(of_question), as_json, lambda: show_overrun(_checked(of_question)))
    elif budget_id is not None:
        if not home.has_records:
            home.snapshot()
        stored = home.records.budget(budget_id)
        of_stored = _answers(home, home.snapshot(stored.cost, snapshot_id, known_by), [stored], day)[0]
        emit(_checked(of_stored), as_json, lambda: show_overrun(_checked(of_stored)))
    else:
        _risk_of_all(home, home.snapshot(cost or "effective", snapshot_id, known_by), day, as_json)


def _ad_hoc(
    home: Home, scope: str, period: str | None, start: str | None, end: str | None, amount: float | None, currency: str | None, cost: str
) -> Budget:
    from forecast.budgets.budget import Budget
    from forecast.spend.scope import Scope
    from forecast.workflows.overruns import AD_HOC

    days = read_days(period, start, end, home.settings.calendar)
    if amount is None:
        raise InputError("--amount is missing: an overrun needs the money that may be spent", field="amount", allowed="a number above 0")
    return Budget(AD_HOC, Scope.parse(scope), days.start, days.end, amount, None if currency is None else currency.upper(), cost)


def _answers(home: Home, snapshot: Snapshot, budgets: Sequence[Budget], day: date | None) -> list[dict[str, Any] | InputError]:
    from forecast.workflows.overruns import overrun_answers

    rates = home.rates_for(budgets, snapshot.currency)
    return overrun_answers(snapshot, budgets, rates=rates, calendar=home.settings.calendar, at=day)


def _checked(answer: dict[str, Any] | InputError) -> dict[str, Any]:
    if isinstance(answer, InputError):
        raise answer
    return answer


def _risk_of_all(home: Home, snapshot: Snapshot, day: date | None, as_json: bool) -> None:
    """Budgets that are not over; one that cannot be answered must not silence the others."""
    stored = home.records.budgets()
    if not stored:
        note("forecast: there are no budgets yet: forecast budget add ID --scope team=… --period 2027-Q1 --amount …")
    found = []
    for item, answer in zip(stored, _answers(home, snapshot, stored, day), strict=True):
        if isinstance(answer, InputError):
            note(f"forecast: budget {item.id} is left out: {answer}")
        elif answer["status"] == "over" and day is None:
            note(f"forecast: budget {item.id} is left out: it was over on {answer['end']}; `forecast budget risk {item.id}` says how it ended")
        else:
            found.append(answer)
    emit({"budgets": found}, as_json, lambda: show_overruns(found))


def _of_rows(home: Home, snapshot: Snapshot, asked: Sequence[tuple[int, Budget]], path: Path) -> list[dict[str, Any]]:
    """An answer for each row; the first row without one is an error that names its line."""
    found = []
    for (number, _), answer in zip(asked, _answers(home, snapshot, [item for _, item in asked], None), strict=True):
        if isinstance(answer, InputError):
            raise InputError(f"{path}, line {number}: {answer}", field=answer.field, got=answer.got, allowed=answer.allowed)
        found.append(answer)
    return found


def read_budgets(path: Path, cost: str) -> list[tuple[int, Budget]]:
    """(line number, budget) of each row of a CSV file with the columns scope, start, end, amount, and currency where there is one."""
    import csv
    import io

    from forecast.budgets.budget import Budget
    from forecast.spend.periods import parse_day
    from forecast.spend.scope import Scope
    from forecast.workflows.overruns import AD_HOC

    reader = csv.DictReader(io.StringIO(read_text(path, "file")), skipinitialspace=True, strict=True)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in COLUMNS if name not in header]:
        raise SchemaError(
            f"{path} has no column {', '.join(missing)}: got {', '.join(header)}",
            field=missing[0],
            got=header,
            allowed=f"columns {', '.join(COLUMNS)}",
        )
    reader.fieldnames = header
    budgets: list[tuple[int, Budget]] = []
    try:
        for values in reader:
            number = reader.line_num
            if None in values or None in values.values():
                raise SchemaError(
                    f"{path}, line {number}: it has not as many fields as the header; a scope with a comma stands in quotes",
                    field="file",
                    got=number,
                    allowed=f"{len(header)} fields",
                )
            row: Mapping[str, str] = {name: text.strip() for name, text in values.items()}
            try:
                days = parse_day(row["start"], "start"), parse_day(row["end"], "end")
                code = row.get("currency", "").upper() or None
                budgets.append((number, Budget(AD_HOC, Scope.parse(row["scope"]), *days, _read_amount(row["amount"]), code, cost)))
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    except csv.Error as error:
        raise SchemaError(f"{path}, line {reader.line_num}: not CSV: {error}", field="file", got=str(path), allowed="CSV") from None
    if not budgets:
        raise InputError(f"{path} has a header and no rows", field="file", got=0, allowed="at least one row")
    return budgets


def _read_amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BudgetError(f"amount {text!r} is not a number", field="amount", got=text, allowed="a number above 0 such as 250000") from None
