"""Was that spike strange, and why? Scores of fresh rows, the incidents they make up, and their root causes. Changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from forecast.anomalies.attribution import Contributor
from forecast.anomalies.attribution_words import sentence
from forecast.anomalies.incidents import Flag, direction, incident_id, join, merge, named_by, named_by_money, severity
from forecast.anomalies.sensitivity import Sensitivity, strongest
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.joined import join_values
from forecast.spend.periods import parse_day
from forecast.spend.scope import Scope
from forecast.workflows.board import OWN_DAYS
from forecast.workflows.incident_causes import Breakdown, Others, whole_cause
from forecast.workflows.leaf_excess import LeafExcess
from forecast.workflows.spike_scores import RowAnswers, score_rows
from forecast.workflows.summary import finite, heading

MOST_ROWS = 100_000
MOST_EXPLAINED = 20
"""Incidents of one answer whose charge lines are searched for causes, largest first; the others name themselves."""


@dataclass(frozen=True)
class SpendRow:
    """Cost of a scope on one UTC day. timestamp : a day, a time stamp or epoch seconds; the `day` that it lies in counts."""

    scope: Scope
    timestamp: date | datetime | str | int | float
    cost: float
    day: date = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.cost, bool) or not isinstance(self.cost, (int, float)) or not math.isfinite(self.cost):
            raise InputError(f"cost is not money: got {self.cost!r}", field="cost", got=str(self.cost), allowed="a finite number")
        object.__setattr__(self, "day", _day(self.timestamp))


def anomaly_answer(
    snapshot: Snapshot,
    rows: Sequence[SpendRow],
    *,
    lines: pd.DataFrame | None = None,
    now: datetime | None = None,
    rules: Sensitivity | None = None,
) -> dict[str, Any]:
    """Expected cost, interval, p-value, score and incident of each row, and the incidents with their root causes.

    rows : each the day's whole cost of its scope; one row in, one row out, in order. lines : charge lines of the rows' days (columns
    `ds`, dimensions, `cost`, `quantity`), where there are any; causes are then found in them. Days of the snapshot's recent weeks
    need none. now : when the costs were known, UTC; a day is not strange for not being fully billed by then. rules : what incidents are news.
    Score is 0.5 where the declared false-alarm rate allows no more; a row is an anomaly from there on, where its incident is large enough.
    Values that never occurred are no error: they are judged by their parent (`derived: "parent"`). Of rows that give one scope and day different
    costs the last counts: the others are answered each by itself, marked `replaced`, and belong to no incident.
    Raises InputError for a day before the first day of spend and for more than 100,000 rows.
    """
    if len(rows) > MOST_ROWS:
        raise InputError(f"rows: got {len(rows)} of them", field="rows", got=len(rows), allowed=f"at most {MOST_ROWS}")
    days = np.array([row.day for row in rows], dtype="datetime64[D]")
    early = days < np.datetime64(snapshot.first_day, "D")
    if early.any():
        number = int(np.argmax(early))
        raise InputError(
            f"rows[{number}].timestamp {days[number]} is before the first day of spend {snapshot.first_day}",
            field=f"rows[{number}].timestamp",
            got=str(days[number]),
            allowed=f"at least {snapshot.first_day}",
        )
    answer: dict[str, Any] = {**heading(snapshot), "rows": [], "incidents": []}
    if not rows:
        return answer
    costs = np.array([row.cost for row in rows], dtype=np.float64)
    moment = None if now is None else np.datetime64(now.astimezone(UTC).replace(tzinfo=None), "us")
    scores = score_rows(snapshot, [row.scope for row in rows], days, costs, moment)
    replaced = _replaced(rows)
    incidents, incident_of = _incidents(snapshot, rows, scores, lines, rules, replaced)
    answer["rows"] = _row_answers(rows, scores, incident_of)
    for number in replaced:
        large = abs(costs[number] - scores.expected[number]) >= _least_impact(snapshot)
        answer["rows"][number] |= {"is_anomaly": bool(scores.is_anomaly[number] and large), "replaced": True}
    answer["incidents"] = incidents
    return answer


def _replaced(rows: Sequence[SpendRow]) -> set[int]:
    """Numbers of the rows that a later one of the same scope and day gives another cost."""
    last = {(row.scope, row.day): row.cost for row in rows}
    return set() if len(last) == len(rows) else {number for number, row in enumerate(rows) if row.cost != last[row.scope, row.day]}


def _row_answers(rows: Sequence[SpendRow], scores: RowAnswers, incident_of: Mapping[int, str]) -> list[dict[str, Any]]:
    texts = {scope: str(scope) for scope in {row.scope for row in rows}}
    found = []
    columns = (scores.expected, scores.lower, scores.upper, scores.p_value, scores.score, scores.basis)
    for number, (row, expected, lower, upper, p_value, score, basis) in enumerate(zip(rows, *(column.tolist() for column in columns), strict=True)):
        answer = {
            "scope": texts[row.scope],
            "timestamp": row.day.isoformat(),
            "cost": row.cost,
            "expected": finite(expected),
            "lower": finite(lower),
            "upper": finite(upper),
            "p_value": p_value,
            "score": score,
            "is_anomaly": number in incident_of,
            "direction": direction(row.cost - expected) if math.isfinite(expected) else None,
            "incident": incident_of.get(number),
        }
        if basis != "forecast":
            answer["derived"] = basis
        found.append(answer)
    return found


def _incidents(
    snapshot: Snapshot,
    rows: Sequence[SpendRow],
    scores: RowAnswers,
    lines: pd.DataFrame | None,
    rules: Sensitivity | None,
    replaced: Collection[int],
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    strange = [number for number in np.flatnonzero(scores.is_anomaly).tolist() if number not in replaced]
    if not strange:
        return [], {}
    expected = scores.expected.tolist()
    counting = [(row.scope, row.day, row.cost, mean) for number, (row, mean) in enumerate(zip(rows, expected, strict=True)) if number not in replaced]
    scopes, days, costs, means = map(list, zip(*counting, strict=True))
    flags = [
        Flag(number, rows[number].scope, rows[number].day, rows[number].cost, expected[number], float(scores.p_value[number])) for number in strange
    ]

    def kind(group: Sequence[Flag]) -> str:
        return "new_spend" if all(scores.basis[flag.number] == "parent" for flag in group) else "spike" if group[0].direction == "up" else "drop"

    return incidents_of(
        snapshot,
        flags,
        lines,
        kind,
        Others(scopes, days, costs, means),
        own_days=OWN_DAYS,
        minimum_impact=_least_impact(snapshot),
        rules=rules,
        ratios={number: float(scores.ratio[number]) for number in strange},
    )


def _least_impact(snapshot: Snapshot) -> float:
    """Money that an incident has at least, as training found it."""
    arrays = snapshot.detector
    return float(arrays["minimum_impact"][0]) if "minimum_impact" in arrays else 0.0


def incidents_of(
    snapshot: Snapshot,
    flags: Sequence[Flag],
    lines: pd.DataFrame | None,
    kind: Callable[[Sequence[Flag]], str],
    others: Others | None = None,
    *,
    own_days: int = 1,
    minimum_impact: float = 0.0,
    rules: Sensitivity | None = None,
    ratios: Mapping[int, float] | None = None,
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Incidents of flagged days with their root causes, and for each flag's number the incident that it belongs to.

    kind : what a group of flags of one scope is called. others : where causes are looked for when no charge lines are known. own_days : as
    `anomalies.incidents.merge`. minimum_impact : money; smaller incidents are left out, and so are those that the `rules` take for no news.
    ratios : for each flag's number its strength ÷ threshold, for rules that ask for more.
    """
    if not flags:
        return [], {}
    apart, excess = merge(flags, own_days=own_days), LeafExcess(snapshot, lines)
    groups = join(apart, excess) if len(apart) > 1 else apart
    whole = {tuple(flag.number for flag in group) for group in apart}
    sensitivity = rules or Sensitivity()
    news: list[tuple[Scope, list[Flag]]] = []
    for group in groups:
        joined = tuple(flag.number for flag in group) not in whole
        scope = named_by_money(group, excess) if joined else named_by(group)
        own = list({flag.day: flag for flag in group if flag.scope == scope}.values())
        actual, expected = sum(flag.cost for flag in own), sum(flag.expected for flag in own)
        ratio = strongest([flag.number for flag in group], ratios)
        if sensitivity.lets_through(scope, actual - expected, expected, ratio=ratio, minimum_impact=minimum_impact):
            news.append((scope, group))
    sizes = sorted((max(abs(flag.impact) for flag in group) for _, group in news), reverse=True)
    least = sizes[min(len(sizes), MOST_EXPLAINED) - 1] if sizes else 0.0
    breakdown = Breakdown(snapshot, lines)
    incident_of: dict[int, str] = {}
    incidents = []
    for scope, group in news:
        explained = max(abs(flag.impact) for flag in group) >= least
        incident = _incident(snapshot, scope, group, kind, breakdown if explained else None, others)
        incidents.append(incident)
        incident_of.update((flag.number, incident["id"]) for flag in group)
    return incidents, incident_of


