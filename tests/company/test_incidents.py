from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from forecast.company.generate import Company, generate
from forecast.company.incident_kinds import KINDS, MONTH_DAYS, QUIET_DAYS, IncidentLaw
from forecast.company.organisation import found
from forecast.company.stretch import Streams
from forecast.errors import InputError

from .views import LEAF, daily, with_dimensions

MUCH = 25.0
"""Incidents a month where many are wanted in a small company."""


@pytest.fixture(scope="module")
def crowded() -> list[Company]:
    """Companies with so many incidents that they overlap."""
    return [generate(seed, 300, 4, incidents_a_month=2.0 * MUCH) for seed in (31, 32)]


def each(incidents: pd.DataFrame) -> list[Any]:
    """The rows of the truth, with columns as attributes."""
    return list(incidents.itertuples())


def inside(frame: pd.DataFrame, scope: str) -> pd.Series:
    chosen = pd.Series(True, index=frame.index)
    for name, value in json.loads(scope).items():
        chosen &= frame[name] == value
    return chosen


def difference(struck: Company, calm: Company) -> pd.DataFrame:
    """The bill with incidents minus the bill without, by day and leaf."""
    with_them, without = daily(with_dimensions(struck.rows), LEAF), daily(with_dimensions(calm.rows), LEAF)
    return with_them.sub(without, fill_value=0.0)


@pytest.mark.parametrize(
    ("seed", "days", "teams", "granularity", "a_month"), [(1, 548, 8, "D", 0.8), (2, 200, 3, "D", MUCH), (4, 90, 3, "D", 60.0), (3, 60, 2, "h", 60.0)]
)
def test_truth_is_the_difference_of_the_two_bills_to_the_cent(
    seed: int, days: int, teams: int, granularity: Literal["D", "h"], a_month: float
) -> None:
    struck = generate(seed, days, teams, granularity, incidents_a_month=a_month)
    calm = generate(seed, days, teams, granularity, incidents=False)
    changed = difference(struck, calm)
    leaves = changed.columns.to_frame(index=False)
    explained, remaining = pd.Series(0.0, index=changed.index), changed.copy()
    assert len(struck.incidents) > 3
    for incident in each(struck.incidents):
        assert len(incident.daily_excess) == (incident.end - incident.start).days
        assert incident.total_excess == pytest.approx(sum(incident.daily_excess), abs=0.001)
        during = (changed.index >= incident.start) & (changed.index < incident.end)
        explained[during] += np.array(incident.daily_excess)
        remaining.loc[during, inside(leaves, incident.scope).to_numpy()] = 0.0
    np.testing.assert_allclose(changed.sum(axis=1), explained, atol=0.005)
    assert float(remaining.abs().to_numpy().max()) < 1e-6, "something changed outside the scopes of the incidents"


def test_an_incident_that_overlaps_no_other_is_all_that_changed_in_its_scope() -> None:
    struck, calm = generate(1), generate(1, incidents=False)
    changed = difference(struck, calm)
    leaves = changed.columns.to_frame(index=False)
    rows = each(struck.incidents)
    alone = [one for one in rows if not any(other.id != one.id and other.start < one.end and one.start < other.end for other in rows)]
    assert len(alone) >= 3
    for incident in alone:
        during = (changed.index >= incident.start) & (changed.index < incident.end)
        found = changed.loc[during, inside(leaves, incident.scope).to_numpy()].sum(axis=1)
        np.testing.assert_allclose(found, incident.daily_excess, atol=0.005)


def test_daily_costs_are_the_sums_of_the_two_bills() -> None:
    struck, calm = generate(2, 150, 3, incidents_a_month=MUCH), generate(2, 150, 3, incidents=False)
    frame = struck.daily
    assert list(frame.columns) == [*LEAF, "ds", "cost", "cost_without_incidents"]
    for column, company in (("cost", struck), ("cost_without_incidents", calm)):
        expected = with_dimensions(company.rows).groupby([*LEAF, "day"])["cost"].sum()
        found = frame.astype(dict.fromkeys(LEAF, "str")).set_index([*LEAF, "ds"])[column]
        both = pd.concat([expected.rename("expected"), found.rename("found")], axis=1).fillna(0.0)
        np.testing.assert_allclose(both["found"], both["expected"], atol=1e-5)
    assert ((frame["cost"] != 0.0) | (frame["cost_without_incidents"] != 0.0)).all()
    assert (calm.daily["cost"] == calm.daily["cost_without_incidents"]).all()


