"""Incidents put into a bill, and their truth: what went wrong, where, from when to when, and what it cost to the cent.

Incidents are applied one after the other to the finished bill, those of use first, then faults of the bill; the excess of each is
the difference that it makes at its turn. So they add up to the difference between the two bills, also where they overlap. Nothing
else follows from them: taxes, credits and commitments are those of the company without incidents.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.incident_kinds import BILLING, RECENT_DAYS, Draft
from forecast.company.lines import ChargeLines, money
from forecast.company.lookalikes import MOVES, renamed, token_of
from forecast.company.organisation import Organisation
from forecast.company.span import Floats, Integers, Span
from forecast.company.stretch import Streams
from forecast.company.token_meters import METERS as TOKEN_METERS
from forecast.spend.dimensions import LEAF_DIMENSIONS, UNKNOWN

INCIDENT_COLUMNS = ("id", "kind", "scope", "start", "end", "daily_excess", "total_excess", "resources", "multiple", "subtle")
INPUT_METERS = ("Input Tokens", "Cached Input Tokens")
_TYPES: dict[str, str] = {
    "start": "datetime64[us]",
    "end": "datetime64[us]",
    "daily_excess": "object",
    "total_excess": "float64",
    "resources": "int64",
    "multiple": "float64",
    "subtle": "bool",
}
TOKEN_PARTS = {
    "runaway_loop": {"Input Tokens": 0.55, "Cached Input Tokens": 0.15, "Output Tokens": 0.30},
    "leaked_key": {"Input Tokens": 0.35, "Output Tokens": 0.65},
}


@dataclass(frozen=True, eq=False)
class Observed:
    """Where a reader of the bill finds each line: untagged resources are in no stage and no workload.

    table : one row a place, columns LEAF_DIMENSIONS.  place : (lines,) row of each line.
    """

    table: pd.DataFrame
    place: Integers

    @classmethod
    def of(cls, lines: ChargeLines, organisation: Organisation) -> Observed:
        tagged = lines.attributes["tags"].notna().to_numpy(dtype=np.bool_)
        code, place = np.unique(lines.attributes["leaf"].to_numpy(dtype=np.int64) * 2 + tagged, return_inverse=True)
        rows = []
        for leaf, is_tagged in zip(code // 2, code % 2, strict=True):
            values = {name: value or UNKNOWN for name, value in organisation.leaves[leaf].scope().items()}
            rows.append(tuple(values[name] if is_tagged or name not in ("stage", "workload") else UNKNOWN for name in LEAF_DIMENSIONS))
        # Untagged resources of two leaves of a team are in one place.
        numbers = {values: number for number, values in enumerate(dict.fromkeys(rows))}
        return cls(pd.DataFrame(list(numbers), columns=list(LEAF_DIMENSIONS)), np.array([numbers[values] for values in rows], dtype=np.int64)[place])


@dataclass(frozen=True, eq=False)
class Struck:
    """lines : with the incidents. truth : columns INCIDENT_COLUMNS. excess : (days, places of `Observed`) USD that they add."""

    lines: ChargeLines
    truth: pd.DataFrame
    excess: Floats


@dataclass(eq=False)
class _Part:
    """Lines over some days, to be changed in place. hours : (lines,) number of the line whose rhythm within the day each has."""

    attributes: pd.DataFrame
    place: Integers
    first_day: int
    quantity: Floats
    list_price: Floats
    contracted_price: Floats
    hours: Integers

    @cached_property
    def leaf(self) -> Integers:
        return self.attributes["leaf"].to_numpy(dtype=np.int64)

    @cached_property
    def effective(self) -> Floats:
        return self.attributes["effective"].to_numpy(dtype=np.float64)

    @cached_property
    def meter(self) -> npt.NDArray[np.object_]:
        return self.attributes["sku_meter"].to_numpy(dtype=object)

    def days(self, first_day: int, end_day: int) -> slice:
        """Its rows for these days; empty where it has none of them."""
        low, high = (min(max(day - self.first_day, 0), len(self.quantity)) for day in (first_day, end_day))
        return slice(low, high)

    def cost(self, days: slice, columns: Integers) -> Floats:
        return money(money(self.quantity[days, columns] * self.contracted_price[days, columns]) * self.effective[columns])


class _Bill:
    """A bill while incidents are put into it: the base lines and what was added."""

    def __init__(self, lines: ChargeLines, cost: Floats, observed: Observed, room: int) -> None:
        """room : so many lines will be added, about; with room for them from the beginning, large arrays are copied once."""
        self.base, self.cost, self.observed = lines, cost, observed
        n = len(lines.attributes)
        self.arrays = [np.empty((len(lines.quantity), n + room)) for _ in range(3)]
        for array, given in zip(self.arrays, (lines.quantity, lines.list_price, lines.contracted_price), strict=True):
            array[:, :n] = given
        quantity, list_price, contracted_price = (array[:, :n] for array in self.arrays)
        self.parts = [_Part(lines.attributes, observed.place, 0, quantity, list_price, contracted_price, np.arange(n))]
        self.count = len(lines.attributes)
        self.days = len(lines.quantity)
        self.begin(0, 0)

    def begin(self, first_day: int, end_day: int) -> None:
        """From now on changes are those of an incident on these days."""
        self.first_day, self.end_day = first_day, min(end_day, self.days)
        self.excess = np.zeros((max(self.end_day - first_day, 0), len(self.observed.table)))
        self.resources: set[object] = set()

    def add(self, columns: Integers, quantity: Floats, *, part: _Part | None = None, attributes: pd.DataFrame | None = None) -> None:
        """New lines like some of a part (of the base), with these quantities on the incident's days."""
        source = part or self.parts[0]
        days = source.days(self.first_day, self.end_day)
        given = source.attributes.iloc[columns] if attributes is None else attributes
        hours = np.arange(self.count, self.count + len(columns)) if attributes is not None else source.hours[columns]
        prices = (source.list_price[days, columns], source.contracted_price[days, columns])
        new = _Part(given, source.place[columns], source.first_day + days.start, quantity, *prices, hours)
        self.parts.append(new)
        self.count += len(columns)
        everything = np.arange(len(columns))
        self._record(new, everything, new.cost(slice(0, len(quantity)), everything), new.first_day)

    def change(self, leaves: Integers, factor: Floats, what: str = "quantity", only: Sequence[str] = ()) -> None:
        """Multiply quantities or prices of leaves (of some of their meters) with factor, (days,)."""
        for part in list(self.parts):
            days = part.days(self.first_day, self.end_day)
            chosen = np.isin(part.leaf, leaves)
            chosen[chosen] = part.quantity[days, chosen].any(axis=0)
            if only:
                chosen &= np.isin(part.meter, list(only))
            columns = np.flatnonzero(chosen)
            if not len(columns):
                continue
            before = part.cost(days, columns)
            offset = part.first_day + days.start - self.first_day
            by = factor[offset : offset + days.stop - days.start, None]
            if what == "price":
                part.list_price[days, columns] = money(part.list_price[days, columns] * by)
                part.contracted_price[days, columns] = money(part.contracted_price[days, columns] * by)
            else:
                whole = part.attributes["whole"].to_numpy(dtype=np.bool_)[columns]
                wanted = part.quantity[days, columns] * by
                part.quantity[days, columns] = np.where(whole, np.round(wanted), np.round(wanted, 2))
            self._record(part, columns, part.cost(days, columns) - before, part.first_day + days.start)

    def duplicate(self, leaves: Integers) -> None:
        """Every row of leaves a second time."""
        for part in list(self.parts):
            days = part.days(self.first_day, self.end_day)
            columns = np.flatnonzero(np.isin(part.leaf, leaves))
            columns = columns[part.quantity[days, columns].any(axis=0)]
            if len(columns):
                self.add(columns, part.quantity[days, columns].copy(), part=part)

    def raise_quantity(self, columns: Integers, by: Floats) -> None:
        """More of some base lines on the incident's days."""
        part, days = self.parts[0], slice(self.first_day, self.end_day)
        before = part.cost(days, columns)
        part.quantity[days, columns] += by
        self._record(part, columns, part.cost(days, columns) - before, self.first_day)

    def scope(self) -> dict[str, str]:
        """The smallest set of leaf dimensions that contains what the incident changed."""
        changed = self.observed.table[np.abs(self.excess).max(axis=0, initial=0.0) > 0.0]
        values = {name: changed[name].unique() for name in LEAF_DIMENSIONS}
        return {name: str(one[0]) for name, one in values.items() if len(one) == 1}

    def cost_of(self, scope: dict[str, str]) -> float:
        """USD of a scope on the incident's days."""
        inside = np.logical_and.reduce([self.observed.table[name] == value for name, value in scope.items()], initial=True)
        inside = np.broadcast_to(inside, (len(self.observed.table),))
        return sum(float(part.cost(part.days(self.first_day, self.end_day), np.flatnonzero(inside[part.place])).sum()) for part in self.parts)

    def finished(self) -> ChargeLines:
        """All lines. The attribute `hours` says whose rhythm within the day a line has, `planted` whether an incident added it."""
        attributes = pd.concat([part.attributes for part in self.parts], ignore_index=True)
        missing = self.count - self.arrays[0].shape[1]
        if missing > 0:
            self.arrays = [np.pad(array, ((0, 0), (0, missing))) for array in self.arrays]
        end = len(self.base.attributes)
        for part in self.parts[1:]:
            begin, end = end, end + len(part.attributes)
            for array, values in zip(self.arrays, (part.quantity, part.list_price, part.contracted_price), strict=True):
                array[:, begin:end] = 0.0
                array[part.first_day : part.first_day + len(values), begin:end] = values
        hours = np.concatenate([part.hours for part in self.parts])
        planted = np.arange(len(attributes)) >= len(self.base.attributes)
        return ChargeLines(attributes.assign(hours=hours, planted=planted), *(array[:, :end] for array in self.arrays))

    def _record(self, part: _Part, columns: Integers, difference: Floats, first_day: int) -> None:
        rows = np.arange(first_day - self.first_day, first_day - self.first_day + len(difference))
        np.add.at(self.excess, (rows[:, None], part.place[columns][None, :]), difference)
        touched = columns[np.abs(difference).max(axis=0, initial=0.0) > 0.0]
        self.resources.update(part.attributes["resource_id"].iloc[touched].dropna().tolist())


