"""The panels that forecasts are judged on, and the windows that are cut from them.

Real data are not part of this repository: give the folder that holds them (`ai_spend/`, `forecasting/`). Companies are generated. Windows are cut
by counting periods from the end of each series; a series takes part where at least 60 % of it is history and its test has no gap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.company.generate import generate

LEAST_HISTORY = 0.6
RUN_RATE_PERIODS = {"D": 28, "W": 4, "h": 168}
COMPANY_SEEDS = (101, 102, 103)
COMPANY_DAYS, COMPANY_TEAMS = 548, 6


@dataclass(frozen=True)
class PanelSet:
    """One panel and where it is cut.

    load : folder → long panel `unique_id, ds, y`. season : periods of the naive season. horizons : judged lengths; the longest is forecast and
    the others are its beginnings. offsets : periods before the end at which cutoffs lie. ai : whether it is AI spend. quick : offsets of a
    quick look (none: left out of it). board : whether the public board has it, so that its aims speak of it. official : one fixed test, no
    least share of history.
    """

    load: Callable[[Path], pd.DataFrame]
    freq: str
    season: int
    horizons: tuple[int, ...]
    offsets: tuple[int, ...]
    ai: bool = False
    quick: tuple[int, ...] = ()
    board: bool = True
    official: bool = False


@dataclass(frozen=True)
class Window:
    """One cutoff of a panel: `train` (complete calendar, NaN = not known), ids in order, what came (n, horizon), recent run rate (n,)."""

    panel: str
    offset: int
    train: pd.DataFrame
    ids: tuple[str, ...]
    actual: NDArray[np.float64]
    run_rate: NDArray[np.float64]

    @property
    def name(self) -> str:
        return f"{self.panel}/{self.offset}"


def windows(name: str, panel_set: PanelSet, folder: Path, offsets: tuple[int, ...] | None = None) -> Iterator[Window]:
    """The windows of a panel; cutoffs at which no series takes part are left out."""
    panel = complete_calendar(panel_set.load(folder), panel_set.freq)
    horizon = max(panel_set.horizons)
    length = panel.groupby("unique_id")["y"].transform("size")
    place = panel.groupby("unique_id").cumcount()
    for offset in panel_set.offsets if offsets is None else offsets:
        cut = length - offset
        takes_part = (cut > 0) if panel_set.official else (cut >= LEAST_HISTORY * length)
        train = panel[takes_part & (place < cut)]
        test = panel[takes_part & (place >= cut) & (place < cut + horizon)]
        known = test.groupby("unique_id")["y"].count()
        spent = train.groupby("unique_id")["y"].apply(lambda y: float(y.abs().sum()))
        kept = known.index[known == horizon].intersection(spent.index[spent > 0]).sort_values()
        if not len(kept):
            continue
        train = train[train["unique_id"].isin(kept)].reset_index(drop=True)
        test = test[test["unique_id"].isin(kept)]
        periods = RUN_RATE_PERIODS[panel_set.freq[0]]
        recent = train.groupby("unique_id")["y"].apply(lambda y, periods=periods: float(np.nanmean(y.to_numpy()[-periods:])))
        yield Window(name, offset, train, tuple(kept), test["y"].to_numpy().reshape(len(kept), horizon), np.nan_to_num(recent[kept].to_numpy()))


def complete_calendar(panel: pd.DataFrame, freq: str) -> pd.DataFrame:
    """Sorted by series and time; days that are missing inside a daily series become NaN rows."""
    panel = panel.assign(y=panel["y"].astype(float), ds=panel["ds"].astype("datetime64[ns]")).sort_values(["unique_id", "ds"])
    if freq == "D":
        parts = [one.set_index("ds")["y"].asfreq("D").reset_index().assign(unique_id=name) for name, one in panel.groupby("unique_id")]
        panel = pd.concat(parts, ignore_index=True)
    return panel[["unique_id", "ds", "y"]].reset_index(drop=True)


def filled(history: NDArray[np.float64], season: int) -> NDArray[np.float64]:
    """Unknown values taken from a season earlier, else a season later, else 0: for rules that know no gaps."""
    if not np.isnan(history).any():
        return history
    series = pd.Series(history)
    return series.groupby(np.arange(len(series)) % season).transform(lambda one: one.ffill().bfill()).fillna(0.0).to_numpy()


def _some(panel: pd.DataFrame, most: int) -> pd.DataFrame:
    """The same `most` series for everybody, whatever order they come in."""
    order = sorted(panel["unique_id"].unique(), key=lambda name: hashlib.sha256(f"board/{name}".encode()).hexdigest())
    return panel[panel["unique_id"].isin(order[:most])]


def _days(folder: Path, name: str) -> pd.DataFrame:
    """Whole days of an hourly set; an hour that is not known counts as that day's mean hour."""
    frame = pd.read_parquet(folder / "ai_spend" / f"{name}.parquet")
    by_day = frame.groupby(["unique_id", frame["ds"].dt.floor("D")])["cost"]
    days = pd.DataFrame({"y": by_day.mean() * 24, "hours": by_day.size()}).reset_index()
    return days[days["hours"] == 24]


