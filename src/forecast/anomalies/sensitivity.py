"""How large and how strange an incident must be to be news, by scope: an operator's rules, as data.

The detector's threshold holds a false-alarm rate for the whole company. Beside it operators know what matters to whom: a percent of the largest
team is more than all of a small one, and nobody wants to be called for a sandbox. Rules only take away: what they let through was found
at the declared rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecast.errors import InputError
from forecast.spend.scope import Clause, Scope

NAMES = ("scope", "minimum_impact", "minimum_percent", "require", "multiple", "ignore")
BOTH, EITHER = "both", "either"
MOST_RULES = 1000
MOST_MULTIPLE = 1000.0


@dataclass(frozen=True)
class SensitivityRule:
    """What an incident of a scope, and of all narrower ones, must be.

    minimum_impact : money in the snapshot's currency, None: the detector's own minimum. minimum_percent : of what was expected. require :
    whether both or either of the two is asked for. multiple : of the threshold, at least so strange. ignore : no incident at all.
    """

    scope: Scope
    minimum_impact: float | None = None
    minimum_percent: float | None = None
    require: str = BOTH
    multiple: float = 1.0
    ignore: bool = False

    def lets_through(self, impact: float, expected: float, ratio: float | None, minimum_impact: float) -> bool:
        """Whether an incident is news. ratio : its strength ÷ threshold, None where nobody knows it; minimum_impact : where the rule has none."""
        if self.ignore or (ratio is not None and ratio < self.multiple):
            return False
        large = abs(impact) >= (minimum_impact if self.minimum_impact is None else self.minimum_impact)
        if self.minimum_percent is None:
            return large
        # Where nothing was expected, anything is more than any percent of it.
        much = abs(impact) >= 0.01 * self.minimum_percent * abs(expected)
        return (large or much) if self.require == EITHER else (large and much)


_ANY = SensitivityRule(Scope())


@dataclass(frozen=True)
class Sensitivity:
    """Rules in the order of their file. Of those that hold for a scope, the one with the most conditions counts, of equal ones the last."""

    rules: tuple[SensitivityRule, ...] = ()

    def rule_of(self, scope: Scope) -> SensitivityRule:
        found = _ANY
        for rule in self.rules:
            if len(rule.scope.clauses) >= len(found.scope.clauses) and holds(rule.scope, scope):
                found = rule
        return found

    def lets_through(self, scope: Scope, impact: float, expected: float, *, ratio: float | None = None, minimum_impact: float = 0.0) -> bool:
        """Whether an incident of a scope is news; as `SensitivityRule.lets_through`, by the rule of its scope."""
        return self.rule_of(scope).lets_through(impact, expected, ratio, minimum_impact)


def holds(outer: Scope, inner: Scope) -> bool:
    """Whether all of `inner` lies in `outer`, as far as their conditions say so."""
    return all(any(_within(clause, other) for other in inner.clauses) for clause in outer.clauses)


def _within(outer: Clause, inner: Clause) -> bool:
    if outer.dimension != inner.dimension:
        return False
    if inner.exclude:
        return outer.exclude and set(outer.values) <= set(inner.values)
    return set(outer.values).isdisjoint(inner.values) if outer.exclude else set(inner.values) <= set(outer.values)


def parse_sensitivity(data: Mapping[str, Any], name: str = "sensitivity file") -> Sensitivity:
    """Rules from the data of a TOML file: a list of tables `rule`. `name` is what errors call it; InputError for anything else."""
    unknown = sorted(set(data) - {"rule"})
    if unknown:
        raise _error(name, unknown[0], "is not known", unknown[0], "[[rule]] tables")
    tables = data.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise _error(name, "rule", "is no list of tables", type(tables).__name__, "[[rule]] tables")
    if len(tables) > MOST_RULES:
        raise _error(name, "rule", f"has {len(tables)} tables", len(tables), f"at most {MOST_RULES}")
    rules = [_rule(table, f"rule[{number}]", name) for number, table in enumerate(tables)]
    first: dict[Scope, int] = {}
    for number, rule in enumerate(rules):
        if (other := first.setdefault(rule.scope, number)) != number:
            raise _error(name, f"rule[{number}].scope", f"is that of rule[{other}]", str(rule.scope), "each scope once")
    return Sensitivity(tuple(rules))


def _rule(table: Mapping[str, Any], where: str, name: str) -> SensitivityRule:
    unknown = sorted(set(table) - set(NAMES))
    if unknown:
        raise _error(name, f"{where}.{unknown[0]}", "is not known", unknown[0], ", ".join(NAMES))
    scope = table.get("scope", "")
    if not isinstance(scope, (str, Mapping)):
        raise _error(name, f"{where}.scope", "is no scope", scope, 'text such as "team=ads,stage=dev", or a table')
    try:
        parsed = Scope.parse(scope)
    except InputError as error:
        raise _error(name, f"{where}.scope", f"cannot be read: {error}", scope, error.allowed) from None
    ignore = table.get("ignore", False)
    if not isinstance(ignore, bool):
        raise _error(name, f"{where}.ignore", "is neither true nor false", ignore, "true or false")
    if ignore and len(table.keys() - {"scope", "ignore"}):
        raise _error(name, where, "ignores its scope and asks for more", sorted(table), "scope and ignore alone")
    impact, percent = _number(table, "minimum_impact", where, name), _number(table, "minimum_percent", where, name)
    require = table.get("require", BOTH)
    if require not in (BOTH, EITHER):
        raise _error(name, f"{where}.require", "is not known", require, f"{BOTH} or {EITHER}")
    if "require" in table and (impact is None or percent is None):
        raise _error(name, f"{where}.require", "has not two minimums to choose of", sorted(table), "minimum_impact and minimum_percent with it")
    multiple = _number(table, "multiple", where, name, least=1.0, most=MOST_MULTIPLE)
    return SensitivityRule(parsed, impact, percent, require, 1.0 if multiple is None else multiple, ignore)


def _number(table: Mapping[str, Any], field: str, where: str, name: str, *, least: float = 0.0, most: float = math.inf) -> float | None:
    value = table.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= most:
        allowed = f"a finite number of at least {least:g}" + ("" if math.isinf(most) else f", at most {most:g}")
        raise _error(name, f"{where}.{field}", "cannot be used", value, allowed)
    return float(value)


def _error(name: str, field: str, problem: str, got: object, allowed: object) -> InputError:
    return InputError(f"{name}: {field} {problem}; got {got!r}, allowed: {allowed}", field=field, got=str(got), allowed=str(allowed))


def strongest(numbers: Sequence[int], ratios: Mapping[int, float] | None) -> float | None:
    """The largest of some flags' ratios of strength to threshold; None where nobody knows them."""
    return None if ratios is None else max((ratios.get(number, 0.0) for number in numbers), default=None)
