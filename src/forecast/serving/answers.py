"""What is answered over HTTP, for the OpenAPI document and for tests that hold real answers against it.

Answers are not validated on their way out (they are ours); money is a number in the answer's currency.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Distribution(Answer):
    """Mean and quantiles of an amount of money."""

    mean: float
    p10: float
    p50: float
    p90: float
    quantiles: dict[str, float] | None = None


class Heading(Answer):
    snapshot_id: str = Field(description="the snapshot that every number of the answer was read from")
    cutoff: date = Field(description="last day that the forecaster saw")
    currency: str
    cost: str
    time_zone: str | None = Field(default=None, description="zone in which the answer's days begin; left out where it is UTC")


class ForecastRow(Distribution):
    group: dict[str, str]
    start: date
    end: date


class EventWithin(Answer):
    """A planned event that touches the question; effect : mean money of it, null where it is in the bills."""

    id: str
    name: str
    type: str
    start: date
    end: date | None
    effect: float | None


class ForecastAnswer(Heading):
    """Totals and series with quantiles; only means add up over rows."""

    scope: str
    start: date
    end: date
    total: Distribution
    rows: list[ForecastRow]
    events: list[EventWithin]
    backtest: dict[str, Any] | None


class Contribution(Answer):
    """One part of a change, in money, and what it is."""

    name: str
    money: float
    share: float | None = Field(description="of the comparison period's total")
    sentence: str


class ComparisonPeriod(Answer):
    start: date
    end: date
    total: float = Field(description="actual cost, and the mean forecast of days that are not over")
    actual: float = Field(description="what of it is billed")
    over: bool


class ExplainRow(Answer):
    group: dict[str, str]
    comparison: float
    forecast: float
    change: float
    change_percent: float | None
    contributions: dict[str, float]


class ExplainedMeter(Answer):
    """An AI model and meter, at the period's number of days: in the comparison period, and lately."""

    ai_model: str
    meter: str
    unit: str
    cost_before: float
    cost_after: float
    quantity_before: float
    quantity_after: float
    price: float
    usage: float = Field(description="what its quantity did, at the mean of both prices; over all meters volume and mix, and meters new or ended")
    unquantified: float


class ExplainedForecast(Distribution):
    actual: float = Field(description="what of it is billed")


class ExplainAnswer(Heading):
    """What makes a period cost more or less than the one before; contributions add up to the change."""

    scope: str
    start: date
    end: date
    comparison: ComparisonPeriod
    forecast: ExplainedForecast
    change: float
    change_percent: float | None
    contributions: list[Contribution]
    rows: list[ExplainRow]
    meters: list[ExplainedMeter]
    sentence: str


class ExhaustionDay(Answer):
    p10: date | None
    p50: date | None
    p90: date | None


class Conversion(Answer):
    """An amount that was given in another currency. rate : decimal text, because a number would not be the rate that was used."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    amount: float
    rate: str
    day: date
    source: str
    way: str


class AtRisk(Answer):
    """What a high quantile of the total is above the amount."""

    p90: float
    p95: float


class ThresholdStanding(Answer):
    """A condition on the answer. at, value : in the budget's own currency or unit."""

    threshold: str
    measure: str
    level: str
    at: float | date
    percent: bool
    value: float | date | None
    reached: bool


class OverrunPhase(Distribution):
    """What was planned for a part of the period, and what it will come to."""

    start: date
    end: date
    amount: float
    spent: float
    overrun_probability: float
    expected_overrun: float
    cumulative_amount: float
    cumulative_overrun_probability: float


class KnownMoney(Answer):
    """A part of the total that is known beforehand or came once."""

    kind: str = Field(description="one_off, recurring, commitment, licence or event")
    name: str
    start: date
    end: date
    amount: float | None
    in_bill: bool


class OverrunAnswer(Heading):
    """The chance that the period's total exceeds the amount, and when. Of a stored budget also whose it is; of a balance also what is left."""

    scope: str
    start: date
    end: date
    amount: float
    converted: Conversion | None
    status: str = Field(description="ahead, running or over")
    state: str = Field(description="ok, warn or act, by its thresholds")
    spent: float
    spent_settled: float
    spent_provisional: float = Field(description="billed of days whose bill is expected to change yet")
    pending: Distribution | None
    overrun_probability: float = Field(ge=0, le=1)
    standard_error: float
    expected_overrun: float
    budget_at_risk: AtRisk
    total: Distribution
    run_rate: float | None
    burn_ratio: float | None = Field(description="used ÷ planned for the days that are over")
    planned_to_date: float
    daily_allowance: float | None
    probability_exhausted: float
    exhaustion_day: ExhaustionDay
    thresholds: list[ThresholdStanding]
    phases: list[OverrunPhase]
    known: list[KnownMoney]
    balance: dict[str, Any] | None = None
    budget_id: str | None = None
    name: str | None = None
    owner: str | None = None
    kind: str | None = None
    parent: str | None = None
    repeats: str | None = None


