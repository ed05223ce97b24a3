"""Takes a delivery into the ledger: stage all files, decide row by row what is new, quarantine the rest, commit once.

Nothing is written before every file is staged and found good, and the table changes by one Delta commit, so a killed
ingestion leaves either the whole delivery or none of it, and running it again completes it.

What is new is decided in `ledger_decisions`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from forecast.adapters.ledger_decisions import Delivery, decide, find_arrivals, months_to_search, one_currency
from forecast.adapters.ledger_table import CONFIGURATION, MOMENTS, PARTITION, SCHEMA, TablePlace, moment_literal, naive_utc, scan_of
from forecast.errors import DeliveryError
from forecast.spend import focus

Progress = Callable[[int, int, str], None]
"""Called with files done, files in all, and what happens now."""

BATCH_ROWS = 65_536
_TRIES = 20


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
    if committed is None or committed > delivery.microseconds:
        return None
    for commit in table.history():
        if commit.get("digest") == delivery.digest and "report" in commit:
            before = IngestReport.from_dict(json.loads(commit["report"]))
            return replace(
                before,
                delivery_id=delivery.delivery_id,
                received_at=delivery.received_at,
                source=delivery.source,
                files=tuple(file.name for file in delivery.files),
                unchanged=before.rows_read - before.quarantined - before.repeated,
                accepted=0,
                superseded=0,
                history=0,
                effective_cost=Decimal(0),
                billed_cost=Decimal(0),
                notes=(*before.notes, f"the same delivery was taken in as {before.delivery_id}"),
            )
    return None


def take_in(
    place: TablePlace,
    delivery: Delivery,
    *,
    quarantine: Path,
    spill: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Stage, decide, quarantine, commit. `spill` is a folder for staging and what does not fit in memory (None: the system's)."""
    with tempfile.TemporaryDirectory(prefix="staging-", dir=spill) as folder:
        connection = duck.connect(threads=threads, spill=folder)
        try:
            return _take_in(connection, Path(folder), place, delivery, quarantine, progress or (lambda done, of, what: None))
        finally:
            connection.close()


def _take_in(
    connection: duckdb.DuckDBPyConnection, folder: Path, place: TablePlace, delivery: Delivery, quarantine: Path, progress: Progress
) -> IngestReport:
    staged: list[StagedFile] = []
    for number, file in enumerate(delivery.files):
        progress(number, len(delivery.files), f"reading {file.name}")
        staged.append(stage(connection, file, number, delivery.key, folder))
    rejected, reason_counts = _rejected(connection, staged)
    find_arrivals(connection, keyed=bool(delivery.key))
    for _ in range(_TRIES):
        table = place.opened()
        scan = None if table is None else scan_of(place, table, connection)
        currency = one_currency(connection, staged, scan)
        near = None if table is None else scan_of(place, table, connection, months=months_to_search(connection, delivery))
        decided = decide(connection, delivery, near)
        report = _report(connection, delivery, staged, decided, rejected, reason_counts, currency)
        if report.quarantined:
            _write_quarantine(connection, delivery, staged, quarantine)
        if not report.accepted:
            return report
        progress(len(staged), len(staged), f"writing {report.accepted} rows")
        try:
            _commit(connection, place, delivery, report, table)
        except CommitFailedError:
            # Somebody else committed since we looked: what is new must be decided again.
            continue
        return report
    raise DeliveryError(
        f"The ledger is being written to by others: gave up after {_TRIES} tries", field="path", got=place.address, allowed="a quieter moment"
    )


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
        version = focus.version_of(name for file in staged for name in file.focus_names)
        notes.append(f"columns that FOCUS {version} demands and no row needs: {', '.join(missing)}")
    names = f"SELECT unnest(string_split(unread, ',')) AS name FROM {STAGED} WHERE unread IS NOT NULL AND fault IS NULL"
    unread = execute(connection, f"SELECT name, count(*) FROM ({names}) GROUP BY 1 ORDER BY 1")
    kept = "and are kept as text in extra"
    notes += [f"{count} values of {name} cannot be read as {focus.BY_NAME[str(name)].kind} {kept}" for name, count in unread]
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


def _commit(connection: duckdb.DuckDBPyConnection, place: TablePlace, delivery: Delivery, report: IngestReport, table: DeltaTable | None) -> None:
    """Append the decided rows as one commit that carries the delivery's id, digest and report; batches, never all rows."""
    given = {
        "delivery_id": quoted_text(delivery.delivery_id),
        "received_at": moment_literal(delivery.received_at),
        "source": quoted_text(delivery.source),
        "identity": "decided.identity",
        "version": "decided.version",
        "keyed": quoted_text(delivery.keyed) if delivery.key else "CAST(NULL AS VARCHAR)",
        "content": "content" if delivery.key else "CAST(NULL AS VARCHAR)",
    } | {name: f"make_timestamptz(epoch_us({quoted_name(name)}))" for name in MOMENTS if name != "received_at"}
    columns = ", ".join(f"{given.get(name, quoted_name(name))} AS {quoted_name(name)}" for name in SCHEMA.names)
    sql = f"SELECT {columns} FROM {STAGED} JOIN (SELECT * FROM decided WHERE fate <> 'unchanged') AS decided USING (file, row_number)"
    reader: pa.RecordBatchReader = connection.sql(sql).to_arrow_reader(BATCH_ROWS)
    properties = CommitProperties(
        custom_metadata={"delivery_id": delivery.delivery_id, "digest": delivery.digest, "report": json.dumps(report.as_dict())},
        # A second commit that looked at the same state must fail and look again, or it would append what is there.
        max_commit_retries=0,
        app_transactions=[Transaction(delivery.transaction, delivery.microseconds)],
    )
    if table is None:
        address, options = str(place.folder or place.address), place.storage_options
        table = DeltaTable.create(
            address, schema=SCHEMA, mode="ignore", partition_by=[PARTITION], name="charges", configuration=CONFIGURATION, storage_options=options
        )
    write_deltalake(table, reader, mode="append", commit_properties=properties)
