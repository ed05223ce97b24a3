"""One series from nothing, row by row: a score for each value, made from what came before it.

Three views of a value (its step from the last one, its distance from the level, its distance from the same hour's
level), each turned into a surprise by its rank among the last few thousand and an exponential tail beyond; the largest
counts. A score stands only if it tops the last hundred rows: one alarm per event.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from datetime import datetime

import numpy as np
import pandas as pd

from forecast.errors import InputError

_WINDOW = 2000
_WAIT = 20
_ONE_ALARM = 100
_ECHO = 0.5

Time = float | int | str | datetime | pd.Timestamp | np.datetime64


class SpikeStream:
    """`score(value, timestamp) -> float` in [0, 1]; 0.5 is what happens as often as the declared false alarms."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._step, self._distance, self._same_hour = _Ranks(), _Ranks(), _Ranks()
        self._level = 0.0
        self._last = 0.0
        self._seen = 0
        self._hours: dict[int, tuple[float, int]] = {}
        self._recent: deque[float] = deque(maxlen=_ONE_ALARM)

    def score(self, value: float, timestamp: Time) -> float:
        """Score of one value. timestamp : epoch seconds or a time stamp; irregular and repeated stamps are accepted.

        A value that is not finite is "no observation": it scores 0 and teaches nothing.
        """
        hour = _hour(timestamp)
        number = float(value)
        if not math.isfinite(number):
            return 0.0
        if self._seen == 0:
            self._level = self._last = number
        size = max(self._step.surprise(abs(number - self._last)), self._distance.surprise(abs(number - self._level)))
        usual, times = self._hours.get(hour, (number, 0))
        if times >= 3:
            size = max(size, self._same_hour.surprise(abs(number - usual)))
        gain = max(0.05, 1.0 / (self._seen + 1.0))
        strange = self._seen >= _WAIT and size > self._threshold
        # What is strange teaches slowly, so that a spike leaves no shadow and a new level is learned in the end.
        gain = gain * 0.2 if strange else gain
        self._level += gain * (number - self._level)
        self._hours[hour] = (usual + max(0.1, 1.0 / (times + 1.0)) * (0.2 if strange else 1.0) * (number - usual), times + 1)
        self._last = number
        self._seen += 1
        if self._seen <= _WAIT:
            return 0.0
        stands = not self._recent or size > max(self._recent)
        self._recent.append(size)
        full = size / (size + self._threshold)
        return full if stands else min(full, _ECHO - 1e-3)


class _Ranks:
    """The last sizes of one view, in order of time and of size."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._sorted: list[float] = []

    def surprise(self, size: float) -> float:
        """−log10 of the share of earlier sizes that are at least as large, with an exponential tail beyond the largest 2 %."""
        ordered, n = self._sorted, len(self._sorted)
        found = 0.0
        if n >= _WAIT:
            outer = max(n // 50, 5)
            start = ordered[-outer]
            if size > start:
                mean = max(math.fsum(ordered[-outer:]) / outer - start, 1e-3 * abs(start), 1e-12)
                found = min(-math.log10(outer / n) + (size - start) / mean / math.log(10), 15.0)
            else:
                found = -math.log10((n - bisect_left(ordered, size) + 1) / (n + 1))
        insort(ordered, size)
        self._times.append(size)
        if len(self._times) > _WINDOW:
            del ordered[bisect_left(ordered, self._times.popleft())]
        return max(found, 0.0)


def _hour(timestamp: Time) -> int:
    if isinstance(timestamp, (int, float)):
        if not math.isfinite(timestamp):
            raise InputError(f"timestamp is not a time: got {timestamp}", field="timestamp", got=timestamp, allowed="epoch seconds or a time stamp")
        return int(timestamp // 3600) % 24
    try:
        stamp = pd.Timestamp(timestamp)
    except (ValueError, TypeError):
        raise InputError(
            f"timestamp is not a time: got {timestamp!r}", field="timestamp", got=str(timestamp), allowed="epoch seconds or a time stamp"
        ) from None
    if pd.isna(stamp):
        raise InputError("timestamp is not a time: got NaT", field="timestamp", got="NaT", allowed="epoch seconds or a time stamp")
    return int(stamp.hour)
