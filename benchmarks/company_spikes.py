"""Is strange spend of generated companies found at the declared rate of false alarms, and its cause named? Writes benchmarks/company_spikes.json.

Scenario `company_spikes_v1`: companies of seeds 11 to 30, which nothing was tuned on (8 teams, 548 days, incidents and what looks like them as
generated, by way of files and the ledger). The last 200 days are scored by the signs of `workflows.board`, with thresholds learnt anew every 50 days
from what came before (`blind`), as training does daily, at 1, 2 and 4 declared false incidents a month. `confirmed`: likewise, but what the replay
found and was real has been confirmed by people, and does not use up the rate; `adapted`: and thresholds follow the incidents that come within the
50 days. Beside it `replayed`: the same days with the thresholds that a replay of the whole history gives them. An alarm is a merged incident as the
product makes it (`spikes.incidents_of`).

Rules on every leaf, in the same run with the same merging, minimum impact and way to a threshold (`company_spike_rules.py`): z-score, interquartile
range, and percent and money as AWS Cost Anomaly Detection has them. `company_spike_truth.py` says what counts as found, as false, and as the right
cause.

`false_a_month`: alarms that no incident explains. `recall`: incidents found, of those that cost at least a tenth of their node's month.
`within_a_day`: found ones whose alarm is raised by the data of their first or second day, so a day after the first data of them came at the latest.
`alarms_per_incident`: of found ones. `first`, `exact`: found ones whose first cause is right, and all of them. Figures are
[value, 2.5 %, 97.5 %] by a bootstrap that draws companies.

    .venv/bin/python benchmarks/company_spikes.py [--work FOLDER] [--seeds 11,12] [--processes 1]

FOLDER keeps what was judged of each company: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.company_spike_rules import RULES, RuleBoard
from benchmarks.company_spike_truth import Alarm, Planted, Verdicts, lesson_of, planted, real_ones, verdicts
from forecast.adapters.ledger import Ledger
from forecast.adapters.sign_lines import read_signs
from forecast.adapters.spend_history import read_history, read_recent
from forecast.anomalies.incidents import Flag
from forecast.anomalies.sign_thresholds import REPLAYED, Thresholds
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.company.generate import Company, generate
from forecast.paths import SpendPaths
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.known_money import known_money
from forecast.workflows.board import OWN_DAYS, Board, Found
from forecast.workflows.lessons import Lesson
from forecast.workflows.snapshotting import build_snapshot, horizon_days
from forecast.workflows.spikes import incidents_of
from forecast.workflows.threshold_factor import threshold_factors
from forecast.workflows.watch import history_board, kind_of, minimum_of, thresholds_of

SCENARIO = "company_spikes_v1"
SEEDS = range(11, 31)
DAYS, TEAMS = 548, 8
SCORED, STEP = 200, 50
DECLARED = (1.0, 2.0, 4.0)
LARGE = 0.1
"""Part of its node's month from which an incident has to be found."""
DRAWS = 2000
WHERE = Path(__file__).with_suffix(".json")


def company_snapshot(seed: int, n_days: int = DAYS, teams: int = TEAMS) -> tuple[Company, Snapshot]:
    """A generated company, and what training keeps of its bills; its forecast is nothing, because signs do not read it."""
    company = generate(seed, days=n_days, teams=teams)
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder) / "bill.parquet"
        company.rows.to_parquet(bill)
        ledger = Ledger(Path(folder) / "ledger")
        ledger.ingest([bill], received_at=datetime(2026, 11, 1, tzinfo=UTC))
        history = read_history(ledger, LEAF_DIMENSIONS, date.fromisoformat(ledger.summary()["last_day"]))
        matrix = history.matrix
        cutoff = matrix.ds[-1].date()
        starts = np.datetime64(cutoff, "D") + 1 + np.arange(horizon_days(cutoff, 31, 1))
        begins, ends = (days.astype("datetime64[ns]")[None] for days in (starts, starts + 1))
        paths = SpendPaths(tuple(matrix.ids), begins, ends, np.ones((len(matrix.ids), len(starts), 2), dtype=np.float32))
        snapshot = build_snapshot(
            paths,
            matrix,
            history.hierarchy,
            cost="effective",
            currency=company.currency,
            daily_steps=31,
            months=1,
            recent=read_recent(ledger, history, days=n_days, most=10**7),
            detector={},
            backtest={},
            meta={},
            billed=history.billed,
            known_money=known_money(history.parts, matrix.ds.to_numpy()),
            signs=read_signs(ledger, history),
        )
        return company, snapshot


