"""What callers give the ledger, checked and as the ledger uses it; each error names the argument, what it got and what is allowed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from forecast.adapters.bill_files import BillFile
from forecast.adapters.delivery import Covers
from forecast.adapters.duck import quoted_name
from forecast.adapters.formats.base import Reading
from forecast.adapters.formats.registry import Recognised
from forecast.errors import InputError
from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS, is_name

PERIODS: Mapping[str, str] = {"h": "hour", "D": "day", "W": "week", "MS": "month"}
"""Panel frequencies, and the calendar unit that each starts with; weeks start on Monday."""


def empty_ledger() -> InputError:
    """What is wrong with a question to a ledger that holds nothing."""
    return InputError(
        "The ledger is empty: run `forecast ingest PATH` first", field="ledger", got="no charge lines", allowed="a ledger with charge lines"
    )


def reading_of(recognised: Mapping[BillFile, Recognised], key: tuple[str, ...], replace: bool, source: str | None) -> Reading:
    """As declared, else as the format says. Files of several formats are of several sources, unless `source` says that they are one's.

    A delivery is known by its source for ever: rows taken in under another vendor's would not give way when theirs restates them.
    """
    readings = {found.format.name: found.format.reading for found in recognised.values()}
    if len(readings) > 1 and (source is None or (not key and not replace and len(set(readings.values())) > 1)):
        examples = [f"{file.name} ({name})" for name, file in {found.format.name: file for file, found in recognised.items()}.items()]
        raise InputError(
            f"The files are of {len(readings)} formats: got {', '.join(examples[:4])}; ingest each format by itself, or name their --source",
            field="path",
            got=sorted(readings),
            allowed="files of one format",
        )
    if key:
        return Reading("merge", key)
    if replace:
        return Reading("replace")
    return next(iter(readings.values()))


def covers_of(covers: str) -> Covers:
    """What a replacing delivery stands for."""
    match covers:
        case "auto" | "period" | "days":
            return covers
        case _:
            allowed = "auto, period, days"
            raise InputError(f"covers {covers!r} is not known: allowed are {allowed}", field="covers", got=covers, allowed=allowed)


def key_names(key: str | Sequence[str] | None) -> tuple[str, ...]:
    """Columns of a key from `"A,B"` or a sequence; () for None."""
    names = [] if key is None else key.split(",") if isinstance(key, str) else list(key)
    plain = [name.strip() for name in names]
    if key is not None and (not plain or not all(plain) or len({name.lower() for name in plain}) != len(plain)):
        raise InputError(f"key {key!r} is not a list of columns", field="key", got=key, allowed="COLUMN or COLUMN,COLUMN")
    return tuple(plain)


def period_of(freq: str) -> str:
    """The calendar unit with which a period of a panel starts."""
    if freq not in PERIODS:
        raise InputError(f"freq {freq!r} is not a panel's: allowed are {', '.join(PERIODS)}", field="freq", got=freq, allowed=", ".join(PERIODS))
    return PERIODS[freq]


def dimension_names(by: Sequence[str]) -> tuple[str, ...]:
    """Dimensions or tag keys to split by, or the one that a text names."""
    names = (by,) if isinstance(by, str) else tuple(by)
    for name in names:
        if not is_name(name) or name in ("unique_id", "ds", "y"):
            raise InputError(f"{name!r} is not a dimension or tag key", field="by", got=name, allowed=f"{', '.join(DIMENSIONS)} or a tag key")
    if len({name.lower() for name in names}) != len(names):
        raise InputError(f"A dimension is named twice: {', '.join(names)}", field="by", got=list(names), allowed="each dimension once")
    return names


def cost_column(cost: str) -> str:
    """SQL of the column of effective or billed cost."""
    if cost not in focus.COSTS:
        raise InputError(f"cost {cost!r} is not known: allowed are {', '.join(focus.COSTS)}", field="cost", got=cost, allowed=", ".join(focus.COSTS))
    return quoted_name(focus.COSTS[cost])


def start_of_day(moment: dt.datetime | dt.date | None) -> dt.datetime | None:
    """A day as its first moment."""
    if moment is None or isinstance(moment, dt.datetime):
        return moment
    return dt.datetime(moment.year, moment.month, moment.day)
