"""The dated price table: what one unit of a meter cost at list price, from which day on, and where that was read.

Bills of usage alone (tokens, GPU hours) carry no money; their cost is quantity × price. A table is CSV text with the columns of
`COLUMNS`, one price a row, so that a company can put its own contract prices in place of the shipped list prices.

An entry answers for a usage where all of these hold; of several, the one with the most exact model name, then context, stands.

    provider, meter, tier   equal (tier: empty means `standard`)
    unit                    the same thing counted: `1M Tokens` prices `Tokens`
    context                 equal, or empty in the entry: any
    model                   `gpt-4o` is that model and its dated snapshots (`gpt-4o-2024-08-06`, `…-20240806`, `…-0806`, `…-latest`),
                            `ft:gpt-4o*` all names that begin so, `*` any model and none. Upper and lower case are not told apart.
    day                     valid_from ≤ day of the usage < valid_until, or the next valid_from of the same entry where that is empty

No rule guesses: where no entry answers, there is no price.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import pairwise
from typing import Literal

from forecast.errors import InputError, SchemaError

COLUMNS: tuple[str, ...] = (
    "provider", "model", "meter", "tier", "context", "unit", "price", "currency", "valid_from", "valid_until", "checked", "source",
)  # fmt: skip
NEEDED: tuple[str, ...] = ("provider", "model", "meter", "unit", "price", "currency", "valid_from")
"""Columns that must be there and must say something; the others may be left out or empty."""

STANDARD = "standard"
"""The tier of usage that names none."""

ANY = "*"
"""The model of what is priced whatever the model: a web search, an hour of a GPU."""

SNAPSHOT = r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-\d{4}|-latest)"
"""What follows a model's name in the names of its dated snapshots; understood alike by Python and by DuckDB."""

UNIT_DECIMALS = 12
"""Decimals that the price of one counted thing (a token) may have: a price per million tokens may have six."""

_SCALES: Mapping[str, int] = {"1": 0, "1K": 3, "1M": 6, "1B": 9}
_LARGEST = Decimal(10_000)

Match = Literal["name", "prefix"]


@dataclass(frozen=True)
class Price:
    """One entry. price : of one `unit` (`1M Tokens`). valid_until : first day on which it no longer holds. line : where it stands in its file."""

    provider: str
    model: str
    meter: str
    tier: str
    context: str
    unit: str
    price: Decimal
    currency: str
    valid_from: date
    valid_until: date | None
    checked: date | None
    source: str
    line: int

    @property
    def scale(self) -> int:
        """How many powers of ten of the counted thing one `unit` is: 6 for `1M Tokens`."""
        head, _, rest = self.unit.partition(" ")
        return _SCALES.get(head, 0) if rest else 0

    @property
    def counted(self) -> str:
        """What is counted: `Tokens` for `1M Tokens`."""
        head, _, rest = self.unit.partition(" ")
        return rest.strip() if rest and head in _SCALES else self.unit

    @property
    def of_one(self) -> Decimal:
        """Price of one counted thing, exact."""
        return self.price.scaleb(-self.scale)

    @property
    def match(self) -> Match:
        return "prefix" if self.model.endswith(ANY) else "name"

    @property
    def stem(self) -> str:
        """The model's name, or the beginning of it, in lower case."""
        return self.model.removesuffix(ANY).lower()

    @property
    def sentence(self) -> str:
        """The entry in words: `OpenAI gpt-4o input 2.50 USD per 1M Tokens since 2024-10-01`."""
        about = [part for part in (self.tier if self.tier != STANDARD else "", self.context) if part]
        name = " ".join(part for part in (self.provider, self.model if self.model != ANY else "", self.meter) if part)
        tier = f" ({', '.join(about)})" if about else ""
        return f"{name}{tier} {self.price:f} {self.currency} per {self.unit} since {self.valid_from}"

    @property
    def key(self) -> tuple[str, ...]:
        """What entries of different dates have in common."""
        return (self.provider, self.model.lower(), self.meter, self.tier, self.context, self.counted)


@dataclass(frozen=True)
class PriceTable:
    """All entries of one file. name : how `x_priced_by` calls it."""

    name: str
    entries: tuple[Price, ...]

    @cached_property
    def version(self) -> str:
        """Day on which the youngest entry was looked up, else the youngest `valid_from`."""
        checked = [entry.checked for entry in self.entries if entry.checked is not None]
        return str(max(checked or [entry.valid_from for entry in self.entries], default=""))

    @cached_property
    def ends(self) -> tuple[date | None, ...]:
        """For each entry the first day on which it no longer holds; None: it still holds."""
        found: list[date | None] = [None] * len(self.entries)
        for places in self._by_key.values():
            for place, following in zip(places, [*places[1:], None], strict=True):
                found[place] = self.entries[place].valid_until or (self.entries[following].valid_from if following is not None else None)
        return tuple(found)

    def find(
        self, provider: str, model: str | None, meter: str, unit: str, day: date, tier: str | None = None, context: str | None = None
    ) -> Price | None:
        """The entry that answers for a usage, by the rules of this module's docstring. unit : what is counted, `Tokens`."""
        name = (model or "").lower()
        answers = [
            entry
            for entry, end in zip(self.entries, self.ends, strict=True)
            if (entry.provider, entry.meter, entry.tier, entry.counted) == (provider, meter, tier or STANDARD, unit)
            and entry.context in ("", context or "")
            and entry.valid_from <= day
            and (end is None or day < end)
            and _rank(entry, name) > 0
        ]
        return max(answers, key=lambda entry: (_rank(entry, name), entry.context != ""), default=None)

    @cached_property
    def _by_key(self) -> dict[tuple[str, ...], list[int]]:
        found: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, _ in sorted(enumerate(self.entries), key=lambda item: item[1].valid_from):
            found[self.entries[place].key].append(place)
        return dict(found)

    def check(self) -> None:
        """Refuse two entries that would answer for the same usage on the same day."""
        for places in self._by_key.values():
            for first, second in pairwise(places):
                earlier, later = self.entries[first], self.entries[second]
                if earlier.valid_from == later.valid_from or (earlier.valid_until is not None and earlier.valid_until > later.valid_from):
                    raise InputError(
                        f"{self.name}: lines {earlier.line} and {later.line} both say what {earlier.sentence.partition(' since ')[0]!r} "
                        f"costs on {later.valid_from}",
                        field="valid_from",
                        got=str(later.valid_from),
                        allowed="entries of one provider, model, meter, tier and context that follow each other",
                    )


