"""Incidents in the records, with what people said of them; lists come in pages that do not shift while incidents arrive."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from forecast.adapters.incident_lists import IncidentFilter, IncidentPage, read_page
from forecast.adapters.incident_rows import INCIDENT_FEEDBACK, INCIDENTS, feedback_values, incident_of, write_incident, write_incidents
from forecast.adapters.record_rows import plain
from forecast.alerts import life_cycle
from forecast.alerts.feedback import Feedback, Precision, applied, feedback_on, precision, undone
from forecast.alerts.identity import incident_id, scope_text
from forecast.alerts.incident import Detection, Event, Incident, events_since
from forecast.errors import NotFoundError

_AT_ONCE = 500
"""Values of one IN list."""


@dataclass(frozen=True)
class PutIncidents:
    """What detections became. incidents : of each detection, in their order. events : what happened by them, in order of time and id."""

    incidents: list[Incident]
    events: list[Event]


class IncidentRecords:
    """The part of `records.Records` that keeps incidents and feedback."""

    _readers: sa.Engine
    _writers: sa.Engine

    def put_detections(self, detections: Sequence[Detection], *, now: datetime, quiet: timedelta = life_cycle.QUIET) -> PutIncidents:
        """Merge what a detector says into the incidents (`life_cycle.merged`), all or none. The same again changes nothing but `last_seen`."""
        if not detections:
            return PutIncidents([], [])
        detections = [_storable(detection) for detection in detections]
        first = min(detection.start for detection in detections) - quiet
        last = max(detection.end for detection in detections) + quiet
        with self._incident_writer() as connection:
            known: dict[str, Incident] = {}
            for group in _groups(sorted({detection.fingerprint for detection in detections})):
                near = INCIDENTS.c.fingerprint.in_(group) & (INCIDENTS.c.end >= first) & (INCIDENTS.c.start <= last)
                known.update((row.id, incident_of(row)) for row in connection.execute(sa.select(INCIDENTS).where(near)))
            ids = {incident_id(detection.kind, detection.direction, detection.scope, detection.start) for detection in detections}
            for group in _groups(sorted(ids - set(known))):
                known.update((row.id, incident_of(row)) for row in connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id.in_(group))))
            merged = life_cycle.merged(known.values(), detections, now=now, quiet=quiet)
            entries = _entries_of_scopes(connection, {scope_text(incident.scope) for incident in merged.incidents.values()})
            stored = {incident.id: applied(incident, entries.get(scope_text(incident.scope), [])) for incident in merged.incidents.values()}
            write_incidents(connection, stored.values())
        events = [event for incident in stored.values() for event in events_since(known.get(incident.id), incident)]
        events.sort(key=lambda event: (event.transition.at, event.incident.start, event.incident.id, event.number))
        return PutIncidents([stored[found] for found in merged.incident_of], events)

    def incident(self, incident_id: str) -> Incident:
        """The incident with this id; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            return _read(connection, incident_id)

    def incidents(self, wanted: IncidentFilter | None = None, *, limit: int = 100, cursor: str | None = None) -> IncidentPage:
        """A page of incidents, by start (the latest first) and id.

        cursor : `next_cursor` of the page before, with the same filter. An incident that arrives meanwhile moves no other from its page.
        InputError for a cursor of another list and a limit outside of 1..1000.
        """
        with self._readers.begin() as connection:
            return read_page(connection, wanted or IncidentFilter(), limit, cursor)

    def acknowledge_incident(self, incident_id: str, *, now: datetime, by: str, why: str = "") -> Incident:
        """open → acknowledged (`life_cycle.acknowledge`); NotFoundError where there is no such incident."""
        with self._incident_writer() as connection:
            return write_incident(connection, life_cycle.acknowledge(_read(connection, incident_id), now=now, by=by, why=why))

    def resolve_incident(self, incident_id: str, *, now: datetime, by: str, why: str = "") -> Incident:
        """open or acknowledged → resolved (`life_cycle.resolve`); NotFoundError where there is no such incident."""
        with self._incident_writer() as connection:
            return write_incident(connection, life_cycle.resolve(_read(connection, incident_id), now=now, by=by, why=why))

    def reopen_incident(self, incident_id: str, *, now: datetime, by: str, why: str = "") -> Incident:
        """resolved → open (`life_cycle.reopen`); NotFoundError where there is no such incident."""
        with self._incident_writer() as connection:
            return write_incident(connection, life_cycle.reopen(_read(connection, incident_id), now=now, by=by, why=why))

    def settle_incidents(
        self, *, scored_through: datetime, now: datetime, calm: timedelta = life_cycle.CALM, only: Collection[str] | None = None
    ) -> list[Event]:
        """Resolve by itself what has been calm for long enough; returns what happened.

        scored_through : end of the time that was scored at sufficient completeness. only : ids of those that it holds for; None is all.
        """
        events: list[Event] = []
        settled: list[Incident] = []
        with self._incident_writer() as connection:
            active = sa.select(INCIDENTS).where(INCIDENTS.c.status != "resolved", INCIDENTS.c.end <= scored_through - calm)
            for row in connection.execute(active.order_by(INCIDENTS.c.start, INCIDENTS.c.id)).all():
                if only is None or row.id in only:
                    before = incident_of(row)
                    after = life_cycle.settle(before, scored_through=scored_through, now=now, calm=calm)
                    if after != before:
                        settled.append(after)
                        events += events_since(before, after)
            write_incidents(connection, settled)
        return events

    def give_feedback(
        self,
        incident_id: str,
        verdict: str,
        *,
        now: datetime,
        by: str = "",
        reason: str = "",
        until: datetime | None = None,
        days: float | None = None,
    ) -> tuple[Incident, Feedback]:
        """Enter what somebody says of an incident (`feedback.feedback_on`), and let it take effect on all incidents of its scope."""
        with self._incident_writer() as connection:
            incident = _read(connection, incident_id)
            entry = feedback_on(incident, verdict, number=0, now=now, by=by, reason=reason, until=until, days=days)
            values = {name: value for name, value in feedback_values(entry).items() if name != "number"}
            key = connection.execute(sa.insert(INCIDENT_FEEDBACK).values(values)).inserted_primary_key
            _apply(connection, entry.scope)
            return _read(connection, incident_id), replace(entry, number=int(key[0]))  # type: ignore[index]

    def undo_feedback(self, incident_id: str, *, now: datetime, by: str = "", number: int | None = None) -> tuple[Incident, Feedback]:
        """Take an entry and all its effects back: the one of this number, else the last that stands.

        Undoing one that is undone changes nothing. NotFoundError where there is no such incident or entry.
        """
        with self._incident_writer() as connection:
            _read(connection, incident_id)
            entries = _entries(connection, INCIDENT_FEEDBACK.c.incident_id == plain(incident_id))
            able = [entry for entry in entries if (entry.stands if number is None else entry.number == number)]
            if not able:
                what = "feedback that stands" if number is None else f"feedback number {number}"
                raise NotFoundError(f"Incident {incident_id} has no {what}", field="feedback", got=number, allowed="feedback of this incident")
            entry = undone(able[-1], now=now, by=by)
            here = INCIDENT_FEEDBACK.c.number == entry.number
            connection.execute(sa.update(INCIDENT_FEEDBACK).where(here).values(undone_at=entry.undone_at, undone_by=entry.undone_by))
            _apply(connection, entry.scope)
            return _read(connection, incident_id), entry

    def feedback(self, incident_id: str | None = None) -> list[Feedback]:
        """What was said (of one incident), undone entries too, the oldest first."""
        with self._readers.begin() as connection:
            return _entries(connection, *([] if incident_id is None else [INCIDENT_FEEDBACK.c.incident_id == plain(incident_id)]))

    def incident_precision(self, *, coverage: float = 0.95) -> Precision:
        """How often incidents were worth telling, by all feedback that stands."""
        return precision(self.feedback(), coverage=coverage)

    @contextmanager
    def _incident_writer(self) -> Iterator[sa.Connection]:
        with self._writers.begin() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's writers are one at a time already
                connection.execute(sa.text("LOCK TABLE incidents IN SHARE ROW EXCLUSIVE MODE"))
            yield connection


