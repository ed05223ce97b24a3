"""Will we overrun: `forecast budget add`, `list`, `remove`, `risk`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import CostOption, JsonOption, ScopeOption, SnapshotOption, amounts, emit, line, money, note, origin, percent, table
from forecast.commands.files import read_text
from forecast.commands.forecasts import EndOption, PeriodOption, StartOption, read_days, why_not_usable
from forecast.commands.home import Home
from forecast.errors import BudgetError, InputError, SchemaError

if TYPE_CHECKING:
    from forecast.budgets.budget import Budget
    from forecast.snapshot import Snapshot

COLUMNS = ("scope", "start", "end", "amount")

budget = typer.Typer(help="Budgets, and the probability that they are overrun.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(budget, name="budget")


@budget.command("add", epilog="Example: forecast budget add search-q1 --scope team=search --period 2027-Q1 --amount 250000")
def add(
    budget_id: Annotated[str, typer.Argument(metavar="ID", help="Its name in answers; an id that exists is replaced.")],
    amount: Annotated[float, typer.Option(metavar="MONEY", help="What may be spent, above 0.")],
    scope: ScopeOption = "",
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="ISO 4217; default the ledger's.")] = None,
    cost: CostOption = "effective",
    name: Annotated[str, typer.Option(help="A title for people.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a budget, in place of an older one with its id."""
    from datetime import UTC, datetime

    from forecast.budgets.budget import Budget
    from forecast.spend.scope import Scope

    home = Home()
    days = read_days(period, start, end, home.settings.fiscal_start)
    code = None if currency is None else currency.upper()
    if code is not None and not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise BudgetError(
            f"Budget {budget_id}: currency {currency!r} is not a code", field="currency", got=currency, allowed="three letters such as USD"
        )
    written = Budget(budget_id, Scope.parse(scope), days.start, days.end, amount, code, cost, name, owner)
    home.make()
    home.records.put_budget(written, now=datetime.now(UTC))
    emit(describe(written), as_json, lambda: line(f"Budget {written.id}: {money(amount)} for {scope or 'the company'}, {days}"))


@budget.command("list", epilog="Example: forecast budget list --json")
def show_all(as_json: JsonOption = False) -> None:
    """List all budgets."""
    home = Home()
    budgets = home.records.budgets() if home.has_records else []

    def show() -> None:
        if not budgets:
            line("No budgets yet: forecast budget add ID --scope team=… --period 2027-Q1 --amount …")
            return
        rows = [
            [item.id, str(item.scope) or "company", str(item.start), str(item.end), money(item.amount), item.currency or "", item.cost, item.owner]
            for item in budgets
        ]
        table("Budgets", ["id", "scope", "from", "to", "amount", "currency", "cost", "owner"], rows, left=4)

    emit({"budgets": [describe(item) for item in budgets]}, as_json, show)


