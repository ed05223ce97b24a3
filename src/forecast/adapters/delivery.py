"""A delivery: files that came together, when they were known, whose word they are and how they are to be read."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from forecast.adapters.bill_files import BillFile, file_digest
from forecast.adapters.formats.base import Reading

Covers = Literal["auto", "period", "days"]
"""What a delivery that replaces stands for: whole billing periods, its own days of them, or (auto) whichever its days say."""


@dataclass(frozen=True)
class Delivery:
    """`source` says whose word the rows are; `declared` whether a person said so (else it is the format's name)."""

    files: tuple[BillFile, ...]
    received_at: dt.datetime
    source: str
    declared: bool
    reading: Reading
    covers: Covers
    digest: str

    @property
    def delivery_id(self) -> str:
        """Sorts by time of receipt; the same content received at the same time has the same id."""
        return f"{self.received_at:%Y%m%dT%H%M%S.%f}Z-{self.short_digest}"

    @property
    def short_digest(self) -> str:
        return self.digest[:16]

    @property
    def transaction(self) -> str:
        return f"delivery/{self.digest}"

    @property
    def keyed(self) -> str | None:
        """The key as rows and reports name it; None without one."""
        return ",".join(sorted(name.lower() for name in self.reading.key)) or None

    @property
    def microseconds(self) -> int:
        """Time of receipt since 1970, as the number of the transaction."""
        return int(self.received_at.replace(tzinfo=dt.UTC).timestamp()) * 1_000_000 + self.received_at.microsecond


def digest_of(files: Sequence[BillFile], reading: Reading, source: str) -> str:
    """SHA-256 over the files' bytes and how they are read, whatever the files' names and order."""
    parts = [*sorted(file_digest(file.path) for file in files), reading.mode, *sorted(name.lower() for name in reading.key), "source", source]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
