"""How spend follows a driver: the exponent β of spend ∝ driver^β, per leaf, from changes of weekly sums, with its standard error.

Changes, because two series that both grow say nothing about each other; weekly sums, because the rhythm of the week is in both. Changes over one,
two, four and eight weeks are pooled with weights falling in their length (next week's noise hides a relation that a month shows, and a month's
drift hides one that a week shows), and a change far from the others' counts less. Errors of overlapping changes go together, so the standard
error adds up their neighbours (Bartlett weights). Leaves are shrunk to the leaves of the same driver, and those to `PRIOR`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LAGS = (1, 2, 4, 8)
"""Weeks."""
REACH = 8
"""Weeks over which errors of changes are added up with their neighbours'."""
PRIOR, PRIOR_ERROR = 0.7, 0.5
"""Before anything was seen: most spend follows its driver, not always in proportion."""
LEAST_SPREAD = 0.15
"""Between the leaves of a driver, where nothing says how unlike they are."""
FEW_LEAVES = 4.0
"""Leaves of one driver share their shocks: as many count as independent."""
SMALL = 0.02
"""Weeks below this share of a leaf's middle week are launches, outages and ends, and say nothing of its driver."""
LARGEST = (-0.5, 2.0)
_ROUNDS = 4


@dataclass(frozen=True)
class Elasticities:
    """Of n leaves with regard to one driver.

    value, error : (n,) after shrinkage. own_error : (n,) the part of the error that is the leaf's alone; the rest is shared by all of them.
    pool, pool_error : of the driver's leaves together. weeks : (n,) weeks of changes behind each.
    """

    value: Floats
    error: Floats
    own_error: Floats
    pool: float
    pool_error: float
    weeks: Floats


def weekly(values: Floats) -> Floats:
    """(…, T) days → (…, T // 7) sums of whole weeks that end with the last day; NaN where a day is not known."""
    weeks = values.shape[-1] // 7
    found: Floats = values[..., values.shape[-1] - 7 * weeks :].reshape(*values.shape[:-1], weeks, 7).sum(axis=-1)
    return found


def elasticities(spend: Floats, driver: Floats) -> Elasticities:
    """spend : (n, T) daily money, NaN where not known. driver : (T,) daily, NaN where not known; both up to the same day."""
    value, variance, weeks = _regression(weekly(spend), weekly(driver))
    return _shrunken(value, variance, weeks)


