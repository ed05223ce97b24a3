"""A plan's levers applied in a view: what they come down to there, and the map after them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forecast.scenarios.blocks import Changes
from forecast.scenarios.effects import Effects
from forecast.scenarios.plan import Plan
from forecast.spend.scope import Scope
from forecast.workflows.finer_views import finer_names
from forecast.workflows.plan_views import PlanView
from forecast.workflows.whatif_levers import LoweredLevers, lower_levers


@dataclass(frozen=True, eq=False)
class AppliedPlan:
    """levers : lowered in the view's world. final : the map after all of them. stages : what has changed inside the plan's scope after the first,
    the first two, and so on; one empty one without levers."""

    view: PlanView
    levers: LoweredLevers
    final: Effects
    stages: list[Changes]

    def inside(self, scope: Scope) -> NDArray[np.bool_]:
        """(n_places,) which places lie in a scope that the view tells."""
        return self.levers.inside(scope, self.view.inside(scope))


def apply_plan(plan: Plan, view: PlanView, *, with_stages: bool = True) -> AppliedPlan:
    """Lower the levers and let them act. Raises PlanError where one cannot be carried out, or two cannot both be."""
    levers = lower_levers(plan.levers, view.world)
    inside = levers.inside(plan.scope, view.inside(plan.scope)) if with_stages else None
    effects = levers.start(view.spending)
    stages: list[Changes] = []
    for number in levers.order:
        effects.apply(levers.lowered[number].primitives)
        if inside is not None:
            stages.append(effects.change(inside))
    return AppliedPlan(view, levers, effects, stages or [{}])


@dataclass(eq=False)
class PlanViews:
    """The views in which one plan is looked at: the main one, and one for each set of finer dimensions that only budgets name.

    make : finer dimensions → the plan applied where leaves are taken apart by them.
    """

    main: AppliedPlan
    make: Callable[[tuple[str, ...]], AppliedPlan]
    others: dict[tuple[str, ...], AppliedPlan] = field(default_factory=dict)

    def telling(self, scope: Scope) -> AppliedPlan:
        """The plan in a view that tells the scope."""
        if self.main.view.tells(scope):
            return self.main
        names = finer_names(self.main.view.snapshot, scope)
        if names not in self.others:
            self.others[names] = self.make(names)
        return self.others[names]
