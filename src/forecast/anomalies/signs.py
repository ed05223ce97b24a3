"""The signs by which strange spend is told, each an amount of money a day that should have been nothing. Pure, causal, vectorised over series.

spend       more or less than the four weeks before: over 1, 2, 4 and 7 days
growth      the last two weeks against the four before them, in money and in proportion: what creeps is never strange on one day
price       what changed unit prices cost: contracts are constant to a fraction of a percent, so an error stands out on its first day
mix         input tokens out of proportion to output tokens: retries and loops, however wild the volume is
newcomers   spend of keys, machines, AI models, regions and services that were not there before, as far as it comes on top of what the rest costs
constant    new machines that run on unchanged, by the square of the days that they did: what people use pauses, what was forgotten does not
duplicates  the same line twice
above       as spend, on the nodes above the leaves: small things add up
hours       more than is usual at these hours of the day, over 1, 3 and 6 hours, where bills have lines of single hours: a day that is going on
            need not be beyond a whole one to be strange
hours_above as hours, on the nodes above the leaves

Strength is each amount against the series' own record (`own_record`), counted by how regularly the series is in use (`regularity`); thresholds come
from a replay (`sign_thresholds`). docs/decisions/0016 has what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.month_habit import beyond_habit
from forecast.anomalies.own_record import strengths

Floats = NDArray[np.float64]

SPEND, GROWTH, PRICE, MIX, NEWCOMERS, CONSTANT, DUPLICATES, ABOVE = "spend", "growth", "price", "mix", "newcomers", "constant", "duplicates", "above"
HOURS, HOURS_ABOVE = "hours", "hours_above"
SIGNS = (SPEND, GROWTH, PRICE, MIX, NEWCOMERS, CONSTANT, DUPLICATES, ABOVE, HOURS, HOURS_ABOVE)
HOURS_MONEY = "hours_money"
"""Beside `hours` in what is kept of charge lines: what an incident of these hours costs."""
OF_NODES = frozenset({ABOVE, HOURS_ABOVE})
"""Signs whose rows are the nodes above the leaves."""
AMOUNTS = ("price", "input", "output", "newcomers", "constant", "constant_days", "duplicates")
"""What is read of charge lines, by leaf and day: money of changed prices, of input and output tokens, of new resources, of new machines whose time
was the same every day, that money times the days, money of lines that came twice."""

WINDOWS = (1, 2, 4, 7)
BACK = 28
"""Days whose median is what is usual."""
FEWEST = 8
SHORT, LONG = 14, 28
"""Days of the growth sign: the last ones, and those before them."""
SLIGHT, STEADY = 0.3, 0.15
"""Of the growth sign: part of the floor that is added to both means before they are divided, and the least record of a logarithm of growth."""
USED_BACK, USED_LAG = 168, 7
"""Days of which is asked on how many a series was in use; the last ones before a scored day are not, so that no incident speaks for itself."""
USED = 0.1
"""Part of the floor from which a series is in use."""
LEAST_REGULAR = 0.2
"""What the excess of a series counts that was hardly ever in use, before squaring: what is new must be large to be strange."""
MIX_BACK = 42
UNCHANGED, UNCHANGED_MOST = 7, 14
"""Days of unchanged machine time whose money counts as it is, and after which it counts no more with every day."""
FLOOR = 0.005
"""Part of the company's usual day below which no series has its record."""
HOURS_WAIT = 42
"""Days before hours say anything: a month's end must have been among them."""
STANDS_OUT = 0.5
"""Part of its record from which an hour is looked at."""
HOUR = 1.0 / 24.0
"""Of a day. Like all windows, one of an hour has the root of its length for the floor of its record."""


@dataclass(frozen=True)
class Sign:
    """One sign of n series. strength : (n, n_days), 0 where nothing is said. excess : (n, n_days) signed money of the day. window : (n, n_days)
    days that the strongest finding looks back on, the day itself among them. way : (n, n_days) 1 where that is a rise, -1 a fall."""

    name: str
    strength: Floats
    excess: Floats
    window: NDArray[np.int64]
    way: NDArray[np.int64]


def usual_day(company: Floats) -> float:
    """What the company spends on a usual day, from its daily totals (n_days,): the scale of every floor."""
    recent = company[-400:]
    recent = recent[np.isfinite(recent)]
    return float(np.median(np.abs(recent))) if len(recent) else 0.0


def usual(values: Floats) -> Floats:
    """(n, n_days) median of the 28 days before each; NaN for the first eight."""
    return _shifted(_rolling(values, BACK, FEWEST), 1)


