"""How good are forecasts of a quarter's total and of its overrun on generated companies? Writes benchmarks/company_forecasts.json.

Scenario `company_forecasts_v1`: generated companies (8 teams, 548 days, incidents, by way of files and the ledger), two fiscal quarters, cutoffs
0, 30 and 60 days into each. Known are the quarter's days so far; forecast is the rest: by SpendForecaster with its defaults and schedules beside
it, as `train` fits them; by the same told what the company had announced by then (its calendar of planned events); with `--reconciled` by the same
reconciled with forecasts of the nodes above (decision 11); and by what people use instead, computed in the same run on the same days
(`company_rivals.py`). Judged on leaves, teams, providers and the company: the quarter's total (WAPE, bias, share of nodes within FinOps' ±12 %), the
chance to overrun budgets of 85 to 130 % of the quarter's run rate (distance from the true probability, which 200 simulated futures from the
company's state at the cutoff give; Brier score of what came and expected over the futures, and the skill of it; calibration error with five bins),
coverage of 80 % intervals, and how often what was said with 0–10 %, 10–20 % … came true.
Every figure is [value, 2.5 %, 97.5 %] by a bootstrap that draws companies.

    .venv/bin/python benchmarks/company_forecasts.py [--seeds 31,32,33] [--processes 2]
    .venv/bin/python benchmarks/company_forecasts.py --rivals benchmarks/rivals/.venv/bin/python [--methods ets,mstl,prophet]   (upper nodes only)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.calibration import DAYS, TEAMS, company_ledger
from benchmarks.company_rivals import Floats, Node, Totals, public_tools, usual_rules
from benchmarks.panels import ONE_CORE
from forecast.adapters.spend_history import SpendHistory
from forecast.company.futures import Futures
from forecast.company.generate import generate
from forecast.evaluation.metrics import crps
from forecast.evaluation.reliability import reliability_bins
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.reconciliation import ReconciledForecaster
from forecast.forecasters.scheduled import ScheduledForecaster
from forecast.spend.event_rows import read_events
from forecast.spend.hierarchy import COMPANY, Hierarchy
from forecast.spend.panel import SpendMatrix
from forecast.spend.scope import Scope
from training.knowledge import Knowledge, knowing, read_knowledge

SCENARIO = "company_forecasts_v1"
SEEDS = range(31, 51)
QUARTERS = (("2026-04-01", "2026-07-01"), ("2026-07-01", "2026-10-01"))
ELAPSED = (0, 30, 60)
"""Days of the quarter that are over at a cutoff."""
FUTURES = 200
N_PATHS = 500
BUDGETS = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)
"""In run rates: the quarter's total if the mean of the last 28 days goes on."""
LEVELS = ("leaf", "team", "provider", "company")
WITHIN = 0.12
OURS, TOLD, RECONCILED = "ours", "ours_told_events", "ours_reconciled"
RULES = ("run_rate_normal", "interval_inversion", "seasonal_naive")
"""What skill is said over."""
BINS = 5
"""Of the calibration error."""
SEED = 7
DRAWS = 1000

FIGURES: dict[str, tuple[str, str]] = {
    "wape": ("missed", "spent"),
    "bias": ("over", "spent"),
    "wape_rest": ("missed", "spent_rest"),
    "within_12": ("within", "one"),
    "within_12_true": ("within_true", "one"),
    "overrun_apart": ("apart", "one"),
    "overrun_apart_90_125": ("apart_90_125", "one"),
    "brier": ("brier", "one"),
    "brier_expected": ("brier_expected", "one"),
    "brier_least": ("brier_least", "one"),
    "coverage_80": ("inside_80", "one"),
    "coverage_80_true": ("inside_80_true", "one"),
    "crps_true": ("crps_true", "spent_rest"),
}
"""Figure: Σ of the first column over Σ of the second. wape, bias: of the quarter; wape_rest: of its days after the cutoff. *_true: over the
futures instead of what came. brier_least: of the true probabilities themselves."""


def judge(seed: int, reconciled: bool = False, rivals: str | None = None, methods: str = "") -> pd.DataFrame:
    """One row a cutoff × method × node with spend in it, with what `FIGURES` needs."""
    frames = []
    with company_ledger(seed) as (company, ledger, history):
        rows = [{name: None if pd.isna(value) else value for name, value in row.items()} for row in company.events.astype(object).to_dict("records")]
        events = read_events(rows, today=date.max).events
        for number, (begin, end) in enumerate(QUARTERS):
            for elapsed in ELAPSED:
                start = pd.Timestamp(begin) + pd.Timedelta(days=elapsed)
                at = {"seed": seed, "quarter": number, "elapsed": elapsed}
                known = read_knowledge(events, ledger, history, cost="effective", until=(start - pd.Timedelta(days=1)).date())
                judged = _judge_rest(history, known, seed, pd.Timestamp(begin), start, pd.Timestamp(end), reconciled, rivals, methods)
                frames.append(judged.assign(**at))
    return pd.concat(frames, ignore_index=True)