def _incident(
    snapshot: Snapshot,
    scope: Scope,
    group: Sequence[Flag],
    kind_of: Callable[[Sequence[Flag]], str],
    breakdown: Breakdown | None,
    others: Others | None,
) -> dict[str, Any]:
    way = group[0].direction
    days = sorted({flag.day for flag in group})
    # The incident's money is that of its own scope; other flagged scopes of the group are the same money seen from above or below.
    own = {flag.day: flag for flag in group if flag.scope == scope}
    actual, expected = sum(flag.cost for flag in own.values()), sum(flag.expected for flag in own.values())
    impact = actual - expected
    kind = kind_of(list(own.values()))
    causes = _causes(snapshot, scope, sorted(own), actual, expected, breakdown, others)
    return {
        "id": incident_id(kind, way, scope, days[0]),
        "kind": kind,
        "status": "open",
        "direction": way,
        "severity": severity(impact, expected / len(own)),
        "scope": scope_values(scope),
        "start": days[0].isoformat(),
        "end": (days[-1] + timedelta(days=1)).isoformat(),
        "actual": actual,
        "expected": expected,
        "impact": impact,
        "impact_percent": 100.0 * impact / abs(expected) if expected else None,
        "p_value": min(flag.p_value for flag in group),
        "parts": [
            {"start": day.isoformat(), "end": (day + timedelta(days=1)).isoformat(), "actual": own[day].cost, "expected": own[day].expected}
            for day in sorted(own)
        ],
        "root_causes": [cause.as_dict() for cause in causes],
        "sentence": sentence(
            str(scope), (min(own).isoformat(), max(own).isoformat()), actual, expected, snapshot.currency, [cause for cause in causes if cause.scope]
        ),
    }