def spend_sign(values: Floats, first_day: np.datetime64, floor: float, name: str = SPEND) -> Sign:
    """values : (n, n_days) what was spent and can be learnt from, columns are consecutive days from `first_day` on. floor : money of one day."""
    n, n_days = values.shape
    level = usual(values)
    sums = np.concatenate([np.zeros((n, 1)), np.cumsum(values, axis=1)], axis=1)
    strength, window, way = np.zeros((n, n_days)), np.ones((n, n_days), dtype=np.int64), np.ones((n, n_days), dtype=np.int64)
    for days in WINDOWS:
        if days > n_days:
            break
        total = np.full((n, n_days), np.nan)
        total[:, days - 1 :] = sums[:, days:] - sums[:, :-days]
        beyond = beyond_habit(total - days * _shifted(level, days - 1), first_day)
        found = strengths(beyond, floor * days**0.5, days)
        stronger = found > strength
        strength, window = np.where(stronger, found, strength), np.where(stronger, days, window)
        way = np.where(stronger, np.where(beyond < 0.0, -1, 1), way)
    return Sign(name, strength, np.nan_to_num(values - level), window, way)


def regularity(values: Floats, floor: float) -> Floats:
    """(n, n_days) in (0, 1]: what an excess counts. 1 for a series in use every day of the last 24 weeks.

    Spend that comes every second day, or has only just begun, breaks its own record all the time: adoption, campaigns, tests. Squared,
    because both the record's days and the days that could have broken it are fewer.
    """
    used = pd.DataFrame((values > USED * floor).T.astype(np.float64)).rolling(USED_BACK, min_periods=BACK).mean().to_numpy(dtype=np.float64).T
    share: Floats = LEAST_REGULAR + (1.0 - LEAST_REGULAR) * np.nan_to_num(_shifted(used, USED_LAG))
    return share**2


