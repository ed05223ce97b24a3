"""A forecaster that knows what is planned: events are part of its forecast before they happen, and teach it nothing once they have.

The forecaster inside learns from the history without the events and simulates futures without them; `event_effects.py` takes them out and
puts them on. Known are the events that had been announced by the end of the panel given to `fit`, so a backtest that cuts the panel cuts the
knowledge. Without events the paths are the forecaster's own, byte for byte.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, NotFittedError
from forecast.forecasters.event_effects import EventEffect, Floats, PlacedEvent, add_events, place_events, without_events
from forecast.paths import SpendPaths
from forecast.spend.event_rows import parse_event, read_events
from forecast.spend.events import PlannedEvent, describe, in_order
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, parse_freq, to_matrix
from forecast.spend.scope import Scope

Events = Sequence[PlannedEvent] | pd.DataFrame | None
"""Planned events as objects, or as a frame with the columns of a calendar (`spend/event_rows.py`)."""

SHARE_DAYS = 56
"""Latest days that say which part of a series lies in a scope that is finer than it."""


class InnerForecaster(Protocol):
    """What is needed of the forecaster that learns; `base.Forecaster` is one."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Any: ...

    def simulate(self, horizon: int, n_paths: int = ..., seed: int = ...) -> SpendPaths: ...


@dataclass(frozen=True, eq=False)
class EventPlan:
    """Planned events on the series of a panel: taken out of what is learnt, put on what is simulated.

    ids : the series. known : events that were announced. placed : those of them that still say something. notes : those left out, and why.
    """

    ids: tuple[str, ...] = ()
    known: tuple[PlannedEvent, ...] = ()
    placed: tuple[PlacedEvent, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        events: Events,
        matrix: SpendMatrix,
        hierarchy: Hierarchy | None = None,
        *,
        known_until: dt.date | None = None,
        inside: Mapping[Scope, pd.DataFrame] | None = None,
    ) -> EventPlan:
        """The events at the end of the matrix; arguments as of `EventfulForecaster`. Raises PlanError for two events of one id."""
        if events is None or not len(events):
            return cls()
        end = _ends(matrix)[-1]
        last = (pd.Timestamp(end) - pd.Timedelta(1, "us")).date()
        day = last if known_until is None else known_until
        known = [event for event in in_order(known_events(events, last)) if event.announced <= day]
        placed, notes = place_events(known, matrix.ids, end, hierarchy, _parts(inside or {}, {event.scope for event in known}, matrix))
        return cls(matrix.ids, tuple(known), tuple(placed), tuple(notes))

    def taken_out_of(self, matrix: SpendMatrix) -> SpendMatrix:
        """The matrix that is learnt from; the same one where no event has touched it. It may hold some of the series only."""
        placed = self.placed if matrix.ids == self.ids else [_within(one, self.ids, matrix.ids) for one in self.placed]
        placed = [one for one in placed if len(one.rows)]
        values = without_events(matrix, _ends(matrix), placed)
        return matrix if values is matrix.values else SpendMatrix(matrix.ids, matrix.ds, values, matrix.freq)

    def put_on(self, paths: SpendPaths, seed: int) -> list[EventEffect]:
        """Put the events on the paths, in place; what each added."""
        return add_events(paths, self.placed, seed)

    def until(self, end: np.datetime64) -> EventPlan:
        """The same events when the history has moved on to `end` and nothing was learnt anew: the bills have shown more of them."""
        return replace(self, placed=tuple(replace(one, belief=float(one.event.belief(end))) for one in self.placed))

    def state(self) -> dict[str, Any]:
        """Plain data."""
        placed = [{**vars(one), "event": describe(one.event)} for one in self.placed]
        return {"ids": list(self.ids), "known": [describe(event) for event in self.known], "placed": placed, "notes": list(self.notes)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> EventPlan:
        """The plan that `state` was taken from; that of an artifact which knows no events is empty."""
        if not state:
            return cls()
        placed = [
            PlacedEvent(_event(one["event"]), np.asarray(one["rows"]), np.asarray(one["parts"]), float(one["belief"]), bool(one["begun"]))
            for one in state["placed"]
        ]
        return cls(tuple(state["ids"]), tuple(map(_event, state["known"])), tuple(placed), tuple(state["notes"]))


class EventfulForecaster:
    """Joint sample paths, as `base.Forecaster` gives them, with planned events.

    forecaster : an unfitted one; a copy of it learns. events : planned ones; a scope speaks of the hierarchy's dimensions, or names series as
    `unique_id=a|b`. A frame has the columns of a calendar (`spend/event_rows.py`). known_until : events announced later are not known; None is
    the last day of the panel. inside : scope finer than a series → long panel (`unique_id, ds, y`) of what of each series lies in it, of any days.
    """

    def __init__(
        self,
        forecaster: InnerForecaster,
        events: Events = (),
        known_until: dt.date | None = None,
        inside: Mapping[Scope, pd.DataFrame] | None = None,
    ) -> None:
        self.forecaster = forecaster
        self.events = events
        self.known_until = known_until
        self.inside = inside

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"forecaster": self.forecaster, "events": self.events, "known_until": self.known_until, "inside": self.inside}

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Self:
        """Learn from a long panel (`unique_id, ds, y`) as it would have been without the events.

        Ends in `known_` (events that were announced), `placed_` (those that still say something), `notes_` (those left out, and why) and
        `forecaster_` (what learnt). Raises what the forecaster raises, and PlanError for two events of one id.
        """
        inner = type(self.forecaster)(**deepcopy(self.forecaster.get_params(deep=False)))
        self.applied_: list[EventEffect] = []
        self.plan_ = EventPlan()
        learnt = panel
        if self.events is not None and len(self.events):
            matrix = to_matrix(panel, str(self.forecaster.get_params(deep=False).get("freq", "D")))
            self.plan_ = EventPlan.of(self.events, matrix, hierarchy, known_until=self.known_until, inside=self.inside)
            without = self.plan_.taken_out_of(matrix)
            learnt = panel if without is matrix else _long(without)
        self.forecaster_ = inner.fit(learnt, hierarchy=hierarchy)
        return self

    @property
    def known_(self) -> tuple[PlannedEvent, ...]:
        return self.plan_.known

    @property
    def placed_(self) -> tuple[PlacedEvent, ...]:
        return self.plan_.placed

    @property
    def notes_(self) -> tuple[str, ...]:
        return self.plan_.notes

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        """`n_paths` joint futures with the events; `applied_` then says what each of them added. Same seed, same bytes."""
        if not hasattr(self, "forecaster_"):
            raise NotFittedError("EventfulForecaster is not fitted: call fit(panel) before simulate")
        paths: SpendPaths = self.forecaster_.simulate(horizon, n_paths, seed)
        self.applied_ = self.plan_.put_on(paths, seed)
        return paths


