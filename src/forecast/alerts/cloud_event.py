"""CloudEvents 1.0, structured JSON: the default shape. `data` is the incident as every answer carries it."""

from __future__ import annotations

import json
from typing import Any

from forecast.alerts.incident import Event
from forecast.alerts.origin import Origin, described
from forecast.alerts.spans import time_text

TYPE = "ai-spend-forecast.incident"
"""The type of an event is this, a dot, and what happened: opened, grew, acknowledged, resolved, reopened."""
MOST_BYTES = 64_000
"""Below the 64 KiB that every intermediary must pass on; root causes are left out from the end until it fits."""


def cloud_event(event: Event, origin: Origin) -> dict[str, Any]:
    """`source` and `id` together name the event: who has seen both has seen it. The extension `dedupkey` names the incident."""
    incident = event.incident
    data = described(event)
    if link := origin.link(incident):
        data["link"] = link
    found = {
        "specversion": "1.0",
        "id": event.id,
        "source": origin.source,
        "type": f"{TYPE}.{event.transition.event}",
        "subject": incident.id,
        "time": time_text(event.transition.at),
        "datacontenttype": "application/json",
        "dedupkey": incident.dedup_key,
        "partitionkey": incident.fingerprint,
        "data": data,
    }
    while data["root_causes"] and len(json.dumps(found).encode()) > MOST_BYTES:
        data["root_causes"] = data["root_causes"][:-1]
    return found
