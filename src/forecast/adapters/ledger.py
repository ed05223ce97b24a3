"""The ledger: every charge line ever received, and what was known of them at any moment.

An append-only Delta Lake table, partitioned by billing month, queried with DuckDB. Money is exact until a panel leaves.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable
from filelock import FileLock, Timeout

from forecast.adapters import duck
from forecast.adapters.bill_files import BillFile, find_files
from forecast.adapters.delivery import Delivery, digest_of
from forecast.adapters.duck import execute, quoted_name
from forecast.adapters.formats.base import BillFormat
from forecast.adapters.formats.registry import Recognised, by_name, recognise, shipped_formats
from forecast.adapters.ingest_report import IngestReport, RejectedRow, RetryReport
from forecast.adapters.ledger_arguments import (
    cost_column,
    covers_of,
    dimension_names,
    empty_ledger,
    key_names,
    period_of,
    reading_of,
    start_of_day,
)
from forecast.adapters.ledger_currency import Exchange, Reporting, first_currency, held_currencies
from forecast.adapters.ledger_ingest import known_report, take_in
from forecast.adapters.ledger_summary import summary_of
from forecast.adapters.ledger_table import SCHEMA, Scan, TablePlace, dimension_column, entries_sql, in_force_sql, naive_utc, scan_of
from forecast.adapters.object_store import reaching
from forecast.adapters.quarantine import Quarantine
from forecast.adapters.quarantine_retry import retry
from forecast.adapters.rules import load_rules
from forecast.adapters.staging import Progress
from forecast.errors import ConfigError, InputError
from forecast.spend import focus
from forecast.spend.currency import Rates, RatesUsed
from forecast.spend.dimensions import UNKNOWN, is_name
from forecast.spend.joined import series_name_sql
from forecast.spend.rules import Rules
from forecast.spend.scope import Scope, unknown_value

__all__ = ["IngestReport", "Ledger", "RejectedRow"]

COMPANY = "company"
"""`unique_id` of a panel that is not split."""

_LOCK_SECONDS = 600

_COST = "the cost"
"""Column of sums before they are converted; no dimension's name has a blank in it."""


