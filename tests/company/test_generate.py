from __future__ import annotations

import hashlib
import io
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.company.generate import Company, generate
from forecast.company.plans import fiscal_quarter
from forecast.company.stretch import Streams
from forecast.errors import InputError

from .views import LEAF, with_dimensions


def digest(company: Company) -> str:
    total = hashlib.sha256()
    for frame in (company.rows, company.incidents, company.events, company.budgets):
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
        total.update(buffer.getvalue())
    return total.hexdigest()


def test_same_seed_gives_the_same_bytes_and_another_seed_another_company() -> None:
    assert digest(generate(11, 90, 3)) == digest(generate(11, 90, 3))
    assert digest(generate(11, 90, 3)) != digest(generate(12, 90, 3))
    one, other = generate(11, 90, 3).rows, generate(12, 90, 3).rows
    assert set(one["SubAccountName"]) != set(other["SubAccountName"])


def test_streams_are_independent_of_each_other_and_start_anew() -> None:
    streams = Streams(4)
    first = streams.of("gpus", "serving").random(3)
    streams.of("added later").random(100)
    np.testing.assert_array_equal(streams.of("gpus", "serving").random(3), first)
    assert not np.array_equal(streams.of("gpus", "training").random(3), first)


def test_default_company_has_the_announced_size(company: Company) -> None:
    rows = with_dimensions(company.rows)
    assert 150_000 <= len(rows) <= 400_000
    assert 120 <= len(rows[LEAF].drop_duplicates()) <= 240
    yearly = float(rows["cost"].sum()) / 548 * 365
    assert 1.5e6 <= yearly <= 4.0e6
    rows = rows[rows["team"] != "(none)"]
    assert rows["team"].nunique() == 8
    by_team = rows.groupby("team")["cost"].sum()
    assert by_team.max() > 3.0 * by_team.min()
    assert {"OpenAI", "Anthropic", "Google Cloud", "AWS", "GitHub", "Notion"} <= set(rows["provider"])
    assert {"dev", "test", "prod"} <= set(rows["stage"])
    assert company.rows["RegionId"].nunique() >= 3
    assert company.start == company.end - timedelta(days=548)
    assert company.end == date(2026, 11, 1)


def test_some_teams_and_workloads_begin_late(company: Company) -> None:
    rows = with_dimensions(company.rows)
    begins = rows.groupby(["team", "workload"])["day"].min()
    assert (begins > pd.Timestamp(company.start) + pd.Timedelta(days=60)).sum() >= 2
    assert (rows.groupby("team")["day"].min() > pd.Timestamp(company.start) + pd.Timedelta(days=100)).sum() == 1


def test_budgets_cover_two_quarters_of_every_team_and_the_company(company: Company) -> None:
    budgets = company.budgets
    assert list(budgets.columns) == ["id", "scope", "start", "end", "amount", "currency"]
    # A team that was dissolved has no budget any more.
    spent = company.rows[company.rows["ChargePeriodStart"] >= "2026-07-03"].groupby("SubAccountName")["EffectiveCost"].sum()
    living = spent.index[spent > 0.0]
    assert len(budgets) == 2 * (len(living) + 1)
    assert budgets["id"].is_unique
    assert sorted({str(start.date()) for start in budgets["start"]}) == ["2026-10-01", "2027-01-01"]
    assert (budgets["amount"] > 0).all()
    assert set(budgets["scope"]) == {"", *(f"team={team}" for team in living)}
    # The current quarter's budget is near the run rate, not out of this world.
    recent = company.rows[company.rows["ChargePeriodStart"] >= "2026-08-01"]["EffectiveCost"].sum()
    whole = budgets.loc[(budgets["scope"] == "") & (budgets["start"] == "2026-10-01"), "amount"].item()
    assert 0.6 < whole / recent < 1.6


def test_fiscal_quarters_follow_the_start_of_the_year() -> None:
    assert fiscal_quarter(date(2026, 11, 1), 1) == ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1))
    assert fiscal_quarter(date(2026, 11, 1), 1, ahead=1) == ("2027-Q1", date(2027, 1, 1), date(2027, 4, 1))
    assert fiscal_quarter(date(2026, 11, 1), 2) == ("2027-Q4", date(2026, 11, 1), date(2027, 2, 1))
    assert fiscal_quarter(date(2026, 1, 31), 4) == ("2026-Q4", date(2026, 1, 1), date(2026, 4, 1))


def test_events_were_announced_before_they_began_and_within_the_span() -> None:
    kinds: set[str] = set()
    ahead = 0
    for seed in range(6):
        company = generate(seed, incidents=False)
        events = company.events
        kinds |= set(events["type"])
        assert (events["announced"] <= events["start"]).all()
        assert (events["announced"] < pd.Timestamp(company.end)).all()
        assert (events["effect_low"] <= events["effect"]).all()
        assert (events["effect"] <= events["effect_high"]).all()
        assert (events["end"].isna() | (events["end"] > events["start"])).all()
        assert events["name"].is_unique
        ahead += int((events["start"] >= pd.Timestamp(company.end)).sum())
    assert kinds == {"price_change", "launch", "promotion", "model_switch", "team", "shutdown"}
    assert ahead >= 1


def test_a_cutoff_changes_nothing_of_what_happens() -> None:
    one, other = generate(7, 150, 3), generate(7, 150, 3, cutoff="2026-08-20", futures=3, horizon=10)
    for name in ("rows", "incidents", "events", "budgets"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.futures is None
    assert other.futures is not None
    assert str(other.futures.start) == "2026-08-21"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"days": 59}, "days"),
        ({"days": 10**6}, "days"),
        ({"teams": 0}, "teams"),
        ({"teams": 201}, "teams"),
        ({"granularity": "W"}, "granularity"),
        ({"granularity": None}, "granularity"),
        ({"end": "2026-11-01"}, "end"),
        ({"end": date(1, 1, 5)}, "end"),
        ({"fiscal_start": 13}, "fiscal_start"),
        ({"futures": -1}, "futures"),
        ({"futures": 10_001}, "futures"),
        ({"horizon": 0}, "horizon"),
        ({"cutoff": date(2026, 11, 1)}, "cutoff"),
        ({"cutoff": date(2025, 5, 1)}, "cutoff"),
        ({"cutoff": "yesterday"}, "cutoff"),
        ({"cutoff": 500}, "cutoff"),
    ],
)
def test_impossible_arguments_are_named(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        generate(**{"seed": 1, **arguments})
    assert caught.value.field == field
    assert caught.value.got == arguments[field]
    assert caught.value.allowed
    assert field in str(caught.value)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**64), days=st.integers(60, 130), teams=st.integers(1, 5), granularity=st.sampled_from(["D", "D", "h"]))
def test_any_size_gives_a_bill_that_can_be_counted(seed: int, days: int, teams: int, granularity: Any) -> None:
    made = generate(seed, min(days, 62) if granularity == "h" else days, min(teams, 2) if granularity == "h" else teams, granularity)
    rows = made.rows
    assert np.isfinite(rows[["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]].to_numpy()).all()
    usage = rows[rows["ChargeCategory"].isin(["Usage", "Purchase"])]
    assert (usage.loc[usage["ChargeClass"].isna(), "PricingQuantity"] > 0).all()
    assert rows["ChargePeriodStart"].dt.normalize().nunique() == (made.end - made.start).days
