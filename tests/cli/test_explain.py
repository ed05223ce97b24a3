"""`forecast explain`: the workflow's answer as JSON and as a table that a controller can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.commands.console import plain
from forecast.commands.explain import quantity, signed
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from forecast.workflows.explanation import explanation_answer
from tests.cli.homes import Commands
from tests.workflows.planted import planted_home, planted_snapshot

ASK = ("explain", "--period", "2026-11", "--compare", "2026-09")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Snapshot:
    monkeypatch.setenv("FORECAST_HOME", str(planted_home()))
    monkeypatch.chdir(tmp_path)
    return planted_snapshot()


def test_json_is_the_answer_of_the_workflow(forecast: Commands, planted: Snapshot) -> None:
    document = forecast(*ASK, "--scope", "stage=prod", "--by", "team", "--json").document
    expected = explanation_answer(
        planted, scope=Scope.parse("stage=prod"), period=parse_period("2026-11"), comparison=parse_period("2026-09"), group_by=("team",)
    )
    assert document == json.loads(json.dumps(plain(expected)))
    assert sum(part["money"] for part in document["contributions"]) == pytest.approx(document["change"], rel=1e-6)


def test_days_may_be_said_one_by_one(forecast: Commands, planted: Snapshot) -> None:
    days = ("--start", "2026-11-01", "--end", "2026-12-01", "--compare-start", "2026-09-01", "--compare-end", "2026-10-01")
    assert forecast("explain", *days, "--json").document == forecast(*ASK, "--json").document


def test_the_table_tells_causes_groups_meters_and_where_it_comes_from(forecast: Commands, planted: Snapshot) -> None:
    ran = forecast(*ASK, "--by", "team")
    assert ran.code == 0, ran.err
    for told in (
        "November 2026 is expected to cost",
        "The company: 2026-09-01 to 2026-10-01, then 2026-11-01 to 2026-12-01 (exclusive), USD",
        "all billed",
        "100 % of the tokens moved to gpt-4o-mini, most from gpt-4o",
        "uses 2.0 times as many tokens as in September 2026",
        "busier",
        "gpt-4o-mini Output Tokens",
        planted.id[:12],
        "P10",
    ):
        assert told in ran.out, told
    assert not [line for line in ran.out.splitlines() if len(line) > 400]


def test_the_period_before_is_the_default(forecast: Commands, planted: Snapshot) -> None:
    assert forecast("explain", "--period", "2026-11", "--json").document["comparison"]["start"] == "2026-10-01"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--period", "2035-Q1"], "horizon"),
        (["--period", "2026-11", "--scope", "team=busyer"], "nearest: busier"),
        (["--period", "2026-11", "--scope", "ai_model=gpt-4o"], "finer than a leaf"),
        (["--period", "2026-11", "--by", "region"], "finer than a leaf"),
        (["--period", "2026-06"], "before the first day of spend 2026-06-01"),
        (["--period", "2026-11", "--compare", "2026-09", "--compare-start", "2026-09-01"], "said twice"),
        (["--period", "2026-11", "--compare-start", "2026-09-01"], "compare_end is missing"),
        (["--period", "2026-11", "--compare-start", "September"], "compare_start is not a day"),
        ([], "--period is missing"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(forecast: Commands, planted: Snapshot, arguments: list[str], told: str) -> None:
    ran = forecast("explain", *arguments)
    assert ran.code == 2
    assert told in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_amounts_are_short() -> None:
    assert [quantity(amount) for amount in (0.0, 0.5, 1250.0, 2.5e6, 3.21e9, 4e12)] == ["0", "0.50", "1,250", "2.5M", "3.2G", "4.0T"]
    assert [signed(amount) for amount in (0.0, 12_300.0, -5.5)] == ["0", "+12,300", "-5.50"]
