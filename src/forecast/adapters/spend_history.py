"""What training reads of the ledger: the last usable day, the panel of leaves, and the recent lines below them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.adapters import duck
from forecast.adapters.duck import quoted_name
from forecast.adapters.ledger import Ledger
from forecast.adapters.ledger_table import naive_utc
from forecast.errors import InsufficientHistoryError
from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS, OTHER, UNKNOWN
from forecast.spend.hierarchy import Hierarchy, build_hierarchy
from forecast.spend.panel import SpendMatrix
from forecast.spend.provisional import Provisional, last_half_known, provisional_days, well_known
from forecast.spend.split_history import NOTHING, SplitHistory, split_history

RECENT_DAYS = 56
"""Days of lines below the leaves that a snapshot keeps: eight weeks, what shares of finer scopes are learned from."""
MOST_COMBINATIONS = 20_000
"""Value combinations below the leaves that are kept apart; the smallest beyond them lose SKU, resource and tags, not their money."""
LATEST_LAG = 7
"""A provider whose lines are later than that has ended or pauses; the others are not held back for it."""
FEWEST_DELIVERIES = 4
"""Deliveries below which nothing is said about how bills come in: three weekly ones have shown no day twice at one age."""
DAILY_SHARE = 0.8
"""Share of the last days with spend from which a provider is taken for one that bills every day."""

_OF_CHARGES = ("charge_treatment", "charge_kind", "charge_item", "charge_end")
"""Dimensions by which lines that are not learnt from are kept apart."""

_QUANTITY = focus.canonical_name("consumedquantity") or ""


@dataclass(frozen=True)
class SpendHistory:
    """The leaves' daily cost from the ledger's first day to the cutoff, and how they add up.

    matrix : every leaf in the hierarchy's order, a day without a charge line cost nothing. All money counts here, whatever its kind; days
    that are not fully billed have their expected cost. billed : (n_leaves, days) the same as billed. leaf_of : one row a value combination
    of the leaf dimensions that occurred, with the columns `leaf` (row number in the hierarchy). lines : what of the matrix happened once or
    follows a schedule, columns of `split_history.LINE_COLUMNS`. provisional : what is known of the days that are not fully billed.
    """

    matrix: SpendMatrix
    billed: NDArray[np.float64]
    hierarchy: Hierarchy
    leaf_of: pd.DataFrame
    lines: pd.DataFrame
    provisional: Provisional | None = None

    @property
    def panel(self) -> pd.DataFrame:
        """The same as a long panel: unique_id, ds, y."""
        ids, days = np.array(self.matrix.ids, dtype=object), self.matrix.n_periods
        return pd.DataFrame({"unique_id": np.repeat(ids, days), "ds": np.tile(self.matrix.ds.to_numpy(), len(ids)), "y": self.matrix.values.ravel()})

    @cached_property
    def parts(self) -> SplitHistory:
        """The matrix taken apart: what can be learnt, what happened once, and what follows `parts.schedules`."""
        return split_history(self.matrix.values, self.lines, self.matrix.ds)


def last_usable_day(ledger: Ledger, as_of: dt.datetime | None = None) -> dt.date:
    """The last day of every provider that bills daily that is billed to its end, or whose bills are known well enough to tell what it will be.

    A day is complete for a provider when a charge of at most a day ends with it or later: hourly lines up to 13:00 leave
    their day incomplete. A provider more than a week behind the newest holds nobody back.
    """
    summary = ledger.summary()
    newest = dt.date.fromisoformat(summary["last_day"])
    begin = newest - dt.timedelta(days=28 + LATEST_LAG)
    start, end = quoted_name(focus.CHARGE_START), quoted_name(focus.CHARGE_END)
    lines = ledger.charges(start=begin, columns=["provider", focus.CHARGE_START, focus.CHARGE_END], as_of=as_of)
    connection = duck.connect()
    try:
        connection.register("lines", lines)
        sql = f"""
            SELECT provider, count(DISTINCT {start}::DATE) AS days, max(({end} - INTERVAL 1 DAY)::DATE) AS complete
            FROM lines WHERE {end} - {start} <= INTERVAL 1 DAY GROUP BY provider
        """
        rows = duck.execute(connection, sql)
    finally:
        connection.close()
    found = [(str(row[0]), int(str(row[1])), row[2]) for row in rows if isinstance(row[2], dt.date)]
    if not found:
        return newest
    latest = max(complete for _, _, complete in found)
    daily = {name: complete for name, days, complete in found if days >= DAILY_SHARE * 28 and (latest - complete).days <= LATEST_LAG}
    complete = min(daily.values(), default=latest)
    moment = known_until(ledger, as_of)
    if moment is None:
        return complete
    developments = ledger.developments(since=begin).rename(columns={"provider": "source"})
    completeness = well_known(developments, moment)
    if completeness is None:
        return complete
    # Those that are not well known hold back as before; of the others half of the money must be there: of a day of which
    # less is known a forecast says as much.
    others = [day for name, day in daily.items() if name not in completeness.sources]
    usable = last_half_known(completeness, developments, not_after=min([newest, *others]))
    return complete if usable is None else max(complete, usable)


def known_until(ledger: Ledger, as_of: dt.datetime | None = None) -> np.datetime64 | None:
    """When the ledger last heard of anything, at the latest `as_of`: the moment that days' ages are counted to, so that the same ledger
    always answers the same. None where so few deliveries came that they tell nothing about lateness."""
    moments = [delivery["received_at"] for delivery in ledger.deliveries()]
    moments = [moment for moment in moments if as_of is None or moment <= naive_utc(as_of)]
    return np.datetime64(max(moments), "us") if len(moments) >= FEWEST_DELIVERIES else None


def read_history(
    ledger: Ledger,
    dimensions: tuple[str, ...],
    cutoff: dt.date,
    *,
    cost: str = "effective",
    most_leaves: int = 2000,
    as_of: dt.datetime | None = None,
    n_draws: int = 500,
    seed: int = 0,
) -> SpendHistory:
    """Daily cost of the leaves up to and including `cutoff`, days without charges filled with zero, and the lines that are not learnt from.

    n_draws, seed : of the ways in which the days that are not fully billed may end.
    Raises InsufficientHistoryError where the ledger begins after the cutoff.
    """
    end = cutoff + dt.timedelta(days=1)
    lines = ledger.panel(by=tuple(dict.fromkeys([*dimensions, *_OF_CHARGES])), freq="D", cost=cost, as_of=as_of, end=end)
    if lines.empty:
        first = ledger.summary()["first_day"]
        raise InsufficientHistoryError(f"No spend up to {cutoff}: the ledger's first day is {first}", days=0, needed=14)
    names = list(dimensions)
    lines[names] = lines[names].fillna(UNKNOWN)
    totals = lines.assign(total=lines["y"].abs()).groupby(names, sort=True)["total"].sum().reset_index()
    hierarchy, ids = build_hierarchy(totals, dimensions, most=most_leaves)
    row = pd.Series(np.arange(len(hierarchy.leaf_ids)), index=list(hierarchy.leaf_ids))
    leaf_of = totals[names].assign(leaf=row.reindex(ids.to_numpy()).to_numpy())
    grid = pd.date_range(lines["ds"].min(), pd.Timestamp(cutoff), freq="D")
    lines = lines.assign(leaf=lines[names].merge(leaf_of, on=names, how="left")["leaf"].to_numpy())
    billed = _summed(lines, len(hierarchy.leaf_ids), grid)
    provisional = None
    if (moment := known_until(ledger, as_of)) is not None:
        developments = _developments(ledger, names, leaf_of, cost)
        provisional = provisional_days(billed, grid, developments, moment, n_draws=n_draws, seed=seed)
    values = billed if provisional is None else np.concatenate([billed[:, : provisional.first], provisional.mean], axis=1)
    return SpendHistory(SpendMatrix(hierarchy.leaf_ids, grid, values, "D"), billed, hierarchy, leaf_of, _apart(lines), provisional)


def _developments(ledger: Ledger, dimensions: list[str], leaf_of: pd.DataFrame, cost: str) -> pd.DataFrame:
    """How each leaf's days came to be known: columns leaf, source (provider), ds, known_at, change."""
    every = list(dict.fromkeys([*dimensions, "provider"]))
    frame = ledger.developments(by=every, cost=cost)
    frame[every] = frame[every].fillna(UNKNOWN)
    placed = frame.merge(leaf_of, on=dimensions, how="inner")  # combinations that came after the cutoff are no leaf's
    return placed[["leaf", "ds", "known_at", "change"]].assign(source=placed["provider"].to_numpy())


