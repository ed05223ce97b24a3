"""Finance's report in its three forms, and plans for whatif."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from forecast.adapters.reports import atomically, write_quarter_report
from forecast.commands.console import plain
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.periods import parse_period
from forecast.workflows.quarter import quarter_answer
from forecast.workflows.whatif import whatif_answer
from tests.cli.homes import Commands

PLAN = """
period = "2027-Q1"
name = "launch"
[[levers]]
type = "scale_usage"
scope = "team=ads"
factor = 2.0
from = 2027-02-01
"""


@pytest.fixture
def answer(snapshot: Snapshot) -> dict[str, Any]:
    return quarter_answer(snapshot)


def test_quarter_is_the_next_fiscal_one_with_budgets(forecast: Commands, snapshot: Snapshot) -> None:
    found = forecast("quarter", "--json").document
    assert (found["quarter"], found["start"], found["end"]) == ("2027-Q1", "2027-01-01", "2027-04-01")
    assert {row["group"]["team"]: row["budget_id"] for row in found["rows"]} == {"ads": "ads-q1", "research": None, "search": None}
    assert found["total"]["budget_id"] == "company-q1"
    assert found["total"]["mean"] == pytest.approx(sum(row["mean"] for row in found["rows"]), rel=1e-6)
    assert forecast("quarter", "--fiscal-start", "4", "--json").document["quarter"] == "2027-Q4"
    assert forecast("quarter", "--period", "2027-Q2", "--json").document["start"] == "2027-04-01"
    told = forecast("quarter").out
    for text in ("P(overrun)", "900,000", "Means add up", snapshot.id[:12], "WAPE"):
        assert text in told


def test_workbook_holds_the_rows_the_total_and_where_they_come_from(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    out = tmp_path / "report.xlsx"
    found = forecast("quarter", "--by", "team,stage", "--out", out, "--json").document
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["Forecast", "About"]
    sheet = book["Forecast"]
    rows = list(sheet.iter_rows(min_row=2, max_row=2 + len(found["rows"]), values_only=True))
    names = ("mean", "p10", "p50", "p90", "last_quarter", "change")
    for shown, row in zip(rows, [*found["rows"], found["total"]], strict=True):
        assert list(shown[2:8]) == pytest.approx([row[name] for name in names])
        assert shown[8] == pytest.approx(row["change_percent"] / 100.0)
    assert [shown[:2] for shown in rows[:-1]] == [(row["group"]["team"], row["group"]["stage"]) for row in found["rows"]]
    assert rows[-1][0] == "Total"
    assert sheet.freeze_panes == "C2"
    assert sheet["C2"].number_format == "#,##0;[Red]-#,##0"
    assert "%" in str(sheet["I2"].number_format)
    assert len(sheet._charts) == 1  # type: ignore[attr-defined]
    about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True)}
    assert about["Snapshot"] == snapshot.id
    assert about["Cutoff (last day the forecaster saw)"] == str(snapshot.cutoff)
    assert about["Currency"] == "USD"
    assert about["Backtest: cutoffs"] == 6
    assert "nine of ten" in str(about["How to read quantiles"])


def test_csv_lines_stand_alone(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    found = forecast("quarter", "--out", tmp_path / "report.csv", "--json").document
    table = pd.read_csv(tmp_path / "report.csv", keep_default_na=False)
    assert table["row"].tolist() == ["group", "group", "group", "total"]
    assert table["team"].tolist() == ["ads", "research", "search", ""]
    assert table["p90"].tolist() == [row["p90"] for row in [*found["rows"], found["total"]]]
    assert set(table["snapshot_id"]) == {snapshot.id}
    assert set(table["backtest_wape"]) == {found["backtest"]["wape"]}


def test_json_file_is_the_answer(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    found = forecast("quarter", "--out", tmp_path / "report.json", "--json").document
    assert json.loads((tmp_path / "report.json").read_text()) == found


def test_name_that_looks_like_a_formula_stays_a_name(answer: dict[str, Any], tmp_path: Path) -> None:
    evil = "=1+1\x07"
    answer["rows"][0]["group"] = {"team": evil}
    write_quarter_report(answer, tmp_path / "report.xlsx")
    cell = openpyxl.load_workbook(tmp_path / "report.xlsx")["Forecast"]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")
    write_quarter_report(answer, tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text().splitlines()[1].startswith("group,'=1+1")


def test_report_without_history_before_or_record_is_written_too(answer: dict[str, Any], tmp_path: Path) -> None:
    for row in (*answer["rows"], answer["total"]):
        row.update(last_quarter=None, change=None, change_percent=None)
    answer["backtest"] = {"scope": "", "cutoffs": 0, "wape": None, "bias": None, "coverage_80": None, "grade": None}
    for name in ("report.xlsx", "report.csv", "report.json"):
        write_quarter_report(answer, tmp_path / name)
    assert openpyxl.load_workbook(tmp_path / "report.xlsx")["Forecast"]["F2"].value is None


def test_failed_report_leaves_the_old_one_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    target.write_text("old")

    def fail() -> None:
        with atomically(target) as temporary:
            temporary.write_text("half of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    with atomically(tmp_path / "made") as temporary:
        temporary.write_text("x")
    (tmp_path / "usual").write_text("x")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_report_into_no_folder_is_an_input_error(answer: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_quarter_report(answer, tmp_path / "no" / "report.csv")
    with pytest.raises(InputError, match="cannot be written"), atomically(tmp_path / "no" / "report.csv"):
        pass


def test_whatif_gives_the_answer_of_the_workflow(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    found = forecast("whatif", tmp_path / "plan.toml", "--json").document
    expected = json.loads(json.dumps(plain(whatif_answer(snapshot, PLAN))))
    assert {**found, "budgets": []} == expected
    assert [row["id"] for row in found["budgets"]] == ["ads-q1", "company-q1"]
    assert found["delta"]["mean"] > 0
    assert "scale_usage" in forecast("whatif", tmp_path / "plan.toml").out


def test_days_of_a_plan_may_be_toml_dates(forecast: Commands, snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN.replace('period = "2027-Q1"', "start = 2027-01-01\nend = 2027-04-01"))
    found = forecast("whatif", tmp_path / "plan.toml", "--json").document
    assert (found["start"], found["end"]) == (str(parse_period("2027-Q1").start), str(parse_period("2027-Q1").end))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("[[levers", "not TOML"),
        (PLAN.replace("2.0", '"twice"'), "factor"),
        (PLAN.replace("scale_usage", "wish"), "wish"),
        (PLAN.replace("team=ads", "team=nobody"), "nobody"),
        (PLAN.replace("period", "perriod"), "perriod"),
    ],
)
def test_plan_with_a_fault_is_an_input_error(forecast: Commands, snapshot: Snapshot, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    ran = forecast("whatif", tmp_path / "plan.toml", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
