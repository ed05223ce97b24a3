"""Takes a delivery into the ledger: stage all files, decide row by row what is new, quarantine the rest, commit once.

Nothing is written before every file is staged and found good, and the table changes by one Delta commit, so a killed
ingestion leaves either the whole delivery or none of it, and running it again completes it.

A row's identity is the hash of its declared key, or of its content with an occurrence number within its *file*: two equal
rows in one file are both real; the same row in two files, delivered together or one after the other, is one row. So it does
not matter how overlapping files are grouped into deliveries.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from forecast.adapters import duck
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.focus_files import STAGED, FocusFile, StagedFile, describe, file_digest, stage, value_at_fault
from forecast.adapters.ingest_report import MOST_REASONS, IngestReport, RejectedRow
from forecast.adapters.ledger_table import CONFIGURATION, MOMENTS, PARTITION, SCHEMA, moment_literal, naive_utc, scan_of
from forecast.errors import DeliveryError, SpendDataError
from forecast.spend import focus

Progress = Callable[[int, int, str], None]
"""Called with files done, files in all, and what happens now."""

BATCH_ROWS = 65_536
_TRIES = 20


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


def delivery_of(files: Sequence[FocusFile], key: tuple[str, ...], received_at: dt.datetime, source: str | None) -> Delivery:
    """The digest is over the files' bytes and the key, whatever the files' names and order."""
    parts = [*sorted(file_digest(file.path) for file in files), "key", *sorted(name.lower() for name in key)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return Delivery(tuple(files), key, naive_utc(received_at), source or "focus", digest)


def known_report(table: DeltaTable | None, delivery: Delivery) -> IngestReport | None:
    """The answer to a delivery that was taken in whole before: nothing to do; None where the rows must be looked at.

    With a key that cannot be told from the bytes: the same rows stand against what was restated since.
    """
    if table is None or delivery.key:
        return None
    committed = table.transaction_version(delivery.transaction)
    if committed is None or committed > _microseconds(delivery.received_at):
        return None
    for commit in table.history():
        if commit.get("digest") == delivery.digest and "report" in commit:
            before = IngestReport.from_dict(json.loads(commit["report"]))
            return IngestReport(
                **{
                    **{name: getattr(before, name) for name in IngestReport.__dataclass_fields__},
                    "delivery_id": delivery.delivery_id,
                    "received_at": delivery.received_at,
                    "source": delivery.source,
                    "files": tuple(file.name for file in delivery.files),
                    "unchanged": before.rows_read - before.quarantined - before.repeated,
                    "accepted": 0,
                    "superseded": 0,
                    "history": 0,
                    "effective_cost": Decimal(0),
                    "billed_cost": Decimal(0),
                    "notes": (*before.notes, f"the same delivery was taken in as {before.delivery_id}"),
                }
            )
    return None


def take_in(
    root: str,
    delivery: Delivery,
    *,
    open_table: Callable[[], DeltaTable | None],
    local: bool,
    quarantine: Path | None,
    spill: Path | None,
    storage_options: dict[str, str] | None,
    threads: int | None,
    progress: Progress | None,
) -> IngestReport:
    """Stage, decide, quarantine, commit. `spill` is a folder for what does not fit in memory (None: the system's)."""
    with tempfile.TemporaryDirectory(prefix="staging-", dir=spill) as folder:
        connection = duck.connect(threads=threads, spill=folder)
        try:
            return _take_in(connection, Path(folder), root, delivery, open_table, local, quarantine, storage_options, progress or (lambda done, of, what: None))
        finally:
            connection.close()


def _take_in(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    root: str,
    delivery: Delivery,
    open_table: Callable[[], DeltaTable | None],
    local: bool,
    quarantine: Path | None,
    storage_options: dict[str, str] | None,
    progress: Progress,
) -> IngestReport:
    staged: list[StagedFile] = []
    for number, file in enumerate(delivery.files):
        progress(number, len(delivery.files), f"reading {file.name}")
        staged.append(stage(connection, file, number, delivery.key, folder))
    rejected, reason_counts = _rejected(connection, staged)
    _find_arrivals(connection, keyed=bool(delivery.key))
    for _ in range(_TRIES):
        table = open_table()
        currency = _one_currency(connection, staged, table, local)
        decided = _decide(connection, delivery, table, local)
        report = _report(connection, delivery, staged, decided, rejected, reason_counts, currency)
        if report.quarantined and quarantine is not None:
            _write_quarantine(connection, delivery, staged, quarantine)
        if not report.accepted:
            return report
        progress(len(staged), len(staged), f"writing {report.accepted} rows")
        try:
            _commit(connection, root, delivery, report, table, storage_options)
        except CommitFailedError:
            # Somebody else committed since we looked: what is new must be decided again.
            continue
        return report
    raise DeliveryError(f"The ledger is being written to by others: gave up after {_TRIES} tries", field="path", got=root, allowed="a quieter moment")


def _rejected(connection: duckdb.DuckDBPyConnection, staged: Sequence[StagedFile]) -> tuple[list[RejectedRow], dict[str, int]]:
    counts: Counter[str] = Counter()
    for number, fault, count in execute(connection, f"SELECT file, fault, count(*) FROM {STAGED} WHERE fault IS NOT NULL GROUP BY ALL"):
        check = staged[int(str(number))].checks[int(str(fault))]
        counts[f"{check.column} {check.problem}"] += int(str(count))
    first = f"SELECT file, row_number, fault, whole_row FROM {STAGED} WHERE fault IS NOT NULL ORDER BY file, row_number LIMIT {MOST_REASONS}"
    rows = [_rejected_row(staged, row) for row in execute(connection, first)]
    return rows, dict(sorted(counts.items()))


def _rejected_row(staged: Sequence[StagedFile], row: tuple[Any, ...]) -> RejectedRow:
    file = staged[row[0]]
    check = file.checks[row[2]]
    value = value_at_fault(file, check, row[3])
    return RejectedRow(file.file.name, file.line(row[1]), check.column, value, f"{check.column} {describe(check, value)}; allowed is {check.allowed}")


def _find_arrivals(connection: duckdb.DuckDBPyConnection, *, keyed: bool) -> None:
    """The table `arrivals`: one row per identity of the delivery, and `repeats`: how many rows another one stands for."""
    name = "key_identity" if keyed else "content"
    good = f"(SELECT file, row_number, {name} AS name, content FROM {STAGED} WHERE fault IS NULL)"
    repeated = f"(SELECT name FROM {good} GROUP BY name HAVING count(*) > 1)"
    if keyed:
        # The last row with a key wins: later files and later lines are later news.
        ranked = f"SELECT *, name AS identity, row_number() OVER (PARTITION BY name ORDER BY file DESC, row_number DESC) AS place FROM {good} SEMI JOIN {repeated} USING (name)"
    else:
        counted = f"SELECT *, row_number() OVER (PARTITION BY file, name ORDER BY row_number) AS occurrence FROM {good} SEMI JOIN {repeated} USING (name)"
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


def _one_currency(connection: duckdb.DuckDBPyConnection, staged: Sequence[StagedFile], table: DeltaTable | None, local: bool) -> str:
    """The currency of the delivery, which must be the ledger's; several need a table of rates that is not there yet."""
    currency = quoted_name(focus.BILLING_CURRENCY)
    first = f"SELECT {currency}, arg_min(file, (file, row_number)), arg_min(row_number, (file, row_number)) FROM {STAGED} WHERE fault IS NULL GROUP BY 1 ORDER BY 2, 3"
    found = execute(connection, first)
    places = [f"{code} ({staged[int(str(file))].file.name}, line {staged[int(str(file))].line(int(str(row)))})" for code, file, row in found]
    codes = [str(row[0]) for row in found]
    if len(codes) > 1:
        raise SpendDataError(
            f"The delivery mixes currencies: got {', '.join(places)}; allowed is one currency", field=focus.BILLING_CURRENCY, got=codes, allowed="one currency"
        )
    if table is not None:
        scan = scan_of(table, connection, local=local)
        held = execute(connection, f"SELECT {currency} FROM {scan.sql} AS charges LIMIT 1")
        if held and held[0][0] != codes[0]:
            raise SpendDataError(
                f"The delivery is in another currency than the ledger: got {places[0]}, allowed is {held[0][0]}",
                field=focus.BILLING_CURRENCY,
                got=codes[0],
                allowed=str(held[0][0]),
            )
    return codes[0]


def _decide(connection: duckdb.DuckDBPyConnection, delivery: Delivery, table: DeltaTable | None, local: bool) -> dict[str, int]:
    """The table `decided`: what becomes of each arrival, against what the ledger knew when the delivery was received.

    new : a first version. restated : another content than the version in force then. history : known earlier than all
    that the ledger holds. unchanged : says what was in force then.
    """
    known = "(SELECT NULL AS identity, NULL AS top, NULL AS standing, false AS stood WHERE false)"
    if table is not None:
        scan = scan_of(table, connection, local=local)
        if delivery.key:
            months = ""
        else:
            # The billing month is part of the content, so the same row is in the same partition.
            found = execute(connection, f"SELECT DISTINCT {PARTITION} FROM {STAGED} WHERE fault IS NULL")
            months = f"AND {PARTITION} IN ({', '.join(quoted_text(str(month[0])) for month in found)})"
        in_time = f"FILTER (received_at <= {moment_literal(delivery.received_at)})"
        known = f"""(
            SELECT identity, max(version) AS top, arg_max(content, (received_at, version)) {in_time} AS standing, count(*) {in_time} > 0 AS stood
            FROM {scan.sql} AS charges WHERE identity IN (SELECT identity FROM arrivals) {months} GROUP BY identity
        )"""
        _refuse_other_key(connection, delivery, scan.sql)
    same = "arrivals.content = known.standing" if delivery.key else "true"
    execute(
        connection,
        f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT arrivals.file, arrivals.row_number, arrivals.identity, coalesce(known.top, 0) + 1 AS version,
               CASE WHEN known.identity IS NULL THEN 'new' WHEN NOT known.stood THEN 'history' WHEN {same} THEN 'unchanged' ELSE 'restated' END AS fate
        FROM arrivals LEFT JOIN {known} AS known USING (identity)
        """,
    )
    return {str(fate): int(str(count)) for fate, count in execute(connection, "SELECT fate, count(*) FROM decided GROUP BY fate")}


def _refuse_other_key(connection: duckdb.DuckDBPyConnection, delivery: Delivery, scan: str) -> None:
    """The same rows, once known by content and once by a key, would count twice: the delivery must be read as before."""
    keyed = ",".join(sorted(name.lower() for name in delivery.key))
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


def _report(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    staged: Sequence[StagedFile],
    decided: dict[str, int],
    rejected: Sequence[RejectedRow],
    reason_counts: dict[str, int],
    currency: str,
) -> IngestReport:
    effective, billed, start, end = (quoted_name(name) for name in (focus.EFFECTIVE_COST, focus.BILLED_COST, focus.CHARGE_START, focus.CHARGE_END))
    accepted = f"(SELECT file, row_number FROM decided WHERE fate <> 'unchanged') SELECT coalesce(sum({effective}), 0), coalesce(sum({billed}), 0)"
    costs = execute(connection, f"WITH written AS {accepted} FROM {STAGED} SEMI JOIN written USING (file, row_number)")[0]
    first, last, quarantined = execute(
        connection, f"SELECT min({start}) FILTER (fault IS NULL), max({end}) FILTER (fault IS NULL), count(fault) FROM {STAGED}"
    )[0]
    stood_for = int(str(execute(connection, "SELECT count(*) FROM repeats WHERE place > 1")[0][0]))
    missing = sorted({name for file in staged for name in focus.missing_mandatory(file.focus_names)})
    return IngestReport(
        delivery_id=delivery.delivery_id,
        received_at=delivery.received_at,
        source=delivery.source,
        files=tuple(file.name for file in delivery.files),
        rows_read=sum(file.rows for file in staged),
        accepted=sum(count for fate, count in decided.items() if fate != "unchanged"),
        unchanged=decided.get("unchanged", 0) + (0 if delivery.key else stood_for),
        superseded=decided.get("restated", 0),
        quarantined=int(str(quarantined)),
        repeated=stood_for if delivery.key else 0,
        history=decided.get("history", 0),
        reasons=tuple(rejected),
        reason_counts=reason_counts,
        columns_missing=tuple(missing),
        period_start=first if isinstance(first, dt.datetime) else None,
        period_end=last if isinstance(last, dt.datetime) else None,
        effective_cost=Decimal(str(costs[0])),
        billed_cost=Decimal(str(costs[1])),
        currency=currency,
        notes=tuple(_notes(connection, delivery, staged, stood_for, missing, decided)),
    )


def _notes(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    staged: Sequence[StagedFile],
    stood_for: int,
    missing: Sequence[str],
    decided: dict[str, int],
) -> list[str]:
    notes = [note for file in staged for note in file.notes]
    if missing:
        notes.append(f"columns that FOCUS {focus.version_of(name for file in staged for name in file.focus_names)} demands and no row needs: {', '.join(missing)}")
    unread = execute(
        connection, f"SELECT name, count(*) FROM (SELECT unnest(string_split(unread, ',')) AS name FROM {STAGED} WHERE unread IS NOT NULL AND fault IS NULL) GROUP BY 1 ORDER BY 1"
    )
    notes += [f"{count} values of {name} cannot be read as {focus.BY_NAME[str(name)].kind} and are kept as text in extra" for name, count in unread]
    if stood_for and delivery.key:
        notes.append(f"{stood_for} rows have the key of a later row of the delivery, which stands for them")
    elif stood_for:
        notes.append(f"{stood_for} rows are in several files of the delivery and count once")
    if decided.get("history"):
        notes.append(f"{decided['history']} rows were known before what the ledger holds: they are history and change no current figure")
    return notes


def _write_quarantine(connection: duckdb.DuckDBPyConnection, delivery: Delivery, staged: Sequence[StagedFile], folder: Path) -> None:
    """All rejected rows as they came, one JSON object a line, in a file named after the delivery's content.

    Written before the commit and whole or not at all, so a killed ingestion that is run again leaves one copy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{delivery.digest[:16]}.ndjson"
    cursor = connection.execute(f"SELECT file, row_number, fault, whole_row FROM {STAGED} WHERE fault IS NOT NULL ORDER BY file, row_number")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=".", suffix=".part", delete=False) as stream:
        while rows := cursor.fetchmany(10_000):
            for row in rows:
                entry = _rejected_row(staged, row).as_dict() | {"delivery_id": delivery.delivery_id, "row": json.loads(row[3])}
                stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
    Path(stream.name).replace(target)


def _commit(
    connection: duckdb.DuckDBPyConnection, root: str, delivery: Delivery, report: IngestReport, table: DeltaTable | None, storage_options: dict[str, str] | None
) -> None:
    """Append the decided rows as one commit that carries the delivery's id, digest and report; batches, never all rows."""
    given = {
        "delivery_id": quoted_text(delivery.delivery_id),
        "received_at": moment_literal(delivery.received_at),
        "source": quoted_text(delivery.source),
        "identity": "decided.identity",
        "version": "decided.version",
        "keyed": quoted_text(",".join(sorted(name.lower() for name in delivery.key))) if delivery.key else "CAST(NULL AS VARCHAR)",
        "content": "content" if delivery.key else "CAST(NULL AS VARCHAR)",
    } | {name: f"make_timestamptz(epoch_us({quoted_name(name)}))" for name in MOMENTS if name != "received_at"}
    columns = ", ".join(f"{given.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in SCHEMA.names)
    sql = f"SELECT {columns} FROM {STAGED} JOIN (SELECT * FROM decided WHERE fate <> 'unchanged') AS decided USING (file, row_number)"
    reader: pa.RecordBatchReader = connection.sql(sql).to_arrow_reader(BATCH_ROWS)
    properties = CommitProperties(
        custom_metadata={"delivery_id": delivery.delivery_id, "digest": delivery.digest, "report": json.dumps(report.as_dict())},
        # A second commit that looked at the same state must fail and look again, or it would append what is there.
        max_commit_retries=0,
        app_transactions=[Transaction(delivery.transaction, _microseconds(delivery.received_at))],
    )
    if table is None:
        table = DeltaTable.create(
            root, schema=SCHEMA, mode="ignore", partition_by=[PARTITION], name="charges", configuration=CONFIGURATION, storage_options=storage_options
        )
    write_deltalake(table, reader, mode="append", commit_properties=properties)


def _microseconds(moment: dt.datetime) -> int:
    return int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1_000_000 + moment.microsecond
