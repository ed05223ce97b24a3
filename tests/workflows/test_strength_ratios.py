"""Strength of flagged days in thresholds of their signs."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pytest

from forecast.workflows.strength_ratios import ratios_of
from forecast.workflows.watch import history_board, thresholds_of
from tests.snapshots_for_tests import CUTOFF, make_snapshot


def test_days_that_raise_a_sign_are_at_least_at_its_threshold_and_larger_ones_higher() -> None:
    base = make_snapshot(n_paths=20, history_days=300)
    history = base.leaf_history.copy()
    history[2, -30] += 5000.0
    history[5, -60] += 50_000.0
    board = history_board(dataclasses.replace(base, leaf_history=history))
    thresholds = thresholds_of(board, 4.0)
    found = board.flags({sign.name: thresholds.flags(sign) for sign in board.signs}, 0, len(board.days), thresholds)
    ratios = ratios_of(board, found, thresholds)
    known = {one.flag.number: one for one in found if one.flag.number in ratios}
    assert {one.flag.scope for one in found if one.flag.scope.as_values() and len(one.flag.scope.clauses) == 5} <= {
        one.flag.scope for one in known.values()
    }, "every leaf has its own"
    assert all(ratios[number] >= 1.0 for number, one in known.items() if one.direct)
    largest = {back: max(ratios.get(one.flag.number, 0.0) for one in found if one.flag.day == CUTOFF - timedelta(days=back - 1)) for back in (30, 60)}
    assert largest[60] > 3.0 * largest[30] > 3.0
    assert np.isfinite(list(ratios.values())).all()
    assert ratios_of(board, [], thresholds) == pytest.approx({})
