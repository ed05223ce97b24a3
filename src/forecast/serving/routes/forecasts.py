"""What will we spend?"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.answers import ForecastAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import answered, is_ready_node, stores_of
from forecast.serving.schemas import ForecastRequest
from forecast.workflows.forecasts import forecast_answer


async def forecast(request: Request, body: ForecastRequest) -> Response:
    """Totals and series with quantiles, the snapshot's id, and the backtest record of the scope."""
    stores = stores_of(request)
    calendar = stores.settings.calendar
    period = body.days(calendar)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    return await answered(
        stores,
        "forecast",
        snapshot,
        body.model_dump_json(),
        lambda: forecast_answer(
            snapshot,
            scope=body.scope,
            period=period,
            granularity=body.granularity,
            group_by=body.group_by,
            quantiles=body.quantiles,
            calendar=calendar,
        ),
        is_quick=not body.group_by and is_ready_node(snapshot, body.scope),
    )


ROUTES = [
    JsonRoute(
        "/v1/forecast",
        forecast,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(ForecastAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
