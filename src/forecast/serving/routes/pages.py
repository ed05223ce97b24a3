"""The web page, and the interface's own description."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.page import render_empty_page, render_page
from forecast.serving.problems import HttpProblemError
from forecast.serving.responses import stores_of

_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "X-Content-Type-Options": "nosniff"}


async def show_page(request: Request) -> Response:
    """The company's forecast as a page."""
    stores = stores_of(request)
    try:
        snapshot = await stores.snapshot()
    except HttpProblemError:
        return Response(render_empty_page(), media_type="text/html", headers=_HEADERS)
    key = ("page", snapshot.id, "")
    page = stores.answers.get(key)
    if page is None:
        page = await stores.run(lambda: render_page(snapshot, stores.settings.calendar).encode())
        stores.answers.put(key, page)
    return Response(page, media_type="text/html", headers=_HEADERS)


ROUTES = [APIRoute("/", show_page, methods=["GET"], tags=["Page"], responses={200: {"content": {"text/html": {}}, "description": "HTML"}})]
