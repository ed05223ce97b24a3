"""Known recurring items: projected from their schedule instead of learned. Seats, licences, the fee of a commitment, a term that renews.

Each item of `split_history.py` gets its `Schedules` entry (when it is charged, how much now, how it has moved, when its term ends), and
`project` or `simulate` say what comes.

Uncertainty is the item's own: its amount moves at the turn of a month (hires, prices) as amounts of its kind have moved, and it may end, at
any month as items of its kind have ended, at the end of a term more often. What has no schedule in the bill itself, such as taxes at a
month's end, stays with `recurring.py`, which finds it by its days.

Everything uses the days given and none after: cut the charges at a cutoff, and this is what was known then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]

CADENCES = ("none", "daily", "weekly", "monthly", "quarterly", "yearly", "term")
NONE, DAILY, WEEKLY, MONTHLY, QUARTERLY, YEARLY, TERM = range(len(CADENCES))
"""term : when the term that was paid for ends, whatever its length (half a year, three years)."""
_GAPS = ((DAILY, 1, 1), (WEEKLY, 7, 7), (MONTHLY, 28, 32), (QUARTERLY, 89, 93), (YEARLY, 364, 367))
"""Days between two charges of a cadence, from and to."""
_MONTHS = np.array([1, 1, 1, 1, 3, 12, 1])
_SEEN = 4
"""Latest charges of an item that its cadence is read from."""
TERM_DAYS = 80
"""A charge period this long is a term: the item may end with it."""
SHORT_TERM_DAYS = 31
"""A charge period longer than that is a term where an item has no other rhythm."""

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


_TYPES: dict[str, Any] = {
    **dict.fromkeys(("kind", "item"), object),
    **dict.fromkeys(("last", "term_end"), "datetime64[D]"),
    **dict.fromkeys(("by_days", "month_end", "ended"), np.bool_),
    **dict.fromkeys(("amount", "growth", "spread", "ending"), np.float64),
    "term": np.int64,
}


@dataclass(frozen=True, eq=False)
class Schedules:
    """Recurring items, one entry each in all arrays (m,).

    leaf : row of the leaf. kind, item : as in the lines. cadence : number in `CADENCES`. last : day of the latest charge (datetime64[D]).
    amount : money of that charge. by_days : the amount is in proportion to the days of its month (a monthly fee by the day), or, of a daily
    item, in inverse proportion (a day's share of a monthly fee). month_end : charged on the last day of its months. term_end : first day
    after the term that was agreed on, NaT where none is known; term : its days, 0 where none. ended : nothing more will come. growth : log
    change of the amount a month. spread : log standard deviation of that change. ending : chance of ending in a month.
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
    term: Ints
    ended: Booleans
    growth: Floats
    spread: Floats
    ending: Floats
    n_leaves: int

    def __len__(self) -> int:
        return len(self.leaf)

    def only(self, kept: Booleans) -> Schedules:
        """The entries for which `kept` (m,) holds."""
        arrays = {name: value[kept] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return Schedules(**arrays, n_leaves=self.n_leaves)

    def record(self, leaf_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The entries as plain data, a list a column, with the leaves' names."""
        frame = self.table()
        frame["leaf"] = np.array(leaf_ids, dtype=object)[self.leaf]
        days = {name: [None if pd.isna(day) else str(day)[:10] for day in frame[name]] for name in ("last", "term_end")}
        return {str(name): days.get(str(name)) or frame[name].tolist() for name in frame.columns}

    @classmethod
    def of_record(cls, record: Mapping[str, Sequence[Any]], leaf_ids: Sequence[str]) -> Schedules:
        """The entries that `record` was made from; `leaf` is the row number in `leaf_ids`."""
        place = {name: number for number, name in enumerate(leaf_ids)}
        arrays: dict[str, Any] = {name: np.array(record[name], dtype=kind) for name, kind in _TYPES.items()}
        arrays["leaf"] = np.array([place[name] for name in record["leaf"]], dtype=np.int64)
        arrays["cadence"] = np.array([CADENCES.index(name) for name in record["cadence"]], dtype=np.int64)
        return cls(**arrays, n_leaves=len(leaf_ids))

    def table(self) -> pd.DataFrame:
        """The entries as a frame, for people and for a snapshot's record; `leaf` is the row number."""
        columns = ("leaf", "kind", "item", "last", "amount", "by_days", "month_end", "term_end", "term", "ended", "growth", "spread", "ending")
        frame = pd.DataFrame({name: getattr(self, name) for name in columns})
        frame.insert(3, "cadence", np.array(CADENCES, dtype=object)[self.cadence])
        return frame


def find_schedules(
    items: pd.DataFrame,
    values: Floats,
    ends: NDArray[np.datetime64],
    grid: pd.DatetimeIndex,
    n_leaves: int,
    terms: tuple[NDArray[np.datetime64], Ints] | None = None,
) -> Schedules:
    """Read each item's schedule off its charges; `cadence` is NONE where they show none.

    items : (m rows) leaf, kind, item. values : (m, days) money. ends : (m,) latest end of a charge period. terms : (m,) ends and lengths
    in days of terms that other lines speak of, NaT and 0 where none does.
    """
    m, periods = values.shape
    days = grid.to_numpy().astype("datetime64[D]")
    charged = values != 0.0
    places = _latest(charged)  # (m, _SEEN) columns of the latest charges, newest first, -1 where there are fewer
    newest = np.maximum(places[:, 0], 0)
    last = days[newest] if periods else np.empty(0, dtype="datetime64[D]")
    paid = np.where(np.isnat(ends), 0, (ends - last).astype("timedelta64[D]").astype(np.int64))
    cadence = _cadence(places, paid.astype(np.float64), periods)
    cadence[(cadence == DAILY) & _gappy(charged, newest)] = NONE
    cadence[(cadence == NONE) & (paid > SHORT_TERM_DAYS)] = TERM
    is_term = (cadence == TERM) | ((paid >= TERM_DAYS) & (cadence != DAILY))
    term_end, term = np.where(is_term, ends, np.datetime64("NaT", "D")), np.where(is_term, paid, 0)
    if terms is not None:
        # A fee that went on after the end of the term is paid by the month now, and nobody knows for how long.
        told = ~is_term & (terms[0] > last)
        term_end, term = np.where(told, terms[0], term_end), np.where(told, terms[1], term)
    in_month, to_end = grid.days_in_month.to_numpy(), (grid.days_in_month - grid.day).to_numpy()
    month_end = (to_end[newest] == 0) & (places[:, 1] >= 0) & (to_end[np.maximum(places[:, 1], 0)] == 0)
    month_end &= np.isin(cadence, (MONTHLY, QUARTERLY, YEARLY)) & (in_month[newest] + in_month[np.maximum(places[:, 1], 0)] < 62)
    kinds, kind = np.unique(items["kind"].to_numpy(dtype=str), return_inverse=True) if m else (np.empty(0), np.empty(0, dtype=np.int64))
    turns, lengths = _changes(values, cadence, grid)
    by_days = _proportional(turns, turns + lengths, kind, len(kinds), cadence)
    changes, _ = _changes(values, cadence, grid, whole_months=True)
    growth, spread = _moves(np.where(by_days[:, None], changes + lengths, changes), kind, len(kinds))
    due = np.where(cadence == TERM, ends, last + _gap_days(cadence))
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
        term.astype(np.int64),
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
            level = np.exp(np.cumsum(steps, axis=0)) * (lasts[None, :] > np.arange(turns)[:, None])  # (turns, n_paths)
            due = np.flatnonzero(money[row])
            came = money[row, due, None] * level[months[row, due]]
            if renewals[row].any():
                came *= renewed[None, :] > renewals[row, due, None]
            total[due] += came
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
    has_end = ~np.isnat(schedules.term_end)
    beyond = (days[None, :] - np.where(has_end, schedules.term_end, days[-1])[:, None]).astype("timedelta64[D]").astype(np.int64)
    term = np.maximum(schedules.term, 1)[:, None]
    rhythms = (cadence == NONE, cadence == DAILY, cadence == WEEKLY, cadence == TERM)
    due = np.select(rhythms, (np.zeros_like(on_day), since > 0, (since > 0) & (since % 7 == 0), (beyond >= 0) & (beyond % term == 0)), on_day)
    relative = length[None, :] / last_length[:, None]
    factor = np.where(schedules.by_days[:, None], np.where(cadence == DAILY, 1.0 / relative, relative), 1.0)
    money = np.where(due & ~schedules.ended[:, None], schedules.amount[:, None] * factor, 0.0)
    renewals = np.where(has_end[:, None] & (beyond >= 0), 1 + beyond // term, 0)
    return money, np.maximum(months, 0), np.maximum(renewals, 0)


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
    return np.array([0, 1, 7, 32, 93, 367, 0])[cadence].astype("timedelta64[D]")


def _month_length(days: NDArray[np.datetime64]) -> Ints:
    month = days.astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64))


def _changes(values: Floats, cadence: Ints, grid: pd.DatetimeIndex, *, whole_months: bool = False) -> tuple[Floats, Floats]:
    """(m, turns) log changes of an item's amount from one month to the next, NaN where there is none, and what the lengths of the months add
    to them where an amount is in proportion to the days.

    A daily item is looked at on the first day of each month, against the day before, where only the length of the month has changed; with
    `whole_months` against the first day of the month before, so that hires in between count. Another item from charge to charge.
    """
    month = (grid.year * 12 + grid.month).to_numpy() - int(grid[0].year * 12 + grid[0].month) if len(grid) else np.empty(0, dtype=np.int64)
    turns = int(month[-1]) if len(grid) else 0
    changes = np.full((len(values), turns), np.nan)
    if not turns or not len(values):
        return changes, changes
    first = np.searchsorted(month, np.arange(1, turns + 1))
    length = np.append(grid.days_in_month.to_numpy()[np.maximum(first - 1, 0)], grid.days_in_month.to_numpy()[-1])
    totals = np.add.reduceat(values, np.concatenate([[0], first]), axis=1)
    daily = (cadence == DAILY)[:, None]
    sampled = np.where(daily, values[:, first], totals[:, 1:])
    earlier = np.concatenate([[0], first[:-1]]) if whole_months else first - 1
    before = np.where(daily, values[:, earlier], totals[:, :-1])
    both = (sampled > 0.0) & (before > 0.0) & np.isin(cadence, (DAILY, MONTHLY))[:, None]
    changes[both] = np.log(sampled[both] / before[both])
    return changes, np.where(daily, 1.0, -1.0) * np.log(length[1:] / length[:-1])[None, :]


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