def strike(lines: ChargeLines, cost: Floats, drafts: Sequence[Draft], observed: Observed, streams: Streams, span: Span) -> Struck:
    """Put incidents into a bill. cost : (days, lines) EffectiveCost of `lines`. An incident that changes nothing is none."""
    drafts = sorted(drafts, key=lambda draft: (draft.kind in BILLING, draft.number))
    bill = _Bill(lines, cost, observed, _room(lines, drafts))
    excess = np.zeros((span.days, len(observed.table)))
    rows: list[tuple[object, ...]] = []
    for draft in drafts:
        bill.begin(draft.first_day, draft.end_day)
        _apply(bill, draft, streams.of(*draft.name, "details"))
        daily = bill.excess.sum(axis=1)
        if not np.abs(bill.excess).max(initial=0.0) > 0.0:
            continue
        excess[bill.first_day : bill.end_day] += bill.excess
        scope = bill.scope()
        total = float(daily.sum())
        with_it = bill.cost_of(scope)
        without = with_it - total
        rows.append(
            (
                f"incident-{draft.number:02d}",
                draft.kind,
                json.dumps(scope, sort_keys=True),
                span.at(bill.first_day),
                span.at(bill.end_day),
                tuple(round(float(value), 6) for value in daily),
                round(total, 6),
                len(bill.resources),
                round(with_it / without, 4) if abs(without) > 1e-6 else float("inf"),
                draft.subtle,
            )
        )
    if not rows:
        return Struck(lines, no_incidents(), excess)
    frame = pd.DataFrame(rows, columns=list(INCIDENT_COLUMNS)).astype(_TYPES)
    return Struck(bill.finished(), frame.sort_values(["start", "id"], ignore_index=True), excess)


