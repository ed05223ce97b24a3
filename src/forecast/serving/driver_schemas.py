"""Drivers over HTTP: what may be put, and what is answered."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from forecast.serving.answers import Answer
from forecast.serving.schemas import Asked, ScopeField, Text
from forecast.spend.drivers import Driver, read_drivers
from forecast.spend.scope import Scope

MOST_VALUES = 20_000
_Number = Annotated[float, Field(ge=0, le=1e18)]


class DriverValue(Asked):
    """A day, week or month of a driver; low and high are the P10 and P90 of what is planned."""

    ds: date
    value: _Number
    low: _Number | None = None
    high: _Number | None = None
    known_from: date | None = Field(default=None, description="default: its own day, or the day of the request if that is earlier")
    period: Literal["day", "week", "month"] | None = Field(default=None, description="what the value is the average of; default: read off the days")


class DriverBody(Asked):
    """A driver as it is put: its name is in the path. Days that were given before stay known as versions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scope": "team=search",
                    "unit": "requests",
                    "kind": "requests",
                    "values": [{"ds": "2027-01-31", "value": 120000}, {"ds": "2027-02-01", "value": 150000, "low": 130000, "high": 180000}],
                }
            ]
        }
    )

    scope: ScopeField = Scope()
    unit: Text = ""
    kind: Literal["volume", "users", "requests", "tokens_per_request", "gpus", "price", "other"] = "volume"
    values: Annotated[list[DriverValue], Field(min_length=1, max_length=MOST_VALUES)]

    def driver(self, name: str, today: date) -> Driver:
        frame = pd.DataFrame([value.model_dump() for value in self.values])
        found = read_drivers(frame, known_on=pd.Timestamp(today), name=name, scope=str(self.scope), unit=self.unit, kind=self.kind)
        return found[0]


class DriverAnswer(Answer):
    """A driver without its values. planned_until : last day of its plan, null without one. rows : days and versions."""

    name: str
    scope: str
    unit: str
    kind: str
    first_day: date
    last_day: date
    planned_until: date | None
    rows: int


class DriverDay(Answer):
    """A day of a driver in one version; average : of a week or month that it lies in."""

    ds: date
    known_from: date
    value: float
    low: float | None
    high: float | None
    average: bool


class DriverWithValues(DriverAnswer):
    values: list[DriverDay]


class DriverList(Answer):
    """All drivers, by name."""

    drivers: list[DriverAnswer]
