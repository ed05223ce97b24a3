"""Scenario serving_demo_v1: how fast `/v1/forecast` answers for a named node, beside an empty `@bentoml.api` in the same run.

    python benchmarks/serving_latency.py HOME [--seconds 4] [--rounds 3] [--out benchmarks/serving_latency.json]

HOME is a home with a snapshot (`forecast demo --once` leaves one). Both services run with one worker on loopback, measured in
turn; each figure is the median over rounds. Latency is at one connection, requests/s at 8 connections that each wait for their answer.
`repeated` asks the same few questions again (the cache answers), `new` never asks anything twice (every answer is computed).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import bentoml
from pydantic import BaseModel

SCENARIO = "serving_demo_v1"
CONNECTIONS = 8
ROOT = Path(__file__).resolve().parents[1]


class Nothing(BaseModel):
    """The body of the empty endpoint."""

    scope: str = ""


@bentoml.service(name="empty", workers=1)
class EmptyService:
    """What BentoML alone costs: one model in, a constant out, and the same rest for the garbage collector as ours."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    @bentoml.api  # type: ignore[untyped-decorator]
    async def empty(self, body: Nothing, /) -> dict[str, float]:
        return {"mean": 0.0}


@contextmanager
def serving(target: str, home: Path, folder: Path) -> Iterator[int]:
    """Port of a service that answers /readyz; stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "FORECAST_HOME": str(home), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _wait_until_ready(port, process)
            yield port
        finally:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], seconds: float = 90.0) -> None:
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if process.poll() is not None:
            raise SystemExit("the service ended before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the service was not ready in time; does the home have a snapshot?")


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def repeated_questions(port: int) -> list[bytes]:
    """Next 90 days by month, for every team."""
    first = date.fromisoformat(ask(port, "/v1/snapshots")["snapshots"][0]["cutoff"]) + timedelta(days=1)
    start, end = first.isoformat(), (first + timedelta(days=90)).isoformat()
    rows = ask(port, "/v1/forecast", {"start": start, "end": end, "granularity": "quarter", "group_by": ["team"]})["rows"]
    teams = sorted({row["group"]["team"] for row in rows})
    return [json.dumps({"scope": {"team": team}, "start": start, "end": end}).encode() for team in teams]


def new_questions(repeated: list[bytes]) -> Iterator[bytes]:
    """Questions about the same nodes and periods of much the same length, none of them twice."""
    first = date.fromisoformat(json.loads(repeated[0])["start"])
    for number in range(1_000_000):
        team = json.loads(repeated[number % len(repeated)])["scope"]
        rest = number // len(repeated)
        start = first + timedelta(days=rest % 30)
        end = start + timedelta(days=60 + rest // 30 % 30)
        # The last factor keeps questions apart when all days have been asked for: one more quantile, which is not kept ready.
        yield json.dumps(
            {"scope": team, "start": start.isoformat(), "end": end.isoformat(), "quantiles": [0.1, 0.5, 0.9, 0.95 + rest // 900 * 1e-6]}
        ).encode()


async def _client(port: int, path: str, bodies: Iterator[bytes], stop: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
    while (start := time.perf_counter()) < stop:
        body = next(bodies)
        writer.write(f"{head}{len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path} answered {answer[:60]!r} to {body!r}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        latencies.append(time.perf_counter() - start)
    writer.close()


async def _measure(port: int, path: str, bodies: Iterator[bytes], connections: int, seconds: float) -> list[float]:
    latencies: list[float] = []
    stop = time.perf_counter() + seconds
    await asyncio.gather(*(_client(port, path, bodies, stop, latencies) for _ in range(connections)))
    return sorted(latencies)


def measure(port: int, path: str, bodies: Iterator[bytes], seconds: float) -> dict[str, float]:
    """p50 and p99 in milliseconds at one connection, requests/s at eight."""
    asyncio.run(_measure(port, path, bodies, CONNECTIONS, min(1.0, seconds)))  # warm
    single = asyncio.run(_measure(port, path, bodies, 1, seconds))
    many = asyncio.run(_measure(port, path, bodies, CONNECTIONS, seconds))
    return {
        "p50_ms": 1000 * single[len(single) // 2],
        "p99_ms": 1000 * single[int(0.99 * len(single))],
        "requests_per_second": len(many) / seconds,
    }


def run(home: Path, seconds: float, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="forecast-bench-") as name:
        folder = Path(name)
        with (
            serving("benchmarks.serving_latency:EmptyService", home, folder) as empty_port,
            serving("forecast.serving.service:SpendForecastService", home, folder) as port,
        ):
            repeated = repeated_questions(port)
            targets = {
                "empty_api": (empty_port, "/empty", cycle([b'{"scope":""}'])),
                "forecast_repeated": (port, "/v1/forecast", cycle(repeated)),
                "forecast_new": (port, "/v1/forecast", new_questions(repeated)),
            }
            found: dict[str, list[dict[str, float]]] = {target: [] for target in targets}
            for _ in range(rounds):
                for target, (target_port, path, bodies) in targets.items():
                    found[target].append(measure(target_port, path, bodies, seconds))
    figures = {
        target: {name: round(statistics.median(result[name] for result in results), 2) for name in results[0]} for target, results in found.items()
    }
    empty = figures["empty_api"]["requests_per_second"]
    return {
        "scenario": SCENARIO,
        "cores": os.cpu_count(),
        "connections": CONNECTIONS,
        "rounds": rounds,
        "seconds": seconds,
        "figures": figures,
        "ratio_to_empty_api": {target: round(figures[target]["requests_per_second"] / empty, 3) for target in ("forecast_repeated", "forecast_new")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="home folder with a snapshot")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "serving_latency.json")
    options = parser.parse_args()
    result = run(options.home.resolve(), options.seconds, options.rounds)
    text = json.dumps(result, indent=2, sort_keys=True) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
