"""Every error that this package raises on purpose, and the warnings that go with answers.

    ForecastError
      x InputError(ValueError)          the caller's data or parameter
        + SchemaError                   a column is missing or has the wrong type
        + DeliveryError                 a file cannot be read as a whole: cut off, empty, not the format it claims
        + SpendDataError                rows contradict each other: mixed currencies, duplicate days, infinite costs
        + InsufficientHistoryError      too few days to learn from
        + BudgetError                   reversed period, amount that is not money
        + PlanError                     a what-if plan that cannot be carried out
        + UnknownScopeError             a dimension value that never occurred (suggests the nearest)
        + NotFoundError                 no such budget, snapshot, model
        + ConflictError                 a step that a resource in its state cannot take
        + OutsideHorizonError           the question reaches beyond what the snapshot can see
      x ModelError                      ours, not the caller's
        + NotFittedError                simulate before fit
        + ArtifactError                 a stored artifact does not match its digest or its version
      x ConfigError                     settings; raised at start-up only

A message says what is wrong, where, what was got and what is allowed. `field`, `got` and `allowed` carry the same
facts for programs; the service and the command line print them, they never parse the text.
"""

from __future__ import annotations

from typing import Any


class ForecastError(Exception):
    """Root of all errors raised on purpose."""


class InputError(ForecastError, ValueError):
    """The caller's data or parameter is wrong.

    field : the parameter, column or JSON path at fault, where there is one.
    got : the offending value. allowed : what would have been accepted, in words.
    """

    def __init__(self, message: str, *, field: str | None = None, got: Any = None, allowed: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.got = got
        self.allowed = allowed


class SchemaError(InputError):
    """A column is missing or has the wrong type."""


class DeliveryError(InputError):
    """A file cannot be read as a whole: cut off, empty, or not the format that it claims to be."""


class SpendDataError(InputError):
    """Rows contradict each other: mixed currencies, duplicate days, costs that are not finite."""


class InsufficientHistoryError(InputError):
    """Too few days to learn from."""

    def __init__(self, message: str, *, series_id: str | None = None, days: int | None = None, needed: int | None = None) -> None:
        super().__init__(message, field="history", got=days, allowed=None if needed is None else f"at least {needed} periods")
        self.series_id = series_id
        self.days = days
        self.needed = needed


class BudgetError(InputError):
    """A budget that cannot be: a reversed period, an amount that is not money."""


class PlanError(InputError):
    """A what-if plan that cannot be carried out; names the lever."""


class UnknownScopeError(InputError):
    """A dimension value that never occurred; `suggestions` are the nearest ones that did."""

    def __init__(self, message: str, *, field: str | None = None, got: Any = None, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message, field=field, got=got, allowed=", ".join(suggestions) or None)
        self.suggestions = suggestions


class NotFoundError(InputError):
    """No such budget, snapshot or model."""


class ConflictError(InputError):
    """A step that a resource in its state cannot take, such as looking at an incident that is over."""


class OutsideHorizonError(InputError):
    """The question reaches beyond what the snapshot can see."""


class ModelError(ForecastError):
    """Something of ours is broken; never the caller's mistake."""


class NotFittedError(ModelError):
    """simulate was called before fit; the message names the class."""


class ArtifactError(ModelError):
    """A stored artifact does not match its digest or its version."""


class ConfigError(ForecastError):
    """A setting cannot be used; raised at start-up only."""


class ForecastWarning(UserWarning):
    """Root of the warnings that go with an answer."""


class StaleDataWarning(ForecastWarning):
    """The newest spend is older than the answer needs."""


class ShortHistoryWarning(ForecastWarning):
    """There is an answer, and little history behind it."""
