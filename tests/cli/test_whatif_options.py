"""`forecast whatif` beside saved scenarios, seeking a goal, and writing what it says to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openpyxl import load_workbook

from tests.cli.homes import Commands, make_home

PLAN = """
start = "2027-01-01"
end = "2027-04-01"
[[levers]]
name = "traffic"
type = "scale_usage"
scope = "team=ads"
factor = 2.0
"""
GOAL = "traffic.factor 0.5..4 while overrun(ads-q1) <= 50%"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("options") / "home"
    make_home(made)
    return made


@pytest.fixture
def plan(folder: Path, forecast: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A plan in an empty folder, and a home in which `half` and `double` are saved."""
    monkeypatch.setenv("FORECAST_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    for name, factor in (("half", 0.5), ("double", 2.0)):
        path = tmp_path / f"{name}.toml"
        path.write_text(PLAN.replace("factor = 2.0", f"factor = {factor}"), encoding="utf-8")
        forecast("scenario", "save", name, path)
    path = tmp_path / "plan.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def test_a_plan_stands_beside_saved_scenarios_and_the_forecast_as_it_is(forecast: Commands, plan: Path) -> None:
    answer = forecast("whatif", plan, "--compare", "half", "--compare", "base", "--json").document
    compared = answer["compare"]
    assert [one["id"] for one in compared["scenarios"]] == ["this plan", "half", "base"]
    assert compared["scenarios"][0]["scenario"] == answer["scenario"]
    assert compared["baseline"] == answer["baseline"]
    assert compared["best"]["mean"] == "half"
    assert compared["scenarios"][1]["probability_least"] == 1.0
    text = forecast("whatif", plan, "--compare", "double").out
    assert "Side by side" in text
    assert "double v1" in text
    plan.write_text('compare_to = ["half"]\n' + PLAN, encoding="utf-8")
    assert len(forecast("whatif", plan, "--json").document["compare"]["scenarios"]) == 2
    plan.write_text(PLAN, encoding="utf-8")
    assert "compare" not in forecast("whatif", plan, "--json").document


def test_rows_are_shown_by_group_and_month_when_they_are_asked_for(forecast: Commands, plan: Path) -> None:
    text = forecast("whatif", plan, "--by", "team,service", "--granularity", "month").out
    assert "Where and when" in text
    assert "2027-02-01" in text
    assert "-0.00" not in text
    rows = forecast("whatif", plan, "--by", "team", "--granularity", "month", "--json").document["rows"]
    assert {row["start"] for row in rows} == {"2027-01-01", "2027-02-01", "2027-03-01"}
    assert "Where and when" not in forecast("whatif", plan).out


def test_a_goal_is_sought_with_its_bracket_and_curve(forecast: Commands, plan: Path) -> None:
    answer = forecast("whatif", plan, "--goal", GOAL, "--json").document
    assert answer["goal"]["budget"] == "ads-q1"
    assert answer["status"] in {"found", "always", "never"}
    assert len(answer["curve"]) >= 9
    text = forecast("whatif", plan, "--goal", "traffic.factor 0.5..4 minimise mean").out
    assert "The mean cost is least at traffic.factor 0.5" in text
    assert "factor from 0.5 to 4" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--compare", "haf"], "nearest: half"),
        ([word for number in range(11) for word in ("--compare", f"s{number}")], "names 11 scenarios"),
        (["--compare", "half", "--compare", "half"], "'half' twice"),
        (["--granularity", "fortnight"], "fortnight"),
        (["--goal", "traffic.factor"], "not one that can be read"),
        (["--goal", "traffic.factr 1..2 minimise mean"], "nearest: factor"),
        (["--goal", "trafic.factor 1..2 minimise mean"], "nearest: traffic"),
        (["--goal", "traffic.factor 2..1 minimise mean"], "reversed"),
        (["--goal", "traffic.factor 1..2 while overrun(ads-q9) <= 20%"], "nearest: ads-q1"),
        (["--goal", GOAL, "--compare", "half"], "two questions"),
        (["--out", "x.doc"], ".xlsx"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(forecast: Commands, plan: Path, arguments: list[str], told: str) -> None:
    ran = forecast("whatif", plan, *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert told in ran.err


def test_answers_comparisons_and_curves_are_written_by_the_ending(forecast: Commands, plan: Path, tmp_path: Path) -> None:
    for ending, begins in ((".xlsx", b"PK"), (".svg", b"<?xml"), (".png", b"\x89PNG"), (".json", b"{")):
        for number, words in enumerate(([], ["--compare", "half"], ["--goal", GOAL])):
            path = tmp_path / f"{number}{ending}"
            assert forecast("whatif", plan, *words, "--out", path).code == 0
            assert path.read_bytes().startswith(begins), path
    assert load_workbook(tmp_path / "0.xlsx").sheetnames[0] == "Scenario"
    sheet = load_workbook(tmp_path / "1.xlsx")["Compare"]
    assert [row[0] for row in sheet.iter_rows(min_row=2, values_only=True)] == ["(forecast as it is)", "this plan", "half"]
    curve = load_workbook(tmp_path / "2.xlsx")["Curve"]
    answer = json.loads((tmp_path / "2.json").read_text())
    assert [row[:2] for row in curve.iter_rows(min_row=2, values_only=True)] == [(point["value"], point["figure"]) for point in answer["curve"]]
    assert json.loads((tmp_path / "1.json").read_text())["compare"]["scenarios"][1]["id"] == "half"


def test_rows_may_be_finer_than_a_leaf_and_add_up(forecast: Commands, plan: Path) -> None:
    answer = forecast("whatif", plan, "--by", "ai_model", "--granularity", "month", "--json").document
    assert {row["group"]["ai_model"] for row in answer["rows"]} >= {"gpt-large", "gpt-mini"}
    assert sum(row["delta"]["mean"] for row in answer["rows"]) == pytest.approx(answer["delta"]["mean"], rel=1e-9)
    text = forecast("whatif", plan, "--by", "ai_model").out
    assert "gpt-large" in text
    refused = forecast("whatif", plan, "--by", "ai_modle")
    assert refused.code == 2
    assert "nearest: ai_model" in refused.err
    compared = forecast("scenario", "compare", "half", "double", "--by", "ai_model", "--json").document
    assert {row["group"]["ai_model"] for row in compared["rows"]} == {row["group"]["ai_model"] for row in answer["rows"]}
