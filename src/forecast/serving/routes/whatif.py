"""What if we scale?"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from forecast.budgets.budget import Budget
from forecast.scenarios.plan import parse_plan
from forecast.serving.answers import WhatIfAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, stores_of
from forecast.serving.schemas import WhatIfRequest
from forecast.snapshot import Snapshot
from forecast.workflows.whatif import whatif_answer


async def whatif(request: Request, body: WhatIfRequest) -> Response:
    """Baseline, scenario and delta over the same futures, with what each lever does and what it does to budgets."""
    stores = stores_of(request)
    period = body.days(stores.settings.fiscal_start)
    plan = parse_plan({"scope": str(body.scope), "start": str(period.start), "end": str(period.end), "levers": list(body.levers)})
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    budgets = usable_budgets(await stores.run(stores.records.budgets), snapshot)
    canonical = json.dumps([body.model_dump_json(), [[budget.id, str(budget.scope), str(budget.period), budget.amount] for budget in budgets]])
    return await answered(stores, "whatif", snapshot, canonical, lambda: whatif_answer(snapshot, plan, budgets))


def usable_budgets(budgets: list[Budget], snapshot: Snapshot) -> list[Budget]:
    """Budgets that the snapshot can speak about: of its cost and currency, within the days that it sees."""
    return [
        budget
        for budget in budgets
        if budget.cost == snapshot.cost
        and budget.currency in {None, snapshot.currency}
        and budget.start >= snapshot.first_day
        and snapshot.cutoff < budget.end <= snapshot.horizon_end
    ]


ROUTES = [
    JsonRoute(
        "/v1/whatif",
        whatif,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(WhatIfAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
