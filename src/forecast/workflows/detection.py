"""Replay: what would have been said each day of the spend that was known then. Pure; the records keep what it says.

One step for each day on which bills came in. A step scores every leaf and every node of the hierarchy, by all signs (`watch`), on the days whose
cost has changed, and on some days around them, so that the days of one cause are one detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.alerts.incident import Detection
from forecast.anomalies.hours import HourLines
from forecast.anomalies.incidents import Flag
from forecast.anomalies.sensitivity import EITHER, Sensitivity
from forecast.anomalies.signs import AMOUNTS
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.provisional import Watermarks
from forecast.spend.scope import Scope
from forecast.workflows.board import OWN_DAYS, Board, Found
from forecast.workflows.lessons import Lesson
from forecast.workflows.spike_scores import sources_of
from forecast.workflows.spikes import incidents_of
from forecast.workflows.strength_ratios import ratios_of
from forecast.workflows.threshold_factor import threshold_factors, with_factors
from forecast.workflows.watch import board_of, column_of, kind_of, thresholds_in

AROUND = 7
"""Days before those that changed which are scored with them."""
SMALLEST_CHANGE = 0.05
"""Part of the minimum impact by which a day's money must change to be scored again."""
SUFFICIENT = 0.8
"""Share of a day that must be known at least before it counts as normal."""
LATEST_LAG = 7
"""A provider whose bills are later than that has ended or pauses; the others are not held back for it."""
DAILY_SHARE = 0.8
"""Share of four weeks with spend from which a provider is taken for one that bills every day."""

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Scored:
    """Scopes (texts) and the days first … last that were scored, and which of them were strange."""

    scopes: frozenset[str]
    first: str
    last: str
    strange: frozenset[tuple[str, str]]

    def is_calm(self, scope: str, day: str) -> bool:
        """Whether a scope's day (ISO 8601) was scored and is not strange."""
        return scope in self.scopes and self.first <= day <= self.last and (scope, day) not in self.strange


@dataclass(frozen=True)
class Step:
    """What was said at a moment.

    rows, strange : scored, and flagged of them. scored : what was, and what of it was calm. scored_through : for the text of a scope the end of
    the days of it that were known well enough, None where no day is. factor : of the thresholds on the last day, 1 as training found them.
    """

    moment: datetime
    rows: int
    strange: int
    detections: list[Detection]
    scored: Scored
    scored_through: Callable[[str], datetime | None]
    factor: float = 1.0


