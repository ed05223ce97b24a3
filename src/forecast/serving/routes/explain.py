"""Why will it cost more or less than last time?"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.answers import ExplainAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, stores_of
from forecast.serving.schemas import ExplainRequest
from forecast.workflows.explanation import explanation_answer


async def explain(request: Request, body: ExplainRequest) -> Response:
    """What makes a period cost more or less than the one before, in contributions that add up to the difference."""
    stores = stores_of(request)
    calendar = stores.settings.calendar
    period, comparison = body.days(calendar), body.comparison(calendar)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    return await answered(
        stores,
        "explain",
        snapshot,
        body.model_dump_json(),
        lambda: explanation_answer(snapshot, scope=body.scope, period=period, comparison=comparison, group_by=body.group_by, calendar=calendar),
    )


ROUTES = [
    JsonRoute(
        "/v1/explain",
        explain,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(ExplainAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
