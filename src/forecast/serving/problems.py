"""RFC 9457 problem+json for everything that goes wrong: ours, the framework's, and BentoML's own answers.

`errors` holds one entry per fault: `{field, got, allowed, message}`. A fault of the service never looks like the
caller's: anything unexpected is a 500 with its traceback in the log.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecast.errors import ForecastError, InputError, UnknownScopeError
from forecast.serving.error_map import TITLES, status_of

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20
LONGEST_TEXT = 200
LOGGER = logging.getLogger("forecast.serving")

_KIND = "urn:ai-spend-forecast:problem:"
_PLACES = ("query", "path", "body")
_LIMITS = {
    "gt": "more than {}",
    "ge": "at least {}",
    "lt": "less than {}",
    "le": "at most {}",
    "max_length": "at most {} long",
    "min_length": "at least {} long",
    "pattern": "text that matches {}",
    "expected": "{}",
}

_FORMS = {
    "missing": "a value",
    "json_invalid": "JSON",
    "finite_number": "a finite number",
    "too_long": "fewer items",
    "string_unicode": "text in UTF-8",
}
_FORM_WORDS = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "string": "text",
    "datetime": "an ISO 8601 time",
    "date": "a day such as 2027-03-01",
    "tuple": "a list",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
}
"""What a fault of this kind should have been, by a word in its type; the first that fits."""


class HttpProblemError(Exception):
    """A fault that only exists over HTTP: a body that is too large, a content type that is not read, no snapshot yet."""

    def __init__(self, status: int, detail: str, *, field: str | None = None, got: Any = None, allowed: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = [] if field is None else [fault(field, got, allowed, detail)]


def problem(
    status: int,
    detail: str,
    errors: Sequence[Mapping[str, Any]] = (),
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """One problem as a response. `kind` names a class of problem; without it the status says all there is to say."""
    body = {
        "type": "about:blank" if kind is None else _KIND + kind,
        "title": TITLES.get(status) or _phrase(status),
        "status": status,
        "detail": detail,
        "errors": list(errors),
        **(more or {}),
    }
    return Response(json.dumps(body, ensure_ascii=True, allow_nan=False), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Problem"


def fault(field: str | None, got: Any, allowed: str | None, message: str) -> dict[str, Any]:
    """One entry of `errors`."""
    return {"field": field, "got": shown(got), "allowed": allowed, "message": clipped(message, 2000)}


def shown(value: Any) -> Any:
    """A value as it may stand in an answer: JSON, short, and finite."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 2**53 else "an integer beyond 2^53"
    if isinstance(value, str):
        return clipped(value)
    if isinstance(value, Mapping):
        return f"an object with {len(value)} members"
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return f"a list of {len(value)} items"
    return clipped(repr(value))


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def problem_of_error(error: ForecastError, field: str | None = None) -> Response:
    """The problem of one of our own errors; those that are not the caller's are logged and not told.

    field : its place, where the error itself knows less.
    """
    status = status_of(error)
    kind = _dashed(type(error).__name__.removesuffix("Error"))
    if not isinstance(error, InputError) or status >= 500:
        LOGGER.error("%s: %s", type(error).__name__, error, exc_info=error)
        return problem(500, "The service failed; its log says why.", kind=kind)
    place = field or error.field
    told = str(error) if place == error.field or place is None else f"{place}: {error}"
    errors = [fault(place, error.got, error.allowed, str(error))]
    more = {"suggestions": list(error.suggestions)} if isinstance(error, UnknownScopeError) else {}
    return problem(status, clipped(told, 2000), errors, kind=kind, more=more)


def problem_of_validation(error: ValidationError) -> Response:
    """The problem of a request that does not have the documented form. A fault of ours inside it keeps its own status."""
    return _problem_of_entries(error.errors(include_url=False))


def _problem_of_entries(found: Sequence[Any]) -> Response:
    # A list whose items are faulty is also told to be too short, which is no news.
    found = [entry for entry in found if entry["type"] != "too_short" or not _holds_another(entry["loc"], found)]
    ours = [entry["ctx"]["error"] for entry in found if isinstance(entry.get("ctx", {}).get("error"), InputError)]
    if len(ours) == len(found) == 1:
        return problem_of_error(ours[0], _place(found[0]["loc"], ours[0].field))
    errors = [_validation_fault(entry) for entry in found[:MOST_ERRORS]]
    first = errors[0]
    where = f"{first['field']}: " if first["field"] else ""
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if found[0]["type"] == "json_invalid":
        return problem(400, f"The body is not JSON: {first['message']}", errors, kind="not-json")
    return problem(422, f"{where}{first['message']}{rest}", errors, kind="validation", more={"error_count": len(found)})


