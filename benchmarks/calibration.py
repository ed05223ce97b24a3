"""Are the intervals of totals right on generated companies? Writes benchmarks/calibration.json.

Scenario `calibration_company_v1`: companies of seeds 11, 12, 13 (8 teams, 548 days), ingested into a ledger, six cutoffs 28 days apart,
SpendForecaster with its defaults, totals of 7, 28 and 91 days of every leaf and node above it. Beside it the two baselines.

    .venv/bin/python benchmarks/calibration.py [--seeds 11,12,13]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.adapters.ledger import Ledger
from forecast.company.generate import generate
from forecast.evaluation.backtest import backtest
from forecast.evaluation.cutoffs import rolling_cutoffs
from forecast.forecasters.baselines import RunRate, SeasonalNaive
from forecast.forecasters.combination import SpendForecaster
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.hierarchy import Hierarchy, build_hierarchy
from forecast.spend.panel import fill_spend, to_matrix
from forecast.spend.scope import Scope

SCENARIO = "calibration_company_v1"
FORECASTERS = {"spend": SpendForecaster, "run_rate": RunRate, "seasonal_naive": SeasonalNaive}


def company_panel(seed: int) -> tuple[pd.DataFrame, Hierarchy]:
    """Leaf panel and hierarchy of one generated company, by way of files and the ledger."""
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder) / "bill.parquet"
        generate(seed, days=548, teams=8).rows.to_parquet(bill)
        ledger = Ledger(Path(folder) / "ledger")
        ledger.ingest([bill], received_at=datetime(2026, 11, 1, tzinfo=UTC))
        rows = ledger.panel(Scope(), LEAF_DIMENSIONS, "D", "effective", None)
    totals = rows.assign(total=rows["y"].abs()).groupby(list(LEAF_DIMENSIONS), as_index=False)["total"].sum()
    hierarchy, ids = build_hierarchy(totals, LEAF_DIMENSIONS)
    keyed = rows.drop(columns="unique_id").merge(totals.assign(unique_id=ids), on=list(LEAF_DIMENSIONS))
    matrix = fill_spend(to_matrix(keyed.groupby(["unique_id", "ds"], as_index=False)["y"].sum(), "D"))
    dense = {
        "unique_id": np.repeat(matrix.ids, matrix.n_periods),
        "ds": np.tile(matrix.ds, matrix.n_series),
        "y": matrix.values.ravel(),
    }
    return pd.DataFrame(dense), hierarchy


def measure(seeds: list[int]) -> dict[str, Any]:
    """Metric tables by forecaster, level and number of days, pooled over companies and cutoffs."""
    rows: dict[str, list[pd.DataFrame]] = {name: [] for name in FORECASTERS}
    for seed in seeds:
        panel, hierarchy = company_panel(seed)
        cutoffs = rolling_cutoffs(panel["ds"].max(), 6, 28, 91)
        for name, kind in FORECASTERS.items():
            result = backtest(kind(), panel, cutoffs=cutoffs, totals=(7, 28, 91), n_paths=500, seed=7, hierarchy=hierarchy)
            rows[name].append(result.rows.assign(unique_id=f"{seed}:" + result.rows["unique_id"].astype(str)))
            print(f"company {seed}, {name}: {len(result.rows)} totals", file=sys.stderr)
    found: dict[str, Any] = {}
    for name, frames in rows.items():
        table = pd.concat(frames, ignore_index=True)
        live = table[(table["actual"] != 0) | (table["mean"] > 1e-9)]
        live = live.assign(
            inside_80=(live["actual"] >= live["q0.1"]) & (live["actual"] <= live["q0.9"]),
            inside_50=(live["actual"] >= live["q0.25"]) & (live["actual"] <= live["q0.75"]),
            inside_95=(live["actual"] >= live["q0.025"]) & (live["actual"] <= live["q0.975"]),
        )
        for days, group in live.groupby("days"):
            for level, part in [("all", group), *group[group["level"].isin(["leaf", "team", "company"])].groupby("level")]:
                spent = part["actual"].abs().sum()
                found[f"{name}/{level}/{days}"] = {
                    "n": len(part),
                    "coverage_50": round(float(part["inside_50"].mean()), 4),
                    "coverage_80": round(float(part["inside_80"].mean()), 4),
                    "coverage_95": round(float(part["inside_95"].mean()), 4),
                    "wape": round(float((part["actual"] - part["mean"]).abs().sum() / spent), 4),
                    "bias": round(float((part["mean"] - part["actual"]).sum() / spent), 4),
                }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--out", default=str(Path(__file__).with_name("calibration.json")))
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    result = {SCENARIO: {"seeds": seeds, "cutoffs": 6, "metrics": measure(seeds)}}
    Path(arguments.out).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result[SCENARIO]["metrics"], indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
