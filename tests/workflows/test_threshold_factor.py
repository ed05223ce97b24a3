"""After the cutoff, thresholds follow the incidents that came: causal, bounded, the same however often one looks."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.spend.scope import Scope
from forecast.workflows.board import Board
from forecast.workflows.detection import Step, replayed
from forecast.workflows.lessons import Lesson
from forecast.workflows.threshold_factor import LEAST, MOST, STEP, threshold_factors, with_factors
from forecast.workflows.watch import board_of, column_of, thresholds_in
from tests.workflows.watched_companies import LEAF, company, found_in, next_days, rows_of

DECLARED = 1.0
SNAPSHOT = company(DECLARED)
FIRST = SNAPSHOT.cutoff + timedelta(days=1)
A_DAY = DECLARED / DAYS_A_MONTH


def board_with(frame: pd.DataFrame) -> tuple[Board, int]:
    """The board with some days after the cutoff, and the column of the first of them."""
    board = board_of(SNAPSHOT, frame, None)
    return board, column_of(board, np.datetime64(FIRST))


def factors_of(frame: pd.DataFrame, confirmed: tuple[Lesson, ...] = ()) -> np.ndarray:
    """Of the days after the cutoff."""
    board, first = board_with(frame)
    thresholds, least = thresholds_in(SNAPSHOT)
    found = threshold_factors(board, thresholds, DECLARED, (first, len(board.days)), minimum_impact=least, confirmed=confirmed)
    assert (found[: first + 1] == 1.0).all()
    return found[first:]


def troubled(days: tuple[int, ...], n_days: int = 21) -> pd.DataFrame:
    """Days on each of which another workload runs away."""
    frame = next_days(n_days)
    leaves = frame.drop_duplicates(list(LEAF))[list(LEAF)].reset_index(drop=True)
    for number, day in enumerate(days):
        frame.loc[rows_of(frame, day, day, **{name: str(leaves[name][2 * number]) for name in LEAF}), "spend"] *= 8.0
    return frame


def test_quiet_days_lower_thresholds_by_what_was_declared_and_never_below_half() -> None:
    found = factors_of(next_days(21))
    np.testing.assert_allclose(np.log(found), -STEP * A_DAY * np.arange(21))
    board, first = board_with(next_days(35))
    thresholds, least = thresholds_in(SNAPSHOT)
    many = threshold_factors(board, thresholds, 1000.0, (first, first + 35), minimum_impact=least)
    assert many[-1] == pytest.approx(LEAST)


def test_each_incident_raises_them_from_the_next_day_on() -> None:
    found = np.log(factors_of(troubled((3, 9))))
    drift = -STEP * A_DAY * np.arange(21)
    np.testing.assert_allclose(found[:4], drift[:4])
    np.testing.assert_allclose(found[4:10], drift[4:10] + STEP)
    np.testing.assert_allclose(found[10:], drift[10:] + 2 * STEP)


def test_an_incident_that_goes_on_counts_once_and_one_of_before_the_cutoff_not_at_all() -> None:
    frame = next_days(12)
    frame.loc[rows_of(frame, 3, 8, **LEAF), "spend"] *= 8.0
    assert np.log(factors_of(frame))[-1] == pytest.approx(STEP - STEP * A_DAY * 11)
    board, first = board_with(frame)
    thresholds, least = thresholds_in(SNAPSHOT)
    later = threshold_factors(board, thresholds, DECLARED, (first + 5, first + 12), minimum_impact=least)
    assert np.log(later[-1]) == pytest.approx(-STEP * A_DAY * 6)


def test_factor_stays_within_twice_of_training_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.workflows.threshold_factor.STEP", 10.0)
    found = factors_of(troubled((3, 9)))
    assert found.max() == MOST
    assert found.min() >= LEAST


def test_confirmed_incidents_do_not_make_the_company_deaf() -> None:
    frame = troubled((3, 9))
    leaf = frame.drop_duplicates(list(LEAF))[list(LEAF)].iloc[0]
    real = Lesson(
        Scope.parse({str(name): [str(value)] for name, value in leaf.items()}), 1, {FIRST + timedelta(days=3): 100.0}, datetime(2026, 11, 1)
    )
    apart = np.log(factors_of(frame)) - np.log(factors_of(frame, (real,)))
    np.testing.assert_allclose(apart[:4], 0.0, atol=1e-12)
    np.testing.assert_allclose(apart[4:], STEP)


def test_factor_of_a_day_does_not_know_that_day_nor_those_after_it() -> None:
    frame = troubled((3, 9))
    poisoned = frame.copy()
    poisoned.loc[rows_of(frame, 12, 20, **LEAF), "spend"] = 1e9
    np.testing.assert_array_equal(factors_of(frame)[:13], factors_of(poisoned)[:13])


def test_strengths_are_held_against_moved_thresholds() -> None:
    board, first = board_with(troubled((3,), 9))
    factors = np.where(np.arange(len(board.days)) >= first, 2.0, 1.0)
    moved = with_factors(board, factors)
    for sign, other in zip(board.signs, moved.signs, strict=True):
        np.testing.assert_allclose(other.strength[:, first:] * 2.0, sign.strength[:, first:])
        np.testing.assert_array_equal(other.strength[:, :first], sign.strength[:, :first])
    np.testing.assert_array_equal(moved.usual, board.usual)


def steps_from(frame: pd.DataFrame, since: date) -> dict[datetime, Step]:
    """Steps by moment of a replay in which each day comes in on the day after it."""
    known_at = frame["ds"] + pd.Timedelta(hours=30)
    developments = frame[list(SNAPSHOT.hierarchy.dimensions)].assign(ds=frame["ds"], known_at=known_at, change=frame["spend"])

    def bills(then: datetime) -> pd.DataFrame:
        return frame[(known_at <= pd.Timestamp(then.replace(tzinfo=None))).to_numpy()]

    until = (frame["ds"].max() + pd.Timedelta(days=1)).date()
    return {step.moment: step for step in replayed(SNAPSHOT, developments, since=since, until=until, bills=bills)}


def test_run_of_every_day_and_run_of_every_week_say_the_same() -> None:
    frame = troubled((3, 9))
    whole, late = steps_from(frame, FIRST), steps_from(frame, FIRST + timedelta(days=10))
    shared = sorted(set(whole) & set(late))[1:]
    assert len(shared) >= 8
    for moment in shared:
        assert late[moment].factor == whole[moment].factor != 1.0


def test_days_between_the_cutoff_and_the_first_scored_one_are_known_and_not_empty() -> None:
    frame = next_days(28)
    said = [detection for step in steps_from(frame, FIRST + timedelta(days=20)).values() for detection in step.detections]
    assert said == []


def test_replay_judges_each_day_by_its_own_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = next_days(14)
    strange = rows_of(frame, 12, 12, **LEAF)
    sizes = [
        size for size in np.linspace(1.1, 2.0, 19) if not found_in(SNAPSHOT, frame.assign(spend=frame["spend"].mask(strange, frame["spend"] * size)))
    ]
    just_below = frame.assign(spend=frame["spend"].mask(strange, frame["spend"] * max(sizes)))
    monkeypatch.setattr("forecast.workflows.threshold_factor.STEP", 0.5)
    assert found_in(SNAPSHOT, just_below), "twelve quiet days have made it sharper"
