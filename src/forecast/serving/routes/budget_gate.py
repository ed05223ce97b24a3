"""May a run go on, and how did a budget's risk go?"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.kept_snapshots import kept_snapshots
from forecast.adapters.rates import find_rates
from forecast.budgets.budget import Budget
from forecast.budgets.occurrence import occurrence
from forecast.errors import ConfigError, InputError
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.gate_schemas import GateAnswer, GateRequest, HistoryAnswer
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of
from forecast.serving.stores import Stores
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.periods import parse_day
from forecast.workflows.gate import gate_answer, read_run
from forecast.workflows.risk_history import history_answer


async def gate(request: Request, budget_id: str, body: GateRequest) -> Response:
    """go, warn or stop for a run by the probability that its budget is exceeded. 200 whatever it says: `decision` is the answer."""
    stores = stores_of(request)
    plan, report = read_run(planned=body.planned, low=body.low, high=body.high, spent=body.spent, progress=body.progress, since=body.since)
    stored = await stores.run(lambda: stores.records.budget(budget_id))
    today = body.at or datetime.now(ZoneInfo(stores.settings.time_zone)).date()
    snapshot = await _snapshot(stores, stored, body)

    def compute() -> dict[str, Any]:
        asked = occurrence(stored, today, stores.settings.calendar)
        rates = rates_of(stores, stored, snapshot)
        return gate_answer(snapshot, asked, plan=plan, report=report, warn=body.warn, stop=body.stop, today=today, rates=rates)

    return json_response(await stores.run(compute))


async def history(
    request: Request,
    budget_id: str,
    since: Annotated[str | None, Query(max_length=40, description="only trainings whose last day is this one or later")] = None,
) -> Response:
    """What each training said of the budget, the oldest first, as it was said then."""
    stores = stores_of(request)
    first = None if since is None else parse_day(since, "since")
    return json_response(await stores.run(lambda: _history(stores, budget_id, first)))


def _history(stores: Stores, budget_id: str, since: date | None) -> dict[str, Any]:
    stored, risks = stores.records.budget(budget_id), stores.records.risks(budget_id, since)
    kept = kept_snapshots(stores.records, stores.snapshots, cost=stored.cost, without={risk.snapshot_id for risk in risks}, since=since)
    rates, calendar = rates_of(stores, stored, None), stores.settings.calendar
    return history_answer(stored, risks, kept, now=datetime.now(UTC), since=since, rates=rates, calendar=calendar)


async def _snapshot(stores: Stores, budget: Budget, body: GateRequest) -> Snapshot | None:
    """The snapshot that answers; None before the first training: a run can be gated by its plan alone."""
    chosen = body.as_of is not None or body.snapshot_id is not None
    if not chosen and await stores.run(lambda: stores.records.latest_snapshot(budget.cost)) is None:
        return None
    return await stores.snapshot(budget.cost, body.as_of, body.snapshot_id)


def rates_of(stores: Stores, budget: Budget, snapshot: Snapshot | None) -> Rates | None:
    """The table of rates, read only for a budget that names a currency and may need it."""
    if budget.currency is None or (snapshot is not None and budget.currency == snapshot.currency):
        return None
    try:
        return find_rates(stores.settings.rates, stores.settings.home)
    except InputError as error:
        raise ConfigError(f"A file of the settings cannot be used: {error}") from error


ROUTES = [
    JsonRoute(
        "/v1/budgets/{budget_id}/gate",
        gate,
        methods=["POST"],
        tags=["Budgets"],
        responses={**success(GateAnswer), **problems(400, 404, 413, 415, 422)},
    ),
    QueryRoute(
        "/v1/budgets/{budget_id}/history",
        history,
        methods=["GET"],
        tags=["Budgets"],
        responses={**success(HistoryAnswer), **problems(400, 404, 422)},
    ),
]
