"""Any other table, read by a mapping file (`mapping`): one object for one mapping, so that it can be asked for and recognised like a format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.focus_columns import MONEY, SLASHED_DATE, DateOrder, is_decimal, slashed_moment
from forecast.adapters.formats.base import REFUSED, Reading, tags_sql
from forecast.adapters.formats.mapping import TableMapping, addition
from forecast.adapters.formats.pages import refusal
from forecast.adapters.json_rows import LONG_NUMBER
from forecast.errors import SchemaError
from forecast.spend import focus

_NO_DECIMAL = {
    "units": (MONEY, None),
    "cents": ("DECIMAL(30, 10)", "CAST('0.01' AS DECIMAL(2, 2))"),
    "micros": ("DECIMAL(30, 6)", "CAST('0.000001' AS DECIMAL(6, 6))"),
}
"""How an amount is read before it is brought to whole units of the currency, exactly: a division would leave the decimals."""

_YEAR_FIRST = r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
_YEAR_LAST = r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d)"
_SPACES = "[ \u00a0\u202f]"
_LATEST_SECOND = 253_402_300_799


@dataclass(frozen=True)
class _Value:
    """SQL of a value and, where it can be unreadable, of whether it is, with words for what is wrong and what is allowed."""

    sql: str
    unread: str | None = None
    written: str = ""
    problem: str = ""
    allowed: str = ""


@dataclass(frozen=True)
class MappedFormat:
    """Tables that one mapping describes. Columns that it does not name are kept as additions `x_…`."""

    mapping: TableMapping
    name: str = "mapped"

    @property
    def title(self) -> str:
        return f"a table with the mapping {self.mapping.name}"

    @property
    def looks_for(self) -> str:
        return f"the columns {', '.join(self.mapping.wanted)}"

    @property
    def reading(self) -> Reading:
        return self.mapping.reading

    @property
    def delimiter(self) -> str | None:
        return self.mapping.delimiter

    @property
    def encoding(self) -> str | None:
        return self.mapping.encoding

    def recognise(self, sample: Sample) -> str | None:
        names = {name.strip().lower() for name in (*sample.columns, *sample.keys)}
        if not all(name.lower() in names for name in self.mapping.wanted):
            return None
        return f"it has all {len(self.mapping.wanted)} columns of the mapping {self.mapping.name}"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return table_rows(connection, file, delimiter=self.delimiter, encoding=self.encoding)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """SchemaError names the columns that the table lacks and the lines of the mapping that name them."""
        table = _Table(self.mapping, rows)
        table.check()
        values = {name: table.value(name, written) for name, written in self.mapping.columns.items()}
        values |= {name: _Value(quoted_text(text)) for name, text in self.mapping.constants.items()}
        values |= table.defaults(values)
        refusals = [
            f"WHEN {value.unread} THEN {refusal(name, _about(value), quoted_text(value.allowed))}" for name, value in values.items() if value.unread
        ]
        columns = {name: value.sql for name, value in values.items()}
        if self.mapping.tags:
            columns[focus.TAGS] = tags_sql({key: table.text(written) for key, written in self.mapping.tags.items()})
        columns |= table.additions()
        return {**columns, REFUSED: f"CASE {' '.join(refusals)} END"} if refusals else columns


class _Table:
    """The columns of one file, read as a mapping says."""

    def __init__(self, mapping: TableMapping, rows: Rows) -> None:
        self.mapping = mapping
        self.rows = rows

    def check(self) -> None:
        missing = [name for name in self.mapping.wanted if self.rows.find(name) is None]
        if missing:
            named = ", ".join(f"{name!r} (line {self.mapping.lines[name]} of {self.mapping.name})" for name in missing)
            got = [*self.rows.names]
            raise SchemaError(
                f"The table lacks {named}: got {', '.join(got[:12])}", field=missing[0], got=got, allowed=", ".join(self.mapping.wanted)
            )

    def value(self, name: str, written: str) -> _Value:
        kind = focus.BY_NAME[name].kind
        if kind == "decimal":
            return self.amount(written, is_money=name.endswith(("Cost", "UnitPrice")))
        if kind == "timestamp":
            return self.moment(written)
        return _Value(self.reference(written) if kind == "json" else self.text(written))

    def defaults(self, values: Mapping[str, _Value]) -> dict[str, _Value]:
        """What follows from the rest: the other cost, the charge's period, the month as billing period, usage as category."""
        found: dict[str, _Value] = {}
        billed, effective = values.get(focus.BILLED_COST), values.get(focus.EFFECTIVE_COST)
        if billed is None and effective is not None:
            found[focus.BILLED_COST] = _Value(effective.sql)
        if effective is None and billed is not None:
            found[focus.EFFECTIVE_COST] = _Value(billed.sql)
        if self.mapping.period_column is not None:
            moment = self.moment(self.mapping.period_column)
            start = f"date_trunc('{self.mapping.period_length}', {moment.sql})" if self.mapping.period_length else moment.sql
            found[focus.CHARGE_START] = _Value(start, moment.unread, moment.written, moment.problem, moment.allowed)
        start = (found.get(focus.CHARGE_START) or values[focus.CHARGE_START]).sql
        if focus.CHARGE_END not in values:
            found[focus.CHARGE_END] = _Value(f"{start} + INTERVAL 1 {self.mapping.period_length}")
        if focus.BILLING_START not in values:
            found[focus.BILLING_START] = _Value(f"date_trunc('month', {start})")
        if focus.BILLING_END not in values:
            billing_start = (found.get(focus.BILLING_START) or values[focus.BILLING_START]).sql
            found[focus.BILLING_END] = _Value(f"{billing_start} + INTERVAL 1 MONTH")
        if focus.CHARGE_CATEGORY not in values:
            found[focus.CHARGE_CATEGORY] = _Value("'Usage'")
        return found

    def additions(self) -> dict[str, str]:
        used = {name.lower() for name in self.mapping.wanted}
        others = [name for name in self.rows.names if name.strip() and name.strip().lower() not in used]
        return {addition(name.strip()): self.text(name) for name in others}

    def reference(self, written: str) -> str:
        reference = self.rows.find(written)
        if reference is None:
            raise SchemaError(f"The table lacks the column {written!r}", field=written, got=list(self.rows.names), allowed=written)
        return reference

    def type_of(self, written: str) -> str:
        return self.rows.types[int(self.reference(written).removeprefix("c"))]

    def text(self, written: str) -> str:
        reference, sql_type = self.reference(written), self.type_of(written)
        if sql_type == "JSON":
            reference = f"({reference} ->> '$')"
        elif sql_type.startswith(("STRUCT", "MAP")) or sql_type.endswith("[]"):
            reference = f"to_json({reference})"
        return f"nullif(trim(CAST({reference} AS VARCHAR)), '')"

    def amount(self, written: str, *, is_money: bool) -> _Value:
        read_as, factor = _NO_DECIMAL[self.mapping.unit if is_money else "units"]
        reference, sql_type, text = self.reference(written), self.type_of(written), self.text(written)
        if is_decimal(sql_type) or sql_type in ("DOUBLE", "FLOAT"):
            # Floats by way of their shortest text, as everywhere: a binary float is not the number that was meant.
            number = f"TRY_CAST({reference if is_decimal(sql_type) else text} AS {read_as})"
        else:
            number = f"TRY_CAST({self._digits(text)} AS {read_as})"
            if sql_type == "JSON":
                # Numbers of JSON have a point, whatever the mapping says of text; long ones come as text, so that they keep their digits.
                is_text = f"json_type({reference}) = 'VARCHAR' AND NOT regexp_full_match({text}, {quoted_text(LONG_NUMBER)})"
                number = f"CASE WHEN {is_text} THEN {number} ELSE TRY_CAST({text} AS {read_as}) END"
        whole = number if factor is None else f"CAST({number} * {factor} AS {MONEY})"
        marks = f"the decimal mark {self.mapping.decimal!r} and " + (
            f"{self.mapping.thousands!r} for thousands" if self.mapping.thousands else "none for thousands"
        )
        return _Value(
            whole, f"{text} IS NOT NULL AND {number} IS NULL", text, "is not an amount as the mapping describes it", f"a number with {marks}"
        )

    def moment(self, written: str) -> _Value:
        reference, sql_type, text = self.reference(written), self.type_of(written), self.text(written)
        if sql_type.startswith(("TIMESTAMP", "DATE")):
            return _Value(f"make_timestamp(epoch_us(CAST({reference} AS TIMESTAMPTZ)))")
        value, allowed = self._moment_of(text), f"a time in the format {self.mapping.date_format!r}"
        return _Value(value, f"{text} IS NOT NULL AND {value} IS NULL", text, "is not a time as the mapping describes it", allowed)

    def _digits(self, text: str) -> str:
        """The text of a plain number from an amount with the mapping's marks; null where it is written otherwise."""
        clean = f"trim(replace({text}, {quoted_text(self.mapping.symbol)}, ''))" if self.mapping.symbol else text
        decimal = re.escape(self.mapping.decimal)
        thousands = _SPACES if self.mapping.thousands == " " else re.escape(self.mapping.thousands)
        whole = rf"(?:\d{{1,3}}(?:{thousands}\d{{3}})+|\d+)" if self.mapping.thousands else r"\d+"
        number = rf"(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)"
        pattern = rf"[-+]?\s?{number}|{number}-|\(\s?{number}\s?\)"
        sign = f"CASE WHEN contains({clean}, '-') OR contains({clean}, '(') THEN '-' ELSE '' END"
        digits = f"replace(regexp_replace({clean}, {quoted_text(f'[^0-9{decimal}]')}, '', 'g'), {quoted_text(self.mapping.decimal)}, '.')"
        return f"CASE WHEN regexp_full_match({clean}, {quoted_text(pattern)}) THEN concat({sign}, {digits}) END"

    def _moment_of(self, text: str) -> str:
        known = self.mapping.date_format
        if known in ("epoch", "epoch_ms"):
            scale = 1_000 if known == "epoch_ms" else 1
            number = f"TRY_CAST({text} AS BIGINT)"
            return f"CASE WHEN {number} BETWEEN 0 AND {_LATEST_SECOND * scale} THEN make_timestamp({number} * {1_000_000 // scale}) END"
        zoned = f"TRY_CAST({text} AS TIMESTAMPTZ)"
        iso = f"CASE WHEN isfinite({zoned}) THEN make_timestamp(epoch_us({zoned})) END"
        if known == "iso":
            return iso
        if known == "ymd":
            dashed = f"regexp_replace({text}, {quoted_text(_YEAR_FIRST)}, '\\1-\\2-\\3')"
            zoned = f"TRY_CAST({dashed} AS TIMESTAMPTZ)"
            return f"CASE WHEN regexp_matches({text}, {quoted_text(_YEAR_FIRST)}) THEN make_timestamp(epoch_us({zoned})) END"
        if known in ("mdy", "dmy"):
            order: DateOrder = "mdy" if known == "mdy" else "dmy"
            slashed = f"regexp_replace({text}, {quoted_text(_YEAR_LAST)}, '\\1/\\2/\\3')"
            return f"CASE WHEN regexp_full_match({slashed}, {quoted_text(SLASHED_DATE)}) THEN {slashed_moment(slashed, order)} END"
        return f"make_timestamp(epoch_us(CAST(try_strptime({text}, {quoted_text(known)}) AS TIMESTAMPTZ)))"


def _about(value: _Value) -> str:
    return f"concat('''', {value.written}, ''' {value.problem}')"
