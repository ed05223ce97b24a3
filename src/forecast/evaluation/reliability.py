"""Are probabilities as often right as they say? Coverage with intervals, reliability bins, PIT histogram.

Rows of a backtest are not independent: all series of one cutoff share what happened after it, all cutoffs of one series share
the series. Intervals therefore come from a bootstrap that draws cutoffs and series separately (Owen 2007, "The pigeonhole
bootstrap"), which is a little too wide rather than far too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from forecast.errors import InputError
from forecast.evaluation.summary import INTERVALS, live_rows, quantile_column


def coverage_table(
    rows: pd.DataFrame, by: Sequence[str] = ("level", "days"), *, draws: int = 1000, confidence: float = 0.9, seed: int = 0
) -> pd.DataFrame:
    """Nominal and empirical coverage of intervals of totals by group: `by`, nominal, empirical, lower, upper, cutoffs, series, n.

    lower, upper : bootstrap interval of `empirical` with the given confidence; both NaN where a group has one cutoff only.
    """
    live = rows[live_rows(rows)]
    found: list[dict[str, object]] = []
    for number, (key, group) in enumerate(live.groupby(list(by), sort=True)):
        rng = np.random.default_rng([seed, number])
        cutoff_codes, cutoffs = pd.factorize(group["cutoff"])
        series_codes, series = pd.factorize(group["unique_id"])
        for low, high in INTERVALS.values():
            inside = (group["actual"] >= group[quantile_column(low)]) & (group["actual"] <= group[quantile_column(high)])
            lower, upper = (
                _pigeonhole(inside.to_numpy(), cutoff_codes, series_codes, draws, confidence, rng) if len(cutoffs) > 1 else (np.nan, np.nan)
            )
            found.append(
                {
                    **dict(zip(by, key, strict=True)),
                    "nominal": round(high - low, 6),
                    "empirical": float(inside.mean()),
                    "lower": lower,
                    "upper": upper,
                    "cutoffs": len(cutoffs),
                    "series": len(series),
                    "n": len(group),
                }
            )
    columns = [*by, "nominal", "empirical", "lower", "upper", "cutoffs", "series", "n"]
    return pd.DataFrame(found, columns=columns)


def _pigeonhole(
    hits: NDArray[np.bool_], cutoffs: NDArray[np.int64], series: NDArray[np.int64], draws: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Bootstrap interval of the mean of `hits`, weights multinomial over cutoffs times multinomial over series."""
    n_cutoffs, n_series = int(cutoffs.max()) + 1, int(series.max()) + 1
    inside = np.zeros((n_cutoffs, n_series))
    present = np.zeros((n_cutoffs, n_series))
    np.add.at(inside, (cutoffs, series), hits.astype(np.float64))
    np.add.at(present, (cutoffs, series), 1.0)
    over_cutoffs = rng.multinomial(n_cutoffs, np.full(n_cutoffs, 1.0 / n_cutoffs), draws).astype(np.float64)
    over_series = rng.multinomial(n_series, np.full(n_series, 1.0 / n_series), draws).astype(np.float64)
    drawn = ((over_cutoffs @ present) * over_series).sum(axis=1)
    shares = ((over_cutoffs @ inside) * over_series).sum(axis=1)[drawn > 0] / drawn[drawn > 0]
    lower, upper = np.quantile(shares, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(lower), float(upper)


def reliability_bins(probability: ArrayLike, outcome: ArrayLike, bins: int = 10, confidence: float = 0.9) -> pd.DataFrame:
    """Said against seen: for each bin of probability with rows in it from, to, n, said (mean probability), seen (share that happened), lower, upper.

    lower, upper : Wilson interval of `seen`. outcome : 0 or 1.
    """
    if bins < 1:
        raise InputError(f"bins is not usable: got {bins}, allowed is 1 or more", field="bins", got=bins, allowed="1 or more")
    said = np.asarray(probability, dtype=np.float64)
    seen = np.asarray(outcome, dtype=np.float64)
    known = np.isfinite(said) & np.isfinite(seen)
    said, seen = said[known], seen[known]
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    n = np.bincount(place, minlength=bins)
    used = np.flatnonzero(n)
    happened = np.bincount(place, weights=seen, minlength=bins)[used]
    share = happened / n[used]
    z = float(stats.norm.ppf((1.0 + confidence) / 2.0))
    centre = (share + z**2 / (2 * n[used])) / (1 + z**2 / n[used])
    half = z / (1 + z**2 / n[used]) * np.sqrt(share * (1 - share) / n[used] + z**2 / (4 * n[used] ** 2))
    return pd.DataFrame(
        {
            "from": used / bins,
            "to": (used + 1) / bins,
            "n": n[used],
            "said": np.bincount(place, weights=said, minlength=bins)[used] / n[used],
            "seen": share,
            "lower": np.clip(centre - half, 0.0, 1.0),
            "upper": np.clip(centre + half, 0.0, 1.0),
        }
    )


def pit_histogram(pit: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Share of PIT values in equal bins: from, to, n, share, expected. A hump means intervals too wide, a bowl too narrow, a slope a bias."""
    values = np.asarray(pit, dtype=np.float64)
    counts, edges = np.histogram(values[np.isfinite(values)], bins=bins, range=(0.0, 1.0))
    total = max(int(counts.sum()), 1)
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "n": counts, "share": counts / total, "expected": 1.0 / bins})


def pit_uniformity(pit: ArrayLike) -> float:
    """Kolmogorov–Smirnov p-value of PIT values against the uniform; right for independent rows only. NaN without rows."""
    values = np.asarray(pit, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float(stats.kstest(values, "uniform").pvalue) if values.size else float("nan")
