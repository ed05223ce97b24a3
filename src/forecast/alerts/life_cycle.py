"""The life of an incident: opened, growing, acknowledged, resolved by hand or by itself, reopened. Pure: every moment is an argument.

    open ──acknowledge──> acknowledged
      │                        │
      └──resolve / settle──────┴──> resolved ──reopen / strange again──> open

A detection of the same fingerprint that comes within the quiet window continues the incident, a later one begins another. The same detection
again changes nothing but `last_seen`, and what was restated replaces what was there: money is kept piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecast.alerts.identity import incident_id
from forecast.alerts.incident import SEVERITIES, Detection, Incident, Transition, severity
from forecast.alerts.spans import DAY, Part, span_texts, utc, within
from forecast.alerts.words import check_name, check_reason
from forecast.errors import ConflictError

QUIET = timedelta(days=3)
"""Longest pause between strange spend of one incident: a weekend and a day."""
CALM = timedelta(days=2)
"""Normal spend after an incident's end that resolves it by itself; the time that was scored counts, not the clock."""
ITSELF = "forecast"
"""Who did it where nobody did."""


@dataclass(frozen=True)
class Merged:
    """What detections became: `incidents` that are new or not what they were, by id, and the incident of each detection, in their order."""

    incidents: dict[str, Incident]
    incident_of: list[str]


def merged(known: Iterable[Incident], detections: Sequence[Detection], *, now: datetime, quiet: timedelta = QUIET) -> Merged:
    """Continue known incidents with detections, and open new ones for what is left.

    known : at least the incidents of the detections' fingerprints that are less than `quiet` away from them. No money is counted twice: what a
    detection says of time that another incident of its fingerprint already holds is left out.
    """
    by_fingerprint: dict[str, dict[str, Incident]] = {}
    for incident in known:
        by_fingerprint.setdefault(incident.fingerprint, {})[incident.id] = incident
    changed: dict[str, Incident] = {}
    incident_of = [""] * len(detections)
    for place in sorted(range(len(detections)), key=lambda place: detections[place].start):
        detection = detections[place]
        same = by_fingerprint.setdefault(detection.fingerprint, {})
        target = _target(list(same.values()), detection, quiet)
        if target is None:
            new = opened(detection, now=now)
            target = same.get(new.id)  # one that was opened on that very day and has moved since is still that one
        if target is None:
            result = new
        else:
            result = continued(target, _without(detection, [other for other in same.values() if other.id != target.id]), now=now)
        same[result.id] = changed[result.id] = result
        incident_of[place] = result.id
    return Merged(changed, incident_of)


def opened(detection: Detection, *, now: datetime) -> Incident:
    """A new incident of a detection."""
    incident = Incident(
        incident_id(detection.kind, detection.direction, detection.scope, detection.start),
        detection.kind,
        detection.direction,
        detection.scope,
        detection.currency,
        "open",
        "low",
        detection.parts,
        utc(now),
        utc(now),
        detection.p_value,
        detection.p_value,
        detection.root_causes,
        detection.sentence,
        abs(detection.impact),
    )
    incident = replace(incident, severity=_severity(incident))
    return _with(incident if detection.sentence else replace(incident, sentence=headline(incident)), now, ITSELF, "opened")


def continued(incident: Incident, detection: Detection, *, now: datetime) -> Incident:
    """The incident with what a detection adds and corrects.

    Money of the detection's time replaces what the incident had there. Root causes and the sentence are those of the detection with the
    largest impact, or of the newest that covers the whole incident. Strange spend after `reopens_from` reopens one that is resolved.
    """
    kept: list[Part] = list(incident.parts) if incident.currency == detection.currency else []
    for part in detection.parts:
        kept = within(kept, part.start, part.end, inside=False)
    parts = tuple(sorted((*kept, *detection.parts), key=lambda part: part.start))
    covers = detection.start <= incident.start and detection.end >= incident.end
    explains = covers or abs(detection.impact) >= incident.explained
    after = replace(
        incident,
        parts=parts,
        currency=detection.currency,
        last_seen=max(incident.last_seen, utc(now)),
        p_value=min(incident.p_value, detection.p_value),
        last_p_value=detection.p_value,
        root_causes=detection.root_causes if explains else incident.root_causes,
        explained=abs(detection.impact) if explains else incident.explained,
    )
    money_moved = parts != incident.parts or incident.currency != detection.currency
    if covers and detection.sentence:
        after = replace(after, sentence=detection.sentence)
    elif money_moved:
        after = replace(after, sentence=headline(after))
    after = replace(after, severity=_severity(after))
    if not incident.is_active and _is_strange_again(incident, detection):
        return _with(replace(after, status="open", reopens_from=None), now, ITSELF, "reopened", "spend is strange again")
    if incident.is_active and SEVERITIES.index(after.severity) > SEVERITIES.index(incident.severity):
        why = f"impact {incident.impact:,.2f} → {after.impact:,.2f} {after.currency}, severity {incident.severity} → {after.severity}"
        return _with(after, now, ITSELF, "grew", why)
    return after


