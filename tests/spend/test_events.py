"""Planned events: how long they act, how large they turn out, and what cannot be one."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.spend.events import KINDS, LEARNT_DAYS, Effect, PlannedEvent, in_order
from forecast.spend.scope import Scope

START = date(2027, 3, 1)
SALE = PlannedEvent("sale", "Spring sale", "campaign", START, date(2027, 3, 15), Scope.parse("team=ads"), Effect("factor", 2.0, 1.5, 3.0), START)
LASTING = replace(SALE, id="price", type="price_change", end=None, effect=Effect("factor", 0.8))


def days(first: date, count: int) -> tuple[np.ndarray, np.ndarray]:
    starts = np.datetime64(first, "D") + np.arange(count)
    return starts, starts + 1


events = st.builds(
    lambda start, length, ramp: replace(
        SALE, start=START + timedelta(days=start), end=START + timedelta(days=start + length), ramp_days=min(ramp, length)
    ),
    st.integers(-40, 40),
    st.integers(1, 60),
    st.integers(0, 70),
)


def test_an_event_acts_in_full_on_its_days_and_on_no_other() -> None:
    starts, ends = days(date(2027, 2, 25), 30)
    np.testing.assert_array_equal(SALE.acting_days(starts, ends), [0.0] * 4 + [1.0] * 14 + [0.0] * 12)


def test_a_ramp_grows_in_equal_daily_parts_to_the_whole() -> None:
    starts, ends = days(START, 6)
    np.testing.assert_allclose(replace(SALE, ramp_days=4).acting_days(starts, ends), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


@given(events, st.integers(1, 40), st.integers(1, 40))
def test_what_acts_in_longer_periods_is_the_sum_of_their_days(event: PlannedEvent, first: int, second: int) -> None:
    begin = np.datetime64(START - timedelta(days=50), "D")
    edges = begin + np.array([0, first, first + second, 400])
    starts, ends = days(START - timedelta(days=50), 400)
    daily = event.acting_days(starts, ends)
    whole = event.acting_days(edges[:-1], edges[1:])
    np.testing.assert_allclose(whole, [daily[:first].sum(), daily[first : first + second].sum(), daily[first + second :].sum()], atol=1e-9)
    assert whole.sum() == pytest.approx(event.days)


@given(events)
def test_hours_of_a_day_share_its_effect(event: PlannedEvent) -> None:
    starts = np.datetime64(event.start, "h") + np.arange(48)
    hourly = event.acting_days(starts, starts + 1)
    np.testing.assert_allclose(hourly[:24].sum(), event.acting_days(*days(event.start, 1))[0])
    np.testing.assert_allclose(hourly[:24], hourly[0], atol=1e-9)


def test_the_plan_is_believed_until_days_in_full_effect_have_shown_what_it_is() -> None:
    def belief(event: PlannedEvent, day: date) -> float:
        return float(event.belief(np.datetime64(day, "D")))

    assert belief(LASTING, START - timedelta(days=30)) == belief(LASTING, START) == 1.0
    assert belief(LASTING, START + timedelta(days=LEARNT_DAYS // 2)) == 0.5
    assert belief(LASTING, START + timedelta(days=LEARNT_DAYS)) == belief(LASTING, START + timedelta(days=500)) == 0.0
    # While it ramps in, nothing has been seen of its full size.
    assert belief(replace(LASTING, ramp_days=10), START + timedelta(days=9)) == 1.0
    assert belief(replace(LASTING, ramp_days=10), START + timedelta(days=9 + LEARNT_DAYS)) == 0.0


def test_low_and_high_are_the_first_and_last_tenth_of_the_draws() -> None:
    for effect in (Effect("factor", 2.0, 1.5, 3.5), Effect("money", 1000.0, -500.0, 9000.0)):
        draws = replace(SALE, effect=effect).draws(200_000, seed=3)
        low, middle, high = np.quantile(draws, [0.1, 0.5, 0.9])
        assert (low, middle, high) == pytest.approx((effect.low, effect.expected, effect.high), rel=0.03)


@given(
    st.floats(0.01, 50.0),
    st.floats(1.0, 5.0),
    st.floats(1.0, 5.0),
    st.integers(0, 2**32),
)
def test_factors_are_positive_however_uncertain(expected: float, below: float, above: float, seed: int) -> None:
    event = replace(SALE, effect=Effect("factor", expected, expected / below, expected * above))
    assert (event.draws(500, seed) > 0.0).all()


def test_a_certain_event_is_as_large_on_every_path() -> None:
    np.testing.assert_array_equal(LASTING.draws(5, 1), [0.8] * 5)
    assert Effect("factor", 1.0).is_neutral
    assert Effect("money", 0.0).is_neutral
    assert not Effect("money", 1.0).is_neutral


def test_draws_belong_to_the_event_and_the_seed() -> None:
    np.testing.assert_array_equal(SALE.draws(100, 7), replace(SALE, name="another title", scope=Scope()).draws(100, 7))
    for other in (replace(SALE, id="sale2").draws(100, 7), SALE.draws(100, 8)):
        assert abs(np.corrcoef(np.log(SALE.draws(100, 7)), np.log(other))[0, 1]) < 0.35


@given(st.permutations(["b", "a", "c", "d"]))
def test_events_act_in_one_order_however_they_are_given(names: list[str]) -> None:
    of = {
        "a": replace(SALE, id="a", start=START + timedelta(days=1)),
        "b": replace(SALE, id="b"),
        "c": replace(SALE, id="c", effect=Effect("money", 5.0)),
        "d": replace(SALE, id="d", start=START - timedelta(days=9), effect=Effect("money_per_day", 5.0)),
    }
    assert [event.id for event in in_order([of[name] for name in names])] == ["b", "a", "d", "c"]


def test_two_events_of_one_id_are_refused() -> None:
    with pytest.raises(PlanError, match="Two events have the id 'sale'"):
        in_order([SALE, LASTING, SALE])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "-x"}, "id"),
        ({"id": "a b"}, "id"),
        ({"type": "party"}, "type"),
        ({"end": START}, "end"),
        ({"end": date(2027, 2, 1)}, "end"),
        ({"end": None, "effect": Effect("money", 5.0)}, "end"),
        ({"ramp_days": 15}, "ramp_days"),
        ({"ramp_days": -1}, "ramp_days"),
        ({"currency": "dollars"}, "currency"),
    ],
)
def test_event_that_cannot_be_names_itself_and_the_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(PlanError) as caught:
        replace(SALE, **change)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert str(change.get("id", "sale")) in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        ("double", 2.0),
        ("factor", -0.1),
        ("factor", math.nan),
        ("factor", 1e9),
        ("factor", 2.0, 2.5, 3.0),
        ("factor", 2.0, 1.0, 1.5),
        ("factor", 1.0, 0.0, 2.0),
        ("money", math.inf),
        ("money", True),
    ],
)
def test_effect_that_cannot_be_is_refused(wrong: tuple[str, float]) -> None:
    with pytest.raises(PlanError, match="effect"):
        Effect(*wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_effect_is_written_as_it_is_said(kind: str) -> None:
    assert Effect(kind, 2.0).as_dict() == {kind: 2.0}
    assert Effect(kind, 2.0, 1.0, 3.0).as_dict() == {kind: 2.0, "low": 1.0, "high": 3.0}
