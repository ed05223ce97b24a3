"""What of a history came once, and what came by a schedule: kept line by line, because nearly all days of nearly all leaves have neither.

A frame with the columns `leaf` (row number), `ds` (day), `kind` (`one_off` or `scheduled`) and `cost`, sorted; made of a `SplitHistory`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.split_history import SplitHistory

Floats = NDArray[np.float64]

ONE_OFF, SCHEDULED = "one_off", "scheduled"


def known_money(parts: SplitHistory, days: NDArray[np.datetime64]) -> pd.DataFrame:
    """The money of a history that was not learnt from. days : (n_days,) of the parts' columns."""
    frames = [_lines(ONE_OFF, days, parts.one_offs), _lines(SCHEDULED, days, parts.scheduled)]
    return pd.concat(frames, ignore_index=True).sort_values(["leaf", "ds", "kind"], ignore_index=True)


def _lines(kind: str, days: NDArray[np.datetime64], money: Floats) -> pd.DataFrame:
    leaf, column = np.nonzero(money)
    return pd.DataFrame(
        {
            "leaf": leaf.astype(np.int64),
            "ds": days[column].astype("datetime64[D]").astype("datetime64[s]"),
            "kind": np.full(len(leaf), kind, dtype=object),
            "cost": money[leaf, column].astype(np.float64),
        }
    )


def money_by_day(frame: pd.DataFrame | None, kind: str, n_leaves: int, days: NDArray[np.datetime64]) -> Floats:
    """(n_leaves, n_days) money of one kind; zeros where nothing is known. days : consecutive; lines on other days are left out."""
    found = np.zeros((n_leaves, len(days)))
    if frame is None or not len(days):
        return found
    own = frame[frame["kind"] == kind]
    column = (own["ds"].to_numpy().astype("datetime64[D]") - days[0].astype("datetime64[D]")).astype(np.int64)
    inside = (column >= 0) & (column < len(days))
    np.add.at(found, (own["leaf"].to_numpy(dtype=np.int64)[inside], column[inside]), own["cost"].to_numpy(dtype=np.float64)[inside])
    return found