def applied_table(applied: Sequence[EventEffect], paths: SpendPaths) -> pd.DataFrame:
    """Mean money that each event added by series and step: columns event, unique_id, ds, effect; nothing where it added nothing."""
    frames = []
    for one in applied:
        steps = slice(one.first, one.first + one.money.shape[1])
        starts = np.broadcast_to(paths.starts, paths.values.shape[:2])[one.rows, steps]
        ids = np.array(paths.ids, dtype=object)[one.rows]
        columns = {"event": one.event.id, "unique_id": np.repeat(ids, one.money.shape[1]), "ds": starts.ravel(), "effect": one.money.ravel()}
        frames.append(pd.DataFrame(columns))
    if not frames:
        return pd.DataFrame({"event": [], "unique_id": [], "ds": np.array([], dtype="datetime64[ns]"), "effect": np.zeros(0)})
    table = pd.concat(frames, ignore_index=True)
    return table[table["effect"] != 0.0].reset_index(drop=True)


def known_events(events: Sequence[PlannedEvent] | pd.DataFrame, today: dt.date) -> list[PlannedEvent]:
    """The events as objects; InputError for what is none. today : when those of a frame were announced that do not say so."""
    if isinstance(events, pd.DataFrame):
        return list(read_events([{str(name): value for name, value in row.items()} for row in events.to_dict("records")], today=today).events)
    for event in events:
        if not isinstance(event, PlannedEvent):
            raise InputError(
                f"events hold something else: got {type(event).__name__}",
                field="events",
                got=type(event).__name__,
                allowed="PlannedEvent objects, or a frame with the columns of a calendar",
            )
    return list(events)


def _event(plain: Mapping[str, Any]) -> PlannedEvent:
    members = dict(plain)
    return parse_event(members.pop("id"), members, today=dt.date.max)


def _within(one: PlacedEvent, ids: Sequence[str], some: Sequence[str]) -> PlacedEvent:
    """The event on some of the series."""
    row = pd.Index(some).get_indexer(pd.Index(ids)[one.rows])
    return replace(one, rows=row[row >= 0].astype(np.int64), parts=one.parts[row >= 0])


def _ends(matrix: SpendMatrix) -> NDArray[np.datetime64]:
    """(n_periods,) end of each period."""
    return (matrix.ds + (matrix.ds.freq or parse_freq(matrix.freq))).to_numpy()


def _parts(inside: Mapping[Scope, pd.DataFrame], wanted: Collection[Scope], matrix: SpendMatrix) -> dict[Scope, Floats]:
    """(n_series,) recent part of each series in each finer scope; a series without recent spend has no part."""
    found = {}
    for scope in (scope for scope in inside if scope in wanted):
        panel = inside[scope]
        row, column = pd.Index(matrix.ids).get_indexer(pd.Index(panel["unique_id"])), matrix.ds.get_indexer(pd.DatetimeIndex(panel["ds"]))
        usable = (row >= 0) & (column >= 0)
        within = np.zeros(matrix.values.shape)
        np.add.at(within, (row[usable], column[usable]), panel["y"].to_numpy(dtype=np.float64)[usable])
        everything = np.nan_to_num(matrix.values)
        # A scope that has not been seen for long is taken as it was when it was.
        days = slice(-SHARE_DAYS, None) if within[:, -SHARE_DAYS:].any() else slice(None)
        own, whole = within[:, days].sum(axis=1), everything[:, days].sum(axis=1)
        found[scope] = np.clip(np.divide(own, whole, out=np.zeros(len(own)), where=whole > 0.0), 0.0, 1.0)
    return found


def _long(matrix: SpendMatrix) -> pd.DataFrame:
    rows, columns = np.nonzero(np.isfinite(matrix.values))
    ids = np.array(matrix.ids, dtype=object)
    return pd.DataFrame({"unique_id": ids[rows], "ds": matrix.ds.to_numpy()[columns], "y": matrix.values[rows, columns]})
