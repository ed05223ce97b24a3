"""Which rows of a delivery are new: their identities, held against what the ledger knew when the delivery was received.

A row's identity is the hash of its declared key, or of its content with an occurrence number within its *file*: two equal
rows in one file are both real; the same row in two files, delivered together or one after the other, is one row. So it does
not matter how overlapping files are grouped into deliveries.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_files import STAGED, FocusFile, StagedFile
from forecast.adapters.ledger_table import PARTITION, Scan, moment_literal
from forecast.errors import SpendDataError
from forecast.spend import focus


@dataclass(frozen=True)
class Delivery:
    """What is to be taken in, and how it is to be read."""

    files: tuple[FocusFile, ...]
    key: tuple[str, ...]
    received_at: dt.datetime
    source: str
    digest: str

    @property
    def delivery_id(self) -> str:
        """Sorts by time of receipt; the same content received at the same time has the same id."""
        return f"{self.received_at:%Y%m%dT%H%M%S.%f}Z-{self.digest[:16]}"

    @property
    def transaction(self) -> str:
        return f"delivery/{self.digest}"

    @property
    def keyed(self) -> str:
        """The key as rows and reports name it; empty without one."""
        return ",".join(sorted(name.lower() for name in self.key))

    @property
    def microseconds(self) -> int:
        """Time of receipt since 1970, as the number of the transaction."""
        return int(self.received_at.replace(tzinfo=dt.UTC).timestamp()) * 1_000_000 + self.received_at.microsecond


def find_arrivals(connection: duckdb.DuckDBPyConnection, *, keyed: bool) -> None:
    """The table `arrivals`: one row per identity of the delivery, and `repeats`: how many rows another one stands for."""
    name = "key_identity" if keyed else "content"
    good = f"(SELECT file, row_number, {name} AS name, content FROM {STAGED} WHERE fault IS NULL)"
    repeated = f"(SELECT name FROM {good} GROUP BY name HAVING count(*) > 1)"
    if keyed:
        # The last row with a key wins: later files and later lines are later news.
        place = "row_number() OVER (PARTITION BY name ORDER BY file DESC, row_number DESC)"
        ranked = f"SELECT *, name AS identity, {place} AS place FROM {good} SEMI JOIN {repeated} USING (name)"
    else:
        counted = (
            f"SELECT *, row_number() OVER (PARTITION BY file, name ORDER BY row_number) AS occurrence FROM {good} SEMI JOIN {repeated} USING (name)"
        )
        named = f"SELECT *, CASE WHEN occurrence = 1 THEN name ELSE concat(name, '-', occurrence) END AS identity FROM ({counted})"
        ranked = f"SELECT *, row_number() OVER (PARTITION BY identity ORDER BY file) AS place FROM ({named})"
    execute(connection, f"CREATE TEMP TABLE repeats AS {ranked}")
    execute(
        connection,
        f"""
        CREATE TEMP TABLE arrivals AS
        SELECT file, row_number, name AS identity, content FROM {good} ANTI JOIN {repeated} USING (name)
        UNION ALL SELECT file, row_number, identity, content FROM repeats WHERE place = 1
        """,
    )


def one_currency(connection: duckdb.DuckDBPyConnection, staged: Sequence[StagedFile], scan: Scan | None) -> str:
    """The currency of the delivery, which must be the ledger's; several need a table of rates that is not there yet."""
    currency = quoted_name(focus.BILLING_CURRENCY)
    first = f"SELECT {currency}, min((file, row_number)) AS place FROM {STAGED} WHERE fault IS NULL GROUP BY 1"
    found: list[Any] = execute(connection, f"SELECT {currency}, place[1], place[2] FROM ({first}) ORDER BY place")
    places = [f"{code} ({staged[file].file.name}, line {staged[file].line(row)})" for code, file, row in found]
    codes = [str(code) for code, _, _ in found]
    if len(codes) > 1:
        raise SpendDataError(
            f"The delivery mixes currencies: got {', '.join(places)}; allowed is one currency",
            field=focus.BILLING_CURRENCY,
            got=codes,
            allowed="one currency",
        )
    if scan is not None:
        held = execute(connection, f"SELECT {currency} FROM {scan.sql} AS charges LIMIT 1")
        if held and held[0][0] != codes[0]:
            raise SpendDataError(
                f"The delivery is in another currency than the ledger: got {places[0]}, allowed is {held[0][0]}",
                field=focus.BILLING_CURRENCY,
                got=codes[0],
                allowed=str(held[0][0]),
            )
    return codes[0]


