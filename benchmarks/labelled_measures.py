"""Precision, recall and F1 of flagged rows against labelled ones, counted in three ways, and thresholds that no label has touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TOLERANCE = 3
"""Rows before and after a labelled window in which a flag still means that window."""
LONG = 24
"""An alarm that goes on is counted again after so many rows: flagging everything is neither precise nor a single alarm."""


def runs(flags: Flags, gap: int = 0) -> list[tuple[int, int]]:
    """First and last row of each run of true values; runs with at most `gap` rows between them are one."""
    rows = np.flatnonzero(flags)
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) > gap + 1)
    return list(zip(rows[np.append(0, breaks + 1)].tolist(), rows[np.append(breaks, len(rows) - 1)].tolist(), strict=True))


def alarms(flags: Flags, tolerance: int = TOLERANCE) -> int:
    """Merged flags, each of more than `LONG` rows counted again."""
    return sum(-(-(end + 1 - begin) // LONG) for begin, end in runs(flags, tolerance))


@dataclass(frozen=True)
class Counts:
    """What was found, missed and wrong: rows, rows after point adjustment, and events. delays : rows from a window's start to its first flag."""

    rows: tuple[int, int, int]
    adjusted: tuple[int, int, int]
    events: tuple[int, int, int]
    delays: tuple[int, ...]


def counted(flags: Flags, labels: Flags, tolerance: int = TOLERANCE) -> Counts:
    """Counts of one series, (n,) flags against (n,) labels.

    rows : each row by itself. adjusted : a labelled run with one flag counts as found in all its rows. events : labelled runs with at most
    `tolerance` rows between them are one window; it is found by a flag within it or `tolerance` rows around it; flags elsewhere, merged
    likewise, are false alarms, and each of more than `LONG` rows is several.
    """
    rows = (int((flags & labels).sum()), int((~flags & labels).sum()), int((flags & ~labels).sum()))
    adjusted_found = sum(end + 1 - begin for begin, end in runs(labels) if flags[begin : end + 1].any())
    windows, found, delays = runs(labels, tolerance), 0, []
    outside = np.ones(len(labels), dtype=bool)
    for begin, end in windows:
        first = max(begin - tolerance, 0)
        hits = np.flatnonzero(flags[first : end + tolerance + 1])
        outside[first : end + tolerance + 1] = False
        if len(hits):
            found += 1
            delays.append(max(first + int(hits[0]) - begin, 0))
    false = alarms(flags & outside, tolerance)
    return Counts(rows, (adjusted_found, rows[0] + rows[1] - adjusted_found, rows[2]), (found, len(windows) - found, false), tuple(delays))


def summary(counts: Iterable[Counts]) -> dict[str, Any]:
    """Sums over series as precision, recall and F1 of each way of counting."""
    every = list(counts)
    found: dict[str, Any] = {}
    for name in ("events", "adjusted", "rows"):
        hits, missed, false = (int(sum(getattr(one, name)[place] for one in every)) for place in range(3))
        precision, recall = hits / max(hits + false, 1), hits / max(hits + missed, 1)
        found[name] = {
            "found": hits,
            "missed": missed,
            "false": false,
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        }
    delays = [delay for one in every for delay in one.delays]
    found["median_delay_rows"] = float(np.median(delays)) if delays else None
    return found


def threshold_for(scores: Sequence[Floats], allowed: float) -> float:
    """A low threshold at which series' scores, put together, have no more than `allowed` merged alarms (one at least).

    Coming from the highest score by doubling steps, then halved: where alarms merge, lower ones are few too, and are not meant.
    """
    levels = np.unique(np.concatenate([one[np.isfinite(one)] for one in scores]))
    limit, kept, step = max(allowed, 1.0), len(levels), 1
    while kept > 0 and _alarms(scores, levels[max(kept - step, 0)]) <= limit:
        kept, step = max(kept - step, 0), 2 * step
    refused = max(kept - step, -1)
    while kept - refused > 1:
        middle = (kept + refused) // 2
        kept, refused = (middle, refused) if _alarms(scores, levels[middle]) <= limit else (kept, middle)
    return float(levels[kept]) if kept < len(levels) else float(np.nextafter(levels[-1], np.inf))


def _alarms(scores: Sequence[Floats], threshold: float) -> int:
    return sum(alarms(one >= threshold) for one in scores)
