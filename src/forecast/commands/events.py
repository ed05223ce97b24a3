"""What is planned: `forecast events add`, `import`, `list`, `remove`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, ScopeOption, emit, line, money, note, table
from forecast.commands.files import read_text
from forecast.commands.forecasts import StartOption
from forecast.commands.home import Home
from forecast.errors import InputError, PlanError, SchemaError

if TYPE_CHECKING:
    from forecast.spend.events import PlannedEvent

events = typer.Typer(help="Planned events: launches, campaigns, migrations, price changes, freezes.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(events, name="events")


@events.command("add", epilog="Example: forecast events add sale --type campaign --scope team=ads --start 2027-03-01 --end 2027-03-15 --factor 1.6")
def add(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Its name in answers; an id that exists is replaced.")],
    start: StartOption = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="First day without it; without --end it lasts.")] = None,
    scope: ScopeOption = "",
    kind: Annotated[str, typer.Option("--type", metavar="WORD", help="launch, campaign, migration, price_change, freeze or other.")] = "other",
    factor: Annotated[float | None, typer.Option(metavar="NUMBER", help="The scope's spend is multiplied; 1.6 is 60 % more.")] = None,
    total: Annotated[float | None, typer.Option("--money", metavar="MONEY", help="Money over all its days; negative is a saving.")] = None,
    per_day: Annotated[float | None, typer.Option("--money-per-day", metavar="MONEY", help="Money of each day.")] = None,
    low: Annotated[float | None, typer.Option(metavar="NUMBER", help="Exceeded nine times in ten; with --high.")] = None,
    high: Annotated[float | None, typer.Option(metavar="NUMBER", help="Exceeded once in ten.")] = None,
    ramp_days: Annotated[int, typer.Option(metavar="DAYS", help="It grows to its full size over so many days.")] = 0,
    announced: Annotated[str | None, typer.Option(metavar="DATE", help="From when on it was known; default today, for backtests.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Of money; default the ledger's.")] = None,
    name: Annotated[str, typer.Option(help="A title for people.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a planned event; the next `forecast train` makes it part of the forecast."""
    from forecast.spend.event_rows import parse_event
    from forecast.spend.events import describe

    said = {"factor": factor, "money": total, "money_per_day": per_day}
    effect = {key: value for key, value in {**said, "low": low, "high": high}.items() if value is not None}
    if not any(value is not None for value in said.values()):
        raise PlanError(
            f"Event {event_id} has no effect", field="factor", got=None, allowed="one of --factor, --money, --money-per-day, with --low and --high"
        )
    now, home = datetime.now(UTC), Home()
    written = parse_event(
        event_id,
        {
            "name": name,
            "type": kind,
            "start": start,
            "end": end,
            "scope": scope,
            "effect": effect,
            "ramp_days": ramp_days,
            "announced": announced,
            "currency": currency,
        },
        today=now.date(),
    )
    if problem := _scope_problem(home, written):
        raise problem
    home.make()
    home.records.put_events(_with_first_announcements(home, [written], set() if announced is None else {written.id}), now=now)
    emit(describe(home.records.event(written.id)), as_json, lambda: _show_added([written]))