def _regression(spend: Floats, driver: Floats) -> tuple[Floats, Floats, Floats]:
    """Slope and its variance (inf where nothing is known), and weeks, of each leaf."""
    n, weeks = spend.shape
    positive = np.where(spend > 0, spend, np.nan)
    known = np.isfinite(positive)
    middle = np.array([np.median(row[there]) if there.any() else np.inf for row, there in zip(positive, known, strict=True)])
    usual = float(np.median(driver[driver > 0])) if (driver > 0).any() else np.inf
    money = np.log(np.where(known & (positive > SMALL * middle[:, None]), positive, np.nan))
    moved = np.log(np.where(driver > SMALL * usual, driver, np.nan))
    changes = [(lag, money[:, lag:] - money[:, :-lag], moved[lag:] - moved[:-lag]) for lag in LAGS if lag < weeks]
    xs, ys, counts = [], [], []
    for lag, dy, dx in changes:
        there = np.isfinite(dy) & np.isfinite(dx)[None, :]
        weight = there / lag
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
        x, y = np.where(there, np.nan_to_num(dx)[None, :], 0.0), np.where(there, np.nan_to_num(dy), 0.0)
        # Growth that both share is no evidence: the mean change of each is taken out.
        xs.append(np.where(there, x - (weight * x).sum(axis=1, keepdims=True) / total, 0.0))
        ys.append(np.where(there, y - (weight * y).sum(axis=1, keepdims=True) / total, 0.0))
        counts.append(weight)
    slope = np.full(n, PRIOR)
    robust = [weight.astype(np.float64) for weight in counts]
    sxx = np.zeros(n)
    for _ in range(_ROUNDS):
        sxx = sum((np.einsum("nw,nw->n", w, x * x) for w, x in zip(robust, xs, strict=True)), np.zeros(n))
        sxy = sum((np.einsum("nw,nw->n", w, x * y) for w, x, y in zip(robust, xs, ys, strict=True)), np.zeros(n))
        slope = np.where(sxx > 1e-9, sxy / np.maximum(sxx, 1e-9), PRIOR)
        robust = [weight * _trust(y - slope[:, None] * x, weight > 0) for weight, x, y in zip(counts, xs, ys, strict=True)]
    scores = np.zeros((n, weeks))
    for (lag, _, _), weight, x, y in zip(changes, robust, xs, ys, strict=True):
        scores[:, lag:] += weight * x * (y - slope[:, None] * x)
    spread = np.einsum("nw,nw->n", scores, scores)
    for gap in range(1, min(REACH, weeks - 1) + 1):
        spread += 2.0 * (1.0 - gap / (REACH + 1.0)) * np.einsum("nw,nw->n", scores[:, gap:], scores[:, :-gap])
    seen = (np.abs(scores) > 0).sum(axis=1).astype(np.float64)
    # Few weeks look more alike than they are.
    small = (seen + 2.0 * REACH) / np.maximum(seen - 3.0, 1.0)
    floor = np.einsum("nw,nw->n", scores, scores)
    variance = np.where((sxx > 1e-9) & (seen > 3.0), np.maximum(spread, 0.5 * floor) * small / np.maximum(sxx, 1e-9) ** 2, np.inf)
    return slope, np.where(variance > 0, variance, 1e-6), seen


def _trust(errors: Floats, there: NDArray[np.bool_]) -> Floats:
    """(n, w) 1 for ordinary errors, less for those beyond twice the middle one."""
    size = np.where(there, np.abs(errors), np.nan)
    middle = np.array([np.median(row[known]) if known.any() else 1.0 for row, known in zip(size, there, strict=True)])
    limit = np.maximum(2.0 * 1.4826 * middle, 1e-9)[:, None]
    return np.where(there, np.minimum(1.0, limit / np.maximum(np.abs(errors), 1e-12)), 0.0)


def _shrunken(value: Floats, variance: Floats, weeks: Floats) -> Elasticities:
    """Leaves towards their pool, the pool towards the prior."""
    known = np.isfinite(variance)
    precision = np.where(known, 1.0 / np.where(known, variance, 1.0), 0.0)
    between = LEAST_SPREAD**2
    pool, pool_variance = PRIOR, PRIOR_ERROR**2
    if known.any():
        mean = (precision * np.where(known, value, 0.0)).sum() / precision.sum()
        surplus = (precision * np.where(known, value - mean, 0.0) ** 2).sum() - (known.sum() - 1.0)
        scale = precision.sum() - (precision**2).sum() / precision.sum()
        if scale > 0:
            between = float(np.clip(max(surplus / scale, between), between, 1.0))
        weight = np.where(known, 1.0 / (np.where(known, variance, 1.0) + between), 0.0)
        own = float((weight * np.where(known, value, 0.0)).sum() / weight.sum())
        crowd = max(float(known.sum()) / FEW_LEAVES, 1.0)
        own_variance = crowd / float(weight.sum())
        trust = PRIOR_ERROR**2 / (PRIOR_ERROR**2 + own_variance)
        pool, pool_variance = trust * own + (1.0 - trust) * PRIOR, trust * own_variance
    share = np.where(known, between / (between + np.where(known, variance, 0.0)), 0.0)  # of its own evidence
    found = share * np.where(known, value, 0.0) + (1.0 - share) * pool
    alone = np.sqrt(np.where(known, share * np.where(known, variance, 0.0), between))
    error = np.sqrt(alone**2 + (1.0 - share) ** 2 * pool_variance)
    return Elasticities(np.clip(found, *LARGEST), error, alone, float(np.clip(pool, *LARGEST)), float(np.sqrt(pool_variance)), weeks)
