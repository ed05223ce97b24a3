"""One plain sentence about an incident, made from its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forecast.anomalies.attribution import Contributor

MAIN = 0.5
"""A driver that makes more than this part of a contributor's impact is named."""


def sentence(
    scope_text: str, days: tuple[str, str], actual: float, expected: float, currency: str, causes: Sequence[Contributor | Mapping[str, Any]]
) -> str:
    """What the scope cost, what was expected, the first contributor with its share, and what drove it.

    scope_text : the incident's scope as text, "" for the whole company. days : first and last day. causes : ranked.
    """
    excess = actual - expected
    when = f"on {days[0]}" if days[0] == days[1] else f"from {days[0]} to {days[1]}"
    side = "above" if excess >= 0 else "below"
    usual = f"{expected:,.2f} {currency}" + (f" ({abs(excess) / abs(expected):.0%})" if expected else "")
    text = f"{scope_text or 'The whole company'} cost {actual:,.2f} {currency} {when}, {abs(excess):,.2f} {side} the expected {usual}"
    plain = [cause.as_dict() if isinstance(cause, Contributor) else cause for cause in causes]
    first = next((cause for cause in plain if cause["scope"] and cause["share"] is not None and not cause.get("rest")), None)
    if first is None:
        return f"{text}."
    # What the incident is about need not be said again; and the whole of it is no cause of it.
    said = set(scope_text.split(","))
    pairs = [pair for dimension, value in first["scope"].items() if (pair := f"{dimension}={value}") not in said]
    because = _because(first)
    if not pairs:
        return f"{text}{because}."
    return f"{text}; {first['share']:.0%} of that is {', '.join(pairs)}{because}."


def _because(cause: Mapping[str, Any]) -> str:
    switched = cause.get("switched")
    if switched:
        return f", because usage moved from {switched['from']} to {switched['to']} (mix)"
    drivers = {key: cause[key] for key in ("price", "volume", "mix") if cause.get(key) is not None}
    main = max(drivers, key=lambda key: abs(drivers[key]), default=None)
    return f", mostly {main}" if main and abs(drivers[main]) > MAIN * abs(cause["impact"]) else ""
