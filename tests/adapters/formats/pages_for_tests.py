"""Writes pages of vendors' APIs and reads them back through a format."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from forecast.adapters import duck
from forecast.adapters.bill_files import BillFile, Sample, bill_file, sample_of
from forecast.adapters.formats.base import BillFormat, focus_rows

HOSTILE = 'O\'Brien "quoted" | pipe, ümlaut 漢字 \\ back: 0.5, {x}'


def written(path: Path, *documents: object, layout: str = "one") -> BillFile:
    """One document, a list of documents, or one a line; text stands as it is."""
    texts = [document if isinstance(document, str) else json.dumps(document, ensure_ascii=False) for document in documents]
    joined = {"one": "\n", "lines": "\n", "list": ",\n"}[layout].join(texts)
    path.write_text(f"[{joined}]" if layout == "list" else joined, encoding="utf-8")
    return found(path)


def found(path: Path) -> BillFile:
    file = bill_file(path, path.name)
    if file is None:
        raise ValueError(path)
    return file


def read(format: BillFormat, file: BillFile) -> list[dict[str, Any]]:
    with duck.connect() as connection:
        return focus_rows(connection, format, file)


def sample(file: BillFile) -> Sample:
    with duck.connect() as connection:
        return sample_of(connection, file)


def total(rows: list[dict[str, Any]], column: str = "BilledCost") -> Decimal:
    return sum((Decimal(str(row[column])) for row in rows if row[column] is not None), Decimal(0))
