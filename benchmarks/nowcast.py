"""How good are nowcasts of provisional days, and what do they do for forecasts? Writes benchmarks/nowcast.json.

Every change of every line of a generated company is replayed; at each moment the completeness is learned from what had happened by then, the
last days are nowcast, and the truth is what the lines came to in the end. Scenarios:

- `nowcast_company_v1`: companies of 6 teams and 300 days, moments 3 days and some hours apart over the last third, by age of the day: error of
  the known costs taken as they are and of the nowcast, coverage of its 80 % interval. `calibrated_80` is the same with ties split at random
  (many days are exactly what they were, which no interval can miss);
  `coverage_80_or_settled` forgives what lies within half a percent, as far as "settled" promises. Last days of months, whose taxes come with the
  invoice, stand apart.
- `nowcast_young_ledger_v1`: the same where the ledger was connected, with all history in one delivery, 30 days before each moment.
- `nowcast_settled_v1`: days called settled, and those of them that changed by more than half a percent after all.
- `nowcast_forecast_v1`: SpendForecaster at noon, when the last days are provisional: (a) truth known, (b) incomplete days taken as they are,
  (c) cut to the last complete day or the last settled one, (d) nowcast; totals of the 7 and 28 days after the same day, and of its last four
  with the next seven. `apart_from_oracle` : mean distance between the forecast and the one that knows the truth ÷ money.
- `nowcast_personal_vintages_v1` (with a folder): real values ever published of two people's LLM use (cost of one, tokens of the other); truth is
  the last published value of days two weeks old and older. The data are not part of this repository.

    .venv/bin/python benchmarks/nowcast.py [FOLDER] [--seeds 11,12,13] [--skip-forecasts]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.company.generate import Company, generate
from forecast.forecasters.combination import SpendForecaster
from forecast.spend.completeness import learn_completeness
from forecast.spend.examples import TOLERANCE
from forecast.spend.nowcast import Nowcast, carried, nowcast

SEEDS = range(11, 19)
DAYS, TEAMS = 300, 6
EVERY_HOURS = 3 * 24 + 7
OLDEST = 8
YOUNG = 30
VERSIONS = (("received_at", "first_factor"), ("restated_at", "second_factor"), ("closed_at", None))
FORECAST_SEEDS, FORECAST_MOMENTS, HORIZON = range(11, 15), 3, 28
RECENT = 4
PERIODS = {"next 7": (RECENT, RECENT + 7), "next 28": (RECENT, RECENT + HORIZON), "last 4 and next 7": (0, RECENT + 7)}
Floats = NDArray[np.float64]


def leaf_names(rows: pd.DataFrame) -> NDArray[np.str_]:
    """provider|service|team|stage|workload of each row."""
    tags = {text: {key.lower(): value for key, value in json.loads(text).items()} for text in rows["Tags"].dropna().unique()}

    def tag(key: str) -> pd.Series:
        return rows["Tags"].map({text: value.get(key) for text, value in tags.items()})

    team, stage = tag("team").str.lower().fillna(rows["SubAccountName"]).fillna("(none)"), tag("env").str.lower().fillna("(none)")
    columns = [rows["ProviderName"], rows["ServiceName"], team, stage, tag("workload").fillna("(none)")]
    names: NDArray[np.str_] = pd.concat(columns, axis=1).astype(str).agg("|".join, axis=1).to_numpy(dtype=np.str_)
    return names


def company_developments(company: Company) -> pd.DataFrame:
    """The changes of a generated company's effective cost by leaf, as `Ledger.developments` gives them: source, ds, known_at, change."""
    leaf = leaf_names(company.rows)
    final = company.rows["EffectiveCost"].to_numpy(dtype=np.float64)
    ds = company.rows["ChargePeriodStart"].to_numpy(dtype="datetime64[us]")
    before, parts = np.zeros(len(final)), []
    for since, factor in VERSIONS:
        known = company.timing[since].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        said = final if factor is None else np.round(final * company.timing[factor].to_numpy(dtype=np.float64), 6)
        came = ~np.isnat(known)
        parts.append(pd.DataFrame({"source": leaf[came], "ds": ds[came], "known_at": known[came], "change": (said - before)[came]}))
        before = np.where(came, said, before)
    changes = pd.concat(parts, ignore_index=True).groupby(["source", "ds", "known_at"], as_index=False)["change"].sum()
    return changes[changes["change"].abs() > 1e-9].reset_index(drop=True)


