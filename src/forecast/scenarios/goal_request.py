"""What a goal asks: which number of which lever may move between which bounds, and what is wanted of which figure. From data or a line of text.

traffic.factor 1..5 while overrun(search-q1) <= 20%
commitment.a_day 0..8000 minimise mean
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from forecast.errors import PlanError
from forecast.scenarios.goal import POINTS, check_range
from forecast.scenarios.kinds import AMOUNT, COUNT, DAYS, FACTOR, KINDS, Field
from forecast.scenarios.values import LONGEST_TEXT, is_finite, shown

AT_MOST, AT_LEAST, BELOW, ABOVE, MINIMISE, MAXIMISE = "at_most", "at_least", "below", "above", "minimise", "maximise"
AIMS = (AT_MOST, AT_LEAST, BELOW, ABOVE, MINIMISE, MAXIMISE)
_SIGNS = {"<=": AT_MOST, ">=": AT_LEAST, "<": BELOW, ">": ABOVE}
_OPPOSITE = {AT_MOST: ABOVE, AT_LEAST: BELOW, BELOW: AT_LEAST, ABOVE: AT_MOST}

OF_BUDGET = {"overrun_probability": "overrun_probability_after", "expected_overrun": "expected_overrun_after"}
"""Figures of one budget, and what what-if answers call them once the plan acts."""
OF_PLAN = ("mean", "p10", "p50", "p90", "delta.mean", "delta.p10", "delta.p50", "delta.p90", "probability_cheaper")
"""Figures of the plan's scope and days: the scenario's total, its difference from the baseline, and how surely it is cheaper."""
FIGURES = (*OF_PLAN, *OF_BUDGET)
FIELDS = ("lever", "field", "low", "high", "figure", "budget", "aim", "limit", "points")

LONGEST_GOAL = 1_000
_NUMBER = r"[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_FIGURE = r"(?P<{0}>[a-z_][\w.]*)\s*(?:\(\s*(?P<{0}_budget>[^()]*?)\s*\))?"
_TEXT = re.compile(
    rf"^\s*(?P<lever>.+?)\.(?P<field>[a-z_]+)\s+(?:from\s+)?(?P<low>{_NUMBER})\s*(?:\.\.|to\b)\s*(?P<high>{_NUMBER})\s+"
    rf"(?:(?P<word>while|until)\s+{_FIGURE.format('figure')}\s*(?P<sign><=|>=|<|>)\s*(?P<limit>{_NUMBER})\s*(?P<percent>%?)"
    rf"|(?P<aim>minimi[sz]e|maximi[sz]e)\s+{_FIGURE.format('best')})\s*$"
)
_FORM = "LEVER.FIELD LOW..HIGH while FIGURE <= LIMIT, or LEVER.FIELD LOW..HIGH minimise FIGURE"


@dataclass(frozen=True)
class Goal:
    """`aim` of `figure` over the values [low, high] of a lever's field.

    lever : its number in the plan, its name, or its type where only one lever has it. budget : id, for figures of a budget.
    limit : what the figure is held against, None where it is minimised or maximised. points : values of the grid that is looked at first.
    """

    lever: int | str
    field: str
    low: float
    high: float
    figure: str
    aim: str
    limit: float | None = None
    budget: str | None = None
    points: int = POINTS

    @property
    def is_search(self) -> bool:
        """Whether the best value is sought, and not how far a condition holds."""
        return self.aim in {MINIMISE, MAXIMISE}

    def holds(self, figure: float) -> bool:
        """Whether the condition holds."""
        limit = 0.0 if self.limit is None else self.limit
        return {AT_MOST: figure <= limit, AT_LEAST: figure >= limit, BELOW: figure < limit, ABOVE: figure > limit}[self.aim]

    def describe(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}


def read_goal(data: Any) -> Goal:
    """A goal from plain data; PlanError names the field (`goal.low`), what was got and what is allowed."""
    if not isinstance(data, Mapping):
        raise PlanError(f"goal is not a table: got {type(data).__name__}", field="goal", got=type(data).__name__, allowed=", ".join(FIELDS))
    for name in data:
        if name not in FIELDS:
            near = get_close_matches(str(name)[:80], FIELDS, n=1)
            raise PlanError(
                f"goal has no field {shown(name)}{f'; nearest: {near[0]}' if near else ''}",
                field=f"goal.{str(name)[:80]}",
                got=shown(name),
                allowed=", ".join(FIELDS),
            )
    for name, value in data.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            told = f"goal.{name} has {len(value)} characters"
            raise PlanError(told, field=f"goal.{name}", got=len(value), allowed=f"at most {LONGEST_TEXT} characters")
    lever = data.get("lever")
    if isinstance(lever, bool) or not isinstance(lever, int | str) or lever == "":
        raise PlanError(
            f"goal.lever: got {shown(lever)}", field="goal.lever", got=shown(lever), allowed="a lever's number from 0 on, its name or its type"
        )
    values: dict[str, str] = {}
    for name, allowed in (("field", "a field of the lever that is a number"), ("figure", ", ".join(FIGURES)), ("aim", ", ".join(AIMS))):
        got = data.get(name)
        if not isinstance(got, str) or (name != "field" and got not in (FIGURES if name == "figure" else AIMS)):
            near = get_close_matches(got[:80], FIGURES if name == "figure" else AIMS, n=1) if name != "field" and isinstance(got, str) else []
            hint = f"; nearest: {near[0]}" if near else ""
            raise PlanError(f"goal.{name}: got {shown(got)}{hint}", field=f"goal.{name}", got=shown(got), allowed=allowed)
        values[name] = got
    points = data.get("points", POINTS)
    low: Any = data.get("low")
    high: Any = data.get("high")
    check_range(low, high, points)
    figure, aim, budget = values["figure"], values["aim"], data.get("budget")
    limit: Any = data.get("limit")
    budget = None if budget == "" else budget
    if not (isinstance(budget, str) if figure in OF_BUDGET else budget is None):
        allowed = "the id of a budget" if figure in OF_BUDGET else f"no budget, or one of {', '.join(OF_BUDGET)} as figure"
        raise PlanError(f"goal.budget: got {shown(budget)} with figure {figure}", field="goal.budget", got=shown(budget), allowed=allowed)
    if aim in {MINIMISE, MAXIMISE}:
        if limit is not None:
            raise PlanError(
                f"goal.limit: got {shown(limit)} with aim {aim}", field="goal.limit", got=shown(limit), allowed="no limit, or another aim"
            )
    else:
        is_share = figure in {"overrun_probability", "probability_cheaper"}
        if not is_finite(limit) or (is_share and not 0 <= limit <= 1):
            allowed = "a probability from 0 to 1" if is_share else "a finite number"
            raise PlanError(f"goal.limit: got {shown(limit)} with figure {figure}", field="goal.limit", got=shown(limit), allowed=allowed)
    return Goal(lever, values["field"], float(low), float(high), figure, aim, None if limit is None else float(limit), budget, points)


def parse_goal(text: str) -> Goal:
    """A goal from a line such as `traffic.factor 1..5 while overrun(search-q1) <= 20%`; PlanError where it is none."""
    # Before matching, and not after: the time that a search for a form takes grows with the square of the text.
    found = _TEXT.match(text) if len(text) <= LONGEST_GOAL else None
    if found is None:
        raise PlanError(f"goal is not one that can be read: got {shown(text)}", field="goal", got=text[:200], allowed=_FORM)
    number = re.fullmatch(r"(?:levers)?\[?(\d+)\]?", found["lever"])
    data: dict[str, Any] = {
        "lever": int(number[1]) if number else found["lever"],
        "field": found["field"],
        "low": float(found["low"]),
        "high": float(found["high"]),
    }
    if found["aim"] is not None:
        figure, budget, data["aim"] = found["best"], found["best_budget"], found["aim"].replace("z", "s")
    else:
        figure, budget, sign = found["figure"], found["figure_budget"], _SIGNS[found["sign"]]
        data["aim"] = sign if found["word"] == "while" else _OPPOSITE[sign]
        data["limit"] = float(found["limit"]) / (100.0 if found["percent"] else 1.0)
    figure = figure.removeprefix("scenario.")
    return read_goal({**data, "figure": "overrun_probability" if figure == "overrun" else figure, "budget": budget or None})


def lever_number(levers: Sequence[Mapping[str, Any]], wanted: int | str) -> int:
    """Which lever of a plan is meant: by its number, its name, or its type; PlanError names what there is."""
    names = [str(lever.get("name") or "") for lever in levers]
    types = [str(lever.get("type") or "") for lever in levers]
    if isinstance(wanted, int):
        if 0 <= wanted < len(levers):
            return wanted
        allowed = f"0 to {len(levers) - 1}" if levers else "a plan with levers"
        raise PlanError(f"goal.lever: the plan has no lever {wanted}", field="goal.lever", got=wanted, allowed=allowed)
    for known in (names, types):
        if known.count(wanted) == 1:
            return known.index(wanted)
        if wanted and known.count(wanted) > 1:
            raise PlanError(
                f"goal.lever: {wanted!r} is what {known.count(wanted)} levers are called",
                field="goal.lever",
                got=wanted,
                allowed="the number of one of them: " + ", ".join(str(number) for number, name in enumerate(known) if name == wanted),
            )
    candidates = [name for name in dict.fromkeys([*names, *types]) if name]
    near = get_close_matches(wanted, candidates, n=1)
    raise PlanError(
        f"goal.lever: no lever is called {wanted!r}{f'; nearest: {near[0]}' if near else ''}",
        field="goal.lever",
        got=wanted,
        allowed=", ".join(candidates) or "a plan with levers",
    )


def goal_field(lever: Mapping[str, Any], goal: Goal) -> Field:
    """The field that moves; PlanError where the lever's kind has none of that name, where it is no number, and for bounds beyond it."""
    kind = KINDS.get(str(lever.get("type")))
    numbers = [] if kind is None else [field.name for field in kind.fields if field.is_number]
    if kind is None or goal.field not in numbers:
        near = get_close_matches(goal.field, numbers, n=1)
        what = "is not a number of" if kind is not None and goal.field in kind.field_names else "is not a field of"
        raise PlanError(
            f"goal.field: {goal.field!r} {what} {lever.get('type')}{f'; nearest: {near[0]}' if near else ''}",
            field="goal.field",
            got=goal.field,
            allowed=", ".join(numbers) or "a lever with numbers",
        )
    found = kind.field(goal.field)
    for name, value in (("low", goal.low), ("high", goal.high)):
        if not found.least <= value <= found.most:
            raise PlanError(
                f"goal.{name}: {goal.field} cannot be {value:g}", field=f"goal.{name}", got=value, allowed=f"{found.least:g} to {found.most:g}"
            )
    return found


def is_whole(field: Field) -> bool:
    """Whether only whole numbers make sense."""
    return field.type in {COUNT, DAYS}


def plan_with(plan: Mapping[str, Any], number: int, field: Field, value: float) -> dict[str, Any]:
    """The plan with another value of a lever's field. A field that is a range keeps its width: in proportion for factors and amounts."""
    levers = [dict(lever) for lever in plan["levers"]]
    now = levers[number].get(field.name)
    new: Any = int(value) if is_whole(field) else value
    if isinstance(now, Mapping):
        old = {name: float(now[name]) for name in ("expected", "low", "high") if isinstance(now.get(name), int | float)}
        expected = old.get("expected", 0.0)
        grows = field.type in {FACTOR, AMOUNT} and expected != 0
        moved = {name: amount * value / expected if grows else amount + value - expected for name, amount in old.items()}
        new = {**now, **{name: min(max(amount, field.least), field.most) for name, amount in moved.items()}, "expected": value}
    levers[number][field.name] = new
    return {**plan, "levers": levers}
