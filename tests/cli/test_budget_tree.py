"""`forecast budget tree`: stored budgets, a file of them, and questions that cannot be answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.snapshot import Snapshot
from tests.cli.homes import Commands

BUDGETS = """id,parent,scope,start,end,amount,repeats
company,,,2027-01-01,2027-04-01,1000000,
ads,company,team=ads,2027-01-01,2027-04-01,105000,
search,company,team=search,2027-01-01,2027-04-01,640000,
ads-monthly,ads,team=ads,2027-01-01,2027-02-01,36000,month
openai,company,provider=openai,2027-01-01,2027-04-01,240000,
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.csv"
    path.write_text(BUDGETS, encoding="utf-8")
    return path


def test_budgets_of_a_file_are_answered_as_a_tree(forecast: Commands, snapshot: Snapshot, file: Path) -> None:
    answer = forecast("budget", "tree", "--file", file, "--json").document
    (tree,) = answer["trees"]
    assert answer["snapshot_id"] == snapshot.id
    assert [child["budget_id"] for child in tree["children"]] == ["ads", "openai", "search"]
    assert [child["start"] for child in tree["children"][0]["children"]] == ["2027-01-01", "2027-02-01", "2027-03-01"]
    assert sum(row["contribution"] for row in tree["all_contributions"]) == pytest.approx(tree["expected_overrun"], rel=1e-5)
    assert {(finding["check"], finding["budget_id"]) for finding in answer["findings"]} == {
        ("overlap", "ads"),
        ("overlap", "openai"),
        ("children_exceed", "ads"),
    }
    assert forecast("budget", "tree", "--file", file, "ads", "--json").document["trees"][0]["budget_id"] == "ads"


def test_people_see_the_tree_its_sentences_and_what_does_not_fit(forecast: Commands, snapshot: Snapshot, file: Path) -> None:
    shown = forecast("budget", "tree", "--file", file)
    assert shown.code == 0
    for text in (
        "Budgets below company",
        "  ads-monthly",
        "comes from",
        "at least one of its 3 children",
        "Taken as independent",
        "Warning: ads and",
    ):
        assert text in shown.out, text
    assert snapshot.id[:12] in shown.out


def test_stored_budgets_without_a_hierarchy_say_how_to_make_one(forecast: Commands, snapshot: Snapshot) -> None:
    shown = forecast("budget", "tree")
    assert (shown.code, "--parent" in shown.out) == (0, True)
    assert forecast("budget", "tree", "ads-q1", "--json").document["trees"][0]["children"] == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nobody"], "No budget has the id 'nobody'"),
        (["ads-q1", "--cost", "billed"], "counts effective cost"),
        (["ads-q1", "--at", "tomorrow"], "at is not a day"),
        (["old"], "first day of spend"),
        (["--file", "missing.csv"], "missing.csv"),
    ],
)
def test_question_that_cannot_be_answered_is_one_line_and_code_2(forecast: Commands, snapshot: Snapshot, arguments: list[str], word: str) -> None:
    ran = forecast("budget", "tree", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert word in ran.err
    assert ran.err.count("\n") == 1


def test_home_without_a_snapshot_says_what_to_do(forecast: Commands, empty_home: Path) -> None:
    ran = forecast("budget", "tree")
    assert ran.code == 2
    assert "forecast ingest" in ran.err
    assert not empty_home.exists()
