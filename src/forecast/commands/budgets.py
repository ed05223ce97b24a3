"""What may be spent: `forecast budget add`, `list`, `show`, `remove`, `check`. The other budget commands join the same program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forecast.commands.console import CostOption, JsonOption, ScopeOption, emit, line, money, table
from forecast.commands.forecasts import EndOption, PeriodOption, StartOption, read_days
from forecast.commands.home import Home
from forecast.errors import ForecastError, InputError, UnknownScopeError

if TYPE_CHECKING:
    from forecast.budgets.budget import Budget

EXIT_FOUND = 3
"""What `check --strict` ends with where something does not fit."""

budget = typer.Typer(help="Budgets, and the probability that they are overrun.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(budget, name="budget")


@budget.command(
    "add", epilog="Example: forecast budget add search-q1 --scope team=search --period 2027-Q1 --amount 250000 --threshold 'actual>=80%:act'"
)
def add(
    budget_id: Annotated[str, typer.Argument(metavar="ID", help="Its name in answers; an id that exists is replaced.")],
    amount: Annotated[float | None, typer.Option(metavar="MONEY", help="What may be spent, above 0; without it what the phases add up to.")] = None,
    scope: ScopeOption = "",
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    repeats: Annotated[str | None, typer.Option(metavar="WORD", help="month, quarter or year: it begins anew with each.")] = None,
    phase: Annotated[list[str] | None, typer.Option(metavar="START=AMOUNT", help="Planned from that day or month on; once for each phase.")] = None,
    threshold: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Such as probability>=30%:warn; once for each.")] = None,
    parent: Annotated[str | None, typer.Option(metavar="ID", help="The budget that it is a part of.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="ISO 4217; default the ledger's.")] = None,
    cost: CostOption = "effective",
    kind: Annotated[str, typer.Option(metavar="WORD", help="budget, experiment (behind a gate) or balance (prepaid, burnt down).")] = "budget",
    unit: Annotated[str, typer.Option(metavar="WORD", help="Of a balance that is not kept in money, such as credits.")] = "",
    unit_price: Annotated[float | None, typer.Option(metavar="MONEY", help="What one unit is worth.")] = None,
    name: Annotated[str, typer.Option(help="A title for people.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a budget, in place of an older one with its id."""
    from datetime import UTC, datetime

    from forecast.budgets.budget import Budget
    from forecast.budgets.budget_rows import amount_of, describe
    from forecast.budgets.entry import check_entry, warnings_of
    from forecast.budgets.phase_rows import read_phase
    from forecast.budgets.thresholds import Threshold
    from forecast.spend.scope import Scope

    home = Home()
    calendar = home.settings.calendar
    days = read_days(period, start, end, calendar)
    phases = tuple(read_phase(text, "=", calendar) for text in phase or ())
    written = Budget(
        budget_id,
        Scope.parse(scope),
        days.start,
        days.end,
        amount_of(amount, phases),
        None if currency is None else currency.upper(),
        cost,
        name.strip(),
        owner.strip(),
        kind,
        parent,
        repeats,
        phases,
        tuple(Threshold.parse(text) for text in threshold or ()),
        unit.strip(),
        unit_price,
    )
    check_entry(written, calendar)
    home.make()
    home.records.put_budget(written, now=datetime.now(UTC))
    warnings = [*warnings_of([written], home.records.budgets(), calendar), *_unseen(home, written)]

    def show() -> None:
        again = f", each {repeats} anew" if repeats else ""
        line(f"Budget {written.id}: {worth(written)} for {str(written.scope) or 'the company'}, {days}{again}")
        for text in warnings:
            line(f"Note: {text}")

    emit({**describe(written), "warnings": warnings}, as_json, show)


def _unseen(home: Home, written: Budget) -> list[str]:
    """What a scope names that no spend has ever had: a new experiment, or a slip of the pen. Nothing before the first training."""
    try:
        home.snapshot(written.cost).hierarchy.leaf_mask(written.scope)
    except UnknownScopeError as error:
        return [str(error)]
    except ForecastError:
        pass  # what is wrong with the home is no news of this budget
    return []


