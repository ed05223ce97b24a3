"""How good is the forecaster on daily and AI-spend panels, beside the tools that a user would pick instead? Writes benchmarks/panels.json.

Scenarios `panel_<name>_h<horizon>_v1` (panels in `panel_sets.py`, measures in `panel_measures.py`): real GPU pools, inference services, image
generation, an LLM API market, people's LLM spend, misc daily and weekly series, M4's official windows and generated companies; rolling cutoffs,
`SpendForecaster` with its defaults through its public API, 1,000 paths. Every figure is [value, 2.5 %, 97.5 %] by bootstrap over series and
cutoffs. Losses are given relative to a seasonal naive: steps to its Gaussian steps, totals to its own rolling-origin totals ("joint") and to its
summed step quantiles ("summed"). With `--rivals PYTHON` the same windows go to that Python's environment (`benchmarks/rivals/`).

    .venv/bin/python benchmarks/panels.py FOLDER                      # ours and naive, everything, record
    .venv/bin/python benchmarks/panels.py FOLDER --rivals benchmarks/rivals/.venv/bin/python [--work DIR]
    .venv/bin/python benchmarks/panels.py FOLDER --quick              # two cutoffs of most panels, printed, nothing written
    .venv/bin/python benchmarks/panels.py FOLDER --panels helios_earth,company --rows rows.parquet
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.panel_measures import (
    FIGURES,
    QUANTILES,
    Floats,
    bootstrap_weights,
    geometric_mean,
    interval,
    seasonal_naive,
    window_scores,
)
from benchmarks.panel_sets import PANELS, PanelSet, Window, filled, windows
from forecast.forecasters.combination import SpendForecaster
from forecast.paths import SpendPaths

HERE = Path(__file__).resolve().parent
COLUMNS = [f"q{level:g}" for level in QUANTILES]
OURS, NAIVE, SUMMED = "ours", "seasonal_naive", "seasonal_naive_summed"
PATHS, SEED = 1000, 1
ONE_CORE = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
WORST = 1.05
"""No panel may be worse than this, relative to the seasonal naive."""


@dataclass(frozen=True)
class Forecast:
    """Quantiles of one window: steps (n, horizon, 13), totals of the first h steps (n, 13) by h, and how long it took."""

    steps: Floats
    totals: dict[int, Floats]
    seconds: float


def forecast_ours(window: Window, panel_set: PanelSet) -> Forecast:
    began = time.process_time()
    horizon = max(panel_set.horizons)
    forecaster = SpendForecaster(freq=panel_set.freq).fit(window.train)
    # A series' horizon starts after its last known day; days that are not known yet come in between.
    pending = {name: int(np.argmax(np.isfinite(one.to_numpy()[::-1]))) for name, one in window.train.groupby("unique_id")["y"]}
    paths = forecaster.simulate(horizon + max(pending.values()), PATHS, seed=SEED)
    order = pd.Index(paths.ids).get_indexer(pd.Index(window.ids))
    wanted = np.array([pending[name] for name in window.ids])[:, None] + np.arange(horizon)[None, :]
    starts, ends = (np.broadcast_to(array, paths.values.shape[:2])[order[:, None], wanted] for array in (paths.starts, paths.ends))
    cut = SpendPaths(window.ids, starts, ends, paths.values[order[:, None], wanted])
    steps = cut.quantile(QUANTILES)["value"].to_numpy().reshape(len(QUANTILES), len(window.ids), horizon).transpose(1, 2, 0)
    totals = {}
    for length in panel_set.horizons:
        part = SpendPaths(window.ids, starts[:, :length], ends[:, :length], cut.values[:, :length])
        totals[length] = np.quantile(part.total().to_numpy(), QUANTILES, axis=1).T
    return Forecast(steps, totals, time.process_time() - began)


def forecast_naive(window: Window, panel_set: PanelSet) -> tuple[Forecast, Forecast]:
    """The seasonal naive with totals of its own, and with summed quantiles; never negative where the history is not."""
    horizon = max(panel_set.horizons)
    known = {name: filled(one.to_numpy(), panel_set.season) for name, one in window.train.groupby("unique_id")["y"]}
    steps, joint, summed = np.empty((len(window.ids), horizon, len(QUANTILES))), {}, {}
    for length in sorted(panel_set.horizons):
        found = [seasonal_naive(known[name], panel_set.season, length) for name in window.ids]
        least = np.where([known[name].min() < 0 for name in window.ids], -np.inf, 0.0)[:, None]
        joint[length] = np.maximum(np.stack([one[1] for one in found]), least)
        part = np.maximum(np.stack([one[0] for one in found]), least[:, :, None])
        summed[length] = part.sum(axis=1)
        if length == horizon:
            steps = part
    return Forecast(steps, joint, 0.0), Forecast(steps, summed, 0.0)


def write_tasks(work: Path, found: list[tuple[Window, PanelSet]]) -> None:
    """What rivals read: train.parquet and task.json of every window. Results of other data are removed."""
    for window, panel_set in found:
        folder = work / window.name
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(pd.util.hash_pandas_object(window.train, index=False).to_numpy().tobytes()).hexdigest()
        task = {
            "freq": panel_set.freq,
            "season": panel_set.season,
            "horizons": list(panel_set.horizons),
            "quantiles": QUANTILES,
            "ids": window.ids,
            "data": digest,
            "official": panel_set.official,
        }
        text = json.dumps(task)
        if (folder / "task.json").exists() and (folder / "task.json").read_text() == text:
            continue
        for old in folder.glob("*"):
            old.unlink()
        window.train.to_parquet(folder / "train.parquet", index=False)
        (folder / "task.json").write_text(text)


def rival_forecasts(work: Path, window: Window, panel_set: PanelSet) -> Iterator[tuple[str, Forecast]]:
    """What rivals wrote for a window. Who gives no totals gets summed quantiles, as a user would sum them."""
    horizon = max(panel_set.horizons)
    for file in sorted((work / window.name).glob("*.steps.parquet")):
        name = file.name.removesuffix(".steps.parquet")
        table = pd.read_parquet(file).set_index(["unique_id", "step"])[COLUMNS]
        grid = pd.MultiIndex.from_product([window.ids, range(1, horizon + 1)])
        steps = np.sort(table.reindex(grid).to_numpy().reshape(len(window.ids), horizon, -1), axis=2)
        if not np.isfinite(steps).all():
            continue
        least = window.train.groupby("unique_id")["y"].min()[list(window.ids)].to_numpy()
        steps = np.where((least < 0)[:, None, None], steps, np.maximum(steps, 0.0))
        totals = {length: steps[:, :length].sum(axis=1) for length in panel_set.horizons}
        own = file.with_name(f"{name}.totals.parquet")
        if own.exists():
            given = pd.read_parquet(own).set_index(["horizon", "unique_id"])[COLUMNS]
            for length in panel_set.horizons:
                total = np.sort(given.loc[length].reindex(list(window.ids)).to_numpy(), axis=1)
                totals[length] = np.where((least < 0)[:, None], total, np.maximum(total, 0.0))
        yield name, Forecast(steps, totals, json.loads(file.with_name(f"{name}.json").read_text())["seconds"])


def judged(window: Window, panel_set: PanelSet, method: str, made: Forecast) -> pd.DataFrame:
    parts = []
    for length in panel_set.horizons:
        scores = window_scores(window.actual[:, :length], made.steps[:, :length], made.totals[length], window.run_rate)
        parts.append(scores.assign(horizon=length, unique_id=list(window.ids)))
    return pd.concat(parts, ignore_index=True).assign(panel=window.panel, cutoff=window.offset, method=method, seconds=made.seconds / len(window.ids))


def table(rows: pd.DataFrame) -> tuple[dict[str, Any], dict[str, tuple[Floats, Floats, Floats]]]:
    """Figures of every method on one panel and horizon, and (our, naive's, weights) losses by method for the geometric means."""
    key = ["unique_id", "cutoff"]
    by_method = {name: part.sort_values(key).reset_index(drop=True) for name, part in rows.groupby("method")}
    naive, summed = by_method[NAIVE], by_method[SUMMED]
    everything = pd.MultiIndex.from_frame(naive[key])
    better = naive if naive["loss_totals"].sum() < summed["loss_totals"].sum() else summed
    weights = bootstrap_weights(naive)
    found: dict[str, Any] = {}
    losses: dict[str, tuple[Floats, Floats, Floats]] = {}
    for name, part in by_method.items():
        # Who could not answer some windows is compared with naive on those that it answered.
        answered = everything.get_indexer(pd.MultiIndex.from_frame(part[key]))
        drawn = weights[:, answered]
        cell: dict[str, Any] = {figure: interval(part[up].to_numpy(), part[down].to_numpy(), drawn) for figure, (up, down) in FIGURES.items()}
        for figure, column, opponent in (
            ("steps_vs_naive", "loss_steps", naive),
            ("totals_vs_joint", "loss_totals", naive),
            ("totals_vs_summed", "loss_totals", summed),
            ("totals_vs_better", "loss_totals", better),
        ):
            pair = part[column].to_numpy(), opponent[column].to_numpy()[answered]
            cell[figure] = interval(*pair, drawn)
            losses[f"{figure}/{name}"] = (*pair, drawn)
        cell["brier_vs_naive"] = interval(part["brier"].to_numpy(), naive["brier"].to_numpy()[answered], drawn)
        cell["width_vs_naive"] = float(part["width_80"].sum() / max(float(naive["width_80"].to_numpy()[answered].sum()), 1e-300))
        cell["seconds_per_series"] = float(part["seconds"].mean())
        found[name] = {figure: [round(one, 4) for one in value] if isinstance(value, list) else round(value, 4) for figure, value in cell.items()}
        found[name]["windows"] = len(part)
    return {"windows": len(naive), "series": naive["unique_id"].nunique(), "cutoffs": naive["cutoff"].nunique(), "methods": found}, losses


def pooled(losses: dict[str, dict[str, tuple[Floats, Floats, Floats]]], rows: pd.DataFrame, owner: dict[str, str]) -> dict[str, Any]:
    """Geometric means over panels (the public board's, all and AI spend; AI spend with image generation too), and coverage pooled over AI windows.

    owner : panel of each key of `losses`. The board judges a panel at its longest horizon.
    """
    board = [key for key in losses if PANELS[owner[key]].board and key.endswith(f"_h{max(PANELS[owner[key]].horizons)}")]
    with_ai = [key for key in losses if PANELS[owner[key]].ai]
    found: dict[str, Any] = {}
    for pool, keys in (("all", board), ("ai", [key for key in board if key in with_ai]), ("ai_and_images", with_ai), ("everything", list(losses))):
        if not keys:
            continue
        names = sorted(set.intersection(*(set(losses[key]) for key in keys)))
        found[pool] = {
            "panels": keys,
            "figures": {name: [round(one, 3) for one in geometric_mean([losses[key][name] for key in keys])] for name in names},
        }
    part = rows[rows["panel"].isin([name for name, one in PANELS.items() if one.ai])]
    part = part.assign(cutoff=part["panel"] + "/" + part["horizon"].astype(str) + "/" + part["cutoff"].astype(str))
    for method, of_method in part.groupby("method"):
        weights = bootstrap_weights(of_method)
        found.setdefault("ai_coverage", {})[method] = {
            name: [round(one, 3) for one in interval(of_method[column].to_numpy(), np.ones(len(of_method)), weights)]
            for name, column in (("80", "inside_80"), ("95", "inside_95"))
        }
    return found


def show(found: dict[str, Any]) -> None:
    """The table that people read: steps and totals relative to naive, coverage, WAPE."""
    for name, panel in found["panels"].items():
        print(f"\n{name}: {panel['windows']} windows, {panel['series']} series, {panel['cutoffs']} cutoffs")
        heads = (
            ("steps", 20),
            ("totals/joint", 20),
            ("totals/summed", 15),
            ("WAPE", 8),
            ("bias", 8),
            ("cov80", 7),
            ("cov95", 7),
            ("brier", 8),
            ("s/series", 10),
        )
        print("  " + " " * 24 + "".join(f"{head:>{width}}" for head, width in heads))
        for method, cell in sorted(panel["methods"].items(), key=lambda item: item[1].get("steps_vs_naive", [9])[0]):
            few = "" if cell["windows"] == panel["windows"] else f" ({cell['windows']} windows)"
            spans = ["{:.3f} ({:.2f}–{:.2f})".format(*cell[key]) for key in ("steps_vs_naive", "totals_vs_joint")]
            numbers = [cell[key][0] for key in ("wape_total", "bias_total", "coverage_80", "coverage_95", "brier")]
            mark = " !" if method == OURS and max(cell["steps_vs_naive"][0], cell["totals_vs_joint"][0]) > WORST else ""
            print(
                f"  {method:24}{spans[0]:>20}{spans[1]:>20}{cell['totals_vs_summed'][0]:>15.3f}{numbers[0]:>8.3f}{numbers[1]:>8.3f}"
                f"{numbers[2]:>7.2f}{numbers[3]:>7.2f}{numbers[4]:>8.3f}{cell['seconds_per_series']:>10.3f}{mark}{few}"
            )
    for pool, one in found["pools"].items():
        if pool == "ai_coverage":
            print("\npooled coverage of AI-spend totals, 80 % and 95 %")
            for method, cell in one.items():
                print(f"  {method:40}{cell['80'][0]:.3f} ({cell['80'][1]:.2f}–{cell['80'][2]:.2f})  {cell['95'][0]:.3f}")
            continue
        print(f"\ngeometric mean over {pool} ({len(one['panels'])} panels)")
        for figure, value in sorted(one["figures"].items(), key=lambda item: (item[0].split("/")[0], item[1][0])):
            print(f"  {figure:40}{value[0]:.3f} ({value[1]:.2f}–{value[2]:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the data")
    parser.add_argument("--panels", help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="two cutoffs of some panels; nothing is recorded")
    parser.add_argument("--rivals", help="Python of the rivals' environment")
    parser.add_argument("--work", type=Path, help="folder for rivals' tasks and answers, kept between runs; without it a temporary one")
    parser.add_argument("--rows", type=Path, help="also write the scores of every window to this Parquet file")
    parser.add_argument("--out", type=Path, default=HERE / "panels.json")
    arguments = parser.parse_args()
    names = arguments.panels.split(",") if arguments.panels else list(PANELS)
    tasks: list[tuple[Window, PanelSet]] = []
    for name in names:
        offsets = PANELS[name].quick if arguments.quick else None
        if offsets != ():
            tasks.extend((window, PANELS[name]) for window in windows(name, PANELS[name], arguments.folder, offsets))
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        if arguments.rivals:
            write_tasks(work, tasks)
            command = [arguments.rivals, str(HERE / "rivals" / "run_rivals.py"), str(work), "--panels", ",".join(names)]
            subprocess.run(command, check=True, env={**os.environ, **ONE_CORE})
        frames = []
        for window, panel_set in tasks:
            made = forecast_ours(window, panel_set)
            naive, summed = forecast_naive(window, panel_set)
            pairs = [(OURS, made), (NAIVE, naive), (SUMMED, summed)]
            if arguments.rivals or arguments.work:
                pairs.extend(rival_forecasts(work, window, panel_set))
            frames.extend(judged(window, panel_set, method, one) for method, one in pairs)
            print(f"{window.name}: {len(window.ids)} series, {made.seconds:.1f} s", file=sys.stderr, flush=True)
    rows = pd.concat(frames, ignore_index=True)
    if arguments.rows:
        rows.to_parquet(arguments.rows)
    found: dict[str, Any] = {"panels": {}}
    losses: dict[str, dict[str, tuple[Floats, Floats, Floats]]] = {}
    owner: dict[str, str] = {}
    for (panel, horizon), part in rows.groupby(["panel", "horizon"], sort=False):
        key = str(panel) if str(panel).endswith(f"_h{horizon}") else f"{panel}_h{horizon}"
        owner[key] = str(panel)
        found["panels"][f"panel_{key}_v1"], losses[key] = table(part)
    found["pools"] = pooled(losses, rows, owner)
    show(found)
    if not arguments.quick and not arguments.panels:
        arguments.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
