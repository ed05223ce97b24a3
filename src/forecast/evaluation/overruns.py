"""Are overrun probabilities as often right as they say? Budgets of a backtest: what was said of each, and whether the total exceeded it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.evaluation.reliability import reliability_bins
from forecast.evaluation.summary import live_rows

Floats = NDArray[np.float64]

BINS = 5
PREFIX = "overrun_"


def budgets_judged(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """(n, budgets) probability that was said, (n, budgets) 1 where the total exceeded the budget, and (budgets,) its factors of the run rate.

    rows : of a `Backtest` with columns overrun_<factor>. Series that cost nothing lately are left out: a share of nothing is no budget.
    """
    factors = _factors(rows)
    live = rows[live_rows(rows) & (rows["run_rate"] > 0)]
    said = live[list(factors)].to_numpy(dtype=np.float64).reshape(len(live), len(factors))
    amounts = np.array(list(factors.values()))
    over = (live["actual"].to_numpy(dtype=np.float64)[:, None] > amounts * live["run_rate"].to_numpy(dtype=np.float64)[:, None]).astype(np.float64)
    return said, over, amounts


def overrun_record(rows: pd.DataFrame) -> dict[str, Any]:
    """Level → {n, budgets, brier, brier_run_rate, skill, calibration_error, bins} of all totals of a backtest, as plain data; {} without budgets.

    n : totals × budgets. budgets : factors of the run rate. brier_run_rate : of who says 1 where the run rate exceeds the budget and 0 where not, as
    consoles do; skill : 1 − brier / brier_run_rate. calibration_error : mean |said − seen| over BINS bins, weighted by their size. bins : of
    `reliability_bins`. Forecasts of one cutoff share what came after it: these are no independent trials.
    """
    if not len(rows) or not _factors(rows):
        return {}
    return {str(level): found for level, part in rows.groupby("level", sort=True) if (found := _judge(*budgets_judged(part)))}


def _judge(said: Floats, over: Floats, factors: Floats) -> dict[str, Any]:
    if not said.size:
        return {}
    bins = reliability_bins(said.ravel(), over.ravel(), bins=BINS)
    brier = float(np.mean((said - over) ** 2))
    rule = float(np.mean(((factors < 1.0) - over) ** 2))
    return {
        "n": int(said.size),
        "budgets": [float(factor) for factor in factors],
        "brier": brier,
        "brier_run_rate": rule,
        "skill": 1.0 - brier / rule if rule > 0 else None,
        "calibration_error": float((bins["n"] * (bins["said"] - bins["seen"]).abs()).sum() / bins["n"].sum()),
        "bins": [{name: int(value) if name == "n" else round(float(value), 6) for name, value in row.items()} for row in bins.to_dict("records")],
    }


def _factors(rows: pd.DataFrame) -> Mapping[str, float]:
    names = [str(name) for name in rows.columns if str(name).startswith(PREFIX) and name != f"{PREFIX}probability"]
    return {name: float(name.removeprefix(PREFIX)) for name in names}
