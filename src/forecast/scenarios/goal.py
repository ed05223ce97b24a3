"""Bounded searches over one number of a plan: how far it may go while a condition holds, and where a figure is least.

A search looks at the whole range first (a grid), so that it can say whether the figure is monotone, and only then narrows down. Every figure
that was computed is given back: the curve. Evaluations are dear (a whole scenario each), so their number is bounded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scipy.optimize import minimize_scalar

from forecast.errors import PlanError
from forecast.scenarios.values import is_finite, shown

POINTS = 9
"""Values of the grid, both ends among them."""
MOST_POINTS = 41
MOST_STEPS = 12
"""Halvings of a bracket: a step of the grid becomes 1/4096 of itself."""
MOST_CROSSINGS = 3
"""Brackets that are narrowed down; where a figure goes up and down more often, the others stay as wide as the grid's steps."""
TOLERANCE = 1e-3
"""A bracket of this share of the range is narrow enough."""
FLAT = 1e-9
"""Changes of the figure below this share of its size are rounding."""


@dataclass(frozen=True)
class Point:
    """A value that was tried, and the figure there."""

    value: float
    figure: float


@dataclass(frozen=True)
class Reach:
    """Where in a range a condition holds.

    status : "found", "always" (the whole range) or "never". value : the last value for which it holds, going from the end of the range where it
    does; None where it never does. figure : the figure there. bracket : (value, the next that was tried, where it does not hold); None without.
    ranges : stretches of values in which it holds, as far as was seen. is_monotone : whether the figure only rises, or only falls, on the curve.
    curve : every value that was tried, in order.
    """

    status: str
    value: float | None
    figure: float | None
    bracket: tuple[float, float] | None
    ranges: tuple[tuple[float, float], ...]
    is_monotone: bool
    curve: tuple[Point, ...]


@dataclass(frozen=True)
class Optimum:
    """Where a figure is least or greatest.

    status : "inside", "at_low" or "at_high" (the best is an end of the range: it may be better beyond), or "flat" (the figure does not change).
    bracket : the values tried on both sides. is_unimodal : whether the curve has one valley (or hill); if not, another may hide.
    """

    status: str
    value: float
    figure: float
    bracket: tuple[float, float]
    is_unimodal: bool
    curve: tuple[Point, ...]


@dataclass
class _Tried:
    """The figure, computed once a value."""

    figure: Callable[[float], float]
    is_whole: bool
    known: dict[float, float] = field(default_factory=dict)

    def __call__(self, value: float) -> float:
        value = float(round(value)) if self.is_whole else float(value)
        if value not in self.known:
            found = float(self.figure(value))
            if not math.isfinite(found):
                raise PlanError(f"goal: the figure is no number at {value:g}", field="goal.figure", got=str(found), allowed="a figure that is known")
            self.known[value] = found
        return self.known[value]

    @property
    def curve(self) -> tuple[Point, ...]:
        return tuple(Point(value, self.known[value]) for value in sorted(self.known))


def furthest(
    figure: Callable[[float], float], low: float, high: float, holds: Callable[[float], bool], *, points: int = POINTS, is_whole: bool = False
) -> Reach:
    """How far a value may go in [low, high] while `holds(figure(value))`.

    is_whole : only whole numbers count. Going up from `low` where the condition holds there, down from `high` where it only holds there.
    Raises PlanError for a range or a number of points that cannot be, and where the figure is no number.
    """
    check_range(low, high, points)
    tried = _Tried(figure, is_whole)
    for value in _grid(low, high, points, is_whole):
        tried(value)
    narrow = max((high - low) * TOLERANCE, 1.0 if is_whole else 0.0)
    crossings = [(a.value, b.value) for a, b in itertools.pairwise(tried.curve) if holds(a.figure) != holds(b.figure)]
    for left, right in crossings[:MOST_CROSSINGS]:
        begins = holds(tried(left))
        for _ in range(MOST_STEPS):
            if right - left <= narrow:
                break
            middle = math.floor((left + right) / 2) if is_whole else (left + right) / 2
            left, right = (middle, right) if holds(tried(middle)) == begins else (left, middle)
    curve = tried.curve
    held = [holds(point.figure) for point in curve]
    ranges = _ranges(curve, held)
    monotone = _is_monotone(curve)
    if not ranges:
        return Reach("never", None, None, None, (), monotone, curve)
    if all(held):
        return Reach("always", curve[-1].value, curve[-1].figure, None, ranges, monotone, curve)
    # From the end where the condition holds; where it holds at neither end, the upper end of the longest stretch.
    at = {point.value: number for number, point in enumerate(curve)}
    if held[0]:
        chosen, step = at[ranges[0][1]], 1
    elif held[-1]:
        chosen, step = at[ranges[-1][0]], -1
    else:
        chosen, step = at[max(ranges, key=lambda span: span[1] - span[0])[1]], 1
    return Reach("found", curve[chosen].value, curve[chosen].figure, (curve[chosen].value, curve[chosen + step].value), ranges, monotone, curve)