def _read(connection: sa.Connection, incident_id: str) -> Incident:
    row = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id == plain(incident_id))).one_or_none()
    if row is None:
        raise NotFoundError(f"No incident has the id {incident_id!r}", field="id", got=incident_id, allowed="an id of the list of incidents")
    return incident_of(row)


def _apply(connection: sa.Connection, scope: str) -> None:
    """Feedback that stands, on every incident of a scope: nothing said of one scope speaks of another."""
    entries = _entries_of_scopes(connection, {scope}).get(scope, [])
    here = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.scope_text == plain(scope)))
    before = [incident_of(row) for row in here]
    after = [applied(incident, entries) for incident in before]
    write_incidents(connection, [new for old, new in zip(before, after, strict=True) if new != old])


def _storable(detection: Detection) -> Detection:
    return replace(detection, scope={plain(name): plain(value) for name, value in detection.scope.items()}, sentence=plain(detection.sentence))


def _entries_of_scopes(connection: sa.Connection, scopes: Collection[str]) -> dict[str, list[Feedback]]:
    found: dict[str, list[Feedback]] = {}
    for group in _groups(sorted(map(plain, scopes))):
        for entry in _entries(connection, INCIDENT_FEEDBACK.c.scope.in_(group)):
            found.setdefault(entry.scope, []).append(entry)
    return found


def _entries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Feedback]:
    query = sa.select(INCIDENT_FEEDBACK).where(*conditions).order_by(INCIDENT_FEEDBACK.c.number)
    return [Feedback(**row._mapping) for row in connection.execute(query)]


def _groups(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]
