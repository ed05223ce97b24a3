"""Windows of history → what the prior looks at: a week's shape, a scale, and some sixty numbers that no unit of money changes.

A row is one series at one origin: its last PAST values and how many of them it has lived. Nothing else comes in, so no row can see its
future. All arrays are (rows, …); loops run over lags and windows only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.prior.draws import WEEK
from forecast.forecasters.prior.processes import PAST

OFFSET = 0.05
"""Added before logarithms: a day without spend is far down, but not infinitely far."""

LEAST_FACTOR = 0.15
"""Smallest weekday factor that is divided by. A weekday below it is filled up with its week's mean: a weekend of nothing is no silence."""

LARGEST = 60.0
"""Scaled values are cut here."""

BELIEF_DAYS = 4.0
"""Days of moderate noise that are believed about a weekday before any is seen."""

BELIEF_VARIANCE = 0.15

WEEK_FADING = 0.93
"""Weight of a week in the week's shape, in that of the week after it."""

RATES = (0.04, 0.12, 0.3, 0.6, 1.0)
"""Rates of exponential smoothing."""

LOOK_AHEAD = 3
FORGETTING = 0.96
SHARPNESS = 6.0
"""Exponent on inverse errors when levels are blended into the scale."""

OLD_SHARE = 0.15
"""Share of the scale that is the mean of all history: a silent week does not make everything that follows gigantic."""

_SHIFTS = (2, 3, 5, 7, 10, 14, 21, 28)
_MEANS = (1, 2, 3, 5, 7, 14, 28, 56, PAST)


@dataclass(frozen=True)
class Seen:
    """scale : (rows,) size of a usual day, 0 where nothing was spent. profile : (rows, 7) factor of the weekday of step 1, 2, …

    features : (rows, F), rounded, so that a cent's rounding never falls on another side of a tree's threshold.
    """

    scale: Floats
    profile: Floats
    features: Floats


def rows_of(history: History, origins: Ints) -> tuple[Floats, Ints]:
    """Windows (n, O, PAST) before each origin, oldest first, and ages (n, O) in days, at most PAST."""
    return history.window(origins, PAST), np.minimum(history.age(origins), PAST)


def see(windows: Floats, age: Ints) -> Seen:
    """What is known of each row. windows : (rows, PAST) spend ≥ 0. age : (rows,) newest days that count."""
    alive = np.arange(PAST)[None, :] >= PAST - age[:, None]
    spend = np.where(alive, windows, 0.0)
    # To one first, roughly: 1e-9 and 1e12 are the same series.
    size = spend.sum(axis=1) / np.maximum(age, 1)
    unit = spend / np.where(size > 0, size, 1.0)[:, None]
    profile, kept = week_profile(unit, age)
    flat = flattened(unit, profile)
    levels, errors = smoothed_levels(flat, age)
    trust = (errors + 0.01) ** -SHARPNESS
    recent = (levels * trust).sum(axis=1) / trust.sum(axis=1)
    scale = (1 - OLD_SHARE) * recent + OLD_SHARE * _tail_mean(flat, age, PAST)
    safe = np.where(scale > 0, scale, 1.0)[:, None]
    scaled = np.minimum(flat / safe, LARGEST)
    found = [*np.log(levels / safe + OFFSET).T, *errors.T, errors.min(axis=1), *_features(scaled, alive, age, profile, kept)]
    features: Floats = np.round(np.stack(found, axis=1), 5)
    return Seen(scale * size, profile, features)


def smoothed_levels(flat: Floats, age: Ints) -> tuple[Floats, Floats]:
    """(rows, rates) exponentially smoothed levels at the end, and how far each such level lay from the next LOOK_AHEAD days' mean (mean
    absolute difference of logarithms, newer days counting more).

    A pool that stays where it jumped to is best known by its last day, a bursty user by a mean: each row's scale leans to what served it.
    """
    rows, rates = len(flat), len(RATES)
    ahead = np.lib.stride_tricks.sliding_window_view(flat, LOOK_AHEAD, axis=1).mean(axis=2)
    offset = OFFSET * _tail_mean(flat, age, PAST)[:, None] + 1e-12
    coming = np.log(ahead + offset)
    rate = np.array(RATES)
    level, weight = np.zeros((rows, rates)), np.zeros((rows, rates))
    miss, count = np.full((rows, rates), 0.3), np.ones((rows, 1))
    begin = PAST - age[:, None]
    for day in range(PAST):
        alive = day >= begin
        weight = np.where(alive, (1 - rate) * weight + rate, 0.0)
        level = np.where(alive, level + rate / np.maximum(weight, rate) * (flat[:, day : day + 1] - level), 0.0)
        if day + 1 < ahead.shape[1]:
            judged = alive & (day >= begin + 2)
            miss = np.where(judged, FORGETTING * miss + np.abs(np.log(level + offset) - coming[:, day + 1 : day + 2]), miss)
            count = np.where(judged, FORGETTING * count + 1, count)
    return level, miss / count


