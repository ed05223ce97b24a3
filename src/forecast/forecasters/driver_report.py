"""What is told of a driver: to the snapshot, to what-if questions, to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Elasticity:
    """How the spend of a scope follows a driver, and how good that is for forecasting it.

    value : % of spend for 1 % of the driver; low, high : its P10 and P90. gain : share of the error of 28-day totals that the driver took away at
    `origins` past origins, shrunk; 0 where it is not used. gain_if_known : the same had the driver been known beforehand: how good the relation is,
    whether the forecast can use it or not. weight : mean part of it that the forecast uses, by money. leaves : of how many leaves
    it is used in. planned_until : last day of the plan; None where the driver is forecast too. note : why it is not used, or what was done to it.
    """

    driver: str
    scope: str
    value: float | None
    low: float | None
    high: float | None
    gain: float
    origins: int
    gain_if_known: float = 0.0
    weight: float = 0.0
    leaves: int = 0
    leaves_in_scope: int = 0
    planned_until: date | None = None
    unit: str = ""
    kind: str = "volume"
    note: str = ""

    def describe(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "planned_until": None if self.planned_until is None else self.planned_until.isoformat()}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Elasticity:
        """What `describe` was made from."""
        until = plain["planned_until"]
        return cls(**{**plain, "planned_until": None if until is None else date.fromisoformat(until)})


def sentence(one: Elasticity) -> str:
    """What a person wants to know of a driver."""
    plan = f"planned until {one.planned_until}" if one.planned_until is not None else "forecast too"
    if one.value is None:
        return f"not used: {one.note}"
    said = f"elasticity {one.value:.2f} ({one.low:.2f} to {one.high:.2f}) over {one.scope or 'the company'}, {plan}"
    return f"{said}, error of 28-day totals {100 * one.gain:.0f} % smaller" if one.leaves else f"{said}; not used: {one.note}"
