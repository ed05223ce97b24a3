"""Seeded panels that the contract checks run on."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAYS = 200
FIRST_DAY = "2026-01-01"


def long_panel(values: np.ndarray, ids: list[str] | None = None, start: str = FIRST_DAY) -> pd.DataFrame:
    """Long panel of (n_series, n_days) values."""
    count, days = values.shape
    names = ids or [f"series-{number:02d}" for number in range(count)]
    ds = pd.date_range(start, periods=days)
    return pd.DataFrame({"unique_id": np.repeat(names, days), "ds": np.tile(ds, count), "y": values.ravel()})


def spend_panel(seed: int = 0, count: int = 12, days: int = DAYS) -> pd.DataFrame:
    """Unlike spend: smooth pools, weekly rhythm, bursts with many zeros, a late starter, a series that ended, a constant one."""
    rng = np.random.default_rng(seed)
    level = np.exp(np.cumsum(rng.normal(0.001, 0.03, (count, days)), axis=1)) * rng.lognormal(3, 1, (count, 1))
    weekday = np.where(np.arange(days) % 7 < 5, 1.2, 0.5)
    values = level * weekday * np.exp(rng.normal(0, 0.15, (count, days)))
    values[1] *= rng.random(days) < 0.3
    values[2, : days // 2] = 0.0
    values[3] = 50.0
    return long_panel(values)


def autoregressive_panel(seed: int, count: int, days: int, persistence: float = 0.8) -> np.ndarray:
    """(count, days) AR(1) around 100 with a standard deviation near 20: days depend on each other."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0, 20 * np.sqrt(1 - persistence**2), (count, days + 50))
    state = np.zeros(count)
    found = np.empty((count, days + 50))
    for day in range(days + 50):
        state = persistence * state + shocks[:, day]
        found[:, day] = state
    return np.maximum(100 + found[:, 50:], 0.0)
