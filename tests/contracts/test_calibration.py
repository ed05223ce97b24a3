"""The promise of the product on a company whose truth is known: totals fall into their intervals, overrun probabilities are near the true ones.

A small version of `benchmarks/calibration.py`; coverage is of period totals, never of days, and is judged by the futures that could have come
from the same past, so that three companies say something.
"""

from __future__ import annotations

from datetime import date
from functools import cache

import numpy as np
import pandas as pd
import pytest

from forecast.company.futures import Futures
from forecast.company.generate import generate
from forecast.forecasters.base import Forecaster
from forecast.forecasters.baselines import RunRate
from forecast.forecasters.combination import SpendForecaster
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import build_hierarchy

SEEDS = (1, 2, 3)
CUTOFF = date(2026, 7, 31)
DAYS = {7: date(2026, 8, 8), 28: date(2026, 8, 29), 91: date(2026, 10, 31)}


@cache
def known(seed: int) -> tuple[pd.DataFrame, Futures]:
    """Spend by provider and team up to the cutoff as a panel, and what could have come."""
    company = generate(seed, 400, 4, end=date(2026, 8, 1), cutoff=CUTOFF, futures=100, horizon=91)
    rows = company.rows.assign(team=company.rows["SubAccountName"].fillna("(none)").str.lower())
    rows["ds"] = rows["ChargePeriodStart"].dt.normalize()
    wide = rows.pivot_table(index="ds", columns=["ProviderName", "team"], values="EffectiveCost", aggfunc="sum", fill_value=0.0)
    wide.columns = pd.Index(["|".join(names) for names in wide.columns], name="unique_id")
    assert company.futures is not None
    return wide.melt(ignore_index=False, value_name="y").reset_index(), company.futures


@cache
def simulated(kind: type[Forecaster], seed: int) -> SpendPaths:
    panel, _ = known(seed)
    return kind().fit(panel).simulate(horizon=91, n_paths=400, seed=1)


def totals(paths: SpendPaths, futures: Futures, end: date) -> list[tuple[np.ndarray, np.ndarray]]:
    """Totals said and totals that could have come, of the company and of each team."""
    said = paths.total(str(futures.start), str(end))
    team = pd.Index(said.index).str.split("|").str[1]
    found = [(said.to_numpy().sum(axis=0), futures.total("", None, end))]
    for name in sorted(set(team) - {"(none)"}):
        found.append((said[team == name].to_numpy().sum(axis=0), futures.total(f"team={name}", None, end)))
    return found


@pytest.mark.parametrize("days", list(DAYS))
@pytest.mark.parametrize("kind", [SpendForecaster, RunRate], ids=lambda kind: kind.__name__)
def test_totals_that_could_have_come_fall_into_their_intervals(kind: type[Forecaster], days: int) -> None:
    for nominal, allowed in ((0.5, 0.2), (0.8, 0.15), (0.95, 0.1)):
        inside = []
        for seed in SEEDS:
            for said, came in totals(simulated(kind, seed), known(seed)[1], DAYS[days]):
                low, high = np.quantile(said, [(1 - nominal) / 2, (1 + nominal) / 2])
                inside.append(((came >= low) & (came <= high)).mean())
        assert np.mean(inside) == pytest.approx(nominal, abs=allowed), nominal


def test_overrun_probabilities_are_near_the_true_ones() -> None:
    apart = []
    for seed in SEEDS:
        panel, futures = known(seed)
        recent = panel[panel["ds"] > pd.Timestamp(CUTOFF) - pd.Timedelta(days=28)]
        for said, came in totals(simulated(SpendForecaster, seed), futures, DAYS[28])[:1]:
            run_rate = recent["y"].sum()
            apart += [abs((said > factor * run_rate).mean() - (came > factor * run_rate).mean()) for factor in (0.9, 1.0, 1.1, 1.25)]
    assert np.mean(apart) < 0.15


def test_parents_are_sums_of_their_leaves_path_by_path() -> None:
    """Every node of the hierarchy, every step, every path; with taxes, credits and month-end items among the leaves."""
    panel, _ = known(1)
    totals = panel.groupby("unique_id", as_index=False)["y"].sum()
    parts = totals["unique_id"].str.split("|", expand=True)
    leaves = pd.DataFrame({"provider": parts[0], "team": parts[1], "total": totals["y"].abs()})
    hierarchy, ids = build_hierarchy(leaves, ("provider", "team"))
    named = panel.merge(totals.assign(leaf=list(ids))[["unique_id", "leaf"]], on="unique_id")
    paths = SpendForecaster().fit(named.drop(columns="unique_id").rename(columns={"leaf": "unique_id"}), hierarchy=hierarchy).simulate(91, 50, 1)
    values = paths.values[pd.Index(paths.ids).get_indexer(pd.Index(hierarchy.leaf_ids))].astype(np.float64)
    nodes = hierarchy.aggregate(values)
    table = hierarchy.leaves.reset_index(drop=True)
    for row, scope in enumerate(hierarchy.nodes):
        chosen = np.ones(len(table), dtype=bool)
        for clause in scope.clauses:
            chosen &= table[clause.dimension].isin(clause.values).to_numpy()
        np.testing.assert_allclose(nodes[row], values[chosen].sum(axis=0), rtol=1e-9, atol=1e-6)
