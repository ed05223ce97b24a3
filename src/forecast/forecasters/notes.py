"""What a forecaster did with series that are not long, whole and ordinary: a few plain sentences for whoever reads the forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.error_record import LEAST_KNOWN
from forecast.forecasters.history import Floats, History, rhythm_of

NAMED = 3
"""Series that a sentence names; the others are counted."""


def notes_of(history: History, alive: Floats) -> list[str]:
    """Sentences about a history. alive : (n,) chance that each series has not ended."""
    now = history.n_periods
    age = now - history.first
    own = history.rhythm.short + LEAST_KNOWN
    silent = age <= 0
    unknown = _unknown_inside(history)
    found = [
        _about(history.ids, silent, "Never had any spend, so the forecast is nothing"),
        _about(
            history.ids, ~silent & (age < own), f"Began less than {own} periods ago, so errors are borrowed from other series and made wider", age
        ),
        _about(history.ids, history.last < history.last.max(), "End before the panel does, so the horizon starts after their own last row"),
        _about(history.ids, alive < 1.0, "Silent for longer than ever before and taken to have ended, but for a chance", alive.round(2)),
        _about(history.ids, history.additive, "Made of credits as much as of spend, so forecasts may be negative"),
        _about(history.ids, unknown > 0, "Periods that are not known are left out", unknown),
        _outages(history),
    ]
    longest = rhythm_of(history.freq, 10**9).season
    if longest > history.rhythm.season:
        found.append(f"{now} periods are less than two seasons of {longest}, so no season was learnt")
    return [sentence for sentence in found if sentence]


def _about(ids: Sequence[str], counted: NDArray[np.bool_], what: str, number: NDArray[np.generic] | None = None) -> str:
    rows = np.flatnonzero(counted)
    if not len(rows):
        return ""
    named = ", ".join(f"{ids[row]}" + ("" if number is None else f" ({number[row]})") for row in rows[:NAMED])
    return f"{what}: {named}" + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def _unknown_inside(history: History) -> NDArray[np.int64]:
    """(n,) unknown periods since each series began, outages left aside."""
    inside = np.arange(history.n_periods)[None, :] >= history.first[:, None]
    unknown = (np.isnan(history.values) & inside).sum(axis=1)
    return np.asarray(unknown - np.bincount(history.outage_cells[:, 0], minlength=history.n_series))


def _outages(history: History) -> str:
    if not len(history.outage_cells):
        return ""
    row, column = history.outage_cells[-1]
    day = history.grid[max(int(history.last[row] - (history.n_periods - 1 - column)), 0)]
    count = len(np.unique(history.outage_cells[:, 0]))
    return (
        f"Nearly stopped and came back, taken for outages and not learnt: {len(history.outage_cells)} periods of {count} series, "
        f"the last that of {history.ids[row]} on {day}"
    )
