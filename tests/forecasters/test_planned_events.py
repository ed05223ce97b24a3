"""Forecasts that know what is planned: before it happens, while it does, and after it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import InputError, NotFittedError, PlanError
from forecast.evaluation.backtest import backtest
from forecast.forecasters.baselines import RunRate
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.event_effects import add_events, place_events
from forecast.forecasters.planned_events import EventfulForecaster, EventPlan, applied_table
from forecast.paths import SpendPaths
from forecast.spend.events import Effect, PlannedEvent
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import to_matrix
from forecast.spend.scope import Scope

GRID = pd.date_range("2026-01-01", "2026-07-31", freq="D")
NEXT = date(2026, 8, 1)
LEAVES = ("chat|ads", "chat|search", "voice|search")
LEVELS = np.array([100.0, 40.0, 60.0])
ADS, SEARCH = Scope.parse("team=ads"), Scope.parse("team=search")
SALE = PlannedEvent("sale", "Sale", "campaign", NEXT + timedelta(days=9), NEXT + timedelta(days=19), ADS, Effect("factor", 2.0), date(2026, 7, 1))
LAUNCH = replace(SALE, id="launch", type="launch", scope=SEARCH, effect=Effect("money", 1000.0))


def history(noise: float = 0.1, values: np.ndarray | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    made = LEVELS[:, None] * np.exp(noise * rng.standard_normal((len(LEAVES), len(GRID)))) if values is None else values
    return pd.DataFrame({"unique_id": np.repeat(LEAVES, len(GRID)), "ds": np.tile(GRID, len(LEAVES)), "y": made.ravel()})


def level() -> np.ndarray:
    return np.repeat(LEVELS[:, None], len(GRID), axis=1)


def hierarchy() -> Hierarchy:
    leaves = pd.DataFrame([leaf.split("|") for leaf in LEAVES], columns=["service", "team"], index=pd.Index(LEAVES, name="unique_id"))
    return Hierarchy(leaves, ((), ("team",)))


def fitted(*events: PlannedEvent, panel: pd.DataFrame | None = None, **arguments: Any) -> EventfulForecaster:
    return EventfulForecaster(RunRate(), events, **arguments).fit(history() if panel is None else panel, hierarchy())


def means(model: EventfulForecaster, horizon: int = 40) -> np.ndarray:
    return np.asarray(model.simulate(horizon, 200, 3).values.mean(axis=2, dtype=np.float64))


def days_of(event: PlannedEvent) -> slice:
    assert event.end is not None
    return slice((event.start - NEXT).days, (event.end - NEXT).days)


def test_a_factor_multiplies_its_scope_on_its_days_and_nothing_else() -> None:
    plain, planned = means(fitted()), means(fitted(SALE))
    inside = days_of(SALE)
    np.testing.assert_allclose(planned[0, inside], 2.0 * plain[0, inside], rtol=1e-5)
    planned[0, inside] = plain[0, inside]
    np.testing.assert_array_equal(planned, plain)


def test_money_is_spread_evenly_by_day_and_over_leaves_as_they_spend() -> None:
    model = fitted(LAUNCH)
    added = means(model) - means(fitted())
    inside = days_of(LAUNCH)
    np.testing.assert_allclose(added[:, inside].sum(axis=0), 100.0, rtol=1e-4)
    assert added.sum() == pytest.approx(1000.0, rel=1e-4)
    assert not added[0].any()
    np.testing.assert_allclose(added[1:, inside].sum(axis=1), [400.0, 600.0], rtol=0.1)
    assert model.applied_[0].total == pytest.approx(1000.0, rel=1e-4)


def test_money_of_a_scope_that_spends_nothing_is_spread_evenly() -> None:
    values = level()
    values[1:] = 0.0
    values[1:, :30] = 5.0
    added = means(fitted(LAUNCH, panel=history(values=values))) - means(fitted(panel=history(values=values)))
    np.testing.assert_allclose(added[:, days_of(LAUNCH)].sum(axis=1), [0.0, 500.0, 500.0], rtol=1e-3)


def test_money_of_something_new_goes_to_the_nearest_scope_above() -> None:
    new = replace(LAUNCH, scope=Scope.parse("service=video,team=search,ai_model=large"), effect=Effect("money_per_day", 50.0), end=None)
    model = fitted(new, inside={new.scope: history().iloc[:0]})
    added = means(model) - means(fitted())
    np.testing.assert_allclose(added[:, 9:].sum(axis=0), 50.0, rtol=1e-4)
    np.testing.assert_allclose(added[:, 9:].mean(axis=1), [0.0, 20.0, 30.0], rtol=0.1)
    assert model.notes_[0].endswith("yet; its money goes to team=search")
    nobody = replace(new, scope=Scope.parse("team=newcomers"))
    assert (means(fitted(nobody)) - means(fitted()))[:, 9:].sum() == pytest.approx(50.0 * 31, rel=1e-3)
    factor = fitted(replace(SALE, scope=Scope.parse("team=newcomers")))
    assert factor.notes_ == ("event sale is left out: nothing has been spent in its scope team=newcomers",)


def test_a_saving_is_taken_off() -> None:
    saving = replace(LAUNCH, effect=Effect("money_per_day", -30.0, -50.0, -20.0), end=None)
    added = means(fitted(saving)) - means(fitted())
    np.testing.assert_allclose(added[:, 9:].sum(axis=0), -31.5, atol=4.0)
    assert not added[:, :9].any()


def test_uncertainty_of_an_event_widens_the_forecast_and_is_common_to_its_leaves() -> None:
    unsure = replace(SALE, scope=SEARCH, effect=Effect("factor", 2.0, 1.2, 4.0))
    sure, open_ = (fitted(replace(unsure, effect=effect)).simulate(30, 500, 1) for effect in (Effect("factor", 2.0), unsure.effect))
    inside = days_of(unsure)
    totals = open_.values[:, inside].sum(axis=1)
    spread = np.diff(np.quantile(totals.sum(axis=0), [0.1, 0.9])) / np.median(totals.sum(axis=0))
    assert spread > 2.0 * np.diff(np.quantile(sure.values[1:, inside].sum(axis=(0, 1)), [0.1, 0.9])) / np.median(totals.sum(axis=0))
    assert np.corrcoef(totals[1], totals[2])[0, 1] > 0.8


def test_without_events_the_paths_are_the_same_bytes() -> None:
    panel = history()
    inner = RunRate().fit(panel, hierarchy=hierarchy()).simulate(40, 50, 9).values.tobytes()
    ended = replace(SALE, announced=date(2026, 9, 1))  # not known yet
    for model in (fitted(panel=panel), fitted(ended, panel=panel), fitted(replace(SALE, scope=Scope.parse("team=nobody")), panel=panel)):
        assert model.simulate(40, 50, 9).values.tobytes() == inner


def test_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    unsure = replace(SALE, effect=Effect("factor", 2.0, 1.5, 3.0))
    first = fitted(unsure, LAUNCH).simulate(40, 60, 5).values.tobytes()
    assert first == fitted(LAUNCH, unsure).simulate(40, 60, 5).values.tobytes()
    assert first != fitted(unsure, LAUNCH).simulate(40, 60, 6).values.tobytes()


def test_a_past_event_teaches_no_level() -> None:
    values = level()
    values[0, -20:-3] *= 3.0
    values[1:, -20:-3] += np.array([[20.0], [30.0]])
    window: dict[str, Any] = {"start": date(2026, 7, 12), "end": date(2026, 7, 29), "announced": date(2026, 7, 1)}
    known = [replace(SALE, **window, effect=Effect("factor", 3.0)), replace(LAUNCH, **window, effect=Effect("money", 50.0 * 17))]
    panel = history(values=values)
    np.testing.assert_allclose(means(fitted(*known, panel=panel)), np.repeat(LEVELS[:, None], 40, axis=1), rtol=1e-5)
    assert means(fitted(panel=panel))[0].mean() > 130.0


def test_days_of_a_past_freeze_say_nothing_of_the_level() -> None:
    values = level()
    values[1:, -9:-2] = 0.0
    freeze = replace(SALE, type="freeze", scope=SEARCH, start=date(2026, 7, 23), end=date(2026, 7, 30), effect=Effect("factor", 0.0))
    np.testing.assert_allclose(means(fitted(freeze, panel=history(values=values))), np.repeat(LEVELS[:, None], 40, axis=1), rtol=1e-5)


def test_a_freeze_that_is_on_goes_on_until_its_end() -> None:
    values = level()
    values[0, -5:] = 0.0
    freeze = replace(SALE, type="freeze", start=date(2026, 7, 27), end=date(2026, 8, 6), effect=Effect("factor", 0.0))
    forecast = means(fitted(freeze, panel=history(values=values)))
    assert not forecast[0, :5].any()
    np.testing.assert_allclose(forecast[0, 5:], 100.0, rtol=1e-5)


@pytest.mark.parametrize("gone", [1, 5, 14, 27])
def test_a_lasting_event_that_has_just_begun_is_the_new_level(gone: int) -> None:
    values = level()
    values[0, -gone:] *= 2.0
    begun = replace(SALE, type="price_change", start=NEXT - timedelta(days=gone), end=None)
    forecast = means(fitted(begun, panel=history(values=values)))
    plain = means(fitted(panel=history(values=values)))
    assert abs(forecast[0].mean() - 200.0) < abs(plain[0].mean() - 200.0)
    if gone < 10:
        assert forecast[0].mean() == pytest.approx(200.0, rel=0.2)
    np.testing.assert_allclose(forecast[1:], plain[1:], rtol=1e-2)  # what is known of chance is pooled over series


def test_a_lasting_event_is_history_after_four_weeks() -> None:
    begun = replace(SALE, type="price_change", start=NEXT - timedelta(days=28), end=None, effect=Effect("factor", 2.0, 1.0, 3.0))
    np.testing.assert_array_equal(means(fitted(begun)), means(fitted()))


def test_money_that_lasts_and_has_begun_is_in_the_level() -> None:
    values = level()
    values[1:, -3:] += np.array([[40.0], [60.0]])
    begun = replace(LAUNCH, start=NEXT - timedelta(days=3), end=None, effect=Effect("money_per_day", 100.0))
    forecast = means(fitted(begun, panel=history(values=values)))
    np.testing.assert_allclose(forecast[1:].sum(axis=0), 200.0, rtol=0.12)


def test_a_ramp_that_is_under_way_goes_on_to_its_full_size() -> None:
    values = level()
    ramp = replace(SALE, type="migration", start=NEXT - timedelta(days=4), end=None, ramp_days=10, effect=Effect("factor", 3.0))
    values[0, -4:] *= 1.0 + 2.0 * np.arange(1, 5) / 10.0
    forecast = means(fitted(ramp, panel=history(values=values)))[0]
    np.testing.assert_allclose(forecast, 100.0 * (1.0 + 2.0 * np.minimum(np.arange(5, 45), 10) / 10.0), rtol=1e-5)


def test_what_the_bills_have_shown_of_an_event_is_not_guessed_any_more() -> None:
    unsure = replace(SALE, start=date(2026, 6, 1), end=date(2026, 9, 1), effect=Effect("factor", 2.0, 1.0, 4.0))
    values = level()
    values[0, -61:] *= 2.0
    inside = fitted(unsure, panel=history(values=values)).simulate(31, 300, 2).values[0]
    assert np.quantile(inside, [0.1, 0.9]) == pytest.approx([200.0, 200.0], rel=1e-3)


def test_part_of_a_leaf_is_multiplied_where_the_scope_is_finer() -> None:
    scope = Scope.parse("ai_model=large")
    half = history(values=level() * np.array([[0.5], [0.25], [0.0]]))
    event = replace(SALE, scope=scope)
    added = means(fitted(event, inside={scope: half})) / means(fitted())
    np.testing.assert_allclose(added[:, days_of(SALE)], np.repeat([[1.5], [1.25], [1.0]], 10, axis=1), rtol=0.03)
    lost = fitted(event)
    assert lost.notes_ == ("event sale is left out: ai_model is not known of the series",)


def test_what_each_event_added_sums_to_the_difference() -> None:
    price = replace(SALE, id="price", scope=Scope(), start=NEXT, end=None, effect=Effect("factor", 0.8, 0.7, 0.9))
    model = fitted(SALE, LAUNCH, price)
    paths = model.simulate(40, 300, 4)
    table = applied_table(model.applied_, paths)
    assert set(table["event"]) == {"sale", "launch", "price"}
    whole = paths.values.mean(axis=2, dtype=np.float64) - fitted().simulate(40, 300, 4).values.mean(axis=2, dtype=np.float64)
    by_cell = table.pivot_table(index="unique_id", columns="ds", values="effect", aggfunc="sum").reindex(list(paths.ids)).fillna(0.0)
    np.testing.assert_allclose(by_cell.to_numpy(), whole, atol=1e-3)


def test_a_backtest_does_not_see_an_event_before_it_was_announced() -> None:
    values = level()
    values[0, GRID.get_loc("2026-07-01") :] *= 2.0
    event = replace(SALE, start=date(2026, 7, 1), end=date(2026, 8, 1), announced=date(2026, 6, 20))
    model = EventfulForecaster(RunRate(), (event,))
    rows = backtest(model, history(values=values), cutoffs=["2026-06-15", "2026-06-25"], totals=(28,), n_paths=50, hierarchy=hierarchy()).rows
    mean = rows[rows["unique_id"] == "chat|ads"].set_index("cutoff")["mean"]
    assert mean.loc["2026-06-15"] == pytest.approx(2800.0, rel=1e-4)
    assert mean.loc["2026-06-25"] == pytest.approx(100.0 * (5 + 2 * 23), rel=1e-4)


def test_events_of_one_id_are_refused_and_simulating_before_fitting_too() -> None:
    with pytest.raises(PlanError, match="id 'sale'"):
        fitted(SALE, replace(SALE, scope=SEARCH))
    with pytest.raises(NotFittedError):
        EventfulForecaster(RunRate(), (SALE,)).simulate(5)


def test_series_of_any_panel_are_named_by_their_ids() -> None:
    weeks = pd.date_range("2026-01-05", periods=30, freq="W-MON")
    panel = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 30), "ds": np.tile(weeks, 2), "y": 70.0})
    end = weeks[-1].date() + timedelta(days=7)
    event = replace(
        SALE, scope=Scope.parse("unique_id=b"), start=end + timedelta(days=10), end=end + timedelta(days=21), announced=end - timedelta(days=1)
    )
    forecast = means(EventfulForecaster(SpendForecaster(freq="W", members=("run_rate",)), (event,)).fit(panel), 4)
    np.testing.assert_allclose(forecast, [[70.0] * 4, [70.0, 70.0 * (1 + 4 / 7), 140.0, 70.0]], rtol=1e-4)


def test_events_may_come_as_a_frame_with_the_columns_of_a_calendar() -> None:
    frame = pd.DataFrame([{"name": "sale", "type": "campaign", "start": "2026-08-10", "end": "2026-08-20", "scope": "team=ads", "factor": 2.0}])
    assert (
        fitted(SALE).simulate(40, 50, 3).values.tobytes()
        == EventfulForecaster(RunRate(), frame).fit(history(), hierarchy()).simulate(40, 50, 3).values.tobytes()
    )
    with pytest.raises(InputError, match="something else: got str"):
        fitted("sale")  # type: ignore[arg-type]


def test_plan_comes_back_from_its_state_and_moves_on_with_the_history() -> None:
    running = replace(SALE, start=date(2026, 7, 25), effect=Effect("factor", 2.0, 1.5, 3.0))
    plan = fitted(running, LAUNCH).plan_
    again = EventPlan.from_state(plan.state())
    assert (again.ids, again.known, again.notes) == (plan.ids, plan.known, plan.notes)
    first, second = flat(), flat()
    assert [one.total for one in plan.put_on(first, 3)] == [one.total for one in again.put_on(second, 3)]
    assert first.values.tobytes() == second.values.tobytes()
    assert [one.belief for one in plan.placed] == pytest.approx([0.75, 1.0])
    assert [one.belief for one in plan.until(np.datetime64("2026-08-17")).placed] == pytest.approx([5 / 28, 21 / 28])
    assert EventPlan.from_state(None).placed == ()


def test_new_days_of_some_series_are_taken_back_like_those_before() -> None:
    running = replace(SALE, start=date(2026, 7, 25))
    plan = fitted(running, replace(LAUNCH, scope=Scope.parse("service=chat,team=search"), start=NEXT)).plan_
    days = pd.date_range(NEXT, periods=3)
    new = to_matrix(pd.DataFrame({"unique_id": np.repeat(["chat|ads", "voice|search"], 3), "ds": np.tile(days, 2), "y": 200.0}), "D")
    np.testing.assert_allclose(plan.taken_out_of(new).values, [[100.0] * 3, [200.0] * 3])


def flat(days: int = 12, n_paths: int = 40) -> SpendPaths:
    starts = (np.datetime64(NEXT, "ns") + np.arange(days) * np.timedelta64(1, "D"))[None, :]
    values = np.random.default_rng(5).lognormal(3.0, 0.3, (3, days, n_paths)).astype(np.float32)
    return SpendPaths(LEAVES, starts, starts + np.timedelta64(1, "D"), values)


def on(paths: SpendPaths, *events: PlannedEvent) -> np.ndarray:
    placed, notes = place_events(events, LEAVES, np.datetime64(NEXT, "ns"), hierarchy())
    assert not notes
    add_events(paths, placed, seed=11)
    return np.asarray(paths.values)


factors = st.builds(
    lambda name, start, length, size, scope: PlannedEvent(
        name,
        "",
        "campaign",
        NEXT + timedelta(days=start),
        NEXT + timedelta(days=start + length),
        scope,
        Effect("factor", size, size / 2, size * 2),
        NEXT,
    ),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 6),
    st.integers(1, 8),
    st.floats(0.1, 10.0),
    st.sampled_from([ADS, SEARCH, Scope()]),
)


@settings(deadline=None)
@given(factors)
def test_a_factor_is_its_draws_times_the_paths(event: PlannedEvent) -> None:
    found, plain = on(flat(), event), flat().values
    assert event.end is not None
    inside = slice((event.start - NEXT).days, (event.end - NEXT).days)
    rows = [number for number, leaf in enumerate(LEAVES) if event.scope == Scope() or leaf.endswith(event.scope.clauses[0].values[0])]
    expected = plain.copy()
    expected[rows, inside] *= event.draws(40, 11)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@settings(deadline=None)
@given(factors, factors)
def test_factors_compose_in_any_order_of_their_entry(first: PlannedEvent, second: PlannedEvent) -> None:
    second = replace(second, id="z")
    together = on(flat(), first, second)
    assert together.tobytes() == on(flat(), second, first).tobytes()
    one_by_one = flat()
    on(one_by_one, first)
    np.testing.assert_allclose(together, on(one_by_one, second), rtol=1e-5)


@settings(deadline=None)
@given(factors, st.floats(-50.0, 500.0))
def test_events_of_other_scopes_do_not_touch_each_other(factor: PlannedEvent, money: float) -> None:
    ads, search = replace(factor, scope=ADS), replace(factor, id="z", scope=SEARCH, effect=Effect("money", money))
    together = on(flat(), ads, search)
    np.testing.assert_array_equal(together[0], on(flat(), ads)[0])
    np.testing.assert_array_equal(together[1:], on(flat(), search)[1:])
    first = flat()
    on(first, search)
    assert on(first, ads).tobytes() == together.tobytes()
