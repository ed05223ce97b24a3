"""Planned events as people write them: objects of JSON, and rows of a table.

An effect is `{"factor": 2.0, "low": 1.5, "high": 3.0}`, with `money` (a total) or `money_per_day` in place of `factor`. In a table it is the
column `factor`, `money` or `money_per_day` with `low` and `high`; or `effect` with a number and `effect_unit` (`usd_per_day` works too),
`effect_low`, `effect_high`; or `effect` with the word and `expected` with the number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from forecast.errors import InputError, PlanError
from forecast.spend.events import FACTOR, KINDS, MONEY, MONEY_PER_DAY, TYPES, Effect, PlannedEvent
from forecast.spend.focus_scopes import read_scope
from forecast.spend.periods import parse_day

FIELDS = ("name", "type", "start", "end", "scope", "effect", "ramp_days", "announced", "currency")
"""Members of an event as an object; its id stands beside it."""

ALIASES = {"promotion": "campaign", "price": "price_change", "model_switch": "migration", "shutdown": "freeze", "team": "other", "": "other"}
"""Words that calendars use, and the type that they mean."""

_LOW = ("low", "p10", "effect_low")
_HIGH = ("high", "p90", "effect_high")
_EXPECTED = ("expected", "p50", "value", "size", "effect_expected", "amount")
_UNIT = ("effect_unit", "unit", "kind", "effect_kind", "effect_type")
COLUMNS = frozenset((*FIELDS, "id", *KINDS, *_LOW, *_HIGH, *_EXPECTED, *_UNIT))
NEEDED = ("name", "start")
_PER_DAY = re.compile(r"(?:money|[a-z]{3})_(?:per|a)_day")


@dataclass(frozen=True)
class EventTable:
    """Events of a table. rows : the row of each, from 1. ignored : columns that say nothing about events."""

    events: tuple[PlannedEvent, ...]
    rows: tuple[int, ...]
    ignored: tuple[str, ...]


def parse_event(event_id: str, data: Mapping[str, Any], *, today: date) -> PlannedEvent:
    """An event from an object with the members of `FIELDS`; today : the day it is entered, when it was announced unless it says so.

    Raises PlanError and InputError that name the member.
    """
    for name in data:
        if name not in FIELDS:
            raise PlanError(f"Event {event_id}: {name} is not a member of an event", field=str(name), got=str(name), allowed=", ".join(FIELDS))
    if data.get("start") is None:
        raise PlanError(f"Event {event_id}: start is missing", field="start", got=None, allowed="YYYY-MM-DD")
    return PlannedEvent(
        event_id,
        str(data.get("name") or event_id),
        read_type(data.get("type")),
        _day(data, "start", today),
        _day(data, "end", today) if data.get("end") is not None else None,
        read_scope(data.get("scope")),
        read_effect(data.get("effect")),
        _day(data, "announced", today),
        _whole(data.get("ramp_days") or 0),
        _currency(data.get("currency")),
    )


def read_type(value: Any) -> str:
    """One of `TYPES`; spaces and dashes count as underscores, `ALIASES` are understood, nothing is `other`."""
    text = str(value or "").strip().lower().replace(" ", "_").replace("-", "_")
    found = ALIASES.get(text, text)
    if found not in TYPES:
        raise PlanError(f"type {value!r} is not one that is known", field="type", got=str(value), allowed=", ".join(TYPES))
    return found


def read_effect(value: Any) -> Effect:
    """An effect from `{"factor": …, "low": …, "high": …}`; `money` and `money_per_day` likewise."""
    allowed = '{"factor": 2.0, "low": 1.5, "high": 3.0}, or money or money_per_day in place of factor'
    if isinstance(value, Effect):
        return value
    if not isinstance(value, Mapping):
        raise PlanError("effect is missing" if value is None else "effect is not an object", field="effect", got=str(value)[:200], allowed=allowed)
    kinds = [kind for kind in KINDS if kind in value]
    odd = [str(name) for name in value if name not in (*KINDS, "low", "high")]
    if len(kinds) != 1 or odd:
        raise PlanError("effect does not say one thing", field="effect", got=", ".join(map(str, value)), allowed=allowed)
    one_sided = [name for name in ("low", "high") if value.get(name) is None and name in value]
    if one_sided or ("low" in value) != ("high" in value):
        raise PlanError("effect: low and high are said together", field=f"effect.{'high' if 'low' in value else 'low'}", got=None, allowed="both")
    return Effect(kinds[0], value[kinds[0]], value.get("low", math.nan), value.get("high", math.nan))


def read_events(rows: Sequence[Mapping[str, Any]], *, today: date) -> EventTable:
    """Events of a table: one mapping of column to value a row. Columns in any case; empty cells and NaN say nothing.

    A row without an `id` is called after its name; names that come again (a sale each year) are called after their start too.
    Raises PlanError and InputError that name the row and the column.
    """
    cleaned = [{str(name).strip().lower(): value for name, value in row.items() if not _is_empty(value)} for row in rows]
    ignored = sorted({str(name).strip().lower() for row in rows for name in row} - COLUMNS)
    ids = _ids(cleaned)
    events = []
    seen: dict[str, int] = {}
    for number, (row, event_id) in enumerate(zip(cleaned, ids, strict=True), start=1):
        try:
            if missing := [name for name in NEEDED if name not in row]:
                raise PlanError(f"{missing[0]} is missing", field=missing[0], got=None, allowed=f"columns {', '.join(NEEDED)} and an effect")
            if event_id in seen:
                raise PlanError(f"it is the event {event_id!r} of row {seen[event_id]} again", field="id", got=event_id, allowed="an id of its own")
            seen[event_id] = number
            described = {name: row[name] for name in FIELDS if name in row and name != "effect"}
            effect, currency = _effect_of_row(row)
            events.append(parse_event(event_id, {**({} if currency is None else {"currency": currency}), **described, "effect": effect}, today=today))
        except InputError as error:
            raise PlanError(f"row {number}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    return EventTable(tuple(events), tuple(range(1, len(events) + 1)), tuple(ignored))


def event_id_of(name: str) -> str:
    """`Spring sale 2027!` → `spring-sale-2027`."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")[:80] or "event"


