"""What a kind of lever is, and what its fields are: the data from which reading, checking, messages and the reference page come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FACTOR, SHARE, MONEY, AMOUNT, PERCENT, COUNT, DAYS = "factor", "share", "money", "amount", "percent", "count", "days"
TEXT, CHOICE, YES, DAY, SCOPE, PLACE, CURRENCY = "text", "choice", "yes", "day", "scope", "place", "currency"

NUMBERS = frozenset({FACTOR, SHARE, MONEY, AMOUNT, PERCENT, COUNT, DAYS})
"""Types of fields that are numbers. factor and amount are uncertain as a split log-normal, money and percent as a split normal, a share as a
split normal held to its bounds; days are whole."""

WORDS = {
    FACTOR: "a factor",
    SHARE: "a share from 0 to 1",
    MONEY: "money, of either sign",
    AMOUNT: "an amount, not negative",
    PERCENT: "per cent",
    COUNT: "a number of things, not negative",
    DAYS: "whole days or months",
    TEXT: "text",
    CHOICE: "a word",
    YES: "true or false",
    DAY: "a day",
    SCOPE: "a filter",
    PLACE: "a place: one value each",
    CURRENCY: "a currency",
}

LARGEST_FACTOR = 1e6
LARGEST_MONEY = 1e15
FAMILIES = ("usage", "tokens", "gpus", "commitments", "newcomers", "money")


@dataclass(frozen=True)
class Field:
    """One field of a kind. least, most : bounds of a number. default : None where there is none and nothing is taken in its place.

    needed : must be given, unless the field belongs to one of the kind's `ways`. uncertain : takes a range as well. choices : words of a CHOICE.
    """

    name: str
    type: str
    meaning: str
    least: float = -math.inf
    most: float = math.inf
    default: Any = None
    needed: bool = False
    uncertain: bool = False
    unit: str = ""
    choices: tuple[str, ...] = ()
    example: Any = None

    @property
    def is_number(self) -> bool:
        return self.type in NUMBERS


@dataclass(frozen=True)
class Kind:
    """One kind of lever.

    family : which module lowers it. scoped : whether it has a `scope`. ways : sets of fields of which exactly one must be given, whole;
    fields of a way that have a default may be left out of it. checked_scope : the scope must have had spend.
    """

    name: str
    family: str
    summary: str
    fields: tuple[Field, ...]
    ways: tuple[tuple[str, ...], ...] = ()
    scoped: bool = True

    def field(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)


def factor_field(meaning: str, name: str = "factor", example: Any = 2.0) -> Field:
    return Field(name, FACTOR, meaning, 0.0, LARGEST_FACTOR, needed=True, uncertain=True, example=example)


def share_field(name: str, meaning: str, *, default: float | None = None, needed: bool = False, example: Any = 0.5) -> Field:
    return Field(name, SHARE, meaning, 0.0, 1.0, default, needed, uncertain=True, example=example)


def amount_field(name: str, meaning: str, unit: str = "", *, default: float | None = None, needed: bool = False, example: Any = 100.0) -> Field:
    return Field(name, AMOUNT, meaning, 0.0, LARGEST_MONEY, default, needed, uncertain=True, unit=unit, example=example)


def money_field(name: str, meaning: str, unit: str = "money", *, default: float | None = None, needed: bool = False, example: Any = 1000.0) -> Field:
    return Field(name, MONEY, meaning, -LARGEST_MONEY, LARGEST_MONEY, default, needed, uncertain=True, unit=unit, example=example)


def target_field(meaning: str = "where the money is counted; a value that never occurred is a new one", *, needed: bool = False) -> Field:
    return Field("target", PLACE, meaning, needed=needed, example="team=search,provider=OpenAI")
