"""Takes mended rows out of quarantine into the ledger, as a part of the delivery that they came with.

Each file of quarantine makes one more delivery of the same source and key. It adds, or merges; it never replaces, because what is not in it
was taken in long ago. What says the same by key, or stood for a period, was known when its delivery was, so that what was delivered since
stands; rows known by content are known from now on. Rows that still cannot be counted stay, with their new reasons.

The ledger is written first and the file after it. Killed in between, the rows are in both, and the next run finds them in the ledger: a
delivery changes nothing the second time.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast.adapters import duck
from forecast.adapters.bill_files import BillFile, bill_file
from forecast.adapters.delivery import Delivery, digest_of
from forecast.adapters.formats.base import BillFormat, Reading
from forecast.adapters.formats.registry import Recognised, by_name, recognise
from forecast.adapters.ingest_report import IngestReport, RetryReport
from forecast.adapters.quarantine import Entry, Quarantine
from forecast.adapters.retried_format import RetriedFormat, Shape, write_documents, write_rows
from forecast.adapters.staging import uncounted
from forecast.errors import InputError
from forecast.spend.rules import Rules

Take = Callable[[Delivery, Mapping[BillFile, Recognised]], IngestReport]
"""Takes one delivery in, whose files are recognised."""


@dataclass(frozen=True)
class Completion(Delivery):
    """Rows that belong to a delivery that was taken in before. completes : its `delivery_id`.

    A row of the same content in the same file of that delivery is another charge, so both count. added_up : the same row in two files of
    the delivery are two charges as well, as in one that replaces.
    """

    completes: str = ""
    added_up: bool = False


def retry(
    quarantine: Quarantine, take: Take, *, formats: Sequence[BillFormat], rules: Rules, received_at: dt.datetime, folder: Path | None = None
) -> RetryReport:
    """Take in what can be counted now of all files of the quarantine. received_at : now, naive UTC. folder : for what is written meanwhile."""
    reports: list[IngestReport] = []
    waiting = rows = bad = 0
    for path in quarantine.files():
        with tempfile.TemporaryDirectory(prefix="retry-", dir=folder) as scratch:
            attempt = _Attempt(take, formats, rules, received_at, Path(scratch))
            remaining = attempt.run(quarantine.entries(path))
        reports += attempt.reports
        rows += attempt.rows
        waiting += sum("row" in entry for entry in remaining)
        bad += sum("row" not in entry for entry in remaining)
        quarantine.replace(path, remaining)
    return RetryReport(tuple(reports), rows, waiting, bad)


class _Attempt:
    """One file of quarantine. `run` gives the entries that stay, in their order."""

    def __init__(self, take: Take, formats: Sequence[BillFormat], rules: Rules, received_at: dt.datetime, folder: Path) -> None:
        self.reports: list[IngestReport] = []
        self.rows = 0
        self._take, self._formats, self._rules, self._now, self._folder = take, formats, rules, received_at, folder
        self._number = 0

    def run(self, entries: Sequence[Entry]) -> list[Entry]:
        done: set[int] = set()
        by_delivery: dict[str, list[int]] = {}
        for place, entry in enumerate(entries):
            self.rows += "row" in entry
            by_delivery.setdefault(entry["delivery_id"], []).append(place)
        for places in by_delivery.values():
            done |= self._delivery({place: entries[place] for place in places})
        return [entry for place, entry in enumerate(entries) if place not in done]

    def _delivery(self, entries: Mapping[int, Entry]) -> set[int]:
        """The places of the entries of one delivery that are done with; the reasons of others are renewed."""
        tables: dict[tuple[str, Shape], dict[int, Entry]] = {}
        documents: dict[tuple[str, str], dict[int, Entry]] = {}
        done: set[int] = set()
        for place, entry in entries.items():
            try:
                if "row" not in entry:
                    self._file(entry)
                    done.add(place)
                elif isinstance(entry["row"], str) and "columns" not in entry:
                    documents.setdefault((entry["file"], entry["format"]), {})[place] = entry
                else:
                    row = _mended(entry)
                    tables.setdefault((json.dumps(sorted(row) if "types" not in entry else []), _shape(entry)), {})[place] = entry | {"row": row}
            except InputError as error:
                entry["reason"] = str(error)
        for (name, format_name), found in documents.items():
            done |= self._documents(name, format_name, found)
        ready: dict[BillFile, Recognised] = {}
        taken: set[int] = set()
        for (_, shape), found in tables.items():
            try:
                file, recognised, good = self._table(shape, found, entries)
            except InputError as error:
                _renew(entries, found, str(error))
                continue
            if good:
                ready[file] = recognised
                taken |= good
        if ready:
            try:
                first = next(iter(entries.values()))
                self.reports.append(self._take(self._completion(first, tuple(ready)), ready))
                done |= taken
            except InputError as error:
                _renew(entries, taken, str(error))
        return done

    def _table(self, shape: Shape, found: Mapping[int, Entry], entries: Mapping[int, Entry]) -> tuple[BillFile, Recognised, set[int]]:
        """A file of the rows that can be counted now, and their places."""
        format = by_name(self._formats, shape.format)
        by_line = {int(entry["line"]): place for place, entry in found.items()}
        identities = {int(entry["line"]): entry["identity"] for entry in found.values() if "identity" in entry}
        first = next(iter(found.values()))
        recognised = Recognised(RetriedFormat(format, _reading(first), shape, identities), "was recognised as such when it came")
        all_rows = {int(entry["line"]): entry["row"] for entry in found.values()}
        file = write_rows(all_rows, shape, self._target())
        with duck.connect(spill=self._folder) as connection:
            faults = {fault.line: fault for fault in uncounted(connection, self._completion(first, (file,)), file, recognised, self._rules)}
        for line, fault in faults.items():
            entries[by_line[line]].update(column=fault.column, value=fault.value, reason=fault.reason)
        good = {line: row for line, row in all_rows.items() if line not in faults}
        if good and faults:
            file = write_rows(good, shape, self._target())
        return file, recognised, {by_line[line] for line in good}

    def _documents(self, name: str, format_name: str, found: Mapping[int, Entry]) -> set[int]:
        """Lines of NDJSON that were malformed: each may hold many rows, so they are a file like any other."""
        mended: dict[int, str] = {}
        for place, entry in found.items():
            try:
                json.loads(entry["row"])
                mended[place] = entry["row"]
            except ValueError as error:
                entry["reason"] = f"line {entry['line']} is malformed JSON: {error}; allowed is an object in JSON"
        if not mended:
            return set()
        first = next(iter(found.values()))
        file = write_documents(list(mended.values()), name, self._target())
        try:
            recognised = Recognised(RetriedFormat(by_name(self._formats, format_name), _reading(first), Shape(name, format_name)), "came as such")
            self.reports.append(self._take(self._again(first, (file,)), {file: recognised}))
        except InputError as error:
            _renew(found, mended, str(error))
            return set()
        return set(mended)

    def _file(self, entry: Entry) -> None:
        """A whole file, from its place. InputError where it still cannot be read."""
        path = Path(entry["path"])
        file = bill_file(path, entry["file"])
        if file is None or not path.is_file():
            raise InputError(f"{entry['file']} is no longer at {path}", field="path", got=str(path), allowed="a file that exists")
        with duck.connect(threads=1) as connection:
            recognised = recognise(connection, file, self._formats)
        self.reports.append(self._take(self._again(entry, (file,)), {file: recognised}))

    def _target(self) -> Path:
        self._number += 1
        return self._folder / f"rows-{self._number}"

    def _again(self, entry: Entry, files: tuple[BillFile, ...]) -> Delivery:
        reading = _reading(entry)
        return Delivery(files, self._when(entry), entry["source"], entry["declared"], reading, "auto", digest_of(files, reading, entry["source"]))

    def _completion(self, entry: Entry, files: tuple[BillFile, ...]) -> Completion:
        plain = self._again(entry, files)
        digest = hashlib.sha256(f"{plain.digest}\ncompletes\n{entry['delivery_id']}".encode()).hexdigest()
        return Completion(
            plain.files,
            plain.received_at,
            plain.source,
            plain.declared,
            plain.reading,
            plain.covers,
            digest,
            entry["delivery_id"],
            entry["mode"] == "replace",
        )

    def _when(self, entry: Entry) -> dt.datetime:
        return self._now if entry["mode"] == "append" else dt.datetime.fromisoformat(entry["received_at"].removesuffix("Z"))


def _reading(entry: Entry) -> Reading:
    return Reading("merge", tuple(entry["key"])) if entry["mode"] == "merge" else Reading("append")


def _shape(entry: Entry) -> Shape:
    types = tuple(entry["types"].items()) if "types" in entry else None
    return Shape(entry["file"], entry["format"], types, entry.get("date_order"))


def _mended(entry: Entry) -> dict[str, Any]:
    """The row by column. InputError where it still cannot be taken apart, or nothing was mended of what could not be read."""
    row = entry["row"]
    if isinstance(row, str):
        names = entry["columns"]
        try:
            fields = list(csv.reader(io.StringIO(row, newline=""), delimiter=entry["delimiter"], strict=True))
        except csv.Error:
            fields = []
        if len(fields) != 1 or len(fields[0]) != len(names):
            got = f"has {len(fields[0])} fields" if len(fields) == 1 else "has quotes that do not match"
            raise InputError(
                f"{entry['column']} {got} and the header has {len(names)}; allowed is a line with {len(names)} fields",
                field="row",
                got=row[:80],
                allowed=f"{len(names)} fields",
            )
        return _by_name(names, fields[0])
    if not isinstance(row, dict):
        raise InputError("the row is no object with a value for each column", field="row", got=str(row)[:80], allowed="an object")
    if entry.get("unread") and row.get(entry["column"]) == entry["value"]:
        raise InputError(entry["reason"], field=entry["column"], got=entry["value"], allowed="a mended value")
    return row


def _by_name(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """Values by column; of a column that is there twice, the one that says something."""
    found: dict[str, str] = {}
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        label = next((known for known in found if name and known.lower() == name.lower()), name or f"column {place + 1}")
        if found.get(label, "").strip() and value.strip() and found[label].strip() != value.strip():
            raise InputError(f"{label} is said twice in the line, and differently; allowed is one value", field=label, got=value, allowed="one value")
        found[label] = found[label] if found.get(label, "").strip() else value
    return found


def _renew(entries: Mapping[int, Entry], places: Mapping[int, Any] | set[int], reason: str) -> None:
    for place in places:
        entries[place]["reason"] = reason
