"""Known recurring items: projected from their schedule instead of learned. Seats, licences, the fee of a commitment, a term that renews.

`charges.py` says which lines are `scheduled`, `one_off` or to `learn`. Here the three are taken apart (`split_history`), each scheduled item
gets its `Schedules` entry (when it is charged, how much now, how it has moved), and `project` or `simulate` say what comes. An item that
shows no schedule is given back to what is learnt, and so is a one-off that goes on day after day. No money is lost: learnable + one-offs +
scheduled = the history, day by day.

Uncertainty is the item's own: its amount moves at the turn of a month (hires, prices) as amounts of its kind have moved, and it may end, at
any month as items of its kind have ended, at the end of a term more often. What has no schedule in the bill itself, such as taxes at a
month's end, stays with `recurring.py`, which finds it by its days.

Everything uses the days given and none after: cut the lines at a cutoff, and this is what was known then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, SchemaError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]

LINE_COLUMNS = ("leaf", "ds", "treatment", "kind", "item", "cost", "end")
"""leaf : row number. ds : day on which the charge starts. treatment, kind, item : see `charges.py`. cost : money of one of the two costs.
end : latest end (exclusive) of the charge periods in the row. One row or several a leaf, day and item; they add up."""

CADENCES = ("none", "daily", "weekly", "monthly", "quarterly", "yearly")
NONE, DAILY, WEEKLY, MONTHLY, QUARTERLY, YEARLY = range(len(CADENCES))
_GAPS = ((DAILY, 1, 1), (WEEKLY, 7, 7), (MONTHLY, 28, 32), (QUARTERLY, 89, 93), (YEARLY, 364, 367))
"""Days between two charges of a cadence, from and to."""
_MONTHS = np.array([1, 1, 1, 1, 3, 12])
_SEEN = 4
"""Latest charges of an item that its cadence is read from."""
TERM_DAYS = 80
"""A charge period this long is a term: the item may end with it."""

RUNNING = (7, 14)
"""A one-off that was charged on so many of the last so many days runs: a promotion that pays half of each day is a level while it lasts."""

GRACE_DAYS = 5
"""An item whose charge is later than that has ended."""
RENEWAL = 0.8
"""Chance that a term is renewed at its end. An assumption: a company has too few terms behind it to measure it."""
EXPECTED_MONTHS = 48.0
"""Months that an item is believed to last before its kind has shown anything, counted as one item that lasted so long and ended."""
CHANGES_TRUSTED = 12.0
"""Monthly changes of a kind at which its mean growth is believed by half."""
LARGEST_CHANGE = 0.5
"""A larger change of an amount in one month (logarithm) is a new agreement and no growth."""


@dataclass(frozen=True, eq=False)
class Schedules:
    """Recurring items, one entry each in all arrays (m,).

    leaf : row of the leaf. kind, item : as in the lines. cadence : number in `CADENCES`. last : day of the latest charge (datetime64[D]).
    amount : money of that charge. by_days : the amount is in proportion to the days of its month (a monthly fee by the day), or, of a daily
    item, in inverse proportion (a day's share of a monthly fee). month_end : charged on the last day of its months. term_end : first day
    after the term that was paid for, NaT where there is none. ended : nothing more will come. growth : log change of the amount a month.
    spread : log standard deviation of that change. ending : chance of ending in a month.
    """

    leaf: Ints
    kind: NDArray[np.object_]
    item: NDArray[np.object_]
    cadence: Ints
    last: NDArray[np.datetime64]
    amount: Floats
    by_days: Booleans
    month_end: Booleans
    term_end: NDArray[np.datetime64]
    ended: Booleans
    growth: Floats
    spread: Floats
    ending: Floats
    n_leaves: int

    def __len__(self) -> int:
        return len(self.leaf)

    def table(self) -> pd.DataFrame:
        """The entries as a frame, for people and for a snapshot's record; `leaf` is the row number."""
        columns = ("leaf", "kind", "item", "last", "amount", "by_days", "month_end", "term_end", "ended", "growth", "spread", "ending")
        frame = pd.DataFrame({name: getattr(self, name) for name in columns})
        frame.insert(3, "cadence", np.array(CADENCES, dtype=object)[self.cadence])
        return frame


@dataclass(frozen=True, eq=False)
class SplitHistory:
    """Daily cost of the leaves, (n_leaves, days) each: what is learnt, what happened once, and what is scheduled. They add up to everything."""

    learnable: Floats
    one_offs: Floats
    scheduled: Floats
    schedules: Schedules

    @property
    def total(self) -> Floats:
        """What actuals and budgets count."""
        return self.learnable + self.one_offs + self.scheduled


def split_history(lines: pd.DataFrame, n_leaves: int, grid: pd.DatetimeIndex) -> SplitHistory:
    """Take a ledger's lines apart. lines : columns of `LINE_COLUMNS`, days within `grid` (daily, naive UTC).

    Raises SchemaError for a missing column, InputError for a row outside the leaves or the grid.
    """
    missing = [name for name in LINE_COLUMNS if name not in lines.columns]
    if missing:
        raise SchemaError(
            f"lines have no column {missing[0]!r}", field=missing[0], got=list(map(str, lines.columns)), allowed=", ".join(LINE_COLUMNS)
        )
    day = grid.get_indexer(pd.DatetimeIndex(lines["ds"]).normalize())
    leaf = lines["leaf"].to_numpy(dtype=np.int64)
    if len(lines) and (day.min() < 0 or leaf.min() < 0 or leaf.max() >= n_leaves):
        raise InputError("A line lies outside the leaves or the days of the history", field="lines", got=len(lines), allowed="lines of the history")
    cost = lines["cost"].to_numpy(dtype=np.float64)
    treatment = lines["treatment"].to_numpy(dtype=object)

    def summed(rows: Booleans) -> Floats:
        found = np.zeros((n_leaves, len(grid)))
        np.add.at(found, (leaf[rows], day[rows]), cost[rows])
        return found

    known = (treatment == "scheduled") & (cost != 0.0)
    items, keys = pd.factorize(pd.MultiIndex.from_frame(lines.loc[known, ["leaf", "kind", "item"]]), sort=True)
    values = np.zeros((len(keys), len(grid)))
    np.add.at(values, (items, day[known]), cost[known])
    ends = np.full(len(keys), np.datetime64("NaT", "D"), dtype="datetime64[D]")
    if len(keys):
        latest = lines.loc[known, "end"].groupby(items).max()
        ends[latest.index.to_numpy()] = latest.to_numpy().astype("datetime64[D]")
    frame = keys.to_frame(index=False) if len(keys) else pd.DataFrame({"leaf": [], "kind": [], "item": []})
    frame.columns = pd.Index(["leaf", "kind", "item"])
    schedules = find_schedules(frame, values, ends, grid, n_leaves)
    once = treatment == "one_off"
    once[once] = ~_running(lines.loc[once, ["leaf", "kind", "item"]], day[once], len(grid))
    learnable = summed(~known & ~once)
    scheduled = np.zeros((n_leaves, len(grid)))
    kept = schedules.cadence != NONE
    owner = frame["leaf"].to_numpy(dtype=np.int64)
    np.add.at(scheduled, owner[kept], values[kept])
    np.add.at(learnable, owner[~kept], values[~kept])
    return SplitHistory(learnable, summed(once), scheduled, _only(schedules, kept))


def find_schedules(items: pd.DataFrame, values: Floats, ends: NDArray[np.datetime64], grid: pd.DatetimeIndex, n_leaves: int) -> Schedules:
    """Read each item's schedule off its charges; `cadence` is NONE where they show none.

    items : (m rows) leaf, kind, item. values : (m, days) money. ends : (m,) latest end of a charge period.
    """
    m, periods = values.shape
    days = grid.to_numpy().astype("datetime64[D]")
    charged = values != 0.0
    places = _latest(charged)  # (m, _SEEN) columns of the latest charges, newest first, -1 where there are fewer
    newest = np.maximum(places[:, 0], 0)
    last = days[newest] if periods else np.empty(0, dtype="datetime64[D]")
    term = (ends - last).astype("timedelta64[D]").astype(np.float64) if m else np.empty(0)
    cadence = _cadence(places, np.nan_to_num(term), periods)
    cadence[(cadence == DAILY) & _gappy(charged, newest)] = NONE
    is_term = (term >= TERM_DAYS) & (cadence != DAILY)
    term_end = np.where(is_term, ends, np.datetime64("NaT", "D"))
    in_month, to_end = grid.days_in_month.to_numpy(), (grid.days_in_month - grid.day).to_numpy()
    month_end = (to_end[newest] == 0) & (places[:, 1] >= 0) & (to_end[np.maximum(places[:, 1], 0)] == 0)
    month_end &= np.isin(cadence, (MONTHLY, QUARTERLY, YEARLY)) & (in_month[newest] + in_month[np.maximum(places[:, 1], 0)] < 62)
    kinds, kind = np.unique(items["kind"].to_numpy(dtype=str), return_inverse=True) if m else (np.empty(0), np.empty(0, dtype=np.int64))
    plain, scaled = _changes(values, cadence, grid, places)
    by_days = _proportional(plain, scaled, kind, len(kinds), cadence)
    changes = np.where(by_days[:, None], scaled, plain)
    growth, spread = _moves(changes, kind, len(kinds))
    due = last + _gap_days(cadence)
    until = days[-1] if periods else np.datetime64("NaT", "D")
    late = due + np.timedelta64(GRACE_DAYS, "D") < until
    ended = np.where(cadence == DAILY, (until - last).astype("timedelta64[D]").astype(np.int64) > GRACE_DAYS, late)
    ending = _ending(charged, ended, kind, len(kinds))
    amount = values[np.arange(m), newest] if m else np.empty(0)
    return Schedules(
        items["leaf"].to_numpy(dtype=np.int64),
        items["kind"].to_numpy(dtype=object),
        items["item"].to_numpy(dtype=object),
        cadence,
        last,
        amount,
        by_days,
        month_end,
        term_end,
        ended.astype(np.bool_),
        growth,
        spread,
        ending,
        n_leaves,
    )


def project(schedules: Schedules, start: dt.date, horizon: int) -> Floats:
    """(n_leaves, horizon) expected money of the `horizon` days from `start` on."""
    found = np.zeros((schedules.n_leaves, horizon))
    if len(schedules):
        money, months, renewals = _plan(schedules, start, horizon)
        kept = (1.0 - schedules.ending)[:, None] ** months * RENEWAL**renewals
        np.add.at(found, schedules.leaf, money * np.exp(schedules.growth[:, None] * months) * kept)
    return found


def simulate(schedules: Schedules, start: dt.date, horizon: int, n_paths: int, rng: np.random.Generator) -> Iterator[tuple[int, Floats]]:
    """(leaf, (horizon, n_paths)) of every leaf with something to come; the mean over paths is `project`.

    An item moves by a step of its own at each turn of a month, and ends once and for all.
    """
    if not len(schedules):
        return
    money, months, renewals = _plan(schedules, start, horizon)
    turns = int(months.max()) + 1
    for leaf in np.unique(schedules.leaf[money.any(axis=1)]).tolist():
        total = np.zeros((horizon, n_paths))
        for row in np.flatnonzero((schedules.leaf == leaf) & money.any(axis=1)).tolist():
            spread = float(schedules.spread[row])
            steps = spread * rng.standard_normal((turns, n_paths)) + (float(schedules.growth[row]) - 0.5 * spread**2)
            steps[0] = 0.0
            lasts = rng.geometric(min(max(float(schedules.ending[row]), 1e-9), 1.0), n_paths)
            renewed = rng.geometric(1.0 - RENEWAL, n_paths)
            level = np.exp(np.cumsum(steps, axis=0))[months[row]]
            total += money[row][:, None] * level * (lasts[None, :] > months[row][:, None]) * (renewed[None, :] > renewals[row][:, None])
        yield leaf, total


def _plan(schedules: Schedules, start: dt.date, horizon: int) -> tuple[Floats, Ints, Ints]:
    """(m, horizon) money as of now on its days, turns of months since the last charge, ends of terms passed."""
    days = np.datetime64(start, "D") + np.arange(horizon)
    first_of = days.astype("datetime64[M]")
    of_month = (days - first_of).astype(np.int64) + 1
    length = _month_length(days)
    last_month = schedules.last.astype("datetime64[M]")
    last_of_month = (schedules.last - last_month).astype(np.int64) + 1
    last_length = _month_length(schedules.last)
    months = (first_of.astype(np.int64)[None, :] - last_month.astype(np.int64)[:, None]).astype(np.int64)
    # The 31st of a month is the last day of a shorter one.
    wanted = np.where(schedules.month_end[:, None], length[None, :], np.minimum(last_of_month[:, None], length[None, :]))
    on_day = (of_month[None, :] == wanted) & (months > 0) & (months % _MONTHS[schedules.cadence][:, None] == 0)
    since = (days[None, :] - schedules.last[:, None]).astype("timedelta64[D]").astype(np.int64)
    cadence = schedules.cadence[:, None]
    due = np.where(cadence == DAILY, since > 0, np.where(cadence == WEEKLY, (since > 0) & (since % 7 == 0), on_day & (cadence != NONE)))
    relative = length[None, :] / last_length[:, None]
    factor = np.where(schedules.by_days[:, None], np.where(cadence == DAILY, 1.0 / relative, relative), 1.0)
    money = np.where(due & ~schedules.ended[:, None], schedules.amount[:, None] * factor, 0.0)
    has_end = ~np.isnat(schedules.term_end)
    term = np.where(has_end, (schedules.term_end - schedules.last).astype("timedelta64[D]").astype(np.int64), 1)
    renewals = np.where(has_end[:, None], since // np.maximum(term, 1)[:, None], 0)
    return money, np.maximum(months, 0), np.maximum(renewals, 0)


def _running(items: pd.DataFrame, day: Ints, periods: int) -> Booleans:
    """(lines,) whether the line's item runs at the end of the history; all lines of such an item do."""
    if not len(items):
        return np.zeros(0, dtype=np.bool_)
    item, keys = pd.factorize(pd.MultiIndex.from_frame(items))
    least, width = RUNNING
    recent = np.zeros((len(keys), width), dtype=np.bool_)
    late = day >= periods - width
    recent[item[late], day[late] - (periods - width)] = True
    return np.asarray(recent.sum(axis=1) >= least)[item]


def _latest(charged: Booleans) -> Ints:
    """(m, _SEEN) columns of the latest charges, newest first; -1 where there are fewer."""
    rows, columns = np.nonzero(charged)
    found = np.full((len(charged), _SEEN), -1, dtype=np.int64)
    counts = np.bincount(rows, minlength=len(charged))
    rank = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(rows))
    recent = rank < _SEEN
    found[rows[recent], rank[recent]] = columns[recent]
    return found


def _cadence(places: Ints, term: Floats, periods: int) -> Ints:
    """(m,) by the median of the latest gaps between charges; of an item with a single charge by the length of its period."""
    gaps = np.where(places[:, 1:] >= 0, places[:, :-1] - places[:, 1:], np.iinfo(np.int64).max).astype(np.float64)
    several = places[:, 1] >= 0
    known = np.where(places[:, 1:] >= 0, gaps, np.nan)
    middle = np.full(len(places), np.nan)
    if several.any():
        middle[several] = np.nanmedian(known[several], axis=1)
    # A year's charge that is seen once says its year; a day's charge seen once, days ago, is the first of a month's.
    first_day = ~several & (term <= 1.0) & (places[:, 0] == periods - 1)
    middle = np.where(several, middle, np.where(term > 1.0, term, np.where(first_day, 1.0, 30.0)))
    found = np.zeros(len(places), dtype=np.int64)
    for number, least, most in _GAPS:
        found[(middle >= least) & (middle <= most)] = number
    return found


def _gappy(charged: Booleans, newest: Ints) -> Booleans:
    """(m,) whether a tenth of the last four weeks of an item, or of its life, has no charge: a charge of working days is no daily fee."""
    if not charged.size:
        return np.zeros(len(charged), dtype=np.bool_)
    begin = np.maximum(np.argmax(charged, axis=1), newest - 27)
    count = np.concatenate([np.zeros((len(charged), 1), dtype=np.int64), np.cumsum(charged, axis=1)], axis=1)
    rows = np.arange(len(charged))
    return np.asarray(count[rows, newest + 1] - count[rows, begin] < 0.9 * (newest + 1 - begin))


def _gap_days(cadence: Ints) -> NDArray[np.timedelta64]:
    return np.array([0, 1, 7, 32, 93, 367])[cadence].astype("timedelta64[D]")


def _month_length(days: NDArray[np.datetime64]) -> Ints:
    month = days.astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64))


