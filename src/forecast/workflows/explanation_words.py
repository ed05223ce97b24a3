"""Contributions as plain sentences, made from numbers: how much, and where most of it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period
from forecast.workflows.leaf_changes import LEVEL, LeafChanges, MeterChanges

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMED = 3
"""Leaves that a sentence names."""
MENTIONED = 0.2
"""The headline names what is at least this part of the largest contribution."""
MOVED = 0.005
"""Part of the usage that has to move before a sentence says where to."""
TWICE = 0.995
SMALL = 0.0005
"""A change below this part is told as about the same."""


@dataclass(frozen=True, eq=False)
class Told:
    """What sentences are made from."""

    snapshot: Snapshot
    changes: LeafChanges
    period: Period
    comparison: Period
    calendar: FiscalCalendar

    def money(self, amount: float) -> str:
        return f"{written(amount)} {self.snapshot.currency}"

    @property
    def now(self) -> str:
        return period_name(self.period, self.calendar)

    @property
    def then(self) -> str:
        return period_name(self.comparison, self.calendar)


def written(amount: float) -> str:
    """An amount without its sign: `12,300`, with cents where it is less than a hundred."""
    size = abs(amount)
    return f"{size:,.0f}" if size >= 100 else f"{size:,.2f}"


def period_name(period: Period, calendar: FiscalCalendar = CALENDAR_YEAR) -> str:
    """Such as "October 2026", "2026-Q4", "2026", in a calendar of weeks "2026-P10", else its days."""
    name = calendar.name(period)
    if name is not None:
        return name
    if period.start.day == period.end.day == 1:
        months = (period.end.year - period.start.year) * 12 + period.end.month - period.start.month
        if months == 1:
            return f"{MONTHS[period.start.month - 1]} {period.start.year}"
    return f"{period.start} to {period.end} (exclusive)"


def headline(told: Told, before: float, after: float, money: Mapping[str, float]) -> str:
    """The whole in one sentence: the change, and the two contributions that do most of it."""
    over = told.period.end <= told.snapshot.first_open_day
    verb = "cost" if over else "is expected to cost"
    change = after - before
    if not before and not after:
        return f"{told.now} and {told.then} have no spend."
    size = f" ({100 * abs(change) / abs(before):.1f} %)" if before else ""
    main = f"{told.now} {verb} {told.money(after)}, {written(change)}{size} {'more' if change >= 0 else 'less'} than {told.then}"
    with_it = [name for name, amount in sorted(money.items(), key=lambda pair: -abs(pair[1])) if amount * change > 0]
    against = [name for name, amount in sorted(money.items(), key=lambda pair: -abs(pair[1])) if amount * change < 0]
    causes = [f"{TITLES[name]} ({signed(money[name])})" for name in with_it[:2] if abs(money[name]) >= MENTIONED * abs(money[with_it[0]])]
    if not causes:
        return f"{main}."
    offset = ""
    if against and abs(money[against[0]]) >= MENTIONED * abs(money[with_it[0]]):
        offset = f"; against it {TITLES[against[0]]} ({signed(money[against[0]])})"
    return f"{main}: most by {' and '.join(causes)}{offset}."


def signed(amount: float) -> str:
    return f"{'+' if amount >= 0 else '−'}{written(amount)}"


TITLES = {
    "calendar": "the calendar",
    "one_offs": "what comes once",
    "recurring": "fees and licences",
    "ended": "what has ended",
    "new": "what is new",
    "level": "what had changed by the cutoff",
    "price": "price",
    "volume": "volume",
    "mix": "mix",
    "unquantified": "changes without quantities",
    "season": "the season",
    "events": "planned events",
    "drivers": "drivers",
    "uncertainty": "rises that cannot be told beforehand",
    "trend": "what is expected from now on",
}


def in_words(told: Told, name: str, inside: NDArray[np.bool_], amount: float) -> str:
    """One contribution to the scope of the leaves `inside`, with its cause."""
    does = f"adds {told.money(amount)}" if amount >= 0 else f"takes {told.money(amount)} off"
    if name == "calendar":
        return f"The calendar {does}: {_calendar(told)}."
    if name in ("price", "volume", "mix") and told.changes.items is not None:
        why = {"price": _price, "volume": _volume, "mix": _mix}[name](told, told.changes.items, inside, amount)
        return f"{name.capitalize()} {does}: {why}." if why else f"{name.capitalize()} {does}."
    leaves = _largest(told, name, inside, amount)
    places = _joined(leaves)
    match name:
        case "one_offs":
            what = (
                f"What came once in {told.then} and is not expected again"
                if amount < 0
                else f"What came once in {told.now}, or was credited once in {told.then},"
            )
            return f"{what} {does}: {places}."
        case "recurring":
            return f"Fees, licences and commitments with a known schedule {_plural(does)}: {places}."
        case "ended":
            return f"What was used in {told.then} and is not used now {does}: {places}."
        case "new":
            return f"What had no spend in {told.then} {does}: {places}."
        case "level":
            return f"What had already changed by {told.snapshot.cutoff} {does}: {places}."
        case "unquantified":
            return f"Changes in spend that comes without comparable quantities {_plural(does)}: {places}."
        case "season":
            return f"The days of the month that {told.now} has {_plural(does)}: {places}."
        case "events":
            named = {str(event.get("id")): str(event.get("name") or event.get("id")) for event in told.snapshot.meta.get("events", ())}
            return f"Planned events {_plural(does)}: {_most(told, inside, told.snapshot.event_effects, 'event', named) or places}."
        case "drivers":
            return f"Drivers {_plural(does)}: {_most(told, inside, told.snapshot.driver_effects, 'driver', {}) or places}."
        case "uncertainty":
            return f"Single series can rise further than they can fall, and which of them will is not known: this {does}, most in {places}."
    return f"What the forecast expects to change after {told.snapshot.cutoff} {does}: {places}."


def _most(told: Told, inside: NDArray[np.bool_], frame: pd.DataFrame | None, column: str, names: Mapping[str, str]) -> str:
    """The events or drivers that do most of it, by name: what they add to the period minus what they add to the comparison period."""
    if frame is None:
        return ""
    weights = told.snapshot.future_weights(told.period) - told.snapshot.future_weights(told.comparison)
    own = frame[inside[frame["leaf"].to_numpy(dtype=np.int64)]]
    money = (own["effect"] * weights[own["step"].to_numpy(dtype=np.int64)]).groupby(own[column].to_numpy()).sum()
    order = np.argsort(-np.abs(money.to_numpy()), kind="stable")[:NAMED]
    return ", ".join(f"{names.get(str(money.index[row]), money.index[row])} ({signed(float(money.iloc[row]))})" for row in order)


def _plural(does: str) -> str:
    return does.replace("adds", "add", 1).replace("takes", "take", 1)


def _calendar(told: Told) -> str:
    days, before = told.period.days, told.comparison.days
    working, working_before = (int(np.busday_count(period.start, period.end)) for period in (told.period, told.comparison))
    if (days, working) != (before, working_before):
        return f"{told.now} has {days} days, {working} of them from Monday to Friday; {told.then} has {before} and {working_before}"
    more = [_weekdays(told.period)[day] - _weekdays(told.comparison)[day] for day in range(7)]
    told_days = [
        f"{'a' if abs(count) == 1 else abs(count)} {WEEKDAYS[day]} {'more' if count > 0 else 'less'}" for day, count in enumerate(more) if count
    ]
    return f"{told.now} has as many days as {told.then}, but {', '.join(told_days)}" if told_days else f"{told.now} has the days of {told.then}"


def _weekdays(period: Period) -> list[int]:
    """How many Mondays, Tuesdays, … a period has."""
    return [(period.days + 6 - (day - period.start.weekday()) % 7) // 7 for day in range(7)]


def _largest(told: Told, name: str, inside: NDArray[np.bool_], amount: float) -> list[tuple[str, float]]:
    """The leaves with the largest part in the direction of the whole."""
    # The level is one contribution where nothing has a quantity, else what has none is told with it.
    names = LEVEL if name == "level" else ("level", "unquantified") if name == "unquantified" else (name,)
    money = np.where(inside, sum((told.changes.money[one] for one in names), np.zeros(len(inside))), 0.0)
    along = money * (1.0 if amount >= 0 else -1.0)
    order = np.argsort(-along, kind="stable")[:NAMED]
    return [(leaf_name(told.snapshot, int(leaf)), float(money[leaf])) for leaf in order if along[leaf] >= 0.1 * abs(amount) and along[leaf] > 0]


def _joined(leaves: list[tuple[str, float]]) -> str:
    if not leaves:
        return "in many places, in none of them much"
    return ", ".join(f"{name} ({signed(money)})" for name, money in leaves)


def leaf_name(snapshot: Snapshot, leaf: int) -> str:
    """A leaf as people call it: "ranking of team ads (OpenAI API, prod)"."""
    row = {str(name): str(value) for name, value in snapshot.hierarchy.leaves.iloc[leaf].items() if value != UNKNOWN}
    workload, team = row.pop("workload", ""), row.pop("team", "")
    who = f"team {team}" if team else "no team"
    what = f"{workload} of {who}" if workload else who
    inside = [row[name] for name in ("service", "stage") if name in row] or list(row.values())
    return f"{what} ({', '.join(inside)})" if inside else what


def _top_leaf(items: MeterChanges, part: str, inside: NDArray[np.bool_], amount: float) -> int | None:
    """The leaf with the largest part in the direction of the whole."""
    own = np.bincount(items.meters.leaf, weights=np.where(inside[items.meters.leaf], items.parts[part], 0.0), minlength=len(inside))
    along = own * (1.0 if amount >= 0 else -1.0)
    return int(np.argmax(along)) if along.max(initial=0.0) > 0 else None


def _volume(told: Told, items: MeterChanges, inside: NDArray[np.bool_], amount: float) -> str:
    leaf = _top_leaf(items, "volume", inside, amount)
    if leaf is None:
        return ""
    own = items.meters.leaf == leaf
    unit, before, after = _quantities(items, own, "volume")
    name, much = leaf_name(told.snapshot, leaf), signed(float(items.parts["volume"][own].sum()))
    return f"{name} uses {_used(after, before, unit, told.then)} ({much})"


def _price(told: Told, items: MeterChanges, inside: NDArray[np.bool_], amount: float) -> str:
    """The AI model whose price did most, at the quantities of both periods."""
    meters = items.meters
    own = inside[meters.leaf] & (items.parts["price"] != 0.0)
    if not own.any():
        return ""
    # What the quantities of both periods cost at the earlier price, and how the price changes that.
    price = np.divide(items.cost_before, items.quantity_before, out=np.zeros(len(own)), where=own & (items.quantity_before > 0.0))
    base = np.bincount(meters.name[own], weights=(0.5 * (items.quantity_before + items.quantity_after) * price)[own], minlength=len(meters.names))
    change = np.bincount(meters.name[own], weights=items.parts["price"][own], minlength=len(meters.names))
    along = change * (1.0 if amount >= 0 else -1.0)
    top = int(np.argmax(along))
    if along[top] <= 0:
        return ""
    ai_model, meter, unit = meters.names[top]
    what = meter if ai_model == UNKNOWN else ai_model if meter == UNKNOWN else f"{meter} of {ai_model}"
    return f"a unit ({unit.lower()}) of {what} costs {_priced(base[top] + change[top], base[top], told.then)} ({signed(float(change[top]))})"


def _mix(told: Told, items: MeterChanges, inside: NDArray[np.bool_], amount: float) -> str:
    """Where usage moved most, and to what."""
    leaf = _top_leaf(items, "mix", inside, amount)
    if leaf is None:
        return ""
    own = (items.meters.leaf == leaf) & (items.parts["mix"] != 0.0)
    unit, _, _ = _quantities(items, own, "mix")
    rows = np.flatnonzero(own & np.array([name[2] == unit for name in items.meters.names])[items.meters.name])
    names = [items.meters.names[items.meters.name[row]] for row in rows]
    moved = _moved(items, rows, [ai_model for ai_model, _, _ in names]) or _moved(items, rows, [meter for _, meter, _ in names])
    much = signed(float(items.parts["mix"][items.meters.leaf == leaf].sum()))
    where = leaf_name(told.snapshot, leaf)
    if moved is None:
        return f"most in {where} ({much})"
    share, gained, lost = moved
    return f"in {where} {100 * share:.0f} % of the {unit.lower()} moved to {gained}, most from {lost} ({much})"


def _moved(items: MeterChanges, rows: NDArray[np.int64], names: list[str]) -> tuple[float, str, str] | None:
    """How much of the usage moved to the name that gained most, and from which most; None where nothing to speak of did."""
    known = sorted(set(names))
    code = np.array([known.index(name) for name in names])
    shares = [
        np.bincount(code, weights=quantity[rows], minlength=len(known)) / max(float(quantity[rows].sum()), 1e-300)
        for quantity in (items.quantity_before, items.quantity_after)
    ]
    gain = shares[1] - shares[0]
    return (float(gain.max()), known[int(np.argmax(gain))], known[int(np.argmin(gain))]) if gain.max() >= MOVED else None


def _quantities(items: MeterChanges, own: NDArray[np.bool_], part: str) -> tuple[str, float, float]:
    """The unit with the largest part among these items, and its quantities before and after."""
    units = np.array([name[2] for name in items.meters.names], dtype=object)[items.meters.name]
    sizes = {unit: float(np.abs(items.parts[part][own & (units == unit)]).sum()) for unit in sorted(set(units[own]))}
    unit = max(sizes, key=lambda name: sizes[name])
    rows = own & (units == unit)
    return unit, float(items.quantity_before[rows].sum()), float(items.quantity_after[rows].sum())


def _used(after: float, before: float, unit: str, then: str) -> str:
    """A quantity beside what it was: "31 % more tokens than in October 2026"."""
    counted = unit.lower() or "units"
    if before <= 0:
        return f"{counted} that were not used in {then}"
    change = after / before - 1.0
    if abs(change) < SMALL:
        return f"about as many {counted} as in {then}"
    if change >= TWICE:
        return f"{after / before:.1f} times as many {counted} as in {then}"
    return f"{_percent(change)} {'more' if change > 0 else 'fewer'} {counted} than in {then}"


def _priced(after: float, before: float, then: str) -> str:
    """A price beside what it was: "12 % less than in October 2026"."""
    if before <= 0 or abs(after / before - 1.0) < SMALL:
        return f"about what it did in {then}" if before > 0 else f"something, and nothing in {then}"
    change = after / before - 1.0
    if change >= TWICE:
        return f"{after / before:.1f} times what it did in {then}"
    return f"{_percent(change)} {'more' if change > 0 else 'less'} than in {then}"


def _percent(change: float) -> str:
    return f"{100 * abs(change):.{0 if abs(change) >= 0.01 else 1}f} %"
