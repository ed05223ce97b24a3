"""How surprising a size is among the last few thousand of its kind, in bounded memory.

A rank needs no law and no scale, so one rule serves counts, latencies and money. Beyond the largest 2 % ranks run out of
numbers; there the tail goes on exponentially with the mean excess of that 2 %.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import deque

import numpy as np
from numpy.typing import NDArray

WAIT = 20
"""Sizes that must have been seen before one can be surprising."""

_KEPT = 4000
_TAIL = 50
_LEAST_OF_TAIL = 5
_CAP = 15.0
_GROWTH = 10.0
_ORDINARY = 3.0
_LN10 = math.log(10.0)


class Ranks:
    """The last 4,000 sizes (≥ 0) of one kind, in order of time and of size."""

    __slots__ = ("_sorted", "_times")

    def __init__(self, sizes: NDArray[np.float64] | None = None) -> None:
        """sizes : (n,) in order of time, what `sizes()` of another gave."""
        self._times: deque[float] = deque([] if sizes is None else sizes.tolist())
        self._sorted: list[float] = sorted(self._times)

    def surprise(self, size: float) -> float:
        """−log10 of the share of earlier sizes at least as large, in [0, 15]; then `size` is one of them. 0 for the first 20."""
        ordered = self._sorted
        n = len(ordered)
        found = 0.0
        if n >= WAIT:
            outer = n // _TAIL
            if outer < _LEAST_OF_TAIL:
                outer = _LEAST_OF_TAIL
            start = ordered[-outer]
            if start <= 0.0 < size and ordered[-1] > 0.0:
                # Nearly always 0: the tail is what was not.
                outer = n - bisect_right(ordered, 0.0)
            if size > start:
                mean = max(math.fsum(ordered[-outer:]) / outer - start, 1e-3 * start, 1e-12)
                found = min(-math.log10(outer / n) + (size - start) / mean / _LN10, _CAP)
            else:
                found = -math.log10((n - bisect_left(ordered, size) + 1) / (n + 1))
            # One monster among the tail would make everything else look small for thousands of rows: what is kept may grow
            # tenfold at a time, so a second monster is ordinary soon enough.
            largest = ordered[-1]
            if size > _GROWTH * largest > 0.0:
                size = _GROWTH * largest
        insort(ordered, size)
        self._times.append(size)
        if n >= _KEPT:
            del ordered[bisect_left(ordered, self._times.popleft())]
        return found

    def reach(self) -> float:
        """How far one value may pull what is learned: three times where the tail starts, the largest where that is 0."""
        ordered = self._sorted
        n = len(ordered)
        if n < WAIT:
            return math.inf
        start = ordered[-max(n // _TAIL, _LEAST_OF_TAIL)]
        return (_ORDINARY * start if start > 0.0 else ordered[-1]) or math.inf

    def sizes(self) -> NDArray[np.float64]:
        """(n,) the sizes kept, in order of time."""
        return np.array(self._times, dtype=np.float64)
