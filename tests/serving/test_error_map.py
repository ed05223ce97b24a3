"""Every error of the tree has a status of its own, and no fault of ours looks like the caller's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forecast.errors import ForecastError, InputError, ModelError, UnknownScopeError
from forecast.serving.error_map import STATUS, TITLES, status_of
from forecast.serving.problems import problem_of_error


def tree(kind: type[ForecastError] = ForecastError) -> Iterator[type[ForecastError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == "forecast.errors":
            yield from tree(below)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_with_a_title(kind: type[ForecastError]) -> None:
    assert kind in STATUS
    assert STATUS[kind] in TITLES


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_only_input_errors_are_the_callers_fault(kind: type[ForecastError]) -> None:
    assert (400 <= STATUS[kind] < 500) == issubclass(kind, InputError)


@pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
def test_every_error_becomes_a_problem_of_its_status(kind: type[ForecastError]) -> None:
    response = problem_of_error(kind("the team 'adz' is not known"))
    assert response.status_code == STATUS[kind]
    assert response.media_type == "application/problem+json"
    assert (b"adz" in bytes(response.body)) == issubclass(kind, InputError)


def test_error_of_a_class_that_is_not_listed_has_the_status_of_the_nearest_above() -> None:
    class StrangerError(UnknownScopeError):
        pass

    class BreakageError(ModelError):
        pass

    assert status_of(StrangerError("?")) == 404
    assert status_of(BreakageError("?")) == 500
