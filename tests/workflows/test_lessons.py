"""What feedback teaches: which scopes, which days, and how much money counts as normal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from forecast.alerts.feedback import Feedback, feedback_on, undone
from forecast.alerts.incident import Incident
from forecast.alerts.life_cycle import opened
from forecast.anomalies.signs import SPEND, Sign
from forecast.spend.scope import Scope
from forecast.workflows.lessons import RECORD_DAYS, Lesson, learnt, lessons_of
from tests.alerts.examples import DAY, MONDAY, runaway

S = Scope.parse
NOW = MONDAY + 3 * DAY
N_DAYS = 400
DAYS = np.datetime64(MONDAY.date()) - 20 + np.arange(N_DAYS)


def incident() -> Incident:
    return opened(runaway(0, [(500.0, 100.0), (620.0, 100.0)]), now=NOW)


def said(verdict: str = "expected", number: int = 1) -> Feedback:
    return feedback_on(incident(), verdict, number=number, now=NOW)


def lesson(way: int = 1, scope: str = "team=ads") -> Lesson:
    return Lesson(S(scope), way, {MONDAY.date(): 100.0, (MONDAY + DAY).date(): 50.0}, NOW)


def asked(
    column: int, excess: float, *, window: int = 1, way: int = 1, scope: str = "team=ads", of: Lesson | None = None, threshold: float = 2.0
) -> bool:
    """Whether a day's excess is no more than was learnt; 20 is the lesson's first column."""
    money = np.zeros((1, N_DAYS))
    money[0, 20:22] = (100.0, 50.0) if way > 0 else (-100.0, -50.0)
    money[0, column - window + 1 : column + 1] = excess / window
    ones = np.ones((1, N_DAYS), dtype=np.int64)
    sign = Sign(SPEND, np.ones((1, N_DAYS)), money, ones * window, ones * way)
    cells = (np.array([0]), np.array([column]))
    return bool(learnt([of or lesson(way)], sign, cells, [S(scope)], DAYS, threshold)[0])


def test_expected_and_planned_days_teach_their_impact_and_other_verdicts_do_not() -> None:
    for verdict in ("expected", "planned"):
        (found,) = lessons_of([incident()], [said(verdict)])
        assert found == Lesson(S("service=Vertex AI,team=search"), 1, {date(2027, 3, 1): 400.0, date(2027, 3, 2): 520.0}, NOW)
    for verdict in ("unexpected", "too_small"):
        assert lessons_of([incident()], [said(verdict)]) == []


def test_what_was_taken_back_or_said_otherwise_since_teaches_nothing() -> None:
    assert lessons_of([incident()], [undone(said(), now=NOW)]) == []
    assert lessons_of([incident()], [said(), said("unexpected", 2)]) == []
    assert lessons_of([], [said()]) == []


def test_lesson_is_about_its_scope_what_is_in_it_and_what_is_above_it() -> None:
    found = lesson()
    assert all(found.about(S(text)) for text in ("team=ads", "stage=dev,team=ads", ""))
    assert not any(found.about(S(text)) for text in ("team=search", "stage=dev"))


def test_as_much_again_is_no_news_and_so_much_more_as_a_threshold_allows() -> None:
    assert asked(40, 100.0)
    assert asked(40, 199.0)
    assert not asked(40, 201.0)
    assert asked(40, 119.0, threshold=0.5), "as much again is no news at any threshold"
    assert not asked(40, 121.0, threshold=0.5)


def test_windows_are_held_against_as_many_days_of_the_lesson() -> None:
    assert asked(40, 299.0, window=2)
    assert not asked(40, 301.0, window=2)
    assert asked(40, 299.0, window=7)


@pytest.mark.parametrize(("column", "expected"), [(20, False), (21, False), (22, True), (21 + RECORD_DAYS, True), (22 + RECORD_DAYS, False)])
def test_lesson_counts_after_its_last_day_and_as_long_as_a_record_lasts(column: int, expected: bool) -> None:
    assert asked(column, 80.0) is expected


def test_rises_teach_nothing_of_falls_nor_of_other_scopes() -> None:
    assert asked(40, -100.0, way=-1)
    assert not asked(40, -100.0, way=-1, of=lesson(1))
    assert not asked(40, 100.0, scope="team=search")


def test_parts_of_several_days_share_their_money_and_half_days_add_up() -> None:
    whole = incident()
    parts = (type(whole.parts[0])(MONDAY, MONDAY + 2 * DAY, 900.0, 300.0), type(whole.parts[0])(MONDAY + 2 * DAY, MONDAY + 2.5 * DAY, 70.0, 20.0))
    (found,) = lessons_of([replace(whole, parts=parts)], [said()])
    assert found.money == {date(2027, 3, 1): 300.0, date(2027, 3, 2): 300.0, date(2027, 3, 3): 50.0}


def test_lesson_of_days_before_the_board_or_after_it_says_nothing() -> None:
    early = Lesson(S("team=ads"), 1, {date(2020, 1, 1): 1e9}, datetime(2020, 1, 2, tzinfo=UTC))
    late = Lesson(S("team=ads"), 1, {date(2030, 1, 1): 1e9}, datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=1))
    assert not asked(40, 100.0, of=early)
    assert not asked(40, 100.0, of=late)
