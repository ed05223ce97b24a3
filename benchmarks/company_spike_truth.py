"""What counts as found, as false, and as the right cause (`benchmarks/company_spikes.py`).

An alarm is explained by an incident where they go the same way, share days and agree in every dimension that both name, and where at least a fifth
of the alarm's money on all its days is the incident's: chance neighbours of a large benign rise are not found. It belongs to the incident with most
money. What comes up to a week after an incident, and nothing else explains, is its aftermath: no false alarm, but one more of the incident.
Everything else is false. Causes are judged as in `root_cause.py`, on the lines of the alarm's days.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.root_cause import REFERENCE_DAYS, Case
from benchmarks.root_cause import judge as judge_causes
from forecast.anomalies.attribution import Contributor
from forecast.company.generate import Company
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import LEAF_DIMENSIONS, UNKNOWN
from forecast.spend.scope import Scope
from forecast.workflows.board import Found
from forecast.workflows.lessons import Lesson
from forecast.workflows.shares import recent_spend

MONTH = 30
EXPLAINED = 0.2
AFTERMATH = 7
EARLY = 1
"""Days after an incident's first one on whose data the alarm is raised at the latest."""
CHANGED = 0.005
"""Part of an incident's excess from which a leaf is one that it changed."""
LEAF = list(LEAF_DIMENSIONS)


@dataclass(frozen=True)
class Alarm:
    """A merged incident as the product tells it, and the flagged days that it consists of."""

    incident: Mapping[str, Any]
    members: tuple[Found, ...]


@dataclass(frozen=True)
class Planted:
    """One true incident. money : day → what it added. share : of its money in what its node cost in the month before, without incidents.
    leaves : those that it changed. counted : it began within the days that are scored."""

    kind: str
    scope: Mapping[str, str]
    start: date
    money: Mapping[date, float]
    share: float
    leaves: frozenset[tuple[str, ...]]
    counted: bool

    @property
    def way(self) -> str:
        return "up" if sum(self.money.values()) >= 0.0 else "down"

    @property
    def end(self) -> date:
        return max(self.money) + timedelta(days=1)


@dataclass(frozen=True)
class Verdicts:
    """false : alarms that nothing explains. rows : of each counted incident kind, share, found, early, delay, alarms, first and exact."""

    false: int
    rows: list[dict[str, Any]] = field(default_factory=list)


def planted(company: Company, snapshot: Snapshot, first_day: np.datetime64) -> list[Planted]:
    """All incidents that touch the days from `first_day` on."""
    daily = company.daily.assign(**{name: company.daily[name].astype(str).replace("", UNKNOWN) for name in LEAF})
    daily["excess"] = daily["cost"] - daily["cost_without_incidents"]
    day = daily["ds"].to_numpy().astype("datetime64[D]")
    found = []
    for row in company.incidents.to_dict("records"):
        start = np.datetime64(str(row["start"])[:10], "D")
        money = np.asarray(row["daily_excess"], dtype=np.float64)
        if start + len(money) + AFTERMATH <= first_day:
            continue
        scope = {name: value or UNKNOWN for name, value in json.loads(str(row["scope"])).items()}
        own = np.ones(len(daily), dtype=np.bool_)
        for name, value in scope.items():
            own &= (daily[name] == value).to_numpy()
        month = float(daily["cost_without_incidents"].to_numpy()[own & (day < start) & (day >= start - MONTH)].sum())
        total = abs(float(money.sum()))
        days = (start + np.arange(len(money))).tolist()
        found.append(
            Planted(
                str(row["kind"]),
                scope,
                days[0],
                dict(zip(days, money.tolist(), strict=True)),
                total / month if month > 0.0 else 99.0,
                _changed(daily, own & (day >= start) & (day < start + len(money))),
                bool(start >= first_day),
            )
        )
    return found


