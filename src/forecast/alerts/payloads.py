"""One event in the shape that its receiver reads. All shapes carry one dedup key: the id of the incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from forecast.alerts.alertmanager import alertmanager_webhook
from forecast.alerts.aws_anomaly import eventbridge_event, sns_message
from forecast.alerts.cloud_event import cloud_event
from forecast.alerts.incident import Event
from forecast.alerts.origin import Origin
from forecast.alerts.pagerduty import pagerduty_event
from forecast.errors import InputError

DEFAULT_SHAPE = "cloudevents"
SHAPES: Mapping[str, Callable[[Event, Origin], dict[str, Any]]] = MappingProxyType(
    {
        DEFAULT_SHAPE: cloud_event,
        "aws": sns_message,
        "aws-eventbridge": eventbridge_event,
        "alertmanager": alertmanager_webhook,
        "pagerduty": pagerduty_event,
    }
)
MEDIA_TYPES: Mapping[str, str] = MappingProxyType({DEFAULT_SHAPE: "application/cloudevents+json"})
"""Media type of a shape's body; `application/json` where it is not named."""


def render(event: Event, origin: Origin | None = None, shape: str = DEFAULT_SHAPE) -> dict[str, Any]:
    """The body of a message, ready for JSON; InputError for a shape that there is not."""
    make = SHAPES.get(shape)
    if make is None:
        raise InputError(f"shape {shape!r} is none", field="shape", got=shape, allowed=", ".join(SHAPES))
    return make(event, Origin() if origin is None else origin)


def media_type(shape: str) -> str:
    """Content type of a shape's body."""
    return MEDIA_TYPES.get(shape, "application/json")
