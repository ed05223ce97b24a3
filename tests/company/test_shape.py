"""Whether the generated company looks like real AI spend: medians over its series against those measured on real sets.

The real figures are those of docs/reference/company.md, measured by the same functions over windows as long as the real sets.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.company_realism import (
    PAGE,
    SCENARIO,
    WINDOWS,
    Panel,
    company_tables,
    model_lives,
    month_factors,
    rendered,
    rule_errors,
    shape,
    side_by_side,
    weekly_change,
)
from forecast.company.generate import generate

from .views import daily, with_dimensions

SEEDS = (21, 22, 23)

BANDS: dict[str, dict[str, tuple[float | None, float, float]]] = {
    # (real, least, most); real None: not published.
    "gpu_cluster": {
        "cv": (0.18, 0.12, 0.24),
        "zero_share": (0.0, 0.0, 0.0),
        "lag_1": (0.71, 0.55, 0.82),  # 0.63 to 0.80
        "lag_7": (0.33, -0.15, 0.70),  # −0.03 to 0.69
        "weekly": (0.14, 0.10, 0.30),
        "jumps_per_100": (0.0, 0.0, 1.0),
        "top_tenth": (0.12, 0.10, 0.15),
    },
    "gpu_team": {
        "cv": (0.44, 0.30, 0.57),
        "zero_share": (0.03, 0.0, 0.08),
        "lag_1": (0.47, 0.35, 0.64),
        "lag_7": (0.12, -0.15, 0.24),
        "weekly": (0.26, 0.17, 0.35),
        "jumps_per_100": (0.0, 0.0, 2.0),
        "top_tenth": (0.15, 0.11, 0.20),
    },
    "inference_service": {
        "cv": (0.09, 0.05, 0.12),
        "zero_share": (0.0, 0.0, 0.0),
        "lag_1": (0.94, 0.82, 0.98),
        "lag_7": (0.46, 0.26, 0.58),
        "weekly": (0.23, 0.15, 0.31),
        "jumps_per_100": (0.0, 0.0, 0.0),
        "top_tenth": (0.11, 0.10, 0.14),
    },
    "gpu_class": {
        "cv": (0.70, 0.52, 0.88),
        "zero_share": (0.17, 0.08, 0.26),
        "lag_1": (0.44, 0.32, 0.58),
        "lag_7": (-0.02, -0.14, 0.10),
        "weekly": (0.20, 0.14, 0.28),
        "jumps_per_100": (1.8, 0.0, 5.0),
        "top_tenth": (0.20, 0.15, 0.26),
    },
    "llm_user": {
        "cv": (1.92, 1.4, 2.5),
        "zero_share": (0.32, 0.24, 0.40),
        "lag_1": (0.59, 0.47, 0.71),
        "lag_7": (0.25, 0.13, 0.40),
        "weekly": (0.15, 0.07, 0.20),
        "weekly_above_shuffled": (0.07, 0.03, 0.12),
        "jumps_per_100": (26.0, 17.0, 35.0),
        "top_tenth": (0.54, 0.40, 0.68),
    },
    "llm_user_model": {
        "cv": (4.1, 3.0, 5.5),
        "zero_share": (0.90, 0.84, 0.95),
        "lag_1": (0.29, 0.17, 0.47),
        "lag_7": (0.15, 0.03, 0.27),
        "weekly": (0.09, 0.02, 0.14),
        "top_tenth": (1.0, 0.9, 1.0),
    },
    "api_demand": {
        "cv": (0.41, 0.29, 0.53),
        "zero_share": (0.0, 0.0, 0.0),
        "lag_1": (0.39, 0.27, 0.51),
        "lag_7": (0.15, 0.0, 0.27),
        "weekly": (0.40, 0.30, 0.50),
        "weekly_above_shuffled": (0.12, 0.06, 0.18),
        "jumps_per_100": (0.0, 0.0, 0.0),
        "top_tenth": (0.17, 0.13, 0.22),
    },
}


@pytest.fixture(scope="module")
def bills() -> list[pd.DataFrame]:
    """Rows of three companies without their incidents."""
    return [generate(seed, incidents=False).rows for seed in SEEDS]


@pytest.fixture(scope="module")
def companies(bills: list[pd.DataFrame]) -> list[dict[str, pd.DataFrame]]:
    return [company_tables(rows) for rows in bills]


@pytest.fixture(scope="module")
def tables(companies: list[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    return side_by_side(companies)


@pytest.mark.parametrize("regime", list(BANDS))
def test_each_regime_has_the_statistics_of_its_real_set(tables: dict[str, pd.DataFrame], regime: str) -> None:
    found = shape(Panel(tables[regime], WINDOWS[regime]))
    missed = {
        name: f"{found[name]} is not from {least} to {most} (real {real})"
        for name, (real, least, most) in BANDS[regime].items()
        if not least - 1e-9 <= found[name] <= most + 1e-9
    }
    assert not missed


def test_gpu_pools_and_token_spend_are_two_regimes(tables: dict[str, pd.DataFrame]) -> None:
    """A fixed rule of three times the usual spend never fires on the first kind and all the time on the second."""
    pools, users = (shape(Panel(tables[name], WINDOWS[name])) for name in ("inference_service", "llm_user"))
    assert users["cv"] > 10.0 * pools["cv"]
    assert pools["jumps_per_100"] == 0.0
    assert users["jumps_per_100"] > 15.0


def test_simple_rules_err_as_they_do_on_real_spend(tables: dict[str, pd.DataFrame]) -> None:
    cluster, user, model = (rule_errors(Panel(tables[name], 200)) for name in ("gpu_cluster", "llm_user", "llm_user_model"))
    assert 0.06 < cluster["last_7"] < 0.20  # real 0.07 to 0.13
    assert 0.06 < cluster["last_28"] < 0.20  # real 0.08 to 0.10
    assert 0.45 < user["last_7"] < 0.80  # real 0.48
    assert 0.45 < user["last_28"] < 0.85  # real 0.56, of the users in the folder 0.83
    assert 0.9 < model["last_7"] < 1.5  # real 0.96 to 1.5: a user's total is easier than its models
    assert model["last_7"] > 1.3 * user["last_7"]


def test_one_month_of_a_user_can_be_many_times_another(tables: dict[str, pd.DataFrame]) -> None:
    factors = month_factors(Panel(tables["llm_user"], WINDOWS["llm_user"]))
    assert 3.0 < factors["median"] < 30.0
    assert 8.0 < factors["centile_90"] < 100.0


def test_models_come_and_go_in_a_users_bill(tables: dict[str, pd.DataFrame]) -> None:
    assert 7.0 < model_lives(Panel(tables["llm_user_model"], WINDOWS["llm_user_model"])) < 130.0  # real 7.5 to 44: missed, see the documentation


def test_api_total_moves_less_than_the_market_and_one_product_more(companies: list[dict[str, pd.DataFrame]]) -> None:
    for tables in companies:
        demand = tables["api_demand"]
        alive = [name for name in demand.columns if (demand[name].iloc[-200:] > 0.0).all()]
        assert 0.08 < weekly_change(demand) < 0.22  # a market's 0.22 has no price negotiated and no plan behind it
        assert 0.18 < np.median([weekly_change(demand[[name]].iloc[-200:]) for name in alive]) < 0.45


def test_a_cloud_outage_leaves_a_down_spike_of_a_day(companies: list[dict[str, pd.DataFrame]]) -> None:
    spikes = 0
    for tables in companies:
        for values in (tables["inference_service"][name].to_numpy() for name in tables["inference_service"].columns):
            usual = pd.Series(values).rolling(7, center=True).median().to_numpy()
            low = (values < 0.6 * usual) & (usual > 0.0)
            # Back to normal on the day after.
            spikes += int((low[1:-1] & (values[2:] > 0.8 * usual[2:]) & (values[:-2] > 0.8 * usual[:-2])).sum())
    pools = sum(tables["inference_service"].shape[1] for tables in companies)
    assert 0.3 * pools < spikes < 6.0 * pools


def test_api_demand_is_lower_at_weekends_and_never_zero(companies: list[dict[str, pd.DataFrame]]) -> None:
    for tables in companies:
        total = tables["api_demand"].sum(axis=1)
        assert (total > 0.0).all()
        by_weekday = (total / total.rolling(7, center=True).mean()).dropna().groupby(lambda day: day.weekday()).mean()
        assert 0.6 < float(by_weekday.loc[[5, 6]].mean()) / float(by_weekday.loc[[1, 2, 3]].mean()) < 0.9


def test_closing_of_the_month_is_dear(bills: list[pd.DataFrame]) -> None:
    rows = pd.concat([with_dimensions(rows) for rows in bills])
    closing = daily(rows[rows["workload"] == "closing-reports"], ["workload"]).sum(axis=1)
    days = pd.DatetimeIndex(closing.index)
    assert closing[days.is_month_end].mean() > 4.0 * closing[(days.day > 4) & (days.day < 25)].mean()


def test_spend_grows_in_proportion_and_has_the_announced_size(bills: list[pd.DataFrame]) -> None:
    for rows in bills:
        total = rows.groupby("ChargePeriodStart")["EffectiveCost"].sum()
        assert 1.3 < total.iloc[-90:].mean() / total.iloc[:90].mean() < 3.5
        assert 1.9e6 < total.sum() / 548 * 365 < 3.5e6


def test_documented_figures_are_the_recorded_ones() -> None:
    recorded = json.loads((PAGE.parents[2] / "benchmarks" / "company_realism.json").read_text())[SCENARIO]
    text = PAGE.read_text(encoding="utf-8")
    assert rendered(text, recorded) == text, "run: python benchmarks/company_realism.py"
