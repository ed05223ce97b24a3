"""Scores of streaming detectors by the rules of the Numenta Anomaly Benchmark, version 1.1.

The first min(15 %, 750) rows of a file are not scored. A labelled window is worth what its earliest detection earns, a
sigmoid of the place in the window (1 at its start, 0 at its end), or −(weight of misses) when there is none. A detection
outside costs (weight of false alarms) × a sigmoid of its distance behind the last window, 1 far from any. Per profile one
threshold for all files maximises the sum, which is then mapped so that a detector that says nothing has 0 and one that
detects each window at its first row, and nothing else, has 100.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PROFILES: dict[str, tuple[float, float]] = {"standard": (0.11, 1.0), "low_fp": (0.22, 1.0), "low_fn": (0.11, 2.0)}
"""Weights of false alarms and of misses; a window found weighs 1."""

Scores = Mapping[str, NDArray[np.float64]]


def worth(place: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """2σ(−5 place) − 1: place is −1 where a window starts, 0 where it ends, 3 at three widths behind it and from there on −1."""
    where = np.asarray(place, dtype=float)
    return np.where(where > 3.0, -1.0, np.tanh(-2.5 * np.minimum(where, 3.0)))


@dataclass(frozen=True)
class Truth:
    """One file. times : (n,) stamps. values : (n,). window : (n,) number of the window a row lies in, −1 outside.
    gain : (n,) what a detection earns (inside) or loses (outside, ≤ 0), before weights. start : first scored row.
    """

    times: pd.DatetimeIndex
    values: NDArray[np.float64]
    window: NDArray[np.int64]
    gain: NDArray[np.float64]
    start: int
    labelled: int

    @classmethod
    def of(cls, times: pd.DatetimeIndex, values: NDArray[np.float64], windows: Iterable[tuple[str, str]]) -> Truth:
        n = len(times)
        window, gain = np.full(n, -1), np.full(n, -1.0)
        # A repeated stamp means its first row.
        first = {stamp: row for row, stamp in reversed(list(enumerate(times)))}
        spans = [(first[pd.Timestamp(begin)], first[pd.Timestamp(end)]) for begin, end in windows]
        for number, (begin, end) in enumerate(spans):
            rows, width = np.arange(begin, end + 1), end - begin + 1
            window[rows] = number
            gain[rows] = worth((rows - end - 1) / width) / worth(-1.0)
            behind = np.arange(end + 1, spans[number + 1][0] if number + 1 < len(spans) else n)
            gain[behind] = worth((behind - end) / max(width - 1, 1))
        return cls(times, values, window, gain, min(int(0.15 * n), 750), len(spans))

    @property
    def windows(self) -> list[int]:
        """Windows with a scored row."""
        return sorted({int(number) for number in self.window[self.start :] if number >= 0})


Corpus = dict[str, Truth]


def load(folder: Path) -> Corpus:
    """Files of a NAB checkout (data/, labels/combined_windows.json) or of one table (nab.parquet, nab_labels.json)."""
    if (folder / "nab.parquet").exists():
        labels = json.loads((folder / "nab_labels.json").read_text())["windows"]
        table = pd.read_parquet(folder / "nab.parquet")
        frames = {str(name): (rows["ds"], rows["y"]) for name, rows in table.groupby("unique_id", sort=True)}
        return {
            f"{name.removeprefix('nab/')}.csv": Truth.of(pd.DatetimeIndex(ds), y.to_numpy(float), labels[f"{name.removeprefix('nab/')}.csv"])
            for name, (ds, y) in frames.items()
        }
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    corpus = {}
    for name in sorted(labels):
        rows = pd.read_csv(folder / "data" / name, parse_dates=["timestamp"])
        corpus[name] = Truth.of(pd.DatetimeIndex(rows["timestamp"]), rows["value"].to_numpy(float), labels[name])
    return corpus


def bounds(corpus: Corpus, miss: float) -> tuple[float, float]:
    """Raw scores of a detector that says nothing and of a perfect one."""
    return -miss * sum(len(truth.windows) for truth in corpus.values()), float(sum(truth.labelled for truth in corpus.values()))


def best_threshold(corpus: Corpus, scores: Scores, profile: str) -> float:
    """The threshold with the largest raw score over all files; 1.1 where silence is best."""
    false, miss = PROFILES[profile]
    at: list[NDArray[np.float64]] = []
    steps: list[NDArray[np.float64]] = []
    for name, truth in corpus.items():
        scored = np.arange(len(truth.gain)) >= truth.start
        outside = scored & (truth.window < 0)
        at.append(scores[name][outside])
        steps.append(false * truth.gain[outside])
        for number in truth.windows:
            rows = np.flatnonzero(scored & (truth.window == number))
            rows = rows[np.argsort(-scores[name][rows], kind="stable")]
            # As the threshold falls, a window is worth the best of what was detected so far.
            at.append(scores[name][rows])
            steps.append(np.diff(np.maximum.accumulate(truth.gain[rows]), prepend=-miss))
    every, step = np.concatenate(at), np.concatenate(steps)
    order = np.argsort(-every, kind="stable")
    every, total = every[order], np.cumsum(step[order])
    whole_ties = np.flatnonzero(np.append(every[1:] != every[:-1], True))
    best = whole_ties[np.argmax(total[whole_ties])]
    return float(every[best]) if total[best] > 0.0 else 1.1


def score_at(corpus: Corpus, scores: Scores, profile: str, threshold: float) -> dict[str, Any]:
    """Normalised score at a threshold, windows found of all, rows that are false alarms. Without any window the score is the raw loss."""
    false, miss = PROFILES[profile]
    raw, found, alarms = 0.0, 0, 0
    for name, truth in corpus.items():
        detected = (scores[name] >= threshold) & (np.arange(len(truth.gain)) >= truth.start)
        outside = detected & (truth.window < 0)
        raw += false * float(truth.gain[outside].sum())
        alarms += int(outside.sum())
        for number in truth.windows:
            gains = truth.gain[detected & (truth.window == number)]
            raw += float(gains.max()) if len(gains) else -miss
            found += bool(len(gains))
    nothing, perfect = bounds(corpus, miss)
    score = 100.0 * (raw - nothing) / (perfect - nothing) if perfect > nothing else raw
    return {"score": score, "found": found, "windows": sum(len(truth.windows) for truth in corpus.values()), "false_alarm_rows": alarms}


def folder(name: str) -> str:
    """Group of a file."""
    return name.split("/")[0]


def part(corpus: Corpus, folders: Iterable[str]) -> Corpus:
    """The files of some folders."""
    wanted = set(folders)
    return {name: truth for name, truth in corpus.items() if folder(name) in wanted}
