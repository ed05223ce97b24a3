"""What people use for a period's total and its overrun today: rules of thumb, an interval read backwards, and public forecasting tools.

Every one of them becomes samples of each node's total of the next days, so that all are judged alike.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal
from scipy.stats import norm

from benchmarks.panel_measures import QUANTILES, seasonal_naive
from benchmarks.panel_sets import PanelSet, Window
from benchmarks.panels import ONE_CORE, rival_forecasts, write_tasks

Floats = NDArray[np.float64]

SEASON = 7
RECENT = 28
PLACES = (np.arange(400) + 0.5) / 400
"""Quantiles that stand for a distribution that is given by a formula."""
SMOOTHING = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
SETTLED = 91
"""Latest days that the error of exponential smoothing is measured on."""
PROFILE_WEEKS = 8


@dataclass(frozen=True)
class Node:
    """A leaf or a node above, and its history (T,) up to the cutoff."""

    level: str
    name: str
    daily: Floats


@dataclass(frozen=True)
class Totals:
    """A forecast of totals. mean : (n,). ordered : (n, K) equally likely values, ascending. known : (n,) nodes that it speaks of."""

    mean: Floats
    ordered: Floats
    known: NDArray[np.bool_]

    @classmethod
    def of_samples(cls, samples: Floats) -> Totals:
        return cls(samples.mean(axis=1), np.sort(samples, axis=1), np.ones(len(samples), dtype=np.bool_))

    @classmethod
    def normal(cls, mean: Floats, deviation: Floats) -> Totals:
        return cls(mean, mean[:, None] + deviation[:, None] * norm.ppf(PLACES), np.ones(len(mean), dtype=np.bool_))

    @classmethod
    def of_quantiles(cls, quantiles: Floats, known: NDArray[np.bool_]) -> Totals:
        """quantiles : (n, 13) at `QUANTILES`; straight between them on a Gaussian scale, and beyond the outer ones as far as the nearest two say."""
        z, wanted = np.asarray(norm.ppf(QUANTILES)), np.asarray(norm.ppf(PLACES))
        place = np.clip(np.searchsorted(z, wanted) - 1, 0, len(z) - 2)
        share = (wanted - z[place]) / (z[place + 1] - z[place])
        ordered = np.sort(quantiles[:, place] * (1 - share) + quantiles[:, place + 1] * share, axis=1)
        return cls(quantiles[:, QUANTILES.index(0.5)], ordered, known)

    def exceedance(self, thresholds: Floats) -> Floats:
        """(n, b) probability of more than each of `thresholds` (n, b)."""
        return np.asarray((self.ordered[:, None, :] > thresholds[:, :, None]).mean(axis=2))

    def quantile(self, level: float) -> Floats:
        return np.asarray(np.quantile(self.ordered, level, axis=1))

    def samples(self) -> Floats:
        return self.ordered


def usual_rules(daily: Floats, ds: pd.DatetimeIndex, rest: int) -> dict[str, Totals]:
    """Totals of the next `rest` days from histories (n, T), by rules that need no library."""
    recent = daily[:, -RECENT:]
    deviation = recent.std(axis=1, ddof=1)
    naive = np.stack([seasonal_naive(one, SEASON, rest)[1] for one in daily])
    return {
        # The mean of four weeks goes on; days are taken for independent, and the mean itself for as uncertain as four weeks say.
        "run_rate_normal": Totals.normal(rest * recent.mean(axis=1), deviation * np.sqrt(rest + rest**2 / RECENT)),
        "seasonal_naive": Totals.of_quantiles(naive, np.ones(len(daily), dtype=np.bool_)),
        "interval_inversion": _interval_inversion(daily, ds, rest),
    }


def _interval_inversion(daily: Floats, ds: pd.DatetimeIndex, rest: int) -> Totals:
    """As with a cloud's own cost explorer: a mean and an 80 % interval for each month, bounds added up, read backwards as a Gaussian.

    The months' forecasts are those of exponential smoothing about a weekday profile, its constant the best of `SMOOTHING` for each node.
    """
    width = min(PROFILE_WEEKS, daily.shape[1] // SEASON) * SEASON
    profile = daily[:, -width:].reshape(len(daily), -1, SEASON).mean(axis=1)
    profile -= profile.mean(axis=1, keepdims=True)
    weekday = np.arange(-daily.shape[1], 0) % SEASON
    flat = daily - profile[:, weekday]
    error, level = np.full(len(daily), np.inf), np.zeros(len(daily))
    constant = np.zeros(len(daily))
    for alpha in SMOOTHING:
        levels = signal.lfilter([alpha], [1.0, alpha - 1.0], flat, axis=1, zi=(1 - alpha) * flat[:, :1])[0]
        squared = np.square(flat[:, 1:] - levels[:, :-1])[:, -SETTLED:].mean(axis=1)
        better = squared < error
        error, level, constant = (np.where(better, new, old) for new, old in ((squared, error), (levels[:, -1], level), (alpha, constant)))
    ahead = pd.date_range(ds[-1], periods=rest + 1, freq="D")[1:]
    mean, deviation = np.zeros(len(daily)), np.zeros(len(daily))
    step = np.arange(rest)
    for month in ahead.to_period("M").unique():
        days = np.flatnonzero(ahead.to_period("M") == month)
        mean += len(days) * level + profile[:, days % SEASON].sum(axis=1)
        # How often the shock of each step counts in the month's total: once where it falls, and with the constant on each day after.
        counts = constant[:, None] * np.clip(days[-1] - np.maximum(step, days[0] - 1), 0, None) + np.isin(step, days)
        deviation += np.sqrt(error * np.square(counts).sum(axis=1))
    return Totals.normal(mean, deviation)


def public_tools(python: str, methods: str, nodes: list[Node], ds: pd.DatetimeIndex, rest: int) -> dict[str, Totals]:
    """Forecasts of the tools in `benchmarks/rivals`, by that Python, for the nodes above the leaves. Who gives no totals gets summed quantiles."""
    upper = [node for node in nodes if node.level != "leaf"]
    names = tuple(sorted({f"{node.level}:{node.name}": node for node in upper}))
    by_name = {f"{node.level}:{node.name}": node for node in upper}
    train = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(names, dtype=object), len(ds)),
            "ds": np.tile(ds.to_numpy(), len(names)),
            "y": np.concatenate([by_name[name].daily for name in names]),
        }
    )
    panel_set = PanelSet(lambda folder: train, "D", SEASON, (rest,), ())
    window = Window("company", rest, train, names, np.zeros((len(names), rest)), np.zeros(len(names)))
    place = pd.Index(names).get_indexer(pd.Index([f"{node.level}:{node.name}" for node in nodes]))
    found: dict[str, Totals] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        write_tasks(work, [(window, panel_set)])
        script = Path(__file__).resolve().parent / "rivals" / "run_rivals.py"
        subprocess.run([python, str(script), str(work), "--methods", methods], check=True, env={**os.environ, **ONE_CORE})
        for name, made in rival_forecasts(work, window, panel_set):
            found[name] = Totals.of_quantiles(made.totals[rest][np.maximum(place, 0)], place >= 0)
    return found
