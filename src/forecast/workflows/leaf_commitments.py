"""Commitments that a snapshot's bills show: what is paid whatever is used, what usage it covers, and of which leaves.

Reservations and savings plans: covered usage stands in the bills as used, the rest of the commitment as unused. Those that cover the same leaves
stand for each other, so they are taken together.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.scenarios.responses import Commitment
from forecast.scenarios.waterfall import clusters_of
from forecast.snapshot import Snapshot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_MONEY = 1e-6
"""Of money a day that is no commitment."""


def covered_rows(meters: pd.DataFrame) -> NDArray[np.bool_]:
    """(n_rows,) metered rows of usage that a commitment covers, or that is counted in the same meter and unit of a leaf as such usage."""
    if "commitment" not in meters.columns:
        return np.zeros(len(meters), dtype=bool)
    used = (meters["commitment"] != "").to_numpy() & (meters["worth"] > 0.0).to_numpy()
    item = pd.factorize(pd.MultiIndex.from_frame(meters[["leaf", "meter", "unit"]]))[0]
    return np.asarray(np.isin(item, np.unique(item[used])), dtype=np.bool_)


def leaf_commitments(snapshot: Snapshot) -> tuple[Commitment, ...]:
    """What the last month's bills say; nothing in snapshots that keep no commitments."""
    if snapshot.meters is None or "commitment" not in snapshot.meters.columns:
        return ()
    recent = snapshot.meters[snapshot.meters["recent"].to_numpy(dtype=bool)]
    recent = recent.assign(worth=_worth(recent))
    frame = recent[(recent["commitment"] != "").to_numpy()]
    used = (frame["worth"] > 0.0).to_numpy() & (frame["committed"] > 0.0).to_numpy()
    if not used.any():
        return ()
    days = (frame["end"] - frame["start"]).dt.days.to_numpy()[0]
    name, names = pd.factorize(frame["commitment"])
    leaf = frame["leaf"].to_numpy(dtype=np.int64)
    group = _groups(leaf[used], name[used], len(names))[name]
    cost, committed, worth = (frame[column].to_numpy(dtype=np.float64) / float(days) for column in ("cost", "committed", "worth"))
    found = []
    for number in np.unique(group[used]).tolist():
        own = group == number
        money, in_use = float(committed[own].sum()), float(committed[own & used].sum())
        # What is unused now would cover as much again for its money as what is used does.
        whole = max(money / in_use, 1.0)
        inside = whole * float(np.maximum(cost[own & used], 0.0).sum())
        covers = max(whole * float(worth[own & used].sum()), inside, money)
        if money > LEAST_MONEY:
            found.append(Commitment(np.unique(leaf[own & used]), money, covers, inside))
    return tuple(found)


def _worth(recent: pd.DataFrame) -> Floats:
    """(n_rows,) what covered usage would cost without: as the bills say, or else what the same meter's hours cost that are not covered."""
    worth, quantity = (recent[name].to_numpy(dtype=np.float64) for name in ("worth", "quantity"))
    item = pd.factorize(pd.MultiIndex.from_frame(recent[["leaf", "meter", "unit"]]))[0]
    plain = (recent["commitment"] == "").to_numpy() & (quantity > 0.0) & (recent["cost"] > 0.0).to_numpy()
    cost, hours = (np.bincount(item[plain], values[plain], minlength=item.max(initial=-1) + 1) for values in (recent["cost"].to_numpy(), quantity))
    price = np.divide(cost, hours, out=np.zeros(len(cost)), where=hours > 0.0)[item]
    untold = (worth > 0.0) & (worth <= recent["committed"].to_numpy(dtype=np.float64))
    return np.where(untold, np.maximum(worth, quantity * price), worth)


def _groups(leaf: Ints, name: Ints, n_names: int) -> Ints:
    """(n_names,) number of the group of each commitment: those that cover a leaf in common, directly or through others."""
    covered = [frozenset(leaf[name == number].tolist()) for number in range(n_names)]
    found = np.zeros(n_names, dtype=np.int64)
    for number, members in enumerate(clusters_of(covered)):
        found[members] = number
    return found
