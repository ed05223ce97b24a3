"""Problems: what they say, what they leave out, and what becomes of a bug."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from forecast.errors import InputError
from forecast.serving.problems import ProblemMiddleware, problem_of_validation, shown
from forecast.serving.responses import to_json
from forecast.serving.schemas import ForecastRequest
from tests.serving.homes import TestClient, problem_of


async def bug(_: Request) -> Response:
    raise ZeroDivisionError("secret detail")


async def wrong_validation(_: Request) -> Response:
    ForecastRequest.model_validate({"amount": "inside the service"})
    return PlainTextResponse("never")


async def teapot(_: Request) -> Response:
    raise HTTPException(418, "short and stout", headers={"Retry-After": "5"})


async def bento(_: Request) -> Response:
    return JSONResponse([{"error": "BentoML's own form"}], status_code=400)


async def breaking(_: Request) -> Response:
    def parts() -> Any:
        yield b"first"
        raise ZeroDivisionError

    return StreamingResponse(parts())


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in (bug, wrong_validation, teapot, bento, breaking)]
    return TestClient(ProblemMiddleware(Starlette(routes=routes)))


@pytest.mark.parametrize("path", ["/bug", "/wrong_validation"])
def test_bug_is_a_500_without_its_detail_and_with_its_traceback_in_the_log(client: TestClient, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "forecast.serving"):
        response = client.get(path)
    assert problem_of(response)["status"] == 500
    assert "secret" not in response.text
    assert "inside the service" not in response.text
    assert caplog.records[0].exc_info is not None


def test_errors_of_others_are_rewritten_and_keep_their_status_and_headers(client: TestClient) -> None:
    response = client.get("/teapot")
    assert problem_of(response)["detail"] == "short and stout"
    assert response.headers["retry-after"] == "5"
    assert "own form" in problem_of(client.get("/bento"))["detail"]
    assert problem_of(client.get("/nothing"))["status"] == 404


def test_bug_in_the_middle_of_an_answer_ends_the_answer(client: TestClient) -> None:
    assert client.get("/breaking").content == b"first"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (10**400, "an integer beyond 2^53"),
        (True, True),
        (1.5, 1.5),
        ([1] * 10**6, "a list of 1000000 items"),
        ({"a": 1}, "an object with 1 members"),
        (None, None),
    ],
)
def test_values_are_shown_short_and_finite(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_long_text_is_clipped() -> None:
    assert len(shown("x" * 10**6)) < 300


def problem_for(body: str) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        ForecastRequest.model_validate_json(body)
    found: dict[str, Any] = json.loads(bytes(problem_of_validation(caught.value).body))
    return found


def test_validation_names_the_field_what_was_got_and_what_is_allowed() -> None:
    problem = problem_for('{"quantiles":[0.5,90]}')
    assert problem["status"] == 422
    assert problem["errors"][0] == {"field": "quantiles.1", "got": 90.0, "allowed": "less than 1.0", "message": "Input should be less than 1"}


def test_many_faults_are_counted_and_the_first_are_told() -> None:
    problem = problem_for('{"quantiles":[' + ",".join(["2"] * 90) + "]}")
    assert problem["error_count"] == 91 or problem["error_count"] == 90
    assert len(problem["errors"]) == 20


def test_text_that_is_not_json_is_a_400() -> None:
    assert problem_for("{")["status"] == 400


def test_fault_of_a_scope_keeps_its_own_status() -> None:
    problem = problem_for('{"scope":"team"}')
    assert (problem["status"], problem["errors"][0]["field"]) == (400, "scope")
    assert "name=value" in problem["errors"][0]["allowed"]


def test_answers_have_null_for_what_is_not_a_number() -> None:
    assert json.loads(to_json({"a": float("nan"), "b": [float("inf"), 1.0], "c": {"d": InputError("x")}})) == {
        "a": None,
        "b": [None, 1.0],
        "c": {"d": "x"},
    }
