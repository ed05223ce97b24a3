"""Forecasts of histories of which something is known: schedules on their days, one-offs not again, nothing known too early."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, NotFittedError
from forecast.evaluation.backtest import backtest
from forecast.forecasters.baselines import RunRate
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.scheduled import ScheduledForecaster, with_schedules
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.schedules import Schedules

GRID = pd.date_range("2026-01-01", "2026-07-31", freq="D")
LEAVES = ("chat|ads", "chat|search", "seats|ads", "support|search")
FIRSTS = GRID[GRID.day == 1]
INVOICE = pd.Timestamp("2026-07-20")


def known_lines(until: pd.Timestamp = GRID[-1]) -> pd.DataFrame:
    """A licence billed on the first of each month, a support plan by the day, and an invoice that came once."""
    seats = pd.DataFrame({"leaf": 2, "ds": FIRSTS, "treatment": "scheduled", "kind": "subscription", "item": "seats", "cost": 500.0})
    support = pd.DataFrame({"leaf": 3, "ds": GRID, "treatment": "scheduled", "kind": "subscription", "item": "plan", "cost": 20.0})
    invoice = pd.DataFrame({"leaf": 0, "ds": [INVOICE], "treatment": "one_off", "kind": "one_time", "item": "", "cost": 9000.0})
    lines = pd.concat([seats, support, invoice], ignore_index=True)
    lines["end"] = lines["ds"] + pd.Timedelta(days=1)
    return lines[lines["ds"] <= until]


def history(lines: pd.DataFrame | None = None) -> pd.DataFrame:
    """Total cost: usage of two leaves, and the lines."""
    rng = np.random.default_rng(7)
    values = np.zeros((len(LEAVES), len(GRID)))
    values[:2] = np.array([[100.0], [40.0]]) * np.exp(0.15 * rng.standard_normal((2, len(GRID))))
    known = known_lines() if lines is None else lines
    np.add.at(values, (known["leaf"].to_numpy(), GRID.get_indexer(pd.DatetimeIndex(known["ds"]))), known["cost"].to_numpy())
    return pd.DataFrame({"unique_id": np.repeat(LEAVES, len(GRID)), "ds": np.tile(GRID, len(LEAVES)), "y": values.ravel()})


def hierarchy() -> Hierarchy:
    leaves = pd.DataFrame([leaf.split("|") for leaf in LEAVES], columns=["service", "team"], index=pd.Index(LEAVES, name="unique_id"))
    return Hierarchy(leaves, ((), ("team",)))


def fitted(lines: pd.DataFrame | None = None) -> ScheduledForecaster:
    return ScheduledForecaster(SpendForecaster(members=("run_rate", "recent_level")), known_lines(), LEAVES).fit(history(lines), hierarchy())


def test_schedules_come_on_their_days_and_what_came_once_does_not_come_again() -> None:
    paths = fitted().simulate(62, n_paths=200, seed=3)
    assert paths.ids == LEAVES
    mean = paths.values.mean(axis=2)
    days = pd.DatetimeIndex(paths.starts[0])
    assert days[np.flatnonzero(mean[2])].strftime("%m-%d").tolist() == ["08-01", "09-01", "10-01"]
    np.testing.assert_allclose(mean[2][mean[2] > 0], 500.0, rtol=0.1)
    np.testing.assert_allclose(mean[3], 20.0, rtol=0.1)
    # Nine thousand in the last fortnight: a level of 100 a day would look like one of 500.
    assert mean[0].mean() == pytest.approx(100.0, rel=0.1)


def test_without_known_lines_it_is_the_forecaster_inside() -> None:
    panel = history(known_lines().iloc[:0])
    nothing = ScheduledForecaster(RunRate(), known_lines().iloc[:0], LEAVES).fit(panel, hierarchy()).simulate(40, 50, 9)
    np.testing.assert_array_equal(nothing.values, RunRate().fit(panel, hierarchy()).simulate(40, 50, 9).values)


def test_leaves_without_a_schedule_have_the_paths_that_were_learnt_and_the_seed_decides() -> None:
    model = fitted()
    paths = model.simulate(40, 60, 5).values
    learnt = model.forecaster_.simulate(40, 60, 5).values
    np.testing.assert_array_equal(paths[:2], learnt[:2])
    assert not learnt[2:].any()
    assert paths.tobytes() == model.simulate(40, 60, 5).values.tobytes() == fitted().simulate(40, 60, 5).values.tobytes()
    assert paths[2:].tobytes() != model.simulate(40, 60, 6).values[2:].tobytes()


def test_record_of_schedules_and_what_was_learnt_make_the_same_paths() -> None:
    model = fitted()
    again = Schedules.of_record(model.schedules_.record(LEAVES), LEAVES)
    pd.testing.assert_frame_equal(again.table(), model.schedules_.table())
    learnt = model.forecaster_.simulate(40, 60, 5)
    assert with_schedules(learnt, again, LEAVES, 5).values.tobytes() == model.simulate(40, 60, 5).values.tobytes()


def judged(panel: pd.DataFrame, lines: pd.DataFrame, *cutoffs: str, truth: pd.DataFrame | None = None) -> pd.DataFrame:
    model = ScheduledForecaster(RunRate(), lines, LEAVES)
    return backtest(model, panel, cutoffs=cutoffs, totals=(28,), n_paths=60, hierarchy=hierarchy(), truth=truth).rows


def test_backtest_judges_everything_that_came_and_learns_nothing_of_it() -> None:
    cutoffs = ("2026-06-10", "2026-07-01")
    panel, lines = history(), known_lines()
    rows = judged(panel, lines, *cutoffs)

    def told(cutoff: str, leaf: str, column: str) -> float:
        return float(rows.loc[(rows["cutoff"] == cutoff) & (rows["unique_id"] == leaf), column].iloc[0])

    # The invoice of 20 July is in what came after the second cutoff, and in no forecast.
    assert told(cutoffs[1], "chat|ads", "actual") > 9000.0
    assert told(cutoffs[1], "chat|ads", "mean") < 4000.0
    assert told(cutoffs[1], "seats|ads", "actual") == 0.0
    assert told(cutoffs[0], "seats|ads", "mean") == pytest.approx(500.0, rel=0.1)
    # Lines and days after the cutoff may say anything.
    for cutoff in cutoffs:
        later = lines.assign(cost=np.where(lines["ds"] > cutoff, 1e7, lines["cost"]))
        poisoned = panel.assign(y=panel["y"].where(panel["ds"] <= cutoff, 1e8))
        again = judged(poisoned, later, cutoff, truth=panel)
        pd.testing.assert_frame_equal(again, rows[rows["cutoff"] == cutoff].reset_index(drop=True))


def test_series_that_end_on_different_days_are_refused() -> None:
    panel = history()
    short = panel[(panel["unique_id"] != LEAVES[0]) | (panel["ds"] < "2026-07-01")]
    with pytest.raises(InputError, match="end on one day"):
        ScheduledForecaster(RunRate(), known_lines(), LEAVES).fit(short)


def test_paths_before_learning_are_refused() -> None:
    with pytest.raises(NotFittedError, match="not fitted"):
        ScheduledForecaster(RunRate(), known_lines(), LEAVES).simulate(7)
