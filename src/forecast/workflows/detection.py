"""Replay: what would have been said each day of the spend that was known then. Pure; the records keep what it says.

One step for each day on which bills came in. A step scores every node of the hierarchy on the days whose cost has changed, and on some days
around them, so that the days of one cause are one detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.alerts.incident import Detection
from forecast.anomalies.snapshot_detector import fit_snapshot_detector
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import OTHER, UNKNOWN
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.known_money import SCHEDULED, money_by_day
from forecast.spend.provisional import Watermarks
from forecast.spend.scope import Scope
from forecast.workflows.incident_answers import detections_of
from forecast.workflows.spike_scores import detector_state, sources_of
from forecast.workflows.spikes import MOST_ROWS, SpendRow, anomaly_answer

AROUND = 7
"""Days before those that changed which are scored with them."""
MOST_DAYS = 31
"""Days that are scored at once: of each such span the largest incidents have their charge lines searched for causes."""
SUFFICIENT = 0.8
"""Share of a day that must be known at least before it counts as normal."""
LATEST_LAG = 7
"""A provider whose bills are later than that has ended or pauses; the others are not held back for it."""
DAILY_SHARE = 0.8
"""Share of four weeks with spend from which a provider is taken for one that bills every day."""

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Step:
    """What was said at a moment.

    rows, strange : scored, and flagged of them. calm : text of the scope and day of each row that was not flagged. scored_through : for the
    text of a scope the end of the days of it that were known well enough, None where no day is.
    """

    moment: datetime
    rows: int
    strange: int
    detections: list[Detection]
    calm: frozenset[tuple[str, str]]
    scored_through: Callable[[str], datetime | None]


def with_false_alarms(snapshot: Snapshot, false_alarms_per_month: float) -> Snapshot:
    """The snapshot with the threshold of another declared rate, from the same replay of its history."""
    # As training does: what a schedule brings is no surprise, and does not belong to the threshold.
    scheduled = money_by_day(snapshot.known_money, SCHEDULED, len(snapshot.leaf_history), snapshot.history_ds)
    arrays = fit_snapshot_detector(
        snapshot.hierarchy.node_ids,
        snapshot.hierarchy.aggregate(snapshot.expected_history - scheduled),
        first_day=snapshot.first_day,
        false_alarms_per_month=false_alarms_per_month,
    )
    return replace(snapshot, detector={**snapshot.detector, "threshold": arrays["threshold"]})


def watched(snapshot: Snapshot) -> set[Scope]:
    """The scopes that a replay scores, but for those that the snapshot has never seen."""
    return set(snapshot.hierarchy.nodes)


def replayed(
    snapshot: Snapshot, developments: pd.DataFrame, *, since: date, until: date, as_of: datetime | None = None, lines: pd.DataFrame | None = None
) -> Iterator[Step]:
    """Steps in order of time.

    developments : the leaf dimensions and `provider`, `ds` (day), `known_at` (naive UTC), `change` (money); of days in [since, until) and
    of what came to be known up to `as_of` (None: all of it). lines : charge lines of days after the cutoff (`spikes.anomaly_answer`).
    Days are not scored before they are over, nor while a provider of every day that nothing is known of (how its bills come in) has not billed.
    """
    frame = developments[developments["ds"] < pd.Timestamp(until)].sort_values("known_at", kind="stable")
    if as_of is not None:
        frame = frame[frame["known_at"] <= pd.Timestamp(as_of.astimezone(UTC).replace(tzinfo=None))]
    board = _Board.of(snapshot.hierarchy, frame, since, until)
    if board is None:
        return
    smallest = detector_state(snapshot).smallest_money
    marks = None if snapshot.watermarks is None else Watermarks.of(snapshot.watermarks)
    before = np.zeros((len(board.scopes), len(board.days)))
    scored_to = 0
    for moment, last in _moments(frame["known_at"].to_numpy().astype("datetime64[us]")):
        costs = board.known(last)
        usable = board.usable(last, moment, set() if marks is None else set(marks.tables))
        changed = np.flatnonzero(np.abs(costs - before)[:, :usable].max(axis=0, initial=0.0) > smallest)
        if usable > scored_to:
            changed = np.union1d(changed, np.arange(scored_to, usable))
        if not len(changed):
            continue
        # What a step does not score is compared with what was known when it was scored.
        before[:, :usable], scored_to = costs[:, :usable], usable
        when = moment.astype("datetime64[us]").item().replace(tzinfo=UTC)
        first = max(int(changed[0]) - AROUND, 0)
        rows = strange = 0
        detections: list[Detection] = []
        calm: set[tuple[str, str]] = set()
        for start, end in _spans(first, int(changed[-1]) + 1, len(board.scopes)):
            asked = board.rows(costs, start, end)
            answer = anomaly_answer(snapshot, asked, lines=lines, now=when)
            rows, strange = rows + len(asked), strange + sum(row["is_anomaly"] for row in answer["rows"])
            calm.update((row["scope"], row["timestamp"]) for row in answer["rows"] if not row["is_anomaly"])
            detections += detections_of(answer)
        yield Step(when, rows, strange, detections, frozenset(calm), partial(_settled, snapshot, board.days[:usable], moment, marks))


def _moments(known_at: NDArray[np.datetime64]) -> list[tuple[np.datetime64, int]]:
    """The last moment of each day on which something came in, and how many rows were known then (rows are sorted)."""
    days = known_at.astype("datetime64[D]")
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    return [(known_at[row], int(row) + 1) for row in last]


def _spans(first: int, end: int, n_scopes: int) -> list[tuple[int, int]]:
    length = max(min(MOST_DAYS, MOST_ROWS // max(n_scopes, 1)), 1)
    return [(start, min(start + length, end)) for start in range(first, end, length)]


def _settled(snapshot: Snapshot, days: NDArray[np.datetime64], moment: np.datetime64, marks: Watermarks | None, scope: str) -> datetime | None:
    """End of the last day before which every day of the scope was known well enough."""
    enough = np.ones(len(days), dtype=bool)
    if marks is not None:
        node = snapshot.hierarchy.node_of(Scope.parse(scope))
        parts = None if node is None else sources_of(snapshot, snapshot.hierarchy.members[node])
        enough = marks.shares(parts, marks.ages(days, moment))[0] >= SUFFICIENT
    count = len(days) if enough.all() else int(np.argmin(enough))
    if not count:
        return None
    last: date = (days[count - 1] + _DAY).astype("datetime64[D]").item()
    return datetime(last.year, last.month, last.day, tzinfo=UTC)


@dataclass(frozen=True)
class _Board:
    """Changes of scopes' days, in order of when they became known.

    scopes : (n,) of the hierarchy, and those that it has not seen. is_new : (n,). days : (d,) from `since` to the last one with a change.
    members : for each level (n_combinations,) numbers of scopes. combination, column, change : (m,), sorted by time; columns below 0 are earlier.
    """

    scopes: list[Scope]
    is_new: NDArray[np.bool_]
    days: NDArray[np.datetime64]
    members: list[NDArray[np.int64]]
    combination: NDArray[np.int64]
    column: NDArray[np.int64]
    change: NDArray[np.float64]
    provider: NDArray[np.str_]

    @classmethod
    def of(cls, hierarchy: Hierarchy, frame: pd.DataFrame, since: date, until: date) -> _Board | None:
        names = list(dict.fromkeys([*hierarchy.dimensions, "provider"]))
        if frame.empty or frame["ds"].max() < pd.Timestamp(since):
            return None
        combination, unique = pd.MultiIndex.from_frame(frame[names].astype(object).fillna(UNKNOWN)).factorize()
        values = pd.DataFrame(list(unique), columns=names).astype(str)
        provider = values["provider"].to_numpy().astype(np.str_)
        for name in hierarchy.dimensions:
            known = set(hierarchy.leaves[name])
            if OTHER in known:
                values[name] = values[name].where(values[name].isin(known), OTHER)
        scopes, number = list(hierarchy.nodes), {scope: place for place, scope in enumerate(hierarchy.nodes)}
        members = []
        for level in hierarchy.levels:
            codes, nodes = pd.MultiIndex.from_frame(values[list(level)]).factorize() if level else (np.zeros(len(values), np.int64), [()])
            places = []
            for node in nodes:
                scope = Scope.parse({name: [str(value)] for name, value in zip(level, node, strict=True)})
                if scope not in number:
                    number[scope] = len(scopes)
                    scopes.append(scope)
                places.append(number[scope])
            members.append(np.array(places, dtype=np.int64)[codes])
        last = min(np.datetime64(until, "D") - _DAY, frame["ds"].max().to_datetime64().astype("datetime64[D]"))
        days = np.arange(np.datetime64(since, "D"), last + _DAY)
        column = (frame["ds"].to_numpy().astype("datetime64[D]") - np.datetime64(since, "D")).astype(np.int64)
        is_new = np.arange(len(scopes)) >= len(hierarchy.nodes)
        return cls(scopes, is_new, days, members, combination.astype(np.int64), column, frame["change"].to_numpy(dtype=np.float64), provider)

    def known(self, last: int) -> NDArray[np.float64]:
        """(n, d) cost as known after the first `last` changes."""
        found = np.zeros((len(self.scopes), len(self.days)))
        here = np.flatnonzero((self.column[:last] >= 0) & (self.column[:last] < len(self.days)))
        for level in self.members:
            np.add.at(found, (level[self.combination[here]], self.column[here]), self.change[here])
        return found

    def usable(self, last: int, moment: np.datetime64, watched_sources: set[str]) -> int:
        """How many of the days can be scored: over, and not waiting for the bill of a provider that bills every day."""
        column, provider = self.column[:last], self.provider[self.combination[:last]]
        over = max(int(np.searchsorted(self.days + _DAY, moment.astype("datetime64[us]"), side="right")), self._planned(last, moment))
        latest = {str(name): int(column[provider == name].max()) for name in np.unique(provider)}
        newest = min(max(latest.values()), over - 1)
        found = newest
        for name, day in latest.items():
            if name in watched_sources or newest - day > LATEST_LAG:
                continue
            own = np.unique(column[provider == name])
            if (own > day - 28).sum() >= DAILY_SHARE * 28:
                found = min(found, day)
        return max(found + 1, 0)

    def _planned(self, last: int, moment: np.datetime64) -> int:
        """How many days are billed like any other although they lie ahead: what came from a simulation, and not 0 only there."""
        lines = pd.DataFrame({"column": self.column[:last], "combination": self.combination[:last]}).drop_duplicates()
        counts = lines.groupby("column").size()
        busy = counts.index[counts >= 0.5 * counts.median()].to_numpy()
        ahead = self.days[busy[(busy >= 0) & (busy < len(self.days))]] > moment.astype("datetime64[D]")
        return int(busy.max()) + 1 if ahead.any() else 0

    def rows(self, costs: NDArray[np.float64], start: int, end: int) -> list[SpendRow]:
        """A row for each scope and day; of scopes that were never seen only where they cost something."""
        wanted = ~self.is_new[:, None] | (costs[:, start:end] != 0.0)
        days: Sequence[date] = self.days[start:end].astype("datetime64[D]").tolist()
        return [SpendRow(self.scopes[row], days[at], float(costs[row, start + at])) for row, at in np.argwhere(wanted).tolist()]


def usual_since(until: date, days: int = 14) -> date:
    """The first day of a replay where nobody says it."""
    return until - timedelta(days=days)
