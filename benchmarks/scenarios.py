"""Are what-if answers right where the true effect of a lever is known? Writes benchmarks/scenarios.json.

Scenario `scenarios_v1`: companies of seeds 51 to 70, which nothing was tuned on (8 teams, 548 days, incidents, ingested into a ledger), a snapshot
of each as `train` makes it, told what the company had announced. Levers on the first day after the cutoff (`scenario_cases.py`): scale a workload
up and down, change a price, switch an AI model; on tokens, self-hosted GPUs, fixed and partly fixed cost (licences, storage, own hardware), and
mixed scopes (teams, production). Truth: 25 simulated futures from the company's state, each with and without the lever on the same shocks, each in
turn taken for what happened; effects are those on the whole company's money of the next 28 and 91 days, with taxes and what commitments leave unused.

`coverage_80`: realised effects between the answer's P10 and P90; those that are nothing and said to be nothing are left out (`none_for_sure`).
`error`: median of |expected − realised effect| over the money that the scope would spend by the last 28 days. `error_naive`: the same of the rule
of thumb, (factor − 1) × the last 28 days' money, where a move's factor is 1 + share × (ratio of what a token costs on the bill − 1).
`error_least`: of the mean of the other futures, which nobody can have. `ratio`, `ratio_of_median` (of the answer's P50), `ratio_least`: over the
rule's. `bias`: mean error with its sign. Figures are [value, 2.5 %, 97.5 %] by a bootstrap that draws companies.

    .venv/bin/python benchmarks/scenarios.py --work FOLDER [--seeds 51,52] [--processes 2]

FOLDER keeps snapshots and true effects: a run that was stopped goes on, and one with changed scenarios trains and simulates nothing again (changed
forecasts or companies need another folder).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.panels import ONE_CORE
from benchmarks.scenario_cases import LOOKED_BACK, Case, cases_of, spend_in, spend_of
from forecast.adapters.ledger import Ledger
from forecast.adapters.snapshots import SnapshotStore
from forecast.adapters.spend_history import read_history, read_recent
from forecast.adapters.spend_meters import read_meters
from forecast.company.generate import generate
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.planned_events import EventfulForecaster, applied_table
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS, LEAF_DIMENSIONS
from forecast.spend.event_rows import read_events
from forecast.spend.known_money import known_money
from forecast.workflows.snapshotting import build_snapshot, horizon_days
from forecast.workflows.whatif import whatif_answer
from training.knowledge import events_record, knowing, layer, read_knowledge

SCENARIO = "scenarios_v1"
SEEDS = range(51, 71)
DAYS, TEAMS, FUTURES = 548, 8, 25
PERIODS = (28, 91)
DAILY_STEPS, MONTHS, N_PATHS, SEED = 92, 4, 500, 7
DRAWS = 1000
NOTHING = 1e-6
"""Effects below this share of the scope's money are none."""

Floats = NDArray[np.float64]


def trained(seed: int, folder: Path, days: int = DAYS, teams: int = TEAMS) -> Snapshot:
    """The company's snapshot at its last day, from the folder or trained anew and kept there."""
    store, pointer = SnapshotStore(folder / f"company-{seed}"), folder / f"company-{seed}.id"
    if pointer.exists():
        return store.open(pointer.read_text().strip())
    company = generate(seed, days=days, teams=teams)
    with tempfile.TemporaryDirectory() as place:
        bill = Path(place) / "bill.parquet"
        company.rows.to_parquet(bill)
        ledger = Ledger(Path(place) / "ledger")
        ledger.ingest([bill], received_at=datetime(2026, 11, 1, tzinfo=UTC))
        cutoff = date.fromisoformat(ledger.summary()["last_day"])
        history = read_history(ledger, LEAF_DIMENSIONS, cutoff)
        table = company.events.astype(object).to_dict("records")
        rows: list[dict[str, Any]] = [{str(name): None if pd.isna(value) else value for name, value in row.items()} for row in table]
        known = read_knowledge(read_events(rows, today=date.max).events, ledger, history, cost="effective", until=cutoff)
        forecaster = knowing(SpendForecaster(), history, known, known_until=cutoff).fit(history.panel, history.hierarchy)
        eventful = layer(forecaster, EventfulForecaster)
        paths = forecaster.simulate(horizon_days(cutoff, DAILY_STEPS, MONTHS), N_PATHS, SEED)
        effects = applied_table(eventful.applied_, paths)
        draft = build_snapshot(
            paths,
            history.matrix,
            history.hierarchy,
            cost="effective",
            currency=ledger.currency,
            daily_steps=DAILY_STEPS,
            months=MONTHS,
            recent=read_recent(ledger, history),
            detector={},
            backtest={},
            meta={
                "seed": SEED,
                "known_values": {name: ledger.values(name) for name in DIMENSIONS if name not in (*history.hierarchy.dimensions, "resource")},
                "schedules": forecaster.schedules_.record(history.matrix.ids),
                "events": events_record(eventful, effects, cutoff),
                "drivers": [],
            },
            billed=history.billed,
            provisional=history.provisional,
            event_effects=effects,
            known_money=known_money(history.parts, history.matrix.ds.to_numpy()),
            meters=read_meters(ledger, history),
        )
        snapshot = store.write(draft)
    pointer.write_text(snapshot.id)
    return snapshot


