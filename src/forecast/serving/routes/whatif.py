"""What if we scale?"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from forecast.budgets.budget import Budget
from forecast.scenarios.plan import parse_plan
from forecast.serving.answers import WhatIfAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, prices_for, rates_for, stores_of
from forecast.serving.scenario_plans import compared_with
from forecast.serving.schemas import WhatIfRequest
from forecast.spend.periods import Period
from forecast.workflows.scenario_compare import THIS_PLAN, Compared, compare_answer
from forecast.workflows.scenario_runs import Terms
from forecast.workflows.whatif import meant_budget, whatif_answer


async def whatif(request: Request, body: WhatIfRequest) -> Response:
    """Baseline, scenario and delta over the same futures, with what each lever does and what it does to budgets."""
    stores = stores_of(request)
    calendar = stores.settings.calendar
    period = body.days(calendar)
    plan = parse_plan({"scope": str(body.scope), "start": str(period.start), "end": str(period.end), "levers": list(body.levers)})
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    stored = await stores.run(stores.records.budgets)
    budgets = touched_budgets([meant_budget(snapshot, budget, period, calendar) for budget in stored], period)
    rates = await stores.run(lambda: rates_for(stores, budgets, snapshot.currency))
    prices = await stores.run(lambda: prices_for(stores))
    beside = await compared_with(stores, body.compare_to, plan.period, plan.scope)
    # Budgets and their rates as they are now are part of the key: they may be put anew between two answers.
    canonical = json.dumps([body.model_dump_json(), repr(beside), repr(budgets), None if rates is None else hash(rates)])

    def compute() -> dict[str, Any]:
        answer = whatif_answer(snapshot, plan, budgets, body.group_by, granularity=body.granularity, calendar=calendar, rates=rates, prices=prices)
        if beside:
            plans = [Compared(THIS_PLAN, plan), *beside]
            answer["compare"] = compare_answer(snapshot, plans, budgets, group_by=body.group_by, terms=Terms(calendar, rates, prices))
        return answer

    return await answered(stores, "whatif", snapshot, canonical, compute)


def touched_budgets(budgets: list[Budget], period: Period) -> list[Budget]:
    """Budgets that have days in common with the plan; the answer says of each whether it can be compared."""
    return [budget for budget in budgets if budget.start < period.end and budget.end > period.start]


ROUTES = [
    JsonRoute(
        "/v1/whatif",
        whatif,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(WhatIfAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
