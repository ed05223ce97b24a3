"""Scenarios company_24_months_v1 and bulk_10_million_v1: how long the generated company takes, and how much memory.

    python benchmarks/company_generation.py [--rounds 3] [--out benchmarks/company_generation.json]

company_24_months_v1 : 730 days × 8 teams by the day with 200 futures of 120 days from the last day, in memory.
bulk_10_million_v1 : `forecast generate --lines 10000000`, Parquet files on the local disk included.
Each round is a process of its own; seconds are the median over rounds, memory the largest (peak resident size). Where `seconds` are far
above `cpu_seconds`, other work was on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"company_24_months_v1": {"seconds": 5.0, "peak_gib": 1.5}, "bulk_10_million_v1": {"seconds": 60.0, "peak_gib": 2.0}}
BULK_LINES = 10_000_000

COMPANY = """
import json, time
from forecast.company.generate import generate
began, worked = time.perf_counter(), time.process_time()
company = generate(7, 730, 8, futures=200)
times = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
print(json.dumps(times | {"rows": len(company.rows), "series": len(company.futures.keys)}))
"""


def timed(command: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """What a process printed as JSON; its seconds from start to end, on the clock and of the processor, and its peak memory in GiB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT)
        text = process.stdout.read() if process.stdout is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
            raise SystemExit(f"{' '.join(command[:4])} … ended with {process.returncode}: {said}")
    kilobytes = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss / 1024
    seconds, worked = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
    return json.loads(text), {"seconds": seconds, "cpu_seconds": worked, "peak_gib": kilobytes / 2**20}


def run_company() -> dict[str, float]:
    said, whole = timed([sys.executable, "-c", COMPANY])
    return {**whole, **said}


def run_bulk() -> dict[str, float]:
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory(prefix="forecast-bench-") as name:
        command = [sys.executable, "-m", "forecast.cli", "generate", "--lines", str(BULK_LINES), "--out", f"{name}/bulk", "--json"]
        said, whole = timed(command)
        size = sum(Path(file).stat().st_size for file in said["files"])
    return {**whole, "rows": said["rows"], "files": len(said["files"]), "megabytes": size / 1e6}


def summary(results: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {name: round(value) for name, value in results[-1].items()}
    for name in ("seconds", "cpu_seconds"):
        found[name] = round(statistics.median(result[name] for result in results), 2)
    return found | {"peak_gib": round(max(result["peak_gib"] for result in results), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "company_generation.json")
    options = parser.parse_args()
    figures = {}
    for scenario, run in (("company_24_months_v1", run_company), ("bulk_10_million_v1", run_bulk)):
        figures[scenario] = summary([run() for _ in range(options.rounds)])
    kept = {name: all(figures[name][measure] <= limit for measure, limit in limits.items()) for name, limits in LIMITS.items()}
    document = {"cores": os.cpu_count(), "rounds": options.rounds, "limits": LIMITS, "figures": figures, "within_limits": kept}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
