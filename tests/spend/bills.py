"""Bills of made-up vendors as developments: who delivers when, and how wrong at first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
START = pd.Timestamp("2026-01-05")  # a Monday


def final_costs(n_days: int, seed: int = 0, level: float = 100.0) -> Floats:
    return level * np.exp(0.1 * np.random.default_rng(seed).standard_normal(n_days))


def bill(
    source: str,
    final: Floats,
    arrival: Callable[[int, pd.Timestamp], pd.Timestamp],
    *,
    first: Floats | float = 1.0,
    corrected_after: float = 48.0,
) -> pd.DataFrame:
    """source, ds, known_at, change of daily costs. arrival : of day number and its end. first : first totals ÷ final ones, put right
    `corrected_after` hours after the day's end."""
    days = pd.date_range(START, periods=len(final), freq="D")
    ends = days + pd.Timedelta(days=1)
    known = pd.DatetimeIndex([arrival(number, end) for number, end in enumerate(ends)])
    factor = np.broadcast_to(np.asarray(first, dtype=np.float64), final.shape)
    wrong = factor != 1.0
    begin = pd.DataFrame({"source": source, "ds": days, "known_at": known, "change": final * factor})
    rest = pd.DataFrame({"source": source, "ds": days, "known_at": ends + pd.Timedelta(hours=corrected_after), "change": final * (1.0 - factor)})
    return pd.concat([begin, rest[wrong]], ignore_index=True)


def after_hours(hours: float) -> Callable[[int, pd.Timestamp], pd.Timestamp]:
    return lambda number, end: end + pd.Timedelta(hours=hours)


def connected(developments: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """Everything known by a moment comes at that moment."""
    before = developments["known_at"] <= moment
    history = developments[before].groupby(["source", "ds"], as_index=False)["change"].sum().assign(known_at=moment)
    return pd.concat([history, developments[~before]], ignore_index=True)[developments.columns.tolist()]


def known_matrix(developments: pd.DataFrame, ids: list[str], grid: pd.DatetimeIndex, as_of: pd.Timestamp) -> Floats:
    part = developments[developments["known_at"] <= as_of]
    values = np.zeros((len(ids), len(grid)))
    row, column = pd.Index(ids).get_indexer(pd.Index(part["source"])), grid.get_indexer(pd.DatetimeIndex(part["ds"]))
    inside = (row >= 0) & (column >= 0)
    np.add.at(values, (row[inside], column[inside]), part["change"].to_numpy(dtype=np.float64)[inside])
    return values
