"""A budget: an amount for a scope over a period."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

from forecast.errors import BudgetError
from forecast.spend.periods import Period
from forecast.spend.scope import Scope

_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


@dataclass(frozen=True)
class Budget:
    """`amount` of `currency` for the days [start, end) of `scope`; `cost` says which cost counts ("effective" or "billed")."""

    id: str
    scope: Scope
    start: date
    end: date
    amount: float
    currency: str | None = None
    cost: str = "effective"
    name: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        if not _ID.match(self.id):
            raise BudgetError(
                f"Budget id {self.id!r} is not one",
                field="id",
                got=self.id,
                allowed="1 to 100 letters, digits, '.', '_', '-', starting with a letter or digit",
            )
        if self.end <= self.start:
            raise BudgetError(
                f"Budget {self.id}: period is reversed or empty: start {self.start}, end {self.end} (exclusive)",
                field="end",
                got=str(self.end),
                allowed=f"a day after {self.start}",
            )
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise BudgetError(
                f"Budget {self.id}: amount {self.amount} is not money", field="amount", got=self.amount, allowed="a finite number above 0"
            )
        if self.cost not in {"effective", "billed"}:
            raise BudgetError(f"Budget {self.id}: cost {self.cost!r} is not one", field="cost", got=self.cost, allowed="effective, billed")

    @property
    def period(self) -> Period:
        return Period(self.start, self.end)