def _judge_rest(
    history: SpendHistory,
    knowledge: Knowledge,
    seed: int,
    begin: pd.Timestamp,
    start: pd.Timestamp,
    end: pd.Timestamp,
    reconciled: bool,
    rivals: str | None,
    methods: str,
) -> pd.DataFrame:
    """Forecasts of [start, end), made at the end of the day before, judged as forecasts of the quarter [begin, end)."""
    matrix, hierarchy = history.matrix, history.hierarchy
    cutoff, rest = start - pd.Timedelta(days=1), (end - start).days
    known = matrix.until(cutoff)
    came = _with_nodes(matrix.values[:, known.n_periods : known.n_periods + rest].sum(axis=1), hierarchy)
    future = generate(seed, days=DAYS, teams=TEAMS, cutoff=cutoff.date(), futures=FUTURES, horizon=rest).futures
    if future is None:
        raise RuntimeError("the company gave no futures")
    truth = true_totals(future, hierarchy)
    daily = _with_nodes(known.values, hierarchy)
    levels = np.array(["leaf"] * matrix.n_series + [",".join(scope.dimensions) or COMPANY for scope in hierarchy.nodes], dtype=object)
    ids = np.array([*hierarchy.leaf_ids, *hierarchy.node_ids], dtype=object)
    run_rate = daily[:, -28:].mean(axis=1) * rest
    kept = np.isin(levels, LEVELS) & (daily[:, -28:].sum(axis=1) > 0)
    nodes = [Node(str(level), str(name), row) for level, name, row in zip(levels[kept], ids[kept], daily[kept], strict=True)]
    began = time.process_time()
    made = {
        name: Totals.of_samples(_with_nodes(leaves, hierarchy)[kept])
        for name, leaves in simulated(history, knowledge, known, rest, reconciled).items()
    }
    seconds = time.process_time() - began
    made.update(usual_rules(np.stack([node.daily for node in nodes]), known.ds, rest))
    if rivals:
        made.update(public_tools(rivals, methods, nodes, known.ds, rest))
    elapsed = (start - begin).days
    so_far = daily[kept, known.n_periods - elapsed :].sum(axis=1) if elapsed else np.zeros(int(kept.sum()))
    budgets = np.array(BUDGETS)[None, :] * (so_far + run_rate[kept])[:, None] - so_far[:, None]  # left for the rest, (nodes, budgets)
    frames = []
    for method, totals in made.items():
        scored = scores(totals, budgets, came[kept], truth[kept], so_far)
        frame = scored.assign(method=method, level=levels[kept], unique_id=ids[kept], seconds=seconds if method == OURS else np.nan)
        frames.append(frame[totals.known])
    return pd.concat(frames, ignore_index=True)


def simulated(history: SpendHistory, knowledge: Knowledge, known: SpendMatrix, rest: int, reconciled: bool) -> dict[str, Floats]:
    """Method → (leaves, paths) our totals of the days after the cutoff; nothing for a leaf that had none before."""
    shown = np.flatnonzero((known.values != 0).any(axis=1))
    ids = tuple(known.ids[row] for row in shown)
    panel = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(ids, dtype=object), known.n_periods),
            "ds": np.tile(known.ds.to_numpy(), len(ids)),
            "y": known.values[shown].ravel(),
        }
    )
    hierarchy = Hierarchy(history.hierarchy.leaves.loc[list(ids)], history.hierarchy.levels)
    makers = {OURS: ScheduledForecaster(SpendForecaster(), history.lines, history.matrix.ids), TOLD: knowing(SpendForecaster(), history, knowledge)}
    if reconciled:
        makers[RECONCILED] = ScheduledForecaster(ReconciledForecaster(SpendForecaster()), history.lines, history.matrix.ids)
    found = {}
    for name, forecaster in makers.items():
        paths = forecaster.fit(panel, hierarchy).simulate(rest, N_PATHS, SEED)
        found[name] = np.zeros((known.n_series, N_PATHS))
        found[name][pd.Index(known.ids).get_indexer(pd.Index(paths.ids))] = paths.values.sum(axis=1, dtype=np.float64)
    return found


