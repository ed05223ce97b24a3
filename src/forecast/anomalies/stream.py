"""One series from nothing, row by row: a score for each value, made from what came before it.

Four views of a value (its step from the last two, its distance from the level, from the same hour's level, and from that
less the latest such distance) are each turned into a surprise by rank; the largest counts, and the mean of the last six
is added. Slow departures are seen by a fifth view: the mean of three dozen distances from the hour's level. What the same
hour brought on most of the last days is a habit and counts half. A score stands only if it tops the last hundred rows:
one alarm per event. What was tried is in docs/decisions/0013-streaming-detector.md.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.habits import DAY, Habits, Season
from forecast.anomalies.ranks import WAIT, Ranks
from forecast.errors import InputError

_LEVEL_GAIN = 0.05
_HOUR_GAIN = 0.1
_LATEST_GAIN = 0.2
_HOURS_WAIT = 3
_FEW, _FEW_CAP = 6, 3.0
_DOZENS = 36
_DEPARTURE_LIFT = 1.0
_ECHO = 0.5
_NOISE_LIFT = 1.6
_LARGEST = 1e200
_VERSION = 1
_RANKS = ("step", "distance", "same_hour", "net", "departure")

Time = float | int | str | datetime | pd.Timestamp | np.datetime64


class SpikeStream:
    """`score(value, timestamp) -> float` in [0, 1]; 0.5 is what happens as often as the declared false alarms.

    threshold : −log10 of the declared false alarms per row. season : what repeats; the hours of a day, or `WEEK` for daily rows.
    """

    def __init__(self, threshold: float, season: Season = DAY) -> None:
        self._threshold = threshold
        self._season = season
        self._half = size_at(threshold)
        self._ranks = {name: Ranks() for name in _RANKS}
        self._row_habits, self._departure_habits = Habits(season), Habits(season)
        self._level = self._last = self._before = self._latest = 0.0
        self._seen = 0
        self._since = _FEW + 1
        self._hours: dict[int, tuple[float, int]] = {}
        self._few: deque[float] = deque(maxlen=_FEW)
        self._dozens: deque[float] = deque(maxlen=_DOZENS)
        self._recent: deque[float] = deque(maxlen=season.quiet)

    def score(self, value: float, timestamp: Time) -> float:
        """Score of one value. timestamp : epoch seconds or a time stamp; irregular, repeated and late stamps are accepted.

        A value that is not finite is "no observation": it scores 0 and teaches nothing.
        """
        return self._score(float(value), self._slot(timestamp))

    def score_many(self, values: NDArray[np.float64] | Iterable[float], timestamps: Any) -> NDArray[np.float64]:
        """(n,) scores of n values in order; the same bits as n calls of `score`. timestamps : n epoch seconds or time stamps."""
        numbers = np.asarray(values, dtype=np.float64)
        slots = self._slots(timestamps)
        if numbers.ndim != 1 or len(numbers) != len(slots):
            raise InputError(
                f"values and timestamps must be as many: got {numbers.shape} and {len(slots)}", field="timestamps", allowed="one for each value"
            )
        one = self._score
        return np.fromiter((one(value, slot) for value, slot in zip(numbers.tolist(), slots, strict=True)), np.float64, len(slots))

    def state(self) -> dict[str, Any]:
        """All that later scores depend on, as plain data and arrays (at most some 20,500 numbers)."""
        row_slots, row_largest = self._row_habits.state()
        departure_slots, departure_largest = self._departure_habits.state()
        season = self._season
        return {
            "version": _VERSION,
            "threshold": self._threshold,
            "season": [season.slot_seconds, season.slots, season.around, season.quiet],
            "level": self._level,
            "last": self._last,
            "before": self._before,
            "latest": self._latest,
            "seen": self._seen,
            "since": self._since,
            "hours": [[hour, usual, times] for hour, (usual, times) in self._hours.items()],
            "few": list(self._few),
            "dozens": np.array(self._dozens, dtype=np.float64),
            "recent": list(self._recent),
            "row_habits": [row_slots, row_largest],
            "departure_habits": [departure_slots, departure_largest],
            **{name: ranks.sizes() for name, ranks in self._ranks.items()},
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """A stream that goes on from `state()` bit for bit; arrays may have become lists on the way."""
        if state.get("version") != _VERSION:
            raise InputError(
                f"state of another version: got {state.get('version')}", field="version", got=state.get("version"), allowed=str(_VERSION)
            )
        stream = cls(float(state["threshold"]), Season(*state["season"]))
        stream._level, stream._latest = float(state["level"]), float(state["latest"])
        stream._last, stream._before = float(state["last"]), float(state["before"])
        stream._seen, stream._since = int(state["seen"]), int(state["since"])
        stream._hours = {int(hour): (float(usual), int(times)) for hour, usual, times in state["hours"]}
        for kept, name in ((stream._few, "few"), (stream._dozens, "dozens"), (stream._recent, "recent")):
            kept.extend(np.asarray(state[name], dtype=np.float64).tolist())
        stream._row_habits = Habits(stream._season, *state["row_habits"])
        stream._departure_habits = Habits(stream._season, *state["departure_habits"])
        stream._ranks = {name: Ranks(np.asarray(state[name], dtype=np.float64)) for name in _RANKS}
        return stream

    def _score(self, number: float, slot: int) -> float:
        if not math.isfinite(number):
            return 0.0
        number = min(max(number, -_LARGEST), _LARGEST)
        if self._seen == 0:
            self._level = self._last = self._before = number
        size = self._size(number, slot)
        self._seen += 1
        recent = self._recent
        # In the rows after an alarm the mean of the last few goes on rising, by its cap at most: that is the same event.
        self._since = min(self._since + 1, _FEW + 1)
        stands = not recent or size > max(recent) + (_FEW_CAP if self._since <= _FEW else 0.0)
        recent.append(size)
        if self._seen <= WAIT:
            return 0.0
        if stands and size >= self._half:
            self._since = 0
        full = size / (size + self._half)
        return full if stands else _ECHO * full

    def _size(self, number: float, slot: int) -> float:
        """How strange the value is, in decades; it is learned on the way, never further than an ordinary surprise reaches."""
        ranks = self._ranks
        hour = slot % self._season.slots
        usual, times = self._hours.get(hour, (number, 0))
        off_level, off_hour = number - self._level, number - usual
        distance, same_hour = ranks["distance"], ranks["same_hour"]
        level_reach, hour_reach = distance.reach(), same_hour.reach()
        # Back to where it was before a spike is no step.
        step = min(abs(number - self._last), abs(number - self._before))
        row = max(ranks["step"].surprise(step), distance.surprise(abs(off_level)))
        if times >= _HOURS_WAIT:
            row = max(row, same_hour.surprise(abs(off_hour)), ranks["net"].surprise(abs(off_hour - self._latest)))
        pulled = min(max(off_hour, -hour_reach), hour_reach)
        self._level += max(_LEVEL_GAIN, 1.0 / (self._seen + 2.0)) * min(max(off_level, -level_reach), level_reach)
        self._latest += _LATEST_GAIN * (pulled - self._latest)
        self._hours[hour] = (usual + max(_HOUR_GAIN, 1.0 / (times + 1.0)) * pulled, times + 1)
        self._before, self._last = self._last, number
        row = max(self._row_habits.news(row, slot), 0.0)
        self._few.append(min(row, _FEW_CAP))
        # The mean of a lone spike is about 1, so a departure, which is a mean already, is lifted by that to be comparable.
        size = row + math.fsum(self._few) / _FEW
        departure = self._departure_habits.news(self._departure(off_hour if times >= _HOURS_WAIT else math.nan), slot)
        return max(size, departure + _DEPARTURE_LIFT) if departure > 0.0 else size

    def _departure(self, off_hour: float) -> float:
        """Surprise of the mean of the last three dozen distances from the hour's level; 0 where some of them are not known."""
        dozens = self._dozens
        dozens.append(off_hour)
        if len(dozens) < _DOZENS:
            return 0.0
        mean = math.fsum(dozens) / _DOZENS
        return 0.0 if math.isnan(mean) else self._ranks["departure"].surprise(abs(mean))

    def _slot(self, timestamp: Time) -> int:
        if isinstance(timestamp, (int, float)):
            if not math.isfinite(timestamp):
                raise _no_time(timestamp)
            return int(timestamp // self._season.slot_seconds)
        try:
            stamp = pd.Timestamp(timestamp)
        except (ValueError, TypeError):
            raise _no_time(timestamp) from None
        if pd.isna(stamp):
            raise _no_time("NaT")
        return int(stamp.asm8.astype("datetime64[us]").astype(np.int64)) // (self._season.slot_seconds * 1_000_000)

    def _slots(self, timestamps: Any) -> list[int]:
        given = np.asarray(timestamps)
        if given.dtype.kind == "M":
            stamps = pd.DatetimeIndex(given).as_unit("us")
            if stamps.hasnans:
                raise _no_time("NaT")
            return [int(slot) for slot in stamps.asi8 // (self._season.slot_seconds * 1_000_000)]
        return [self._slot(timestamp) for timestamp in (given.tolist() if given.dtype.kind in "iuf" else timestamps)]


def size_at(threshold: float) -> float:
    """The size that noise reaches about once in 10**threshold rows after merging: a line through eleven kinds of noise (0013)."""
    return threshold + _NOISE_LIFT


def _no_time(timestamp: object) -> InputError:
    return InputError(f"timestamp is not a time: got {timestamp!r}", field="timestamp", got=str(timestamp), allowed="epoch seconds or a time stamp")
