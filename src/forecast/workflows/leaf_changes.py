"""From the comparison period to a period, leaf by leaf, in steps that add up.

    comparison + calendar + one_offs + recurring + ended + new + level + season + events + drivers + uncertainty + trend = forecast

Every step is a sum of leaves' days, so it adds up over any leaves. Days of the comparison period that are to come themselves count twice: once
as if the last month went on (that is what the level starts from), and what the forecast expects there beyond is taken off season, events,
drivers, uncertainty and trend, which are about what changes between the two periods.

`level` is what had already changed at the cutoff, at the period's own days and weekdays. Where items have quantities it is split into price,
volume and mix (`budgets/variance.py`), meters that are new or have ended, and what has no quantity. `uncertainty` is what leaves' means lie
above their medians: which series will jump is not known, that some will is, and in `trend` it would look like growth of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.budgets.variance import item_changes
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.workflows.leaf_days import Floats, LeafDays, leaf_days, uncertainty
from forecast.workflows.leaf_meters import LeafMeters, leaf_meters

NAMES = (
    "calendar",
    "one_offs",
    "recurring",
    "ended",
    "new",
    "level",
    "price",
    "volume",
    "mix",
    "unquantified",
    "season",
    "events",
    "drivers",
    "uncertainty",
    "trend",
)
"""Contributions in the order in which they are told. `level` stands for price, volume, mix and unquantified where nothing has a quantity."""

LEVEL = ("level", "price", "volume", "mix", "unquantified")
"""The level and what it is split into."""

NEARLY_NOTHING = 0.01
"""A leaf that spends less than this part a day of what it spent in the other period has ended, or is new."""
KEPT = 16
"""Pairs of periods whose steps are kept with a snapshot: many scopes are asked about the same ones."""
STILL_EXPECTED = 0.05
"""A leaf of which the forecast expects more than this part has not ended: it pauses."""


@dataclass(frozen=True, eq=False)
class MeterChanges:
    """Of each item (n_items,): money and quantity of the comparison period as if it had had the period's days, and lately; parts of the change."""

    meters: LeafMeters
    cost_before: Floats
    quantity_before: Floats
    cost_after: Floats
    quantity_after: Floats
    parts: dict[str, Floats]


@dataclass(frozen=True, eq=False)
class LeafChanges:
    """What changes between two periods. money : name → (n_leaves,). before, after : (n_leaves,) totals of the periods.

    began, stopped : (n_leaves,) leaves that are new, or have ended. items : None where the snapshot keeps no quantities.
    """

    money: dict[str, Floats]
    before: Floats
    after: Floats
    began: NDArray[np.bool_]
    stopped: NDArray[np.bool_]
    items: MeterChanges | None


@dataclass(frozen=True)
class _Columns:
    """Known and coming columns of the period and of the comparison period, and the last month."""

    known: slice
    coming: slice
    known_before: slice
    coming_before: slice
    recent: slice


def leaf_changes(snapshot: Snapshot, period: Period, comparison: Period) -> LeafChanges:
    """Every leaf's steps from the comparison period to the period; both must be visible to the snapshot. The latest are kept with it."""
    kept: dict[tuple[Period, Period], LeafChanges] = snapshot.__dict__.setdefault("_leaf_changes", {})
    found = kept.get((period, comparison))
    if found is None:
        found = _leaf_changes(snapshot, period, comparison)
        for oldest in list(kept)[: len(kept) - KEPT + 1] if len(kept) >= KEPT else ():
            kept.pop(oldest, None)
        kept[period, comparison] = found
    return found


