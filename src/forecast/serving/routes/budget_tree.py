"""Will a company, its teams and their projects overrun together?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.rates import find_rates
from forecast.budgets.budget import Budget
from forecast.errors import BudgetError, ConfigError, InputError
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, stores_of
from forecast.serving.stores import Stores
from forecast.serving.tree_schemas import TreeAnswer, TreeRequest
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.workflows.budget_tree import budget_tree


async def tree(request: Request, body: TreeRequest) -> Response:
    """Parents and children jointly: who overruns, who brings it about, and what taking them as independent would get wrong."""
    stores = stores_of(request)
    budgets = await stores.run(stores.records.budgets) if body.budgets is None else _ad_hoc(stores, body)
    named = next((budget for budget in budgets if budget.id == body.budget_id), None)
    if named is not None and "cost" in body.model_fields_set and body.cost != named.cost:
        raise InputError(f"Budget {named.id} counts {named.cost} cost, not {body.cost}", field="cost", got=body.cost, allowed=named.cost)
    snapshot = await stores.snapshot(body.cost if named is None else named.cost, body.as_of, body.snapshot_id)
    # Budgets that belong to a hierarchy are part of the key: one may have been put anew since the last answer.
    parents = {budget.parent for budget in budgets}
    related = [budget for budget in budgets if budget.parent is not None or budget.id in parents or budget.id == body.budget_id]
    canonical = json.dumps([body.budget_id, str(body.at), repr(related)])

    def compute() -> dict[str, Any]:
        rates = _rates(stores, related, snapshot)
        return budget_tree(snapshot, related, body.budget_id, at=body.at, calendar=stores.settings.calendar, rates=rates)

    return await answered(stores, "overrun tree", snapshot, canonical, compute)


def _ad_hoc(stores: Stores, body: TreeRequest) -> list[Budget]:
    found: dict[str, Budget] = {}
    for number, asked in enumerate(body.budgets or ()):
        try:
            budget = asked.budget(asked.id, stores.settings.calendar)
        except InputError as error:
            kind = BudgetError if isinstance(error, BudgetError) else InputError
            raise kind(f"budgets[{number}]: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
        if budget.id in found:
            raise BudgetError(f"budgets[{number}]: the id {budget.id!r} is there twice", field="id", got=budget.id, allowed="each id once")
        found[budget.id] = budget
    return list(found.values())


def _rates(stores: Stores, budgets: Sequence[Budget], snapshot: Snapshot) -> Rates | None:
    """The table of rates, read only where a budget is in another currency."""
    if all(budget.currency in {None, snapshot.currency} for budget in budgets):
        return None
    try:
        return find_rates(stores.settings.rates, stores.settings.home)
    except InputError as error:
        raise ConfigError(f"A file of the settings cannot be used: {error}") from error


ROUTES = [
    JsonRoute(
        "/v1/overrun/tree",
        tree,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(TreeAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