def _summed(lines: pd.DataFrame, leaves: int, grid: pd.DatetimeIndex) -> NDArray[np.float64]:
    """(leaves, days) cost of all lines; nothing where they cancel out."""
    place = (lines["leaf"].to_numpy(), grid.get_indexer(pd.DatetimeIndex(lines["ds"])))
    cost = lines["y"].to_numpy()
    values, size = np.zeros((leaves, len(grid))), np.zeros((leaves, len(grid)))
    np.add.at(values, place, cost)
    np.add.at(size, place, np.abs(cost))
    # The ledger adds up exactly, but these are sums of its sums, and no longer decimal ones.
    values[np.abs(values) <= NOTHING * size] = 0.0
    return values


def _apart(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines that are not learnt from, in the columns and the order that `split_history` takes them in."""
    apart = lines[lines["charge_treatment"] != "learn"]
    end = pd.to_datetime(apart["charge_end"].where(apart["charge_end"] != UNKNOWN), format="%Y-%m-%d")
    columns = {
        "leaf": apart["leaf"],
        "ds": apart["ds"],
        "treatment": apart["charge_treatment"],
        "kind": apart["charge_kind"],
        "item": apart["charge_item"],
        "cost": apart["y"],
        "end": end.fillna(apart["ds"] + pd.Timedelta(days=1)).astype("datetime64[us]"),
    }
    return pd.DataFrame(columns).sort_values(["leaf", "ds", "kind", "item", "end"], ignore_index=True)


def read_recent(
    ledger: Ledger,
    history: SpendHistory,
    *,
    cost: str = "effective",
    days: int = RECENT_DAYS,
    as_of: dt.datetime | None = None,
    most: int = MOST_COMBINATIONS,
) -> pd.DataFrame:
    """The last days by leaf and every finer dimension: columns `leaf` (row number), `ds`, the dimensions, `tags` (JSON text), `cost`, `quantity`.

    One row a day and value combination, sorted; costs of a leaf and day add up to its history.
    """
    end = history.matrix.ds[-1].date() + dt.timedelta(days=1)
    extra = [name for name in history.hierarchy.dimensions if name not in DIMENSIONS]
    columns = [*DIMENSIONS, *extra, focus.TAGS, focus.CHARGE_START, focus.BILLING_CURRENCY, focus.COSTS[cost], _QUANTITY]
    lines = ledger.charges(start=end - dt.timedelta(days=days), end=end, columns=columns, as_of=as_of)
    names = ", ".join(quoted_name(name) for name in DIMENSIONS)
    known = ", ".join(f"coalesce({quoted_name(name)}, '{UNKNOWN}') AS {quoted_name(name)}" for name in dict.fromkeys([*DIMENSIONS, *extra]))
    join = " AND ".join(f"l.{quoted_name(name)} = o.{quoted_name(name)}" for name in history.hierarchy.dimensions)
    own = ", ".join(f"l.{quoted_name(name)}" for name in DIMENSIONS)
    short = ", ".join(f"CASE WHEN place > {int(most)} THEN '{OTHER}' ELSE {name} END AS {name}" for name in ("sku", "resource"))
    sql = f"""
        WITH lines AS (
            SELECT {known}, coalesce({quoted_name(focus.TAGS)}, '{{}}') AS tags, {quoted_name(focus.CHARGE_START)}::DATE AS ds,
                   {quoted_name(focus.COSTS[cost])} AS cost, {quoted_name(_QUANTITY)} AS quantity FROM charges
        ), placed AS (
            SELECT o.leaf, l.ds, {own}, l.tags, sum(l.cost) AS cost, sum(l.quantity) AS quantity
            FROM lines l JOIN leaf_of o ON {join} GROUP BY ALL
        ), sizes AS (
            SELECT leaf, {names}, tags, sum(abs(cost)) AS size FROM placed GROUP BY ALL
        ), ranked AS (
            SELECT * EXCLUDE (size), row_number() OVER (ORDER BY size DESC, leaf, {names}, tags) AS place FROM sizes
        ), kept AS (
            SELECT placed.* REPLACE ({short}, CASE WHEN place > {int(most)} THEN '{{}}' ELSE placed.tags END AS tags)
            FROM placed JOIN ranked USING (leaf, {names}, tags)
        )
        SELECT leaf, ds, {names}, tags, sum(cost)::DOUBLE AS cost, coalesce(sum(quantity), 0)::DOUBLE AS quantity
        FROM kept GROUP BY ALL ORDER BY leaf, ds, {names}, tags
    """
    connection = duck.connect()
    try:
        connection.register("billed", lines)
        connection.register("leaf_of", history.leaf_of)
        duck.execute(connection, f"CREATE TEMP VIEW charges AS SELECT * FROM {ledger.in_one_currency(connection, 'billed', [focus.COSTS[cost]])}")
        frame: pd.DataFrame = connection.execute(sql).df()
    finally:
        connection.close()
    frame["ds"] = pd.to_datetime(frame["ds"]).astype("datetime64[s]")
    return frame