def replayed(
    snapshot: Snapshot,
    developments: pd.DataFrame,
    *,
    since: date,
    until: date,
    as_of: datetime | None = None,
    lines: pd.DataFrame | None = None,
    bills: Callable[[datetime], pd.DataFrame] | None = None,
    hours: Callable[[datetime], HourLines] | None = None,
    lessons: Sequence[Lesson] = (),
    confirmed: Sequence[Lesson] = (),
    rules: Sensitivity | None = None,
) -> Iterator[Step]:
    """Steps in order of time.

    developments : the leaf dimensions and `provider`, `ds` (day), `known_at` (naive UTC), `change` (money); of days in [seen, until), where seen is
    `first_seen`, and of what came to be known up to `as_of` (None: all of it). bills : what was known at a moment of the days in [seen, until), as
    `adapters.sign_lines` reads it; without it, what the developments add up to. hours : what was known at a moment of the hours of these days and of
    `anomalies.hours.DAYS_BEFORE` days before them, as `adapters.hour_lines` reads it. lines : charge lines of days after the cutoff
    (`spikes.anomaly_answer`), for causes. lessons : what people have called normal, confirmed : what they have called
    real; each counts from when it was said.
    rules : what is news, by scope.
    A day that is not over, or that a provider of every day of which nothing is known (how its bills come in) has not billed, can only be strange
    upwards: what has come of it is beyond a whole day already. It is not called calm before all of it is there.
    """
    frame = developments[developments["ds"] < pd.Timestamp(until)].sort_values("known_at", kind="stable")
    if as_of is not None:
        frame = frame[frame["known_at"] <= pd.Timestamp(as_of.astimezone(UTC).replace(tzinfo=None))]
    came = _Bills.of(frame, since, until)
    if came is None:
        return
    thresholds, least = thresholds_in(snapshot)
    smallest = least if rules is None else _smallest(rules, least)
    change = SMALLEST_CHANGE * smallest
    marks = None if snapshot.watermarks is None else Watermarks.of(snapshot.watermarks)
    declared = float(snapshot.detector["declared"][0])
    seen = np.datetime64(first_seen(snapshot, since), "D")
    before = np.zeros((came.n_combinations, len(came.days)))
    scored_to = 0
    for moment, last in _moments(frame["known_at"].to_numpy().astype("datetime64[us]")):
        costs = came.known(last)
        usable = came.usable(last, moment, set() if marks is None else set(marks.tables))
        begun = max(usable, came.begun(last, moment))
        changed = np.flatnonzero(np.abs(costs - before)[:, :begun].max(axis=0, initial=0.0) > change)
        if usable > scored_to:
            changed = np.union1d(changed, np.arange(scored_to, usable))
        if not len(changed):
            continue
        # What a step does not score is compared with what was known when it was scored.
        before[:, :begun], scored_to = costs[:, :begun], usable
        when = moment.astype("datetime64[us]").item().replace(tzinfo=UTC)
        known = _of_developments(snapshot, frame[:last]) if bills is None else bills(when)
        end = np.datetime64(since, "D") + begun
        fine = None if hours is None else hours(when)
        board = board_of(snapshot, known[known["ds"].to_numpy().astype("datetime64[D]") < end], moment, since=seen, hours=fine)
        first = column_of(board, np.datetime64(since, "D") + max(int(changed[0]) - AROUND, 0))
        after = min(column_of(board, np.datetime64(since, "D") + int(changed[-1]) + 1), len(board.days))
        told = [lesson for lesson in lessons if lesson.said <= when]
        real = [lesson for lesson in confirmed if lesson.said <= when]
        whole = column_of(board, np.datetime64(since, "D") + usable)
        ahead = (column_of(board, snapshot.history_ds[-1]) + 1, whole)
        factors = threshold_factors(board, thresholds, declared, ahead, minimum_impact=least, lessons=told, confirmed=real)
        board = with_factors(board, factors)
        flagged = {sign.name: thresholds.flags(sign) for sign in board.signs}
        for sign in board.signs:
            flagged[sign.name][:, whole:] &= sign.way[:, whole:] > 0
        found = board.flags(flagged, first, after, thresholds, told, smallest)
        named = {one.flag.number: one for one in found}
        incidents, _ = incidents_of(
            snapshot,
            [one.flag for one in found],
            lines,
            partial(_kind, board, named),
            own_days=OWN_DAYS,
            minimum_impact=least,
            rules=rules,
            ratios=ratios_of(board, found, thresholds),
        )
        strange = frozenset((str(one.flag.scope), one.flag.day.isoformat()) for one in found)
        bounds = [str(board.days[0] + column) for column in (first, min(after, whole) - 1)]
        scored = Scored(frozenset(str(scope) for scope in board.scopes), bounds[0], bounds[1], strange)
        yield Step(
            when,
            len(board.scopes) * (after - first),
            len(found),
            [Detection.of_answer(one, snapshot.currency) for one in incidents],
            scored,
            partial(_settled, snapshot, came.days[:usable], moment, marks),
            float(factors[-1]),
        )


def _smallest(rules: Sensitivity, least: float) -> float:
    """The least money that some rule takes for news."""
    asked = [0.0 if rule.minimum_percent is not None and rule.require == EITHER else rule.minimum_impact for rule in rules.rules if not rule.ignore]
    return min([least, *(impact for impact in asked if impact is not None)])


def _kind(board: Board, named: Mapping[int, Found], group: Sequence[Flag]) -> str:
    return kind_of(board, [named[flag.number] for flag in group])


