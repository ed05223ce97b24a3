"""What a backtest's rows say: metrics by group, and the accuracy record that every answer carries.

A series that cost nothing and was said to cost nothing (a workload that ended) would count as a covered interval; coverage is
taken over the other rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import InputError
from forecast.evaluation.metrics import grade

QUANTILES: tuple[float, ...] = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""Quantiles of totals that a backtest keeps."""

INTERVALS: dict[str, tuple[float, float]] = {
    "coverage_50": (0.25, 0.75),
    "coverage_80": (0.1, 0.9),
    "coverage_90": (0.05, 0.95),
    "coverage_95": (0.025, 0.975),
}
"""Interval coverages that are reported, and their quantiles."""


def quantile_column(level: float) -> str:
    return f"q{level:g}"


def live_rows(rows: pd.DataFrame) -> pd.Series:
    """Rows in which anything could go wrong: some cost came, or some was thought possible."""
    return (rows["actual"] != 0) | (rows[quantile_column(QUANTILES[0])] != 0) | (rows[quantile_column(QUANTILES[-1])] != 0)


def summarise(rows: pd.DataFrame, by: Sequence[str] = ("level", "days")) -> pd.DataFrame:
    """One row a group of `by`, in sorted order: cutoffs, series, n (rows), wape, bias, coverage_50/80/90/95, scaled_crps (Σ crps / Σ|y|),
    brier (of the overrun of a budget at the run rate), wape_run_rate, wape_seasonal_naive, skill (1 − wape / wape_seasonal_naive).

    wape and bias are of the mean. A ratio whose denominator is zero is NaN.
    """
    unknown = [name for name in by if name not in rows.columns]
    if not by or unknown:
        raise InputError(
            f"by: got {list(by)}, allowed are columns of the backtest's rows", field="by", got=list(by), allowed=", ".join(map(str, rows.columns))
        )
    live = live_rows(rows).to_numpy()
    actual = rows["actual"].to_numpy()
    parts: dict[str, Any] = {
        "money": np.abs(actual),
        "live": live.astype(np.float64),
        "error": rows["mean"].to_numpy() - actual,
        "wape": np.abs(rows["mean"].to_numpy() - actual),
        "wape_run_rate": np.abs(rows["run_rate"].to_numpy() - actual),
        "wape_seasonal_naive": np.abs(rows["seasonal_naive"].to_numpy() - actual),
        "scaled_crps": rows["crps"].to_numpy(),
        "brier": (rows["overrun_probability"].to_numpy() - (actual > rows["run_rate"].to_numpy())) ** 2,
    }
    for name, (low, high) in INTERVALS.items():
        inside = (actual >= rows[quantile_column(low)].to_numpy()) & (actual <= rows[quantile_column(high)].to_numpy())
        parts[name] = (inside & live).astype(np.float64)
    keys = [rows[name] for name in by]
    groups = pd.DataFrame(parts, index=rows.index).groupby(keys, sort=True)
    sums, n = groups.sum(), groups.size()
    money, alive = sums["money"].replace(0.0, np.nan), sums["live"].replace(0.0, np.nan)
    counted = rows.groupby(keys, sort=True)
    found = pd.DataFrame({"cutoffs": counted["cutoff"].nunique(), "series": counted["unique_id"].nunique(), "n": n})
    found["wape"] = sums["wape"] / money
    found["bias"] = sums["error"] / money
    for name in INTERVALS:
        found[name] = sums[name] / alive
    found["scaled_crps"] = sums["scaled_crps"] / money
    found["brier"] = sums["brier"] / n
    for name in ("wape_run_rate", "wape_seasonal_naive"):
        found[name] = sums[name] / money
    found["skill"] = 1.0 - found["wape"] / found["wape_seasonal_naive"].replace(0.0, np.nan)
    return found.reset_index()


def record_of(rows: pd.DataFrame, cutoffs: Sequence[pd.Timestamp], horizon_days: int = 28, freq: str = "D") -> dict[str, Any]:
    """The accuracy record as plain data (NaN becomes None).

    {"horizon_days", "cutoffs", "first_cutoff", "last_cutoff", "method", "nodes": {node or leaf id: {cutoffs, wape, bias, coverage_80, grade}},
    "levels": {level: the same and series}, "horizons": {days: the company's}, "naive": {level: {run_rate, seasonal_naive, skill}}}.
    horizon_days falls to the longest total that could be judged where history is too short for the one asked for; 0 where none could.
    """
    days = sorted({int(value) for value in rows["days"]})
    horizon = max((value for value in days if value <= horizon_days), default=days[0] if days else 0)
    chosen = rows[rows["days"] == horizon]
    used = sorted(chosen["cutoff"].unique())
    record: dict[str, Any] = {
        "horizon_days": horizon,
        "cutoffs": len(used),
        "first_cutoff": None if not used else str(pd.Timestamp(used[0]).date()),
        "last_cutoff": None if not used else str(pd.Timestamp(used[-1]).date()),
        "method": _method(len(used), len(cutoffs), horizon, freq),
        "nodes": {},
        "levels": {},
        "horizons": {},
        "naive": {},
    }
    if chosen.empty:
        return record
    top = "company" if (chosen["level"] == "company").any() else str(chosen["level"].iloc[0])
    for _, row in summarise(chosen, ["unique_id"]).iterrows():
        record["nodes"][str(row["unique_id"])] = _facts(row)
    for _, row in summarise(chosen, ["level"]).iterrows():
        level = str(row["level"])
        record["levels"][level] = {"series": int(row["series"]), **_facts(row)}
        record["naive"][level] = {
            "run_rate": _plain(row["wape_run_rate"]),
            "seasonal_naive": _plain(row["wape_seasonal_naive"]),
            "skill": _plain(row["skill"]),
        }
    for _, row in summarise(rows[rows["level"] == top], ["days"]).iterrows():
        record["horizons"][str(int(row["days"]))] = {
            **_facts(row),
            "run_rate": _plain(row["wape_run_rate"]),
            "seasonal_naive": _plain(row["wape_seasonal_naive"]),
        }
    return record


def _facts(row: pd.Series) -> dict[str, Any]:
    return {
        "cutoffs": int(row["cutoffs"]),
        "wape": _plain(row["wape"]),
        "bias": _plain(row["bias"]),
        "coverage_80": _plain(row["coverage_80"]),
        "grade": grade(float(row["wape"])),
    }


def _method(judged: int, tried: int, horizon: int, freq: str) -> str:
    if not judged:
        return "no backtest: history is too short to keep any period of it back"
    unit = {"D": "days", "h": "hours", "W": "weeks", "MS": "months"}.get(freq, f"periods of {freq}")
    left = f" ({tried - judged} more cutoffs have no complete total)" if tried > judged else ""
    return f"rolling origin: fitted anew at each of {judged} cutoffs{left}; totals of the next {horizon} {unit}; parents from summed paths"


def _plain(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