class AnomalyAnswerRow(Answer):
    expected: float | None
    p_value: float | None
    score: float | None
    is_anomaly: bool


class AnomaliesAnswer(Heading):
    """One row out for one row in, in the same order."""

    rows: list[AnomalyAnswerRow]


class LeverAnswer(Answer):
    """A lever as it was written, defaults filled in, and what it does."""

    type: str
    delta: Distribution = Field(description="what it adds in its turn")
    share_of_delta: float = Field(description="what of the mean delta is its, whatever the order")
    response: dict[str, float] | None = Field(description="how what it touches follows usage: shares of elastic, measured, steps, fixed")
    notes: list[str]
    figures: dict[str, float | str | None]


class WaterfallPart(Answer):
    lever: int
    name: str
    mean: float


class Waterfall(Answer):
    """Shares of the mean delta by lever, which add up to it."""

    method: str = Field(description="exact, or sampled where more than eight levers meet")
    parts: list[WaterfallPart]
    sum: float


class ScenarioRow(Answer):
    group: dict[str, str]
    start: date
    end: date
    baseline: Distribution
    scenario: Distribution
    delta: Distribution


class UnitCost(Answer):
    """Of metered spend, on the mean. unit : million_tokens or machine_hour."""

    unit: str
    before: float
    after: float | None
    quantity_before: float
    quantity_after: float


class WhatIfAnswer(Heading):
    """Baseline, scenario and their difference, path by path."""

    scope: str
    start: date
    end: date
    name: str
    spent: float
    baseline: Distribution
    scenario: Distribution
    delta: Distribution
    probability_cheaper: float
    rows: list[ScenarioRow]
    levers: list[LeverAnswer]
    waterfall: Waterfall
    decomposition: dict[str, float] = Field(description="the mean delta as volume, price_and_mix, and money that comes by itself")
    budgets: list[dict[str, Any]]
    unit_costs: list[UnitCost]
    energy: dict[str, float] | None = Field(description="kwh_before, kwh_after and kwh_of_levers; null where nothing is known of any")
    break_even: dict[str, Any] | None = Field(description="probability, and the day p10, p50, p90 from which on the plan has saved more than it cost")
    warnings: list[str]
    compare: dict[str, Any] | None = Field(default=None, description="with compare_to: this plan and saved scenarios side by side")


class SpendReport(Answer):
    """What became of the rows of a delivery."""

    accepted: int
    unchanged: int
    superseded: int
    quarantined: int


class BudgetPhase(Answer):
    start: date
    amount: float


class BudgetAnswer(Answer):
    """A budget. `warnings` only where it was put: what does not fit with the budgets around it."""

    id: str
    scope: str
    start: date
    end: date
    amount: float
    currency: str | None
    cost: str
    name: str
    owner: str
    kind: str
    parent: str | None
    repeats: str | None
    phases: list[BudgetPhase]
    thresholds: list[str]
    unit: str
    unit_price: float | None
    warnings: list[str] | None = None


class BudgetList(Answer):
    """All budgets."""

    budgets: list[BudgetAnswer]


class AccuracyAnswer(Heading):
    """The backtest record of a snapshot."""

    scope: str
    backtest: dict[str, Any] | None


class ChampionAnswer(Answer):
    """The model version that serves, and who served before."""

    name: str
    version: str
    run_id: str | None
    registered_at: datetime
    promoted_at: datetime
    history: list[dict[str, Any]]


class SnapshotAnswer(Answer):
    """One forecast run: what it is made of and how far it sees."""

    id: str
    created_at: datetime
    cutoff: date
    cost: str
    currency: str
    n_paths: int
    size_bytes: int
    champion: dict[str, str]
    ledger_digest: str
    is_current: bool


class SnapshotList(Answer):
    """All snapshots, newest first."""

    snapshots: list[SnapshotAnswer]
