"""The tables of incidents and feedback, and how a row becomes an incident and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from forecast.adapters.record_rows import plain
from forecast.adapters.records_schema import METADATA, Moment
from forecast.alerts.feedback import Feedback
from forecast.alerts.identity import scope_text
from forecast.alerts.incident import Incident, Suppression, Transition
from forecast.alerts.spans import Part, moment, time_text

INCIDENTS = sa.Table(
    "incidents",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("scope", sa.JSON, nullable=False),
    sa.Column("scope_text", sa.Text, nullable=False),
    sa.Column("scope_search", sa.Text, nullable=False),
    sa.Column("start", Moment, nullable=False),
    sa.Column("end", Moment, nullable=False),
    sa.Column("first_seen", Moment, nullable=False),
    sa.Column("last_seen", Moment, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("impact", sa.Double, nullable=False),
    sa.Column("p_value", sa.Double, nullable=False),
    sa.Column("feedback", sa.String(16)),
    sa.Column("is_suppressed", sa.Boolean, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("incidents_by_start", "start", "id"),
)

INCIDENT_FEEDBACK = sa.Table(
    "incident_feedback",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident_id", sa.String(100), sa.ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("until", Moment),
    sa.Column("impact", sa.Double, nullable=False),
    sa.Column("impact_a_day", sa.Double, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("undone_at", Moment),
    sa.Column("undone_by", sa.Text, nullable=False),
)


def write_incident(connection: sa.Connection, incident: Incident) -> Incident:
    """The incident in place of what it was."""
    write_incidents(connection, [incident])
    return incident


def write_incidents(connection: sa.Connection, incidents: Iterable[Incident]) -> None:
    """Incidents in place of what they were, in one statement."""
    rows = [_values(incident) for incident in incidents]
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        new = insert_postgresql(INCIDENTS)
        connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=_all_but_id(new.excluded)), rows)
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        other = insert_sqlite(INCIDENTS)
        connection.execute(other.on_conflict_do_update(index_elements=["id"], set_=_all_but_id(other.excluded)), rows)


def _all_but_id(excluded: Any) -> dict[str, Any]:
    return {column.name: excluded[column.name] for column in INCIDENTS.columns if column.name != "id"}


def _values(incident: Incident) -> dict[str, Any]:
    text = scope_text(incident.scope)
    return {
        "id": incident.id,
        "fingerprint": incident.fingerprint,
        "kind": incident.kind,
        "direction": incident.direction,
        "status": incident.status,
        "severity": incident.severity,
        "scope": dict(incident.scope),
        "scope_text": plain(text),
        "scope_search": plain(text).casefold(),
        "start": incident.start,
        "end": incident.end,
        "first_seen": incident.first_seen,
        "last_seen": incident.last_seen,
        "currency": incident.currency,
        "impact": incident.impact,
        "p_value": incident.p_value,
        "feedback": incident.feedback,
        "is_suppressed": incident.suppressed is not None,
        "body": _body(incident),
    }


def _body(incident: Incident) -> dict[str, Any]:
    """What no list is filtered by."""
    return {
        "parts": [[time_text(part.start), time_text(part.end), part.actual, part.expected] for part in incident.parts],
        "last_p_value": incident.last_p_value,
        "root_causes": [_json_value(cause) for cause in incident.root_causes],
        "sentence": incident.sentence,
        "explained": incident.explained,
        "history": [transition.as_dict() for transition in incident.history],
        "reopens_from": None if incident.reopens_from is None else time_text(incident.reopens_from),
        "suppressed": None if incident.suppressed is None else incident.suppressed.as_dict(),
    }


def _json_value(value: Any) -> Any:
    """Numbers that are none become null: PostgreSQL's JSON has no NaN."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def incident_of(row: Any) -> Incident:
    body = row.body
    suppressed = body["suppressed"]
    return Incident(
        row.id,
        row.kind,
        row.direction,
        row.scope,
        row.currency,
        row.status,
        row.severity,
        tuple(Part(moment(start), moment(end), actual, expected) for start, end, actual, expected in body["parts"]),
        row.first_seen,
        row.last_seen,
        row.p_value,
        body["last_p_value"],
        tuple(body["root_causes"]),
        body["sentence"],
        body["explained"],
        tuple(Transition(**{**transition, "at": moment(transition["at"])}) for transition in body["history"]),
        _moment_or_none(body["reopens_from"]),
        row.feedback,
        None if suppressed is None else Suppression(suppressed["feedback"], suppressed["verdict"], _moment_or_none(suppressed["until"])),
    )


def _moment_or_none(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


def feedback_values(entry: Feedback) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}
