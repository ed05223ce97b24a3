"""Money of single hours, by leaf values: what charge lines of an hour or less add up to, and what a snapshot keeps of them.

A line belongs to the hour in which it begins. Lines of more than an hour say nothing of hours, nor do those without a length.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.adapters import duck
from forecast.adapters.duck import quoted_name
from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory
from forecast.anomalies.hours import DAYS_BEFORE, DIGITS, HOURS_A_DAY, DayHours, HourLines, day_hours, joined, node_hours
from forecast.anomalies.signs import FLOOR, HOUR, HOURS, HOURS_MONEY, usual_day
from forecast.spend import focus
from forecast.spend.dimensions import UNKNOWN

Floats = NDArray[np.float64]

DAYS_AT_ONCE = 28
"""Days whose hours are read together: 10,000 leaves have 110 MB of them, with those before."""
TRIFLE = 0.1
"""Part of the least record below which an amount is not kept: it is far from every threshold."""
UNITS = 1_000_000_000
"""Money and quantities are added up as whole billionths: sums of floats hang on the order of lines, and a snapshot's id must not."""


def read_hour_lines(
    ledger: Ledger, dimensions: tuple[str, ...], start: dt.date, end: dt.date, *, cost: str = "effective", as_of: dt.datetime | None = None
) -> HourLines:
    """Hours of the days [start, end), in the ledger's currency, of lines that are learnt from (not what came once or by a schedule)."""
    if not _any(ledger, start, end, as_of):
        return HourLines(pd.DataFrame(columns=list(dimensions)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype="datetime64[h]"), np.zeros(0))
    amount = focus.COSTS[cost]
    begins, ends, own = quoted_name(focus.CHARGE_START), quoted_name(focus.CHARGE_END), [quoted_name(name) for name in dimensions]
    columns = [*dimensions, "charge_treatment", focus.CHARGE_START, focus.CHARGE_END, focus.BILLING_CURRENCY, amount]
    billed = ledger.charges(start=start, end=end, columns=list(dict.fromkeys(columns)), as_of=as_of)
    connection = duck.connect()
    try:
        connection.register("billed", billed)
        charges = ledger.in_one_currency(connection, "billed", [amount])
        short = f"charge_treatment = 'learn' AND {ends} > {begins} AND {ends} <= {begins} + INTERVAL 1 HOUR"
        known = ", ".join(f"coalesce({name}, '{UNKNOWN}') AS {name}" for name in own)
        duck.execute(
            connection,
            f"""CREATE TEMP TABLE hours AS SELECT {known}, date_trunc('hour', {begins}) AS hour,
                       sum(round({quoted_name(amount)}::DOUBLE * {UNITS})::HUGEINT) AS spend FROM {charges} WHERE {short} GROUP BY ALL""",
        )
        names = ", ".join(own)
        combined = f"SELECT row_number() OVER (ORDER BY {names}) - 1 AS combination, {names} FROM (SELECT DISTINCT {names} FROM hours)"
        combinations: pd.DataFrame = connection.execute(f"SELECT {names} FROM ({combined}) ORDER BY combination").df()
        sql = f"SELECT combination, hour, spend::DOUBLE / {UNITS} AS spend FROM hours JOIN ({combined}) USING ({names}) WHERE spend <> 0 ORDER BY ALL"
        found = connection.execute(sql).fetchnumpy()
    finally:
        connection.close()
    return HourLines(
        combinations,
        np.asarray(found["combination"], dtype=np.int64),
        np.asarray(found["hour"]).astype("datetime64[h]"),
        np.asarray(found["spend"], dtype=np.float64),
    )


def read_day_hours(
    ledger: Ledger, history: SpendHistory, start: dt.date, *, cost: str = "effective", as_of: dt.datetime | None = None
) -> pd.DataFrame:
    """What a snapshot keeps of hours, of the days from `start` to the history's last one: columns `leaf` (row number of a leaf, and after the leaves
    of a node), `ds`, `hours` and `hours_money` (`anomalies.hours.DayHours.amount` and `most`). No rows where no line is an hour's."""
    last = history.matrix.ds[-1].date() + dt.timedelta(days=1)
    n_leaves, least = len(history.hierarchy.leaf_ids), TRIFLE * FLOOR * HOUR**0.5 * usual_day(history.billed.sum(axis=0))
    buffer = np.zeros((n_leaves, DAYS_BEFORE, HOURS_A_DAY))
    parts = [_kept(buffer[:0], history, np.datetime64(start, "D"), least)]
    day = start - dt.timedelta(days=DAYS_BEFORE) if _any(ledger, start, last, as_of) else last
    while day < last:
        until = min(start if day < start else day + dt.timedelta(days=DAYS_AT_ONCE), last)
        lines = read_hour_lines(ledger, history.hierarchy.dimensions, day, until, cost=cost, as_of=as_of)
        row_of = lines.combinations.merge(history.leaf_of, on=list(history.hierarchy.dimensions), how="left")["leaf"].fillna(-1)
        fresh = lines.by_hour(row_of.to_numpy(dtype=np.int64), n_leaves, np.datetime64(day, "D"), (until - day).days)
        buffer = np.concatenate([buffer, fresh], axis=1)
        if day >= start and buffer.any():
            parts.append(_kept(buffer, history, np.datetime64(day, "D"), least))
        buffer = np.ascontiguousarray(buffer[:, -DAYS_BEFORE:])
        day = until
    return pd.concat(parts, ignore_index=True)


def _any(ledger: Ledger, start: dt.date, end: dt.date, as_of: dt.datetime | None) -> bool:
    """Whether a line is an hour's: two columns are read in a tenth of the time of all that are needed, and most bills have none."""
    times = ledger.charges(start=start, end=end, columns=[focus.CHARGE_START, focus.CHARGE_END], as_of=as_of)
    length = times.column(1).to_numpy() - times.column(0).to_numpy()
    return bool(((length > np.timedelta64(0)) & (length <= np.timedelta64(1, "h"))).any())


def _kept(hours: Floats, history: SpendHistory, first_day: np.datetime64, least: float) -> pd.DataFrame:
    """Of the days from `first_day` on, what is no trifle. hours : of the leaves, with the days before; no rows for none."""
    found = DayHours.nothing(0, 0)
    if len(hours):
        found = joined([day_hours(hours), day_hours(node_hours(hours, history.hierarchy.members))], axis=0)
    row, column = np.nonzero(found.amount >= max(least, 10.0**-DIGITS))
    return pd.DataFrame(
        {
            "leaf": row.astype(np.int64),
            "ds": (first_day + column).astype("datetime64[s]"),
            HOURS: found.amount[row, column].round(DIGITS),
            HOURS_MONEY: found.most[row, column].round(DIGITS),
        }
    )
