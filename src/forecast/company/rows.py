"""From charge lines to FOCUS 1.2 rows: all 57 columns, one row for each line and day (or hour) with a quantity.

Built column by column: a text column is its few distinct values taken by line number, so 300,000 rows take a fraction
of a second. The frame holds plain strings, floats and naive UTC time stamps and writes to Parquet as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company.lines import ChargeLines, money
from forecast.company.processes import Streams
from forecast.company.span import Floats, Integers, Span
from forecast.spend.focus import COLUMNS

COMPANY_NAME = "Northwind AI"

COLUMN_NAMES: dict[str, str] = {re.sub(r"(?<!^)(?=[A-Z])", "_", column.name).lower(): column.name for column in COLUMNS}
"""Our name of each FOCUS column (`billed_cost`) and its own, in the specification's order."""

# What a day looks like by the hour, UTC; each sums to one after normalisation.
_HOURS = np.arange(24)
RHYTHMS: dict[str, Floats] = {
    "flat": np.ones(24),
    "demand": 1.0 + 0.6 * np.sin((_HOURS - 9) / 24.0 * 2.0 * np.pi),
    "office": 0.08 + np.exp(-0.5 * ((_HOURS - 13.5) / 3.5) ** 2),
}
HOUR_NOISE = {"flat": 0.0, "demand": 0.15, "office": 0.5}


def focus_rows(lines: ChargeLines, span: Span, streams: Streams, currency: str, hourly: bool) -> pd.DataFrame:
    """One row per line and day (or hour) whose quantity is not zero, in order of time, then line; columns as in FOCUS 1.2."""
    day, line = np.nonzero(lines.quantity)
    quantity = lines.quantity[day, line]
    start = np.datetime64(span.start, "us") + day * np.timedelta64(1, "D")
    length = np.timedelta64(1, "D")
    if hourly:
        hour, row, quantity = _by_the_hour(lines, day, line, quantity, streams)
        day, line = day[row], line[row]
        start = start[row] + hour * np.timedelta64(1, "h")
        length = np.timedelta64(1, "h")
        order = np.lexsort((line, start))
        day, line, quantity, start = day[order], line[order], quantity[order], start[order]
    # An attribute of a line that is called like a column is that column.
    attributes = [name for name in lines.attributes.columns if name in COLUMN_NAMES]
    columns: dict[str, object] = {name: _taken(lines.attributes[name].tolist(), line) for name in attributes}
    columns |= _account_columns(lines, line, day, span)
    columns |= _money_columns(lines, line, day, quantity)
    columns |= _constants(len(line), currency)
    columns["charge_period_start"], columns["charge_period_end"] = start, start + length
    columns["billing_period_start"] = span.month.astype("datetime64[us]")[day]
    columns["billing_period_end"] = span.next_month.astype("datetime64[us]")[day]
    return pd.DataFrame({focus: columns[name] for name, focus in COLUMN_NAMES.items()}, copy=False)


def _money_columns(lines: ChargeLines, line: Integers, day: Integers, quantity: Floats) -> dict[str, object]:
    """Quantities, unit prices and the four costs; cost = quantity × price everywhere, rounded to ten decimals."""
    list_price = lines.list_price[day, line]
    contracted_price = lines.contracted_price[day, line]
    contracted = money(quantity * contracted_price)
    billed = lines.attributes["billed"].to_numpy(dtype=np.bool_)[line]
    effective = lines.attributes["effective"].to_numpy(dtype=np.bool_)[line]
    effective_cost = np.where(effective, contracted, 0.0)
    purchase = (lines.attributes["charge_category"] == "Purchase").to_numpy(dtype=np.bool_)[line]
    return {
        "billed_cost": np.where(billed, contracted, 0.0),
        "effective_cost": effective_cost,
        "list_cost": money(quantity * list_price),
        "contracted_cost": contracted,
        "list_unit_price": list_price,
        "contracted_unit_price": contracted_price,
        "pricing_currency_list_unit_price": list_price,
        "pricing_currency_contracted_unit_price": contracted_price,
        "pricing_currency_effective_cost": effective_cost,
        "pricing_quantity": quantity,
        "consumed_quantity": np.where(purchase, np.nan, quantity),  # what is bought is not yet consumed
    }


