"""The watched company with lines of single hours: what a snapshot keeps of them, and what was known of a day that is going on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pandas as pd

from forecast.alerts.incident import Incident
from forecast.anomalies.hours import DAYS_BEFORE, HourLines, day_hours, joined, node_hours
from forecast.anomalies.signs import HOURS, HOURS_MONEY
from forecast.snapshot import Snapshot
from forecast.workflows.detection import replayed
from forecast.workflows.incident_keeping import InMemory, keep
from tests.workflows.watched_companies import FRESH, HISTORY, _whole, history, next_days, watched

PROFILE = 1.0 + 2.0 * np.exp(-0.5 * ((np.arange(24) - 13.0) / 4.0) ** 2)
NOISE = 0.08
TODAY = 4
"""Number of the day after the cutoff that is going on."""


@cache
def hours() -> np.ndarray:
    """(28, HISTORY + FRESH, 24) the hours of every day, which add up to it."""
    days = _whole().leaf_history
    shares = PROFILE * np.exp(NOISE * np.random.default_rng(3).normal(size=(*days.shape, 24)))
    return days[:, :, None] * shares / shares.sum(axis=2, keepdims=True)


def signs(known: np.ndarray | None = None) -> pd.DataFrame:
    """What a snapshot keeps of its history's hours."""
    own = hours()[:, :HISTORY] if known is None else known
    whole = np.concatenate([np.zeros((len(own), DAYS_BEFORE, 24)), own], axis=1)
    found = joined([day_hours(whole), day_hours(node_hours(whole, _whole().hierarchy.members))], axis=0)
    row, column = np.nonzero(found.amount)
    ds = (_whole().history_ds[0].astype("datetime64[D]") + column).astype("datetime64[s]")
    return pd.DataFrame({"leaf": row, "ds": ds, HOURS: found.amount[row, column], HOURS_MONEY: found.most[row, column]})


@cache
def hourly_company(declared: float = 1.0) -> Snapshot:
    return watched(history(), declared, signs=signs())


def leaf_rows(**values: str) -> np.ndarray:
    leaves = _whole().hierarchy.leaves.reset_index(drop=True)
    return np.flatnonzero(np.logical_and.reduce([leaves[name] == value for name, value in values.items()]))


def next_hours() -> np.ndarray:
    """(28, FRESH, 24) that a test may change."""
    return hours()[:, HISTORY : HISTORY + FRESH].copy()


def lines_of(fresh: np.ndarray, known: int) -> HourLines:
    """Hours before and after the cutoff up to the number `known` after it."""
    whole = np.concatenate([hours()[:, HISTORY - DAYS_BEFORE - FRESH : HISTORY], fresh], axis=1)
    flat = whole.reshape(len(whole), -1)[:, : (DAYS_BEFORE + FRESH) * 24 + known]
    row, column = np.nonzero(flat)
    first = (_whole().history_ds[HISTORY].astype("datetime64[D]") - DAYS_BEFORE - FRESH).astype("datetime64[h]")
    return HourLines(_whole().hierarchy.leaves.reset_index(drop=True), row.astype(np.int64), first + column, flat[row, column])


def by_the_hour(
    fresh: np.ndarray, moments: Sequence[int], snapshot: Snapshot | None = None, *, knows_hours: bool = True
) -> tuple[list[Incident], dict[str, int]]:
    """Incidents where bills of every hour come in at its end, looked at after each number of hours since the cutoff; and of each how many hours of
    TODAY were known when it was said first."""
    watched_one = snapshot or hourly_company()
    days = next_days(TODAY + 1)
    leaves = watched_one.hierarchy.leaves.reset_index(drop=True)
    flat = fresh[:, : TODAY + 1].reshape(len(fresh), -1)
    row, column = np.nonzero(flat)
    begin = days["ds"].min()
    hour = begin + pd.to_timedelta(column, unit="h")
    names = list(watched_one.hierarchy.dimensions)
    every = leaves.iloc[row].reset_index(drop=True).assign(ds=hour.normalize(), known_at=hour + pd.Timedelta(minutes=61), change=flat[row, column])
    amounts = [name for name in days.columns if name not in (*leaves.columns, "ds", "spend")]
    keeper, first_said = InMemory(), dict[str, int]()
    since = begin.date()

    def number(then: datetime) -> int:
        return int((pd.Timestamp(then.replace(tzinfo=None)) - begin) // pd.Timedelta(hours=1))

    def bills(then: datetime) -> pd.DataFrame:
        known = every[every["known_at"] <= pd.Timestamp(then.replace(tzinfo=None))]
        summed = known.groupby(["ds", *names], sort=True)["change"].sum().rename("spend").reset_index()
        return summed.assign(**dict.fromkeys(amounts, 0.0))

    def known_lines(then: datetime) -> HourLines:
        return lines_of(fresh, number(then))

    for moment in moments:
        known = every[every["known_at"] < begin + pd.Timedelta(hours=moment + 1)]
        until = (known["ds"].max() + pd.Timedelta(days=1)).date()
        steps = replayed(watched_one, known, since=since, until=until, bills=bills, hours=known_lines if knows_hours else None)
        for name in keep(steps, keeper, since=datetime(since.year, since.month, since.day, tzinfo=UTC)):
            first_said.setdefault(name, moment - 24 * TODAY)
    return list(keeper.incidents.values()), first_said
