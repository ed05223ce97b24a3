"""`fit(panel, hierarchy, events)`: what is planned, in the public API."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

import forecast as fc
from forecast.errors import InputError

GRID = pd.date_range("2026-01-01", "2026-07-31", freq="D")
SALE = fc.PlannedEvent(
    "sale", "Sale", "campaign", date(2026, 8, 5), date(2026, 8, 10), fc.Scope.parse("unique_id=a"), fc.Effect("factor", 2.0), date(2026, 7, 1)
)


def panel() -> pd.DataFrame:
    noise = np.exp(0.1 * np.random.default_rng(1).standard_normal((2, len(GRID))))
    return pd.DataFrame({"unique_id": np.repeat(["a", "b"], len(GRID)), "ds": np.tile(GRID, 2), "y": (np.array([[100.0], [40.0]]) * noise).ravel()})


def model() -> fc.SpendForecaster:
    return fc.SpendForecaster(members=("run_rate", "recent_level"))


def test_events_are_part_of_the_paths_and_not_of_what_is_learnt() -> None:
    plain, planned = model().fit(panel()).simulate(14, 200, 3), model().fit(panel(), events=[SALE]).simulate(14, 200, 3)
    np.testing.assert_allclose(planned.values[0, 4:9], 2.0 * plain.values[0, 4:9], rtol=1e-6)
    np.testing.assert_array_equal(planned.values[1], plain.values[1])
    np.testing.assert_array_equal(planned.values[0, 9:], plain.values[0, 9:])
    frame = pd.DataFrame([{"name": "sale", "type": "campaign", "start": "2026-08-05", "end": "2026-08-10", "scope": "unique_id=a", "factor": 2.0}])
    assert model().fit(panel(), events=frame).simulate(14, 200, 3).values.tobytes() == planned.values.tobytes()


def test_events_are_part_of_the_state_and_say_what_they_added() -> None:
    fitted = model().fit(panel(), events=[SALE])
    paths = fitted.simulate(14, 200, 3)
    assert fitted.applied_[0].total == pytest.approx(paths.values[0, 4:9].mean(axis=1).sum() / 2, rel=1e-4)
    assert fc.SpendForecaster.from_state(fitted.state()).simulate(14, 200, 3).values.tobytes() == paths.values.tobytes()


def test_new_days_of_an_event_are_taken_back_too() -> None:
    fitted = model().fit(panel(), events=[SALE])
    new = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2026-08-01", periods=7), "y": [100.0] * 4 + [200.0] * 3})
    mean = fitted.update(new).simulate(10, 200, 3).values[0].mean(axis=1)
    np.testing.assert_allclose(mean, [200.0] * 2 + [100.0] * 8, rtol=0.12)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(InputError, match="something else: got str"):
        model().fit(panel(), events=["sale"])  # type: ignore[list-item]
