"""From charge lines to FOCUS 1.2 rows: all 57 columns, one row for each line and day (or hour) with a quantity.

Built column by column: a text column is its few distinct values taken by line number, so 300,000 rows take a fraction
of a second. The frame holds plain strings (or, where it is asked for, categories), floats and naive UTC time stamps and
writes to Parquet as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.company import cells
from forecast.company.catalogue import COMPANY_NAME
from forecast.company.corrections import corrections
from forecast.company.lines import ChargeLines, money
from forecast.company.span import Booleans, Floats, Integers, Span
from forecast.company.stretch import Streams
from forecast.spend.focus import columns_of

COLUMN_NAMES: dict[str, str] = {re.sub(r"(?<!^)(?=[A-Z])", "_", column.name).lower(): column.name for column in columns_of("1.2")}
"""Our name of each FOCUS 1.2 column (`billed_cost`) and its own, in the specification's order."""

# What a day looks like by the hour, UTC; each sums to one after normalisation.
_HOURS = np.arange(24)
RHYTHMS: dict[str, Floats] = {
    "flat": np.ones(24),
    "demand": 1.0 + 0.6 * np.sin((_HOURS - 9) / 24.0 * 2.0 * np.pi),
    "office": 0.08 + np.exp(-0.5 * ((_HOURS - 13.5) / 3.5) ** 2),
}
HOUR_NOISE = {"flat": 0.0, "demand": 0.15, "office": 0.5}


Text = Callable[[Sequence[str | None], Integers], object]
"""A text column from its values and, for each row, the number of its value; None is null."""


@dataclass(frozen=True, eq=False)
class Charges:
    """Which rows there are, in order of time, then line; all (n,).

    day, line : where quantity and prices stand in the charge lines. start : of the charge period, datetime64[us]. length : of every
    charge period. billed : number of the day in whose month the charge is billed; `day` but for corrections, which are billed on the
    day on which they arrive. correction : row corrects an earlier month.
    """

    day: Integers
    line: Integers
    quantity: Floats
    start: npt.NDArray[np.datetime64]
    length: np.timedelta64
    billed: Integers
    correction: Booleans

    def __len__(self) -> int:
        return len(self.line)

    def part(self, rows: npt.NDArray[np.intp] | slice) -> Charges:
        """The charges at these positions."""
        return Charges(self.day[rows], self.line[rows], self.quantity[rows], self.start[rows], self.length, self.billed[rows], self.correction[rows])


def charges_of(lines: ChargeLines, span: Span, streams: Streams, hourly: bool = False) -> Charges:
    """One charge per line and day (or hour) whose quantity is not zero, and the corrections of closed months among them."""
    day, line = np.nonzero(lines.quantity)
    quantity = lines.quantity[day, line]
    wrong = corrections(lines, day, line, quantity, span, streams)
    n = len(wrong.day)
    day = np.concatenate([day, wrong.day, wrong.day])
    line = np.concatenate([line, wrong.source, wrong.target])
    quantity = np.concatenate([quantity, -wrong.moved, wrong.moved])
    billed, correction = day.copy(), np.zeros(len(day), dtype=np.bool_)
    billed[len(day) - 2 * n :], correction[len(day) - 2 * n :] = np.tile(wrong.delivered, 2), True
    # What is moved has the same hours where it comes from and where it goes.
    rhythm = np.concatenate([line[: len(line) - n], wrong.source])
    start, length = np.datetime64(span.start, "us") + day * np.timedelta64(1, "D"), np.timedelta64(1, "D")
    if hourly:
        hour, row, quantity = _by_the_hour(lines, day, rhythm, quantity, streams)
        day, line, billed, correction = day[row], line[row], billed[row], correction[row]
        start, length = start[row] + hour * np.timedelta64(1, "h"), np.timedelta64(1, "h")
    order = np.lexsort((correction, line, start)) if hourly or n else slice(None)
    return Charges(day, line, quantity, start, length, billed, correction).part(order)


def plain_text(values: Sequence[str | None], number: Integers) -> object:
    """A column of strings."""
    return pd.array([value if isinstance(value, str) else None for value in values], dtype="str").take(np.asarray(number, dtype=np.int64))


def categories(values: Sequence[str | None], number: Integers) -> pd.Categorical[Any]:
    """A categorical column; its categories are all of `values`, sorted, whichever of them are taken."""
    codes, found = pd.factorize(pd.Series([value if isinstance(value, str) else None for value in values], dtype="str"), sort=True)
    return pd.Categorical.from_codes(codes[number], dtype=pd.CategoricalDtype(pd.Index(found, dtype="str")))


def focus_rows(lines: ChargeLines, charges: Charges, span: Span, currency: str, text: Text = plain_text) -> pd.DataFrame:
    """A row for each charge, in their order; columns as in FOCUS 1.2."""
    day, line = charges.day, charges.line
    # An attribute of a line that is called like a column is that column.
    attributes = [name for name in lines.attributes.columns if name in COLUMN_NAMES]
    columns: dict[str, object] = {name: text(lines.attributes[name].tolist(), line) for name in attributes}
    columns |= _account_columns(lines, line, charges.billed, span, text)
    costs = _money_columns(lines, line, day, charges.quantity)
    columns |= (
        dict(costs) | _commitment_columns(lines, line, costs["billed_cost"], costs["effective_cost"], text) | _constants(len(line), currency, text)
    )
    columns["charge_class"] = text([None, "Correction"], charges.correction.astype(np.int64))
    columns["charge_period_start"], columns["charge_period_end"] = charges.start, charges.start + charges.length
    columns["billing_period_start"] = span.month.astype("datetime64[us]")[charges.billed]
    columns["billing_period_end"] = span.next_month.astype("datetime64[us]")[charges.billed]
    return pd.DataFrame({focus: columns[name] for name, focus in COLUMN_NAMES.items()}, copy=False)


