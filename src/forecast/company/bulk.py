"""Bills of any length for load tests: the charge lines of one generated company, each spread over as many resources as it takes.

A resource has the same size all its life, so what holds between the lines of one resource (seats bought and used, tokens in and out)
holds for its copies. Text comes as categories: 41 of the 57 columns then cost a few bytes a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company import organisation
from forecast.company.generate import CURRENCY, check_sizes, check_whole
from forecast.company.lines import ChargeLines
from forecast.company.lookalikes import with_careless_tags
from forecast.company.rows import COLUMN_NAMES, Charges, Text, categories, charges_of, focus_rows
from forecast.company.simulation import Simulation
from forecast.company.span import Booleans, Floats, Integers, Span
from forecast.company.stretch import Streams, Stretch
from forecast.errors import InputError

MOST_LINES = 200_000_000
MOST_TEAM_DAYS = 40_000
"""Beyond it the charge lines of the company themselves would need more than a gigabyte."""
CHUNK = 500_000
END = date(2026, 11, 1)
SIZES = 0.5
"""Standard deviation of a resource's log size."""


def bulk_rows(seed: int, lines: int, *, days: int = 548, teams: int = 8, end: date = END, chunk: int = CHUNK) -> Iterator[pd.DataFrame]:
    """Exactly `lines` daily FOCUS 1.2 rows of the `days` days before `end` (exclusive), in order of time, `chunk` rows a frame.

    seed : ≥ 0. lines : 1 to 200 million. days : 60 to 3,660. teams : 1 to 200; together at most 40,000 team-days. More teams are more
    leaves; more lines are more resources in the same leaves. Columns, types and categories are the same in every frame. There are no
    incidents, corrections or late rows. Fewer lines than the company has (some 400 a day) are a part of its resources.
    """
    check_sizes(seed, days, teams, "D", end, 1)
    check_whole("lines", lines, 1, MOST_LINES)
    check_whole("chunk", chunk, 1, 5_000_000)
    if days * teams > MOST_TEAM_DAYS:
        raise InputError(
            f"Company cannot be generated: {days} days of {teams} teams are {days * teams:,} team-days; allowed are at most {MOST_TEAM_DAYS:,}.",
            field="teams",
            got=teams,
            allowed=f"at most {MOST_TEAM_DAYS // days} teams for {days} days",
        )
    return _chunks(Streams(seed), lines, Span(end - timedelta(days=days), end), teams, chunk)


def _chunks(streams: Streams, count: int, span: Span, teams: int, chunk: int) -> Iterator[pd.DataFrame]:
    founded = organisation.found(streams, span.days, teams)
    happened, _ = Simulation.drawn(founded, streams, span.days).happen(Stretch.beginning(span, streams, span.days))
    lines = with_careless_tags(happened.used(), streams)
    charges = charges_of(lines, span, streams)
    charges = charges.part(np.flatnonzero(~charges.correction))
    copies = _Copies.drawn(lines, charges, count, streams)
    text = _remembered_categories()
    for begin in range(0, count, chunk):
        row, copy = copies.range(begin, min(begin + chunk, count))
        part = charges.part(row)
        resource = copies.resource[part.line]
        quantity = _sized(part.quantity, copies.size[copies.first[resource] + copy])
        frame = focus_rows(lines, Charges(part.day, part.line, quantity, part.start, part.length, part.billed, part.correction), span, CURRENCY, text)
        frame[COLUMN_NAMES["resource_id"]] = pd.Categorical.from_codes(
            np.where(copies.named[resource], copies.first[resource] + copy, -1), dtype=copies.names
        )
        yield frame


