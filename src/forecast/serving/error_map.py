"""Which HTTP status each error of ours has: the only place that says so (a test loops over every ForecastError)."""

from __future__ import annotations

from forecast.errors import (
    ArtifactError,
    BudgetError,
    ConfigError,
    ConflictError,
    DeliveryError,
    ForecastError,
    InputError,
    InsufficientHistoryError,
    ModelError,
    NotFittedError,
    NotFoundError,
    OutsideHorizonError,
    PlanError,
    SchemaError,
    SpendDataError,
    UnknownScopeError,
)

STATUS: dict[type[ForecastError], int] = {
    ForecastError: 500,
    # The caller's data or parameter.
    InputError: 400,
    SchemaError: 400,
    DeliveryError: 400,
    SpendDataError: 422,
    InsufficientHistoryError: 422,
    BudgetError: 422,
    PlanError: 422,
    UnknownScopeError: 404,
    NotFoundError: 404,
    ConflictError: 409,
    OutsideHorizonError: 422,
    # Ours.
    ModelError: 500,
    NotFittedError: 500,
    ArtifactError: 500,
    ConfigError: 500,
}

TITLES: dict[int, str] = {
    400: "The request cannot be read",
    404: "Not found",
    405: "The resource does not take this method",
    406: "No representation that is accepted",
    408: "The request did not arrive in time",
    409: "The resource is not in a state for that",
    412: "The resource is not what the request takes it for",
    413: "The request is too large",
    415: "The content type is not one that is read here",
    422: "The request is understood and cannot be answered",
    500: "The service failed",
    503: "The service is not ready",
}
"""The title belongs to the status; what happened this time is in `detail`."""


def status_of(error: ForecastError) -> int:
    """Status of the error's class or of the nearest one above it."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