def flattened(spend: Floats, profile: Floats) -> Floats:
    """(rows, 7 w) spend without its week's shape. Whole weeks; profile : (rows, 7) with mean 1."""
    weeks = spend.reshape(len(spend), -1, WEEK)
    filled = np.maximum(LEAST_FACTOR - profile, 0.0)[:, None, :] * weeks.mean(axis=2, keepdims=True)
    return ((weeks + filled) / np.maximum(profile, LEAST_FACTOR)[:, None, :]).reshape(spend.shape)


def shaped(flat: Floats, profile: Floats) -> Floats:
    """(rows, …, 7 w) the inverse of `flattened`, never below nothing."""
    lifted = np.maximum(profile, LEAST_FACTOR)
    missing = np.maximum(LEAST_FACTOR - profile, 0.0)
    if flat.ndim == 3:
        lifted, missing = lifted[:, None], missing[:, None]
    weeks = flat.reshape(*flat.shape[:-1], -1, WEEK) * lifted[..., None, :]
    mean = weeks.sum(axis=-1, keepdims=True) / (WEEK + missing.sum(axis=-1)[..., None, None])
    return np.maximum(weeks - missing[..., None, :] * mean, 0.0).reshape(flat.shape)


def common_profile(windows: Floats, age: Ints, phase: Ints) -> Floats:
    """(n, O, 7) week that the series of a panel share at each origin, by the weekday of each series' own step 1, 2, …; mean 1.

    windows : (n, O, PAST) spend ≥ 0. phase : (n,) weekday of step 1, 0..6. Each series with a whole week counts alike. Kept as far as
    weekdays differ by more than the series' disagreement explains; 1 where fewer than three series are known.
    """
    n, origins, _ = windows.shape
    unit, _ = _by_week(windows.reshape(n * origins, PAST), age.reshape(-1))
    own, seen = unit.reshape(n, origins, WEEK), np.isfinite(unit[:, 0]).reshape(n, origins)
    weekday = (np.arange(WEEK)[None, :] + phase[:, None]) % WEEK
    position = (np.arange(WEEK)[None, :] - phase[:, None]) % WEEK
    aligned = np.where(seen[:, :, None], np.take_along_axis(own, position[:, None, :], axis=2), 0.0)  # by weekday
    count = seen.sum(axis=0)[:, None]
    mean = aligned.sum(axis=0) / np.maximum(count, 1)
    away = np.where(seen[:, :, None], (aligned - mean) ** 2, 0.0).sum(axis=0).mean(axis=1) / np.maximum(count[:, 0] - 1, 1)
    noise = away / np.maximum(count[:, 0], 1)
    differ = ((mean - 1) ** 2).mean(axis=1)
    kept = np.where((count[:, 0] >= 3) & (differ > 0), np.clip(1 - 2 * noise / np.maximum(differ, 1e-12), 0.0, 1.0), 0.0)
    shared = 1 + kept[:, None] * (mean - 1)  # (O, 7)
    return np.asarray(shared[:, weekday].transpose(1, 0, 2))


