"""Rolling-origin backtest: what would have been said at each cutoff, against what came.

Judged are **totals** of the next k periods, not single days: days are dependent, and money is budgeted by the period. Parents are
sums of their leaves path by path, as in every other answer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.evaluation import metrics
from forecast.evaluation.cutoffs import season_of
from forecast.evaluation.overruns import overrun_record
from forecast.evaluation.quantiles import sorted_quantiles
from forecast.evaluation.summary import QUANTILES, quantile_column, record_of, summarise
from forecast.paths import SpendPaths, overlap
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix, parse_freq, to_matrix

Floats = NDArray[np.float64]

LEAF_LEVEL = "leaf"


class PathForecaster(Protocol):
    """What a backtest needs of a forecaster; `forecasters.base.Forecaster` is one."""

    def get_params(self, deep: bool = ...) -> dict[str, Any]: ...

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Any: ...

    def simulate(self, horizon: int, n_paths: int = ..., seed: int = ...) -> SpendPaths: ...


class Executor(Protocol):
    """Runs a function over tasks, in order of the tasks: `concurrent.futures` executors, loky's, Dask's `client.get_executor()`."""

    def map(self, fn: Callable[[Any], Any], *iterables: Iterable[Any]) -> Iterable[Any]: ...


@dataclass(frozen=True)
class Backtest:
    """Forecasts of period totals made at past cutoffs, and what came.

    rows : one row a cutoff × number of days × series or node. Columns cutoff, days, level ("leaf", "company", "team",
    "provider,service", …), unique_id, start, end (half-open), actual, mean, one column a quantile ("q0.1"), pit, crps, run_rate and
    seasonal_naive (point forecasts to compare with), overrun_probability (of a budget at the run rate), and overrun_<f> for each factor f
    of `budgets` (of a budget at f times the run rate).
    totals : numbers of periods whose totals were asked for. `days` counts periods of `freq`.
    """

    rows: pd.DataFrame
    cutoffs: tuple[pd.Timestamp, ...]
    totals: tuple[int, ...]
    freq: str

    def summary(self, by: Sequence[str] = ("level", "days")) -> pd.DataFrame:
        """Metrics for each value combination of `by`; see `evaluation.summary.summarise` for the columns."""
        return summarise(self.rows, by)

    def record(self, horizon_days: int = 28) -> dict[str, Any]:
        """The accuracy record of a snapshot as plain data; see `evaluation.summary.record_of`, and `overruns.overrun_record` for its "overruns"."""
        return {**record_of(self.rows, self.cutoffs, horizon_days, self.freq), "overruns": overrun_record(self.rows)}


@dataclass(frozen=True)
class _Task:
    forecaster: PathForecaster
    known: SpendMatrix  # ends with the cutoff
    actual: Floats  # (n_series, longest total) of what came
    totals: tuple[int, ...]
    n_paths: int
    seed: int
    hierarchy: Hierarchy | None
    budgets: tuple[float, ...]


def backtest(
    forecaster: PathForecaster,
    panel: pd.DataFrame,
    *,
    cutoffs: Sequence[pd.Timestamp | str],
    totals: Sequence[int] = (7, 28, 91),
    n_paths: int = 1000,
    seed: int = 0,
    hierarchy: Hierarchy | None = None,
    freq: str = "D",
    truth: pd.DataFrame | None = None,
    budgets: Sequence[float] = (),
    progress: Callable[[int, int], None] | None = None,
    executor: Executor | None = None,
) -> Backtest:
    """Clone, fit on rows up to each cutoff, simulate, and compare the totals of the next k periods with what came.

    cutoffs : last period that the forecaster sees. totals : numbers of periods k; one whose actuals are not complete before the data
    end (or are NaN in between) is left out, for a node where any of its leaves is. truth : what came, where it is not `panel` itself
    (late bills). budgets : factors of the run rate whose overrun probabilities are wanted. progress : called with (done, all)
    cutoffs. A series without spend up to the cutoff is not shown to the forecaster
    and counts as a forecast of nothing: the sum above it carries the error.
    Raises InputError for a cutoff outside the data, and whatever the forecaster raises.
    """
    matrix = to_matrix(panel, freq)
    if hierarchy is not None and set(hierarchy.leaf_ids) != set(matrix.ids):
        odd = sorted(set(hierarchy.leaf_ids) ^ set(matrix.ids))
        raise InputError(
            f"hierarchy and panel name different series, first {odd[0]!r}", field="hierarchy", got=odd[:5], allowed="the panel's unique_ids"
        )
    wanted = tuple(sorted(set(totals)))
    if not wanted or wanted[0] < 1:
        raise InputError(f"totals: got {list(totals)}, allowed are whole numbers from 1", field="totals", got=list(totals), allowed="1 or more")
    stamps = tuple(sorted({pd.Timestamp(cutoff) for cutoff in cutoffs}))
    reality = matrix if truth is None else _aligned(to_matrix(truth, freq), matrix.ids)
    tasks = [
        _Task(forecaster, *_split(matrix, reality, cutoff, wanted[-1]), wanted, n_paths, _seed_of(seed, cutoff), hierarchy, tuple(budgets))
        for cutoff in stamps
    ]
    frames: list[pd.DataFrame] = []
    for done, frame in enumerate(executor.map(_evaluate, tasks) if executor is not None else map(_evaluate, tasks), start=1):
        frames.append(frame)
        if progress is not None:
            progress(done, len(tasks))
    judged = [frame for frame in frames if len(frame)]
    rows = pd.concat(judged, ignore_index=True) if judged else _evaluate_nothing()
    return Backtest(rows, stamps, wanted, freq)


def overrun_column(factor: float) -> str:
    """Column of the overrun probability of a budget at `factor` times the run rate."""
    return f"overrun_{factor:g}"


def _split(matrix: SpendMatrix, reality: SpendMatrix, cutoff: pd.Timestamp, longest: int) -> tuple[SpendMatrix, Floats]:
    known = matrix.until(cutoff)
    if known.n_periods == 0 or known.ds[-1] != cutoff:
        raise InputError(
            f"cutoff {cutoff} is not a period of the data, which run from {matrix.ds[0]} to {matrix.ds[-1]}",
            field="cutoffs",
            got=str(cutoff),
            allowed=f"{matrix.ds[0]} to {matrix.ds[-1]}",
        )
    first = int(reality.ds.searchsorted(cutoff, side="right"))
    came = reality.values[:, first : first + longest]
    actual = np.full((matrix.n_series, longest), np.nan)
    actual[:, : came.shape[1]] = came
    return known, actual


def _aligned(matrix: SpendMatrix, ids: tuple[str, ...]) -> SpendMatrix:
    rows = pd.Index(matrix.ids).get_indexer(pd.Index(ids))
    values = np.where((rows >= 0)[:, None], matrix.values[rows], np.nan)
    return SpendMatrix(ids, matrix.ds, values, matrix.freq)


def _seed_of(seed: int, cutoff: pd.Timestamp) -> int:
    """A seed of its own for each cutoff that does not depend on which other cutoffs are judged."""
    return int(np.random.SeedSequence([seed, int(cutoff.timestamp())]).generate_state(1)[0])


def _evaluate(task: _Task) -> pd.DataFrame:
    """All rows of one cutoff."""
    known, hierarchy = task.known, task.hierarchy
    spent: NDArray[np.bool_] = (np.nan_to_num(known.values, nan=0.0) != 0).any(axis=1, keepdims=True)[:, 0]
    samples = _simulated_totals(task, spent)  # (n_totals, n_series, n_paths)
    actual = np.stack([task.actual[:, :days].sum(axis=1) for days in task.totals])
    run_rate, seasonal_naive = _naive_totals(known, task.totals)
    ids, levels = np.array(known.ids, dtype=object), np.full(known.n_series, LEAF_LEVEL, dtype=object)
    if hierarchy is not None:
        order = pd.Index(known.ids).get_indexer(pd.Index(hierarchy.leaf_ids))
        ids = np.concatenate([ids[order], np.array(hierarchy.node_ids, dtype=object)])
        levels = np.concatenate([levels[order], np.array(_node_levels(hierarchy), dtype=object)])
        samples, actual, run_rate, seasonal_naive = (_with_nodes(part[:, order], hierarchy) for part in (samples, actual, run_rate, seasonal_naive))
    offset = parse_freq(known.freq)
    cutoff = known.ds[-1]
    frames = []
    for number, days in enumerate(task.totals):
        complete = np.isfinite(actual[number])
        if not complete.any():
            continue
        drawn, came = samples[number][complete], actual[number][complete]
        quantiles = sorted_quantiles(drawn, QUANTILES)
        columns: dict[str, Any] = {
            "cutoff": cutoff,
            "days": days,
            "level": levels[complete],
            "unique_id": ids[complete],
            "start": cutoff + offset,
            "end": cutoff + (days + 1) * offset,
            "actual": came,
            "mean": drawn.mean(axis=1),
            **{quantile_column(level): quantiles[:, place] for place, level in enumerate(QUANTILES)},
            "pit": metrics.pit(came, drawn),
            "crps": metrics.crps(came, drawn),
            "run_rate": run_rate[number][complete],
            "seasonal_naive": seasonal_naive[number][complete],
            "overrun_probability": (drawn > run_rate[number][complete][:, None]).mean(axis=1),
            **{overrun_column(factor): (drawn > factor * run_rate[number][complete][:, None]).mean(axis=1) for factor in task.budgets},
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True) if frames else _evaluate_nothing()


def _evaluate_nothing() -> pd.DataFrame:
    """The table without rows: history was too short for a single cutoff."""
    texts, stamps = ("level", "unique_id"), ("cutoff", "start", "end")
    numbers = ("actual", "mean", *map(quantile_column, QUANTILES), "pit", "crps", "run_rate", "seasonal_naive", "overrun_probability")
    columns = {"cutoff": "datetime64[ns]", "days": "int64", **dict.fromkeys(texts, "str"), **dict.fromkeys(stamps, "datetime64[ns]")}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in {**columns, **dict.fromkeys(numbers, "float64")}.items()})


def _simulated_totals(task: _Task, spent: NDArray[np.bool_]) -> Floats:
    """(n_totals, n_series, n_paths) samples of the totals of the next k periods; zero for a series without spend so far."""
    known = task.known
    found = np.zeros((len(task.totals), known.n_series, task.n_paths))
    if not spent.any():
        return found
    shown = tuple(series for series, keep in zip(known.ids, spent, strict=True) if keep)
    hierarchy = None if task.hierarchy is None else Hierarchy(task.hierarchy.leaves.loc[sorted(shown)], task.hierarchy.levels)
    # A series may have ended before the cutoff; its own horizon then starts earlier and has to reach further.
    judged = spent & np.isfinite(task.actual[:, 0])
    gap = int((known.n_periods - 1 - known.last_known()[judged]).max(initial=0))
    fitted = _clone(task.forecaster).fit(_long(known, spent), hierarchy=hierarchy)
    paths: SpendPaths = fitted.simulate(horizon=task.totals[-1] + gap, n_paths=task.n_paths, seed=task.seed)
    rows = pd.Index(known.ids).get_indexer(pd.Index(paths.ids))
    offset = parse_freq(known.freq)
    first = np.datetime64((known.ds[-1] + offset).to_datetime64(), "ns")
    for number, days in enumerate(task.totals):
        last = np.datetime64((known.ds[-1] + (days + 1) * offset).to_datetime64(), "ns")
        found[number, rows] = _weighted(paths, overlap(paths.starts, paths.ends, first, last))
    return found


def _weighted(paths: SpendPaths, weights: Floats) -> Floats:
    """(n_series, n_paths) sums over steps in float64; a loop over series keeps the float64 copy small."""
    used = np.flatnonzero((weights > 0).any(axis=0))
    steps = slice(int(used[0]), int(used[-1]) + 1)
    each = np.broadcast_to(weights, paths.values.shape[:2])[:, steps]
    return np.stack([share @ values[steps].astype(np.float64) for share, values in zip(each, paths.values, strict=True)])


def _naive_totals(known: SpendMatrix, totals: tuple[int, ...]) -> tuple[Floats, Floats]:
    """(n_totals, n_series) points: the mean of the last four seasons goes on, the last season repeats."""
    season = season_of(known.freq)
    days = np.array(totals, dtype=np.float64)[:, None]
    return days * _recent_mean(known.values, 4 * season), days * _recent_mean(known.values, season)


def _recent_mean(values: Floats, periods: int) -> Floats:
    """(n_series,) mean of each series' known values among the last columns; zero where it has none."""
    recent = values[:, -periods:]
    known = np.isfinite(recent)
    return np.where(known, recent, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def _with_nodes(leaf_values: NDArray[np.floating], hierarchy: Hierarchy) -> Floats:
    """(n_totals, n_leaves, …) → (n_totals, n_leaves + n_nodes, …)."""
    return np.stack([np.concatenate([values, hierarchy.aggregate(values)]) for values in leaf_values])


def _node_levels(hierarchy: Hierarchy) -> list[str]:
    return [",".join(scope.dimensions) or "company" for scope in hierarchy.nodes]


def _clone(forecaster: PathForecaster) -> PathForecaster:
    """An unfitted copy with the same parameters (sklearn's rule: the constructor only stores)."""
    return type(forecaster)(**copy.deepcopy(forecaster.get_params(deep=False)))


def _long(matrix: SpendMatrix, keep: NDArray[np.bool_]) -> pd.DataFrame:
    """The kept series' known values as a long panel."""
    rows, columns = np.nonzero(np.isfinite(matrix.values) & keep[:, None])
    ids = np.array(matrix.ids, dtype=object)
    return pd.DataFrame({"unique_id": ids[rows], "ds": matrix.ds.to_numpy()[columns], "y": matrix.values[rows, columns]})
