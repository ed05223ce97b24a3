"""Alertmanager webhook, version 4: a group of one alert. What reads Prometheus alerts reads these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from forecast.alerts.incident import Event, Incident
from forecast.alerts.origin import Origin, cause_lines
from forecast.alerts.spans import time_text

ALERT_NAME = "AiSpendIncident"
NOT_OVER = "0001-01-01T00:00:00Z"
"""What Alertmanager sends as the end of an alert that is firing."""
OWN_LABELS = ("alertname", "incident", "kind", "direction", "severity")
_NOT_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def alertmanager_webhook(event: Event, origin: Origin) -> dict[str, Any]:
    """One alert, its own group. `fingerprint` is the dedup key; an acknowledged incident is firing still."""
    incident = event.incident
    status = "resolved" if event.transition.status == "resolved" else "firing"
    labels = _labels(incident)
    annotations = _annotations(incident)
    link = origin.link(incident)
    group = {"alertname": ALERT_NAME, "incident": incident.id}
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": origin.receiver,
        "groupLabels": group,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": origin.address,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": time_text(incident.start),
                "endsAt": time_text(event.transition.at) if status == "resolved" else NOT_OVER,
                "generatorURL": link,
                "fingerprint": incident.dedup_key,
            }
        ],
    }


def _labels(incident: Incident) -> dict[str, str]:
    own = {
        "alertname": ALERT_NAME,
        "incident": incident.id,
        "kind": incident.kind,
        "direction": incident.direction,
        "severity": incident.severity,
    }
    return own | label_names(incident.scope)


def label_names(scope: Mapping[str, str]) -> dict[str, str]:
    """Dimensions under names that Prometheus takes; `not_team` is what is excluded, `scope_kind` a tag that is called as one of our own labels."""
    found: dict[str, str] = {}
    for dimension, value in scope.items():
        name = _NOT_A_LABEL.sub("_", dimension.removesuffix("!"))
        name = f"not_{name}" if dimension.endswith("!") else name
        if name in OWN_LABELS or name in found or name[:1].isdigit() or name.startswith("__"):
            name = f"scope_{name}"
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found[free] = value
    return found


def _annotations(incident: Incident) -> dict[str, str]:
    found = {
        "summary": incident.sentence,
        "actual": f"{incident.actual:.2f}",
        "expected": f"{incident.expected:.2f}",
        "impact": f"{incident.impact:.2f}",
        "currency": incident.currency,
    }
    if causes := cause_lines(incident):
        found["description"] = causes
    if incident.impact_percent is not None:
        found["impact_percent"] = f"{incident.impact_percent:.1f}"
    return found
