"""How good quantile forecasts of steps and of period totals are: losses, coverage, overruns, and how sure the means of these are.

A *window* is one series at one cutoff. Losses are kept as sums of money a window, so that a panel's figure is Σ loss / Σ |y|, as in the public
yardsticks: small series cannot dominate it. Every figure has a bootstrap interval that draws series and cutoffs again, because windows of one
series, and windows of one day, are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]

QUANTILES: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
DECILES = [QUANTILES.index(round(0.1 * tenth, 1)) for tenth in range(1, 10)]
MIDDLE = QUANTILES.index(0.5)
LOW80, HIGH80, LOW95, HIGH95 = (QUANTILES.index(level) for level in (0.1, 0.9, 0.025, 0.975))
BUDGETS: tuple[float, ...] = (0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25)
"""Budgets in units of the run rate at which overrun probabilities are judged."""

DRAWS = 1000

FIGURES: dict[str, tuple[str, str]] = {
    "wape_total": ("missed", "spent"),
    "bias_total": ("over", "spent"),
    "loss_steps": ("loss_steps", "spent_steps"),
    "loss_totals": ("loss_totals", "spent"),
    "coverage_80": ("inside_80", "one"),
    "coverage_95": ("inside_95", "one"),
    "coverage_80_steps": ("inside_80_steps", "one"),
    "below_10": ("below_10", "one"),
    "above_90": ("above_90", "one"),
    "brier": ("brier", "one"),
}
"""Figure: Σ of the first column over Σ of the second. `one` counts windows."""


def pinball(actual: Floats, predicted: Floats, quantiles: Sequence[float] = QUANTILES) -> Floats:
    """Loss of every quantile (last axis of `predicted`): q·(y − f) where y is above, (1 − q)·(f − y) where it is below."""
    error = np.asarray(actual, dtype=np.float64)[..., None] - predicted
    levels = np.asarray(quantiles, dtype=np.float64)
    return np.maximum(levels * error, (levels - 1.0) * error)


def quantile_loss(actual: Floats, predicted: Floats) -> Floats:
    """Twice the mean pinball loss of the nine deciles, in money; `predicted` has the 13 `QUANTILES` on its last axis."""
    return 2.0 * pinball(actual, predicted)[..., DECILES].mean(axis=-1)


def exceedance(threshold: Floats, predicted: Floats) -> Floats:
    """P(X > threshold) from quantiles (n, 13): linear between them, Gaussian arms beyond the outer ones."""
    below = np.empty(len(threshold))
    for row, (limit, known) in enumerate(zip(threshold, predicted, strict=True)):
        low, middle, high = known[0], known[MIDDLE], known[-1]
        if high - low < 1e-12 * max(1.0, abs(low)):
            below[row] = float(limit >= low)
        elif limit < low or limit > high:
            arm = (middle - low if limit < low else high - middle) / norm.ppf(QUANTILES[-1])
            below[row] = norm.cdf((limit - middle) / arm) if arm > 0 else float(limit > high)
        else:
            steps = known + np.arange(len(known)) * 1e-12 * max(1.0, abs(high))
            below[row] = np.interp(limit, steps, QUANTILES)
    return 1.0 - below


def window_scores(actual: Floats, steps: Floats, totals: Floats, run_rate: Floats) -> pd.DataFrame:
    """One row a window.

    actual : (n, h) cost that came. steps : (n, h, 13) and totals : (n, 13) quantiles, ascending. run_rate : (n,) cost a step lately.
    """
    came = actual.sum(axis=1)
    horizon = actual.shape[1]
    middle = totals[:, MIDDLE]
    budgets = np.array(BUDGETS)
    brier = np.mean(
        [(exceedance(budget * horizon * run_rate, totals) - (came > budget * horizon * run_rate)) ** 2 for budget in budgets],
        axis=0,
    )
    return pd.DataFrame(
        {
            "actual": came,
            "middle": middle,
            "spent": np.abs(came),
            "missed": np.abs(middle - came),
            "over": middle - came,
            "spent_steps": np.abs(actual).sum(axis=1),
            "loss_steps": quantile_loss(actual, steps).sum(axis=1),
            "loss_totals": quantile_loss(came, totals),
            "inside_80": ((came >= totals[:, LOW80]) & (came <= totals[:, HIGH80])).astype(float),
            "inside_95": ((came >= totals[:, LOW95]) & (came <= totals[:, HIGH95])).astype(float),
            "inside_80_steps": ((actual >= steps[..., LOW80]) & (actual <= steps[..., HIGH80])).mean(axis=1),
            "below_10": (came < totals[:, LOW80]).astype(float),
            "above_90": (came > totals[:, HIGH80]).astype(float),
            "width_80": totals[:, HIGH80] - totals[:, LOW80],
            "brier": brier,
            "one": 1.0,
        }
    )


def figure(rows: pd.DataFrame, name: str) -> float:
    """One of FIGURES over windows."""
    numerator, denominator = FIGURES[name]
    return float(rows[numerator].sum() / rows[denominator].sum())


def bootstrap_weights(rows: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> Floats:
    """(draws, n) how often each window is drawn when series and cutoffs (columns `unique_id`, `cutoff`) are drawn again, both at once."""
    rng = np.random.default_rng(seed)
    found = np.ones((draws, len(rows)))
    for column in ("unique_id", "cutoff"):
        codes, kept = pd.factorize(rows[column])
        found *= rng.multinomial(len(kept), np.full(len(kept), 1.0 / len(kept)), size=draws)[:, codes]
    return found


def interval(numerator: Floats, denominator: Floats, weights: Floats) -> list[float]:
    """[value, 2.5 %, 97.5 %] of Σ numerator / Σ denominator."""
    below = weights @ denominator
    drawn = (weights @ numerator)[below > 0] / below[below > 0]
    low, high = np.quantile(drawn, (0.025, 0.975)) if len(drawn) else (np.nan, np.nan)
    return [float(numerator.sum() / denominator.sum()) if denominator.sum() else float("nan"), float(low), float(high)]


def geometric_mean(panels: Sequence[tuple[Floats, Floats, Floats]]) -> list[float]:
    """[value, 2.5 %, 97.5 %] of the geometric mean over panels of Σ our loss / Σ naive's; each panel is (ours, naive, weights)."""
    draws = min(len(weights) for _, _, weights in panels)
    logs, value = np.zeros(draws), 0.0
    for ours, naive, weights in panels:
        value += np.log(ours.sum() / naive.sum()) / len(panels)
        below, above = weights[:draws] @ naive, weights[:draws] @ ours
        with np.errstate(divide="ignore", invalid="ignore"):
            logs += np.log(above / below) / len(panels)
    drawn = logs[np.isfinite(logs)]
    low, high = np.exp(np.quantile(drawn, (0.025, 0.975))) if len(drawn) else (np.nan, np.nan)
    return [float(np.exp(value)), float(low), float(high)]


