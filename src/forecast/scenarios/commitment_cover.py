"""A commitment to spend: what it covers, what of it is unused, and when it pays. A minimum fee is what is short of it.

A commitment of C money a day is paid whatever is used. Used money buys at the discounted price, so it covers C ÷ (1 − discount) of usage at
the price without it. For usage U at that price:

    covered = min(U, C ÷ (1 − d))     used = (1 − d)·covered     unused = C − used     cost = C + (U − covered)

so cost = used + unused + what is not covered, exactly, and it saves money where used ÷ C, the utilisation, is above 1 − d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cover:
    """Money of each day and path, all of one shape. usage : at the price without the commitment; covered : the part of it that is covered."""

    usage: Floats
    covered: Floats
    used: Floats
    unused: Floats

    @property
    def committed(self) -> Floats:
        return np.asarray(self.used + self.unused)

    @property
    def cost(self) -> Floats:
        """What is paid: the commitment, and the usage beyond it."""
        return np.asarray(self.usage - self.covered + self.committed)

    @property
    def change(self) -> Floats:
        """cost − usage: negative where the commitment saves money."""
        return np.asarray(self.committed - self.covered)

    @property
    def utilisation(self) -> float:
        """Used ÷ committed over all days and paths; 1 where nothing is committed."""
        committed = float(self.committed.sum())
        return float(self.used.sum()) / committed if committed > 0.0 else 1.0

    @property
    def coverage(self) -> float:
        """Covered ÷ usage over all days and paths; 0 where there is no usage."""
        usage = float(np.maximum(self.usage, 0.0).sum())
        return float(self.covered.sum()) / usage if usage > 0.0 else 0.0


def cover(usage: ArrayLike, committed: ArrayLike, discount: ArrayLike) -> Cover:
    """What a commitment does to usage. committed : money a day that is paid anyhow, ≥ 0. discount : 0 to below 1. They broadcast.

    Negative usage (credits) is not covered.
    """
    spent = np.asarray(usage, dtype=np.float64)
    paid = np.asarray(committed, dtype=np.float64)
    rate = 1.0 - np.asarray(discount, dtype=np.float64)
    covered = np.minimum(np.maximum(spent, 0.0), paid / rate)
    spent, covered, paid, rate = np.broadcast_arrays(spent, covered, paid, rate)
    # A commitment that is used up is used up exactly, whatever rounding makes of dividing and multiplying.
    used = np.minimum(covered * rate, paid)
    return Cover(np.asarray(spent), np.asarray(covered), np.asarray(used), np.asarray(paid - used))


def break_even_utilisation(discount: float) -> float:
    """Used ÷ committed from which on the commitment saves money."""
    return 1.0 - discount


def best_commitment(usage: ArrayLike, discount: float) -> float:
    """Commitment a day with the least expected cost for equally likely days of usage.

    cost(w) = (1 − d)·w + E[U − min(U, w)] for w = C ÷ (1 − d); its slope (1 − d) − P(U > w) is 0 at the d-quantile of U.
    """
    spent = np.maximum(np.asarray(usage, dtype=np.float64).ravel(), 0.0)
    if discount <= 0.0 or not spent.size:
        return 0.0
    return float((1.0 - discount) * np.quantile(spent, discount, method="inverted_cdf"))


def shortfall(spent: ArrayLike, fee: ArrayLike) -> Floats:
    """What is paid beyond the spend where at least `fee` is due: max(fee − spent, 0)."""
    return np.asarray(np.maximum(np.asarray(fee, dtype=np.float64) - np.asarray(spent, dtype=np.float64), 0.0))
