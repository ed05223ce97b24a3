"""What was paid in advance and is burnt down: vendor credits, a virtual currency, a commitment. What is left of it at the end is lost.

A balance burns as a budget does (same paths, same exhaustion day); what it adds is the other side: money that is *not* used up. Called by
`overrun_answer` for budgets of kind "balance":

    answer["balance"] = balance_fields(
        totals,                         # (n_paths,) total of the period, as every other number of the answer
        amount,                         # money that was paid, in the answer's currency
        used=spent + owed,              # money, or (n_paths,): what days that are over cost, with what they will still be billed
        spent=spent,                    # what of it is billed
        unit=budget.unit,
        unit_price=price_of_one_unit,   # in the answer's currency too; None for a balance in money
        ends=[bucket.end for bucket in months], costs=reading.buckets(months),      # optional: what is left when each month ends
    )
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError

LEVELS = (0.1, 0.5, 0.9)


def remaining(costs: NDArray[np.floating] | float, amount: float) -> NDArray[np.float64]:
    """What is left of `amount` after `costs`, of their shape: never below nothing, and a refund does not make it more than was paid."""
    return np.clip(amount - np.asarray(costs, dtype=np.float64), 0.0, amount)


def remaining_paths(costs: NDArray[np.floating], amount: float) -> NDArray[np.float64]:
    """(n_steps, n_paths) what is left when each step ends. costs : (n_steps, n_paths) cost of each step from the balance's first day on."""
    return remaining(np.cumsum(costs, axis=0, dtype=np.float64), amount)


def probability_unused(totals: NDArray[np.floating], amount: float) -> float:
    """Share of paths in which something is left at the end; exactly the amount leaves nothing."""
    return float(np.mean(totals < amount))


def balance_fields(
    totals: NDArray[np.floating],
    amount: float,
    *,
    used: NDArray[np.floating] | float,
    spent: float,
    unit: str = "",
    unit_price: float | None = None,
    ends: Sequence[date] = (),
    costs: NDArray[np.floating] | None = None,
) -> dict[str, Any]:
    """The field `balance` of an answer; all money in the answer's currency.

    remaining : what is left today. unused : what is left at the end. probability_unused : P(something is left at the end).
    forfeited : mean of `unused`, lost when the balance ends; forfeited_share : of the amount. over_time : what is left when each bucket ends,
    `day` is the first that no longer counts. units : the same amounts counted in `unit`; None where the balance is kept in money.

    totals : (n_paths,). ends, costs : the first day after each bucket, and (n_buckets, n_paths) its cost; they follow one another from the
    balance's first day. Raises InputError where costs and ends do not fit.
    """
    if len(ends) != (0 if costs is None else len(costs)):
        raise InputError("A balance over time needs one row of costs for each end", field="costs", got=len(ends), allowed="as many rows as ends")
    now, left = np.atleast_1d(remaining(used, amount)), remaining(totals, amount)
    forfeited = float(left.mean())
    over_time = () if costs is None else remaining_paths(costs, amount)
    found: dict[str, Any] = {
        "remaining": _summary(now),
        "unused": _summary(left),
        "probability_unused": probability_unused(totals, amount),
        "forfeited": forfeited,
        "forfeited_share": forfeited / amount,
        "over_time": [{"day": day.isoformat(), **_summary(row)} for day, row in zip(ends, over_time, strict=True)],
        "units": None,
    }
    if unit_price is not None:
        found["units"] = {
            "unit": unit or "units",
            "unit_price": unit_price,
            "amount": amount / unit_price,
            "spent": spent / unit_price,
            "remaining": _summary(now / unit_price),
            "unused": _summary(left / unit_price),
            "forfeited": forfeited / unit_price,
        }
    return found


def _summary(samples: NDArray[np.float64]) -> dict[str, float]:
    p10, p50, p90 = np.quantile(samples, LEVELS).tolist()
    return {"mean": float(np.clip(samples.mean(), samples.min(), samples.max())), "p10": p10, "p50": p50, "p90": p90}
