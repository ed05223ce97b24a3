"""Rows and files that cannot be counted, kept as they came with file, line, column, value and reason, until they are mended.

One NDJSON file a delivery, named after the delivery's content, one line a row: `row` is the row itself, and whoever mends it there and runs
`forecast ingest --retry-quarantine` gets it into the ledger (`quarantine_retry`). A line of CSV that could not be taken apart is there as
its text. A file that could not be read is a line with its `path`.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import duckdb

from forecast.adapters.delivery import Delivery
from forecast.adapters.ingest_report import MOST_REASONS, RejectedRow
from forecast.adapters.staged import FaultyRow, Staged, describe
from forecast.errors import InputError

Entry = dict[str, Any]

_LONGEST_VALUE = 1000
"""Characters of a value at fault that reports repeat; the row itself is kept whole."""

_LONGEST_KIND = 120
_FLOAT_KEEPS = 17


@dataclass(frozen=True)
class Kept:
    """What went into quarantine. reasons : the first rows; reason_counts : all, by reason."""

    reasons: tuple[RejectedRow, ...] = ()
    reason_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Quarantine:
    """The folder of rows that wait to be mended."""

    folder: Path

    def keep(self, connection: duckdb.DuckDBPyConnection, delivery: Delivery, staged: Staged) -> Kept:
        """Write all rows and files that cannot be counted; whole or not at all, so that a killed ingestion that is run again leaves one copy.

        What was mended of an earlier copy and not taken in yet stays mended.
        """
        if staged.good == staged.rows_read and not staged.bad:
            return Kept()
        target = self.folder / f"{delivery.short_digest}.ndjson"
        mended = {(entry["file"], entry["line"]): entry["row"] for entry in self.entries(target) if "row" in entry} if target.exists() else {}
        first: list[RejectedRow] = []
        counts: Counter[str] = Counter()
        about = about_delivery(delivery)
        with self._written(target) as stream:
            for bad in staged.bad:
                stream.write(_line({"file": bad.file.name, "path": str(bad.file.path.absolute()), "reason": str(bad.error)} | about))
                counts["file cannot be read"] += 1
            for row in staged.faulty(connection):
                entry = entry_of(row, about)
                counts[f"{row.column} {row.problem}"[:_LONGEST_KIND]] += 1
                if len(first) < MOST_REASONS:
                    first.append(RejectedRow(row.file.name, row.line, row.column, _short(entry["value"]), entry["reason"]))
                entry["row"] = mended.get((row.file.name, row.line), entry["row"])
                stream.write(_line(entry))
        return Kept(tuple(first), dict(sorted(counts.items())))

    def files(self) -> list[Path]:
        """The files of rows that wait, in a fixed order."""
        return sorted(self.folder.glob("*.ndjson")) if self.folder.is_dir() else []

    def entries(self, path: Path) -> list[Entry]:
        """The lines of a file. InputError names the line that a person broke."""
        found = []
        with path.open(encoding="utf-8-sig") as stream:
            for number, text in enumerate(stream, start=1):
                if not text.strip():
                    continue
                try:
                    entry = json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=str)
                except ValueError as error:
                    problem = f"line {number} is not JSON: {error}"
                    raise InputError(f"{path.name} in quarantine: {problem}", field="row", got=text[:80], allowed="one JSON object a line") from error
                if not isinstance(entry, dict) or "file" not in entry or ("row" not in entry and "path" not in entry):
                    problem = f"line {number} has no file and row"
                    raise InputError(f"{path.name} in quarantine: {problem}", field="row", got=text[:80], allowed="a line as it was written")
                found.append(entry)
        return found

    def replace(self, path: Path, entries: Iterable[Entry]) -> None:
        """What still waits in a file; without anything the file goes away. Whole or not at all."""
        remaining = list(entries)
        if not remaining:
            path.unlink(missing_ok=True)
            return
        with self._written(path) as stream:
            stream.writelines(_line(entry) for entry in remaining)

    @contextmanager
    def _written(self, target: Path) -> Iterator[IO[str]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.folder, prefix=".", suffix=".part", delete=False) as stream:
            part = Path(stream.name)
            try:
                yield stream
            except BaseException:
                part.unlink()
                raise
        part.replace(target)


def entry_of(row: FaultyRow, about: Mapping[str, Any]) -> Entry:
    """A row as its line in quarantine."""
    own = json.loads(row.row, parse_float=_number, parse_int=_whole, parse_constant=str)
    value = row.value
    if value is None and isinstance(own, dict) and own.get(row.column) is not None:
        value = str(own[row.column])
    # A row that could not be read waits until the value at fault is another one: so that one is kept whole.
    shown = value if row.how.get("unread") else _short(value)
    reason = row.reason if row.value is not None else f"{row.column} {describe(row.problem, None)}; allowed is {row.allowed}"
    placed = {"file": row.file.name, "line": row.line, "column": row.column, "value": shown, "reason": reason}
    return placed | dict(about) | {"format": row.format} | dict(row.how) | {"row": own}


def about_delivery(delivery: Delivery) -> Entry:
    """How the delivery was read, as every line of its file says it."""
    return {
        "delivery_id": delivery.delivery_id,
        "received_at": delivery.received_at.isoformat() + "Z",
        "source": delivery.source,
        "declared": delivery.declared,
        "mode": delivery.reading.mode,
        "key": list(delivery.reading.key),
    }


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"


def _number(text: str) -> float | str:
    """A number with more digits than a float keeps as its text."""
    return float(text) if len(text) < _FLOAT_KEEPS else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) < _FLOAT_KEEPS else text


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
