"""Searches over one number of a plan: where a condition holds, where a figure is least, and what they say when it is not so simple."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.goal import MOST_CROSSINGS, MOST_STEPS, TOLERANCE, furthest, optimum


@given(st.floats(0.01, 0.99), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_the_last_value_that_holds_is_found_on_the_safe_side(part: float, low: float, width: float) -> None:
    edge = low + part * width
    found = furthest(lambda value: value, low, low + width, lambda figure: figure <= edge)
    assert found.status == "found"
    assert found.is_monotone
    assert found.value is not None
    assert found.bracket is not None
    assert found.value <= edge < found.bracket[1]
    assert found.bracket[1] - found.value <= width * TOLERANCE * 1.01
    assert found.bracket[0] == found.value


def test_a_condition_that_holds_only_at_the_upper_end_is_followed_downwards() -> None:
    found = furthest(lambda value: 100 - value, 0.0, 100.0, lambda figure: figure <= 30.0)
    assert found.status == "found"
    assert found.value is not None
    assert found.value == pytest.approx(70.0, abs=0.1)
    assert found.bracket is not None
    assert found.bracket[1] < 70.0
    assert found.value >= 70.0
    assert found.ranges == ((found.value, 100.0),)


def test_never_and_always_say_so_and_bring_the_curve() -> None:
    never = furthest(lambda value: value, 1.0, 2.0, lambda figure: figure <= 0.5)
    assert (never.status, never.value, never.bracket, never.ranges) == ("never", None, None, ())
    assert [point.value for point in never.curve] == [1.0 + number / 8 for number in range(9)]
    always = furthest(lambda value: value, 1.0, 2.0, lambda figure: figure <= 5.0, points=3)
    assert (always.status, always.value, always.bracket, always.ranges) == ("always", 2.0, None, ((1.0, 2.0),))


def test_a_figure_that_goes_up_and_down_is_told_with_all_its_stretches() -> None:
    found = furthest(lambda value: math.sin(value), 0.0, 4 * math.pi, lambda figure: figure <= 0.5, points=33)
    assert not found.is_monotone
    assert len(found.ranges) == 3
    assert found.value == pytest.approx(math.pi / 6, abs=0.02)
    assert found.ranges[1] == pytest.approx((5 * math.pi / 6, 13 * math.pi / 6), abs=0.02)
    inside = furthest(lambda value: (value - 5.0) ** 2, 0.0, 10.0, lambda figure: figure <= 4.0)
    assert len(inside.ranges) == 1
    assert inside.ranges[0] == pytest.approx((3.0, 7.0), abs=0.02)
    assert inside.value == inside.ranges[0][1]


def test_whole_numbers_only_are_tried_where_only_they_count() -> None:
    seen: list[float] = []

    def figure(value: float) -> float:
        seen.append(value)
        return value

    found = furthest(figure, 0.0, 200.0, lambda got: got <= 137.4, is_whole=True)
    assert (found.value, found.bracket) == (137.0, (137.0, 138.0))
    assert all(value == round(value) for value in seen)
    assert len(seen) == len(set(seen))
    with pytest.raises(PlanError, match="no whole number"):
        furthest(figure, 0.2, 0.8, lambda got: True, is_whole=True)


@given(st.integers(3, 41), st.integers(0, 2**32 - 1))
def test_the_number_of_figures_is_bounded_whatever_the_figure_does(points: int, seed: int) -> None:
    figures: list[float] = []

    def noise(value: float) -> float:
        figures.append(math.sin(1e4 * value + seed))
        return figures[-1]

    furthest(noise, 0.0, 1.0, lambda figure: figure <= 0.0, points=points)
    assert len(figures) <= points + MOST_CROSSINGS * MOST_STEPS
    figures.clear()
    optimum(noise, 0.0, 1.0, points=points)
    assert len(figures) <= points + MOST_STEPS + 2


@given(st.floats(0.05, 0.95), st.booleans())
def test_the_least_and_the_greatest_are_found_inside(part: float, greatest: bool) -> None:
    sign = -1.0 if greatest else 1.0
    found = optimum(lambda value: sign * abs(value - part) ** 1.5, 0.0, 1.0, greatest=greatest)
    assert found.value == pytest.approx(part, abs=0.01)
    assert found.is_unimodal
    assert found.bracket[0] <= found.value <= found.bracket[1]
    assert found.figure == min(sign * point.figure for point in found.curve) * sign


def test_an_optimum_at_an_end_a_flat_figure_and_two_valleys_are_told() -> None:
    assert optimum(lambda value: value, 0.0, 1.0).status == "at_low"
    assert optimum(lambda value: value, 0.0, 1.0, greatest=True).status == "at_high"
    flat = optimum(lambda value: 7.0, 0.0, 1.0)
    assert (flat.status, flat.value, flat.figure) == ("flat", 0.0, 7.0)
    valleys = optimum(lambda value: math.cos(4 * math.pi * value) + 0.1 * value, 0.0, 1.0, points=17)
    assert not valleys.is_unimodal
    assert valleys.value == pytest.approx(0.25, abs=0.01)
    whole = optimum(lambda value: (value - 41.4) ** 2, 0.0, 200.0, is_whole=True)
    assert (whole.value, whole.status) == (41.0, "inside")


@pytest.mark.parametrize(
    ("low", "high", "points", "field", "told"),
    [
        (2.0, 1.0, 9, "goal.high", "reversed"),
        (1.0, 1.0, 9, "goal.high", "equal"),
        (math.nan, 1.0, 9, "goal.low", "not a number"),
        (0.0, math.inf, 9, "goal.high", "not a number"),
        (0.0, 1.0, 2, "goal.points", "got 2"),
        (0.0, 1.0, 42, "goal.points", "got 42"),
    ],
)
def test_bounds_and_points_that_cannot_be_are_named(low: float, high: float, points: int, field: str, told: str) -> None:
    for search in (lambda: furthest(abs, low, high, bool, points=points), lambda: optimum(abs, low, high, points=points)):
        with pytest.raises(PlanError, match=told) as caught:
            search()
        assert caught.value.field == field


def test_a_figure_that_is_no_number_is_an_error_that_says_where() -> None:
    with pytest.raises(PlanError, match=r"no number at 1\.5"):
        furthest(lambda value: math.nan if value > 1.4 else value, 1.0, 2.0, lambda figure: True)
