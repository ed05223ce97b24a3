"""Bills that come by themselves, with the real command: a watched folder, and a vendor that has no key."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.ledger_rows import row, write_csv
from tests.cli.homes import Commands


@pytest.fixture
def watching(empty_home: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "in").mkdir()
    environment = os.environ | {"FORECAST_HOME": str(empty_home)}
    command = [sys.executable, "-m", "forecast.cli", "ingest", str(tmp_path / "in"), "--watch"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_watched_folder_takes_in_what_comes_and_ends_in_order(watching: subprocess.Popen[str], forecast: Commands, tmp_path: Path) -> None:
    bill = write_csv(tmp_path / "bill.csv", [row(ResourceId="a"), row(ResourceId="b", BilledCost="oops")])
    shutil.copy(bill, tmp_path / "in" / "bill.csv")
    until = time.monotonic() + 60
    state = tmp_path / "home" / "sources.ndjson"
    while not (state.exists() and state.read_text()) and time.monotonic() < until:
        time.sleep(0.2)
    watching.send_signal(signal.SIGTERM)
    _, told = watching.communicate(timeout=30)
    assert watching.returncode == 0, told
    assert "folder: bill.csv taken in: 1 accepted, 0 unchanged, 1 quarantined" in told
    assert forecast("doctor", "--json").document["ledger"]["rows"] == 1


@pytest.mark.parametrize("arguments", [("a.csv", "--watch"), (".", "--watch", "--replace"), (".", ".", "--watch")])
def test_watch_takes_one_folder_and_no_way_of_reading(forecast: Commands, empty_home: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_csv(tmp_path / "a.csv", [row()])
    ran = forecast("ingest", *arguments)
    assert ran.code == 2
    assert "--watch takes one folder" in ran.err


@pytest.mark.parametrize(("source", "told"), [("openai", "OPENAI_ADMIN_KEY"), ("nobody", "allowed are anthropic, openai")])
def test_pull_says_what_it_needs(forecast: Commands, empty_home: Path, monkeypatch: pytest.MonkeyPatch, source: str, told: str) -> None:
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    ran = forecast("pull", source)
    assert ran.code == 2
    assert told in ran.err
    assert not empty_home.exists()


def test_compact_makes_few_files_of_many_and_changes_no_answer(forecast: Commands, empty_home: Path, tmp_path: Path) -> None:
    for number in range(4):
        day = f"2026-01-0{number + 1}"
        bill = write_csv(tmp_path / f"{number}.csv", [row(x_id="1", EffectiveCost=str(number), ChargePeriodStart=day, ChargePeriodEnd="2026-01-09")])
        forecast("ingest", bill, "--key", "x_id", "--as-received", f"2026-02-0{number + 1}")
    asked = [("panel", "--json"), ("panel", "--json", "--as-of", "2026-02-02"), ("doctor", "--json")]

    def answers() -> list[object]:
        documents = [forecast(*arguments).document for arguments in asked]
        return [*documents[:2], documents[2]["ledger"]]

    before = answers()
    document = forecast("compact", "--keep-hours", "0", "--json").document
    assert document["files_after"] < document["files_before"]
    assert document["removed"] > 0
    assert answers() == before
