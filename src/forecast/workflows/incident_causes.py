"""Where the money of an incident came from: charge lines where they are known, else the other rows of the request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.anomalies.attribution import Contributor, root_causes
from forecast.anomalies.attribution_days import ordinary
from forecast.errors import InputError
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import DIMENSIONS
from forecast.spend.scope import Scope
from forecast.workflows.shares import recent_spend

REFERENCE_DAYS = 28
"""Ordinary days that an incident's charge lines are compared with."""
MOST_TAGS = 8
"""Tag keys that causes are looked for in."""
MOST_RESCALED = 5.0
"""A leaf's ordinary days count at most so many times more, or less, for what the forecast expects of it."""


def whole_cause(scope: Scope, excess: float) -> Contributor:
    """The scope itself: what is said where nothing narrower is known."""
    return Contributor(single_values(scope), excess, 1.0 if excess else None)


class Breakdown:
    """Charge lines by day and every dimension: the caller's fresh ones and the snapshot's recent ones."""

    def __init__(self, snapshot: Snapshot, fresh: pd.DataFrame | None) -> None:
        self.snapshot = snapshot
        self.recent = recent_spend(snapshot)
        self.fresh = fresh
        if fresh is not None:
            missing = [name for name in ("ds", "cost") if name not in fresh.columns]
            if missing:
                raise InputError(
                    f"lines have no column {missing[0]!r}", field="lines", got=list(fresh.columns), allowed="ds, dimensions, cost, quantity"
                )

    def causes(self, scope: Scope, days: Sequence[date], actual: float, expected: float) -> list[Contributor] | None:
        """Root causes within the scope, or None where the days' lines are not known."""
        wanted = np.array(days, dtype="datetime64[D]")
        known = self.recent.first_day
        if known is None:
            return None
        in_scope = self._recent_lines(scope)
        if in_scope is None:
            return None
        if (wanted <= np.datetime64(self.snapshot.cutoff, "D")).all() and (wanted >= known).all():
            current = in_scope[np.isin(in_scope["ds"].to_numpy().astype("datetime64[D]"), wanted)]
        elif self.fresh is not None:
            current = _within(self.fresh[np.isin(self.fresh["ds"].to_numpy().astype("datetime64[D]"), wanted)], scope)
        else:
            return None
        day = in_scope["ds"].to_numpy().astype("datetime64[D]")
        reference = in_scope[(day < wanted[0]) & (day >= wanted[0] - np.timedelta64(REFERENCE_DAYS, "D"))]
        if reference.empty:
            reference = in_scope[~np.isin(day, wanted)]
        if current.empty or reference.empty:
            return None
        fixed = {clause.dimension for clause in scope.clauses if not clause.exclude and len(clause.values) == 1}
        known_names = [*DIMENSIONS, *self._tag_names()]
        dimensions = [name for name in known_names if name not in fixed and name in current.columns and name in reference.columns]
        found = root_causes(current, self._as_expected(ordinary(reference, wanted), wanted), dimensions, actual=actual, expected=expected)
        base = single_values(scope)
        return [cause if cause.rest else replace(cause, scope={**base, **cause.scope}) for cause in found]

    def _as_expected(self, usual: pd.DataFrame, days: NDArray[np.datetime64]) -> pd.DataFrame:
        """The ordinary lines with each leaf's money as the snapshot expects it of these days; as they are where it says nothing of all of them."""
        step = (days - np.datetime64(self.snapshot.cutoff, "D")).astype(np.int64) - 1
        daily = int(((self.snapshot.ends - self.snapshot.starts).astype(np.int64) == 1).sum())
        if "leaf" not in usual.columns or step.min() < 0 or step.max() >= daily:
            return usual
        leaf, place = np.unique(usual["leaf"].to_numpy(dtype=np.int64), return_inverse=True)
        before = np.bincount(place, weights=usual["cost"].to_numpy(dtype=np.float64))
        ahead = self.snapshot.leaf_paths[leaf][:, step].mean(axis=2, dtype=np.float64).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(before > 0.0, ahead / before, 1.0)
        factor = np.clip(factor, 1.0 / MOST_RESCALED, MOST_RESCALED)[place]
        return usual.assign(**{name: usual[name] * factor for name in ("cost", "quantity") if name in usual})

    def _tag_names(self) -> list[str]:
        """Tag keys that causes are looked for in, beside the dimensions."""
        return [name for name in self.recent.tag_keys if name not in DIMENSIONS][:MOST_TAGS]

    def _recent_lines(self, scope: Scope) -> pd.DataFrame | None:
        hierarchy, recent = self.snapshot.hierarchy, self.recent
        mask = np.ones(len(recent.cost), dtype=bool)
        try:
            mask &= hierarchy.leaf_mask(scope)[recent.leaf]
            for clause in scope.clauses:
                if clause.dimension not in hierarchy.dimensions:
                    mask &= recent.matches(clause)
        except InputError:
            return None
        frame = recent.frame[mask]
        missing = [name for name in hierarchy.dimensions if name not in frame.columns]
        columns: dict[str, Any] = {name: hierarchy.leaves[name].to_numpy()[recent.leaf[mask]] for name in missing}
        for name in self._tag_names():
            if name not in frame.columns and name not in columns:
                codes, values = recent.column(name)
                columns[name] = pd.Categorical.from_codes(codes[mask], categories=pd.Index(values))
        return frame.assign(**columns) if columns else frame


