"""How long the forecast engine takes for many series, and how its cost grows. Writes benchmarks/engine_speed.json.

Scenario `engine_speed_v1`: 1,000, 3,000 and 10,000 generated daily series of 730 days (a mixture of smooth, weekly, bursty and intermittent
ones, a tenth of them younger than that), horizon 92, 500 paths, `SpendForecaster` with its defaults, a hierarchy of the default levels above
the leaves. Timed: `fit` from a long panel (weights and calibration included), `simulate`, and the quantiles of every node above the leaves and of
every leaf's steps; then the next day: `update` with a row a series (that of a week ago again), and what is answered anew, together
`next_day_seconds`. Each size is a process of its own, so that its peak memory is its own. With `--rivals PYTHON` a sample of the same series is
forecast in the same run by AutoETS, Prophet and MSTL from the environment of that Python (`benchmarks/rivals/`), one core, seconds a series.

    .venv/bin/python benchmarks/engine_speed.py                       # all sizes, each in a process of its own, then the record
    .venv/bin/python benchmarks/engine_speed.py --series 1000         # one size in this process, printed as JSON, nothing written
    .venv/bin/python benchmarks/engine_speed.py --rivals benchmarks/rivals/.venv/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.evaluation.quantiles import sorted_quantiles
from forecast.forecasters.combination import SpendForecaster
from forecast.snapshot import QUANTILES
from forecast.spend.dimensions import LEAF_DIMENSIONS, LEVELS
from forecast.spend.hierarchy import Hierarchy, sum_rows

SCENARIO = "engine_speed_v1"
SIZES = (1_000, 3_000, 10_000)
DAYS, HORIZON, PATHS, SEED = 730, 92, 500, 5
SAMPLE = 24
"""Series that rivals forecast: six of each kind."""
LIMITS = {"series": 10_000, "seconds": 180.0, "next_day_seconds": 60.0, "peak_gib": 6.0}
TIMES_FASTER = {"auto_ets": 20.0, "prophet": 6.0, "mstl": 2.0}
ONE_CORE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
KINDS = ("smooth", "weekly", "bursty", "intermittent")
HERE = Path(__file__).resolve().parent


def generated_series(n_series: int, days: int = DAYS, seed: int = SEED) -> NDArray[np.float64]:
    """(n_series, days) daily cost ≥ 0 in units of money; row i is of kind `KINDS[i % 4]`. NaN before the first day of the younger tenth.

    The first rows are the same whatever `n_series` is: each block of 500 series has a generator of its own.
    """
    blocks = [_block(np.random.default_rng([seed, number]), days) for number in range(-(-n_series // 500))]
    return np.concatenate(blocks)[:n_series]


def _block(rng: np.random.Generator, days: int, n: int = 500) -> NDArray[np.float64]:
    kind = np.arange(n) % len(KINDS)
    scale = np.exp(rng.normal(3.0, 1.8, (n, 1)))
    # The log level wanders, more in bursty series; a few jump once.
    step = np.choose(kind, [0.012, 0.01, 0.05, 0.02])[:, None]
    level = np.cumsum(rng.standard_normal((n, days)) * step, axis=1) + np.linspace(0.0, 1.0, days)[None, :] * rng.normal(0.2, 0.4, (n, 1))
    jump = np.arange(days)[None, :] >= rng.integers(days // 4, days, (n, 1))
    level += jump * rng.normal(0.0, 0.6, (n, 1)) * (rng.random((n, 1)) < 0.15)
    weekend = np.isin(np.arange(days) % 7, (5, 6))[None, :]
    strength = np.choose(kind, [0.05, 0.7, 0.4, 0.0])[:, None] * rng.uniform(0.5, 1.2, (n, 1))
    noise = rng.standard_normal((n, days)) * np.choose(kind, [0.06, 0.12, 0.5, 0.6])[:, None]
    values = scale * np.exp(np.clip(level, -4.0, 4.0) - strength * weekend + noise)
    # Bursty series are on and off in spells of some days, intermittent ones cost something on one day in eight.
    spell = np.cumsum(rng.random((n, days)) < 0.12, axis=1, dtype=np.int64)
    on = rng.random((n, days + 1)) < 0.68
    bursty = np.take_along_axis(on, spell, axis=1)
    bursts = np.where(rng.random((n, days)) < 0.04, rng.uniform(3.0, 9.0, (n, days)), 1.0)
    values = np.where((kind == 2)[:, None], values * bursty * bursts, values)
    values = np.where((kind == 3)[:, None], values * (rng.random((n, days)) < 0.125), values)
    begins = np.where(rng.random(n) < 0.1, rng.integers(0, days - 60, n), 0)
    return np.where(np.arange(days)[None, :] >= begins[:, None], np.round(values, 6), np.nan)


def panel_of(values: NDArray[np.float64], ids: list[str]) -> pd.DataFrame:
    """Long panel `unique_id, ds, y` of (n, days) values that end on 31 October 2026; NaN rows are left out."""
    n, days = values.shape
    stamps = pd.date_range(end="2026-10-31", periods=days, freq="D")
    names = pd.Series(ids).repeat(days).to_numpy()
    known = np.isfinite(values).ravel()
    return pd.DataFrame({"unique_id": names[known], "ds": np.tile(stamps.to_numpy(), n)[known], "y": values.ravel()[known]})


def leaves_of(n_series: int) -> Hierarchy:
    """A hierarchy of made-up leaves: 6 providers, 20 services, 25 teams, 3 stages."""
    number = np.arange(n_series)
    columns = (number % 6, number // 4 % 20, number // 7 % 25, number // 3 % 3, number)
    frame = pd.DataFrame({name: [f"{name}-{one}" for one in column] for name, column in zip(LEAF_DIMENSIONS, columns, strict=True)})
    frame.index = pd.Index(frame.agg("|".join, axis=1), name="unique_id")
    return Hierarchy(frame, LEVELS)


def measure(n_series: int) -> dict[str, float]:
    """Seconds (on the clock, and of the processor as `cpu_…`) of each step, and this process' peak memory so far in GiB."""
    hierarchy = leaves_of(n_series)
    values = generated_series(n_series)
    panel = panel_of(values, list(hierarchy.leaf_ids))
    next_day = pd.DataFrame(
        {"unique_id": list(hierarchy.leaf_ids), "ds": panel["ds"].max() + pd.Timedelta(days=1), "y": np.nan_to_num(values[:, -7])}
    )
    found: dict[str, float] = {"base_gib": _peak_gib()}
    clock = _Clock(found)
    forecaster = SpendForecaster(freq="D").fit(panel, hierarchy=hierarchy)
    del panel, values
    clock.stop("fit")
    answer(forecaster, hierarchy, clock)
    forecaster.update(next_day)
    clock.stop("update")
    answer(forecaster, hierarchy, clock, "_again")
    for mark in ("", "cpu_"):
        found[f"{mark}seconds"] = sum(found[f"{mark}{name}"] for name in ("fit", "simulate", "node_quantiles"))
        found[f"{mark}next_day_seconds"] = sum(found[f"{mark}{name}"] for name in ("update", "simulate_again", "node_quantiles_again"))
    found["seconds_per_series"] = found["seconds"] / n_series
    found["cpu_seconds_per_series"] = found["cpu_seconds"] / n_series
    return {**found, "series": n_series, "nodes": len(hierarchy.nodes), "peak_gib": _peak_gib()}


