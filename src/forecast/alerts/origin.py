"""What every payload shape shares: who speaks, the link back, and what is said of the incident at the moment of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecast.alerts.incident import Event, Incident

MOST_CAUSES = 20
"""Root causes that a message carries; the incident keeps them all."""


@dataclass(frozen=True)
class Origin:
    """Who speaks, and to whom.

    source : URI-reference of this installation; with an event's id it names that event in the whole world. address : where people reach the
    service, "" where they do not. account : what the company is called. monitor : the name that AWS messages give to who watches. receiver :
    the name that Alertmanager messages give to who is told. routing_key : of PagerDuty; a secret.
    """

    source: str = "urn:ai-spend-forecast"
    address: str = ""
    account: str = "company"
    monitor: str = "ai-spend-forecast"
    receiver: str = "ai-spend-forecast"
    routing_key: str = ""

    def link(self, incident: Incident) -> str:
        """Where the incident can be read; "" without an address."""
        return f"{self.address.rstrip('/')}/v1/incidents/{incident.id}" if self.address else ""


def described(event: Event) -> dict[str, Any]:
    """The incident as answers carry it, without its history, with the status that the event gave it, and the dedup key."""
    incident = event.incident
    found = incident.as_dict(history=False)
    found["status"] = event.transition.status
    found["root_causes"] = found["root_causes"][:MOST_CAUSES]
    return {"dedup_key": incident.dedup_key, "event": event.transition.event, "why": event.transition.why, **found}


def place(scope: Mapping[str, str]) -> str:
    """Where it is, for people: the value of a single dimension, else all pairs, else `company`."""
    if len(scope) == 1:
        return next(iter(scope.values()))
    return ", ".join(f"{name}={value}" for name, value in scope.items()) or "company"


def cause_lines(incident: Incident) -> str:
    """Root causes for people, one a line."""
    lines = []
    for cause in incident.root_causes[:MOST_CAUSES]:
        share = cause.get("share")
        part = "" if share is None else f" ({share:.0%})"
        lines.append(f"{place(cause['scope']) if cause['scope'] else 'the rest'}: {cause['impact']:+,.2f} {incident.currency}{part}")
    return "\n".join(lines)
