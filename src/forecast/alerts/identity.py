"""Who an incident is: its labels, and the digests of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from forecast.alerts.spans import span_texts

_SEPARATORS = re.compile(r"[,=]")
"""Bars and backslashes inside values have their backslash already (`spend.joined`)."""


def fingerprint(kind: str, direction: str, scope: Mapping[str, str]) -> str:
    """Identity from labels: what has the same kind, direction and scope is the same trouble, whenever it comes."""
    return _fingerprint(kind, direction, scope_text(scope))


def incident_id(kind: str, direction: str, scope: Mapping[str, str], start: datetime) -> str:
    """The id of an incident that begins then; the same as `anomalies.incidents.incident_id` gives for a day."""
    labels = (f"kind={kind}", f"direction={direction}", f"scope={scope_text(scope)}", f"start={span_texts(start, start)['start']}")
    return f"inc-{_digest(*labels)}"


def scope_text(scope: Mapping[str, str]) -> str:
    """`service=vertex,team=ads`, sorted; the text of `spend.scope.Scope` for the same filter. Empty for the whole company."""
    return _text(tuple(sorted(scope.items())))


# An incident is made anew at every step of its life, and thousands are kept in one call.
@lru_cache(maxsize=65_536)
def _text(items: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{name}={_SEPARATORS.sub(_escaped, value)}" for name, value in items)


@lru_cache(maxsize=65_536)
def _fingerprint(kind: str, direction: str, scope: str) -> str:
    return _digest(f"kind={kind}", f"direction={direction}", f"scope={scope}")


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _digest(*labels: str) -> str:
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:16]
