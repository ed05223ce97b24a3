"""AWS Cost Anomaly Detection: the message of an SNS subscription, and the EventBridge event. Money has two decimals, as theirs has.

Beware: the message says `dimensionalValue` where the event says `dimensionValue`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from forecast.alerts.incident import Event, Incident
from forecast.alerts.origin import MOST_CAUSES, Origin, place
from forecast.alerts.spans import DAY, time_text

FEEDBACK = {"unexpected": "YES", "expected": "NO", "too_small": "NO", "planned": "PLANNED_ACTIVITY"}
"""Their words for ours: YES is a true anomaly."""
DIMENSIONS = {
    "service": ("service", "provider"),
    "region": ("region",),
    "linkedAccount": ("team", "project"),
    "linkedAccountName": ("team", "project"),
    "usageType": ("meter", "sku", "ai_model"),
}
"""Their field → our dimensions, the first that is known; a field without one is empty."""


def sns_message(event: Event, origin: Origin) -> dict[str, Any]:
    """What an SNS topic of AWS Cost Anomaly Detection delivers as `Message`."""
    return {
        "accountId": origin.account,
        "accountName": origin.account,
        **_anomaly(event.incident, origin),
        "dimensionalValue": place(event.incident.scope),
    }


def eventbridge_event(event: Event, origin: Origin) -> dict[str, Any]:
    """The same anomaly as EventBridge delivers it."""
    detail = {
        "accountId": origin.account,
        "accountName": origin.account,
        **_anomaly(event.incident, origin),
        "dimensionValue": place(event.incident.scope),
    }
    if event.incident.feedback is not None:
        detail["feedback"] = FEEDBACK[event.incident.feedback]
    return {
        "version": "0",
        "id": event.id,
        "detail-type": "Anomaly Detected",
        "source": "aws.ce",
        "account": origin.account,
        "time": time_text(event.transition.at),
        "region": event.incident.scope.get("region", "global"),
        "resources": [origin.monitor],
        "detail": detail,
    }


def score(p_value: float) -> float:
    """How abnormal, 0 to 1 as theirs: a tenth for each power of ten that the p-value is below 1."""
    return 1.0 if p_value <= 1e-10 else round(-math.log10(p_value) / 10.0, 3) + 0.0


def _anomaly(incident: Incident, origin: Origin) -> dict[str, Any]:
    last_day = max(incident.start, incident.end - DAY)  # theirs is the last day of the anomaly, ours the moment after it
    impact: dict[str, float] = {
        "maxImpact": round(incident.largest_day_impact, 2),
        "totalActualSpend": round(incident.actual, 2),
        "totalExpectedSpend": round(incident.expected, 2),
        "totalImpact": round(incident.impact, 2),
    }
    if incident.impact_percent is not None:  # theirs is left out where nothing was expected, too
        impact["totalImpactPercentage"] = round(incident.impact_percent, 2)
    return {
        "anomalyId": incident.dedup_key,
        "anomalyStartDate": _day(incident.start),
        "anomalyEndDate": _day(last_day),
        "anomalyScore": {"currentScore": score(incident.last_p_value), "maxScore": score(incident.p_value)},
        "impact": impact,
        "monitorArn": origin.monitor,
        "monitorName": origin.monitor,
        "rootCauses": [_cause(incident.scope, cause) for cause in incident.root_causes[:MOST_CAUSES] if cause["scope"]],
        "anomalyDetailsLink": origin.link(incident),
    }


def _cause(scope: Mapping[str, str], cause: Mapping[str, Any]) -> dict[str, Any]:
    known = {**scope, **cause["scope"]}
    named = {field: next((known[name] for name in names if name in known), "") for field, names in DIMENSIONS.items()}
    return {**named, "impact": {"contribution": round(cause["impact"], 2)}}


def _day(at: datetime) -> str:
    return f"{at.date().isoformat()}T00:00:00Z"
