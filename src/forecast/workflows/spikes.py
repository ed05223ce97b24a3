"""Was that spike strange, and why? Scores of fresh rows, the incidents they make up, and their root causes. Changes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from forecast.anomalies.attribution import Contributor, root_causes
from forecast.anomalies.attribution_days import ordinary
from forecast.anomalies.attribution_words import sentence
from forecast.anomalies.incidents import Flag, direction, incident_id, join, merge, named_by, named_by_money, severity
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS
from forecast.spend.periods import parse_day
from forecast.spend.scope import Scope
from forecast.workflows.leaf_excess import LeafExcess
from forecast.workflows.shares import recent_spend
from forecast.workflows.spike_scores import RowAnswers, score_rows
from forecast.workflows.summary import finite, heading

MOST_ROWS = 100_000
REFERENCE_DAYS = 28
"""Ordinary days that an incident's charge lines are compared with."""
MOST_TAGS = 8
"""Tag keys that causes are looked for in."""
MOST_EXPLAINED = 20
"""Incidents of one answer whose charge lines are searched for causes, largest first; the others name themselves."""


@dataclass(frozen=True)
class SpendRow:
    """Cost of a scope on one UTC day. timestamp : a day, a time stamp or epoch seconds; the day that it lies in counts."""

    scope: Scope
    timestamp: date | datetime | str | int | float
    cost: float

    def __post_init__(self) -> None:
        if isinstance(self.cost, bool) or not isinstance(self.cost, (int, float)) or not math.isfinite(self.cost):
            raise InputError(f"cost is not money: got {self.cost!r}", field="cost", got=str(self.cost), allowed="a finite number")
        _day(self.timestamp)

    @property
    def day(self) -> date:
        return _day(self.timestamp)


