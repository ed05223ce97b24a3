"""What a schedule brings and what came once is not strange on its day; everything else is as strange as before."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forecast.anomalies.known_money import with_known_money
from forecast.anomalies.snapshot_detector import DetectorState, RowScores, fit_snapshot_detector, score_by_expectation
from forecast.errors import InputError

DAYS = 300
FEE_DAYS = np.arange(20, DAYS, 30)
INVOICE_DAY, SPIKE_DAY = 250, 271


def usage() -> NDArray[np.float64]:
    rng = np.random.default_rng(4)
    return 100.0 * np.exp(0.1 * rng.standard_normal((3, DAYS)))


def money() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A fee of the first series and an invoice of the second."""
    scheduled, once = np.zeros((3, DAYS)), np.zeros((3, DAYS))
    scheduled[0, FEE_DAYS] = 900.0
    once[1, INVOICE_DAY] = 5000.0
    return scheduled, once


def detector(history: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return fit_snapshot_detector(["a", "b", "c"], history, first_day=date(2026, 1, 8))


def scores(arrays: dict[str, NDArray[Any]], series: int, days: NDArray[np.int64], costs: NDArray[np.float64]) -> RowScores:
    state = DetectorState.from_arrays(arrays)
    constant = np.full(len(days), state.constant[series])
    location, spread = (array[series, days].astype(np.float64) for array in (state.location, state.spread))
    return score_by_expectation(state, costs, constant, location, spread, state.record[series, days].astype(np.float64))


def test_known_money_is_expected_on_its_day_and_only_there() -> None:
    scheduled, once = money()
    history = usage() + scheduled + once
    known = with_known_money(detector(history - scheduled), scheduled + once)
    late = FEE_DAYS[FEE_DAYS > 90]
    assert (scores(known, 0, late, history[0, late]).p_value > 0.001).all()
    assert scores(known, 1, np.array([INVOICE_DAY]), history[1, [INVOICE_DAY]]).p_value[0] > 0.001
    np.testing.assert_allclose(scores(known, 0, late, history[0, late]).expected, 1000.0, rtol=0.1)
    # The same money on a day on which it is not due, and a fee that does not come.
    assert scores(known, 0, np.array([SPIKE_DAY]), np.array([1000.0])).p_value[0] < 5e-3
    assert scores(known, 0, late[:1], np.array([100.0])).p_value[0] < 5e-3


def test_a_surprise_is_as_large_in_money_beside_known_money_as_without() -> None:
    scheduled, once = money()
    without = detector(usage() + once)
    known = with_known_money(without, scheduled)
    day = FEE_DAYS[-1:]
    plain, beside = scores(without, 0, day, np.array([130.0])), scores(known, 0, day, np.array([1030.0]))
    assert beside.expected - plain.expected == pytest.approx(900.0, rel=1e-4)
    assert beside.upper - beside.lower == pytest.approx(plain.upper - plain.lower, rel=0.1)
    other = np.flatnonzero(scheduled[0] == 0)
    for name in ("location", "spread"):
        np.testing.assert_array_equal(known[name][0, other], without[name][0, other])


def test_days_on_which_nothing_could_be_expected_stay_so() -> None:
    scheduled, _ = money()
    arrays = detector(usage())
    known = with_known_money(arrays, scheduled + 1.0)
    np.testing.assert_array_equal(np.isnan(known["location"]), np.isnan(arrays["location"]))
    assert np.isnan(known["location"][:, 0]).all()


def test_money_of_other_days_is_refused() -> None:
    with pytest.raises(InputError, match="known has shape"):
        with_known_money(detector(usage()), np.zeros((3, DAYS - 1)))
