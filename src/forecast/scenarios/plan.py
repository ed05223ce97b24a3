"""A what-if plan: the days and the scope that it is about, and its levers in the order in which they act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forecast.errors import InputError, PlanError
from forecast.scenarios.levers import Lever, parse_lever
from forecast.scenarios.plan_text import plan_of_text as plan_of_text
from forecast.scenarios.values import read_day, read_scope, read_title, shown
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Period, parse_period
from forecast.spend.scope import Scope

_FIELDS = ("name", "start", "end", "period", "scope", "levers", "compare_to")
MOST_LEVERS = 50


@dataclass(frozen=True)
class Plan:
    """`levers` act in their order on the days of `period`; answers speak of `scope`."""

    period: Period
    levers: tuple[Lever, ...] = ()
    scope: Scope = field(default_factory=Scope)
    name: str = ""


def parse_plan(data: Mapping[str, Any] | str, *, calendar: FiscalCalendar = CALENDAR_YEAR) -> Plan:
    """A plan from text (see `plan_text.py`) or plain data: `start` and `end` (or `period = "2027-Q1"`), `scope`, `[[levers]]`.

    Raises PlanError that names the lever and the field, what was got and what is allowed.
    """
    if isinstance(data, str):
        data = plan_of_text(data)
    if not isinstance(data, Mapping):
        raise PlanError(f"plan is not a table: got {type(data).__name__}", field="plan", got=type(data).__name__, allowed="start, end, levers")
    for name in data:
        if name not in _FIELDS:
            raise PlanError(f"plan has no field {shown(name)}", field=str(name)[:80], got=shown(name), allowed=", ".join(_FIELDS))
    period = _period(data, calendar)
    levers = data.get("levers", [])
    if not isinstance(levers, (list, tuple)):
        raise PlanError(f"levers is not a list: got {type(levers).__name__}", field="levers", got=type(levers).__name__, allowed="a list of tables")
    if len(levers) > MOST_LEVERS:
        raise PlanError(f"levers: got {len(levers)} of them", field="levers", got=len(levers), allowed=f"at most {MOST_LEVERS}")
    scope, name = read_scope(data.get("scope"), "scope"), read_title(data.get("name"), "name")
    _check_compared(data.get("compare_to"))
    parsed = [parse_lever(lever, number, period) for number, lever in enumerate(levers)]
    return Plan(period, tuple(_told_apart(parsed)), scope, name)


def _check_compared(value: Any) -> None:
    """Ids of saved scenarios; whether they are saved is seen when they are asked for."""
    ids = [value] if isinstance(value, str) else value
    if ids is not None and not (isinstance(ids, list | tuple) and all(isinstance(one, str) for one in ids)):
        raise PlanError(f"compare_to is no list of ids: got {shown(value)}", field="compare_to", got=shown(value), allowed="ids of saved scenarios")


def _told_apart(levers: Sequence[Lever]) -> Iterator[Lever]:
    """Levers that are alike but for their numbers draw each for itself."""
    seen: dict[str, int] = {}
    for lever in levers:
        seen[lever.key] = seen.get(lever.key, 0) + 1
        yield lever if seen[lever.key] == 1 else replace(lever, key=f"{lever.key}#{seen[lever.key]}")


def _period(data: Mapping[str, Any], calendar: FiscalCalendar) -> Period:
    try:
        if data.get("period") is not None:
            if data.get("start") is not None or data.get("end") is not None:
                raise PlanError(
                    "plan has both a period and start or end", field="period", got=shown(data["period"]), allowed="period, or start and end"
                )
            named = data["period"]
            if isinstance(named, bool) or not isinstance(named, str | int):
                raise PlanError(f"period is not text: got {shown(named)}", field="period", got=shown(named), allowed='text such as "2027-Q1"')
            return parse_period(str(named), calendar)
        for name in ("start", "end"):
            if data.get(name) is None:
                raise PlanError(f"plan has no {name}", field=name, got=None, allowed="YYYY-MM-DD")
        return Period(read_day(data["start"], "start"), read_day(data["end"], "end"))
    except PlanError:
        raise
    except InputError as error:
        raise PlanError(str(error), field=error.field, got=error.got, allowed=error.allowed) from None
