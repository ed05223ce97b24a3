"""A series is held against the largest that it has shown itself: causal, bounded, and never deaf or alarmed for good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecast.anomalies.own_record import BLOCK, BLOCKS, GROWTH, WAIT, strengths
from tests.oracles.own_record import slow_strengths

SIZES = st.one_of(st.just(np.nan), st.floats(-1e4, 1e4, allow_nan=False).map(lambda size: round(size, 3)))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 90)), elements=SIZES), st.sampled_from([1, 2, 7]))
def test_strengths_are_those_of_the_slow_twin(sizes: np.ndarray, lag: int) -> None:
    found = strengths(sizes, 10.0, lag)
    for row, own in zip(found, sizes, strict=True):
        plain = [None if np.isnan(size) else float(size) for size in own]
        slow = slow_strengths(plain, 10.0, lag, wait=WAIT, block=BLOCK, blocks=BLOCKS, growth=GROWTH)
        np.testing.assert_allclose(row, slow, rtol=1e-12)


def test_strengths_over_more_than_all_blocks_are_those_of_the_slow_twin() -> None:
    sizes = np.random.default_rng(1).standard_cauchy((2, 750)) * 40.0
    for lag in (1, 4):
        slow = [slow_strengths(row.tolist(), 25.0, lag, wait=WAIT, block=BLOCK, blocks=BLOCKS, growth=GROWTH) for row in sizes]
        np.testing.assert_allclose(strengths(sizes, 25.0, lag), slow, rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 199), st.sampled_from([1, 2, 7]))
def test_later_sizes_never_change_earlier_strengths(seed: int, day: int, lag: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.standard_t(2, (3, 200)) * 100.0
    poisoned = sizes.copy()
    poisoned[:, day:] = 1e12
    np.testing.assert_array_equal(strengths(sizes, 5.0, lag)[:, :day], strengths(poisoned, 5.0, lag)[:, :day])


def test_cents_are_as_strange_as_dollars_and_series_do_not_touch_each_other() -> None:
    sizes = np.random.default_rng(2).standard_t(2, (4, 300)) * 100.0
    plain = strengths(sizes, 5.0)
    np.testing.assert_allclose(strengths(sizes * 100.0, 500.0), plain, rtol=1e-12)
    np.testing.assert_array_equal(strengths(sizes[::-1], 5.0)[::-1], plain)


def test_nothing_is_strange_while_a_series_waits_nor_where_nothing_is_known() -> None:
    sizes = np.full((1, 60), 1e6)
    assert (strengths(sizes, 1.0)[:, :WAIT] == 0.0).all()
    sizes[:, 40:] = np.nan
    assert (strengths(sizes, 1.0)[:, 40:] == 0.0).all()


def test_flagged_day_teaches_by_half_at_most() -> None:
    sizes = np.full((1, 100), 10.0)
    sizes[0, 50:] = 1000.0
    found = strengths(sizes, 1.0)[0]
    assert found[50] == pytest.approx(100.0)
    assert found[51] == pytest.approx(1000.0 / (GROWTH * 10.0))
    assert (np.diff(found[50:62]) < 0).all()


def test_monster_neither_deafens_a_series_for_good_nor_alarms_for_ever() -> None:
    sizes = np.abs(np.random.default_rng(3).normal(10.0, 2.0, (1, 800)))
    sizes[0, 100] = 1e6
    found = strengths(sizes, 1.0)[0]
    assert found[100] > 1e4
    again = sizes.copy()
    again[0, 101] = 400.0
    assert strengths(again, 1.0)[0, 101] > 10.0, "the day after, forty times the usual is strange still"
    shifted = sizes.copy()
    shifted[0, 100:] = 1e6
    assert strengths(shifted, 1.0)[0, 100 + 40] <= 1.0, "what stays becomes normal"


def test_record_is_forgotten_after_ten_blocks_and_not_before_nine() -> None:
    sizes = np.full((1, BLOCK * (BLOCKS + 3)), 1.0)
    sizes[0, WAIT - 1] = 500.0
    found = strengths(sizes, 0.1)[0]
    assert found[BLOCK * (BLOCKS - 1)] == pytest.approx(1.0 / 500.0)
    assert found[BLOCK * (BLOCKS + 1)] == pytest.approx(1.0)


def test_windows_that_overlap_are_not_held_against_each_other() -> None:
    sizes = np.full((1, 80), 1.0)
    sizes[0, 50:57] = [100.0] * 7
    found = strengths(sizes, 1.0, lag=7)[0]
    assert found[50:57] == pytest.approx([100.0] * 7)
    assert strengths(sizes, 1.0)[0, 51] < 100.0
