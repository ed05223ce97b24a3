"""A small real forecaster and panel for the tests of what surrounds forecasters."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from forecast.errors import NotFittedError
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy, build_hierarchy
from forecast.spend.panel import to_matrix


class WeekdayBootstrap(BaseEstimator):  # type: ignore[misc]
    """Recent mean × weekday factor × a resampled week: joint, because all series draw the same weeks."""

    def __init__(self, freq: str = "D", weeks: int = 8, width: float = 1.0) -> None:
        self.freq = freq
        self.weeks = weeks
        self.width = width

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: pd.DataFrame | None = None) -> Self:
        matrix = to_matrix(panel, self.freq)
        self.ids_ = matrix.ids
        self.last_ = matrix.ds[-1]
        recent = np.nan_to_num(matrix.values[:, -7 * self.weeks :])
        recent = recent[:, recent.shape[1] % 7 :]
        self.blocks_ = recent.reshape(len(matrix.ids), -1, 7)
        return self

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        if not hasattr(self, "blocks_"):
            raise NotFittedError("WeekdayBootstrap is not fitted")
        rng = np.random.default_rng(seed)
        weeks = -(-horizon // 7)
        drawn = rng.integers(0, self.blocks_.shape[1], n_paths)  # one week a path: its level goes on
        middle = self.blocks_.mean(axis=1, keepdims=True)
        blocks = np.maximum(middle + self.width * (self.blocks_ - middle), 0.0)
        values = np.tile(np.moveaxis(blocks[:, drawn], 1, 2), (1, weeks, 1))[:, :horizon]
        edges = pd.date_range(self.last_, periods=horizon + 2, freq=self.freq)[1:].to_numpy().astype("datetime64[ns]")[None]
        return SpendPaths(self.ids_, edges[:, :-1], edges[:, 1:], values.astype(np.float32))

    def state(self) -> dict[str, Any]:
        return {
            "params": self.get_params(deep=False),
            "learned": {"ids": list(self.ids_), "last": str(self.last_), "blocks": self.blocks_, "note": "one line\nand another"},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        self = cls(**state["params"])
        self.ids_ = tuple(state["learned"]["ids"])
        self.last_ = pd.Timestamp(state["learned"]["last"])
        self.blocks_ = state["learned"]["blocks"]
        return self


def leaves_of(n_leaves: int) -> pd.DataFrame:
    """Leaves of three providers, three teams and two stages, ids joined by `|`."""
    rows = [(f"p{number % 3}", f"service{number % 4}", f"t{number % 3}", ("dev", "prod")[number % 2], f"w{number}") for number in range(n_leaves)]
    frame = pd.DataFrame(rows, columns=["provider", "service", "team", "stage", "workload"])
    return frame.assign(total=1.0)


def make_panel(n_leaves: int = 6, days: int = 200, seed: int = 0, last: str = "2026-10-31") -> tuple[pd.DataFrame, Hierarchy]:
    """A zero-filled panel of gamma noise around a level with a weekday rhythm, and its hierarchy."""
    rng = np.random.default_rng(seed)
    totals = leaves_of(n_leaves)
    hierarchy, ids = build_hierarchy(totals, ["provider", "service", "team", "stage", "workload"])
    ds = pd.date_range(end=last, periods=days, freq="D")
    weekday = np.where(ds.day_of_week.to_numpy() >= 5, 0.6, 1.0)
    common = np.exp(np.cumsum(rng.normal(0.0, 0.02, days)))
    level = rng.gamma(3.0, 40.0, n_leaves)
    y = level[:, None] * weekday * common * rng.gamma(20.0, 1 / 20.0, (n_leaves, days))
    panel = pd.DataFrame({"unique_id": np.repeat(ids.to_numpy(), days), "ds": np.tile(ds.to_numpy(), n_leaves), "y": y.ravel()})
    return panel, hierarchy
