"""Every field of every kind of lever, and every field of a plan, given what it cannot be: an answer, or an error that names the field."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from forecast.errors import InputError, PlanError
from forecast.scenarios.goal_request import FIELDS as GOAL_FIELDS
from forecast.scenarios.goal_request import parse_goal, read_goal
from forecast.scenarios.kinds import KINDS, Kind, example
from forecast.scenarios.levers import COMMON
from forecast.scenarios.plan import parse_plan
from forecast.scenarios.plan_text import plan_of_text
from forecast.scenarios.saved import check_words, plan_data
from forecast.workflows.whatif import whatif_answer
from tests.snapshots_for_tests import shared_snapshot

DAYS: dict[str, Any] = {"start": "2027-01-01", "end": "2027-04-01"}
DEEP: Any = 1
for _ in range(150):
    DEEP = [DEEP]

WRONG: list[Any] = [
    *(None, True, False, 0, -1, 0.5, 1, 2, 1.5, 40, 1e-300, 1e15, 1e300, 1e308, -1e308, float("nan"), float("inf"), 10**400, 10**5000),
    *("", " ", "x", "2", "50%", "2027-02-01", "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+14:00", "2027-02-30", "a" * 5000),
    *("team=ads", "team=nobody", "colour=red", "team", "=|,\\", "team=a,team=b", "\x00", "\x1b[31m", "\x85", "\ud800", "team=a\x00b", "☃"),
    *([], [1], [[]], DEEP, {}, b"x", {1}, object(), {"team": "ads"}, {"team": ["ads"]}, {"team": 5}, {"team": {"a": 1}}, {"team": None}, {1: "x"}),
    {"expected": 1, "low": 0.5, "high": 2},
    {"expected": 0.5, "low": 0.0, "high": 1.0},
    {"expected": 0, "low": 0, "high": 0},
    {"expected": 1, "low": 2, "high": 0.5},
    {"expected": 1e6, "low": 1e-9, "high": 1e6},
    {"expected": "x", "low": 1, "high": 2},
    {"expected": 10**400, "low": 1, "high": 2},
    {"expected": [1], "low": 0, "high": 1},
    {"expected": 1},
    {"low": 0, "x": 1},
]


def refusal(read: Callable[[Any], object], data: Any) -> PlanError | None:
    """What is said against it; any other exception is a fault of the program."""
    try:
        read(data)
    except PlanError as error:
        return error
    return None


def levers_of(kind: Kind) -> Iterator[dict[str, Any]]:
    for way in range(max(1, len(kind.ways))):
        yield example(kind, way)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_wrong_value_of_any_field_of_any_lever_is_named_with_what_is_allowed(kind: Kind) -> None:
    for lever in levers_of(kind):
        for name in (*COMMON, *kind.field_names, "perhaps"):
            for value in WRONG:
                if (error := refusal(parse_plan, {**DAYS, "levers": [{**lever, name: value}]})) is not None:
                    assert str(error.field).startswith("levers[0]"), (name, error.field)
                    assert error.allowed, (name, str(error))
                    assert len(str(error)) < 2000
                    assert "\x1b" not in str(error)


@pytest.mark.parametrize("name", ["name", "start", "end", "period", "scope", "levers", "compare_to", "perhaps"])
def test_wrong_value_of_any_field_of_a_plan_is_named(name: str) -> None:
    for value in WRONG:
        if (error := refusal(parse_plan, {**DAYS, "levers": [], name: value})) is not None:
            assert name in str(error.field) or (name, error.field) == ("start", "end")
            assert "object has no" not in str(error)
            assert "object is not" not in str(error)


@pytest.mark.parametrize("name", GOAL_FIELDS)
def test_wrong_value_of_any_field_of_a_goal_is_named(name: str) -> None:
    good = {"lever": "traffic", "field": "factor", "low": 1, "high": 5, "figure": "mean", "aim": "at_most", "limit": 3}
    for value in WRONG:
        if (error := refusal(read_goal, {**good, name: value})) is not None:
            assert str(error.field).startswith("goal")
            assert error.allowed


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "\x00",
            "x.y",
            "x.y 1..5",
            "x.y 1_..5 minimise mean",
            "x.y 1__0..5 minimise mean",
            "x.y 1e999..2 minimise mean",
            "x.y 5..1 minimise mean",
        ),
        *("x.y 1..5 while mean", "x.y 1..5 while mean <= 1e999", "x.y 1..5 while overrun() <= 20%", "x.y 1..5 while probability_cheaper <= 300%"),
        *("x.y 1..5 minimise means", "a." * 50_000, "x.y " + "1" * 100_000, "x.y 1..5 while " + "a" * 100_000),
    ],
    ids=lambda text: text[:30],
)
def test_goal_that_makes_no_sense_is_refused_at_once(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_goal(text)
    assert str(caught.value.field).startswith("goal")
    assert len(str(caught.value)) < 1000


SENSELESS: dict[str, list[dict[str, Any]]] = {
    "growth since the year 1": [{"type": "grow", "percent_a_month": 5, "from": "0001-01-01"}],
    "growth since long ago": [{"type": "grow", "percent_a_month": 1000, "from": "1990-01-01"}],
    "beyond all numbers": [{"type": "change_price", "factor": 1e6}, {"type": "scale_usage", "factor": 1e6, "elasticity": 3}] * 25,
    "two ways mixed": [
        {"type": "new_workload", "users": 1, "requests_a_user_a_day": 1, "tokens_a_request": 1, "price_a_million": 1, "input_tokens": 1}
    ],
    "switched off twice": [{"type": "switch_off", "scope": "team=ads"}, {"type": "switch_off", "scope": "team=ads"}],
    "spend that does not exist": [{"type": "scale_usage", "scope": "team=add", "factor": 2}],
    "a dimension that does not exist": [{"type": "scale_usage", "scope": "colour=red", "factor": 2}],
    "before the plan": [{"type": "scale_usage", "factor": 2, "until": "2026-12-31"}],
    "after the plan": [{"type": "scale_usage", "factor": 2, "from": "2028-01-01"}],
    "a share of 130 per cent": [{"type": "move_share", "scope": "team=ads", "to": "team=search", "share": 1.3}],
    "a negative price": [{"type": "gpus", "count": 2, "price_an_hour": -1.0}],
}


@pytest.mark.parametrize("name", SENSELESS)
def test_levers_that_make_no_sense_are_named(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the road to what is beyond all numbers
        with pytest.raises(InputError) as caught:
            whatif_answer(shared_snapshot(), {**DAYS, "levers": SENSELESS[name]})
    assert str(caught.value.field).startswith("levers")
    assert caught.value.allowed


def test_rows_of_an_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.workflows.whatif_rows.MOST_ROWS", 50)
    with pytest.raises(PlanError) as caught:
        whatif_answer(shared_snapshot(), {**DAYS, "levers": []}, granularity="day")
    assert caught.value.field == "granularity"


TEXTS = {
    "a name twice in JSON": ('{"start": "2027-01-01", "levers": [{"type": "x", "factor": 2, "factor": 3}]}', "'factor' stands twice"),
    "a name twice in TOML": ('start = "2027-01-01"\nstart = "2027-02-01"\n', "TOML"),
    "a name twice in YAML": ("start: 2027-01-01\nlevers:\n- factor: 2\n  factor: 3\n", "'factor' stands twice"),
    "references": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "*a"),
    "merged tables": ("a: &a {x: 1}\nb: {<<: *a}\n", "*a"),
    "objects of Python": ('levers: !!python/object/apply:os.system ["echo"]\n', "python"),
    "bytes": ("name: !!binary aGVsbG8=\nlevers: []\n", "plan.name"),
    "a set": ("levers: !!set {a, b}\n", "plan.levers"),
    "a number for a name": ("levers:\n- scope: {1: x}\n", "plan.levers[0].scope"),
    "a clock for a number": ("levers:\n- a_day: 1:30\n", "1:30"),
    "an octal number": ("levers:\n- count: 010\n", "010"),
    "two documents": ("start: 2027-01-01\n---\nend: 2027-04-01\n", "document"),
    "a day that is none": ("start: 2027-02-30\nlevers: []\n", "day"),
    "too deep JSON": ('{"levers": ' + "[" * 400 + "]" * 400 + "}", "deep"),
    "far too deep JSON": ('{"a":' * 20_000 + "1" + "}" * 20_000, "JSON"),
    "too deep TOML": ("x = " + "[" * 5000 + "]" * 5000, "TOML"),
    "too deep YAML": ("x: " + "[" * 5000 + "]" * 5000, "YAML"),
    "digits without end": ('{"levers": [{"factor": 1' + "0" * 5000 + "}]}", "JSON"),
    "too long": ("x" * 300_000, "300000"),
    "no table": ("[1, 2]", "plan"),
    "prose": ("hello world", "table"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_no_plan_is_refused_and_says_why(name: str) -> None:
    text, told = TEXTS[name]
    with pytest.raises(PlanError) as caught:
        parse_plan(text)
    assert told in str(caught.value)


def test_marks_and_line_ends_of_other_systems_change_nothing() -> None:
    plain = 'start = "2027-01-01"\nend = "2027-04-01"\n[[levers]]\ntype = "scale_usage"\nfactor = 2\n'
    assert parse_plan("\ufeff" + plain.replace("\n", "\r\n")) == parse_plan(plain)
    assert plan_of_text("levers:\n- factor: 1e3\n") == {"levers": [{"factor": 1000.0}]}


def test_times_with_a_zone_count_on_their_utc_day() -> None:
    toml = 'start = 2026-12-31T23:00:00-05:00\nend = "2027-04-01T03:00:00+05:00"\n'
    assert str(parse_plan(toml).period) == "2027-01-01..2027-03-31"
    assert parse_plan(toml) == parse_plan({"start": "2026-12-31T23:00:00-05:00", "end": "2027-04-01T03:00:00+05:00"})


def test_plan_is_kept_as_json_and_its_words_are_checked() -> None:
    plan = plan_of_text("start: 2027-01-01\nlevers:\n- {type: scale_usage, factor: 2}\n")
    assert json.loads(json.dumps(plan_data(plan))) == plan_data(plan)
    for words in (("a\x00", "", ""), ("", "b\n", ""), ("", "", "\x1b[2J"), ("x" * 201, "", ""), ("", "", "x" * 1001), ("", "\ud800", "")):
        with pytest.raises(PlanError):
            check_words(*words)
    check_words("Wachstum", "Özge", "first line\nsecond\tline")
