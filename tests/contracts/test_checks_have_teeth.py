"""One broken forecaster per check: a check that no mutant fails proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.forecasters.baselines import RunRate
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.planned_events import Events
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy
from tests.contracts.forecaster_checks import CHECKS


class Computes(RunRate):
    """Constructor does more than store."""

    def __init__(self, freq: str = "D", window: int | None = None) -> None:
        super().__init__(freq, window)
        self.extra = 1


class ReturnsNothing(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        super().fit(panel, hierarchy, events)


class Overwrites(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        super().fit(panel, hierarchy, events)
        panel["y"] = 0.0
        return self


class Unfitted(RunRate):
    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        if not hasattr(self, "history_"):
            raise ValueError("not ready")
        return super().simulate(horizon, n_paths, seed)


class Negative(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        return super()._simulate(horizon, n_paths, rng) - np.float32(100)


class Stateful(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        self.draws_ = getattr(self, "draws_", 0) + 1
        return super()._simulate(horizon, n_paths, np.random.default_rng(self.draws_))


class Forgetful(RunRate):
    def _restore_points(self, learned: dict[str, Any]) -> None:
        self.window = 3


class Absolute(RunRate):
    def points(self, origins: Ints, horizon: int) -> Floats:
        return super().points(origins, horizon) + 5.0


class Unordered(RunRate):
    """Looks at the order in which rows came."""

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        self.newest_ = float(panel["y"].iloc[-1])
        return super().fit(panel, hierarchy, events)

    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        return super()._simulate(horizon, n_paths, rng) + np.float32(self.newest_)


class Remembers(RunRate):
    def _learn(self, history: History, hierarchy: Hierarchy | None) -> None:
        self.best_ = getattr(self, "best_", 0.0) + float(history.filled.max())

    def points(self, origins: Ints, horizon: int) -> Floats:
        return super().points(origins, horizon) + self.best_


class Permissive(RunRate):
    def _check_length(self, matrix: Any) -> None:
        return


class Vague(RunRate):
    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        if horizon < 1 or n_paths < 1 or seed < 0:
            raise InputError("bad arguments")
        return super().simulate(horizon, n_paths, seed)


class SwallowsInfinity(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        return super().fit(panel.assign(y=panel["y"].replace(np.inf, 0.0)).drop_duplicates(["unique_id", "ds"]), hierarchy, events)


class RaisesWhatItMeets(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        return super().fit(panel.assign(y=panel["y"].astype(float)), hierarchy, events)


class ForgetsTheZone(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        local = [pd.Timestamp(stamp).tz_localize(None) for stamp in panel["ds"]]
        return super().fit(panel.assign(ds=local), hierarchy, events)


class NumbersSeries(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        return super().fit(panel.assign(unique_id=pd.factorize(panel["unique_id"])[0].astype(str)), hierarchy, events)


class GapsAreZeros(RunRate):
    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: Events = None) -> Any:
        return super().fit(panel.assign(y=panel["y"].fillna(0.0)), hierarchy, events)


class SureOfNewcomers(RunRate):
    def _take_stock(self, learned: list[str]) -> None:
        super()._take_stock(learned)
        self.youth_ = np.zeros_like(self.youth_)


class DaysOnly(RunRate):
    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        paths = super().simulate(horizon, n_paths, seed)
        return SpendPaths(paths.ids, paths.starts, paths.starts + np.timedelta64(1, "D"), paths.values)


class Explodes(RunRate):
    def points(self, origins: Ints, horizon: int) -> Floats:
        return super().points(origins, horizon) * 1.01 ** np.arange(horizon)


class Grows(RunRate):
    def points(self, origins: Ints, horizon: int) -> Floats:
        points = super().points(origins, horizon)
        return points * np.where(origins >= self.history_.n_periods, 1.5, 1.0)[None, :, None]


class NeverZero(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        return np.maximum(super()._simulate(horizon, n_paths, rng), np.float32(0.01))


class BelievesTheSpike(RunRate):
    def points(self, origins: Ints, horizon: int) -> Floats:
        return np.repeat(self.history_.window(origins, 28).max(axis=2)[:, :, None], horizon, axis=2)


class CommonEnd(RunRate):
    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        paths = super().simulate(horizon, n_paths, seed)
        return SpendPaths(paths.ids, paths.starts.max(axis=0, keepdims=True), paths.ends.max(axis=0, keepdims=True), paths.values)


class NeverNegative(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        return np.maximum(super()._simulate(horizon, n_paths, rng), np.float32(0))


class IndependentDays(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        return rng.permuted(super()._simulate(horizon, n_paths, rng), axis=2)


class IndependentSeries(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        paths = super()._simulate(horizon, n_paths, rng)
        return np.stack([series[:, rng.permutation(n_paths)] for series in paths])


class Narrow(RunRate):
    def _simulate(self, horizon: int, n_paths: int, rng: np.random.Generator) -> np.ndarray:
        paths = super()._simulate(horizon, n_paths, rng)
        middle = paths.mean(axis=2, keepdims=True)
        return (middle + 0.3 * (paths - middle)).astype(np.float32)


MUTANTS: dict[str, type[RunRate]] = {
    "check_init_only_stores": Computes,
    "check_fit_returns_self": ReturnsNothing,
    "check_fit_leaves_input_alone": Overwrites,
    "check_unfitted_raises_with_class_name": Unfitted,
    "check_shape_and_domain": Negative,
    "check_seed_decides": Stateful,
    "check_state_roundtrip": Forgetful,
    "check_scale_equivariance": Absolute,
    "check_series_order_is_irrelevant": Unordered,
    "check_refit_forgets": Remembers,
    "check_short_history_names_the_series": Permissive,
    "check_bad_arguments_are_named": Vague,
    "check_bad_rows_are_refused_by_name": SwallowsInfinity,
    "check_errors_are_ours": RaisesWhatItMeets,
    "check_spelling_of_a_panel_is_irrelevant": ForgetsTheZone,
    "check_ids_need_not_be_text": NumbersSeries,
    "check_gaps_are_not_zeros": GapsAreZeros,
    "check_extreme_scales_live_side_by_side": Absolute,
    "check_odd_series_do_not_disturb": NeverZero,
    "check_any_length_widens_and_says_so": SureOfNewcomers,
    "check_any_calendar": DaysOnly,
    "check_eighteen_months_ahead_stay_within_reason": Explodes,
    "check_constant_series_stays": Grows,
    "check_zero_spend_stays_zero": NeverZero,
    "check_one_day_spike_recovers": BelievesTheSpike,
    "check_series_may_end_on_different_days": CommonEnd,
    "check_negative_where_history_is": NeverNegative,
    "check_days_depend_on_each_other": IndependentDays,
    "check_series_depend_on_each_other": IndependentSeries,
    "check_interval_coverage_of_period_totals": Narrow,
}


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_mutant_is_caught(name: str) -> None:
    check = next(check for check in CHECKS if check.__name__ == name)
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        check(MUTANTS[name]())
    assert not isinstance(caught.value, ImportError | NameError | AttributeError)


def test_every_check_has_a_mutant() -> None:
    assert {check.__name__ for check in CHECKS} == set(MUTANTS)
