"""A second look at a file that its reader refused: line by line, what can be read goes into a copy, the other lines are told with their reasons.

Whole files are read by DuckDB in one go, which says of a bad one little more than that it is bad. Here each line is taken by itself, in
Python, more slowly, and only for files that need it: lines with too few or too many fields or quotes that do not match, lines that are
not text in the encoding of the file, line ends of several kinds, headers that stand there again in the middle, columns that stand there
twice, UTF-16. A file that ends in the middle of a line is cut off and is not read at all: what is missing nobody knows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from forecast.adapters.bill_rows import LINE_KEY, LONGEST_LINE, BillFile, unreadable
from forecast.adapters.csv_rows import Dialect
from forecast.errors import DeliveryError

LINE = "line"
"""Stands for the column where a line as a whole is at fault."""

_BLOCK = 2**20
_MOST_LINES = 1000
"""Lines over which a quoted value may run in a file that needs a second look."""

_TWICE = " | "
"""Between the values of a column that is there twice."""


@dataclass(frozen=True)
class Unread:
    """A line that cannot be read. row : its values by column, or its text where its fields are not those of the header."""

    line: int
    column: str
    value: str
    problem: str
    allowed: str
    row: Mapping[str, str] | str


@dataclass(frozen=True)
class SecondLook:
    """copy : what can be read, as a file of the same name. rejects : NDJSON of the other lines in their order, `count` of them."""

    copy: BillFile
    rejects: Path
    count: int
    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()

    def unread(self) -> Iterator[Unread]:
        with self.rejects.open(encoding="utf-8") as stream:
            for text in stream:
                yield Unread(**json.loads(text))


def look_again_at_csv(file: BillFile, dialect: Dialect, target: Path) -> SecondLook:
    """Write what can be read of the file to `target`. DeliveryError where nothing can, or where the file is cut off."""
    # The module's own limit for a value is 128 KiB.
    csv.field_size_limit(LONGEST_LINE)
    with _opened(file, dialect.encoding) as source, _Told(target) as told:
        pass_over = _CsvPass(file, dialect, source, told)
        pass_over.run()
    if not pass_over.good:
        raise _nothing_good(file, told.first)
    copy = BillFile(target, file.name, "csv", compressed=False, numbered=True)
    return SecondLook(copy, told.rejects, told.count, dialect, tuple(pass_over.notes()))


def look_again_at_lines(file: BillFile, target: Path) -> SecondLook:
    """The same for JSON with one object a line."""
    kept, last, text = 0, None, ""
    with _opened(file, "utf-8") as source, _Told(target) as told:
        for line, text in enumerate(source, start=1):
            last = _bad_document(line, text) if text.strip() else None
            if last is not None:
                told.tell(last)
            elif text.strip():
                kept += 1
                told.copy.write(_numbered(text, line))
    if last is not None and not text.endswith("\n"):
        raise unreadable(file, f"malformed JSON in line {last.line}; it is cut off there")
    if not kept:
        raise _nothing_good(file, told.first)
    return SecondLook(BillFile(target, file.name, "json", compressed=False, numbered=True), told.rejects, told.count)


class _Told:
    """The copy of what can be read, and beside it what cannot."""

    def __init__(self, target: Path) -> None:
        self.rejects = target.with_suffix(".rejects")
        self.copy = target.open("w", encoding="utf-8", newline="")
        self._stream = self.rejects.open("w", encoding="utf-8")
        self.first: Unread | None = None
        self.count = 0

    def tell(self, unread: Unread) -> None:
        self._stream.write(json.dumps(asdict(unread), ensure_ascii=False) + "\n")
        self.first = self.first or unread
        self.count += 1

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *_: object) -> None:
        self.copy.close()
        self._stream.close()


class _CsvPass:
    """One pass over a CSV file. `good`, `headers` : rows kept, and headers found after the first one."""

    def __init__(self, file: BillFile, dialect: Dialect, source: IO[str], told: _Told) -> None:
        self.good = self.headers = 0
        self._file, self._dialect, self._source, self._told = file, dialect, source, told
        self._writer = csv.writer(told.copy, lineterminator="\n")
        self._width = len(dialect.names)
        self._header = [name.lower() for name in dialect.names]
        self._names = frozenset(filter(None, self._header))
        places: dict[str, list[int]] = {}
        for place, name in enumerate(self._header):
            places.setdefault(name or f"\0{place}", []).append(place)
        self._groups = list(places.values())
        self._labels = [dialect.names[group[0]] or f"column {group[0] + 1}" for group in self._groups]
        self._undecoded = re.compile("[\udc80-\udcff]" if dialect.encoding.startswith("utf-8") else "\ufffd")
        # Number of the line before the next one; what was wrong with the last record; whether the last line had an end.
        self._line = dialect.skipped + dialect.header_lines
        self._last: str | None = None
        self._ended = True

    def run(self) -> None:
        for _ in range(self._line):
            self._source.readline()
        self._writer.writerow([LINE_KEY, *(self._dialect.names[group[0]] for group in self._groups)])
        while lines := self._source.readlines(_BLOCK):
            if not self._all_at_once(lines):
                self._one_by_one(lines)
        if self._last is not None and not self._ended:
            raise unreadable(self._file, f"line {self._line} {self._last}; it is cut off or damaged there")

    def notes(self) -> list[str]:
        notes = []
        if self.headers:
            notes.append(f"{self._file.name}: the header stands there {self.headers + 1} times and was read once")
        if self._dialect.repeated:
            names = ", ".join(dict.fromkeys(label for label, group in zip(self._labels, self._groups, strict=True) if len(group) > 1))
            notes.append(f"{self._file.name}: has {names} more than once; rows in which all say the same, or one alone says something, were read")
        if not self._dialect.encoding.startswith("utf-8"):
            notes.append(f"{self._file.name}: was read as {self._dialect.encoding}")
        return notes

    def _all_at_once(self, lines: Sequence[str]) -> bool:
        """Keep lines that are a row each with nothing odd about any of them; False where one is."""
        text = "".join(lines)
        if len(self._groups) < self._width or "\ufeff" in text or (not text.isascii() and self._undecoded.search(text)):
            return False
        try:
            rows = list(csv.reader(lines, delimiter=self._dialect.delimiter, strict=True))
        except csv.Error:
            return False
        if len(rows) != len(lines) or any(len(row) != self._width or self._is_header(row) for row in rows):
            return False
        self._writer.writerows([number, *row] for number, row in enumerate(rows, start=self._line + 1))
        self.good += len(rows)
        self._line += len(rows)
        self._last, self._ended = None, lines[-1].endswith(("\n", "\r"))
        return True

    def _one_by_one(self, lines: list[str]) -> None:
        place = 0
        while place < len(lines):
            used = 1
            if lines[place].strip("\ufeff \r\n"):
                used, row, self._last = self._record(lines, place)
                self._take(self._line + 1, lines[place], row, self._last)
            place += used
            self._line += used
        self._ended = lines[-1].endswith(("\n", "\r"))

    def _record(self, lines: list[str], place: int) -> tuple[int, list[str], str | None]:
        """The lines that the record at `place` takes, its values, and what is wrong: then it is that one line, so that the next can be good."""
        used = quotes = 0
        while used < _MOST_LINES and (quotes % 2 or not used):
            if place + used == len(lines):
                lines += self._source.readlines(_BLOCK)
            if place + used == len(lines):
                break
            quotes += lines[place + used].count('"')
            used += 1
        if quotes % 2:
            return 1, [], "opens a quote that is never closed"
        record = [lines[place].removeprefix("\ufeff"), *lines[place + 1 : place + used]]
        try:
            rows = list(csv.reader(record, delimiter=self._dialect.delimiter, strict=True))
        except csv.Error:
            return 1, [], "has a quote that does not match" if used == 1 else "opens a quote that is never closed"
        row = rows[0] if len(rows) == 1 else []
        if len(row) == self._width + 1 and not row[-1]:
            row.pop()
        if len(row) == self._width:
            return (used, row, None) if sum(map(len, record)) < LONGEST_LINE else (1, [], f"is longer than {LONGEST_LINE // 2**20} MiB")
        return (1, row, f"has {len(row)} fields and the header has {self._width}") if used == 1 else (1, [], "opens a quote that is never closed")

    def _take(self, line: int, text: str, row: list[str], problem: str | None) -> None:
        if self._is_header(row):
            if [name.strip().lower() for name in row] != self._header:
                raise unreadable(self._file, f"line {line} is a header with other columns than the first one; make it two files there")
            self._last, self.headers = None, self.headers + 1
        elif problem is not None:
            plain = _escaped(text.rstrip("\r\n"))
            self._told.tell(Unread(line, LINE, plain, problem, f"{self._width} fields, with a quote inside of a quoted value doubled", plain))
        elif wrong := self._wrong(row):
            column, problem, allowed = wrong
            given = self._by_name(row)
            self._told.tell(Unread(line, column, given[column], problem, allowed, given))
        else:
            self._writer.writerow([line, *(self._by_name(row).values() if len(self._groups) < self._width else row)])
            self.good += 1

    def _wrong(self, row: Sequence[str]) -> tuple[str, str, str] | None:
        """Column, problem and what is allowed, where the fields are those of the header."""
        for label, group in zip(self._labels, self._groups, strict=True):
            if any(self._undecoded.search(row[place]) for place in group):
                encoding = "UTF-8" if self._dialect.encoding.startswith("utf-8") else self._dialect.encoding
                return label, f"is not {encoding} text", f"{encoding} text in place of what is written as \\x.."
            if len({value for place in group if (value := row[place].strip())}) > 1:
                return label, "is said twice in the line, and differently", "one value"
        return None

    def _by_name(self, row: Sequence[str]) -> dict[str, str]:
        values = (_TWICE.join(dict.fromkeys(value for place in group if (value := _escaped(row[place]).strip()))) for group in self._groups)
        return dict(zip(self._labels, values, strict=True))

    def _is_header(self, row: Sequence[str]) -> bool:
        """Whether most values of a row are names of columns."""
        if not row or not ({row[0].strip("\ufeff ").lower(), row[-1].strip().lower()} & self._names):
            return False
        given = [folded for value in row if (folded := value.strip("\ufeff ").lower())]
        return 2 * sum(value in self._names for value in given) > len(given) > 1


@contextmanager
def _opened(file: BillFile, encoding: str) -> Iterator[IO[str]]:
    """The file as text with its line ends as they are; bytes that are none in the encoding become marks that are no character."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    try:
        with file.path.open("rb") as plain, gzip.open(plain) if file.compressed else plain as content:
            yield io.TextIOWrapper(content, encoding, errors, newline="")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise unreadable(file, "the gzip stream ends early; it is cut off") from error


def _bad_document(line: int, text: str) -> Unread | None:
    try:
        text.encode()
        if isinstance(json.loads(text), dict):
            return None
        problem = "is not an object with a name for each value"
    except UnicodeEncodeError:
        problem = "is not UTF-8 text"
    except ValueError:
        problem = "is malformed JSON"
    plain = _escaped(text.rstrip("\r\n"))
    return Unread(line, LINE, plain, problem, "an object in JSON", plain)


def _numbered(text: str, line: int) -> str:
    """An object's text with the line that it came from as its first value."""
    inside = text.strip().removeprefix("{").lstrip()
    return f'{{"{LINE_KEY}": {line}{"" if inside == "}" else ", "}{inside}\n'


def _nothing_good(file: BillFile, first: Unread | None) -> DeliveryError:
    if first is None:
        return DeliveryError(f"{file.name} is empty: it has a header and no rows", field="path", got="0 rows", allowed="at least one charge line")
    where = "" if first.column == LINE else f" in {first.column}"
    return unreadable(file, f"line {first.line} {first.problem}{where}, and no other line can be read")


def _escaped(text: str) -> str:
    """Text that can be written, with \\x.. for bytes that were none."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
