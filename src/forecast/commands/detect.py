"""Was something strange? `forecast detect` replays the days that were billed since, and keeps the incidents that it finds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import CostOption, JsonOption, SnapshotOption, emit, line, working
from forecast.commands.home import Home
from forecast.commands.incidents import precision_line, show_incidents
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.adapters.records import Records
    from forecast.alerts.incident import Detection, Incident
    from forecast.workflows.lessons import Lesson

COSTS = ("effective", "billed")
MOST_KNOWN = 1000
BEFORE = 35
"""Days before the first one that are read with it: which provider bills every day."""
WORTH_SAYING = 0.01
"""Change of the thresholds since training that people are told of."""


def register(app: typer.Typer) -> None:
    app.command("detect", epilog="Example: forecast detect --since 2026-10-01 --until 2026-11-01 --false-alarms 4 --dry-run --json")(detect)


def detect(
    since: Annotated[str | None, typer.Option(metavar="TIME", help="First day that is scored; default two weeks before --until.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="First day that is not; default the day after the last one billed.")] = None,
    false_alarms: Annotated[float | None, typer.Option(metavar="N", help="False incidents a month to tolerate; default as trained.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="With what was known then, ISO 8601.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; say what would be kept.")] = False,
    cost: CostOption = "effective",
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score what was billed, day by day from what was known then, and keep what is strange as incidents."""
    from forecast.adapters.fresh_lines import read_fresh_lines
    from forecast.adapters.hour_lines import read_hour_lines
    from forecast.adapters.sensitivity_file import load_sensitivity
    from forecast.adapters.sign_lines import read_sign_lines
    from forecast.anomalies.hours import DAYS_BEFORE
    from forecast.commands.ingest import read_moment
    from forecast.commands.untrained import from_ledger, has_snapshot
    from forecast.workflows.detection import first_seen, replayed, usual_since
    from forecast.workflows.incident_keeping import keep
    from forecast.workflows.summary import heading
    from forecast.workflows.watch import false_incidents, thresholds_in, with_sign_thresholds

    if false_alarms is not None and not 0 < false_alarms <= 1000:
        allowed = "more than 0, at most 1000 a month"
        raise InputError(f"--false-alarms is {false_alarms:g}; allowed is {allowed}", field="false_alarms", got=str(false_alarms), allowed=allowed)
    home = Home()
    moment = None if as_of is None else read_moment(as_of, "--as-of")
    wanted_since, wanted_until = _day(since, "--since"), _day(until, "--until")
    ledger = home.filled_ledger()
    is_trained = snapshot_id is not None or cost not in COSTS or has_snapshot(home, cost)
    snapshot = home.snapshot(cost, snapshot_id) if is_trained else None
    with working("detect") as progress:
        progress("reading the ledger", None)
        lessons, confirmed = _said(home, moment)
        if snapshot is None:
            snapshot = from_ledger(home, cost, false_alarms, moment, confirmed)
        _check(wanted_since, wanted_until, snapshot.first_day)
        newest = date.fromisoformat(ledger.summary()["last_day"])
        end = newest + timedelta(days=1) if wanted_until is None else min(wanted_until, newest + timedelta(days=1))
        first = max(usual_since(end), snapshot.first_day) if wanted_since is None else wanted_since
        names = tuple(dict.fromkeys([*snapshot.hierarchy.dimensions, "provider"]))
        seen = first_seen(snapshot, first)
        known = ledger.developments(by=names, cost=cost, since=min(seen, first - timedelta(days=BEFORE)))
        if false_alarms is not None and is_trained:
            progress("finding the threshold", None)
            snapshot = with_sign_thresholds(snapshot, false_alarms, home.settings.minimum_impact, confirmed, with_rows=False)
        lines = None
        if end > snapshot.cutoff + timedelta(days=1):
            lines = read_fresh_lines(ledger, first, end, more=snapshot.hierarchy.dimensions, cost=cost, as_of=moment)
        counts = {"steps": 0, "rows": 0, "strange": 0}
        factor, rules = 1.0, load_sensitivity(home.settings.sensitivity)

        def counted() -> Any:
            nonlocal factor

            def bills(then: datetime) -> Any:
                return read_sign_lines(ledger, tuple(snapshot.hierarchy.dimensions), seen, end, cost=cost, as_of=then)

            def hours(then: datetime) -> Any:
                return read_hour_lines(ledger, tuple(snapshot.hierarchy.dimensions), seen - timedelta(days=DAYS_BEFORE), end, cost=cost, as_of=then)

            for step in replayed(
                snapshot,
                known,
                since=first,
                until=end,
                as_of=moment,
                lines=lines,
                bills=bills,
                hours=hours,
                lessons=lessons,
                confirmed=confirmed,
                rules=rules,
            ):
                counts["steps"], counts["rows"], counts["strange"] = (
                    counts["steps"] + 1,
                    counts["rows"] + step.rows,
                    counts["strange"] + step.strange,
                )
                factor = step.factor
                progress(f"what was known on {step.moment.date()}", None)
                yield step

        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        keeper = _keeper(home, start, dry_run)
        found = keep(counted(), keeper, since=start) if first < end else []
        thresholds, least = thresholds_in(snapshot)
        rates = false_incidents(snapshot, lessons, confirmed)
    ids = set(found)
    incidents = sorted((one for one in keeper.known() if one.id in ids), key=lambda one: (-one.start.timestamp(), one.id))
    document = {
        **heading(snapshot),
        "snapshot_id": snapshot.id if is_trained else None,
        "first_day": snapshot.first_day,
        "since": first,
        "until": end,
        "false_alarms_per_month": rates["declared"],
        "false_incidents": rates,
        "thresholds": dict(thresholds.of_sign),
        "threshold_factor": factor,
        "minimum_impact": least,
        **counts,
        "dry_run": dry_run,
        "incidents": [incident.as_dict(history=False) for incident in incidents],
        "precision": _precision(home),
    }
    emit(document, as_json, lambda: _show(document))


