"""Every kind of lever as data: what it is called, what it does, and its fields with their bounds.

Reading, checking, error messages, the reference page and the example of each kind all come from `KINDS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from forecast.scenarios.kind_fields import AMOUNT as AMOUNT
from forecast.scenarios.kind_fields import COUNT as COUNT
from forecast.scenarios.kind_fields import DAYS as DAYS
from forecast.scenarios.kind_fields import FACTOR as FACTOR
from forecast.scenarios.kind_fields import YES
from forecast.scenarios.kind_fields import Field as Field
from forecast.scenarios.kind_fields import Kind as Kind
from forecast.scenarios.kinds_machines import COMMITMENTS, GPUS
from forecast.scenarios.kinds_newcomers import MONEY_KINDS, NEWCOMERS
from forecast.scenarios.kinds_usage import TOKENS, USAGE

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*USAGE, *TOKENS, *GPUS, *COMMITMENTS, *NEWCOMERS, *MONEY_KINDS)}
"""All kinds by name, family by family."""


def example(kind: Kind, way: int = 0) -> dict[str, object]:
    """A lever of the kind that can be carried out, with what must be given; for documents and tests."""
    wanted: Sequence[str] = kind.ways[way] if kind.ways else ()
    return {
        "type": kind.name,
        **{
            field.name: True if field.type == YES else field.example
            for field in kind.fields
            if field.needed or (field.name in wanted and (field.default is None or field.type == YES))
        },
    }