def realised(seed: int, cases: Sequence[Case], snapshot: Snapshot, folder: Path, futures: int = FUTURES, teams: int = TEAMS) -> dict[str, Floats]:
    """Case → (periods, futures) true effect on the company's money, from the folder or simulated and kept there."""
    kept = folder / f"effects-{seed}-{futures}.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [case for case in cases if case.id not in known]
    start, days = snapshot.cutoff + timedelta(days=1), len(snapshot.history_ds)
    for number, case in enumerate(missing, start=1):
        company = generate(
            seed, days=days, teams=teams, end=start, futures=futures, horizon=max(PERIODS), levers=[true_lever(case, start.isoformat())]
        )
        without, pulled = company.futures, company.lever_futures
        if without is None or pulled is None:
            raise RuntimeError("the company gave no futures")
        apart = np.cumsum(pulled.daily() - without.daily(), axis=0)
        known[case.id] = [apart[period - 1].round(4).tolist() for period in PERIODS]
        if number % 10 == 0 or number == len(missing):
            aside = kept.with_suffix(".part")
            aside.write_text(json.dumps(known))
            aside.replace(kept)
    return {case.id: np.asarray(known[case.id]) for case in cases}


def true_lever(case: Case, start: str) -> dict[str, Any]:
    """The lever as `generate` takes it."""
    plan = case.plan(start)
    return {name: plan[name] for name in ("type", "scope", "factor", "share", "from", "to") if name in plan}


