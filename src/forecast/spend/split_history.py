"""A history taken apart by kinds of charge: what is learnt, what happened once, and what is known from a schedule.

`charges.py` says which lines are `scheduled`, `one_off` or to `learn`. An item that shows no schedule is given back to what is learnt, and
so is a one-off that goes on day after day. No money is lost: learnable + one-offs + scheduled = the history, day by day. A history that was
changed since it was read (a nowcast of days that are not complete) changes what is learnable.

Everything uses the days given and none after: cut history and lines at a cutoff, and this is what was known then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, SchemaError
from forecast.spend.schedules import NONE, TERM_DAYS, Booleans, Floats, Ints, Schedules, find_schedules

LINE_COLUMNS = ("leaf", "ds", "treatment", "kind", "item", "cost", "end")
"""leaf : row number. ds : day on which the charge starts. treatment, kind, item : see `charges.py`. cost : money of one of the two costs.
end : latest end (exclusive) of the charge periods in the row. One row or several a leaf, day and item; they add up. Only those that are
`one_off` or `scheduled` are looked at; a scheduled one without money may still say when a term ends."""

RUNNING = ((7, 14), (3, 3))
"""A one-off that was charged on so many of the last so many days runs: a promotion that pays half of each day is a level while it lasts, and
nobody waits a week to see that it began."""

NOTHING = 1e-9
"""Part of the money added up below which a difference is rounding."""

COMMITMENTS = ("commitment_fee", "commitment_purchase")
"""Kinds whose item is the commitment itself, so that one line of it may speak for another."""


@dataclass(frozen=True, eq=False)
class SplitHistory:
    """Daily cost of the leaves, (n_leaves, days) each: what is learnt, what happened once, and what is scheduled. They add up to everything."""

    learnable: Floats
    one_offs: Floats
    scheduled: Floats
    schedules: Schedules

    @property
    def total(self) -> Floats:
        """What actuals and budgets count."""
        return self.learnable + self.one_offs + self.scheduled


def split_history(total: Floats, lines: pd.DataFrame, grid: pd.DatetimeIndex) -> SplitHistory:
    """Take a history apart. total : (n_leaves, days) all money. lines : columns of `LINE_COLUMNS`, days within `grid` (daily, naive UTC).

    Raises SchemaError for a missing column, InputError for a row outside the leaves or the grid.
    """
    missing = [name for name in LINE_COLUMNS if name not in lines.columns]
    if missing:
        raise SchemaError(
            f"lines have no column {missing[0]!r}", field=missing[0], got=list(map(str, lines.columns)), allowed=", ".join(LINE_COLUMNS)
        )
    lines = lines[lines["treatment"].isin(("one_off", "scheduled"))]
    day = grid.get_indexer(pd.DatetimeIndex(lines["ds"]).normalize())
    leaf = lines["leaf"].to_numpy(dtype=np.int64)
    if len(lines) and (day.min() < 0 or leaf.min() < 0 or leaf.max() >= len(total)):
        raise InputError("A line lies outside the leaves or the days of the history", field="lines", got=len(lines), allowed="lines of the history")
    cost = lines["cost"].to_numpy(dtype=np.float64)
    known = (lines["treatment"] == "scheduled").to_numpy() & (cost != 0.0)
    items, keys = pd.factorize(pd.MultiIndex.from_frame(lines.loc[known, ["leaf", "kind", "item"]]), sort=True)
    frame = keys.to_frame(index=False) if len(keys) else pd.DataFrame({"leaf": [], "kind": [], "item": []})
    frame.columns = pd.Index(["leaf", "kind", "item"])
    values = np.zeros((len(keys), len(grid)))
    np.add.at(values, (items, day[known]), cost[known])
    ends = np.full(len(keys), np.datetime64("NaT", "D"), dtype="datetime64[D]")
    if len(keys):
        latest = lines.loc[known, "end"].groupby(items).max()
        ends[latest.index.to_numpy()] = latest.to_numpy().astype("datetime64[D]")
    schedules = find_schedules(frame, values, ends, grid, len(total), terms=_terms(lines, frame))
    kept = schedules.cadence != NONE
    scheduled = np.zeros_like(total)
    np.add.at(scheduled, frame["leaf"].to_numpy(dtype=np.int64)[kept], values[kept])
    once = (lines["treatment"] == "one_off").to_numpy(copy=True)
    once[once] = ~_running(lines.loc[once, ["leaf", "kind", "item"]], day[once], len(grid))
    one_offs = np.zeros_like(total)
    np.add.at(one_offs, (leaf[once], day[once]), cost[once])
    learnable = total - one_offs - scheduled
    # What is left of a difference of equal sums is no money, and a series of it would be learnt from.
    size = np.abs(total) + np.abs(one_offs) + np.abs(scheduled)
    learnable[np.abs(learnable) <= NOTHING * size] = 0.0
    return SplitHistory(learnable, one_offs, scheduled, schedules.only(kept))


def _terms(lines: pd.DataFrame, items: pd.DataFrame) -> tuple[NDArray[np.datetime64], Ints]:
    """(m,) end and days of the latest term that any line of an item's commitment speaks of; NaT and 0 where none does.

    A commitment paid partly upfront has fees whose charge periods are months, and one purchase whose charge period is the whole term.
    """
    ends, days = np.full(len(items), np.datetime64("NaT", "D"), dtype="datetime64[D]"), np.zeros(len(items), dtype=np.int64)
    of_commitment = lines["kind"].isin(COMMITMENTS) & (lines["treatment"] == "scheduled")
    length = (lines["end"] - lines["ds"]).dt.days
    known = lines[of_commitment & (length >= TERM_DAYS)].assign(days=length).sort_values(["end", "days"]).drop_duplicates("item", keep="last")
    place = pd.Index(known["item"]).get_indexer(pd.Index(items["item"]))
    told = (place >= 0) & items["kind"].isin(COMMITMENTS).to_numpy()
    ends[told] = known["end"].to_numpy().astype("datetime64[D]")[place[told]]
    days[told] = known["days"].to_numpy(dtype=np.int64)[place[told]]
    return ends, days


def _running(items: pd.DataFrame, day: Ints, periods: int) -> Booleans:
    """(lines,) whether the line's item runs at the end of the history; all lines of such an item do."""
    if not len(items):
        return np.zeros(0, dtype=np.bool_)
    item, keys = pd.factorize(pd.MultiIndex.from_frame(items))
    widest = max(width for _, width in RUNNING)
    recent = np.zeros((len(keys), widest), dtype=np.bool_)
    late = day >= periods - widest
    recent[item[late], day[late] - (periods - widest)] = True
    runs = np.zeros(len(keys), dtype=np.bool_)
    for least, width in RUNNING:
        runs |= recent[:, widest - width :].sum(axis=1) >= least
    return runs[item]