@dataclass
class _InRecords:
    """Incidents in the records, from a day on."""

    records: Records
    since: datetime

    def known(self) -> list[Incident]:
        from forecast.adapters.incident_lists import IncidentFilter

        found: list[Incident] = []
        cursor: str | None = None
        while True:
            page = self.records.incidents(IncidentFilter(since=self.since - timedelta(days=7)), limit=MOST_KNOWN, cursor=cursor)
            found += page.incidents
            if (cursor := page.next_cursor) is None:
                return found

    def put(self, detections: Sequence[Detection], now: datetime) -> list[Incident]:
        return self.records.put_detections(detections, now=now).incidents

    def settle(self, scored_through: datetime, now: datetime, only: Collection[str]) -> list[Incident]:
        return [event.incident for event in self.records.settle_incidents(scored_through=scored_through, now=now, only=only)] if only else []

    def withdraw(self, incident_id: str, now: datetime) -> Incident:
        from forecast.alerts.life_cycle import ITSELF
        from forecast.workflows.incident_keeping import RESTATED

        return self.records.resolve_incident(incident_id, now=now, by=ITSELF, why=RESTATED)


def _keeper(home: Home, since: datetime, dry_run: bool) -> Any:
    """The records; in a dry run a memory that begins with what they have."""
    from forecast.workflows.incident_keeping import InMemory

    stored = _InRecords(home.records, since)
    return InMemory({one.id: one for one in stored.known()}, home.records.feedback()) if dry_run else stored


def _said(home: Home, as_of: datetime | None) -> tuple[list[Lesson], list[Lesson]]:
    """What feedback has called normal by then, and what it has confirmed as real."""
    from forecast.alerts.feedback import standing
    from forecast.workflows.lessons import confirmed_of, lessons_of

    entries = [entry for entry in home.records.feedback() if as_of is None or entry.at <= as_of]
    incidents = [home.records.incident(name) for name in standing(entries)]
    return lessons_of(incidents, entries), confirmed_of(incidents, entries)


def _precision(home: Home) -> dict[str, object]:
    return home.records.incident_precision().as_dict()


def _day(text: str | None, option: str) -> date | None:
    """The UTC day of a day or a time."""
    from forecast.commands.ingest import read_moment

    return None if text is None else read_moment(text, option).date()


def _check(since: date | None, until: date | None, first_day: date) -> None:
    if since is not None and until is not None and until <= since:
        raise InputError(f"The days are reversed or none: since {since}, until {until}", field="until", got=str(until), allowed=f"after {since}")
    if since is not None and since < first_day:
        raise InputError(
            f"since {since} is before the first day of spend that the snapshot knows", field="since", got=str(since), allowed=f"at least {first_day}"
        )


def _show(document: dict[str, Any]) -> None:
    kept = "would be kept" if document["dry_run"] else "are kept"
    if document["snapshot_id"] is None:
        line(f"There is no snapshot: thresholds come from the ledger, {document['first_day']} to {document['cutoff']}, and are not kept")
    line(
        f"{document['since']} to {document['until']} (exclusive): {document['rows']:,} days of workloads and groups looked at,"
        f" {document['strange']:,} of them strange; impacts below {document['minimum_impact']:,.2f} {document['currency']} are left out"
    )
    if document["incidents"]:
        show_incidents(document["incidents"])
        for found in document["incidents"][:5]:
            line(found["sentence"])
        line(f"{len(document['incidents'])} incidents {kept}; more of one: forecast incidents show ID")
    else:
        line("Nothing was strange.")
    line(_rate_line(document["false_incidents"]))
    if abs(document["threshold_factor"] - 1.0) >= WORTH_SAYING:
        line(f"Thresholds are {document['threshold_factor']:.2f} times those of training, for the incidents that came since {document['cutoff']}")
    line(precision_line(document["precision"]))


def _rate_line(rates: Mapping[str, float]) -> str:
    real = f"{rates['confirmed']:.2g} that people have confirmed" if rates["confirmed"] else ""
    taught = f"{rates['expected']:.2g} that they have called expected" if rates["expected"] else ""
    beside = " and ".join(part for part in (real, taught) if part)
    others = f", beside {beside}" if beside else ""
    return f"Declared: {rates['declared']:g} false incidents a month; the replay of history had {rates['replayed']:.2g}, real ones among them{others}"
