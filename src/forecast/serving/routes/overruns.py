"""Will we overrun a budget?"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from forecast.budgets.budget import Budget
from forecast.budgets.conversion import conversion
from forecast.errors import InputError
from forecast.serving.answers import OverrunAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, is_ready_node, rates_for, stores_of
from forecast.serving.schemas import OverrunRequest
from forecast.serving.stores import Stores
from forecast.workflows.overruns import AD_HOC, overrun_answer

QUICK_PHASES = 4
"""Phases of a budget up to which its answer is computed where it is asked, and not on a thread."""

_OF_A_BUDGET = frozenset({"budget_id", "as_of", "at", "snapshot_id"})


async def overrun(request: Request, body: OverrunRequest) -> Response:
    """The chance that the period's total exceeds the amount, the money at stake, and the day when it would be used up."""
    stores = stores_of(request)
    budget = await _budget(stores, body)
    snapshot = await stores.snapshot(budget.cost, body.as_of, body.snapshot_id)
    if body.budget_id is None and "cost" not in body.model_fields_set:
        budget = replace(budget, cost=snapshot.cost)
    rates = None if budget.currency in {None, snapshot.currency} else await stores.run(lambda: rates_for(stores, [budget], snapshot.currency))
    converted = conversion(budget, snapshot.currency, snapshot.cutoff, rates)
    # The budget and the rate as they are now are part of the key: they may have been put anew since the last answer.
    canonical = repr((budget, body.at, converted))

    def compute() -> dict[str, object]:
        return overrun_answer(snapshot, budget, rates=rates, calendar=stores.settings.calendar, at=body.at)

    # A day that is not fully billed, or a phase, takes a reading more; a quick answer is quick with a few of them.
    is_quick = is_ready_node(snapshot, budget.scope) and len(budget.phases) <= QUICK_PHASES
    return await answered(stores, "overrun", snapshot, canonical, compute, is_quick=is_quick)


async def _budget(stores: Stores, body: OverrunRequest) -> Budget:
    if body.budget_id is None:
        if body.amount is None:
            raise InputError(
                "amount is missing: an overrun needs a budget_id, or an amount with its days", field="amount", allowed="a number above 0"
            )
        if body.at is not None:
            raise InputError(
                "at chooses an occurrence of a stored budget that repeats; these days are given",
                field="at",
                got=str(body.at),
                allowed="with budget_id",
            )
        period = body.days(stores.settings.calendar)
        return Budget(AD_HOC, body.scope, period.start, period.end, body.amount, body.currency, body.cost)
    if more := sorted(body.model_fields_set - _OF_A_BUDGET):
        raise InputError(
            f"{', '.join(more)} cannot be given with budget_id: the budget says it", field=more[0], got=None, allowed=", ".join(sorted(_OF_A_BUDGET))
        )
    budget_id = body.budget_id
    return await stores.run(lambda: stores.records.budget(budget_id))


ROUTES = [
    JsonRoute(
        "/v1/overrun",
        overrun,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(OverrunAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
