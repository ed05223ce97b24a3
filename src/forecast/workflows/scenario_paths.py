"""What a plan changes on each simulated future: what two plans are compared by, and no more than that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.bins import Wanted
from forecast.scenarios.plan import Plan
from forecast.snapshot import Snapshot
from forecast.workflows.applied_plans import apply_plan
from forecast.workflows.plan_views import plan_view
from forecast.workflows.scenario_runs import USUAL, Terms
from forecast.workflows.whatif import group_names


def delta_paths(snapshot: Snapshot, plan: Plan, terms: Terms = USUAL, group_by: tuple[str, ...] | None = None) -> NDArray[np.float64]:
    """(n_paths,) change of the total of the plan's scope and days; of two plans path k is the same future.

    group_by : as the plan's answer was grouped. Raises PlanError as `whatif_answer` does, which the plan has been answered by before.
    """
    if not plan.levers:
        return np.zeros(snapshot.n_paths)
    names = group_names(snapshot, group_by)
    view = plan_view(snapshot, plan.period, plan.scope, names, plan.levers, rates=terms.rates, prices=terms.prices)
    applied = apply_plan(plan, view, with_stages=False)
    change = applied.final.change(applied.inside(plan.scope))
    (total,) = view.spending.totals([Wanted([change], np.zeros(view.world.n_days, dtype=np.int64))])
    return np.asarray(total[0, 0], dtype=np.float64)
