"""Several values as one text, and back: `openai|OpenAI API|ads`. Values that hold a bar themselves must not run into their neighbours.

A bar or backslash inside a value gets a backslash before it, as in a scope's text, so that different values never have the same text: money is
summed by such texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

BAR = "|"


def join_values(values: Iterable[str]) -> str:
    """`a|b` of a and b, and `a\\|b|c` of `a|b` and c. A value alone is written in the same way."""
    return BAR.join(value.replace("\\", "\\\\").replace(BAR, f"\\{BAR}") for value in values)


def split_values(text: str) -> tuple[str, ...]:
    """The values of what `join_values` wrote."""
    values, current, escaped = list[str](), "", False
    for character in text:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            escaped = True
        elif character == BAR:
            values.append(current)
            current = ""
        else:
            current += character
    return (*values, current)


def series_name(values: Sequence[str]) -> str:
    """Name of the series of these dimension values: the value itself where there is one, else the values joined."""
    return values[0] if len(values) == 1 else join_values(values)


def series_names(table: pd.DataFrame) -> pd.Series:
    """`series_name` of every row of text columns, with the table's index."""
    columns = [table[name] for name in table.columns]
    if len(columns) == 1:
        return columns[0].astype(object)
    found = _escaped(columns[0])
    for column in columns[1:]:
        found = found + BAR + _escaped(column)
    return found


def series_name_sql(columns: Sequence[str]) -> str:
    """`series_name` in DuckDB's SQL; columns are written as they stand in a query."""
    if len(columns) == 1:
        return columns[0]
    return f"concat_ws('{BAR}', {', '.join(_ESCAPED_SQL.format(column) for column in columns)})"


_ESCAPED_SQL = r"replace(replace({}, '\', '\\'), '|', '\|')"


def _escaped(column: pd.Series) -> pd.Series:
    """Codes first: a column has many rows and few values."""
    codes, values = pd.factorize(column)
    return pd.Series(np.array([join_values([str(value)]) for value in values], dtype=object)[codes], index=column.index, dtype=object)
