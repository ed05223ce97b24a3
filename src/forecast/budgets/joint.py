"""Several budgets at once: will any of them be overrun, will all of them together, and who brings that about?

Everything is a share or a mean over the same paths. Spend of teams rises and falls together (a price, a launch, a holiday moves them all), so what
is true of several budgets cannot be had from what is true of each: of ten teams with the same chance of one in five, all overrun in the same
futures or each in its own, and both are "20 %". `independently` computes what the second reading would say, to lay it beside the answer.

Money over a budget splits exactly: with parts that add up to the parent, ΣT_i = T and Σb_i = B path by path,

    E[(T − B)+] = E[(T − B) · 1{T > B}] = Σ_i E[(T_i − b_i) · 1{T > B}]

(component expected shortfall). A part that stays within its own budget in the futures in which the parent overruns counts below nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ROUNDS = 16
"""Shufflings that `independently` averages over; what is left of its error is that of the children's own distributions."""


@dataclass(frozen=True)
class Estimate:
    """A mean over paths and its Monte-Carlo standard error; the error of the model is not in it."""

    value: float
    standard_error: float


def mean_of(samples: NDArray[np.floating] | Flags) -> Estimate:
    """(n_paths,) samples → their mean; of flags, how often they are set."""
    n = len(samples)
    values = samples.astype(np.float64)
    return Estimate(float(values.mean()), float(values.std() / np.sqrt(n)))


def overrun_paths(totals: NDArray[np.floating], amounts: NDArray[np.floating]) -> Flags:
    """(n, n_paths) whether each budget is exceeded on each path; exactly the amount is not an overrun."""
    return np.asarray(totals > amounts[:, None])


@dataclass(frozen=True, eq=False)
class Together:
    """A parent and its children on the same paths. All but the last three are probabilities.

    any_child : at least one child is overrun. parent : the parent is. any_budget : one of them or more. parent_alone : the parent is although no
    child is. children_alone : a child is although the parent is not. number : mean number of children that are. overrun : (n_paths,) money of
    all children above their budgets, each for itself; expected : its mean.
    """

    any_child: Estimate
    parent: Estimate
    any_budget: Estimate
    parent_alone: Estimate
    children_alone: Estimate
    number: Estimate
    overrun: Floats
    expected: Estimate


def together(totals: NDArray[np.floating], amounts: NDArray[np.floating], parent_over: Flags) -> Together:
    """totals : (n, n_paths) of n children, amounts : (n,), parent_over : (n_paths,) whether the parent is overrun."""
    over = overrun_paths(totals, amounts)
    any_child: Flags = np.asarray(over.any(axis=0))
    overrun = np.maximum(totals - amounts[:, None], 0.0).sum(axis=0, dtype=np.float64)
    return Together(
        any_child=mean_of(any_child),
        parent=mean_of(parent_over),
        any_budget=mean_of(any_child | parent_over),
        parent_alone=mean_of(parent_over & ~any_child),
        children_alone=mean_of(any_child & ~parent_over),
        number=mean_of(over.sum(axis=0)),
        overrun=overrun,
        expected=mean_of(overrun),
    )


def contributions(totals: NDArray[np.floating], amounts: NDArray[np.floating], over: Flags) -> list[Estimate]:
    """What each part brings to the expected overrun of the whole, E[(T_i − b_i) · 1{T > B}], in money.

    totals : (n, n_paths), amounts : (n,) of all parts, the unallocated rest among them. over : (n_paths,) whether the whole is over its budget. Where
    parts and amounts add up to the whole's, the values add up to its expected overrun.
    """
    return [mean_of(np.where(over, row - amount, 0.0)) for row, amount in zip(totals, amounts.tolist(), strict=True)]


def given(flags: Flags, condition: Flags) -> Estimate | None:
    """How often flags are set on the paths of a condition, (n_paths,) each; None where no path meets it."""
    return mean_of(flags[condition]) if condition.any() else None


@dataclass(frozen=True, eq=False)
class Independent:
    """What would be true if each child went its own way, with the totals that it has.

    any_child, parent : probabilities. expected_overrun : of the parent. totals : (rounds * n_paths,) of the parent.
    """

    any_child: float
    parent: float
    expected_overrun: float
    totals: Floats


def independently(
    children: NDArray[np.floating], amounts: NDArray[np.floating], rest: NDArray[np.floating], amount: float, *, seed: int
) -> Independent:
    """Each child's and the rest's paths shuffled on their own and added up anew.

    children : (n, n_paths), amounts : (n,). rest : (n_paths,) of the parent that no child has. amount : the parent's budget. Nothing but the
    dependence changes: every child keeps its own distribution, the mean of the parent's total stays.
    """
    within = 1.0 - overrun_paths(children, amounts).mean(axis=1)
    rng = np.random.default_rng(seed)
    # The rest stays as it is: what the others do against it is all that shuffling changes.
    totals = np.tile(rest.astype(np.float64), (ROUNDS, 1))
    for row in children:
        totals += rng.permuted(np.tile(row.astype(np.float64), (ROUNDS, 1)), axis=1)
    flat = totals.reshape(-1)
    return Independent(1.0 - float(np.prod(within)), float(np.mean(flat > amount)), float(np.maximum(flat - amount, 0.0).mean()), flat)


def rank_correlation(totals: NDArray[np.floating]) -> float | None:
    """Mean over all pairs of rows of the rank correlation of their totals; None where there are no two rows that vary.

    Of the ranks, because one path with a tenfold cost would decide the correlation of the money. All pairs at once: the variance of a sum of
    standardised ranks is n + n(n−1) times their mean correlation.
    """
    varying = totals[totals.min(axis=1) < totals.max(axis=1)]
    n = len(varying)
    if n < 2:
        return None
    ranks = pd.DataFrame(varying.T).rank().to_numpy().T
    standard = (ranks - ranks.mean(axis=1, keepdims=True)) / ranks.std(axis=1, keepdims=True)
    return float((standard.sum(axis=0).var() - n) / (n * (n - 1)))
