"""What a plan changes on each simulated future: what two plans are compared by, and no more than that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.bins import Wanted
from forecast.scenarios.plan import Plan
from forecast.snapshot import Snapshot
from forecast.workflows.scenario_runs import USUAL, Terms
from forecast.workflows.scenario_world import scenario_world
from forecast.workflows.whatif_levers import lower_levers


def delta_paths(snapshot: Snapshot, plan: Plan, terms: Terms = USUAL) -> NDArray[np.float64]:
    """(n_paths,) change of the total of the plan's scope and days; of two plans path k is the same future.

    Raises PlanError as `whatif_answer` does, which the plan has been answered by before.
    """
    if not plan.levers:
        return np.zeros(snapshot.n_paths)
    world, spending = scenario_world(snapshot, plan.period, rates=terms.rates, prices=terms.prices)
    levers = lower_levers(plan.levers, world)
    effects = levers.start(spending)
    for number in levers.order:
        effects.apply(levers.lowered[number].primitives)
    change = effects.change(levers.inside(plan.scope, snapshot.hierarchy.leaf_mask(plan.scope)))
    (total,) = spending.totals([Wanted([change], np.zeros(world.n_days, dtype=np.int64))])
    return np.asarray(total[0, 0], dtype=np.float64)
