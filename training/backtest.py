"""The body of `forecast backtest`, and the judging that `forecast train` begins with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.adapters.ledger import Ledger
from forecast.adapters.ledger_table import naive_utc
from forecast.adapters.records import Records
from forecast.adapters.spend_history import SpendHistory, last_usable_day, read_history
from forecast.config import Settings
from forecast.errors import InputError, InsufficientHistoryError
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.cutoffs import rolling_cutoffs
from forecast.spend.periods import parse_day
from training.executors import cores, workers
from training.knowledge import Knowledge, knowing, read_knowledge
from training.specs import Spec, load_spec

Progress = Callable[[str, float | None], None]
"""Called with what is being done, and the share of the whole that is done (None where it is not known)."""

LEAST_DAYS = 14
CUTOFFS = 6
TOTALS = (7, 28, 91)
BUDGETS = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)
"""Budgets whose overrun probabilities are judged, in run rates."""
BACKTEST_PATHS = 500
"""Enough for the 2.5 % quantile of a total: its Monte-Carlo error is a tenth of what six cutoffs leave open."""
_GRIDS = ((28, 28), (28, 14), (28, 7), (7, 7), (7, 3))
"""(shortest total that every cutoff can be judged on, days between cutoffs), the best first."""


@dataclass(frozen=True)
class BacktestReport:
    """record : the accuracy record of a snapshot. summary : by level and days. rows : see `Backtest`. notes : what should be known about it."""

    cutoff: dt.date
    cost: str
    currency: str
    spec: dict[str, Any]
    record: dict[str, Any]
    summary: pd.DataFrame
    rows: pd.DataFrame
    notes: tuple[str, ...]


def run_backtest(
    settings: Settings,
    ledger: Ledger,
    *,
    cutoff: str | dt.date | None = None,
    cost: str = "effective",
    spec: Spec | str | None = None,
    cutoffs: int = CUTOFFS,
    records: Records | None = None,
    progress: Progress | None = None,
) -> BacktestReport:
    """Judge a spec (default: the champion's) on the ledger up to `cutoff`. Changes nothing.

    records : where planned events and drivers come from; each cutoff sees what was known of them by then.

    Raises InsufficientHistoryError where history is too short for a single cutoff.
    """
    tell = progress or _silent
    chosen = spec if isinstance(spec, Spec) else load_spec(spec)
    tell("reading the ledger", 0.0)
    history = load_history(settings, ledger, cutoff=cutoff, cost=cost)
    events, drivers = ([], []) if records is None else (records.events(), records.drivers())
    known = read_knowledge(events, ledger, history, cost=cost, until=history.matrix.ds[-1].date(), drivers=drivers)
    result, notes = judge(
        history, chosen, settings, known, wanted=cutoffs, progress=lambda text, share: tell(text, None if share is None else 0.05 + 0.95 * share)
    )
    if not result.cutoffs:
        days = history.matrix.n_periods
        needed = LEAST_DAYS + 7
        raise InsufficientHistoryError(f"A backtest needs {needed} days of history; there are {days}", days=days, needed=needed)
    return BacktestReport(
        history.matrix.ds[-1].date(), cost, ledger.currency, chosen.describe(), result.record(), result.summary(), result.rows, (*notes, *known.notes)
    )


def load_history(settings: Settings, ledger: Ledger, *, cutoff: str | dt.date | None, cost: str, as_of: dt.datetime | None = None) -> SpendHistory:
    """The leaves' history up to `cutoff` (default: the last usable day) as known `as_of`, checked for being long enough to learn from.

    Raises InsufficientHistoryError (fewer than 14 days), InputError (a cutoff after the ledger's last day).
    """
    if as_of is not None and all(delivery["received_at"] > naive_utc(as_of) for delivery in ledger.deliveries()):
        raise InputError(
            f"No bill had come in by {as_of:%Y-%m-%d %H:%M} UTC", field="as_of", got=as_of.isoformat(), allowed="a moment after a delivery"
        )
    newest = last_usable_day(ledger, as_of)
    day = newest if cutoff is None else parse_day(cutoff, "cutoff")
    summary = ledger.summary()
    last = newest if as_of is not None else max(dt.date.fromisoformat(summary["last_day"]), newest)
    if day > last:
        raise InputError(
            f"cutoff {day} is after the last day of spend {last}", field="cutoff", got=str(day), allowed=f"{summary['first_day']} to {last}"
        )
    history = read_history(
        ledger, settings.leaf_dimensions, day, cost=cost, most_leaves=settings.most_leaves, n_draws=settings.paths, seed=settings.seed, as_of=as_of
    )
    days = history.matrix.n_periods
    if days < LEAST_DAYS:
        raise InsufficientHistoryError(
            f"There are {days} days of spend from {history.matrix.ds[0].date()} to {day}; {LEAST_DAYS} are needed to forecast",
            days=days,
            needed=LEAST_DAYS,
        )
    return history


def judge(
    history: SpendHistory,
    spec: Spec,
    settings: Settings,
    known: Knowledge | None = None,
    *,
    wanted: int = CUTOFFS,
    progress: Progress | None = None,
) -> tuple[Backtest, list[str]]:
    """Rolling-origin backtest of a spec on a history, in worker processes; with notes on what history did not allow.

    known : what the forecaster is told beside the history; a cutoff sees what was known then.
    """
    tell = progress or _silent
    first, last = history.matrix.ds[0], history.matrix.ds[-1]
    cutoffs = plan_cutoffs(first, last, wanted)
    notes = []
    if len(cutoffs) < wanted:
        notes.append(f"backtest over {len(cutoffs)} of {wanted} cutoffs: {history.matrix.n_periods} days of history allow no more")
    totals = [days for days in TOTALS if cutoffs and cutoffs[0] + pd.Timedelta(days=days) <= last]
    if cutoffs and len(totals) < len(TOTALS):
        notes.append(f"totals of {', '.join(str(days) for days in TOTALS if days not in totals)} days could not be judged: history is too short")
    tell(f"backtest: 0 of {len(cutoffs)} cutoffs", 0.0)

    def count(done: int, everything: int) -> None:
        tell(f"backtest: {done} of {everything} cutoffs", done / everything)

    with workers(min(cores(settings.threads), len(cutoffs))) as executor:
        found = backtest(
            # At each cutoff it is given the lines up to then, and its paths are judged against all that was charged.
            knowing(spec.build(), history, known or Knowledge()),
            history.panel,
            cutoffs=cutoffs,
            totals=totals or TOTALS[:1],
            n_paths=min(settings.paths, BACKTEST_PATHS),
            seed=settings.seed,
            hierarchy=history.hierarchy,
            budgets=BUDGETS,
            progress=count,
            executor=executor,
        )
    return found, notes


def plan_cutoffs(first: pd.Timestamp, last: pd.Timestamp, wanted: int = CUTOFFS) -> list[pd.Timestamp]:
    """Cutoffs of a history: the longest totals that half of the cutoffs can be judged on, then as many cutoffs as wanted, then far apart."""
    found = {grid: rolling_cutoffs(last, wanted, grid[1], grid[0], first=first, least_history=max(LEAST_DAYS, grid[0])) for grid in _GRIDS}
    for horizon in dict.fromkeys(grid[0] for grid in _GRIDS):
        best = max((cutoffs for grid, cutoffs in found.items() if grid[0] == horizon), key=len)  # of equals the first: the widest spacing
        if 2 * len(best) >= wanted:
            return best
    return max(found.values(), key=len)


def _silent(doing: str, share: float | None) -> None:
    return
