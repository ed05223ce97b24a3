"""From flagged rows to incidents: nested scopes and neighbouring days of one direction are one cause, and so are scopes that share the money."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from forecast.spend.scope import Clause, Scope

MOST_CLAUSES = 8
"""Scopes of more conditions are only nested in themselves and in the company: 2^n of them are looked up."""
EXPLAINS = 0.8
"""An incident is named by its most specific scope that holds this part of the largest impact."""
SHARED = 0.6
"""Incidents are one where so much of the smaller one's excess lies on the same leaves and days as the other's."""
HOLDS = 0.9
"""An incident of several such scopes is named by the smallest of them that holds this part of their excess together."""
MOST_COMPARED = 500
"""Incidents whose leaves are compared, largest first: it takes each with each."""
SEVERITIES: tuple[tuple[float, str], ...] = ((0.5, "critical"), (0.1, "high"), (0.03, "medium"))
"""Impact as part of a month of expected spend."""


@dataclass(frozen=True)
class Flag:
    """A row that is strange. number : which row of the request it is."""

    number: int
    scope: Scope
    day: date
    cost: float
    expected: float
    p_value: float

    @property
    def impact(self) -> float:
        return self.cost - self.expected

    @property
    def direction(self) -> str:
        return direction(self.impact)


def direction(impact: float) -> str:
    return "up" if impact >= 0 else "down"


def merge(flags: Sequence[Flag], *, own_days: int = 1) -> list[list[Flag]]:
    """Flags by incident, in order of first day and scope: same direction, nested scopes, at most one day apart.

    own_days : how far apart flags of one and the same scope may be.
    """
    parent = list(range(len(flags)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    places: dict[tuple[Scope, str, int], int] = {}
    for item, flag in enumerate(flags):
        first = places.setdefault((flag.scope, flag.direction, flag.day.toordinal()), item)
        parent[root(item)] = root(first)
    for (scope, way, day), item in places.items():
        for near in range(day + 2, day + own_days + 1):
            other = places.get((scope, way, near))
            if other is not None:
                parent[root(item)] = root(other)
                break
    flagged = {flag.scope for flag in flags}
    above = {scope: [other for other in _ancestors(scope) if other in flagged] for scope in flagged}
    for item, flag in enumerate(flags):
        day = flag.day.toordinal()
        for scope in above[flag.scope]:
            for near in (day - 1, day, day + 1):
                other = places.get((scope, flag.direction, near))
                if other is not None:
                    parent[root(item)] = root(other)
    found: dict[int, list[Flag]] = {}
    for item, flag in enumerate(flags):
        found.setdefault(root(item), []).append(flag)
    return _in_order(found.values())


Excess = Callable[[Scope, Sequence[date]], "NDArray[np.float64] | None"]
"""(n_days, n_leaves) of what the leaves of a scope cost above expectation on some days, 0 for other leaves; None where that is not known."""


@dataclass(frozen=True)
class _Burden:
    """Where an incident's money lies: its days, and the part of each leaf's excess on them that goes the incident's way."""

    group: int
    way: str
    days: dict[date, NDArray[np.float64]]

    @property
    def total(self) -> float:
        return float(sum(leaves.sum() for leaves in self.days.values()))

    def shared(self, other: _Burden) -> float:
        return float(sum(np.minimum(leaves, other.days[day]).sum() for day, leaves in self.days.items() if day in other.days))


