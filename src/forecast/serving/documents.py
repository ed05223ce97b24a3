"""What the OpenAPI document says about answers: a model for what went well, one flat schema for every problem."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from forecast.serving.error_map import TITLES
from forecast.serving.problems import MEDIA_TYPE

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "got", "allowed", "message"],
                "properties": {
                    "field": {"type": ["string", "null"]},
                    "got": {"description": "what was sent, shortened"},
                    "allowed": {"type": ["string", "null"]},
                    "message": {"type": "string"},
                },
            },
        },
        "suggestions": {"type": "array", "items": {"type": "string"}, "description": "the nearest values that have occurred"},
    },
}

Responses = dict[int | str, dict[str, Any]]


def success(model: type[BaseModel], *statuses: int) -> Responses:
    return {status: {"model": model, "description": (model.__doc__ or "").strip()} for status in statuses or (200,)}


def problems(*statuses: int) -> Responses:
    return {status: {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}} for status in statuses}
