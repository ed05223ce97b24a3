"""Incidents: lists in pages, one in the shape that its reader wants, steps of its life, and what people say of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.incident_lists import MOST_IN_A_PAGE, IncidentFilter
from forecast.adapters.records import Records
from forecast.alerts.incident import Incident
from forecast.alerts.payloads import DEFAULT_SHAPE, SHAPES, media_type
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.incident_schemas import FeedbackAnswer, FeedbackBody, IncidentAnswer, IncidentListAnswer, StepBody, WholeIncidentAnswer
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of, to_json
from forecast.workflows.incident_answers import feedback_answer, incident_answer, incident_list, read_when, read_words, shaped

_Words = Annotated[list[str] | None, Query(max_length=50)]
_Name = Annotated[str, Query(max_length=200)]


async def list_incidents(
    request: Request,
    status: _Words = None,
    kind: _Words = None,
    severity: _Words = None,
    scope: Annotated[str, Query(max_length=4000, description="text that the incident's scope contains, such as team=ads")] = "",
    since: Annotated[str | None, Query(max_length=40, description="a part of it lies after this day or time")] = None,
    until: Annotated[str | None, Query(max_length=40, description="a part of it lies before this day or time")] = None,
    minimum_impact: Annotated[float | None, Query(description="size of the impact, whatever its direction")] = None,
    suppressed: Annotated[bool | None, Query(description="only those that people are (false) or are not (true) told of")] = None,
    limit: Annotated[int, Query(description=f"1 to {MOST_IN_A_PAGE}")] = 100,
    cursor: Annotated[str | None, Query(max_length=1000, description="next_cursor of the page before, with the same filter")] = None,
) -> Response:
    """A page of incidents, the latest start first. `If-None-Match` with the page's ETag is answered with 304 while nothing has changed."""
    records = stores_of(request).records
    wanted = IncidentFilter(
        read_words(status),
        read_words(kind),
        read_words(severity),
        scope,
        read_when(since, "since"),
        read_when(until, "until"),
        minimum_impact,
        suppressed,
    )

    def read() -> tuple[bytes, str | None]:
        page = records.incidents(wanted, limit=limit, cursor=cursor)
        return to_json(incident_list(page.incidents, page.next_cursor, records.incident_precision())), page.next_cursor

    content, following = await stores_of(request).run(read)
    headers = {}
    if following is not None:
        asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        headers["Link"] = f'<{request.url.path}?{urlencode([*asked, ("cursor", following)])}>; rel="next"'
    return _unless_known(request, content, "application/json", headers)


async def get_incident(
    request: Request,
    incident_id: str,
    shape: Annotated[str | None, Query(max_length=40, description=f"one of {', '.join(SHAPES)}: its last event as that program reads it")] = None,
) -> Response:
    """One incident with its history. With `shape`, or `Accept: application/cloudevents+json`, the message of its last event."""
    records = stores_of(request).records
    wanted = shape if shape is not None or not _wants_cloud_event(request) else DEFAULT_SHAPE

    def read() -> bytes:
        incident = records.incident(incident_id)
        return to_json(incident_answer(incident, records.feedback(incident.id)) if wanted is None else shaped(incident, wanted))

    content = await stores_of(request).run(read)
    return _unless_known(request, content, "application/json" if wanted is None else media_type(wanted), {"Vary": "Accept"})


async def acknowledge(request: Request, incident_id: str, body: StepBody) -> Response:
    """Somebody looks at it: open → acknowledged. Once more changes nothing; 409 where it is resolved."""
    return await _step(request, lambda records, now: records.acknowledge_incident(incident_id, now=now, by=body.by, why=body.why))


async def resolve(request: Request, incident_id: str, body: StepBody) -> Response:
    """Somebody says that it is over. Once more changes nothing."""
    return await _step(request, lambda records, now: records.resolve_incident(incident_id, now=now, by=body.by, why=body.why))


async def reopen(request: Request, incident_id: str, body: StepBody) -> Response:
    """Somebody says that it is not over: resolved → open. One that is not resolved stays as it is."""
    return await _step(request, lambda records, now: records.reopen_incident(incident_id, now=now, by=body.by, why=body.why))


