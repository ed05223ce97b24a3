"""What others hold strange spend against, as boards that merge and threshold as ours does (`benchmarks/company_spikes.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.signs import BACK, FEWEST, FLOOR, SIGNS, SPEND, Sign
from forecast.workflows.board import Board

Floats = NDArray[np.float64]
Rule = Callable[[Floats, float], Floats]
"""(n, n_days) spend of leaves and the company's usual day → (n, n_days) signed strength, causal, NaN where nothing is said."""

EVEN = 0.25
"""Power of a rule's strength that is thresholded: the order stays, and one factor can move the threshold as far as the whole rate asks, which a rule
has for its one sign."""
PERCENT = 0.4
"""Of AWS Cost Anomaly Detection's default: 100 USD and 40 % above what is expected; the money is what a threshold is learnt for here."""


def z_score(values: Floats, usual_day: float) -> Floats:
    """Against mean and standard deviation of the 28 days before."""
    before = _before(values)
    return (values - before.mean().to_numpy().T) / np.maximum(before.std().to_numpy().T, FLOOR * usual_day)


def interquartile(values: Floats, usual_day: float) -> Floats:
    """Beyond the quartiles of the 28 days before, in interquartile ranges."""
    before = _before(values)
    low, high = (before.quantile(level).to_numpy().T for level in (0.25, 0.75))
    width = np.maximum(high - low, FLOOR * usual_day)
    return np.where(values > high, (values - high) / width, np.where(values < low, (values - low) / width, 0.0))


def percent_and_money(values: Floats, usual_day: float) -> Floats:
    """Money above the mean of the 28 days before, where that is a good part of it too. Only rises."""
    expected = _before(values).mean().to_numpy().T
    excess = values - expected
    return np.where(excess >= PERCENT * expected, np.maximum(excess, 0.0) / max(FLOOR * usual_day, 1e-12), 0.0)


RULES: dict[str, Rule] = {"z_score": z_score, "interquartile": interquartile, "percent_and_money": percent_and_money}


@dataclass(frozen=True)
class RuleBoard(Board):
    """A board with one sign, that of a rule on leaves."""

    rule: Rule = z_score

    @classmethod
    def of(cls, board: Board, rule: Rule) -> RuleBoard:
        return cls(board.leaves, board.values, board.amounts, board.nodes, board.members, board.first_day, rule=rule)

    @cached_property
    def signs(self) -> list[Sign]:
        strength = np.nan_to_num(self.rule(self.values, self.usual_day))
        one = np.ones(strength.shape, dtype=np.int64)
        excess = np.nan_to_num(self.values - self.usual[: len(self.values)])
        nothing = Sign("", np.zeros_like(strength), np.zeros_like(strength), one, one)
        own = Sign(SPEND, np.abs(strength) ** EVEN, excess, one, np.where(strength < 0.0, -1, 1))
        return [own, *(Sign(name, nothing.strength, nothing.excess, one, one) for name in SIGNS if name != SPEND)]


def _before(values: Floats) -> pd.api.typing.Rolling[pd.DataFrame]:
    return pd.DataFrame(values.T).shift(1).rolling(BACK, min_periods=FEWEST)
