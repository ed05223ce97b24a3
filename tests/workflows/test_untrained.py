"""Without a snapshot the same is strange as with one; too little history is said in one sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InsufficientHistoryError
from forecast.snapshot import Snapshot
from forecast.spend.panel import SpendMatrix
from forecast.workflows.untrained import untrained_snapshot
from forecast.workflows.watch import false_incidents, thresholds_in
from tests.workflows.watched_companies import HISTORY, LEAF, company, found_in, next_days, rows_of

DECLARED = 1.0


def untrained(last: int = HISTORY, first: int = 0) -> Snapshot:
    """The company's history from day `first` to before day `last`."""
    whole = company(DECLARED)
    days, values = whole.history_ds[first:last], whole.leaf_history[:, first:last]
    matrix = SpendMatrix(whole.hierarchy.leaf_ids, pd.DatetimeIndex(days), values, "D")
    return untrained_snapshot(
        matrix,
        whole.hierarchy,
        DECLARED,
        cost="effective",
        currency="USD",
        recent=whole.recent,
        signs=pd.DataFrame(columns=["leaf", "ds"]),
        billed=values,
    )


def test_thresholds_and_incidents_are_those_of_a_snapshot() -> None:
    trained, found = company(DECLARED), untrained()
    assert thresholds_in(found)[0].of_sign == pytest.approx(thresholds_in(trained)[0].of_sign)
    assert false_incidents(found) == false_incidents(trained)
    frame = next_days(9)
    frame.loc[rows_of(frame, 4, 5, **LEAF), "spend"] *= 6.0
    (own,), (other,) = found_in(found, frame), found_in(trained, frame)
    assert (own.id, own.impact, own.severity) == (other.id, other.impact, other.severity)


def test_leaves_go_on_as_they_usually_are() -> None:
    found = untrained()
    usual = np.median(found.leaf_history[:, -28:], axis=1)
    np.testing.assert_allclose(found.leaf_paths[:, 0].mean(axis=1), usual, rtol=1e-6)
    assert found.id == ""


def test_too_little_history_says_what_is_missing() -> None:
    assert thresholds_in(untrained(29))[0].of_sign
    with pytest.raises(InsufficientHistoryError, match=r"28 days of spend from 20\S+ to 20\S+; 29 are needed") as caught:
        untrained(28)
    assert (caught.value.days, caught.value.needed) == (28, 29)
