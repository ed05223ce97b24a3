"""Incidents over HTTP: what may be said of them, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from forecast.alerts.feedback import MOST_DAYS
from forecast.alerts.words import LONGEST_REASON
from forecast.serving.answers import Answer
from forecast.serving.schemas import Asked, Moment, Text

_Reason = Annotated[str, StringConstraints(max_length=LONGEST_REASON, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]


class StepBody(Asked):
    """A step in the life of an incident; all of it may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "ada@example.com", "why": "the agent was stopped"}]})

    by: Text = Field(default="", description="who does it; there is no login yet")
    why: _Reason = ""


class FeedbackBody(Asked):
    """What somebody says of an incident."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"verdict": "expected", "reason": "load test", "by": "ada@example.com", "days": 14}, {"verdict": "unexpected"}]
        }
    )

    verdict: Literal["expected", "unexpected", "planned", "too_small"]
    reason: _Reason = ""
    by: Text = ""
    until: Moment | None = Field(default=None, description="expected and planned hold for incidents that begin before; default in 30 days")
    days: Annotated[float, Field(ge=0, le=MOST_DAYS)] | None = Field(default=None, description="in place of until; 0 is this incident only")


class PrecisionAnswer(Answer):
    """Share of the judged incidents that were worth telling, with its 95 % interval; null before the first feedback."""

    judged: int
    right: int
    value: float | None
    low: float | None
    high: float | None


class SuppressionAnswer(Answer):
    """The feedback because of which nobody is told."""

    feedback: int
    verdict: str
    until: datetime | None


class IncidentAnswer(Answer):
    """One cause with a life: money as numbers in its currency."""

    id: str
    fingerprint: str
    kind: str
    status: Literal["open", "acknowledged", "resolved"]
    direction: Literal["up", "down"]
    severity: Literal["low", "medium", "high", "critical"]
    scope: dict[str, str]
    start: str
    end: str
    first_seen: datetime
    last_seen: datetime
    currency: str
    actual: float
    expected: float
    impact: float
    impact_percent: float | None
    p_value: float
    root_causes: list[dict[str, Any]]
    sentence: str
    feedback: str | None
    suppressed: SuppressionAnswer | None


class WholeIncidentAnswer(IncidentAnswer):
    """An incident with its money piece by piece, what happened to it, and what was said of it."""

    parts: list[dict[str, Any]]
    history: list[dict[str, Any]]
    entries: list[dict[str, Any]]


class IncidentListAnswer(Answer):
    """A page of incidents, the latest start first. next_cursor : of the next page, null on the last."""

    incidents: list[IncidentAnswer]
    next_cursor: str | None
    precision: PrecisionAnswer


class FeedbackAnswer(Answer):
    """What an entry did."""

    incident: IncidentAnswer
    entry: dict[str, Any]
    precision: PrecisionAnswer
