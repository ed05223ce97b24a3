"""What strange spend is told by where nothing was ever trained: a snapshot in memory whose forecast is that days stay as they usually are.

Signs, thresholds and causes are made of the history as training makes them; of the forecast they ask only what leaves cost on days after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.own_record import WAIT
from forecast.errors import InsufficientHistoryError
from forecast.paths import SpendPaths
from forecast.snapshot import Snapshot
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.panel import SpendMatrix
from forecast.spend.provisional import Provisional
from forecast.workflows.lessons import Lesson
from forecast.workflows.snapshotting import build_snapshot, horizon_days
from forecast.workflows.watch import with_sign_thresholds

DAILY, MONTHS = 31, 1
PATHS = 100
"""Of days that are not fully billed, ways in which they may end; all else has one future."""
USUAL_DAYS = 28
"""Days whose median a leaf goes on with."""


def untrained_snapshot(
    history: SpendMatrix,
    hierarchy: Hierarchy,
    false_alarms_per_month: float,
    *,
    cost: str,
    currency: str,
    recent: pd.DataFrame,
    signs: pd.DataFrame,
    billed: NDArray[np.float64],
    provisional: Provisional | None = None,
    known_money: pd.DataFrame | None = None,
    events: Sequence[Mapping[str, Any]] = (),
    minimum_impact: float | None = None,
    confirmed: Sequence[Lesson] = (),
) -> Snapshot:
    """A draft (id "") that days can be held against (`detection.replayed`). Its forecast answers no question.

    history, hierarchy, recent, signs, billed, provisional, known_money : as for `snapshotting.build_snapshot`. events : planned ones, as
    `spend.events.describe` has them. minimum_impact, confirmed : as for `watch.with_sign_thresholds`.
    Raises InsufficientHistoryError for less than 29 days.
    """
    n_days = history.n_periods
    if n_days <= WAIT:
        raise InsufficientHistoryError(
            f"There are {n_days} days of spend from {history.ds[0].date()} to {history.ds[-1].date()}; {WAIT + 1} are needed to tell what is"
            " strange: each series is held against its own four weeks before",
            days=n_days,
            needed=WAIT + 1,
        )
    cutoff = history.ds[-1].date()
    starts = np.datetime64(cutoff, "D") + 1 + np.arange(horizon_days(cutoff, DAILY, MONTHS))
    begins, ends = (days.astype("datetime64[ns]")[None] for days in (starts, starts + 1))
    usual = np.median(history.values[:, -USUAL_DAYS:], axis=1).astype(np.float32)
    n_paths = 2 if provisional is None else min(PATHS, provisional.draws.shape[2])
    paths = np.broadcast_to(usual[:, None, None], (len(usual), len(starts), n_paths)).copy()
    draft = build_snapshot(
        SpendPaths(tuple(history.ids), begins, ends, paths),
        history,
        hierarchy,
        cost=cost,
        currency=currency,
        daily_steps=DAILY,
        months=MONTHS,
        recent=recent,
        detector={},
        backtest={},
        meta={"events": list(events)},
        billed=billed,
        provisional=provisional,
        known_money=known_money,
        signs=signs,
    )
    return with_sign_thresholds(draft, false_alarms_per_month, minimum_impact, confirmed, with_rows=False)
