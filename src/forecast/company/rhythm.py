"""When each charge becomes known, and what its first version says: the law of late and restated bills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company import cells
from forecast.company.catalogue import ANTHROPIC, AWS, GOOGLE, LICENCES, ON_PREMISES, OPENAI
from forecast.company.lines import ChargeLines
from forecast.company.rows import Charges
from forecast.company.span import Booleans, Floats, Integers, Span
from forecast.company.stretch import Streams

TIMING_COLUMNS = ("charge_id", "received_at", "first_factor", "restated_at", "second_factor", "closed_at")

LATE_DAYS = 4
INVOICE_HOURS = (2 * 24 + 6, 4 * 24 + 18)
"""After the end of a month: its invoice, with tax, comes between the 3rd at 06:00 and the 5th at 18:00."""
SEATS_HOURS = (6, 54)
"""After the beginning of a month: the seats of the month are known."""
CLOSING_CHANCE, CLOSING_ERROR = 0.02, 0.04
RESTATED_HOURS = (25, 72)
NEVER = np.iinfo(np.int64).max // 2


@dataclass(frozen=True)
class DeliveryRhythm:
    """How a provider's bill comes in. Everything happens on the hour.

    hours : between them, after the end of a day, the day's charges are received, all together.  late : chance that a resource's charges
    of a day miss that and come 1 to LATE_DAYS days later.  provisional : chance that a day's first total is wrong; it is put right
    RESTATED_HOURS after the day's end.  too_low, too_high : ranges of the wrong part. A provider that has both is, by the seed, of the
    one kind or the other for ever. Each charge of a wrong day is wrong by 0.8 to 1.2 times that part.
    """

    hours: tuple[int, int]
    late: float = 0.0
    provisional: float = 0.0
    too_low: tuple[float, float] | None = None
    too_high: tuple[float, float] | None = None

    def received(self, days: int, rng: np.random.Generator) -> Integers:
        """(days,) hours after the end of each day."""
        return rng.integers(self.hours[0], self.hours[1] + 1, days)

    def errors(self, days: int, rng: np.random.Generator) -> Floats:
        """(days,) by which part each day's first total is too high; 0 where it is right at once."""
        is_high = self.too_low is None or (self.too_high is not None and bool(rng.random() < 0.5))
        low, high = (self.too_high if is_high else self.too_low) or (0.0, 0.0)
        size = (1.0 if is_high else -1.0) * rng.uniform(low, high, days)
        return np.where(rng.random(days) < self.provisional, size, 0.0)


# Of the bills of two LLM users, 59 % and 69 % of days changed more than a day after they were over; their early totals were 6–11 % too
# high and 3 % too low.
RHYTHMS: dict[str, DeliveryRhythm] = {
    OPENAI: DeliveryRhythm((2, 7), 0.02, 0.64, (0.02, 0.04), (0.06, 0.11)),
    ANTHROPIC: DeliveryRhythm((3, 9), 0.02, 0.64, (0.02, 0.04), (0.06, 0.11)),
    GOOGLE: DeliveryRhythm((8, 30), 0.03, 0.25, (0.01, 0.03)),
    AWS: DeliveryRhythm((8, 26), 0.03, 0.20, (0.01, 0.03)),
    ON_PREMISES: DeliveryRhythm((4, 6)),
}
OTHERS = DeliveryRhythm((3, 12), 0.01)
SEAT_VENDORS = frozenset(licence.provider for licence in LICENCES)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Hours since the company's beginning, (providers, days): the day's export, its restatement, the invoice of its month, the seats of
    its month; and the error of the day's first total, in parts."""

    export: Integers
    restated: Integers
    invoice: Integers
    seats: Integers
    error: Floats

    @classmethod
    def drawn(cls, providers: list[str], span: Span, streams: Streams) -> _Moments:
        day_end = 24 * (1 + np.arange(span.days))
        first, last = ((dates - np.datetime64(span.start, "D")).astype(np.int64) * 24 for dates in (span.month, span.next_month))
        found: list[tuple[Integers | Floats, ...]] = []
        for provider in providers:
            rhythm, rng = RHYTHMS.get(provider, OTHERS), streams.of("deliveries", provider)
            export, error = day_end + rhythm.received(span.days, rng), rhythm.errors(span.days, rng)
            restated = day_end + rng.integers(RESTATED_HOURS[0], RESTATED_HOURS[1] + 1, span.days)
            invoice, seats = (
                month + rng.integers(hours[0], hours[1] + 1, span.days)[span.month_index]
                for month, hours in ((last, INVOICE_HOURS), (first, SEATS_HOURS))
            )
            found.append((export, restated, invoice, seats, error))
        return cls(*(np.array(arrays) for arrays in zip(*found, strict=True)))


