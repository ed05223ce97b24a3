"""Pictures of a training run, drawn without a display and without global state: bytes of PNG files."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.overruns import budgets_judged
from forecast.evaluation.reliability import pit_histogram, reliability_bins
from forecast.evaluation.summary import live_rows
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.scope import Scope

HISTORY_DAYS = 120
_BANDS = ((0.025, 0.975, 0.15), (0.1, 0.9, 0.25), (0.25, 0.75, 0.35))
_BLUE, _LIGHT, _GREY = "#1f5f8b", "#8fb8d6", "#444444"


def fan_chart(snapshot: Snapshot) -> bytes:
    """The company's last days and the daily steps that the snapshot sees, with 50, 80 and 95 % intervals of single days."""
    node = snapshot.hierarchy.node_of(Scope()) or 0
    daily = (snapshot.ends - snapshot.starts).astype(np.int64) == 1
    past_ds, past = snapshot.history_ds[-HISTORY_DAYS:], snapshot.expected_node_history[node, -HISTORY_DAYS:]
    ds, quantiles = snapshot.starts[daily], np.asarray(snapshot.node_quantiles[node])[daily]
    figure, axes = _axes(9.0, 4.0)
    axes.plot(past_ds, past, color=_GREY, linewidth=1.0, label="actual")
    for low, high, alpha in _BANDS:
        lower, upper = quantiles[:, QUANTILES.index(low)], quantiles[:, QUANTILES.index(high)]
        axes.fill_between(ds, lower, upper, color=_BLUE, alpha=alpha, linewidth=0, label=f"{high - low:.0%}")
    axes.plot(ds, snapshot.node_means[node][daily], color=_BLUE, linewidth=1.2, label="mean")
    axes.set_title(f"Company, {snapshot.cost} cost a day, cutoff {snapshot.cutoff}")
    axes.set_ylabel(snapshot.currency)
    axes.set_ylim(bottom=min(0.0, float(past.min())))
    axes.legend(loc="upper left", ncols=5, frameon=False)
    return _png(figure)


def backtest_pictures(rows: pd.DataFrame, coverage: pd.DataFrame, days: int = 28) -> dict[str, bytes]:
    """The pictures of a backtest by file name; a model card shows them. days : of the coverage chart."""
    return {"coverage.png": coverage_chart(coverage, days), "reliability.png": reliability_chart(rows), "pit.png": pit_chart(rows)}


def coverage_chart(coverage: pd.DataFrame, days: int = 28) -> bytes:
    """Said against seen: nominal and empirical interval coverage of totals by level, with bootstrap intervals."""
    figure, axes = _axes(5.0, 5.0)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle="--")
    shown = coverage[coverage["days"] == days]
    for number, (level, group) in enumerate(shown[shown["level"].isin(["company", "team", "provider", "leaf"])].groupby("level")):
        place = group["nominal"] + 0.006 * (number - 1.5)
        spread = np.stack([(group["empirical"] - group["lower"]).fillna(0.0), (group["upper"] - group["empirical"]).fillna(0.0)])
        axes.errorbar(place, group["empirical"], yerr=np.maximum(spread, 0.0), fmt="o-", markersize=4, capsize=2, linewidth=0.9, label=str(level))
    axes.set_xlabel("nominal interval coverage")
    axes.set_ylabel("empirical")
    axes.set_title(f"Totals of {days} days")
    axes.set_xlim(0.4, 1.0)
    axes.set_ylim(0.0, 1.05)
    if len(shown):
        axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def pit_chart(rows: pd.DataFrame) -> bytes:
    """Histograms of where actual totals fell in their predictive distribution, one a number of days; flat is calibrated."""
    live = rows[live_rows(rows)]
    horizons = sorted(live["days"].unique()) or [28]
    figure, every = _figure(3.2 * len(horizons) + 0.5, 3.2, len(horizons))
    for axes, days in zip(every, horizons, strict=True):
        table = pit_histogram(live.loc[live["days"] == days, "pit"].to_numpy(dtype=np.float64))
        axes.bar(table["from"] + 0.05, table["share"], width=0.09, color=_BLUE)
        axes.axhline(0.1, color=_GREY, linewidth=0.8, linestyle="--")
        axes.set_xlabel("probability integral transform")
        axes.set_title(f"totals of {days} days, {int(table['n'].sum()):,} rows")
        axes.set_ylim(0.0, max(0.2, 1.05 * float(table["share"].max())))
    every[0].set_ylabel("share of totals")
    return _png(figure)


def reliability_chart(rows: pd.DataFrame) -> bytes:
    """Overrun probabilities said against overruns seen, of all budgets that the backtest judged (columns overrun_<factor>), with Wilson intervals.

    Series that cost nothing lately are left out: a share of nothing is no budget.
    """
    horizons = sorted(rows["days"].unique()) or [28]
    figure, every = _figure(3.2 * len(horizons) + 0.5, 3.6, len(horizons))
    for axes, days in zip(every, horizons, strict=True):
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle="--")
        for above, label in ((True, "teams, providers, company"), (False, "leaves")):
            said, over, _ = budgets_judged(rows[(rows["days"] == days) & ((rows["level"] != "leaf") == above)])
            bins = reliability_bins(said.ravel(), over.ravel())
            spread = np.stack([bins["seen"] - bins["lower"], bins["upper"] - bins["seen"]])
            axes.errorbar(
                bins["said"],
                bins["seen"],
                yerr=np.maximum(spread, 0.0),
                fmt="o-",
                color=_BLUE if above else _LIGHT,
                markersize=4,
                capsize=2,
                label=label,
            )
        axes.set_xlabel("overrun probability said")
        axes.set_title(f"budgets for {days} days")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
    every[0].set_ylabel("share that overran")
    every[0].legend(loc="upper left", frameon=False, fontsize=8)
    return _png(figure)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    figure, (axes,) = _figure(width, height, 1)
    return figure, axes


def _figure(width: float, height: float, columns: int) -> tuple[Any, Any]:
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    every = figure.subplots(1, columns, squeeze=False)[0]
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, every


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
