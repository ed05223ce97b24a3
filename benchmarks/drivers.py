"""What drivers are worth on generated companies: totals of 28 and 91 days with requests and a plan of them, with requests only, with neither.

`python benchmarks/drivers.py` writes benchmarks/drivers.json. Scenario ids are permanent: another workload gets another name. Requests are those
of each product (`company/requests.py`); the plan is what came, as averages of months, off by a factor of its own for each product and cutoff (log sd
0.10, its P10 and P90 given). Nothing is known before its time: the backtest cuts the panel, and with it the drivers and their plans. `noise` is what
a useless driver costs: one more series for each product that looks like requests and has nothing to do with them.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.company.generate import generate
from forecast.company.requests import requests_of
from forecast.evaluation.backtest import PathForecaster, backtest
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.driven import DrivenForecaster
from forecast.spend.dimensions import LEAF_DIMENSIONS, UNKNOWN
from forecast.spend.drivers import Driver, read_drivers
from forecast.spend.hierarchy import build_hierarchy

SCENARIO = "drivers_company_v1"
SEEDS = (7, 8, 9)
CUTOFFS = ("2026-05-02", "2026-08-01")
TOTALS = (28, 91)
PLAN_ERROR = 0.10
PATHS = 300
WHERE = Path(__file__).with_suffix(".json")


def drivers_of(seed: int, *, planned: bool, noise: bool = False) -> tuple[Driver, ...]:
    """The products' requests with their plans at each cutoff, or (noise) those of another company under their names and scopes."""
    came = requests_of(seed)
    if noise:
        other = requests_of(seed + 1000)
        full = other.groupby("name")["ds"].transform("size") == other.groupby("name")["ds"].transform("size").max()
        strangers = [frame.set_index("ds")["value"] for _, frame in other[full].groupby("name")]
        frames = []
        for number, (_, own) in enumerate(came.groupby("name")):
            frames.append(own.assign(value=strangers[number % len(strangers)].reindex(own["ds"]).to_numpy()))
        came = pd.concat(frames, ignore_index=True)
    came["known_from"] = came["ds"]
    plans = []
    rng = np.random.default_rng([seed, 1])
    for cutoff in map(pd.Timestamp, CUTOFFS if planned else ()):
        for name, own in came.groupby("name"):
            ahead = own[(own["ds"] > cutoff) & (own["ds"] <= cutoff + pd.Timedelta(days=TOTALS[-1]))]
            if not (own["ds"] <= cutoff).any() or ahead.empty:
                continue
            monthly = ahead["value"].groupby(ahead["ds"].dt.to_period("M")).transform("mean") * math.exp(PLAN_ERROR * rng.standard_normal())
            wide = math.exp(1.2816 * PLAN_ERROR)
            plans.append(ahead.assign(name=name, value=monthly, low=monthly / wide, high=monthly * wide, known_from=cutoff))
    return read_drivers(pd.concat([came, *plans], ignore_index=True), known_on=came["ds"].max())


def measure(seed: int) -> pd.DataFrame:
    """Rows of the backtests of one company, with the variant's name."""
    company = generate(seed)
    daily = company.daily.copy()
    names = list(LEAF_DIMENSIONS)
    daily[names] = daily[names].replace("", UNKNOWN).fillna(UNKNOWN)
    totals = daily.assign(total=daily["cost"].abs()).groupby(names, sort=True)["total"].sum().reset_index()
    hierarchy, ids = build_hierarchy(totals, names, levels=((), ("team", "stage", "workload")))
    spent = daily.groupby(names, sort=True)["cost"].apply(list)
    assert len(spent) == len(ids)
    grid = pd.date_range(company.start, company.end, inclusive="left")
    wide = daily.pivot_table(index=names, columns="ds", values="cost", aggfunc="sum").reindex(columns=grid).fillna(0.0)
    panel = wide.reset_index(drop=True).assign(unique_id=ids.to_numpy()).melt("unique_id", var_name="ds", value_name="y")
    scopes = {str(driver.scope) for driver in drivers_of(seed, planned=False)}
    variants: dict[str, PathForecaster] = {
        "without": SpendForecaster(),
        "requests": DrivenForecaster(SpendForecaster(), drivers_of(seed, planned=False)),
        "requests_and_plan": DrivenForecaster(SpendForecaster(), drivers_of(seed, planned=True)),
        "noise": DrivenForecaster(SpendForecaster(), drivers_of(seed, planned=True, noise=True)),
    }
    frames = []
    for name, forecaster in variants.items():
        found = backtest(forecaster, panel, cutoffs=CUTOFFS, totals=TOTALS, n_paths=PATHS, seed=seed, hierarchy=hierarchy).rows
        found["level"] = np.where(found["unique_id"].isin(scopes), "product", found["level"])
        # What has not begun by the cutoff no driver tells: that is a question of new workloads.
        frames.append(found[found["level"].isin(["product", "company"]) & (found["run_rate"] > 0)].assign(variant=name, company=seed))
    return pd.concat(frames, ignore_index=True)


def summary_of(rows: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (level, days, variant), part in rows.groupby(["level", "days", "variant"], sort=True):
        found[f"{SCENARIO}/{level}/{days}d/{variant}"] = {
            "n": len(part),
            "wape": round(float((part["mean"] - part["actual"]).abs().sum() / part["actual"].sum()), 4),
            "bias": round(float((part["mean"] - part["actual"]).sum() / part["actual"].sum()), 4),
            "crps": round(float(part["crps"].sum() / part["actual"].sum()), 4),
            "coverage_80": round(float(((part["actual"] >= part["q0.1"]) & (part["actual"] <= part["q0.9"])).mean()), 3),
        }
    return found


def main() -> None:
    began = time.process_time()
    rows = pd.concat([measure(seed) for seed in SEEDS], ignore_index=True)
    found = summary_of(rows)
    WHERE.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name, numbers in found.items():
        print(name, numbers)
    print(f"{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
