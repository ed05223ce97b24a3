"""Incidents of alternative futures, as costs: those that are still running at the cutoff, and those that the law brings afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.incident_kinds import BILLING, Draft, IncidentLaw, Recent
from forecast.company.lines import ChargeLines
from forecast.company.span import Floats, Integers
from forecast.spend.dimensions import LEAF_DIMENSIONS, UNKNOWN

_Entry = tuple[int, npt.NDArray[np.intp], Integers, Floats]
"""(future, days, series, USD), arrays of one length."""


@dataclass(frozen=True, eq=False)
class IncidentsAhead:
    """What may go wrong from day `first_day` on. recent : what is usual at the cutoff. running : incidents of the past that have not
    ended. model : the AI model that each leaf used most in the recent days, where it used any."""

    law: IncidentLaw
    recent: Recent
    running: tuple[Draft, ...]
    model: dict[int, str]
    first_day: int

    @classmethod
    def after(cls, law: IncidentLaw, lines: ChargeLines, cost: Floats, leaf_cost: Floats, drafts: Sequence[Draft], first_day: int) -> IncidentsAhead:
        """cost : (days, lines), leaf_cost : (leaves, days), without incidents; days from `first_day` on are not looked at."""
        running = tuple(draft for draft in drafts if draft.first_day < first_day < draft.end_day)
        recent = cost[max(0, first_day - 28) : first_day].sum(axis=0)
        used = pd.DataFrame({"leaf": lines.attributes["leaf"], "model": lines.attributes["ai_model"], "cost": recent}).dropna()
        by_model = used.groupby(["leaf", "model"], sort=True)["cost"].sum().sort_values(kind="stable")
        model = {int(leaf): str(name) for leaf, name in by_model.index}
        return cls(law, Recent.before(leaf_cost, first_day), running, model, first_day)

    def cost(self, keys: pd.DataFrame, cost: npt.NDArray[np.float32]) -> pd.DataFrame:
        """What incidents add to futures without them: columns future, day (number from 0), series, cost (USD, negative in a drop).

        keys : the series, columns KEY_COLUMNS. cost : (series, days, futures). As in a bill, each is the difference at its turn: those
        of use come first, then faults of the bill.
        """
        series = self._series(keys)
        found: list[_Entry] = []
        for world in range(cost.shape[2]):
            drafts = [*self.running, *self.law.future(world, self.first_day, self.first_day + cost.shape[1], self.recent)]
            before = len(found)
            for draft in sorted(drafts, key=lambda draft: (draft.kind in BILLING, draft.first_day)):
                found += self._entries(draft, world, series, keys, cost, found[before:])
        lengths = [len(amount) for _, _, _, amount in found]
        nothing = np.empty(0, dtype=np.int64)
        return pd.DataFrame(
            {
                "future": np.repeat(np.array([world for world, _, _, _ in found], dtype=np.int64), lengths),
                "day": np.concatenate([nothing, *(day for _, day, _, _ in found)]),
                "series": np.concatenate([nothing, *(place for _, _, place, _ in found)]),
                "cost": np.concatenate([np.empty(0), *(amount for _, _, _, amount in found)]),
            }
        )

    def _entries(
        self, draft: Draft, world: int, series: dict[int, Integers], keys: pd.DataFrame, cost: npt.NDArray[np.float32], earlier: list[_Entry]
    ) -> list[_Entry]:
        begin = max(draft.first_day - self.first_day, 0)
        end = min(draft.end_day - self.first_day, cost.shape[1])
        here = slice(begin + self.first_day - draft.first_day, end + self.first_day - draft.first_day)
        days = np.arange(begin, end)
        if draft.added.any():
            share = draft.added[here] / len(draft.leaves)
            return [(world, days, np.full(len(days), self._main(int(leaf), series, keys)), share) for leaf in draft.leaves if int(leaf) in series]
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(series.get(int(leaf), np.empty(0, dtype=np.int64)) for leaf in draft.leaves)])
        charged = cost[rows[:, None], days[None, :], world].astype(np.float64)
        place = np.full(len(keys), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        for _, day, row, amount in earlier:
            inside = (place[row] >= 0) & (day >= begin) & (day < end)
            np.add.at(charged, (place[row[inside]], day[inside] - begin), amount[inside])
        change = charged * (draft.factor[here] - 1.0)[None, :]
        row, day = np.nonzero(change)
        return [(world, days[day], rows[row], change[row, day])]

    def _series(self, keys: pd.DataFrame) -> dict[int, Integers]:
        """Rows of `keys` by leaf."""
        leaves = {tuple(value or UNKNOWN for value in leaf.key): number for number, leaf in enumerate(self.law.organisation.leaves)}
        number = np.array([leaves[values] for values in keys[list(LEAF_DIMENSIONS)].itertuples(index=False, name=None)], dtype=np.int64)
        return {int(leaf): np.flatnonzero(number == leaf) for leaf in np.unique(number)}

    def _main(self, leaf: int, series: dict[int, Integers], keys: pd.DataFrame) -> int:
        """The row of a leaf where additional use is charged: its main AI model, or its use."""
        rows = series[leaf]
        used = rows[(keys["charge_category"].to_numpy()[rows] == "Usage")]
        mine = used[keys["ai_model"].to_numpy()[used] == self.model.get(leaf, UNKNOWN)]
        return int((mine if len(mine) else used)[0])
