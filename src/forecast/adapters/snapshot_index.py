"""Which forecast run was the newest on a day: what an answer "as of" that day is read from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from forecast.adapters.records import SnapshotRecord
from forecast.errors import NotFoundError


def newest_as_of(records: Sequence[SnapshotRecord], cost: str, day: date | None) -> SnapshotRecord:
    """The run with the newest cutoff that is not after `day`; of all runs where that is None. records : of one cost, at least one.

    Raises NotFoundError that says how old the oldest is.
    """
    usable = [record for record in records if day is None or record.cutoff <= day]
    if not usable:
        oldest = min(record.cutoff for record in records)
        raise NotFoundError(
            f"No snapshot has a cutoff on or before {day}; the oldest of cost {cost} is of {oldest}",
            field="as_of",
            got=str(day),
            allowed=f"{oldest} or later",
        )
    return max(usable, key=lambda record: (record.cutoff, record.created_at))


def check_as_of(record: SnapshotRecord, day: date | None) -> SnapshotRecord:
    """The run itself; NotFoundError where it knows more than was known on `day`."""
    if day is not None and record.cutoff > day:
        raise NotFoundError(
            f"Snapshot {record.id[:12]} has its cutoff on {record.cutoff}, after as_of {day}",
            field="as_of",
            got=str(day),
            allowed=f"{record.cutoff} or later",
        )
    return record
