"""PagerDuty Events API v2: the body that is posted to its `enqueue` address."""

from __future__ import annotations

from typing import Any

from forecast.alerts.incident import Event
from forecast.alerts.origin import Origin, described, place
from forecast.alerts.spans import time_text

CLIENT = "AI spend forecast"
LONGEST_SUMMARY = 1024
ACTIONS = {"acknowledged": "acknowledge", "resolved": "resolve"}
"""What happened → what PagerDuty shall do; everything else triggers (and updates what is open under the dedup key)."""
SEVERITIES = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}


def pagerduty_event(event: Event, origin: Origin) -> dict[str, Any]:
    """One event; trigger, acknowledge and resolve of one incident have one `dedup_key`."""
    incident = event.incident
    summary = incident.sentence
    if len(summary) > LONGEST_SUMMARY:
        summary = f"{summary[: LONGEST_SUMMARY - 1]}…"
    found: dict[str, Any] = {
        "routing_key": origin.routing_key,
        "event_action": ACTIONS.get(event.transition.event, "trigger"),
        "dedup_key": incident.dedup_key,
        "client": CLIENT,
        "payload": {
            "summary": summary,
            "source": place(incident.scope),
            "severity": SEVERITIES[incident.severity],
            "timestamp": time_text(event.transition.at),
            "class": incident.kind,
            "custom_details": described(event),
        },
    }
    component = incident.scope.get("service") or incident.scope.get("provider")
    found["payload"] |= {name: value for name, value in (("component", component), ("group", incident.scope.get("team"))) if value}
    if link := origin.link(incident):
        found |= {"client_url": link, "links": [{"href": link, "text": f"Incident {incident.id}"}]}
    return found
