"""Bursts end: how far a series that stands above or below its usual level is expected to come back.

Public LLM users and generated teams spend in bursts; point forecasts that live on recent weeks take a burst for a level. How much of it
remains is nearly the same law for all series once their restlessness is taken into account, so it is learned from all of them together:

    E[actual] = base · exp(α_s + β_s · overshoot),    overshoot = restlessness · log(recent level ÷ usual level)

for each stretch s of steps (a week, the rest of a month, the rest of a quarter). On nine generated companies β was −0.2 to −0.3 for a week,
−0.3 to −0.5 to a month and −0.4 to −0.65 to a quarter. Steady growth moves the level too, but a series that grows steadily is not restless.
"""

from __future__ import annotations

import numpy as np

from forecast.forecasters.history import Floats, History, Ints

TRUST = 6.0
"""Windows at which the pool's reversion is believed by half."""

SERIES_TRUST = 10.0
"""Series at which it is believed by half: three users' regimes are three stories and no law."""

FARTHEST = 2.0
"""Largest |log| of recent over usual level that counts, a factor of seven."""

MOST_RESTLESS = 1.5

FLOOR = 0.1
"""Share of the usual level added before logarithms, so that silence is far below usual and not infinitely far."""

STEPS = 8


def overshoot(history: History, origins: Ints) -> Floats:
    """(n, O) restlessness × log(recent level ÷ usual level) at each origin; 0 where history is no longer than the recent window."""
    recent = history.window_mean(origins, history.rhythm.short, size=True)
    usual = history.window_mean(origins, history.n_periods, size=True)
    tiny = np.finfo(np.float64).tiny
    above = np.log((recent + FLOOR * usual + tiny) / ((1 + FLOOR) * usual + tiny))
    return np.asarray(np.clip(above, -FARTHEST, FARTHEST) * restlessness(history)[:, None])


def restlessness(history: History) -> Floats:
    """(n,) standard deviation of the change of log totals from one quarter of the short window (a week of days) to the next, up to 1.5."""
    unit = max(1, history.rhythm.short // 4)
    count = history.n_periods // unit
    if count < 4:
        return np.zeros(history.n_series)
    begin = history.n_periods - count * unit
    totals = np.abs(history.filled[:, begin:].reshape(history.n_series, count, unit).sum(axis=2))
    begun = begin + unit * np.arange(count)[None, :] >= history.first[:, None]
    known = begun[:, :-1]
    usual = np.where(begun, totals, 0.0).sum(axis=1, keepdims=True) / np.maximum(begun.sum(axis=1, keepdims=True), 1)
    changes = np.diff(np.log(totals + FLOOR * usual + np.finfo(np.float64).tiny), axis=1)
    number = np.maximum(known.sum(axis=1), 1)
    mean = np.where(known, changes, 0.0).sum(axis=1) / number
    spread = np.sqrt(np.where(known, (changes - mean[:, None]) ** 2, 0.0).sum(axis=1) / number)
    return np.asarray(np.where(known.sum(axis=1) >= 4, np.minimum(spread, MOST_RESTLESS), 0.0))


def reversion(came: Floats, base: Floats, above: Floats, usual: Floats, windows: float) -> float:
    """β of one stretch, between −1 and 0: Poisson regression of totals `came` on `base` (n, O) and overshoot `above` (n, O).

    usual : (n,) size of each series' total of the stretch; a series counts with the root of its money. Cells with a base of 0 do not count.
    windows : independent windows behind the stretch; few of them shrink β towards none.
    """
    # A series that hardly ever spends has no usual size; what it is expected to spend is the least that it can have.
    size = np.maximum(usual, base.mean(axis=1))[:, None]
    weight = np.where((base > 0) & (size > 0), 1.0 / np.sqrt(np.maximum(size, np.finfo(np.float64).tiny)), 0.0)
    level, slope = 0.0, 0.0
    for _ in range(STEPS):
        mean = weight * base * np.exp(level + slope * above)
        error = weight * came - mean
        curve = np.array([[mean.sum(), (mean * above).sum()], [(mean * above).sum(), (mean * above**2).sum()]])
        if np.linalg.det(curve) <= 1e-9 * max(curve[0, 0], 1e-300) ** 2:
            return 0.0
        step = np.linalg.solve(curve, np.array([error.sum(), (error * above).sum()]))
        level, slope = level + float(np.clip(step[0], -1, 1)), slope + float(np.clip(step[1], -1, 1))
    series = float((weight > 0).any(axis=1).sum())
    return float(np.clip(slope, -1.0, 0.0)) * windows / (windows + TRUST) * series / (series + SERIES_TRUST)
