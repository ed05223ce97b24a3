"""Query parameters that a route does not have: refused by name, so that a filter that is misspelt does not let everything through."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from difflib import get_close_matches
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.problems import HttpProblemError, clipped


class QueryRoute(APIRoute):
    """A route whose query parameters are those that it documents, and no others."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        known = self.query_names()

        async def handle(request: Request) -> Response:
            check_names(request.query_params.keys(), known)
            return await handler(request)

        return handle

    def query_names(self) -> tuple[str, ...]:
        return tuple(parameter.alias for parameter in self.dependant.query_params)


def check_names(given: Iterable[str], known: tuple[str, ...]) -> None:
    """HttpProblemError 422 for the first parameter that is not known."""
    for name in given:
        if name not in known:
            near = get_close_matches(name[:80], known, n=1)
            told = f"There is no query parameter {clipped(name)!r} here{f'; nearest: {near[0]}' if near else ''}"
            raise HttpProblemError(422, told, field=clipped(name), got=name, allowed=", ".join(known) or "no query parameters; the body says it all")
