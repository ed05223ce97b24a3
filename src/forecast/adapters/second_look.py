"""A second look at a file that its reader refused: line by line, what can be read goes into a copy, the other lines are told with their reasons.

Whole files are read by DuckDB in one go, which says of a bad one little more than that it is bad. Here each line is taken by itself, in
Python, at a tenth of the speed, and only for files that need it: lines with too few or too many fields or quotes that do not match, lines
that are not text in the encoding of the file, line ends of several kinds, headers that stand there again in the middle, columns that
stand there twice, UTF-16. A file that ends in the middle of a line is cut off and is not read at all: what is missing nobody knows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from forecast.adapters.bill_rows import LONGEST_LINE, BillFile, unreadable
from forecast.adapters.csv_rows import Dialect
from forecast.errors import DeliveryError

LINE = "line"
"""Stands for the column where the line as a whole is at fault."""

_BLOCK = 2**20
_MOST_LINES = 1000
"""Lines over which a quoted value may run in a file that needs a second look."""

_UNDECODED = re.compile("[\udc80-\udcff\ufffd]")
_TWICE = " | "


@dataclass(frozen=True)
class Unread:
    """A line that cannot be read. row : its values by column, or its text where its fields are not those of the header."""

    line: int
    column: str
    value: str
    problem: str
    allowed: str
    row: Mapping[str, str] | str

    @property
    def words(self) -> str:
        return f"line {self.line} {self.problem}"


@dataclass(frozen=True)
class SecondLook:
    """copy : the lines that can be read, as a file of the same name. rejects : NDJSON of the others in their order, `count` of them."""

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
    """Write what can be read of the file to `target` (CSV). DeliveryError where nothing can, or where the file is cut off."""
    # A value may be as long as a line; the module's own limit is 128 KiB.
    csv.field_size_limit(LONGEST_LINE)
    rejects = target.with_suffix(".rejects")
    with _opened(file, dialect.encoding) as source, target.open("w", encoding="utf-8", newline="") as copy, rejects.open("w", encoding="utf-8") as told:
        look = _CsvLook(file, dialect, source, csv.writer(copy, lineterminator="\n"), told)
        try:
            look.run()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise unreadable(file, "the gzip stream ends early; it is cut off") from error
    if not look.good:
        raise look.nothing_good()
    found = BillFile(target, file.name, "csv", compressed=False, numbered=True)
    return SecondLook(found, rejects, look.bad, dialect, tuple(look.notes()))


def look_again_at_lines(file: BillFile, target: Path) -> SecondLook:
    """As `look_again_at_csv`, of NDJSON: documents that are malformed, or not UTF-8, are told."""
    rejects = target.with_suffix(".rejects")
    number, bad, dropped = 0, 0, list[int]()
    last: Unread | None = None
    first: Unread | None = None
    text = ""
    with _opened(file, "utf-8") as source, target.open("w", encoding="utf-8", newline="") as copy, rejects.open("w", encoding="utf-8") as told:
        try:
            for line, text in enumerate(source, start=1):
                if not text.strip():
                    continue
                last = _bad_document(line, text)
                if last is None:
                    number += 1
                    copy.write(text)
                else:
                    first = first or last
                    bad += 1
                    dropped.append(number + 1)
                    told.write(_json(last))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise unreadable(file, "the gzip stream ends early; it is cut off") from error
    if last is not None and not text.endswith(("\n", "\r")):
        raise unreadable(file, f"malformed JSON in line {last.line}; it is cut off there")
    if not number and first is not None:
        raise unreadable(file, f"malformed JSON: {first.words}")
    return SecondLook(BillFile(target, file.name, "json", compressed=False, dropped=tuple(dropped)), rejects, bad)


@dataclass
class _CsvLook:
    """The state of one pass over a CSV file."""

    file: BillFile
    dialect: Dialect
    source: IO[str]
    copy: Any
    told: IO[str]
    good: int = 0
    bad: int = 0
    headers: int = 0
    line: int = 0
    first: Unread | None = None
    last: Unread | None = None
    groups: list[list[int]] = field(default_factory=list)

    def run(self) -> None:
        dialect = self.dialect
        for _ in range(dialect.skipped + dialect.header_lines):
            self.source.readline()
        self.line = dialect.skipped + dialect.header_lines
        by_name: dict[str, list[int]] = {}
        for place, name in enumerate(dialect.names):
            by_name.setdefault(name.lower() or f"\0{place}", []).append(place)
        self.groups = list(by_name.values())
        self.copy.writerow([LINE, *(dialect.names[group[0]] for group in self.groups)])
        lines: list[str] = []
        while True:
            lines += self.source.readlines(_BLOCK)
            if not lines:
                break
            lines = lines if self._all_plain(lines) else self._one_by_one(lines)
            if self.last is not None and not lines[-1:] and not self.ends_with_line_end:
                raise unreadable(self.file, f"{self.last.words}; it is cut off there")
            lines = []

    ends_with_line_end: bool = True

    def _all_plain(self, lines: Sequence[str]) -> bool:
        """Write lines that are a row each with nothing odd about them, all at once; False where one is not."""
        text = "".join(lines)
        if len(self.groups) < len(self.dialect.names) or "\ufeff" in text or "\0" in text or (not text.isascii() and _UNDECODED.search(text)):
            return False
        try:
            rows = list(csv.reader(lines, delimiter=self.dialect.delimiter, strict=True))
        except csv.Error:
            return False
        width = len(self.dialect.names)
        if len(rows) != len(lines) or any(len(row) != width for row in rows) or any(self._is_header(row) for row in rows):
            return False
        self.copy.writerows([number, *row] for number, row in enumerate(rows, start=self.line + 1))
        self.good += len(rows)
        self.line += len(rows)
        self.last = None
        self.ends_with_line_end = lines[-1].endswith(("\n", "\r"))
        return True

    def _one_by_one(self, lines: list[str]) -> list[str]:
        place = 0
        while place < len(lines):
            used = 1
            if lines[place].strip("\ufeff\r\n \t") or self.dialect.delimiter in lines[place]:
                used, row, problem = self._record(lines, place)
                text = "".join(lines[place : place + used])
                self._take(self.line + 1, text, row, problem)
            self.ends_with_line_end = lines[place + used - 1].endswith(("\n", "\r"))
            place += used
            self.line += used
        return []

    def _record(self, lines: list[str], place: int) -> tuple[int, list[str], str | None]:
        """How many lines the record at `place` takes, its values, and what is wrong with it: then it is one line, so that the next can be good."""
        quotes, length = 0, 0
        for used in range(1, _MOST_LINES + 1):
            if place + used > len(lines):
                lines += self.source.readlines(_BLOCK)
                if place + used > len(lines):
                    break
            length += len(lines[place + used - 1])
            quotes += lines[place + used - 1].count('"')
            if quotes % 2 == 0 or length > LONGEST_LINE:
                break
        width = len(self.dialect.names)
        if quotes % 2 == 0:
            try:
                rows = list(csv.reader([lines[place].removeprefix("\ufeff"), *lines[place + 1 : place + used]], delimiter=self.dialect.delimiter, strict=True))
            except csv.Error:
                rows = []
            row = rows[0] if len(rows) == 1 else []
            if len(row) == width + 1 and not row[-1]:
                row.pop()
            if len(row) == width:
                return used, row, None
            if used == 1 and row:
                return 1, row, f"has {len(row)} fields and the header has {width}"
        if quotes % 2 or used > 1:
            return 1, [], "opens a quote that is never closed"
        return 1, [], "has a quote inside of a value that is not doubled"

    def _take(self, line: int, text: str, row: list[str], problem: str | None) -> None:
        self.last = None
        width = len(self.dialect.names)
        if self._is_header(row):
            if [name.strip().lower() for name in row] != [name.lower() for name in self.dialect.names]:
                raise unreadable(self.file, f"line {line} is a header with other columns than the first one; make it two files there")
            self.headers += 1
        elif problem is not None:
            allowed = f"a line with {width} fields" if row else 'values with quotes around them and "" for each quote inside'
            plain = _escaped(text.rstrip("\r\n"))
            self._tell(Unread(line, LINE, plain, problem, allowed, plain))
        elif found := next((place for place, value in enumerate(row) if _UNDECODED.search(value)), None):
            self._tell_of(line, row, found)
        elif row and _UNDECODED.search(row[0]):
            self._tell_of(line, row, 0)
        else:
            self._keep(line, row)

    def _tell_of(self, line: int, row: Sequence[str], place: int) -> None:
        name = self.dialect.names[place] or f"column {place + 1}"
        encoding = "UTF-8" if self.dialect.encoding.startswith("utf-8") else self.dialect.encoding
        values = self._by_name([_escaped(value) for value in row])
        self._tell(Unread(line, name, _escaped(row[place]), f"is not {encoding} text", f"{encoding} text; \\xNN stands for a byte that is none", values))

    def _keep(self, line: int, row: list[str]) -> None:
        if len(self.groups) == len(row):
            values = row
        else:
            values = [_together([row[place] for place in group]) for group in self.groups]
            for group in self.groups:
                if len(group) > 1 and len({row[place].strip() for place in group if row[place].strip()}) > 1:
                    name = self.dialect.names[group[0]]
                    given = self._by_name(row)
                    problem, allowed = "stands for a column that is there twice, with two values", "one value"
                    self._tell(Unread(line, name, given[name], problem, allowed, given))
                    return
        self.copy.writerow([line, *values])
        self.good += 1

    def _by_name(self, row: Sequence[str]) -> dict[str, str]:
        names = [self.dialect.names[group[0]] or f"column {group[0] + 1}" for group in self.groups]
        return dict(zip(names, (_together([row[place] for place in group]) for group in self.groups), strict=True))

    def _tell(self, unread: Unread) -> None:
        self.told.write(_json(unread))
        self.bad += 1
        self.first, self.last = self.first or unread, unread

    def _is_header(self, row: Sequence[str]) -> bool:
        """Whether a row is made of names of columns."""
        if not row or row[0].strip("\ufeff ").lower() not in self._folded and row[-1].strip().lower() not in self._folded:
            return False
        given = [value.strip("\ufeff \t").lower() for value in row if value.strip()]
        return 2 * sum(value in self._folded for value in given) > max(len(given), 2)

    _names: frozenset[str] = frozenset()

    @property
    def _folded(self) -> frozenset[str]:
        if not self._names:
            self._names = frozenset(name.lower() for name in self.dialect.names if name)
        return self._names

    def notes(self) -> list[str]:
        notes = []
        if self.headers:
            notes.append(f"{self.file.name}: the header stands there {self.headers + 1} times and was read once")
        if self.dialect.repeated:
            notes.append(f"{self.file.name}: {', '.join(self.dialect.repeated)} stands there twice; rows in which both say the same were read")
        if not self.dialect.encoding.startswith("utf-8"):
            notes.append(f"{self.file.name}: was read as {self.dialect.encoding}")
        return notes

    def nothing_good(self) -> DeliveryError:
        if self.first is None:
            return DeliveryError(
                f"{self.file.name} is empty: it has a header and no rows", field="path", got="0 rows", allowed="at least one charge line"
            )
        where = "" if self.first.column == LINE else f" in {self.first.column}"
        return unreadable(self.file, f"none of its lines can be read; {self.first.words}{where}")
