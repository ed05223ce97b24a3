"""Detectors side by side on one series: ours, and what people use instead. Each is causal: a row is scored by rows before it.

A method gives a score for each row, higher is stranger, and flags at its own usual setting. Rows before `FIT` are only learned from.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from benchmarks.labelled_measures import Flags, Floats
from benchmarks.panels import ONE_CORE
from forecast.anomalies.detector import SpikeDetector

FIT, CALIBRATED = 0.2, 0.4
"""The first fifth is learned from, the second one is scored by what was learned and calibrates thresholds; then rows are judged."""
REFITS = (FIT, CALIBRATED, 0.6, 0.8)
"""Where methods that do not learn by themselves are fitted again, on all rows before."""
Z_LIMIT, FENCE, FOREST_LIMIT = 3.0, 1.5, 0.5
"""Usual settings: three deviations, one and a half interquartile ranges, scikit-learn's `contamination="auto"`."""


@dataclass(frozen=True)
class Series:
    """times : (n,) rising stamps on a grid of `freq`, gaps allowed. values : (n,), NaN is not known. labels : (n,) what experts called strange."""

    name: str
    freq: str
    times: pd.DatetimeIndex
    values: Floats
    labels: Flags

    def cut(self, share: float) -> int:
        return int(share * len(self.values))

    def panel(self, begin: int = 0, end: int | None = None) -> pd.DataFrame:
        return pd.DataFrame({"unique_id": self.name, "ds": self.times[begin:end], "y": self.values[begin:end]})

    def parts(self) -> Iterator[tuple[int, int]]:
        """Rows where a part begins and ends that is scored by what came before it."""
        cuts = [self.cut(share) for share in (*REFITS, 1.0)]
        yield from pairwise(cuts)


@dataclass(frozen=True)
class Scored:
    """scores : (n,), NaN where a method did not score. usual : (n,) its flags at its usual setting."""

    scores: Floats
    usual: Flags


Method = Callable[[Series], Scored]


def spike_detector(series: Series) -> Scored:
    """Fitted on a first part and never again; the threshold of its usual setting is one false incident a month."""
    scores, usual = np.full(len(series.values), np.nan), np.zeros(len(series.values), dtype=bool)
    for learned, end in ((series.cut(FIT), series.cut(CALIBRATED)), (series.cut(CALIBRATED), len(series.values))):
        found = SpikeDetector(freq=series.freq).fit(series.panel(0, learned)).score(series.panel(learned, end))
        scores[learned:end] = -np.log10(found["p_value"].to_numpy())
        usual[learned:end] = found["is_anomaly"].to_numpy()
    return Scored(scores, usual)


def spike_stream(series: Series) -> Scored:
    scores = SpikeDetector(freq=series.freq).stream().score_many(series.values, series.times)
    scores[: series.cut(FIT)] = np.nan
    return Scored(scores, scores >= 0.5)


def z_score(series: Series) -> Scored:
    """Distance from the mean in deviations, both of as many rows before as the first part has."""
    past = pd.Series(series.values).shift(1).rolling(series.cut(CALIBRATED), min_periods=10)
    return _distance(series, past.mean().to_numpy(), past.std().to_numpy(), Z_LIMIT)


def z_score_by_hour(series: Series) -> Scored:
    """The same among rows of the same hour of the day."""
    y = pd.Series(series.values)
    mean, spread = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for _, rows in y.groupby(series.times.hour):
        past = rows.shift(1).rolling(max(series.cut(CALIBRATED) // 24, 8), min_periods=5)
        mean[rows.index], spread[rows.index] = past.mean(), past.std()
    return _distance(series, mean, spread, Z_LIMIT)


def interquartile(series: Series) -> Scored:
    """How many interquartile ranges beyond the nearer quartile, both of as many rows before as the first part has."""
    past = pd.Series(series.values).shift(1).rolling(series.cut(CALIBRATED), min_periods=10)
    low, high = past.quantile(0.25).to_numpy(), past.quantile(0.75).to_numpy()
    return _distance(series, np.clip(series.values, low, high), high - low, FENCE)


def isolation_forest(series: Series) -> Scored:
    """On the value, its step and its hour; fitted again four times."""
    y = pd.Series(series.values).ffill().fillna(0.0)
    features = np.column_stack([y, y.diff().fillna(0.0), series.times.hour])
    scores = np.full(len(y), np.nan)
    for begin, end in series.parts():
        forest = IsolationForest(random_state=0).fit(features[:begin])
        scores[begin:end] = -forest.score_samples(features[begin:end])
    scores[~np.isfinite(series.values)] = np.nan
    return Scored(scores, scores > FOREST_LIMIT)


METHODS: dict[str, Method] = {
    "spike_detector": spike_detector,
    "spike_stream": spike_stream,
    "z_score": z_score,
    "z_score_by_hour": z_score_by_hour,
    "interquartile": interquartile,
    "isolation_forest": isolation_forest,
}


def prophet_intervals(corpus: Mapping[str, Series], python: str, work: Path) -> dict[str, Scored]:
    """Distance from Prophet's middle in halves of its 95 % interval on that side; fitted again four times, by that Python."""
    windows: dict[tuple[str, int], Path] = {}
    for series in corpus.values():
        for begin, end in series.parts():
            folder = windows[series.name, begin] = work / f"{series.name.replace('/', '_')}-{begin}"
            folder.mkdir(parents=True, exist_ok=True)
            grid = pd.date_range(series.times[begin - 1], series.times[end - 1], freq=series.freq)
            task = {"freq": series.freq, "season": 24, "horizons": [len(grid) - 1], "ids": [series.name]}
            if not (folder / "task.json").exists():
                series.panel(0, begin).to_parquet(folder / "train.parquet", index=False)
                (folder / "task.json").write_text(json.dumps(task))
    script = Path(__file__).resolve().parent / "rivals" / "prophet_intervals.py"
    subprocess.run([python, str(script), str(work)], check=True, env={**os.environ, **ONE_CORE})
    found = {}
    for series in corpus.values():
        low, middle, high = (np.full(len(series.values), np.nan) for _ in range(3))
        for begin, end in series.parts():
            made = pd.read_parquet(windows[series.name, begin] / "prophet.parquet").set_index("ds").reindex(series.times[begin:end])
            low[begin:end], middle[begin:end], high[begin:end] = made["low"], made["middle"], made["high"]
        found[series.name] = _distance(series, middle, np.where(series.values > middle, high - middle, middle - low), 1.0)
    return found


def _distance(series: Series, middle: Floats, spread: NDArray[np.float64], limit: float) -> Scored:
    # A history without spread makes any other value strange, the farther the more.
    least = 1e-9 * np.abs(middle) + 1e-12
    scores = np.abs(series.values - middle) / np.maximum(spread, least)
    scores[: series.cut(FIT)] = np.nan
    return Scored(scores, scores > limit)
