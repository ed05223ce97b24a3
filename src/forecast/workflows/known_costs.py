"""What of a total is known beforehand or came only once: one-offs, licences, commitments, recurring fees, planned events.

All of it is in the total already, as bills or as part of its mean; nothing here is ever added to it. What is in the bill is read from the
snapshot's record of charge lines, fees to come from their schedules (mean over the futures: an item may move or end), events from their mean
effect. Recurring money that no bill calls recurring (a tax at a month's end) is learnt with the rest and is not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.known_money import ONE_OFF
from forecast.spend.periods import Period
from forecast.spend.schedules import Schedules, project
from forecast.workflows.event_answers import ScopeEvents
from forecast.workflows.explanation_words import leaf_name
from forecast.workflows.readings import Reading
from forecast.workflows.scope_futures import ScopeFuture

RECURRING, COMMITMENT, LICENCE, EVENT = "recurring", "commitment", "licence", "event"
KINDS = (ONE_OFF, RECURRING, COMMITMENT, LICENCE, EVENT)

MOST_LISTED = 20
"""Entries that an answer lists, the largest; the rest of each kind is one entry."""

_KIND_OF_CHARGE = {"subscription": LICENCE, "commitment_fee": COMMITMENT, "commitment_purchase": COMMITMENT}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class KnownCost:
    """Money within a period. kind : one of KINDS. [start, end) : its days.

    amount : in the answer's currency; None for an event whose days are over or learnt, so that nobody can tell its money from the rest.
    in_bill : billed; else expected to come, as a mean.
    """

    kind: str
    name: str
    start: date
    end: date
    amount: float | None
    in_bill: bool

    def describe(self) -> dict[str, Any]:
        """As answers carry it."""
        days = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return {"kind": self.kind, "name": self.name, **days, "amount": self.amount, "in_bill": self.in_bill}


def known_costs(future: ScopeFuture, reading: Reading, period: Period) -> list[KnownCost]:
    """What of the scope's total in a period is known, the largest first."""
    record = _record(future.snapshot)
    found = [*_coming(record, future, reading, period), *_events(future, period)]
    if reading.derived is None:
        # Of a line of the history nobody recorded which part of a leaf it was in.
        found += _billed(record, future, period)
    found.sort(key=lambda one: -abs(one.amount or 0.0))
    return _gathered(found)


@dataclass(frozen=True, eq=False)
class _Record:
    """What a snapshot knows, prepared once for all budgets.

    day, leaf, cost, once : (n_lines,) lines of the history, by day; once : one-offs, else scheduled. kind_of_leaf : what the schedules of a leaf are.
    items : the schedules to come, `kind` as in KINDS; names : of each. money : (m, n_steps) of each item. due : (m, n_days) whether it comes.
    """

    snapshot: Snapshot
    day: NDArray[np.datetime64]
    leaf: Ints
    cost: Floats
    once: NDArray[np.bool_]
    kind_of_leaf: dict[int, str]
    item_leaf: Ints
    item_kind: tuple[str, ...]
    item_name: tuple[str, ...]
    money: Floats
    due: NDArray[np.bool_]
    names: dict[int, str]

    def name(self, leaf: int) -> str:
        if leaf not in self.names:
            self.names[leaf] = leaf_name(self.snapshot, leaf)
        return self.names[leaf]

    def title(self, item: int) -> str:
        """What a bill calls an item, and where it is."""
        place = self.name(int(self.item_leaf[item]))
        return f"{self.item_name[item]}: {place}" if self.item_name[item] else place


def prepare(snapshot: Snapshot) -> None:
    """Look up what a snapshot knows before the first question is asked."""
    _record(snapshot)


def _record(snapshot: Snapshot) -> _Record:
    """Prepared once per snapshot (kept in the instance, as a cached property would be)."""
    found: _Record | None = snapshot.__dict__.get("_known_costs")
    if found is None:
        found = snapshot.__dict__["_known_costs"] = _prepared(snapshot)
    return found


def _prepared(snapshot: Snapshot) -> _Record:
    frame = snapshot.known_money
    lines = pd.DataFrame({"leaf": [], "ds": [], "kind": [], "cost": []}) if frame is None else frame.sort_values("ds", kind="stable")
    days = lines["ds"].to_numpy().astype("datetime64[D]")
    lengths = (snapshot.ends - snapshot.starts).astype(np.int64)
    record = snapshot.meta.get("schedules")
    schedules = Schedules.of_record(record, snapshot.hierarchy.leaf_ids) if record and record["leaf"] else None
    by_day = np.zeros((0, int(lengths.sum())))
    if schedules is not None:
        own = replace(schedules, leaf=np.arange(len(schedules)), n_leaves=len(schedules))
        by_day = project(own, snapshot.starts[0].astype("datetime64[D]").item(), int(lengths.sum()))
    kinds = () if schedules is None else tuple(_KIND_OF_CHARGE.get(str(kind), RECURRING) for kind in schedules.kind)
    leaves = np.zeros(0, dtype=np.int64) if schedules is None else schedules.leaf
    of_leaf: dict[int, set[str]] = {}
    for leaf, kind in zip(leaves.tolist(), kinds, strict=True):
        of_leaf.setdefault(leaf, set()).add(kind)
    return _Record(
        snapshot,
        days,
        lines["leaf"].to_numpy(dtype=np.int64),
        lines["cost"].to_numpy(dtype=np.float64),
        (lines["kind"] == ONE_OFF).to_numpy(dtype=np.bool_),
        {leaf: next(iter(several)) if len(several) == 1 else RECURRING for leaf, several in of_leaf.items()},
        leaves,
        kinds,
        () if schedules is None else tuple(str(item) for item in schedules.item),
        np.add.reduceat(by_day, np.cumsum(lengths) - lengths, axis=1) if len(by_day) else np.zeros((0, len(lengths))),
        by_day != 0.0,
        {},
    )


