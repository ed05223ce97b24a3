"""`forecast budget add`, `list`, `show`, `remove`, `check`, `import`, `export`: what may be spent, as its owner writes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.adapters.budget_files import read_table, write_budgets
from forecast.budgets.budget_rows import read_budgets
from forecast.snapshot import Snapshot
from tests.cli.homes import Commands, make_home

TABLE = """id,scope,period,parent,amount,2027-01,2027-02,2027-03,thresholds,owner
ads,team=ads,2027-Q1,company,,100,200,300.5,,Ada
ads-prod,"team=ads,stage=prod",2027-Q1,ads,500,,,,probability>=30%:warn;actual>=80%:act,-x
company,,2027-Q1,,900,,,,,
"""


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """A home with a snapshot and budgets that this test may write to."""
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    return make_home(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_budget_is_added_with_all_that_belongs_to_it(empty_home: Path, forecast: Commands) -> None:
    forecast("budget", "add", "company", "--period", "2027", "--amount", "1000")
    words = "--scope team=ads --period 2027-01 --repeats month --parent company --currency eur --cost billed --kind balance --unit credits"
    many = ["--phase", "2027-01=30", "--phase", "2027-01-11=70", "--threshold", "probability>=30%", "--threshold", "actual>=80%:act"]
    added = forecast("budget", "add", "ads", *words.split(), "--unit-price", "0.5", *many, "--name", "Ads", "--owner", "Ada", "--json").document
    assert added == {
        "id": "ads",
        "scope": "team=ads",
        "start": "2027-01-01",
        "end": "2027-02-01",
        "amount": 100.0,
        "currency": "EUR",
        "cost": "billed",
        "name": "Ads",
        "owner": "Ada",
        "kind": "balance",
        "parent": "company",
        "repeats": "month",
        "phases": [{"start": "2027-01-01", "amount": 30.0}, {"start": "2027-01-11", "amount": 70.0}],
        "thresholds": ["probability>=30%:warn", "actual>=80%:act"],
        "unit": "credits",
        "unit_price": 0.5,
        "warnings": added["warnings"],
    }
    assert added["warnings"]  # a part that counts another cost than its parent
    shown = forecast("budget", "show", "ads", "--json").document
    assert shown == {**{name: value for name, value in added.items() if name != "warnings"}, "children": []}
    assert forecast("budget", "show", "company", "--json").document["children"] == ["ads"]
    out = forecast("budget", "show", "ads").out
    assert all(text in out for text in ("100 credits EUR", "2027-01-11..2027-02-01", "actual>=80%:act", "company"))
    assert "probability>=30%:warn (usual)" in forecast("budget", "show", "company").out
    assert "100 credits" in forecast("budget", "list").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "amount is missing"),
        (("--amount", "5", "--phase", "2027-01=4"), "add up to 4.00"),
        (("--amount", "5", "--phase", "2027-01:4"), "START=AMOUNT"),
        (("--amount", "5", "--threshold", "spend>5"), "actual>=80%"),
        (("--amount", "5", "--repeats", "month"), "company's calendar"),
        (("--amount", "5", "--repeats", "week"), "month, quarter, year"),
        (("--amount", "5", "--kind", "grant"), "budget, experiment, balance"),
        (("--amount", "5", "--unit", "credits"), "kind balance"),
        (("--amount", "5", "--unit", "credits", "--kind", "balance"), "worth is missing"),
        (("--amount", "5", "--parent", "nobody"), "nobody does not exist"),
        (("--amount", "5", "--parent", "b"), "own parent"),
        (("--amount", "5", "--currency", "euro"), "such as USD"),
        (("--amount", "5", "--cost", "list"), "effective, billed"),
        (("--amount", "5", "--owner", "a\nb"), "control characters"),
    ],
)
def test_budget_that_cannot_be_is_refused_in_one_line(empty_home: Path, forecast: Commands, words: tuple[str, ...], told: str) -> None:
    ran = forecast("budget", "add", "b", "--period", "2027-Q1", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1
    assert forecast("budget", "list", "--json").document == {"budgets": []}


def test_quarters_of_a_budget_are_the_companys(empty_home: Path, forecast: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_FISCAL_START", "4")
    added = forecast("budget", "add", "b", "--period", "2027-Q1", "--amount", "5", "--repeats", "quarter", "--json").document
    assert (added["start"], added["end"]) == ("2026-04-01", "2026-07-01")


def test_parts_beyond_their_parent_are_warned_of_and_checked(empty_home: Path, forecast: Commands) -> None:
    forecast("budget", "add", "company", "--period", "2027-Q1", "--amount", "100")
    added = forecast(
        "budget", "add", "ads", "--scope", "team=ads", "--period", "2027-Q1", "--amount", "150", "--parent", "company", "--json"
    ).document
    assert len(added["warnings"]) == 1
    assert "Note: " in forecast("budget", "add", "ads", "--scope", "team=ads", "--period", "2027-Q1", "--amount", "150", "--parent", "company").out
    found = forecast("budget", "check", "--json").document
    assert found["budgets"] == 2
    assert [(finding["budget_id"], finding["check"], finding["amount"]) for finding in found["findings"]] == [("company", "children_exceed", 50.0)]
    assert "company" in forecast("budget", "check").out
    assert forecast("budget", "check", "--strict").code == 3
    forecast("budget", "add", "company", "--period", "2027-Q1", "--amount", "150")
    assert forecast("budget", "check", "--strict").code == 0
    assert "all fit together" in forecast("budget", "check").out


def test_check_knows_the_leaves_of_the_forecast(own_home: Snapshot, forecast: Commands) -> None:
    forecast("budget", "add", "whole", "--period", "2027-Q1", "--amount", "900000", "--currency", own_home.currency)
    forecast("budget", "add", "part", "--scope", "team=ads", "--period", "2027-Q1", "--amount", "100000", "--parent", "whole")
    assert forecast("budget", "check", "--json").document["findings"] == []


def test_empty_home_has_nothing_to_check_and_is_not_made(empty_home: Path, forecast: Commands) -> None:
    assert forecast("budget", "check", "--json").document == {"budgets": 0, "findings": []}
    assert forecast("budget", "show", "x").code == forecast("budget", "remove", "x").code == 2
    assert not empty_home.exists()


def test_parent_is_removed_after_its_parts(empty_home: Path, forecast: Commands, file: Path) -> None:
    forecast("budget", "import", file)
    ran = forecast("budget", "remove", "company")
    assert ran.code == 2
    assert "parent of ads" in ran.err
    for name in ("ads-prod", "ads", "company"):
        assert forecast("budget", "remove", name).code == 0


def test_table_is_taken_in_whole_and_again_changes_nothing(empty_home: Path, forecast: Commands, file: Path) -> None:
    first = forecast("budget", "import", file, "--json").document
    assert (first["added"], first["replaced"], first["unchanged"], first["ignored"], first["dry_run"]) == (3, 0, 0, [], False)
    assert [budget["amount"] for budget in first["budgets"]] == [600.5, 500.0, 900.0]
    again = forecast("budget", "import", file, "--json").document
    assert (again["added"], again["replaced"], again["unchanged"]) == (0, 0, 3)
    file.write_text(TABLE.replace("500", "700"), encoding="utf-8")
    changed = forecast("budget", "import", file, "--json").document
    assert (changed["replaced"], changed["unchanged"]) == (1, 2)
    assert any("99.50" in text for text in changed["warnings"])
    assert "99.50" in forecast("budget", "import", file).out
    assert len(forecast("budget", "list", "--json").document["budgets"]) == 3


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_what_is_exported_is_imported_unchanged(empty_home: Path, forecast: Commands, file: Path, tmp_path: Path, ending: str) -> None:
    forecast("budget", "import", file)
    out = tmp_path / f"out.{ending}"
    assert forecast("budget", "export", out, "--json").document == {"exported": 3, "file": str(out)}
    before = forecast("budget", "list", "--json").document
    for name in ("ads-prod", "ads", "company"):
        forecast("budget", "remove", name)
    assert forecast("budget", "import", out, "--json").document["added"] == 3
    assert forecast("budget", "list", "--json").document == before


def test_dry_run_says_what_would_be_and_writes_nothing(empty_home: Path, forecast: Commands, file: Path) -> None:
    found = forecast("budget", "import", file, "--dry-run", "--json").document
    assert (found["added"], found["dry_run"]) == (3, True)
    assert not empty_home.exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",500,", ",5OO,", "line 3, column amount: amount '5OO' is not a number"),
        ("company,,2027", "ads,,2027", "line 4, column id: it is the budget ads of line 2 again"),
        (",company,,100", ",nobody,,100", "line 2, column parent: Budget ads: its parent nobody does not exist"),
        ("company,,2027-Q1,,", "company,,2027-Q1,ads-prod,", "company < ads-prod < ads < company"),
        ("owner\n", "boss\n", "no column of budgets is called boss"),
        ("2027-Q1,ads", "2027-Q9,ads", "line 3, column period"),
        ('"team=ads,stage=prod"', "team", "line 3, column scope"),
        ("actual>=80%", "actual>=80 percent", "line 3, column thresholds"),
    ],
)
def test_table_with_a_fault_is_refused_as_a_whole(empty_home: Path, forecast: Commands, file: Path, old: str, new: str, told: str) -> None:
    assert old in TABLE
    file.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    ran = forecast("budget", "import", file, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "budgets.csv" in ran.err
    assert not empty_home.exists()


def test_unknown_columns_are_left_out_when_told_so(empty_home: Path, forecast: Commands, file: Path) -> None:
    file.write_text(TABLE.replace("owner\n", "boss\n"), encoding="utf-8")
    assert "unit_price" in forecast("budget", "import", file).err
    assert forecast("budget", "import", file, "--ignore-unknown", "--json").document["ignored"] == ["boss"]
    assert "boss" in forecast("budget", "import", file, "--ignore-unknown").out


def test_sheet_of_a_workbook_is_chosen_by_name(empty_home: Path, forecast: Commands, file: Path, tmp_path: Path) -> None:
    book = tmp_path / "plan.xlsx"
    write_budgets(read_budgets(read_table(file)).budgets, book)
    assert forecast("budget", "import", book, "--sheet", "Budgets", "--json").document["added"] == 3
    assert "no sheet 'Plan'" in forecast("budget", "import", book, "--sheet", "Plan").err
    assert "has no sheets" in forecast("budget", "import", file, "--sheet", "Plan").err


def test_json_of_budgets_is_one_document(empty_home: Path, forecast: Commands, file: Path) -> None:
    ran = forecast("budget", "import", file, "--json")
    assert set(json.loads(ran.out)) == {"added", "replaced", "unchanged", "dry_run", "ignored", "budgets", "warnings"}
    assert ran.err == ""


def test_what_a_budget_loses_by_a_table_without_its_column_is_told(empty_home: Path, forecast: Commands, file: Path) -> None:
    forecast("budget", "import", file)
    file.write_text("id,scope,period,amount\nads,team=ads,2027-Q1,600\n", encoding="utf-8")
    warnings = forecast("budget", "import", file, "--json").document["warnings"]
    assert warnings == ["ads loses what it had as owner, parent, phases: the table has no such column"]
    assert forecast("budget", "import", file, "--json").document["warnings"] == []


def test_a_scope_that_has_never_had_spend_is_kept_and_told(forecast: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_home(tmp_path / "home")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    given = ("budget", "add", "x", "--period", "2027-Q1", "--amount", "1000", "--scope")
    ran = forecast(*given, "team=adz")
    assert (ran.code, "Note: Scope team=adz: no spend has ever had team 'adz'; nearest: ads" in ran.out) == (0, True)
    assert "Note" not in forecast(*given, "team=ads").out
