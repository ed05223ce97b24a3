"""CSV files as they come: what separates their columns, how they are encoded, where the header stands, and their rows as text.

The first MiB decides. DuckDB then reads the file in its strict mode, which is the check that every line has its fields and is UTF-8;
what it cannot read is looked at again line by line (`second_look`).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from forecast.adapters.bill_rows import LONGEST_LINE, BillFile, Rows, beginning, not_what_it_says
from forecast.adapters.duck import quoted_text
from forecast.errors import DeliveryError

DELIMITERS = (",", ";", "\t", "|")
_NAMED = {"\t": "tabs", ";": "semicolons", "|": "strokes"}

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""Byte order marks and the encodings that they say."""

_UTF_8 = ("utf-8", "utf-8-sig")


class UnreadableHeaderError(DeliveryError):
    """The header is not text in the encoding of the file."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. names : its header, trimmed. skipped : lines before the header. header_lines : lines that the header takes."""

    names: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    skipped: int = 0
    header_lines: int = 1

    @property
    def repeated(self) -> tuple[str, ...]:
        """Names that stand in the header more than once, upper and lower case not told apart; nameless columns are each of their own."""
        counted = Counter(name.lower() for name in self.names if name)
        return tuple(name for name in dict.fromkeys(self.names) if counted[name.lower()] > 1)

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB reads it as it is: UTF-8 with each column once."""
        return self.encoding in _UTF_8 and not self.repeated


def dialect_of(file: BillFile, delimiter: str | None = None, encoding: str | None = None) -> Dialect:
    """How the file is written, as declared, else as its beginning says. DeliveryError where it is blank or no CSV."""
    given, size = beginning(file)
    encoding = next((name for mark, name in _MARKS if given.startswith(mark)), encoding or "utf-8")
    text = _decoded(file, given, encoding, whole=size <= len(given))
    if not text.strip():
        raise DeliveryError(f"{file.name} is empty: it is blank", field="path", got="blank", allowed="at least one charge line")
    if "\x00" in text[:4096] or text.lstrip()[:1] in ("{", "["):
        raise not_what_it_says(file, "CSV")
    skipped = 0
    # Lines before the header: blank ones, and what spreadsheets say about the separator.
    while (line := text[: _line_end(text)]) is not None and (not line.strip() or re.fullmatch(r"(?i)\s*sep=.\s*", line)):
        declared = re.fullmatch(r"(?i)\s*sep=(.)\s*", line)
        delimiter = delimiter or (declared[1] if declared and declared[1] in DELIMITERS else None)
        text, skipped = text[_line_end(text) :], skipped + 1
    # A quoted name may hold any mark, and a line end.
    header = next(iter(re.findall(r'\A(?:"(?:[^"]|"")*"|[^"\r\n])*', text)), "")
    delimiter = delimiter or _delimiter_of(re.sub(r'"(?:[^"]|"")*"', "", header))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = tuple(name.strip() for name in next(reader, []))
    return Dialect(names, delimiter, encoding, skipped, reader.line_num)


def csv_rows(file: BillFile, dialect: Dialect) -> Rows:
    """All columns as text."""
    compression = "gzip" if file.compressed else "none"
    # A line may be as long as the whole file, and the reader sets aside several times this much for every thread.
    longest = min(max(beginning(file)[1], 2**21), LONGEST_LINE)
    names = dialect.names[1:] if file.numbered else dialect.names
    columns = ", ".join([*(["'line': 'BIGINT'"] if file.numbered else []), *(f"'c{place}': 'VARCHAR'" for place in range(len(names)))])
    number = "line - 1" if file.numbered else f"row_number() OVER (){_plus(dialect.skipped)}"
    selected = "".join(f", c{place}" for place in range(len(names)))
    skip = f", skip = {dialect.skipped}" if dialect.skipped else ""
    sql = (
        f"SELECT {number} AS row_number{selected} FROM read_csv({quoted_text(str(file.path))}, auto_detect = false, columns = {{{columns}}}, "
        f"header = true{skip}, delim = {quoted_text(dialect.delimiter)}, quote = '\"', escape = '\"', strict_mode = true, "
        f"nullstr = ['', 'NULL', 'null'], compression = '{compression}', max_line_size = {longest}, hive_partitioning = false)"
    )
    return Rows(sql, names, ("VARCHAR",) * len(names), tuple(_notes(file, dialect)))


def _notes(file: BillFile, dialect: Dialect) -> list[str]:
    notes = []
    if dialect.delimiter != ",":
        notes.append(f"{file.name}: its columns are separated by {_NAMED[dialect.delimiter]}")
    if not file.compressed and not _ends_with_line_end(file):
        notes.append(f"{file.name}: the last line has no line end; if the file was cut off there, its last value may be short")
    return notes


def _plus(number: int) -> str:
    return f" + {number}" if number else ""


def _line_end(text: str) -> int:
    """Where the next line begins."""
    found = re.search(r"\r\n|\n|\r", text)
    return found.end() if found else len(text)


def _decoded(file: BillFile, given: bytes, encoding: str, *, whole: bool) -> str:
    try:
        return given.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        # Only the header must be readable here: a line further down is looked at by itself, and the MiB may end within a character.
        header = re.match(rb"[\r\n]*[^\r\n]*", given)
        if encoding in _UTF_8 and header is not None and error.start < header.end() and (whole or error.start < len(given) - 4):
            raise UnreadableHeaderError(
                f"{file.name} has a header that is not UTF-8 text at byte {error.start}",
                field="path",
                got="another encoding",
                allowed="UTF-8, UTF-16 with a byte order mark, or a mapping file that says the encoding",
            ) from error
        return given.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")


def _delimiter_of(header: str) -> str:
    """The mark that separates most names; the comma where two do so equally."""
    return max(DELIMITERS, key=lambda mark: (header.count(mark), -DELIMITERS.index(mark)))


def _ends_with_line_end(file: BillFile) -> bool:
    with file.path.open("rb") as stream:
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) in (b"\n", b"\r")