def _leaf_changes(snapshot: Snapshot, period: Period, comparison: Period) -> LeafChanges:
    days = leaf_days(snapshot)
    at = _Columns(*days.split(days.between(period)), *days.split(days.between(comparison)), days.recent)
    whole, whole_before, learnt = days.between(period), days.between(comparison), days.learnt
    zeros = np.zeros(len(learnt))
    # Days of the comparison period and of the period in mean days, and a mean day as it is lately.
    worth = days.usual_days(whole) / days.usual_days(whole_before)
    lately = learnt[:, at.recent].sum(axis=1) / days.usual_days(at.recent)
    go_on_before, go_on = lately * days.usual_days(at.coming_before), lately * days.usual_days(at.coming)
    base = learnt[:, at.known_before].sum(axis=1) + go_on_before
    level_before, level_after = base * worth, learnt[:, at.known].sum(axis=1) + go_on
    expected = learnt[:, at.coming].sum(axis=1) - go_on - (learnt[:, at.coming_before].sum(axis=1) - go_on_before)
    season = days.within_months(at.coming) - days.within_months(at.coming_before)
    tail = uncertainty(snapshot, at.coming, days.known) - uncertainty(snapshot, at.coming_before, days.known)
    events, drivers = (_planned(part, at, zeros) for part in (days.events, days.drivers))
    money = {
        "calendar": level_before - base,
        "level": level_after - level_before,
        "season": season,
        "events": events,
        "drivers": drivers,
        "uncertainty": tail,
        "trend": expected - season - events - drivers - tail,
    }
    before, after = learnt[:, whole_before].sum(axis=1), learnt[:, whole].sum(axis=1)
    began, stopped = _began(days, at), _stopped(days, at, level_before, after)
    money["recurring"] = _difference(days.scheduled, whole, whole_before, zeros)
    money["one_offs"] = _difference(days.one_offs, whole, whole_before, zeros)
    _move(money, "new", began, after - before)
    _move(money, "ended", stopped, after - before)
    # A leaf of schedules alone has nothing else to change; what is left is the noise of its paths.
    never = ~days.ever_learnt & (days.scheduled is not None) & ~began & ~stopped
    money["recurring"] = money["recurring"] + np.where(never, after - before, 0.0)
    _move(money, "trend", never, zeros)
    continuing = ~(began | stopped | never)
    of_recent = 1.0 / days.usual_days(at.recent)
    factors = (worth, worth * days.usual_days(at.coming_before) * of_recent, days.usual_days(at.coming) * of_recent)
    items = _split_level(snapshot, days, at, money, continuing, factors, (level_before, level_after))
    return LeafChanges({name: money.get(name, zeros) for name in NAMES}, days.total(whole_before), days.total(whole), began, stopped, items)


def _move(money: dict[str, Floats], name: str, leaves: NDArray[np.bool_], change: Floats) -> None:
    """Of these leaves, the whole change of what is learnt has this one name."""
    for other in ("calendar", "level", "season", "events", "drivers", "uncertainty", "trend"):
        money[other] = np.where(leaves, 0.0, money[other])
    money[name] = money.get(name, np.zeros(len(change))) + np.where(leaves, change, 0.0)


def _planned(part: Floats | None, at: _Columns, zeros: Floats) -> Floats:
    if part is None:
        return zeros
    return np.asarray(part[:, at.coming].sum(axis=1) - part[:, at.coming_before].sum(axis=1))


def _difference(part: Floats | None, whole: slice, whole_before: slice, zeros: Floats) -> Floats:
    return zeros if part is None else np.asarray(part[:, whole].sum(axis=1) - part[:, whole_before].sum(axis=1))


def _a_day(days: LeafDays, columns: slice) -> Floats:
    """(n_leaves,) size of what is learnt, a day; nothing where there are no days."""
    return np.asarray(np.abs(days.learnt[:, columns]).sum(axis=1) / max(columns.stop - columns.start, 1))


def _later(days: LeafDays, at: _Columns) -> Floats:
    """(n_leaves,) money a day that is known of the time after the comparison period: of the period itself, and of the last month."""
    known = _a_day(days, at.known)
    return np.maximum(known, _a_day(days, at.recent)) if at.coming.stop > at.coming.start else known