def until(board: Board, column: int) -> Board:
    """What the board was before a day. Signs are causal and not computed again, so only their floor, a part of the usual day, is that of all days."""
    amounts = {name: values[:, :column] for name, values in board.amounts.items()}
    before = replace(board, values=board.values[:, :column], amounts=amounts)
    before.__dict__["usual_day"], before.__dict__["usual"] = board.usual_day, board.usual[:, :column]
    before.__dict__["signs"] = [
        replace(sign, **{name: getattr(sign, name)[:, :column] for name in ("strength", "excess", "window", "way")}) for sign in board.signs
    ]
    return before


def blind_flags(
    board: Board,
    declared: float,
    least: float,
    scored: int,
    confirm: Callable[[Board, Thresholds], Sequence[Lesson]] | None = None,
    real: Sequence[Lesson] | None = None,
) -> tuple[dict[str, NDArray[np.bool_]], Thresholds]:
    """Flags of the last `scored` days, by sign over all columns, and the thresholds of their last part: each part has those that all days before it
    give. confirm : what people confirm of what a board's thresholds find. real : what they confirm as it comes, where thresholds are adapted."""
    n_days = board.values.shape[1]
    flags = {sign.name: np.zeros(sign.strength.shape, dtype=bool) for sign in board.signs}
    thresholds = None
    for first in range(n_days - scored, n_days, STEP):
        before, last = until(board, first), min(first + STEP, n_days)
        thresholds = thresholds_of(before, declared, least)
        if confirm is not None:
            thresholds = thresholds_of(before, declared, least, confirm(before, thresholds))
        factors = np.ones(last)
        if real is not None:
            factors = threshold_factors(until(board, last), thresholds, declared, (first, last), minimum_impact=least, confirmed=real)
        for sign in board.signs:
            flags[sign.name][:, first:last] = (sign.strength[:, :last] >= thresholds.of_sign[sign.name] * factors)[:, first:]
    if thresholds is None:
        raise ValueError(f"no days are scored: got scored = {scored}; allowed is 1 or more")
    return flags, thresholds


def alarms_of(
    snapshot: Snapshot, board: Board, flags: Mapping[str, NDArray[np.bool_]], thresholds: Thresholds, least: float, scored: int
) -> list[Alarm]:
    """Merged incidents of the flagged days."""
    n_days = board.values.shape[1]
    found = board.flags(dict(flags), n_days - scored, n_days, thresholds)
    named = {one.flag.number: one for one in found}
    kind = partial(_kind, board, named)
    incidents, incident_of = incidents_of(snapshot, [one.flag for one in found], None, kind, own_days=OWN_DAYS, minimum_impact=least)
    members: dict[str, list[Found]] = {}
    for number, identity in incident_of.items():
        members.setdefault(identity, []).append(named[number])
    return [Alarm(incident, tuple(members[incident["id"]])) for incident in incidents]


def confirmed(snapshot: Snapshot, truth: Sequence[Planted], least: float, board: Board, thresholds: Thresholds) -> list[Lesson]:
    """What people confirm of what thresholds find in a board's last 400 days."""
    scored = min(board.values.shape[1], REPLAYED)
    return real_ones(alarms_of(snapshot, board, {sign.name: thresholds.flags(sign) for sign in board.signs}, thresholds, least, scored), truth)


def explained(snapshot: Snapshot, board: Board, alarm: Alarm) -> Sequence[Mapping[str, Any]]:
    """Root causes of one alarm alone: of many at once only the largest are searched."""
    named = {one.flag.number: one for one in alarm.members}
    incidents, _ = incidents_of(snapshot, [one.flag for one in alarm.members], None, partial(_kind, board, named), own_days=OWN_DAYS)
    largest = max(incidents, key=lambda incident: abs(float(incident["impact"])))
    causes: Sequence[Mapping[str, Any]] = largest["root_causes"]
    return causes


def _kind(board: Board, named: Mapping[int, Found], group: Sequence[Flag]) -> str:
    return kind_of(board, [named[flag.number] for flag in group])