def _ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [event_id_of(str(row.get("name", ""))) for row in rows]
    return [
        str(row["id"]).strip() if "id" in row else f"{name}-{str(row.get('start', ''))[:10]}" if names.count(name) > 1 else name
        for row, name in zip(rows, names, strict=True)
    ]


def _effect_of_row(row: Mapping[str, Any]) -> tuple[Effect, str | None]:
    """The effect, and the currency that its unit names."""
    said = row.get("effect")
    if isinstance(said, str) and said.strip().startswith("{"):
        try:
            return read_effect(json.loads(said)), None
        except ValueError as error:
            raise PlanError(f"effect is not JSON: {error}", field="effect", got=said[:200], allowed='{"factor": 2.0}') from None
    if isinstance(said, Mapping):
        return read_effect(said), None
    unit = next((str(row[name]).strip().lower() for name in _UNIT if name in row), None)
    expected = _number_of(row, _EXPECTED)
    if isinstance(said, str) and said.strip().lower() in KINDS:
        unit = unit or said.strip().lower()
    elif said is not None:
        expected = _number("effect", said)
    own = [kind for kind in KINDS if kind in row]
    if len(own) > 1:
        raise PlanError("the effect is said twice", field=own[1], got=", ".join(own), allowed="one of them")
    if own:
        unit, expected = own[0], _number(own[0], row[own[0]])
    low, high = _number_of(row, _LOW), _number_of(row, _HIGH)
    if unit is None or (expected is None and (low is None or high is None)):
        problem = "the effect is missing" if expected is None and low is None else "the effect does not say whether it is a factor or money"
        raise PlanError(problem, field="effect", got=expected, allowed="a column factor, money or money_per_day, or effect with effect_unit")
    kind, currency = _kind(unit)
    if expected is None and low is not None and high is not None:
        expected = math.sqrt(low * high) if kind == FACTOR else (low + high) / 2.0
    if (low is None) != (high is None):
        raise PlanError("low and high are said together", field="high" if high is None else "low", got=None, allowed="both or neither")
    return Effect(kind, math.nan if expected is None else expected, math.nan if low is None else low, math.nan if high is None else high), currency


def _kind(unit: str) -> tuple[str, str | None]:
    """Kind of effect and currency of a unit such as `factor`, `usd`, `usd_per_day`."""
    plain = unit.replace(" ", "_").replace("/", "_per_").replace("__", "_")
    if plain in KINDS:
        return plain, None
    if plain in {"x", "times", "ratio", "multiplier"}:
        return FACTOR, None
    if _PER_DAY.fullmatch(plain):
        return MONEY_PER_DAY, plain[:3].upper()
    if len(plain) == 3 and plain.isalpha():
        return MONEY, plain.upper()
    raise PlanError(f"the unit {unit!r} is not one that is known", field="effect_unit", got=unit, allowed=f"{', '.join(KINDS)}, usd, usd_per_day")


def _number_of(row: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((_number(name, row[name]) for name in names if name in row), None)


def _number(name: str, value: Any) -> float:
    try:
        found = float(str(value).strip().replace(",", "") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found) or isinstance(value, bool):
        raise PlanError(f"{name} {value!r} is not a number", field=name, got=str(value)[:200], allowed="a number such as 1.5 or 25000")
    return found


def _whole(value: Any) -> int:
    number = _number("ramp_days", value)
    if number != int(number):
        raise PlanError(f"ramp_days {value!r} are not whole days", field="ramp_days", got=str(value), allowed="a whole number")
    return int(number)


def _currency(value: Any) -> str | None:
    return None if value is None else str(value).strip().upper()


def _day(data: Mapping[str, Any], name: str, default: date) -> date:
    value = data.get(name)
    if value is None:
        return default
    return parse_day(value if isinstance(value, date) else str(value), name)


def _is_empty(value: Any) -> bool:
    """Whether a cell says nothing: no text, NaN, NaT (neither equals itself)."""
    return value is None or (isinstance(value, str) and value.strip().lower() in {"", "nan", "nat", "none"}) or bool(value != value)
