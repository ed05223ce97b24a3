"""What a forecaster is told beside the bills' daily cost, and how the wrappers that know it nest.

    ScheduledForecaster(EventfulForecaster(DrivenForecaster(the spec's forecaster)))

Schedules are read off the bill, planned events and drivers come from the records. Without drivers there is no DrivenForecaster. Events are
outside of drivers: what spend follows is learnt from days without events, and the money of an event is not multiplied by a driver.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory
from forecast.forecasters.driven import DrivenForecaster
from forecast.forecasters.event_effects import series_in
from forecast.forecasters.planned_events import EventfulForecaster
from forecast.forecasters.scheduled import ScheduledForecaster
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.drivers import Driver
from forecast.spend.events import FACTOR, PlannedEvent, describe, in_order
from forecast.spend.scope import Clause, Scope

T = TypeVar("T")


@dataclass(frozen=True)
class Knowledge:
    """What is known beside the history.

    events : planned ones, in the order in which they act. inside : scope finer than a leaf → long panel of what of each leaf lies in it.
    drivers : what spend follows. notes : what was left out, and why.
    """

    events: tuple[PlannedEvent, ...] = ()
    inside: Mapping[Scope, pd.DataFrame] = field(default_factory=dict)
    drivers: tuple[Driver, ...] = ()
    notes: tuple[str, ...] = ()


def read_knowledge(
    events: Sequence[PlannedEvent],
    ledger: Ledger,
    history: SpendHistory,
    *,
    cost: str,
    until: dt.date,
    drivers: Sequence[Driver] = (),
) -> Knowledge:
    """The events that a forecast of this history can use; those announced after `until`, of another currency or of no leaf are noted.

    Of drivers what was known by `until`.
    """
    kept, notes = [], []
    for event in in_order(list(events)):
        if event.announced > until:
            notes.append(f"event {event.id} is not known yet: it was announced on {event.announced}, after {until}")
        elif event.effect.kind != FACTOR and event.currency not in {None, ledger.currency}:
            notes.append(f"event {event.id} is left out: it is in {event.currency}, the ledger in {ledger.currency}")
        else:
            kept.append(event)
    finer = {event.scope for event in kept if not history.hierarchy.covers(event.scope)}
    inside = _inside(finer, ledger, history, cost)
    empty = {event.id: event.scope for event in kept if event.effect.kind == FACTOR and not _has_leaves(event, history, inside)}
    notes += [f"event {name} is left out: no spend has its scope {scope}" for name, scope in empty.items()]
    told = tuple(known for driver in drivers if (known := driver.known_by(pd.Timestamp(until))) is not None)
    return Knowledge(tuple(event for event in kept if event.id not in empty), inside, told, tuple(notes))


def knowing(forecaster: Any, history: SpendHistory, knowledge: Knowledge, *, known_until: dt.date | None = None) -> ScheduledForecaster:
    """The forecaster, unfitted, within everything that is known. known_until : see `EventfulForecaster`; None in a backtest."""
    drivers = knowledge.drivers
    if known_until is not None:  # bills come later than metrics and plans: what is in hand now counts
        drivers = tuple(driver.as_known(history.matrix.ds[-1]) for driver in drivers)
    learner = DrivenForecaster(forecaster, drivers) if drivers else forecaster
    return ScheduledForecaster(EventfulForecaster(learner, knowledge.events, known_until, knowledge.inside), history.lines, history.matrix.ids)


def layer(fitted: Any, kind: type[T]) -> T:
    """The fitted wrapper of this kind."""
    while not isinstance(fitted, kind):
        fitted = fitted.forecaster_
    return fitted


def innermost(fitted: Any) -> Any:
    """What learnt, without what is known around it."""
    while not hasattr(fitted, "state"):
        fitted = fitted.forecaster_
    return fitted


def driven(fitted: ScheduledForecaster) -> DrivenForecaster | None:
    """The fitted wrapper that knows drivers; None where there are none."""
    inside = layer(fitted, EventfulForecaster).forecaster_
    return inside if isinstance(inside, DrivenForecaster) else None


def drivers_record(found: DrivenForecaster | None) -> list[dict[str, Any]]:
    """The drivers of a forecast as plain data: how spend follows each, how good that is, and whether it is used."""
    return [] if found is None else [one.describe() for one in found.elasticities_]


def unfelt(eventful: EventfulForecaster) -> list[str]:
    """Notes on events that touch the forecast and change nothing: a factor has nothing to multiply."""
    return [
        f"event {one.event.id} changes nothing: what its scope spends follows schedules, or it spends nothing"
        for one in eventful.applied_
        if not one.money.any() and not one.event.effect.is_neutral
    ]


def events_record(eventful: EventfulForecaster, effects: pd.DataFrame, cutoff: dt.date) -> list[dict[str, Any]]:
    """The events that are part of a forecast, as plain data: `describe`, `status` and `mean_effect` (calendar month → money, company).

    status : "ahead", "running" (the bills do not say yet how large it is), "learnt" (it lasts and is in the bills) or "over".
    """
    left_out = {event.id for event in eventful.known_} - {one.event.id for one in eventful.placed_}
    month = effects["ds"].dt.strftime("%Y-%m")
    by_month = effects["effect"].groupby([effects["event"], month]).sum()
    found = []
    for event in eventful.known_:
        moment = np.datetime64(cutoff, "D") + 1
        learnt = event.lasts and float(event.belief(moment)) == 0.0
        if event.id in left_out and not learnt:
            continue
        over = event.end is not None and event.end <= cutoff + dt.timedelta(days=1)
        status = "learnt" if learnt else "over" if over else "ahead" if event.start > cutoff else "running"
        money = by_month.loc[event.id] if event.id in by_month.index.get_level_values(0) else {}
        found.append({**describe(event), "status": status, "mean_effect": {str(name): round(float(value), 6) for name, value in dict(money).items()}})
    return found


def _inside(scopes: set[Scope], ledger: Ledger, history: SpendHistory, cost: str) -> dict[Scope, pd.DataFrame]:
    """For each scope the daily cost of each leaf within it, from one pass over the ledger."""
    if not scopes:
        return {}
    names = list(history.hierarchy.dimensions)
    finer = sorted({name for scope in scopes for name in scope.dimensions} - set(names))
    end = history.matrix.ds[-1].date() + dt.timedelta(days=1)
    lines = ledger.panel(by=(*names, *finer), freq="D", cost=cost, end=end)
    lines[[*names, *finer]] = lines[[*names, *finer]].fillna(UNKNOWN)
    lines = lines.merge(history.leaf_of, on=names, how="inner")
    ids = np.array(history.matrix.ids, dtype=object)
    found = {}
    for scope in sorted(scopes, key=str):
        mask = np.ones(len(lines), dtype=np.bool_)
        for clause in scope.clauses:
            mask &= _with(lines[clause.dimension], clause)
        kept = lines[mask].groupby(["leaf", "ds"], as_index=False)["y"].sum()
        found[scope] = pd.DataFrame({"unique_id": ids[kept["leaf"].to_numpy(dtype=np.int64)], "ds": kept["ds"], "y": kept["y"]})
    return found


def _with(column: pd.Series, clause: Clause) -> Any:
    inside = column.isin(clause.values).to_numpy()
    return ~inside if clause.exclude else inside


def _has_leaves(event: PlannedEvent, history: SpendHistory, inside: Mapping[Scope, pd.DataFrame]) -> bool:
    if event.scope in inside:
        return len(inside[event.scope]) > 0
    return bool(series_in(event.scope, history.matrix.ids, history.hierarchy).any())
