"""Days, and half-open ranges of days [start, end): what calendars are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from forecast.errors import InputError

Granularity = Literal["hour", "day", "week", "month", "quarter", "year"]
GRANULARITIES: tuple[Granularity, ...] = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True, order=True)
class Period:
    """Days from `start` up to, not including, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise InputError(
                f"Period is reversed or empty: start {self.start}, end {self.end}; the end is exclusive and must be later than the start",
                field="end",
                got=str(self.end),
                allowed=f"a day after {self.start}",
            )

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"


def parse_day(text: str | date | datetime, field: str = "date") -> date:
    """A day from ISO text or a date; a time stamp counts on its UTC day."""
    try:
        if isinstance(text, datetime):
            return _utc_day(text)
        if isinstance(text, date):
            return text
        return date.fromisoformat(text.strip()) if len(text.strip()) == 10 else _utc_day(datetime.fromisoformat(text.strip()))
    except (ValueError, AttributeError, OverflowError):
        got = text[:80] if isinstance(text, str) else text
        raise InputError(f"{field} is not a day: got {got!r}, allowed is YYYY-MM-DD", field=field, got=got, allowed="YYYY-MM-DD") from None


def _utc_day(moment: datetime) -> date:
    """A time without a zone is UTC already."""
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def add_months(day: date, months: int) -> date:
    """First-of-month arithmetic: the day of the month is kept, which callers only use with days up to 28."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, day.day)


def check_granularity(granularity: str) -> None:
    if granularity not in GRANULARITIES:
        raise InputError(
            f"granularity is not one that is known: got {granularity!r}, allowed are {', '.join(GRANULARITIES)}",
            field="granularity",
            got=granularity,
            allowed=", ".join(GRANULARITIES),
        )
