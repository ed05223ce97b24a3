"""Money of a snapshot's history that comes on its date: schedules, one-offs, and the recurring items that no bill calls so. Read once a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.recurring_money import ItemMoney
from forecast.anomalies.snapshot_detector import without_recurring
from forecast.snapshot import Snapshot
from forecast.spend.known_money import ONE_OFF, SCHEDULED, money_by_day

Floats = NDArray[np.float64]

GROUPS_AT_ONCE = 500
"""Groups of leaves whose items are looked for in one pass: arrays stay small."""


@dataclass(frozen=True)
class DatedMoney:
    """Of leaves, by day of history; (n_leaves, n_days).

    known : schedules and one-offs. learnable : the rest. of_leaves : its recurring items. usual_miss : (n_days,) of the company's items.
    """

    known: Floats
    learnable: Floats
    of_leaves: ItemMoney
    usual_miss: Floats
    first_day: np.datetime64
    kept: dict[bytes, tuple[Floats, Floats]]

    def items(self, groups: Sequence[NDArray[np.int64]]) -> list[tuple[Floats, Floats]]:
        """For each group of leaves, (n_days,) money that their recurring items were expected to cost, and by how much they usually miss."""
        keys = [leaves.tobytes() for leaves in groups]
        fresh = {key: leaves for key, leaves in zip(keys, groups, strict=True) if key not in self.kept}
        waiting = iter(fresh.items())
        while some := list(islice(waiting, GROUPS_AT_ONCE)):
            sums = np.stack([self.learnable[leaves].sum(axis=0) for _, leaves in some])
            parts = [self.of_leaves.sum_of(leaves) for _, leaves in some]
            of_parts = ItemMoney(np.concatenate([part.amount for part in parts]), np.concatenate([part.came for part in parts]))
            whole = ItemMoney.of(sums, self.first_day).or_else(of_parts)
            self.kept.update(zip((key for key, _ in some), zip(whole.amount, whole.miss(self.usual_miss), strict=True), strict=True))
        return [self.kept[key] for key in keys]

    def without_items(self, history: Floats) -> Floats:
        """(n, n_days) history in which days of recurring items are not known, so that they teach nothing about the others."""
        return without_recurring(history, self.first_day.astype("datetime64[D]").item())


def dated_money(snapshot: Snapshot) -> DatedMoney:
    """What is dated in a snapshot's history."""
    found: DatedMoney | None = snapshot.__dict__.get("_dated_money")
    if found is None:
        days = snapshot.history_ds
        scheduled, once = (money_by_day(snapshot.known_money, kind, len(snapshot.leaf_history), days) for kind in (SCHEDULED, ONE_OFF))
        known = scheduled + once
        learnable = snapshot.expected_history - known
        items = ItemMoney.of(learnable, days[0])
        found = snapshot.__dict__["_dated_money"] = DatedMoney(known, learnable, items, items.usual_miss(), days[0], {})
    return found
