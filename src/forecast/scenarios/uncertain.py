"""A number that nobody knows for sure: expected, low and high (P10 and P90), and how it turns out on each simulated future.

The law is that of planned events (`spend/events.py`): a split log-normal through the three for factors and amounts, a split normal for money and
per cents, a split normal held to [0, 1] for shares. Standard normals come in from outside: what a number draws does not depend on the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.kind_fields import AMOUNT, FACTOR
from forecast.spend.events import P90

Floats = NDArray[np.float64]

LOGARITHMIC = frozenset({FACTOR, AMOUNT})


@dataclass(frozen=True)
class Uncertain:
    """low and high are exceeded nine times in ten and once in ten; expected as often as not."""

    expected: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return {"expected": self.expected, "low": self.low, "high": self.high}

    def draws(self, z: Floats, type: str, least: float, most: float) -> Floats:
        """(n_paths,) how it turns out. z : (n_paths,) standard normals. type : of the field, see `kinds.py`; least, most : its bounds."""
        step = z / P90
        if type in LOGARITHMIC and self.low > 0.0:
            below, above = np.log(self.expected / self.low), np.log(self.high / self.expected)
            found = self.expected * np.exp(step * np.where(step < 0.0, below, above))
        else:
            found = self.expected + step * np.where(step < 0.0, self.expected - self.low, self.high - self.expected)
        return np.asarray(np.clip(found, least, most), dtype=np.float64)
