"""Words of people that are kept with an incident and shown on other people's screens: short, and without control characters."""

from __future__ import annotations

import unicodedata

from forecast.errors import InputError

LONGEST_NAME = 200
LONGEST_REASON = 2000
_LINES = "\n\t"


def check_name(field: str, text: str) -> str:
    """Who did it; InputError for what is too long, or would do something to a terminal rather than be read there."""
    return _checked(field, text, LONGEST_NAME, "")


def check_reason(field: str, text: str) -> str:
    """Why, perhaps in several lines; InputError as `check_name`."""
    return _checked(field, text, LONGEST_REASON, _LINES)


def _checked(field: str, text: str, most: int, besides: str) -> str:
    allowed = f"at most {most} printable characters"
    if len(text) > most:
        raise InputError(f"{field} has {len(text)} characters", field=field, got=len(text), allowed=allowed)
    for character in text:
        if character not in besides and unicodedata.category(character) in {"Cc", "Cs"}:
            raise InputError(f"{field} contains the control character {character!r}", field=field, got=ascii(text[:100]), allowed=allowed)
    return text
