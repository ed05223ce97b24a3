"""Merging flagged rows into incidents, against a slow twin that compares all pairs."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.anomalies.incidents import Flag, incident_id, merge, named_by, severity
from forecast.spend.scope import Scope

DAY = date(2026, 12, 11)


def flag(number: int, text: str, day: int = 0, impact: float = 100.0) -> Flag:
    return Flag(number, Scope.parse(text), DAY + timedelta(days=day), 1000.0 + impact, 1000.0, 1e-6)


def slow_groups(flags: list[Flag]) -> set[frozenset[int]]:
    """Twin: join any two nested flags of one direction at most a day apart until nothing changes."""
    groups = [{item.number} for item in flags]
    by_number = {item.number: item for item in flags}

    def touch(a: Flag, b: Flag) -> bool:
        nested = set(a.scope.clauses) <= set(b.scope.clauses) or set(b.scope.clauses) <= set(a.scope.clauses)
        return nested and a.direction == b.direction and abs((a.day - b.day).days) <= 1

    changed = True
    while changed:
        changed = False
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                if any(touch(by_number[a], by_number[b]) for a in groups[i] for b in groups[j]):
                    groups[i] |= groups.pop(j)
                    changed = True
                    break
            if changed:
                break
    return {frozenset(group) for group in groups}


scopes = st.sampled_from(["", "team=ads", "team=search", "stage=prod", "team=ads,stage=prod", "team=search,stage=dev", "team=ads|search"])


@given(st.lists(st.tuples(scopes, st.integers(0, 4), st.sampled_from([100.0, -100.0])), max_size=10))
@settings(max_examples=200)
def test_groups_are_what_comparing_all_pairs_gives(rows: list[tuple[str, int, float]]) -> None:
    flags = [flag(number, *row) for number, row in enumerate(rows)]
    assert {frozenset(item.number for item in group) for group in merge(flags)} == slow_groups(flags)


def test_order_of_rows_does_not_change_incidents() -> None:
    flags = [flag(0, "team=ads"), flag(1, ""), flag(2, "team=search", 3), flag(3, "team=ads", 1)]
    assert {named_by(group) for group in merge(flags)} == {named_by(group) for group in merge(flags[::-1])}
    assert [sorted(item.number for item in group) for group in merge(flags)] == [[0, 1, 3], [2]]


def test_incident_is_named_by_the_most_specific_scope_that_holds_its_money() -> None:
    group = [flag(0, "", impact=1000.0), flag(1, "team=ads", impact=950.0), flag(2, "team=ads,stage=prod", impact=300.0)]
    assert named_by(group) == Scope.parse("team=ads")


def test_identity_comes_from_labels_only() -> None:
    first = incident_id("spike", "up", Scope.parse("team=ads,stage=prod"), DAY)
    assert first == incident_id("spike", "up", Scope.parse("stage=prod,team=ads"), DAY)
    assert first != incident_id("spike", "up", Scope.parse("team=ads"), DAY)
    assert first.startswith("inc-")


def test_severity_is_the_part_of_a_month() -> None:
    assert [severity(impact, 100.0) for impact in (50.0, 100.0, -400.0, 2000.0)] == ["low", "medium", "high", "critical"]
    assert severity(5.0, 0.0) == "high"
