"""What is said of budgets in a backtest, counted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forecast.evaluation.overruns import budgets_judged, overrun_record
from forecast.evaluation.summary import QUANTILES, quantile_column

FACTORS = (0.9, 1.0, 1.2)


def rows_of(n: int, *, honest: bool, seed: int = 0) -> pd.DataFrame:
    """Totals that are lognormal around the run rate; an honest forecaster says their chances, another one squares the odds."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.05, 0.3, n)
    rate = rng.uniform(10.0, 1000.0, n)
    rows = pd.DataFrame({"level": np.where(np.arange(n) % 3, "team", "company"), "days": 28, "run_rate": rate, "overrun_probability": 0.5})
    rows["actual"] = rate * np.exp(spread * rng.standard_normal(n))
    rows["mean"] = rate
    for name in map(quantile_column, QUANTILES):
        rows[name] = rate
    for factor in FACTORS:
        chance = norm.sf(np.log(factor) / spread)
        rows[f"overrun_{factor:g}"] = chance if honest else chance**2 / (chance**2 + (1 - chance) ** 2)
    return rows


def test_an_honest_forecaster_has_hardly_any_calibration_error_and_an_overconfident_one_has() -> None:
    honest, bold = (overrun_record(rows_of(6000, honest=kind))["team"] for kind in (True, False))
    assert honest["calibration_error"] < 0.015
    assert bold["calibration_error"] > 0.04
    assert honest["brier"] < bold["brier"]
    assert honest["skill"] > 0.2


def test_figures_are_those_of_a_loop_over_budgets() -> None:
    rows = rows_of(200, honest=True)
    found = overrun_record(rows)
    for level, facts in found.items():
        part = rows[rows["level"] == level]
        pairs = [
            (row[f"overrun_{factor:g}"], float(row["actual"] > factor * row["run_rate"]), float(factor < 1.0))
            for row in part.to_dict("records")
            for factor in FACTORS
        ]
        assert facts["n"] == len(pairs)
        assert facts["brier"] == pytest.approx(sum((said - seen) ** 2 for said, seen, _ in pairs) / len(pairs))
        assert facts["brier_run_rate"] == pytest.approx(sum((rule - seen) ** 2 for _, seen, rule in pairs) / len(pairs))
        apart = 0.0
        for number in range(5):
            inside = [(said, seen) for said, seen, _ in pairs if min(int(said * 5), 4) == number]
            apart += abs(sum(said - seen for said, seen in inside)) / len(pairs)
        assert facts["calibration_error"] == pytest.approx(apart)


def test_the_record_is_plain_data() -> None:
    found = overrun_record(rows_of(50, honest=True))
    assert json.loads(json.dumps(found)) == found
    assert sum(one["n"] for one in found["company"]["bins"]) == found["company"]["n"]


def test_a_backtest_without_budgets_has_no_record_of_them() -> None:
    rows = rows_of(20, honest=True)
    assert overrun_record(rows.drop(columns=[f"overrun_{factor:g}" for factor in FACTORS])) == {}
    assert overrun_record(rows.head(0)) == {}


def test_series_that_cost_nothing_lately_are_no_budgets() -> None:
    rows = rows_of(30, honest=True)
    rows.loc[:9, "run_rate"] = 0.0
    said, over, factors = budgets_judged(rows)
    assert said.shape == over.shape == (20, 3)
    assert factors.tolist() == list(FACTORS)
