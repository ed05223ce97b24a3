"""What may be said of a run at its gate, and what the gate and a budget's history answer."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from forecast.serving.answers import Answer, Distribution
from forecast.serving.schemas import LARGEST_AMOUNT, Amount, Asked, AsOf, SnapshotId

Share = Annotated[float, Field(gt=0, le=1)]


class GateRequest(Asked):
    """A run's plan and report, in the budget's currency; an empty object asks for the plain probability of an overrun."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"planned": 4000, "low": 3000, "high": 6000, "spent": 1500, "progress": 0.3, "since": "2027-02-01"}]}
    )

    planned: Amount | None = Field(default=None, description="what the whole run is planned to cost (P50)")
    low: Amount | None = Field(default=None, description="P10 of the plan; default 0.8 times planned")
    high: Amount | None = Field(default=None, description="P90 of the plan; default 1.5 times planned")
    spent: Annotated[float, Field(ge=0, le=LARGEST_AMOUNT)] | None = Field(default=None, description="what the run has spent by its own count")
    progress: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, description="share of its work that is done")
    since: date | None = Field(default=None, description="the run's first day: bills from then on are the same money as spent")
    warn: Share | None = Field(default=None, description="probability from which it warns; default the budget's threshold, else 0.3")
    stop: Share | None = Field(default=None, description="probability from which it stops; default the budget's threshold, else 0.6")
    at: date | None = Field(default=None, description="the day that counts as today")
    as_of: AsOf = Field(default=None, description="bills and forecast of the newest snapshot whose cutoff is not after this day (UTC)")
    snapshot_id: SnapshotId | None = Field(default=None, description="bills and forecast of this snapshot; the first 8 characters are enough")


class GateAnswer(Answer):
    """May the run go on? Money in `currency`; `snapshot_id`, `cutoff` and `spent` are null where nothing has been forecast yet."""

    decision: Literal["go", "warn", "stop"]
    probability: float = Field(ge=0, le=1, description="that the budget is exceeded")
    standard_error: float
    warn: float
    stop: float
    budget_id: str
    kind: str
    scope: str
    start: date
    end: date
    cost: str
    currency: str | None
    amount: float
    converted: dict[str, Any] | None = Field(description="how the amount became this money, where the budget is in another currency")
    spent: float | None = Field(description="billed in the period")
    reported: float | None = Field(description="what the run said that it has spent")
    rest: Distribution | None = Field(description="what the run will still cost; null where neither plan nor progress says it")
    expected_total: float
    p10: float
    p50: float
    p90: float
    reasons: list[str]
    snapshot_id: str | None
    cutoff: date | None


class RiskRow(Answer):
    """A budget's risk as one snapshot saw it; money in `currency`."""

    snapshot_id: str
    cutoff: date
    computed_at: datetime
    start: date
    end: date
    amount: float
    currency: str
    spent: float
    mean: float
    p10: float
    p50: float
    p90: float
    overrun_probability: float = Field(ge=0, le=1)
    expected_overrun: float
    state: str
    stored: bool = Field(description="false: asked now of a snapshot that was made before the budget")
    change: dict[str, float] | None = Field(description="against the row before of the same period")


class HistoryAnswer(Answer):
    """What each training said of a budget."""

    budget_id: str
    name: str
    owner: str
    scope: str
    kind: str
    cost: str
    history: list[RiskRow]
    notes: list[str]