def test_everything_but_the_incidents_is_the_same_without_them() -> None:
    struck, calm = generate(6, 90, 2, "h", incidents_a_month=4.0), generate(6, 90, 2, "h", incidents=False)
    pd.testing.assert_frame_equal(struck.budgets, calm.budgets)
    pd.testing.assert_frame_equal(struck.events, calm.events)
    assert len(struck.incidents) > 2
    assert len(calm.incidents) == 0
    assert (calm.incidents.dtypes == struck.incidents.dtypes).drop(["id", "kind", "scope"]).all()

    def untouched(company: Company) -> pd.DataFrame:
        dimensions = with_dimensions(company.rows)
        hit = np.logical_or.reduce([inside(dimensions, scope) for scope in struck.incidents["scope"]])
        return company.rows[~hit].reset_index(drop=True)

    assert len(untouched(calm)) > 1000
    pd.testing.assert_frame_equal(untouched(struck), untouched(calm))


@pytest.mark.parametrize("granularity", ["D", "h"])
def test_double_billing_is_rows_that_are_equal_in_every_column(granularity: Literal["D", "h"]) -> None:
    struck = generate(8, 100, 3, granularity, incidents_a_month=20.0)
    calm = generate(8, 100, 3, granularity, incidents=False)
    assert not calm.rows.duplicated().any()
    twice = struck.rows.duplicated(keep=False)
    doubled = struck.incidents[struck.incidents["kind"] == "double_billing"]
    assert len(doubled) > 0
    dimensions = with_dimensions(struck.rows)
    for incident in each(doubled):
        assert incident.multiple == pytest.approx(2.0, abs=0.02)
        there = inside(dimensions, incident.scope) & dimensions["day"].between(incident.start, incident.end, inclusive="left")
        usage = there & struck.rows["ChargeClass"].isna()
        assert twice[usage].mean() > 0.99


def test_missing_data_leaves_no_row(crowded: list[Company]) -> None:
    seen = 0
    for company in crowded:
        dimensions = with_dimensions(company.rows)
        for incident in each(company.incidents[company.incidents["kind"] == "missing_data"]):
            there = inside(dimensions, incident.scope) & dimensions["day"].between(incident.start, incident.end, inclusive="left")
            assert not (there & company.rows["ChargeClass"].isna()).any()
            assert incident.multiple == 0.0
            assert incident.total_excess < 0.0
            seen += 1
    assert seen > 5


def test_price_errors_leave_quantities_alone_and_retries_leave_output_alone() -> None:
    struck, calm = generate(9, 200, 3, incidents_a_month=12.0), generate(9, 200, 3, incidents=False)
    keys = ["ChargePeriodStart", "ResourceId", "SkuPriceId", "SkuMeter", "PricingCategory"]
    rows = each(struck.incidents)
    seen = set()
    for incident in rows:
        alone = not any(other.id != incident.id and other.start < incident.end and incident.start < other.end for other in rows)
        if incident.kind not in ("price_error", "retry_storm") or not alone:
            continue
        parts = []
        for company in (struck, calm):
            dimensions = with_dimensions(company.rows)
            there = inside(dimensions, incident.scope) & dimensions["day"].between(incident.start, incident.end, inclusive="left")
            parts.append(company.rows[there & company.rows["ChargeClass"].isna()].groupby(keys)[["PricingQuantity", "ContractedUnitPrice"]].sum())
        ratio = parts[0] / parts[1]
        if incident.kind == "price_error":
            assert (ratio["PricingQuantity"] == 1.0).all()
            assert (ratio["ContractedUnitPrice"] > 1.25).all()
        else:
            output = ratio.index.get_level_values("SkuMeter") == "Output Tokens"
            assert (ratio["PricingQuantity"][output] == 1.0).all()
            assert (ratio["PricingQuantity"][~output] > 1.0).all()
        seen.add(incident.kind)
    assert seen == {"price_error", "retry_storm"}


def test_all_kinds_happen_and_a_third_is_subtle(crowded: list[Company]) -> None:
    incidents = pd.concat([company.incidents for company in crowded])
    assert set(incidents["kind"]) == set(KINDS)
    n = len(incidents)
    assert n > 400
    assert abs(incidents["subtle"].mean() - 1.0 / 3.0) < 3.0 * math.sqrt(2.0 / 9.0 / n)
    assert incidents.loc[incidents["kind"] == "creeping_growth", "subtle"].all()
    costs = incidents[~incidents["kind"].isin(["usage_drop", "missing_data"])]
    assert (costs["total_excess"] > 0.0).all()
    assert (incidents.loc[incidents["kind"].isin(["usage_drop", "missing_data"]), "total_excess"] < 0.0).all()


