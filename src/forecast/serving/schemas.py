"""What may be asked over HTTP. Every model refuses unknown fields, NaN and infinities, and text where a number belongs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema

from forecast.budgets.budget import MOST_PHASES, MOST_THRESHOLDS, Budget, Phase
from forecast.budgets.budget_rows import amount_of
from forecast.budgets.entry import check_entry
from forecast.budgets.thresholds import Threshold
from forecast.errors import InputError
from forecast.serving.problems import clipped
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Period, parse_day, parse_period
from forecast.spend.scope import Scope
from forecast.workflows.explanation import read_comparison

MOST_ROWS = 10_000
MOST_LEVERS = 50
MOST_SCOPE = 4_000
"""Characters of a scope, however it is written."""
MOST_LEVER = 3 * MOST_SCOPE
LARGEST_AMOUNT = 1e15
FIRST_YEAR, LAST_YEAR = 1970, 2200

Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
SnapshotId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]
Cost = Literal["effective", "billed"]
Amount = Annotated[float, Field(gt=0, le=LARGEST_AMOUNT)]


def read_scope(value: Any) -> Scope:
    """A scope from text, from an object of values, or from nothing."""
    if isinstance(value, Scope):
        return value
    if value is not None and not isinstance(value, str | Mapping):
        raise InputError("scope is neither text nor an object", field="scope", got=value, allowed='"team=ads,stage!=dev" or {"team": ["ads"]}')
    # Before parsing, and not after: a text of megabytes would keep the service busy only to be refused.
    if value is not None and (length := written_length(value)) > MOST_SCOPE:
        raise InputError(f"scope has {length} characters", field="scope", got=length, allowed=f"at most {MOST_SCOPE} characters")
    if isinstance(value, Mapping):
        for name, values in value.items():
            if not (isinstance(values, str) or (isinstance(values, list) and all(isinstance(item, str) for item in values))):
                raise InputError(
                    f"scope.{name} is neither text nor a list of texts", field=f"scope.{name}", got=values, allowed="text or a list of texts"
                )
    scope = Scope.parse(value)
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in str(scope)):
        raise InputError("scope contains a control character", field="scope", got=str(scope), allowed="printable text")
    return scope


def written_length(value: Any) -> int:
    """Characters of a value of JSON, however deep it is."""
    if isinstance(value, Mapping):
        return sum(len(str(name)) + written_length(item) + 1 for name, item in value.items())
    if isinstance(value, list | tuple):
        return sum(written_length(item) + 1 for item in value)
    return len(value) if isinstance(value, str) else 8


def read_lever(value: Any) -> Any:
    """A lever as it was sent, unless it is longer than any can be; its own reader checks the rest."""
    if (length := written_length(value)) > MOST_LEVER:
        raise InputError(f"lever has {length} characters", field="levers", got=length, allowed=f"at most {MOST_LEVER} characters")
    return value


def read_dimensions(value: Any) -> tuple[str, ...]:
    """Names of dimensions from `"team,service"` or a list; at most five."""
    if isinstance(value, tuple):
        value = list(value)
    if not (isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))):
        raise InputError("group_by is neither text nor a list of texts", field="group_by", got=value, allowed='"team,service" or ["team", "service"]')
    if (length := written_length(value)) > MOST_SCOPE:
        raise InputError(f"group_by has {length} characters", field="group_by", got=length, allowed="at most 5 names")
    names = parse_dimensions(value)
    if len(names) > 5:
        raise InputError(f"group_by names {len(names)} dimensions", field="group_by", got=len(names), allowed="at most 5")
    return names


def read_moment_day(value: Any) -> date:
    """The UTC day of a moment that is written as a day or a time stamp."""
    if not isinstance(value, str) or len(value) > 40:
        raise InputError("as_of is not a day or a time", field="as_of", got=value, allowed="YYYY-MM-DD or an ISO 8601 time")
    return parse_day(value, "as_of")


def read_moment(value: Any) -> datetime:
    """A time stamp in UTC from ISO 8601 text; a bare day is its midnight, a time without a zone counts as UTC."""
    allowed = "ISO 8601 such as 2026-12-11 or 2026-12-11T08:00:00+02:00"
    try:
        moment = datetime.fromisoformat(value.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (AttributeError, ValueError, OverflowError):
        raise InputError(f"timestamp is not a time: {clipped(str(value))!r}", field="timestamp", got=value, allowed=allowed) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InputError(
            f"timestamp {moment.isoformat()} is not a time of spend", field="timestamp", got=value, allowed=f"years {FIRST_YEAR} to {LAST_YEAR}"
        )
    return moment


ScopeField = Annotated[
    Scope,
    PlainValidator(read_scope),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MOST_SCOPE},
                {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}},
                {"type": "null"},
            ],
            "description": "A filter over dimensions and tag keys; empty is the whole company.",
            "examples": ["team=ads|search,stage!=dev", {"team": ["ads", "search"], "stage!": "dev"}],
        }
    ),
]
GroupBy = Annotated[
    tuple[str, ...],
    PlainValidator(read_dimensions),
    PlainSerializer(list, return_type=list[str]),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"type": "string"}, "maxItems": 5}, {"type": "string"}], "examples": [["team"], "team,service"]}
    ),
]
Moment = Annotated[datetime, PlainValidator(read_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
AsOf = Annotated[
    date | None,
    BeforeValidator(lambda value: value if value is None else read_moment_day(value)),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, {"type": "null"}]}),
]


def read_ids(value: Any) -> tuple[str, ...]:
    """Ids of saved scenarios: one, a list, or nothing; who reads them says which cannot be."""
    ids = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(ids, list | tuple) or not all(isinstance(item, str) and len(item) <= 200 for item in ids):
        raise InputError("compare_to is neither an id nor a list of ids", field="compare_to", got=value, allowed='"growth" or ["growth", "base"]')
    return tuple(ids)


CompareTo = Annotated[
    tuple[str, ...],
    PlainValidator(read_ids),
    PlainSerializer(list, return_type=list[str]),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}, "maxItems": 10}, {"type": "string"}, {"type": "null"}]}),
]


class Asked(BaseModel):
    """What every question may say about where its answer comes from."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class SnapshotChoice(Asked):
    """Which snapshot answers: the current one, one by id, or the one that an earlier day would have had."""

    cost: Cost = Field(default="effective", description="which cost counts")
    as_of: AsOf = Field(default=None, description="answer from the newest snapshot whose cutoff is not after this day (UTC)")
    snapshot_id: SnapshotId | None = Field(default=None, description="answer from this snapshot; the first 8 characters are enough")


