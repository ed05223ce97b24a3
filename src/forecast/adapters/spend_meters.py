"""What the snapshot keeps of quantities: money and units by leaf, AI model and meter, month by month, and of the last month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import numpy as np
import pandas as pd

from forecast.adapters import duck
from forecast.adapters.duck import quoted_name
from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory
from forecast.spend import focus
from forecast.spend.dimensions import UNKNOWN
from forecast.spend.meters import COLUMNS, recent_start
from forecast.spend.periods import add_months

MOST_MONTHS = 25
"""Months before the cutoff of which quantities are kept: a month can be held against the same one two years before."""
MONTHS_AT_ONCE = 3
"""Months of charge lines that are in memory at a time."""
CONSUMED = (focus.CONSUMED_QUANTITY, focus.CONSUMED_UNIT)
PRICED = (focus.PRICING_QUANTITY, focus.PRICING_UNIT)
"""Quantity and unit of a line: what was consumed, else what was priced."""


def read_meters(ledger: Ledger, history: SpendHistory, *, cost: str = "effective", as_of: dt.datetime | None = None) -> pd.DataFrame:
    """Money and quantity of the lines that are learnt from: the columns of `spend.meters.COLUMNS`, sorted.

    Quantities are those consumed, else those priced; a line without either has an empty unit and no quantity.
    """
    end = history.matrix.ds[-1].date() + dt.timedelta(days=1)
    frames = [_read(ledger, history, first, after, cost, as_of, by_month=True) for first, after in _spans(history.matrix.ds[0].date(), end)]
    recent = max(history.matrix.ds[0].date(), recent_start(history.matrix.ds[-1].date()))
    frames.append(_read(ledger, history, recent, end, cost, as_of, by_month=False))
    found = pd.concat(frames, ignore_index=True)
    for name in ("start", "end"):
        found[name] = pd.to_datetime(found[name]).astype("datetime64[s]")
    return found[list(COLUMNS)].sort_values(["recent", "start", "leaf", "ai_model", "meter", "unit", "commitment"], ignore_index=True)


def _spans(first: dt.date, end: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """Spans of whole months, the first and the last clipped to what is there."""
    start = max(first, add_months(end.replace(day=1), 1 - MOST_MONTHS))
    while start < end:
        after = min(add_months(start.replace(day=1), MONTHS_AT_ONCE), end)
        yield start, after
        start = after


def _read(
    ledger: Ledger, history: SpendHistory, start: dt.date, end: dt.date, cost: str, as_of: dt.datetime | None, *, by_month: bool
) -> pd.DataFrame:
    dimensions = [*dict.fromkeys([*history.hierarchy.dimensions, "ai_model", "meter", "charge_treatment"])]
    money = list(dict.fromkeys([focus.COSTS[cost], focus.EFFECTIVE_COST, focus.CONTRACTED_COST]))
    columns = [*dict.fromkeys([*dimensions, "provider", "service"]), *CONSUMED, *PRICED, focus.CHARGE_START, focus.BILLING_CURRENCY, *money]
    columns += [focus.COMMITMENT_DISCOUNT_ID, focus.COMMITMENT_DISCOUNT_STATUS]
    lines = ledger.charges(start=start, end=end, columns=columns, as_of=as_of)
    known = ", ".join(f"coalesce({quoted_name(name)}, '{UNKNOWN}') AS {quoted_name(name)}" for name in dimensions)
    join = " AND ".join(f"l.{quoted_name(name)} = o.{quoted_name(name)}" for name in history.hierarchy.dimensions)
    day = f"{quoted_name(focus.CHARGE_START)}::DATE"
    first = f"greatest(date_trunc('month', {day})::DATE, DATE '{start}')" if by_month else f"DATE '{start}'"
    said = [[quoted_name(name) for name in pair] for pair in (CONSUMED, PRICED)]
    quantity, unit = (" ".join(f"WHEN {pair[0]} IS NOT NULL AND {pair[1]} IS NOT NULL THEN {pair[place]}" for pair in said) for place in (0, 1))
    commitment, committed, worth = ("''", "0", "0") if by_month else _of_commitments()
    sql = f"""
        WITH lines AS (
            SELECT {known}, {first} AS start, {quoted_name(focus.COSTS[cost])} AS cost,
                   CASE {unit} ELSE '' END AS unit, CASE {quantity} ELSE 0 END AS quantity,
                   {commitment} AS commitment, {committed} AS committed, {worth} AS worth
            FROM charges
        )
        SELECT o.leaf, l.start, l.ai_model, l.meter, l.unit, l.commitment, sum(l.cost)::DOUBLE AS cost, sum(l.quantity)::DOUBLE AS quantity,
               coalesce(sum(l.committed), 0)::DOUBLE AS committed, coalesce(sum(l.worth), 0)::DOUBLE AS worth
        FROM lines l JOIN leaf_of o ON {join} WHERE l.charge_treatment = 'learn' GROUP BY ALL
    """
    connection = duck.connect()
    try:
        connection.register("billed", lines)
        connection.register("leaf_of", history.leaf_of)
        duck.execute(connection, f"CREATE TEMP VIEW charges AS SELECT * FROM {ledger.in_one_currency(connection, 'billed', money)}")
        frame = _frame(connection, sql)
    finally:
        connection.close()
    after = (frame["start"] + pd.offsets.MonthBegin(1)).to_numpy()
    return frame.assign(end=np.minimum(after, np.datetime64(end)) if by_month else np.datetime64(end), recent=not by_month)


def _of_commitments() -> tuple[str, str, str]:
    """SQL of a line's commitment, the amortised money of it, and what its usage would cost without: at least as much.

    A commitment that the bill gives no name is the one of its service.
    """
    status = f"lower(trim({quoted_name(focus.COMMITMENT_DISCOUNT_STATUS)}))"
    names = f"{quoted_name(focus.COMMITMENT_DISCOUNT_ID)}, concat_ws(' ', provider, service), '{UNKNOWN}'"
    commitment = f"CASE WHEN {status} IN ('used', 'unused') THEN coalesce({names}) ELSE '' END"
    money, price = quoted_name(focus.EFFECTIVE_COST), quoted_name(focus.CONTRACTED_COST)
    committed = f"CASE WHEN {status} IN ('used', 'unused') THEN {money} ELSE 0 END"
    return commitment, committed, f"CASE WHEN {status} = 'used' THEN greatest({money}, {price}) ELSE 0 END"


def _frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pd.DataFrame:
    frame: pd.DataFrame = connection.execute(sql).df()
    frame["start"] = pd.to_datetime(frame["start"])
    return frame
