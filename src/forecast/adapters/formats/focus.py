"""FOCUS itself, 1.0 to 1.3: its columns are the ledger's, and everything else that a file has is kept as an addition."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.formats.base import Reading
from forecast.errors import SchemaError
from forecast.spend import focus

FEWEST_COLUMNS = 4
"""Columns by which a file is taken for FOCUS; one that lacks required ones is refused afterwards, with their names."""


class FocusFormat:
    """Rows as the specification has them. `ServiceProviderName` (1.3) stands for `ProviderName` in rows without one."""

    name = "focus"
    title = "FOCUS 1.0 to 1.3"
    looks_for = f"{FEWEST_COLUMNS} or more FOCUS columns, {focus.BILLED_COST} or {focus.EFFECTIVE_COST} among them"
    reading = Reading()

    def recognise(self, sample: Sample) -> str | None:
        given = [name for written in (*sample.columns, *sorted(sample.keys)) if (name := focus.canonical_name(written))]
        found = list(dict.fromkeys(given))
        costs = [name for name in (focus.BILLED_COST, focus.EFFECTIVE_COST) if name in found]
        if not costs or len(found) < FEWEST_COLUMNS:
            return None
        return f"it has {len(found)} columns of FOCUS {focus.version_of(found)}, {costs[0]} among them"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        return table_rows(connection, file)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """Every column under its FOCUS name, others under their own. SchemaError where two columns have one name."""
        columns: dict[str, str] = {}
        written: dict[str, str] = {}
        for place, name in enumerate(rows.names):
            label = name or f"column {place + 1}"
            known = focus.canonical_name(label) or label
            if known.lower() in written:
                raise SchemaError(f"The column {label!r} stands there twice", field=label, got=[written[known.lower()], label], allowed="each once")
            written[known.lower()] = label
            columns[known] = f"c{place}"
        for name, substitute in focus.SUBSTITUTES.items():
            if substitute in columns:
                columns[name] = _first_given(rows, [columns[each] for each in (name, substitute) if each in columns])
        return columns


def _first_given(rows: Rows, references: list[str]) -> str:
    """The first of the columns whose text says something."""
    if len(references) == 1:
        return references[0]
    return f"coalesce({', '.join(f'''nullif(nullif(trim({_text(rows, reference)}), ''), 'NULL')''' for reference in references)})"


def _text(rows: Rows, reference: str) -> str:
    is_json = rows.types[int(reference.removeprefix("c"))] == "JSON"
    return f"({reference} ->> '$')" if is_json else f"CAST({reference} AS VARCHAR)"
