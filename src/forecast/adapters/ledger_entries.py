"""Which entries a delivery makes: what of it is new, what it restates or withdraws, against what was known when it was received.

append : a charge that is there n times in one file is n charges; as many of them as stood already change nothing. The same row in two
files of the delivery is one row, so it does not matter how overlapping files are grouped into deliveries.
merge : the last row with a key stands for it; what stood under the key and says something else gets a counter-entry.
replace : what stood of the covered periods and is not in the delivery gets a counter-entry; what is in it and stood stays as it is.

A delivery that was known earlier than others of its source which came in before it is history: what those said later still holds, so its
entries are taken back on the day on which the next delivery spoke about the same charge (`ledger_history`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.ledger_history import take_back
from forecast.adapters.ledger_table import AMOUNTS, PARTITION, SQL_TYPES, STORED, Scan, content_sql, moment_literal
from forecast.adapters.ledger_work import ACCOUNT, CONTENT, PROVIDER, START, Cover, Earlier, Entries, Work, written
from forecast.adapters.staging import STAGED
from forecast.errors import SpendDataError
from forecast.spend import focus

__all__ = ["Cover", "Earlier", "Entries", "decide"]

_MOST_WINDOWS = 64


def decide(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    good: int,
    scan: Scan | None,
    later: Sequence[Earlier],
    folder: Path,
    parts: Sequence[str] = (),
) -> Entries:
    """The entries of the staged rows (`good` of them). `scan` reads the whole ledger, entries with sign 0 included; None where it is empty.

    later : commits of the same source with a later time of receipt. Files of entries are written to `folder`. parts : ids of the delivery that
    this one completes and of what completed it before (`quarantine_retry`).
    """
    work = Work(connection, delivery, folder, good, scan)
    entries = _merged(work) if delivery.reading.mode == "merge" else _counted(work, parts)
    if later and scan is not None:
        take_back(work, entries, later)
    return entries


# By content


def _counted(work: Work, parts: Sequence[str] = ()) -> Entries:
    replaces = work.delivery.reading.mode == "replace"
    profile = _profile(work)
    covers = _covers(work, profile) if replaces else []
    entries = Entries(covers=covers)
    standing = _standing(work, profile, covers)
    windows = [] if replaces else _shared_windows(work)
    if standing is None and not windows:
        entries.new = work.good
        return entries
    old = "SELECT NULL AS content, NULL AS content_effective, NULL AS content_billed, 0 AS sign WHERE false" if standing is None else standing
    if work.scan is not None and not replaces:
        _refuse_other_key(work, profile)
    new = f"SELECT {content_sql('s')}, file FROM {STAGED} AS s"
    if standing is None:
        new += f" WHERE {' OR '.join(windows)}"
    elif parts and work.scan is not None:
        new += f" UNION ALL {_rest(work.scan, parts)}"
    # A row of a replacing export counts as often as it is there; else as often as in the file that has it most often.
    count = "sum(times)" if replaces or getattr(work.delivery, "added_up", False) else "max(times)"
    counted = f"""
        SELECT {CONTENT}, {count} AS new, 0 AS old, count(*) AS files
        FROM (SELECT {CONTENT}, file, count(*) AS times FROM ({new}) GROUP BY ALL) GROUP BY ALL
        UNION ALL SELECT {CONTENT}, 0, sum(sign), 0 FROM ({old}) GROUP BY ALL
    """
    several = "" if replaces else " OR sum(files) > 1"
    work.run(f"""
        CREATE OR REPLACE TEMP TABLE special AS
        SELECT {CONTENT}, sum(new)::BIGINT AS new, sum(old)::BIGINT AS old FROM ({counted}) GROUP BY ALL HAVING sum(old) <> 0{several}
    """)
    if not work.run("SELECT count(*) FROM special")[0][0]:
        entries.new = work.good
        return entries
    missing = "greatest(old - new, 0)" if replaces else "0"
    facts = work.run(f"SELECT sum(greatest(new - old, 0)), sum(least(new, old)), sum({missing}), sum(new) FROM special")[0]
    more, same, gone, special_rows = (int(value or 0) for value in facts)
    staged_special = work.count(f"SELECT 1 FROM (SELECT {content_sql('s')} FROM {STAGED} AS s) SEMI JOIN special USING ({CONTENT})")
    fresh = work.good - staged_special
    # Fewer than none where rows that the delivery completes are counted with its own.
    shared = staged_special - special_rows
    entries.shared = max(shared, 0)
    entries.new, entries.unchanged = fresh + more, same + shared
    if replaces:
        entries.restated = min(entries.new, gone)
        entries.new -= entries.restated
        entries.withdrawn = gone - entries.restated
    if not entries.accepted and not gone:
        entries.parts = []
        return entries
    if not gone and not same and staged_special == special_rows:
        return entries
    stored = ", ".join(quoted_name(name) for name in STORED)
    rows = f"SELECT *, {content_sql('s')} FROM {STAGED} AS s"
    place = f"row_number() OVER (PARTITION BY {CONTENT} ORDER BY file, line)"
    plus = f"SELECT {stored} FROM ({rows}) ANTI JOIN special USING ({CONTENT})"
    if more:
        ranked = f"SELECT *, {place} AS place FROM ({rows}) JOIN (SELECT * FROM special WHERE new > old) USING ({CONTENT})"
        plus += f" UNION ALL SELECT {stored} FROM ({ranked}) WHERE place <= new - old"
    entries.parts = [written(work, plus, "plus")] if entries.accepted else []
    if gone:
        template = f"SELECT * EXCLUDE (sign) FROM ({standing}) WHERE sign = 1"
        place = f"row_number() OVER (PARTITION BY {CONTENT} ORDER BY received_at DESC, delivery_id DESC, file, line)"
        ranked = f"SELECT *, {place} AS place FROM ({template}) JOIN (SELECT * FROM special WHERE old > new) USING ({CONTENT})"
        entries.parts.append(written(work, _counter_entries(work, f"SELECT * FROM ({ranked}) WHERE place <= old - new"), "minus"))
    return entries


def _rest(scan: Scan, parts: Sequence[str]) -> str:
    """SELECT of content and file of the rows that came with those of the delivery, where it completes another one.

    Without those that stand in the lines of its own rows: a retry that was killed has taken them in already.
    """
    listed = ", ".join(quoted_text(part) for part in parts)
    rows = f"SELECT {content_sql('e')}, file, line FROM {scan.sql} AS e WHERE sign = 1 AND delivery_id IN ({listed})"
    others = f"SELECT * FROM ({rows}) ANTI JOIN {STAGED} USING (file, line)"
    return f"SELECT * EXCLUDE (line) FROM ({others}) SEMI JOIN (SELECT {content_sql('s')} FROM {STAGED} AS s) USING ({CONTENT})"


def _profile(work: Work) -> list[tuple[Any, ...]]:
    """(month, provider, account, first charge day, last charge day) of the delivery."""
    day = f"make_timestamp(epoch_us({START}))::DATE"
    sql = f"SELECT {PARTITION}, {PROVIDER}, coalesce({ACCOUNT}, ''), min({day}), max({day}) FROM {STAGED} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    return work.run(sql)


def _covers(work: Work, profile: Sequence[tuple[Any, ...]]) -> list[Cover]:
    """The periods that a replacing delivery stands for.

    A declared source stands for all that it said of a month; without one, each provider's account for itself, so that one vendor's export
    never takes out another's rows. `auto`: the whole billing period, unless the days of the delivery hold less than half of the days on
    which something stood there: then it is an export of those days.
    """
    days: dict[tuple[str, str | None, str | None], tuple[dt.date, dt.date]] = {}
    for month, provider, account, first, last in profile:
        place = (month, None, None) if work.delivery.declared else (month, provider, account)
        known = days.get(place, (first, last))
        days[place] = (min(first, known[0]), max(last, known[1]))
    found = []
    for (month, provider, account), (first, last) in days.items():
        whole = Cover(month, provider, account, None, None)
        by_days = Cover(month, provider, account, first, last)
        if work.delivery.covers == "days" or (work.delivery.covers == "auto" and _is_part(work, whole, by_days)):
            found.append(by_days)
        else:
            found.append(whole)
    return found


def _is_part(work: Work, whole: Cover, by_days: Cover) -> bool:
    if work.scan is None:
        return False
    standing = f"""
        SELECT make_timestamp(epoch_us(e.{START}))::DATE AS day FROM {work.scan.sql} AS e
        WHERE {work.known} AND {whole.sql("e")} AND sign <> 0 GROUP BY day HAVING sum(sign) > 0
    """
    inside = f"day BETWEEN DATE '{by_days.first}' AND DATE '{by_days.last}'"
    held, within = work.run(f"SELECT count(*), count(*) FILTER ({inside}) FROM ({standing})")[0]
    return bool(2 * within < held)


def _standing(work: Work, profile: Sequence[tuple[Any, ...]], covers: Sequence[Cover]) -> str | None:
    """SELECT of the entries known then that the delivery's rows are held against; None where there is none."""
    if work.scan is None or not profile:
        return None
    if covers:
        where = " OR ".join(cover.sql("e") for cover in covers)
    else:
        # The same row has the same charge period, so only those days are looked at.
        spans: dict[str, tuple[dt.date, dt.date]] = {}
        for month, _, _, first, last in profile:
            known = spans.get(month, (first, last))
            spans[month] = (min(first, known[0]), max(last, known[1]))
        where = " OR ".join(Cover(month, None, None, first, last).sql("e") for month, (first, last) in spans.items())
    condition = f"{work.known} AND sign <> 0 AND ({where})"
    if not work.run(f"SELECT 1 FROM {work.scan.sql} AS e WHERE {condition} LIMIT 1"):
        return None
    return f"SELECT e.*, {content_sql('e')} FROM {work.scan.sql} AS e WHERE {condition}"


