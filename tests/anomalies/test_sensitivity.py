"""Rules that say what is news: the most specific scope wins, money and percent by and/or, and clear errors."""

from __future__ import annotations

from typing import Any

import pytest

from forecast.anomalies.sensitivity import Sensitivity, holds, parse_sensitivity, strongest
from forecast.errors import InputError
from forecast.spend.scope import Scope

S = Scope.parse


def rules(*tables: dict[str, Any]) -> Sensitivity:
    return parse_sensitivity({"rule": list(tables)})


def test_without_rules_the_detectors_own_minimum_counts() -> None:
    for nothing in (Sensitivity(), parse_sensitivity({}), parse_sensitivity({"rule": []})):
        assert nothing.lets_through(S("team=ads"), 60.0, 10.0, minimum_impact=50.0)
        assert not nothing.lets_through(S("team=ads"), -40.0, 100.0, minimum_impact=50.0)


@pytest.mark.parametrize(
    ("more", "passes"),
    [
        ({}, {"neither": False, "money": False, "percent": False, "both": True}),
        ({"require": "both"}, {"neither": False, "money": False, "percent": False, "both": True}),
        ({"require": "either"}, {"neither": False, "money": True, "percent": True, "both": True}),
    ],
)
def test_money_and_percent_are_asked_for_both_or_either(more: dict[str, Any], passes: dict[str, bool]) -> None:
    rule = rules({"minimum_impact": 100.0, "minimum_percent": 20, **more})
    incidents = {"neither": (50.0, 1000.0), "money": (150.0, 1000.0), "percent": (50.0, 100.0), "both": (-150.0, 300.0)}
    found = {name: rule.lets_through(S("team=ads"), impact, expected) for name, (impact, expected) in incidents.items()}
    assert found == passes


def test_percent_alone_keeps_the_detectors_minimum_and_new_spend_is_more_than_any_percent() -> None:
    rule = rules({"minimum_percent": 50})
    assert rule.lets_through(S(""), 80.0, 100.0, minimum_impact=10.0)
    assert not rule.lets_through(S(""), 8.0, 10.0, minimum_impact=10.0)
    assert not rule.lets_through(S(""), 40.0, 100.0, minimum_impact=10.0)
    assert rule.lets_through(S(""), 10.0, 0.0, minimum_impact=10.0)


def test_the_most_specific_rule_wins_whole_and_of_equal_ones_the_last() -> None:
    found = rules(
        {"scope": "team=ads,stage=dev", "ignore": True},
        {"scope": "team=ads", "minimum_impact": 500.0},
        {"minimum_impact": 50.0, "minimum_percent": 10.0},
        {"scope": "stage=prod", "minimum_impact": 5.0},
    )
    assert found.rule_of(S("team=search,stage=dev")).minimum_impact == 50.0
    assert found.rule_of(S("team=ads")).minimum_impact == 500.0
    assert found.rule_of(S("team=ads")).minimum_percent is None, "a rule says all there is; nothing is taken over from wider ones"
    assert found.rule_of(S("team=ads,stage=prod")).minimum_impact == 5.0
    assert found.rule_of(S("provider=aws,stage=dev,team=ads")).ignore
    assert not found.lets_through(S("provider=aws,stage=dev,team=ads"), 1e9, 1.0)
    assert found.lets_through(S("provider=aws,stage=prod,team=ads"), 6.0, 100.0, minimum_impact=1000.0)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("", "", True),
        ("", "team=ads", True),
        ("team=ads", "", False),
        ("team=ads", "stage=dev,team=ads", True),
        ("team=ads|search", "team=search", True),
        ("team=ads", "team=ads|search", False),
        ("stage!=prod", "stage=dev", True),
        ("stage!=prod", "stage=prod", False),
        ("stage!=prod", "stage!=prod|dev", True),
        ("stage=dev", "stage!=prod", False),
    ],
)
def test_a_scope_holds_what_lies_in_it(outer: str, inner: str, expected: bool) -> None:
    assert holds(S(outer), S(inner)) is expected


def test_multiple_asks_for_so_many_thresholds_where_strength_is_known() -> None:
    rule = rules({"scope": "stage=dev", "multiple": 2.5})
    assert not rule.lets_through(S("stage=dev"), 10.0, 1.0, ratio=2.4)
    assert rule.lets_through(S("stage=dev"), 10.0, 1.0, ratio=2.5)
    assert rule.lets_through(S("stage=prod"), 10.0, 1.0, ratio=1.0)
    assert rule.lets_through(S("stage=dev"), 10.0, 1.0, ratio=None)
    assert strongest([1, 3], {1: 1.5, 2: 9.0, 3: 2.0}) == 2.0
    assert strongest([1], None) is None


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"rules": []}, "rules"),
        ({"rule": {"scope": ""}}, "rule"),
        ({"rule": ["team=ads"]}, "rule"),
        ({"rule": [{"team": "ads"}]}, "rule[0].team"),
        ({"rule": [{"scope": "team"}]}, "rule[0].scope"),
        ({"rule": [{"scope": 7}]}, "rule[0].scope"),
        ({"rule": [{"minimum_impact": -1}]}, "rule[0].minimum_impact"),
        ({"rule": [{}, {"scope": "team=a", "minimum_percent": float("nan")}]}, "rule[1].minimum_percent"),
        ({"rule": [{"minimum_impact": "many"}]}, "rule[0].minimum_impact"),
        ({"rule": [{"minimum_impact": True}]}, "rule[0].minimum_impact"),
        ({"rule": [{"multiple": 0.5}]}, "rule[0].multiple"),
        ({"rule": [{"multiple": float("inf")}]}, "rule[0].multiple"),
        ({"rule": [{"require": "one", "minimum_impact": 1, "minimum_percent": 1}]}, "rule[0].require"),
        ({"rule": [{"require": "either", "minimum_impact": 1}]}, "rule[0].require"),
        ({"rule": [{"ignore": 1}]}, "rule[0].ignore"),
        ({"rule": [{"ignore": True, "multiple": 2}]}, "rule[0]"),
        ({"rule": [{"scope": "team=a,stage=b"}, {"scope": "stage=b,team=a"}]}, "rule[1].scope"),
        ({"rule": [{"scope": f"team=t{number}"} for number in range(1001)]}, "rule"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_sensitivity(data, "rules.toml")
    assert caught.value.field == field
    assert str(caught.value).startswith(f"rules.toml: {field}")
    assert caught.value.allowed
