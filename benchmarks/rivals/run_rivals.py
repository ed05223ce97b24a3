"""Forecasts of the tools that a user would pick instead, for windows that `benchmarks/panels.py` wrote. Runs in an environment of its own.

    PYTHON run_rivals.py DIR [--panels a,b] [--methods ets,prophet]     DIR/<panel>/<cutoff>/{train.parquet, task.json}
    PYTHON run_rivals.py --speed SAMPLE.parquet --horizon 92            seconds a series of AutoETS, Prophet and MSTL

Set OMP_NUM_THREADS=1 (and OPENBLAS_, MKL_ and NUMBA_ likewise) for one core, as `panels.py` does.

Beside each task every method leaves `<method>.steps.parquet` (unique_id, step from 1, q0.025 … q0.975), `<method>.totals.parquet` (the same of
the first `horizon` steps together) where the method knows totals of its own, and `<method>.json` (seconds of processor time). What is there
already is not computed again. A method that fails or would take too long is left out and says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

QUANTILES = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
COLUMNS = [f"q{level:g}" for level in QUANTILES]
LEVELS = [20, 40, 60, 80, 90, 95]
NEWEST = {"W": 520, "h": 336, "D": 400}
"""Periods that exponential smoothing and its like see: their cost grows with history and what is older hardly counts."""
MOST_SECONDS = 240.0
"""A method that would take longer for one window is left out."""

Quantiles = np.ndarray  # (n, horizon, 13)


@dataclass(frozen=True)
class Task:
    train: pd.DataFrame
    freq: str
    season: int
    horizons: tuple[int, ...]
    ids: tuple[str, ...]

    @property
    def horizon(self) -> int:
        return max(self.horizons)

    @property
    def shortest(self) -> int:
        return int(self.train.groupby("unique_id").size().min())


Answer = tuple[Quantiles, "dict[int, np.ndarray] | None"]


def read_task(folder: Path) -> Task:
    task = json.loads((folder / "task.json").read_text())
    train = pd.read_parquet(folder / "train.parquet")
    train["ds"] = train["ds"].astype("datetime64[ns]")
    return Task(train.sort_values(["unique_id", "ds"]), task["freq"], task["season"], tuple(task["horizons"]), tuple(task["ids"]))


def without_gaps(train: pd.DataFrame, season: int) -> pd.DataFrame:
    """Unknown values from a season earlier, else later, else 0: most of these tools know no gaps."""
    if not train["y"].isna().any():
        return train
    place = train.groupby("unique_id").cumcount() % season
    y = train.groupby([train["unique_id"], place])["y"].transform(lambda one: one.ffill().bfill()).fillna(0.0)
    return train.assign(y=y)


def from_levels(table: pd.DataFrame, name: str, task: Task) -> Quantiles:
    """Interval columns `<name>-lo-80` … as quantiles; where an interval is not finite the point stands."""
    column = {0.5: name}
    for level in LEVELS:
        column[round(0.5 - level / 200, 3)] = f"{name}-lo-{level}"
        column[round(0.5 + level / 200, 3)] = f"{name}-hi-{level}"
    table = table.sort_values(["unique_id", "ds"])
    found = table[[column[level] for level in QUANTILES]].to_numpy(dtype=float)
    middle = found[:, [QUANTILES.index(0.5)]]
    found = np.where(np.isfinite(found), found, middle)
    order = pd.Index(table["unique_id"].to_numpy()[:: task.horizon]).get_indexer(list(task.ids))
    return np.sort(found.reshape(len(task.ids), task.horizon, -1)[order], axis=2)


def statistical(make: Callable[[Task], Any]) -> Callable[[Task], Answer]:
    def forecast(task: Task) -> Answer:
        from statsforecast import StatsForecast
        from statsforecast.models import Naive, SeasonalNaive

        train = without_gaps(task.train, task.season).groupby("unique_id").tail(NEWEST[task.freq[0]])
        spare = SeasonalNaive(task.season) if task.shortest >= task.season else Naive()
        model = make(task)
        engine = StatsForecast([model], freq=task.freq, n_jobs=1, fallback_model=spare)
        table = engine.forecast(df=train, h=task.horizon, level=LEVELS).reset_index()
        names = [name for name in table if name not in ("unique_id", "ds", "index") and "-lo-" not in name and "-hi-" not in name]
        return from_levels(table, names[0], task), None

    return forecast


def ets(task: Task) -> Any:
    from statsforecast.models import AutoETS

    return AutoETS(task.season if task.season <= 24 else 1)


def theta(task: Task) -> Any:
    from statsforecast.models import DynamicOptimizedTheta

    return DynamicOptimizedTheta(task.season if task.shortest >= 2 * task.season else 1)


def ces(task: Task) -> Any:
    from statsforecast.models import AutoCES

    return AutoCES(task.season if task.shortest >= 2 * task.season else 1)


def mstl(task: Task) -> Any:
    from statsforecast.models import MSTL, AutoETS

    seasons = {"D": [7], "h": [24, 168], "W": [52]}[task.freq[0]]
    return MSTL([one for one in seasons if task.shortest >= 2 * one] or [task.season], trend_forecaster=AutoETS(model="ZZN"))


def run_rate(task: Task) -> Answer:
    """Mean of the last 28 days (4 weeks, 168 hours), Gaussian with the deviation of these values; totals take days as independent."""
    from scipy.stats import norm

    width = {"D": 28, "W": 4, "h": 168}[task.freq[0]]
    z = norm.ppf(QUANTILES)
    steps, totals = [], {length: [] for length in task.horizons}
    known = dict(tuple(without_gaps(task.train, task.season).groupby("unique_id")["y"]))
    for name in task.ids:
        recent = known[name].to_numpy()[-width:]
        mean, spread = recent.mean(), recent.std(ddof=1) if len(recent) > 1 else 0.0
        steps.append(np.tile(mean + spread * np.sqrt(1 + 1 / len(recent)) * z, (task.horizon, 1)))
        for length in task.horizons:
            totals[length].append(length * mean + spread * np.sqrt(length + length**2 / len(recent)) * z)
    return np.stack(steps), {length: np.stack(rows) for length, rows in totals.items()}


def prophet(task: Task) -> Answer:
    from prophet import Prophet

    steps, totals = [], {length: [] for length in task.horizons}
    least = task.train.groupby("unique_id")["y"].min()
    known = dict(tuple(task.train.groupby("unique_id")))
    for name in task.ids:
        one = known[name]
        ahead = pd.date_range(one["ds"].iloc[-1], periods=task.horizon + 1, freq=task.freq)[1:]
        np.random.seed(0)  # noqa: NPY002 - Prophet draws from the global state
        model = Prophet(uncertainty_samples=400).fit(one[["ds", "y"]].dropna())
        paths = model.predictive_samples(pd.DataFrame({"ds": ahead}))["yhat"]  # (horizon, samples)
        if least[name] >= 0:
            paths = np.maximum(paths, 0.0)
        steps.append(np.quantile(paths, QUANTILES, axis=1).T)
        for length in task.horizons:
            totals[length].append(np.quantile(paths[:length].sum(axis=0), QUANTILES))
    return np.stack(steps), {length: np.stack(rows) for length, rows in totals.items()}


def lightgbm(task: Task) -> Answer:
    """mlforecast's global LightGBM with conformal intervals; lags that the shortest history cannot show are left out."""
    import lightgbm as lgb
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences, LocalStandardScaler
    from mlforecast.utils import PredictionIntervals

    train = without_gaps(task.train, task.season)
    if task.freq.startswith("W"):
        train = train.groupby("unique_id").tail(1040)
    shortest, kind = int(train.groupby("unique_id").size().min()), task.freq[0]
    chunks = int(max(2, min(4, shortest // (3 * task.horizon))))
    room = shortest - chunks * task.horizon
    longest = max(1, room - 3 if shortest < 60 else room // 2)
    lags = [lag for lag in {"D": [1, 7, 14, 28], "h": [1, 24, 168], "W": [1, 4, 52]}[kind] if lag <= longest]
    transforms = {
        "D": lambda: [LocalStandardScaler()],
        "h": lambda: [Differences([24]), LocalStandardScaler()],
        "W": lambda: [Differences([1]), LocalStandardScaler()],
    }[kind]
    dates = ["dayofweek", *(["dayofyear"] if shortest > 400 else [])] if kind == "D" else []
    failure: Exception | None = None
    for count in (chunks, 2):
        model = lgb.LGBMRegressor(n_estimators=200, learning_rate=0.05, num_leaves=31, min_child_samples=10, verbosity=-1, n_jobs=1, random_state=0)
        engine = MLForecast(model, freq=task.freq, lags=lags, target_transforms=transforms(), date_features=dates)
        try:
            fitted = engine.fit(train, prediction_intervals=PredictionIntervals(n_windows=count, h=task.horizon))
            return from_levels(fitted.predict(task.horizon, level=LEVELS), "LGBMRegressor", task), None
        except Exception as error:
            failure = error
    raise failure if failure else RuntimeError("not tried")


def fracast(task: Task) -> Answer:
    """The small pretrained network as it comes; beyond its deciles the outer arm is stretched like a Gaussian's."""
    import torch
    from fracast import FracastModel
    from scipy.stats import norm

    torch.set_num_threads(1)
    model = FracastModel.from_pretrained()
    by_name = dict(tuple(task.train.groupby("unique_id")["y"]))
    known = [by_name[name].to_numpy(dtype=float) for name in task.ids]
    width = min(model.context_length, max(map(len, known)))
    parts = []
    for begin in range(0, len(known), 16):
        batch = np.full((len(known[begin : begin + 16]), width), np.nan)
        for row, values in enumerate(known[begin : begin + 16]):
            batch[row, -min(len(values), width) :] = values[-width:]
        parts.append(model.forecast_batch(batch, horizon=task.horizon))
    deciles = np.sort(np.concatenate(parts), axis=2)  # (n, horizon, 9)
    steps = np.empty((*deciles.shape[:2], len(QUANTILES)))
    for place, level in enumerate(QUANTILES):
        nearest = int(np.clip(round(level * 10), 1, 9))
        if abs(level * 10 - nearest) < 1e-9:
            steps[..., place] = deciles[..., nearest - 1]
        else:
            arm = deciles[..., 0 if level < 0.5 else 8] - deciles[..., 4]
            steps[..., place] = deciles[..., 4] + arm * abs(norm.ppf(level)) / norm.ppf(0.9)
    return np.sort(steps, axis=2), None


METHODS: dict[str, Callable[[Task], Answer]] = {
    "run_rate": run_rate,
    "ets": statistical(ets),
    "theta": statistical(theta),
    "ces": statistical(ces),
    "mstl": statistical(mstl),
    "lightgbm": lightgbm,
    "prophet": prophet,
    "fracast": fracast,
}
TRIO = ("ets", "theta", "ces")
NOT_ON = {"mstl": ("W",), "prophet": ("h", "W-SUN")}
"""Frequencies on which a method is not run: no sensible season, or hours of work."""
MOST_SERIES = {"prophet": 60}
"""More series than this in one window and a method is not run."""


def table_of(values: np.ndarray, ids: tuple[str, ...], name: str, marks: range) -> pd.DataFrame:
    frame = pd.DataFrame(values.reshape(-1, len(QUANTILES)), columns=COLUMNS)
    frame.insert(0, name, np.tile(np.array(marks), len(ids)))
    frame.insert(0, "unique_id", np.repeat(np.array(ids, dtype=object), len(marks)))
    return frame


def write(folder: Path, method: str, task: Task, answer: Answer, seconds: float) -> None:
    steps, totals = answer
    table_of(steps, task.ids, "step", range(1, task.horizon + 1)).to_parquet(folder / f"{method}.steps.parquet", index=False)
    if totals is not None:
        parts = [table_of(rows, task.ids, "horizon", range(length, length + 1)) for length, rows in totals.items()]
        pd.concat(parts).to_parquet(folder / f"{method}.totals.parquet", index=False)
    (folder / f"{method}.json").write_text(json.dumps({"seconds": seconds}))


def worked() -> float:
    """Seconds of processor time of this process and of those it started: Prophet's optimiser is one."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def too_slow(method: str, task: Task) -> bool:
    """Whether three series' time says that all of them would take longer than MOST_SECONDS."""
    if len(task.ids) <= 12 or method in ("run_rate", "lightgbm"):
        return False
    few = task.ids[1:4]

    def part(ids: tuple[str, ...]) -> Task:
        return Task(task.train[task.train["unique_id"].isin(ids)], task.freq, task.season, task.horizons, ids)

    METHODS[method](part(task.ids[:1]))
    began = worked()
    METHODS[method](part(few))
    return (worked() - began) / len(few) * len(task.ids) > MOST_SECONDS


def run(folder: Path, methods: list[str], allowed: dict[tuple[str, str], bool]) -> None:
    task = read_task(folder)
    for method in methods:
        left_out = any(task.freq == one or task.freq[0] == one for one in NOT_ON.get(method, ())) or len(task.ids) > MOST_SERIES.get(method, 10**9)
        if (folder / f"{method}.json").exists() or left_out:
            continue
        try:
            key = (folder.parent.name, method)
            if key not in allowed:
                allowed[key] = not too_slow(method, task)
            if not allowed[key]:
                raise TimeoutError(f"would take more than {MOST_SECONDS:.0f} s")
            began = worked()
            write(folder, method, task, METHODS[method](task), worked() - began)
        except Exception as error:
            print(f"{folder.parent.name}/{folder.name} {method}: left out, {type(error).__name__}: {str(error)[:200]}", file=sys.stderr, flush=True)
    trio = [folder / f"{name}.steps.parquet" for name in TRIO]
    if all(file.exists() for file in trio) and not (folder / "median_ets_theta_ces.json").exists():
        # A median of quantiles: what a user gets who asks several of them.
        tables = [pd.read_parquet(file) for file in trio]
        steps = np.median([one[COLUMNS].to_numpy() for one in tables], axis=0).reshape(len(task.ids), task.horizon, -1)
        seconds = sum(json.loads((folder / f"{name}.json").read_text())["seconds"] for name in TRIO)
        write(folder, "median_ets_theta_ces", task, (steps, None), seconds)


def speed(sample: Path, horizon: int) -> dict[str, float]:
    """Seconds a series on one core; the first series warms compilers up and does not count."""
    train = pd.read_parquet(sample)
    train["ds"] = train["ds"].astype("datetime64[ns]")
    ids = tuple(sorted(train["unique_id"].unique()))
    found = {}
    # What the yardstick means: whole histories, 80 and 95 % intervals, no cut.
    NEWEST["D"] = 10**6
    for name, method in (("auto_ets", "ets"), ("prophet", "prophet"), ("mstl", "mstl")):
        parts = [Task(train[train["unique_id"].isin(some)], "D", 7, (horizon,), some) for some in (ids[:1], ids)]
        METHODS[method](parts[0])
        began = time.perf_counter()
        METHODS[method](parts[1])
        found[name] = (time.perf_counter() - began) / len(ids)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--panels")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--speed", type=Path)
    parser.add_argument("--horizon", type=int, default=92)
    arguments = parser.parse_args()
    if arguments.speed:
        print(json.dumps(speed(arguments.speed, arguments.horizon)))
        return
    wanted = arguments.panels.split(",") if arguments.panels else None
    allowed: dict[tuple[str, str], bool] = {}
    methods = [one for one in arguments.methods.split(",") if one != "fracast" or importlib.util.find_spec("fracast")]
    for file in sorted(arguments.folder.glob("*/*/task.json")):
        if wanted is None or file.parent.parent.name in wanted:
            began = time.perf_counter()
            run(file.parent, methods, allowed)
            print(f"rivals {file.parent.parent.name}/{file.parent.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
