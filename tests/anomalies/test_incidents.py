"""Merging flagged rows into incidents, against a slow twin that compares all pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.anomalies.incidents import Flag, incident_id, join, merge, named_by, named_by_money, severity
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


LEAVES = {"team=ads": (0, 1), "stage=dev": (1, 2), "provider=aws": (1, 3), "team=search": (4,), "": (0, 1, 2, 3, 4)}


def excess_of(money: Sequence[float], unknown: tuple[str, ...] = ()) -> Callable[[Scope, Sequence[date]], NDArray[np.float64] | None]:
    """Five leaves that cost so much too much on every day."""

    def excess(scope: Scope, days: Sequence[date]) -> NDArray[np.float64] | None:
        if str(scope) in unknown:
            return None
        line = np.zeros(5)
        line[list(LEAVES[str(scope)])] = np.array(money)[list(LEAVES[str(scope)])]
        return np.tile(line, (len(days), 1))

    return excess


def joined(flags: list[Flag], money: Sequence[float], unknown: tuple[str, ...] = ()) -> list[list[int]]:
    return [[item.number for item in group] for group in join(merge(flags), excess_of(money, unknown))]


def test_scopes_that_are_not_nested_are_one_incident_where_they_share_the_money() -> None:
    flags = [flag(0, "team=ads"), flag(1, "stage=dev"), flag(2, "provider=aws"), flag(3, "team=search")]
    assert joined(flags, [10, 1000, 20, 30, 500]) == [[2, 1, 0], [3]]
    assert joined(flags, [1000, 100, 1000, 1000, 500]) == [[2], [1], [0], [3]]


def test_six_tenths_of_the_smaller_excess_are_enough() -> None:
    flags = [flag(0, "team=ads"), flag(1, "stage=dev")]
    assert joined(flags, [9000, 60, 40, 0, 0]) == [[1, 0]]
    assert joined(flags, [40, 60, 9000, 0, 0]) == [[1, 0]]
    assert joined(flags, [9000, 59, 41, 0, 0]) == [[1], [0]]
    # What goes the other way is not part of a rise.
    assert joined(flags, [9000, 60, 40, 0, 0]) == joined(flags, [-9000, 60, 40, 0, 0])


def test_other_days_and_other_directions_stay_apart() -> None:
    money = [0, 1000, 0, 0, 0]
    assert joined([flag(0, "team=ads"), flag(1, "stage=dev", day=1)], money) == [[0], [1]]
    assert joined([flag(0, "team=ads"), flag(1, "stage=dev", impact=-100.0)], money) == [[1], [0]]
    assert joined([flag(0, "team=ads"), flag(1, "team=ads", day=1), flag(2, "stage=dev", day=1)], money) == [[0, 2, 1]]
    falls = [-amount for amount in money]
    assert joined([flag(0, "team=ads", impact=-100.0), flag(1, "stage=dev", impact=-100.0)], falls) == [[1, 0]]


def test_nothing_is_joined_where_nothing_is_known_or_nothing_was_in_excess() -> None:
    flags = [flag(0, "team=ads"), flag(1, "stage=dev")]
    assert joined(flags, [0, 1000, 0, 0, 0], unknown=("team=ads",)) == [[1], [0]]
    assert joined(flags, [0, 0, 0, 0, 0]) == [[1], [0]]
    groups = merge(flags)
    assert join(groups, excess_of([0, 0, 0, 0, 0])) == groups


def test_joined_incident_is_named_by_the_smallest_scope_that_holds_nine_tenths_of_all_of_it() -> None:
    group = [flag(0, "team=ads"), flag(1, "stage=dev"), flag(2, "")]
    assert str(named_by_money(group, excess_of([60, 900, 40, 0, 0]))) == "team=ads"
    assert str(named_by_money(group, excess_of([0, 890, 110, 0, 0]))) == "stage=dev"
    assert str(named_by_money(group, excess_of([60, 800, 60, 60, 20]))) == ""
    assert str(named_by_money(group[:2], excess_of([300, 500, 200, 0, 0]))) == "team=ads", "none holds nine tenths"
    assert str(named_by_money(group, excess_of([300, 500, 200, 0, 0], unknown=tuple(LEAVES)))) == str(named_by(group))
    down = [flag(0, "team=ads", impact=-100.0), flag(1, "stage=dev", impact=-100.0)]
    assert str(named_by_money(down, excess_of([0, -890, -110, 0, 0]))) == "stage=dev"