def acknowledge(incident: Incident, *, now: datetime, by: str, why: str = "") -> Incident:
    """Somebody looks at it. Once more changes nothing; ConflictError for one that is resolved."""
    if incident.status == "acknowledged":
        return incident
    if not incident.is_active:
        raise ConflictError(f"Incident {incident.id} is resolved; there is nothing to acknowledge", field="status", got="resolved", allowed="open")
    return _with(replace(incident, status="acknowledged"), now, by, "acknowledged", why)


def resolve(incident: Incident, *, now: datetime, by: str, why: str = "") -> Incident:
    """Somebody says that it is over: spend that began before now (and is billed late) still belongs to it and does not reopen it.

    Once more changes nothing.
    """
    if not incident.is_active:
        return incident
    return _with(replace(incident, status="resolved", reopens_from=utc(now)), now, by, "resolved", why)


def reopen(incident: Incident, *, now: datetime, by: str, why: str = "") -> Incident:
    """Somebody says that it is not over. One that is not resolved stays as it is."""
    if incident.is_active:
        return incident
    return _with(replace(incident, status="open", reopens_from=None), now, by, "reopened", why)


def settle(incident: Incident, *, scored_through: datetime, now: datetime, calm: timedelta = CALM) -> Incident:
    """Resolve it by itself where spend was normal for long enough.

    scored_through : end of the time that was scored at sufficient completeness for the incident's scope, UTC.
    """
    if not incident.is_active or utc(scored_through) - incident.end < calm:
        return incident
    last = span_texts(incident.end, incident.end)["end"]
    return _with(replace(incident, status="resolved", reopens_from=incident.end), now, ITSELF, "resolved", f"spend has been as expected since {last}")


def headline(incident: Incident) -> str:
    """One plain sentence of the incident's own numbers."""
    texts = span_texts(incident.start, incident.end)
    when = f"from {texts['start']} until {texts['end']}"
    if len(texts["end"]) == len("2027-03-01"):  # whole days: the last one is said, not the one after it
        last = (incident.end - DAY).date().isoformat()
        when = f"on {last}" if texts["start"] == last else f"from {texts['start']} to {last}"
    place = ", ".join(f"{name}={value}" for name, value in incident.scope.items()) or "The whole company"
    percent = incident.impact_percent
    part = "" if percent is None else f" ({abs(percent):.0f}%)"
    side = "above" if incident.impact >= 0 else "below"
    currency = incident.currency
    return (
        f"{place} cost {incident.actual:,.2f} {currency} {when},"
        f" {abs(incident.impact):,.2f} {side} the expected {incident.expected:,.2f} {currency}{part}."
    )


def _target(known: Sequence[Incident], detection: Detection, quiet: timedelta) -> Incident | None:
    """The incident that a detection continues: the one it shares most time with, else the nearest within the quiet window."""
    near = [incident for incident in known if _gap(incident, detection) <= quiet]
    return max(
        near,
        key=lambda incident: (_shared(incident, detection), -_gap(incident, detection), incident.is_active, incident.start, incident.id),
        default=None,
    )


def _gap(incident: Incident, detection: Detection) -> timedelta:
    return max(detection.start - incident.end, incident.start - detection.end, timedelta())


def _shared(incident: Incident, detection: Detection) -> timedelta:
    common = (part for own in incident.parts for part in within(detection.parts, own.start, own.end, inside=True))
    return sum((part.end - part.start for part in common), timedelta())


def _without(detection: Detection, others: Sequence[Incident]) -> Detection:
    parts = list(detection.parts)
    for held in (part for other in others for part in other.parts):
        parts = within(parts, held.start, held.end, inside=False)
    return detection if parts == list(detection.parts) else replace(detection, parts=tuple(parts))


def _is_strange_again(incident: Incident, detection: Detection) -> bool:
    since = incident.reopens_from
    return any(part.end > incident.end and (since is None or part.start >= since) for part in detection.parts)


def _severity(incident: Incident) -> str:
    return severity(incident.impact, incident.expected / incident.days)


def _with(incident: Incident, now: datetime, by: str, event: str, why: str = "") -> Incident:
    step = Transition(utc(now), check_name("by", by), event, incident.status, check_reason("why", why))
    return replace(incident, history=(*incident.history, step))