def true_totals(future: Futures, hierarchy: Hierarchy) -> Floats:
    """(leaves + nodes, futures) true totals of all days that were simulated. Leaves that the bill does not know (yet) count in the nodes above."""
    total = future.cost.sum(axis=1, dtype=np.float64)  # (series, futures)
    extra = future.incident_cost
    np.add.at(total, (extra["series"].to_numpy(), extra["future"].to_numpy()), extra["cost"].to_numpy())
    found = np.zeros((len(hierarchy.leaf_ids) + len(hierarchy.nodes), total.shape[1]))
    begin = 0
    for level in (hierarchy.dimensions, *hierarchy.levels):
        if level == hierarchy.dimensions:
            known = pd.Index(hierarchy.leaf_ids)
        else:
            known = pd.Index(
                ["|".join(_value(scope, name) for name in level) for scope in hierarchy.nodes if scope.dimensions == tuple(sorted(level))]
            )
        place = known.get_indexer(pd.Index(_joined(future.keys, level)))
        np.add.at(found, begin + place[place >= 0], total[place >= 0])
        begin += len(known)
    return found


def _joined(keys: pd.DataFrame, level: tuple[str, ...]) -> list[str]:
    return ["|".join(row) for row in keys[list(level)].astype(str).to_numpy()] if level else [""] * len(keys)


def _value(scope: Scope, name: str) -> str:
    return next(clause.values[0] for clause in scope.clauses if clause.dimension == name)


def _with_nodes(leaf_values: Floats, hierarchy: Hierarchy) -> Floats:
    return np.concatenate([leaf_values, hierarchy.aggregate(leaf_values)])


def scores(totals: Totals, budgets: Floats, came: Floats, truth: Floats, so_far: Floats) -> pd.DataFrame:
    """Columns of `FIGURES`, and said_<b>, true_<b> and over_<b> for each budget. budgets : (nodes, budgets). truth : (nodes, futures)."""
    said = totals.exceedance(budgets)
    true = (truth[:, None, :] > budgets[:, :, None]).mean(axis=2)
    over = (came[:, None] > budgets).astype(np.float64)
    low, high = totals.quantile(0.1), totals.quantile(0.9)
    quarter, quarters = came + so_far, truth + so_far[:, None]
    columns = {
        "missed": np.abs(totals.mean - came),
        "over": totals.mean - came,
        "spent": np.abs(quarter),
        "spent_rest": np.abs(came),
        "within": np.abs(totals.mean - came) <= WITHIN * np.abs(quarter),
        "within_true": (np.abs(totals.mean[:, None] - truth) <= WITHIN * np.abs(quarters)).mean(axis=1),
        "apart": np.abs(said - true).mean(axis=1),
        "apart_90_125": np.abs(said - true)[:, 1:-1].mean(axis=1),
        "brier": ((said - over) ** 2).mean(axis=1),
        "brier_expected": ((said - true) ** 2 + true * (1 - true)).mean(axis=1),
        "brier_least": (true * (1 - true)).mean(axis=1),
        "inside_80": (came >= low) & (came <= high),
        "inside_80_true": ((truth >= low[:, None]) & (truth <= high[:, None])).mean(axis=1),
        "crps_true": np.mean([crps(one, totals.samples()) for one in truth.T[::5]], axis=0),
        "one": np.ones(len(came)),
    }
    for kind, part in (("said", said), ("true", true), ("over", over)):
        columns.update({f"{kind}_{factor:g}": part[:, place] for place, factor in enumerate(BUDGETS)})
    return pd.DataFrame({name: np.asarray(values, dtype=np.float64) for name, values in columns.items()})


def tables(rows: pd.DataFrame) -> dict[str, Any]:
    """Figures of every method by level, by level and days elapsed, and reliability tables."""
    found: dict[str, Any] = {"levels": {}, "elapsed": {}, "reliability": {}, "skill": {}, "calibration_error": {}}
    for (level, method), part in rows.groupby(["level", "method"], sort=True):
        found["levels"].setdefault(str(level), {})[str(method)] = {**figures(part), "n": len(part)}
        for elapsed, few in part.groupby("elapsed", sort=True):
            brief = {name: value[0] for name, value in figures(few, draws=0).items()}
            found["elapsed"].setdefault(f"{level}/{elapsed}", {})[str(method)] = brief
        found["calibration_error"].setdefault(str(level), {})[str(method)] = calibration_errors(part)
        found["reliability"].setdefault(str(level), {})[str(method)] = reliability(part)
    for level, part in rows.groupby("level", sort=True):
        of = dict(list(part.groupby("method")))
        found["skill"][str(level)] = {
            f"{ours}/{rule}": skill(of[ours], of[rule]) for ours in (OURS, TOLD) for rule in RULES if {ours, rule} <= set(of)
        }
    return found


def reliability(rows: pd.DataFrame, bins: int = 10) -> list[dict[str, float]]:
    """Bins of what was said, with the share that came (`seen`) and the mean of the true probabilities (`true`)."""
    said, over, true = (_columns(rows, kind).ravel() for kind in ("said", "over", "true"))
    table = reliability_bins(said, over, bins=bins)
    place = np.minimum((said * bins).astype(int), bins - 1)
    table["true"] = [float(true[place == number].mean()) for number in (table["from"] * bins).round().astype(int)]
    return table.round(4).to_dict("records")


