"""Incidents that people have called real do not use up the false ones that were declared; those they called expected do."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

import numpy as np
import pytest

from forecast.alerts.feedback import feedback_on, undone
from forecast.alerts.incident import Incident
from forecast.anomalies.incidents import Flag
from forecast.anomalies.signs import SPEND
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.lessons import Lesson, confirmed_of, lessons_of
from forecast.workflows.spoken_of import cells_of, is_spoken_of
from forecast.workflows.watch import false_incidents, history_board, thresholds_in, with_sign_thresholds
from tests.workflows.watched_companies import HISTORY, LEAF, company, found_in, history, next_days, rows_of, watched

DECLARED = 1.0
TROUBLES = range(HISTORY - 390, HISTORY - 30, 45)
"""Days of history on which another leaf each cost eight times as much."""


@cache
def troubled() -> tuple[Snapshot, tuple[Lesson, ...]]:
    """A company that had trouble every other month, and that trouble as people would confirm it."""
    values, days = history(), company().history_ds
    leaves = company().hierarchy.leaves.reset_index(drop=True)
    told = []
    for number, column in enumerate(TROUBLES):
        leaf = 3 * number
        more = 7.0 * values[leaf, column]
        values[leaf, column] += more
        scope = Scope.parse({str(name): [str(value)] for name, value in leaves.iloc[leaf].items()})
        day: date = days[column].astype("datetime64[D]").item()
        told.append(Lesson(scope, 1, {day: more}, datetime(2026, 11, 1)))
    return watched(values, DECLARED), tuple(told)


def test_confirmed_incidents_leave_the_whole_rate_to_false_ones() -> None:
    plain, told = troubled()
    confirmed = with_sign_thresholds(plain, DECLARED, confirmed=told)
    before, after = thresholds_in(plain)[0].of_sign, thresholds_in(confirmed)[0].of_sign
    assert after[SPEND] < before[SPEND]
    rates, months = false_incidents(confirmed, confirmed=told), 400 / (365.25 / 12)
    assert rates["confirmed"] == pytest.approx(len(TROUBLES) / months)
    assert 0.5 * DECLARED <= rates["replayed"] <= DECLARED
    mixed = false_incidents(plain, confirmed=told)
    assert mixed["replayed"] + mixed["confirmed"] <= DECLARED, "thresholds that nobody's word has moved count the real ones too"
    assert false_incidents(plain)["confirmed"] == 0.0


def test_what_is_below_its_threshold_only_for_real_incidents_is_found_once_they_are_confirmed() -> None:
    plain, told = troubled()
    confirmed = with_sign_thresholds(plain, DECLARED, confirmed=told)
    frame = next_days(9)
    sizes = (1.2, 1.25, 1.3, 1.35, 1.4, 1.5)
    found = {}
    for name, snapshot in (("plain", plain), ("confirmed", confirmed)):
        found[name] = 0
        for size in sizes:
            strange = frame.copy()
            strange.loc[rows_of(frame, 4, 4, **LEAF), "spend"] *= size
            found[name] += bool(found_in(snapshot, strange))
    assert found["plain"] < found["confirmed"] <= len(sizes)


def test_incidents_of_others_and_of_other_days_and_directions_are_not_confirmed() -> None:
    _, told = troubled()
    (one, *_) = told
    (day,) = one.money
    flag = Flag(0, one.scope, day, 900.0, 100.0, 1e-6)
    assert is_spoken_of([flag], told)
    assert is_spoken_of([Flag(0, Scope.parse({"team": one.scope.as_values()["team"]}), day, 900.0, 100.0, 1e-6)], told)  # type: ignore[index]
    for other in (
        Flag(0, Scope.parse("team=nobody"), day, 900.0, 100.0, 1e-6),
        Flag(0, one.scope, day + timedelta(days=3), 900.0, 100.0, 1e-6),
        Flag(0, one.scope, day, 100.0, 900.0, 1e-6),
    ):
        assert not is_spoken_of([other], told)
    assert not is_spoken_of([flag], ())


def test_days_that_look_back_on_a_confirmed_one_are_set_aside_in_its_scope_and_those_around_it() -> None:
    plain, told = troubled()
    board = history_board(plain)
    cells = cells_of(board, told[:1])
    (sign,) = (sign for sign in board.signs if sign.name == SPEND)
    row, column = 0, TROUBLES[0]
    assert cells[SPEND][row, column]
    assert not cells[SPEND][1:].any(), "leaves beside it"
    assert not cells[SPEND][:, :column].any()
    for later in range(column, column + 14):
        assert cells[SPEND][row, later] == (sign.way[row, later] > 0 and later - sign.window[row, later] < column)
    assert {name for name, mask in cells.items() if mask.any()} >= {"spend", "growth", "above"}
    assert not any(mask.any() for mask in cells_of(board, ()).values())


def test_only_unexpected_confirms_and_an_undo_takes_it_back() -> None:
    frame = next_days(9)
    frame.loc[rows_of(frame, 4, 5, **LEAF), "spend"] *= 6.0
    (incident,) = found_in(company(DECLARED), frame)
    said = {verdict: [feedback_on(incident, verdict, number=1, now=incident.end)] for verdict in ("unexpected", "expected", "planned", "too_small")}
    (confirmed,) = confirmed_of([incident], said["unexpected"])
    assert (confirmed.scope, confirmed.way, confirmed.said) == (Scope.parse(LEAF), 1, incident.end)
    assert sorted(confirmed.money) == [part.start.date() for part in incident.parts]
    for verdict in ("expected", "planned", "too_small"):
        assert confirmed_of([incident], said[verdict]) == []
    assert lessons_of([incident], said["unexpected"]) == []
    assert confirmed_of([incident], [undone(said["unexpected"][0], now=incident.end)]) == []


def test_what_was_confirmed_is_found_again_when_it_happens_again() -> None:
    frame = next_days(21)
    for first in (2, 14):
        frame.loc[rows_of(frame, first, first, **LEAF), "spend"] *= 6.0
    alike: list[Incident] = found_in(company(DECLARED), frame, daily=True)
    assert len(alike) == 2
    entry = feedback_on(min(alike, key=lambda one: one.start), "unexpected", number=1, now=min(one.end for one in alike))
    again = found_in(company(DECLARED), frame, daily=True, confirmed=confirmed_of(alike, [entry]))
    assert [one.id for one in again] == [one.id for one in alike]
    assert np.isclose(again[0].impact, alike[0].impact)