def _account_columns(lines: ChargeLines, line: Integers, day: Integers, span: Span) -> dict[str, object]:
    """Names of accounts, and invoices: one per billing account and month, none yet for a month that is still open."""
    accounts, account = np.unique(lines.attributes["billing_account_id"].to_numpy(dtype=np.str_), return_inverse=True)
    months, month = np.unique(span.month, return_inverse=True)
    closed = {str(start)[:7]: bool(end <= np.datetime64(span.end, "D")) for start, end in zip(span.month, span.next_month, strict=True)}
    invoices = [f"INV-{name}-{str(start)[:7]}" if closed[str(start)[:7]] else None for name in accounts for start in months]
    return {
        "invoice_id": _taken(invoices, account[line] * len(months) + month[day]),
        "billing_account_name": _taken([f"{COMPANY_NAME} at {name}" for name in lines.attributes["provider_name"]], line),
    }


def _constants(count: int, currency: str) -> dict[str, object]:
    """Columns with one value in all rows; the charge class is null because nothing here corrects an earlier month."""
    zeros = np.zeros(count, dtype=np.int64)
    text = {"billing_account_type": "Billing Account", "sub_account_type": "Team Account", "billing_currency": currency, "pricing_currency": currency}
    empty = [name for name in COLUMN_NAMES if name.startswith(("capacity_reservation", "commitment_discount")) or name == "charge_class"]
    columns: dict[str, object] = {name: _taken([value], zeros) for name, value in text.items()}
    columns |= {name: _taken([None], zeros) for name in empty}
    columns["commitment_discount_quantity"] = np.full(count, np.nan)
    return columns


def _taken(values: Sequence[str | None], index: Integers | npt.NDArray[np.intp]) -> object:
    """A string column: `values` taken by number, missing values null."""
    return pd.array([None if pd.isna(value) else value for value in values], dtype="str").take(np.asarray(index, dtype=np.int64))


def _by_the_hour(lines: ChargeLines, day: Integers, line: Integers, quantity: Floats, streams: Streams) -> tuple[Integers, Integers, Floats]:
    """Spread each day's quantity over its hours: hour, position of the day's row, quantity; nothing is lost by rounding.

    Whole quantities stay whole (differences of the rounded running total), purchases stay in the first hour.
    """
    rhythm = lines.attributes["rhythm"].to_numpy(dtype=np.str_)[line]
    number = (day * 2**20 + line)[:, None] * 24 + np.arange(24)
    cell = number.astype(np.uint64)
    noise = _cell_noise(cell, streams.of("hours"))
    weights = np.ones((len(line), 24))
    for name, profile in RHYTHMS.items():
        chosen = rhythm == name
        weights[chosen] = profile * np.exp(HOUR_NOISE[name] * noise[chosen])
    purchase = (lines.attributes["charge_category"] == "Purchase").to_numpy(dtype=np.bool_)[line]
    weights[purchase] = np.eye(24)[0]
    running = np.cumsum(weights, axis=1)
    running *= (quantity / running[:, -1])[:, None]
    running[:, -1] = quantity
    whole = lines.attributes["whole"].to_numpy(dtype=np.bool_)[line][:, None]
    running = np.where(whole, np.round(running), money(running))
    hourly = money(np.diff(running, axis=1, prepend=0.0))
    row, hour = np.nonzero(hourly)
    return hour, row, hourly[row, hour]


def _cell_noise(cell: npt.NDArray[np.uint64], rng: np.random.Generator) -> Floats:
    """Noise of unit variance (uniform) that depends on the cell's number alone, whichever other cells there are.

    So an incident that adds or removes rows leaves the hours of all others as they were. The mixing is SplitMix64's.
    """
    mixed = (cell + rng.integers(0, 2**62, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return np.asarray((uniform - 0.5) * np.sqrt(12.0))
