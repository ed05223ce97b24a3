"""Time and the money in it: parts of an incident, and how moments are read and written. All in UTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from forecast.errors import InputError

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Part:
    """A piece of an incident's time, half-open [start, end) in UTC, and its money."""

    start: datetime
    end: datetime
    actual: float
    expected: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start))
        object.__setattr__(self, "end", utc(self.end))
        if self.end <= self.start:
            raise InputError(f"end {self.end.isoformat()} is not after start {self.start.isoformat()}", field="end", got=self.end.isoformat())
        for name, money in (("actual", self.actual), ("expected", self.expected)):
            if not math.isfinite(money):
                raise InputError(f"{name} is not money: got {money}", field=name, got=str(money), allowed="a finite number")

    @property
    def impact(self) -> float:
        return self.actual - self.expected


def span_texts(start: datetime, end: datetime) -> dict[str, str]:
    """start and end as days where both are midnights, else as moments."""
    if all(one == one.replace(hour=0, minute=0, second=0, microsecond=0) for one in (start, end)):
        return {"start": start.date().isoformat(), "end": end.date().isoformat()}
    return {"start": time_text(start), "end": time_text(end)}


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with Z."""
    return utc(at).isoformat().replace("+00:00", "Z")


def utc(at: datetime) -> datetime:
    """In UTC; a naive value counts as UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def moment(value: str | date | datetime) -> datetime:
    """A day (its midnight, UTC) or a moment, from its text too; InputError for anything else."""
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        return utc(datetime.fromisoformat(value))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{value!r} is no day and no moment", field="start", got=str(value), allowed="2027-03-01 or 2027-03-01T13:00:00Z") from None


def within(parts: Sequence[Part], start: datetime, end: datetime, *, inside: bool) -> list[Part]:
    """What of the parts lies inside (or outside) of a span; a part that is cut shares its money by time."""
    found: list[Part] = []
    for part in parts:
        spans = [(max(part.start, start), min(part.end, end))] if inside else [(part.start, min(part.end, start)), (max(part.start, end), part.end)]
        for first, last in spans:
            if last <= first:
                continue
            share = (last - first) / (part.end - part.start)
            found.append(part if share == 1.0 else Part(first, last, part.actual * share, part.expected * share))
    return found