def scope_values(scope: Scope) -> dict[str, str]:
    """The conditions of a scope as an incident has them; `split_values` reads them."""
    return {f"{clause.dimension}!" if clause.exclude else clause.dimension: join_values(clause.values) for clause in scope.clauses}


def _causes(
    snapshot: Snapshot, scope: Scope, days: Sequence[date], actual: float, expected: float, breakdown: Breakdown | None, others: Others | None
) -> list[Contributor]:
    if breakdown is not None:
        found = breakdown.causes(scope, days, actual, expected)
        if found is not None:
            return found
    return [whole_cause(scope, actual - expected)] if others is None else others.causes(scope, days, actual - expected)


def _day(timestamp: date | datetime | str | int | float) -> date:
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        try:
            return datetime.fromtimestamp(timestamp, UTC).date()
        except (ValueError, OverflowError, OSError):
            raise InputError(
                f"timestamp is not a time: got {timestamp}", field="timestamp", got=str(timestamp), allowed="a day or epoch seconds"
            ) from None
    if isinstance(timestamp, str) and len(timestamp.strip()) > 10:
        try:
            timestamp = datetime.fromisoformat(timestamp.strip())
        except ValueError:
            return parse_day(timestamp, "timestamp")
    if isinstance(timestamp, datetime) and timestamp.tzinfo is not None:
        timestamp = timestamp.astimezone(UTC)
    return parse_day(timestamp, "timestamp")  # type: ignore[arg-type]
