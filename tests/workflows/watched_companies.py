"""A company of 28 leaves whose next days come in, as a replay of them is given them: what trouble is planted in, and what is found of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from forecast.alerts.incident import Incident
from forecast.anomalies.sensitivity import Sensitivity
from forecast.anomalies.signs import AMOUNTS
from forecast.snapshot import Snapshot
from forecast.workflows.detection import replayed
from forecast.workflows.incident_keeping import InMemory, keep
from forecast.workflows.lessons import Lesson
from forecast.workflows.watch import with_sign_thresholds
from tests.snapshots_for_tests import make_snapshot

HISTORY, FRESH = 520, 35
LEAF: dict[str, Any] = {"provider": "openai", "service": "OpenAI API", "team": "search", "stage": "prod", "workload": "answers"}


@cache
def _whole() -> Snapshot:
    """Leaves of very different sizes, quiet weekends, and days that differ by five percent, each for itself."""
    whole = make_snapshot(n_paths=20, history_days=HISTORY + FRESH)
    rng = np.random.default_rng(8)
    level = np.median(whole.leaf_history, axis=1, keepdims=True)
    weekend = (whole.history_ds.astype("datetime64[D]").astype(np.int64) + 3) % 7 >= 5
    values = level * np.where(weekend, 0.9, 1.0) * np.exp(0.05 * rng.normal(size=whole.leaf_history.shape))
    return dataclasses.replace(whole, leaf_history=values)


@cache
def company(declared: float = 4.0) -> Snapshot:
    """What is known at the cutoff, with thresholds of the declared rate."""
    return watched(_whole().leaf_history[:, :HISTORY], declared)


def watched(history: np.ndarray, declared: float = 4.0, **changes: Any) -> Snapshot:
    """The company with another history."""
    whole = _whole()
    days = whole.history_ds[: history.shape[1]]
    cutoff = days[-1].astype("datetime64[D]").item()
    snapshot = dataclasses.replace(whole, leaf_history=history, history_ds=days, cutoff=cutoff, **changes)
    return with_sign_thresholds(snapshot, declared)


def history() -> np.ndarray:
    """(28, HISTORY) that a test may change."""
    return _whole().leaf_history[:, :HISTORY].copy()


def next_days(n_days: int = 14) -> pd.DataFrame:
    """The days after the cutoff as `sign_lines` reads them, a row a day and leaf, nothing strange."""
    whole = _whole()
    leaves = whole.hierarchy.leaves.reset_index(drop=True)
    days = whole.history_ds[HISTORY : HISTORY + n_days].astype("datetime64[s]")
    values = whole.leaf_history[:, HISTORY : HISTORY + n_days]
    frame = leaves.loc[np.repeat(np.arange(len(leaves)), n_days)].reset_index(drop=True)
    return frame.assign(ds=np.tile(days, len(leaves)), spend=values.ravel(), **dict.fromkeys(AMOUNTS, 0.0))


def rows_of(frame: pd.DataFrame, first: int, last: int, **values: str) -> pd.Series:
    """Which rows are of some leaves and of the days first … last after the cutoff (0 is the first one)."""
    day = (frame["ds"] - frame["ds"].min()).dt.days
    found: pd.Series[bool] = (day >= first) & (day <= last)
    for name, value in values.items():
        found &= frame[name] == value
    assert found.any()
    return found


def found_in(
    snapshot: Snapshot,
    frame: pd.DataFrame,
    *,
    daily: bool = False,
    lessons: Sequence[Lesson] = (),
    confirmed: Sequence[Lesson] = (),
    rules: Sensitivity | None = None,
) -> list[Incident]:
    """Incidents that a replay keeps, largest first. daily : each day comes in on the day after it; else all of them at once, at the end."""
    since = frame["ds"].min()
    known_at = frame["ds"] + pd.Timedelta(hours=30) if daily else pd.Series(frame["ds"].max() + pd.Timedelta(hours=30), index=frame.index)
    developments = frame[list(snapshot.hierarchy.dimensions)].assign(ds=frame["ds"], known_at=known_at, change=frame["spend"])

    def bills(then: datetime) -> pd.DataFrame:
        return frame[(known_at <= pd.Timestamp(then.replace(tzinfo=None))).to_numpy()]

    until = (frame["ds"].max() + pd.Timedelta(days=1)).date()
    steps = replayed(snapshot, developments, since=since.date(), until=until, bills=bills, lessons=lessons, confirmed=confirmed, rules=rules)
    keeper = InMemory()
    start = datetime(since.year, since.month, since.day, tzinfo=UTC) - timedelta(days=7)
    ids = keep(steps, keeper, since=start)
    return sorted((keeper.incidents[name] for name in ids), key=lambda incident: -abs(incident.impact))
