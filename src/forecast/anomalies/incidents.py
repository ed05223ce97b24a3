"""From flagged rows to incidents: nested scopes and neighbouring days of one direction are one cause."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

from forecast.spend.scope import Clause, Scope

MOST_CLAUSES = 8
"""Scopes of more conditions are only nested in themselves and in the company: 2^n of them are looked up."""
EXPLAINS = 0.8
"""An incident is named by its most specific scope that holds this part of the largest impact."""
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


def merge(flags: Sequence[Flag]) -> list[list[Flag]]:
    """Flags by incident, in order of first day and scope: same direction, nested scopes, at most one day apart."""
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
    ordered = (sorted(group, key=lambda flag: (flag.day, str(flag.scope), flag.number)) for group in found.values())
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
