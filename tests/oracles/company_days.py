"""The slow twin of company days: every day in UTC and every step is cut into quarters of an hour, each of which has a local date."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.periods import Period

QUARTER = timedelta(minutes=15)


def slow_total(snapshot: Snapshot, zone: str, leaves: NDArray[np.bool_], period: Period) -> NDArray[np.float64]:
    """(n_paths,) total of some leaves over a period of company days."""
    share: dict[tuple[str, int], float] = defaultdict(float)
    for kind, starts, ends in (("past", snapshot.history_ds, snapshot.history_ds + 1), ("future", snapshot.starts, snapshot.ends)):
        for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            if (abs((start - period.start).days) > 40 and start < period.start) or start > period.end + timedelta(days=2):
                continue
            moment, last = midnight(start), midnight(end)
            while moment < last:
                if period.start <= moment.astimezone(ZoneInfo(zone)).date() < period.end:
                    share[kind, number] += QUARTER / (last - midnight(start))
                moment += QUARTER
    total = np.zeros(snapshot.n_paths)
    first_pending = snapshot.first_pending
    for (kind, number), part in share.items():
        if kind == "future":
            total += part * snapshot.leaf_paths[leaves, number].sum(axis=0, dtype=np.float64)
            continue
        total += part * snapshot.leaf_history[leaves, number].sum()
        if snapshot.pending is not None and number >= first_pending:
            total += part * snapshot.pending[leaves, number - first_pending].sum(axis=0, dtype=np.float64)
    return total


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
