"""Drivers as resources; the next training uses them."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.driver_schemas import DriverAnswer, DriverBody, DriverList, DriverWithValues
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of
from forecast.spend.drivers import describe


async def put_driver(request: Request, name: str, body: DriverBody) -> Response:
    """Enter values of a driver under this name, on top of those that are known: 201 where it is new, 200 where it is not."""
    stores = stores_of(request)
    now = datetime.now(UTC)
    entered = body.driver(name, now.date())
    kept, is_new = await stores.run(lambda: stores.records.put_driver(entered, now=now))
    return json_response(describe(kept), 201 if is_new else 200)


async def get_driver(request: Request, name: str) -> Response:
    """One driver with every day and version of its values."""
    stores = stores_of(request)
    driver = await stores.run(lambda: stores.records.driver(name))
    record = driver.record()
    values = [dict(zip(record, row, strict=True)) for row in zip(*record.values(), strict=True)]
    return json_response({**describe(driver), "values": values})


async def delete_driver(request: Request, name: str) -> Response:
    """Remove a driver with its values."""
    stores = stores_of(request)
    await stores.run(lambda: stores.records.delete_driver(name))
    return Response(status_code=204)


async def list_drivers(request: Request) -> Response:
    """All drivers, by name."""
    stores = stores_of(request)
    return json_response({"drivers": [describe(driver) for driver in await stores.run(stores.records.drivers)]})


_ONE = "/v1/drivers/{name}"
ROUTES = [
    JsonRoute(_ONE, put_driver, methods=["PUT"], tags=["Drivers"], responses={**success(DriverAnswer, 200, 201), **problems(400, 413, 415, 422)}),
    QueryRoute(_ONE, get_driver, methods=["GET"], tags=["Drivers"], responses={**success(DriverWithValues), **problems(404, 422)}),
    QueryRoute(_ONE, delete_driver, methods=["DELETE"], tags=["Drivers"], status_code=204, responses=problems(404, 422)),
    QueryRoute("/v1/drivers", list_drivers, methods=["GET"], tags=["Drivers"], responses=success(DriverList)),
]