def seasonal_naive(history: Floats, season: int, horizon: int) -> tuple[Floats, Floats, Floats]:
    """The last season again: quantiles of steps (h, 13), of totals from its own rolling-origin totals (13,), and summed over steps (13,).

    history : (n,) complete values. Steps get the Gaussian that public libraries give: the standard deviation of seasonal differences, growing
    with the root of seasons. Totals get a Gaussian about the same point, its deviation the root mean square of the errors that the rule made in
    totals of as many steps at every past origin (quantiles of these errors themselves, symmetric or not, were tried and are weaker opponents on
    nine of eleven panels); with fewer than two origins there is no such thing, and summed quantiles stand in.
    """
    n = len(history)
    season = min(season, n)
    point = history[n - season :][np.arange(horizon) % season]
    differences = history[season:] - history[:-season] if n > season else np.zeros(1)
    spread = float(np.sqrt(np.mean(np.square(differences))))
    growth = np.sqrt(np.arange(horizon) // season + 1.0)
    steps = point[:, None] + spread * growth[:, None] * norm.ppf(QUANTILES)[None, :]
    summed = steps.sum(axis=0)
    origins = np.arange(season, n - horizon + 1)
    if len(origins) < 2:
        return steps, summed, summed
    came = rolling_sums(history, horizon)[origins]
    expected = history[origins[:, None] - season + (np.arange(horizon) % season)[None, :]].sum(axis=1)
    return steps, point.sum() + np.sqrt(np.mean(np.square(came - expected))) * norm.ppf(QUANTILES), summed


def rolling_sums(history: Floats, width: int) -> Floats:
    """(n − width + 1,) sum of `width` values from each place on."""
    sums = np.concatenate([[0.0], np.cumsum(history)])
    return sums[width:] - sums[:-width]
