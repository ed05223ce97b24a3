"""The slow twin of `forecast.anomalies.month_habit`: one series as days and money, one day after the other."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date, timedelta


def slow_beyond_habit(money: Mapping[date, float], near: int, months: int, beside: int, room: float) -> dict[date, float]:
    """What is left of each day's money after the largest at the same place of the months before it."""
    found = {}
    for day, here in money.items():
        from_start, from_end = day.day - 1, _length(day.year, day.month) - day.day + 1
        found[day] = here
        if from_start > near and from_end > near:
            continue
        earlier = set()
        for back in range(1, months + 1):
            year, month = divmod(day.year * 12 + day.month - 1 - back, 12)
            length = _length(year, month + 1)
            for number in (from_start + 1, length - from_end + 1):
                if 1 <= number <= length and (place := date(year, month + 1, number)) in money:
                    earlier |= {place + timedelta(days=away) for away in range(-beside, beside + 1)}
        before = [money[other] for other in earlier if other in money and other < day]
        if before and here > 0:
            found[day] = max(here - room * max(0.0, *before), 0.0)
        elif before:
            found[day] = min(here - room * min(0.0, *before), 0.0)
    return found


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]
