"""How many times its threshold each flagged day is strong: what sensitivity rules with a `multiple` ask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forecast.anomalies.sign_thresholds import Thresholds
from forecast.anomalies.signs import OF_NODES
from forecast.workflows.board import Board, Found


def ratios_of(board: Board, found: Sequence[Found], thresholds: Thresholds) -> dict[int, float]:
    """For each flag's number the strength of its sign on its day ÷ that sign's threshold.

    Below 1 on days that only belong to a stronger one; without those of nodes that are flagged for what their leaves show.
    """
    n_leaves = len(board.values)
    leaves = {scope: row for row, scope in enumerate(board.scopes[:n_leaves])}
    nodes = {scope: row for row, scope in enumerate(board.scopes[n_leaves:])}
    signs = {sign.name: sign for sign in board.signs}
    first = board.first_day.astype("datetime64[D]")
    ratios: dict[int, float] = {}
    for one in found:
        row = (nodes if one.sign in OF_NODES else leaves).get(one.flag.scope)
        if row is not None:
            column = int((np.datetime64(one.flag.day, "D") - first).astype(np.int64))
            ratios[one.flag.number] = float(signs[one.sign].strength[row, column] / thresholds.of_sign[one.sign])
    return ratios
