"""Work on thousands of series in batches: temporaries stay small, and several threads may share the work.

Batches are the same whatever the number of threads, and nothing random is drawn inside them, so results do not depend on threads. Threads and
not processes: NumPy lets others run while it computes, and arrays need not be copied.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

SERIES_AT_ONCE = 64
"""With 60 origins and trajectories of 91 steps one temporary of a batch has 2.8 MB: it stays in the cache, which is worth a factor of two."""


def in_batches(work: Callable[[slice], T], n_series: int, threads: int = 1, at_once: int = SERIES_AT_ONCE) -> list[T]:
    """`work(rows)` of every batch of `at_once` series, in order; one batch, of nothing, where there are no series."""
    batches = [slice(begin, min(begin + at_once, n_series)) for begin in range(0, max(n_series, 1), at_once)]
    if threads <= 1 or len(batches) == 1:
        return [work(rows) for rows in batches]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, batches))


def joined(
    work: Callable[[slice], tuple[NDArray[Any], ...]], n_series: int, threads: int = 1, at_once: int = SERIES_AT_ONCE
) -> tuple[NDArray[Any], ...]:
    """The arrays that `work` gives for each batch, one after the other along the first axis."""
    return tuple(np.concatenate(parts) for parts in zip(*in_batches(work, n_series, threads, at_once), strict=True))
