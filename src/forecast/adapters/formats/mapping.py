"""Mapping files: a TOML document that says which column of a table is which FOCUS column, for bills that no format knows.

    [columns]                       FOCUS column = column of the file
    BilledCost = "Betrag"
    ServiceName = "Leistung"
    [constants]                     FOCUS column = the same text in every row
    ProviderName = "Acme"
    BillingCurrency = "EUR"
    [amounts]                       decimal "." or ","; thousands "," "." "'" " " or ""; unit "units", "cents" or "micros"; symbol "€"
    decimal = ","
    thousands = "."
    [dates]                         format "iso", "ymd", "mdy", "dmy", "epoch", "epoch_ms" or a pattern such as "%d.%m.%Y %H:%M"
    format = "dmy"
    [period]                        where one column says the day (hour, month) of a charge
    column = "Datum"
    length = "day"
    [tags]                          tag = column of the file
    team = "Kostenstelle"
    [file]                          of a CSV file: what separates its columns, and its encoding where it is not UTF-8
    delimiter = ";"
    encoding = "windows-1252"
    [reading]                       mode "append" (the default), "merge" with a key of columns, "replace"
    mode = "merge"
    key = ["Position"]

What the file says about amounts and dates is taken at its word: a value that is written otherwise is refused, never guessed at.
No SQL comes out of a mapping file: its names are looked up among the file's columns and its texts are quoted.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from forecast.adapters.csv_rows import DELIMITERS
from forecast.adapters.formats.base import Mode, Reading
from forecast.errors import InputError, SchemaError
from forecast.spend import focus

Unit = Literal["units", "cents", "micros"]
Length = Literal["hour", "day", "month"]

DATE_FORMATS = ("iso", "ymd", "mdy", "dmy", "epoch", "epoch_ms")
DECIMAL_MARKS, THOUSANDS_MARKS = (".", ","), ("", ",", ".", "'", " ")

ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    *(f"windows-125{number}" for number in range(9)),
    "iso-8859-1",
    "iso-8859-15",
    "shift_jis",
    "gb18030",
)

_SECTIONS: Mapping[str, tuple[str, ...] | None] = {
    "columns": None,
    "constants": None,
    "tags": None,
    "amounts": ("decimal", "thousands", "unit", "symbol"),
    "dates": ("format",),
    "period": ("column", "length"),
    "file": ("delimiter", "encoding"),
    "reading": ("mode", "key"),
}
"""Sections and the names that each may hold; None: any column or tag."""

_DIRECTIVES = "YymdHMSfpIbBjaAzZ%-"
_DEFAULTED = (focus.CHARGE_CATEGORY, focus.BILLING_START)


@dataclass(frozen=True)
class TableMapping:
    """A mapping file that was found good. columns, constants : by FOCUS name. lines : where each column of the table is named."""

    name: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    tags: Mapping[str, str]
    decimal: str = "."
    thousands: str = ""
    unit: Unit = "units"
    symbol: str = ""
    date_format: str = "iso"
    period_column: str | None = None
    period_length: Length | None = None
    delimiter: str | None = None
    encoding: str | None = None
    reading: Reading = field(default_factory=Reading)
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns that a table must have, in the order of the mapping."""
        names = [*self.columns.values(), *self.tags.values(), *([self.period_column] if self.period_column else [])]
        return tuple(dict.fromkeys(names))


def load_mapping(path: str | Path) -> TableMapping:
    """The mapping in a TOML file. InputError or SchemaError name the file, the line and what is allowed."""
    given = Path(path)
    try:
        text = given.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"No such mapping file: {given}", field="map", got=str(given), allowed="a TOML file that exists") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or "it cannot be opened"
        raise InputError(f"{given.name} cannot be read: {problem}", field="map", got=str(given), allowed="a TOML file in UTF-8") from None
    return parse_mapping(text, given.name)