def verdicts(
    truth: Sequence[Planted], alarms: Sequence[Alarm], explain: Callable[[Alarm], Sequence[Mapping[str, Any]]] | None, snapshot: Snapshot
) -> Verdicts:
    """explain : root causes of an alarm; None where causes are not asked."""
    of_incident: list[list[tuple[float, Alarm]]] = [[] for _ in truth]
    also: list[set[int]] = [set() for _ in truth]
    aftermath = [0] * len(truth)
    false = 0
    for number, alarm in enumerate(alarms):
        shared = [shared_money(alarm, one) for one in truth]
        for place, money in enumerate(shared):
            if money > 0.0:
                also[place].add(number)
        if shared and max(shared) > 0.0:
            of_incident[int(np.argmax(shared))].append((max(shared), alarm))
            continue
        before = next((place for place, one in enumerate(truth) if follows(alarm, one)), None)
        if before is None:
            false += 1
        else:
            aftermath[before] += 1
    rows = []
    for place, one in enumerate(truth):
        if not one.counted:
            continue
        seen = [alarms[number] for number in sorted(also[place])]
        delays = [(day - one.start).days for alarm in seen for day in raised(alarm, one)]
        delay = min(delays, default=None)
        row: dict[str, Any] = {
            "kind": one.kind,
            "share": round(one.share, 4),
            "found": bool(seen),
            "delay": delay,
            "early": delay is not None and delay <= EARLY,
            "alarms": max(len(of_incident[place]), int(bool(seen))) + aftermath[place],
            "first": None,
            "exact": None,
        }
        if explain is not None and of_incident[place]:
            largest = max(of_incident[place], key=lambda found: found[0])[1]
            row["first"], row["exact"] = causes_right(one, largest, explain(largest), snapshot)
        rows.append(row)
    return Verdicts(false, rows)


def shared_money(alarm: Alarm, one: Planted) -> float:
    """The incident's money on the alarm's days, 0 where it does not explain the alarm."""
    if alarm.incident["direction"] != one.way:
        return 0.0
    days = {found.flag.day for found in alarm.members if found.flag.day in one.money and agrees(found, one)}
    money = abs(sum(one.money[day] for day in days))
    return money if money >= EXPLAINED * abs(float(alarm.incident["impact"])) else 0.0


def real_ones(alarms: Sequence[Alarm], truth: Sequence[Planted]) -> list[Lesson]:
    """Alarms that some incident explains, as people who look at each of them would confirm it."""
    real = [alarm for alarm in alarms if any(shared_money(alarm, one) > 0.0 for one in truth)]
    return [
        lesson_of(alarm.incident["scope"], alarm.incident["direction"], {one.flag.day: abs(one.flag.impact) for one in alarm.members})
        for alarm in real
    ]


def lesson_of(scope: Mapping[str, str], way: str, money: Mapping[date, float]) -> Lesson:
    """What was said of a scope's days, at no time in particular."""
    return Lesson(Scope.parse({name: value.split("|") for name, value in scope.items()}), 1 if way == "up" else -1, money, datetime.min)


def follows(alarm: Alarm, one: Planted) -> bool:
    """Whether an alarm comes within the week after an incident, on its scope, its last day at the earliest."""
    days = [found.flag.day for found in alarm.members]
    in_time = one.end - timedelta(days=1) <= min(days) and one.end <= max(days) < one.end + timedelta(days=AFTERMATH)
    return in_time and any(agrees(found, one) for found in alarm.members)


def raised(alarm: Alarm, one: Planted) -> list[date]:
    """Days of the incident whose own data raised the alarm; where only later ones did, the first of those."""
    every = [found.flag.day for found in alarm.members if found.direct and found.flag.day >= one.start and agrees(found, one)]
    return [day for day in every if day in one.money] or every[:1]


def agrees(found: Found, one: Planted) -> bool:
    """Whether a flagged scope and an incident's agree in every dimension that both name."""
    named = found.flag.scope.as_values() or {}
    return all(one.scope.get(name, value) == value for name, value in named.items())


def causes_right(one: Planted, alarm: Alarm, causes: Sequence[Mapping[str, Any]], snapshot: Snapshot) -> tuple[bool, bool]:
    """Whether the first cause is right, and whether all of them are the true set."""
    lines = recent_spend(snapshot).frame
    day = lines["ds"].to_numpy().astype("datetime64[D]")
    days = np.array(sorted({found.flag.day for found in alarm.members if found.flag.day in one.money}), dtype="datetime64[D]")
    start = np.datetime64(one.start, "D")
    reference = lines[(day < start) & (day >= start - REFERENCE_DAYS)]
    sign = 1.0 if one.way == "up" else -1.0
    case = Case(one.kind, one.scope, {}, one.leaves, sign, lines[np.isin(day, days)], reference, days, 0.0, 0.0)
    given = [Contributor(dict(cause["scope"]), float(cause["impact"]), cause["share"], rest=bool(cause.get("rest"))) for cause in causes]
    return judge_causes(case, given)


def _changed(daily: pd.DataFrame, inside: NDArray[np.bool_]) -> frozenset[tuple[str, ...]]:
    """Leaves that cost more or less than without incidents."""
    own = daily.loc[inside].groupby(LEAF)["excess"].sum()
    return frozenset(own.index[own.abs() > CHANGED * abs(float(own.sum()))])