def calibration_errors(rows: pd.DataFrame, draws: int = DRAWS) -> dict[str, list[float]]:
    """Mean over forecasts of |said − came| of their bin (`came`), and against the true probabilities (`true`): [value, 2.5 %, 97.5 %]."""
    said, over, true = (_columns(rows, kind) for kind in ("said", "over", "true"))
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    seeds, company = np.unique(rows["seed"].to_numpy(), return_inverse=True)
    sums = np.zeros((3, len(seeds), BINS))
    for kind, values in enumerate((said, over, true)):
        np.add.at(sums[kind], (company[:, None], place), values)
    weights = np.random.default_rng(0).multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=draws)
    found = {}
    for name, kind in (("came", 1), ("true", 2)):
        apart = sums[0] - sums[kind]
        drawn = np.abs(weights @ apart).sum(axis=1) / (weights @ np.bincount(company, np.full(len(rows), said.shape[1])))
        value = float(np.abs(apart.sum(axis=0)).sum() / said.size)
        found[name] = [round(float(one), 4) for one in (value, *np.quantile(drawn, (0.025, 0.975)))]
    return found


def skill(ours: pd.DataFrame, rule: pd.DataFrame, draws: int = DRAWS) -> dict[str, list[float]]:
    """1 − Brier score over that of a rule, of what came and expected over the futures: [value, 2.5 %, 97.5 %]."""
    found = {}
    for name in ("brier", "brier_expected"):
        up, down = (frame.groupby("seed")[name].sum().to_numpy() for frame in (ours, rule))
        weights = np.random.default_rng(0).multinomial(len(up), np.full(len(up), 1 / len(up)), size=draws)
        drawn = 1 - (weights @ up) / (weights @ down)
        found[name] = [round(float(one), 4) for one in (1 - up.sum() / down.sum(), *np.quantile(drawn, (0.025, 0.975)))]
    return found


def _columns(rows: pd.DataFrame, kind: str) -> Floats:
    return rows[[f"{kind}_{factor:g}" for factor in BUDGETS]].to_numpy()


def figures(rows: pd.DataFrame, draws: int = DRAWS) -> dict[str, list[float]]:
    """[value, 2.5 %, 97.5 %] of every figure, companies drawn again; only [value] without draws."""
    by_company = rows.groupby("seed")[sorted({name for pair in FIGURES.values() for name in pair})].sum()
    weights = np.random.default_rng(0).multinomial(len(by_company), np.full(len(by_company), 1 / len(by_company)), size=draws)
    found = {}
    for name, (numerator, denominator) in FIGURES.items():
        up, down = by_company[numerator].to_numpy(), by_company[denominator].to_numpy()
        drawn = (weights @ up) / (weights @ down)
        spread = [float(one) for one in np.quantile(drawn, (0.025, 0.975))] if draws else []
        found[name] = [round(one, 4) for one in (float(up.sum() / down.sum()), *spread)]
    return found


def show(found: dict[str, Any]) -> None:
    names = [name for name in FIGURES if name != "within_12_true"]
    for level, methods in found["levels"].items():
        print(f"\n{level:26}" + "".join(f"{name:>17}" for name in names))
        for method, cell in sorted(methods.items(), key=lambda item: item[1]["brier_expected"][0]):
            print(f"  {method:24}" + "".join(f"{cell[name][0]:>17.3f}" for name in names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--reconciled", action="store_true", help="also our forecasts reconciled with those of the nodes above")
    parser.add_argument("--rivals", help="Python of the rivals' environment")
    parser.add_argument("--methods", default="ets,mstl,lightgbm,prophet")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("company_forecasts.json"))
    parser.add_argument("--rows", type=Path, help="also write the scores of every forecast to this Parquet file")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    os.environ.update(ONE_CORE)  # of each process
    frames: list[pd.DataFrame] = []
    work = partial(judge, reconciled=arguments.reconciled, rivals=arguments.rivals, methods=arguments.methods)
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for seed, judged in zip(seeds, pool.map(work, seeds), strict=True):
            frames.append(judged)
            print(f"company {seed}: {len(judged)} forecasts", file=sys.stderr, flush=True)
    rows = pd.concat(frames, ignore_index=True)
    if arguments.rows:
        rows.to_parquet(arguments.rows)
    found = {"seeds": seeds, "quarters": QUARTERS, "elapsed": ELAPSED, "futures": FUTURES, "paths": N_PATHS, **tables(rows)}
    arguments.out.write_text(json.dumps({SCENARIO: found}, indent=1, sort_keys=True) + "\n")
    show(found)


if __name__ == "__main__":
    main()
