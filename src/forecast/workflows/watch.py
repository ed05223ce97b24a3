"""The signs of strange spend over a snapshot's leaves and nodes: its history, and the days after it that the ledger knows. Changes nothing.

Leaves are those of the snapshot and then combinations that only later lines have. Thresholds come from a replay of the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.hours import HourLines
from forecast.anomalies.incidents import Flag, merge
from forecast.anomalies.sign_thresholds import REPLAYED, Thresholds, fit_thresholds
from forecast.anomalies.signs import ABOVE, AMOUNTS, CONSTANT, DUPLICATES, GROWTH, HOURS, HOURS_ABOVE, NEWCOMERS, PRICE, SPEND, usual
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.errors import ArtifactError
from forecast.snapshot import Snapshot
from forecast.spend.completeness import benefit_of_doubt
from forecast.spend.provisional import Watermarks
from forecast.spend.scope import Scope
from forecast.workflows.board import OWN_DAYS, Board, Found
from forecast.workflows.dated_money import dated_money
from forecast.workflows.event_doubt import event_doubt
from forecast.workflows.fresh_leaves import coded, nodes_of
from forecast.workflows.hour_boards import fresh_hours, known_hours, together, without_events
from forecast.workflows.lessons import Lesson
from forecast.workflows.row_detector import row_detector
from forecast.workflows.spoken_of import cells_of, is_spoken_of, summary

Floats = NDArray[np.float64]

SMALLEST_IMPACT = 0.01
"""Part of the company's usual day: less is not worth a call, where nobody says what is."""
DOUBTFUL_DAYS = 40
"""Days at the end of a board that may not be billed to their end."""
SEEN_DAYS = 420
"""Days before those that are scored which a step looks at: ten months of record, and what was usual before them."""
WHOLE_BLOCKS = 30
"""Days that a board begins with a multiple of, so that records have the same blocks as in the whole history."""
LONG_WINDOW = 4
"""Days from which a finding speaks of a level, and not of a day."""
SHAPE_DAYS = 28
"""Days whose course tells a level that shifted from growth."""
NOTHING_LEFT = 0.01
"""Part of what is usual below which spend is missing and not only less."""
MONEY_DIGITS = 6
_DAY = np.timedelta64(1, "D")


def n_incidents(board: Board, flagged: Mapping[str, NDArray[np.bool_]], minimum_impact: float = 0.0, confirmed: Sequence[Lesson] = ()) -> int:
    """How many merged incidents the flags of a board's last days make up. flagged : by sign; columns are the board's last ones. confirmed : those
    that are real, and do not count."""
    n_days = board.values.shape[1]
    whole = {name: np.concatenate([np.zeros((len(rows), n_days - rows.shape[1]), dtype=bool), rows], axis=1) for name, rows in flagged.items()}
    found = board.flags(whole, 0, n_days, minimum_impact=minimum_impact)
    groups = merge([one.flag for one in found], own_days=OWN_DAYS)
    return sum(largest_impact(group) >= minimum_impact and not is_spoken_of(group, confirmed) for group in groups)


def largest_impact(group: Sequence[Flag]) -> float:
    """Money of the scope of a group that has the most of it."""
    impacts: dict[Scope, float] = {}
    for flag in group:
        impacts[flag.scope] = impacts.get(flag.scope, 0.0) + flag.impact
    return max(abs(impact) for impact in impacts.values())


def history_board(snapshot: Snapshot) -> Board:
    """What a snapshot knows up to its cutoff; read once a snapshot."""
    found: Board | None = snapshot.__dict__.get("_board")
    if found is None:
        found = snapshot.__dict__["_board"] = board_of(snapshot, None, None)
    return found


def board_of(
    snapshot: Snapshot,
    fresh: pd.DataFrame | None,
    moment: np.datetime64 | None,
    *,
    since: np.datetime64 | None = None,
    hours: HourLines | None = None,
) -> Board:
    """The snapshot's history, and days of which more is known.

    fresh : as `adapters.sign_lines` reads them, of all days from `since` (by default the first after the cutoff) on; None for none: the board
    is then the whole history, and else it begins SEEN_DAYS before `since`. moment : when they were known, for how much of their last days may
    still be missing. hours : what was known of the hours of these days, and of the `anomalies.hours.DAYS_BEFORE` days before them.
    """
    hierarchy = snapshot.hierarchy
    dimensions = list(hierarchy.dimensions)
    leaves = hierarchy.leaves[dimensions].astype(str).reset_index(drop=True)
    dated = dated_money(snapshot)
    days = snapshot.history_ds.astype("datetime64[D]")
    if fresh is None or fresh.empty:
        amounts = {name: _matrix(snapshot.signs, name, len(leaves), days) for name in AMOUNTS}
        known = known_hours(snapshot, days, len(leaves), hierarchy.nodes)
        return _judged(snapshot, Board(leaves, dated.learnable, amounts, hierarchy.nodes, hierarchy.members, days[0], known), None)
    start = min(days[-1] + _DAY if since is None else since.astype("datetime64[D]"), days[-1] + _DAY)
    last = int((start - days[0]).astype(np.int64))
    first = max(last - SEEN_DAYS, 0) // WHOLE_BLOCKS * WHOLE_BLOCKS
    placed, leaves = coded(fresh, leaves, dimensions, dated.learnable[:, first:last])
    before, after = days[first:last], np.arange(start, max(placed["ds"].to_numpy().astype("datetime64[D]").max(), start) + _DAY)
    values = np.concatenate([_padded(dated.learnable[:, first:last], len(leaves)), _matrix(placed, "spend", len(leaves), after)], axis=1)
    both = {
        name: np.concatenate([_matrix(snapshot.signs, name, len(leaves), before), _matrix(placed, name, len(leaves), after)], axis=1)
        for name in AMOUNTS
    }
    nodes, members = nodes_of(hierarchy, leaves)
    fine = together(
        known_hours(snapshot, before, len(leaves), nodes),
        None if hours is None else fresh_hours(hours, placed, leaves, after, members),
        (len(leaves) + len(nodes), len(before), len(after)),
    )
    return _judged(snapshot, Board(leaves, values, both, nodes, members, days[first], fine), moment)


