"""How the cost of rows finer than a leaf follows usage, and what is metered of them: as of leaves, told apart where bills tell it apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.scenarios.response_rules import response_of
from forecast.scenarios.responses import Responses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WHOLE = "(all)"
"""Value of a row in a dimension in which it is not told apart."""
METERED = ("ai_model", "meter")
"""Dimensions by which meters are kept."""
LEAST_PRIOR = 1e-3
"""Weight of a leaf's own mixture beside what meters say of its rows: so that no row is left without a response."""
ROUNDS, LEAST_SHARE = 60, 1e-4


@dataclass(frozen=True, eq=False)
class RowResponses(Responses):
    """Responses of rows. leaf_of_row : (n_rows,); rows of one leaf share the phase of its machines."""

    leaf_of_row: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def phase_of(self, leaf: int) -> Floats:
        return super().phase_of(int(self.leaf_of_row[leaf]))


def row_meters(meters: pd.DataFrame, leaf: Ints, names: Sequence[str], texts: NDArray[np.object_], size: Floats) -> pd.DataFrame:
    """Meters of leaves as meters of rows: `leaf` becomes the number of the row.

    leaf, size : (n_rows,) leaf and recent money of each row. names, texts : dimensions and (n_rows, n_names) values. What an AI model or meter used
    belongs to its rows; among several that fit, money and quantities are shared out by size.
    """
    told = [name for name in METERED if name in names]
    rows = pd.DataFrame({"leaf": leaf, "row": np.arange(len(leaf)), "size": np.maximum(size, 0.0)})
    for name in told:
        rows[name] = texts[:, list(names).index(name)]
    left = meters[["leaf", *told]].assign(line=np.arange(len(meters)))
    split = np.zeros(len(rows), dtype=bool)
    for name in told:
        split |= (rows[name] == WHOLE).to_numpy()
    found = pd.concat(
        [left.merge(rows[~split], on=["leaf", *told]), left.merge(rows[split].drop(columns=told), on="leaf")], ignore_index=True
    ).sort_values(["line", "row"], kind="stable")
    line, row, weight = (found[name].to_numpy() for name in ("line", "row", "size"))
    whole, count = np.bincount(line, weight, minlength=len(meters)), np.bincount(line, minlength=len(meters))
    part = np.where(whole[line] > 0.0, weight / np.where(whole[line] > 0.0, whole[line], 1.0), 1.0 / np.maximum(count[line], 1))
    own = meters.iloc[line].reset_index(drop=True)
    amounts = {name: own[name].to_numpy(dtype=np.float64) * part for name in ("cost", "quantity", "committed", "worth") if name in own.columns}
    used = part > 0.0
    return own.assign(leaf=row, **amounts)[used].reset_index(drop=True)


def row_responses(known: Responses, leaf: Ints, mean: Floats, meters: pd.DataFrame | None) -> RowResponses:
    """Responses of rows that add up to those of their leaves: what meters say of each row, fitted to the leaf's shares and the rows' sizes.

    leaf, mean : (n_rows,) leaf and recent share of each row. meters : of rows (`row_meters`); None where none are kept.
    """
    shares = _fitted(known.shares, leaf, np.maximum(mean, 0.0), _metered(len(leaf), meters))
    rows_of = {number: np.flatnonzero(leaf == number) for one in known.commitments for number in one.leaves.tolist()}
    return RowResponses(
        shares,
        known.quantum[leaf],
        known.driver[leaf],
        known.powers,
        known.phase,
        None if known.slow is None else known.slow[leaf],
        known.rates,
        tuple(replace(one, leaves=np.sort(np.concatenate([rows_of[number] for number in one.leaves.tolist()]))) for one in known.commitments),
        leaf,
    )


def _metered(n_rows: int, meters: pd.DataFrame | None) -> Floats:
    """(n_rows, 4) recent money by response."""
    money = np.zeros((n_rows, 4))
    if meters is None:
        return money
    frame = meters[meters["recent"].to_numpy(dtype=bool)]
    pairs, names = pd.factorize(pd.MultiIndex.from_frame(frame[["meter", "unit"]]))
    kinds = np.array([response_of(str(meter), str(unit)) for meter, unit in names], dtype=np.int64)
    if len(frame):
        np.add.at(money, (frame["leaf"].to_numpy(dtype=np.int64), kinds[pairs]), np.maximum(frame["cost"].to_numpy(dtype=np.float64), 0.0))
    return money


def _fitted(shares: Floats, leaf: Ints, mean: Floats, money: Floats) -> Floats:
    """(n_rows, 4) shares of each row: Σ over a leaf's rows of mean × shares is what the leaf's are (proportional fitting)."""
    n_leaves = len(shares)
    single = np.bincount(leaf, minlength=n_leaves)[leaf] == 1
    whole = np.bincount(leaf, money.sum(axis=1), minlength=n_leaves)
    scale = np.where(whole[leaf] > 0.0, 1.0 / np.where(whole[leaf] > 0.0, whole[leaf], 1.0), 0.0)
    table = (money * scale[:, None] + LEAST_PRIOR * mean[:, None]) * (shares[leaf] > 0.0)
    size = np.bincount(leaf, mean, minlength=n_leaves)[leaf]
    wanted = np.where(size > 0.0, mean / np.where(size > 0.0, size, 1.0), 0.0)
    for _ in range(ROUNDS):
        columns = np.stack([np.bincount(leaf, table[:, kind], minlength=n_leaves) for kind in range(4)], axis=1)
        table *= np.divide(shares, columns, out=np.zeros_like(shares), where=columns > 0.0)[leaf]
        rows = table.sum(axis=1)
        table *= np.divide(wanted, rows, out=np.zeros_like(rows), where=rows > 0.0)[:, None]
    rows = table.sum(axis=1, keepdims=True)
    # Rows without spend, and leaves of one row, follow usage as the leaf does.
    usual = (rows[:, 0] <= 0.0) | single
    found = np.where(usual[:, None], shares[leaf], table / np.where(rows > 0.0, rows, 1.0))
    found[found < LEAST_SHARE] = 0.0
    return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float64)