def _money_columns(lines: ChargeLines, line: Integers, day: Integers, quantity: Floats) -> dict[str, Floats]:
    """Quantities, unit prices and the four costs; cost = quantity × price everywhere, rounded to ten decimals.

    Taxes and credits are amounts: they have no quantity and no unit price.
    """
    list_price = lines.list_price[day, line]
    contracted_price = lines.contracted_price[day, line]
    contracted = money(quantity * contracted_price)
    billed = lines.attributes["billed"].to_numpy(dtype=np.float64)[line]
    effective = lines.attributes["effective"].to_numpy(dtype=np.float64)[line]
    effective_cost = money(contracted * effective)
    category = lines.attributes["charge_category"]
    purchase = (category == "Purchase").to_numpy(dtype=np.bool_)[line]
    amount = category.isin(["Tax", "Credit"]).to_numpy(dtype=np.bool_)[line]
    unused = (lines.attributes["commitment_discount_status"] == "Unused").to_numpy(dtype=np.bool_)[line]
    priced = {
        "list_unit_price": list_price,
        "contracted_unit_price": contracted_price,
        "pricing_currency_list_unit_price": list_price,
        "pricing_currency_contracted_unit_price": contracted_price,
        "pricing_quantity": quantity,
    }
    return {
        "billed_cost": money(contracted * billed),
        "effective_cost": effective_cost,
        "list_cost": money(quantity * list_price),
        "contracted_cost": contracted,
        "pricing_currency_effective_cost": effective_cost,
        **{name: np.where(amount, np.nan, values) for name, values in priced.items()},
        # What is bought is not yet consumed, and what stays unused never is.
        "consumed_quantity": np.where(purchase | amount | unused, np.nan, quantity),
    }


def _account_columns(lines: ChargeLines, line: Integers, billed: Integers, span: Span, text: Text) -> dict[str, object]:
    """Names of accounts, and invoices: one per billing account and month, none yet for a month that is still open."""
    accounts, account = np.unique(lines.attributes["billing_account_id"].to_numpy(dtype=np.str_), return_inverse=True)
    months, month = np.unique(span.month, return_inverse=True)
    closed = {str(start)[:7]: bool(end <= np.datetime64(span.end, "D")) for start, end in zip(span.month, span.next_month, strict=True)}
    invoices = [f"INV-{name}-{str(start)[:7]}" if closed[str(start)[:7]] else None for name in accounts for start in months]
    return {
        "invoice_id": text(invoices, account[line] * len(months) + month[billed]),
        "billing_account_name": text([f"{COMPANY_NAME} at {name}" for name in lines.attributes["provider_name"]], line),
        "sub_account_type": text(["Team Account" if name else None for name in lines.attributes["sub_account_name"]], line),
    }


def _constants(count: int, currency: str, text: Text) -> dict[str, object]:
    """Columns with one value in all rows."""
    zeros = np.zeros(count, dtype=np.int64)
    same = {"billing_account_type": "Billing Account", "billing_currency": currency, "pricing_currency": currency}
    empty = [name for name in COLUMN_NAMES if name.startswith("capacity_reservation")]
    columns: dict[str, object] = {name: text([value], zeros) for name, value in same.items()}
    return columns | {name: text([None], zeros) for name in empty}


def _commitment_columns(lines: ChargeLines, line: Integers, billed: Floats, effective: Floats, text: Text) -> dict[str, object]:
    """The commitment behind each row of usage under one, of its unused part and of its purchase; its unit is USD."""
    concerned = (lines.attributes["pricing_category"] == "Committed").to_numpy(dtype=np.bool_)
    identity = "commitment-" + lines.attributes["provider_name"].str.lower().str.replace(" ", "-")
    same = {"category": "Spend", "name": "compute commitment", "type": "Compute Commitment", "unit": "USD"}
    columns: dict[str, object] = {
        f"commitment_discount_{name}": text([value if is_so else None for is_so in concerned], line) for name, value in same.items()
    }
    columns["commitment_discount_id"] = text([name if is_so else None for name, is_so in zip(identity, concerned, strict=True)], line)
    columns["commitment_discount_quantity"] = np.where(concerned[line], np.maximum(billed, effective), np.nan)
    return columns


def _by_the_hour(lines: ChargeLines, day: Integers, line: Integers, quantity: Floats, streams: Streams) -> tuple[Integers, Integers, Floats]:
    """Spread each day's quantity over its hours: hour, position of the day's row, quantity; nothing is lost by rounding.

    Whole quantities stay whole (differences of the rounded running total), purchases stay in the first hour.
    """
    rhythm = lines.attributes["rhythm"].to_numpy(dtype=np.str_)[line]
    # A row that is charged twice has the same hours both times.
    hours = lines.attributes["hours"].to_numpy(dtype=np.int64) if "hours" in lines.attributes else np.arange(len(lines.attributes))
    number = (day * 2**20 + hours[line])[:, None] * 24 + np.arange(24)
    # Uniform, of unit variance.
    noise = (cells.uniform(number.astype(np.uint64), streams.of("hours")) - 0.5) * np.sqrt(12.0)
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
