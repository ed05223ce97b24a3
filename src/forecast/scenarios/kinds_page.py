"""The reference of levers as text, made from `KINDS`: what `docs/reference/levers.md` holds between its prose."""

from __future__ import annotations

import math
from collections.abc import Iterable

from forecast.scenarios.kind_fields import CHOICE, DAYS, FACTOR, FAMILIES, MONEY, WORDS, YES, Field, Kind
from forecast.scenarios.kinds import KINDS

TITLES = {
    "usage": "Usage and prices",
    "tokens": "Tokens",
    "gpus": "Machines",
    "commitments": "Commitments",
    "newcomers": "New workloads",
    "money": "Money, people, currencies",
}


def lever_sections(families: Iterable[str] = FAMILIES) -> list[str]:
    """Lines of Markdown: a heading and a table for each family; a row a kind and a row a field."""
    lines: list[str] = []
    for family in families:
        lines += [f"## {TITLES[family]}", "", "| lever, field | takes | meaning |", "|---|---|---|"]
        for kind in KINDS.values():
            if kind.family == family:
                lines.append(f"| **`{kind.name}`** | {'' if kind.scoped else 'no `scope`'} | {_sentence(kind)} |")
                lines += [f"| `{field.name}`{_mark(kind, field)} | {_takes(field)} | {field.meaning} |" for field in kind.fields]
        lines.append("")
    return lines


def _sentence(kind: Kind) -> str:
    ways = "; or ".join(_named(way) for way in kind.ways)
    return f"{kind.summary}. Give {ways}" if ways else kind.summary


def _named(way: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in way)


def _mark(kind: Kind, field: Field) -> str:
    return " *" if field.needed else ""


def _takes(field: Field) -> str:
    parts = [" or ".join(f"`{word}`" for word in field.choices) if field.type == CHOICE else f"{WORDS[field.type]}"]
    plain = {FACTOR: (0.0, 1e6), "share": (0.0, 1.0), MONEY: (-1e15, 1e15), "amount": (0.0, 1e15)}.get(field.type, (-math.inf, math.inf))
    if (field.least, field.most) != plain and math.isfinite(field.least) and math.isfinite(field.most):
        parts = [f"{'whole ' if field.type == DAYS else ''}{field.least:g} to {field.most:g}"]
    if field.unit:
        parts.append(field.unit)
    if field.uncertain:
        parts.append("±")
    if field.default is not None and not (field.type == YES and field.default is False):
        parts.append(f"default {field.default:g}" if isinstance(field.default, float) else f"default {str(field.default).lower()}")
    return ", ".join(parts)