def _shared_windows(work: Work) -> list[str]:
    """Conditions on staged rows that may be in several files: spans of charge time that two files of a month share."""
    start = f"epoch_us({START})"
    sql = f"SELECT {PARTITION}, min({start}), max({start}) FROM {STAGED} GROUP BY {PARTITION}, file ORDER BY 1, 2"
    windows: list[tuple[str, int, int]] = []
    reached: dict[str, int] = {}
    for month, first, last in work.run(sql):
        if month in reached and first <= reached[month]:
            windows.append((month, first, min(last, reached[month])))
        reached[month] = max(reached.get(month, last), last)
    if len(windows) > _MOST_WINDOWS:
        return ["true"]
    return [f"({PARTITION} = {quoted_text(month)} AND {start} BETWEEN {first} AND {last})" for month, first, last in windows]


def _refuse_other_key(work: Work, profile: Sequence[tuple[Any, ...]]) -> None:
    """The same rows, once known by content and once by a key, would count twice: the delivery must be read as before."""
    if work.scan is None:
        return
    months = ", ".join(quoted_text(month) for month in sorted({row[0] for row in profile}))
    keyed = work.delivery.keyed
    other = "keyed IS NOT NULL" if keyed is None else f"keyed IS DISTINCT FROM {quoted_text(keyed)}"
    condition = f"e.{PARTITION} IN ({months}) AND source = {quoted_text(work.delivery.source)} AND sign <> 0 AND {other}"
    held = work.run(f"SELECT DISTINCT keyed FROM {work.scan.sql} AS e WHERE {condition}")
    if not held:
        return
    standing = (
        f"SELECT {CONTENT} FROM (SELECT sign, {content_sql('e')} FROM {work.scan.sql} AS e WHERE {condition}) GROUP BY ALL HAVING sum(sign) > 0"
    )
    count = work.count(f"SELECT 1 FROM (SELECT {content_sql('s')} FROM {STAGED} AS s) SEMI JOIN ({standing}) USING ({CONTENT})")
    if count:
        before = " or ".join("without a key" if row[0] is None else f"with the key {row[0]}" for row in held)
        now = f"the key {keyed}" if keyed else "no key"
        raise SpendDataError(
            f"{count} rows of the delivery are in the ledger already, taken in {before}: got {now}, which would count them twice",
            field="key",
            got=keyed,
            allowed=before,
        )