def answer(forecaster: SpendForecaster, hierarchy: Hierarchy, clock: _Clock, again: str = "") -> None:
    """Simulate, and the quantiles of every node and leaf."""
    paths = forecaster.simulate(HORIZON, PATHS, seed=1)
    clock.stop(f"simulate{again}")
    order = pd.Index(paths.ids).get_indexer(pd.Index(hierarchy.leaf_ids))
    for members in hierarchy.members:
        sorted_quantiles(sum_rows(paths.values, order[members]), QUANTILES)
    clock.stop(f"node_quantiles{again}")
    for leaf in paths.values:
        sorted_quantiles(leaf, QUANTILES)
    clock.stop(f"leaf_quantiles{again}")


class _Clock:
    """Writes the seconds since the last stop into `found`."""

    def __init__(self, found: dict[str, float]) -> None:
        self.found = found
        self.began, self.worked = time.perf_counter(), time.process_time()

    def stop(self, name: str) -> None:
        now, work = time.perf_counter(), time.process_time()
        self.found[name], self.found[f"cpu_{name}"] = now - self.began, work - self.worked
        self.began, self.worked = now, work


def _peak_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform != "darwin" else peak / 1024) / 2**20


def rivals_seconds(python: str) -> dict[str, float]:
    """Seconds a series of each rival on `SAMPLE` of the same series, from `rivals/run_rivals.py --speed` in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.parquet"
        values = generated_series(500)
        panel_of(np.nan_to_num(values[:SAMPLE]), [f"series-{number}" for number in range(SAMPLE)]).to_parquet(sample)
        command = [python, str(HERE / "rivals" / "run_rivals.py"), "--speed", str(sample), "--horizon", str(HORIZON)]
        return json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE}).stdout.splitlines()[-1]
        )


def alone(n_series: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--series", str(n_series)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ}).stdout)


def rounded(cell: dict[str, float]) -> dict[str, float]:
    return {name: int(value) if float(value).is_integer() else float(f"{value:.4g}") for name, value in cell.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, help="measure one size in this process and print it")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--rivals", help="Python of the rivals' environment")
    parser.add_argument("--out", default=str(HERE / "engine_speed.json"))
    arguments = parser.parse_args()
    if arguments.series:
        print(json.dumps(rounded(measure(arguments.series))))
        return
    found: dict[str, Any] = {"limits": LIMITS, "sizes": {}}
    for size in map(int, arguments.sizes.split(",")):
        found["sizes"][str(size)] = rounded(alone(size))
        print(json.dumps(found["sizes"][str(size)]), file=sys.stderr)
    per_series = [cell["cpu_seconds_per_series"] for cell in found["sizes"].values()]
    found["growth"] = round(per_series[-1] / per_series[0], 3)  # 1 is linear in the number of series
    if arguments.rivals:
        ours = list(found["sizes"].values())[-1]["seconds_per_series"]
        seconds = rivals_seconds(arguments.rivals)
        found["rivals"] = {
            name: {"seconds_per_series": round(value, 4), "times_faster": round(value / ours, 1), "wanted": TIMES_FASTER.get(name)}
            for name, value in seconds.items()
        }
    Path(arguments.out).write_text(json.dumps({SCENARIO: found}, indent=1, sort_keys=True) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
