"""The company's time zone: when its days begin and end in UTC, which is what bills count in.

Zones come from the system's time zone database by way of `zoneinfo`: like the holiday tables, data that only change with an update.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError

UTC = "UTC"
_ALIKE = frozenset({"UTC", "ETC/UTC", "ETC/UCT", "UCT", "ETC/ZULU", "ZULU", "ETC/UNIVERSAL", "UNIVERSAL"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
ALLOWED = "an IANA name such as UTC, Europe/Berlin or America/New_York"


def check_zone(name: str) -> str:
    """The name of a time zone, "UTC" by all its names; InputError where there is no such zone."""
    if name.upper() in _ALIKE:
        return UTC
    if _NAME.fullmatch(name):
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, OSError, ValueError):
            pass
        else:
            return name
    raise InputError(f"time_zone is not one that is known: got {name!r}, allowed is {ALLOWED}", field="time_zone", got=name, allowed=ALLOWED)


@dataclass(frozen=True, eq=False)
class Midnights:
    """When consecutive days begin in a time zone: days (n,) datetime64[D], moments (n,) datetime64[s] in UTC."""

    days: NDArray[np.datetime64]
    moments: NDArray[np.datetime64]

    def of(self, days: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """The moments at which `days` (any shape) begin; days outside are taken as the first or last that is known."""
        number = (days.astype("datetime64[D]") - self.days[0]).astype(np.int64)
        return self.moments[np.clip(number, 0, len(self.days) - 1)]


def midnights(first: np.datetime64, last: np.datetime64, zone: str) -> Midnights:
    """Begin of each day from `first` to `last`, both included.

    A day begins with its first moment: at the first of two midnights, at one o'clock where the clock jumps over midnight, and together with the
    next day where the calendar leaves it out.
    """
    days = np.arange(first, last + np.timedelta64(1, "D"), dtype="datetime64[D]")
    place = ZoneInfo(zone)
    # Python's own rule for a midnight that comes twice or not at all is the first moment of the day; pandas' `shift_forward` missed some.
    moments = [datetime(day.year, day.month, day.day, tzinfo=place).timestamp() for day in days.tolist()]
    return Midnights(days, np.array(moments, dtype=np.int64).astype("datetime64[s]"))


def shares(
    starts: NDArray[np.datetime64], ends: NDArray[np.datetime64], first: NDArray[np.datetime64], last: NDArray[np.datetime64]
) -> NDArray[np.float64]:
    """(n_spans, n_steps) share of each step [start, end) that lies in each span [first, last), by time; all datetime64.

    Spans that follow each other take each step apart without rest: each column of such spans adds up to 1.
    """
    begin, stop = starts.astype("datetime64[s]")[None, :], ends.astype("datetime64[s]")[None, :]
    inside = np.minimum(stop, last.astype("datetime64[s]")[:, None]) - np.maximum(begin, first.astype("datetime64[s]")[:, None])
    return np.asarray(np.maximum(inside.astype(np.float64), 0.0) / (stop - begin).astype(np.float64))
