"""Every promise × every forecaster."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from sklearn.base import clone

import forecast.forecasters
from forecast.forecasters.analogs import PriorForecaster
from forecast.forecasters.autoregression import Autoregression
from forecast.forecasters.base import Forecaster
from forecast.forecasters.baselines import RunRate, SeasonalNaive
from forecast.forecasters.boosting import BoostingForecaster
from forecast.forecasters.combination import SpendForecaster
from forecast.forecasters.fitted_level import FittedLevel
from forecast.forecasters.intermittent import Intermittent
from forecast.forecasters.recent_level import RecentLevel
from forecast.forecasters.structural import StructuralForecaster
from tests.contracts.forecaster_checks import CHECKS

INSTANCES: list[Forecaster] = [
    SeasonalNaive(),
    RunRate(),
    RecentLevel(),
    FittedLevel(),
    Intermittent(),
    Autoregression(),
    PriorForecaster(),
    StructuralForecaster(),
    BoostingForecaster(rounds=40),
    SpendForecaster(),
]

EXPECTED_FAILURES: dict[tuple[str, str], str] = {
    ("PriorForecaster", "check_any_calendar"): "only daily histories were generated for the shipped prior; it says so by InsufficientHistoryError",
}
"""(class, check) → reason; strict, so that a check that begins to pass must leave the table."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("forecaster", INSTANCES, ids=lambda forecaster: type(forecaster).__name__)
def test_contract(forecaster: Forecaster, check: Callable[[Any], None], request: pytest.FixtureRequest) -> None:
    if reason := EXPECTED_FAILURES.get((type(forecaster).__name__, check.__name__)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    check(clone(forecaster))


def test_every_public_forecaster_is_covered() -> None:
    found = set()
    for module in iter_modules(forecast.forecasters.__path__, "forecast.forecasters."):
        for _, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(kind, Forecaster) and not inspect.isabstract(kind):
                found.add(kind)
    assert found == {type(instance) for instance in INSTANCES}
