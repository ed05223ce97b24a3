"""Scenarios of the ledger: how fast bills come in, how much memory that takes, and what a panel of fifty million lines costs.

    python benchmarks/ledger_ingestion.py [--lines 10000000] [--panel-lines 50000000] [--out benchmarks/ledger_ingestion.json]

ingest_parquet_10_million_v1 : FOCUS rows of the generated company as Parquet files of 500,000 rows in order of time, into an empty ledger.
ingest_again_10_million_v1 : the same delivery once more, which changes nothing.
ingest_csv_v1 : a fifth of those lines as CSV, which is what a minute's work is at the speed asked for.
ingest_memory_v1 : peak memory of a process that takes in 1 million and 20 million lines of Parquet.
ingest_restated_v1 : the lines of one month once more as an export that replaces, one line in ten of which is restated.
panel_50_million_v1 : a daily panel by six dimensions over fifty million lines, beside the same GROUP BY of bare DuckDB over Parquet files that
hold nothing but these columns' source, in one process, by turns; the ratio of the medians counts.
Every ingestion is a process of its own. Where `seconds` are far above half of `cpu_seconds`, other work was on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from company_generation import ROOT, timed

LIMITS = {
    "ingest_parquet_10_million_v1": {"lines_per_second": 150_000, "peak_gib": 4.0},
    "ingest_csv_v1": {"lines_per_second": 60_000},
    "ingest_again_10_million_v1": {"times_faster": 5.0},
    "panel_50_million_v1": {"ratio": 1.5},
}
MONTH = "2026-05"
DIMENSIONS = ("provider", "service", "team", "stage", "ai_model", "region")

INGEST = """
import datetime as dt, json, sys, time
from forecast.adapters.ledger import Ledger
home, replace, *paths = sys.argv[1:]
began, worked = time.perf_counter(), time.process_time()
report = Ledger(home).ingest(paths, received_at=dt.datetime.now(dt.UTC), replace=replace == "replace")
print(json.dumps({"ingest_seconds": time.perf_counter() - began, "ingest_cpu_seconds": time.process_time() - worked, "rows": report.rows_read,
    "accepted": report.accepted, "unchanged": report.unchanged, "superseded": report.superseded, "quarantined": report.quarantined}))
"""

PANEL = """
import json, statistics, sys, time
from forecast.adapters import duck
from forecast.adapters.ledger import Ledger
home, bills, by, rounds = sys.argv[1], sys.argv[2], sys.argv[3].split(","), int(sys.argv[4])
ledger = Ledger(home)
connection = duck.connect()
sql = f'''SELECT ProviderName, ServiceName, team, stage, ai_model, RegionId, ds, sum(cost) AS y FROM read_parquet('{bills}/*.parquet') GROUP BY ALL'''
times = {"ledger": [], "bare": []}
rows = {}
for _ in range(rounds):
    began = time.perf_counter(); rows["ledger"] = len(ledger.panel(by=by)); times["ledger"].append(time.perf_counter() - began)
    began = time.perf_counter(); rows["bare"] = len(connection.execute(sql).df()); times["bare"].append(time.perf_counter() - began)
print(json.dumps({"ledger_seconds": statistics.median(times["ledger"]), "bare_seconds": statistics.median(times["bare"]), "groups": rows["ledger"],
    "bare_groups": rows["bare"], "lines": ledger.summary()["rows"]}))
