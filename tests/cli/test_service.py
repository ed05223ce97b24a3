"""The service as a process: ports, start, stop, and what doctor finds."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast.commands.processes import ServiceProcess, ask
from forecast.config import load_settings
from forecast.errors import ModelError
from forecast.snapshot import Snapshot
from tests.cli.homes import Commands


@pytest.fixture
def listener() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("command", [["demo", "--once"], ["serve"]])
def test_port_in_use_is_told_before_any_work(forecast: Commands, empty_home: Path, listener: int, command: list[str]) -> None:
    ran = forecast(*command, "--port", str(listener))
    assert (ran.code, ran.out) == (2, "")
    assert f"Port {listener}" in ran.err
    assert "--port" in ran.err
    assert not empty_home.exists()


def test_serve_answers_until_it_is_told_to_stop(trained: tuple[Path, Snapshot], tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "FORECAST_HOME": str(trained[0])}
    command = [sys.executable, "-m", "forecast.cli", "serve", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log) as process:
        try:
            assert process.stdout is not None
            assert f"127.0.0.1:{port}" in process.stdout.readline().decode()
            status, answer = ask(f"http://127.0.0.1:{port}", "POST", "/v1/forecast", {"period": "2027-Q1"})
            assert (status, answer["snapshot_id"]) == (200, trained[1].id)
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    assert code == 0
    with pytest.raises(OSError, match="refused"):
        ask(f"http://127.0.0.1:{port}", "GET", "/livez")


def test_service_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_RECORDS", "nonsense://")
    service = ServiceProcess(load_settings(home=tmp_path / "home"), port=free_port(), log=tmp_path / "service.log")
    service.start()
    try:
        with pytest.raises(ModelError, match=r"service\.log"):
            service.wait_until("/readyz", 8.0)
    finally:
        service.stop()


def test_serve_with_records_that_cannot_be_used_is_an_input_error(forecast: Commands, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_RECORDS", "nonsense://")
    ran = forecast("serve", "--port", str(free_port()))
    assert (ran.code, ran.out) == (2, "")
    assert "FORECAST_RECORDS" in ran.err


def test_doctor_of_an_empty_home_makes_nothing(forecast: Commands, empty_home: Path) -> None:
    document = forecast("doctor", "--json").document
    assert document["ledger"] is None
    assert document["versions"]["forecast"]
    assert any("forecast demo" in finding["message"] for finding in document["findings"])
    assert not empty_home.exists()


def test_doctor_of_a_trained_home_names_champion_and_snapshot(forecast: Commands, snapshot: Snapshot) -> None:
    document = forecast("doctor", "--json").document
    assert document["champion"]["name"] == "combination"
    assert document["snapshot"]["id"] == snapshot.id
    assert document["disk"]["used_bytes"] > 1000


def test_doctor_tells_people_what_they_can_read(forecast: Commands, snapshot: Snapshot) -> None:
    told = forecast("doctor").out
    assert "combination version 1, promoted 2026-12-11 06:00 UTC" in told
    assert f"{snapshot.id[:12]}, cutoff {snapshot.cutoff} (" in told
    assert snapshot.id not in told
    assert not re.search(r"\d\.\d{3,}", told.replace("versions", ""))


def test_doctor_fails_where_the_snapshot_is_gone(forecast: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from tests.cli.homes import make_home

    make_home(tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "snapshots")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    ran = forecast("doctor")
    assert ran.code == 1
    assert "cannot be opened" in ran.out
