"""Values of a lever's fields, read from plain data by what the field is; every message names the field, what was got and what is allowed."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from forecast.errors import InputError, PlanError
from forecast.scenarios.kind_fields import CHOICE, CURRENCY, DAY, DAYS, PLACE, SCOPE, TEXT, YES, Field
from forecast.scenarios.uncertain import LOGARITHMIC, Uncertain
from forecast.spend.currency import check_currency
from forecast.spend.periods import parse_day
from forecast.spend.scope import Scope

Value = float | int | str | bool | date | Scope | Uncertain

LONGEST_TEXT = 200
LARGEST_WHOLE = 10**300
"""Beyond it whole numbers are no floats."""
_RANGE = ("expected", "low", "high")
_TEXT_FORM = f"text of at most {LONGEST_TEXT} printable characters"
_SCOPE_FORM = "name=value[,name=a|b] or a table of texts"


def read_value(field: Field, value: Any, where: str) -> Value:
    """The field's value from plain data; raises PlanError named by `where`."""
    if field.is_number:
        return _range(field, value, where) if isinstance(value, Mapping) else _number(field, value, where)
    if field.type in (SCOPE, PLACE):
        scope = read_scope(value, where)
        if field.type == PLACE and (scope.is_company or scope.as_values() is None):
            raise PlanError(
                f"{where} does not name one place: got {str(scope)!r}", field=where, got=str(scope), allowed="name=value pairs, one value each"
            )
        return scope
    if field.type == DAY:
        return read_day(value, where)
    if field.type == YES:
        if not isinstance(value, bool):
            raise _refused(where, value, "true or false")
        return value
    if not isinstance(value, str) or not value or len(value) > LONGEST_TEXT or not is_printable(value):
        raise _refused(where, value, {CHOICE: ", ".join(field.choices), TEXT: _TEXT_FORM}.get(field.type, "a code such as EUR"))
    if field.type == CHOICE and value not in field.choices:
        near = get_close_matches(value, field.choices, n=1)
        raise _refused(where, value, ", ".join(field.choices), f"; nearest: {near[0]}" if near else "")
    if field.type == CURRENCY:
        try:
            return check_currency(value, where)
        except InputError as error:
            raise PlanError(str(error), field=where, got=value, allowed=error.allowed) from None
    return value


def read_scope(value: Any, where: str) -> Scope:
    """A filter from text or a table of texts; nothing is everything."""
    if not (value is None or isinstance(value, str | Scope) or (isinstance(value, Mapping) and _is_table_of_texts(value))):
        raise PlanError(f"{where} is not a filter: got {shown(value)}", field=where, got=shown(value), allowed=_SCOPE_FORM)
    try:
        scope = Scope.parse(value)
    except InputError as error:
        raise PlanError(f"{where}: {error}", field=where, got=error.got, allowed=error.allowed) from None
    if not is_printable(text := str(scope)):
        raise PlanError(f"{where} contains a control character: got {shown(text)}", field=where, got=shown(text), allowed="printable text")
    return scope


def _is_table_of_texts(value: Mapping[Any, Any]) -> bool:
    lists = [[item] if isinstance(item, str) else item for item in value.values()]
    return all(isinstance(name, str) for name in value) and all(
        isinstance(items, list | tuple) and all(isinstance(item, str) for item in items) for items in lists
    )


def read_title(value: Any, where: str) -> str:
    """A short text for people; nothing is none."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not is_printable(value):
        raise _refused(where, value, _TEXT_FORM)
    return value


def is_printable(text: str, besides: str = "") -> bool:
    """Whether a text can be shown and stored: no control characters (but those of `besides`) and no halves of characters."""
    return text.isprintable() or not any(unicodedata.category(character) in {"Cc", "Cs"} and character not in besides for character in text)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that a float holds; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST_WHOLE <= value <= LARGEST_WHOLE if isinstance(value, int) else math.isfinite(value)


def shown(value: Any) -> str:
    """What was got, as it may stand in a message: short, on one line."""
    try:
        text = repr(value[:100]) if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, and what is too deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"


def read_day(value: Any, where: str, default: date | None = None) -> date:
    if value is None and default is not None:
        return default
    if not isinstance(value, (str, date, datetime)):
        raise _refused(where, value, "YYYY-MM-DD")
    try:
        return parse_day(value, where)
    except InputError as error:
        raise PlanError(str(error), field=where, got=error.got, allowed=error.allowed) from None


def _number(field: Field, value: Any, where: str) -> float | int:
    if not is_finite(value) or not field.least <= value <= field.most:
        raise _refused(where, value, _allowed(field), _hint(field, value))
    if field.type == DAYS:
        if float(value) != int(value):
            raise _refused(where, value, _allowed(field))
        return int(value)
    return float(value)


def _range(field: Field, value: Mapping[str, Any], where: str) -> Value:
    if not field.uncertain:
        raise _refused(where, dict(value), f"{_allowed(field)}, and no range")
    for name in value:
        if name not in _RANGE:
            raise PlanError(
                f"{where}.{name} is not a field of a range: got {name!r}", field=f"{where}.{name}", got=str(name), allowed=", ".join(_RANGE)
            )
    for name in _RANGE:
        if value.get(name) is None:
            raise PlanError(
                f"{where}.{name}: got nothing, allowed is {_allowed(field)}", field=f"{where}.{name}", got=None, allowed="expected, low and high"
            )
    expected, low, high = (_number(field, value[name], f"{where}.{name}") for name in _RANGE)
    if not low <= expected <= high:
        raise PlanError(
            f"{where}: low {low:g}, expected {expected:g} and high {high:g} are not in this order",
            field=where,
            got=[low, expected, high],
            allowed="low at most expected, expected at most high",
        )
    if field.type in LOGARITHMIC and low == 0.0 < high:
        raise PlanError(f"{where}: an uncertain {field.type} cannot be nothing", field=f"{where}.low", got=0.0, allowed="low above 0, or 0 for all")
    return expected if low == high else Uncertain(float(expected), float(low), float(high))


def _allowed(field: Field) -> str:
    number = "a whole number" if field.type == DAYS else "a number"
    least, most = math.isfinite(field.least), math.isfinite(field.most)
    return f"{number} from {field.least:g} to {field.most:g}" if least and most else f"a finite {number[2:]}"


def _hint(field: Field, value: Any) -> str:
    """What may have been meant."""
    if isinstance(value, str):
        return " (a number without quotes or units)"
    if field.type == "share" and not isinstance(value, bool) and isinstance(value, int | float) and 2.0 <= value <= 100.0:
        return f" (a share: {value:g} % is {value / 100.0:g})"
    return ""


def _refused(where: str, value: Any, allowed: str, hint: str = "") -> PlanError:
    got = "nothing" if value is None else shown(value)
    return PlanError(f"{where}: got {got}, allowed is {allowed}{hint}", field=where, got=None if value is None else _plain(value), allowed=allowed)


def _plain(value: Any) -> str:
    return value[:80] if isinstance(value, str) else shown(value)
