"""Hours on a board: amounts of a snapshot's history, and of the days after it from the hours that are known. Rows are leaves, then nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.hours import DAYS_BEFORE, DayHours, HourLines, day_hours, joined, node_hours
from forecast.anomalies.signs import HOURS, HOURS_MONEY
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.event_doubt import EventDoubt
from forecast.workflows.fresh_leaves import coded

Floats = NDArray[np.float64]


def has_hours(snapshot: Snapshot) -> bool:
    """Whether the bills that the snapshot learnt from have lines of single hours."""
    return snapshot.signs is not None and HOURS in snapshot.signs


def known_hours(snapshot: Snapshot, days: NDArray[np.datetime64], n_leaves: int, nodes: Sequence[Scope]) -> DayHours | None:
    """Of days of the history. n_leaves, nodes : of the board, which may have more of them than the snapshot; None where no hours are known."""
    if not has_hours(snapshot) or snapshot.signs is None:
        return None
    number = {scope: n_leaves + row for row, scope in enumerate(nodes)}
    old = len(snapshot.hierarchy.leaf_ids)
    place = np.array([*range(old), *(number.get(scope, -1) for scope in snapshot.hierarchy.nodes)], dtype=np.int64)
    row = place[snapshot.signs["leaf"].to_numpy(dtype=np.int64)]
    column = (snapshot.signs["ds"].to_numpy().astype("datetime64[D]") - days[0].astype("datetime64[D]")).astype(np.int64) if len(days) else row
    inside = (row >= 0) & (column >= 0) & (column < len(days))
    amount, most = np.zeros((n_leaves + len(nodes), len(days))), np.zeros((n_leaves + len(nodes), len(days)))
    amount[row[inside], column[inside]] = snapshot.signs[HOURS].to_numpy()[inside]
    most[row[inside], column[inside]] = snapshot.signs[HOURS_MONEY].to_numpy()[inside]
    none = DayHours.nothing(*amount.shape)
    return DayHours(amount, most, none.so_far, none.spent)


def fresh_hours(
    lines: HourLines, fresh: pd.DataFrame, leaves: pd.DataFrame, days: NDArray[np.datetime64], members: Sequence[NDArray[np.int64]]
) -> DayHours | None:
    """Of days of which more is known. lines : of these days and of DAYS_BEFORE before them. fresh : charge lines with the column `leaf`, as
    `fresh_leaves.coded` places them. leaves, members : of the board. What incidents of finished days cost is told by their days."""
    if not len(lines.spend) or not len(days):
        return None
    row_of = _leaf_of(lines, fresh, leaves)
    hours = lines.by_hour(row_of, len(leaves), days[0] - np.timedelta64(DAYS_BEFORE, "D"), DAYS_BEFORE + len(days))
    found = joined([day_hours(hours), day_hours(node_hours(hours, members))], axis=0)
    return DayHours(found.amount, found.so_far, found.so_far, found.spent)


def together(before: DayHours | None, after: DayHours | None, shape: tuple[int, int, int]) -> DayHours | None:
    """Days of history and those after them; None where neither knows hours. shape : rows, days before and days after."""
    if before is None and after is None:
        return None
    n, n_before, n_after = shape
    return joined([before or DayHours.nothing(n, n_before), after or DayHours.nothing(n, n_after)], axis=1)


def without_events(hours: DayHours, doubt: EventDoubt, days: NDArray[np.datetime64], n_old: int, members: Sequence[NDArray[np.int64]]) -> DayHours:
    """Less what announced events may have done to a day. n_old : leaves that the snapshot knows; members : of each node."""
    touched = doubt.touched(n_old)
    if not touched.any():
        return hours
    high = {int(leaf): np.maximum(doubt.between(np.array([leaf]), days, beyond=True)[1], 0.0) for leaf in np.flatnonzero(touched)}
    n_leaves = len(hours.amount) - len(members)
    for node, rows in enumerate(members):
        own = [high[leaf] for leaf in rows.tolist() if leaf in high]
        if own:
            high[n_leaves + node] = np.sum(own, axis=0)
    less = {name: np.array(getattr(hours, name)) for name in ("amount", "most", "so_far")}
    for row, money in high.items():
        for values in less.values():
            values[row] = np.where(values[row] > 0.0, np.maximum(values[row] - money, 0.0), values[row])
    return DayHours(less["amount"], less["most"], less["so_far"], hours.spent)


def _leaf_of(lines: HourLines, fresh: pd.DataFrame, leaves: pd.DataFrame) -> NDArray[np.int64]:
    """Row of each combination among the board's leaves, -1 for those that it does not have."""
    names = list(leaves.columns)
    values = lines.combinations[names].astype(str).reset_index(drop=True)
    placed = fresh[[*names, "leaf"]].astype(dict.fromkeys(names, str)).drop_duplicates(names)
    row = values.merge(placed, on=names, how="left")["leaf"].fillna(-1).to_numpy(dtype=np.int64)
    missing = np.flatnonzero(row < 0)
    if len(missing):
        # Of what has not come since, the money is not asked: it is what training gathered, or a leaf of its own.
        earlier = values.iloc[missing].assign(ds=np.datetime64(0, "s"), spend=0.0)
        found = coded(earlier, leaves, names, np.zeros((len(leaves), 1)))[0]["leaf"].to_numpy(dtype=np.int64)
        row[missing] = np.where(found < len(leaves), found, -1)
    return row