def anomaly_answer(snapshot: Snapshot, rows: Sequence[SpendRow], *, lines: pd.DataFrame | None = None, now: datetime | None = None) -> dict[str, Any]:
    """Expected cost, interval, p-value, score and incident of each row, and the incidents with their root causes.

    rows : each the day's whole cost of its scope; one row in, one row out, in order. lines : charge lines of the rows' days (columns
    `ds`, dimensions, `cost`, `quantity`), where there are any; causes are then found in them. Days of the snapshot's recent weeks
    need none. now : when the costs were known, UTC; a day is not strange for not being fully billed by then.
    A row is an anomaly where its p-value is rarer than the declared false-alarm rate allows; score is 0.5 there.
    Values that never occurred are no error: they are judged by their parent (`derived: "parent"`).
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
    incidents, incident_of = _incidents(snapshot, rows, scores, lines)
    answer["rows"] = _row_answers(rows, scores, incident_of)
    answer["incidents"] = incidents
    return answer


def _row_answers(rows: Sequence[SpendRow], scores: RowAnswers, incident_of: Mapping[int, str]) -> list[dict[str, Any]]:
    texts: dict[Scope, str] = {}
    found = []
    columns = (scores.expected, scores.lower, scores.upper, scores.p_value, scores.score, scores.is_anomaly, scores.basis)
    for number, (row, expected, lower, upper, p_value, score, strange, basis) in enumerate(
        zip(rows, *(column.tolist() for column in columns), strict=True)
    ):
        text = texts.get(row.scope)
        if text is None:
            text = texts[row.scope] = str(row.scope)
        answer = {
            "scope": text,
            "timestamp": row.day.isoformat(),
            "cost": row.cost,
            "expected": finite(expected),
            "lower": finite(lower),
            "upper": finite(upper),
            "p_value": p_value,
            "score": score,
            "is_anomaly": strange,
            "direction": direction(row.cost - expected) if math.isfinite(expected) else None,
            "incident": incident_of.get(number),
        }
        if basis != "forecast":
            answer["derived"] = basis
        found.append(answer)
    return found


def _incidents(
    snapshot: Snapshot, rows: Sequence[SpendRow], scores: RowAnswers, lines: pd.DataFrame | None
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    flags = [
        Flag(number, rows[number].scope, rows[number].day, rows[number].cost, float(scores.expected[number]), float(scores.p_value[number]))
        for number in np.flatnonzero(scores.is_anomaly).tolist()
    ]
    if not flags:
        return [], {}
    apart, excess = merge(flags), LeafExcess(snapshot, lines)
    groups = join(apart, excess) if len(apart) > 1 else apart
    whole = {tuple(flag.number for flag in group) for group in apart}
    sizes = sorted((max(abs(flag.impact) for flag in group) for group in groups), reverse=True)
    least = sizes[min(len(sizes), MOST_EXPLAINED) - 1]
    breakdown = _Breakdown(snapshot, lines)
    others = _Others(rows, scores)
    incident_of: dict[int, str] = {}
    incidents = []
    for group in groups:
        explained = max(abs(flag.impact) for flag in group) >= least
        joined = tuple(flag.number for flag in group) not in whole
        scope = named_by_money(group, excess) if joined else named_by(group)
        incident = _incident(snapshot, scope, group, scores, breakdown if explained else None, others)
        incidents.append(incident)
        incident_of.update((flag.number, incident["id"]) for flag in group)
    return incidents, incident_of


def _incident(
    snapshot: Snapshot, scope: Scope, group: Sequence[Flag], scores: RowAnswers, breakdown: _Breakdown | None, others: _Others
) -> dict[str, Any]:
    way = group[0].direction
    days = sorted({flag.day for flag in group})
    # The incident's money is that of its own scope; other flagged scopes of the group are the same money seen from above or below.
    own = {flag.day: flag for flag in group if flag.scope == scope}
    actual, expected = sum(flag.cost for flag in own.values()), sum(flag.expected for flag in own.values())
    impact = actual - expected
    is_new = all(scores.basis[flag.number] == "parent" for flag in own.values())
    kind = "new_spend" if is_new else "spike" if way == "up" else "drop"
    causes = _causes(snapshot, scope, sorted(own), actual, expected, breakdown, others)
    return {
        "id": incident_id(kind, way, scope, days[0]),
        "kind": kind,
        "status": "open",
        "direction": way,
        "severity": severity(impact, expected / len(own)),
        "scope": {name: "|".join(values) for name, values in _scope_values(scope).items()},
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


def _scope_values(scope: Scope) -> dict[str, tuple[str, ...]]:
    return {f"{clause.dimension}!" if clause.exclude else clause.dimension: clause.values for clause in scope.clauses}


def _causes(
    snapshot: Snapshot, scope: Scope, days: Sequence[date], actual: float, expected: float, breakdown: _Breakdown | None, others: _Others
) -> list[Contributor]:
    if breakdown is not None:
        found = breakdown.causes(scope, days, actual, expected)
        if found is not None:
            return found
    return others.causes(scope, days, actual - expected)


class _Breakdown:
    """Charge lines by day and every dimension: the caller's fresh ones and the snapshot's recent ones."""

    def __init__(self, snapshot: Snapshot, fresh: pd.DataFrame | None) -> None:
        self.snapshot = snapshot
        self.recent = recent_spend(snapshot)
        self.fresh = fresh
        if fresh is not None:
            missing = [name for name in ("ds", "cost") if name not in fresh.columns]
            if missing:
                raise InputError(
                    f"lines have no column {missing[0]!r}", field="lines", got=list(fresh.columns), allowed="ds, dimensions, cost, quantity"
                )

    def causes(self, scope: Scope, days: Sequence[date], actual: float, expected: float) -> list[Contributor] | None:
        """Root causes within the scope, or None where the days' lines are not known."""
        wanted = np.array(days, dtype="datetime64[D]")
        known = self.recent.first_day
        if known is None:
            return None
        in_scope = self._recent_lines(scope)
        if in_scope is None:
            return None
        if (wanted <= np.datetime64(self.snapshot.cutoff, "D")).all() and (wanted >= known).all():
            current = in_scope[np.isin(in_scope["ds"].to_numpy().astype("datetime64[D]"), wanted)]
        elif self.fresh is not None:
            current = _within(self.fresh[np.isin(self.fresh["ds"].to_numpy().astype("datetime64[D]"), wanted)], scope)
        else:
            return None
        day = in_scope["ds"].to_numpy().astype("datetime64[D]")
        reference = in_scope[(day < wanted[0]) & (day >= wanted[0] - np.timedelta64(REFERENCE_DAYS, "D"))]
        if reference.empty:
            reference = in_scope[~np.isin(day, wanted)]
        if current.empty or reference.empty:
            return None
        fixed = {clause.dimension for clause in scope.clauses if not clause.exclude and len(clause.values) == 1}
        known_names = [*DIMENSIONS, *self._tag_names()]
        dimensions = [name for name in known_names if name not in fixed and name in current.columns and name in reference.columns]
        found = root_causes(current, ordinary(reference, wanted), dimensions, actual=actual, expected=expected)
        base = _single(scope)
        return [cause if cause.rest else replace(cause, scope={**base, **cause.scope}) for cause in found]

    def _tag_names(self) -> list[str]:
        """Tag keys that causes are looked for in, beside the dimensions."""
        return [name for name in self.recent.tag_keys if name not in DIMENSIONS][:MOST_TAGS]

    def _recent_lines(self, scope: Scope) -> pd.DataFrame | None:
        hierarchy, recent = self.snapshot.hierarchy, self.recent
        mask = np.ones(len(recent.cost), dtype=bool)
        try:
            mask &= hierarchy.leaf_mask(scope)[recent.leaf]
            for clause in scope.clauses:
                if clause.dimension not in hierarchy.dimensions:
                    mask &= recent.matches(clause)
        except InputError:
            return None
        frame = recent.frame[mask]
        missing = [name for name in hierarchy.dimensions if name not in frame.columns]
        columns: dict[str, Any] = {name: hierarchy.leaves[name].to_numpy()[recent.leaf[mask]] for name in missing}
        for name in self._tag_names():
            if name not in frame.columns and name not in columns:
                codes, values = recent.column(name)
                columns[name] = pd.Categorical.from_codes(codes[mask], categories=pd.Index(values))
        return frame.assign(**columns) if columns else frame


