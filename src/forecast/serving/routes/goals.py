"""Goal seek: how far may a number of a plan go, and where is it best?"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from forecast.errors import PlanError
from forecast.scenarios.goal_request import read_goal
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, stores_of
from forecast.serving.scenario_plans import budgets_and_terms, key_of
from forecast.serving.scenario_schemas import GoalAnswer, GoalRequest
from forecast.serving.stores import Stores
from forecast.workflows.goal_seek import goal_answer
from forecast.workflows.scenario_runs import saved_plan


async def seek_goal(request: Request, body: GoalRequest) -> Response:
    """The furthest (or best) value of one number of a plan, its bracket, and every value that was tried."""
    stores = stores_of(request)
    goal = read_goal(body.goal)
    plan = await _plan(stores, body)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    budgets, terms = await budgets_and_terms(stores, snapshot)
    canonical = json.dumps([goal.describe(), plan, key_of(budgets, terms)], default=str)

    def compute() -> dict[str, Any]:
        return goal_answer(snapshot, plan, goal, budgets, terms=terms)

    return await answered(stores, "goal", snapshot, canonical, compute)


async def _plan(stores: Stores, body: GoalRequest) -> dict[str, Any]:
    """The plan that is asked about, as data."""
    if body.scenario_id is None:
        if body.version is not None:
            raise PlanError("version is said without a scenario_id", field="version", got=body.version, allowed="a scenario_id")
        period = body.days(stores.settings.calendar)
        return {"scope": str(body.scope), "start": str(period.start), "end": str(period.end), "levers": list(body.levers)}
    scenario_id = body.scenario_id
    if body.levers or body.period is not None or body.start is not None or body.end is not None or str(body.scope):
        raise PlanError(
            "The plan is said twice: by scenario_id and by its days, scope or levers",
            field="scenario_id",
            got=scenario_id,
            allowed="scenario_id, or days, scope and levers",
        )
    saved = await stores.run(lambda: stores.records.scenario(scenario_id, body.version))
    saved_plan(saved, stores.settings.calendar)
    return dict(saved.plan)


ROUTES = [
    JsonRoute(
        "/v1/whatif/goal",
        seek_goal,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(GoalAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
