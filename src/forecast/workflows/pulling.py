"""When a vendor is asked again, and for which days: bills are restated for days after the day that they are about."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from forecast.errors import InputError


@dataclass(frozen=True)
class PullSchedule:
    """Every so often ask again for the last days.

    every : time from one pull to the next. last_days : whole days before today (UTC) that are asked for again each time, and before the last
    pull, so that an outage leaves no gap. first_days : how far back the first pull goes.
    """

    every: dt.timedelta = dt.timedelta(hours=6)
    last_days: int = 10
    first_days: int = 90

    def __post_init__(self) -> None:
        if self.every <= dt.timedelta(0):
            raise InputError(
                f"A source cannot be asked every {self.every}", field="every", got=str(self.every), allowed="a time above 0, such as 6 hours"
            )
        if self.last_days < 0 or self.first_days < self.last_days:
            raise InputError(
                f"A pull asks for the last {self.last_days} days and the first one for {self.first_days}",
                field="last_days",
                got=self.last_days,
                allowed="0 or more days, and at least as many at first",
            )

    def next_pull(self, last: dt.datetime | None, now: dt.datetime) -> dt.datetime:
        """When the source is to be asked; `now` where it never was, or where the last pull lies ahead (a clock that was set back)."""
        return now if last is None or last > now else last + self.every

    def due(self, last: dt.datetime | None, now: dt.datetime) -> tuple[dt.date, dt.date] | None:
        """The days to ask for, first and the one after the last (today counts, as far as it went); None where it is not time yet."""
        if self.next_pull(last, now) > now:
            return None
        today = _day(now)
        until = today + dt.timedelta(days=1)
        if last is None:
            return today - dt.timedelta(days=self.first_days), until
        return min(_day(last), today) - dt.timedelta(days=self.last_days), until


def _day(moment: dt.datetime) -> dt.date:
    if moment.tzinfo is None:
        raise InputError("A moment without a zone says no day", field="now", got=str(moment), allowed="a moment with a zone")
    return moment.astimezone(dt.UTC).date()
