"""Will we overrun a budget?"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from forecast.budgets.budget import Budget
from forecast.errors import BudgetError, InputError
from forecast.serving.answers import OverrunAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, is_ready_node, stores_of
from forecast.serving.schemas import OverrunRequest
from forecast.serving.stores import Stores
from forecast.snapshot import Snapshot
from forecast.workflows.overruns import overrun_answer

_OF_A_BUDGET = frozenset({"budget_id", "as_of", "snapshot_id"})


async def overrun(request: Request, body: OverrunRequest) -> Response:
    """The chance that the period's total exceeds the amount, the money at stake, and the day when it would be used up."""
    stores = stores_of(request)
    budget = await _budget(stores, body)
    snapshot = await stores.snapshot(budget.cost, body.as_of, body.snapshot_id)
    check_currency(budget, snapshot)
    # The budget as it is now is part of the key: it may have been put anew since the last answer.
    canonical = json.dumps([body.budget_id, str(budget.scope), str(budget.period), budget.amount])

    def compute() -> dict[str, object]:
        answer = overrun_answer(snapshot, scope=budget.scope, period=budget.period, amount=budget.amount)
        return answer if body.budget_id is None else {"budget_id": body.budget_id, **answer}

    return await answered(stores, "overrun", snapshot, canonical, compute, is_quick=is_ready_node(snapshot, budget.scope))


async def _budget(stores: Stores, body: OverrunRequest) -> Budget:
    if body.budget_id is None:
        if body.amount is None:
            raise InputError(
                "amount is missing: an overrun needs a budget_id, or an amount with its days", field="amount", allowed="a number above 0"
            )
        period = body.days(stores.settings.fiscal_start)
        return Budget("ad-hoc", body.scope, period.start, period.end, body.amount, cost=body.cost)
    if more := sorted(body.model_fields_set - _OF_A_BUDGET):
        raise InputError(
            f"{', '.join(more)} cannot be given with budget_id: the budget says it", field=more[0], got=None, allowed=", ".join(sorted(_OF_A_BUDGET))
        )
    budget_id = body.budget_id
    return await stores.run(lambda: stores.records.budget(budget_id))


def check_currency(budget: Budget, snapshot: Snapshot) -> None:
    if budget.currency is not None and budget.currency != snapshot.currency:
        raise BudgetError(
            f"Budget {budget.id} is in {budget.currency}, the forecast in {snapshot.currency}",
            field="currency",
            got=budget.currency,
            allowed=snapshot.currency,
        )


ROUTES = [
    JsonRoute(
        "/v1/overrun",
        overrun,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(OverrunAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
