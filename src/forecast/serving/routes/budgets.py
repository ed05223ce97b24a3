"""Budgets as resources."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from forecast.budgets.budget_rows import describe
from forecast.budgets.entry import warnings_of
from forecast.serving.answers import BudgetAnswer, BudgetList
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of
from forecast.serving.schemas import BudgetBody


async def put_budget(request: Request, budget_id: str, body: BudgetBody) -> Response:
    """Write a budget under this id: 201 where it is new, 200 where it replaces one."""
    stores = stores_of(request)
    budget = body.budget(budget_id, stores.settings.calendar)

    def write() -> tuple[bool, list[str]]:
        is_new = stores.records.put_budget(budget, now=datetime.now(UTC))
        return is_new, warnings_of([budget], stores.records.budgets(), stores.settings.calendar)

    is_new, warnings = await stores.run(write)
    return json_response({**describe(budget), "warnings": warnings}, 201 if is_new else 200)


async def get_budget(request: Request, budget_id: str) -> Response:
    """One budget."""
    stores = stores_of(request)
    return json_response(describe(await stores.run(lambda: stores.records.budget(budget_id))))


async def delete_budget(request: Request, budget_id: str) -> Response:
    """Remove a budget and the history of its risk; 422 while it is the parent of others."""
    stores = stores_of(request)
    await stores.run(lambda: stores.records.delete_budget(budget_id))
    return Response(status_code=204)


async def list_budgets(request: Request) -> Response:
    """All budgets, by id."""
    stores = stores_of(request)
    return json_response({"budgets": [describe(budget) for budget in await stores.run(stores.records.budgets)]})


_ONE = "/v1/budgets/{budget_id}"
ROUTES = [
    JsonRoute(_ONE, put_budget, methods=["PUT"], tags=["Budgets"], responses={**success(BudgetAnswer, 200, 201), **problems(400, 413, 415, 422)}),
    QueryRoute(_ONE, get_budget, methods=["GET"], tags=["Budgets"], responses={**success(BudgetAnswer), **problems(404, 422)}),
    QueryRoute(_ONE, delete_budget, methods=["DELETE"], tags=["Budgets"], status_code=204, responses=problems(404, 422)),
    QueryRoute("/v1/budgets", list_budgets, methods=["GET"], tags=["Budgets"], responses=success(BudgetList)),
]
