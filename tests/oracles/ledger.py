"""Slow twin of the ledger: keeps every delivery and works out from scratch what was known at a moment. Imports nothing of the package.

What was known is what the deliveries received up to then say when they are read one after the other in the order of their receipt; in
which order they arrived makes no difference, but for two things: of deliveries received at the same moment the one that arrived first is
read first, and what a replacing delivery stands for is decided once, when it arrives.

A row is a dict of column to text, and two rows are the same charge when all their columns are the same text, so tests give each value in
one spelling only.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Content = tuple[tuple[str, str], ...]
Key = tuple[tuple[str, str], ...]
"""Names and values of the columns of a declared key."""


@dataclass(frozen=True)
class Charge:
    """A charge in force. key : None where it is known by what it says."""

    source: str
    content: Content
    key: Key | None

    @property
    def row(self) -> Row:
        return dict(self.content)


@dataclass(frozen=True)
class Cover:
    """What a replacing delivery stands for. provider, account : None where it stands for all of its source."""

    month: str
    provider: str | None
    account: str | None
    first: dt.date | None
    last: dt.date | None

    def holds(self, row: Row) -> bool:
        if month_of(row) != self.month:
            return False
        if self.provider is not None and (row["ProviderName"], account_of(row)) != (self.provider, self.account):
            return False
        return self.first is None or self.last is None or self.first <= day_of(row) <= self.last


@dataclass(frozen=True)
class Received:
    """A delivery as it came. number : order of arrival."""

    received_at: dt.datetime
    number: int
    source: str
    mode: str
    key: tuple[str, ...]
    files: tuple[tuple[Content, ...], ...]
    covers: tuple[Cover, ...]

    @property
    def rows(self) -> list[Content]:
        return [content for file in self.files for content in file]


def content_of(row: Row) -> Content:
    return tuple(sorted((name, str(value)) for name, value in row.items() if value is not None))


def month_of(row: Row) -> str:
    return str(row["BillingPeriodStart"])[:7]


def day_of(row: Row) -> dt.date:
    return dt.date.fromisoformat(row["ChargePeriodStart"][:10])


def account_of(row: Row) -> str:
    return row.get("BillingAccountId") or ""


class LedgerTwin:
    """The ledger as a list of deliveries."""

    def __init__(self) -> None:
        self.deliveries: list[Received] = []

    def ingest(
        self,
        files: Sequence[Sequence[Row]],
        received_at: dt.datetime,
        *,
        source: str,
        declared: bool,
        mode: str = "append",
        key: Sequence[str] = (),
        covers: str = "auto",
    ) -> Received:
        """Keep a delivery. declared : whether somebody named the source, so that a replacing delivery stands for all of it."""
        contents = tuple(tuple(content_of(row) for row in file) for file in files)
        rows = [row for file in files for row in file]
        decided = self._covers(rows, received_at, source, declared, covers) if mode == "replace" else ()
        delivery = Received(received_at, len(self.deliveries), source, mode, tuple(sorted(key)), contents, decided)
        self.deliveries.append(delivery)
        return delivery

    def known(self, moment: dt.datetime | None = None) -> list[Charge]:
        """Every charge in force as known at `moment` (None: now), one element each."""
        charges: list[Charge] = []
        for delivery in sorted(self.deliveries, key=lambda delivery: (delivery.received_at, delivery.number)):
            if moment is None or delivery.received_at <= moment:
                charges = _after(delivery, charges)
        return charges

    def moments(self) -> list[dt.datetime]:
        return sorted({delivery.received_at for delivery in self.deliveries})

    def _covers(self, rows: Sequence[Row], received_at: dt.datetime, source: str, declared: bool, covers: str) -> tuple[Cover, ...]:
        """Of each month (of each provider's account, where nobody named the source): all of it, or the days of the delivery.

        `auto` says days where less than half of the days on which something stood are among them.
        """
        places: dict[tuple[str, str | None, str | None], list[dt.date]] = {}
        for row in rows:
            owner = (None, None) if declared else (row["ProviderName"], account_of(row))
            places.setdefault((month_of(row), *owner), []).append(day_of(row))
        found = []
        for (month, provider, account), days in places.items():
            whole, part = Cover(month, provider, account, None, None), Cover(month, provider, account, min(days), max(days))
            standing = {day_of(charge.row) for charge in self.known(received_at) if charge.source == source and whole.holds(charge.row)}
            among = [day for day in standing if min(days) <= day <= max(days)]
            found.append(part if covers == "days" or (covers == "auto" and 2 * len(among) < len(standing)) else whole)
        return tuple(found)


def _after(delivery: Received, charges: Sequence[Charge]) -> list[Charge]:
    """The charges in force after a delivery was read."""
    match delivery.mode:
        case "append":
            return _appended(delivery, charges)
        case "merge":
            return _merged(delivery, charges)
        case _:
            return _replaced(delivery, charges)


def _appended(delivery: Received, charges: Sequence[Charge]) -> list[Charge]:
    """A row is there as often as in the file that has it most often, unless it stood more often already."""
    after = list(charges)
    for content in dict.fromkeys(delivery.rows):
        wanted = max(file.count(content) for file in delivery.files)
        stood = sum(charge.source == delivery.source and charge.content == content for charge in charges)
        after += [Charge(delivery.source, content, None)] * (wanted - stood)
    return after


def _merged(delivery: Received, charges: Sequence[Charge]) -> list[Charge]:
    """The last row with a key stands, whatever stood under it."""
    last: dict[Key, Content] = {}
    for content in delivery.rows:
        last[tuple((name, dict(content)[name]) for name in delivery.key)] = content
    after = [charge for charge in charges if charge.source != delivery.source or charge.key not in last]
    return after + [Charge(delivery.source, content, key) for key, content in last.items()]


def _replaced(delivery: Received, charges: Sequence[Charge]) -> list[Charge]:
    """Of the covered periods exactly the rows of the delivery stand. Those that stood before keep their key."""
    left = Counter(delivery.rows)
    after = []
    for charge in charges:
        if charge.source != delivery.source or not any(cover.holds(charge.row) for cover in delivery.covers):
            after.append(charge)
        elif left[charge.content]:
            left[charge.content] -= 1
            after.append(charge)
    return after + [Charge(delivery.source, content, None) for content in left.elements()]


# What tests compare


def cost(charges: Iterable[Charge], column: str = "EffectiveCost") -> Decimal:
    return sum((Decimal(charge.row[column]) for charge in charges), Decimal(0))


def cost_by(charges: Iterable[Charge], column: str = "EffectiveCost") -> dict[tuple[dt.date, str, str], Decimal]:
    """Exact cost by charge day, provider and account; places without a charge are not there."""
    found: dict[tuple[dt.date, str, str], Decimal] = {}
    for charge in charges:
        place = (day_of(charge.row), charge.row["ProviderName"], account_of(charge.row))
        found[place] = found.get(place, Decimal(0)) + Decimal(charge.row[column])
    return found
