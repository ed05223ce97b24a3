"""The signs of hours: rises against the series' own record, of what says what it is about and is regularly in use."""

from __future__ import annotations

import numpy as np
import pytest

from forecast.anomalies.signs import AMOUNTS, FLOOR, HOUR, HOURS, HOURS_ABOVE, HOURS_WAIT, hours_above_sign, hours_sign, leaf_signs

FIRST = np.datetime64("2026-01-10")
DAYS, SCALE = 200, 1000.0
STRANGE = 150


def amounts(seed: int = 1) -> np.ndarray:
    """(3, DAYS) of one to two a day, and twenty once."""
    found = np.random.default_rng(seed).uniform(1.0, 2.0, size=(3, DAYS))
    found[1, STRANGE] = 20.0
    return found


def test_what_is_beyond_the_record_of_hours_is_strange() -> None:
    sign = hours_sign(amounts(), 2.0 * amounts(), FIRST, FLOOR * SCALE)
    assert (sign.name, sign.strength.shape) == (HOURS, (3, DAYS))
    assert sign.strength.argmax() == DAYS + STRANGE
    assert 8.0 < sign.strength[1, STRANGE] <= 20.0
    assert sign.excess[1, STRANGE] == 40.0
    assert (sign.way == 1).all()
    assert (sign.window == 1).all()


def test_a_record_has_the_root_of_an_hour_for_its_floor() -> None:
    small = amounts() / 10.0
    sign = hours_sign(small, small, FIRST, FLOOR * SCALE)
    assert sign.strength[1, STRANGE] == pytest.approx(2.0 / (FLOOR * SCALE * HOUR**0.5))


def test_nothing_is_said_before_a_months_end_was_seen() -> None:
    early = amounts()
    early[:, HOURS_WAIT - 3] = 1e6
    sign = hours_sign(early, early, FIRST, FLOOR * SCALE)
    assert not sign.strength[:, :HOURS_WAIT].any()


def test_what_came_at_the_end_of_the_last_months_is_a_habit() -> None:
    values = amounts()
    days = FIRST + np.arange(DAYS)
    ends = np.flatnonzero((days + 1).astype("datetime64[D]") == (days + 1).astype("datetime64[M]").astype("datetime64[D]"))
    values[2, ends] = 30.0
    sign = hours_sign(values, values, FIRST, FLOOR * SCALE)
    assert sign.strength[2, ends[3:]].max() < 1.5


def test_hours_of_what_is_not_tagged_or_hardly_in_use_count_less() -> None:
    nothing = {name: np.zeros((3, DAYS)) for name in AMOUNTS}
    spend = np.full((3, DAYS), 100.0)
    known, where = (amounts(), amounts()), np.array([True, False, True])
    rare = np.where(np.arange(DAYS) % 5 == 0, spend, 0.0)

    def of(values: np.ndarray, told_apart: np.ndarray) -> np.ndarray:
        found = leaf_signs(values, nothing, FIRST, SCALE, told_apart, known)
        return next(sign.strength for sign in found if sign.name == HOURS)[:, STRANGE]

    assert of(spend, np.ones(3, dtype=bool))[1] > 8.0
    assert of(spend, where)[1] == 0.0
    assert 0.0 < of(rare, np.ones(3, dtype=bool))[1] < 0.5 * of(spend, np.ones(3, dtype=bool))[1]


def test_hours_of_nodes_count_as_those_of_leaves() -> None:
    spend = np.full((3, DAYS), 100.0)
    sign = hours_above_sign(spend, amounts(), amounts(), FIRST, SCALE, np.ones(3, dtype=bool))
    assert sign.name == HOURS_ABOVE
    assert sign.strength[1, STRANGE] > 8.0
    assert not hours_above_sign(spend, amounts(), amounts(), FIRST, SCALE, np.zeros(3, dtype=bool)).strength.any()


def test_where_no_hours_are_known_nothing_is_said() -> None:
    nothing = np.zeros((3, DAYS))
    sign = hours_sign(nothing, nothing, FIRST, FLOOR * SCALE)
    assert not sign.strength.any()
    assert not sign.excess.any()
    assert sign.strength.shape == sign.window.shape == sign.way.shape == (3, DAYS)
