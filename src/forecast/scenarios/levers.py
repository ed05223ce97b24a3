"""Levers: one planned change each, read from plain data and checked by the fields of its kind; every message names the lever and the field.

A lever acts on the days [from, until), by default the plan's. With a ramp its effect grows to its full size over `ramp_days` (by default all of its
days): "linear" in equal daily parts, "s_curve" slowly, fast, slowly; with "step" it is full from the first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.kinds import KINDS, Kind
from forecast.scenarios.uncertain import Uncertain
from forecast.scenarios.values import Value, read_day, read_scope, read_title, read_value, shown
from forecast.spend.periods import Period
from forecast.spend.scope import Scope

STEP, LINEAR, S_CURVE = "step", "linear", "s_curve"
RAMPS = (STEP, LINEAR, S_CURVE)

COMMON = ("type", "name", "scope", "from", "until", "ramp", "ramp_days")
"""Fields of every lever; kinds without a scope of their own have no `scope`."""
MOST_DAYS_BEFORE = 3660
"""Days that a lever may begin before the plan, whose ramp or growth has run on since."""


@dataclass(frozen=True)
class Lever:
    """One checked lever. start, end : the days [start, end) on which it acts. values : the fields of its kind that were given or have a default.

    key : what its draws hang on: the same lever draws the same in every plan.
    """

    type: str
    scope: Scope
    start: date
    end: date
    ramp: str = STEP
    ramp_days: int | None = None
    values: Mapping[str, Value] = field(default_factory=dict)
    name: str = ""
    key: str = ""

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def share(self) -> float:
        """That moves, as expected."""
        return self.expected("share")

    @property
    def to(self) -> Scope | None:
        """Where spend moves to, of levers that move it."""
        value = self.values.get("to")
        return value if isinstance(value, Scope) else None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.type

    def acts(self, days: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """(n_days,) whether the lever acts on a day."""
        return np.asarray((days >= np.datetime64(self.start, "D")) & (days < np.datetime64(self.end, "D")))

    def strength(self, days: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """(n_days,) how much of its full effect the lever has on each day, 0 to 1."""
        acts = self.acts(days)
        if self.ramp == STEP:
            return acts.astype(np.float64)
        length = self.ramp_days or (self.end - self.start).days
        reached = np.clip(((days - np.datetime64(self.start, "D")).astype(np.int64) + 1) / length, 0.0, 1.0)
        return np.where(acts, reached * reached * (3.0 - 2.0 * reached) if self.ramp == S_CURVE else reached, 0.0)

    def expected(self, name: str, default: float = 0.0) -> float:
        """A number field as expected, whatever its range."""
        value = self.values.get(name, default)
        if isinstance(value, Uncertain):
            return value.expected
        return float(value) if isinstance(value, int | float) else default

    @property
    def is_certain(self) -> bool:
        return not any(isinstance(value, Uncertain) for value in self.values.values())

    def as_dict(self) -> dict[str, Any]:
        """The lever as it would be written in a plan, defaults filled in."""
        found: dict[str, Any] = {"type": self.type}
        if self.kind.scoped:
            found["scope"] = str(self.scope)
        found |= {"from": self.start.isoformat(), "until": self.end.isoformat(), "ramp": self.ramp}
        if self.name:
            found["name"] = self.name
        if self.ramp_days is not None:
            found["ramp_days"] = self.ramp_days
        return {**found, **{name: _plain(value) for name, value in self.values.items()}}


def _plain(value: Value) -> Any:
    if isinstance(value, Uncertain):
        return value.as_dict()
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Scope) else value


def parse_lever(data: Any, number: int, plan: Period) -> Lever:
    """One lever of a plan; raises PlanError that names it: index, field, what was got, what is allowed."""
    where = f"levers[{number}]"
    if not isinstance(data, Mapping):
        raise PlanError(f"{where} is not a table: got {shown(data)}", field=where, got=shown(data), allowed="a table with a type")
    kind = _kind(data.get("type"), where)
    known = tuple(name for name in (*COMMON, *kind.field_names) if kind.scoped or name != "scope")
    for name in data:
        if name not in known:
            near = get_close_matches(str(name)[:80], known, n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise PlanError(
                f"{where}.{str(name)[:80]} is not a field of {kind.name}: got {shown(name)}{hint}",
                field=f"{where}.{str(name)[:80]}",
                got=shown(name) if not isinstance(name, str) else name,
                allowed=", ".join(known),
            )
    start, end = read_day(data.get("from"), f"{where}.from", plan.start), read_day(data.get("until"), f"{where}.until", plan.end)
    if start >= plan.end or end <= plan.start:
        dates = f"from {start}" if data.get("until") is None else f"until {end}" if data.get("from") is None else f"from {start} until {end}"
        raise PlanError(
            f"{where} acts {dates}, which is outside the plan's days {plan}",
            field=f"{where}.from" if start >= plan.end else f"{where}.until",
            got=str(start if start >= plan.end else end),
            allowed=f"days that touch {plan}",
        )
    if end <= start:
        raise PlanError(
            f"{where}: dates are reversed or empty: from {start}, until {end} (exclusive)",
            field=f"{where}.until",
            got=str(end),
            allowed=f"a day after {start}",
        )
    if (plan.start - start).days > MOST_DAYS_BEFORE:
        raise PlanError(
            f"{where}.from: {start} is more than {MOST_DAYS_BEFORE} days before the plan begins on {plan.start}",
            field=f"{where}.from",
            got=str(start),
            allowed=f"at most {MOST_DAYS_BEFORE} days before {plan.start}",
        )
    ramp, ramp_days = _ramp(data, where)
    name = read_title(data.get("name"), f"{where}.name")
    scope = read_scope(data.get("scope"), f"{where}.scope")
    values = _values(kind, data, where)
    return Lever(kind.name, scope, start, end, ramp, ramp_days, values, name, f"{kind.name}|{name or f'{scope}|{start}'}")


def _kind(name: Any, where: str) -> Kind:
    if isinstance(name, str) and name in KINDS:
        return KINDS[name]
    near = get_close_matches(name[:80], list(KINDS), n=1) if isinstance(name, str) else []
    hint = f"; nearest: {near[0]}" if near else ""
    raise PlanError(f"{where}.type is not one that is known: got {shown(name)}{hint}", field=f"{where}.type", got=name, allowed=", ".join(KINDS))


def _ramp(data: Mapping[str, Any], where: str) -> tuple[str, int | None]:
    ramp = data.get("ramp", STEP)
    if ramp not in RAMPS:
        raise PlanError(f"{where}.ramp is not one that is known: got {shown(ramp)}", field=f"{where}.ramp", got=ramp, allowed=", ".join(RAMPS))
    days = data.get("ramp_days")
    if days is not None and (isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 3660 or ramp == STEP):
        raise PlanError(
            f"{where}.ramp_days: got {shown(days)} with ramp {ramp}",
            field=f"{where}.ramp_days",
            got=days,
            allowed="1 to 3660 whole days, with ramp linear or s_curve",
        )
    return str(ramp), days


def _values(kind: Kind, data: Mapping[str, Any], where: str) -> dict[str, Value]:
    """The kind's own fields, read and checked; what was not given and has no default is left out."""
    given = {field.name: read_value(field, data[field.name], f"{where}.{field.name}") for field in kind.fields if data.get(field.name) is not None}
    way = _way(kind, given, where)
    for about in kind.fields:
        if about.name in given:
            continue
        if about.needed or (about.name in way and about.default is None):
            allowed = f"{about.name}: {about.meaning or about.type}"
            raise PlanError(f"{where}.{about.name}: got nothing, allowed is {allowed}", field=f"{where}.{about.name}", got=None, allowed=allowed)
    out_of_place = {name for other in kind.ways for name in other} - set(way)
    defaults = {about.name: about.default for about in kind.fields if about.default is not None and about.name not in out_of_place}
    known: dict[str, Value] = {**defaults, **given}
    return {name: known[name] for name in kind.field_names if name in known}


def _way(kind: Kind, given: Mapping[str, Value], where: str) -> tuple[str, ...]:
    """The one of the kind's ways that was taken."""
    if not kind.ways:
        return ()
    of_ways = {name for way in kind.ways for name in way}
    used = {name for name in of_ways if name in given and given[name] is not False}
    allowed = "; or ".join(" with ".join(way) for way in kind.ways)
    if not used:
        raise PlanError(
            f"{where}.{kind.ways[0][0]}: got nothing, allowed is {allowed}", field=f"{where}.{kind.ways[0][0]}", got=None, allowed=allowed
        )
    holding = [way for way in kind.ways if used <= set(way)]
    if not holding:
        meant = max(kind.ways, key=lambda way: len(used & set(way)))
        extra = next(name for name in kind.field_names if name in used and name not in meant)
        beside = [name for name in meant if name in used]
        against = [name for name in beside if not any({name, extra} <= set(way) for way in kind.ways)] or beside
        raise PlanError(
            f"{where}.{extra}: got it together with {', '.join(against)}, allowed is {allowed}", field=f"{where}.{extra}", got=extra, allowed=allowed
        )
    return min(holding, key=lambda way: len(set(way) - used))