@budget.command("remove", epilog="Example: forecast budget remove search-q1")
def remove(budget_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Remove a budget."""
    home = Home()
    if not home.has_records:
        raise InputError(
            f"No budget has the id {budget_id!r}: there are none in {home.folder}", field="id", got=budget_id, allowed="an id of the list of budgets"
        )
    home.records.delete_budget(budget_id)
    emit({"removed": budget_id}, as_json, lambda: line(f"Budget {budget_id} is removed"))


@budget.command("risk", epilog="Example: forecast budget risk --scope team=search --start 2027-01-01 --end 2027-04-01 --amount 250000")
def risk(
    budget_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A stored budget; without any other option all of them.")] = None,
    scope: ScopeOption = "",
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    amount: Annotated[float | None, typer.Option(metavar="MONEY", help="What may be spent, for an ad hoc question.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="CSV", help="Many at once: columns scope, start, end, amount.")] = None,
    cost: Annotated[str | None, typer.Option(metavar="COST", help="effective (default) or billed; a stored budget says its own.")] = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """The probability of an overrun, its size, and the day when the budget would be used up."""
    from forecast.budgets.budget import Budget
    from forecast.spend.scope import Scope

    home = Home()
    ad_hoc = bool(scope or period or start or end or amount is not None)
    if sum((budget_id is not None, file is not None, ad_hoc)) > 1 or (cost is not None and budget_id is not None):
        allowed = "a budget ID, or --file, or --scope with --period (or --start and --end) and --amount"
        raise InputError(f"The question is asked in two ways at once: give {allowed}", field="budget_id" if budget_id else "file", allowed=allowed)
    if file is not None:
        asked = read_budgets(file, cost or "effective")
        snapshot = home.snapshot(cost or "effective", snapshot_id)
        answers = [_of_row(snapshot, number, item, file) for number, item in asked]
        emit({"budgets": answers}, as_json, lambda: _show_many(answers))
    elif ad_hoc:
        days = read_days(period, start, end, home.settings.fiscal_start)
        if amount is None:
            raise InputError("--amount is missing: an overrun needs the money that may be spent", field="amount", allowed="a number above 0")
        asked_for = Budget("ad-hoc", Scope.parse(scope), days.start, days.end, amount, cost=cost or "effective")
        answer = _answer(home.snapshot(asked_for.cost, snapshot_id), asked_for)
        emit(answer, as_json, lambda: show_overrun(answer))
    elif budget_id is not None:
        if not home.has_records:
            home.snapshot()
        stored = home.records.budget(budget_id)
        snapshot = home.snapshot(stored.cost, snapshot_id)
        if stored.currency not in {None, snapshot.currency}:
            raise BudgetError(
                f"Budget {stored.id} is in {stored.currency}, the forecast in {snapshot.currency}",
                field="currency",
                got=stored.currency,
                allowed=snapshot.currency,
            )
        of_stored = {"budget_id": stored.id, **_answer(snapshot, stored)}
        emit(of_stored, as_json, lambda: show_overrun(of_stored))
    else:
        _risk_of_all(home, cost, snapshot_id, as_json)


def _risk_of_all(home: Home, cost: str | None, snapshot_id: str | None, as_json: bool) -> None:
    snapshot = home.snapshot(cost or "effective", snapshot_id)
    answers, stored = [], home.records.budgets()
    for item in stored:
        reason: object = why_not_usable(item, snapshot)
        if reason is None:
            try:
                answers.append({"budget_id": item.id, **_answer(snapshot, item)})
                continue
            except InputError as error:  # one budget of a team that never spent must not silence the others
                reason = error
        note(f"forecast: budget {item.id} is left out: {reason}")
    if not stored:
        note("forecast: there are no budgets yet: forecast budget add ID --scope team=… --period 2027-Q1 --amount …")
    emit({"budgets": answers}, as_json, lambda: _show_many(answers))


def _answer(snapshot: Snapshot, item: Budget) -> dict[str, Any]:
    from forecast.workflows.overruns import overrun_answer

    return overrun_answer(snapshot, scope=item.scope, period=item.period, amount=item.amount)


def _of_row(snapshot: Snapshot, number: int, item: Budget, path: Path) -> dict[str, Any]:
    try:
        return _answer(snapshot, item)
    except InputError as error:
        raise InputError(f"{path}, line {number}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None


def read_budgets(path: Path, cost: str) -> list[tuple[int, Budget]]:
    """(line number, budget) of each row of a CSV file with the columns scope, start, end, amount; any more are ignored."""
    import csv
    import io

    from forecast.budgets.budget import Budget
    from forecast.spend.periods import parse_day
    from forecast.spend.scope import Scope

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
                budgets.append((number, Budget(f"line-{number}", Scope.parse(row["scope"]), *days, _read_amount(row["amount"]), cost=cost)))
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


def describe(item: Budget) -> dict[str, Any]:
    """A budget as over HTTP."""
    return {
        "id": item.id,
        "scope": str(item.scope),
        "start": item.start,
        "end": item.end,
        "amount": item.amount,
        "currency": item.currency,
        "cost": item.cost,
        "name": item.name,
        "owner": item.owner,
    }


def show_overrun(answer: Mapping[str, Any]) -> None:
    of = answer.get("budget_id") or answer["scope"] or "the company"
    days = answer["exhaustion_day"]
    rows = [
        ["budget", money(answer["amount"])],
        ["spent to date", money(answer["spent"])],
        *([["still to be billed", money(answer["pending"]["mean"])]] if answer.get("pending") else []),
        ["probability of an overrun", f"{percent(answer['overrun_probability'])} ± {percent(answer['standard_error'])}"],
        ["expected overrun", money(answer["expected_overrun"])],
        ["total: mean, P10, P50, P90", ", ".join(amounts(answer["total"]))],
        ["if the recent daily mean goes on", money(answer["run_rate"])],
        ["budget used ÷ time gone", "–" if answer["burn_ratio"] is None else f"{answer['burn_ratio']:.2f}"],
        ["used up on: P10, P50, P90", ", ".join(days[name] or "not in time" for name in ("p10", "p50", "p90"))],
    ]
    table(f"Budget of {of}, {answer['start']} to {answer['end']} (exclusive), {answer['currency']}", ["", ""], rows)
    origin(answer)


def _show_many(answers: list[dict[str, Any]]) -> None:
    if not answers:
        return
    rows = [
        [
            *([str(answer["budget_id"])] if "budget_id" in answer else []),
            answer["scope"] or "company",
            answer["start"],
            answer["end"],
            money(answer["amount"]),
            money(answer["spent"]),
            *amounts(answer["total"]),
            percent(answer["overrun_probability"]),
            answer["exhaustion_day"]["p50"] or "–",
        ]
        for answer in answers
    ]
    named = "budget_id" in answers[0]
    columns = [*(["budget"] if named else []), "scope", "from", "to", "amount", "spent", "mean", "P10", "P50", "P90", "overrun", "used up (P50)"]
    table(f"Budgets, {answers[0]['currency']}", columns, rows, left=4 if named else 3)
    origin({**answers[0], "warnings": []})
