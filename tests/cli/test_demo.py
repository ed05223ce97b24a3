"""The demo, once and for real: generate, ingest, train, serve, four answers; then every command on the home that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.cli.homes import Commands
from tests.postgres import free_port


@dataclass(frozen=True)
class Demo:
    home: Path
    document: Any
    progress: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """120 days of three teams; about half a minute."""
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--once", "--days", "120", "--teams", "3", "--port", str(free_port()), "--home", str(folder / "home"), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FORECAST_")}
    ran = subprocess.run([sys.executable, "-m", "forecast.cli", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return Demo(folder / "home", json.loads(ran.stdout), ran.stderr)


@pytest.fixture
def at_home(demo: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Demo:
    monkeypatch.setenv("FORECAST_HOME", str(demo.home))
    monkeypatch.chdir(tmp_path)
    return demo


def test_demo_asks_one_question_of_each_kind(demo: Demo) -> None:
    answers = demo.document["answers"]["answers"]
    assert set(answers) == {"forecast", "overrun", "anomalies", "whatif"}
    assert len({answer["snapshot_id"] for answer in answers.values()}) == 1
    assert sorted(row["group"]["team"] for row in answers["forecast"]["rows"] if row["group"]["team"] != "(none)")
    assert 0.0 <= answers["overrun"]["overrun_probability"] <= 1.0
    assert answers["anomalies"]["rows"][0]["is_anomaly"] is True
    # Twice the usage costs less than twice as much: licences, storage and commitments stay, and serving pools follow with a lag.
    largest = max(row["mean"] for row in answers["forecast"]["rows"])
    assert 0.5 * largest < answers["whatif"]["delta"]["mean"] < largest
    assert sum(answers["whatif"]["levers"][0]["response"].values()) == pytest.approx(1.0)


def test_demo_tells_the_seconds_of_each_step(demo: Demo) -> None:
    assert set(demo.document["seconds"]) == {"generate", "ingest", "train", "serve", "questions"}
    assert "Ready after" in demo.progress
    assert "backtest" in demo.progress


def test_demo_leaves_no_service_behind(demo: Demo) -> None:
    from forecast.commands.processes import ask

    with pytest.raises(OSError, match="refused"):
        ask(demo.document["address"], "GET", "/livez")


def test_answer_over_http_is_the_command_lines(forecast: Commands, at_home: Demo) -> None:
    over_http = at_home.document["answers"]["answers"]
    quarter = at_home.document["answers"]["questions"]["quarter"]
    assert forecast("predict", "--period", quarter, "--granularity", "quarter", "--by", "team", "--json").document == over_http["forecast"]
    assert forecast("budget", "risk", over_http["overrun"]["budget_id"], "--json").document == over_http["overrun"]


def test_quarter_report_of_the_demo_has_every_team_and_budget(forecast: Commands, at_home: Demo, tmp_path: Path) -> None:
    found = forecast("quarter", "--by", "team", "--out", tmp_path / "report.xlsx", "--json").document
    assert all(row["budget"] is not None for row in found["rows"] if row["group"]["team"] != "(none)")
    assert openpyxl.load_workbook(tmp_path / "report.xlsx")["Forecast"].max_row > len(found["rows"]) + 1


def test_models_and_accuracy_tell_of_the_champion(forecast: Commands, at_home: Demo) -> None:
    listed = forecast("models", "list", "--json").document["models"]
    shown = forecast("models", "show", "--json").document
    assert [item["is_champion"] for item in listed] == [True]
    assert (shown["name"], shown["version"]) == (listed[0]["name"], listed[0]["version"])
    assert forecast("models", "show", f"{shown['name']}/{shown['version']}", "--json").document == shown
    record = forecast("accuracy", "--json").document
    assert record["backtest"]["cutoffs"] == record["record"]["cutoffs"] > 0
    told = forecast("accuracy").out
    assert "WAPE" in told
    assert "champion" in forecast("models", "list").out
    assert "trained" in forecast("models", "show").out


def test_promoting_the_champion_again_keeps_the_answers(forecast: Commands, at_home: Demo) -> None:
    before = forecast("predict", "--period", "2027-01", "--json").document
    shown = forecast("models", "show", "--json").document
    promoted = forecast("models", "promote", f"{shown['name']}/{shown['version']}", "--reason", "test", "--json").document
    assert promoted["snapshot_ids"] == [before["snapshot_id"]]
    assert forecast("predict", "--period", "2027-01", "--json").document == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models", "promote", "spend"], "NAME/VERSION"),
        (["models", "promote", "spend/99"], "99"),
        (["models", "show", "other/1"], "other"),
        (["models", "rollback"], "no champion before"),
        (["train", "--cutoff", "2031-01-01"], "2031-01-01"),
        (["train", "--cutoff", "soon"], "soon"),
        (["train", "--spec", "nobody"], "nobody"),
        (["train", "--cost", "list"], "list"),
        (["backtest", "--cutoffs", "0"], "1 to 100"),
    ],
)
def test_wrong_life_of_a_model_is_an_input_error(forecast: Commands, at_home: Demo, arguments: list[str], told: str) -> None:
    ran = forecast(*arguments, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1].startswith("forecast: error: ")
    assert told in ran.err


def test_backtest_is_a_document_and_a_table(forecast: Commands, at_home: Demo) -> None:
    document = forecast("backtest", "--cutoffs", "1", "--json").document
    assert document["record"]["cutoffs"] == 1
    assert {row["level"] for row in document["summary"]} >= {"company", "team"}


def test_other_company_does_not_go_into_the_same_home(forecast: Commands, at_home: Demo) -> None:
    ran = forecast("demo", "--once", "--seed", "8", "--days", "120", "--teams", "3", "--port", str(free_port()))
    assert ran.code == 2
    assert "--seed 7" in ran.err


def test_demo_does_not_go_into_a_home_with_spend_of_its_owner(forecast: Commands, empty_home: Path, demo: Demo) -> None:
    assert forecast("ingest", demo.home / "demo" / "focus.parquet").code == 0
    ran = forecast("demo", "--once", "--port", str(free_port()))
    assert ran.code == 2
    assert "--home" in ran.err


def test_doctor_finds_nothing_wrong(forecast: Commands, at_home: Demo) -> None:
    document = forecast("doctor", "--json").document
    assert document["snapshot"]["id"] == at_home.document["answers"]["answers"]["forecast"]["snapshot_id"]
    assert {finding["level"] for finding in document["findings"]} <= {"note"}