def _changes(values: Floats, cadence: Ints, grid: pd.DatetimeIndex, places: Ints) -> tuple[Floats, Floats]:
    """(m, turns) log changes of an item's amount from one month to the next, as charged and relative to the days of the month; NaN where none.

    A daily item is looked at on the first day of each month and the day before; another from charge to charge of neighbouring months.
    """
    month = (grid.year * 12 + grid.month).to_numpy() - int(grid[0].year * 12 + grid[0].month) if len(grid) else np.empty(0, dtype=np.int64)
    turns = int(month[-1]) if len(grid) else 0
    plain = np.full((len(values), turns), np.nan)
    scaled = plain.copy()
    if not turns or not len(values):
        return plain, scaled
    first = np.searchsorted(month, np.arange(1, turns + 1))
    length = np.append(grid.days_in_month.to_numpy()[np.maximum(first - 1, 0)], grid.days_in_month.to_numpy()[-1])
    steps = np.log(length[1:] / length[:-1])
    totals = np.add.reduceat(values, np.concatenate([[0], first]), axis=1)
    daily = cadence == DAILY
    sampled = np.where(daily[:, None], values[:, first], totals[:, 1:])
    before = np.where(daily[:, None], values[:, first - 1], totals[:, :-1])
    both = (sampled > 0.0) & (before > 0.0) & np.isin(cadence, (DAILY, MONTHLY))[:, None]
    plain[both] = np.log(sampled[both] / before[both])
    signs = np.where(daily, 1.0, -1.0)[:, None]
    return plain, plain + signs * steps[None, :]


