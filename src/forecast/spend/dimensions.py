"""The dimensions that spend is filtered and grouped by, and the configured leaves and levels.

Every charge line carries a value for each of `DIMENSIONS`; any other name is a tag key.
"""

from __future__ import annotations

from collections.abc import Sequence

from forecast.errors import InputError

DIMENSIONS: tuple[str, ...] = (
    "provider",
    "service",
    "team",
    "stage",
    "region",
    "ai_model",
    "meter",
    "sku",
    "resource",
    "charge_category",
    "workload",
    "project",
)
"""Columns that the ledger keeps ready. `workload` is a tag that leaves need, so it is ready too."""

UNKNOWN = "(none)"
"""The value of a dimension that a charge line says nothing about: untagged spend stays visible under this name."""

LEAF_DIMENSIONS: tuple[str, ...] = ("provider", "service", "team", "stage", "workload")
"""Default tuple that one leaf of the hierarchy stands for."""

LEVELS: tuple[tuple[str, ...], ...] = (
    (),
    ("provider",),
    ("service",),
    ("team",),
    ("stage",),
    ("provider", "service"),
    ("provider", "team"),
    ("provider", "stage"),
    ("service", "team"),
    ("service", "stage"),
    ("team", "stage"),
)
"""Default levels above the leaves that a snapshot keeps ready; () is the whole company."""

OTHER = "(other)"
"""Value of the dimensions of a leaf that stands for all small leaves of one parent."""


def parse_dimensions(text: str | Sequence[str]) -> tuple[str, ...]:
    """Dimension names from `"team,service"` or a sequence; unknown names are tag keys, so only form is checked."""
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    names = [name for name in names if name]
    for name in names:
        if not is_name(name):
            raise InputError(
                f"Dimension {name!r} is not a name: got {name!r}, allowed are letters, digits and _ - . : /",
                field="by",
                got=name,
                allowed=f"one of {', '.join(DIMENSIONS)} or a tag key",
            )
    if len(set(names)) != len(names):
        raise InputError(f"A dimension is named twice: {', '.join(names)}", field="by", got=names, allowed="each dimension once")
    return tuple(names)


def is_name(text: str) -> bool:
    return 0 < len(text) <= 128 and all(character.isalnum() or character in "_-.:/" for character in text)
