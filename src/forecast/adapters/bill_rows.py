"""A file to take in, its rows as a relation, its beginning: what the readers of each kind of file and the formats share."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from forecast.adapters.focus_columns import DateOrder
from forecast.errors import DeliveryError

Kind = Literal["csv", "json", "parquet"]

ENDINGS: dict[str, Kind] = {".csv": "csv", ".json": "json", ".ndjson": "json", ".jsonl": "json", ".parquet": "parquet"}
ALLOWED = "CSV, JSON or NDJSON (each also as .gz) and Parquet: .csv .csv.gz .json .ndjson .jsonl .parquet"

LONGEST_LINE = 64 * 2**20
"""A line of CSV or a document of JSON beyond this many bytes is not read: readers set aside several times as much for every thread."""

LINE_KEY = "#line"
"""Name of the column of a copy that says where its rows come from."""

_HEADER_BYTES = 2**20


@dataclass(frozen=True)
class BillFile:
    """A file to take in. `name` is how reports call it: as given, or relative to the folder that was given.

    stamp : size and time of change (ns) when the file was found, by which a change is noticed. numbered : a copy that was written from
    another file; its first column (`LINE_KEY` in JSON) says which row of that file a row is.
    """

    path: Path
    name: str
    kind: Kind
    compressed: bool
    stamp: tuple[int, int] = (0, 0)
    numbered: bool = False


@dataclass(frozen=True)
class Rows:
    """Rows of a file as a relation. sql : SELECT of `row_number` (1-based place in the file) and c0, c1, …; names, types : of those columns.

    date_order : of dates such as 4/1/25, where it is known already.
    """

    sql: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    notes: tuple[str, ...] = ()
    date_order: DateOrder | None = None

    def find(self, name: str) -> str | None:
        """The reference (`c3`) of a column by its name, upper and lower case not told apart; None where there is none."""
        return self._references.get(name.strip().lower())

    @cached_property
    def _references(self) -> dict[str, str]:
        return {name.lower(): f"c{place}" for place, name in reversed(list(enumerate(self.names)))}


@dataclass(frozen=True)
class Sample:
    """The beginning of a file. columns : of a CSV or Parquet file. keys : of JSON, all names of values in the first MiB. text : that beginning."""

    file: BillFile
    columns: tuple[str, ...]
    keys: frozenset[str]
    text: str


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change (ns) of a file; (-1, -1) where there is none any more."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def beginning(file: BillFile) -> tuple[bytes, int]:
    """The first bytes of the content, unpacked, and the size of the file (times 20 where it is packed)."""
    size = file.path.stat().st_size
    with file.path.open("rb") as plain:
        if not file.compressed:
            return plain.read(_HEADER_BYTES), size
        try:
            with gzip.open(plain) as stream:
                return stream.read(_HEADER_BYTES), size * 20
        except EOFError:
            return _partly_unpacked(file.path), size * 20
        except (OSError, zlib.error) as error:
            raise not_what_it_says(file, "gzip") from error


def _partly_unpacked(path: Path) -> bytes:
    """What can be unpacked of a cut-off file: enough for its header, so that the reader can say where it ends."""
    unpacker = zlib.decompressobj(wbits=31)
    with path.open("rb") as stream:
        return unpacker.decompress(stream.read(_HEADER_BYTES), _HEADER_BYTES)


def not_what_it_says(file: BillFile, what: str) -> DeliveryError:
    return DeliveryError(f"{file.name} is not {what}, which its ending says it is", field="path", got=file.name, allowed=ALLOWED)


def unreadable(file: BillFile, problem: str) -> DeliveryError:
    """What a reader found, in words of our own."""
    return DeliveryError(f"{file.name} cannot be read: {problem}", field="path", got=file.name, allowed=f"a whole {file.kind} file")