def thresholds_of(board: Board, false_alarms_per_month: float, minimum_impact: float = 0.0, confirmed: Sequence[Lesson] = ()) -> Thresholds:
    """Thresholds of a declared rate from a board of history. confirmed : what of it was real, and does not use up the rate."""
    return fit_thresholds(
        board.signs,
        false_alarms_per_month,
        lambda flagged: n_incidents(board, flagged, minimum_impact, confirmed),
        cells_of(board, confirmed) if confirmed else None,
    )


def kind_of(board: Board, group: Sequence[Found]) -> str:
    """What kind of trouble a group is, by the first sign of it that was raised; so it keeps its name while it lasts."""
    first = min((one for one in group if one.direct), key=lambda one: (one.flag.day, -abs(one.flag.impact)), default=group[0])
    cost, expected = first.flag.cost, first.flag.expected
    if first.flag.impact < 0:
        return "missing_data" if cost <= NOTHING_LEFT * expected else "drop"
    if first.sign == NEWCOMERS or (first.sign in (SPEND, ABOVE, GROWTH, HOURS, HOURS_ABOVE) and abs(expected) <= NOTHING_LEFT * abs(cost)):
        return "new_spend"
    if first.sign in _NAMES:
        return _NAMES[first.sign]
    if first.sign == GROWTH or (first.sign in (SPEND, ABOVE) and first.window >= LONG_WINDOW):
        return "creeping_growth" if _creeps(board, first.flag) else "level_shift"
    return "spike"


def _creeps(board: Board, flag: Flag) -> bool:
    """Whether the last weeks are better told by spend that rises from some day on than by a level that shifts on some day."""
    row, last = board.row_of[flag.scope], column_of(board, np.datetime64(flag.day))
    first = max(last - SHAPE_DAYS + 1, 0)
    beyond = board.all_values[row, first : last + 1] - np.nan_to_num(board.usual[row, first])
    since = np.arange(len(beyond)) - np.arange(len(beyond) - 1)[:, None] + 1.0
    shapes = np.stack([np.where(since > 0, 1.0, 0.0), np.maximum(since, 0.0)])
    told = (shapes @ beyond) ** 2 / (shapes**2).sum(axis=2)
    step, ramp = told.max(axis=1, initial=0.0)
    return bool(ramp > step)


_NAMES = {PRICE: "price_change", DUPLICATES: "duplicate_billing", CONSTANT: "level_shift"}


def minimum_of(board: Board, minimum_impact: float | None) -> float:
    """Money that an incident has at least: what was set, else one percent of the company's usual day."""
    return SMALLEST_IMPACT * board.usual_day if minimum_impact is None else minimum_impact


def with_sign_thresholds(
    snapshot: Snapshot,
    false_alarms_per_month: float,
    minimum_impact: float | None = None,
    confirmed: Sequence[Lesson] = (),
    *,
    with_rows: bool = True,
) -> Snapshot:
    """The snapshot with the thresholds of a declared rate, from a replay of its history, and the incidents that the replay had. confirmed : those of
    its incidents that people have called real; they do not use up the rate. with_rows : also what single rows are judged by."""
    board = history_board(snapshot)
    least = minimum_of(board, minimum_impact)
    thresholds = thresholds_of(board, false_alarms_per_month, least, confirmed)
    arrays = {**thresholds.arrays(), "minimum_impact": np.array([least]), "declared": np.array([false_alarms_per_month])}
    rows = row_detector(snapshot, false_alarms_per_month, least, own_days=OWN_DAYS) if with_rows else {}
    return replace(snapshot, detector={**snapshot.detector, **rows, **arrays, **_replay(board, thresholds, least)})


