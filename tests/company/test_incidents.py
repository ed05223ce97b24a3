from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from forecast.company.generate import Company, generate

from .views import daily, with_dimensions


def excess_by_leaf(seed: int, days: int, teams: int, granularity: Literal["D", "h"] = "D") -> tuple[Company, pd.DataFrame]:
    """The bill with incidents minus the bill without, by day and leaf, where they differ."""
    struck, calm = generate(seed, days, teams, granularity), generate(seed, days, teams, granularity, incidents=False)
    assert len(calm.incidents) == 0
    leaf = ["provider", "service", "team", "stage", "workload"]
    with_them, without = daily(with_dimensions(struck.rows), leaf), daily(with_dimensions(calm.rows), leaf)
    difference = with_them.sub(without, fill_value=0.0)
    return struck, difference.loc[:, difference.abs().max() > 1e-6]


@pytest.mark.parametrize(("seed", "days", "teams", "granularity"), [(1, 548, 8, "D"), (2, 200, 3, "D"), (2, 60, 2, "h")])
def test_truth_of_incidents_is_the_difference_of_the_two_bills_to_the_cent(seed: int, days: int, teams: int, granularity: Literal["D", "h"]) -> None:
    company, difference = excess_by_leaf(seed, days, teams, granularity)
    expected = pd.DataFrame(0.0, index=difference.index, columns=difference.columns)
    for _, incident in company.incidents.iterrows():
        scope = json.loads(incident["scope"])
        leaf = tuple(scope[name] for name in difference.columns.names)
        during = (expected.index >= incident["start"]) & (expected.index < incident["end"])
        expected.loc[during, leaf] += np.array(incident["daily_excess"])
        assert incident["total_excess"] == pytest.approx(sum(incident["daily_excess"]), abs=0.001)
    assert len(company.incidents) == len(difference.columns)
    assert float((difference - expected).abs().max().max()) < 0.005


def test_everything_but_the_incidents_is_the_same_without_them() -> None:
    struck, calm = generate(6, 60, 1, "h"), generate(6, 60, 1, "h", incidents=False)
    pd.testing.assert_frame_equal(struck.budgets, calm.budgets)
    pd.testing.assert_frame_equal(struck.events, calm.events)
    assert list(calm.incidents.columns) == list(struck.incidents.columns)
    scopes = [json.loads(text) for text in struck.incidents["scope"]]
    hit = {(scope["service"], scope["team"], scope["stage"], scope["workload"]) for scope in scopes}

    def untouched(company: Company) -> pd.DataFrame:
        dimensions = with_dimensions(company.rows)
        keys = pd.MultiIndex.from_frame(dimensions[["service", "team", "stage", "workload"]])
        return company.rows[~keys.isin(hit)].reset_index(drop=True)

    pd.testing.assert_frame_equal(untouched(struck), untouched(calm))


def test_incidents_are_few_varied_and_the_last_is_recent() -> None:
    for seed in range(6):
        company = generate(seed)
        incidents = company.incidents
        assert 4 <= len(incidents) <= 8
        recent = incidents["start"] >= pd.Timestamp(company.end) - pd.Timedelta(days=60)
        assert 1 <= recent.sum() <= 2
        assert incidents["kind"].nunique() >= 3
        assert incidents["start"].is_monotonic_increasing
        assert (incidents["end"] <= pd.Timestamp(company.end)).all()
        assert incidents["scope"].is_unique
        drops = incidents["kind"] == "usage_drop"
        assert (incidents.loc[drops, "total_excess"] < 0).all()
        assert (incidents.loc[~drops, "total_excess"] > 100).all()