def judge(seed: int, folder: Path, days: int = DAYS, teams: int = TEAMS, futures: int = FUTURES) -> pd.DataFrame:
    """One row a case, period and future."""
    snapshot = trained(seed, folder, days, teams)
    spend = spend_of(snapshot)
    cases = cases_of(seed, spend, days, teams)
    truth = realised(seed, cases, snapshot, folder, futures, teams)
    start = snapshot.cutoff + timedelta(days=1)
    frames = []
    for case in cases:
        money = spend_in(spend, case.scope)
        for period, effects in zip(PERIODS, truth[case.id], strict=True):
            end = start + timedelta(days=period)
            began = time.perf_counter()
            answer = whatif_answer(
                snapshot, {"start": start.isoformat(), "end": end.isoformat(), "levers": [case.plan(start.isoformat())]}, group_by=()
            )
            spent = money * period / LOOKED_BACK
            frames.append(
                pd.DataFrame(
                    {
                        "future": np.arange(len(effects)),
                        "realised": effects,
                        **{name: answer["delta"][name] for name in ("mean", "p10", "p50", "p90")},
                        "naive": (case.factor - 1.0) * spent,
                        "spent": spent,
                        "seconds": time.perf_counter() - began,
                        "lever": case.lever,
                        "spend": case.spend,
                        "what": case.what,
                        "case": case.id,
                        "days": period,
                        "seed": seed,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


FIGURES = ("coverage_80", "error", "error_naive", "error_least", "ratio", "ratio_of_median", "ratio_least", "bias", "bias_naive")


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """With inside; error, error_of_median, _naive and _least (shares of the scope's money); over, over_naive (signed); none, see above."""
    slack = NOTHING * rows["spent"].abs()
    none = (rows["realised"].abs() <= slack) & (rows["p10"].abs() <= slack) & (rows["p90"].abs() <= slack)
    inside = (rows["realised"] >= rows["p10"] - slack) & (rows["realised"] <= rows["p90"] + slack)
    futures = rows.groupby(["seed", "case", "days"])["realised"]
    others = (futures.transform("sum") - rows["realised"]) / (futures.transform("size") - 1)
    over, half, naive, least = ((said - rows["realised"]) / rows["spent"] for said in (rows["mean"], rows["p50"], rows["naive"], others))
    errors = {"error": over.abs(), "error_of_median": half.abs(), "error_naive": naive.abs(), "error_least": least.abs()}
    return rows.assign(**errors, inside=inside, over=over, over_naive=naive, none=none)


def figures(rows: pd.DataFrame, draws: int = DRAWS) -> dict[str, Any]:
    """FIGURES of some scored rows, each [value, 2.5 %, 97.5 %], companies drawn again; coverage of effects that are not none for sure."""
    names = ("error", "error_of_median", "error_naive", "error_least", "over", "over_naive")
    arrays = [
        [part.loc[~part["none"], "inside"].to_numpy(dtype=np.float64), *(part[name].to_numpy() for name in names)]
        for _, part in rows.groupby("seed", sort=True)
    ]
    rng = np.random.default_rng(0)
    drawn = [_figures(arrays)]
    drawn += [_figures([arrays[place] for place in rng.integers(0, len(arrays), len(arrays))]) for _ in range(draws if len(arrays) > 1 else 0)]
    table = np.array(drawn)
    found: dict[str, Any] = {"cases": int(rows.groupby(["seed", "case"]).ngroups), "none_for_sure": round(float(rows["none"].mean()), 4)}
    for column, name in enumerate(FIGURES):
        value, again = table[0, column], table[1:, column]
        spread = np.nanquantile(again, (0.025, 0.975)) if np.isfinite(again).any() else []
        found[name] = None if not np.isfinite(value) else [round(float(one), 4) for one in (value, *spread)]
    return found


def _figures(arrays: Sequence[Sequence[Floats]]) -> list[float]:
    inside, *errors, over, over_naive = (np.concatenate(parts) for parts in zip(*arrays, strict=True))
    ours, of_median, naive, least = (float(np.median(values)) for values in errors)
    ratios = [one / naive if naive > 0 else np.nan for one in (ours, of_median, least)]
    return [float(inside.mean()) if len(inside) else np.nan, ours, naive, least, *ratios, float(np.mean(over)), float(np.mean(over_naive))]


def tables(rows: pd.DataFrame, draws: int = DRAWS) -> dict[str, Any]:
    """Figures in all, by days, and by days with spend, lever, both, and what is touched."""
    judged = scored(rows)
    found = {"all": figures(judged, draws)}
    for by in (["days"], ["days", "spend"], ["days", "lever"], ["days", "spend", "lever"], ["days", "spend", "what"]):
        for key, part in judged.groupby(by, sort=True):
            found["/".join(str(name) for name in key)] = figures(part, draws)
    return found


def show(found: dict[str, Any]) -> None:
    print(f"{'':36}{'cases':>6}" + "".join(f"{name:>17}" for name in FIGURES))
    for place, cell in found.items():
        values = [np.nan if cell[name] is None else cell[name][0] for name in FIGURES]
        print(f"{place:36}{cell['cases']:>6}" + "".join(f"{value:>17.4f}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder that keeps snapshots and true effects; without it they are made anew")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("scenarios.json"))
    parser.add_argument("--rows", type=Path, help="also write every effect and its answer to this Parquet file")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    os.environ.update(ONE_CORE)  # of each process
    frames: list[pd.DataFrame] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
            for seed, judged in zip(seeds, pool.map(partial(judge, folder=folder), seeds), strict=True):
                frames.append(judged)
                cases = judged["case"].nunique()
                print(f"company {seed}: {cases} levers, {time.monotonic() - began:.0f} s, {len(frames)} of {len(seeds)}", file=sys.stderr, flush=True)
    rows = pd.concat(frames, ignore_index=True)
    if arguments.rows:
        rows.to_parquet(arguments.rows)
    found = tables(rows)
    result = {SCENARIO: {"seeds": seeds, "futures": FUTURES, "paths": N_PATHS, "periods": PERIODS, "figures": found}}
    arguments.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    show(found)


if __name__ == "__main__":
    main()
