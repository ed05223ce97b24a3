"""What each leaf cost above expectation on a day: where the money of a flagged scope lies. Read from history, or from fresh charge lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.snapshot import Snapshot
from forecast.spend.dimensions import OTHER, UNKNOWN
from forecast.spend.scope import Scope
from forecast.workflows.dated_money import dated_money

Floats = NDArray[np.float64]

ORDINARY_DAYS = 28
"""Days before a day of history whose median, weekday or not, is what a leaf usually costs."""


class LeafExcess:
    """Excess by leaf and day: those of the snapshot, then combinations of values that only the fresh lines have.

    fresh : charge lines with `ds`, the leaf dimensions and `cost`; None, or lines without some dimension, and days after the cutoff
    are not known.
    """

    def __init__(self, snapshot: Snapshot, fresh: pd.DataFrame | None) -> None:
        self.snapshot = snapshot
        self.names = list(snapshot.hierarchy.dimensions)
        self.leaves = snapshot.hierarchy.leaves[self.names].astype(str).reset_index(drop=True)
        self.fresh = None if fresh is None or not {*self.names, "ds", "cost"} <= set(fresh.columns) else self._coded(fresh)
        self.kept: dict[date, Floats | None] = {}
        self.masks: dict[Scope, NDArray[np.bool_]] = {}
        self.codes = {name: pd.factorize(self.leaves[name]) for name in self.names}
        self.code_of = {name: {str(value): code for code, value in enumerate(values)} for name, (_, values) in self.codes.items()}

    def __call__(self, scope: Scope, days: Sequence[date]) -> Floats | None:
        """(n_days, n_leaves) excess of the scope's leaves, 0 for others; None where a day, or a dimension of the scope, is not known."""
        mask = self._mask(scope)
        found = [self._day(day) for day in days]
        known = [line for line in found if line is not None]
        if mask is None or len(known) < len(found):
            return None
        return np.where(mask, np.stack(known), 0.0)

    def _mask(self, scope: Scope) -> NDArray[np.bool_] | None:
        if not self.snapshot.hierarchy.covers(scope):
            return None
        if scope not in self.masks:
            mask = np.ones(len(self.leaves), dtype=np.bool_)
            for clause in scope.clauses:
                inside = self._inside(clause.dimension, clause.values)
                mask &= ~inside if clause.exclude else inside
            self.masks[scope] = mask
        return self.masks[scope]

    def _inside(self, dimension: str, values: Sequence[str]) -> NDArray[np.bool_]:
        known = [code for value in values if (code := self.code_of[dimension].get(value)) is not None]
        codes = self.codes[dimension][0]
        return codes == known[0] if len(known) == 1 else np.isin(codes, known)

    def _day(self, day: date) -> Floats | None:
        if day not in self.kept:
            past = (np.datetime64(day, "D") - self.snapshot.history_ds[-1].astype("datetime64[D]")).astype(np.int64)
            self.kept[day] = self._past(int(past)) if past <= 0 else self._ahead(day, int(past) - 1)
        return self.kept[day]

    def _past(self, offset: int) -> Floats | None:
        dated = dated_money(self.snapshot)
        column = dated.learnable.shape[1] - 1 + offset
        before = dated.learnable[:, max(0, column - ORDINARY_DAYS) : column]
        if column < 1:
            return None
        excess = dated.learnable[:, column] - np.median(before, axis=1) - dated.of_leaves.amount[:, column]
        return np.concatenate([excess, np.zeros(len(self.leaves) - len(excess))])

    def _ahead(self, day: date, step: int) -> Floats | None:
        daily = int(((self.snapshot.ends - self.snapshot.starts).astype(np.int64) == 1).sum())
        if self.fresh is None or step >= daily:
            return None
        of_day = self.fresh[self.fresh["ds"] == np.datetime64(day)]
        if of_day.empty:
            return None
        actual = np.bincount(of_day["leaf"], weights=of_day["cost"], minlength=len(self.leaves))
        expected = self.snapshot.leaf_paths[:, step].mean(axis=1, dtype=np.float64)
        actual[: len(expected)] -= expected
        return np.asarray(actual)

    def _coded(self, fresh: pd.DataFrame) -> pd.DataFrame:
        """ds, leaf, cost; leaves that only fresh lines have come after the snapshot's."""
        values = fresh[self.names].astype(object).fillna(UNKNOWN).astype(str)
        for name in self.names:
            known = set(self.leaves[name])
            if OTHER in known:
                values[name] = values[name].where(values[name].isin(known), OTHER)
        combined = pd.concat([self.leaves, values], ignore_index=True)
        codes, unique = pd.MultiIndex.from_frame(combined).factorize()
        self.leaves = pd.DataFrame(list(unique), columns=self.names)
        leaf = codes[len(combined) - len(values) :].astype(np.int64)
        days = fresh["ds"].to_numpy().astype("datetime64[D]").astype("datetime64[s]")
        return pd.DataFrame({"ds": days, "leaf": leaf, "cost": fresh["cost"].to_numpy(dtype=np.float64)})