def _proportional(plain: Floats, scaled: Floats, kind: Ints, kinds: int, cadence: Ints) -> Booleans:
    """(m,) whether amounts move less when they are taken relative to the days of their month; by the item, or where it is young, by its kind."""
    known = np.isfinite(plain)
    count = known.sum(axis=1)
    gain = np.where(known, np.abs(np.nan_to_num(plain)) - np.abs(np.nan_to_num(scaled)), 0.0)
    own = gain.sum(axis=1)
    group = kind * len(CADENCES) + cadence
    pooled = np.bincount(group, weights=own, minlength=kinds * len(CADENCES)) if len(own) else np.empty(0)
    return np.asarray(np.where(count >= 3, own, pooled[group] if len(own) else own) > 1e-9)


def _moves(changes: Floats, kind: Ints, kinds: int) -> tuple[Floats, Floats]:
    """(m,) mean log change a month and its standard deviation, by kind; few changes are hardly believed."""
    known = np.isfinite(changes) & (np.abs(np.nan_to_num(changes)) <= LARGEST_CHANGE)
    value = np.where(known, np.nan_to_num(changes), 0.0)
    count = np.bincount(kind, weights=known.sum(axis=1), minlength=kinds)
    mean = np.bincount(kind, weights=value.sum(axis=1), minlength=kinds) / (count + CHANGES_TRUSTED)
    off = np.where(known, np.square(value - mean[kind][:, None]), 0.0) if len(kind) else value
    spread = np.sqrt(np.bincount(kind, weights=off.sum(axis=1), minlength=kinds) / np.maximum(count, 1.0))
    return mean[kind], spread[kind]


def _ending(charged: Booleans, ended: Booleans, kind: Ints, kinds: int) -> Floats:
    """(m,) chance of ending in a month, by kind: items that have ended ÷ months that items lived."""
    if not charged.size:
        return np.zeros(len(charged))
    periods = charged.shape[1]
    first, last = np.argmax(charged, axis=1), periods - 1 - np.argmax(charged[:, ::-1], axis=1)
    lived = (np.where(ended, last, periods - 1) - first + 1) / 30.4
    months = np.bincount(kind, weights=lived, minlength=kinds)
    return np.asarray((np.bincount(kind, weights=ended.astype(np.float64), minlength=kinds) + 1.0) / (months + EXPECTED_MONTHS))[kind]


def _only(schedules: Schedules, kept: Booleans) -> Schedules:
    arrays = {name: value[kept] for name, value in vars(schedules).items() if isinstance(value, np.ndarray)}
    return Schedules(**arrays, n_leaves=schedules.n_leaves)