def read_prices(text: str, name: str) -> PriceTable:
    """A price table from CSV text; lines that begin with # are remarks. InputError names the line, the column and what is allowed."""
    lines = [(number, line) for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1) if line.strip() and line[0] != "#"]
    if not lines:
        raise SchemaError(f"{name} holds no prices", field="prices", got="no line", allowed=f"a header with {', '.join(NEEDED)} and a line a price")
    rows = list(csv.reader([line for _, line in lines], strict=True))
    header = [column.strip().lower() for column in rows[0]]
    missing = [column for column in NEEDED if column not in header]
    unknown = [column for column in header if column not in COLUMNS]
    if missing or unknown or len(set(header)) < len(header):
        problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}" if unknown else "names a column twice"
        raise SchemaError(f"{name}: the header {problem}", field=(missing or unknown or header)[0], got=rows[0], allowed=", ".join(COLUMNS))
    entries: list[Price] = []
    for (number, _), row in zip(lines[1:], rows[1:], strict=True):
        if len(row) != len(header):
            raise SchemaError(
                f"{name}, line {number}: has {len(row)} fields, the header {len(header)}", field="line", got=row, allowed="one a column"
            )
        entries.append(_entry({**dict.fromkeys(COLUMNS, ""), **dict(zip(header, (value.strip() for value in row), strict=True))}, name, number))
    table = PriceTable(name, tuple(entries))
    table.check()
    return table


def _entry(values: Mapping[str, str], name: str, line: int) -> Price:
    for column in NEEDED:
        if not values[column]:
            raise _refused(name, line, column, values[column], "a value")
    if not re.fullmatch(r"[A-Z]{3}", values["currency"]):
        raise _refused(name, line, "currency", values["currency"], "three letters such as USD")
    if ANY in values["model"][:-1]:
        raise _refused(name, line, "model", values["model"], "a name, the beginning of one followed by *, or *")
    entry = Price(
        provider=values["provider"],
        model=values["model"],
        meter=values["meter"],
        tier=values["tier"] or STANDARD,
        context=values["context"],
        unit=values["unit"],
        price=_amount(values["price"], name, line),
        currency=values["currency"],
        valid_from=_needed_day(values["valid_from"], name, line, "valid_from"),
        valid_until=_day(values["valid_until"], name, line, "valid_until"),
        checked=_day(values["checked"], name, line, "checked"),
        source=values["source"],
        line=line,
    )
    exponent = entry.of_one.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > UNIT_DECIMALS:
        raise _refused(name, line, "price", values["price"], f"at most {UNIT_DECIMALS - entry.scale} decimals per {entry.unit}")
    if entry.valid_until is not None and entry.valid_until <= entry.valid_from:
        raise _refused(name, line, "valid_until", values["valid_until"], f"a day after valid_from, {entry.valid_from}, or nothing")
    return entry


def _rank(entry: Price, model: str) -> int:
    """How exactly an entry names a model: 0 not at all, then longer beginnings, then the name with a date, then the name itself."""
    if entry.match == "prefix":
        return 1 + len(entry.stem) if model.startswith(entry.stem) else 0
    if model == entry.stem:
        return 1_000_000
    return 500_000 if re.fullmatch(re.escape(entry.stem) + SNAPSHOT, model) else 0


def _amount(text: str, name: str, line: int) -> Decimal:
    allowed = f"a number from 0 to below {_LARGEST:,}, such as 2.50"
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise _refused(name, line, "price", text, allowed) from None
    if not amount.is_finite() or not 0 <= amount < _LARGEST or "_" in text:
        raise _refused(name, line, "price", text, allowed)
    return amount


def _needed_day(text: str, name: str, line: int, column: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _refused(name, line, column, text, "a day such as 2026-01-31") from None


def _day(text: str, name: str, line: int, column: str) -> date | None:
    return _needed_day(text, name, line, column) if text else None


def _refused(name: str, line: int, column: str, got: str, allowed: str) -> InputError:
    return InputError(f"{name}, line {line}: {column} is {got!r}; allowed is {allowed}", field=column, got=got, allowed=allowed)