def months_to_search(connection: duckdb.DuckDBPyConnection, delivery: Delivery) -> list[str] | None:
    """Billing months in which the rows of the delivery may be already; None is all of them.

    The billing month is part of the content, so the same row is in the same month; a restated one may have moved.
    """
    if delivery.key:
        return None
    return [str(row[0]) for row in execute(connection, f"SELECT DISTINCT {PARTITION} FROM {STAGED} WHERE fault IS NULL ORDER BY 1")]


def decide(connection: duckdb.DuckDBPyConnection, delivery: Delivery, scan: Scan | None) -> dict[str, int]:
    """The table `decided`: what becomes of each arrival, against what the ledger knew when the delivery was received.

    new : a first version. restated : another content than the version in force then. history : known earlier than all
    that the ledger holds. unchanged : says what was in force then. `scan` holds at least the months of `months_to_search`.
    """
    known = "(SELECT NULL AS identity, NULL AS top, NULL AS standing, false AS stood WHERE false)"
    if scan is not None:
        in_time = f"FILTER (received_at <= {moment_literal(delivery.received_at)})"
        known = f"""(
            SELECT identity, max(version) AS top, arg_max(content, (received_at, version)) {in_time} AS standing, count(*) {in_time} > 0 AS stood
            FROM {scan.sql} AS charges WHERE identity IN (SELECT identity FROM arrivals) GROUP BY identity
        )"""
        _refuse_other_key(connection, delivery, scan.sql)
    same = "arrivals.content = known.standing" if delivery.key else "true"
    execute(
        connection,
        f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT arrivals.file, arrivals.row_number, arrivals.identity, coalesce(known.top, 0) + 1 AS version,
               CASE WHEN known.identity IS NULL THEN 'new' WHEN NOT known.stood THEN 'history'
                    WHEN {same} THEN 'unchanged' ELSE 'restated' END AS fate
        FROM arrivals LEFT JOIN {known} AS known USING (identity)
        """,
    )
    return {str(fate): int(str(count)) for fate, count in execute(connection, "SELECT fate, count(*) FROM decided GROUP BY fate")}


def _refuse_other_key(connection: duckdb.DuckDBPyConnection, delivery: Delivery, scan: str) -> None:
    """The same rows, once known by content and once by a key, would count twice: the delivery must be read as before."""
    keyed = delivery.keyed
    other = "keyed IS NOT NULL" if not keyed else f"keyed IS DISTINCT FROM {quoted_text(keyed)}"
    held = execute(connection, f"SELECT DISTINCT keyed FROM {scan} AS charges WHERE {other}")
    if not held:
        return
    same = f"SELECT coalesce(content, identity) AS content FROM {scan} AS charges WHERE {other}"
    count = execute(connection, f"SELECT count(*) FROM {STAGED} WHERE fault IS NULL AND content IN ({same})")[0][0]
    if count:
        before = " or ".join("without a key" if row[0] is None else f"with the key {row[0]}" for row in held)
        now = f"the key {keyed}" if keyed else "no key"
        raise SpendDataError(
            f"{count} rows of the delivery are in the ledger already, taken in {before}: got {now}, which would count them twice",
            field="key",
            got=keyed or None,
            allowed=before,
        )
