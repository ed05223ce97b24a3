"""Takes a delivery into the ledger: stage all files, decide which entries they make, quarantine the rest, commit once.

Nothing is written before every file is staged, and the table changes by one Delta commit, so a killed ingestion leaves either the whole
delivery or none of it, and running it again completes it. What is new is decided in `ledger_entries`.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from forecast.adapters import duck
from forecast.adapters.ai_summary import ai_summary, coverage_sql
from forecast.adapters.bill_files import BillFile
from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name
from forecast.adapters.formats.registry import Recognised
from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger_commit import MonthFile, by_month, commit
from forecast.adapters.ledger_currency import DeliveryMoney, Reporting, billed_currencies, delivery_money, first_currency, held_currencies
from forecast.adapters.ledger_entries import Cover, Earlier, Entries, decide
from forecast.adapters.ledger_overlap import Overlap, check_overlap
from forecast.adapters.ledger_table import TablePlace, scan_of
from forecast.adapters.object_store import reaching
from forecast.adapters.quarantine import Kept, Quarantine
from forecast.adapters.staging import STAGED, Progress, Staged, stage
from forecast.errors import DeliveryError, InputError
from forecast.spend import focus
from forecast.spend.rules import Rules

_TRIES = 20

TAGGED = ("team", "stage", "project", "workload")
"""Dimensions that tags say, whose coverage is a KPI."""


def known_report(place: TablePlace, delivery: Delivery) -> IngestReport | None:
    """The answer to a delivery that was taken in whole before: nothing to do; None where the rows must be looked at.

    A delivery that is read by a key or replaces says more than its rows when it comes again: it takes back what was said in between, and what
    it says holds against older deliveries that come in later. So it is answered only where nothing was said in between, and leaves a commit.
    """
    with reaching(place.uri):
        for _ in range(_TRIES):
            table = place.opened()
            said = None if table is None else _said_before(table, delivery)
            if table is None or said is None:
                return None
            report = _unchanged(said.report, delivery)
            if delivery.reading.mode == "append" or said.received_at == delivery.received_at:
                return report
            about = _about(delivery, again=True, currencies=held_currencies(table), covers=said.about["covers"])
            try:
                _commit(place, table, [], about, report, delivery)
            except CommitFailedError:
                continue
            return report
    return None


@dataclass(frozen=True)
class _Said:
    """A commit in the table's log: what it says about itself."""

    received_at: dt.datetime
    about: Mapping[str, Any]
    report: IngestReport


def _said_before(table: DeltaTable, delivery: Delivery) -> _Said | None:
    """The commit of the same delivery, where nothing that its source said since and until this one's receipt can make a difference."""
    if table.transaction_version(delivery.transaction) is None:
        return None
    entries = [(json.loads(entry["about"]), entry["report"]) for entry in table.history() if "about" in entry]
    received = [
        (at, about, report)
        for about, report in entries
        if about["source"] == delivery.source and (at := dt.datetime.fromisoformat(about["received_at"])) <= delivery.received_at
    ]
    # In the order of receipt, the last first; of those received at one moment, the one that came last.
    for at, about, report in sorted(received, key=lambda one: one[0], reverse=True):
        if about["digest"] == delivery.digest and about.get("asked") == _asked(delivery):
            said = _Said(at, about, IngestReport.from_dict(json.loads(report)))
            # What could not be read then may be read now, by a newer program or another format.
            return None if said.report.bad_files else said
        if delivery.reading.mode != "append" or about["mode"] != "append":
            return None
    return None


def _unchanged(before: IngestReport, delivery: Delivery) -> IngestReport:
    return replace(
        before,
        delivery_id=delivery.delivery_id,
        received_at=delivery.received_at,
        source=delivery.source,
        files=tuple(file.name for file in delivery.files),
        unchanged=before.rows_read - before.quarantined - before.repeated,
        accepted=0,
        superseded=0,
        withdrawn=0,
        history=0,
        effective_cost=Decimal(0),
        billed_cost=Decimal(0),
        notes=(*before.notes, f"the same delivery was taken in as {before.delivery_id}"),
    )


def _asked(delivery: Delivery) -> str | None:
    """How a replacing delivery was to find out what it stands for; the same files, read in another way, are another delivery."""
    return f"{delivery.covers} of {'its source' if delivery.declared else 'accounts'}" if delivery.reading.mode == "replace" else None