def judge(seed: int, days: int = DAYS, teams: int = TEAMS, scored: int = SCORED) -> dict[str, Any]:
    """What was found in one company: `months` scored, and for each method and declared rate `false` alarms and a row for each incident."""
    began = time.perf_counter()
    company, snapshot = company_snapshot(seed, days, teams)
    board = history_board(snapshot)
    least = minimum_of(board, None)
    truth, every = planted(company, snapshot, board.days[-scored]), planted(company, snapshot, board.days[0])
    real = [lesson_of(one.scope, one.way, one.money) for one in every]
    confirm = partial(confirmed, snapshot, every, least)
    methods: dict[str, Verdicts] = {}
    for declared in DECLARED:
        flags, thresholds = blind_flags(board, declared, least, scored)
        alarms = alarms_of(snapshot, board, flags, thresholds, least, scored)
        methods[f"signs/blind/{declared:g}"] = verdicts(truth, alarms, partial(explained, snapshot, board), snapshot)
        for how, follows in (("confirmed", None), ("adapted", real)):
            flags, thresholds = blind_flags(board, declared, least, scored, confirm, follows)
            methods[f"signs/{how}/{declared:g}"] = verdicts(truth, alarms_of(snapshot, board, flags, thresholds, least, scored), None, snapshot)
        thresholds = thresholds_of(board, declared, least)
        alarms = alarms_of(snapshot, board, {sign.name: thresholds.flags(sign) for sign in board.signs}, thresholds, least, scored)
        methods[f"signs/replayed/{declared:g}"] = verdicts(truth, alarms, None, snapshot)
    for name, rule in RULES.items():
        ruled = RuleBoard.of(board, rule)
        flags, thresholds = blind_flags(ruled, DECLARED[-1], least, scored)
        methods[f"{name}/blind/{DECLARED[-1]:g}"] = verdicts(truth, alarms_of(snapshot, ruled, flags, thresholds, least, scored), None, snapshot)
    return {
        "seed": seed,
        "months": scored / DAYS_A_MONTH,
        "methods": {name: {"false": found.false, "incidents": found.rows} for name, found in methods.items()},
        "seconds": round(time.perf_counter() - began, 1),
    }


def tables(judged: Sequence[Mapping[str, Any]], draws: int = DRAWS) -> dict[str, Any]:
    """Figures by method and declared rate, and recall by kind."""
    found: dict[str, Any] = {}
    for method in judged[0]["methods"]:
        false = np.array([one["methods"][method]["false"] for one in judged], dtype=np.float64)
        months = np.array([one["months"] for one in judged])
        rows = pd.DataFrame([{**row, "company": place} for place, one in enumerate(judged) for row in one["methods"][method]["incidents"]])
        large = rows[rows["share"] >= LARGE] if len(rows) else rows
        caught = large[large["found"]] if len(large) else large
        every = rows[rows["found"]] if len(rows) else rows
        figures: dict[str, Any] = {
            "incidents": len(large),
            "false_a_month": _ratio(false, months, draws),
            "recall": _mean(large, "found", len(judged), draws),
            "within_a_day": _mean(caught, "early", len(judged), draws),
            "alarms_per_incident": _mean(every, "alarms", len(judged), draws),
        }
        if len(caught) and caught["first"].notna().any():
            figures |= {what: _mean(caught.dropna(subset=[what]), what, len(judged), draws) for what in ("first", "exact")}
        if len(large):
            figures["kinds"] = {
                str(kind): {"incidents": len(own), "found": int(own["found"].sum()), "early": int((own["found"] & own["early"]).sum())}
                for kind, own in large.groupby("kind", sort=True)
            }
        found[method] = figures
    return found


def _mean(rows: pd.DataFrame, column: str, n_companies: int, draws: int) -> list[float] | None:
    if not len(rows):
        return None
    value = rows[column].astype(np.float64).to_numpy()
    company = rows["company"].to_numpy()
    return _ratio(np.bincount(company, value, n_companies), np.bincount(company, minlength=n_companies), draws)


def _ratio(above: NDArray[Any], below: NDArray[Any], draws: int) -> list[float]:
    """[ratio of sums, 2.5 %, 97.5 %] by a bootstrap that draws companies; without draws only the first."""
    value = [round(float(above.sum() / below.sum()), 3)]
    if not draws:
        return value
    chosen = np.random.default_rng(0).integers(0, len(above), (draws, len(above)))
    most = below[chosen].sum(axis=1)
    drawn = above[chosen].sum(axis=1)[most > 0.0] / most[most > 0.0]
    return [*value, *(round(float(edge), 3) for edge in np.quantile(drawn, [0.025, 0.975]))]


def kept(seed: int, work: Path) -> dict[str, Any]:
    """From the folder, or judged and kept there."""
    path = work / f"company-{seed}.json"
    if not path.exists():
        judged = judge(seed)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(judged) + "\n")
        part.replace(path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="other seeds are shown and not written")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--work", help="folder that keeps what was judged; by default nothing is kept")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    with tempfile.TemporaryDirectory() as fallback:
        work = Path(arguments.work or fallback)
        work.mkdir(parents=True, exist_ok=True)
        judged = []
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
            for one in pool.map(partial(kept, work=work), seeds):
                judged.append(one)
                print(f"company {one['seed']}: {one['seconds']} s", file=sys.stderr, flush=True)
    found = tables(judged)
    for name, figures in found.items():
        print(name, json.dumps(figures))
    if seeds == list(SEEDS):
        result = {SCENARIO: {"seeds": seeds, "days": DAYS, "scored": SCORED, "figures": found}}
        WHERE.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
