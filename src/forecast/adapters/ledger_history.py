"""What a late delivery changes in what was known since: it takes its entries back when the next delivery speaks about the same charge."""

from __future__ import annotations

from collections.abc import Sequence

from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.ledger_table import AMOUNTS, PARTITION, STORED, content_sql, moment_literal
from forecast.adapters.ledger_work import ACCOUNT, CONTENT, PROVIDER, START, Earlier, Entries, Work, written
from forecast.adapters.staging import STAGED
from forecast.spend import focus


def take_back(work: Work, entries: Entries, later: Sequence[Earlier]) -> None:
    """Write the entries that restore, at the time of later deliveries, what those deliveries said: history does not change the present."""
    scan = work.scan
    assert_now = moment_literal(work.delivery.received_at)
    if scan is None:
        return
    if entries.parts is None:
        entries.parts = [written(work, f"SELECT {', '.join(quoted_name(name) for name in STORED)} FROM {STAGED}", "plus")]
    if not entries.parts:
        return
    listed = ", ".join(quoted_text(str(part)) for part in entries.parts)
    made = f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false) WHERE sign <> 0"
    month = f"strftime(make_timestamp(epoch_us({quoted_name(focus.BILLING_START)})), '%Y-%m') AS {PARTITION}"
    ranked = f"""
        SELECT *, {month}, {content_sql("m")}, row_number() OVER (PARTITION BY sign, charge_key, content, content_effective, content_billed) AS place,
               row_number() OVER () AS number FROM ({made}) AS m
    """
    work.run(f"CREATE OR REPLACE TEMP TABLE made AS {ranked}")
    source = f"source = {quoted_text(work.delivery.source)} AND received_at > {assert_now}"
    # What was taken back of an earlier late delivery has a later date than that delivery: it says nothing of its own.
    said = "sign >= 0 AND starts_with(delivery_id, strftime(make_timestamp(epoch_us(received_at)), '%Y%m%dT%H%M%S.%f'))"
    events = [
        # By key: whatever was said about it later, be it the same again.
        f"""SELECT m.number, e.received_at FROM made AS m JOIN (SELECT charge_key, received_at FROM {scan.sql} AS e
            WHERE {source} AND {said} AND charge_key IN (SELECT charge_key FROM made)) AS e USING (charge_key)""",
        # By content: of equal rows that came later, the first one is this one, the second one the next; those that were taken back for an
        # earlier late delivery are spoken for. A row that this delivery withdrew is back, as often as it was, when more of it come.
        f"""SELECT m.number, e.received_at FROM made AS m JOIN (
            SELECT {CONTENT}, received_at, sum(sum(sign)) OVER (PARTITION BY {CONTENT} ORDER BY received_at) AS came FROM (
                SELECT received_at, sign, {content_sql("e")} FROM {scan.sql} AS e WHERE {source} AND sign <> 0 AND charge_key IS NULL
                AND e.{PARTITION} IN (SELECT DISTINCT {PARTITION} FROM made)) SEMI JOIN made USING ({CONTENT}) GROUP BY {CONTENT}, received_at
            ) AS e USING ({CONTENT}) WHERE m.charge_key IS NULL AND came >= CASE WHEN m.sign = 1 THEN m.place ELSE 1 END""",
    ]
    covered = [(commit.received_at, cover) for commit in later for cover in commit.covers]
    if covered:
        places = ", ".join(f"({moment_literal(moment)}, {cover.values_sql})" for moment, cover in covered)
        events.append(f"""
            SELECT m.number, c.received_at FROM made AS m JOIN (VALUES {places}) AS c (received_at, month, provider, account, first, after)
            ON m.{PARTITION} = c.month AND (c.provider IS NULL OR (m.{PROVIDER} = c.provider AND coalesce(m.{ACCOUNT}, '') = c.account))
            AND (c.first IS NULL OR (m.{START} >= c.first AND m.{START} < c.after))""")
    again = [commit for commit in later if not commit.covers]
    if again:
        # The same delivery, received once more: what it said by key it said again then.
        digests = ", ".join(f"({quoted_text(commit.short_digest)}, {moment_literal(commit.received_at)})" for commit in again)
        events.append(f"""
            SELECT m.number, a.received_at FROM made AS m JOIN (SELECT DISTINCT charge_key, right(delivery_id, 16) AS digest FROM {scan.sql} AS e
            WHERE sign >= 0 AND charge_key IN (SELECT charge_key FROM made)) AS e USING (charge_key)
            JOIN (VALUES {digests}) AS a (digest, received_at) USING (digest)""")
    work.run(f"CREATE OR REPLACE TEMP TABLE ends AS SELECT number, min(received_at) AS ends_at FROM ({' UNION ALL '.join(events)}) GROUP BY number")
    entries.history = work.count("SELECT 1 FROM made SEMI JOIN ends USING (number) WHERE sign = 1")
    if work.count("FROM ends"):
        back = {name: f"-{quoted_name(name)}" for name in AMOUNTS} | {"sign": "(-sign)::TINYINT", "received_at": "ends_at"}
        columns = ", ".join(f"{back.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in STORED)
        entries.parts.append(written(work, f"SELECT {columns} FROM made JOIN ends USING (number)", "back"))
