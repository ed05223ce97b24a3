"""Are the intervals of totals right on real AI spend? Writes benchmarks/real_panels.json.

Scenario `real_ai_spend_v1`: five public sets of real AI use and spend as daily panels (GPU teams of a cluster, inference services, image
generation per model, a market of LLM APIs, three people's LLM spend), rolling cutoffs, SpendForecaster with its defaults, totals of 7 days
and, where history is long enough, of 28. The data are not part of this repository: give the folder that holds them.

    .venv/bin/python benchmarks/real_panels.py FOLDER
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.backtest import backtest
from forecast.evaluation.summary import INTERVALS, live_rows, quantile_column
from forecast.forecasters.combination import SpendForecaster

SCENARIO = "real_ai_spend_v1"
# file, columns that make a series, longest total, days between cutoffs, least history
PANELS: dict[str, tuple[str, list[str], int, int, int]] = {
    "GPU teams": ("helios_earth_hourly", ["unique_id"], 7, 2, 14),
    "inference services": ("dlrm_hourly", ["unique_id"], 7, 2, 14),
    "image generation models": ("genai_lora_hourly", ["unique_id"], 7, 1, 14),
    "LLM API market": ("openrouter_daily", ["unique_id"], 7, 1, 14),
    "LLM spend of people": ("llm_personal_daily", ["unique_id"], 28, 10, 60),
}


def daily(folder: Path, file: str, keys: list[str]) -> pd.DataFrame:
    """unique_id, ds, y: whole days, missing costs left out."""
    frame = pd.read_parquet(folder / f"{file}.parquet")
    days = pd.to_datetime(frame["ds"]).dt.floor("D")
    series = frame[keys].astype(str).agg("|".join, axis=1)
    table = pd.DataFrame({"unique_id": series, "ds": days, "y": frame["cost"]}).dropna()
    return table.groupby(["unique_id", "ds"], as_index=False)["y"].sum()


def judge(panel: pd.DataFrame, longest: int, step: int, least: int) -> pd.DataFrame:
    days = np.sort(panel["ds"].unique())
    rows = []
    for total in [7, 28]:
        if total <= longest:
            cutoffs = [pd.Timestamp(day) for day in days[least - 1 : len(days) - total : step]]
            rows.append(backtest(SpendForecaster(), panel, cutoffs=cutoffs, totals=(total,), n_paths=500, seed=1).rows)
    return pd.concat(rows, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", default=str(Path(__file__).with_name("real_panels.json")))
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    judged = []
    for name, (file, keys, longest, step, least) in PANELS.items():
        rows = judge(daily(arguments.folder, file, keys), longest, step, least)
        print(f"{name}: {len(rows)} totals", file=sys.stderr)
        judged.append(rows.assign(panel=name))
    everything = pd.concat(judged, ignore_index=True)
    everything = everything[live_rows(everything)]
    for name, rows in [*everything.groupby("panel"), ("pooled over windows", everything)]:
        for days, part in rows.groupby("days"):
            spent = part["actual"].abs().sum()
            cell: dict[str, Any] = {"n": len(part), "cutoffs": int(part["cutoff"].nunique()), "series": int(part["unique_id"].nunique())}
            for coverage, (low, high) in INTERVALS.items():
                inside = (part["actual"] >= part[quantile_column(low)]) & (part["actual"] <= part[quantile_column(high)])
                cell[coverage] = round(float(inside.mean()), 4)
            for column in ("mean", "run_rate", "seasonal_naive"):
                cell[f"wape_{column}"] = round(float((part[column] - part["actual"]).abs().sum() / spent), 4)
            cell["scaled_crps"] = round(float(part["crps"].sum() / spent), 4)
            found[f"{name}/{days}"] = cell
    panels = [key for key in found if key.endswith("/7") and not key.startswith("pooled")]
    mean = {name: round(float(np.mean([found[key][name] for key in panels])), 4) for name in INTERVALS}
    found["mean of panels/7"] = mean
    Path(arguments.out).write_text(json.dumps({SCENARIO: found}, indent=1, sort_keys=True) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
