"""Pictures of a training run, drawn without a display and without global state: bytes of PNG files."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
import pandas as pd

from forecast.evaluation.reliability import pit_histogram
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.scope import Scope

HISTORY_DAYS = 120
_BANDS = ((0.025, 0.975, 0.15), (0.1, 0.9, 0.25), (0.25, 0.75, 0.35))
_BLUE, _GREY = "#1f5f8b", "#444444"


def fan_chart(snapshot: Snapshot) -> bytes:
    """The company's last days and the daily steps that the snapshot sees, with 50, 80 and 95 % intervals of single days."""
    node = snapshot.hierarchy.node_of(Scope()) or 0
    daily = (snapshot.ends - snapshot.starts).astype(np.int64) == 1
    past_ds, past = snapshot.history_ds[-HISTORY_DAYS:], snapshot.node_history[node, -HISTORY_DAYS:]
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


def pit_chart(rows: pd.DataFrame, days: int = 28) -> bytes:
    """Histogram of where actual totals fell in their predictive distribution; flat is calibrated."""
    chosen = rows[(rows["days"] == days) & (rows["actual"] != 0)]
    table = pit_histogram(chosen["pit"].to_numpy(dtype=np.float64))
    figure, axes = _axes(5.0, 3.5)
    axes.bar(table["from"] + 0.05, table["share"], width=0.09, color=_BLUE)
    axes.axhline(0.1, color=_GREY, linewidth=0.8, linestyle="--")
    axes.set_xlabel("probability integral transform")
    axes.set_ylabel("share of totals")
    axes.set_title(f"Totals of {days} days, all series and nodes ({int(table['n'].sum())} rows)")
    return _png(figure)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
