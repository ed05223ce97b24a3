"""Planned events as resources; the next training makes them part of the forecast."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from forecast.errors import NotFoundError
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.event_schemas import EventAnswer, EventBody, EventList
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of
from forecast.spend.events import PlannedEvent, describe
from forecast.workflows.event_answers import check_scope


async def put_event(request: Request, event_id: str, body: EventBody) -> Response:
    """Write an event under this id: 201 where it is new, 200 where it replaces one. Its scope must have spend in the current snapshot."""
    stores = stores_of(request)
    now = datetime.now(UTC)
    entered = body.event(event_id, now.date())

    def write() -> tuple[bool, PlannedEvent]:
        if stores.records.latest_snapshot() is not None:
            check_scope(stores.current(), entered)
        event, before = entered, None
        with suppress(NotFoundError):
            before = stores.records.event(event_id)
        if before is not None and body.announced is None and replace(event, announced=before.announced) == before:
            event = before  # put again as it was: it was announced when it was put first
        stores.records.put_events([event], now=now)
        return before is None, event

    is_new, event = await stores.run(write)
    return json_response(describe(event), 201 if is_new else 200)


async def get_event(request: Request, event_id: str) -> Response:
    """One planned event."""
    stores = stores_of(request)
    return json_response(describe(await stores.run(lambda: stores.records.event(event_id))))


async def delete_event(request: Request, event_id: str) -> Response:
    """Remove a planned event."""
    stores = stores_of(request)
    await stores.run(lambda: stores.records.delete_event(event_id))
    return Response(status_code=204)


async def list_events(request: Request) -> Response:
    """All planned events, by start."""
    stores = stores_of(request)
    return json_response({"events": [describe(event) for event in await stores.run(stores.records.events)]})


_ONE = "/v1/events/{event_id}"
ROUTES = [
    JsonRoute(_ONE, put_event, methods=["PUT"], tags=["Events"], responses={**success(EventAnswer, 200, 201), **problems(400, 404, 413, 415, 422)}),
    QueryRoute(_ONE, get_event, methods=["GET"], tags=["Events"], responses={**success(EventAnswer), **problems(404, 422)}),
    QueryRoute(_ONE, delete_event, methods=["DELETE"], tags=["Events"], status_code=204, responses=problems(404, 422)),
    QueryRoute("/v1/events", list_events, methods=["GET"], tags=["Events"], responses=success(EventList)),
]
