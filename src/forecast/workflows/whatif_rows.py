"""Rows of a what-if answer: groups × buckets, and groups that only a lever brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.scenarios.brought import places_of
from forecast.scenarios.plan import Plan
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.periods import Period
from forecast.workflows.applied_plans import AppliedPlan
from forecast.workflows.readings import Reading, narrowed
from forecast.workflows.summary import distribution

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_ROWS = 20_000


class WhatifRows:
    """Groups × buckets of an answer; groups that only a lever brings have a baseline of nothing.

    groups, masks : of each group its values, and (n_places,) which places are in it. known : readings of those that have a baseline.
    Raises PlanError for more than MOST_ROWS rows.
    """

    def __init__(self, plan: Plan, names: tuple[str, ...], buckets: Sequence[Period], applied: AppliedPlan) -> None:
        self.buckets, self.n_paths = buckets, applied.view.snapshot.n_paths
        self.known = applied.view.read(plan.scope, names)
        self.readings: list[Reading | None] = list(self.known)
        self.groups = [reading.group for reading in self.known]
        self.masks = [applied.inside(reading.scope) for reading in self.known]
        levers, n_leaves = applied.levers, applied.view.world.n_leaves
        inside = applied.inside(plan.scope)
        for number, values in enumerate(levers.virtual):
            group = {name: values.get(name, UNKNOWN) for name in names}
            if group not in self.groups and inside[n_leaves + number]:
                self._add(group, levers.inside(narrowed(plan.scope, group), self._rows(applied, group) & inside[:n_leaves]))
        for row in self._brought(applied, inside):
            group = {name: str(applied.view.world.leaves[name].iloc[row]) for name in names}
            if group not in self.groups:
                self._add(group, levers.inside(narrowed(plan.scope, group), self._rows(applied, group) & inside[:n_leaves]))

        if (count := len(self.groups) * len(buckets)) > MOST_ROWS:
            told = f"the answer would have {len(self.groups)} groups × {len(buckets)} rows"
            raise PlanError(told, field="group_by" if len(buckets) == 1 else "granularity", got=count, allowed=f"at most {MOST_ROWS} rows")

    def _add(self, group: dict[str, str], mask: Bools) -> None:
        self.groups.append(group)
        self.readings.append(None)
        self.masks.append(mask)

    @staticmethod
    def _brought(applied: AppliedPlan, inside: Bools) -> list[int]:
        """Rows without spend, in the scope, at which a lever lets some arrive."""
        if applied.view.split is None:
            return []
        levers = applied.levers
        arriving = {row for lowered in levers.lowered for place in places_of(lowered) for row in levers.rows_of(place)}
        return [row for row in np.flatnonzero((applied.view.split.brought >= 0) & inside[: applied.view.world.n_leaves]).tolist() if row in arriving]

    @staticmethod
    def _rows(applied: AppliedPlan, group: dict[str, str]) -> Bools:
        """(n_leaves,) rows of a group that no spend was in before."""
        world = applied.view.world
        return np.zeros(world.n_leaves, dtype=bool) if applied.view.split is None else world.mask(group)

    def bins(self, days: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """(n_days,) number of the bucket that each day is in."""
        starts = np.array([bucket.start for bucket in self.buckets], dtype="datetime64[D]")
        return (np.searchsorted(starts, days, side="right") - 1).astype(np.int64)

    def answers(self, deltas: Sequence[Floats]) -> list[dict[str, Any]]:
        """Sorted by group. deltas : of each group (1, n_buckets, n_paths)."""
        found = []
        order = sorted(range(len(self.groups)), key=lambda number: tuple(self.groups[number].values()))
        for number in order:
            reading = self.readings[number]
            if reading is None:
                samples = np.zeros((len(self.buckets), self.n_paths))
            else:
                samples = reading.buckets(self.buckets) if len(self.buckets) > 1 else reading.totals()[None, :]
            for place, bucket in enumerate(self.buckets):
                delta = deltas[number][0, place]
                found.append(
                    {
                        "group": self.groups[number],
                        "start": bucket.start.isoformat(),
                        "end": bucket.end.isoformat(),
                        "baseline": distribution(samples[place]),
                        "scenario": distribution(samples[place] + delta),
                        "delta": distribution(delta),
                    }
                )
        return found
