"""`forecast scenario …` on a home with a snapshot: saved, compared, run anew, held against the bill, written to files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from openpyxl import load_workbook

from forecast.adapters.records import Records, SnapshotRecord
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import load_settings
from tests.cli.homes import Commands, make_home
from tests.snapshots_for_tests import make_snapshot

PLAN = """
name = "Traffic doubles"
start = "2027-01-01"
end = "2027-04-01"

[[levers]]
name = "traffic"
type = "scale_usage"
scope = "team=ads"
factor = {factor}
from = "2027-01-15"

[[levers]]
name = "discount"
type = "change_price"
scope = "provider=openai"
factor = 0.9
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scenarios") / "home"
    make_home(made)
    return made


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home with a snapshot, budgets and no scenarios; the current folder is empty."""
    monkeypatch.setenv("FORECAST_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    records = Records(load_settings(home=folder).records_address)
    for one in records.scenarios():
        records.delete_scenario(one.id)
    records.close()
    return folder


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[float], Path]:
    def write(factor: float = 2.0) -> Path:
        path = tmp_path / f"plan{factor:g}.toml"
        path.write_text(PLAN.format(factor=factor), encoding="utf-8")
        return path

    return write


def test_a_plan_is_saved_versioned_shown_and_removed(forecast: Commands, home: Path, plan: Callable[[float], Path]) -> None:
    first = forecast("scenario", "save", "growth", plan(2.0), "--by", "ada", "--note", "for the board", "--json").document
    assert (first["version"], first["is_new"], first["by"], first["plan"]["levers"][0]["factor"]) == (1, True, "ada", 2.0)
    assert first["run"]["delta"]["mean"] > 0
    assert "nothing changed" in forecast("scenario", "save", "growth", plan(2.0)).out
    assert "version 2" in forecast("scenario", "save", "growth", plan(3.0)).out
    listed = forecast("scenario", "list", "--json").document["scenarios"]
    assert [(one["id"], one["version"], one["run"]["version"]) for one in listed] == [("growth", 2, 2)]
    assert "Traffic doubles" in forecast("scenario", "list").out
    shown = forecast("scenario", "show", "growth", "--version", "1", "--json").document
    assert (shown["plan"], [one["version"] for one in shown["versions"]], len(shown["runs"])) == (first["plan"], [2, 1], 2)
    text = forecast("scenario", "show", "growth").out
    assert "version 2 of 2" in text
    assert "for the board" in text
    assert forecast("scenario", "delete", "growth", "--json").document == {"deleted": "growth"}
    assert "No scenarios yet" in forecast("scenario", "list").out


def test_a_saved_scenario_says_what_its_plan_says(forecast: Commands, home: Path, plan: Callable[[float], Path]) -> None:
    forecast("scenario", "save", "growth", plan(2.0))
    ran = forecast("scenario", "run", "growth", "--json").document
    asked = forecast("whatif", plan(2.0), "--json").document
    assert {name: ran[name] for name in ("baseline", "scenario", "delta", "levers")} == {
        name: asked[name] for name in ("baseline", "scenario", "delta", "levers")
    }
    assert (ran["scenario_id"], ran["version"]) == ("growth", 1)
    assert "baseline" in forecast("scenario", "run", "growth").out
    by = forecast("scenario", "run", "growth", "--by", "provider", "--json").document
    assert [row["group"]["provider"] for row in by["rows"]] == ["anthropic", "aws", "openai"]


def test_scenarios_stand_side_by_side_with_the_forecast_as_it_is(forecast: Commands, home: Path, plan: Callable[[float], Path]) -> None:
    for factor in (2.0, 3.0):
        forecast("scenario", "save", f"times-{factor:g}", plan(factor))
    answer = forecast("scenario", "compare", "times-2", "times-3", "base", "--json").document
    assert [(one["id"], one["version"]) for one in answer["scenarios"]] == [("times-2", 1), ("times-3", 1), ("base", None)]
    assert answer["scenarios"][2]["scenario"] == answer["baseline"]
    assert answer["best"]["mean"] in {"times-2", "base"}
    march = forecast("scenario", "compare", "base", "times-3", "--period", "2027-03", "--json").document
    assert (march["start"], march["end"]) == ("2027-03-01", "2027-04-01")
    text = forecast("scenario", "compare", "times-2", "times-3").out
    assert "times-3 v1" in text
    assert "company-q1" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["scenario", "run", "growht"], "nearest: growth"),
        (["scenario", "compare", "growth", "grwth"], "nearest: growth"),
        (["scenario", "compare", *(f"s{number}" for number in range(11))], "names 11 scenarios"),
        (["scenario", "compare", "growth", "growth"], "'growth' twice"),
        (["scenario", "compare", "base"], "give --period"),
        (["scenario", "show", "growth", "--version", "7"], "no version 7"),
        (["scenario", "save", "a b", "plan2.toml"], "Scenario id 'a b' is not one"),
        (["scenario", "save", "growth", "nothing.toml"], "does not exist"),
        (["scenario", "run", "growth", "--out", "x.pdf"], ".svg"),
        (["scenario", "run", "growth", "--out", "nowhere/x.svg"], "does not exist"),
        (["scenario", "changes", "growth", "--since", "abc"], "too short"),
        (["scenario", "actual", "growth"], "no day of the plan"),
        (["scenario", "actual", "growth", "--granularity", "hour"], "hour"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(forecast: Commands, home: Path, plan: Callable[[float], Path], arguments: list[str], told: str) -> None:
    forecast("scenario", "save", "growth", plan(2.0))
    ran = forecast(*arguments)
    assert ran.code == 2
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_a_plan_that_cannot_be_carried_out_is_not_saved(forecast: Commands, home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(PLAN.format(factor=2).replace("team=ads", "team=adz"), encoding="utf-8")
    ran = forecast("scenario", "save", "growth", bad)
    assert (ran.code, "levers[0].scope" in ran.err, "nearest: ads" in ran.err) == (2, True, True)
    assert forecast("scenario", "list", "--json").document == {"scenarios": []}


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        ('{"start": "2027-01-01", "end": "2027-04-01", "levers": [], "levers": []}', (), "'levers' stands twice"),
        ("start: 2027-01-01\nend: 2027-04-01\nlevers:\n- {type: scale_usage, factor: 2, scope: {1: x}}\n", (), "plan.levers[0].scope"),
        ("start: 2027-01-01\nend: 2027-04-01\nname: !!binary aGVsbG8=\n", (), "plan.name"),
        ('{"start": "2027-01-01", "end": "2027-04-01", "levers": [{"type": "scale_usage", "factor": 1e999}]}', (), "levers[0].factor"),
        ('start = "2027-01-01"\nend = "2027-04-01"\nname = "\\u001b[2J"\n', (), "name"),
        ('period = "2027-Q1"\n', ("--name", "\x1b[31m"), "name contains a control character"),
        ('period = "2027-Q1"\n', ("--note", "x" * 2000), "note has 2000 characters"),
    ],
)
def test_a_plan_that_could_be_taken_in_two_ways_is_not_saved(
    forecast: Commands, home: Path, tmp_path: Path, text: str, words: tuple[str, ...], told: str
) -> None:
    bad = tmp_path / "bad.plan"
    bad.write_text(text, encoding="utf-8")
    ran = forecast("scenario", "save", "growth", bad, *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert told in ran.err
    assert words or str(bad) in ran.err
    assert "\x1b" not in ran.err
    assert forecast("scenario", "list", "--json").document == {"scenarios": []}


def test_what_never_ends_is_read_no_further_than_a_plan_can_be(forecast: Commands, home: Path) -> None:
    ran = forecast("whatif", "/dev/zero")
    assert (ran.code, "is larger than" in ran.err) == (2, True)


def test_looking_at_scenarios_of_no_home_makes_none(forecast: Commands, empty_home: Path) -> None:
    assert forecast("scenario", "list", "--json").document == {"scenarios": []}
    ran = forecast("scenario", "run", "growth")
    assert (ran.code, "none is saved yet" in ran.err) == (2, True)
    assert not empty_home.exists()


def test_answers_are_written_as_workbooks_and_pictures(forecast: Commands, home: Path, plan: Callable[[float], Path], tmp_path: Path) -> None:
    forecast("scenario", "save", "growth", plan(2.0))
    answer = forecast("scenario", "run", "growth", "--out", "growth.xlsx", "--json").document
    book = load_workbook(tmp_path / "growth.xlsx")
    assert book.sheetnames == ["Scenario", "Levers", "Groups", "Periods", "Budgets", "About"]
    totals = {row[0]: row[1:5] for row in book["Scenario"].iter_rows(min_row=2, max_row=4, values_only=True)}
    assert totals["Change"] == tuple(answer["delta"][name] for name in ("mean", "p10", "p50", "p90"))
    assert [row[1] for row in book["Levers"].iter_rows(min_row=2, values_only=True)] == ["traffic", "discount"]
    for name, begins in (("growth.svg", b"<?xml"), ("growth.png", b"\x89PNG"), ("side.svg", b"<?xml"), ("side.xlsx", b"PK")):
        words = ["compare", "growth", "base"] if name.startswith("side") else ["run", "growth"]
        assert forecast("scenario", *words, "--out", name).code == 0
        assert (tmp_path / name).read_bytes().startswith(begins)
    forecast("scenario", "run", "growth", "--out", "growth.json")
    assert json.loads((tmp_path / "growth.json").read_text())["delta"] == answer["delta"]
    before = (tmp_path / "growth.svg").read_bytes()
    forecast("scenario", "run", "growth", "--out", "growth.svg")
    assert (tmp_path / "growth.svg").read_bytes() == before
    text = before.decode()
    assert "traffic" in text
    assert "with the plan" in text


def test_a_newer_snapshot_shows_what_changed_and_what_became_of_the_plan(
    forecast: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Callable[[float], Path]
) -> None:
    folder = tmp_path / "own"
    old = make_home(folder)
    monkeypatch.setenv("FORECAST_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    forecast("scenario", "save", "growth", plan(2.0))
    settings = load_settings(home=folder)
    new = SnapshotStore(settings.snapshots_folder).write(make_snapshot(seed=1, cutoff=date(2027, 2, 14), history_days=266))
    records = Records(settings.records_address)
    moment = datetime(2027, 2, 15, 6, 0, tzinfo=UTC)
    records.add_snapshot(SnapshotRecord(new.id, moment, new.cutoff, new.cost, new.currency, new.n_paths, 1, "combination", "1"))
    records.close()
    changes = forecast("scenario", "changes", "growth", "--json").document
    assert (changes["before"]["snapshot_id"], changes["after"]["snapshot_id"], changes["days_passed"]) == (old.id, new.id, 45)
    assert "Days that are still open" in forecast("scenario", "changes", "growth", "--since", old.id[:8]).out
    actual = forecast("scenario", "actual", "growth", "--json").document
    assert (actual["start"], actual["end"]) == ("2027-01-01", "2027-02-15")
    assert [lever["name"] for lever in actual["levers"]] == ["traffic", "discount"]
    text = forecast("scenario", "actual", "growth", "--granularity", "month", "--out", "actual.xlsx").out
    assert "Judged by version 1" in text
    sheet = load_workbook(tmp_path / "actual.xlsx")["Actual"]
    assert sheet.max_row == 1 + 3 * 2 + 1
    assert sheet.cell(sheet.max_row, 1).value == "Total"
