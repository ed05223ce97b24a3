"""Which entries a delivery makes: what of it is new, what it restates or withdraws, against what was known when it was received.

append : a charge that is there n times in one file is n charges; as many of them as stood already change nothing. The same row in two
files of the delivery is one row, so it does not matter how overlapping files are grouped into deliveries.
merge : the last row with a key stands for it; what stood under the key and says something else gets a counter-entry.
replace : what stood of the covered periods and is not in the delivery gets a counter-entry; what is in it and stood stays as it is.

A delivery that was known earlier than others of its source which came in before it is history: what those said later still holds, so its
entries are taken back on the day on which the next delivery spoke about the same charge (`_take_back`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.ledger_table import AMOUNTS, PARTITION, SQL_TYPES, STORED, Scan, content_sql, moment_literal
from forecast.adapters.staging import STAGED
from forecast.errors import SpendDataError
from forecast.spend import focus

_CONTENT = "content, content_effective, content_billed"
_START = quoted_name(focus.CHARGE_START)
_PROVIDER, _ACCOUNT = quoted_name(focus.PROVIDER_NAME), quoted_name(focus.BILLING_ACCOUNT_ID)
_MOST_WINDOWS = 64


@dataclass(frozen=True)
class Cover:
    """What a replacing delivery stands for: one billing month of a provider's account (None: of all), days `[first, last]` of it or all."""

    month: str
    provider: str | None
    account: str | None
    first: dt.date | None
    last: dt.date | None

    def as_dict(self) -> dict[str, Any]:
        first, last = (None if day is None else day.isoformat() for day in (self.first, self.last))
        return {"month": self.month, "provider": self.provider, "account": self.account, "first": first, "last": last}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cover:
        days = [None if values[name] is None else dt.date.fromisoformat(values[name]) for name in ("first", "last")]
        return cls(values["month"], values["provider"], values["account"], days[0], days[1])

    def sql(self, table: str) -> str:
        """Condition on the rows of `table` (alias)."""
        parts = [f"{table}.{PARTITION} = {quoted_text(self.month)}"]
        if self.provider is not None:
            parts += [f"{table}.{_PROVIDER} = {quoted_text(self.provider)}", f"coalesce({table}.{_ACCOUNT}, '') = {quoted_text(self.account or '')}"]
        if self.first is not None and self.last is not None:
            end = self.last + dt.timedelta(days=1)
            parts += [f"{table}.{_START} >= TIMESTAMPTZ '{self.first} 00:00:00+00'", f"{table}.{_START} < TIMESTAMPTZ '{end} 00:00:00+00'"]
        return f"({' AND '.join(parts)})"

    @property
    def values_sql(self) -> str:
        """Month, provider, account, first moment, first moment after: what `sql` compares, as a row of values."""
        after = None if self.last is None else self.last + dt.timedelta(days=1)
        texts = ["NULL" if text is None else quoted_text(text) for text in (self.month, self.provider, self.account)]
        moments = ["NULL" if day is None else quoted_text(f"{day} 00:00:00+00") for day in (self.first, after)]
        return ", ".join([*texts, *(f"CAST({moment} AS TIMESTAMPTZ)" for moment in moments)])

    def __str__(self) -> str:
        days = "" if self.first is None else f", days {self.first} to {self.last}"
        return f"{self.month}{'' if self.provider is None else f' of {self.provider} {self.account}'.rstrip()}{days}"


@dataclass(frozen=True)
class Earlier:
    """A commit of the same source that the ledger holds. covers : of one that replaced; short_digest names its rows."""

    received_at: dt.datetime
    short_digest: str
    covers: tuple[Cover, ...] = ()


@dataclass
class Entries:
    """What a delivery does to the ledger. repeated, shared : rows for which another of the delivery stands, by its key or in another file;
    the latter are among the unchanged. parts : files of entries, None where all staged rows are new and go in as they are."""

    new: int = 0
    restated: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    repeated: int = 0
    shared: int = 0
    history: int = 0
    parts: list[Path] | None = None
    covers: list[Cover] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.new + self.restated


@dataclass(frozen=True)
class _Work:
    connection: duckdb.DuckDBPyConnection
    delivery: Delivery
    folder: Path
    good: int
    scan: Scan | None

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return execute(self.connection, sql)

    def count(self, sql: str) -> int:
        return int(self.run(f"SELECT count(*) FROM ({sql})")[0][0])

    @property
    def known(self) -> str:
        return f"received_at <= {moment_literal(self.delivery.received_at)} AND source = {quoted_text(self.delivery.source)}"


