"""Days that are over and not fully billed: what they will come to, and how sure that is, from how the bills came in before.

`completeness.py` learns and `nowcast.py` draws; here is decided which sources are known well enough for that, and what is kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.spend.completeness import Completeness, learn_completeness
from forecast.spend.developments import Days, Floats, Integers
from forecast.spend.nowcast import MOST_PERIODS, nowcast

ENOUGH_DAYS = 20.0
"""Watched days (recent ones count more) from which a source is nowcast. With fewer the known costs were the better ones (decision 6)."""

HALF = 0.5
"""Part of a day's money that must be expected to be known before the day is used."""

WATCHED_DAYS = MOST_PERIODS["D"]

_LEVELS = (0.025, 0.5, 0.975)
_SPLIT = "\x1f"


@dataclass(frozen=True, eq=False)
class Provisional:
    """What the last days of a history may still come to.

    first : number of the history's first column that is not settled. mean : (n, T − first) expected cost. draws : (n, T − first, n_draws)
    float32, jointly drawn. watermarks : see `watermarks_of`.
    """

    first: int
    mean: Floats
    draws: NDArray[np.float32]
    watermarks: pd.DataFrame


def well_known(developments: pd.DataFrame, as_of: np.datetime64, source_of: dict[str, str] | None = None) -> Completeness | None:
    """How bills of the sources come in that were watched for long enough; None where there is none.

    developments : source (or a series, whose source `source_of` gives), ds, known_at, change; see `learn_completeness`.
    """
    if developments.empty:
        return None
    found = learn_completeness(developments, as_of, source_of=source_of)
    newest = as_of.astype("datetime64[D]") - 1
    # Of the days just over some may lie before the source was watched; the best watched of a week says how long that has been.
    days = {name: max(found.pool(name, newest - back).days for back in range(7)) for name in found.sources}
    kept = {name: found.sources[name] for name, count in days.items() if count > ENOUGH_DAYS}
    return replace(found, sources=kept) if kept else None


def last_half_known(completeness: Completeness, developments: pd.DataFrame, not_after: date) -> date | None:
    """The last day that was over at `completeness.as_of`, of whose money at least HALF is expected to be known; None in the last week.

    developments : as for `well_known`; their last four weeks say how much money each source is. Sources that are not well known count as known.
    """
    yesterday = completeness.as_of.astype("datetime64[D]") - 1
    last = min(yesterday, np.datetime64(not_after, "D"))
    known = developments[developments["known_at"] <= completeness.as_of]
    recent = known[known["ds"] >= pd.Timestamp(yesterday - 27)]
    sizes = recent.groupby("source")["change"].sum().abs()
    total = float(sizes.sum())
    for back in range(7):
        shares = [
            float(size) * (completeness.pool(str(name), last - back).mean if name in completeness.sources else 1.0) for name, size in sizes.items()
        ]
        if total > 0 and sum(shares) >= HALF * total:
            found: date = (last - back).astype(date)
            return found
    return None


def provisional_days(
    values: Floats,
    ds: pd.DatetimeIndex,
    developments: pd.DataFrame,
    as_of: np.datetime64,
    *,
    n_draws: int = 500,
    seed: int = 0,
) -> Provisional | None:
    """Nowcast the last days of a history; None where every day of it is settled or nothing is known of how its bills come in.

    values : (n, T) daily cost as known at `as_of`. ds : (T,) days. developments : columns leaf (row number), source, ds, known_at, change;
    a leaf may have several sources. as_of : moment up to which the bills are known. Days that are not nowcast are not in the result.
    """
    frame = developments[(developments["ds"] <= ds[-1]) & (developments["ds"] >= ds[0])]
    cells = frame["leaf"].astype(str) + _SPLIT + frame["source"].astype(str)
    ids = sorted(cells.unique())
    owners = dict(zip(ids, (name.split(_SPLIT, 1)[1] for name in ids), strict=True))
    series = pd.DataFrame({"source": cells, "ds": frame["ds"], "known_at": frame["known_at"], "change": frame["change"]})
    completeness = well_known(series, as_of, owners)
    if completeness is None:
        return None
    # Sources that are not well known are taken as they are: their series need no draws.
    ids = [name for name in ids if owners[name] in completeness.sources]
    leaf = np.array([int(name.split(_SPLIT, 1)[0]) for name in ids], dtype=np.int64)
    known = _known(series, ids, ds, as_of)
    found = nowcast(known, ds, ids, [owners[name] for name in ids], completeness, n_draws=n_draws, seed=seed)
    if found.first == len(ds):
        return None
    n, periods = len(values), len(ds) - found.first
    mean, draws = values[:, found.first :].copy(), np.zeros((n, periods, n_draws), dtype=np.float32)
    draws += mean[:, :, None].astype(np.float32)
    np.add.at(mean, leaf, found.mean[:, found.first :] - known[:, found.first :])
    for row, at in enumerate(leaf.tolist()):
        draws[at] += (found.draws[row] - known[row, found.first :, None]).astype(np.float32)
    return Provisional(found.first, mean, draws, watermarks_of(completeness))


