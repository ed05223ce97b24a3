"""Every leaf's expected money day by day, from the first day of history to the end of the horizon, taken apart by where it comes from.

Days that are over have their actual cost, with what is expected to be billed yet; days to come have the mean of their paths. A month-long step
of the snapshot is spread evenly over its days. Everything that an explanation says is a sum of these, so it adds up over leaves and over days.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.known_money import ONE_OFF, SCHEDULED, money_by_day
from forecast.spend.meters import recent_start
from forecast.spend.periods import Period
from forecast.spend.schedules import Schedules, project
from forecast.spend.zones import shares

Floats = NDArray[np.float64]

RHYTHM_WEEKS = 26
FEWEST_WEEKS = 3
"""Weeks that the rhythm of the week is read from, and weeks below which there is none."""
HALF_MONTH, PLACES = 15, 31
FEWEST_DAYS, FEWEST_MONTHS = 20, 2
"""Simulated days of a month below which it has no course of its own, and months below which they do not agree on a shape."""
LEAST_DAY = 0.02
"""Of a mean day: a weekday on which nothing is spent counts as this much, so that a period of such days is not nothing."""
MOST_VALUES = 20_000_000
FEWEST_PATHS = 100
"""Values of paths that medians are taken of at once, and paths that are needed for them."""


@dataclass(frozen=True, eq=False)
class LeafDays:
    """The days of a snapshot's leaves.

    days : (n_days,) datetime64[D]; the first `known` are history, the first `daily` are known or simulated one by one.
    learnt, one_offs, scheduled, events, drivers : (n_leaves, n_days) money; learnt, one_offs and scheduled add up to everything, and
    events and drivers are parts of what is learnt (their mean effect on days to come). None stands for zeros.
    owed : (n_leaves, known) what of the days that are known is not billed yet. Days are the company's, in its time zone.
    """

    days: NDArray[np.datetime64]
    known: int
    daily: int
    learnt: Floats
    one_offs: Floats | None
    scheduled: Floats | None
    events: Floats | None
    drivers: Floats | None
    owed: Floats

    @cached_property
    def weekday(self) -> NDArray[np.int64]:
        """(n_days,) 0 is Monday."""
        return np.asarray((self.days.astype(np.int64) + 3) % 7)

    @cached_property
    def ever_learnt(self) -> NDArray[np.bool_]:
        """(n_leaves,) whether a leaf ever had money that is neither one-off nor scheduled."""
        return np.asarray((self.learnt[:, : self.known] != 0.0).any(axis=1))

    def between(self, period: Period) -> slice:
        """Columns of a period's days."""
        first, last = np.searchsorted(self.days, np.array([period.start, period.end], dtype="datetime64[D]"))
        return slice(int(first), int(last))

    def split(self, columns: slice) -> tuple[slice, slice]:
        """A period's columns that are known, and those that are to come."""
        known = slice(min(columns.start, self.known), min(columns.stop, self.known))
        return known, slice(max(columns.start, self.known), max(columns.stop, self.known))

    def total(self, columns: slice) -> Floats:
        """(n_leaves,) everything on these days."""
        found = self.learnt[:, columns].sum(axis=1)
        for part in (self.one_offs, self.scheduled):
            if part is not None:
                found = found + part[:, columns].sum(axis=1)
        return np.asarray(found)

    @cached_property
    def rhythm(self) -> Floats:
        """(n_leaves, 7) what a weekday spends ÷ a mean day, by the last half year; shrunk to 1 as far as weeks do not repeat themselves.

        Monthly invoices and batches fall on other weekdays each time, and make no rhythm of the week.
        """
        n_leaves, weeks = len(self.learnt), min(self.known // 7, RHYTHM_WEEKS)
        if weeks < FEWEST_WEEKS:
            return np.ones((n_leaves, 7))
        first = self.known - 7 * weeks
        money = self.learnt[:, first : self.known].reshape(n_leaves, weeks, 7)
        usual = money.mean(axis=2, keepdims=True)
        relative = np.divide(money, usual, out=np.ones_like(money), where=usual > 0.0) - 1.0
        mean = relative.mean(axis=1)
        between = weeks * (mean**2).sum(axis=1) / 6.0
        within = ((relative - mean[:, None, :]) ** 2).sum(axis=(1, 2)) / (6.0 * (weeks - 1))
        trusted = np.clip(1.0 - np.divide(within, between, out=np.ones(n_leaves), where=between > 0.0), 0.0, 1.0)
        # A median: a week that changed in its middle, or one invoice, has no say.
        shape = np.clip(1.0 + trusted[:, None] * np.median(relative, axis=1), LEAST_DAY, None)
        shape /= shape.mean(axis=1, keepdims=True)
        return np.asarray(np.roll(shape, self.weekday[first], axis=1))

    def usual_days(self, columns: slice) -> Floats:
        """(n_leaves,) how many mean days these days are worth by their weekdays."""
        return np.asarray(self.rhythm @ np.bincount(self.weekday[columns], minlength=7).astype(np.float64))

    @cached_property
    def recent(self) -> slice:
        """Columns of the last month that is known: what is spent now."""
        cutoff = self.days[self.known - 1].astype("datetime64[D]").item()
        return slice(max(self.known - 1 - (cutoff - recent_start(cutoff)).days, 0), self.known)

    def within_months(self, columns: slice) -> Floats:
        """(n_leaves,) what these days to come have more than their part of their months, by the forecast's shape of a month.

        Nothing for whole months; month ends, and the days that monthly money falls on, for others.
        """
        found = np.zeros(len(self.learnt))
        coming = slice(max(columns.start, self.known), min(columns.stop, self.daily))
        if coming.start >= coming.stop:
            return found
        month = self.days.astype("datetime64[M]")
        for one in np.unique(month[[coming.start, coming.stop - 1]]):
            whole = slice(*(int(place) for place in np.searchsorted(month, [one, one + 1])))
            part = slice(max(whole.start, coming.start), min(whole.stop, coming.stop))
            share = self.usual_days(part) / self.usual_days(whole)
            found += self.month_shape[:, self._place_in_month[part]].sum(axis=1) - share * self.month_shape[:, self._place_in_month[whole]].sum(
                axis=1
            )
        return found

    @cached_property
    def _place_in_month(self) -> NDArray[np.int64]:
        """(n_days,) which of `PLACES` a day of a month is: the first half counts from its begin, the second from its end."""
        month = self.days.astype("datetime64[M]")
        day = (self.days - month.astype("datetime64[D]")).astype(np.int64)
        left = ((month + 1).astype("datetime64[D]") - self.days).astype(np.int64) - 1
        return np.where(day < HALF_MONTH, day, PLACES - 1 - left)

    @cached_property
    def month_shape(self) -> Floats:
        """(n_leaves, PLACES) money that the forecast has on a day of the month beyond the month's course, as its months agree on."""
        month = self.days[self.known : self.daily].astype("datetime64[M]")
        shapes = []
        for one in np.unique(month):
            places = np.flatnonzero(month == one) + self.known
            whole = slice(int(places[0]), int(places[-1]) + 1)
            if len(places) >= FEWEST_DAYS:
                shape = np.full((len(self.learnt), PLACES), np.nan)
                shape[:, self._place_in_month[whole]] = self.learnt[:, whole] - self._course(whole)
                shapes.append(shape)
        if len(shapes) < FEWEST_MONTHS:
            return np.zeros((len(self.learnt), PLACES))
        several = np.stack(shapes)
        told = np.isfinite(several).sum(axis=0) >= FEWEST_MONTHS
        return np.where(told, np.nanmedian(np.where(told, several, 0.0), axis=0), 0.0)

    def _course(self, columns: slice) -> Floats:
        """(n_leaves, n_columns) the days' total spread by the rhythm of the week along a straight line.

        Its slope is between the medians of the two halves, so that a month's end is no growth.
        """
        rhythm = self.rhythm[:, self.weekday[columns]]
        money, length = self.learnt[:, columns], rhythm.shape[1]
        half = length // 2
        slope = np.zeros(len(money))
        if length >= FEWEST_DAYS:
            level = money / rhythm
            slope = (np.median(level[:, -half:], axis=1) - np.median(level[:, :half], axis=1)) / (length - half)
        time = np.arange(length) - (rhythm * np.arange(length)).sum(axis=1, keepdims=True) / rhythm.sum(axis=1, keepdims=True)
        return np.asarray(rhythm * ((money.sum(axis=1) / rhythm.sum(axis=1))[:, None] + slope[:, None] * time))


def uncertainty(snapshot: Snapshot, columns: slice, known: int) -> Floats:
    """(n_leaves,) mean minus median of each leaf's total over days to come: a series can rise further than it can fall.

    Each of them alone is more likely to stay below its mean than not; together they will not. Of very many leaves the first paths speak for all.
    """
    period = slice(max(columns.start, known) - known, max(columns.stop, known) - known)
    days = np.arange(snapshot.history_ds[0] + known, snapshot.ends[-1])[period]
    if not len(days):
        return np.zeros(len(snapshot.leaf_history))
    weights = snapshot.future_weights(Period(days[0].item(), (days[-1] + 1).item()))
    steps = np.flatnonzero(weights)
    touched = slice(int(steps[0]), int(steps[-1]) + 1)
    most = max(MOST_VALUES // (len(snapshot.leaf_history) * len(steps)), FEWEST_PATHS)
    totals = np.einsum("s,lsp->lp", weights[touched].astype(np.float32), snapshot.leaf_paths[:, touched, :most], dtype=np.float32)
    return np.asarray(totals.mean(axis=1, dtype=np.float64) - np.median(totals, axis=1))


def leaf_days(snapshot: Snapshot) -> LeafDays:
    """The snapshot's days, prepared once per snapshot (kept in the instance, as a cached property would be)."""
    found: LeafDays | None = snapshot.__dict__.get("_leaf_days")
    if found is None:
        found = _leaf_days(snapshot)
        snapshot.__dict__["_leaf_days"] = found
    return found


def _leaf_days(snapshot: Snapshot) -> LeafDays:
    lengths = (snapshot.ends - snapshot.starts).astype(np.int64)
    future = np.arange(snapshot.starts[0], snapshot.ends[-1])
    days = np.concatenate([snapshot.history_ds, future])
    n_leaves, known = snapshot.leaf_history.shape
    means = snapshot.leaf_paths.mean(axis=2, dtype=np.float64)
    learnt = np.concatenate([snapshot.expected_history, np.repeat(means / lengths, lengths, axis=1)], axis=1)
    one_offs = _of_kind(snapshot, ONE_OFF, n_leaves, days)
    scheduled = _scheduled(snapshot, n_leaves, days, known)
    for part in (one_offs, scheduled):
        if part is not None:
            learnt -= part
    # What is left of a difference of equal sums is no money.
    learnt[:, :known][np.abs(learnt[:, :known]) <= 1e-9 * np.abs(snapshot.expected_history)] = 0.0
    daily = known + int((lengths == 1).cumprod().sum())
    events = _effects(snapshot.event_effects, n_leaves, lengths, known)
    drivers = _effects(snapshot.driver_effects, n_leaves, lengths, known)
    owed = snapshot.expected_history - snapshot.leaf_history
    if snapshot.midnights is None:
        return LeafDays(days, known, daily, learnt, one_offs, scheduled, events, drivers, owed)
    # A day that is cut counts with its share of time, and the last one goes on for the hours that the company's days end later.
    cut = shares(days, days + 1, snapshot.midnights.of(days), snapshot.midnights.of(days + 1))
    cut[-1, -1] += max((snapshot.midnights.of(days[-1:] + 1)[0] - (days[-1] + 1).astype("datetime64[s]")) / np.timedelta64(1, "D"), 0.0)
    over = int((np.datetime64(snapshot.first_open_day, "D") - days[0]).astype(np.int64))
    one_offs, scheduled, events, drivers = (None if part is None else part @ cut.T for part in (one_offs, scheduled, events, drivers))
    return LeafDays(days, over, daily, learnt @ cut.T, one_offs, scheduled, events, drivers, owed @ cut[:over, :known].T)


def _effects(frame: pd.DataFrame | None, n_leaves: int, lengths: NDArray[np.int64], known: int) -> Floats | None:
    """(n_leaves, n_days) mean effect on days to come, from a frame with the columns leaf, step, effect."""
    if frame is None or frame.empty:
        return None
    money = np.zeros((n_leaves, len(lengths)))
    np.add.at(money, (frame["leaf"].to_numpy(dtype=np.int64), frame["step"].to_numpy(dtype=np.int64)), frame["effect"].to_numpy(dtype=np.float64))
    return np.concatenate([np.zeros((n_leaves, known)), np.repeat(money / lengths, lengths, axis=1)], axis=1)


def _of_kind(snapshot: Snapshot, kind: str, n_leaves: int, days: NDArray[np.datetime64]) -> Floats | None:
    frame = snapshot.known_money
    if frame is None or not (frame["kind"] == kind).any():
        return None
    return money_by_day(frame, kind, n_leaves, days)


def _scheduled(snapshot: Snapshot, n_leaves: int, days: NDArray[np.datetime64], known: int) -> Floats | None:
    """What came by a schedule, and what the schedules bring; of a snapshot that does not keep what came, nothing."""
    record = snapshot.meta.get("schedules")
    if snapshot.known_money is None or not record or not record["leaf"]:
        return _of_kind(snapshot, SCHEDULED, n_leaves, days)
    found = money_by_day(snapshot.known_money, SCHEDULED, n_leaves, days)
    found[:, known:] = _projected(snapshot, record, len(days) - known)
    return found


def _projected(snapshot: Snapshot, record: dict[str, list[object]], horizon: int) -> Floats:
    """(n_leaves, horizon) what the schedules bring, spread over the snapshot's steps as its paths are."""
    schedules = Schedules.of_record(record, snapshot.hierarchy.leaf_ids)
    first = snapshot.starts[0].astype("datetime64[D]").item()
    money = project(schedules, first, horizon)
    lengths = (snapshot.ends - snapshot.starts).astype(np.int64)
    steps = np.add.reduceat(money, np.cumsum(lengths) - lengths, axis=1)
    return np.asarray(np.repeat(steps / lengths, lengths, axis=1))
