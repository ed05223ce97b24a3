"""What training learns so that rows can be judged: expectations and records of every node and leaf, and the threshold of a declared rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.anomalies.known_money import with_known_money
from forecast.anomalies.snapshot_detector import fit_snapshot_detector
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.dated_money import dated_money
from forecast.workflows.replayed_series import planned_money

MOST_LEAVES_KEPT = 5000
"""Above so many leaves only nodes keep their arrays; a leaf's are then replayed when it is asked for."""
_BY_SERIES = ("ids", "location", "spread", "constant", "record")


def row_detector(snapshot: Snapshot, false_alarms_per_month: float, minimum_impact: float, *, own_days: int = 1) -> dict[str, NDArray[Any]]:
    """Arrays for `snapshot.detector` from a snapshot's history, with what is dated and planned in it.

    minimum_impact : money; own_days : as `anomalies.incidents.merge`: the replay's incidents are counted as they would be kept.
    """
    hierarchy, dated = snapshot.hierarchy, dated_money(snapshot)
    n_leaves = len(hierarchy.leaf_ids)
    groups = [*hierarchy.members, *np.arange(n_leaves)[:, None]]
    names = list(hierarchy.dimensions)
    values = hierarchy.leaves[names].astype(str).itertuples(index=False, name=None)
    scopes = [*hierarchy.nodes, *(Scope.parse(dict(zip(names, [[value] for value in row], strict=True))) for row in values)]
    arrays = fit_snapshot_detector(
        [*hierarchy.node_ids, *hierarchy.leaf_ids],
        np.concatenate([hierarchy.aggregate(dated.learnable), dated.learnable]),
        first_day=snapshot.first_day,
        false_alarms_per_month=false_alarms_per_month,
        scopes=scopes,
        due=np.stack([amount for amount, _ in dated.items(groups)]),
        planned=planned_money(snapshot, groups),
        minimum_impact=minimum_impact,
        own_days=own_days,
    )
    kept = len(groups) if n_leaves <= MOST_LEAVES_KEPT else len(hierarchy.nodes)
    arrays = {name: array[:kept] if name in _BY_SERIES else array for name, array in arrays.items()}
    return with_known_money(arrays, np.concatenate([hierarchy.aggregate(dated.known), dated.known])[:kept])