# By key


def _merged(work: Work) -> Entries:
    entries = Entries()
    twice = "SELECT charge_key FROM (SELECT charge_key FROM staged) GROUP BY charge_key HAVING count(*) > 1"
    entries.repeated = int(
        work.run(f"SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM {STAGED} GROUP BY charge_key HAVING n > 1)")[0][0]
    )
    stored = ", ".join(quoted_name(name) for name in STORED)
    arrivals = f"SELECT * FROM {STAGED}"
    if entries.repeated:
        # Later files and later lines are later news.
        last = "row_number() OVER (PARTITION BY charge_key ORDER BY file DESC, line DESC)"
        ranked = f"SELECT * EXCLUDE (place) FROM (SELECT *, {last} AS place FROM {STAGED} SEMI JOIN ({twice}) USING (charge_key)) WHERE place = 1"
        arrivals = f"SELECT * FROM {STAGED} ANTI JOIN ({twice}) USING (charge_key) UNION ALL {ranked}"
    scan = work.scan
    months: list[str] = []
    if scan is not None:
        _refuse_other_key(work, _profile(work))
        condition = f"{work.known} AND keyed = {quoted_text(work.delivery.keyed or '')} AND sign <> 0"
        keys = f"SELECT DISTINCT {PARTITION} FROM {scan.sql} AS e WHERE {condition} AND charge_key IN (SELECT charge_key FROM {STAGED})"
        months = [str(row[0]) for row in work.run(keys)]
    if not months:
        entries.new = work.good - entries.repeated
        if entries.repeated:
            entries.parts = [written(work, f"SELECT {stored} FROM ({arrivals})", "plus")]
        return entries
    listed = ", ".join(quoted_text(month) for month in months)
    work.run(f"""
        CREATE OR REPLACE TEMP TABLE standing AS
        SELECT charge_key, {CONTENT}, arg_max({PARTITION}, received_at) AS {PARTITION} FROM (
            SELECT charge_key, received_at, {PARTITION}, sign, {content_sql("e")} FROM {scan.sql if scan else ""} AS e
            WHERE e.{PARTITION} IN ({listed}) AND {condition} AND charge_key IN (SELECT charge_key FROM {STAGED})
        ) GROUP BY charge_key, {CONTENT} HAVING sum(sign) > 0
    """)
    work.run(f"""
        CREATE OR REPLACE TEMP TABLE fates AS
        SELECT a.charge_key, CASE WHEN s.charge_key IS NULL THEN 'new'
               WHEN (a.content, a.content_effective, a.content_billed) = (s.content, s.content_effective, s.content_billed) THEN 'unchanged'
               ELSE 'restated' END AS fate
        FROM (SELECT charge_key, {content_sql("r")} FROM ({arrivals}) AS r) AS a LEFT JOIN standing AS s USING (charge_key)
    """)
    fates = dict(work.run("SELECT fate, count(*) FROM fates GROUP BY fate"))
    entries.new, entries.restated, entries.unchanged = (int(fates.get(fate, 0)) for fate in ("new", "restated", "unchanged"))
    # Charges that came and went before: their keys are known, and nothing stands under them.
    plus = f"SELECT {stored} FROM ({arrivals}) SEMI JOIN (SELECT charge_key FROM fates WHERE fate <> 'unchanged') USING (charge_key)"
    again = f"SELECT * FROM ({arrivals}) SEMI JOIN (SELECT charge_key FROM fates WHERE fate = 'unchanged') USING (charge_key)"
    kept = ("delivery_id", "received_at", "source", "file", "line", "keyed", "charge_key", focus.BILLING_START)
    nothing = ", ".join(
        quoted_name(name) if name in kept else "0::TINYINT AS sign" if name == "sign" else f"CAST(NULL AS {SQL_TYPES[name]}) AS {quoted_name(name)}"
        for name in STORED
    )
    entries.parts = [written(work, plus, "plus")] if entries.accepted else []
    if entries.unchanged:
        entries.parts.append(written(work, f"SELECT {nothing} FROM ({again})", "again"))
    if entries.restated:
        rows = f"""
            SELECT * FROM (
                SELECT e.*, {content_sql("e")} FROM {scan.sql if scan else ""} AS e WHERE e.{PARTITION} IN ({listed}) AND {condition} AND sign = 1)
            SEMI JOIN (SELECT s.* FROM standing AS s SEMI JOIN (SELECT charge_key FROM fates WHERE fate = 'restated') USING (charge_key))
            USING (charge_key, {CONTENT})
        """
        # A charge that changed back to what it was is there twice with one counter-entry: one of the two is taken.
        one = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY charge_key ORDER BY received_at DESC) = 1"
        entries.parts.append(written(work, _counter_entries(work, one), "minus"))
    return entries


def _counter_entries(work: Work, rows: str) -> str:
    """SELECT of counter-entries of this delivery to the charges of `rows`."""
    own = {
        "delivery_id": quoted_text(work.delivery.delivery_id),
        "received_at": moment_literal(work.delivery.received_at),
        "sign": "(-1)::TINYINT",
    } | {name: f"-{quoted_name(name)}" for name in AMOUNTS}
    columns = ", ".join(f"{own.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in STORED)
    return f"SELECT {columns} FROM ({rows})"
