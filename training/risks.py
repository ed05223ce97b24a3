"""What a training says of every budget, written into its history. The snapshot serves already; nothing here may fail the run."""

from __future__ import annotations

import datetime as dt

from forecast.adapters.rates import find_rates
from forecast.adapters.records import Records
from forecast.config import Settings
from forecast.snapshot import Snapshot
from forecast.workflows.risk_history import budget_risks


def keep_risks(settings: Settings, records: Records, snapshot: Snapshot, *, now: dt.datetime) -> list[str]:
    """Store the risk of all budgets that the snapshot can answer; a sentence for each that it cannot, or for what went wrong."""
    try:
        budgets = records.budgets()
        needs_rates = any(budget.currency not in {None, snapshot.currency} for budget in budgets)
        rates = find_rates(settings.rates, settings.home) if needs_rates else None
        risks, notes = budget_risks(snapshot, budgets, now=now, rates=rates, calendar=settings.calendar)
        records.put_risks(risks)
    except Exception as error:
        return [f"The risks of budgets could not be kept: {type(error).__name__}: {error}"]
    return notes