def _known(series: pd.DataFrame, ids: list[str], ds: pd.DatetimeIndex, as_of: np.datetime64) -> Floats:
    """(n_cells, T) cost of each cell as known at `as_of`."""
    known = np.zeros((len(ids), len(ds)))
    row: Integers = pd.Index(ids).get_indexer(pd.Index(series["source"])).astype(np.int64)
    usable = (row >= 0) & (series["known_at"].to_numpy() <= as_of)
    column = ds.get_indexer(pd.DatetimeIndex(series["ds"]))
    np.add.at(known, (row[usable], column[usable]), series["change"].to_numpy(dtype=np.float64)[usable])
    return known


def watermarks_of(completeness: Completeness) -> pd.DataFrame:
    """How complete a day of each source is by its age: source, age (hours since its end), share_known, share_low, share_high (95 %), settled,
    days_observed; one row for each of the last five weeks, youngest first."""
    days = completeness.as_of.astype("datetime64[D]") - np.arange(1, WATCHED_DAYS + 1)
    found = completeness.watermarks(days, _LEVELS)
    names = {f"share_{_LEVELS[0]:g}": "share_low", f"share_{_LEVELS[-1]:g}": "share_high"}
    columns = ["source", "ds", "age", "share_known", "share_low", "share_high", "settled", "days_observed"]
    return found.rename(columns=names)[columns].sort_values(["source", "age"], ignore_index=True)


@dataclass(frozen=True, eq=False)
class Watermarks:
    """`watermarks_of` as a table to look up. as_of : when it was learned. tables : by source the ages (ascending, hours), lower and upper shares."""

    as_of: np.datetime64
    tables: dict[str, tuple[Floats, Floats, Floats]]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Watermarks:
        day = np.timedelta64(24, "h")
        ages = frame["age"].to_numpy(dtype=np.float64)
        moments = frame["ds"].to_numpy(dtype="datetime64[us]") + day + (ages * 3600e6).astype("timedelta64[us]")
        tables = {}
        for name, part in frame.sort_values("age").groupby("source"):
            known, low, high = (part[column].to_numpy(dtype=np.float64) for column in ("age", "share_low", "share_high"))
            tables[str(name)] = (known, low, high)
        return cls(moments.max(), tables)

    def ages(self, days: NDArray[np.datetime64], now: np.datetime64 | None) -> Floats:
        """(m,) hours since the end of each day at `now` (default: when this was learned); negative for a day that is not over."""
        moment = self.as_of if now is None else now
        ends: Days = (days.astype("datetime64[D]") + 1).astype("datetime64[us]")
        return np.asarray((moment - ends).astype("timedelta64[us]").astype(np.float64) / 3600e6)

    def shares(self, parts: dict[str, float] | None, ages: Floats) -> tuple[Floats, Floats]:
        """(m,) lower and upper share known of a sum of sources at these ages; parts : of each source, None where they are not known.

        Of a day that is not over anything may be missing; sources that are not well known, and old days, are taken as they are.
        """
        found = {name: self._shares(name, ages) for name in (self.tables if parts is None else parts)}
        if parts is None:
            ends = [*found.values()]
            return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
        low, high = (np.sum([part * found[name][end] for name, part in parts.items()], axis=0) for end in (0, 1))
        return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)

    def _shares(self, source: str, ages: Floats) -> tuple[Floats, Floats]:
        if source not in self.tables:
            return np.ones(len(ages)), np.ones(len(ages))
        known, low, high = self.tables[source]
        place = np.searchsorted(known, ages, side="right") - 1
        at = np.maximum(place, 0)
        old = ages > known[-1]
        return np.where(old, 1.0, np.where(place < 0, 0.0, low[at])), np.where(old, 1.0, np.where(place < 0, np.maximum(high[0], 1.0), high[at]))