def no_incidents() -> pd.DataFrame:
    """The truth of a company without incidents: no rows, the same columns and types."""
    empty = pd.DataFrame({name: pd.Series(dtype="str") for name in INCIDENT_COLUMNS})
    return empty.astype(_TYPES)


def daily_cost(cost: Floats, excess: Floats, observed: Observed, span: Span) -> pd.DataFrame:
    """Columns LEAF_DIMENSIONS, ds, cost, cost_without_incidents (USD); days on which neither is anything have no row.

    cost : (days, lines) without incidents. excess : (days, places).
    """
    order = np.argsort(observed.place, kind="stable")
    starts = np.searchsorted(observed.place[order], np.arange(len(observed.table)))
    without = np.round(np.add.reduceat(cost[:, order], starts, axis=1), 10)
    with_them = np.round(without + excess, 10)
    day, place = np.nonzero((without != 0.0) | (with_them != 0.0))
    columns: dict[str, object] = {}
    for name in LEAF_DIMENSIONS:
        codes, values = pd.factorize(observed.table[name], sort=True)
        columns[name] = pd.Categorical.from_codes(codes[place], categories=values)
    columns["ds"] = span.dates.astype("datetime64[us]")[day]
    return pd.DataFrame(columns | {"cost": with_them[day, place], "cost_without_incidents": without[day, place]})


def _room(lines: ChargeLines, drafts: Sequence[Draft]) -> int:
    """How many lines incidents add, but for those that double what other incidents added."""
    leaf = lines.attributes["leaf"].to_numpy(dtype=np.int64)
    return sum(int(np.isin(leaf, one.leaves).sum()) if one.kind == "double_billing" else one.keys * len(TOKEN_METERS) for one in drafts)