def connected(developments: pd.DataFrame, moment: pd.Timestamp) -> pd.DataFrame:
    """The same where everything known by a moment came at that moment in one delivery."""
    before = developments["known_at"] <= moment
    history = developments[before].groupby(["source", "ds"], as_index=False)["change"].sum().assign(known_at=moment)
    return pd.concat([history, developments[~before]], ignore_index=True)[developments.columns.tolist()]


def known_matrix(developments: pd.DataFrame, ids: list[str], grid: pd.DatetimeIndex, as_of: pd.Timestamp | None = None) -> Floats:
    """(n, T) cost as known at a moment; without one, in the end."""
    part = developments if as_of is None else developments[developments["known_at"] <= as_of]
    row, column = pd.Index(ids).get_indexer(pd.Index(part["source"])), grid.get_indexer(pd.DatetimeIndex(part["ds"]))
    inside = (column >= 0) & (row >= 0)
    values = np.zeros((len(ids), len(grid)))
    np.add.at(values, (row[inside], column[inside]), part["change"].to_numpy(dtype=np.float64)[inside])
    return np.round(values, 6)


def moments(grid: pd.DatetimeIndex, begin: float, every: int = EVERY_HOURS) -> list[pd.Timestamp]:
    """From a share of the grid on to two weeks before its end."""
    first, last = grid[int(begin * len(grid))], grid[-1] - pd.Timedelta(days=14)
    return [pd.Timestamp(at) for at in pd.date_range(first, last, freq=f"{every}h")]


def groups(ids: list[str]) -> dict[str, list[NDArray[np.int64]]]:
    """Rows of each leaf, team, provider and of the company."""
    parts = pd.DataFrame([name.split("|") for name in ids])
    found = {"leaf": [np.array([row]) for row in range(len(ids))]}
    for level, column in (("team", 2), ("provider", 0)):
        found[level] = [np.flatnonzero(parts[column] == name) for name in parts[column].unique()]
    return {**found, "company": [np.arange(len(ids))]}


