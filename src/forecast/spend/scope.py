"""A scope is a filter over dimensions: `team=ads|search,stage!=dev`. The empty scope is the whole company."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from forecast.errors import InputError, UnknownScopeError
from forecast.spend.dimensions import is_name

MOST_CHARACTERS = 4000
_ESCAPES = str.maketrans({character: "\\" + character for character in "\\,|="})


@dataclass(frozen=True, order=True)
class Clause:
    """One condition: the dimension's value is (or, with `exclude`, is not) one of `values` (sorted, at least one)."""

    dimension: str
    values: tuple[str, ...]
    exclude: bool = False

    def __str__(self) -> str:
        return f"{self.dimension}{'!=' if self.exclude else '='}{'|'.join(_escape(value) for value in self.values)}"


@dataclass(frozen=True)
class Scope:
    """Conditions that must all hold, sorted, so that equal filters are equal objects and have one text."""

    clauses: tuple[Clause, ...] = ()

    @classmethod
    def parse(cls, text: str | Mapping[str, str | Sequence[str]] | Scope | None) -> Scope:
        """Read `"team=ads|search,stage!=dev"` or `{"team": ["ads", "search"], "stage!": "dev"}`; None and "" are everything.

        A comma, bar, equals sign or backslash inside a value is written with a backslash before it.
        """
        if text is None:
            return cls()
        if isinstance(text, Scope):
            return text
        if isinstance(text, Mapping):
            return cls._of([_clause_of_pair(name, value) for name, value in text.items()])
        if len(text) > MOST_CHARACTERS:
            raise InputError(
                f"Scope has {len(text)} characters; {MOST_CHARACTERS} are allowed",
                field="scope",
                got=len(text),
                allowed=f"at most {MOST_CHARACTERS} characters",
            )
        return cls._of([_clause_of_text(part, text) for part in _split(text, ",") if part.strip()])

    @classmethod
    def _of(cls, clauses: list[Clause]) -> Scope:
        seen: set[tuple[str, bool]] = set()
        for clause in clauses:
            if (clause.dimension, clause.exclude) in seen:
                raise InputError(
                    f"Scope names the dimension {clause.dimension!r} twice; several values are written {clause.dimension}=a|b",
                    field="scope",
                    got=",".join(map(str, clauses)),
                    allowed="each dimension once",
                )
            seen.add((clause.dimension, clause.exclude))
        return cls(tuple(sorted(clauses)))

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(clause.dimension for clause in self.clauses))

    @property
    def is_company(self) -> bool:
        return not self.clauses

    def as_values(self) -> dict[str, str] | None:
        """`{dimension: value}` where the scope is one value per dimension (a node), else None."""
        if any(clause.exclude or len(clause.values) != 1 for clause in self.clauses):
            return None
        return {clause.dimension: clause.values[0] for clause in self.clauses}

    def __str__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        """Without what is kept of it: hashes of texts differ from process to process."""
        return {"clauses": self.clauses}

    @cached_property
    def _text(self) -> str:
        return ",".join(map(str, self.clauses))

    @cached_property
    def _hash(self) -> int:
        return hash(self.clauses)


def unknown_value(dimension: str, value: str, known: Sequence[str]) -> UnknownScopeError:
    """The error for a value that never occurred, with the nearest values that did."""
    lowered = {name.lower(): name for name in known}
    near = tuple(lowered[match] for match in get_close_matches(value.lower(), list(lowered), n=3, cutoff=0.5)) or tuple(sorted(known)[:5])
    hint = f"nearest: {', '.join(near)}" if near else f"no value of {dimension!r} has occurred"
    return UnknownScopeError(
        f"Scope {dimension}={value}: no spend has ever had {dimension} {value!r}; {hint}", field="scope", got=value, suggestions=near
    )


def _clause_of_pair(name: str, value: str | Sequence[str]) -> Clause:
    exclude = name.endswith("!")
    dimension = name.removesuffix("!").strip()
    values = [value] if isinstance(value, str) else list(value)
    return _clause(dimension, [str(item) for item in values], exclude, f"{name}={value}")


def _clause_of_text(part: str, whole: str) -> Clause:
    sides = _split(part, "=", most=2)
    if len(sides) != 2:
        raise InputError(
            f"Scope {whole!r} is not a filter: {part.strip()!r} has no '='", field="scope", got=whole, allowed="name=value[,name=a|b][,name!=value]"
        )
    name, values = sides
    exclude = name.rstrip().endswith("!")
    return _clause(name.rstrip().removesuffix("!").strip(), [_unescape(item.strip()) for item in _split(values, "|")], exclude, whole)


def _clause(dimension: str, values: list[str], exclude: bool, whole: str) -> Clause:
    if not is_name(dimension):
        raise InputError(f"Scope {whole!r}: {dimension!r} is not a dimension or tag key", field="scope", got=whole, allowed="name=value[,name=value]")
    values = [value for value in values if value]
    if not values:
        raise InputError(f"Scope {whole!r}: {dimension!r} has no value", field="scope", got=whole, allowed="name=value[,name=a|b]")
    return Clause(dimension, tuple(sorted(set(values))), exclude)


def _split(text: str, separator: str, most: int = 0) -> list[str]:
    """Split at unescaped separators, leaving escapes in place; at most `most` parts where it is not 0."""
    parts: list[str] = []
    current, escaped = "", False
    for character in text:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            current, escaped = current + character, True
        elif character == separator and not (most and len(parts) == most - 1):
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _escape(value: str) -> str:
    return value.translate(_ESCAPES)


def _unescape(value: str) -> str:
    plain, escaped = "", False
    for character in value:
        if character == "\\" and not escaped:
            escaped = True
        else:
            plain, escaped = plain + character, False
    return plain