@events.command("import", epilog="Example: forecast events import calendar.csv")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: name, type, start, end, scope, factor (or money, money_per_day), low, high.")],
    as_json: JsonOption = False,
) -> None:
    """Take in a calendar; rows replace events of their id, and an event whose scope has no spend yet is kept with a warning."""
    from forecast.spend.event_rows import read_events
    from forecast.spend.events import describe

    now, home = datetime.now(UTC), Home()
    rows = read_rows(file)
    try:
        found = read_events(rows, today=now.date())
    except InputError as error:
        raise PlanError(f"{file}, {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    warnings = [str(problem) for event in found.events if (problem := _scope_problem(home, event)) is not None]
    if found.ignored:
        warnings.append(f"columns that say nothing about events: {', '.join(found.ignored)}")
    home.make()
    dated = {event.id for event, number in zip(found.events, found.rows, strict=True) if (rows[number - 1].get("announced") or "").strip()}
    known = {event.id for event in home.records.events()}
    written = _with_first_announcements(home, found.events, dated)
    home.records.put_events(written, now=now)
    document = {
        "added": sum(event.id not in known for event in written),
        "replaced": sum(event.id in known for event in written),
        "events": [describe(event) for event in written],
        "warnings": warnings,
    }

    def show() -> None:
        _show_added(written)
        for text in warnings:
            line(f"Note: {text}")

    emit(document, as_json, show)


@events.command("list", epilog="Example: forecast events list --json")
def show_all(as_json: JsonOption = False) -> None:
    """List all planned events, by start."""
    from forecast.spend.events import describe

    home = Home()
    stored = home.records.events() if home.has_records else []

    def show() -> None:
        if not stored:
            line("No planned events yet: forecast events add ID --type campaign --scope team=… --start … --end … --factor …")
            return
        rows = [
            [item.id, item.type, str(item.scope) or "company", str(item.start), str(item.end or "lasts"), effect_text(item), str(item.announced)]
            for item in stored
        ]
        table("Planned events", ["id", "type", "scope", "from", "to", "effect", "announced"], rows, left=5)

    emit({"events": [describe(event) for event in stored]}, as_json, show)


@events.command("remove", epilog="Example: forecast events remove spring-sale")
def remove(event_id: Annotated[str, typer.Argument(metavar="ID")], as_json: JsonOption = False) -> None:
    """Remove a planned event."""
    home = Home()
    if not home.has_records:
        raise InputError(
            f"No planned event has the id {event_id!r}: there are none in {home.folder}",
            field="id",
            got=event_id,
            allowed="an id of the list of events",
        )
    home.records.delete_event(event_id)
    emit({"removed": event_id}, as_json, lambda: line(f"Event {event_id} is removed; the next forecast train leaves it out"))


def effect_text(event: PlannedEvent) -> str:
    """`×1.6 (1.3 to 2)`, `+50,000 (30,000 to 90,000)`, `+200 a day`."""
    effect = event.effect
    if effect.kind == "factor":
        return f"×{effect.expected:g}" + ("" if effect.is_certain else f" ({effect.low:g} to {effect.high:g})")
    sign = "+" if effect.expected >= 0 else ""
    span = "" if effect.is_certain else f" ({money(effect.low)} to {money(effect.high)})"
    return f"{sign}{money(effect.expected)}{' a day' if effect.kind == 'money_per_day' else ''}{span}"


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; errors name the file and the line."""
    import csv
    import io

    reader = csv.DictReader(io.StringIO(read_text(path, "file")), skipinitialspace=True, strict=True)
    rows: list[dict[str, str]] = []
    try:
        for values in reader:
            if None in values or None in values.values():
                raise SchemaError(
                    f"{path}, line {reader.line_num}: it has not as many fields as the header; a scope with a comma stands in quotes",
                    field="file",
                    got=reader.line_num,
                    allowed=f"{len(reader.fieldnames or ())} fields",
                )
            rows.append({name.strip().lower(): text for name, text in values.items()})
    except csv.Error as error:
        raise SchemaError(f"{path}, line {reader.line_num}: not CSV: {error}", field="file", got=str(path), allowed="CSV") from None
    if not rows:
        raise InputError(f"{path} has a header and no rows", field="file", got=0, allowed="at least one row")
    return rows


def show_events(answer: Mapping[str, Any]) -> None:
    """Beneath a forecast: the planned events that it holds, and how much money they are of it."""
    touching = answer.get("events") or ()
    if not touching:
        return
    rows = [
        [event["id"], event["type"], event["start"], event["end"] or "lasts", "in the bills" if event["effect"] is None else money(event["effect"])]
        for event in touching
    ]
    table("Planned events in it", ["id", "type", "from", "to", "mean effect"], rows, left=4)


def _show_added(written: Sequence[PlannedEvent]) -> None:
    for event in written:
        until = "for good" if event.end is None else f"to {event.end} (exclusive)"
        line(f"Event {event.id}: {effect_text(event)} for {event.scope or 'the company'}, {event.start} {until}, known since {event.announced}")
    note("forecast: the next `forecast train` makes it part of the forecast")


def _with_first_announcements(home: Home, entered: Sequence[PlannedEvent], dated: set[str]) -> list[PlannedEvent]:
    """An event that is entered again just as it was stays announced on the day when it was entered first, unless the day is said."""
    from dataclasses import replace

    stored = {event.id: event for event in home.records.events()}
    found = []
    for event in entered:
        before = stored.get(event.id)
        same = before is not None and event.id not in dated and replace(event, announced=before.announced) == before
        found.append(before if same and before is not None else event)
    return found


def _scope_problem(home: Home, event: PlannedEvent) -> InputError | None:
    """What is wrong with the event's scope by the current snapshot; nothing where there is none to look at."""
    from forecast.workflows.event_answers import check_scope

    if not home.has_records or home.records.latest_snapshot() is None:
        return None
    try:
        check_scope(home.snapshot(), event)
    except InputError as error:
        return error
    return None
