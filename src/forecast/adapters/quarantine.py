"""Rows and files that cannot be counted, kept as they came with file, line, column, value and reason, until they are mended.

One NDJSON file a delivery, named after the delivery's content, one line a row: `row` is the row itself, and whoever mends it there and runs
`forecast ingest --retry-quarantine` gets it into the ledger. A file that could not be read is a line with its `path`.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.delivery import Delivery
from forecast.adapters.ingest_report import MOST_REASONS, RejectedRow
from forecast.adapters.staging import Staged


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
        """Write all rows and files that cannot be counted; whole or not at all, so that a killed ingestion that is run again leaves one copy."""
        if staged.good == staged.rows_read and not staged.bad:
            return Kept()
        self.folder.mkdir(parents=True, exist_ok=True)
        first: list[RejectedRow] = []
        counts: Counter[str] = Counter()
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.folder, prefix=".", suffix=".part", delete=False) as stream:
            about = about_delivery(delivery)
            for bad in staged.bad:
                stream.write(_line({"file": bad.file.name, "path": str(bad.file.path.absolute()), "reason": str(bad.error)} | about))
                counts["file cannot be read"] += 1
            for row in staged.faulty(connection):
                counts[f"{row.column} {row.problem}"] += 1
                rejected = RejectedRow(row.file.name, row.line, row.column, row.value, row.reason)
                if len(first) < MOST_REASONS:
                    first.append(rejected)
                stream.write(_line(rejected.as_dict() | about | {"format": row.format, "row": json.loads(row.row)}))
        Path(stream.name).replace(self.folder / f"{delivery.short_digest}.ndjson")
        return Kept(tuple(first), dict(sorted(counts.items())))


def about_delivery(delivery: Delivery) -> dict[str, Any]:
    """How the delivery was read, as every line of its file says it."""
    return {
        "delivery_id": delivery.delivery_id,
        "received_at": delivery.received_at.isoformat() + "Z",
        "source": delivery.source,
        "declared": delivery.declared,
        "mode": delivery.reading.mode,
        "key": list(delivery.reading.key),
    }


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