def _billed(record: _Record, future: ScopeFuture, period: Period) -> list[KnownCost]:
    """One-offs line by line, what came by a schedule leaf by leaf."""
    shares, columns = _shares_of_days(future.snapshot, period)
    first, last = np.searchsorted(record.day, [columns[0], columns[1]])
    lines = np.flatnonzero(future.leaves[record.leaf[first:last]]) + first
    if not len(lines):
        return []
    cost = record.cost[lines]
    if shares is not None:
        cost = cost * shares[(record.day[lines] - columns[0]).astype(np.int64)]
    once = record.once[lines]
    found = [
        KnownCost(ONE_OFF, record.name(leaf), day, day + timedelta(days=1), amount, True)
        for leaf, day, amount in zip(record.leaf[lines[once]].tolist(), record.day[lines[once]].tolist(), cost[once].tolist(), strict=True)
    ]
    leaf, day, cost = record.leaf[lines[~once]], record.day[lines[~once]], cost[~once]
    leaves, inverse = np.unique(leaf, return_inverse=True)
    amounts = np.bincount(inverse, weights=cost, minlength=len(leaves)).tolist()
    # Lines stand in the order of their days.
    begins = np.full(len(leaves), len(day))
    np.minimum.at(begins, inverse, np.arange(len(day)))
    stops = np.zeros(len(leaves), dtype=np.int64)
    np.maximum.at(stops, inverse, np.arange(len(day)))
    for number, place in enumerate(leaves.tolist()):
        start, end = day[begins[number]].item(), day[stops[number]].item() + timedelta(days=1)
        found.append(KnownCost(record.kind_of_leaf.get(place, RECURRING), record.name(place), start, end, amounts[number], True))
    return found


def _coming(record: _Record, future: ScopeFuture, reading: Reading, period: Period) -> list[KnownCost]:
    """Each scheduled item with money in the days to come, by the parts of the steps that count in the total."""
    if not len(record.item_leaf) or not len(reading.weights):
        return []
    parts = (future.leaves if reading.derived is None else future.parts)[record.item_leaf]
    if not parts.any():
        return []
    weights = future.snapshot.future_weights(period)
    touched = np.flatnonzero(weights)
    amounts = (record.money[:, touched] @ weights[touched]) * parts
    first = max(0, (period.start - future.snapshot.cutoff).days - 1)
    last = max(first, (period.end - future.snapshot.cutoff).days - 1)
    origin = future.snapshot.cutoff + timedelta(days=1)
    found = []
    for item in np.flatnonzero(amounts).tolist():
        days = np.flatnonzero(record.due[item, first:last])
        # A month-long step is even over its days, so a part of a month may have a part of a fee that is due on another day of it.
        begin, end = (first + int(days[0]), first + int(days[-1]) + 1) if len(days) else (first, last)
        start, stop = origin + timedelta(days=begin), origin + timedelta(days=end)
        found.append(KnownCost(record.item_kind[item], record.title(item), start, stop, float(amounts[item]), False))
    return found


def _events(future: ScopeFuture, period: Period) -> list[KnownCost]:
    events = future.__dict__.get("_events")
    if events is None:
        events = future.__dict__["_events"] = ScopeEvents(future.snapshot, future.scope)
    found = []
    for event in events.within(period):
        start = max(date.fromisoformat(event["start"]), period.start)
        end = period.end if event["end"] is None else min(date.fromisoformat(event["end"]), period.end)
        learnt = event["effect"] is None and date.fromisoformat(event["start"]) <= future.snapshot.cutoff
        found.append(KnownCost(EVENT, event["name"] or event["id"], start, end, event["effect"], learnt))
    return found


def _shares_of_days(snapshot: Snapshot, period: Period) -> tuple[Floats | None, tuple[np.datetime64, np.datetime64]]:
    """The UTC days that a period of company days touches, first and last (exclusive), and the share of each in it; None where all count in full."""
    edges = np.array([period.start, period.end], dtype="datetime64[D]")
    if snapshot.midnights is None:
        return None, (edges[0], edges[1])
    moments = snapshot.midnights.of(edges)
    first, last = moments[0].astype("datetime64[D]"), moments[1].astype("datetime64[D]") + 1
    days = np.arange(first, last).astype("datetime64[s]")
    day = np.timedelta64(86_400, "s")
    inside = (np.minimum(days + day, moments[1]) - np.maximum(days, moments[0])).astype(np.float64)
    return np.clip(inside / 86_400.0, 0.0, 1.0), (first, last)


def _gathered(found: Sequence[KnownCost]) -> list[KnownCost]:
    """The largest as they are, and one entry for what is left of each kind, so that nothing is lost from the sums."""
    if len(found) <= MOST_LISTED:
        return list(found)
    listed, rest = list(found[:MOST_LISTED]), found[MOST_LISTED:]
    for kind, in_bill in dict.fromkeys((one.kind, one.in_bill) for one in rest):
        own = [one for one in rest if (one.kind, one.in_bill) == (kind, in_bill)]
        amount = sum(one.amount or 0.0 for one in own)
        listed.append(KnownCost(kind, f"{len(own)} more", min(one.start for one in own), max(one.end for one in own), amount, in_bill))
    return listed
