"""`forecast drivers`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forecast.snapshot import Snapshot
from tests.cli.homes import Commands


def written(folder: Path, text: str) -> Path:
    path = folder / "requests.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_driver_is_imported_listed_and_removed(forecast: Commands, empty_home: Path) -> None:
    today = datetime.now(UTC).date()
    days = [f"{today - timedelta(days=number)},{1000 + number},," for number in range(30)]
    file = written(empty_home.parent, "DS, value, low, high\n" + "\n".join([*days, f"{today + timedelta(days=1)},2000,1500,3000"]))
    answer = forecast("drivers", "import", file, "--name", "web requests", "--scope", "team=ads", "--unit", "requests", "--json").document
    (driver,) = answer["drivers"]
    assert (answer["added"], answer["extended"], answer["warnings"]) == (1, 0, [])
    assert driver == {
        "name": "web requests",
        "scope": "team=ads",
        "unit": "requests",
        "kind": "volume",
        "first_day": str(today - timedelta(days=29)),
        "last_day": str(today + timedelta(days=1)),
        "planned_until": str(today + timedelta(days=1)),
        "rows": 31,
    }
    assert forecast("drivers", "import", file, "--name", "web requests", "--scope", "team=ads", "--json").document["extended"] == 1
    listed = forecast("drivers", "list", "--json").document["drivers"]
    assert [(one["name"], one["rows"], one["forecast"]) for one in listed] == [("web requests", 31, None)]
    assert "web requests" in forecast("drivers", "list").out
    assert forecast("drivers", "remove", "web requests", "--json").document == {"removed": "web requests"}
    assert "No drivers yet" in forecast("drivers", "list").out
    assert forecast("drivers", "remove", "web requests").code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ds,value\n2026-01-01,many\n", "'many' on 2026-01-01 is not a number"),
        ("ds,value\n2026-01-01,-5\n", "value -5 on 2026-01-01"),
        ("ds,value\n2026-01-01,5\n2026-01-01,6\n", "two rows for 2026-01-01"),
        ("day,value\n2026-01-01,5\n", "no column 'ds'"),
        ("ds,value\n2026-01-01,5,7\n", "line 2: it has 3 fields"),
        ("ds,value\nsoon,5\n", "column ds is not a day"),
        ("ds,value\n", "no row with a value"),
    ],
)
def test_wrong_files_are_refused_with_file_and_reason(forecast: Commands, empty_home: Path, text: str, words: str) -> None:
    ran = forecast("drivers", "import", written(empty_home.parent, text), "--name", "requests")
    assert ran.code == 2
    assert "requests.csv" in ran.err
    assert words in ran.err
    assert not empty_home.exists()


def test_a_scope_without_spend_is_kept_with_a_warning(
    forecast: Commands, snapshot: Snapshot, tmp_path: Path, trained: tuple[Path, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copytree(trained[0], tmp_path / "copy")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "copy"))
    file = written(tmp_path, "name,scope,ds,value\nusers,team=zebra,2026-01-01,5\ntokens,ai_model=x,2026-01-01,5\n")
    warnings = forecast("drivers", "import", file, "--json").document["warnings"]
    assert any("zebra" in text for text in warnings)
    assert any("finer than the leaves" in text for text in warnings)
