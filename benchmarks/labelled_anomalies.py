"""Detectors on series that experts labelled, and on synthetic ones with known anomalies. Writes benchmarks/labelled_anomalies.json.

Scenario `labelled_anomalies_v1`: cloud monitoring (crash rates, purchases, ingress, requests, latencies; hours and minutes; labelled by experts) and
synthetic shocks, dips, levels and trends. `SpikeDetector` fitted on a first part and its `stream()`, beside z-score, interquartile range, isolation
forest and Prophet's interval (the last in the rivals' environment). Rows of the last three fifths of each series are judged; thresholds are each
method's own usual one, or calibrated on the second fifth to a declared number of merged alarms, for each series or for the whole set; no rule reads a
label. Counted as events with a tolerance, point-adjusted and row by row (`labelled_measures.py`). Series whose name has an odd SHA-256
are for development, the others are kept aside. The data are not part of this repository: give the folder that holds them.

    .venv/bin/python benchmarks/labelled_anomalies.py --data FOLDER --rivals benchmarks/rivals/.venv/bin/python [--work DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd

from benchmarks.labelled_measures import Flags, counted, summary, threshold_for
from benchmarks.labelled_methods import CALIBRATED, FIT, METHODS, Scored, Series, prophet_intervals
from benchmarks.nab import rounded

SCENARIO = "labelled_anomalies_v1"
SETS = ("ms_cloud_monitoring", "merlion_synthetic")
DECLARED = (200, 1000)
"""Rows for one merged alarm, of thresholds that are calibrated."""
FREQUENCIES = {pd.Timedelta(hours=1): "h", pd.Timedelta(minutes=1): "min", pd.Timedelta(minutes=5): "5min"}

Corpus = dict[str, Series]


def load(folder: Path, name: str) -> Corpus:
    """Series of <folder>/<name>.parquet with columns unique_id, ds (or t, seconds from nothing), y, label; of a repeated stamp the first row."""
    table = pd.read_parquet(folder / f"{name}.parquet")
    if "t" in table:
        table["ds"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(table["t"], unit="s")
    found = {}
    for key, rows in table.drop_duplicates(["unique_id", "ds"]).sort_values(["unique_id", "ds"]).groupby("unique_id"):
        times = pd.DatetimeIndex(rows["ds"])
        freq = FREQUENCIES[pd.Series(times).diff().mode().iloc[0]]
        found[str(key)] = Series(str(key), freq, times, rows["y"].to_numpy(float), rows["label"].to_numpy() > 0)
    return found


def is_for_development(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 1


def rules(corpus: Corpus, scored: Mapping[str, Scored]) -> dict[str, dict[str, Flags]]:
    """Flags of every series by rule: usual, and calibrated to one merged alarm in so many rows, for each series and for the set together."""
    middle = {name: slice(series.cut(FIT), series.cut(CALIBRATED)) for name, series in corpus.items()}
    parts = {name: scored[name].scores[rows] for name, rows in middle.items()}
    found = {"usual": {name: one.usual for name, one in scored.items()}}
    for declared in DECLARED:
        allowed = {name: len(part) / declared for name, part in parts.items()}
        together = threshold_for(list(parts.values()), sum(allowed.values()))
        found[f"set_1_in_{declared}"] = {name: one.scores >= together for name, one in scored.items()}
        own = {name: threshold_for([part], allowed[name]) for name, part in parts.items()}
        found[f"series_1_in_{declared}"] = {name: one.scores >= own[name] for name, one in scored.items()}
    return found


def judged(corpus: Corpus, scored: Mapping[str, Scored]) -> dict[str, Any]:
    """Figures of one method by part and rule."""
    found: dict[str, Any] = {}
    for rule, flags in rules(corpus, scored).items():
        counts = {}
        for name, series in corpus.items():
            begin = series.cut(CALIBRATED)
            counts[name] = counted(flags[name][begin:], series.labels[begin:])
        for part in ("development", "aside"):
            chosen = [one for name, one in counts.items() if is_for_development(name) == (part == "development")]
            found.setdefault(part, {})[rule] = {"series": len(chosen), **summary(chosen)}
    return found


def run(corpus: Corpus, python: str | None, work: Path) -> dict[str, Any]:
    """Figures by method; Prophet's only with the Python of the rivals' environment."""
    scored = {name: {key: method(series) for key, series in corpus.items()} for name, method in METHODS.items()}
    if python:
        scored["prophet_interval"] = prophet_intervals(corpus, python, work)
    return {name: judged(corpus, one) for name, one in scored.items()}


def show(found: Mapping[str, Any], part: str) -> None:
    for name, methods in found.items():
        print(f"\n{name}, {part}: F1 of events (precision, recall, false alarms) | point-adjusted F1 | F1 of rows | median delay")
        for rule in next(iter(methods.values()))[part]:
            print(f" {rule}")
            for method, parts in methods.items():
                cell = parts[part][rule]
                events = cell["events"]
                print(
                    f"  {method:18} {events['f1']:.3f} ({events['precision']:.2f} {events['recall']:.2f} {events['false']:4d})"
                    f" | {cell['adjusted']['f1']:.3f} | {cell['rows']['f1']:.3f} | {cell['median_delay_rows']}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rivals", help="Python of the rivals' environment")
    parser.add_argument("--work", type=Path, help="folder for what Prophet is asked and answers, kept between runs; without it a temporary one")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("labelled_anomalies.json"))
    parser.add_argument("--development", action="store_true", help="print the development part only; nothing is recorded")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in SETS:
            corpus = load(arguments.data, name)
            found[name] = run(corpus, arguments.rivals, (arguments.work or Path(temporary)) / name)
    show(found, "development")
    if not arguments.development:
        show(found, "aside")
        arguments.out.write_text(json.dumps({SCENARIO: rounded(found)}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
