"""The measures of `benchmarks/scenarios.py` by hand, and all of it on one small company."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.scenario_cases import DOWN, FIXED, MOVE, PRICE, TOKENS, UP, Case, cases_of, spend_in, spend_of
from benchmarks.scenarios import PERIODS, figures, judge, realised, scored, tables, trained, true_lever

SEED, DAYS, TEAMS, FUTURES = 3, 150, 2, 4


def rows_of(realised_effects: list[float], mean: float, p10: float, p90: float, naive: float, seed: int = 1) -> pd.DataFrame:
    """One lever on money of 100, each of some effects taken for what happened."""
    table = pd.DataFrame({"realised": realised_effects, "future": range(len(realised_effects))})
    said = {"mean": mean, "p10": p10, "p50": mean, "p90": p90, "naive": naive, "spent": 100.0}
    return table.assign(**said, lever=UP, spend=TOKENS, what="product", case="one", days=28, seed=seed)


def test_errors_are_shares_of_the_scopes_money_and_the_ratio_is_of_their_medians() -> None:
    found = figures(scored(rows_of([90.0, 100.0, 110.0], mean=105.0, p10=95.0, p90=120.0, naive=80.0)))
    assert found["coverage_80"] == [pytest.approx(2 / 3, abs=1e-4)]
    assert found["error"] == [0.05]  # off by 15, 5 and 5
    assert found["error_naive"] == [0.2]  # off by 10, 20 and 30
    assert found["ratio"] == [0.25]
    assert found["error_least"] == [0.15]  # the mean of the others is 105, 100 and 95
    assert found["bias"] == [0.05]


def test_an_effect_that_is_none_and_said_to_be_none_is_right_and_says_nothing_of_intervals() -> None:
    found = figures(scored(rows_of([0.0, 0.0], mean=0.0, p10=0.0, p90=0.0, naive=100.0)))
    assert found["none_for_sure"] == 1.0
    assert found["coverage_80"] is None
    assert found["ratio"] == [0.0]
    missed = figures(scored(rows_of([0.0, 0.0], mean=50.0, p10=40.0, p90=60.0, naive=100.0)))
    assert (missed["none_for_sure"], missed["coverage_80"]) == (0.0, [0.0])


def test_figures_have_an_interval_over_companies() -> None:
    rows = pd.concat([rows_of([100.0, 110.0], mean=100.0 + 5 * seed, p10=95.0, p90=105.0, naive=80.0, seed=seed) for seed in range(5)])
    value, low, high = figures(scored(rows))["error"]
    assert low < value < high
    assert set(tables(rows, draws=0)) == {"all", "28", "28/tokens", "28/scale_up", "28/tokens/scale_up", "28/tokens/product"}


def test_a_case_names_the_same_lever_to_the_plan_and_to_the_company() -> None:
    move = Case(MOVE, TOKENS, "cheaper", "ai_model=gpt-5,service=OpenAI API", 0.6, "gpt-5-mini")
    plan = move.plan("2026-11-01")
    assert plan == {"type": MOVE, "scope": move.scope, "to": "ai_model=gpt-5-mini", "share": 0.5, "from": "2026-11-01"}
    assert true_lever(move, "2026-11-01") == plan
    assert Case(DOWN, TOKENS, "product", "team=ads", 0.5).plan("2026-11-01")["type"] == "scale_usage"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def judged(work: Path) -> pd.DataFrame:
    return judge(SEED, work, DAYS, TEAMS, FUTURES)


def test_every_lever_of_a_small_company_is_judged_on_every_period_and_future(judged: pd.DataFrame) -> None:
    assert len(judged) == judged["case"].nunique() * len(PERIODS) * FUTURES
    assert {UP, DOWN, PRICE, MOVE} == set(judged["lever"])
    assert np.isfinite(judged[["realised", "mean", "p10", "p90", "naive", "spent"]].to_numpy()).all()
    assert (judged["p10"] <= judged["p90"]).all()


def test_what_is_kept_is_not_made_again_and_gives_the_same(judged: pd.DataFrame, work: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    again = judge(SEED, work, DAYS, TEAMS, FUTURES)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), judged.drop(columns="seconds"))


def test_true_effects_are_none_for_seats_that_more_use_does_not_need_and_whole_for_their_price(judged: pd.DataFrame) -> None:
    seats = judged[(judged["spend"] == FIXED) & (judged["what"] == "licences")]
    assert (seats.loc[seats["lever"] != PRICE, "realised"] == 0.0).all()
    dearer = seats[seats["lever"] == PRICE]
    np.testing.assert_allclose(dearer["realised"], 0.2 * dearer["spent"], rtol=0.25)


def test_effects_that_are_missing_are_simulated_and_those_that_are_there_read(judged: pd.DataFrame, work: Path) -> None:
    snapshot = trained(SEED, work, DAYS, TEAMS)
    spend = spend_of(snapshot)
    first = cases_of(SEED, spend, DAYS, TEAMS)[0]
    more = Case(first.lever, first.spend, first.what, first.scope, 3.0)
    found = realised(SEED, [first, more], snapshot, work, FUTURES, TEAMS)
    np.testing.assert_allclose(found[more.id], 2.0 * found[first.id], rtol=0.1)
    assert spend_in(spend, first.scope) > 0.0
