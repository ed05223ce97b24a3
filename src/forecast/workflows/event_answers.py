"""Which planned events an answer holds, and how much money they are of it; and whether a snapshot knows the scope of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError, PlanError
from forecast.snapshot import Snapshot
from forecast.spend.events import PlannedEvent
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.event_shares import event_parts
from forecast.workflows.finer import split_leaves
from forecast.workflows.shares import recent_spend

AHEAD, RUNNING = "ahead", "running"


def events_within(snapshot: Snapshot, scope: Scope, period: Period) -> list[dict[str, Any]]:
    """`{id, name, type, start, end, effect}` of the events that touch a scope and a period, by start and id.

    effect : mean money that the event adds to the answer, of the days to come; null where there is none but the bills': its days are over,
    or it lasts and they have learnt it. Raises what reading the scope raises.
    """
    return ScopeEvents(snapshot, scope).within(period)


class ScopeEvents:
    """The planned events of a scope, looked up once for all the periods that are asked about it."""

    def __init__(self, snapshot: Snapshot, scope: Scope) -> None:
        self.snapshot = snapshot
        self.scope = scope
        self.events = sorted(snapshot.meta.get("events") or (), key=lambda event: (event["start"], event["id"]))
        self._parts: NDArray[np.float64] | None = None
        self._by_step: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._overlaps: dict[str, bool] = {}

    def within(self, period: Period) -> list[dict[str, Any]]:
        """As `events_within`."""
        touching = [event for event in self.events if date.fromisoformat(event["start"]) < period.end and _ends_after(event, period.start)]
        if not touching:
            return []
        if self._parts is None:
            self._parts = _parts(self.snapshot, self.scope)
        weights = self.snapshot.future_weights(period)
        found = []
        for event in touching:
            steps, effects = self._effects(event, self._parts)
            own = weights[steps]
            money = float(own @ effects) if own.any() else None
            if money is None and not self._touches(event, self._parts):
                continue
            plain = {name: event[name] for name in ("id", "name", "type", "start", "end")}
            found.append({**plain, "effect": money if event["status"] in {AHEAD, RUNNING} else None})
        return found

    def _effects(self, event: Mapping[str, Any], parts: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Steps and mean money of an event within the scope."""
        name = str(event["id"])
        if name not in self._by_step:
            self._by_step[name] = _by_step(self.snapshot, event, self.scope, parts)
        return self._by_step[name]

    def _touches(self, event: Mapping[str, Any], parts: NDArray[np.float64]) -> bool:
        name = str(event["id"])
        if name not in self._overlaps:
            self._overlaps[name] = _overlap(self.snapshot, Scope.parse(event["scope"]), self.scope, parts)
        return self._overlaps[name]


def check_scope(snapshot: Snapshot, event: PlannedEvent) -> None:
    """Raise UnknownScopeError or PlanError where no spend of the snapshot lies in the event's scope."""
    hint = "; an event of something new takes the scope of whoever will pay for it, such as a team"
    try:
        inside = _parts(snapshot, event.scope).any()
    except InputError as error:
        error.args = (f"Event {event.id}: {error}{hint}",)
        raise
    if not inside:
        raise PlanError(f"Event {event.id}: no spend lies in {event.scope}{hint}", field="scope", got=str(event.scope), allowed="a scope with spend")
    if event.effect.kind != "factor" and event.currency not in {None, snapshot.currency}:
        raise PlanError(
            f"Event {event.id} is in {event.currency}, the forecast in {snapshot.currency}",
            field="currency",
            got=event.currency,
            allowed=snapshot.currency,
        )


def _ends_after(event: Mapping[str, Any], day: date) -> bool:
    return event["end"] is None or date.fromisoformat(event["end"]) > day


def _parts(snapshot: Snapshot, scope: Scope) -> NDArray[np.float64]:
    """(n_leaves,) part of each leaf's spend that lies in the scope."""
    if snapshot.hierarchy.covers(scope):
        return snapshot.hierarchy.leaf_mask(scope).astype(np.float64)
    split = split_leaves(snapshot, recent_spend(snapshot), scope, ())
    parts = np.zeros(len(snapshot.hierarchy.leaf_ids))
    for leaf in split.leaves:
        parts[leaf] = sum(share for _, share in split.mean_shares(int(leaf)))
    return parts


def _by_step(snapshot: Snapshot, event: Mapping[str, Any], asked: Scope, parts: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Steps of the days to come on which an event acts on leaves of a scope, and its mean money there."""
    effects = snapshot.event_effects
    if effects is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    own = effects[effects["event"] == event["id"]]
    inside = None if own.empty else event_parts(snapshot, Scope.parse(event["scope"]), asked)
    weights = (parts if inside is None else inside)[own["leaf"].to_numpy(dtype=np.int64)]
    acts = weights != 0.0
    return own["step"].to_numpy(dtype=np.int64)[acts], own["effect"].to_numpy(dtype=np.float64)[acts] * weights[acts]


def _overlap(snapshot: Snapshot, event: Scope, asked: Scope, parts: NDArray[np.float64]) -> bool:
    """Whether some spend lies in both scopes; a scope of values that have not occurred touches nothing."""
    try:
        inside = event_parts(snapshot, event, asked)
        return bool(((_parts(snapshot, event) > 0.0) & ((parts if inside is None else inside) > 0.0)).any())
    except InputError:
        return False
