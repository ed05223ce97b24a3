"""How good is the forecaster on the M4 competition's weekly and hourly series? Writes benchmarks/m4.json.

Scenarios `m4_weekly_v1` (horizon 13) and `m4_hourly_v1` (horizon 48): `SpendForecaster(freq=…)` with its defaults, 1,000 paths, every series of the
training files in one panel, all ending in the same period. OWA, MASE and sMAPE of the points and of the median of the paths, MSIS and coverage of
95 % intervals, by the competition's rules (OWA is relative to Naive2 on the same series). Seconds are of processor time, fit and simulate.
The data are not part of this repository: give the folder that holds m4_<name>_train.parquet and m4_<name>_test.parquet (unique_id, t, y).

    .venv/bin/python benchmarks/m4.py FOLDER [--only weekly] [--out F]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.forecasters.combination import SpendForecaster

Floats = NDArray[np.float64]
Series = dict[str, Floats]

PATHS, SEED = 1000, 1
COVERAGE = 0.95
CONFIDENCE_OF_SEASON = 1.645


@dataclass(frozen=True)
class Competition:
    """season : of the competition's scoring, which takes weeks for not seasonal."""

    freq: str
    season: int
    horizon: int
    end: str


COMPETITIONS = {"weekly": Competition("W-SUN", 1, 13, "2020-01-05"), "hourly": Competition("h", 24, 48, "2020-01-01")}


def load(folder: Path, name: str) -> tuple[Series, Series]:
    """Training and test values of every series."""
    found = []
    for part in ("train", "test"):
        rows = pd.read_parquet(folder / f"m4_{name}_{part}.parquet").sort_values(["unique_id", "t"])
        found.append({str(key): group["y"].to_numpy(np.float64) for key, group in rows.groupby("unique_id")})
    return found[0], found[1]


def panel_of(train: Series, competition: Competition) -> pd.DataFrame:
    """Long panel in which all series end in the same period: the files give no dates."""
    longest = max(map(len, train.values()))
    grid = pd.date_range(end=competition.end, periods=longest, freq=competition.freq)
    parts = [pd.DataFrame({"unique_id": key, "ds": grid[longest - len(y) :], "y": y}) for key, y in train.items()]
    return pd.concat(parts, ignore_index=True)


def naive2(y: Floats, horizon: int, season: int) -> Floats:
    """The last value, seasonally adjusted by classical decomposition where the competition's test finds a season."""
    steps = np.arange(horizon)
    if not is_seasonal(y, season):
        return np.repeat(y[-1], horizon)
    half = season // 2
    kernel = np.ones(season) / season if season % 2 else np.concatenate([[0.5], np.ones(season - 1), [0.5]]) / season
    ratios = y[half : len(y) - half] / np.convolve(y, kernel, mode="valid")
    place = (np.arange(len(ratios)) + half) % season
    index = np.array([ratios[place == one].mean() for one in range(season)])
    index /= index.mean()
    return np.asarray(y[-1] / index[(len(y) - 1) % season] * index[(len(y) + steps) % season])


def is_seasonal(y: Floats, season: int) -> bool:
    """Whether the autocorrelation at the season stands out at 90 %."""
    if season == 1 or len(y) < 3 * season:
        return False
    away = y - y.mean()
    correlations = np.array([away[lag:] @ away[: len(y) - lag] for lag in range(1, season + 1)]) / (away @ away)
    limit = CONFIDENCE_OF_SEASON * np.sqrt((1 + 2 * np.square(correlations[:-1]).sum()) / len(y))
    return bool(abs(correlations[-1]) > limit)


def point_scores(train: Series, test: Series, said: Series, season: int) -> dict[str, float]:
    """sMAPE and MASE, means over series."""
    smape = [200 * np.mean(np.abs(y - said[key]) / (np.abs(y) + np.abs(said[key]))) for key, y in test.items()]
    mase = [np.abs(y - said[key]).mean() / scale_of(train[key], season) for key, y in test.items()]
    return {"sMAPE": float(np.mean(smape)), "MASE": float(np.mean(mase))}


def interval_scores(train: Series, test: Series, low: Series, high: Series, season: int) -> dict[str, float]:
    """MSIS and coverage of the central intervals of `COVERAGE`, means over series."""
    fine = 2 / (1 - COVERAGE)
    widths, inside = [], []
    for key, y in test.items():
        missed = np.maximum(low[key] - y, 0) + np.maximum(y - high[key], 0)
        widths.append((high[key] - low[key] + fine * missed).mean() / scale_of(train[key], season))
        inside.append(((y >= low[key]) & (y <= high[key])).mean())
    return {"MSIS": float(np.mean(widths)), "coverage_95": float(np.mean(inside))}


def scale_of(y: Floats, season: int) -> float:
    """Mean absolute seasonal difference of the training part."""
    return float(np.abs(y[season:] - y[:-season]).mean())


def judge(train: Series, test: Series, competition: Competition) -> dict[str, Any]:
    season, horizon = competition.season, competition.horizon
    panel = panel_of(train, competition)
    began = time.process_time()
    forecaster = SpendForecaster(freq=competition.freq).fit(panel)
    paths = forecaster.simulate(horizon, n_paths=PATHS, seed=SEED)
    seconds = time.process_time() - began
    tails = np.array([(1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2])
    low, median, high = np.quantile(paths.values.astype(np.float64), tails, axis=2)
    points = forecaster.points(np.array([forecaster.history_.n_periods], dtype=np.int64), horizon)[:, 0]
    by_name = [dict(zip(paths.ids, values, strict=True)) for values in (low, median, high, points)]
    naive = point_scores(train, test, {key: naive2(y, horizon, season) for key, y in train.items()}, season)
    found: dict[str, Any] = {"series": len(test), "naive2": _rounded(naive)}
    for name, said in (("points", by_name[3]), ("median_of_paths", by_name[1])):
        scores = point_scores(train, test, said, season)
        scores["OWA"] = (scores["sMAPE"] / naive["sMAPE"] + scores["MASE"] / naive["MASE"]) / 2
        found[name] = _rounded(scores)
    found["intervals"] = _rounded(interval_scores(train, test, by_name[0], by_name[2], season))
    found["weights"] = _rounded({str(name): float(weight) for name, weight in forecaster.weights_.mean().items()})
    found["seconds_per_series"] = round(seconds / len(test), 4)
    return found


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=sorted(COMPETITIONS))
    parser.add_argument("--out", default=str(Path(__file__).with_name("m4.json")))
    arguments = parser.parse_args()
    out = Path(arguments.out)
    found = json.loads(out.read_text()) if out.exists() else {}
    for name, competition in COMPETITIONS.items():
        if arguments.only in (None, name):
            found[f"m4_{name}_v1"] = judge(*load(arguments.folder, name), competition)
            print(f"m4_{name}_v1: {json.dumps(found[f'm4_{name}_v1'])}", file=sys.stderr)
    out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
