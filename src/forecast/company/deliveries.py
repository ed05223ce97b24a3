"""The bills of a generated company as they came in: what was known at a moment, and one delivery after another.

`Company.rows` is what all charges came to in the end, `Company.timing` says when each became known; `rhythm` has the law.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.lines import money
from forecast.company.rows import COLUMN_NAMES
from forecast.company.span import Floats
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.company.generate import Company

CHARGE_ID = "x_charge_id"
"""Column of a delivery that names a charge for ever: `forecast ingest --key x_charge_id` replaces a charge's earlier version."""

EVERY = ("h", "D")
INVOICE_KNOWN = np.timedelta64(54, "h")
"""After the end of a month its rows carry the number of the invoice."""

_VERSIONS = (("received_at", "first_factor"), ("restated_at", "second_factor"), ("closed_at", None))
_SCALED = (
    "billed_cost", "effective_cost", "list_cost", "contracted_cost", "pricing_currency_effective_cost",
    "pricing_quantity", "consumed_quantity", "commitment_discount_quantity",
)  # fmt: skip

_Moments = npt.NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Delivery:
    """What came since the delivery before. received_at : UTC. rows : FOCUS 1.2 and `x_charge_id`, first versions and restated ones."""

    received_at: datetime
    rows: pd.DataFrame


def known_at(company: Company, moment: datetime | str) -> pd.DataFrame:
    """The rows that were known at a moment (UTC where it has no zone), with the figures that they had then, in order of time.

    Columns of FOCUS 1.2 and `x_charge_id`.
    """
    at = _instant(moment, "moment")
    factor, version = np.full(len(company.rows), np.nan), np.full(len(company.rows), np.datetime64("NaT"), dtype="datetime64[us]")
    for since, said in _versions(company):
        has_come = since <= at  # NaT never has
        factor[has_come], version[has_come] = said[has_come], since[has_come]
    return _as_known(company, np.flatnonzero(~np.isnan(factor)), factor, version)


def deliveries(company: Company, since: datetime | str | None = None, until: datetime | str | None = None, every: str = "D") -> Iterator[Delivery]:
    """The deliveries of (since, until] by time of receipt: once a day at midnight UTC, or once an hour; none where nothing changed.

    Each has the charges that came or were restated since the one before, as last known: taken in one after the other by the key
    `x_charge_id`, a ledger holds at each delivery's `received_at` what `known_at` says, and in the end `company.rows`. Everything happens on
    the hour, so with every="h" that is true of any moment. Without `until` they go on to the last restatement, some days after the end.
    """
    if every not in EVERY:
        raise InputError(f"every is {every!r}; allowed are {', '.join(EVERY)}", field="every", got=every, allowed=", ".join(EVERY))
    first = None if since is None else _instant(since, "since")
    last = None if until is None else _instant(until, "until")
    if first is not None and last is not None and last < first:
        raise InputError(f"until {until} is before since {since}", field="until", got=str(until), allowed=f"{since} or later")
    return _deliveries(company, first, last, every)


def _deliveries(company: Company, first: np.datetime64 | None, last: np.datetime64 | None, every: str) -> Iterator[Delivery]:
    step = np.timedelta64(1, "D") if every == "D" else np.timedelta64(1, "h")
    rows, moments, factors = [], [], []
    for since, said in _versions(company):
        came = ~np.isnat(since)
        if first is not None:
            came &= since > first
        number = np.flatnonzero(came)
        rows.append(number)
        moments.append(since[number])
        factors.append(said[number])
    row, moment, factor = np.concatenate(rows), np.concatenate(moments), np.concatenate(factors)
    # A delivery is made at the end of the day or hour in which something came.
    made = moment.astype(f"datetime64[{every}]")
    made = np.where(made < moment, made + step, made)
    if last is not None:
        kept = made <= last
        row, moment, factor, made = row[kept], moment[kept], factor[kept], made[kept]
    order = np.lexsort((moment, row, made))
    row, moment, factor, made = row[order], moment[order], factor[order], made[order]
    newest = np.ones(len(row), dtype=np.bool_)  # of the versions of a row in one delivery
    newest[:-1] = (row[1:] != row[:-1]) | (made[1:] != made[:-1])
    row, moment, factor, made = row[newest], moment[newest], factor[newest], made[newest]
    all_factors, all_moments = np.ones(len(company.rows)), np.zeros(len(company.rows), dtype="datetime64[us]")
    for part in np.split(np.arange(len(row)), np.flatnonzero(made[1:] != made[:-1]) + 1):
        if len(part):
            all_factors[row[part]], all_moments[row[part]] = factor[part], moment[part]
            received = made[part[0]].astype("datetime64[s]").astype(datetime).replace(tzinfo=UTC)
            yield Delivery(received, _as_known(company, row[part], all_factors, all_moments))


def charge_ids(numbers: npt.NDArray[np.uint64]) -> pd.Series:
    """16 hexadecimal digits for each number."""
    octets = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    text = np.stack([digits[octets >> 4], digits[octets & 15]], axis=2).reshape(-1, 16)
    return pd.Series(np.ascontiguousarray(text).view("S16").ravel().astype("U16"), dtype="str")


def _versions(company: Company) -> Iterator[tuple[_Moments, Floats]]:
    """For each version of the rows when it came (naive UTC, NaT where there is none) and its part of the final figures."""
    for since, factor in _VERSIONS:
        moments = company.timing[since].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        yield moments, np.ones(len(moments)) if factor is None else company.timing[factor].to_numpy(dtype=np.float64)


def _as_known(company: Company, row: npt.NDArray[np.intp], factor: Floats, version: _Moments) -> pd.DataFrame:
    """The rows with these numbers, their figures times `factor`, as they were written at `version`; both (all rows,)."""
    rows = company.rows.take(row).reset_index(drop=True)
    said, written = factor[row], version[row]
    changed = np.flatnonzero(said != 1.0)
    columns: dict[str, Any] = {}
    for name in _SCALED if len(changed) else ():
        values = rows[COLUMN_NAMES[name]].to_numpy(copy=True)
        final = values[changed]
        early = money(final * said[changed])
        # What is counted in whole units was so from the beginning.
        values[changed] = np.where(final % 1.0 == 0.0, np.round(early), early) if name.endswith("_quantity") else early
        columns[COLUMN_NAMES[name]] = values
    invoice, month_end = COLUMN_NAMES["invoice_id"], rows[COLUMN_NAMES["billing_period_end"]].to_numpy(dtype="datetime64[us]")
    columns[invoice] = rows[invoice].where(written - month_end >= INVOICE_KNOWN)
    columns[CHARGE_ID] = charge_ids(company.timing["charge_id"].to_numpy(dtype=np.uint64)[row])
    return rows.assign(**columns)


def _instant(moment: datetime | str, field: str) -> np.datetime64:
    """Naive UTC."""
    try:
        found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day)
        found = found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
        return np.datetime64(found, "us")
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise InputError(
            f"{field} is {moment!r}; allowed is a time such as 2026-11-01T06:00:00Z",
            field=field,
            got=moment,
            allowed="a time such as 2026-11-01T06:00:00Z",
        ) from None
