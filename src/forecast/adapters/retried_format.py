"""Mended rows read again through the format that they came in: as a table of the file's own columns, or as the pieces of its documents."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, bill_file
from forecast.adapters.bill_rows import LINE_KEY, LONGEST_LINE, Kind, stamp_of
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_columns import DateOrder
from forecast.adapters.formats.base import BillFormat, Reading
from forecast.adapters.formats.pricing import PRICED, priced_rows


@dataclass(frozen=True)
class Shape:
    """What the rows of one file have in common. types : of the columns of pieces; None of a table. date_order : as the whole file decided it."""

    file: str
    format: str
    types: tuple[tuple[str, str], ...] | None = None
    date_order: DateOrder | None = None

    @property
    def is_text(self) -> bool:
        """Whether its rows are written as CSV: all tables but those that came as JSON."""
        return self.types is None and kind_of(self.file) != "json"


@dataclass(frozen=True)
class RetriedFormat:
    """A format whose rows come from quarantine. identities : by line, values of the key's columns that the format made of the whole file."""

    format: BillFormat
    reading: Reading
    shape: Shape
    identities: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.format.name

    @property
    def title(self) -> str:
        return self.format.title

    @property
    def looks_for(self) -> str:
        return self.format.looks_for

    def recognise(self, sample: Sample) -> str | None:
        return "it comes from quarantine"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        types = self.shape.types
        if types is None:
            rows = self.format.rows(connection, file)
        else:
            names = tuple(name for name, _ in types)
            kept = len(names) - len(PRICED)
            if names[kept:] == PRICED:
                # Prices are found anew: a price that was missing may be there now.
                rows = priced_rows(connection, _pieces(file, types[:kept]), getattr(self.format, "prices"))  # noqa: B009
            else:
                rows = _pieces(file, types)
        return Rows(rows.sql, rows.names, rows.types, rows.notes, self.shape.date_order)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        columns = dict(self.format.columns(rows))
        for name in dict.fromkeys(name for made in self.identities.values() for name in made):
            # The rows of a CSV file are counted from 1, its lines from the header.
            header = 1 if self.shape.is_text else 0
            given = {line - header: made[name] for line, made in self.identities.items() if made.get(name)}
            texts = f"[{', '.join(quoted_text(text) for text in given.values())}]"
            columns[name] = f"coalesce(({texts})[list_position({list(given)}, row_number)], CAST({columns[name]} AS VARCHAR))"
        return columns


def write_rows(rows: Mapping[int, Mapping[str, Any]], shape: Shape, target: Path) -> BillFile:
    """The rows by line as a file that reads as `shape.file` does: text tables as CSV, the rest as NDJSON."""
    if shape.types is not None:
        places = {name: f"c{place}" for place, (name, _) in enumerate(shape.types)}
        return _ndjson({line: {places[name]: value for name, value in row.items() if name in places} for line, row in rows.items()}, shape, target)
    return _csv(rows, shape, target) if shape.is_text else _ndjson(rows, shape, target)


def write_documents(texts: Sequence[str], name: str, target: Path) -> BillFile:
    """Whole documents, one a line."""
    path = target.with_suffix(".ndjson")
    path.write_text("".join(" ".join(text.split("\n")) + "\n" for text in texts), encoding="utf-8")
    return BillFile(path, name, "json", compressed=False, stamp=stamp_of(path))


def kind_of(name: str) -> Kind:
    """What a file was, by its name; a name without a known ending was a table."""
    found = bill_file(Path(name), name)
    return found.kind if found is not None else "csv"


def _csv(rows: Mapping[int, Mapping[str, Any]], shape: Shape, target: Path) -> BillFile:
    path = target.with_suffix(".csv")
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    csv.field_size_limit(LONGEST_LINE)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([LINE_KEY, *names])
        writer.writerows([line, *(_text(row.get(name)) for name in names)] for line, row in rows.items())
    return BillFile(path, shape.file, "csv", compressed=False, stamp=stamp_of(path), numbered=True)


def _ndjson(rows: Mapping[int, Mapping[str, Any]], shape: Shape, target: Path) -> BillFile:
    path = target.with_suffix(".ndjson")
    lines = (json.dumps({LINE_KEY: line, **row}, ensure_ascii=False) + "\n" for line, row in rows.items())
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return BillFile(path, shape.file, "json", compressed=False, stamp=stamp_of(path), numbered=True)


def _pieces(file: BillFile, types: Sequence[tuple[str, str]]) -> Rows:
    """Rows under the columns and types that the format gave them."""
    read = {LINE_KEY: "BIGINT"} | {f"c{place}": "JSON" if _is_nested(kind) else "VARCHAR" for place, (_, kind) in enumerate(types)}
    listed = ", ".join(f"{quoted_text(name)}: '{kind}'" for name, kind in read.items())
    typed = ", ".join(
        f"c{place}" if kind in ("VARCHAR", "JSON") else f"TRY_CAST(c{place} AS {kind}) AS c{place}" for place, (_, kind) in enumerate(types)
    )
    sql = f"""
        SELECT {quoted_name(LINE_KEY)} AS row_number, {typed}
        FROM read_json({quoted_text(str(file.path))}, format = 'newline_delimited', columns = {{{listed}}}, maximum_object_size = {LONGEST_LINE})
    """
    return Rows(sql, tuple(name for name, _ in types), tuple(kind for _, kind in types))


def _is_nested(sql_type: str) -> bool:
    return sql_type == "JSON" or sql_type.startswith(("STRUCT", "MAP")) or sql_type.endswith("[]")


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
