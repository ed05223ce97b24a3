"""A home that was never trained: what `forecast detect` needs, read from its ledger and kept nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecast.commands.home import Home
    from forecast.snapshot import Snapshot
    from forecast.workflows.lessons import Lesson


def has_snapshot(home: Home, cost: str) -> bool:
    """Whether some snapshot of this cost answers."""
    return home.has_records and home.records.latest_snapshot(cost) is not None


def from_ledger(
    home: Home, cost: str, false_alarms_per_month: float | None = None, as_of: datetime | None = None, confirmed: Sequence[Lesson] = ()
) -> Snapshot:
    """What training would know up to the last usable day, with thresholds of the declared rate (None: as set), and without a forecast.

    Raises InsufficientHistoryError for less than 29 days.
    """
    from forecast.adapters.sign_lines import read_signs
    from forecast.adapters.spend_history import last_usable_day, read_history, read_recent
    from forecast.spend.events import describe
    from forecast.spend.known_money import known_money
    from forecast.workflows.untrained import PATHS, untrained_snapshot

    settings, ledger = home.settings, home.filled_ledger()
    history = read_history(
        ledger,
        settings.leaf_dimensions,
        last_usable_day(ledger, as_of),
        cost=cost,
        most_leaves=settings.most_leaves,
        as_of=as_of,
        n_draws=PATHS,
        seed=settings.seed,
    )
    return untrained_snapshot(
        history.matrix,
        history.hierarchy,
        settings.false_alarms_per_month if false_alarms_per_month is None else false_alarms_per_month,
        cost=cost,
        currency=ledger.currency,
        recent=read_recent(ledger, history, cost=cost, as_of=as_of),
        signs=read_signs(ledger, history, cost=cost, as_of=as_of),
        billed=history.billed,
        provisional=history.provisional,
        known_money=known_money(history.parts, history.matrix.ds.to_numpy()),
        events=[describe(event) for event in home.records.events()],
        minimum_impact=settings.minimum_impact,
        confirmed=confirmed,
    )