@budget.command("list", epilog="Example: forecast budget list --json")
def show_all(as_json: JsonOption = False) -> None:
    """List all budgets."""
    from forecast.budgets.budget_rows import describe

    budgets = stored_budgets(Home())

    def show() -> None:
        if not budgets:
            line("No budgets yet: forecast budget add ID --scope team=… --period 2027-Q1 --amount …")
            return
        rows = [
            [
                item.id,
                str(item.scope) or "company",
                str(item.start),
                str(item.end),
                item.repeats or "",
                item.parent or "",
                worth(item),
                item.currency or "",
                item.cost,
                item.kind,
                item.owner,
            ]
            for item in budgets
        ]
        columns = ["id", "scope", "from", "to", "repeats", "part of", "amount", "currency", "cost", "kind", "owner"]
        table("Budgets", columns, rows, left=6)

    emit({"budgets": [describe(item) for item in budgets]}, as_json, show)


@budget.command("show", epilog="Example: forecast budget show search-q1 --json")
def show_one(budget_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Show one budget with its phases, thresholds and parts."""
    from forecast.budgets.budget_rows import describe
    from forecast.budgets.thresholds import USUAL

    home = _home_with_budgets(budget_id)
    found = home.records.budget(budget_id)
    children = [item for item in home.records.budgets() if item.parent == found.id]
    document = {**describe(found), "children": [item.id for item in children]}

    def show() -> None:
        rows = [[name.replace("_", " "), str(document[name])] for name in ("name", "owner", "kind", "cost", "repeats", "parent") if document[name]]
        thresholds = [str(threshold) for threshold in found.thresholds] or [f"{threshold} (usual)" for threshold in USUAL]
        for phase, days in zip(found.phases, found.phase_periods(), strict=True):
            rows.append([f"phase {days}", money(phase.amount)])
        rows += [["threshold", text] for text in thresholds]
        rows += [[f"part: {item.id}", f"{worth(item)} for {str(item.scope) or 'the company'}, {item.period}"] for item in children]
        amount = f"{worth(found)}{' ' + found.currency if found.currency else ''}"
        line(f"Budget {found.id}: {amount} for {str(found.scope) or 'the company'}, {found.period}")
        table("", ["", ""], rows, left=2)

    emit(document, as_json, show)


@budget.command("remove", epilog="Example: forecast budget remove search-q1")
def remove(budget_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Remove a budget and the history of its risk; a parent only after its parts."""
    _home_with_budgets(budget_id).records.delete_budget(budget_id)
    emit({"removed": budget_id}, as_json, lambda: line(f"Budget {budget_id} is removed"))


@budget.command("check", epilog="Example: forecast budget check --strict")
def check(
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 3 where something does not fit.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do the budgets fit together: parts beyond their parent, scopes and periods outside of it, parts that overlap."""
    from forecast.budgets.rollup import check_rollup

    home = Home()
    budgets = stored_budgets(home)
    record = home.records.latest_snapshot() if home.has_records else None
    snapshot = None if record is None else home.snapshot()
    findings = check_rollup(
        budgets,
        calendar=home.settings.calendar,
        currency=None if snapshot is None else snapshot.currency,
        hierarchy=None if snapshot is None else snapshot.hierarchy,
    )

    def show() -> None:
        if not findings:
            line(f"{len(budgets)} budgets, all fit together")
            return
        rows = [[finding.severity, finding.budget_id, finding.sentence] for finding in findings]
        count = "one finding" if len(findings) == 1 else f"{len(findings)} findings"
        table(f"{len(budgets)} budgets, {count}", ["", "budget", "what does not fit"], rows, left=3)

    emit({"budgets": len(budgets), "findings": [finding.describe() for finding in findings]}, as_json, show)
    if strict and findings:
        raise typer.Exit(EXIT_FOUND)


def stored_budgets(home: Home) -> list[Budget]:
    """All budgets of a home; none where there are no records, which are not made by looking."""
    return home.records.budgets() if home.has_records else []


def worth(item: Budget) -> str:
    """The amount for people: `250,000`, `5,000 credits`."""
    return f"{money(item.amount)}{' ' + item.unit if item.unit else ''}"


def _home_with_budgets(budget_id: str) -> Home:
    home = Home()
    if not home.has_records:
        raise InputError(
            f"No budget has the id {budget_id!r}: there are none in {home.folder}", field="id", got=budget_id, allowed="an id of the list of budgets"
        )
    return home
