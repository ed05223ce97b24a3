"""Incidents as they are answered, the same over the command line and HTTP, and what keeps a detector's answer as incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from forecast.alerts.feedback import Feedback, Precision
from forecast.alerts.incident import Detection, Event, Incident
from forecast.alerts.origin import Origin
from forecast.alerts.payloads import DEFAULT_SHAPE, render
from forecast.alerts.spans import moment, span_texts
from forecast.errors import InputError


def incident_list(incidents: Sequence[Incident], next_cursor: str | None, precision: Precision) -> dict[str, Any]:
    """A page: {incidents, next_cursor, precision}; incidents without their histories."""
    return {
        "incidents": [incident.as_dict(history=False) for incident in incidents],
        "next_cursor": next_cursor,
        "precision": precision.as_dict(),
    }


def incident_answer(incident: Incident, entries: Sequence[Feedback]) -> dict[str, Any]:
    """One incident with its parts, its history, and all that was said of it, undone entries too."""
    parts = [{**span_texts(part.start, part.end), "actual": part.actual, "expected": part.expected} for part in incident.parts]
    return {**incident.as_dict(), "parts": parts, "entries": [entry.as_dict() for entry in entries]}


def feedback_answer(incident: Incident, entry: Feedback, precision: Precision) -> dict[str, Any]:
    """What an entry (or taking it back) did: {incident, entry, precision}."""
    return {"incident": incident.as_dict(history=False), "entry": entry.as_dict(), "precision": precision.as_dict()}


def shaped(incident: Incident, shape: str = DEFAULT_SHAPE, origin: Origin | None = None) -> dict[str, Any]:
    """The last thing that happened to an incident, in the shape of another program; InputError for a shape that there is not."""
    return render(Event(incident, len(incident.history) - 1), origin, shape)


def detections_of(answer: Mapping[str, Any]) -> list[Detection]:
    """What an anomaly answer (`spikes.anomaly_answer`) found, ready to be kept."""
    return [Detection.of_answer(found, answer["currency"]) for found in answer["incidents"]]


def with_kept(answer: Mapping[str, Any], kept: Sequence[Incident]) -> dict[str, Any]:
    """The anomaly answer with the incidents that its own became, each once, and its rows pointing at them.

    kept : of each incident of the answer, in their order, as the records have it now.
    """
    id_of = {found["id"]: incident.id for found, incident in zip(answer["incidents"], kept, strict=True)}
    rows = [row if row["incident"] is None else {**row, "incident": id_of[row["incident"]]} for row in answer["rows"]]
    distinct = {incident.id: incident.as_dict(history=False) for incident in kept}
    return {**answer, "rows": rows, "incidents": list(distinct.values())}


def read_when(text: str | None, name: str) -> datetime | None:
    """A moment of a filter, from a day or a time stamp; None where nothing was said."""
    if text is None:
        return None
    try:
        return moment(text.strip())
    except (InputError, OverflowError):
        raise InputError(f"{name} is no day and no time: got {text!r}", field=name, got=text, allowed="2027-03-01 or 2027-03-01T13:00:00Z") from None


def read_words(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Words of a filter: `open,acknowledged`, or given several times."""
    texts = [text] if isinstance(text, str) else list(text or ())
    return tuple(dict.fromkeys(word.strip() for part in texts for word in part.split(",") if word.strip()))
