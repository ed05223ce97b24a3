"""What is surprising at the same hour of most days is a habit, not news.

Nightly batches and morning ramps lie far outside the bulk of a series every day. How surprising the hours around this one
were on the last days is taken, in part, off the surprise of now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forecast.errors import InputError

_PERIODS = 3
_PART = 0.5
_BASE = 2.0


@dataclass(frozen=True)
class Season:
    """What repeats: `slots` stretches of `slot_seconds`; `around` slots before and after count as the same time.

    quiet : rows after an alarm in which only what is stranger is another one.
    """

    slot_seconds: int
    slots: int
    around: int
    quiet: int

    def __post_init__(self) -> None:
        for name, least in (("slot_seconds", 1), ("slots", 1), ("around", 0), ("quiet", 1)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise InputError(f"season: {name} is out of range: got {number!r}", field=name, got=number, allowed=f"a whole number from {least}")
        if 2 * self.around >= self.slots:
            raise InputError(
                f"season: around reaches into the next period: got {self.around} of {self.slots} slots",
                field="around",
                got=self.around,
                allowed="less than half of slots",
            )


DAY = Season(slot_seconds=3600, slots=24, around=2, quiet=100)
"""The hours of a day: for series finer than an hour."""
HOURS = Season(slot_seconds=3600, slots=24, around=2, quiet=24)
"""The hours of a day, for hourly series: a hundred rows would be four deaf days."""
WEEK = Season(slot_seconds=86_400, slots=7, around=0, quiet=14)
"""The days of a week: for daily series."""


class Habits:
    """The largest surprise of each slot of the last three periods."""

    __slots__ = ("_largest", "_now", "_season", "_usual")

    def __init__(self, season: Season, slots: Sequence[int] = (), largest: Sequence[float] = ()) -> None:
        self._season = season
        self._largest: dict[int, float] = dict(zip(slots, largest, strict=True))
        self._now: int | None = None
        self._usual = 0.0

    def news(self, surprise: float, slot: int) -> float:
        """The surprise less half of what is usual beyond 2 decades (one in a hundred); then it is remembered.

        slot : number of the stretch of time since the epoch.
        """
        largest = self._largest
        if slot != self._now:
            self._now, self._usual = slot, self._median(slot)
        before = largest.get(slot)
        if before is None:
            largest[slot] = surprise
            # By order of arrival, not by time: a clock that jumps must not empty or fill the memory.
            if len(largest) > (_PERIODS + 1) * self._season.slots:
                del largest[next(iter(largest))]
        elif surprise > before:
            largest[slot] = surprise
        return surprise - _PART * (self._usual - _BASE) if self._usual > _BASE else surprise

    def state(self) -> tuple[list[int], list[float]]:
        """Slots and their largest surprises, in order of arrival."""
        return list(self._largest), list(self._largest.values())

    def _median(self, slot: int) -> float:
        """Median over the last periods of the largest surprise in the slots around."""
        season, largest = self._season, self._largest
        tops = []
        for back in range(1, _PERIODS + 1):
            centre = slot - back * season.slots
            tops.append(max(largest.get(centre + beside, 0.0) for beside in range(-season.around, season.around + 1)))
        return sorted(tops)[_PERIODS // 2]
