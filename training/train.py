"""The body of `forecast train`: ledger → backtest → fit → artifact → MLflow → registry → champion → snapshot.

What serves changes in the last step only: whatever fails before it leaves the champion and its snapshot as they were.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from forecast.adapters.artifacts import ArtifactStore
from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records, SnapshotRecord
from forecast.adapters.sign_lines import read_signs
from forecast.adapters.snapshots import SnapshotStore
from forecast.adapters.spend_history import SpendHistory, read_recent
from forecast.adapters.spend_meters import read_meters
from forecast.alerts.feedback import standing
from forecast.config import Settings
from forecast.evaluation.backtest import Backtest
from forecast.evaluation.reliability import coverage_table
from forecast.forecasters.planned_events import EventfulForecaster, applied_table
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS
from forecast.spend.known_money import known_money
from forecast.spend.zones import UTC
from forecast.workflows.lessons import confirmed_of
from forecast.workflows.snapshotting import build_snapshot, horizon_days
from forecast.workflows.watch import with_sign_thresholds
from training.backtest import Progress, judge, load_history
from training.cards import model_card
from training.executors import cores
from training.knowledge import driven, drivers_record, events_record, innermost, knowing, layer, read_knowledge, unfelt
from training.risks import keep_risks
from training.specs import Spec, load_spec

MANY_LEAVES = 1000
PATHS_OF_MANY = 500
"""Above so many leaves a snapshot holds at most so many paths: its size is a design value."""
MOST_KNOWN_VALUES = 1000
KEPT_SNAPSHOTS = 3
KEPT_FOR_SCENARIOS = 5
"""So many more snapshots keep their paths, those that saved scenarios were first run on: a plan is held against the forecast it was made on."""


@dataclass(frozen=True)
class TrainReport:
    """What a training run did. seconds : by step. backtest : the accuracy record. notes : what should be known about it."""

    snapshot_id: str
    cutoff: dt.date
    first_day: dt.date
    horizon_end: dt.date
    cost: str
    currency: str
    name: str
    version: str
    run_id: str
    artifact: str
    leaves: int
    nodes: int
    days: int
    n_paths: int
    size_bytes: int
    backtest: Mapping[str, Any]
    notes: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Plain data, as the command line and the service show it."""
        return {
            name: value.isoformat() if isinstance(value, dt.date) else list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def train(
    settings: Settings,
    ledger: Ledger,
    records: Records,
    store: SnapshotStore,
    *,
    cutoff: str | dt.date | None = None,
    as_of: dt.datetime | None = None,
    cost: str = "effective",
    spec: Spec | str | None = None,
    progress: Progress | None = None,
    now: dt.datetime | None = None,
) -> TrainReport:
    """Train the champion's spec on the ledger up to `cutoff` (default: the last usable day) and make the result what serves.

    as_of : from what was known at that moment only; the snapshot is kept for questions about that day, and what serves stays what it is.
    spec : another one, or its name under models/. progress : called with what is being done and the share that is done. now : of the run.
    Raises InsufficientHistoryError (fewer than 14 days), InputError (wrong cutoff or cost), ConfigError (spec, tracking address).
    """
    tell = progress or (lambda doing, share: None)
    moment = now or dt.datetime.now(dt.UTC)
    chosen = spec if isinstance(spec, Spec) else load_spec(spec)
    timings = _Timings()
    with timings.step("read"):
        tell("reading the ledger", 0.0)
        history = load_history(settings, ledger, cutoff=cutoff, cost=cost, as_of=as_of)
        ledger_digest, currency = ledger.digest(as_of), ledger.currency
        cutoff_day = history.matrix.ds[-1].date()
        # A cutoff that was asked for asks what would have been said then; otherwise all counts that has been entered by now.
        known_until = cutoff_day if cutoff is not None else max(cutoff_day, (as_of or moment).date())
        known = read_knowledge(records.events(), ledger, history, cost=cost, until=known_until, drivers=records.drivers())
    with timings.step("backtest"):
        result, notes = judge(history, chosen, settings, known, progress=lambda doing, share: tell(doing, 0.05 + 0.5 * (share or 0.0)))
        record, notes = result.record(), [*notes, *known.notes]
    with timings.step("fit"):
        tell("fitting", 0.55)
        threads = cores(settings.threads)
        scheduled = knowing(chosen.build(threads), history, known, known_until=known_until).fit(history.panel, history.hierarchy)
        drivers = driven(scheduled)
        # What was learnt; schedules and events are known, and the snapshot keeps them.
        forecaster = innermost(scheduled) if drivers is None else drivers
        eventful = layer(scheduled, EventfulForecaster)
        notes += eventful.notes_
        artifacts = ArtifactStore(settings.models_folder)
        digest = artifacts.save(
            forecaster, {"cutoff": cutoff_day.isoformat(), "cost": cost, "panel": panel_digest(history), "spec": chosen.describe()}
        )
    with timings.step("simulate"):
        tell("simulating", 0.65)
        paths = scheduled.simulate(
            horizon_days(cutoff_day, settings.daily_steps, settings.months), _path_count(settings, history.matrix.n_series), settings.seed
        )
        effects = applied_table(eventful.applied_, paths)
        notes += unfelt(eventful)
    with timings.step("snapshot"):
        tell("writing the snapshot", 0.75)
        draft = build_snapshot(
            paths,
            history.matrix,
            history.hierarchy,
            cost=cost,
            currency=currency,
            daily_steps=settings.daily_steps,
            months=settings.months,
            recent=read_recent(ledger, history, cost=cost, as_of=as_of),
            detector={},
            backtest=record,
            meta={
                "champion": {**chosen.describe(), "artifact": digest},
                "seed": settings.seed,
                **settings.calendar.describe(),
                **({} if settings.time_zone == UTC else {"time_zone": settings.time_zone}),
                "ledger_digest": ledger_digest,
                "panel_digest": panel_digest(history),
                "known_values": _known_values(ledger, history),
                "rates": [used.as_json() for used in ledger.rates_used(end=cutoff_day + dt.timedelta(days=1))],
                "schedules": scheduled.schedules_.record(history.matrix.ids),
                "events": events_record(eventful, effects, cutoff_day),
                "drivers": drivers_record(drivers),
                "notes": notes,
            },
            billed=history.billed,
            provisional=history.provisional,
            event_effects=effects,
            driver_effects=None if drivers is None else drivers.moved_,
            known_money=known_money(history.parts, history.matrix.ds.to_numpy()),
            meters=read_meters(ledger, history, cost=cost, as_of=as_of),
            signs=read_signs(ledger, history, cost=cost, as_of=as_of),
            threads=threads,
        )
        del paths
        said = [entry for entry in records.feedback() if as_of is None or entry.at <= as_of]
        confirmed = confirmed_of([records.incident(name) for name in standing(said)], said)
        draft = with_sign_thresholds(draft, settings.false_alarms_per_month, settings.minimum_impact, confirmed)
        snapshot = store.write(draft, created_at=moment)
        del draft
    with timings.step("track"):
        tell("logging to MLflow", 0.9)
        version, run_id = _track(settings, chosen, forecaster, history, snapshot, result, record, notes, digest, artifacts, serves=as_of is None)
    with timings.step("promote"):
        tell("promoting", 0.98)
        size = store.size(snapshot.id)
        serving = records.latest_snapshot(cost)
        enter = partial(records.promote, reason="trained") if as_of is None else records.register_model
        enter(chosen.name, version, now=moment, run_id=run_id)
        records.add_snapshot(
            SnapshotRecord(
                id=snapshot.id,
                created_at=moment,
                cutoff=snapshot.cutoff,
                cost=cost,
                currency=currency,
                n_paths=snapshot.n_paths,
                size_bytes=size,
                champion_name=chosen.name,
                champion_version=version,
                ledger_digest=ledger_digest,
                is_current=as_of is None or (serving is not None and serving.id == snapshot.id),  # the same knowledge gives the same snapshot
            )
        )
        current = [found.id for found in records.snapshots() if found.is_current]
        store.prune(KEPT_SNAPSHOTS, keep_ids=[*current, snapshot.id, *records.scenario_snapshots(KEPT_FOR_SCENARIOS)])
    with timings.step("risks"):
        tell("keeping the risks of budgets", 0.99)
        notes = [*notes, *keep_risks(settings, records, snapshot, now=moment)]
    if as_of is not None:
        notes = [*notes, f"what was known on {as_of:%Y-%m-%d %H:%M} UTC: kept for questions about that day; what serves stays"]
    tell("done", 1.0)
    return TrainReport(
        snapshot_id=snapshot.id,
        cutoff=snapshot.cutoff,
        first_day=snapshot.first_day,
        horizon_end=snapshot.horizon_end,
        cost=cost,
        currency=currency,
        name=chosen.name,
        version=version,
        run_id=run_id,
        artifact=digest,
        leaves=len(snapshot.hierarchy.leaf_ids),
        nodes=len(snapshot.hierarchy.nodes),
        days=len(snapshot.history_ds),
        n_paths=snapshot.n_paths,
        size_bytes=size,
        backtest=record,
        notes=tuple(notes),
        seconds=timings.seconds,
    )


def panel_digest(history: SpendHistory) -> str:
    """SHA-256 of what the forecaster saw: leaf names, days and costs."""
    found = hashlib.sha256()
    matrix = history.matrix
    found.update("\n".join(matrix.ids).encode())
    found.update(f"\n{matrix.ds[0]} {matrix.ds[-1]} {matrix.freq}\n".encode())
    found.update(np.ascontiguousarray(matrix.values).tobytes())
    return found.hexdigest()


def _path_count(settings: Settings, leaves: int) -> int:
    return min(settings.paths, PATHS_OF_MANY) if leaves > MANY_LEAVES else settings.paths


def _known_values(ledger: Ledger, history: SpendHistory) -> dict[str, list[str]]:
    """Values that finer dimensions ever had: a scope on one that is not recent is zero and not an error. Not of resources, which are many."""
    finer = [name for name in DIMENSIONS if name not in history.hierarchy.dimensions and name != "resource"]
    return {name: ledger.values(name)[:MOST_KNOWN_VALUES] for name in finer}


def _track(
    settings: Settings,
    spec: Spec,
    forecaster: Any,
    history: SpendHistory,
    snapshot: Snapshot,
    result: Backtest,
    record: Mapping[str, Any],
    notes: list[str],
    digest: str,
    artifacts: ArtifactStore,
    *,
    serves: bool,
) -> tuple[str, str]:
    """Write the run down, register the forecaster and, where it `serves` from now on, point the alias at it; returns version and run id."""
    from training.plots import backtest_pictures, fan_chart
    from training.tracking import RunRecord, Tracking

    summary, coverage = result.summary(), coverage_table(result.rows)
    learned = getattr(forecaster, "card_", {})
    described, facts = spec.describe(), _facts(history, snapshot)
    card = model_card(described, facts, summary, coverage, learned, [*notes, str(record["method"])])
    run = RunRecord(
        params={"forecaster": spec.forecaster, **described["params"], "seed": settings.seed, "n_paths": snapshot.n_paths, **facts},
        tags={"snapshot_id": snapshot.id, "artifact": digest, "ledger_digest": str(snapshot.meta["ledger_digest"])},
        dataset={"name": "ledger", "digest": snapshot.meta["panel_digest"], **facts},
        record=record,
        rows=result.rows,
        summary=summary,
        coverage=coverage,
        files={"fan_chart.png": fan_chart(snapshot), **backtest_pictures(result.rows, coverage, int(record["horizon_days"]))},
        artifact=artifacts.path(digest),
        card=card,
    )
    tracking = Tracking(settings)
    run_id = tracking.log_run(run, name=f"{spec.name} {snapshot.cutoff}")
    registered = tracking.register(run_id, name=spec.name, card=card, tags={"artifact": digest, "snapshot_id": snapshot.id})
    if serves:
        tracking.point_champion(spec.name, registered.version)
    return registered.version, run_id


def _facts(history: SpendHistory, snapshot: Snapshot) -> dict[str, Any]:
    matrix = history.matrix
    return {
        "first_day": str(matrix.ds[0].date()),
        "cutoff": str(pd.Timestamp(matrix.ds[-1]).date()),
        "days": matrix.n_periods,
        "leaves": matrix.n_series,
        "nodes": len(history.hierarchy.nodes),
        "cost": snapshot.cost,
        "currency": snapshot.currency,
        "total": round(float(matrix.values.sum()), 2),
        "last_28_days": round(float(matrix.values[:, -28:].sum()), 2),
        "scheduled_items": len(history.parts.schedules),
        "provisional_days": 0 if history.provisional is None else matrix.n_periods - history.provisional.first,
        "not_yet_billed": round(float((matrix.values - history.billed).sum()), 2),
        "came_once": round(float(np.abs(history.parts.one_offs).sum()), 2),
    }


class _Timings:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = self._clock()
        yield
        self.seconds[name] = round(self._clock() - began, 3)
