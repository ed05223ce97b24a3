"""Forecasts, overrun probabilities, spike alerts and what-if answers for AI spend.

Public names load on first use, so that `import forecast` and `forecast --help` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES: dict[str, str] = {}

__all__: list[str] = []

if TYPE_CHECKING:
    pass


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
