"""A forecaster for histories of which something is known: it learns from the rest, and adds what the schedules bring.

Licences and commitments come by their schedules, and what happened once is not expected again (`spend/split_history.py`). The forecaster
inside sees neither; its paths and the schedules' are added leaf by leaf. What is known is read off the lines up to the last day of the panel
that is given to `fit`, so a backtest that cuts the panel cuts the knowledge.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd

from forecast.errors import InputError, NotFittedError
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, to_matrix
from forecast.spend.schedules import Schedules, simulate
from forecast.spend.split_history import SplitHistory, split_history

_STREAM = 1
"""Of the seed: schedules draw beside the forecaster inside, whose paths stay what they are without them."""


class InnerForecaster(Protocol):
    """What is needed of the forecaster that learns; `base.Forecaster` is one."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Any: ...

    def simulate(self, horizon: int, n_paths: int = ..., seed: int = ...) -> SpendPaths: ...


class ScheduledForecaster:
    """Joint sample paths of daily series, as `base.Forecaster` gives them.

    forecaster : an unfitted one; a copy of it learns. lines : what is not learnt from, columns of `split_history.LINE_COLUMNS`, of any days.
    leaf_ids : names of the lines' row numbers.
    """

    def __init__(self, forecaster: InnerForecaster, lines: pd.DataFrame, leaf_ids: tuple[str, ...]) -> None:
        self.forecaster = forecaster
        self.lines = lines
        self.leaf_ids = leaf_ids

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"forecaster": self.forecaster, "lines": self.lines, "leaf_ids": self.leaf_ids}

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Self:
        """Learn from a daily panel of total cost (`unique_id, ds, y`), all series up to the same last day.

        Ends in `parts_` (what the panel was taken apart into) and `forecaster_` (what learnt). Raises what `base.Forecaster.fit` raises, and
        InputError for series that end on different days.
        """
        matrix = to_matrix(panel, "D")
        if not np.isfinite(matrix.values[:, -1]).all():
            raise InputError(
                "Schedules need series that end on one day", field="panel", got="series that end on different days", allowed="one last day"
            )
        self.ids_ = matrix.ids
        self.start_ = (matrix.ds[-1] + pd.Timedelta(days=1)).date()
        self.parts_ = split_history(matrix.values, _lines_of(self.lines, self.leaf_ids, matrix), matrix.ds)
        inner = type(self.forecaster)(**deepcopy(self.forecaster.get_params(deep=False)))
        self.forecaster_ = inner.fit(learnable_panel(matrix, self.parts_), hierarchy=hierarchy)
        return self

    @property
    def schedules_(self) -> Schedules:
        """The known recurring items; `leaf` counts in the panel's ids, sorted."""
        if not hasattr(self, "parts_"):
            raise NotFittedError("ScheduledForecaster is not fitted: call fit(panel) before simulate")
        schedules: Schedules = self.parts_.schedules
        return schedules

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        """`n_paths` joint futures of `horizon` days, everything that is known and learnt. Same seed, same bytes."""
        schedules = self.schedules_
        return with_schedules(self.forecaster_.simulate(horizon, n_paths, seed), schedules, self.ids_, seed)


def with_schedules(paths: SpendPaths, schedules: Schedules, leaf_ids: tuple[str, ...], seed: int) -> SpendPaths:
    """The paths of what was learnt, and on top of them what the schedules bring; `paths.values` is added to in place.

    leaf_ids : names of the schedules' leaves, all of them among the paths.
    """
    rows = pd.Index(paths.ids).get_indexer(pd.Index(leaf_ids))
    rng = np.random.default_rng(np.random.SeedSequence([seed, _STREAM]))
    start = pd.Timestamp(paths.starts[0, 0]).date()
    for leaf, money in simulate(schedules, start, paths.horizon, paths.n_paths, rng):
        paths.values[rows[leaf]] += money.astype(np.float32)
    return paths


def learnable_panel(matrix: SpendMatrix, parts: SplitHistory) -> pd.DataFrame:
    """The long panel that a forecaster learns from; days that are not known are left out."""
    rows, columns = np.nonzero(np.isfinite(parts.learnable))
    ids = np.array(matrix.ids, dtype=object)
    return pd.DataFrame({"unique_id": ids[rows], "ds": matrix.ds.to_numpy()[columns], "y": parts.learnable[rows, columns]})


def _lines_of(lines: pd.DataFrame, leaf_ids: tuple[str, ...], matrix: SpendMatrix) -> pd.DataFrame:
    """The lines of the matrix' series and days, with its row numbers. A series without money is not shown, nor are lines that cancel out."""
    row = pd.Index(matrix.ids).get_indexer(pd.Index(leaf_ids))[lines["leaf"].to_numpy(dtype=np.int64)]
    days = lines["ds"]
    inside = (row >= 0) & (days >= matrix.ds[0]).to_numpy() & (days < matrix.ds[-1] + pd.Timedelta(days=1)).to_numpy()
    found: pd.DataFrame = lines[inside].assign(leaf=row[inside])
    return found
