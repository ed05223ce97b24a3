"""What a budget's risk was, training by training: the row that a history is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from forecast.spend.periods import Period


@dataclass(frozen=True)
class BudgetRisk:
    """One budget's answer by one snapshot, kept when the snapshot was made; money in `currency`, the snapshot's.

    cutoff : last day that the forecaster saw. computed_at : when it was computed, with its time zone. [start, end) : the occurrence of the budget
    that was asked about. amount : what may be spent, converted. spent : billed by the cutoff. mean, p10, p50, p90 : the period's total.
    state : ok, warn or act, by the budget's thresholds.
    """

    budget_id: str
    snapshot_id: str
    cutoff: date
    computed_at: datetime
    start: date
    end: date
    amount: float
    currency: str
    spent: float
    mean: float
    p10: float
    p50: float
    p90: float
    overrun_probability: float
    expected_overrun: float
    state: str

    @property
    def period(self) -> Period:
        return Period(self.start, self.end)
