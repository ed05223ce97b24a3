"""How much of a bill is taken as AI, and how much of it says whose it is: the shares that an ingest report and a KPI show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from forecast.errors import SchemaError
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN


@dataclass(frozen=True)
class LeftOut:
    """Lines of one provider, service and SKU (or description, where there is no SKU) that no rule takes as AI. Costs in the bill's currency."""

    provider: str
    service: str
    sku: str
    description: str | None
    rows: int
    effective_cost: Decimal
    billed_cost: Decimal

    def as_dict(self) -> dict[str, object]:
        return vars(self) | {"effective_cost": float(self.effective_cost), "billed_cost": float(self.billed_cost)}


@dataclass(frozen=True)
class AiSummary:
    """What the AI rules made of some charge lines. Costs are sums, exact; `by_rule` is the effective cost by rule, the largest first.

    The shares are of absolute amounts, so a credit cannot lift them above 1; None where there is no cost at all.
    """

    rows: int
    ai_rows: int
    effective_cost: Decimal
    ai_effective_cost: Decimal
    billed_cost: Decimal
    ai_billed_cost: Decimal
    effective_share: float | None
    billed_share: float | None
    by_rule: Mapping[str, Decimal]
    left_out: tuple[LeftOut, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain data for JSON: money as numbers."""
        money = {name: float(value) for name, value in vars(self).items() if isinstance(value, Decimal)}
        by_rule = {name: float(cost) for name, cost in self.by_rule.items()}
        return vars(self) | money | {"by_rule": by_rule, "left_out": [line.as_dict() for line in self.left_out]}


def tag_coverage(frame: pd.DataFrame, dimensions: Sequence[str] = DIMENSIONS, cost: str = "cost") -> pd.DataFrame:
    """Share of money that has a value, for each of `dimensions`; columns dimension, known, unknown, coverage, in their order.

    frame : charge lines or sums of them, with a column for each dimension (null and `UNKNOWN` are no value) and the column `cost`. known and
    unknown are sums of cost. coverage, in [0, 1], is of absolute amounts: a credit or refund without a team is money without a team too.
    It is NaN where there is no cost. Sums over rows of both signs hide some: give it lines, or sums by sign.
    """
    missing = [name for name in (*dimensions, cost) if name not in frame.columns]
    if missing:
        raise SchemaError(f"Frame lacks the column {missing[0]!r}", field=missing[0], got=list(frame.columns), allowed="the dimensions and the cost")
    amount = frame[cost].to_numpy(dtype=np.float64)
    size = np.abs(amount)
    total = float(size.sum())
    rows: list[dict[str, object]] = []
    for name in dimensions:
        values = frame[name]
        known = (values.notna() & (values != UNKNOWN) & (values != "")).to_numpy(dtype=np.bool_)
        coverage = float(size[known].sum()) / total if total else float("nan")
        rows.append({"dimension": name, "known": float(amount[known].sum()), "unknown": float(amount[~known].sum()), "coverage": coverage})
    return pd.DataFrame(rows, columns=["dimension", "known", "unknown", "coverage"])
