"""Bills in and spend out, on a real ledger."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from forecast.adapters.records import Records
from forecast.commands.company import write_company
from forecast.company.generate import generate
from forecast.config import load_settings
from tests.adapters.ledger_rows import row, write_csv
from tests.cli.homes import Commands


@pytest.fixture(scope="session")
def bills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    write_company(generate(7, 60, 2), folder)
    return folder


@pytest.fixture
def ingested(forecast: Commands, empty_home: Path, bills: Path) -> Path:
    ran = forecast("ingest", bills / "focus.parquet")
    assert ran.code == 0, ran.err
    return empty_home


def test_ingest_reports_rows_and_money_and_logs_the_delivery(forecast: Commands, empty_home: Path, bills: Path) -> None:
    ran = forecast("ingest", bills / "focus.parquet", "--source", "test", "--json")
    report = ran.document
    assert report["accepted"] == len(pd.read_parquet(bills / "focus.parquet")) > 1000
    assert report["currency"] == "USD"
    assert "reading" in ran.err
    records = Records(load_settings().records_address)
    logged = records.ingestions()
    records.close()
    assert [(entry.delivery_id, entry.accepted, entry.source) for entry in logged] == [(report["delivery_id"], report["accepted"], "test")]


def test_second_ingest_of_the_same_file_changes_nothing(forecast: Commands, ingested: Path, bills: Path) -> None:
    before = forecast("doctor", "--json").document["ledger"]
    report = forecast("ingest", bills / "focus.parquet", "--json").document
    assert (report["accepted"], report["superseded"]) == (0, 0)
    assert report["unchanged"] == before["rows"]
    assert forecast("doctor", "--json").document["ledger"] == before
    assert "Nothing new" in forecast("ingest", bills / "focus.parquet").out


def test_csv_of_the_same_rows_changes_nothing(forecast: Commands, ingested: Path, tmp_path: Path) -> None:
    ran = forecast("generate", "--out", tmp_path / "csv", "--days", "60", "--teams", "2", "--csv", "--json")
    assert ran.document["rows"] > 1000
    report = forecast("ingest", tmp_path / "csv" / "focus.csv.gz", "--json").document
    assert (report["accepted"], report["quarantined"]) == (0, 0)


def test_same_bill_under_another_name_is_refused_unless_both_are_meant(forecast: Commands, ingested: Path, bills: Path) -> None:
    before = forecast("doctor", "--json").document["ledger"]
    ran = forecast("ingest", bills / "focus.parquet", "--source", "gateway", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert "of the new source 'gateway'" in ran.err
    assert "as said by 'focus'" in ran.err
    assert "--source focus or --also" in ran.err
    assert "allowed:" not in ran.err
    assert forecast("doctor", "--json").document["ledger"] == before
    report = forecast("ingest", bills / "focus.parquet", "--source", "gateway", "--also", "--json").document
    assert report["accepted"] == before["rows"]
    assert any("both count" in note for note in report["notes"])
    assert forecast("doctor", "--json").document["ledger"]["rows"] == 2 * before["rows"]


def test_generate_writes_rows_budgets_events_and_truth(forecast: Commands, tmp_path: Path) -> None:
    document = forecast("generate", "--out", tmp_path / "made", "--days", "60", "--teams", "2", "--json").document
    assert all(Path(name).stat().st_size > 0 for name in document["files"])
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "budgets.csv",
        "events.csv",
        "focus.parquet",
        "incidents.csv",
        "requests.csv",
    ]


def test_quarantined_rows_are_told_with_reason_and_place(forecast: Commands, empty_home: Path, bills: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(bills / "focus.parquet").head(50).astype({"EffectiveCost": object})
    rows.loc[3, "EffectiveCost"] = "many"
    rows.to_csv(tmp_path / "faulty.csv", index=False)
    ran = forecast("ingest", tmp_path / "faulty.csv")
    assert ran.code == 3, ran.err
    assert "faulty.csv, line 5, column EffectiveCost" in ran.out
    assert "quarantined" in ran.out


def test_mended_row_is_taken_in_from_quarantine(forecast: Commands, empty_home: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "faulty.csv", [row(), row(EffectiveCost="many")])
    assert forecast("ingest", tmp_path / "faulty.csv").code == 3
    assert forecast("ingest", "--retry-quarantine", "--json").code == 3
    (kept,) = (empty_home / "quarantine").iterdir()
    kept.write_text(kept.read_text().replace('"EffectiveCost": "many"', '"EffectiveCost": "3.5"'))
    ran = forecast("ingest", "--retry-quarantine", "--json")
    assert (ran.code, ran.document["accepted"], ran.document["quarantined"]) == (0, 1, 0)
    assert not list((empty_home / "quarantine").iterdir())
    assert forecast("doctor", "--json").document["ledger"]["rows"] == 2
    assert forecast("ingest", "--retry-quarantine", tmp_path / "faulty.csv").code == 2


@pytest.mark.parametrize(("content", "told"), [(b"", "empty"), (b"PAR1 and then nothing", "faulty"), (b"a,b\n1,2\n", "column")])
def test_file_that_is_not_a_bill_is_an_input_error_and_leaves_no_rows(
    forecast: Commands, empty_home: Path, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / ("faulty.parquet" if content.startswith(b"PAR1") else "faulty.csv")
    file.write_bytes(content)
    ran = forecast("ingest", file, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err.splitlines()[-1]
    assert forecast("doctor", "--json").document["ledger"] is None


def test_panel_is_csv_or_json_or_a_file(forecast: Commands, ingested: Path, tmp_path: Path) -> None:
    asked = ("panel", "--by", "team", "--freq", "W", "--scope", "stage=prod")
    shown = pd.read_csv(io.StringIO(forecast(*asked).out))
    document = forecast(*asked, "--json").document
    assert list(shown.columns[:3]) == ["unique_id", "ds", "y"]
    assert [row["unique_id"] for row in document["rows"]] == shown["unique_id"].tolist()
    assert document["currency"] == "USD"
    assert sum(row["y"] for row in document["rows"]) == pytest.approx(shown["y"].sum())
    for name in ("panel.csv", "panel.parquet"):
        told = forecast(*asked, "--out", tmp_path / name, "--json").document
        read = pd.read_csv(tmp_path / name) if name.endswith("csv") else pd.read_parquet(tmp_path / name)
        assert told["rows"] == len(read) == len(shown)
        assert read["y"].to_numpy() == pytest.approx(shown["y"].to_numpy())


def test_parents_are_the_sums_of_their_parts(forecast: Commands, ingested: Path) -> None:
    parts = forecast("panel", "--by", "provider,team", "--freq", "MS", "--json").document["rows"]
    whole = forecast("panel", "--freq", "MS", "--json").document["rows"]
    for month in whole:
        assert sum(row["y"] for row in parts if row["ds"] == month["ds"]) == pytest.approx(month["y"])


def test_panel_as_of_a_moment_before_the_bill_is_empty(forecast: Commands, empty_home: Path, bills: Path) -> None:
    forecast("ingest", bills / "focus.parquet", "--as-received", "2026-11-05T08:00:00Z")
    assert forecast("panel", "--as-of", "2026-11-05T07:59:59Z", "--json").document["rows"] == []
    assert len(forecast("panel", "--as-of", "2026-11-05T08:00:00Z", "--json").document["rows"]) == 60


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scope", "team=nobody"], "nobody"),
        (["--scope", "team"], "no '='"),
        (["--freq", "fortnight"], "fortnight"),
        (["--cost", "list"], "list"),
        (["--by", "team,team"], "twice"),
        (["--start", "2026-10-02", "--end", "2026-10-01"], "reversed"),
        (["--out", "panel.xlsx"], ".parquet"),
        (["--out", "no/folder/panel.csv"], "does not exist"),
    ],
)
def test_wrong_panel_is_an_input_error(forecast: Commands, ingested: Path, arguments: list[str], told: str) -> None:
    ran = forecast("panel", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_doctor_tells_of_ledger_and_next_step(forecast: Commands, ingested: Path) -> None:
    document = forecast("doctor", "--json").document
    assert document["ledger"]["currency"] == "USD"
    assert document["records"]["deliveries"] == 1
    assert any("forecast train" in finding["message"] for finding in document["findings"])
    assert json.dumps(document)
    assert "USD" in forecast("doctor").out
