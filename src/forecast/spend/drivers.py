"""Drivers: what spend follows (requests, users, tokens per request, GPUs, a price), as it was and as it is planned.

A driver is a daily series with a scope. Every row says since when it was known, so that a backtest at a past day sees what was known on that day: a
value is known on its own day, a plan on the day on which it was handed in. Several rows of one day are versions of it; the newest known one counts.

Values of weeks and months are averages of their days: they are spread evenly, and the forecaster gives the days the driver's own rhythm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError, SchemaError, SpendDataError
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]

KINDS = ("volume", "users", "requests", "tokens_per_request", "gpus", "price", "other")
PERIODS = ("day", "week", "month")
COLUMNS = ("ds", "value", "low", "high", "known_from", "average")
"""Of `Driver.values`: a row a day and version, sorted by both. average : whether the value is its week's or month's mean and not the day's own."""

BRIDGED_DAYS = 14
"""Longest gap inside a driver that is bridged in a straight line; of a driver with a longer one only what came after it counts."""
MOST_ROWS = 20_000
"""Days and versions of one driver."""
MOST_DELIVERED = 200_000
"""Rows of one delivery."""
MOST_CHARACTERS = 100
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Driver:
    """One driver. values : see `COLUMNS`; days and moments as datetime64[s], low and high (P10 and P90 of a plan) NaN where not said."""

    name: str
    scope: Scope
    values: pd.DataFrame
    unit: str = ""
    kind: str = "volume"

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.values) > MOST_ROWS:
            told = f"Driver {self.name!r} has {len(self.values)} days and versions"
            raise InputError(told, field="values", got=len(self.values), allowed=f"at most {MOST_ROWS}")
        if self.kind not in KINDS:
            raise InputError(
                f"Driver {self.name!r}: kind is {self.kind!r}; allowed are {', '.join(KINDS)}", field="kind", got=self.kind, allowed=", ".join(KINDS)
            )

    @property
    def first_day(self) -> pd.Timestamp:
        return pd.Timestamp(self.values["ds"].iloc[0])

    @property
    def last_day(self) -> pd.Timestamp:
        return pd.Timestamp(self.values["ds"].iloc[-1])

    def known_at(self, day: pd.Timestamp) -> pd.DataFrame:
        """One row a day (index ds; value, low, high, average), past and planned, as it was known when `day` was over."""
        known = self.values[self.values["known_from"] <= day]
        return known.drop_duplicates("ds", keep="last").set_index("ds")[["value", "low", "high", "average"]]

    def as_known(self, cutoff: pd.Timestamp) -> Driver:
        """The same with everything counted as known at `cutoff` at the latest: what is in hand when a forecast from that day is made.

        Spend is known later than requests are, so driver rows of days after the cutoff are news and not a leak.
        """
        return replace(self, values=self.values.assign(known_from=self.values["known_from"].where(self.values["known_from"] <= cutoff, cutoff)))

    def known_by(self, day: pd.Timestamp) -> Driver | None:
        """The same without what became known after `day`; None where nothing is left."""
        kept = self.values[self.values["known_from"] <= day]
        return replace(self, values=kept.reset_index(drop=True)) if len(kept) else None

    def record(self) -> dict[str, list[Any]]:
        """The rows as plain data, a list a column."""
        days = {name: self.values[name].dt.strftime("%Y-%m-%d").tolist() for name in ("ds", "known_from")}
        numbers = {name: [None if np.isnan(value) else float(value) for value in self.values[name]] for name in ("value", "low", "high")}
        return {**days, **numbers, "average": [bool(value) for value in self.values["average"]]}

    @classmethod
    def of_record(cls, name: str, scope: str, record: Mapping[str, list[Any]], unit: str = "", kind: str = "volume") -> Driver:
        """The driver that `record` was taken from."""
        frame = pd.DataFrame({column: record[column] for column in COLUMNS})
        return cls(name, Scope.parse(scope), _typed(frame), unit, kind)


