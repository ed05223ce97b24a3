"""What went wrong, and what became of it: `forecast incidents list`, `show`, `export`, the steps of a life, and feedback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import JsonOption, emit, line, minute, money, plain, signed_percent, table
from forecast.commands.home import Home
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.adapters.incident_lists import IncidentFilter
    from forecast.alerts.incident import Incident

AT_ONCE = 500
"""Incidents that an export reads at once."""

incidents = typer.Typer(help="Incidents: one cause each, with a life, money and causes.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `forecast incidents list` shows it.")]
StatusOption = Annotated[list[str] | None, typer.Option(metavar="WORDS", help="open, acknowledged, resolved.")]
_KIND_WORDS = "spike, drop, level_shift, creeping_growth, new_spend, price_change, duplicate_billing, missing_data."
KindOption = Annotated[list[str] | None, typer.Option(metavar="WORDS", help=_KIND_WORDS)]
SeverityOption = Annotated[list[str] | None, typer.Option(metavar="WORDS", help="low, medium, high, critical.")]
TextOption = Annotated[str, typer.Option("--scope", metavar="TEXT", help="What the incident's scope contains, such as team=ads.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help="A part of it lies after.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="A part of it lies before.")]
ImpactOption = Annotated[float | None, typer.Option(metavar="MONEY", help="Size of the impact, whatever its direction.")]
SuppressedOption = Annotated[bool | None, typer.Option("--suppressed/--told", help="Only those that people are not, or are, told of.")]
ByOption = Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; default the user of this machine.")]
WhyOption = Annotated[str, typer.Option(metavar="TEXT", help="Kept in its history.")]
ShapeOption = Annotated[str | None, typer.Option(metavar="WORD", help="cloudevents, aws, aws-eventbridge, alertmanager or pagerduty.")]


def register(app: typer.Typer) -> None:
    app.add_typer(incidents, name="incidents")


@incidents.command("list", epilog="Example: forecast incidents list --status open --minimum-impact 1000 --json")
def show_all(
    status: StatusOption = None,
    kind: KindOption = None,
    severity: SeverityOption = None,
    scope: TextOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    minimum_impact: ImpactOption = None,
    suppressed: SuppressedOption = None,
    limit: Annotated[int, typer.Option(metavar="N", help="Incidents of a page, 1 to 1000.")] = 100,
    cursor: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the next page, with the same filter.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List incidents, the latest start first."""
    from forecast.alerts.feedback import precision
    from forecast.workflows.incident_answers import incident_list

    home = Home()
    wanted = _filter(status, kind, severity, scope, since, until, minimum_impact, suppressed)
    document = incident_list([], None, precision([]))
    if home.has_records:
        page = home.records.incidents(wanted, limit=limit, cursor=cursor)
        document = incident_list(page.incidents, page.next_cursor, home.records.incident_precision())

    def show() -> None:
        if not document["incidents"]:
            line("No incidents like that. `forecast detect` looks for them.")
            return
        show_incidents(document["incidents"])
        if document["next_cursor"]:
            line(f"There are more: --cursor {document['next_cursor']}")
        line(precision_line(document["precision"]))

    emit(document, as_json, show)


@incidents.command("show", epilog="Example: forecast incidents show inc-9c011fce02305705 --shape pagerduty")
def show_one(incident_id: IdArgument, shape: ShapeOption = None, as_json: JsonOption = False) -> None:
    """Show an incident with its causes, history and feedback, or its last event in the shape of another program (JSON)."""
    from forecast.workflows.incident_answers import incident_answer, shaped

    home = _home()
    incident = home.records.incident(incident_id)
    if shape is not None:
        emit(shaped(incident, shape), True, lambda: None)
        return
    document = incident_answer(incident, home.records.feedback(incident.id))
    emit(document, as_json, lambda: _show_whole(document))


