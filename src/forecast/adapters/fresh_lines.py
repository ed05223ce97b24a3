"""Charge lines of days that no snapshot has: what the causes of a fresh incident are searched in."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from forecast.adapters import duck
from forecast.adapters.duck import quoted_name
from forecast.adapters.ledger import Ledger
from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN

_QUANTITY = focus.canonical_name("consumedquantity") or ""


def read_fresh_lines(
    ledger: Ledger, start: dt.date, end: dt.date, *, more: tuple[str, ...] = (), cost: str = "effective", as_of: dt.datetime | None = None
) -> pd.DataFrame:
    """Lines of the days [start, end) added up by day and dimension: columns `ds`, the dimensions and `more`, `cost`, `quantity`.

    Money is in the ledger's currency.
    """
    names = list(dict.fromkeys([*DIMENSIONS, *more]))
    columns = [*names, focus.CHARGE_START, focus.BILLING_CURRENCY, focus.COSTS[cost], _QUANTITY]
    lines = ledger.charges(start=start, end=end, columns=columns, as_of=as_of)
    known = ", ".join(f"coalesce({quoted_name(name)}, '{UNKNOWN}') AS {quoted_name(name)}" for name in names)
    connection = duck.connect()
    try:
        connection.register("billed", lines)
        charges = ledger.in_one_currency(connection, "billed", [focus.COSTS[cost]])
        sql = f"""
            SELECT {quoted_name(focus.CHARGE_START)}::DATE AS ds, {known}, sum({quoted_name(focus.COSTS[cost])})::DOUBLE AS cost,
                   coalesce(sum({quoted_name(_QUANTITY)}), 0)::DOUBLE AS quantity
            FROM {charges} GROUP BY ALL ORDER BY ALL
        """
        frame: pd.DataFrame = connection.execute(sql).df()
    finally:
        connection.close()
    frame["ds"] = pd.to_datetime(frame["ds"]).astype("datetime64[s]")
    return frame