def growth_sign(values: Floats, floor: float) -> Sign:
    """The geometric mean of growth in money and in proportion, each against its own record. Only rises: spend that fades is no incident."""
    late, early = _mean(values, SHORT, SHORT // 2), _shifted(_mean(values, LONG, LONG // 2), SHORT)
    slight = SLIGHT * floor
    ratio = np.log((np.maximum(late, 0.0) + slight) / (np.maximum(early, 0.0) + slight))
    found = np.sqrt(strengths((late - early) * SHORT**0.5, floor * SHORT**0.5, SHORT) * strengths(ratio, STEADY, SHORT))
    sign = _of(GROWTH, np.where(late > early, found, 0.0), np.nan_to_num(values - early))
    return replace(sign, way=np.ones_like(sign.window))


def price_sign(price: Floats, floor: float) -> Sign:
    """price : (n, n_days) money that unit prices added to each day against their median of four weeks. Only rises: what became cheaper is none."""
    return _of(PRICE, np.where(price > 0.0, strengths(price, floor), 0.0), np.nan_to_num(price))


def mix_sign(inputs: Floats, outputs: Floats, floor: float) -> Sign:
    """inputs, outputs : (n, n_days) money of input and of output tokens."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(outputs > 0.0, inputs / outputs, np.nan)
    usual_ratio = np.nan_to_num(_shifted(_rolling(ratio, MIX_BACK, FEWEST), 1))
    excess = np.where(usual_ratio > 0.0, inputs - usual_ratio * outputs, 0.0)
    two_days = excess + np.concatenate([np.zeros((len(excess), 1)), excess[:, :-1]], axis=1)
    one, two = strengths(excess, floor), strengths(two_days, floor * 2**0.5, 2)
    one, two = np.where(excess > 0.0, one, 0.0), np.where((two_days > 0.0) & (excess > 0.0), two, 0.0)
    return Sign(MIX, np.maximum(one, two), excess, np.where(two > one, 2, 1), np.ones(excess.shape, dtype=np.int64))


def newcomers_sign(newcomers: Floats, values: Floats, floor: float) -> Sign:
    """newcomers : (n, n_days) spend of what appeared within a week. What it took over from others is not on top."""
    excess = _on_top(newcomers, values)
    return _of(NEWCOMERS, strengths(excess, floor), excess)


def constant_sign(constant: Floats, constant_days: Floats, values: Floats, floor: float) -> Sign:
    """constant : (n, n_days) spend of new machines whose time has been the same on every day. constant_days : that times their days, 14 at most.

    Counted by the days squared: what runs on unchanged becomes rarer with each day, so that a week of a little is as strange as two days of much.
    What such machines took over from others is not on top, and of it nothing is said.
    """
    excess = _on_top(constant, values)
    days = np.divide(constant_days, constant, out=np.zeros_like(constant), where=constant > 0.0)
    found = strengths(excess * (days / UNCHANGED) ** 2, floor, UNCHANGED_MOST)
    return replace(_of(CONSTANT, found, excess), window=np.maximum(np.rint(days).astype(np.int64), 1))


def duplicates_sign(duplicates: Floats, floor: float) -> Sign:
    """duplicates : (n, n_days) money of lines beyond the first of those that are equal in everything."""
    return _of(DUPLICATES, strengths(duplicates, floor), np.nan_to_num(duplicates))


def hours_sign(amount: Floats, money: Floats, first_day: np.datetime64, floor: float, name: str = HOURS) -> Sign:
    """amount, money : (n, n_days) a day's largest window of hours beyond the usual ÷ √hours, and what an incident of it costs (`anomalies.hours`)."""
    if not amount.any():
        nothing = np.zeros(amount.shape)
        return _of(name, nothing, nothing)
    found = strengths(amount, floor * HOUR**0.5)
    found[:, :HOURS_WAIT] = 0.0
    # Some hour of a day is always its largest: a habit is only what stood out before.
    found = beyond_habit(np.where(found >= STANDS_OUT, found, 0.0), first_day)
    return replace(_of(name, found, np.array(money)), way=np.ones(amount.shape, dtype=np.int64))


def leaf_signs(
    values: Floats,
    amounts: Mapping[str, Floats],
    first_day: np.datetime64,
    usual_day: float,
    told_apart: NDArray[np.bool_],
    hours: tuple[Floats, Floats] | None = None,
) -> list[Sign]:
    """All signs of leaves. amounts : by the names of AMOUNTS, (n, n_days) each. told_apart : (n,) leaves that say what they are about; others gain
    and lose what is tagged or not, so that only what is said of their resources and bills is looked at, not how much they cost. hours : amount
    and money as `hours_sign` takes them; None where no hours are known."""
    floor = FLOOR * usual_day
    signs = [
        spend_sign(values, first_day, floor),
        growth_sign(values, floor),
        price_sign(amounts["price"], floor),
        _with_all_of_it(mix_sign(amounts["input"], amounts["output"], floor), values),
        newcomers_sign(amounts["newcomers"], values, floor),
        constant_sign(amounts["constant"], amounts["constant_days"], values, floor),
        duplicates_sign(amounts["duplicates"], floor),
        hours_sign(*(hours or (np.zeros_like(values), np.zeros_like(values))), first_day, floor),
    ]
    regular = regularity(values, floor)
    # Of what a series costs at all, its mix depends less on how often it is in use.
    counts = {SPEND: regular, GROWTH: regular, NEWCOMERS: regular, HOURS: regular, MIX: np.sqrt(regular)}
    counted = [replace(sign, strength=sign.strength * counts.get(sign.name, 1.0)) for sign in signs]
    volatile = {SPEND, GROWTH, HOURS}
    return [replace(sign, strength=np.where(told_apart[:, None], sign.strength, 0.0)) if sign.name in volatile else sign for sign in counted]


def above_sign(values: Floats, first_day: np.datetime64, usual_day: float) -> Sign:
    """Of nodes above leaves, (n, n_days)."""
    return spend_sign(values, first_day, FLOOR * usual_day, ABOVE)


def hours_above_sign(
    values: Floats, amount: Floats, money: Floats, first_day: np.datetime64, usual_day: float, told_apart: NDArray[np.bool_]
) -> Sign:
    """Of nodes above leaves, as `hours_sign`. values : (n, n_days) what they spent. told_apart : (n,) nodes that are of something and not of what was
    not tagged; what begins or ends to be tagged is one hour's matter."""
    floor = FLOOR * usual_day
    sign = hours_sign(amount, money, first_day, floor, HOURS_ABOVE)
    if not sign.strength.any():
        return sign
    return replace(sign, strength=np.where(told_apart[:, None], sign.strength * regularity(values, floor), 0.0))


def _with_all_of_it(sign: Sign, values: Floats) -> Sign:
    """Loops and retries cost output tokens too: where the sign is raised, all that is more than usual is theirs."""
    beyond = np.nan_to_num(values - usual(values))
    return replace(sign, excess=np.where(sign.excess > 0.0, np.maximum(sign.excess, beyond), sign.excess))


def _on_top(amount: Floats, values: Floats) -> Floats:
    return np.minimum(amount, np.maximum(np.nan_to_num(values - usual(values)), 0.0))


def _of(name: str, strength: Floats, excess: Floats) -> Sign:
    return Sign(name, strength, excess, np.ones(strength.shape, dtype=np.int64), np.where(excess < 0.0, -1, 1))


def _rolling(values: Floats, days: int, fewest: int) -> Floats:
    found: Floats = pd.DataFrame(values.T).rolling(days, min_periods=fewest).median().to_numpy(dtype=np.float64).T
    return found


def _mean(values: Floats, days: int, fewest: int) -> Floats:
    found: Floats = pd.DataFrame(values.T).rolling(days, min_periods=fewest).mean().to_numpy(dtype=np.float64).T
    return found


def _shifted(values: Floats, days: int) -> Floats:
    if days == 0:
        return values
    found = np.full_like(values, np.nan)
    found[:, days:] = values[:, :-days]
    return found