def _of_developments(snapshot: Snapshot, frame: pd.DataFrame) -> pd.DataFrame:
    """Money by day and leaf values, where charge lines are not asked."""
    names = list(snapshot.hierarchy.dimensions)
    known = frame.assign(**{name: frame[name].astype(object).fillna(UNKNOWN) for name in names})
    summed = known.groupby(["ds", *names], sort=True)["change"].sum().rename("spend").reset_index()
    summed[list(AMOUNTS)] = 0.0
    return summed


def _moments(known_at: NDArray[np.datetime64]) -> list[tuple[np.datetime64, int]]:
    """The last moment of each day on which something came in, and how many rows were known then (rows are sorted)."""
    days = known_at.astype("datetime64[D]")
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    return [(known_at[row], int(row) + 1) for row in last]


def _settled(snapshot: Snapshot, days: NDArray[np.datetime64], moment: np.datetime64, marks: Watermarks | None, scope: str) -> datetime | None:
    """End of the last day before which every day of the scope was known well enough."""
    enough = np.ones(len(days), dtype=bool)
    if marks is not None:
        try:
            leaves = np.flatnonzero(snapshot.hierarchy.leaf_mask(Scope.parse(scope)))
        except InputError:
            leaves = np.zeros(0, dtype=np.int64)
        enough = marks.shares(sources_of(snapshot, leaves) if len(leaves) else None, marks.ages(days, moment))[0] >= SUFFICIENT
    count = len(days) if enough.all() else int(np.argmin(enough))
    if not count:
        return None
    last: date = (days[count - 1] + _DAY).astype("datetime64[D]").item()
    return datetime(last.year, last.month, last.day, tzinfo=UTC)


@dataclass(frozen=True)
class _Bills:
    """Changes of the days' money, in order of when they became known.

    days : (d,) from `since` to the last one with a change. combination, column, change, provider : (m,), sorted by time; columns below 0 are earlier.
    """

    n_combinations: int
    days: NDArray[np.datetime64]
    combination: NDArray[np.int64]
    column: NDArray[np.int64]
    change: NDArray[np.float64]
    provider: NDArray[np.str_]

    @classmethod
    def of(cls, frame: pd.DataFrame, since: date, until: date) -> _Bills | None:
        if frame.empty or frame["ds"].max() < pd.Timestamp(since):
            return None
        names = [name for name in frame.columns if name not in ("ds", "known_at", "change")]
        combination, unique = pd.MultiIndex.from_frame(frame[names].astype(object).fillna(UNKNOWN)).factorize()
        provider = pd.DataFrame(list(unique), columns=names)["provider"].to_numpy().astype(np.str_)
        last = min(np.datetime64(until, "D") - _DAY, frame["ds"].max().to_datetime64().astype("datetime64[D]"))
        days = np.arange(np.datetime64(since, "D"), last + _DAY)
        column = (frame["ds"].to_numpy().astype("datetime64[D]") - np.datetime64(since, "D")).astype(np.int64)
        return cls(len(unique), days, combination.astype(np.int64), column, frame["change"].to_numpy(dtype=np.float64), provider)

    def known(self, last: int) -> NDArray[np.float64]:
        """(n_combinations, d) cost as known after the first `last` changes."""
        found = np.zeros((self.n_combinations, len(self.days)))
        here = np.flatnonzero((self.column[:last] >= 0) & (self.column[:last] < len(self.days)))
        np.add.at(found, (self.combination[here], self.column[here]), self.change[here])
        return found

    def begun(self, last: int, moment: np.datetime64) -> int:
        """How many of the days have begun by a moment, up to the last one of which something is known."""
        return min(int(self.column[:last].max(initial=-1)) + 1, int(np.searchsorted(self.days, moment.astype("datetime64[us]"), side="right")))

    def usable(self, last: int, moment: np.datetime64, watched_sources: set[str]) -> int:
        """How many of the days are there as a whole: over, and not waiting for the bill of a provider that bills every day."""
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


def first_seen(snapshot: Snapshot, since: date) -> date:
    """The first day whose bills a replay from `since` on reads: the snapshot knows those up to its cutoff only."""
    return min(since, snapshot.cutoff + timedelta(days=1))


def usual_since(until: date, days: int = 14) -> date:
    """The first day of a replay where nobody says it."""
    return until - timedelta(days=days)
