"""The slow twin of `forecast.anomalies.own_record`: one series, a list of what has joined its record, and plain numbers."""

from __future__ import annotations

from collections.abc import Sequence


def slow_strengths(sizes: Sequence[float | None], floor: float, lag: int, *, wait: int, block: int, blocks: int, growth: float) -> list[float]:
    """sizes : None where not known. A size joins at the end of the period `lag` - 1 later, and is forgotten with its block."""
    joined: list[tuple[int, float]] = []
    found = []
    waiting: list[float] = []
    for period, size in enumerate(sizes):
        here = 0.0 if size is None else abs(size)
        oldest = period // block - blocks + 1
        record = max([floor, *(amount for joined_in, amount in joined if joined_in >= oldest)])
        found.append(here / record if period >= wait else 0.0)
        waiting.append(min(here, growth * record) if period >= wait else here)
        if len(waiting) >= lag:
            joined.append((period // block, waiting.pop(0)))
    return found
