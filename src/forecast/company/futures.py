"""What could have come after a cutoff: the true distribution that forecasts, overrun probabilities and what-if answers are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.keys import require_known, selected
from forecast.company.span import Floats
from forecast.errors import InputError
from forecast.spend.periods import parse_day
from forecast.spend.scope import Scope


@dataclass(frozen=True, eq=False)
class Futures:
    """Alternative futures of a company from its state at a cutoff, equally likely, exchangeable with what really came.

    start : first day after the cutoff. keys : dimensions of each series, columns KEY_COLUMNS. cost : (series, days, futures)
    float32, USD of EffectiveCost without incidents. incident_cost : what incidents add, one row a future, day and series with
    columns future, day (number from 0), series, cost.
    """

    start: date
    keys: pd.DataFrame
    cost: npt.NDArray[np.float32]
    incident_cost: pd.DataFrame

    @property
    def end(self) -> date:
        """First day that is not simulated."""
        return self.start + timedelta(days=self.cost.shape[1])

    def __len__(self) -> int:
        return int(self.cost.shape[2])

    def daily(self, scope: Scope | str = "", *, incidents: bool = True) -> Floats:
        """USD a day of a scope, (days, futures)."""
        wanted = Scope.parse(scope)
        chosen = selected(wanted, self.keys)
        require_known(wanted, self.keys)
        found = np.zeros(self.cost.shape[1:])
        for row in np.flatnonzero(chosen):
            found += self.cost[row]
        if incidents and len(self.incident_cost):
            extra = self.incident_cost[chosen[self.incident_cost["series"].to_numpy()]]
            np.add.at(found, (extra["day"].to_numpy(), extra["future"].to_numpy()), extra["cost"].to_numpy())
        return found

    def total(self, scope: Scope | str = "", start: date | str | None = None, end: date | str | None = None, *, incidents: bool = True) -> Floats:
        """USD of a scope over [start, end), one value a future, (futures,). Days as dates or YYYY-MM-DD; without them: the whole horizon."""
        first = self.start if start is None else parse_day(start, "start")
        last = self.end if end is None else parse_day(end, "end")
        if not self.start <= first < last <= self.end:
            raise InputError(
                f"period {first} to {last} cannot be answered from the futures; allowed are days from {self.start} to {self.end} (exclusive)",
                field="start" if first < self.start else "end",
                got=f"{first} to {last}",
                allowed=f"{self.start} to {self.end}",
            )
        return np.asarray(self.daily(scope, incidents=incidents)[(first - self.start).days : (last - self.start).days].sum(axis=0))

    def overrun_probability(self, scope: Scope | str, start: date | str, end: date | str, amount: float, *, incidents: bool = True) -> float:
        """True probability that a scope costs more than `amount` over [start, end)."""
        return float((self.total(scope, start, end, incidents=incidents) > amount).mean())