def _about(delivery: Delivery, *, again: bool, currencies: Sequence[str], covers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a commit says about itself. again : it has no entries."""
    return {
        "delivery_id": delivery.delivery_id,
        "digest": delivery.digest,
        "received_at": delivery.received_at.isoformat(),
        "source": delivery.source,
        "mode": delivery.reading.mode,
        "asked": _asked(delivery),
        "again": again,
        "completes": getattr(delivery, "completes", None),
        "currencies": list(currencies),
        "covers": list(covers),
    }


def _commit(
    place: TablePlace, table: DeltaTable | None, files: Sequence[MonthFile], about: Mapping[str, Any], report: IngestReport, delivery: Delivery
) -> None:
    metadata = {"about": json.dumps(about), "report": json.dumps(report.as_dict())}
    commit(place, table, files, metadata, Transaction(delivery.transaction, delivery.microseconds), delivery.delivery_id)


def take_in(
    place: TablePlace,
    delivery: Delivery,
    recognised: Mapping[BillFile, Recognised],
    *,
    rules: Rules,
    quarantine: Quarantine,
    unknown: Mapping[BillFile, InputError] | None = None,
    allow_overlap: bool = False,
    spill: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    reporting: Reporting | None = None,
) -> IngestReport:
    """Stage, decide, quarantine, commit. `spill` is a folder for staging and what does not fit in memory (None: the system's).

    allow_overlap : whether the rows of a new source may be those of another one (`ledger_overlap`).
    reporting : the currency of answers and the rates to it, which a delivery in another one needs.
    """
    with tempfile.TemporaryDirectory(prefix="staging-", dir=spill) as folder:
        connection = duck.connect(threads=threads, spill=folder)
        try:
            # Files keep no order that anybody relies on: rows carry their file and line.
            execute(connection, "SET preserve_insertion_order = false")
            say = progress or (lambda done, of, what: None)
            with reaching(place.uri):
                return _take_in(
                    connection,
                    Path(folder),
                    place,
                    delivery,
                    recognised,
                    unknown or {},
                    rules,
                    quarantine,
                    say,
                    reporting or Reporting(),
                    allow_overlap=allow_overlap,
                )
        finally:
            connection.close()


def _take_in(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    place: TablePlace,
    delivery: Delivery,
    recognised: Mapping[BillFile, Recognised],
    unknown: Mapping[BillFile, InputError],
    rules: Rules,
    quarantine: Quarantine,
    progress: Progress,
    reporting: Reporting,
    *,
    allow_overlap: bool,
) -> IngestReport:
    staged = stage(connection, delivery, recognised, unknown, rules, folder, progress)
    billed = billed_currencies(connection, STAGED)
    # Asked before anything is written, and again of the state that is committed to.
    table = place.opened()
    _money(connection, place, table, billed, reporting)
    overlap, checked = check_overlap(connection, place, table, delivery, allowed=allow_overlap), table
    kept = quarantine.keep(connection, delivery, staged)
    whole = by_month(connection, staged.parts, folder)
    for number in range(_TRIES):
        table = place.opened()
        money = _money(connection, place, table, billed, reporting)
        if table is not None and (checked is None or table.version() != checked.version()):
            overlap, checked = check_overlap(connection, place, table, delivery, allowed=allow_overlap), table
        scan = None if table is None else scan_of(place, table, connection, said_again=True)
        progress(len(delivery.files), len(delivery.files), "comparing with the ledger")
        attempt = folder / f"try-{number}"
        attempt.mkdir()
        later = [] if table is None else later_commits(table, delivery)
        completes = getattr(delivery, "completes", None)
        parts = [] if table is None or completes is None else completed_by(table, completes)
        entries = decide(connection, delivery, staged.good, scan, later, attempt, parts)
        report = _report(connection, delivery, staged, entries, kept, money, overlap)
        files = whole if entries.parts is None else by_month(connection, entries.parts, attempt)
        if not files and delivery.reading.mode == "append":
            return report
        progress(len(delivery.files), len(delivery.files), f"writing {report.accepted} rows")
        covers = [cover.as_dict() for cover in entries.covers]
        about = _about(delivery, again=not files, currencies=money.held, covers=covers)
        try:
            _commit(place, table, files, about, report, delivery)
        except CommitFailedError:
            # Somebody else committed since we looked: what is new must be decided again.
            continue
        return report
    raise DeliveryError(
        f"The ledger is being written to by others: gave up after {_TRIES} tries", field="path", got=place.address, allowed="a quieter moment"
    )


def completed_by(table: DeltaTable, delivery_id: str) -> list[str]:
    """The ids of a delivery and of what completed it (`quarantine_retry`)."""
    abouts = [json.loads(entry["about"]) for entry in table.history() if "about" in entry]
    return [delivery_id, *dict.fromkeys(about["delivery_id"] for about in abouts if about.get("completes") == delivery_id)]


def later_commits(table: DeltaTable, delivery: Delivery) -> list[Earlier]:
    """Commits of the same source that are in the ledger already and were received later than the delivery."""
    found = []
    for entry in table.history():
        about = json.loads(entry["about"]) if "about" in entry else {}
        if about.get("source") != delivery.source:
            continue
        received_at = dt.datetime.fromisoformat(about["received_at"])
        if received_at > delivery.received_at:
            found.append(Earlier(received_at, about["digest"][:16], tuple(Cover.from_dict(cover) for cover in about["covers"])))
    return found


def _money(
    connection: duckdb.DuckDBPyConnection, place: TablePlace, table: DeltaTable | None, billed: Mapping[str, str], reporting: Reporting
) -> DeliveryMoney:
    """The currencies of the delivery, which must be the ledger's or have rates."""
    held = held_currencies(table)
    if not held and table is not None and table.file_uris():
        held = first_currency(connection, scan_of(place, table, connection).sql)
    return delivery_money(connection, STAGED, billed, held, reporting)


def _report(
    connection: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    staged: Staged,
    entries: Entries,
    kept: Kept,
    money: DeliveryMoney,
    overlap: Overlap | None,
) -> IngestReport:
    start, end = quoted_name(focus.CHARGE_START), quoted_name(focus.CHARGE_END)
    first, last = execute(connection, f"SELECT make_timestamp(epoch_us(min({start}))), make_timestamp(epoch_us(max({end}))) FROM {STAGED}")[0]
    if entries.parts is None:
        written = STAGED
    elif entries.accepted:
        written = f"read_parquet('{str(entries.parts[0]).replace(chr(39), chr(39) * 2)}', hive_partitioning = false)"
    else:
        written = f"(SELECT * FROM {STAGED} WHERE false)"
    effective, billed = money.totals(connection, written)
    lines = money.lines(connection, STAGED)
    missing = sorted({name for file in staged.files for name in focus.missing_mandatory(file.mapped.focus_names)})
    return IngestReport(
        delivery_id=delivery.delivery_id,
        received_at=delivery.received_at,
        source=delivery.source,
        files=tuple(file.name for file in delivery.files),
        formats=_formats(staged),
        mode=delivery.reading.mode,
        covers=tuple(str(cover) for cover in entries.covers),
        rows_read=staged.rows_read,
        accepted=entries.accepted,
        unchanged=entries.unchanged,
        superseded=entries.restated,
        withdrawn=entries.withdrawn,
        quarantined=staged.rows_read - staged.good,
        bad_files=tuple(f"{bad.file.name}: {bad.error}" for bad in staged.bad),
        repeated=entries.repeated,
        history=entries.history,
        reasons=kept.reasons,
        reason_counts=kept.reason_counts,
        columns_missing=tuple(missing),
        period_start=first if isinstance(first, dt.datetime) else None,
        period_end=last if isinstance(last, dt.datetime) else None,
        effective_cost=effective,
        billed_cost=billed,
        currency=money.currency,
        notes=(*_notes(delivery, staged, entries, overlap), *money.notes(connection, written)),
        ai=_ai(connection, lines),
        coverage=_coverage(connection, lines),
    )


def _ai(connection: duckdb.DuckDBPyConnection, lines: str) -> dict[str, Any]:
    """What the bill's lines were taken as, and the largest that were not taken as AI."""
    return ai_summary(connection, lines).as_dict()


def _coverage(connection: duckdb.DuckDBPyConnection, lines: str) -> dict[str, float]:
    """Share of the bill's money that has a value, by dimension that people tag; in [0, 1]."""
    names, cost = ", ".join(TAGGED), quoted_name(focus.EFFECTIVE_COST)
    # Few combinations instead of many rows; money and credits apart, because a credit without a team is money without a team too.
    few = f"(SELECT {names}, sum({cost}) AS {cost} FROM {lines} GROUP BY {names}, {cost} < 0)"
    return {str(row[0]): float(str(row[3])) for row in execute(connection, coverage_sql(few, TAGGED)) if row[3] is not None}


def _formats(staged: Staged) -> tuple[str, ...]:
    """`aws-cur: has the columns …`, each once."""
    return tuple(dict.fromkeys(f"{file.recognised.format.title}: {file.recognised.why}" for file in staged.files))


def _notes(delivery: Delivery, staged: Staged, entries: Entries, overlap: Overlap | None) -> list[str]:
    notes = list(staged.notes)
    if overlap is not None:
        notes.append(f"{overlap.sentence}; both count")
    if entries.repeated:
        notes.append(f"{entries.repeated} rows have the key of a later row of the delivery, which stands for them")
    if entries.shared:
        notes.append(f"{entries.shared} rows are in several files of the delivery and count once")
    if entries.covers:
        notes.append(f"read as standing for {'; '.join(str(cover) for cover in entries.covers[:6])}{' and more' if len(entries.covers) > 6 else ''}")
    if entries.history:
        notes.append(f"{entries.history} rows were known before what the ledger holds: they are history and change no current figure")
    return notes
