"""Scopes as people write them: a filter over dimensions, or an object of the FOCUS columns of a bill and of its tags.

Columns and tag keys become the dimensions that the shipped rules read from them; a tag that no rule names is a dimension of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forecast.errors import PlanError
from forecast.spend import focus
from forecast.spend.dimension_rules import RULES, DimensionRule, FromColumn, FromKey
from forecast.spend.scope import MOST_CHARACTERS, Scope

EXAMPLE = {focus.SERVICE_NAME: "Chat API", focus.TAGS: {"team": "ads"}}
_ALLOWED = f'team=ads,stage!=dev, {{"team": ["ads", "search"]}} or FOCUS columns such as {json.dumps(EXAMPLE)}'


def read_scope(value: Any) -> Scope:
    """A scope from text, from JSON text, or from an object of dimensions or FOCUS columns; nothing is the whole company.

    Raises PlanError for what is none of these, and what `Scope.parse` raises.
    """
    if value is None or isinstance(value, Scope):
        return Scope.parse(value)
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("{"):
            return Scope.parse(text)
        if len(text) > MOST_CHARACTERS:
            raise _not_one(f"{len(text)} characters of JSON")
        try:
            value = json.loads(text)
        except ValueError as error:
            raise _not_one(text, f": {error}") from None
    if not isinstance(value, Mapping):
        raise _not_one(value)
    conditions: dict[str, list[str]] = {}
    for name, said in value.items():
        for dimension, values in _of_key(str(name), said):
            if dimension in conditions:
                raise PlanError(f"scope says {dimension} twice", field="scope", got=str(name), allowed="each dimension once")
            conditions[dimension] = values
    return Scope.parse(conditions)


def _of_key(name: str, said: Any) -> list[tuple[str, list[str]]]:
    """(dimension, values) of one member of the object; several where it is a JSON column such as the tags."""
    plain, exclude = name.removesuffix("!").strip(), "!" if name.endswith("!") else ""
    column = focus.canonical_name(plain) if plain not in _DIMENSIONS else None
    if column is None:
        return [(plain + exclude, _values(name, said))]
    if focus.BY_NAME[column].kind == "json":
        if not isinstance(said, Mapping):
            raise _not_one(said, f", {name} is an object of keys and values")
        return [_of_tag(column, str(key), _values(f"{name}.{key}", values)) for key, values in said.items()]
    rule = next((rule for rule in RULES if FromColumn(column) in rule.sources), None)
    if rule is None:
        known = sorted({source.column for rule in RULES for source in rule.sources if isinstance(source, FromColumn)})
        raise PlanError(f"scope: no dimension is read from the column {name!r}", field="scope", got=name, allowed=", ".join(known))
    return [(rule.dimension + exclude, _meant(rule, _values(name, said)))]


def _of_tag(column: str, key: str, values: list[str]) -> tuple[str, list[str]]:
    plain, exclude = key.removesuffix("!").strip(), "!" if key.endswith("!") else ""
    for rule in RULES:
        if any(isinstance(source, FromKey) and (source.column, source.key.lower()) == (column, plain.lower()) for source in rule.sources):
            return rule.dimension + exclude, _meant(rule, values)
    return plain + exclude, values


def _meant(rule: DimensionRule, values: list[str]) -> list[str]:
    """What the rule makes of the values: their lower case and their names, as the ledger did when the bill came in."""
    return [rule.names.get(value.lower(), value.lower()) if rule.any_case else rule.names.get(value, value) for value in values]


def _values(name: str, said: Any) -> list[str]:
    values = said if isinstance(said, list) else [said]
    if not values or not all(isinstance(item, str) for item in values):
        raise _not_one(said, f", {name} is text or a list of texts")
    return values


def _not_one(got: Any, reason: str = "") -> PlanError:
    shown = str(got)[:200]
    return PlanError(f"scope is not a filter: got {shown!r}{reason}", field="scope", got=shown, allowed=_ALLOWED)


_DIMENSIONS = frozenset(rule.dimension for rule in RULES)
