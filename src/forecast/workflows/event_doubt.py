"""How much of a past day's cost may be the doing of planned events that were known by then: it is no alarm, whether it came or not.

What is expected of a past day follows the spend before it, and knows of no event. In its first weeks an event may add anything from nothing
to what was planned; after its end as much may be gone. Days after the cutoff have their events in the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.events import FACTOR, LEARNT_DAYS, MONEY
from forecast.spend.scope import Scope
from forecast.workflows.dated_money import dated_money

Floats = NDArray[np.float64]

USUAL_DAYS = 28
"""Days before an event whose median a factor multiplies."""


class EventDoubt:
    """The events of a snapshot's record by the leaves that they touch; those on scopes finer than leaves, or in other money, are left out."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.last = np.datetime64(snapshot.cutoff, "D")
        self.events = [found for event in snapshot.meta.get("events") or () if (found := _Doubt.of(snapshot, event)) is not None]

    def touched(self, n_leaves: int) -> NDArray[np.bool_]:
        """(n_leaves,) leaves that some event is about."""
        found = np.zeros(n_leaves, dtype=np.bool_)
        for event in self.events:
            found |= event.inside
        return found

    def between(self, leaves: NDArray[np.int64], days: NDArray[np.datetime64], *, beyond: bool = False) -> tuple[Floats, Floats]:
        """(m,) least and most money that events may add to some leaves on some days of history; zeros on days after it, but with `beyond`."""
        low, high = np.zeros(len(days)), np.zeros(len(days))
        for event in self.events:
            part = event.part(leaves)
            for start, end, way in event.spans:
                here = (days >= start) & (days < end) & ((days <= self.last) | beyond)
                ends = (way * part * event.low, way * part * event.high)
                low += np.where(here, min(0.0, *ends), 0.0)
                high += np.where(here, max(0.0, *ends), 0.0)
        return low, high


class _Doubt:
    """One event. low, high : money a day. size : (n_leaves,) usual cost of the leaves inside, 0 outside. spans : days of doubt, and which way."""

    def __init__(
        self, inside: NDArray[np.bool_], size: Floats, low: float, high: float, spans: Sequence[tuple[np.datetime64, np.datetime64, float]]
    ) -> None:
        self.inside, self.size, self.low, self.high, self.spans = inside, size, low, high, spans

    @classmethod
    def of(cls, snapshot: Snapshot, event: Mapping[str, Any]) -> _Doubt | None:
        effect = event["effect"]
        kind = next(name for name in effect if name not in ("low", "high"))
        low, high = float(effect.get("low", effect[kind])), float(effect.get("high", effect[kind]))
        if kind != FACTOR and event.get("currency") not in (None, snapshot.currency):
            return None
        scope = Scope.parse(event["scope"])
        if not snapshot.hierarchy.covers(scope):
            return None
        try:
            inside = snapshot.hierarchy.leaf_mask(scope)
        except InputError:
            return None
        start, announced = date.fromisoformat(event["start"]), date.fromisoformat(event["announced"])
        end = None if event.get("end") is None else date.fromisoformat(event["end"])
        dated = dated_money(snapshot)
        column = min(max((start - snapshot.first_day).days, 1), dated.learnable.shape[1])
        size = np.where(inside, np.median(dated.learnable[:, max(0, column - USUAL_DAYS) : column], axis=1), 0.0)
        if kind == FACTOR:
            low, high = (low - 1.0) * float(size.sum()), (high - 1.0) * float(size.sum())
        elif kind == MONEY and end is not None:
            low, high = low / (end - start).days, high / (end - start).days
        learnt = start + timedelta(days=LEARNT_DAYS + int(event.get("ramp_days") or 0))
        spans = [(start, learnt if end is None else min(learnt, end), 1.0)]
        if end is not None:
            spans.append((end, end + timedelta(days=LEARNT_DAYS), -1.0))
        # Who is told of an event afterwards was right to be alarmed.
        known = [(np.datetime64(max(first, announced)), np.datetime64(last), way) for first, last, way in spans]
        return cls(inside, size, low, high, known)

    def part(self, leaves: NDArray[np.int64]) -> float:
        """Part of the event that lies in some leaves, by what they usually cost; all of it where they had not begun to."""
        here = self.inside[leaves]
        if not here.any():
            return 0.0
        whole = float(np.abs(self.size).sum())
        return float(np.abs(self.size[leaves[here]]).sum()) / whole if whole > 0.0 else 1.0


def event_doubt(snapshot: Snapshot) -> EventDoubt:
    """The events of a snapshot, read once."""
    found: EventDoubt | None = snapshot.__dict__.get("_event_doubt")
    if found is None:
        found = snapshot.__dict__["_event_doubt"] = EventDoubt(snapshot)
    return found