def _replay(board: Board, thresholds: Thresholds, least: float) -> dict[str, NDArray[Any]]:
    """The replay's incidents: largest scope, direction, first and last day, and of how many days it was."""
    n_days = len(board.days)
    first = max(n_days - REPLAYED, 0)
    found = board.flags({sign.name: thresholds.flags(sign) for sign in board.signs}, first, n_days, thresholds, minimum_impact=least)
    groups = [summary(group) for group in merge([one.flag for one in found], own_days=OWN_DAYS) if largest_impact(group) >= least]
    return {
        "replayed_days": np.array([n_days - first]),
        "replayed_scopes": np.array([str(scope) for scope, *_ in groups], dtype=np.str_),
        "replayed_ways": np.array(["up" if way > 0 else "down" for _, way, *_ in groups], dtype=np.str_),
        "replayed_from": np.array([begin for *_, begin, _ in groups], dtype="datetime64[D]"),
        "replayed_to": np.array([end for *_, end in groups], dtype="datetime64[D]"),
    }


def false_incidents(snapshot: Snapshot, lessons: Sequence[Lesson] = (), confirmed: Sequence[Lesson] = ()) -> dict[str, float]:
    """Merged incidents a month: `declared`; of those that the replay of history had `confirmed`, which people have called real, `expected`, which
    they have called so, and `replayed`, the others."""
    arrays = snapshot.detector
    if "replayed_days" not in arrays:
        raise ArtifactError(f"Snapshot {snapshot.id[:12]} has no record of its detector's replay: it was written by another version; train again")
    months = float(arrays["replayed_days"][0]) / DAYS_A_MONTH
    texts, ways = arrays["replayed_scopes"].tolist(), arrays["replayed_ways"].tolist()
    found = [
        (Scope.parse(text), 1 if way == "up" else -1, first, last)
        for text, way, first, last in zip(texts, ways, arrays["replayed_from"].tolist(), arrays["replayed_to"].tolist(), strict=True)
    ]
    others = [one for one in found if not any(lesson.speaks_of(*one) for lesson in confirmed)]
    expected = sum(any(lesson.speaks_of(*one) for lesson in lessons) for one in others)
    return {
        "declared": float(arrays["declared"][0]),
        "replayed": (len(others) - expected) / months,
        "expected": expected / months,
        "confirmed": (len(found) - len(others)) / months,
    }


def thresholds_in(snapshot: Snapshot) -> tuple[Thresholds, float]:
    """A snapshot's thresholds and minimum impact, read once."""
    found: tuple[Thresholds, float] | None = snapshot.__dict__.get("_sign_thresholds")
    if found is None:
        arrays = snapshot.detector
        found = snapshot.__dict__["_sign_thresholds"] = Thresholds.from_arrays(arrays), float(arrays["minimum_impact"][0])
    return found


def column_of(board: Board, day: np.datetime64) -> int:
    """Number of a day's column; may lie outside of the board."""
    return int((day.astype("datetime64[D]") - board.first_day.astype("datetime64[D]")).astype(np.int64))


def _judged(snapshot: Snapshot, board: Board, moment: np.datetime64 | None) -> Board:
    """The board with the benefit of the doubt: what is not billed yet, and what announced events may have done, is as usual as it can be."""
    values, level = board.values.copy(), usual(board.values)
    days = board.days
    if snapshot.watermarks is not None and moment is not None and "provider" in board.leaves:
        marks = Watermarks.of(snapshot.watermarks)
        late = slice(max(len(days) - DOUBTFUL_DAYS, 0), len(days))
        ages = marks.ages(days[late], moment)
        provider = board.leaves["provider"].to_numpy()
        for name in np.unique(provider):
            low, high = marks.shares({str(name): 1.0}, ages)
            rows = np.flatnonzero(provider == name)
            known = np.nan_to_num(level[rows][:, late])
            values[rows, late] = benefit_of_doubt(values[rows][:, late], known, np.broadcast_to(low, known.shape), np.broadcast_to(high, known.shape))
    doubt = event_doubt(snapshot)
    n_old = len(snapshot.leaf_history)
    for row in np.flatnonzero(doubt.touched(n_old)).tolist():
        low, high = doubt.between(np.array([row]), days, beyond=True)
        known = level[row]
        values[row] = np.where(np.isnan(known), values[row], np.clip(known, values[row] - high, values[row] - low))
    hours = None if board.hours is None else without_events(board.hours, doubt, days, n_old, board.members)
    return replace(board, values=values, hours=hours)


def _matrix(frame: pd.DataFrame | None, column: str, n_leaves: int, days: NDArray[np.datetime64]) -> Floats:
    found = np.zeros((n_leaves, len(days)))
    if frame is None or frame.empty or column not in frame or not len(days):
        return found
    at = (frame["ds"].to_numpy().astype("datetime64[D]") - days[0].astype("datetime64[D]")).astype(np.int64)
    leaf = frame["leaf"].to_numpy(dtype=np.int64)
    inside = (at >= 0) & (at < len(days)) & (leaf < n_leaves)
    np.add.at(found, (leaf[inside], at[inside]), frame[column].to_numpy(dtype=np.float64)[inside])
    # A query that adds up in parallel differs in the last bits from time to time; the same again must say the same.
    return np.asarray(found.round(MONEY_DIGITS))


def _padded(matrix: Floats, rows: int) -> Floats:
    return np.concatenate([matrix, np.zeros((rows - len(matrix), matrix.shape[1]))])
