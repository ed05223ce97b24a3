"""What people said of incidents. What was expected or planned teaches: as much again, in the same scope and direction, is no news. What was
not expected is confirmed: real trouble, which does not use up the false alarms that were declared.

A flagged day joins a series' record by half at most (`anomalies.own_record`); what somebody has called normal counts in full, from the moment
when that was said, and as long as a record lasts. A confirmed day does not: its like shall be found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecast.alerts.feedback import SUPPRESSING, Feedback, standing
from forecast.alerts.incident import Incident
from forecast.anomalies.own_record import BLOCK, BLOCKS
from forecast.anomalies.signs import Sign
from forecast.errors import InputError
from forecast.spend.joined import split_values
from forecast.spend.scope import Scope

RECORD_DAYS = BLOCK * BLOCKS
"""A lesson is forgotten as a record is."""
CONFIRMING = ("unexpected",)
"""Verdicts that say an incident was real."""
AS_MUCH = 1.2
"""So much of a lesson's money is as much again, whatever the threshold."""


@dataclass(frozen=True)
class Lesson:
    """Days of a scope that people have called normal, or confirmed as real. way : 1 up, -1 down. money : what each day had above (or below) what
    was expected, positive. said : when."""

    scope: Scope
    way: int
    money: Mapping[date, float]
    said: datetime

    def about(self, scope: Scope) -> bool:
        """Whether a scope is the lesson's own, part of it, or above it."""
        own, other = set(self.scope.clauses), set(scope.clauses)
        return own <= other or other <= own

    def speaks_of(self, scope: Scope, way: int, first: date, last: date) -> bool:
        """Whether trouble of a scope and direction on the days first … last is the one that was spoken of."""
        return self.way == way and self.about(scope) and any(first <= day <= last for day in self.money)


def lessons_of(incidents: Iterable[Incident], entries: Sequence[Feedback]) -> list[Lesson]:
    """What the entries that stand teach."""
    return _said_of(incidents, entries, SUPPRESSING)


def confirmed_of(incidents: Iterable[Incident], entries: Sequence[Feedback]) -> list[Lesson]:
    """What the entries that stand confirm as real."""
    return _said_of(incidents, entries, CONFIRMING)


def _said_of(incidents: Iterable[Incident], entries: Sequence[Feedback], verdicts: Sequence[str]) -> list[Lesson]:
    said = {name: entry for name, entry in standing(entries).items() if entry.verdict in verdicts}
    found = []
    for incident in incidents:
        entry = said.get(incident.id)
        if entry is None:
            continue
        try:
            scope = Scope.parse({name: split_values(value) for name, value in incident.scope.items()})
        except InputError:
            continue
        money: dict[date, float] = {}
        for part in incident.parts:
            n_days = max((part.end - part.start) // timedelta(days=1), 1)
            for number in range(n_days):
                day = (part.start + timedelta(days=number)).date()
                money[day] = money.get(day, 0.0) + abs(part.impact) / n_days
        found.append(Lesson(scope, 1 if incident.direction == "up" else -1, money, entry.at))
    return found


def learnt(
    lessons: Sequence[Lesson],
    sign: Sign,
    cells: tuple[NDArray[np.int64], NDArray[np.int64]],
    scopes: Sequence[Scope],
    days: NDArray[np.datetime64],
    threshold: float,
) -> NDArray[np.bool_]:
    """(m,) which flagged (row, column) cells of a sign are no more than what was learnt, times the threshold.

    scopes : of the cells' rows. days : of all columns. Windows of several days are held against as many days of the lesson.
    """
    rows, columns = cells
    found = np.zeros(len(rows), dtype=np.bool_)
    day_number = days.astype("datetime64[D]").astype(np.int64)
    window, way = sign.window[rows, columns], sign.way[rows, columns]
    for lesson in lessons:
        lesson_days = np.array(sorted(lesson.money), dtype="datetime64[D]").astype(np.int64)
        age = day_number[columns] - lesson_days[-1]
        able = (way == lesson.way) & (age > 0) & (age <= RECORD_DAYS)
        about = {scope: lesson.about(scope) for scope in {scopes[cell] for cell in np.flatnonzero(able).tolist()}}
        inside = np.flatnonzero((day_number >= lesson_days[0]) & (day_number <= lesson_days[-1]))
        told = np.zeros(len(inside))
        on_board = [lesson.money[day] for day in sorted(lesson.money) if days[0] <= np.datetime64(day, "D") <= days[-1]]
        told[np.isin(day_number[inside], lesson_days)] = on_board
        for cell in np.flatnonzero(able).tolist():
            if not about[scopes[cell]] or not len(inside):
                continue
            row, length = rows[cell], int(window[cell])
            # A part of the lesson's scope has learnt what it had itself, what is above it no more than what the lesson is about.
            had = np.minimum(np.maximum(sign.excess[row, inside] * lesson.way, 0.0), told)
            size = np.maximum(sign.excess[row, max(columns[cell] - length + 1, 0) : columns[cell] + 1] * lesson.way, 0.0).sum()
            found[cell] |= size < max(threshold, AS_MUCH) * _largest_sum(had, length)
    return found


def _largest_sum(values: NDArray[np.float64], length: int) -> float:
    """Largest sum of so many neighbours."""
    sums = np.cumsum(np.concatenate([np.zeros(length), values]))
    return float((sums[length:] - sums[:-length]).max(initial=0.0))