def read_drivers(
    frame: pd.DataFrame,
    *,
    known_on: pd.Timestamp,
    name: str | None = None,
    scope: str | None = None,
    unit: str | None = None,
    kind: str | None = None,
) -> tuple[Driver, ...]:
    """Drivers of a long frame `name, ds, value` (+ low, high, known_from, period, scope, unit, kind), by name.

    known_on : the day on which the frame was put together; a row that does not say `known_from` was known on its own day, or then if that was
    earlier. period : `day`, `week` or `month`; where it is not said, values that lie weeks apart or on firsts of months are averages of those.
    name, scope, unit, kind : for frames without such a column. Rows without a value are left out.
    Raises SchemaError (columns, types), SpendDataError (two rows of a day, negative or infinite values, a range that does not hold its value).
    """
    given = _checked(frame, name)
    drivers = []
    for driver, rows in given.groupby("name", sort=True):
        said = {column: _one(rows, column, str(driver), argument) for column, argument in (("scope", scope), ("unit", unit), ("kind", kind))}
        values = _daily(rows, str(driver), pd.Timestamp(known_on).normalize())
        drivers.append(Driver(str(driver), Scope.parse(said["scope"] or ""), values, said["unit"] or "", said["kind"] or "volume"))
    return tuple(drivers)


def merged(old: Driver, new: Driver, known_on: pd.Timestamp) -> Driver:
    """The newer delivery of a driver on top of what is known of it: old plans stay as versions, and what says nothing new changes nothing.

    A row of the past that differs from what was known is a correction, known from `known_on`. Scope, unit and kind stay where they are not said.
    """
    current = old.values.drop_duplicates("ds", keep="last").set_index("ds")
    before = current.reindex(new.values["ds"])
    same = np.ones(len(new.values), dtype=bool)
    for column in ("value", "low", "high"):
        fresh, kept = new.values[column].to_numpy(), before[column].to_numpy()
        same &= (fresh == kept) | (np.isnan(fresh) & np.isnan(kept))
    known = new.values["known_from"]
    was = before["known_from"].reset_index(drop=True)
    was_known = was.notna().to_numpy()
    added = new.values.reset_index(drop=True)
    # The value that a planned day came to is known on its day, and is no correction; the plan stays beside it.
    correction = was_known & (was >= added["ds"]).to_numpy() & (known.reset_index(drop=True) <= was).to_numpy()
    added = added.assign(known_from=known.reset_index(drop=True).mask(correction, pd.Timestamp(known_on).normalize()))[~same]
    values = pd.concat([old.values, added], ignore_index=True).drop_duplicates(["ds", "known_from"], keep="last")
    scope = old.scope if new.scope.is_company else new.scope
    return Driver(new.name, scope, _typed(values), new.unit or old.unit, old.kind if new.kind == KINDS[0] else new.kind)


def describe(driver: Driver) -> dict[str, Any]:
    """A driver without its values, as over HTTP. planned_until : last day of what was known before its day, None without a plan."""
    values = driver.values
    plan = values[values["known_from"] < values["ds"]]
    return {
        "name": driver.name,
        "scope": str(driver.scope),
        "unit": driver.unit,
        "kind": driver.kind,
        "first_day": f"{driver.first_day:%Y-%m-%d}",
        "last_day": f"{driver.last_day:%Y-%m-%d}",
        "planned_until": None if plan.empty else f"{plan['ds'].iloc[-1]:%Y-%m-%d}",
        "rows": len(values),
    }


def on_grid(known: pd.DataFrame, grid: pd.DatetimeIndex) -> Floats:
    """(days,) values on `grid` of rows as `Driver.known_at` gives them: short gaps bridged, NaN outside of them and before a long one."""
    values: Floats = known["value"].reindex(grid).to_numpy(dtype=np.float64)
    there = np.flatnonzero(np.isfinite(values))
    if not len(there):
        return values
    gaps = np.diff(there)
    long = np.flatnonzero(gaps > BRIDGED_DAYS + 1)
    first = int(there[long[-1] + 1]) if len(long) else int(there[0])
    inside = np.arange(first, int(there[-1]) + 1)
    found = np.full(len(values), np.nan)
    kept = there[there >= first]
    found[inside] = np.interp(inside, kept, values[kept])
    return found


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MOST_CHARACTERS or "/" in name or any(ord(letter) < 32 for letter in name):
        raise InputError(
            f"Driver {name[:MOST_CHARACTERS]!r}: the name is not usable",
            field="name",
            got=name,
            allowed=f"1 to {MOST_CHARACTERS} characters, no slash",
        )