def _began(days: LeafDays, at: _Columns) -> NDArray[np.bool_]:
    if at.known_before.start == at.known_before.stop:
        return np.zeros(len(days.learnt), dtype=np.bool_)
    is_over = at.coming_before.start == at.coming_before.stop
    later, before = _later(days, at), slice(at.known_before.start, at.known_before.stop if is_over else at.coming_before.stop)
    return np.asarray((later > 0.0) & (_a_day(days, before) <= NEARLY_NOTHING * later))


def _stopped(days: LeafDays, at: _Columns, level_before: Floats, after: Floats) -> NDArray[np.bool_]:
    earlier = _a_day(days, at.known_before)
    gone = _later(days, at) <= NEARLY_NOTHING * earlier
    return np.asarray((earlier > 0.0) & gone & (np.abs(after) <= STILL_EXPECTED * np.abs(level_before)))


def _split_level(
    snapshot: Snapshot,
    days: LeafDays,
    at: _Columns,
    money: dict[str, Floats],
    continuing: NDArray[np.bool_],
    factors: tuple[Floats, Floats, Floats],
    levels: tuple[Floats, Floats],
) -> MeterChanges | None:
    """Split the level of the leaves that go on into price, volume, mix and the rest, in place.

    factors : (n_leaves,) each: by what the items of the comparison period's known days, and those of the last month, are multiplied before,
    and those of the last month after; the known days of the period count as they are.
    """
    meters = leaf_meters(snapshot)
    if meters is None:
        return None
    billed = days.learnt[:, : days.known] - days.owed
    known_before, known, lately = meters.within(days, billed, at.known_before), meters.within(days, billed, at.known), meters.lately(days, billed)
    kept, stand_in, go_on = (factor[meters.leaf] for factor in factors)
    cost_before, quantity_before = (kept * earlier + stand_in * late for earlier, late in zip(known_before, lately, strict=True))
    cost_after, quantity_after = (earlier + go_on * late for earlier, late in zip(known, lately, strict=True))
    inside = continuing[meters.leaf]
    changes = item_changes(
        np.where(inside, cost_before, 0.0),
        np.where(inside, quantity_before, 0.0),
        np.where(inside, cost_after, 0.0),
        np.where(inside, quantity_after, 0.0),
        meters.group,
        meters.has_unit & ~_changed_unit(meters, quantity_before > 0.0, quantity_after > 0.0),
    )
    by_leaf = changes.by(meters.leaf, len(continuing))
    # A leaf none of whose money has a quantity is not split, and neither is its level.
    quantified = continuing & (np.bincount(meters.leaf, weights=inside & meters.has_unit, minlength=len(continuing)) > 0)
    for name in ("price", "volume", "mix"):
        money[name] = by_leaf[name]
    for name in ("new", "ended"):
        money[name] = money[name] + by_leaf[name]
    told = sum((by_leaf[name] for name in ("price", "volume", "mix", "new", "ended")), np.zeros(len(continuing)))
    money["unquantified"] = np.where(continuing, levels[1] - levels[0] - told, 0.0)
    # Rounding is no money without a quantity.
    size = np.abs(levels[0]) + np.abs(levels[1])
    rounding = quantified & (np.abs(money["unquantified"]) <= 1e-9 * size)
    money["volume"] = money["volume"] + np.where(rounding, money["unquantified"], 0.0)
    money["unquantified"] = np.where(rounding, 0.0, money["unquantified"])
    money["level"] = np.zeros(len(continuing))
    parts = {name: getattr(changes, name) for name in ("price", "volume", "mix", "new", "ended", "unquantified")}
    return MeterChanges(meters, cost_before, quantity_before, cost_after, quantity_after, parts)


def _changed_unit(meters: LeafMeters, used_before: NDArray[np.bool_], used_after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n_items,) items of an AI model and meter that was billed in one unit before and in another one after."""
    size = int(meters.family.max()) + 1
    only_before = np.bincount(meters.family, weights=used_before & ~used_after, minlength=size) > 0
    only_after = np.bincount(meters.family, weights=used_after & ~used_before, minlength=size) > 0
    return np.asarray((only_before & only_after)[meters.family])
