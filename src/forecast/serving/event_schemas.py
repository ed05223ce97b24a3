"""Planned events over HTTP: what may be put, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema

from forecast.errors import InputError
from forecast.serving.answers import Answer
from forecast.serving.schemas import LARGEST_AMOUNT, MOST_SCOPE, Asked, Text, written_length
from forecast.spend.event_rows import read_effect
from forecast.spend.events import LARGEST_FACTOR, MOST_RAMP_DAYS, PlannedEvent
from forecast.spend.focus_scopes import EXAMPLE, read_scope
from forecast.spend.scope import Scope

_Factor = Annotated[float, Field(ge=0, le=LARGEST_FACTOR)]
_Money = Annotated[float, Field(ge=-LARGEST_AMOUNT, le=LARGEST_AMOUNT)]


def read_event_scope(value: Any) -> Scope:
    """A scope from text or from an object of dimensions or FOCUS columns, of bounded length and without control characters."""
    if value is not None and not isinstance(value, Scope) and (length := written_length(value)) > MOST_SCOPE:
        raise InputError(f"scope has {length} characters", field="scope", got=length, allowed=f"at most {MOST_SCOPE} characters")
    scope = read_scope(value)
    if any(ord(character) < 32 or ord(character) == 127 for character in str(scope)):
        raise InputError("scope contains a control character", field="scope", got=str(scope), allowed="printable text")
    return scope


EventScope = Annotated[
    Scope,
    PlainValidator(read_event_scope),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "maxLength": MOST_SCOPE}, {"type": "object"}, {"type": "null"}],
            "description": "A filter over dimensions and tag keys, or FOCUS columns of a bill; empty is the whole company.",
            "examples": ["team=ads", {"team": ["ads", "search"]}, EXAMPLE],
        }
    ),
]


class EffectBody(Asked):
    """How large: one of factor, money (a total) and money_per_day; low and high are exceeded nine times and once in ten."""

    factor: _Factor | None = None
    money: _Money | None = None
    money_per_day: _Money | None = None
    low: _Money | None = None
    high: _Money | None = None


class EventBody(Asked):
    """A planned event as it is put: its id is in the path."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Spring sale",
                    "type": "campaign",
                    "scope": "team=ads",
                    "start": "2027-03-01",
                    "end": "2027-03-15",
                    "effect": {"factor": 1.6, "low": 1.3, "high": 2.0},
                }
            ]
        }
    )

    name: Text = ""
    type: Literal["launch", "campaign", "migration", "price_change", "freeze", "other"] = "other"
    start: date
    end: date | None = Field(default=None, description="first day without it; without an end it lasts")
    scope: EventScope = Scope()
    effect: EffectBody
    ramp_days: Annotated[int, Field(ge=0, le=MOST_RAMP_DAYS)] = 0
    announced: date | None = Field(default=None, description="from when on it was known; default the day of the request")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None

    def event(self, event_id: str, today: date) -> PlannedEvent:
        said: Mapping[str, float] = {name: value for name, value in self.effect.model_dump().items() if value is not None}
        return PlannedEvent(
            event_id,
            self.name or event_id,
            self.type,
            self.start,
            self.end,
            self.scope,
            read_effect(said),
            self.announced or today,
            self.ramp_days,
            self.currency,
        )


class EventAnswer(Answer):
    """A planned event."""

    id: str
    name: str
    type: str
    start: date
    end: date | None
    scope: str
    effect: dict[str, float]
    ramp_days: int
    currency: str | None
    announced: date


class EventList(Answer):
    """All planned events, by start."""

    events: list[EventAnswer]
