"""After training, thresholds follow what they let through: more incidents than declared raise all of them a little, fewer lower them.

One factor on all thresholds, a day at a time: log factor += STEP × (new merged incidents of the day − those declared for a day). What people have
confirmed as real does not count. A day's factor comes from the days before it, from the snapshot's cutoff on, so that nothing is carried from one
run to the next, and a run a week says the same as a run a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.incidents import merge
from forecast.anomalies.sign_thresholds import Thresholds
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.workflows.board import OWN_DAYS, Board
from forecast.workflows.lessons import Lesson
from forecast.workflows.spoken_of import is_spoken_of
from forecast.workflows.watch import largest_impact

Floats = NDArray[np.float64]

STEP = 0.05
"""Of the logarithm, for each incident more than declared: docs/decisions/0016 has what others do."""
LEAST, MOST = 0.5, 2.0
"""The factor stays within these of what training found."""


def threshold_factors(
    board: Board,
    thresholds: Thresholds,
    false_alarms_per_month: float,
    days: tuple[int, int],
    *,
    minimum_impact: float = 0.0,
    lessons: Sequence[Lesson] = (),
    confirmed: Sequence[Lesson] = (),
) -> Floats:
    """(n_days,) factor of the thresholds on each of the board's days: 1 up to the first that counts.

    days : columns [first, last) whose incidents count: first is the day after the cutoff, those from last on are not known as a whole.
    lessons : what is no news. confirmed : what is real, and does not count. minimum_impact : of an incident.
    """
    first, last = days
    factors = np.ones(board.values.shape[1])
    ratios = {sign.name: sign.strength / thresholds.of_sign[sign.name] for sign in board.signs}
    largest = np.max([ratio.max(axis=0, initial=0.0) for ratio in ratios.values()], axis=0)
    level, counted = 0.0, 0
    for column in range(first, last):
        factors[column] = np.exp(level)
        if largest[column] >= factors[column]:
            flagged = {name: ratio >= factors for name, ratio in ratios.items()}
            now = _new_since(board, flagged, (first, column + 1), thresholds, minimum_impact, lessons, confirmed)
            counted, came = now, now - counted
        else:
            came = 0
        level = float(np.clip(level + STEP * (came - false_alarms_per_month / DAYS_A_MONTH), np.log(LEAST), np.log(MOST)))
    factors[max(first, last) :] = np.exp(level)
    return factors


def with_factors(board: Board, factors: Floats) -> Board:
    """The board whose strengths are held against thresholds so many times as high on each of its days."""
    found = replace(board)
    for name in ("scopes", "row_of", "node_values", "all_values", "usual_day", "usual"):
        found.__dict__[name] = getattr(board, name)
    found.__dict__["signs"] = [replace(sign, strength=sign.strength / factors) for sign in board.signs]
    return found


def _new_since(
    board: Board,
    flagged: dict[str, NDArray[np.bool_]],
    columns: tuple[int, int],
    thresholds: Thresholds,
    minimum_impact: float,
    lessons: Sequence[Lesson],
    confirmed: Sequence[Lesson],
) -> int:
    """How many merged incidents are raised first within some columns; those that were there before and go on are not."""
    found = board.flags(flagged, max(columns[0] - OWN_DAYS, 0), columns[1], thresholds, lessons, minimum_impact)
    direct = {one.flag.number for one in found if one.direct}
    start = board.days[columns[0]].astype("datetime64[D]").item()
    count = 0
    for group in merge([one.flag for one in found], own_days=OWN_DAYS):
        raised = [flag.day for flag in group if flag.number in direct]
        count += bool(raised) and min(raised) >= start and largest_impact(group) >= minimum_impact and not is_spoken_of(group, confirmed)
    return count