def _by_week(spend: Floats, age: Ints) -> tuple[Floats, Floats]:
    """(rows, 7) mean ratios of days to their week over the last four whole weeks, NaN without any; and how many weeks."""
    weeks = spend.reshape(len(spend), -1, WEEK)[:, -4:]
    mean = weeks.mean(axis=2)
    usable = (np.arange(4)[None, :] >= 4 - (age // WEEK)[:, None]) & (mean > 0)
    count = usable.sum(axis=1)
    ratio = np.minimum(weeks / np.where(mean > 0, mean, 1.0)[:, :, None], 4.0)
    ratio = np.where(usable[:, :, None], ratio / np.maximum(ratio.mean(axis=2, keepdims=True), 1e-12), 0.0)
    with np.errstate(invalid="ignore"):
        return ratio.sum(axis=1) / np.where(count > 0, count, np.nan)[:, None], count.astype(float)


def week_profile(spend: Floats, age: Ints) -> tuple[Floats, Floats]:
    """(rows, 7) factors of the weekdays of step 1, 2, … with mean 1, and (rows,) in which share they were believed.

    Ratios of days to their own week's mean, shrunk as far as weekdays do not differ by more than their noise explains (James–Stein).
    """
    rows = len(spend)
    weeks = spend.reshape(rows, PAST // WEEK, WEEK)
    mean = weeks.mean(axis=2)
    whole = np.arange(PAST // WEEK)[None, :] >= PAST // WEEK - (age // WEEK)[:, None]
    usable = whole & (mean > 0)
    weight = usable * WEEK_FADING ** np.arange(PAST // WEEK)[::-1]
    ratio = np.minimum(weeks / np.where(mean > 0, mean, 1.0)[:, :, None], 4.0)
    mass = weight.sum(axis=1)
    usual = np.einsum("rw,rwd->rd", weight, ratio) / np.maximum(mass, 1e-12)[:, None]
    effective = mass**2 / np.maximum((weight**2).sum(axis=1), 1e-12)
    away = np.einsum("rw,rwd->r", weight, (ratio - usual[:, None, :]) ** 2) / np.maximum(mass, 1e-12) / WEEK
    known = np.maximum(effective - 1, 0.0) * WEEK
    noise = (away * effective * WEEK + BELIEF_DAYS * BELIEF_VARIANCE) / (known + BELIEF_DAYS) / np.maximum(effective, 1e-12)
    differ = ((usual - 1) ** 2).mean(axis=1)
    kept = np.where((effective > 1.5) & (differ > 0), np.clip(1 - noise / np.maximum(differ, 1e-12), 0.0, 1.0), 0.0)
    profile = 1 + kept[:, None] * (usual - 1)
    seen = (mass > 0) & (profile.mean(axis=1) > 1e-12)
    return np.where(seen[:, None], profile / np.where(seen, profile.mean(axis=1), 1.0)[:, None], 1.0), kept


def _features(scaled: Floats, alive: NDArray[np.bool_], age: Ints, profile: Floats, kept: Floats) -> list[Floats]:
    logs = np.where(alive, np.log(scaled + OFFSET), 0.0)
    spent = scaled > 0.02
    found: list[Floats] = [np.log(np.maximum(age, 1).astype(float)), kept, profile.max(axis=1) - profile.min(axis=1)]
    found += _levels(scaled, age) + _spreads(scaled, logs, alive, age) + _silences(spent, alive, age)
    found += _dependence(logs, alive, age) + _shifts(scaled, logs, alive, age) + _concentration(scaled, age)
    return found


def _levels(scaled: Floats, age: Ints) -> list[Floats]:
    """Means of the last 1, 2, 3, … days and of single weeks, each against the scale."""
    found = [np.log(_tail_mean(scaled, age, width) + OFFSET) for width in _MEANS]
    found += [np.log(scaled[:, -lag] + OFFSET) for lag in (2, 3)]
    weeks = np.log(scaled.reshape(len(scaled), -1, WEEK).mean(axis=2) + OFFSET)
    lived = age // WEEK
    return found + [np.where(lived >= back, weeks[:, -back], np.nan) for back in (2, 3, 4, 6, 8)]


def _spreads(scaled: Floats, logs: Floats, alive: NDArray[np.bool_], age: Ints) -> list[Floats]:
    found = []
    for width in (7, 14, 28, PAST):
        part = slice(PAST - width, None)
        count = np.maximum(np.minimum(age, width), 1)
        mean = scaled[:, part].sum(axis=1) / count
        spread = np.sqrt(np.maximum((scaled[:, part] ** 2).sum(axis=1) / count - mean**2, 0.0))
        found.append(spread / np.maximum(mean, 1e-9))
        middle = logs[:, part].sum(axis=1) / count
        found.append(np.sqrt(np.maximum((logs[:, part] ** 2).sum(axis=1) / count - middle**2, 0.0)))
    moves = np.abs(np.diff(logs, axis=1)) * (alive[:, 1:] & alive[:, :-1])
    found += [moves[:, -width:].sum(axis=1) / np.maximum(np.minimum(age - 1, width), 1) for width in (5, 14, PAST - 1)]
    weekly = np.log(scaled.reshape(len(scaled), -1, WEEK).mean(axis=2) + OFFSET)
    lived = np.arange(PAST // WEEK - 1)[None, :] >= PAST // WEEK - (age // WEEK)[:, None]
    change = np.abs(np.diff(weekly, axis=1)) * lived
    found.append(np.where(age >= 2 * WEEK, change.sum(axis=1) / np.maximum(lived.sum(axis=1), 1), np.nan))
    found.append(np.where(age >= 2 * WEEK, change.max(axis=1), np.nan))
    for width in (14, 28, PAST):
        found.append(_slope(logs[:, -width:], np.minimum(age, width)))
    ordered = np.sort(np.where(alive[:, -28:], scaled[:, -28:], np.inf), axis=1)
    count = np.minimum(age, 28)
    for share in (0.1, 0.5, 0.9):
        place = np.clip(np.rint(share * (count - 1)).astype(np.int64), 0, 27)
        found.append(np.log(np.minimum(np.take_along_axis(ordered, place[:, None], axis=1)[:, 0], LARGEST) + OFFSET))
    return found


def _silences(spent: NDArray[np.bool_], alive: NDArray[np.bool_], age: Ints) -> list[Floats]:
    """Shares of days without spend, how long the present state has lasted, and how often it changed."""
    found = [1 - (spent[:, -width:] & alive[:, -width:]).sum(axis=1) / np.maximum(np.minimum(age, width), 1) for width in (7, 14, 28, PAST)]
    days = np.arange(PAST)[None, :]
    last_spent = np.where(spent, days, -1).max(axis=1)
    last_silent = np.where(~spent & alive, days, -1).max(axis=1)
    found.append(np.minimum(PAST - 1 - last_spent, age).astype(float))
    found.append(np.minimum(PAST - 1 - last_silent, age).astype(float))
    changes = (spent[:, 1:] != spent[:, :-1]) & alive[:, :-1]
    found.append(changes.sum(axis=1) / np.maximum(age, 1))
    found.append(changes[:, -28:].sum(axis=1) / np.maximum(np.minimum(age, 28), 1))
    return found


def _dependence(logs: Floats, alive: NDArray[np.bool_], age: Ints) -> list[Floats]:
    """Autocorrelations of the logarithms."""
    mean = logs.sum(axis=1) / np.maximum(age, 1)
    away = np.where(alive, logs - mean[:, None], 0.0)
    power = np.maximum((away**2).sum(axis=1), 1e-9)
    return [np.where(age > lag + 4, (away[:, lag:] * away[:, :-lag]).sum(axis=1) / power, 0.0) for lag in (1, 2, 3, 7, 14)]


def _shifts(scaled: Floats, logs: Floats, alive: NDArray[np.bool_], age: Ints) -> list[Floats]:
    """The likeliest day of the last four weeks on which the level changed: how long ago, by how much, how clear, how rough since."""
    rows = len(logs)
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(logs[:, ::-1], axis=1)], axis=1)
    squares = np.concatenate([np.zeros((rows, 1)), np.cumsum(logs[:, ::-1] ** 2, axis=1)], axis=1)
    best = np.zeros((rows, 4))
    best[:, 0] = np.minimum(age, 56)
    for lag in _SHIFTS:
        before = np.clip(age - lag, 0, 28)
        enough = before >= 3
        end = lag + before
        n_after, n_before = float(lag), np.maximum(before, 1)
        after = sums[:, lag] / n_after
        earlier = (sums[np.arange(rows), end] - sums[:, lag]) / n_before
        noise_after = squares[:, lag] - n_after * after**2
        noise_before = (squares[np.arange(rows), end] - squares[:, lag]) - n_before * earlier**2
        pooled = np.sqrt(np.maximum((noise_after + noise_before) / np.maximum(lag + before - 2, 1), 0.0) + 0.02)
        # Rounded, so that of two equally clear days it is always the newer one.
        clear = np.round(np.abs(after - earlier) / pooled * np.sqrt(n_after * n_before / (n_after + n_before)), 6)
        better = enough & (clear > best[:, 2])
        new = np.stack([np.full(rows, n_after), after - earlier, clear, np.sqrt(np.maximum(noise_after / n_after, 0.0))], axis=1)
        best = np.where(better[:, None], new, best)
    return list(best.T)


def _concentration(scaled: Floats, age: Ints) -> list[Floats]:
    """How much of the money came on few days, and how the top day stands to the rest."""
    total = np.maximum(scaled.sum(axis=1), 1e-9)
    top = np.log(np.maximum(scaled[:, -28:].max(axis=1), 1e-9) + OFFSET)
    ever = scaled.max(axis=1)
    since = PAST - 1 - np.argmax(scaled[:, ::-1], axis=1)[:, None]
    return [
        (scaled**2).sum(axis=1) / total**2 * np.maximum(age, 1),
        top,
        np.log(ever + OFFSET),
        (PAST - 1 - since[:, 0]).astype(float) / np.maximum(age, 1),
    ]


def _slope(logs: Floats, count: Ints) -> Floats:
    """(rows,) slope a day over the newest `count` columns."""
    width = logs.shape[1]
    time = np.arange(width)[None, :] - (width - (count[:, None] + 1) / 2)
    inside = np.arange(width)[None, :] >= width - count[:, None]
    time = time * inside
    return np.where(count >= 5, (time * logs).sum(axis=1) / np.maximum((time**2).sum(axis=1), 1e-9), 0.0)


def _tail_mean(spend: Floats, age: Ints, width: int) -> Floats:
    return spend[:, -width:].sum(axis=1) / np.maximum(np.minimum(age, width), 1)