def test_some_incidents_are_spread_over_many_keys_of_several_workloads(crowded: list[Company]) -> None:
    incidents = pd.concat([company.incidents for company in crowded])
    leaks = incidents[incidents["kind"] == "leaked_key"]
    spread = leaks[leaks["resources"] > 1]
    assert 0.15 < len(spread) / len(leaks) < 0.55
    assert spread["resources"].between(20, 40).all()
    assert {tuple(json.loads(scope)) for scope in spread["scope"]} == {("provider", "service", "team")}
    assert {tuple(json.loads(scope)) for scope in leaks.loc[leaks["resources"] == 1, "scope"]} == {tuple(sorted(LEAF))}


def test_sizes_go_from_a_third_more_of_a_large_workload_to_fifty_times_a_tiny_one(crowded: list[Company]) -> None:
    """Against what was usual in the four weeks before, counted from the bill without incidents."""
    sizes = []
    for company in crowded:
        calm = company.daily.assign(**{name: company.daily[name].astype("str") for name in LEAF})
        by_day = {}
        for incident in each(company.incidents):
            if incident.kind not in ("runaway_loop", "leaked_key", "forgotten_cluster") or len(incident.daily_excess) < 3:
                continue
            key = incident.scope
            if key not in by_day:
                by_day[key] = calm[inside(calm, key)].groupby("ds")["cost_without_incidents"].sum()
            before = by_day[key][(by_day[key].index < incident.start) & (by_day[key].index >= incident.start - pd.Timedelta(days=28))]
            usual = before.sum() / min(28, (incident.start - pd.Timestamp(company.start)).days)
            # The first and last day are parts of a day.
            sizes.append((usual, 1.0 + max(incident.daily_excess) / usual, incident.subtle))
    frame = pd.DataFrame(sizes, columns=["usual", "multiple", "subtle"])
    # Some leaves have untagged resources, so what is usual in the scope of a leaf is less than in the whole leaf.
    assert frame["multiple"].quantile(0.02) > 1.2
    assert frame.loc[frame["subtle"], "multiple"].quantile(0.9) < 2.3
    assert frame["multiple"].quantile(0.98) < 80.0
    assert frame["multiple"].max() > 35.0
    assert np.corrcoef(np.log(frame["usual"]), np.log(frame["multiple"] - 1.0))[0, 1] < -0.3


@pytest.mark.parametrize("teams", [2, 8, 32])
def test_incidents_come_as_often_as_asked_for_and_never_in_the_first_days(teams: int) -> None:
    days, seeds, a_month = 400, 20, 2.0
    count = 0
    for seed in range(seeds):
        streams = Streams(seed)
        company = found(streams, days, teams)
        drafts = IncidentLaw(company, streams, a_month).past(np.ones((len(company.leaves), days)))
        assert all(QUIET_DAYS <= draft.first_day < days for draft in drafts)
        count += len(drafts)
    expected = seeds * a_month * math.sqrt(teams / 8.0) * (days - QUIET_DAYS) / MONTH_DAYS
    assert abs(count - expected) < 4.0 * math.sqrt(expected)


def test_incidents_come_in_order_within_the_days_of_the_bill(crowded: list[Company]) -> None:
    for company in crowded:
        assert company.incidents["start"].is_monotonic_increasing
        assert (company.incidents["end"] > company.incidents["start"]).all()
        assert (company.incidents["end"] <= pd.Timestamp(company.end)).all()
        assert company.incidents["id"].is_unique
    assert len(generate(1, 60, 1, incidents_a_month=0).incidents) == 0


def test_an_incident_depends_on_no_other_and_on_no_later_day() -> None:
    streams = Streams(4)
    company = found(streams, 300, 4)
    cost = streams.of("made up").exponential(20.0, (len(company.leaves), 300))
    law = IncidentLaw(company, streams, 20.0)
    changed = cost.copy()
    changed[:, 150:] *= 3.0
    one, other = law.past(cost), law.past(changed)
    early = [draft for draft in one if draft.first_day <= 150]
    assert 10 < len(early) < len(one)
    for draft, same in zip(early, other, strict=False):
        assert (draft.number, draft.kind, draft.first_day) == (same.number, same.kind, same.first_day)
        np.testing.assert_array_equal(draft.leaves, same.leaves)
        np.testing.assert_array_equal(draft.added, same.added)
        np.testing.assert_array_equal(draft.factor, same.factor)


def test_default_company_has_about_a_dozen(company: Company) -> None:
    assert 5 <= len(company.incidents) <= 25


@pytest.mark.parametrize("rate", [-0.1, 100.5, math.nan, math.inf, "1", True, None])
def test_impossible_rates_are_named(rate: object) -> None:
    with pytest.raises(InputError) as caught:
        generate(1, 60, 1, incidents_a_month=rate)  # type: ignore[arg-type]
    assert caught.value.field == "incidents_a_month"
    assert "0 to 100" in str(caught.value)