def _spent(panel: pd.DataFrame) -> pd.DataFrame:
    total = panel.groupby("unique_id")["y"].transform("sum")
    return panel[total > 0]


def _costs(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "ai_spend" / f"{name}.parquet").rename(columns={"cost": "y"})[["unique_id", "ds", "y"]]


def _series(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "forecasting" / f"{name}.parquet")[["unique_id", "ds", "y"]]


def _market(folder: Path) -> pd.DataFrame:
    panel = _costs(folder, "openrouter_daily")
    of_series = panel.groupby("unique_id")["y"]
    whole = (of_series.transform("size") == 23) & (of_series.transform("count") == 23) & (of_series.transform("sum") > 0)
    return _some(panel[whole], 150)


def _m4(folder: Path, name: str) -> pd.DataFrame:
    parts = [pd.read_parquet(folder / "forecasting" / f"m4_{name}_{part}.parquet") for part in ("train", "test")]
    frame = pd.concat(parts)
    # The competition gives numbers for times; a week begins anywhere.
    base, unit = (pd.Timestamp("1970-01-04"), "7D") if name == "weekly" else (pd.Timestamp("2020-01-01"), "1h")
    return frame.assign(ds=base + (frame["t"] - 1) * pd.Timedelta(unit))


def company_panel(_: Path, seeds: tuple[int, ...] = COMPANY_SEEDS) -> pd.DataFrame:
    """Daily cost of the company, its teams and its providers, for companies of several seeds."""
    parts = []
    for seed in seeds:
        company = generate(seed, days=COMPANY_DAYS, teams=COMPANY_TEAMS)
        days = pd.date_range(company.start, company.end, inclusive="left")
        for column in ("team", "provider"):
            wide = company.daily.pivot_table(index="ds", columns=column, values="cost", aggfunc="sum").reindex(days).fillna(0.0)
            if column == "team":
                wide["(company)"] = wide.sum(axis=1)
            long = wide.rename_axis(index="ds", columns="name").reset_index().melt("ds", value_name="y", var_name="name")
            parts.append(long.assign(unique_id=f"{seed}/{column}/" + long["name"].astype(str)))
    return _spent(pd.concat(parts, ignore_index=True))[["unique_id", "ds", "y"]]


PANELS: dict[str, PanelSet] = {
    "helios_earth": PanelSet(lambda folder: _days(folder, "helios_earth_hourly"), "D", 7, (7,), (7, 8, 9, 10, 11, 12), ai=True, quick=(7, 12)),
    "dlrm": PanelSet(lambda folder: _some(_spent(_days(folder, "dlrm_hourly")), 100), "D", 7, (7,), (7, 8, 9, 10, 11, 12), ai=True, quick=(7, 12)),
    "genai_lora": PanelSet(lambda folder: _spent(_days(folder, "genai_lora_hourly")), "D", 7, (7,), (7, 8, 9), ai=True, quick=(7, 9), board=False),
    "openrouter": PanelSet(_market, "D", 7, (7,), (7, 8, 9), ai=True, quick=(7, 9)),
    "llm_personal_h7": PanelSet(lambda folder: _costs(folder, "llm_personal_daily"), "D", 7, (7,), tuple(range(7, 85, 7)), ai=True, quick=(14, 42)),
    "llm_personal_h28": PanelSet(
        lambda folder: _costs(folder, "llm_personal_daily"), "D", 7, (28,), tuple(range(28, 105, 7)), ai=True, quick=(28, 63)
    ),
    "misc_daily": PanelSet(lambda folder: _series(folder, "misc_daily"), "D", 7, (91, 28), (91, 119, 147, 182, 224, 273, 364), quick=(91, 182)),
    "walmart_weekly": PanelSet(lambda folder: _series(folder, "walmart_weekly"), "W-FRI", 52, (13,), (13, 20, 26, 33, 39, 46), quick=(13, 26)),
    "company": PanelSet(company_panel, "D", 7, (91, 28), (91, 110, 128, 147, 165, 184), board=False, quick=(91, 147)),
    "m4_weekly": PanelSet(lambda folder: _m4(folder, "weekly"), "W-SUN", 52, (13,), (13,), official=True),
    "m4_hourly": PanelSet(lambda folder: _m4(folder, "hourly"), "h", 24, (48,), (48,), official=True),
}
"""Scenario `panel_<name>_h<horizon>_v1`."""