"""


def generate(folder: Path, lines: int) -> None:
    timed([sys.executable, "-m", "forecast.cli", "generate", "--lines", str(lines), "--out", str(folder), "--json"])


def ingest(home: Path, *paths: Path, replace: bool = False) -> dict[str, Any]:
    said, whole = timed([sys.executable, "-c", INGEST, str(home / "ledger"), "replace" if replace else "-", *map(str, paths)])
    rate = said["rows"] / said["ingest_seconds"]
    return {**{name: round(value, 2) for name, value in {**whole, **said}.items()}, "lines_per_second": round(rate)}


def as_csv(source: Path, target: Path, lines: int) -> None:
    """Some of the lines as CSV files, as many rows a file as the Parquet files have."""
    import duckdb

    target.mkdir()
    connection = duckdb.connect()
    for number, file in enumerate(sorted(source.glob("*.parquet"))[: max(1, lines // 500_000)]):
        connection.execute(f"COPY (FROM read_parquet('{file}')) TO '{target}/part-{number}.csv' (FORMAT csv, HEADER)")


def bare_copy(home: Path, target: Path) -> None:
    """The lines as Parquet with the panel's columns as plain text and decimals: what somebody without a ledger would group."""
    import duckdb

    target.mkdir()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for number, file in enumerate(sorted(home.rglob("ledger/**/*.parquet"))):
        columns = "provider AS ProviderName, service AS ServiceName, team, stage, ai_model, region AS RegionId"
        rows = f"SELECT {columns}, CAST(make_timestamp(epoch_us(ChargePeriodStart)) AS DATE) AS ds, EffectiveCost AS cost FROM read_parquet('{file}')"
        connection.execute(f"COPY ({rows}) TO '{target}/part-{number}.parquet' (FORMAT parquet)")


def restated_month(home: Path, source: Path, target: Path) -> None:
    """The month's rows as one export in which every tenth line costs a tenth more."""
    import duckdb

    target.mkdir()
    rows = f"SELECT *, row_number() OVER () AS n FROM read_parquet('{source}/*.parquet') WHERE strftime(BillingPeriodStart, '%Y-%m') = '{MONTH}'"
    more = ", ".join(f"CASE WHEN n % 10 = 0 THEN round({name} * 1.1, 6) ELSE {name} END AS {name}" for name in ("BilledCost", "EffectiveCost"))
    duckdb.connect().execute(f"COPY (SELECT * EXCLUDE (n) REPLACE ({more}) FROM ({rows})) TO '{target}/month.parquet' (FORMAT parquet)")


def measure(lines: int, panel_lines: int, folder: Path) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    bills = folder / "bills"
    generate(bills, lines)
    home = folder / "home"
    first = figures["ingest_parquet_10_million_v1"] = ingest(home, bills)
    again = figures["ingest_again_10_million_v1"] = ingest(home, bills)
    again["times_faster"] = round(first["ingest_seconds"] / again["ingest_seconds"], 1)
    restated_month(home, bills, folder / "month")
    figures["ingest_restated_v1"] = ingest(home, folder / "month", replace=True)
    as_csv(bills, folder / "csv", lines // 5)
    figures["ingest_csv_v1"] = ingest(folder / "csv-home", folder / "csv")
    memory = {}
    for million in (1, 20):
        generate(folder / f"bills-{million}", million * 1_000_000)
        taken = ingest(folder / f"home-{million}", folder / f"bills-{million}")
        memory[f"peak_gib_{million}_million"] = taken["peak_gib"]
        memory[f"lines_per_second_{million}_million"] = taken["lines_per_second"]
    figures["ingest_memory_v1"] = memory
    if panel_lines:
        panel_bills, panel_home = folder / "panel-bills", folder / "panel-home"
        generate(panel_bills, panel_lines)
        taken = ingest(panel_home, panel_bills)
        bare_copy(panel_home, folder / "bare")
        said, _ = timed([sys.executable, "-c", PANEL, str(panel_home / "ledger"), str(folder / "bare"), ",".join(DIMENSIONS), "3"])
        ratio = round(said["ledger_seconds"] / said["bare_seconds"], 2)
        figures["panel_50_million_v1"] = {name: round(value, 2) for name, value in said.items()} | {
            "ratio": ratio,
            "ingest_lines_per_second": taken["lines_per_second"],
        }
    return figures


def kept(figures: dict[str, dict[str, Any]]) -> dict[str, bool]:
    at_most = {"peak_gib", "ratio"}
    return {
        name: all(figures[name][measure] <= limit if measure in at_most else figures[name][measure] >= limit for measure, limit in limits.items())
        for name, limits in LIMITS.items()
        if name in figures
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--panel-lines", type=int, default=50_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "ledger_ingestion.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="forecast-bench-") as name:
        figures = measure(options.lines, options.panel_lines, Path(name))
    document = {"cores": os.cpu_count(), "limits": LIMITS, "figures": figures, "within_limits": kept(figures)}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
