"""The BentoML service: `bentoml serve forecast.serving.service:SpendForecastService`.

BentoML brings the worker processes, health, metrics, tracing and packaging; the routes are those of `forecast.serving.app`.
Nothing is read before a worker starts: importing this module touches no file.
"""

from __future__ import annotations

import gc
from typing import Any, cast

import bentoml
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from forecast.config import load_settings
from forecast.errors import ForecastError
from forecast.serving.app import create_app
from forecast.serving.problems import HttpProblemError, ProblemMiddleware
from forecast.serving.responses import json_response
from forecast.serving.stores import Stores

APP = create_app()


@bentoml.service(
    name="spend_forecast",
    workers=1,
    # Deliveries may take minutes; BentoML answers 504 in a form of its own after this many seconds.
    traffic={"timeout": 600},
    # The access log decodes header values as UTF-8 and fails on any other byte, after the answer has begun.
    logging={"access": {"request_content_type": False, "request_content_length": False}},
)
class SpendForecastService:
    """Forecasts, overrun probabilities, spike scores and what-if answers for AI spend."""

    def __init__(self) -> None:
        self.stores = Stores(load_settings())
        APP.state.stores = self.stores
        self._warm_up()
        # One full collection takes 70 ms with everything imported; frozen objects are not looked at again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def _warm_up(self) -> None:
        try:
            self.stores.current()
        except (HttpProblemError, ForecastError, OSError):
            return  # not ready, and says so at /readyz; a snapshot that comes later is found by the first question

    async def __is_ready__(self) -> bool:
        return await self.stores.run(self.stores.is_ready)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def close(self) -> None:
        self.stores.close()


_SERVICE = cast(Any, SpendForecastService)  # the decorator has made a bentoml.Service of the class; its types are not published


async def show_document(_request: Request) -> Response:
    """BentoML's document, which has all mounted routes, under the version that its schemas are written in."""
    document: dict[str, Any] = _SERVICE.openapi_spec.asdict()
    return json_response({**document, "openapi": "3.1.0"})


# Pydantic writes JSON Schema 2020-12 (`type: null`, numeric exclusive bounds), which is OpenAPI 3.1; BentoML labels it 3.0.2.
APP.router.routes.append(APIRoute("/docs.json", show_document, methods=["GET"], include_in_schema=False))
_SERVICE.add_asgi_middleware(ProblemMiddleware)
_SERVICE.mount_asgi_app(APP, path="/")
