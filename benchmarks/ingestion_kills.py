"""Scenario ingestion_kills_v1: an ingestion is killed with SIGKILL at 200 moments and run again; is the ledger what it would have been?

    python benchmarks/ingestion_kills.py [--kills 200] [--lines 7000] [--out benchmarks/ingestion_kills.json]

A process of its own takes in eight deliveries one after the other (`plan`): appended files, logs by key with restatements, exports that
withdraw and change, an overlap, a delivery that arrives late, and one that says nothing new. It is killed at moments spread evenly over the
time that it takes when nobody disturbs it. Right after the kill the ledger must hold a whole number of deliveries, as they were known then;
then the same process runs from its beginning to its end, and the ledger must be the undisturbed one to the last column of the last row, at
every moment of receipt.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from forecast.adapters.ledger import Ledger

SCENARIO = "ingestion_kills_v1"
ROOT = Path(__file__).resolve().parents[1]
KEY = "x_charge_id"
STAGES = ("opening", "reading", "comparing", "writing")
"""What a delivery goes through: files looked at and known deliveries looked up; rows checked and staged; entries decided; files put and committed."""


@dataclass(frozen=True)
class Step:
    """One delivery of the plan. received_at : hours after the first."""

    files: tuple[str, ...]
    hour: int
    source: str
    key: str | None = None
    replace: bool = False

    @property
    def received_at(self) -> dt.datetime:
        return dt.datetime(2026, 3, 1) + dt.timedelta(hours=self.hour)


def plan(steps: int = 8) -> list[Step]:
    """The first `steps` deliveries in the order of arrival; `written` makes the files."""
    every = [
        Step(tuple(f"appended-{number}.parquet" for number in range(4)), 1, "bucket"),
        Step(("logs.parquet",), 2, "logs", key=KEY),
        Step(("logs-restated.parquet",), 4, "logs", key=KEY),
        Step(("exports-first.parquet",), 3, "exports", replace=True),
        Step(("exports-second.parquet",), 5, "exports", replace=True),
        Step(("appended-overlap.parquet",), 6, "bucket"),
        Step(("logs-late.parquet",), 3, "logs", key=KEY),
        Step(("exports-second.parquet",), 8, "exports", replace=True),
    ]
    return every[:steps]


def written(folder: Path, lines: int, seed: int = 5) -> None:
    """The files of the plan, about five times `lines` rows in all: made-up charges of two months in FOCUS columns."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    appended, logs, exports = (_charges(generator, count, start) for count, start in ((2 * lines, 0), (lines, 10**6), (lines, 2 * 10**6)))
    restated = _dearer(logs.slice(0, lines // 3))
    files = {f"appended-{number}": appended.slice(number * lines // 2, lines // 2) for number in range(4)}
    files |= {
        "logs": logs,
        "exports-first": exports,
        "logs-restated": pa.concat_tables([restated, logs.slice(lines // 3, lines // 6), _charges(generator, lines // 10, 3 * 10**6)]),
        # A fifth is withdrawn, a tenth costs more, and a few are new.
        "exports-second": pa.concat_tables(
            [exports.slice(0, 7 * lines // 10), _dearer(exports.slice(7 * lines // 10, lines // 10)), _charges(generator, lines // 20, 4 * 10**6)]
        ),
        "appended-overlap": pa.concat_tables([appended.slice(3 * lines // 2, lines // 2), _charges(generator, lines // 10, 5 * 10**6)]),
        "logs-late": _dearer(_dearer(logs.slice(0, lines // 5))),
    }
    for name, table in files.items():
        pa.parquet.write_table(table, folder / f"{name}.parquet")


def _charges(generator: np.random.Generator, count: int, first: int) -> pa.Table:
    """Charges with the numbers `first`, `first` + 1, …, of two months."""
    number = np.arange(first, first + count)
    start = np.datetime64("2026-01-01", "us") + generator.integers(0, 59 * 24, count).astype("timedelta64[h]")
    month = start.astype("datetime64[M]")
    cents = generator.integers(1, 10**6, count)

    def text(values: Sequence[str]) -> pa.Array:
        return pa.array(np.asarray(values)[generator.integers(0, len(values), count)])

    cost = pa.array(np.char.add(np.char.add((cents // 100).astype(str), "."), np.char.zfill((cents % 100).astype(str), 2)))
    return pa.table(
        {
            "BilledCost": cost,
            "EffectiveCost": cost,
            "BillingCurrency": pa.array(["USD"] * count),
            "BillingPeriodStart": pa.array(month.astype("datetime64[us]")),
            "BillingPeriodEnd": pa.array((month + 1).astype("datetime64[us]")),
            "ChargePeriodStart": pa.array(start),
            "ChargePeriodEnd": pa.array(start + np.timedelta64(1, "h")),
            "ChargeCategory": pa.array(["Usage"] * count),
            "ProviderName": text(["OpenAI", "AWS", "Anthropic"]),
            "ServiceName": text([f"service {place}" for place in range(8)]),
            "ResourceId": pa.array(np.char.add("resource-", (number % 997).astype(str))),
            "Tags": text([json.dumps({"team": team, "env": stage}) for team in ("search", "ads", "research") for stage in ("dev", "prod")]),
            KEY: pa.array(np.char.add("charge-", number.astype(str))),
        }
    )


def _dearer(table: pa.Table) -> pa.Table:
    """The same charges, each a cent dearer."""
    cost = pa.array([f"{(int(text.replace('.', '')) + 1) / 100:.2f}" for text in table.column("EffectiveCost").to_pylist()])
    return table.set_column(0, "BilledCost", cost).set_column(1, "EffectiveCost", cost)


# The process that is killed


def take_in(bills: Path, home: Path, marks: Path, steps: int) -> None:
    """Take in the plan; `marks` gets a line when a stage begins. Rows of one state each: what is in the file is what happened."""
    stream = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def mark(text: str) -> None:
        os.write(stream, f"{time.monotonic():.6f} {text}\n".encode())

    def progress(done: int, of: int, what: str) -> None:
        stage = what.split()[0]
        if stage in STAGES:
            mark(stage)

    ledger = Ledger(home / "ledger")
    mark("ready")
    for number, step in enumerate(plan(steps)):
        mark("opening")
        files = [bills / name for name in step.files]
        ledger.ingest(files, received_at=step.received_at, key=step.key, replace=step.replace, source=step.source, progress=progress)
        mark(f"taken-{number}")
    mark("done")
    os.close(stream)


@dataclass(frozen=True)
class Run:
    """How a process ended. stage : the last one that it began; taken : deliveries that it had finished; seconds : from ready to the end."""

    stage: str
    taken: int
    killed: bool
    seconds: float


def run(bills: Path, home: Path, steps: int, kill_after: float | None = None) -> Run:
    """Run the process, killed that many seconds after it began to take in; without, to its end."""
    home.mkdir(parents=True, exist_ok=True)
    marks = home / "marks"
    marks.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), "--child", str(bills), str(home), str(marks), str(steps)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if kill_after is not None:
            while not (marks.exists() and marks.stat().st_size) and process.poll() is None:
                time.sleep(0.002)
            _wait(process, _began(marks) + kill_after)
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    lines = [line.split() for line in marks.read_text(encoding="utf-8").splitlines()]
    killed = process.returncode == -signal.SIGKILL
    if process.returncode and not killed:
        raise SystemExit(f"the ingestion ended with {process.returncode}:\n{said.decode()[-2000:]}")
    stages = [text for _, text in lines if text in STAGES]
    taken = sum(text.startswith("taken") for _, text in lines)
    return Run(stages[-1] if stages else STAGES[0], taken, killed, float(lines[-1][0]) - float(lines[0][0]))


def _began(marks: Path) -> float:
    return float(marks.read_text(encoding="utf-8").split()[0])


def _wait(process: subprocess.Popen[bytes], until: float) -> None:
    with_timeout = max(until - time.monotonic(), 0.0)
    try:
        process.wait(with_timeout)
    except subprocess.TimeoutExpired:
        return


# What is compared


def view(ledger: Ledger, as_of: dt.datetime | None = None) -> tuple[Any, ...]:
    """Rows, exact money and a hash over all columns of all charges in force, and the daily panel; of an empty ledger nothing."""
    charges = ledger.charges(as_of=as_of)
    connection = duckdb.connect()
    try:
        connection.register("charges", charges)
        whole = "count(*), sum(hash(charges)::HUGEINT)::VARCHAR, sum(EffectiveCost)::VARCHAR, sum(BilledCost)::VARCHAR"
        facts = connection.execute(f"SELECT {whole} FROM charges").fetchone() or ()
    finally:
        connection.close()
    panel = ledger.panel(by=["provider", "team"], as_of=as_of)
    return (*facts, hashlib.sha256(panel.to_csv().encode()).hexdigest())


def state(home: Path, steps: int) -> dict[str, Any]:
    """All that a ledger says: views at every moment of receipt, summary, deliveries, digest, developments."""
    ledger = Ledger(home / "ledger")
    moments = sorted({step.received_at for step in plan(steps)})
    found: dict[str, Any] = {moment.isoformat(): view(ledger, moment) for moment in moments}
    developments = ledger.developments().to_csv()
    return found | {
        "now": view(ledger),
        "summary": ledger.summary(),
        "deliveries": ledger.deliveries(),
        "digest": ledger.digest(),
        "files beside the ledger": sorted(path.name for path in home.iterdir() if path.name != "marks"),
        "developments": hashlib.sha256(developments.encode()).hexdigest(),
    }


def whole_deliveries(home: Path, prefixes: Sequence[tuple[Any, ...] | None], taken: int) -> bool:
    """Whether a killed ledger holds the first deliveries of the plan, whole: those that were finished, and perhaps the one under way."""
    ledger = Ledger(home / "ledger")
    found = None if ledger.is_empty else view(ledger)
    return found in prefixes[taken : taken + 2]


def prefixes_of(bills: Path, home: Path, steps: int) -> list[tuple[Any, ...] | None]:
    """What a ledger says after none, one, two, … of the deliveries."""
    ledger = Ledger(home / "ledger")
    found: list[tuple[Any, ...] | None] = [None]
    for step in plan(steps):
        files = [bills / name for name in step.files]
        ledger.ingest(files, received_at=step.received_at, key=step.key, replace=step.replace, source=step.source)
        found.append(view(ledger))
    return found


def measure(folder: Path, kills: int, lines: int, *, steps: int = 8, here: bool = False, seed: int = 11) -> dict[str, Any]:
    """Kill `kills` processes, each at a random moment of its own share of the undisturbed time, and compare.

    here : the second run is in this process, which saves a second for each.
    """
    began = time.monotonic()
    bills, undisturbed_home = folder / "bills", folder / "undisturbed"
    written(bills, lines)
    undisturbed = run(bills, undisturbed_home, steps)
    expected, prefixes = state(undisturbed_home, steps), prefixes_of(bills, folder / "prefixes", steps)
    if state(folder / "prefixes", steps) != expected:
        raise SystemExit("two undisturbed runs differ: nothing can be compared with them")
    generator = random.Random(seed)
    stages, after = Counter[str](), Counter[int]()
    whole = identical = late = left_files = 0
    for number in range(kills):
        home = folder / "killed"
        killed = run(bills, home, steps, kill_after=undisturbed.seconds * (number + generator.random()) / kills)
        if killed.killed:
            stages[killed.stage] += 1
            after[killed.taken] += 1
        else:
            late += 1
        whole += whole_deliveries(home, prefixes, killed.taken)
        if here:
            take_in(bills, home, home / "marks", steps)
        else:
            run(bills, home, steps)
        identical += state(home, steps) == expected
        left_files += _data_files(home) > _data_files(undisturbed_home)
        shutil.rmtree(home)
        if (number + 1) % 20 == 0:
            sys.stderr.write(f"{number + 1} of {kills}: {whole} whole, {identical} identical\n")
    return {
        "scenario": SCENARIO,
        "cores": os.cpu_count(),
        "runs": kills,
        "kills": kills - late,
        "ended_before_the_kill": late,
        "killed_in_stage": dict(sorted(stages.items())),
        "killed_after_deliveries": {str(count): times for count, times in sorted(after.items())},
        "whole_deliveries_after_the_kill": whole,
        "identical_after_the_second_run": identical,
        "runs_that_left_files_for_vacuum": left_files,
        "lines_delivered": sum(pa.parquet.read_metadata(bills / name).num_rows for step in plan(steps) for name in step.files),
        "charges_in_force": expected["now"][0],
        "deliveries": steps,
        "undisturbed_seconds": round(undisturbed.seconds, 2),
        "seconds": round(time.monotonic() - began),
    }


def _data_files(home: Path) -> int:
    return len(list((home / "ledger").rglob("*.parquet")))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        bills, home, marks = (Path(text) for text in sys.argv[2:5])
        take_in(bills, home, marks, int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--lines", type=int, default=7_000)
    parser.add_argument("--folder", type=Path, help="where ledgers are kept; a temporary folder by default")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "ingestion_kills.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forecast-bench-", dir=options.folder) as name:
        result = measure(Path(name), options.kills, options.lines)
    text = json.dumps(result, indent=2, sort_keys=True) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if result["identical_after_the_second_run"] != result["runs"] or result["whole_deliveries_after_the_kill"] != result["runs"]:
        raise SystemExit("a killed ledger is not what it would have been")


if __name__ == "__main__":
    main()