def _holds_another(place: Sequence[Any], found: Sequence[Any]) -> bool:
    return any(len(entry["loc"]) > len(place) and tuple(entry["loc"][: len(place)]) == tuple(place) for entry in found)


def _validation_fault(entry: Any) -> dict[str, Any]:
    context = entry.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, InputError):
        return fault(_place(entry["loc"], cause.field), cause.got, cause.allowed, str(cause))
    field = _place(entry["loc"], None)
    allowed = [text.format(clipped(str(context[name]))) for name, text in _LIMITS.items() if name in context]
    if entry["type"] == "extra_forbidden":
        allowed = ["one of the documented fields"]
    elif entry["type"] in _FORMS and not allowed:
        allowed = [_FORMS[entry["type"]]]
    elif not allowed:
        allowed = [next((form for word, form in _FORM_WORDS.items() if word in entry["type"]), "another form")]
    told = entry["msg"]
    if str(context.get("pattern", "")).startswith("^[^\\x00"):
        told, allowed = "It contains a control character", ["printable text"]
    got = None if entry["type"] in {"missing", "json_invalid"} else entry["input"]
    return fault(field or ("body" if entry["type"] == "json_invalid" else None), got, ", ".join(allowed), told)


def _place(place: Sequence[Any], field: str | None) -> str | None:
    """Where a fault is, in the caller's terms: by the validator's path, and within it by what the error itself knows."""
    path = ".".join(map(str, place[1:] if len(place) > 1 and place[0] in _PLACES else place))
    if not path or field is None:
        return path or field
    last = path.rpartition(".")[2]
    return path + field.removeprefix(last) if field.startswith(f"{last}.") else path


def _dashed(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).strip("-")


async def handle_forecast_error(_request: Request, error: Exception) -> Response:
    return problem_of_error(error) if isinstance(error, ForecastError) else handle_bug(error)


async def handle_request_validation(_request: Request, error: Exception) -> Response:
    """Faults of query parameters, which FastAPI reads; a bare pydantic ValidationError would be a bug and does not come here."""
    return _problem_of_entries(list(error.errors())) if isinstance(error, RequestValidationError) else handle_bug(error)


async def handle_http_problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HttpProblemError):
        return handle_bug(error)
    return problem(error.status, error.detail, error.errors)


def handle_bug(error: BaseException) -> Response:
    """A bug of ours: the log has the traceback, the caller a 500 without it."""
    LOGGER.error("A request failed unexpectedly", exc_info=error)
    return problem(500, "The service failed; its log says why.")


class ProblemMiddleware:
    """Rewrites every error that is not problem+json yet: unknown paths, wrong methods, BentoML's own answers, bugs.

    It sits inside BentoML's own middlewares, so the 429 and the 504 that those give keep BentoML's form.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False
        held: Message | None = None
        text = b""

        async def send_problem(message: Message) -> None:
            nonlocal started, held, text
            if message["type"] == "http.response.start":
                if message["status"] >= 400 and not _is_problem(message):
                    held = message
                    return
                started = True
            elif held is not None:
                text += message.get("body", b"")
                if not message.get("more_body"):
                    response = _rewritten(held, text, scope)
                    started, held = True, None
                    await response(scope, receive, send)
                return
            await send(message)

        try:
            await self.app(scope, receive, send_problem)
        except Exception as error:
            response = handle_bug(error)
            if not started:
                await response(scope, receive, send)


def _is_problem(message: Message) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(MEDIA_TYPE.encode()) for name, value in message.get("headers", ()))


def _rewritten(start: Message, text: bytes, scope: Scope) -> Response:
    status = int(start["status"])
    path, method = clipped(scope["path"]), clipped(scope["method"])
    kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in start.get("headers", ()) if name.lower() in {b"allow", b"retry-after"}}
    if status == 404:
        return problem(
            404, f"There is nothing at {path}; /docs.json lists what there is.", [fault("path", path, "a path of /docs.json", "unknown path")]
        )
    if status == 405:
        allowed = kept.get("allow") or kept.get("Allow") or "the methods of /docs.json"
        return problem(405, f"{path} does not take {method}.", [fault("method", method, allowed, "wrong method")], headers=kept)
    if status >= 500 and status != 503:
        return problem(status, "The service failed; its log says why.", headers=kept)
    return problem(status, clipped(text.decode("utf-8", "replace").strip() or TITLES.get(status, "Problem"), 2000), headers=kept)
