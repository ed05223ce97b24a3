"""Days of bills made into the company's days, where its time zone is not UTC.

Bills count in UTC days. A company day cuts two of them, and of a day that is cut each part counts with its share of time, as a part of a
month-long step does: nobody knows more than the day's sum. Every amount is taken apart without rest, so that all company days together cost
what all days in UTC cost, on days of 23 and 25 hours too.

The company's day on which knowledge ends is not over: what is known of it and what is simulated of it together are its first step to come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.paths import overlap
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.zones import Midnights, shares

DAY = np.timedelta64(1, "D")
ALIKE = 1e-12
"""Difference of shares that is rounding."""


@dataclass(frozen=True, eq=False)
class CompanyWindow:
    """What of a snapshot a period of company days is made from.

    past, pending, steps : columns of the history and of `pending`, and steps, in UTC. days : (n_days,) company days that are over. starts,
    ends, weights : (n_steps,) the company's steps to come, and the share of each that lies in the period.
    days_of_past : (n_days, n_past) share of each UTC day in each company day; steps_of_past, steps_of_steps : what the company's steps are made of.
    """

    past: slice
    pending: slice
    steps: slice
    days: NDArray[np.datetime64]
    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    weights: NDArray[np.float64]
    days_of_past: NDArray[np.float64]
    steps_of_past: NDArray[np.float64]
    steps_of_steps: NDArray[np.float64]

    def convert(
        self, past: NDArray[np.float64], pending: NDArray[np.floating] | None, paths: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.floating] | None, NDArray[np.floating]]:
        """Cost in the company's days. past : (n_past,); pending : (k, n_paths), the last k of them; paths : (n_steps, n_paths)."""
        found = _few_rows(self.steps_of_steps, paths) + (self.steps_of_past @ past)[:, None]
        owed = None
        if pending is not None and len(pending):
            k = len(pending)
            # Only the day on which knowledge ends is a step that is partly known.
            found[:1] += self.steps_of_past[:1, -k:] @ pending
            touched = int((self.days_of_past[:, -k:] > 0.0).any(axis=1).sum())
            owed = (self.days_of_past[len(self.days) - touched :, -k:] @ pending).astype(pending.dtype)
        elif pending is not None:
            owed = pending
        return self.days_of_past @ past, owed, found.astype(paths.dtype)


def _few_rows(weights: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """`weights @ values` where each row of `weights` has two or three neighbours that are not 0: a hundredth of the products."""
    if not weights.size:
        return np.zeros((len(weights), values.shape[1]))
    used = weights != 0.0
    first = used.argmax(axis=1)
    width = int((weights.shape[1] - used[:, ::-1].argmax(axis=1) - first)[used.any(axis=1)].max(initial=0))
    found = np.zeros((len(weights), values.shape[1]))
    rows = np.arange(len(weights))
    for offset in range(width):
        column = np.minimum(first + offset, weights.shape[1] - 1)
        part = np.where(first + offset < weights.shape[1], weights[rows, column], 0.0)
        found += part[:, None] * values[column]
    return found


@dataclass(frozen=True, eq=False)
class CompanyGrid:
    """The company's steps to come: starts, ends (n,) days; of_steps : (n, n_steps) share of each step in UTC in each of them.

    They are single days, and of month-long steps runs of days that are made alike: the days at a month's edges and those on which clocks change
    stand alone. So a part of a step is its part of the days, whatever is asked for.
    """

    starts: NDArray[np.datetime64]
    ends: NDArray[np.datetime64]
    of_steps: NDArray[np.float64]


def company_grid(snapshot: Snapshot, midnights: Midnights) -> CompanyGrid:
    """The snapshot's grid, made once (kept in the instance, as a cached property would be)."""
    found: CompanyGrid | None = snapshot.__dict__.get("_company_grid")
    if found is None:
        days = np.arange(np.datetime64(snapshot.first_open_day, "D"), snapshot.ends[-1].astype("datetime64[D]"))
        by_day = day_shares(snapshot, midnights, days)
        begins = np.flatnonzero(np.concatenate([[True], (np.abs(np.diff(by_day, axis=0)) > ALIKE).any(axis=1)]))
        ends = np.concatenate([days[begins[1:]], days[-1:] + DAY])
        found = CompanyGrid(days[begins], ends, np.add.reduceat(by_day, begins, axis=0))
        snapshot.__dict__["_company_grid"] = found
    return found


def company_window(snapshot: Snapshot, midnights: Midnights, period: Period) -> CompanyWindow:
    """The days and steps that a period of company days touches."""
    start, end = np.datetime64(period.start, "D"), np.datetime64(period.end, "D")
    grid = company_grid(snapshot, midnights)
    first = int(np.searchsorted(grid.ends, start, side="right"))
    last = max(first, int(np.searchsorted(grid.starts, end, side="left")))
    starts, ends = grid.starts[first:last], grid.ends[first:last]
    days = np.arange(start, max(start, min(end, np.datetime64(snapshot.first_open_day, "D"))))
    since, until = midnights.of(days), midnights.of(days + DAY)
    step_since, step_until = midnights.of(starts), midnights.of(ends)
    past = _touched(snapshot.history_ds, np.concatenate([since, until, step_since, step_until]))
    touched = np.flatnonzero(grid.of_steps[first:last].any(axis=0))
    steps = slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 0)
    history = snapshot.history_ds[past]
    return CompanyWindow(
        past,
        slice(max(past.start - snapshot.first_pending, 0), max(past.stop - snapshot.first_pending, 0)),
        steps,
        days,
        starts,
        ends,
        overlap(starts, ends, start, end),
        shares(history, history + DAY, since, until),
        shares(history, history + DAY, step_since, step_until),
        grid.of_steps[first:last, steps],
    )


def day_shares(snapshot: Snapshot, midnights: Midnights, days: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """(n_days, n_steps) share of each step in UTC that lies in each company day."""
    return snapshot.step_shares(midnights.of(days), midnights.of(days + DAY))


def _touched(days: NDArray[np.datetime64], spans: NDArray[np.datetime64]) -> slice:
    """Columns of UTC days between the first and the last moment."""
    if not len(spans):
        return slice(0, 0)
    first = np.searchsorted(days, spans.min().astype("datetime64[D]"), side="left")
    last = np.searchsorted(days.astype("datetime64[s]"), spans.max(), side="left")
    return slice(int(first), int(max(first, last)))