def timing_of(lines: ChargeLines, charges: Charges, span: Span, streams: Streams) -> pd.DataFrame:
    """When each charge became known, row by row as the charges.

    charge_id : uint64, names the charge (a line in a charge period) for ever.  received_at : UTC, when its first version came, whose
    quantity and costs were `first_factor` times the final ones.  restated_at : when the version came that says `second_factor` times
    the final ones (1 but for rows that were restated once more), NaT where the first version was final.  closed_at : when a row that
    was restated once more got its final version, NaT for all others.
    """
    attributes = lines.attributes
    providers, provider_of_line = np.unique(attributes["provider_name"].to_numpy(dtype=np.str_), return_inverse=True)
    moments = _Moments.drawn(providers.tolist(), span, streams)
    day, line = charges.day, charges.line
    provider = provider_of_line[line]
    identity = cells.identities(attributes)[line]
    resource_day = cells.at(cells.resources(attributes)[line], day)
    received = moments.export[provider, day] + _delay(resource_day, provider, providers, streams)
    invoice = moments.invoice[provider, day]
    invoiced, seat = (kind[line] for kind in _kinds(attributes))
    received = np.where(seat, np.maximum(received, moments.seats[provider, day]), np.where(invoiced, invoice, received))
    # The morning after it was found: day numbers of corrections are those of their delivery.
    received = np.where(charges.correction, 24 * charges.billed + 9, received)

    usage = (attributes["charge_category"] == "Usage").to_numpy(dtype=np.bool_)[line] & ~seat & ~charges.correction
    restated = moments.restated[provider, day]
    error = np.where(usage & (restated > received), moments.error[provider, day], 0.0)
    error *= 0.8 + 0.4 * cells.uniform(cells.at(identity, day), streams.of("deliveries", "errors"))
    closing = _closing_errors(cells.at(identity, span.month[day]), streams) * (
        usage & (invoice > received) & ~np.isin(providers, [ON_PREMISES])[provider]
    )
    second = _attainable(1.0 + closing, charges.quantity)
    first = _attainable((1.0 + error) * (1.0 + closing), charges.quantity)
    twice = (first != 1.0) & (first != second) & (second != 1.0) & (restated < invoice)
    # The close of a month overtakes a restatement that would come after it.
    second = np.where(twice, second, 1.0)
    restated = np.where(first == 1.0, NEVER, np.where((closing != 0.0) & ~twice, invoice, restated))
    origin = np.datetime64(span.start, "us")
    return pd.DataFrame(
        {
            "charge_id": cells.at(cells.mixed(identity + charges.correction.astype(np.uint64)), charges.start),
            "received_at": _utc(origin, received),
            "first_factor": first,
            "restated_at": _utc(origin, restated),
            "second_factor": second,
            "closed_at": _utc(origin, np.where(twice, invoice, NEVER)),
        }
    )


def _delay(resource_day: cells.Cells, provider: Integers, providers: npt.NDArray[np.str_], streams: Streams) -> Integers:
    """(n,) hours that a resource's charges of a day come after all others of the provider."""
    chance = np.array([RHYTHMS.get(str(name), OTHERS).late for name in providers])[provider]
    drawn = cells.uniform(resource_day, streams.of("deliveries", "late"))
    days = 1 + np.floor(LATE_DAYS * drawn / np.maximum(chance, 1e-9)).astype(np.int64)
    return np.where(drawn < chance, 24 * days, 0)


def _closing_errors(cell: cells.Cells, streams: Streams) -> Floats:
    """(n,) by which part a line's charges of a month were too high until the month was closed; 0 for most."""
    drawn = cells.uniform(cell, streams.of("deliveries", "closing"))
    return np.where(drawn < CLOSING_CHANCE, CLOSING_ERROR * (2.0 * drawn / CLOSING_CHANCE - 1.0), 0.0)


def _attainable(factor: Floats, quantity: Floats) -> Floats:
    """The factor at which a whole quantity stays whole and at least one; exactly 1 where nothing changes."""
    whole = (quantity % 1.0 == 0.0) & (quantity > 0.0)
    # Taxes and credits, whose quantity is one, are never restated.
    early = np.where(whole, np.maximum(np.round(quantity * factor), 1.0), quantity * factor)
    return np.where(early == quantity, 1.0, early / quantity)


def _kinds(attributes: pd.DataFrame) -> tuple[Booleans, Booleans]:
    """(lines,) whether a line comes with the invoice of its month: taxes, and credits that are settled there; and whether it is a seat."""
    category = attributes["charge_category"]
    daily = attributes["charge_description"].str.startswith("promotional")
    invoiced = (category == "Tax") | (category.isin(["Credit", "Adjustment"]) & ~daily)
    seat = attributes["provider_name"].isin(SEAT_VENDORS) & category.isin(["Usage", "Purchase"])
    return invoiced.to_numpy(dtype=np.bool_), seat.to_numpy(dtype=np.bool_)


def _utc(origin: np.datetime64, hours: Integers) -> pd.Series:
    never = hours == NEVER
    moments = origin + np.where(never, 0, hours) * np.timedelta64(1, "h")
    moments[never] = np.datetime64("NaT")
    found: pd.Series[pd.Timestamp] = pd.Series(moments).dt.tz_localize("UTC")
    return found
