"""The forecast fan as SVG, drawn on the server: actual cost, then the p10–p90 band and the p50 line. No script, no font, no file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

WIDTH, HEIGHT = 960, 380
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 16, 40
TICKS = 5


@dataclass(frozen=True)
class FanPoint:
    """Cost of one span of days; the three quantiles are equal where all of it is over."""

    start: date
    p10: float
    p50: float
    p90: float


def fan_chart(points: Sequence[FanPoint], cutoff: date, currency: str, title: str) -> str:
    """An `<svg>` element. Points before the cutoff are drawn as actual, the others as forecast; at least two points are needed."""
    ticks = nice_ticks(min(0.0, *(point.p10 for point in points)), max(point.p90 for point in points))
    first, last = points[0].start, points[-1].start
    span = max((last - first).days, 1)

    def x(day: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (day - first).days / span, 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    past = [point for point in points if point.start + timedelta(days=6) <= cutoff]
    future = past[-1:] + [point for point in points if point.start + timedelta(days=6) > cutoff]
    upper = [(x(point.start), y(point.p90)) for point in future]
    lower = [(x(point.start), y(point.p10)) for point in reversed(future)]
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="fan-title" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="fan-title">{escape(title)}</title>',
        *(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
            f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{short_money(tick)}</text>'
            for tick in ticks
        ),
        f'<text x="{LEFT + 4}" y="{TOP + 12}">{escape(currency)} a week</text>',
        *(f'<text x="{x(day)}" y="{HEIGHT - 12}" text-anchor="middle">{day:%b %Y}</text>' for day in month_starts(first, last)),
        f'<polygon class="band" points="{_path([*upper, *lower])}"/>' if len(future) > 1 else "",
        f'<polyline class="median" points="{_path([(x(point.start), y(point.p50)) for point in future])}"/>' if len(future) > 1 else "",
        f'<polyline class="actual" points="{_path([(x(point.start), y(point.p50)) for point in past])}"/>' if past else "",
    ]
    if past and len(future) > 1:
        edge = x(past[-1].start)
        parts.append(f'<line class="edge" x1="{edge}" x2="{edge}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        below = HEIGHT - BOTTOM - 8
        parts.append(f'<text x="{edge - 6}" y="{below}" text-anchor="end">actual</text><text x="{edge + 6}" y="{below}">forecast</text>')
    return "".join([*parts, "</svg>"])


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers (1, 2, 2.5, 5 times a power of ten) from at most `low` to at least `high`."""
    if not high > low:
        high = low + 1.0
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough)
    return [number * step for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def short_money(value: float) -> str:
    """1.2M, 350k, 12: at most three digits that say something."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def month_starts(first: date, last: date, most: int = 8) -> list[date]:
    """First days of months between two days, thinned to `most`."""
    count = (last.year - first.year) * 12 + last.month - first.month
    months = [date(*divmod_month(first.year * 12 + first.month - 1 + number)) for number in range(count + 1)]
    inside = [month for month in months if first <= month <= last]
    return inside[:: max(1, math.ceil(len(inside) / most))]


def divmod_month(index: int) -> tuple[int, int, int]:
    return index // 12, index % 12 + 1, 1


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)
