"""Which trouble of a board people have spoken of: merged flags, and the single series and days on which signs tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.incidents import Flag
from forecast.anomalies.signs import GROWTH, OF_NODES, SHORT
from forecast.spend.scope import Scope
from forecast.workflows.board import Board
from forecast.workflows.lessons import Lesson


def summary(group: Sequence[Flag]) -> tuple[Scope, int, date, date]:
    """Of merged flags the largest scope, the way (1 up, -1 down), first and last day."""
    days = [flag.day for flag in group]
    return max(group, key=lambda flag: abs(flag.impact)).scope, 1 if group[0].direction == "up" else -1, min(days), max(days)


def is_spoken_of(group: Sequence[Flag], said: Sequence[Lesson]) -> bool:
    """Whether people have spoken of the trouble of merged flags."""
    found = summary(group) if said else None
    return found is not None and any(one.speaks_of(*found) for one in said)


def cells_of(board: Board, said: Sequence[Lesson]) -> dict[str, NDArray[np.bool_]]:
    """By sign, (n, n_days) which series and days tell of what people have spoken of: those that look back on a day of it."""
    found = {sign.name: np.zeros(sign.strength.shape, dtype=bool) for sign in board.signs}
    n_leaves, column = len(board.values), np.arange(board.values.shape[1])
    for one in said:
        about = np.array([one.about(scope) for scope in board.scopes], dtype=bool)
        first, last = (
            int((np.datetime64(day, "D") - board.days[0].astype("datetime64[D]")).astype(np.int64)) for day in (min(one.money), max(one.money))
        )
        here = column[(column >= first) & (column < last + SHORT)]
        for sign in board.signs:
            cells = np.ix_(np.flatnonzero(about[n_leaves:] if sign.name in OF_NODES else about[:n_leaves]), here)
            back = np.full(sign.window[cells].shape, SHORT) if sign.name == GROWTH else sign.window[cells]
            found[sign.name][cells] |= (sign.way[cells] == one.way) & (here - back < last)
    return found
