"""A forecaster of leaves that also forecasts the nodes above them, and reconciles the two.

Leaves of AI spend churn: a new model takes over from an old one, a workload moves to another team, and what is lost and won adds up to nearly
nothing. Totals are therefore forecast once more as series of their own, by the same forecaster, and the leaves' joint paths are moved towards them
(`minimum_trace.py`). Answers stay sums of leaves; the record of what else was tried is in `docs/decisions/0011-reconciliation.md`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Self

import numpy as np
import pandas as pd

from forecast.errors import InputError, NotFittedError
from forecast.forecasters.base import PointForecaster
from forecast.forecasters.combination import MEMBERS, SpendForecaster
from forecast.forecasters.history import Floats, History, Ints
from forecast.forecasters.minimum_trace import reconcile, stretches
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy, sum_rows

MOST_NODES = 300
"""Nodes that are forecast on their own: a level that would make it more is left out, and those after it."""

MOST_DIMENSIONS = 1
"""Levels of more dimensions are not forecast on their own: pairs of dimensions cost time and added nothing."""

_STREAM = 2
"""Of the seed: nodes draw beside the leaves, whose paths stay what they are without them."""

KINDS: dict[str, type[PointForecaster]] = {"SpendForecaster": SpendForecaster, **{kind.__name__: kind for kind in MEMBERS.values()}}


class ReconciledForecaster:
    """Joint sample paths of leaves, as `base.Forecaster` gives them, reconciled with forecasts of the nodes above.

    forecaster : an unfitted one (None: `SpendForecaster(threads=threads)`); a copy of it learns the leaves, another the nodes. strength : share of
    the move that is made; 0 leaves the paths as they are. Without a hierarchy, without a node of two leaves, and where series end on different
    days, it is the forecaster inside.
    """

    def __init__(self, forecaster: PointForecaster | None = None, strength: float = 1.0, threads: int = 1) -> None:
        self.forecaster = forecaster
        self.strength = strength
        self.threads = threads

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"forecaster": self.forecaster, "strength": self.strength, "threads": self.threads}

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None) -> Self:
        """Learn from a long panel (`unique_id, ds, y`) of leaves. Ends in `forecaster_`, `upper_` (None where nothing is reconciled) and `nodes_`.

        Raises what `base.Forecaster.fit` raises, and InputError for a strength outside 0 to 1.
        """
        if not 0.0 <= self.strength <= 1.0:
            raise InputError(
                f"strength is not usable: got {self.strength!r}, allowed is 0 to 1", field="strength", got=self.strength, allowed="0 to 1"
            )
        self.forecaster_ = self._copy().fit(panel, hierarchy=hierarchy)
        history = self.forecaster_.history_
        self.nodes_: dict[str, Ints] = {} if hierarchy is None or not self.strength else _upper_nodes(hierarchy, history.ids)
        self.upper_: PointForecaster | None = None
        if self.nodes_ and _one_end(history):
            self.upper_ = self._copy().fit(_node_panel(history, self.nodes_))
        return self

    def update(self, new_rows: pd.DataFrame) -> Self:
        """Take in newer rows without learning again, see `base.Forecaster.update`. While some series have newer rows than others, nothing is
        reconciled."""
        history = self._fitted().update(new_rows).history_
        if self.upper_ is not None and _one_end(history):
            self.upper_.update(_node_panel(history, self.nodes_))
        return self

    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        """`n_paths` joint futures of `horizon` periods. Same seed, same bytes."""
        inner = self._fitted()
        paths = inner.simulate(horizon, n_paths, seed)
        history, upper = inner.history_, self.upper_
        if upper is None or not _one_end(history) or upper.history_.grid[-1] != history.grid[-1]:
            return paths
        own = upper.simulate(horizon, n_paths, int(np.random.SeedSequence([seed, _STREAM]).generate_state(1)[0]))
        order = pd.Index(own.ids).get_indexer(pd.Index(list(self.nodes_)))
        reconcile(
            paths.values,
            own.values[order],
            list(self.nodes_.values()),
            stretches(inner.bank_.edges, horizon),
            ~history.additive,
            strength=self.strength,
            threads=inner.threads,
        )
        return paths

    @property
    def card_(self) -> dict[str, Any]:
        """Facts for the model card: those of the forecaster inside, and what was reconciled."""
        inner: dict[str, Any] = dict(getattr(self._fitted(), "card_", {}))
        said = f"leaves reconciled with {len(self.nodes_)} nodes above" if self.upper_ is not None else "bottom-up: nothing to reconcile with"
        return {**inner, "notes": [*inner.get("notes", []), said]}

    def state(self) -> dict[str, Any]:
        """What was learned as plain data."""
        return {
            "forecaster": type(self).__name__,
            "params": {"strength": self.strength},
            "leaves": self._fitted().state(),
            "upper": None if self.upper_ is None else self.upper_.state(),
            "nodes": dict(self.nodes_),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The forecaster that `state` was taken from; it simulates the same bytes."""
        leaves = state["leaves"]
        kind = KINDS[leaves["forecaster"]]
        self = cls(kind(**leaves["params"]), **state["params"])
        self.forecaster_ = kind.from_state(leaves)
        self.upper_ = None if state["upper"] is None else kind.from_state(state["upper"])
        self.nodes_ = {name: np.asarray(rows, dtype=np.int64) for name, rows in state["nodes"].items()}
        return self

    def _copy(self) -> PointForecaster:
        given = SpendForecaster(threads=self.threads) if self.forecaster is None else self.forecaster
        return type(given)(**deepcopy(given.get_params(deep=False)))

    def _fitted(self) -> PointForecaster:
        found: PointForecaster | None = getattr(self, "forecaster_", None)
        if found is None:
            raise NotFittedError("ReconciledForecaster is not fitted: call fit(panel) before simulate")
        return found