def decide(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, good: int, scan: Scan | None, later: Sequence[Earlier], folder: Path
) -> Entries:
    """The entries of the staged rows (`good` of them). `scan` reads the whole ledger, entries with sign 0 included; None where it is empty.

    later : commits of the same source with a later time of receipt. Files of entries are written to `folder`.
    """
    work = _Work(connection, delivery, folder, good, scan)
    entries = _merged(work) if delivery.reading.mode == "merge" else _counted(work)
    if later and scan is not None:
        _take_back(work, entries, later)
    return entries


# By content


def _counted(work: _Work) -> Entries:
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
    # A row of a replacing export counts as often as it is there; else as often as in the file that has it most often.
    count = "sum(times)" if replaces else "max(times)"
    counted = f"""
        SELECT {_CONTENT}, {count} AS new, 0 AS old, count(*) AS files
        FROM (SELECT {_CONTENT}, file, count(*) AS times FROM ({new}) GROUP BY ALL) GROUP BY ALL
        UNION ALL SELECT {_CONTENT}, 0, sum(sign), 0 FROM ({old}) GROUP BY ALL
    """
    several = "" if replaces else " OR sum(files) > 1"
    work.run(f"""
        CREATE OR REPLACE TEMP TABLE special AS
        SELECT {_CONTENT}, sum(new)::BIGINT AS new, sum(old)::BIGINT AS old FROM ({counted}) GROUP BY ALL HAVING sum(old) <> 0{several}
    """)
    if not work.run("SELECT count(*) FROM special")[0][0]:
        entries.new = work.good
        return entries
    missing = "greatest(old - new, 0)" if replaces else "0"
    facts = work.run(f"SELECT sum(greatest(new - old, 0)), sum(least(new, old)), sum({missing}), sum(new) FROM special")[0]
    more, same, gone, special_rows = (int(value or 0) for value in facts)
    staged_special = work.count(f"SELECT 1 FROM (SELECT {content_sql('s')} FROM {STAGED} AS s) SEMI JOIN special USING ({_CONTENT})")
    fresh = work.good - staged_special
    entries.shared = staged_special - special_rows
    entries.new, entries.unchanged = fresh + more, same + entries.shared
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
    place = f"row_number() OVER (PARTITION BY {_CONTENT} ORDER BY file, line)"
    plus = f"SELECT {stored} FROM ({rows}) ANTI JOIN special USING ({_CONTENT})"
    if more:
        ranked = f"SELECT *, {place} AS place FROM ({rows}) JOIN (SELECT * FROM special WHERE new > old) USING ({_CONTENT})"
        plus += f" UNION ALL SELECT {stored} FROM ({ranked}) WHERE place <= new - old"
    entries.parts = [_written(work, plus, "plus")] if entries.accepted else []
    if gone:
        template = f"SELECT * EXCLUDE (sign) FROM ({standing}) WHERE sign = 1"
        place = f"row_number() OVER (PARTITION BY {_CONTENT} ORDER BY received_at DESC, delivery_id DESC, file, line)"
        ranked = f"SELECT *, {place} AS place FROM ({template}) JOIN (SELECT * FROM special WHERE old > new) USING ({_CONTENT})"
        entries.parts.append(_written(work, _counter_entries(work, f"SELECT * FROM ({ranked}) WHERE place <= old - new"), "minus"))
    return entries


def _profile(work: _Work) -> list[tuple[Any, ...]]:
    """(month, provider, account, first charge day, last charge day) of the delivery."""
    day = f"make_timestamp(epoch_us({_START}))::DATE"
    sql = f"SELECT {PARTITION}, {_PROVIDER}, coalesce({_ACCOUNT}, ''), min({day}), max({day}) FROM {STAGED} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    return work.run(sql)


def _covers(work: _Work, profile: Sequence[tuple[Any, ...]]) -> list[Cover]:
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


def _is_part(work: _Work, whole: Cover, by_days: Cover) -> bool:
    if work.scan is None:
        return False
    standing = f"""
        SELECT make_timestamp(epoch_us(e.{_START}))::DATE AS day FROM {work.scan.sql} AS e
        WHERE {work.known} AND {whole.sql("e")} AND sign <> 0 GROUP BY day HAVING sum(sign) > 0
    """
    inside = f"day BETWEEN DATE '{by_days.first}' AND DATE '{by_days.last}'"
    held, within = work.run(f"SELECT count(*), count(*) FILTER ({inside}) FROM ({standing})")[0]
    return bool(2 * within < held)


def _standing(work: _Work, profile: Sequence[tuple[Any, ...]], covers: Sequence[Cover]) -> str | None:
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


def _shared_windows(work: _Work) -> list[str]:
    """Conditions on staged rows that may be in several files: spans of charge time that two files of a month share."""
    start = f"epoch_us({_START})"
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