def _apply(bill: _Bill, draft: Draft, rng: np.random.Generator) -> None:
    """What a draft does to a bill, on the days that the bill has."""
    kind, days = draft.kind, bill.end_day - bill.first_day
    added, factor = draft.added[:days], draft.factor[:days]
    if kind in TOKEN_PARTS:
        _add_tokens(bill, draft, added, rng)
    elif kind == "forgotten_cluster":
        line = _dearest(bill, int(draft.leaves[0]))
        hourly = bill.base.contracted_price[bill.first_day : bill.end_day, line]
        hours = np.maximum(np.round(added / hourly), 1.0)[:, None]
        bill.add(np.array([line]), hours, attributes=_new_resources(bill, np.array([line]), np.zeros(1, dtype=np.int64), rng))
    elif kind == "retry_storm":
        share = _input_share(bill, int(draft.leaves[0]))
        if share > 0.0:
            bill.change(draft.leaves, 1.0 + (factor - 1.0) / share, only=INPUT_METERS)
    elif kind == "double_billing":
        bill.duplicate(draft.leaves)
    elif kind == "price_error":
        bill.change(draft.leaves, factor, "price")
    else:
        bill.change(draft.leaves, factor)


def _add_tokens(bill: _Bill, draft: Draft, added: Floats, rng: np.random.Generator) -> None:
    """Tokens of the AI model that each leaf uses most, at its own resource or at new ones."""
    leaves = rng.permutation(draft.leaves)
    count = max(draft.keys, 1)
    part = rng.dirichlet(np.full(count, 5.0)) if count > 1 else np.ones(1)
    meters = {int(leaf): _meters(bill, int(leaf)) for leaf in leaves}
    hits = [meters[int(leaves[number % len(leaves)])] for number in range(count)]
    hit = np.concatenate(hits)
    number = np.repeat(np.arange(count), [len(one) for one in hits])
    weight = np.array([TOKEN_PARTS[draft.kind].get(str(meter), 0.0) for meter in bill.parts[0].meter[hit]])
    weight = weight / np.bincount(number, weight)[number] * part[number]
    tokens = np.round(added[:, None] * weight / bill.base.contracted_price[bill.first_day : bill.end_day, hit])
    if not draft.keys:
        bill.raise_quantity(hit, tokens)
        return
    used = tokens.any(axis=0)
    bill.add(hit[used], tokens[:, used], attributes=_new_resources(bill, hit[used], number[used], rng))


def _new_resources(bill: _Bill, columns: Integers, number: Integers, rng: np.random.Generator) -> pd.DataFrame:
    """Lines like those in `columns` of new resources; `number` says of which each."""
    names = [(token_of(rng), bool(rng.random() < MOVES)) for _ in range(int(number.max(initial=0)) + 1)]
    return renamed(bill.base.attributes.iloc[columns], [names[one][0] for one in number], [names[one][1] for one in number])


def _meters(bill: _Bill, leaf: int) -> Integers:
    """The lines of the AI model that cost most at the resource where a leaf costs most."""
    line = _dearest(bill, leaf)
    own = np.flatnonzero(bill.parts[0].leaf == leaf)
    kind = bill.base.attributes[["resource_id", "ai_model"]].iloc[own]
    same = kind == bill.base.attributes[["resource_id", "ai_model"]].iloc[line]
    return own[same.all(axis=1).to_numpy(dtype=np.bool_)]


def _dearest(bill: _Bill, leaf: int) -> int:
    """The line that cost most in the recent days, the last week above all: a resource may have been replaced since."""
    own = np.flatnonzero(bill.parts[0].leaf == leaf)
    own = own[(bill.base.attributes["pricing_category"].iloc[own] != "Committed").to_numpy(dtype=np.bool_)]
    recent = bill.cost[max(0, bill.first_day - RECENT_DAYS) : bill.first_day, own]
    return int(own[np.argmax(recent.sum(axis=0) + 10.0 * recent[-7:].sum(axis=0))])


def _input_share(bill: _Bill, leaf: int) -> float:
    """Part of a leaf's recent cost that is input tokens."""
    own = np.flatnonzero(bill.parts[0].leaf == leaf)
    recent = bill.cost[max(0, bill.first_day - RECENT_DAYS) : bill.first_day, own].sum(axis=0)
    whole = float(recent.sum())
    return float(recent[np.isin(bill.parts[0].meter[own], INPUT_METERS)].sum()) / whole if whole > 0.0 else 0.0
