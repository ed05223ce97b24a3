"""Reading a request's body: bounded, of a known content type, and JSON that is read strictly in one pass."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, cast, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from forecast.serving.problems import HttpProblemError, clipped, problem_of_validation
from forecast.serving.queries import check_names

MOST_JSON = 8 * 1024 * 1024
"""Bytes of a JSON question; 10,000 rows for the anomaly answer take about 1.5 MB."""

MOST_WRITTEN = 256 * 1024
"""Bytes of a body that somebody may have written by hand; in larger ones, which programs write, names that stand twice are not looked for."""

JSON_TYPES = frozenset({"application/json"})

Endpoint = Callable[..., Awaitable[Response]]


async def read_body(request: Request, most: int) -> bytes:
    """The whole body; HttpProblemError 413 as soon as it is known to be longer than `most` bytes, declared or not."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > most:
        raise too_large(int(declared[:20]), most)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large(size, most)
        parts.append(part)
    return b"".join(parts)


def too_large(size: int, most: int) -> HttpProblemError:
    return HttpProblemError(
        413, f"The body has {size} bytes or more; at most {most} are read.", field="body", got=size, allowed=f"at most {most} bytes"
    )


def content_type(request: Request) -> str:
    """The media type without its parameters, in lower case; empty where none was given."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def wrong_type(got: str, allowed: str) -> HttpProblemError:
    return HttpProblemError(
        415, f"The content type {got or '(none)'} is not read here; allowed: {allowed}.", field="Content-Type", got=got, allowed=allowed
    )


def check_written_once(content: bytes) -> None:
    """HttpProblemError 400 where a name stands twice in one object: one of its values would be lost, and nobody could tell which."""
    with suppress(ValueError, RecursionError):  # whoever validated the content has taken what this reader does not
        json.loads(content, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in [other for other, _ in pairs[:number]])
        raise HttpProblemError(
            400, f"The name {clipped(twice)!r} stands twice in one object of the body.", field=clipped(twice), got=twice, allowed="each name once"
        )


class JsonRoute(APIRoute):
    """A route whose body is one pydantic model, given to the endpoint as `body`; path parameters go by name.

    FastAPI documents it, and validation reads the bytes itself: one pass in Rust, strict JSON types (no text for a number,
    no number for a day), a limit on depth, and no second parser whose faults would need a second translation.
    """

    EMPTY = b""
    """What a request without a body is taken for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = cast(Endpoint, self.endpoint)
        model = cast(type[BaseModel], get_type_hints(self.endpoint)["body"])

        async def handle(request: Request) -> Response:
            got = content_type(request)
            # A client that names no type is taken at its word: the body must be JSON anyway.
            if got and got not in JSON_TYPES and not got.endswith("+json"):
                raise wrong_type(got, "application/json")
            packed = request.headers.get("content-encoding", "").strip().lower()
            if packed not in {"", "identity"}:
                told = f"The content encoding {packed[:40]} is not read here; send the JSON as it is."
                raise HttpProblemError(415, told, field="Content-Encoding", got=packed, allowed="identity")
            check_names(request.query_params.keys(), ())
            content = await read_body(request, MOST_JSON) or self.EMPTY
            try:
                body = model.model_validate_json(content)
            except ValidationError as error:
                # Answered here and not by a handler: a ValidationError from anywhere else is a bug and must not look like this.
                return problem_of_validation(error)
            if len(content) <= MOST_WRITTEN:
                check_written_once(content)
            return await endpoint(request, body=body, **request.path_params)

        return handle
