"""What-if answers as files: names stay names, many levers stay readable, and a picture is the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from forecast.adapters.scenario_pictures import MOST_BARS, waterfall_steps, write_comparison_picture, write_whatif_picture
from forecast.adapters.scenario_reports import write_json, write_whatif_report
from forecast.errors import InputError


def told(mean: float) -> dict[str, float]:
    return {"mean": mean, "p10": mean - 10, "p50": mean - 1, "p90": mean + 12}


def answer(*names: str) -> dict[str, Any]:
    levers = [{"type": "scale_usage", "name": name, "scope": "team=ads", "delta": told(5.0 + number)} for number, name in enumerate(names)]
    parts: list[dict[str, Any]] = [{"lever": number, "name": name, "mean": 5.0 + number} for number, name in enumerate(names)]
    change = sum(part["mean"] for part in parts)
    return {
        "snapshot_id": "ab" * 32,
        "cutoff": "2026-12-10",
        "currency": "USD",
        "cost": "effective",
        "scope": "",
        "start": "2027-01-01",
        "end": "2027-03-01",
        "name": "=1+1",
        "baseline": told(1000.0),
        "scenario": told(1000.0 + change),
        "delta": told(change),
        "probability_cheaper": 0.25,
        "rows": [
            {
                "group": {"team": "=cmd()"},
                "start": "2027-01-01",
                "end": "2027-03-01",
                **{side: told(1.0) for side in ("baseline", "scenario", "delta")},
            }
        ],
        "levers": levers,
        "waterfall": {"method": "exact", "parts": parts, "sum": change},
        "budgets": [],
        "warnings": ["a note"],
    }


PERIODS = [
    {"group": {}, "start": start, "end": end, **{side: told(500.0) for side in ("baseline", "scenario", "delta")}}
    for start, end in (("2027-01-01", "2027-02-01"), ("2027-02-01", "2027-03-01"))
]


def test_a_name_that_looks_like_a_formula_stays_a_name(tmp_path: Path) -> None:
    write_whatif_report(answer("@sum", "plain"), PERIODS, tmp_path / "x.xlsx")
    book = load_workbook(tmp_path / "x.xlsx")
    cells = [(sheet.title, cell.value) for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    assert cells == []
    assert book["Groups"]["A2"].value == "=cmd()"
    assert book["Levers"]["B2"].value == "@sum"
    assert [row[0] for row in book["Periods"].iter_rows(min_row=2, values_only=True)] == ["2027-01-01", "2027-02-01"]


def test_the_waterfall_of_a_workbook_ends_at_the_scenario(tmp_path: Path) -> None:
    asked = answer("up", "more")
    write_whatif_report(asked, PERIODS, tmp_path / "x.xlsx")
    rows: list[Any] = list(load_workbook(tmp_path / "x.xlsx")["Scenario"].iter_rows(min_row=8, max_col=5, values_only=True))
    assert rows[0][0] == "Waterfall of the mean"
    assert [row[0] for row in rows[1:5]] == ["forecast", "up", "more", "scenario"]
    assert rows[3][1] + rows[3][3] == pytest.approx(rows[4][2]) == asked["scenario"]["mean"]


def test_pictures_take_any_name_and_are_the_same_every_time(tmp_path: Path) -> None:
    asked = answer("$x_1$", "预算 ✓", "a & <b>")
    for name in ("one.svg", "two.svg"):
        write_whatif_picture(asked, PERIODS, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "$x_1$" in text
    assert "a &amp; &lt;b&gt;" in text
    write_whatif_picture(asked, PERIODS, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_the_smallest_of_many_levers_are_one_step_and_all_add_up() -> None:
    steps = waterfall_steps(answer(*(f"lever {number}" for number in range(40))))
    assert len(steps) == MOST_BARS
    assert steps[-1][0] == "17 others"
    assert sum(change for _, change in steps) == pytest.approx(sum(5.0 + number for number in range(40)))
    without = answer("a", "b")
    del without["waterfall"]
    assert waterfall_steps(without) == [("a", 5.0), ("b", 6.0)]
    assert waterfall_steps(answer()) == []


def test_a_plan_without_levers_can_be_drawn_and_a_comparison_too(tmp_path: Path) -> None:
    write_whatif_picture(answer(), PERIODS, tmp_path / "empty.svg")
    scenarios = [
        {"id": "growth", "name": "", "version": 1, "scenario": told(900.0)},
        {"id": "base", "name": "x", "version": None, "scenario": told(1000.0)},
    ]
    write_comparison_picture({**answer(), "scenarios": scenarios}, tmp_path / "side.svg")
    assert "growth" in (tmp_path / "side.svg").read_text(encoding="utf-8")


def test_other_endings_are_refused_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.xlsx"):
        write_whatif_report(answer(), PERIODS, tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"\.svg, \.png"):
        write_whatif_picture(answer(), PERIODS, tmp_path / "x.gif")
    broken = {**answer("a"), "levers": [{}]}
    with pytest.raises(KeyError):
        write_whatif_report(broken, PERIODS, tmp_path / "x.xlsx")
    write_json({"a": 1.5}, tmp_path / "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