class Ledger:
    """The ledger in a folder, or at an object store's address (`s3://…`) with its `storage_options`.

    Opening one reads and creates nothing. Methods may be called from several threads and processes at once.
    rules : or a file that changes how dimensions and AI spend are told from rows; those that ship by default.
    currency : of answers, by default the one that the ledger held first; charges stay in the currency in which they were billed.
    rates : to that currency; without them only bills in one currency are taken in.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        storage_options: Mapping[str, str] | None = None,
        threads: int | None = None,
        quarantine: str | Path | None = None,
        rules: Rules | str | Path | None = None,
        rates: Rates | None = None,
        currency: str | None = None,
    ) -> None:
        self._place = TablePlace(str(root), dict(storage_options) if storage_options else None)
        self._threads = threads
        self._rules = rules
        self._reporting = Reporting.of(currency, rates)
        folder = self._place.folder
        if quarantine is None and folder is None:
            raise ConfigError(f"The ledger {root} needs a local folder for rows that cannot be counted: give `quarantine`")
        self.quarantine = Quarantine(Path(quarantine) if quarantine is not None else Path(folder or "").parent / "quarantine")

    def __repr__(self) -> str:
        return f"Ledger({self._place.address!r})"

    # Bills in

    def ingest(
        self,
        paths: Sequence[str | Path],
        *,
        received_at: dt.datetime,
        format: str = "auto",
        key: str | Sequence[str] | None = None,
        replace: bool = False,
        covers: str = "auto",
        source: str | None = None,
        allow_overlap: bool = False,
        formats: Sequence[BillFormat] | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Take in the files and folders of one delivery by one commit. Files that cannot be read are named in the report, unless none can.

        format : its name, or auto. key : column (or several) whose values name a row for ever; replace : the delivery stands for all that its
        source said before about what it covers; without either the format decides. received_at : when the delivery was known; before that
        moment no view shows its rows. UTC where it has no zone. allow_overlap : take in a source that speaks for the first time also where it
        looks like another one's bill (`ledger_overlap`). formats : those that are known; the shipped ones by default.

        Raises DeliveryError, SchemaError or SpendDataError where nothing can be taken in, as `bill_files`, `staging` and `ledger_overlap` say.
        """
        files = find_files([paths] if isinstance(paths, str | Path) else paths)
        if key is not None and replace:
            raise InputError("A delivery is read by a key or it replaces, not both", field="key", got=key, allowed="key or replace")
        known_covers = covers_of(covers)
        known = shipped_formats() if formats is None else formats
        recognised, unknown = self._recognised(files, known, format)
        reading = reading_of(recognised, key_names(key), replace, source)
        label = source or next(iter(recognised.values())).format.name
        taken = tuple(files)
        delivery = Delivery(taken, naive_utc(received_at), label, source is not None, reading, known_covers, digest_of(files, reading, label))
        with self._exclusive() as spill:
            if (report := known_report(self._place, delivery)) is not None:
                return report
            return take_in(
                self._place,
                delivery,
                recognised,
                unknown=unknown,
                allow_overlap=allow_overlap,
                rules=self._rules if isinstance(self._rules, Rules) else load_rules(self._rules),
                quarantine=self.quarantine,
                spill=spill,
                threads=self._threads,
                progress=progress,
                reporting=self._reporting,
            )

    def retry_quarantine(
        self, *, received_at: dt.datetime, formats: Sequence[BillFormat] | None = None, progress: Progress | None = None
    ) -> RetryReport:
        """Take in what was mended in quarantine, and files that can be read by now, as parts of the deliveries that they came with.

        received_at : now, UTC where it has no zone. formats : those that are known; the shipped ones by default. Raises InputError where
        a file of the quarantine is not what was written there any more.
        """
        rules = self._rules if isinstance(self._rules, Rules) else load_rules(self._rules)
        with self._exclusive() as spill:

            def take(delivery: Delivery, recognised: Mapping[BillFile, Recognised]) -> IngestReport:
                if (report := known_report(self._place, delivery)) is not None:
                    return report
                return take_in(
                    self._place,
                    delivery,
                    recognised,
                    # They complete what was taken in as that source's word.
                    allow_overlap=True,
                    rules=rules,
                    quarantine=self.quarantine,
                    spill=spill,
                    threads=self._threads,
                    progress=progress,
                    reporting=self._reporting,
                )

            known = shipped_formats() if formats is None else formats
            return retry(self.quarantine, take, formats=known, rules=rules, received_at=naive_utc(received_at), folder=spill)

    def _recognised(
        self, files: Sequence[BillFile], formats: Sequence[BillFormat], wanted: str
    ) -> tuple[dict[BillFile, Recognised], dict[BillFile, InputError]]:
        """The format of each file, and what is wrong with the files that have none. Raises the first fault where no file has one."""
        if wanted != "auto":
            by_name(formats, wanted)
        found: dict[BillFile, Recognised] = {}
        unknown: dict[BillFile, InputError] = {}
        connection = duck.connect(threads=1)
        try:
            for file in files:
                try:
                    found[file] = recognise(connection, file, formats, wanted)
                except InputError as error:
                    unknown[file] = error
        finally:
            connection.close()
        if not found:
            raise next(iter(unknown.values()))
        return found, unknown

    def compact(self, *, keep_hours: float = 24.0) -> dict[str, int]:
        """Rewrite small files into large ones, and remove files that no state needs and that are older than `keep_hours`.

        History is in the rows, so no view of any moment changes. Gives files_before, files_after and removed (files).
        """
        table = self._place.opened()
        if table is None:
            raise empty_ledger()
        with self._exclusive():
            before = len(table.file_uris())
            table.optimize.compact()
            removed = table.vacuum(retention_hours=int(keep_hours), enforce_retention_duration=False, dry_run=False, full=True)
            table.create_checkpoint()
            return {"files_before": before, "files_after": len(table.file_uris()), "removed": len(removed)}

    # Spend out

    def panel(
        self,
        scope: Scope | str | None = None,
        by: Sequence[str] = (),
        freq: str = "D",
        cost: str = "effective",
        as_of: dt.datetime | None = None,
        start: dt.datetime | dt.date | None = None,
        end: dt.datetime | dt.date | None = None,
    ) -> pd.DataFrame:
        """Columns `unique_id, ds, y` and those of `by`, sorted by id and ds; only periods with a charge line are there.

        unique_id : the values of `by` joined by `|` (`spend.joined`), or `company`. ds : naive UTC start of the period in which the charge
        starts, also where the charge is longer. y : float64 cost in the ledger's currency. `[start, end)` is about `ds`'s charges.
        `attrs["rates"]` : where lines in other currencies were converted, the rates that it took, as plain data.

        Raises UnknownScopeError for a value of `scope` that never occurred, InputError for an empty ledger, SpendDataError for a currency
        and day without a rate.
        """
        unit = period_of(freq)
        names = dimension_names(by)
        values = ", ".join(f"{dimension_column(name)} AS {quoted_name(name)}" for name in names)
        start_of = f"CAST(date_trunc('{unit}', {quoted_name(focus.CHARGE_START)}) AS TIMESTAMP)"
        ids = series_name_sql([quoted_name(name) for name in names]) if names else f"'{COMPANY}'"
        with self._answering() as (connection, scan, exchange):
            conditions, parameters = self._conditions(connection, scan, Scope.parse(scope))
            # A sum over entries is the sum over charges in force; only a period of which everything was taken back has to be left out.
            standing = " HAVING sum(sign) > 0" if scan.reversed_months else ""
            keys = f"{values + ', ' if names else ''}{start_of} AS ds"
            entries = f"({entries_sql(scan, as_of, start=start_of_day(start), end=start_of_day(end))}){conditions}"
            amount, used = cost_column(cost), list[dict[str, Any]]()
            if exchange is not None:
                entries, rates = exchange.sums(connection, keys, {_COST: amount}, entries, parameters, standing=standing)
                used = [rate.as_json() for rate in rates]
                keys, amount, standing, parameters = ", ".join(map(quoted_name, (*names, "ds"))), quoted_name(_COST), "", []
            inner = f"SELECT {keys}, CAST(sum({amount}) AS DOUBLE) AS y FROM {entries} GROUP BY ALL{standing}"
            frame: pd.DataFrame = connection.execute(f"SELECT {ids} AS unique_id, * FROM ({inner}) ORDER BY unique_id, ds", parameters).df()
        frame["ds"] = frame["ds"].astype("datetime64[us]")
        frame = frame[["unique_id", "ds", "y", *names]]
        if used:
            frame.attrs["rates"] = used
        return frame

    def charges(
        self,
        scope: Scope | str | None = None,
        start: dt.datetime | dt.date | None = None,
        end: dt.datetime | dt.date | None = None,
        columns: Sequence[str] | None = None,
        as_of: dt.datetime | None = None,
    ) -> pa.Table:
        """The charge lines in force as they were billed, exact decimals and naive UTC times.

        columns : the table's or tag keys (None: all the table's). What sums them must look at BillingCurrency, or use `in_one_currency`.
        """
        wanted = list(SCHEMA.names) if columns is None else list(columns)
        for name in wanted:
            if name not in SCHEMA.names and not is_name(name):
                raise InputError(f"{name!r} is not a column of the ledger or a tag key", field="columns", got=name, allowed=", ".join(SCHEMA.names))
        selected = ", ".join(f"{quoted_name(name) if name in SCHEMA.names else dimension_column(name)} AS {quoted_name(name)}" for name in wanted)
        with self._reading() as (connection, scan):
            conditions, parameters = self._conditions(connection, scan, Scope.parse(scope))
            rows = in_force_sql(scan, as_of, start=start_of_day(start), end=start_of_day(end))
            found: pa.Table = connection.sql(f"SELECT {selected} FROM ({rows}){conditions}", params=parameters).to_arrow_table()
        return found

    def values(self, dimension: str) -> list[str]:
        """All values that a dimension (or tag key) ever had, sorted; `(none)` among them where a line has none."""
        dimension_names([dimension])
        with self._reading() as (connection, scan):
            return list(self._known_values(connection, scan, dimension))

    def summary(self) -> dict[str, Any]:
        """What is in force now: rows, first and last charge day, currency, number of deliveries, exact totals as text, by provider.

        currencies : rows and totals as they were billed, by currency. rates : those that the totals took, [] in a ledger of one currency.
        """
        with self._answering() as (connection, scan, exchange):
            found = summary_of(connection, scan, exchange, len(self.deliveries()))
        if found is None:
            raise empty_ledger()
        return found

    def rates_used(
        self,
        scope: Scope | str | None = None,
        start: dt.datetime | dt.date | None = None,
        end: dt.datetime | dt.date | None = None,
        as_of: dt.datetime | None = None,
    ) -> tuple[RatesUsed, ...]:
        """The rates behind an answer about these charges, one entry a currency that is converted; () where nothing is."""
        with self._answering() as (connection, scan, exchange):
            if exchange is None:
                return ()
            conditions, parameters = self._conditions(connection, scan, Scope.parse(scope))
            entries = f"({entries_sql(scan, as_of, start=start_of_day(start), end=start_of_day(end))}){conditions}"
            return exchange.used(connection, entries, parameters, standing=" HAVING sum(sign) > 0")

    def in_one_currency(self, connection: duckdb.DuckDBPyConnection, charges: str, money: Sequence[str]) -> str:
        """SQL of the relation `charges` (as `charges()` gives them, with BillingCurrency) with the columns `money` in the ledger's currency."""
        with self._answering() as (_, _, exchange):
            return charges if exchange is None else exchange.converted(connection, charges, money)[0]

    def deliveries(self) -> list[dict[str, Any]]:
        """The deliveries that changed the ledger, by time of receipt: delivery_id, received_at (naive UTC), source, rows (accepted ones)."""
        table = self._place.opened()
        found = []
        for commit in [] if table is None else table.history():
            if "report" in commit:
                report = IngestReport.from_dict(json.loads(commit["report"]))
                if report.changed:
                    found.append({name: getattr(report, name) for name in ("delivery_id", "received_at", "source")} | {"rows": report.accepted})
        return sorted(found, key=lambda delivery: (delivery["received_at"], delivery["delivery_id"]))

    def digest(self, as_of: dt.datetime | None = None) -> str:
        """SHA-256 of what was delivered up to `as_of`: contents and their order of receipt, not the clock or the file layout.

        Two ledgers that took in the same files in the same order have the same digest; compaction does not change it.
        """
        if self.is_empty:
            raise empty_ledger()
        known = [delivery for delivery in self.deliveries() if as_of is None or delivery["received_at"] <= naive_utc(as_of)]
        parts = [f"{delivery['delivery_id'].rsplit('-', 1)[1]} {delivery['rows']}" for delivery in known]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def developments(self, by: Sequence[str] = ("provider",), *, cost: str = "effective", since: dt.date | None = None) -> pd.DataFrame:
        """How the cost of each day came to be known: columns of `by`, `ds` (charge day), `known_at` (naive UTC), `change` (float64 money).

        The cost of a day as known at a moment is the sum of its changes up to then.
        """
        names = dimension_names(by)
        values = ", ".join(f"{dimension_column(name)} AS {quoted_name(name)}" for name in names)
        day = f"CAST(date_trunc('day', {quoted_name(focus.CHARGE_START)}) AS TIMESTAMP) AS ds"
        keys = f"{values}{', ' if names else ''}{day}, received_at AS known_at"
        with self._answering() as (connection, scan, exchange):
            entries, used = f"({entries_sql(scan, None, start=start_of_day(since))})", list[dict[str, Any]]()
            amount = cost_column(cost)
            if exchange is not None:
                entries, rates = exchange.sums(connection, keys, {_COST: amount}, entries)
                used = [rate.as_json() for rate in rates]
                keys, amount = ", ".join(map(quoted_name, (*names, "ds", "known_at"))), quoted_name(_COST)
            sql = f"SELECT {keys}, CAST(sum({amount}) AS DOUBLE) AS change FROM {entries} GROUP BY ALL ORDER BY ALL"
            frame: pd.DataFrame = connection.execute(sql).df()
        if used:
            frame.attrs["rates"] = used
        return frame

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever taken in."""
        table = self._place.opened()
        return table is None or not table.file_uris()

    @property
    def currency(self) -> str:
        """The currency of answers: as set, else the one that the ledger held first."""
        with self._state() as (connection, scan, table):
            held = self._held(connection, scan, table)
        if not held:
            raise empty_ledger()
        return self._reporting.target(held)

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies in which charges were ever billed, in order of arrival."""
        with self._state() as (connection, scan, table):
            return self._held(connection, scan, table)

    # Inside

    @contextmanager
    def _reading(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Scan]]:
        with self._state() as (connection, scan, _):
            yield connection, scan

    @contextmanager
    def _answering(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Scan, Exchange | None]]:
        """As `_state`, and how sums are made where charges are in several currencies."""
        with self._state() as (connection, scan, table):
            held = held_currencies(table)
            if not held and self._reporting.currency is not None:
                held = first_currency(connection, scan.sql)
            yield connection, scan, self._reporting.exchange(held)

    def _held(self, connection: duckdb.DuckDBPyConnection, scan: Scan, table: DeltaTable) -> tuple[str, ...]:
        return held_currencies(table) or first_currency(connection, scan.sql)

    @contextmanager
    def _state(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, Scan, DeltaTable]]:
        """A connection of its own, and the newest state of the table as it reads it. InputError where there is nothing in it."""
        table = self._place.opened()
        if table is None or not table.file_uris():
            raise empty_ledger()
        connection = duck.connect(threads=self._threads)
        try:
            with reaching(self._place.uri):
                yield connection, scan_of(self._place, table, connection), table
        finally:
            connection.close()

    @contextmanager
    def _exclusive(self) -> Iterator[Path | None]:
        """One ingestion at a time on this machine; yields the folder for staging. Object stores rely on the commit alone."""
        folder = self._place.folder
        if folder is None:
            yield None
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = folder.parent / f".{folder.name}.staging"
        try:
            with FileLock(folder.parent / f".{folder.name}.lock", timeout=_LOCK_SECONDS):
                # Nobody else is staging while we hold the lock: what lies there was left by a killed ingestion.
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                try:
                    yield staging
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        except Timeout as error:
            raise InputError(f"Another ingestion into {folder} has been running for {_LOCK_SECONDS} s", field="ledger", got=str(folder)) from error

    def _conditions(self, connection: duckdb.DuckDBPyConnection, scan: Scan, scope: Scope) -> tuple[str, list[object]]:
        """The scope as ` WHERE …` with its parameters. Values never become SQL text."""
        conditions: list[str] = []
        parameters: list[object] = []
        for clause in scope.clauses:
            known = self._known_values(connection, scan, clause.dimension)
            for value in clause.values:
                if value not in known and value != UNKNOWN:
                    raise unknown_value(clause.dimension, value, known)
            marks = ", ".join("?" for _ in clause.values)
            conditions.append(f"{dimension_column(clause.dimension)} {'NOT IN' if clause.exclude else 'IN'} ({marks})")
            parameters += clause.values
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), parameters

    def _known_values(self, connection: duckdb.DuckDBPyConnection, scan: Scan, dimension: str) -> tuple[str, ...]:
        sql = f"SELECT DISTINCT {dimension_column(dimension)} AS value FROM {scan.sql} AS charges WHERE sign = 1 ORDER BY 1"
        return tuple(str(row[0]) for row in execute(connection, sql))
