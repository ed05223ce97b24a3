"""From a declared number of false incidents a month to a threshold for each sign, by replaying history.

Each sign has a share of what is tolerated, and a threshold at which its episodes (a series' flagged days, near each other) are that many. Then
one factor moves all thresholds until the incidents of the replay, merged as the product merges them, are as many as were declared: signs
that speak of the same trouble count once, and what a sign does not use the others may. What people have confirmed as real counts in neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.own_record import WAIT
from forecast.anomalies.signs import ABOVE, CONSTANT, DUPLICATES, GROWTH, HOURS, HOURS_ABOVE, MIX, NEWCOMERS, PRICE, SIGNS, SPEND, Sign
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.errors import ArtifactError

Floats = NDArray[np.float64]

SHARES: dict[str, float] = {
    SPEND: 0.20,
    GROWTH: 0.20,
    PRICE: 0.08,
    MIX: 0.20,
    NEWCOMERS: 0.12,
    CONSTANT: 0.12,
    DUPLICATES: 0.04,
    ABOVE: 0.005,
    HOURS: 0.08,
    HOURS_ABOVE: 0.04,
}
"""Parts of the declared rate. Signs that are sharp need little: prices and duplicates are nearly always constant."""
PRIOR: dict[str, float] = {
    SPEND: 3.0,
    GROWTH: 3.0,
    PRICE: 1.0,
    MIX: 2.0,
    NEWCOMERS: 2.0,
    CONSTANT: 2.0,
    DUPLICATES: 2.0,
    ABOVE: 3.0,
    HOURS: 3.0,
    HOURS_ABOVE: 3.0,
}
"""Strengths from which a sign speaks at least while less than a quarter of days has been replayed."""
FEW_DAYS = 91
TAIL = 2.0
"""Strengths beyond the replay's largest go on as a Pareto law of this index."""
GAP = 3
"""Days without a flag after which a series' next flag is another episode."""
REPLAYED = 400
"""Days at most that thresholds are learnt from."""
LEAST_FACTOR, MOST_FACTOR = 0.6, 4.0
TRIES = 12
_RANKS = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000])


@dataclass(frozen=True)
class Thresholds:
    """of_sign : strength from which a sign flags. levels, shares : for each sign, strengths and the share of series and days that reach them."""

    of_sign: Mapping[str, float]
    levels: Mapping[str, Floats]
    shares: Mapping[str, Floats]

    def flags(self, sign: Sign) -> NDArray[np.bool_]:
        """(n, n_days)."""
        return sign.strength >= self.of_sign[sign.name]

    def p_values(self, name: str, strength: Floats) -> Floats:
        """How rare a strength of a sign is among all series and days."""
        levels, shares = self.levels[name], self.shares[name]
        if not len(levels):
            return np.asarray(np.where(strength > 0.0, np.minimum(1.0, 1e-4 / np.maximum(strength, 1e-9) ** TAIL), 1.0))
        inside = np.exp(np.interp(strength, levels[::-1], np.log(shares[::-1])))
        beyond = shares[0] * (levels[0] / np.maximum(strength, levels[0])) ** TAIL
        return np.asarray(np.where(strength < levels[-1], 1.0, np.where(strength > levels[0], beyond, inside)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As `snapshot.detector` keeps them."""
        found: dict[str, NDArray[Any]] = {"sign_thresholds": np.array([self.of_sign[name] for name in SIGNS])}
        for name in SIGNS:
            found[f"sign_{name}"] = np.stack([self.levels[name], self.shares[name]])
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Thresholds:
        missing = [name for name in ("sign_thresholds", *(f"sign_{name}" for name in SIGNS)) if name not in arrays]
        if missing:
            raise ArtifactError(f"the snapshot's detector has no {', '.join(missing)}: it was written by another version; train again")
        return cls(
            dict(zip(SIGNS, arrays["sign_thresholds"].tolist(), strict=True)),
            {name: arrays[f"sign_{name}"][0] for name in SIGNS},
            {name: arrays[f"sign_{name}"][1] for name in SIGNS},
        )


def fit_thresholds(
    signs: Sequence[Sign],
    false_alarms_per_month: float,
    n_incidents: Callable[[Mapping[str, NDArray[np.bool_]]], int],
    confirmed: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Thresholds:
    """signs : of the whole history, columns are the same days. n_incidents : how many merged incidents the flags of the signs make up, without
    those that people have confirmed as real. confirmed : by sign, which series and days speak of these; None where nobody has confirmed any.

    The rate holds for what is left of the replay. Real incidents that nobody has confirmed count with the false, which are therefore at most as
    many as declared.
    """
    n_days = max((sign.strength.shape[1] for sign in signs), default=0)
    scored = min(max(n_days - WAIT, 0), REPLAYED)
    months = scored / DAYS_A_MONTH
    late = {sign.name: sign.strength[:, n_days - scored :] for sign in signs}
    levels, shares = {name: np.zeros(0) for name in SIGNS}, {name: np.zeros(0) for name in SIGNS}
    base = dict(PRIOR)
    for name, strength in late.items():
        ordinary = strength if confirmed is None else np.where(confirmed[name][:, n_days - scored :], 0.0, strength)
        levels[name], shares[name] = _table(ordinary)
        found = _threshold(ordinary, SHARES[name] * false_alarms_per_month * months)
        base[name] = max(found, PRIOR[name]) if scored < FEW_DAYS else found
    low, high = np.log(LEAST_FACTOR), np.log(MOST_FACTOR)
    allowed = max(false_alarms_per_month * months, 1.0)
    for _ in range(TRIES if scored >= FEW_DAYS else 0):
        middle = 0.5 * (low + high)
        flags = {name: strength >= np.exp(middle) * base[name] for name, strength in late.items()}
        if n_incidents(flags) > allowed:
            low = middle
        else:
            high = middle
    factor = float(np.exp(high)) if scored >= FEW_DAYS else 1.0
    return Thresholds({name: factor * level for name, level in base.items()}, levels, shares)


def _table(strength: Floats) -> tuple[Floats, Floats]:
    """Strengths, largest first, and the share of all series and days that reach each."""
    known = np.sort(strength[strength > 0.0])[::-1]
    ranks = _RANKS[len(known) >= _RANKS]
    return known[ranks - 1], ranks / max(strength.size, 1)


def _threshold(strength: Floats, allowed: float) -> float:
    """The strength at which there are `allowed` episodes."""
    known = np.unique(strength[strength > 0.0])[::-1]
    if not len(known):
        return 1.0
    if allowed < 1.0:
        return float(known[0] * max(allowed, 1e-6) ** (-1.0 / TAIL))
    # More flags than this are more episodes than are allowed.
    known = known[: int(np.ceil(60 * allowed)) + 1]
    low, high = 0, len(known) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if episodes(strength >= known[middle]) <= allowed:
            low = middle
        else:
            high = middle - 1
    return float(known[low])


def episodes(flags: NDArray[np.bool_]) -> int:
    """Runs of flagged days of all series; gaps of up to three days do not end one. flags : (n, n_days)."""
    rows, columns = np.nonzero(flags)
    if not len(rows):
        return 0
    return int(1 + ((np.diff(rows) != 0) | (np.diff(columns) > GAP)).sum())
