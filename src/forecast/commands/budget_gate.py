"""May a run go on: `forecast budget gate`. It exits 0 for go and warn and 3 for stop, so that a pipeline needs no program to read the answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.budgets import budget
from forecast.commands.console import JsonOption, SnapshotOption, emit, line
from forecast.commands.home import Home
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.snapshot import Snapshot

EXIT_STOP = 3
"""Not 1 (a failure of ours) and not 2 (bad input): a pipeline that only knows "not 0" stops, one that cares can tell them apart."""


def register(app: typer.Typer) -> None:
    """The command stands in the `budget` program, which `commands.budgets` registers; importing this module adds it."""


@budget.command("gate", epilog="Example: forecast budget gate exp-42 --planned 4000 --low 3000 --high 6000 --spent 1500 --progress 0.3")
def gate(
    budget_id: Annotated[str, typer.Argument(metavar="ID", help="A stored budget, usually of kind experiment.")],
    planned: Annotated[float | None, typer.Option(metavar="MONEY", help="What the whole run is planned to cost, in the budget's currency.")] = None,
    low: Annotated[float | None, typer.Option(metavar="MONEY", help="P10 of the plan; default 0.8 times planned.")] = None,
    high: Annotated[float | None, typer.Option(metavar="MONEY", help="P90 of the plan; default 1.5 times planned.")] = None,
    spent: Annotated[float | None, typer.Option(metavar="MONEY", help="What the run has spent so far by its own count.")] = None,
    progress: Annotated[float | None, typer.Option(metavar="SHARE", help="How much of its work is done, 0 to 1.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="The run's first day: bills from then on are the same money as --spent.")] = None,
    warn: Annotated[
        float | None, typer.Option(metavar="P", help="Probability from which it warns; default the budget's threshold, else 0.3.")
    ] = None,
    stop: Annotated[
        float | None, typer.Option(metavar="P", help="Probability from which it stops; default the budget's threshold, else 0.6.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="DATE", help="The day that counts as today; default today.")] = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """go, warn or stop by the probability that the budget is exceeded; exit code 0 for go and warn, 3 for stop."""
    from forecast.adapters.rates import find_rates
    from forecast.budgets.occurrence import occurrence
    from forecast.spend.periods import parse_day
    from forecast.workflows.gate import gate_answer, read_run

    home = Home()
    first_day = None if since is None else parse_day(since, "since")
    plan, report = read_run(planned=planned, low=low, high=high, spent=spent, progress=progress, since=first_day)
    if not home.has_records:
        raise InputError(
            f"No budget has the id {budget_id!r}: there are none in {home.folder}", field="id", got=budget_id, allowed="an id of the list of budgets"
        )
    stored = home.records.budget(budget_id)
    today = company_day(home.settings.time_zone) if at is None else parse_day(at, "at")
    answer = gate_answer(
        _snapshot(home, stored.cost, snapshot_id),
        occurrence(stored, today, home.settings.calendar),
        plan=plan,
        report=report,
        warn=warn,
        stop=stop,
        today=today,
        rates=None if stored.currency is None else find_rates(home.settings.rates, home.folder),
    )
    emit(answer, as_json, lambda: _show(answer))
    if answer["decision"] == "stop":
        raise typer.Exit(EXIT_STOP)


def company_day(time_zone: str) -> date:
    """Today, where the company is."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo(time_zone)).date()


def _snapshot(home: Home, cost: str, snapshot_id: str | None) -> Snapshot | None:
    """The snapshot that answers; None before the first training: a run can be gated by its plan alone."""
    if snapshot_id is None and home.records.latest_snapshot(cost) is None:
        return None
    return home.snapshot(cost, snapshot_id)


def _show(answer: Mapping[str, Any]) -> None:
    line(answer["decision"])
    for sentence in answer["reasons"]:
        line(f"  {sentence}")
    if answer["snapshot_id"]:
        line(f"Snapshot {answer['snapshot_id'][:12]} · cutoff {answer['cutoff']} · {answer['cost']} cost in {answer['currency']}")