def parse_mapping(text: str, name: str) -> TableMapping:
    """The mapping in a TOML text; `name` is how messages call it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}", field="map", got=name, allowed="a TOML document") from None
    return _Reader(name, text, document).mapping()


class _Reader:
    """Takes a mapping file apart; every complaint names the line of the entry that it is about."""

    def __init__(self, name: str, text: str, document: Mapping[str, Any]) -> None:
        self.name = name
        self.text = text
        self.document = document

    def mapping(self) -> TableMapping:
        self._check_sections()
        columns = self._focus_texts("columns")
        constants = self._focus_texts("constants")
        tags = {key: self._text("tags", key) for key in self._section("tags")}
        for key in constants:
            if key in columns:
                raise self._refused("constants", self._written("constants", key), constants[key], f"{key} only once: it is a column already")
            if focus.BY_NAME[key].kind != "string":
                raise self._refused("constants", self._written("constants", key), constants[key], "columns that hold text")
        if tags and focus.TAGS in columns:
            raise self._refused("tags", next(iter(tags)), focus.TAGS, "either tags one by one or a column that holds them all")
        decimal = self._one_of("amounts", "decimal", DECIMAL_MARKS, ".")
        thousands = self._one_of("amounts", "thousands", THOUSANDS_MARKS, "")
        if decimal == thousands:
            raise self._refused("amounts", "thousands", thousands, f"another mark than the decimal one, {decimal!r}")
        period_column = self._text("period", "column") if "column" in self._section("period") else None
        length = self._one_of("period", "length", get_args(Length), "") if "length" in self._section("period") else None
        found = TableMapping(
            name=self.name,
            columns=columns,
            constants=constants,
            tags=tags,
            decimal=decimal,
            thousands=thousands,
            unit=self._one_of("amounts", "unit", get_args(Unit), "units"),  # type: ignore[arg-type]
            symbol=self._text("amounts", "symbol") if "symbol" in self._section("amounts") else "",
            date_format=self._date_format(length),
            period_column=period_column,
            period_length=length,  # type: ignore[arg-type]
            delimiter=self._one_of("file", "delimiter", DELIMITERS, "") or None,
            encoding=self._one_of("file", "encoding", ENCODINGS, "") or None,
            reading=self._reading(columns),
            lines=self._lines(columns, tags),
        )
        self._check_complete(found)
        return found

    def _check_sections(self) -> None:
        for section, value in self.document.items():
            if section not in _SECTIONS:
                raise self._unknown(None, section, tuple(_SECTIONS))
            if not isinstance(value, dict):
                raise self._refused(None, section, value, f"a section [{section}]")
            known = _SECTIONS[section]
            for key in value:
                if known is not None and key not in known:
                    raise self._unknown(section, key, known)

    def _check_complete(self, found: TableMapping) -> None:
        given = {*found.columns, *found.constants}
        if not given & {focus.BILLED_COST, focus.EFFECTIVE_COST}:
            raise self._missing(focus.BILLED_COST, f"[columns] {focus.BILLED_COST}")
        if found.period_column is not None and focus.CHARGE_START in given:
            raise self._refused("period", "column", found.period_column, f"either this or {focus.CHARGE_START} under [columns]")
        if found.period_column is None and focus.CHARGE_START not in given:
            raise self._missing(focus.CHARGE_START, f"[columns] {focus.CHARGE_START}, or [period] column and length")
        if found.period_length is None and focus.CHARGE_END not in given:
            raise self._missing(focus.CHARGE_END, f"[columns] {focus.CHARGE_END}, or [period] length")
        times_and_costs = (focus.BILLED_COST, focus.EFFECTIVE_COST, focus.CHARGE_START, focus.CHARGE_END)
        for name in focus.REQUIRED:
            if name not in given and name not in (*times_and_costs, *_DEFAULTED):
                raise self._missing(name, f"[columns] {name} or [constants] {name}")

    def _section(self, section: str) -> Mapping[str, Any]:
        value: Mapping[str, Any] = self.document.get(section, {})
        return value

    def _text(self, section: str, key: str) -> str:
        value = self._section(section)[key]
        if not isinstance(value, str) or not value.strip():
            raise self._refused(section, key, value, "a text in quotes")
        return value.strip()

    def _one_of(self, section: str, key: str, allowed: tuple[str, ...], otherwise: str) -> str:
        value = self._section(section).get(key, otherwise)
        if key in self._section(section) and value not in allowed:
            raise self._refused(section, key, value, ", ".join(repr(each) for each in allowed))
        return str(value)

    def _focus_texts(self, section: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for written in self._section(section):
            known = focus.canonical_name(written)
            if known is None:
                raise self._unknown(section, written, tuple(focus.BY_NAME))
            if known in found:
                raise self._refused(section, written, written, f"{known} only once")
            found[known] = self._text(section, written)
        return found

    def _date_format(self, length: str | None) -> str:
        if "format" not in self._section("dates"):
            return "iso"
        value = self._text("dates", "format")
        if "%" not in value:
            return self._one_of("dates", "format", DATE_FORMATS, "iso")
        directives = re.findall(r"%(-?.?)", value)
        day_needed = length != "month"
        complete = any(each[-1:] in "Yy" for each in directives if each) and (
            any(each[-1:] == "j" for each in directives)
            or (any(each[-1:] in "mbB" for each in directives if each) and (not day_needed or any(each[-1:] == "d" for each in directives)))
        )
        if not complete or any(not each or each[-1] not in _DIRECTIVES for each in directives):
            raise self._refused(
                "dates", "format", value, f"{', '.join(DATE_FORMATS)}, or a pattern with a year, a month and a day such as '%d.%m.%Y'"
            )
        return value

    def _reading(self, columns: Mapping[str, str]) -> Reading:
        section = self._section("reading")
        mode = self._one_of("reading", "mode", get_args(Mode), "append")
        key = section.get("key", [])
        if not isinstance(key, list) or not all(isinstance(each, str) and each.strip() for each in key):
            raise self._refused("reading", "key", key, 'a list of columns such as ["Position"]')
        if (mode == "merge") != bool(key):
            raise self._refused("reading", "key", key, "columns where the mode is merge, and only there")
        by_file = {written.lower(): name for name, written in columns.items()}
        names = [by_file.get(each.strip().lower()) or focus.canonical_name(each) or addition(each.strip()) for each in key]
        return Reading(mode, tuple(names))  # type: ignore[arg-type]

    def _lines(self, columns: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, int]:
        found = {written: self._line("tags", key) for key, written in tags.items()}
        if "column" in self._section("period"):
            found[self._text("period", "column")] = self._line("period", "column")
        return {**found, **{written: self._line("columns", self._written("columns", name)) for name, written in columns.items()}}

    def _written(self, section: str, name: str) -> str:
        return next((key for key in self._section(section) if focus.canonical_name(key) == name), name)

    def _line(self, section: str | None, key: str) -> int:
        """Line of an entry in the text, 1-based; of the section, where the entry is written some other way."""
        at, here = 1, section is None
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
                here = header[1].strip("\"'") == (section or key)
                at = number if here else at
            elif here and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
                return number
        return at

    def _refused(self, section: str | None, key: str, got: object, allowed: str) -> InputError:
        where = f"[{section}] {key}" if section else key
        return InputError(
            f"{self.name}, line {self._line(section, key)}: {where} is {got!r}; allowed is {allowed}", field=key, got=got, allowed=allowed
        )

    def _unknown(self, section: str | None, key: str, known: tuple[str, ...]) -> InputError:
        near = difflib.get_close_matches(key, known, n=1)
        allowed = f"perhaps {near[0]}" if near else ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        where = f"[{section}] {key}" if section else f"[{key}]"
        return InputError(f"{self.name}, line {self._line(section, key)}: {where} is not known; {allowed}", field=key, got=key, allowed=allowed)

    def _missing(self, name: str, allowed: str) -> SchemaError:
        return SchemaError(f"{self.name}: nothing says the {name} of a row; it needs {allowed}", field=name, got=None, allowed=allowed)


def addition(name: str) -> str:
    """How a column that nothing maps is called in the ledger."""
    return name if name.lower().startswith("x_") else f"x_{name}"
