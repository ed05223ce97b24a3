"""What the tests of cloud bills share: rows as a vendor's CSV, CSV.gz or Parquet, and what a format makes of them."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from forecast.adapters import duck
from forecast.adapters.bill_files import BillFile, bill_file, sample_of
from forecast.adapters.formats.aws_cur import AWS_CUR
from forecast.adapters.formats.azure_export import AZURE_COMMITMENT_PURCHASES, AZURE_EXPORT
from forecast.adapters.formats.base import BillFormat, focus_rows
from forecast.adapters.formats.google_billing import GOOGLE_BILLING
from forecast.adapters.formats.oracle_cost import ORACLE_COST
from forecast.spend import focus

Row = dict[str, Any]

CLOUDS: tuple[BillFormat, ...] = (AWS_CUR, AZURE_EXPORT, AZURE_COMMITMENT_PURCHASES, GOOGLE_BILLING, ORACLE_COST)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as CSV (packed where the name ends in .gz); columns in the order of first appearance, absent values empty."""
    names = list(dict.fromkeys(name for values in rows for name in values))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType] | None = None) -> Path:
    """Rows as Parquet; `types` for columns whose type Arrow would not find out."""
    names = list(dict.fromkeys(name for values in rows for name in values))
    columns = {name: pa.array([values.get(name) for values in rows], type=(types or {}).get(name)) for name in names}
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def opened(path: Path) -> BillFile:
    file = bill_file(path, path.name)
    assert file is not None
    return file


def mapped(format: BillFormat, path: Path) -> list[Row]:
    """The rows of a file as the format gives them, without nulls; amounts and times in one form whatever the file wrote."""
    with duck.connect() as connection:
        return [
            {name: _plain(name, value) for name, value in row.items() if value is not None} for row in focus_rows(connection, format, opened(path))
        ]


def recognised(path: Path) -> dict[str, str]:
    """Which of the clouds' formats claim the file, and why."""
    with duck.connect() as connection:
        sample = sample_of(connection, opened(path))
        return {format.name: why for format in CLOUDS if (why := format.recognise(sample)) is not None}


def total(rows: Sequence[Row], column: str) -> Decimal:
    return sum((row.get(column, Decimal(0)) for row in rows), Decimal(0))


def exact(values: Sequence[Any]) -> Decimal:
    """The exact sum of amounts as a vendor writes them."""
    return sum((Decimal(str(value)) for value in values if value not in ("", None)), Decimal(0))


def _plain(name: str, value: Any) -> Any:
    column = focus.BY_NAME.get(name)
    if column is not None and column.kind == "decimal":
        return Decimal(str(value)).normalize() + 0
    if column is not None and column.kind == "timestamp":
        return str(value).replace(" ", "T").removesuffix("UTC").removesuffix("+00").removesuffix("Z").removesuffix(".000").removesuffix("T")
    return value