def _upper_nodes(hierarchy: Hierarchy, ids: tuple[str, ...]) -> dict[str, Ints]:
    """Name → rows of its leaves in `ids`, of the nodes that are forecast on their own: two leaves at least, and no set of leaves twice."""
    row_of = pd.Index(ids).get_indexer(pd.Index(hierarchy.leaf_ids))
    levels: dict[tuple[str, ...], dict[str, Ints]] = {}
    for scope, name, members in zip(hierarchy.nodes, hierarchy.node_ids, hierarchy.members, strict=True):
        if len(members) > 1 and len(scope.dimensions) <= MOST_DIMENSIONS:
            levels.setdefault(tuple(scope.dimensions), {})[name] = np.sort(row_of[members]).astype(np.int64)
    found: dict[str, Ints] = {}
    seen: set[bytes] = set()
    for level in levels.values():
        new = {name: rows for name, rows in level.items() if rows.tobytes() not in seen}
        if len(found) + len(new) > MOST_NODES:
            break
        found.update(new)
        seen.update(rows.tobytes() for rows in new.values())
    return found


def _one_end(history: History) -> bool:
    return bool((history.last == history.last[0]).all())


def _node_panel(history: History, nodes: dict[str, Ints]) -> pd.DataFrame:
    """The nodes' sums as a long panel. A leaf's unknown day inside its history counts as the day before; outages as what was billed."""
    known = history.values.copy()
    known[history.outage_cells[:, 0], history.outage_cells[:, 1]] = history.outage_values
    known = np.where(np.isfinite(known), known, history.filled)
    sums: Floats = np.stack([sum_rows(known, rows) for rows in nodes.values()])
    names = np.array(list(nodes), dtype=object)
    return pd.DataFrame({"unique_id": np.repeat(names, sums.shape[1]), "ds": np.tile(history.grid.to_numpy(), len(names)), "y": sums.ravel()})