@dataclass(frozen=True, eq=False)
class _Copies:
    """How often each charge is there.

    resource : (lines,) number of its resource. begin : (charges + 1,) number of the first copy of each charge. first : (resources,) place
    of its first copy in `size` and `names`. size : (all copies,) relative size. names : categories of all copies. named : (resources,)
    whether it has a name.
    """

    resource: Integers
    begin: Integers
    first: Integers
    size: Floats
    names: pd.CategoricalDtype
    named: Booleans

    @classmethod
    def drawn(cls, lines: ChargeLines, charges: Charges, count: int, streams: Streams) -> _Copies:
        """As many copies as make `count` rows; what has no resource or is under a commitment stays single."""
        rng = streams.of("bulk")
        attributes = lines.attributes
        # Lines without a resource are one each, and nameless.
        nameless = attributes["resource_id"].isna().to_numpy(dtype=np.bool_)
        keys = np.where(nameless, np.arange(len(attributes)).astype(np.str_), attributes["resource_id"].fillna("").to_numpy(dtype=object))
        resource, found = pd.factorize(keys.astype(object))
        n = len(found)
        single = np.zeros(n, dtype=np.bool_)
        single[resource[nameless | (attributes["pricing_category"] == "Committed").to_numpy(dtype=np.bool_)]] = True
        named = np.ones(n, dtype=np.bool_)
        named[resource[nameless]] = False
        rows = np.bincount(resource[charges.line], minlength=n)
        # A company that is larger than what is asked for is not there in full, and nothing is sure to be.
        wanted = count - int(rows[single].sum()) if count >= len(charges) else count
        every = np.where(single, 0, rows) if count >= len(charges) else rows
        copies = np.where(every > 0, wanted // int(every.sum()), 0)
        if count >= len(charges):
            copies[single] = 1
        rest = wanted % int(every.sum())
        order = rng.permutation(np.flatnonzero(every))
        filled = np.cumsum(every[order])
        whole = int(np.searchsorted(filled, rest, "right"))
        copies[order[:whole]] += 1
        per_charge = copies[resource][charges.line]
        left = rest - (int(filled[whole - 1]) if whole else 0)
        if left:  # one more resource, for the first of its rows
            last = order[whole]
            per_charge[np.flatnonzero(resource[charges.line] == last)[:left]] += 1
            copies[last] += 1
        first = np.concatenate([[0], np.cumsum(copies)[:-1]])
        number = np.arange(int(copies.sum())) - np.repeat(first, copies)
        size = np.where(number == 0, 1.0, np.exp(SIZES * rng.standard_normal(len(number))))
        names = [f"{name}.{copy}" if copy else str(name) for name, copy in zip(np.repeat(found, copies), number.tolist(), strict=True)]
        begin = np.concatenate([[0], np.cumsum(per_charge)])
        return cls(resource, begin, first, size, pd.CategoricalDtype(pd.Index(names, dtype="str")), named)

    def range(self, begin: int, end: int) -> tuple[npt.NDArray[np.intp], Integers]:
        """Position of the charge, and number of the copy, of the rows [begin, end)."""
        low, high = int(np.searchsorted(self.begin, begin, "right")) - 1, int(np.searchsorted(self.begin, end, "left"))
        begins = np.clip(self.begin[low : high + 1], begin, end)
        charge = np.repeat(np.arange(low, high), begins[1:] - begins[:-1])
        return charge, np.arange(begin, end) - self.begin[charge]


def _sized(quantity: Floats, size: Floats) -> Floats:
    """Quantities times size, in the units that they are counted in: whole, or thousandths, and never nothing."""
    whole = quantity % 1.0 == 0.0
    unit = np.where(whole, 1.0, 0.001)
    return np.where(size == 1.0, quantity, np.maximum(np.round(quantity * size / unit), 1.0) * unit)


def _remembered_categories() -> Text:
    """`categories`, but columns with the same values are found by them and not made anew for every frame."""
    known: dict[tuple[str | None, ...], pd.Categorical[Any]] = {}

    def column(values: Sequence[str | None], number: Integers) -> object:
        key = tuple(value if isinstance(value, str) else None for value in values)
        if key not in known:
            known[key] = categories(key, np.arange(len(key)))
        whole = known[key]
        return pd.Categorical.from_codes(whole.codes[number], dtype=whole.dtype)

    return column
