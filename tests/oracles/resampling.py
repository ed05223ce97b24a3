"""Slow twin of `forecasters/resampling.py`: one path and one step at a time, in 64 bits, from the description and not from the code."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OFFSET, FULL_SPREAD, COMMON_SHARE, EPSILON, MEAN_KEPT, MOST_SEEN = 0.05, 0.4, 0.25, 0.25, 0.5, 2.0
SKEWED, SKEWED_ALONE, MOST_LIFTED, POOL_WINDOWS, POOL_SERIES, DRAWN, LARGEST_DRIFT = 0.5, 0.2, 4.0, 6.0, 10.0, 0.35, 1.1


def smooth_at(step: int, values: list[float], edges: list[int]) -> float:
    """Value of a step between the middles of stretches."""
    middles = [(edges[place] + edges[place + 1] - 1) / 2 for place in range(len(values))]
    if step <= middles[0]:
        return values[0]
    for place in range(len(values) - 1):
        if step <= middles[place + 1]:
            share = (step - middles[place]) / (middles[place + 1] - middles[place])
            return (1 - share) * values[place] + share * values[place + 1]
    return values[-1]


def split(factor: float) -> tuple[float, float]:
    added = max(factor**2 - 1.0, 0.0)
    return (factor if factor < 1.0 else math.sqrt(1.0 + COMMON_SHARE * added)), math.sqrt((1.0 - COMMON_SHARE) * added)


def spend_paths(
    ratios: Floats,
    weights: Floats,
    edges: list[int],
    points: Floats,
    level: float,
    pull: Floats,
    largest: Floats,
    first: Ints,
    second: Ints,
    angle: Floats,
    factors: Floats,
    own: Floats,
    n_series: int,
) -> tuple[Floats, list[float], list[float], list[float], list[float]]:
    """(block, n_paths) first block of one series of spend before all are held together, how far each stretch was lifted, its money
    before, its doubt, and its money after.

    ratios (block, O); factors (S, n_paths); n_series : of spend in the panel; the rest as drawn.
    """
    block, n_paths, stretches = len(points), len(first), len(edges) - 1
    base = [(max(points[step], 0.0) + EPSILON * level) * pull[step] for step in range(block)]
    centre = [sum(ratios[step][origin] * weights[origin] for origin in range(len(weights))) for step in range(block)]
    drawn = np.empty((block, n_paths))
    for path in range(n_paths):
        one, two = math.cos(angle[path]), math.sin(angle[path])
        for step in range(block):
            a, b = ratios[step][first[path]], ratios[step][second[path]]
            value = centre[step] + one * (a - centre[step]) + two * (b - centre[step])
            drawn[step, path] = max(value, min(0.0, a, b))

    def means() -> Floats:
        found = np.empty((stretches, n_paths))
        for place in range(stretches):
            inside = range(edges[place], edges[place + 1])
            for path in range(n_paths):
                found[place, path] = sum(base[step] * drawn[step, path] for step in inside) / sum(base[step] for step in inside)
        return found

    before = means()
    logs = np.log(np.maximum(before, 0.0) + OFFSET)
    widened = np.empty_like(logs)
    for place in range(stretches):
        middle, spread = logs[place].mean(), logs[place].std()
        for path in range(n_paths):
            common, alone = split(factors[place][path])
            move = (common - 1.0) * (logs[place, path] - middle) + alone * spread * own[path]
            widened[place, path] = move * min(1.0, FULL_SPREAD / spread)
    for path in range(n_paths):
        for step in range(block):
            drawn[step, path] *= math.exp(smooth_at(step, list(widened[:, path]), edges))
    wider = means()
    kept = [(before[place].mean() / wider[place].mean()) ** MEAN_KEPT for place in range(stretches)]
    for step in range(block):
        drawn[step] *= smooth_at(step, kept, edges)
    skewed = SKEWED_ALONE + (SKEWED - SKEWED_ALONE) * n_series / (n_series + POOL_SERIES)
    lifted, money, doubt = [], [], []
    for place, found in enumerate(means()):
        inside = range(edges[place], edges[place + 1])
        spent = sum(base[step] for step in inside)
        said = sum(max(points[step], 0.0) * pull[step] for step in inside) / spent
        share = max(float(np.median(found)), 0.0) / found.mean()
        wanted = 1 / share if share >= skewed else 1 + share / skewed * (1 / skewed - 1)
        lifted.append(min(max(wanted * said / found.mean(), 1 / MOST_LIFTED), MOST_LIFTED))
        money.append(found.mean() * spent)
        doubt.append(found.std() / found.mean())
    for step in range(block):
        drawn[step] *= smooth_at(step, lifted, edges)
    after = means()
    held = np.ones((stretches, n_paths))
    for place in range(stretches):
        usual = sum(base[edges[place] : edges[place + 1]]) / (edges[place + 1] - edges[place])
        limit = MOST_SEEN * max(largest[place], usual)
        for path in range(n_paths):
            mean = after[place, path] * usual
            held[place, path] = limit / mean if mean > limit else 1.0
    paths = [[base[step] * drawn[step, path] * smooth_at(step, list(held[:, path]), edges) for path in range(n_paths)] for step in range(block)]
    left = [float((after[place] * held[place]).mean()) * sum(base[edges[place] : edges[place + 1]]) for place in range(stretches)]
    return np.array(paths), lifted, money, doubt, left


Stretches = list[float]


def held_together(
    series: list[tuple[Stretches, Stretches, Stretches, Stretches]], levels: Stretches, windows: Floats, edges: list[int]
) -> list[list[float]]:
    """Factor of each step of each series of spend. series : lifts, money, doubt and money after of each stretch, as `spend_paths` gives them."""
    factors: list[list[float]] = [[] for _ in series]
    for place in range(len(edges) - 1):
        trust = windows[place] / (windows[place] + POOL_WINDOWS) * len(series) / (len(series) + POOL_SERIES)
        excess = trust * sum((lifts[place] - 1) * money[place] for lifts, money, _, _ in series)
        doubtful = sum(lifts[place] * money[place] * doubt[place] for lifts, money, doubt, _ in series)
        held = [min(max(1 - excess * doubt[place] / doubtful, 1 / MOST_LIFTED), MOST_LIFTED) for _, _, doubt, _ in series]
        spent = [factor * after[place] for factor, (_, _, _, after) in zip(held, series, strict=True)]
        drawn = [1.0] * len(series) if place == 0 else drawn_to_common(spent, [level * (edges[place + 1] - edges[place]) for level in levels])
        for own, factor, more in zip(factors, held, drawn, strict=True):
            own.append(factor * more)
    return [[smooth_at(step, own, edges) for step in range(edges[-1])] for own in factors]


def drawn_to_common(spent: Stretches, usual: Stretches) -> Stretches:
    """Factor of each series in one stretch. spent : money it is said to cost; usual : what so many steps cost lately."""
    drifts = [math.log(money / level) for money, level in zip(spent, usual, strict=True)]
    like = [row for row, drift in enumerate(drifts) if abs(drift) < LARGEST_DRIFT]
    whole = sum(spent[row] for row in like)
    common = math.log(whole / sum(usual[row] for row in like))
    share = DRAWN * len(like) / (len(like) + POOL_SERIES)
    factors = [math.exp(share * (common - drift)) if row in like else 1.0 for row, drift in enumerate(drifts)]
    moved = sum(factors[row] * spent[row] for row in like)
    return [factor * whole / moved if row in like else 1.0 for row, factor in enumerate(factors)]
