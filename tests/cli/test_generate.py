"""`forecast generate`: a company in a folder, its futures, its bills as they came in, and rows in bulk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from forecast.commands.company import whole_folder, write_futures
from forecast.company.deliveries import known_at
from forecast.company.generate import generate
from forecast.errors import InputError
from tests.cli.homes import Commands

SMALL = ("--days", "60", "--teams", "2")


def test_futures_are_a_row_a_series_and_day_and_a_column_each(forecast: Commands, tmp_path: Path) -> None:
    asked = ("--futures", "5", "--horizon", "20", "--cutoff", "2026-09-30")
    document = forecast("generate", "--out", tmp_path / "made", *SMALL, *asked, "--json").document
    assert document["files"][-1].endswith("futures.parquet")
    written = pd.read_parquet(document["files"][-1])
    futures = generate(7, 60, 2, cutoff="2026-09-30", futures=5, horizon=20).futures
    assert futures is not None
    paths = [name for name in written.columns if name.startswith("future_")]
    assert len(paths) == 5
    assert (written["day"].min(), written["day"].max()) == (pd.Timestamp("2026-10-01"), pd.Timestamp("2026-10-20"))
    chosen = written[(written["provider"] == "OpenAI") & (written["day"] < "2026-10-08")]
    expected = futures.total("provider=OpenAI", end=pd.Timestamp("2026-10-08").date())
    assert chosen[paths].sum().to_numpy() == pytest.approx(expected, rel=1e-5)


def test_incidents_that_may_come_are_in_the_futures_file(tmp_path: Path) -> None:
    futures = generate(7, 60, 2, futures=2, horizon=20).futures
    assert futures is not None
    extra = pd.DataFrame({"future": [1, 1], "day": [3, 3], "series": [0, 0], "cost": [1000.0, 500.0]})
    written = pd.read_parquet(write_futures(replace(futures, incident_cost=extra), tmp_path))
    first = written.iloc[3]
    assert first["future_0001"] - futures.cost[0, 3, 1] == pytest.approx(1500.0, rel=1e-5)
    assert first["future_0000"] == futures.cost[0, 3, 0]


def test_deliveries_can_be_taken_in_one_after_the_other(forecast: Commands, empty_home: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    asked = ("--deliveries", "--cutoff", "2026-10-28")
    document = forecast("generate", "--out", made, *SMALL, *asked, "--json").document
    listed = json.loads((made / "deliveries.json").read_text())
    assert document["files"][-1] == str(made / "deliveries.json")
    assert listed["key"] == "x_charge_id"
    assert [entry["file"] for entry in listed["deliveries"]] == [f"deliveries/{path.name}" for path in sorted((made / "deliveries").iterdir())]
    for path in sorted((made / "deliveries").iterdir()):  # the file's name is the time of receipt
        report = forecast("ingest", path, "--key", "x_charge_id", "--as-received", path.stem, "--json").document
        assert report["quarantined"] == report["history"] == 0
    company = generate(7, 60, 2)
    for as_of, rows in (("2026-10-29T00:00:00Z", known_at(company, "2026-10-29")), ("2026-12-01", company.rows)):
        panel = forecast("panel", "--freq", "D", "--as-of", as_of, "--json").document["rows"]
        expected = rows.groupby("ChargePeriodStart")["EffectiveCost"].sum()
        assert [row["y"] for row in panel] == pytest.approx(expected.tolist(), abs=0.005)
    again = forecast("generate", "--out", made, *SMALL, "--deliveries")
    assert again.code == 2
    assert "deliveries is not empty" in again.err


def test_bulk_rows_fill_a_new_folder(forecast: Commands, tmp_path: Path) -> None:
    ran = forecast("generate", "--lines", "30001", *SMALL, "--out", tmp_path / "load" / "bulk", "--json")
    assert ran.document["rows"] == 30_001
    assert ran.document["files"] == [str(tmp_path / "load" / "bulk" / "focus-0001.parquet")]
    assert [path.name for path in (tmp_path / "load").iterdir()] == ["bulk"]
    assert pq.read_metadata(ran.document["files"][0]).num_rows == 30_001
    assert "rows, 100 %" in ran.err
    assert oct((tmp_path / "load" / "bulk").stat().st_mode & 0o700) == oct(0o700)


def test_bulk_rows_may_go_to_a_folder_that_is_empty_and_to_no_other(forecast: Commands, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert forecast("generate", "--lines", "10", *SMALL, "--out", tmp_path / "empty").code == 0
    again = forecast("generate", "--lines", "10", *SMALL, "--out", tmp_path / "empty")
    assert (again.code, again.out) == (2, "")
    assert "empty is not empty" in again.err
    (tmp_path / "file").write_text("")
    assert "is a file" in forecast("generate", "--lines", "10", *SMALL, "--out", tmp_path / "file").err
    assert forecast("generate", "--lines", "10", *SMALL, "--out", tmp_path / "file" / "below").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_folder_that_cannot_be_finished_is_left_out(tmp_path: Path) -> None:
    def killed() -> None:
        with whole_folder(tmp_path / "made") as place:
            (place / "focus-0001.parquet").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with pytest.raises(InputError, match="is not empty"), whole_folder(tmp_path.parent):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--lines", "0"], "lines is 0"),
        (["--lines", "-3"], "lines is -3"),
        (["--lines", "99999999999"], "lines is 99999999999"),
        (["--lines", "10", "--days", "3"], "days is 3"),
        (["--lines", "10", "--days", "3660", "--teams", "200"], "732,000 team-days"),
        (["--lines", "10", "--hourly"], "--hourly is given and cannot be used here"),
        (["--lines", "10", "--futures", "5"], "--futures is given"),
        (["--lines", "10", "--deliveries"], "--deliveries is given"),
        (["--cutoff", "2026-09-01"], "--cutoff is about --futures"),
        (["--horizon", "30"], "say with --futures how many"),
        (["--futures", "-1"], "futures is -1"),
        (["--futures", "5", "--horizon", "0"], "horizon is 0"),
        (["--futures", "5", "--cutoff", "2030-01-01"], "cutoff is '2030-01-01'"),
        (["--deliveries", "--cutoff", "soon"], "cutoff is 'soon'"),
    ],
)
def test_wrong_generation_is_an_input_error_and_writes_nothing(forecast: Commands, tmp_path: Path, arguments: list[str], told: str) -> None:
    ran = forecast("generate", "--out", tmp_path / "made", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert list(tmp_path.iterdir()) == []
