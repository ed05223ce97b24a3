"""Whether the generated company looks like real AI spend: medians over its series against those measured on real sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecast.company.generate import Company, generate

from .views import autocorrelation, daily, from_first_use, variation, with_dimensions


@pytest.fixture(scope="module")
def calm() -> pd.DataFrame:
    """Rows of three companies without their incidents."""
    parts = []
    for seed in (21, 22, 23):
        rows = with_dimensions(generate(seed, incidents=False).rows)
        parts.append(rows.assign(team=rows["team"] + f"@{seed}", resource=rows["resource"] + f"@{seed}"))
    return pd.concat(parts, ignore_index=True)


def test_developer_use_is_intermittent_bursty_and_concentrated(calm: pd.DataFrame) -> None:
    people = daily(calm[calm["resource_type"] == "API Key"], ["resource"])
    series = [values for values in (from_first_use(people[name]) for name in people.columns) if len(values) > 200]
    assert len(series) > 100
    assert 1.4 < np.median([variation(values) for values in series]) < 2.8  # real 1.92
    assert 0.22 < np.median([(values == 0.0).mean() for values in series]) < 0.42  # real 0.32
    assert 0.4 < np.median([autocorrelation(values, 1) for values in series]) < 0.75  # real 0.59
    assert 0.4 < np.median([np.sort(values)[-len(values) // 10 :].sum() / values.sum() for values in series]) < 0.7  # real 0.54
    jumps = []
    for values in series:
        usual = pd.Series(values).shift(1).rolling(28, min_periods=7).median().to_numpy()
        jumps.append(float((values > 3.0 * usual).mean()))
    assert 0.12 < np.median(jumps) < 0.40  # real 0.26: a fixed rule would fire on every fourth day


def test_gpu_serving_is_smooth_and_persistent_and_training_comes_in_campaigns(calm: pd.DataFrame) -> None:
    machines = calm[calm["meter"].str.contains("Instance Hours") & (calm["stage"] != "(none)")]
    campaigns = machines["workload"].isin(["fine-tuning", "pre-training"])
    serving = daily(machines[~campaigns & (machines["stage"] == "prod")], ["team", "workload"])
    weeks = [serving[name].to_numpy()[-28:] for name in serving.columns if (serving[name].to_numpy()[-28:] > 0).all()]
    assert np.median([variation(values) for values in weeks]) < 0.2  # real 0.09
    assert np.nanmedian([autocorrelation(from_first_use(serving[name]), 1) for name in serving.columns]) > 0.8  # real 0.94
    training = daily(machines[campaigns], ["team", "workload"])
    idle = [(from_first_use(training[name]) == 0.0).mean() for name in training.columns]
    assert 0.3 < np.median(idle) < 0.75
    total = daily(machines, ["team"]).sum(axis=1).to_numpy()
    assert (total > 0).all()


def test_api_demand_has_a_weekly_rhythm_and_no_empty_days(calm: pd.DataFrame) -> None:
    demand = calm[(calm["stage"] == "prod") & calm["meter"].str.endswith("Tokens") & (calm["workload"] != "closing-reports")]
    total = daily(demand, ["team"]).sum(axis=1)
    level = total.rolling(7, center=True).mean()
    by_weekday = (total / level).dropna().groupby(lambda day: day.weekday()).mean()
    weekend, middle = float(by_weekday.loc[[5, 6]].mean()), float(by_weekday.loc[[1, 2, 3]].mean())
    assert 0.65 < weekend / middle < 0.95
    leaves = daily(demand, ["provider", "team", "workload"])
    alive = [leaves[name].to_numpy()[-200:-100] for name in leaves.columns if (leaves[name].to_numpy()[-200:] > 0).all()]
    assert 0.2 < np.median([variation(values) for values in alive]) < 0.6  # real 0.41


def test_closing_of_the_month_is_dear(calm: pd.DataFrame) -> None:
    closing = daily(calm[calm["workload"] == "closing-reports"], ["workload"]).sum(axis=1)
    days = pd.DatetimeIndex(closing.index)
    assert closing[days.is_month_end].mean() > 4.0 * closing[(days.day > 4) & (days.day < 25)].mean()


def test_spend_grows_and_grows_in_proportion(calm: pd.DataFrame) -> None:
    total = daily(calm, ["team"]).sum(axis=1)
    assert 1.3 < total.iloc[-90:].mean() / total.iloc[:90].mean() < 3.5


def test_price_cut_shows_in_the_unit_price_from_its_day_on(company: Company) -> None:
    cut = company.events[company.events["type"] == "price_cut"].iloc[0]
    rows = company.rows[
        company.rows["SkuPriceDetails"].str.contains("|".join(f'"{model}"' for model in cut["scope"].removeprefix("ai_model=").split("|")))
    ]
    assert len(rows) > 1000
    before, after = rows[rows["ChargePeriodStart"] < cut["start"]], rows[rows["ChargePeriodStart"] >= cut["start"]]
    for price in ("ListUnitPrice", "ContractedUnitPrice"):
        old, new = before.groupby("SkuPriceId")[price].unique(), after.groupby("SkuPriceId")[price].unique()
        both = old.index.intersection(new.index)
        assert len(both) >= 3
        for sku in both:
            assert len(old[sku]) == len(new[sku]) == 1
            assert new[sku][0] == pytest.approx(old[sku][0] * cut["effect"], abs=1e-10)
    others = company.rows[company.rows["ConsumedUnit"].eq("Tokens") & ~company.rows.index.isin(rows.index)]
    assert (others.groupby("SkuPriceId")["ListUnitPrice"].agg(["min", "max"]).diff(axis=1)["max"] == 0.0).all()


def test_usage_moves_from_an_old_model_to_its_successor(company: Company) -> None:
    switches = company.events[company.events["type"] == "model_switch"]
    moved = 0
    for scope, start in zip(switches["scope"], switches["start"], strict=True):
        old, new = str(scope).removeprefix("ai_model=").split("|")
        tokens = company.rows[company.rows["ConsumedUnit"] == "Tokens"]
        of_new = tokens[tokens["SkuPriceDetails"].str.contains(f'"{new}"')]
        if len(of_new) == 0:
            continue
        assert of_new["ChargePeriodStart"].min() >= pd.Timestamp(start)
        of_old = tokens[tokens["SkuPriceDetails"].str.contains(f'"{old}"')]
        half_year_later = pd.Timestamp(start) + pd.Timedelta(days=180)
        late_new = of_new.loc[of_new["ChargePeriodStart"] >= half_year_later, "EffectiveCost"].sum()
        late_old = of_old.loc[of_old["ChargePeriodStart"] >= half_year_later, "EffectiveCost"].sum()
        if late_new + late_old > 0:
            moved += int(late_new > late_old)
    assert moved >= 1
