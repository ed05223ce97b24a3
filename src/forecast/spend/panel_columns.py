"""The three columns of a long panel, read and checked: text ids, naive UTC times, finite or unknown costs.

What comes from CSV files, spreadsheets and other libraries is taken where it can mean one thing only, and refused by the name of its series where
not. Ids are handled as codes: a panel of 10,000 series and two years has seven million rows and only 10,000 names.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import SchemaError, SpendDataError

ID, DS, Y = "unique_id", "ds", "y"
COLUMNS = "columns unique_id, ds, y"

LARGEST_COST = 1e18
SMALLEST_COST = 1e-18
"""Beyond the one nothing is a cost, below the other everything is nothing: ratios and squares of what lies between are numbers."""

FIRST_YEAR, LAST_YEAR = 1900, 2199


class PanelColumns(NamedTuple):
    """codes : (rows,) number of each row's series in `ids`, which are sorted. ds : (rows,) naive UTC. y : (rows,) float64, NaN where not known."""

    codes: NDArray[np.int64]
    ids: NDArray[np.object_]
    ds: pd.DatetimeIndex
    y: NDArray[np.float64]

    def series_of(self, row: int) -> str:
        return str(self.ids[self.codes[row]])


def panel_columns(panel: pd.DataFrame) -> PanelColumns:
    """Read a panel. Raises SchemaError (columns, types) and SpendDataError (rows) that name the series."""
    if not isinstance(panel, pd.DataFrame):
        raise SchemaError(f"panel is not a DataFrame: got {type(panel).__name__}", field="panel", got=type(panel).__name__, allowed=COLUMNS)
    names = [str(name) for name in panel.columns]
    for column in (ID, DS, Y):
        if names.count(column) != 1:
            problem = f"no column {column!r}" if column not in names else f"the column {column!r} {names.count(column)} times"
            raise SchemaError(f"panel has {problem}: got {', '.join(names)}; allowed are the {COLUMNS}", field=column, got=names, allowed=COLUMNS)
    if panel.empty:
        raise SpendDataError("panel has no rows", field="panel", got=0, allowed="at least one row")
    codes, ids = _series(panel[ID])
    return PanelColumns(codes, ids, _times(panel[DS], codes, ids), _costs(panel[Y], panel[DS], codes, ids))


def _series(column: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Codes and sorted names; what is not text becomes it, so that 7 and "7" are one series."""
    try:
        raw, unique = pd.factorize(column)
    except TypeError:
        kind = next(type(name).__name__ for name in column if getattr(name, "__hash__", None) is None)
        raise SchemaError(f"panel column unique_id holds a {kind} and no names", field=ID, got=kind, allowed="text or numbers") from None
    if (raw < 0).any():
        row = int(np.argmax(raw < 0))
        raise SpendDataError(f"Row {row} of the panel has no unique_id", field=ID, got=None, allowed="the name of a series in every row")
    numbers, ids = pd.factorize(np.array([str(name) for name in unique], dtype=object), sort=True)
    return numbers.astype(np.int64)[raw], np.asarray(ids, dtype=object)


def _times(column: pd.Series, codes: NDArray[np.int64], ids: NDArray[np.object_]) -> pd.DatetimeIndex:
    """Naive UTC times. Stamps with a zone are taken to UTC, those without are UTC; text is ISO 8601, other spellings have two readings."""
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.start_time
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        raise SchemaError(
            f"panel column ds holds numbers and no times: got {column.iloc[0]} for series {ids[codes[0]]!r}",
            field=DS,
            got=str(column.iloc[0]),
            allowed="UTC time stamps or ISO 8601 text",
        )
    absent = column.isna().to_numpy()
    if absent.any():
        raise SpendDataError(
            f"Series {ids[codes[int(np.argmax(absent))]]!r} has a row without a time", field=DS, got=None, allowed="a time stamp in every row"
        )
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        # What is neither all text nor all dates is read as the text that it prints as: pandas takes numbers among dates for epochs.
        plain = pd.api.types.infer_dtype(column) in {"string", "date", "datetime", "datetime64"}
        found = pd.to_datetime(column if plain else column.map(str), format="ISO8601", utc=True, errors="coerce")
        unread = found.isna().to_numpy()
        if unread.any():
            row = int(np.argmax(unread))
            raise SchemaError(
                f"Series {ids[codes[row]]!r} has a row whose ds is not a time: got {column.iloc[row]!r}",
                field=DS,
                got=str(column.iloc[row]),
                allowed="UTC time stamps or ISO 8601 text",
            )
        column = found
    times = pd.DatetimeIndex(column)
    if times.tz is not None:
        times = times.tz_convert("UTC").tz_localize(None)
    if times.min().year < FIRST_YEAR or times.max().year > LAST_YEAR:
        row = int(times.argmin() if times.min().year < FIRST_YEAR else times.argmax())
        raise SpendDataError(
            f"Series {ids[codes[row]]!r} has a row in the year {times[row].year}",
            field=DS,
            got=str(times[row]),
            allowed=f"{FIRST_YEAR} to {LAST_YEAR}",
        )
    return times


def _costs(column: pd.Series, ds: pd.Series, codes: NDArray[np.int64], ids: NDArray[np.object_]) -> NDArray[np.float64]:
    """Costs as float64. Text and decimals are read; None, NA and empty text are not known."""
    kinds = pd.api.types
    found = column if kinds.is_numeric_dtype(column.dtype) else pd.to_numeric(column, errors="coerce")
    for made in (column, found):
        if kinds.is_datetime64_any_dtype(made.dtype) or kinds.is_timedelta64_dtype(made.dtype) or kinds.is_complex_dtype(made.dtype):
            raise SchemaError(
                f"panel column y is not a number: got {made.dtype}", field=Y, got=str(made.dtype), allowed="numbers; NaN where not known"
            )
    costs = found.to_numpy(dtype=np.float64, na_value=np.nan)
    if found is not column:
        unread = np.flatnonzero(np.isnan(costs) & ~column.isna().to_numpy())
        bad = [row for row in unread if str(column.iloc[row]).strip().lower() not in {"", "nan"}]
        if bad:
            raise SchemaError(
                f"Series {ids[codes[bad[0]]]!r} has a cost (column y) that is not a number on {ds.iloc[bad[0]]}: got {column.iloc[bad[0]]!r}",
                field=Y,
                got=str(column.iloc[bad[0]]),
                allowed="numbers; NaN where not known",
            )
    large = np.abs(costs) > LARGEST_COST
    if large.any():
        row = int(np.argmax(large))
        what = "an infinite value" if np.isinf(costs[row]) else "a value that is no cost"
        raise SpendDataError(
            f"Series {ids[codes[row]]!r} has {what} on {ds.iloc[row]}",
            field=Y,
            got=str(costs[row]),
            allowed=f"finite numbers up to {LARGEST_COST:g}; NaN where not known",
        )
    # A negative zero too is none.
    return np.where(np.abs(costs) < SMALLEST_COST, 0.0, costs)
