"""Money and quantities of every metered item on a span of days, scaled so that they belong to the leaves' own money.

An item is an AI model and meter of one leaf, in one unit. Quantities are kept by calendar month and for the last month; a part of a
month takes the month's items in proportion to the leaf's own money of those days. What of a leaf's money has no item is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.meters import meter_kind
from forecast.workflows.leaf_days import Floats, LeafDays, leaf_days

Ints = NDArray[np.int64]

LARGEST_FACTOR = 5.0
"""Money of a leaf's days that is beyond so many times what its items cost is no usage of these items."""


@dataclass(frozen=True, eq=False)
class LeafMeters:
    """The snapshot's metered items.

    leaf : (n_items,) row number of the leaf. names : what items are called: (AI model, meter, unit), sorted; name : (n_items,) which of them.
    group : (n_items,) items that stand in for each other: one leaf, one kind of meter, one unit. family : (n_items,) number of the leaf, AI
    model and meter, whose unit may change. has_unit : (n_items,) False where the bill gives none.
    item, block, cost, quantity : (n_rows,) what was metered in each block. starts, stops : (n_blocks,) its columns in `LeafDays`.
    recent : number of the block of the last month.
    """

    leaf: Ints
    names: tuple[tuple[str, str, str], ...]
    name: Ints
    group: Ints
    family: Ints
    has_unit: NDArray[np.bool_]
    item: Ints
    block: Ints
    cost: Floats
    quantity: Floats
    starts: Ints
    stops: Ints
    recent: int

    def within(self, days: LeafDays, billed: Floats, columns: slice) -> tuple[Floats, Floats]:
        """(n_items,) money and quantity of the items on known days. billed : (n_leaves, n_known) learnt money as billed."""
        n_leaves = len(billed)
        factor = np.zeros((n_leaves, len(self.starts)))
        for block, (start, stop) in enumerate(zip(self.starts.tolist(), self.stops.tolist(), strict=True)):
            first, last = max(start, columns.start), min(stop, columns.stop)
            if block != self.recent and first < last:
                factor[:, block] = _ratio(days.learnt[:, first:last].sum(axis=1), billed[:, start:stop].sum(axis=1), (last - first) / (stop - start))
        return self._scaled(factor)

    def lately(self, days: LeafDays, billed: Floats) -> tuple[Floats, Floats]:
        """(n_items,) money and quantity of the items in the last month."""
        factor = np.zeros((len(billed), len(self.starts)))
        start, stop = int(self.starts[self.recent]), int(self.stops[self.recent])
        factor[:, self.recent] = _ratio(days.learnt[:, start:stop].sum(axis=1), billed[:, start:stop].sum(axis=1), 1.0)
        return self._scaled(factor)

    def _scaled(self, factor: Floats) -> tuple[Floats, Floats]:
        own = factor[self.leaf[self.item], self.block]
        size = len(self.leaf)
        return (
            np.bincount(self.item, weights=own * self.cost, minlength=size).astype(np.float64),
            np.bincount(self.item, weights=own * self.quantity, minlength=size).astype(np.float64),
        )


def _ratio(wanted: Floats, given: Floats, usual: float) -> Floats:
    """wanted ÷ given; `usual` where that is no sensible part of it."""
    found = np.divide(wanted, given, out=np.full(len(given), usual), where=given > 0.0)
    return np.where((found >= 0.0) & (found <= LARGEST_FACTOR), found, usual)


def leaf_meters(snapshot: Snapshot) -> LeafMeters | None:
    """The snapshot's items, prepared once per snapshot; None where it keeps no quantities."""
    if snapshot.meters is None or snapshot.meters.empty:
        return None
    found: LeafMeters | None = snapshot.__dict__.get("_leaf_meters")
    if found is None:
        found = _leaf_meters(snapshot, snapshot.meters)
        snapshot.__dict__["_leaf_meters"] = found
    return found


def _leaf_meters(snapshot: Snapshot, frame: pd.DataFrame) -> LeafMeters:
    item, unique = pd.factorize(pd.MultiIndex.from_frame(frame[["leaf", "ai_model", "meter", "unit"]]), sort=True)
    items = pd.DataFrame(list(unique), columns=["leaf", "ai_model", "meter", "unit"])
    items["kind"] = items["meter"].map({meter: meter_kind(str(meter)) for meter in items["meter"].unique()})
    name, names = pd.factorize(pd.MultiIndex.from_frame(items[["ai_model", "meter", "unit"]]), sort=True)
    spans = pd.MultiIndex.from_frame(frame[["recent", "start", "end"]])
    block, blocks = pd.factorize(spans, sort=True)
    table = pd.DataFrame(list(blocks), columns=["recent", "start", "end"])
    origin = leaf_days(snapshot).days[0]
    starts, stops = ((table[name].to_numpy().astype("datetime64[D]") - origin).astype(np.int64) for name in ("start", "end"))
    return LeafMeters(
        items["leaf"].to_numpy(dtype=np.int64),
        tuple((str(ai_model), str(meter), str(unit)) for ai_model, meter, unit in names),
        name.astype(np.int64),
        _codes(items[["leaf", "kind", "unit"]]),
        _codes(items[["leaf", "ai_model", "meter"]]),
        (items["unit"] != "").to_numpy(),
        item.astype(np.int64),
        block.astype(np.int64),
        frame["cost"].to_numpy(dtype=np.float64),
        frame["quantity"].to_numpy(dtype=np.float64),
        starts,
        stops,
        int(np.flatnonzero(table["recent"].to_numpy(dtype=bool))[-1]),
    )


def _codes(frame: pd.DataFrame) -> Ints:
    return pd.factorize(pd.MultiIndex.from_frame(frame))[0].astype(np.int64)