def _within(frame: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """Lines that meet the scope's conditions on columns that the frame has."""
    mask = np.ones(len(frame), dtype=bool)
    for clause in scope.clauses:
        if clause.dimension in frame.columns:
            inside = frame[clause.dimension].isin(clause.values).to_numpy()
            mask &= ~inside if clause.exclude else inside
    return frame[mask]


class Others:
    """The other rows of the request: where no charge lines are known, they are the breakdown. expected : (m,) of each row."""

    def __init__(self, scopes: Sequence[Scope], days: Sequence[date], costs: Sequence[float], expected: Sequence[float]) -> None:
        self.costs, self.expected = costs, expected
        self.row_of = {(scope, day): number for number, (scope, day) in enumerate(zip(scopes, days, strict=True))}
        self.inside: dict[Scope, list[tuple[str, Scope]]] = {}
        for inner in dict.fromkeys(scopes):
            if inner.as_values() is not None:
                for clause in inner.clauses:
                    outer = Scope(tuple(other for other in inner.clauses if other != clause))
                    self.inside.setdefault(outer, []).append((clause.dimension, inner))

    def causes(self, scope: Scope, days: Sequence[date], excess: float) -> list[Contributor]:
        """Rows that narrow the scope by one dimension, the dimension whose rows explain the excess best; else the scope itself."""
        impacts: dict[str, dict[Scope, float]] = {}
        for dimension, inner in self.inside.get(scope, ()):
            for day in days:
                number = self.row_of.get((inner, day))
                if number is None or not math.isfinite(self.expected[number]):
                    continue
                of_values = impacts.setdefault(dimension, {})
                of_values[inner] = of_values.get(inner, 0.0) + self.costs[number] - self.expected[number]
        whole = [whole_cause(scope, excess)]
        if not impacts or not excess:
            return whole
        best = min(sorted(impacts), key=lambda name: abs(excess - sum(impacts[name].values())))
        ranked = sorted(impacts[best].items(), key=lambda item: (-item[1] * math.copysign(1.0, excess), str(item[0])))
        found = [Contributor(single_values(inner), impact, impact / excess) for inner, impact in ranked if abs(impact) >= 0.05 * abs(excess)]
        rest = excess - sum(cause.impact for cause in found)
        if not found:
            return whole
        if abs(rest) > 1e-9 * abs(excess):
            found.append(Contributor({}, rest, rest / excess, rest=True))
        return found


def single_values(scope: Scope) -> dict[str, str]:
    """The dimensions of a scope that have one value."""
    return {clause.dimension: clause.values[0] for clause in scope.clauses if not clause.exclude and len(clause.values) == 1}