def _checked(frame: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """Columns with their types, in the order of the rows; rows without a value are left out."""
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError("drivers are not a DataFrame", field="drivers", got=type(frame).__name__, allowed="columns name, ds, value")
    needed = ("ds", "value") if name is not None else ("name", "ds", "value")
    for column in needed:
        if column not in frame.columns:
            raise SchemaError(
                f"drivers have no column {column!r}: got {', '.join(map(str, frame.columns))}",
                field=column,
                got=list(map(str, frame.columns)),
                allowed="columns name, ds, value (+ low, high, known_from, period)",
            )
    if len(frame) > MOST_DELIVERED:
        raise InputError(f"drivers have {len(frame)} rows", field="drivers", got=len(frame), allowed=f"at most {MOST_DELIVERED} rows")
    names = frame["name"].astype(str) if "name" in frame.columns else pd.Series([str(name)] * len(frame), index=frame.index, dtype=object)
    found = pd.DataFrame({"name": names.to_numpy(), "ds": _days(frame["ds"], "ds", names).to_numpy()})
    for column in ("value", "low", "high"):
        found[column] = _numbers(frame[column], column, names, found["ds"]).to_numpy() if column in frame.columns else np.nan
    known = _days(frame["known_from"], "known_from", names, may_miss=True) if "known_from" in frame.columns else pd.Series(pd.NaT, index=frame.index)
    found["known_from"] = known.astype("datetime64[s]").to_numpy()
    for column in ("period", "scope", "unit", "kind"):
        found[column] = frame[column].to_numpy(dtype=object) if column in frame.columns else None
    found = found[found["value"].notna()].reset_index(drop=True)
    if found.empty:
        raise SpendDataError("drivers have no row with a value", field="drivers", got=0, allowed="at least one row")
    _check_ranges(found)
    twice = found.duplicated(["name", "ds", "known_from"])
    if twice.any():
        row = found[twice].iloc[0]
        raise SpendDataError(
            f"Driver {row['name']!r} has two rows for {row['ds']:%Y-%m-%d}",
            field="ds",
            got=f"{row['ds']:%Y-%m-%d}",
            allowed="one row a day, or several with known_from",
        )
    return found


def _check_ranges(found: pd.DataFrame) -> None:
    for column in ("value", "low", "high"):
        wrong = np.isinf(found[column].to_numpy()) | (found[column].to_numpy() < 0)
        if wrong.any():
            row = found[wrong].iloc[0]
            raise SpendDataError(
                f"Driver {row['name']!r} has the {column} {row[column]:g} on {row['ds']:%Y-%m-%d}",
                field=column,
                got=str(row[column]),
                allowed="finite numbers from 0; empty where not known",
            )
    outside = (found["low"] > found["value"]) | (found["high"] < found["value"])
    if outside.any():
        row = found[outside].iloc[0]
        raise SpendDataError(
            f"Driver {row['name']!r} has on {row['ds']:%Y-%m-%d} the value {row['value']:g} outside its low {row['low']:g} and high {row['high']:g}",
            field="low",
            got=f"{row['low']:g} to {row['high']:g}",
            allowed="low ≤ value ≤ high",
        )


def _days(column: pd.Series, field: str, names: pd.Series, *, may_miss: bool = False) -> pd.Series:
    try:
        days = pd.to_datetime(column.where(column.notna(), None))
    except (ValueError, TypeError) as error:
        raise SchemaError(
            f"drivers: column {field} is not a day: {' '.join(str(error).split())[:120]}", field=field, got=str(column.iloc[0]), allowed="YYYY-MM-DD"
        ) from None
    if isinstance(days.dtype, pd.DatetimeTZDtype):
        days = days.dt.tz_convert("UTC").dt.tz_localize(None)
    if not may_miss and days.isna().any():
        raise SpendDataError(f"Driver {names[days.isna()].iloc[0]!r} has a row without a day", field=field, got=None, allowed="a day in every row")
    normal: pd.Series = days.astype("datetime64[s]").dt.normalize()
    return normal


def _numbers(column: pd.Series, field: str, names: pd.Series, days: pd.Series) -> pd.Series:
    found: pd.Series = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = (found.isna() & column.notna() & (column.astype(str).str.strip() != "")).to_numpy()
    if wrong.any():
        where = int(np.argmax(wrong))
        raise SchemaError(
            f"Driver {names.iloc[where]!r}: {field} {str(column.iloc[where])!r} on {days.iloc[where]:%Y-%m-%d} is not a number",
            field=field,
            got=str(column.iloc[where]),
            allowed="a number from 0; empty where not known",
        )
    return found


def _one(rows: pd.DataFrame, column: str, name: str, argument: str | None) -> str | None:
    """What a driver's rows say once: its scope, unit, kind."""
    said = sorted({str(value).strip() for value in rows[column] if value is not None and value == value and str(value).strip()})
    if len(said) > 1:
        raise SpendDataError(
            f"Driver {name!r} has two values of {column}: {said[0]!r} and {said[1]!r}", field=column, got=said[:2], allowed="one value"
        )
    return said[0] if said else argument


def _daily(rows: pd.DataFrame, name: str, known_on: pd.Timestamp) -> pd.DataFrame:
    """A row a day and version: weeks and months spread over their days."""
    parts = []
    planned = rows["known_from"].fillna(known_on) < rows["ds"]
    # History may be daily and the plan monthly; each plan is read by itself.
    for _, part in rows.groupby([planned, rows["known_from"].where(planned)], dropna=False, sort=False):
        period = _period(part, name)
        begin = part["ds"].to_numpy().astype("datetime64[D]")
        if period == "month":
            begin = begin.astype("datetime64[M]").astype("datetime64[D]")
            end = (begin.astype("datetime64[M]") + 1).astype("datetime64[D]")
        else:
            end = begin + np.timedelta64(7 if period == "week" else 1, "D")
        length = (end - begin).astype(np.int64)
        spread = part.loc[part.index.repeat(length)].reset_index(drop=True)
        offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        default = np.minimum(end - _DAY, np.datetime64(known_on.date(), "D"))
        known = part["known_from"].to_numpy().astype("datetime64[D]")
        parts.append(
            spread.assign(
                ds=np.repeat(begin, length) + offset, known_from=np.repeat(np.where(np.isnat(known), default, known), length), average=period != "day"
            )
        )
    found = pd.concat(parts, ignore_index=True)
    twice = found.duplicated(["ds", "known_from"])
    if twice.any():
        day = found[twice]["ds"].iloc[0]
        raise SpendDataError(
            f"Driver {name!r}: two rows cover {day:%Y-%m-%d}", field="ds", got=f"{day:%Y-%m-%d}", allowed="weeks and months that do not overlap"
        )
    return _typed(found)


def _period(part: pd.DataFrame, name: str) -> str:
    said = _one(part, "period", name, None)
    if said is not None:
        if said not in PERIODS:
            raise InputError(f"Driver {name!r}: period is {said!r}", field="period", got=said, allowed=", ".join(PERIODS))
        return said
    days = np.unique(part["ds"].to_numpy().astype("datetime64[D]"))
    gaps = np.diff(days).astype(np.int64)
    if len(days) >= 2 and (pd.DatetimeIndex(days).day == 1).all():
        return "month"
    return "week" if len(days) >= 2 and (gaps % 7 == 0).all() else "day"


def _typed(values: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "ds": pd.to_datetime(values["ds"]).astype("datetime64[s]"),
            **{name: values[name].astype(np.float64) for name in ("value", "low", "high")},
            "known_from": pd.to_datetime(values["known_from"]).astype("datetime64[s]"),
            "average": values["average"].astype(bool),
        }
    )
    return found.sort_values(["ds", "known_from"], kind="stable", ignore_index=True)


def names_of(drivers: Iterable[Driver]) -> tuple[str, ...]:
    """Names of drivers; InputError where two have one name."""
    names = [driver.name for driver in drivers]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Two drivers are called {double!r}", field="drivers", got=double, allowed="one driver a name")
    return tuple(names)
