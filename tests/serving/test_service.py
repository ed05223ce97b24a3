"""The real thing: `bentoml serve` in a process of its own, on loopback, spoken to with bytes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forecast.config import Settings
from tests.postgres import free_port
from tests.serving.homes import NOW, add_snapshot, make_home
from tests.snapshots_for_tests import make_snapshot

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def served_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_home(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def port(served_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("bentoml")
    number = free_port()
    environment = {**os.environ, "FORECAST_HOME": str(served_home.home), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"}
    command = [
        sys.executable,
        "-m",
        "bentoml",
        "serve",
        "forecast.serving.service:SpendForecastService",
        "--host",
        "127.0.0.1",
        "--port",
        str(number),
    ]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait_until_ready(number, process, folder / "serve.log")
            yield number
        finally:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def wait_until_ready(number: int, process: subprocess.Popen[bytes], log: Path) -> None:
    stop = time.monotonic() + 90
    while time.monotonic() < stop and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{number}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the service was not ready: {log.read_text(errors='replace')[-2000:]}")


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def send(port: int, request: bytes) -> bytes:
    """Answer to raw bytes, read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def test_served_service_answers_and_finds_a_new_snapshot(port: int, served_home: Settings) -> None:
    status, first = ask(port, "/v1/forecast", {"period": "2027-Q1"})
    assert status == 200
    written = add_snapshot(served_home, make_snapshot(seed=3), created_at=NOW + timedelta(hours=2))
    stop = time.monotonic() + 20
    while time.monotonic() < stop and ask(port, "/v1/forecast", {"period": "2027-Q1"})[1]["snapshot_id"] == first["snapshot_id"]:
        time.sleep(0.1)
    assert ask(port, "/v1/forecast", {"period": "2027-Q1"})[1]["snapshot_id"] == written.id


def test_served_service_tells_its_metrics(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert b"bentoml_service_request_total" in answer.read()


def test_served_service_refuses_with_problems(port: int) -> None:
    for path, body, expected in (
        ("/v1/forecast", {"period": "never"}, 400),
        ("/v1/forecast", {"scope": "team=nobody", "period": "2027-Q1"}, 404),
        ("/nothing", None, 404),
        ("/v1/forecast", None, 405),
    ):
        status, problem = ask(port, path, body)
        assert (status, problem["status"]) == (expected, expected)


@pytest.mark.parametrize(
    "lines",
    [
        b"POST /v1/forecast HTTP/1.1\r\nContent-Type: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/forecast HTTP/1.1\r\nContent-Type: application/json\r\nX-Strange: \xff\xfe\r\nUser-Agent: \xff\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/forecast HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTraceparent: 00-zz-\xff-01\r\n\r\n{}",
        b"POST /v1/forecast HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /v1/spend?key=%FF%00 HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\na,b",
        b"POST /v1/spend HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Encoding: \xff\r\nContent-Length: 3\r\n\r\na,b",
        b"GET /v1/budgets/%ff%00%0d%0a HTTP/1.1\r\n\r\n",
        b"GET /v1/budgets/\xff HTTP/1.1\r\n\r\n",
        b"GET /%zz?\xff=\xfe HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"BREW /v1/forecast HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere/v1/forecast HTTP/1.1\r\n\r\n",
        b"HEAD /v1/forecast HTTP/1.1\r\n\r\n",
        b"GET /v1/accuracy?cost=\xff HTTP/1.1\r\n\r\n",
    ],
)
def test_strange_bytes_are_refused_and_never_a_fault(port: int, lines: bytes) -> None:
    head, _, rest = lines.partition(b"\r\n")
    answer = send(port, head + b"\r\nHost: x\r\nConnection: close\r\n" + rest)
    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500, answer[:500]
    heading, _, body = answer.partition(b"\r\n\r\n")
    if b"problem+json" in heading and not lines.startswith(b"HEAD"):
        assert json.loads(body)["status"] == status
    assert ask(port, "/v1/forecast", {"period": "2027-Q1"})[0] == 200