def _refuse_other_key(work: _Work, profile: Sequence[tuple[Any, ...]]) -> None:
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
        f"SELECT {_CONTENT} FROM (SELECT sign, {content_sql('e')} FROM {work.scan.sql} AS e WHERE {condition}) GROUP BY ALL HAVING sum(sign) > 0"
    )
    count = work.count(f"SELECT 1 FROM (SELECT {content_sql('s')} FROM {STAGED} AS s) SEMI JOIN ({standing}) USING ({_CONTENT})")
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


def _merged(work: _Work) -> Entries:
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
            entries.parts = [_written(work, f"SELECT {stored} FROM ({arrivals})", "plus")]
        return entries
    listed = ", ".join(quoted_text(month) for month in months)
    work.run(f"""
        CREATE OR REPLACE TEMP TABLE standing AS
        SELECT charge_key, {_CONTENT}, arg_max({PARTITION}, received_at) AS {PARTITION} FROM (
            SELECT charge_key, received_at, {PARTITION}, sign, {content_sql("e")} FROM {scan.sql if scan else ""} AS e
            WHERE e.{PARTITION} IN ({listed}) AND {condition} AND charge_key IN (SELECT charge_key FROM {STAGED})
        ) GROUP BY charge_key, {_CONTENT} HAVING sum(sign) > 0
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
    entries.parts = [_written(work, plus, "plus")] if entries.accepted else []
    if entries.unchanged:
        entries.parts.append(_written(work, f"SELECT {nothing} FROM ({again})", "again"))
    if entries.restated:
        rows = f"""
            SELECT * FROM (
                SELECT e.*, {content_sql("e")} FROM {scan.sql if scan else ""} AS e WHERE e.{PARTITION} IN ({listed}) AND {condition} AND sign = 1)
            SEMI JOIN (SELECT s.* FROM standing AS s SEMI JOIN (SELECT charge_key FROM fates WHERE fate = 'restated') USING (charge_key))
            USING (charge_key, {_CONTENT})
        """
        # A charge that changed back to what it was is there twice with one counter-entry: one of the two is taken.
        one = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY charge_key ORDER BY received_at DESC) = 1"
        entries.parts.append(_written(work, _counter_entries(work, one), "minus"))
    return entries


# Both


def _take_back(work: _Work, entries: Entries, later: Sequence[Earlier]) -> None:
    """Write the entries that restore, at the time of later deliveries, what those deliveries said: history does not change the present."""
    scan = work.scan
    assert_now = moment_literal(work.delivery.received_at)
    if scan is None:
        return
    if entries.parts is None:
        entries.parts = [_written(work, f"SELECT {', '.join(quoted_name(name) for name in STORED)} FROM {STAGED}", "plus")]
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
            SELECT {_CONTENT}, received_at, sum(sum(sign)) OVER (PARTITION BY {_CONTENT} ORDER BY received_at) AS came FROM (
                SELECT received_at, sign, {content_sql("e")} FROM {scan.sql} AS e WHERE {source} AND sign <> 0 AND charge_key IS NULL
                AND e.{PARTITION} IN (SELECT DISTINCT {PARTITION} FROM made)) SEMI JOIN made USING ({_CONTENT}) GROUP BY {_CONTENT}, received_at
            ) AS e USING ({_CONTENT}) WHERE m.charge_key IS NULL AND came >= CASE WHEN m.sign = 1 THEN m.place ELSE 1 END""",
    ]
    covered = [(commit.received_at, cover) for commit in later for cover in commit.covers]
    if covered:
        places = ", ".join(f"({moment_literal(moment)}, {cover.values_sql})" for moment, cover in covered)
        events.append(f"""
            SELECT m.number, c.received_at FROM made AS m JOIN (VALUES {places}) AS c (received_at, month, provider, account, first, after)
            ON m.{PARTITION} = c.month AND (c.provider IS NULL OR (m.{_PROVIDER} = c.provider AND coalesce(m.{_ACCOUNT}, '') = c.account))
            AND (c.first IS NULL OR (m.{_START} >= c.first AND m.{_START} < c.after))""")
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
        entries.parts.append(_written(work, f"SELECT {columns} FROM made JOIN ends USING (number)", "back"))


def _counter_entries(work: _Work, rows: str) -> str:
    """SELECT of counter-entries of this delivery to the charges of `rows`."""
    own = {
        "delivery_id": quoted_text(work.delivery.delivery_id),
        "received_at": moment_literal(work.delivery.received_at),
        "sign": "(-1)::TINYINT",
    } | {name: f"-{quoted_name(name)}" for name in AMOUNTS}
    columns = ", ".join(f"{own.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in STORED)
    return f"SELECT {columns} FROM ({rows})"


def _written(work: _Work, select: str, name: str) -> Path:
    target = work.folder / f"{name}.parquet"
    execute(work.connection, f"COPY ({select}) TO {quoted_text(str(target))} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 61440)")
    return target