def scored(found: Nowcast, truth: Floats, by: dict[str, list[NDArray[np.int64]]], age: Floats, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """One row a group and provisional day that is at most OLDEST days old."""
    for level, members in by.items():
        for rows in members:
            drawn, known = found.draws[rows].sum(axis=0), found.known[rows, found.first :].sum(axis=0)
            actual = truth[rows, found.first :].sum(axis=0)
            low, high = np.quantile(drawn, [0.1, 0.9], axis=1)
            # Sums of the same cents in another order differ in the last digits.
            slack = 1e-9 * np.maximum(np.abs(actual), 1.0)
            near = TOLERANCE * np.abs(known) + slack
            below, equal = drawn < (actual - slack)[:, None], np.abs(drawn - actual[:, None]) <= slack[:, None]
            rank = below.mean(axis=1) + rng.random(len(actual)) * equal.mean(axis=1)
            for column in range(len(actual)):
                days_old = int(np.floor(age[found.first + column] / 24.0))
                if days_old <= OLDEST:
                    yield {
                        "level": level,
                        "age": days_old,
                        "month_end": bool(found.ds[found.first + column].is_month_end),
                        "actual": actual[column],
                        "known": known[column],
                        "mean": drawn[column].mean(),
                        "median": float(np.median(drawn[column])),
                        "inside": bool(low[column] - slack[column] <= actual[column] <= high[column] + slack[column]),
                        "nearly": bool(low[column] - near[column] <= actual[column] <= high[column] + near[column]),
                        "calibrated": 0.1 <= rank[column] <= 0.9,
                        "width": high[column] - low[column],
                    }


def judge_moment(
    developments: pd.DataFrame, ids: list[str], by: dict[str, list[NDArray[np.int64]]], at: pd.Timestamp, seed: int, seen: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of one moment's nowcasts, and what became of days that were called settled. seen : what the ledger holds, if not everything."""
    seen = developments if seen is None else seen
    sources = [name.split("|")[0] for name in ids]
    grid = pd.date_range(developments["ds"].min(), at.normalize() - pd.Timedelta(days=1), freq="D")
    completeness = learn_completeness(seen, at, source_of=dict(zip(ids, sources, strict=True)))
    found = nowcast(known_matrix(seen, ids, grid, at), grid, ids, sources, completeness, n_draws=400, seed=seed)
    truth = known_matrix(developments, ids, grid)
    age = ((at - (grid + pd.Timedelta(days=1))) / pd.Timedelta(hours=1)).to_numpy(dtype=np.float64)
    rows = pd.DataFrame(list(scored(found, truth, by, age, np.random.default_rng(seed))))
    settled = []
    for name in sorted(set(sources)):
        mine = np.array([source == name for source in sources])
        for column in range(len(grid) - 20, len(grid)):
            known, actual = found.known[mine, column].sum(), truth[mine, column].sum()
            changed = bool(abs(actual - known) > TOLERANCE * abs(known))
            settled.append({"source": name, "age": int(age[column] // 24), "settled": bool(found.settled[mine, column].all()), "changed": changed})
    return rows, pd.DataFrame(settled)


def judge_company(seed: int, young: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same at many moments of one company."""
    developments = company_developments(generate(seed, days=DAYS, teams=TEAMS))
    ids = sorted(developments["source"].unique())
    whole, by = pd.date_range(developments["ds"].min(), developments["ds"].max(), freq="D"), groups(ids)
    judged = []
    for at in moments(whole, 2 / 3, EVERY_HOURS if not young else 3 * EVERY_HOURS):
        seen = connected(developments, at - pd.Timedelta(days=YOUNG)) if young else developments
        judged.append(judge_moment(developments, ids, by, at, seed, seen))
    rows, settled = (pd.concat(parts, ignore_index=True) for parts in zip(*judged, strict=True))
    return rows, settled


def table(rows: pd.DataFrame) -> dict[str, Any]:
    """Metrics by level and age in days."""
    found: dict[str, Any] = {}
    for (level, age, month_end), part in rows.groupby(["level", "age", "month_end"]):
        money = float(part["actual"].abs().sum())
        found[f"{level}/{age}" + ("/month end" if month_end else "")] = {
            "n": len(part),
            "wape_known": round(float((part["known"] - part["actual"]).abs().sum()) / money, 4),
            "wape": round(float((part["median"] - part["actual"]).abs().sum()) / money, 4),
            "bias_known": round(float((part["known"] - part["actual"]).sum()) / money, 4),
            "bias": round(float((part["mean"] - part["actual"]).sum()) / money, 4),
            "coverage_80": round(float(part["inside"].mean()), 4),
            "coverage_80_or_settled": round(float(part["nearly"].mean()), 4),
            "calibrated_80": round(float(part["calibrated"].mean()), 4),
            "width_80": round(float(part["width"].sum()) / money, 4),
        }
    return found


def settled_table(rows: pd.DataFrame) -> dict[str, Any]:
    """By age: share of (source, day) called settled, and of those the share that changed by more than half a percent after all."""
    found = {}
    for age, part in rows.groupby("age"):
        called = part[part["settled"]]
        found[str(age)] = {
            "n": len(part),
            "settled": round(float(part["settled"].mean()), 4),
            "settled_and_changed": round(float(called["changed"].mean()), 4) if len(called) else None,
            "changed": round(float(part["changed"].mean()), 4),
        }
    return found


def judge_forecasts(seed: int) -> pd.DataFrame:
    """Totals after a day D from what was known at noon of the day after: one row a variant, level, group and number of days."""
    developments = company_developments(generate(seed, days=DAYS, teams=TEAMS))
    ids = sorted(developments["source"].unique())
    sources = [name.split("|")[0] for name in ids]
    whole = pd.date_range(developments["ds"].min(), developments["ds"].max(), freq="D")
    by, rows = groups(ids), []
    for number in range(FORECAST_MOMENTS):
        # A fortnight and some days apart, so that weekdays and days of the month differ; no cutoff in the days whose taxes nobody has yet.
        last = whole[-1] - pd.Timedelta(days=HORIZON + 14 + 17 * number)
        at = last + pd.Timedelta(hours=36)
        grid = whole[whole <= last]
        completeness = learn_completeness(developments, at, source_of=dict(zip(ids, sources, strict=True)))
        known = known_matrix(developments, ids, grid, at)
        truth = known_matrix(developments, ids, whole)
        found = nowcast(known, grid, ids, sources, completeness, n_draws=300, seed=seed)
        day = len(grid)
        # The last day of which every source that usually bills by day has something.
        arrived = np.array([[known[np.array(sources) == name, column].any() for name in set(sources)] for column in range(day)])
        complete = 1 + int(np.flatnonzero(arrived[:, arrived[-28:].mean(axis=0) > 0.8].all(axis=1))[-1])
        inputs = {
            "oracle": truth[:, :day],
            "as known": known,
            "cut to complete": known[:, :complete],
            "cut to settled": known[:, : found.first],
            "nowcast": found.mean,
        }
        past = {"oracle": truth[:, :day], "nowcast": np.concatenate([np.repeat(known[:, : found.first, None], 300, 2), found.draws], axis=1)}
        oracle: dict[tuple[str, int, str], float] = {}
        for name, values in inputs.items():
            paths = simulated(ids, grid[: values.shape[1]], values, HORIZON + day - values.shape[1])
            before = past.get(name, known)[:, day - RECENT : values.shape[1]]
            before = before if before.ndim == 3 else np.repeat(before[:, :, None], 300, axis=2)
            variants = {name: np.concatenate([before, paths[:, max(0, day - RECENT - values.shape[1]) :]], axis=1)}
            if name == "nowcast":
                variants["nowcast carried"] = np.concatenate([before, carried(paths, found)], axis=1)
            for variant, around in variants.items():
                judged = list(totals(around, truth[:, day - RECENT : day + HORIZON], by))
                if variant == "oracle":
                    oracle = {row["key"]: row["mean"] for row in judged}
                rows += [{**row, "variant": variant, "apart": abs(row["mean"] - oracle[row["key"]])} for row in judged]
    return pd.DataFrame(rows)


def simulated(ids: list[str], grid: pd.DatetimeIndex, values: Floats, horizon: int) -> NDArray[np.float32]:
    """(n, horizon, 300) paths of the forecaster with its defaults."""
    panel = pd.DataFrame({"unique_id": np.repeat(ids, len(grid)), "ds": np.tile(grid.to_numpy(), len(ids)), "y": values.ravel()})
    return SpendForecaster().fit(panel).simulate(horizon, 300, seed=7).values


def totals(paths: Floats, truth: Floats, by: dict[str, list[NDArray[np.int64]]]) -> Iterator[dict[str, Any]]:
    """paths (n, RECENT + HORIZON, 300), truth (n, RECENT + HORIZON): one row a group and period."""
    for period, (begin, end) in PERIODS.items():
        leaf, actual = paths[:, begin:end].sum(axis=1, dtype=np.float64), truth[:, begin:end].sum(axis=1)
        for level, members in by.items():
            for number, rows in enumerate(members):
                drawn, came = leaf[rows].sum(axis=0), actual[rows].sum()
                low, high = np.quantile(drawn, [0.1, 0.9])
                yield {
                    "key": (level, number, period),
                    "level": level,
                    "period": period,
                    "actual": came,
                    "mean": drawn.mean(),
                    "inside": bool(low - 1e-9 <= came <= high + 1e-9),
                    "width": high - low,
                }


def forecast_table(rows: pd.DataFrame) -> dict[str, Any]:
    found = {}
    for (level, period, variant), part in rows.groupby(["level", "period", "variant"]):
        money = float(part["actual"].abs().sum())
        found[f"{level}/{period}/{variant}"] = {
            "n": len(part),
            "wape": round(float((part["mean"] - part["actual"]).abs().sum()) / money, 4),
            "bias": round(float((part["mean"] - part["actual"]).sum()) / money, 4),
            "apart_from_oracle": round(float(part["apart"].sum()) / money, 4),
            "coverage_80": round(float(part["inside"].mean()), 4),
            "width_80": round(float(part["width"].sum()) / money, 4),
        }
    return found


def judge_people(folder: Path) -> pd.DataFrame:
    """Nowcasts of what two people published of their use, as published at the time; each is a source with one series."""
    frame = pd.read_parquet(folder / "ai_spend" / "llm_personal_vintages.parquet").sort_values(["unique_id", "ds", "published_at"])
    rows: list[dict[str, Any]] = []
    for name, part in frame.groupby("unique_id"):
        value = part["cost"] if part["cost"].notna().any() else part["tokens"].astype(np.float64)
        change = value.groupby(part["ds"]).diff().fillna(value)
        developments = pd.DataFrame({"source": str(name), "ds": part["ds"], "known_at": part["published_at"], "change": change})
        newest = developments["known_at"].max()
        whole = pd.date_range(developments["ds"].min(), newest.normalize() - pd.Timedelta(days=14), freq="D")
        first = developments["known_at"].min() + pd.Timedelta(days=12)
        for at in pd.date_range(first, newest, freq="11h"):
            grid = pd.date_range(developments["ds"].min(), at.normalize() - pd.Timedelta(days=1), freq="D")
            completeness = learn_completeness(developments, at)
            found = nowcast(known_matrix(developments, [str(name)], grid, at), grid, [str(name)], [str(name)], completeness, n_draws=400, seed=1)
            age = ((at - (grid + pd.Timedelta(days=1))) / pd.Timedelta(hours=1)).to_numpy(dtype=np.float64)
            truth = known_matrix(developments, [str(name)], grid)
            scores = scored(found, truth, {str(name): [np.array([0])]}, age, np.random.default_rng(1))
            rows += [{**row, "month_end": False} for row in scores if grid[-1] - pd.Timedelta(days=row["age"]) <= whole[-1]]
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--skip-forecasts", action="store_true")
    parser.add_argument("--out", default=str(Path(__file__).with_name("nowcast.json")))
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    out = Path(arguments.out)
    # What is left out of a run (no folder, no forecasts) stays as it was recorded.
    result: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    for scenario, young in (("nowcast_company_v1", False), ("nowcast_young_ledger_v1", True)):
        judged = []
        for seed in seeds if not young else seeds[:4]:
            judged.append(judge_company(seed, young))
            print(f"{scenario}: company {seed}", file=sys.stderr)
        result[scenario] = table(pd.concat([rows for rows, _ in judged], ignore_index=True))
        if not young:
            result["nowcast_settled_v1"] = settled_table(pd.concat([settled for _, settled in judged], ignore_index=True))
    if not arguments.skip_forecasts:
        rows = []
        for seed in FORECAST_SEEDS:
            rows.append(judge_forecasts(seed))
            print(f"nowcast_forecast_v1: company {seed}", file=sys.stderr)
        result["nowcast_forecast_v1"] = forecast_table(pd.concat(rows, ignore_index=True))
    if arguments.folder is not None:
        result["nowcast_personal_vintages_v1"] = table(judge_people(arguments.folder))
    out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
