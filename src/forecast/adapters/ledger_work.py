"""What decides about the entries of a delivery works with: the periods that exports cover, other deliveries of the source, files of entries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.delivery import Delivery
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.adapters.ledger_table import PARTITION, Scan, moment_literal
from forecast.spend import focus

CONTENT = "content, content_effective, content_billed"
"""Columns of `content_sql`: two entries with the same are about the same charge."""

START = quoted_name(focus.CHARGE_START)
PROVIDER, ACCOUNT = quoted_name(focus.PROVIDER_NAME), quoted_name(focus.BILLING_ACCOUNT_ID)


@dataclass(frozen=True)
class Cover:
    """What a replacing delivery stands for: one billing month of a provider's account (None: of all), days `[first, last]` of it or all."""

    month: str
    provider: str | None
    account: str | None
    first: dt.date | None
    last: dt.date | None

    def as_dict(self) -> dict[str, Any]:
        first, last = (None if day is None else day.isoformat() for day in (self.first, self.last))
        return {"month": self.month, "provider": self.provider, "account": self.account, "first": first, "last": last}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Cover:
        days = [None if values[name] is None else dt.date.fromisoformat(values[name]) for name in ("first", "last")]
        return cls(values["month"], values["provider"], values["account"], days[0], days[1])

    def sql(self, table: str) -> str:
        """Condition on the rows of `table` (alias)."""
        parts = [f"{table}.{PARTITION} = {quoted_text(self.month)}"]
        if self.provider is not None:
            parts += [f"{table}.{PROVIDER} = {quoted_text(self.provider)}", f"coalesce({table}.{ACCOUNT}, '') = {quoted_text(self.account or '')}"]
        if self.first is not None and self.last is not None:
            end = self.last + dt.timedelta(days=1)
            parts += [f"{table}.{START} >= TIMESTAMPTZ '{self.first} 00:00:00+00'", f"{table}.{START} < TIMESTAMPTZ '{end} 00:00:00+00'"]
        return f"({' AND '.join(parts)})"

    @property
    def values_sql(self) -> str:
        """Month, provider, account, first moment, first moment after: what `sql` compares, as a row of values."""
        after = None if self.last is None else self.last + dt.timedelta(days=1)
        texts = ["NULL" if text is None else quoted_text(text) for text in (self.month, self.provider, self.account)]
        moments = ["NULL" if day is None else quoted_text(f"{day} 00:00:00+00") for day in (self.first, after)]
        return ", ".join([*texts, *(f"CAST({moment} AS TIMESTAMPTZ)" for moment in moments)])

    def __str__(self) -> str:
        days = "" if self.first is None else f", days {self.first} to {self.last}"
        return f"{self.month}{'' if self.provider is None else f' of {self.provider} {self.account}'.rstrip()}{days}"


@dataclass(frozen=True)
class Earlier:
    """A commit of the same source that the ledger holds. covers : of one that replaced; short_digest names its rows."""

    received_at: dt.datetime
    short_digest: str
    covers: tuple[Cover, ...] = ()


@dataclass
class Entries:
    """What a delivery does to the ledger. repeated, shared : rows for which another of the delivery stands, by its key or in another file;
    the latter are among the unchanged. parts : files of entries, None where all staged rows are new and go in as they are."""

    new: int = 0
    restated: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    repeated: int = 0
    shared: int = 0
    history: int = 0
    parts: list[Path] | None = None
    covers: list[Cover] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.new + self.restated


@dataclass(frozen=True)
class Work:
    """What deciding needs. good : rows that are staged; scan : the whole ledger, entries with sign 0 included, None where it is empty."""

    connection: duckdb.DuckDBPyConnection
    delivery: Delivery
    folder: Path
    good: int
    scan: Scan | None

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return execute(self.connection, sql)

    def count(self, sql: str) -> int:
        return int(self.run(f"SELECT count(*) FROM ({sql})")[0][0])

    @property
    def known(self) -> str:
        return f"received_at <= {moment_literal(self.delivery.received_at)} AND source = {quoted_text(self.delivery.source)}"


def written(work: Work, select: str, name: str) -> Path:
    """A file of the rows of `select`."""
    target = work.folder / f"{name}.parquet"
    execute(work.connection, f"COPY ({select}) TO {quoted_text(str(target))} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 61440)")
    return target
