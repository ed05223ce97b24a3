"""Money and quantities of what is metered, by leaf, AI model and meter: what price, volume and mix are told from.

A frame with `COLUMNS`. Rows with `recent` false are of one calendar month each (the first and last clipped to what is known), those with
`recent` true of the last month, from `recent_start` on. Only lines that are learnt from are in it; what came once or by a schedule is in
`known_money.py`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

COLUMNS = ("leaf", "start", "end", "recent", "ai_model", "meter", "unit", "cost", "quantity", "commitment", "committed", "worth")
"""leaf : row number. start, end : days of the row, end exclusive. unit : of the quantity, "" where the bill gives none. cost : money as billed.

commitment : of `recent` rows what is paid for anyhow and covers them, or is unused, "" without; committed : amortised money of it; worth : what the
covered usage would cost without it, 0 of what is unused."""


_CACHE = re.compile(r"\bcached?\b|\bcaching\b|\b(?:read|write|creation|hit|miss)s?\b(?=.*\bcach)|(?<=\bcache )(?:read|write|creation|hit|miss)s?\b")


def recent_start(cutoff: date) -> date:
    """First day of the month that ends with the cutoff, which says what is spent now: it has each day of a month once, and one month's end."""
    if (cutoff + timedelta(days=1)).day == 1:
        return cutoff.replace(day=1)
    last = cutoff.replace(day=1) - timedelta(days=1)
    return last if cutoff.day >= last.day else last.replace(day=cutoff.day + 1)


def meter_kind(meter: str) -> str:
    """What stands in for each other: tokens that come from a cache and those that do not are one kind of meter.

    "Cached Input Tokens" and "Input Tokens" are both "input tokens".
    """
    words = re.sub(r"[_\-/ ]+", " ", meter.lower()).strip()
    return re.sub(r"\s+", " ", _CACHE.sub("", words)).strip() or words
