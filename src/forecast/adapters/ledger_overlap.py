"""The same bill under another name: rows of a source that is new to the ledger which stand there already as the word of others.

Each source is its own word, so equal rows of two sources are two charges. That is right for two accounts with the same fee, and twice the
money where one bill comes by two roads: as FOCUS and as the vendor's own export, from a bucket and over HTTP. It is asked once, when a
source speaks for the first time, and only in the billing months of that delivery.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from decimal import Decimal

import duckdb
from deltalake import DeltaTable

from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.ledger_table import PARTITION, TablePlace, scan_of
from forecast.adapters.staging import STAGED
from forecast.errors import DeliveryError
from forecast.spend import focus

FEWEST_ROWS = 20
"""Equal rows below which nothing is said: a few equal fees are no bill."""

_PLACES = 6
"""Decimals of a cost that are compared: vendors' formats round the same cost in different places."""

_ACCOUNT, _CURRENCY = quoted_name(focus.BILLING_ACCOUNT_ID), quoted_name(focus.BILLING_CURRENCY)


@dataclass(frozen=True)
class Overlap:
    """Rows of a new source that others have said.

    others : sources and how many of the rows are theirs, the most first. rows, equal_rows : of the delivery, and those of them that stand
    elsewhere. money : the same in money without its signs, (currency, all, equal) for each currency.
    """

    source: str
    others: tuple[tuple[str, int], ...]
    rows: int
    equal_rows: int
    money: tuple[tuple[str, Decimal, Decimal], ...]

    @property
    def is_the_same_bill(self) -> bool:
        """Whether more than half of the rows and more than half of the money (of each currency) are there already."""
        return 2 * self.equal_rows > self.rows and all(2 * equal > every for _, every, equal in self.money)

    @property
    def sentence(self) -> str:
        theirs = " and ".join(f"{name!r} ({count:,} rows)" for name, count in self.others[:3]) + (" and others" if len(self.others) > 3 else "")
        amounts = ", ".join(f"{equal:,.2f} of {every:,.2f} {currency}" for currency, every, equal in self.money)
        return f"{self.equal_rows:,} of the {self.rows:,} rows of the new source {self.source!r} ({amounts}) stand in the ledger as said by {theirs}"

    def refusal(self) -> DeliveryError:
        allowed = f"--source {shlex.quote(self.others[0][0])} or --also"
        return DeliveryError(
            f"{self.sentence}: it looks like the same bill under another name, which would count twice. Leave it out, or give {allowed}: the former "
            f"where it restates that one's rows (with --replace where it stands for all of them), the latter (allow_overlap) where both are charges",
            field="source",
            got=self.source,
            allowed=allowed,
        )


def check_overlap(
    connection: duckdb.DuckDBPyConnection, place: TablePlace, table: DeltaTable | None, delivery: Delivery, *, allowed: bool
) -> Overlap | None:
    """What other sources have said of the staged rows of a source that is new; None where it is not new or hardly anything is equal.

    Raises DeliveryError where it looks like the same bill, unless that is `allowed`.
    """
    if table is None or not table.file_uris() or delivery.source in sources_of(table):
        return None
    found = _overlap(connection, place, table, delivery.source)
    if found is not None and found.is_the_same_bill and not allowed:
        raise found.refusal()
    return found


def sources_of(table: DeltaTable) -> set[str]:
    """The sources that ever said something."""
    return {json.loads(entry["about"])["source"] for entry in table.history() if "about" in entry}


def _overlap(connection: duckdb.DuckDBPyConnection, place: TablePlace, table: DeltaTable, source: str) -> Overlap | None:
    months = [str(row[0]) for row in execute(connection, f"SELECT DISTINCT {PARTITION} FROM {STAGED} ORDER BY 1")]
    scan = scan_of(place, table, connection, months=months)
    said = f"SELECT {_same_sql('s')}, any_value({_CURRENCY}) AS currency, count(*) AS times FROM {STAGED} AS s GROUP BY same, same_cost"
    execute(connection, f"CREATE OR REPLACE TEMP TABLE said_now AS {said}")
    # Rows of other billing accounts are other charges, where each row of the delivery names its own.
    own = f"e.{_ACCOUNT} IS NULL OR e.{_ACCOUNT} IN (SELECT {_ACCOUNT} FROM {STAGED}) OR EXISTS (SELECT 1 FROM {STAGED} WHERE {_ACCOUNT} IS NULL)"
    standing = f"SELECT e.source, e.sign, {_same_sql('e')} FROM {scan.sql} AS e WHERE e.sign <> 0 AND e.source <> {quoted_text(source)} AND ({own})"
    execute(
        connection,
        f"""
        CREATE OR REPLACE TEMP TABLE said_by_others AS
        SELECT e.source, same, same_cost, any_value(n.currency) AS currency, any_value(n.times) AS times, sum(e.sign)::BIGINT AS held
        FROM ({standing}) AS e JOIN said_now AS n USING (same, same_cost) GROUP BY e.source, same, same_cost HAVING sum(e.sign) > 0
        """,
    )
    equal = """
        SELECT currency, sum(times) AS times, sum(times * abs(same_cost)) AS money FROM (
            SELECT any_value(currency) AS currency, same_cost, least(any_value(times), sum(held)::BIGINT) AS times
            FROM said_by_others GROUP BY same, same_cost
        ) GROUP BY currency
    """
    every = "SELECT currency, sum(times) AS times, sum(times * abs(same_cost)) AS money FROM said_now GROUP BY currency"
    sums = execute(
        connection,
        f"""
        SELECT currency, a.times::BIGINT, coalesce(e.times, 0)::BIGINT, a.money, coalesce(e.money, 0)
        FROM ({every}) AS a LEFT JOIN ({equal}) AS e USING (currency) ORDER BY currency
        """,
    )
    rows, equal_rows = (sum(int(str(row[place])) for row in sums) for place in (1, 2))
    if equal_rows < FEWEST_ROWS:
        return None
    counted = "SELECT source, sum(least(times, held))::BIGINT AS count FROM said_by_others GROUP BY source ORDER BY count DESC, source"
    others = tuple((str(name), int(str(count))) for name, count in execute(connection, counted))
    return Overlap(source, others, rows, equal_rows, tuple((str(row[0]), Decimal(str(row[3])), Decimal(str(row[4]))) for row in sums))


def _same_sql(table: str) -> str:
    """SQL of what says that two rows of different sources are about one charge: provider, service, sku, resource, day and currency; its cost."""
    day = f"epoch_us({table}.{quoted_name(focus.CHARGE_START)}) // {86_400_000_000}"
    said = [f"{table}.{quoted_name(name)}" for name in ("provider", "service", "sku", "resource", focus.BILLING_CURRENCY)]
    cost = f"{table}.{quoted_name(focus.EFFECTIVE_COST)}"
    unsigned = f"CASE WHEN {table}.sign < 0 THEN -{cost} ELSE {cost} END"
    return f"hash({', '.join([*said, day])}) AS same, round({unsigned}, {_PLACES}) AS same_cost"