def test_a_cutoff_changes_no_incident_and_the_past_does_not_know_the_days_after_it() -> None:
    whole, cut = generate(7, 150, 3, incidents_a_month=10.0), generate(7, 150, 3, incidents_a_month=10.0, cutoff="2026-08-20")
    pd.testing.assert_frame_equal(whole.incidents, cut.incidents)
    pd.testing.assert_frame_equal(whole.daily, cut.daily)


def test_the_resource_of_an_incident_cannot_be_told_by_its_name_or_its_being_new() -> None:
    """Resources that are new, have another region or a name of the new kind are mostly benign."""
    struck, calm = generate(3, 365), generate(3, 365, incidents=False)
    known = calm.rows.groupby("ResourceId")["ChargePeriodStart"].min()
    fresh = known[known > pd.Timestamp(calm.start) + pd.Timedelta(days=30)]
    planted = set(struck.rows["ResourceId"].dropna()) - set(calm.rows["ResourceId"].dropna())
    assert planted
    assert len(fresh) > 4 * len(planted)
    shape = r"^(key|proj|pool)-.*-[0-9a-f]{6}$"
    assert pd.Series(sorted(planted)).str.match(shape).all()
    benign = fresh.index.to_series()
    assert benign.str.match(shape).mean() > 0.6
    for prefix in {name.split("-")[0] for name in planted}:
        assert benign.str.match(f"^{prefix}-.*-[0-9a-f]{{6}}$").sum() >= 3
    regions = calm.rows.dropna(subset=["ResourceId"]).assign(base=lambda rows: rows["ResourceId"].str.replace(r"-[0-9a-f]{6}$", "", regex=True))
    assert len(regions[["base", "RegionId"]].drop_duplicates()) > regions["base"].nunique() + 10


def test_futures_have_as_many_incidents_as_what_really_came() -> None:
    shares = []
    for seed in range(14):
        company = generate(seed, 200, 3, cutoff="2026-07-23", futures=8, horizon=100, incidents_a_month=8.0)
        futures = company.futures
        assert futures is not None
        came = company.daily[company.daily["ds"] >= pd.Timestamp(futures.start)]
        actual = (came["cost"] - came["cost_without_incidents"]).sum() / came["cost_without_incidents"].sum()
        shares.append((actual, futures.incident_cost["cost"].sum() / futures.cost.sum()))
        assert futures.incident_cost["future"].nunique() == 8
        assert futures.incident_cost["day"].between(0, 99).all()
    actual_share, future_share = np.array(shares).T
    assert future_share.mean() > 0.01
    assert abs(actual_share.mean() - future_share.mean()) < 3.0 * (actual_share - future_share).std() / math.sqrt(len(shares))


def test_an_incident_that_runs_at_the_cutoff_goes_on_in_every_future() -> None:
    whole = generate(5, 150, 3, incidents_a_month=10.0)
    long = whole.incidents[(whole.incidents["kind"] == "forgotten_cluster") & ((whole.incidents["end"] - whole.incidents["start"]).dt.days > 4)]
    incident = long.iloc[-1]
    cut = generate(5, 150, 3, incidents_a_month=10.0, cutoff=(incident["start"] + pd.Timedelta(days=1)).date(), futures=20, horizon=10)
    assert cut.futures is not None
    scope = ",".join(f"{name}={value}" for name, value in json.loads(incident["scope"]).items() if value != "(none)")
    struck, calm = cut.futures.daily(scope), cut.futures.daily(scope, incidents=False)
    added = (struck - calm)[0]
    assert np.median(added) == pytest.approx(incident["daily_excess"][2], rel=0.15)
    assert (added > 0.0).all()


def test_incidents_of_futures_are_the_same_with_a_lever_and_again() -> None:
    lever = {"type": "scale_usage", "scope": "", "factor": 0.5, "from": "2026-09-05"}
    company = generate(5, 100, 2, cutoff="2026-09-01", futures=12, horizon=40, incidents_a_month=15.0, levers=[lever])
    again = generate(5, 100, 2, cutoff="2026-09-01", futures=12, horizon=40, incidents_a_month=15.0, levers=[lever])
    assert company.futures is not None
    assert company.lever_futures is not None
    assert again.futures is not None
    pd.testing.assert_frame_equal(company.futures.incident_cost, again.futures.incident_cost)
    one, other = company.futures.incident_cost, company.lever_futures.incident_cost
    keys = ["future", "day", "series"]
    both = one[one["cost"] > 0].merge(other[other["cost"] > 0], on=keys, how="left", suffixes=("", "_lever"))
    assert both["cost_lever"].notna().mean() > 0.9
    assert generate(5, 100, 2, futures=5, horizon=40, incidents=False).futures.incident_cost.empty  # type: ignore[union-attr]