class PeriodChoice(SnapshotChoice):
    """A scope and its days: `period`, or `start` and `end` (exclusive)."""

    scope: ScopeField = Scope()
    period: Text | None = Field(default=None, examples=["2027-Q1", "2027-03", "2027-W05", "2027"])
    start: date | None = Field(default=None, examples=["2027-01-01"])
    end: date | None = Field(default=None, description="first day that does not count", examples=["2027-04-01"])

    def days(self, calendar: FiscalCalendar) -> Period:
        """The days asked for; InputError where they are said twice, by half, or not at all."""
        return read_period(self.period, self.start, self.end, calendar)


def read_period(period: str | None, start: date | None, end: date | None, calendar: FiscalCalendar) -> Period:
    """`period`, or `start` and `end`; exactly one of the two."""
    if period is not None and start is None and end is None:
        return parse_period(period, calendar)
    if period is None and start is not None and end is not None:
        return Period(start, end)
    allowed = 'period such as "2027-Q1", or both start and end'
    missing = "start" if start is None else "end"
    if period is not None:
        raise InputError("The days are said twice: by period and by start or end", field="period", got=period, allowed=allowed)
    raise InputError(f"{missing} is missing: a question needs its days", field=missing, got=None, allowed=allowed)


class ForecastRequest(PeriodChoice):
    """What will we spend?"""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scope": "team=ads", "period": "2027-Q1", "granularity": "month", "group_by": ["service"]}]}
    )

    granularity: Literal["day", "week", "month", "quarter", "year"] = "month"
    group_by: GroupBy = ()
    quantiles: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1, max_length=99)] = (0.1, 0.5, 0.9)


class OverrunRequest(PeriodChoice):
    """Will we overrun? A stored budget by `budget_id`, or any scope, days and amount."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"budget_id": "ads-q1"}, {"scope": "team=ads", "period": "2027-Q1", "amount": 250000}]})

    budget_id: Text | None = None
    amount: Amount | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        default=None, description="of the amount; another one than the ledger's is converted at the rate of the cutoff"
    )
    at: date | None = Field(default=None, description="of a stored budget that repeats: the occurrence that holds this day")


class ExplainRequest(PeriodChoice):
    """Why will it cost more or less than last time? Without `compare` or its days: than the period before."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scope": "team=ads", "period": "2027-Q1", "group_by": ["provider"]}]})

    compare: Text | None = Field(default=None, description="the period to compare with, by name", examples=["2026-Q4"])
    compare_start: date | None = None
    compare_end: date | None = Field(default=None, description="first day that does not count")
    group_by: GroupBy = Field(default=(), description="leaf dimensions of the rows")

    def comparison(self, calendar: FiscalCalendar) -> Period | None:
        """The period to compare with, None for the one before; InputError where it is said twice or by half."""
        return read_comparison(self.compare, self.compare_start, self.compare_end, calendar)


