"""The days a company is generated for, and the calendar facts that its processes need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Days of `[start, end)`; arrays have the shape (days,)."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.start).days

    @property
    def dates(self) -> npt.NDArray[np.datetime64]:
        """Each day as datetime64[D]."""
        return np.arange(np.datetime64(self.start, "D"), np.datetime64(self.end, "D"))

    @property
    def weekday(self) -> Integers:
        """0 = Monday … 6 = Sunday."""
        return (self.dates.astype(np.int64) + 3) % 7  # day 0 of the epoch was a Thursday

    @property
    def month(self) -> npt.NDArray[np.datetime64]:
        """First day of each day's calendar month, as datetime64[D]."""
        return self.dates.astype("datetime64[M]").astype("datetime64[D]")

    @property
    def next_month(self) -> npt.NDArray[np.datetime64]:
        """First day of the following calendar month, as datetime64[D]."""
        return (self.dates.astype("datetime64[M]") + 1).astype("datetime64[D]")

    @property
    def days_in_month(self) -> Integers:
        """Length of each day's month."""
        return (self.next_month - self.month).astype(np.int64)

    @property
    def days_to_month_end(self) -> Integers:
        """0 on the last day of a month."""
        return (self.next_month - self.dates).astype(np.int64) - 1

    @property
    def day_of_month(self) -> Integers:
        """1 on the first."""
        return (self.dates - self.month).astype(np.int64) + 1

    @property
    def month_index(self) -> Integers:
        """0 in the month of `start`, 1 in the next, …"""
        months = self.dates.astype("datetime64[M]").astype(np.int64)
        return np.asarray(months - months[0], dtype=np.int64)

    @property
    def holiday(self) -> Booleans:
        """New year, 1 May, 4 July, Good Friday to Easter Monday, the fourth Thursday of November and the day after, 22 December on."""
        month = self.dates.astype("datetime64[M]").astype(np.int64) % 12
        day, weekday = self.day_of_month, self.weekday
        fixed = ((month == 0) & (day <= 2)) | ((month == 4) & (day == 1)) | ((month == 6) & (day == 4)) | ((month == 11) & (day >= 22))
        thanks = (month == 10) & (((weekday == 3) & (day >= 22) & (day <= 28)) | ((weekday == 4) & (day >= 23) & (day <= 29)))
        years = sorted({self.start.year, *range(self.start.year, self.end.year + 1)})
        easter = np.array([np.datetime64(easter_sunday(year), "D") for year in years])
        near = (self.dates[:, None] - easter[None, :]).astype(np.int64)
        return np.asarray(fixed | thanks | ((near >= -2) & (near <= 1)).any(axis=1))

    def at(self, day: int) -> np.datetime64:
        """The date of day number `day` (may lie beyond the end)."""
        return np.datetime64(self.start, "D") + np.timedelta64(int(day), "D")


def easter_sunday(year: int) -> date:
    """Gregorian Easter by the anonymous algorithm (Nature, 20 April 1876)."""
    golden, century, rest = year % 19, year // 100, year % 100
    correction = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (rest // 4) - correction - rest % 4) % 7
    late = (golden + 11 * correction + 22 * sunday) // 451
    month, day = divmod(correction + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)
