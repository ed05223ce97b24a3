"""A budget: an amount for a scope over a period, with its phases, its thresholds and its place among other budgets."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError
from forecast.spend.periods import Period
from forecast.spend.scope import Scope

KINDS = ("budget", "experiment", "balance")
"""budget : what may be spent. experiment : what a run may cost, behind a gate. balance : what was paid in advance and is burnt down (credits, a
commitment); what is left of it at the end is lost."""

REPEATS = ("month", "quarter", "year")
MOST_PHASES = 60
MOST_THRESHOLDS = 20
CENT = 0.005
"""Half of the smallest part that phases and amount may differ by."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, order=True)
class Phase:
    """`amount` for the days from `start` to the next phase, or to the end of the budget."""

    start: date
    amount: float


@dataclass(frozen=True)
class Budget:
    """`amount` of `currency` for the days [start, end) of `scope`; `cost` says which cost counts ("effective" or "billed").

    parent : id of the budget that this one is a part of. phases : how the amount is planned over the period, the first begins with it; they add up
    to the amount. repeats : "month", "quarter" or "year" of the company's calendar for a budget that begins anew with each; [start, end) is the
    first. thresholds : when somebody wants to know.
    unit, unit_price : of a balance that is not kept in money ("credits"): the amount counts units, each worth `unit_price` of the currency.
    """

    id: str
    scope: Scope
    start: date
    end: date
    amount: float
    currency: str | None = None
    cost: str = "effective"
    name: str = ""
    owner: str = ""
    kind: str = "budget"
    parent: str | None = None
    repeats: str | None = None
    phases: tuple[Phase, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    unit: str = ""
    unit_price: float | None = None

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.end <= self.start:
            raise BudgetError(
                f"Budget {self.id}: period is reversed or empty: start {self.start}, end {self.end} (exclusive)",
                field="end",
                got=str(self.end),
                allowed=f"a day after {self.start}",
            )
        if isinstance(self.amount, bool) or not (math.isfinite(self.amount) and self.amount > 0):
            raise BudgetError(
                f"Budget {self.id}: amount {self.amount} is not money", field="amount", got=self.amount, allowed="a finite number above 0"
            )
        _one_of(self, "cost", self.cost, ("effective", "billed"))
        _one_of(self, "kind", self.kind, KINDS)
        if self.repeats is not None:
            _one_of(self, "repeats", self.repeats, REPEATS)
        if self.currency is not None and not _CURRENCY.fullmatch(self.currency):
            raise BudgetError(
                f"Budget {self.id}: currency {self.currency!r} is not a code",
                field="currency",
                got=self.currency,
                allowed="three capital letters such as USD",
            )
        if self.parent is not None:
            check_id(self.parent, "parent")
            if self.parent == self.id:
                raise BudgetError(f"Budget {self.id} is its own parent", field="parent", got=self.parent, allowed="another budget's id")
        self._check_phases()
        self._check_unit()
        if len(self.thresholds) > MOST_THRESHOLDS:
            raise BudgetError(
                f"Budget {self.id} has {len(self.thresholds)} thresholds",
                field="thresholds",
                got=len(self.thresholds),
                allowed=f"at most {MOST_THRESHOLDS}",
            )

    @property
    def period(self) -> Period:
        return Period(self.start, self.end)

    @property
    def money(self) -> float:
        """The amount in the budget's currency."""
        return self.amount if self.unit_price is None else self.amount * self.unit_price

    def phase_periods(self) -> tuple[Period, ...]:
        """Days of each phase; nothing where there are none."""
        if not self.phases:
            return ()
        ends = [phase.start for phase in self.phases[1:]] + [self.end]
        return tuple(Period(phase.start, end) for phase, end in zip(self.phases, ends, strict=True))

    def moved(self, period: Period) -> Budget:
        """The same budget for another occurrence of its period; phases move by as many days and the last one takes what is over or short."""
        if period == self.period:
            return self
        days: timedelta = period.start - self.start
        phases = tuple(Phase(phase.start + days, phase.amount) for phase in self.phases)
        if phases and phases[-1].start >= period.end:
            raise BudgetError(
                f"Budget {self.id}: its phases do not fit into {period}",
                field="phases",
                got=str(phases[-1].start),
                allowed=f"days before {period.end}",
            )
        return replace(self, start=period.start, end=period.end, phases=phases)

    def _check_phases(self) -> None:
        if not self.phases:
            return
        starts = [phase.start for phase in self.phases]
        allowed = f"first days in order, from {self.start} on and before {self.end}"
        if len(self.phases) > MOST_PHASES:
            raise BudgetError(f"Budget {self.id} has {len(starts)} phases", field="phases", got=len(starts), allowed=f"at most {MOST_PHASES}")
        if starts[0] != self.start or starts[-1] >= self.end or any(later <= earlier for earlier, later in itertools.pairwise(starts)):
            raise BudgetError(
                f"Budget {self.id}: its phases begin on {', '.join(map(str, starts))}",
                field="phases",
                got=[str(day) for day in starts],
                allowed=allowed,
            )
        for phase in self.phases:
            if isinstance(phase.amount, bool) or not (math.isfinite(phase.amount) and phase.amount >= 0):
                raise BudgetError(
                    f"Budget {self.id}: phase {phase.start} has the amount {phase.amount}", field="phases", got=phase.amount, allowed="0 or more"
                )
        together = math.fsum(phase.amount for phase in self.phases)
        if abs(together - self.amount) > max(CENT, 1e-9 * self.amount):
            raise BudgetError(
                f"Budget {self.id}: its phases add up to {together:,.2f}, its amount is {self.amount:,.2f}",
                field="amount",
                got=self.amount,
                allowed=f"the sum of the phases, {together:.2f}",
            )

    def _check_unit(self) -> None:
        if self.unit_price is None and not self.unit:
            return
        if self.kind != "balance":
            raise BudgetError(
                f"Budget {self.id}: only a balance is kept in units, this is a {self.kind}", field="unit", got=self.unit, allowed="kind balance"
            )
        if self.unit_price is None or not (math.isfinite(self.unit_price) and self.unit_price > 0):
            raise BudgetError(
                f"Budget {self.id}: what one of {self.unit or 'its unit'} is worth is missing",
                field="unit_price",
                got=self.unit_price,
                allowed="money for one unit, above 0",
            )


def check_id(text: str, field: str = "id") -> None:
    """Raises BudgetError for what cannot name a budget."""
    if not _ID.fullmatch(text):
        raise BudgetError(
            f"Budget {field} {text!r} is not one",
            field=field,
            got=text,
            allowed="1 to 100 letters, digits, '.', '_', '-', starting with a letter or digit",
        )


def _one_of(budget: Budget, field: str, got: str, allowed: tuple[str, ...]) -> None:
    if got not in allowed:
        raise BudgetError(f"Budget {budget.id}: {field} {got!r} is not one", field=field, got=got, allowed=", ".join(allowed))
