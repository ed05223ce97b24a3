"""A budget in another currency than the forecast: what its amount is there, and by which rate. Never silently, never by 1.0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from forecast.budgets.budget import Budget
from forecast.errors import BudgetError, InputError
from forecast.spend.currency import Rates


@dataclass(frozen=True)
class Converted:
    """An amount that was given in one currency and is answered in another.

    amount : in `from_currency`. rate : what one unit of it is in `to_currency`; text, because a float would not be the rate that was used.
    day : of the rate. factor : the same rate as a number. source, way : who said so, and whether the pair was quoted, turned round or joined.
    """

    from_currency: str
    to_currency: str
    amount: float
    rate: str
    factor: float
    day: date
    source: str
    way: str

    def describe(self) -> dict[str, Any]:
        """As answers carry it."""
        return {
            "from": self.from_currency,
            "to": self.to_currency,
            "amount": self.amount,
            "rate": self.rate,
            "day": self.day.isoformat(),
            "source": self.source,
            "way": self.way,
        }


def conversion(budget: Budget, currency: str, day: date, rates: Rates | None) -> Converted | None:
    """How the budget's money becomes `currency`, by the newest rate on or before `day`; None where it is that currency or names none.

    Raises BudgetError naming the pair, the day and how to give rates.
    """
    if budget.currency is None or budget.currency == currency:
        return None
    pair = f"{budget.currency}→{currency}"
    try:
        if rates is None:
            raise InputError("there is no table of rates")
        quote = rates.rate(budget.currency, currency, day)
    except InputError as error:
        raise BudgetError(
            f"Budget {budget.id} is in {budget.currency}, the forecast in {currency}, and nobody said what {pair} was on {day}: {error}",
            field="currency",
            got=budget.currency,
            allowed=f"{currency}, or a line {day},{budget.currency},{currency},RATE under the header date,from,to,rate "
            "in rates.csv of the home folder, or in the file that the setting rates names",
        ) from None
    return Converted(budget.currency, currency, budget.money, format(quote.decimal, "f"), float(quote.rate), quote.day, quote.source, quote.way)


def amount_in(budget: Budget, converted: Converted | None) -> float:
    """The budget's money in the currency that `conversion` was asked about."""
    return budget.money if converted is None else budget.money * converted.factor