def optimum(
    figure: Callable[[float], float], low: float, high: float, *, greatest: bool = False, points: int = POINTS, is_whole: bool = False
) -> Optimum:
    """The value in [low, high] at which the figure is least (or greatest): the best of a grid, then a search between its neighbours.

    Raises PlanError as `furthest` does.
    """
    check_range(low, high, points)
    tried = _Tried(figure, is_whole)
    sign = -1.0 if greatest else 1.0
    grid = _grid(low, high, points, is_whole)
    figures = [sign * tried(value) for value in grid]
    best = min(range(len(grid)), key=figures.__getitem__)
    valleys = _valleys(figures)
    scale = FLAT * max(map(abs, figures), default=1.0)
    if max(figures) - min(figures) <= scale:
        return Optimum("flat", grid[0], sign * figures[0], (grid[0], grid[-1]), True, tried.curve)
    narrow = max((high - low) * TOLERANCE, 1.0 if is_whole else 0.0)
    left, right = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    # An end of the range is the best where a little inside it is no better: no need to creep towards it.
    if not (best in {0, len(grid) - 1} and sign * tried(grid[best] + (narrow if best == 0 else -narrow)) >= figures[best]):
        minimize_scalar(lambda value: sign * tried(value), bounds=(left, right), method="bounded", options={"xatol": narrow, "maxiter": MOST_STEPS})
    curve = tried.curve
    chosen = min(range(len(curve)), key=lambda number: sign * curve[number].figure)
    status = "at_low" if chosen == 0 else "at_high" if chosen == len(curve) - 1 else "inside"
    bracket = (curve[max(chosen - 1, 0)].value, curve[min(chosen + 1, len(curve) - 1)].value)
    return Optimum(status, curve[chosen].value, curve[chosen].figure, bracket, valleys == 1, curve)


def check_range(low: float, high: float, points: int) -> None:
    """PlanError for bounds that are no numbers, reversed or equal, and for too few or too many points."""
    for name, value in (("low", low), ("high", high)):
        if not is_finite(value):
            raise PlanError(f"goal.{name} is not a number: got {shown(value)}", field=f"goal.{name}", got=shown(value), allowed="a finite number")
    if not low < high:
        what = "reversed" if low > high else "equal"
        raise PlanError(f"goal: the bounds are {what}: low {low:g}, high {high:g}", field="goal.high", got=high, allowed=f"more than low, {low:g}")
    if isinstance(points, bool) or not isinstance(points, int) or not 3 <= points <= MOST_POINTS:
        raise PlanError(f"goal.points: got {shown(points)}", field="goal.points", got=shown(points), allowed=f"3 to {MOST_POINTS}")


def _grid(low: float, high: float, points: int, is_whole: bool) -> list[float]:
    values = [low + (high - low) * number / (points - 1) for number in range(points - 1)] + [high]
    if not is_whole:
        return values
    whole = {float(round(value)) for value in values}
    inside = sorted(value for value in whole if low <= value <= high)
    if not inside:
        raise PlanError(f"goal: no whole number lies from {low:g} to {high:g}", field="goal.high", got=high, allowed="a range with whole numbers")
    return inside


def _ranges(curve: Sequence[Point], held: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    found = []
    for holds, group in itertools.groupby(zip(curve, held, strict=True), key=lambda pair: pair[1]):
        if holds:
            values = [point.value for point, _ in group]
            found.append((values[0], values[-1]))
    return tuple(found)


def _is_monotone(curve: Sequence[Point]) -> bool:
    rounding = FLAT * max((abs(point.figure) for point in curve), default=1.0)
    steps = [after.figure - before.figure for before, after in itertools.pairwise(curve)]
    return all(step >= -rounding for step in steps) or all(step <= rounding for step in steps)


def _valleys(figures: Sequence[float]) -> int:
    """Stretches of equal figures that are lower than what is on both sides; beyond the ends everything counts as higher."""
    rounding = FLAT * max(map(abs, figures), default=1.0)
    levels = [figures[0]]
    for value in figures[1:]:
        if abs(value - levels[-1]) > rounding:
            levels.append(value)
    padded = [math.inf, *levels, math.inf]
    return sum(before > here < after for before, here, after in zip(padded, padded[1:], padded[2:], strict=False))