def _within(frame: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """Lines that meet the scope's conditions on columns that the frame has."""
    mask = np.ones(len(frame), dtype=bool)
    for clause in scope.clauses:
        if clause.dimension in frame.columns:
            inside = frame[clause.dimension].isin(clause.values).to_numpy()
            mask &= ~inside if clause.exclude else inside
    return frame[mask]


class _Others:
    """The other rows of the request: where no charge lines are known, they are the breakdown."""

    def __init__(self, rows: Sequence[SpendRow], scores: RowAnswers) -> None:
        self.rows = rows
        self.scores = scores
        self.row_of: dict[tuple[Scope, date], int] = {(row.scope, row.day): number for number, row in enumerate(rows)}
        self.inside: dict[Scope, list[tuple[str, Scope]]] = {}
        for inner in dict.fromkeys(row.scope for row in rows):
            if inner.as_values() is not None:
                for clause in inner.clauses:
                    outer = Scope(tuple(other for other in inner.clauses if other != clause))
                    self.inside.setdefault(outer, []).append((clause.dimension, inner))

    def causes(self, scope: Scope, days: Sequence[date], excess: float) -> list[Contributor]:
        """Rows that narrow the scope by one dimension, the dimension whose rows explain the excess best; else the scope itself."""
        impacts: dict[str, dict[Scope, float]] = {}
        for dimension, inner in self.inside.get(scope, ()):
            for day in days:
                number = self.row_of.get((inner, day))
                if number is None or not math.isfinite(self.scores.expected[number]):
                    continue
                of_values = impacts.setdefault(dimension, {})
                of_values[inner] = of_values.get(inner, 0.0) + self.rows[number].cost - float(self.scores.expected[number])
        whole = [Contributor(_single(scope), excess, 1.0 if excess else None)]
        if not impacts or not excess:
            return whole
        best = min(sorted(impacts), key=lambda name: abs(excess - sum(impacts[name].values())))
        ranked = sorted(impacts[best].items(), key=lambda item: (-item[1] * math.copysign(1.0, excess), str(item[0])))
        found = [Contributor(_single(inner), impact, impact / excess) for inner, impact in ranked if abs(impact) >= 0.05 * abs(excess)]
        rest = excess - sum(cause.impact for cause in found)
        if not found:
            return whole
        if abs(rest) > 1e-9 * abs(excess):
            found.append(Contributor({}, rest, rest / excess, rest=True))
        return found


def _single(scope: Scope) -> dict[str, str]:
    return {clause.dimension: clause.values[0] for clause in scope.clauses if not clause.exclude and len(clause.values) == 1}


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