def join(groups: Sequence[list[Flag]], excess: Excess) -> list[list[Flag]]:
    """Incidents of `merge` whose excess lies mostly on the same leaves become one: `service=X,stage=dev` and `stage=dev,team=Y` may be one cause.

    Groups of which nothing is known stay apart. Order is that of `merge`. With nothing to join, the groups are those given.
    """
    largest = sorted(range(len(groups)), key=lambda number: (-max(abs(flag.impact) for flag in groups[number]), number))[:MOST_COMPARED]
    burdens = [burden for number in sorted(largest) if (burden := _burden(groups[number], number, excess)) is not None]
    parent = list(range(len(groups)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    on_day: dict[tuple[str, date], list[int]] = {}
    for place, burden in enumerate(burdens):
        near = {other for day in burden.days for other in on_day.get((burden.way, day), ())}
        for other in sorted(near):
            smaller = min(burden.total, burdens[other].total)
            if smaller > 0.0 and burden.shared(burdens[other]) >= SHARED * smaller:
                parent[root(burden.group)] = root(burdens[other].group)
        for day in burden.days:
            on_day.setdefault((burden.way, day), []).append(place)
    found: dict[int, list[Flag]] = {}
    for number, group in enumerate(groups):
        found.setdefault(root(number), []).extend(group)
    return _in_order(found.values())


def _burden(group: Sequence[Flag], number: int, excess: Excess) -> _Burden | None:
    scope, way = named_by(group), group[0].direction
    days = sorted({flag.day for flag in group if flag.scope == scope})
    known = excess(scope, days)
    if known is None:
        return None
    sign = 1.0 if way == "up" else -1.0
    return _Burden(number, way, dict(zip(days, np.maximum(sign * known, 0.0), strict=True)))


def named_by_money(group: Sequence[Flag], excess: Excess) -> Scope:
    """The smallest flagged scope of a joined incident that holds most of all its scopes' excess; the largest where none does, or nothing is known."""
    days = sorted({flag.day for flag in group})
    sign = 1.0 if group[0].direction == "up" else -1.0
    money = {scope: known for scope in {flag.scope for flag in group} if (known := excess(scope, days)) is not None}
    held = {scope: float((sign * known).sum()) for scope, known in money.items()}
    if not held or max(held.values()) <= 0.0:
        return named_by(group)
    # A leaf's excess is the same whichever scope it is seen in.
    every = sign * np.stack(list(money.values()))
    union = float(np.where((every > 0.0).any(axis=0), every.max(axis=0), every.min(axis=0)).sum())
    able = [scope for scope, part in held.items() if part >= HOLDS * union]
    if not able:
        return max(held, key=lambda scope: (held[scope], len(scope.clauses), str(scope)))
    width = {scope: int((money[scope] != 0.0).any(axis=0).sum()) for scope in able}
    return min(able, key=lambda scope: (width[scope], -len(scope.clauses), -held[scope], str(scope)))


def _in_order(groups: Iterable[list[Flag]]) -> list[list[Flag]]:
    """Flags by day and scope within a group, groups by their first."""
    ordered = (sorted(group, key=lambda flag: (flag.day, str(flag.scope), flag.number)) for group in groups)
    return sorted(ordered, key=lambda group: (group[0].day, str(group[0].scope), group[0].number))


def _ancestors(scope: Scope) -> list[Scope]:
    """The scope itself and every scope that has some of its conditions; the company last."""
    clauses: tuple[Clause, ...] = scope.clauses
    if len(clauses) > MOST_CLAUSES:
        return [scope, Scope()]
    return [Scope(part) for size in range(len(clauses), -1, -1) for part in combinations(clauses, size)]


def named_by(group: Sequence[Flag]) -> Scope:
    """The most specific scope of an incident that holds most of its impact."""
    impacts: dict[Scope, float] = {}
    for (scope, _), flag in {(flag.scope, flag.day): flag for flag in group}.items():
        impacts[scope] = impacts.get(scope, 0.0) + abs(flag.impact)
    largest = max(impacts.values())
    able = [scope for scope, impact in impacts.items() if impact >= EXPLAINS * largest]
    return max(able, key=lambda scope: (len(scope.clauses), impacts[scope], str(scope)))


def incident_id(kind: str, way: str, scope: Scope, start: date) -> str:
    """Deterministic identity from labels: the same cause has the same id, whoever asks."""
    labels = "\n".join((f"kind={kind}", f"direction={way}", f"scope={scope}", f"start={start.isoformat()}"))
    return f"inc-{hashlib.sha256(labels.encode()).hexdigest()[:16]}"


def severity(impact: float, expected_a_day: float) -> str:
    """low, medium, high or critical, by the impact as part of a month of expected spend; new spend has no month and is high."""
    month = abs(expected_a_day) * 30.0
    if month == 0:
        return "high"
    part = abs(impact) / month
    return next((name for least, name in SEVERITIES if part >= least), "low")
