"""What became of a delivery, row by row in sums: the answer of every ingestion."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

MOST_REASONS = 100
"""Rejected rows that a report names one by one; all of them are counted, and all are in quarantine."""


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be counted. `line` is where a person finds it: the header of a CSV file is line 1."""

    file: str
    line: int
    column: str
    value: str | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "column": self.column, "value": self.value, "reason": self.reason}


@dataclass(frozen=True)
class IngestReport:
    """Counts are rows, and `rows_read = accepted + unchanged + quarantined + repeated`.

    accepted : written to the ledger. unchanged : in the ledger already, or the same row of another file of the delivery.
    superseded : rows that stood until now and gave way to an accepted one. withdrawn : rows that stood until now and are no more in an export
    that replaces what was said before. quarantined : cannot be counted. bad_files : files that cannot be read, and why.
    formats : what the files are and by what they were recognised. mode, covers : how the delivery was read, and what it stands for.
    repeated : rows of the delivery with the key of a later row, which stands for them.
    history : of the accepted, those that were known before what the ledger holds; the current view does not change.
    period_start, period_end : first charge start and last charge end of the rows that can be counted (naive UTC).
    effective_cost, billed_cost : exact sums over the accepted rows, in `currency`.
    ai : `AiSummary` of all rows that can be counted, as plain data. coverage : share of their money that has a value, by dimension.
    """

    delivery_id: str
    received_at: dt.datetime
    source: str
    files: tuple[str, ...]
    rows_read: int
    accepted: int
    unchanged: int
    superseded: int
    quarantined: int
    formats: tuple[str, ...] = ()
    mode: str = "append"
    covers: tuple[str, ...] = ()
    withdrawn: int = 0
    bad_files: tuple[str, ...] = ()
    repeated: int = 0
    history: int = 0
    reasons: tuple[RejectedRow, ...] = ()
    reason_counts: Mapping[str, int] = field(default_factory=dict)
    columns_missing: tuple[str, ...] = ()
    period_start: dt.datetime | None = None
    period_end: dt.datetime | None = None
    effective_cost: Decimal = Decimal(0)
    billed_cost: Decimal = Decimal(0)
    currency: str | None = None
    notes: tuple[str, ...] = ()
    ai: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, float] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether the ledger is another one than before."""
        return self.accepted > 0 or self.withdrawn > 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: decimals as text with all digits, times as ISO 8601 in UTC."""
        return {
            "delivery_id": self.delivery_id,
            "received_at": _iso(self.received_at),
            "source": self.source,
            "files": list(self.files),
            "rows_read": self.rows_read,
            "accepted": self.accepted,
            "unchanged": self.unchanged,
            "superseded": self.superseded,
            "withdrawn": self.withdrawn,
            "quarantined": self.quarantined,
            "bad_files": list(self.bad_files),
            "formats": list(self.formats),
            "mode": self.mode,
            "covers": list(self.covers),
            "repeated": self.repeated,
            "history": self.history,
            "reasons": [reason.as_dict() for reason in self.reasons],
            "reason_counts": dict(self.reason_counts),
            "columns_missing": list(self.columns_missing),
            "period_start": _iso(self.period_start),
            "period_end": _iso(self.period_end),
            "effective_cost": format(self.effective_cost, "f"),
            "billed_cost": format(self.billed_cost, "f"),
            "currency": self.currency,
            "notes": list(self.notes),
            "ai": dict(self.ai),
            "coverage": dict(self.coverage),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IngestReport:
        """The report that `as_dict` wrote."""
        plain = dict(values)
        received_at = _moment(plain["received_at"])
        if received_at is None:
            raise ValueError("an ingest report has a time of receipt")
        return cls(
            **{
                **plain,
                "received_at": received_at,
                "files": tuple(plain["files"]),
                "formats": tuple(plain["formats"]),
                "covers": tuple(plain["covers"]),
                "bad_files": tuple(plain["bad_files"]),
                "reasons": tuple(RejectedRow(**reason) for reason in plain["reasons"]),
                "columns_missing": tuple(plain["columns_missing"]),
                "period_start": _moment(plain["period_start"]),
                "period_end": _moment(plain["period_end"]),
                "effective_cost": Decimal(plain["effective_cost"]),
                "billed_cost": Decimal(plain["billed_cost"]),
                "notes": tuple(plain["notes"]),
            }
        )


@dataclass(frozen=True)
class RetryReport:
    """What became of the quarantine. reports : of the deliveries that its mended rows and files made. rows : those that waited;
    quarantined : those that still wait. bad_files : files that still cannot be read."""

    reports: tuple[IngestReport, ...]
    rows: int
    quarantined: int
    bad_files: int

    @property
    def accepted(self) -> int:
        return sum(report.accepted for report in self.reports)

    @property
    def unchanged(self) -> int:
        """Rows that were in the ledger already."""
        return sum(report.unchanged for report in self.reports)

    @property
    def complete(self) -> bool:
        """Whether nothing is left that cannot be counted: of what waited, and of the files that were read again."""
        return not self.quarantined and not self.bad_files and not any(report.quarantined or report.bad_files for report in self.reports)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "unchanged": self.unchanged,
            "quarantined": self.quarantined,
            "bad_files": self.bad_files,
            "reports": [report.as_dict() for report in self.reports],
        }


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat() + "Z"


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text.removesuffix("Z"))