@incidents.command("acknowledge", epilog="Example: forecast incidents acknowledge inc-9c011fce02305705 --why 'the agent is being stopped'")
def acknowledge(incident_id: IdArgument, by: ByOption = None, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Say that somebody looks at it: open → acknowledged."""
    _emit_step(_home().records.acknowledge_incident(incident_id, now=_now(), by=_who(by), why=why), as_json)


@incidents.command("resolve", epilog="Example: forecast incidents resolve inc-9c011fce02305705")
def resolve(incident_id: IdArgument, by: ByOption = None, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Say that it is over; strange spend that begins later opens it again."""
    _emit_step(_home().records.resolve_incident(incident_id, now=_now(), by=_who(by), why=why), as_json)


@incidents.command("reopen", epilog="Example: forecast incidents reopen inc-9c011fce02305705")
def reopen(incident_id: IdArgument, by: ByOption = None, why: WhyOption = "", as_json: JsonOption = False) -> None:
    """Say that it is not over: resolved → open."""
    _emit_step(_home().records.reopen_incident(incident_id, now=_now(), by=_who(by), why=why), as_json)


@incidents.command("feedback", epilog="Example: forecast incidents feedback inc-9c011fce02305705 expected --reason 'load test' --days 14")
def feedback(
    incident_id: IdArgument,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="expected, unexpected, planned or too_small.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="expected and planned hold for what begins before; default in 30 days.")] = None,
    days: Annotated[float | None, typer.Option(metavar="DAYS", help="In place of --until; 0 is this incident only.")] = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what it was. It decides whether people are told of such incidents, and counts in the precision."""
    from forecast.workflows.incident_answers import feedback_answer, read_when

    records = _home().records
    ends = read_when(until, "until")
    said = records.give_feedback(incident_id, verdict, now=_now(), by=_who(by), reason=reason, until=ends, days=days)
    document = feedback_answer(*said, records.incident_precision())
    emit(document, as_json, lambda: _show_feedback(document))


@incidents.command("undo", epilog="Example: forecast incidents undo inc-9c011fce02305705")
def undo(
    incident_id: IdArgument,
    number: Annotated[int | None, typer.Option(metavar="N", help="Of the entry; default the last that stands.")] = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take feedback back, with all its effects."""
    from forecast.workflows.incident_answers import feedback_answer

    records = _home().records
    undone = records.undo_feedback(incident_id, now=_now(), by=_who(by), number=number)
    document = feedback_answer(*undone, records.incident_precision())
    emit(document, as_json, lambda: _show_feedback(document))


@incidents.command("export", epilog="Example: forecast incidents export --since 2027-01-01 --shape cloudevents --out incidents.ndjson")
def export(
    status: StatusOption = None,
    kind: KindOption = None,
    severity: SeverityOption = None,
    scope: TextOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    minimum_impact: ImpactOption = None,
    suppressed: SuppressedOption = None,
    shape: ShapeOption = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .ndjson or .jsonl in place of standard output.")] = None,
    as_json: JsonOption = False,
) -> None:
    """All incidents, one JSON document a line, as `show --json` has them or in the shape of another program."""
    from forecast.adapters.reports import atomically, check_suffix
    from forecast.alerts.payloads import SHAPES

    wanted = _filter(status, kind, severity, scope, since, until, minimum_impact, suppressed)
    if shape is not None and shape not in SHAPES:
        raise InputError(f"shape {shape!r} is none", field="shape", got=shape, allowed=", ".join(SHAPES))
    if out is not None:
        check_suffix(out, (".ndjson", ".jsonl"))
    home = Home()
    texts = (json.dumps(plain(document), ensure_ascii=False, allow_nan=False) for document in _documents(home, wanted, shape))
    if out is None:
        for text in texts:
            line(text)
        return
    count = 0
    with atomically(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for text in texts:
            count += file.write(text + "\n") > 0
    emit({"out": str(out), "incidents": count}, as_json, lambda: line(f"{count:,} incidents written to {out}"))


def _documents(home: Home, wanted: IncidentFilter, shape: str | None) -> Iterator[Mapping[str, Any]]:
    from forecast.workflows.incident_answers import incident_answer, shaped

    cursor: str | None = None
    while home.has_records:
        page = home.records.incidents(wanted, limit=AT_ONCE, cursor=cursor)
        for incident in page.incidents:
            yield incident_answer(incident, home.records.feedback(incident.id)) if shape is None else shaped(incident, shape)
        if (cursor := page.next_cursor) is None:
            return


def show_incidents(listed: list[dict[str, Any]]) -> None:
    """The table of incidents, and a sentence for each of the few that matter most."""
    rows = [
        [
            found["id"],
            found["status"] + (" (not told)" if found["suppressed"] else ""),
            found["kind"],
            found["severity"],
            scope_words(found["scope"]),
            found["start"],
            found["end"],
            money(found["impact"]),
            signed_percent(None if found["impact_percent"] is None else found["impact_percent"] / 100.0, 0),
        ]
        for found in listed
    ]
    table("Incidents", ["id", "status", "kind", "severity", "scope", "from", "to", "impact", ""], rows, left=7)


def scope_words(scope: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in scope.items()) or "company"


def precision_line(precision: Mapping[str, Any]) -> str:
    if precision["value"] is None:
        return "Nobody has judged an incident yet: forecast incidents feedback ID expected|unexpected|planned|too_small"
    low, high = (round(100 * precision[name]) for name in ("low", "high"))
    told = f"{precision['judged']} judged, {precision['right']} of them worth telling"
    return f"{told}: precision {100 * precision['value']:.0f} % (95 % interval {low} to {high} %)"


def _filter(
    status: list[str] | None,
    kind: list[str] | None,
    severity: list[str] | None,
    scope: str,
    since: str | None,
    until: str | None,
    minimum_impact: float | None,
    suppressed: bool | None,
) -> IncidentFilter:
    from forecast.adapters.incident_lists import IncidentFilter
    from forecast.workflows.incident_answers import read_when, read_words

    first, last = read_when(since, "since"), read_when(until, "until")
    return IncidentFilter(read_words(status), read_words(kind), read_words(severity), scope, first, last, minimum_impact, suppressed)


def _home() -> Home:
    """The home, where incidents are kept in it."""
    home = Home()
    if not home.has_records:
        raise InputError(
            f"There are no incidents in {home.folder}: `forecast detect` looks for them",
            field="id",
            got=str(home.folder),
            allowed="a home with records",
        )
    return home


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _who(by: str | None) -> str:
    if by is not None:
        return by
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _emit_step(incident: Incident, as_json: bool) -> None:
    last = incident.history[-1]
    emit(incident.as_dict(), as_json, lambda: line(f"Incident {incident.id} is {incident.status} since {last.at:%Y-%m-%d %H:%M} UTC"))


def _show_feedback(document: Mapping[str, Any]) -> None:
    incident, entry = document["incident"], document["entry"]
    said = f"Entry {entry['number']} ({entry['verdict']}) is {'taken back' if entry['undone_at'] else 'kept'}"
    until = (incident["suppressed"] or {}).get("until")
    told = (
        "people are told of it" if not incident["suppressed"] else f"people are not told{f', until {until[:10]} {until[11:16]} UTC' if until else ''}"
    )
    line(f"{said}: {incident['id']}, {told}")
    line(precision_line(document["precision"]))


def _show_whole(document: Mapping[str, Any]) -> None:
    line(f"{document['id']}: {document['kind']}, {document['severity']}, {document['status']}{' (not told)' if document['suppressed'] else ''}")
    line(document["sentence"])
    if document["root_causes"]:
        rows = [
            [
                "the rest" if not cause["scope"] else scope_words(cause["scope"]),
                money(cause["impact"]),
                "–" if cause.get("share") is None else f"{100 * cause['share']:.0f} %",
                *(money(cause.get(name)) for name in ("price", "volume", "mix")),
            ]
            for cause in document["root_causes"]
        ]
        table("Root causes", ["", f"impact ({document['currency']})", "share", "price", "volume", "mix"], rows)
    table(
        "Days",
        ["from", "to", "actual", "expected"],
        [[p["start"], p["end"], money(p["actual"]), money(p["expected"])] for p in document["parts"]],
        left=2,
    )
    steps = [[minute(step["at"]), step["event"], step["by"], step["why"]] for step in document["history"]]
    table("History", ["at (UTC)", "what", "by", "why"], steps, left=4)
    if document["entries"]:
        rows = [
            [
                str(entry["number"]),
                entry["verdict"] + (" (taken back)" if entry["undone_at"] else ""),
                entry["by"],
                entry["reason"],
                minute(entry["at"]),
            ]
            for entry in document["entries"]
        ]
        table("Feedback", ["number", "verdict", "by", "reason", "at (UTC)"], rows, left=5)
