"""Levers: one planned change each, read from plain data and checked; every message names the lever and the field.

scale_usage   factor                    usage of the scope is multiplied; cost follows
change_price  factor                    prices of the scope are multiplied
move_share    to, share, price_ratio    a share of the scope's spend moves to `to`, where it costs price_ratio times as much

A lever acts on the days [from, until), by default the plan's. With `ramp = "linear"` its effect grows in equal daily parts to
its full size over `ramp_days` (by default all of its days); with "step" it is full from the first day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError, PlanError
from forecast.spend.periods import Period, parse_day
from forecast.spend.scope import Scope

SCALE_USAGE, CHANGE_PRICE, MOVE_SHARE = "scale_usage", "change_price", "move_share"
STEP, LINEAR = "step", "linear"

_COMMON = ("type", "name", "scope", "from", "until", "ramp", "ramp_days")
FIELDS: dict[str, tuple[str, ...]] = {SCALE_USAGE: ("factor",), CHANGE_PRICE: ("factor",), MOVE_SHARE: ("to", "share", "price_ratio")}
"""Lever types, and the fields of each beside the common ones."""


@dataclass(frozen=True)
class Lever:
    """One checked lever. start, end : the days [start, end) on which it acts; factor counts for scale_usage and change_price."""

    type: str
    scope: Scope
    start: date
    end: date
    ramp: str = STEP
    ramp_days: int | None = None
    factor: float = 1.0
    to: Scope | None = None
    share: float = 0.0
    price_ratio: float = 1.0
    name: str = ""

    def strength(self, days: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """(n_days,) how much of its full effect the lever has on each day, 0 to 1."""
        first, last = np.datetime64(self.start, "D"), np.datetime64(self.end, "D")
        acts = (days >= first) & (days < last)
        if self.ramp == STEP:
            return acts.astype(np.float64)
        length = self.ramp_days or (self.end - self.start).days
        return np.where(acts, np.clip(((days - first).astype(np.int64) + 1) / length, 0.0, 1.0), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """The lever as it would be written in a plan, defaults filled in."""
        found: dict[str, Any] = {
            "type": self.type,
            "scope": str(self.scope),
            "from": self.start.isoformat(),
            "until": self.end.isoformat(),
            "ramp": self.ramp,
        }
        if self.name:
            found["name"] = self.name
        if self.ramp_days is not None:
            found["ramp_days"] = self.ramp_days
        if self.type == MOVE_SHARE:
            return {**found, "to": str(self.to), "share": self.share, "price_ratio": self.price_ratio}
        return {**found, "factor": self.factor}


def parse_lever(data: Any, number: int, plan: Period) -> Lever:
    """One lever of a plan; raises PlanError that names it: index, field, what was got, what is allowed."""
    where = f"levers[{number}]"
    if not isinstance(data, Mapping):
        raise PlanError(f"{where} is not a table: got {type(data).__name__}", field=where, got=repr(data), allowed="a table with a type")
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        near = get_close_matches(str(kind), list(FIELDS), n=1)
        hint = f"; nearest: {near[0]}" if near else ""
        raise PlanError(f"{where}.type is not one that is known: got {kind!r}{hint}", field=f"{where}.type", got=kind, allowed=", ".join(FIELDS))
    known = (*_COMMON, *FIELDS[kind])
    for name in data:
        if name not in known:
            raise PlanError(f"{where}.{name} is not a field of {kind}: got {name!r}", field=f"{where}.{name}", got=name, allowed=", ".join(known))
    start, end = _day(data, "from", where, plan.start), _day(data, "until", where, plan.end)
    if end <= start:
        raise PlanError(
            f"{where}: dates are reversed or empty: from {start}, until {end} (exclusive)",
            field=f"{where}.until",
            got=str(end),
            allowed=f"a day after {start}",
        )
    if start >= plan.end or end <= plan.start:
        raise PlanError(
            f"{where} acts from {start} until {end}, which is outside the plan's days {plan}",
            field=f"{where}.from",
            got=str(start),
            allowed=f"days that touch {plan}",
        )
    ramp = data.get("ramp", STEP)
    if ramp not in (STEP, LINEAR):
        raise PlanError(f"{where}.ramp is not one that is known: got {ramp!r}", field=f"{where}.ramp", got=ramp, allowed=f"{STEP}, {LINEAR}")
    ramp_days = data.get("ramp_days")
    if ramp_days is not None and (isinstance(ramp_days, bool) or not isinstance(ramp_days, int) or ramp_days < 1 or ramp != LINEAR):
        raise PlanError(
            f"{where}.ramp_days: got {ramp_days!r} with ramp {ramp}",
            field=f"{where}.ramp_days",
            got=ramp_days,
            allowed="1 or more whole days, with ramp linear",
        )
    scope = _scope(data.get("scope"), f"{where}.scope")
    name = data.get("name", "")
    if not isinstance(name, str):
        raise PlanError(f"{where}.name is not text: got {name!r}", field=f"{where}.name", got=repr(name), allowed="text")
    if kind == MOVE_SHARE:
        to = _scope(data.get("to"), f"{where}.to")
        if to.is_company or to.as_values() is None:
            raise PlanError(
                f"{where}.to does not name one place: got {str(to)!r}", field=f"{where}.to", got=str(to), allowed="name=value pairs, one value each"
            )
        share = _number(data, "share", where, least=0.0, most=1.0)
        ratio = _number(data, "price_ratio", where, least=0.0, default=1.0)
        return Lever(kind, scope, start, end, ramp, ramp_days, to=to, share=share, price_ratio=ratio, name=name)
    return Lever(kind, scope, start, end, ramp, ramp_days, factor=_number(data, "factor", where, least=0.0), name=name)


def _scope(value: Any, field: str) -> Scope:
    if value is not None and not isinstance(value, (str, Mapping, Scope)):
        raise PlanError(f"{field} is not a filter: got {value!r}", field=field, got=repr(value), allowed="name=value[,name=a|b] or a table")
    try:
        return Scope.parse(value)
    except InputError as error:
        raise PlanError(f"{field}: {error}", field=field, got=error.got, allowed=error.allowed) from None


def _day(data: Mapping[str, Any], name: str, where: str, default: date) -> date:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, (str, date, datetime)):
        raise PlanError(f"{where}.{name} is not a day: got {value!r}", field=f"{where}.{name}", got=repr(value), allowed="YYYY-MM-DD")
    try:
        return parse_day(value, f"{where}.{name}")
    except InputError as error:
        raise PlanError(str(error), field=f"{where}.{name}", got=error.got, allowed=error.allowed) from None


def _number(data: Mapping[str, Any], name: str, where: str, *, least: float, most: float = math.inf, default: float | None = None) -> float:
    value = data.get(name, default)
    allowed = f"a number from {least:g} to {most:g}" if math.isfinite(most) else f"a finite number of at least {least:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= most:
        got = "nothing" if value is None else repr(value)
        raise PlanError(
            f"{where}.{name}: got {got}, allowed is {allowed}", field=f"{where}.{name}", got=None if value is None else str(value), allowed=allowed
        )
    return float(value)