class AnomalyRow(Asked):
    """Fresh spend of one scope or series on one day."""

    scope: ScopeField | None = None
    series: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None = Field(
        default=None, description="a leaf's id (its values joined by |), in place of a scope", examples=["openai|OpenAI API|ads|prod|ranking"]
    )
    timestamp: Moment = Field(description="ISO 8601; without a zone it is UTC", examples=["2026-12-11T00:00:00Z"])
    cost: float = Field(ge=-LARGEST_AMOUNT, le=LARGEST_AMOUNT)


class AnomaliesRequest(SnapshotChoice):
    """Was that strange? Nothing is changed unless `commit` is true."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rows": [{"scope": "team=ads", "timestamp": "2026-12-11T00:00:00Z", "cost": 1234.5}]}]}
    )

    rows: Annotated[tuple[AnomalyRow, ...], Field(min_length=1, max_length=MOST_ROWS)]
    commit: bool = Field(default=False, description="keep the incidents that were found; without it nothing is changed")


class WhatIfRequest(PeriodChoice):
    """What if we scale? `levers` change usage, price or share of a scope over days."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "period": "2027-Q1",
                    "levers": [{"type": "scale_usage", "scope": "team=ads", "factor": 2.0, "from": "2027-02-01", "until": "2027-03-01"}],
                }
            ]
        }
    )

    levers: Annotated[tuple[Annotated[dict[str, Any], BeforeValidator(read_lever)], ...], Field(max_length=MOST_LEVERS)] = ()
    granularity: Literal["day", "week", "month", "quarter", "year"] | None = Field(default=None, description="without it one row a group")
    group_by: GroupBy | None = Field(default=None, description="dimensions of the rows (team, ai_model, region, a tag …); without it the team")
    compare_to: CompareTo = Field(
        default=(), description="ids of saved scenarios to stand beside this plan, at most 10; base is the forecast as it is"
    )


class PhaseBody(Asked):
    """What is planned from a day to the next phase, or to the end."""

    start: date
    amount: float = Field(ge=0, le=LARGEST_AMOUNT)


class BudgetBody(Asked):
    """A budget as it is put: its id is in the path."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"scope": "team=ads", "period": "2027-Q1", "amount": 250000, "owner": "ads-leads"},
                {
                    "scope": "team=ads",
                    "period": "2027-01",
                    "repeats": "month",
                    "amount": 80000,
                    "parent": "company",
                    "phases": [{"start": "2027-01-01", "amount": 30000}, {"start": "2027-01-11", "amount": 50000}],
                    "thresholds": ["probability>=30%:warn", "actual>=80%:act"],
                },
            ]
        }
    )

    scope: ScopeField = Scope()
    period: Text | None = None
    start: date | None = None
    end: date | None = None
    amount: Amount | None = Field(default=None, description="without it what the phases add up to")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    cost: Cost = "effective"
    name: Text = ""
    owner: Text = ""
    kind: Literal["budget", "experiment", "balance"] = "budget"
    parent: Text | None = Field(default=None, description="id of the budget that it is a part of")
    repeats: Literal["month", "quarter", "year"] | None = Field(default=None, description="it begins anew with each")
    phases: Annotated[tuple[PhaseBody, ...], Field(max_length=MOST_PHASES)] = ()
    thresholds: Annotated[tuple[Text, ...], Field(max_length=MOST_THRESHOLDS, examples=[["probability>=30%:warn", "exhaustion<2027-03-01:act"]])] = ()
    unit: Text = Field(default="", description="of a balance that is not kept in money")
    unit_price: Amount | None = Field(default=None, description="what one unit is worth")

    def budget(self, budget_id: str, calendar: FiscalCalendar) -> Budget:
        """The budget; InputError and BudgetError for what cannot be."""
        days = read_period(self.period, self.start, self.end, calendar)
        phases = tuple(Phase(phase.start, phase.amount) for phase in self.phases)
        budget = Budget(
            budget_id,
            self.scope,
            days.start,
            days.end,
            amount_of(self.amount, phases),
            self.currency,
            self.cost,
            self.name.strip(),
            self.owner.strip(),
            self.kind,
            self.parent,
            self.repeats,
            phases,
            tuple(Threshold.parse(text) for text in self.thresholds),
            self.unit.strip(),
            self.unit_price,
        )
        check_entry(budget, calendar)
        return budget
