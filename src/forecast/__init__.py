"""Forecasts, overrun probabilities, spike alerts and what-if answers for AI spend.

Public names load on first use, so that `import forecast` and `forecast --help` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.anomalies.detector import SpikeDetector
    from forecast.budgets.overrun import overrun_probability
    from forecast.company.generate import Company, generate
    from forecast.evaluation.backtest import backtest
    from forecast.forecasters.combination import SpendForecaster
    from forecast.forecasters.planned_events import EventfulForecaster
    from forecast.paths import SpendPaths
    from forecast.spend.events import Effect, PlannedEvent
    from forecast.spend.scope import Scope

__all__ = [
    "Company",
    "Effect",
    "EventfulForecaster",
    "PlannedEvent",
    "Scope",
    "SpendForecaster",
    "SpendPaths",
    "SpikeDetector",
    "backtest",
    "generate",
    "overrun_probability",
]

_HOMES = {
    "Company": "forecast.company.generate",
    "Effect": "forecast.spend.events",
    "EventfulForecaster": "forecast.forecasters.planned_events",
    "PlannedEvent": "forecast.spend.events",
    "Scope": "forecast.spend.scope",
    "SpendForecaster": "forecast.forecasters.combination",
    "SpendPaths": "forecast.paths",
    "SpikeDetector": "forecast.anomalies.detector",
    "backtest": "forecast.evaluation.backtest",
    "generate": "forecast.company.generate",
    "overrun_probability": "forecast.budgets.overrun",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
