"""Saved scenarios and goals over HTTP: what may be asked, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from forecast.scenarios.saved import LONGEST_NOTE
from forecast.serving.answers import Answer, Distribution, Heading, WhatIfAnswer
from forecast.serving.schemas import MOST_LEVERS, Asked, GroupBy, PeriodChoice, SnapshotChoice, Text, read_lever

Note = Annotated[str, StringConstraints(max_length=LONGEST_NOTE, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
Granularity = Literal["day", "week", "month", "quarter", "year"]


def read_plan_body(value: Any) -> Any:
    """A plan as it was sent, unless one of its levers is longer than any can be; its own reader checks the rest."""
    if isinstance(value, Mapping) and isinstance(levers := value.get("levers"), list):
        for lever in levers[:MOST_LEVERS]:
            read_lever(lever)
    return value


PlanField = Annotated[dict[str, Any], BeforeValidator(read_plan_body)]
Levers = Annotated[tuple[Annotated[dict[str, Any], BeforeValidator(read_lever)], ...], Field(max_length=MOST_LEVERS)]

_PLAN: dict[str, Any] = {
    "period": "2027-Q1",
    "levers": [{"type": "scale_usage", "name": "traffic", "scope": "team=ads", "factor": 2.0, "from": "2027-02-01"}],
}


class ScenarioBody(Asked):
    """A plan to be kept under the id in the path; one that differs from the newest version becomes the next."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Traffic doubles", "plan": _PLAN, "by": "ada", "note": "for the board"}]})

    plan: PlanField = Field(description="as `forecast whatif` reads it: start and end or period, scope, levers")
    name: Text = ""
    by: Text = Field(default="", description="who saves it; there is no login yet")
    note: Note = Field(default="", description="why")


class RunBody(SnapshotChoice):
    """Run a version; all of it may be left out."""

    version: Annotated[int, Field(ge=1)] | None = Field(default=None, description="without it the newest")
    granularity: Granularity | None = Field(default=None, description="without it one row a group")
    group_by: GroupBy | None = Field(default=None, description="dimensions of the rows (team, ai_model, region, a tag …); without it the team")


class GoalRequest(PeriodChoice):
    """How far may one number of a plan go, or where is it best? The plan as in what-if questions, or `scenario_id`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_PLAN,
                    "goal": {
                        "lever": "traffic",
                        "field": "factor",
                        "low": 1,
                        "high": 5,
                        "figure": "overrun_probability",
                        "budget": "ads-q1",
                        "aim": "at_most",
                        "limit": 0.2,
                    },
                },
                {"scenario_id": "growth", "goal": {"lever": 0, "field": "factor", "low": 0.5, "high": 2, "figure": "mean", "aim": "minimise"}},
            ]
        }
    )

    levers: Levers = ()
    scenario_id: Text | None = Field(default=None, description="a saved scenario in place of days, scope and levers")
    version: Annotated[int, Field(ge=1)] | None = None
    goal: dict[str, Any] = Field(description="lever, field, low, high, figure, budget, aim, limit, points")


class ScenarioAnswer(Answer):
    """A version of a saved scenario. `is_new` only where it was put."""

    id: str
    version: int
    latest_version: int
    name: str
    plan: dict[str, Any]
    by: str
    note: str
    created_at: datetime
    saved_at: datetime
    is_new: bool | None = None
    run: dict[str, Any] | None = None


class ScenarioList(Answer):
    """The newest version of every scenario, with what it said last."""

    scenarios: list[ScenarioAnswer]


class VersionList(Answer):
    """All versions of a scenario, the newest first, with what each said on which snapshot."""

    versions: list[dict[str, Any]]


class ScenarioRunAnswer(WhatIfAnswer):
    """A what-if answer, and whose it is."""

    scenario_id: str
    version: int


class ChangesAnswer(Heading):
    """What a scenario said before and what it says on the newest snapshot."""

    scenario_id: str
    version: int
    before: dict[str, Any]
    after: dict[str, Any]
    change: dict[str, dict[str, float]]
    days_passed: int
    remaining: dict[str, Any] | None
    levers: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    sentence: str


class ActualAnswer(Heading):
    """A plan beside what happened on its days that are over since it was made."""

    scenario_id: str
    version: int
    start: date
    end: date
    made_on: dict[str, Any]
    actual: dict[str, float]
    baseline: dict[str, float | None]
    scenario: dict[str, float | None]
    delta: dict[str, float | None]
    effect: dict[str, float | None]
    place: dict[str, str | None]
    realised_share: float | None
    is_telling: bool | None
    rows: list[dict[str, Any]]
    levers: list[dict[str, Any]]
    sentence: str


class ComparedScenario(Answer):
    """One of the scenarios that are compared."""

    id: str
    version: int | None
    name: str
    scenario: Distribution
    delta: Distribution
    probability_cheaper: float
    against_first: dict[str, float]
    probability_least: float
    levers: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    notes: list[str]


class Comparison(Answer):
    """Scenarios side by side: the same days, the same scope, the same futures."""

    baseline: Distribution
    scenarios: list[ComparedScenario]
    rows: list[dict[str, Any]]
    best: dict[str, Any]


class GoalAnswer(Heading):
    """The value that was sought, the bracket it lies in, and the whole curve."""

    goal: dict[str, Any]
    status: Literal["found", "always", "never", "inside", "at_low", "at_high", "flat"]
    value: float | None
    figure: float | None
    bracket: dict[str, float] | None
    curve: list[dict[str, float]]
    at: dict[str, Any] | None
    sentence: str
