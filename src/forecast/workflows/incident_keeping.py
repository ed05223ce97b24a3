"""What a replay says becomes incidents, step by step; in memory here, where nothing shall be stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from forecast.alerts import life_cycle
from forecast.alerts.feedback import Feedback, applied
from forecast.alerts.identity import scope_text
from forecast.alerts.incident import Detection, Incident
from forecast.alerts.spans import time_text
from forecast.workflows.detection import Step


class Keeper(Protocol):
    """Where incidents are kept: the records, or a dry run's memory."""

    def known(self) -> list[Incident]:
        """The incidents that there are (from the first day that is replayed on)."""

    def put(self, detections: Sequence[Detection], now: datetime) -> list[Incident]:
        """Of each detection the incident that it became."""

    def settle(self, scored_through: datetime, now: datetime, only: Collection[str]) -> list[Incident]:
        """Resolve by itself what has been calm for long enough; those that it resolved."""

    def withdraw(self, incident_id: str, now: datetime) -> Incident:
        """Resolve what is not strange any more, now that its days are billed."""


RESTATED = "its days are billed anew and are as expected"
"""Why an incident is withdrawn."""


@dataclass
class InMemory:
    """A keeper that forgets. incidents : those that there are to begin with, by id. entries : the feedback that there is."""

    incidents: dict[str, Incident] = field(default_factory=dict)
    entries: Sequence[Feedback] = ()

    def known(self) -> list[Incident]:
        return list(self.incidents.values())

    def put(self, detections: Sequence[Detection], now: datetime) -> list[Incident]:
        merged = life_cycle.merged(self.incidents.values(), detections, now=now)
        self.incidents.update((name, applied(found, self.entries)) for name, found in merged.incidents.items())
        return [self.incidents[name] for name in merged.incident_of]

    def settle(self, scored_through: datetime, now: datetime, only: Collection[str]) -> list[Incident]:
        settled = [life_cycle.settle(self.incidents[name], scored_through=scored_through, now=now) for name in sorted(only)]
        self.incidents.update((incident.id, incident) for incident in settled)
        return settled

    def withdraw(self, incident_id: str, now: datetime) -> Incident:
        self.incidents[incident_id] = life_cycle.resolve(self.incidents[incident_id], now=now, by=life_cycle.ITSELF, why=RESTATED)
        return self.incidents[incident_id]


def keep(steps: Iterable[Step], keeper: Keeper, *, since: datetime) -> list[str]:
    """Ids of the incidents that the steps speak of, in order of appearance.

    Incidents of scopes that a step did not score, and those that were over before `since`, do not resolve by themselves here.
    What was said later of an incident is not taken back by saying once more what was known before. An incident keeps the name that it was
    opened with: what began as a spike and stays is still that one, and not a level shift beside it.
    """
    known = {incident.id: incident for incident in keeper.known()}
    found: dict[str, None] = {}
    for step in steps:
        detections = []
        for said in step.detections:
            detection = _named_as_before(said, known.values())
            same = [incident for incident in known.values() if _speaks_of(detection, incident)]
            found.update((incident.id, None) for incident in same)
            if all(incident.last_seen <= step.moment for incident in same):
                detections.append(detection)
        kept = keeper.put(detections, step.moment)
        known.update((incident.id, incident) for incident in kept)
        found.update((incident.id, None) for incident in kept)
        for incident in list(known.values()):
            scope = scope_text(incident.scope)
            if not incident.is_active or incident.end < since or incident.last_seen > step.moment or scope not in step.scored.scopes:
                continue
            if all(step.scored.is_calm(scope, time_text(part.start)[:10]) for part in incident.parts):
                known[incident.id] = keeper.withdraw(incident.id, step.moment)
            elif (through := step.scored_through(scope)) is not None and through >= incident.end + life_cycle.CALM:
                known.update((settled.id, settled) for settled in keeper.settle(through, step.moment, {incident.id}))
    return list(found)


def _named_as_before(detection: Detection, known: Iterable[Incident]) -> Detection:
    """The detection under the name of the incident of its scope and direction that it goes on with, the earliest that has a day of it."""
    alike = [
        incident
        for incident in known
        if (incident.direction, incident.scope) == (detection.direction, detection.scope)
        and incident.start < detection.end
        and detection.start < incident.end
    ]
    if not alike or any(incident.kind == detection.kind for incident in alike):
        return detection
    return replace(detection, kind=min(alike, key=lambda incident: (incident.start, incident.first_seen, incident.id)).kind)


def _speaks_of(detection: Detection, incident: Incident) -> bool:
    near = incident.start - life_cycle.QUIET <= detection.end and detection.start <= incident.end + life_cycle.QUIET
    return incident.fingerprint == detection.fingerprint and near
