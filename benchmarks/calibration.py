"""Are the intervals and overrun probabilities of totals right on generated companies? Writes benchmarks/calibration.json.

Scenario `calibration_company_v2`: companies of seeds 11 to 30, which nothing was tuned on (8 teams, 548 days, incidents, ingested into a
ledger), six cutoffs 28 days apart, SpendForecaster with its defaults on what can be learnt and schedules beside it, as `train` fits them,
totals of 7, 28 and 91 days of every leaf and every node above.
Judged twice: against what came, and against the known truth, 200 futures from the company's state at each cutoff: how many of them fall
into an interval, and what the true probability is to overrun budgets from 90 to 125 % of the run rate (teams and the company).
Beside it the points of the two usual rules, the run rate and last week again.

    .venv/bin/python benchmarks/calibration.py [--seeds 11,12,13] [--processes 2]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory, read_history
from forecast.company.generate import Company, generate
from forecast.evaluation.backtest import backtest, overrun_column
from forecast.evaluation.cutoffs import rolling_cutoffs
from forecast.evaluation.reliability import coverage_table
from forecast.evaluation.summary import INTERVALS, quantile_column, summarise
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.scheduled import ScheduledForecaster
from forecast.spend.dimensions import LEAF_DIMENSIONS

SCENARIO = "calibration_company_v2"
SEEDS = range(11, 31)
DAYS, TEAMS, CUTOFFS, STEP = 548, 8, 6, 28
TOTALS = (7, 28, 91)
FUTURES = 200
BUDGETS = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25)
LEVELS = ("leaf", "team", "company")
NUMBERS = ("wape", "wape_run_rate", "wape_seasonal_naive", "bias", "scaled_crps", "brier")


@contextmanager
def company_ledger(seed: int) -> Iterator[tuple[Company, Ledger, SpendHistory]]:
    """One generated company, its ledger as long as the block lasts, and its leaf history, by way of files and the ledger."""
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder) / "bill.parquet"
        company = generate(seed, days=DAYS, teams=TEAMS)
        company.rows.to_parquet(bill)
        ledger = Ledger(Path(folder) / "ledger")
        ledger.ingest([bill], received_at=datetime(2026, 11, 1, tzinfo=UTC))
        last = date.fromisoformat(ledger.summary()["last_day"])
        yield company, ledger, read_history(ledger, LEAF_DIMENSIONS, last)


def company_history(seed: int) -> SpendHistory:
    """Leaf history of one generated company."""
    with company_ledger(seed) as (_, _, history):
        return history


def judge(seed: int) -> pd.DataFrame:
    """Backtest rows of one company; those of teams and the company know their true distribution."""
    history = company_history(seed)
    cutoffs = rolling_cutoffs(history.matrix.ds[-1], CUTOFFS, STEP, max(TOTALS))
    forecaster = ScheduledForecaster(SpendForecaster(), history.lines, history.matrix.ids)
    rows = backtest(forecaster, history.panel, cutoffs=cutoffs, totals=TOTALS, n_paths=500, seed=7, hierarchy=history.hierarchy, budgets=BUDGETS).rows
    truth = {cutoff: generate(seed, days=DAYS, teams=TEAMS, cutoff=cutoff.date(), futures=FUTURES, horizon=max(TOTALS)).futures for cutoff in cutoffs}
    return _with_truth(rows[rows["level"].isin(LEVELS)].assign(seed=seed), truth)


def _with_truth(rows: pd.DataFrame, truth: dict[pd.Timestamp, Any]) -> pd.DataFrame:
    """Adds true_<coverage> (share of futures inside) and true_<overrun> for teams and the company, else NaN."""
    names = [f"true_{name}" for name in INTERVALS] + [f"true_{overrun_column(factor)}" for factor in BUDGETS]
    values = np.full((len(rows), len(names)), np.nan)
    for place, row in enumerate(rows.to_dict("records")):
        if row["level"] not in ("team", "company"):
            continue
        total = truth[row["cutoff"]].total("" if row["level"] == "company" else row["unique_id"], row["start"].date(), row["end"].date())
        inside = [((total >= row[quantile_column(low)]) & (total <= row[quantile_column(high)])).mean() for low, high in INTERVALS.values()]
        values[place] = inside + [(total > factor * row["run_rate"]).mean() for factor in BUDGETS]
    return pd.concat([rows.reset_index(drop=True), pd.DataFrame(values, columns=names)], axis=1)


def tables(rows: pd.DataFrame) -> dict[str, Any]:
    """Metrics by level and number of days, pooled over companies and cutoffs."""
    pooled = rows.assign(
        unique_id=rows["seed"].astype(str) + ":" + rows["unique_id"].astype(str), cutoff=rows["seed"].astype(str) + rows["cutoff"].astype(str)
    )
    coverage = coverage_table(pooled).set_index(["level", "days", "nominal"])
    found: dict[str, Any] = {}
    for row in summarise(pooled).to_dict("records"):
        level, days = str(row["level"]), int(row["days"])
        part = pooled[(pooled["level"] == level) & (pooled["days"] == days)]
        cell: dict[str, Any] = {"n": int(row["n"]), **{name: round(float(row[name]), 4) for name in NUMBERS}}
        for name, (low, high) in INTERVALS.items():
            interval = coverage.loc[(level, days, round(high - low, 6))]
            cell[name] = [round(float(interval[side]), 4) for side in ("empirical", "lower", "upper")]
            if level != "leaf":
                cell[f"true_{name}"] = round(float(part[f"true_{name}"].mean()), 4)
        if level != "leaf":
            apart = [(part[overrun_column(factor)] - part[f"true_{overrun_column(factor)}"]).abs() for factor in BUDGETS]
            cell["overrun_apart"] = round(float(np.mean(apart)), 4)
        found[f"{level}/{days}"] = cell
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", default=str(Path(__file__).with_name("calibration.json")))
    parser.add_argument("--rows", help="also write every forecast and its truth to this Parquet file")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    frames: list[pd.DataFrame] = []
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for seed, judged in zip(seeds, pool.map(judge, seeds), strict=True):
            frames.append(judged)
            print(f"company {seed}: {len(judged)} totals", file=sys.stderr)
    rows = pd.concat(frames, ignore_index=True)
    if arguments.rows:
        rows.to_parquet(arguments.rows)
    result = {SCENARIO: {"seeds": seeds, "cutoffs": CUTOFFS, "futures": FUTURES, "metrics": tables(rows)}}
    Path(arguments.out).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result[SCENARIO]["metrics"], indent=1))


if __name__ == "__main__":
    main()