async def give_feedback(request: Request, incident_id: str, body: FeedbackBody) -> Response:
    """Say what it was; the last word that stands counts, and decides whom such incidents are told to from now on."""
    stores = stores_of(request)
    now = datetime.now(UTC)

    def write() -> dict[str, Any]:
        said = stores.records.give_feedback(incident_id, body.verdict, now=now, by=body.by, reason=body.reason, until=body.until, days=body.days)
        return feedback_answer(*said, stores.records.incident_precision())

    return json_response(await stores.run(write), 201)


async def undo_last_feedback(request: Request, incident_id: str, by: _Name = "") -> Response:
    """Take the last word that stands back, with all its effects."""
    return await _undo(request, incident_id, None, by)


async def undo_feedback(request: Request, incident_id: str, number: int, by: _Name = "") -> Response:
    """Take the entry of this number back, with all its effects. Once more changes nothing."""
    return await _undo(request, incident_id, number, by)


async def _step(request: Request, change: Callable[[Records, datetime], Incident]) -> Response:
    stores = stores_of(request)
    now = datetime.now(UTC)
    return json_response((await stores.run(lambda: change(stores.records, now))).as_dict())


async def _undo(request: Request, incident_id: str, number: int | None, by: str) -> Response:
    stores = stores_of(request)
    now = datetime.now(UTC)

    def write() -> dict[str, Any]:
        undone = stores.records.undo_feedback(incident_id, now=now, by=by, number=number)
        return feedback_answer(*undone, stores.records.incident_precision())

    return json_response(await stores.run(write))


def _wants_cloud_event(request: Request) -> bool:
    """Whether the media type of CloudEvents is named, and plain JSON is not named before it."""
    named = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    wanted = media_type(DEFAULT_SHAPE)
    return wanted in named and "application/json" not in named[: named.index(wanted)]


def _unless_known(request: Request, content: bytes, kind: str, headers: dict[str, str]) -> Response:
    """The content with its ETag, or 304 where the caller has it."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    tagged = {**headers, "ETag": etag}
    if etag in known or known == ["*"]:
        return Response(status_code=304, headers=tagged)
    return Response(content, media_type=kind, headers=tagged)


class StepRoute(JsonRoute):
    """A step needs no words."""

    EMPTY = b"{}"


_ONE = "/v1/incidents/{incident_id}"
_STEP: dict[str, Any] = {"methods": ["POST"], "tags": ["Incidents"]}
_STEP_ANSWERS = {**success(IncidentAnswer), **problems(400, 404, 409, 413, 415, 422)}
_KNOWN: dict[int | str, dict[str, Any]] = {304: {"description": "What the caller has is what there is"}}
ROUTES = [
    QueryRoute(
        "/v1/incidents",
        list_incidents,
        methods=["GET"],
        tags=["Incidents"],
        responses={**success(IncidentListAnswer), **_KNOWN, **problems(400, 422)},
    ),
    QueryRoute(
        _ONE, get_incident, methods=["GET"], tags=["Incidents"], responses={**success(WholeIncidentAnswer), **_KNOWN, **problems(400, 404, 422)}
    ),
    StepRoute(f"{_ONE}/acknowledge", acknowledge, responses=_STEP_ANSWERS, **_STEP),
    StepRoute(f"{_ONE}/resolve", resolve, responses=_STEP_ANSWERS, **_STEP),
    StepRoute(f"{_ONE}/reopen", reopen, responses=_STEP_ANSWERS, **_STEP),
    JsonRoute(
        f"{_ONE}/feedback",
        give_feedback,
        methods=["POST"],
        tags=["Incidents"],
        status_code=201,
        responses={**success(FeedbackAnswer, 201), **problems(400, 404, 413, 415, 422)},
    ),
    QueryRoute(
        f"{_ONE}/feedback",
        undo_last_feedback,
        methods=["DELETE"],
        tags=["Incidents"],
        responses={**success(FeedbackAnswer), **problems(404, 422)},
    ),
    QueryRoute(
        f"{_ONE}/feedback/{{number}}",
        undo_feedback,
        methods=["DELETE"],
        tags=["Incidents"],
        responses={**success(FeedbackAnswer), **problems(404, 422)},
    ),
]
