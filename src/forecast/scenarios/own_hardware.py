"""Machines that are bought: straight-line depreciation, energy with cooling, staff; and when buying beats renting.

Numbers or arrays that broadcast (a number a path where something is uncertain). Days are calendar days, a month is a twelfth of a year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = float | Floats

DAYS_A_MONTH = 365.25 / 12.0


@dataclass(frozen=True, eq=False)
class OwnHardware:
    """purchase : money once, all of it written off over `months`. kilowatts : drawn while running, of all machines together.

    price_a_kwh : money. hours_a_day : running, 0 to 24. pue : energy of the building ÷ of the machines, 1 or more. staff_a_month : money.
    """

    purchase: Number
    months: Number
    kilowatts: Number
    price_a_kwh: Number
    hours_a_day: Number
    pue: Number = 1.0
    staff_a_month: Number = 0.0

    @property
    def depreciation_a_day(self) -> Number:
        return self.purchase / (self.months * DAYS_A_MONTH)

    @property
    def kwh_a_day(self) -> Number:
        return self.kilowatts * self.hours_a_day * self.pue

    @property
    def energy_a_day(self) -> Number:
        return self.kwh_a_day * self.price_a_kwh

    @property
    def staff_a_day(self) -> Number:
        return self.staff_a_month / DAYS_A_MONTH

    @property
    def cost_a_day(self) -> Number:
        return self.depreciation_a_day + self.energy_a_day + self.staff_a_day


def break_even_rent(own: OwnHardware) -> float:
    """Rent an hour, of machines that replace all that is bought, at which renting costs the same; infinite where they never run."""
    cost, hours = float(np.mean(own.cost_a_day)), float(np.mean(own.hours_a_day))
    return cost / hours if hours > 0.0 else float("inf")


def break_even_hours(own: OwnHardware, rent_an_hour: float) -> float:
    """Hours a day from which on owning is cheaper than renting; infinite where energy alone costs more than the rent."""
    fixed = float(np.mean(own.depreciation_a_day + own.staff_a_day))
    margin = rent_an_hour - float(np.mean(own.kilowatts * own.pue * own.price_a_kwh))
    return fixed / margin if margin > 0.0 else float("inf")


def break_even_months(own: OwnHardware, rent_a_day: float) -> float:
    """Months after which the purchase is earned back by rent that is no longer paid; infinite where running costs more than the rent."""
    saved = rent_a_day - float(np.mean(own.energy_a_day + own.staff_a_day))
    return float(np.mean(own.purchase)) / (saved * DAYS_A_MONTH) if saved > 0.0 else float("inf")
