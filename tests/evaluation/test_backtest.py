"""Rolling-origin backtest: no leak, totals of parents from summed paths, the record that answers carry."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.evaluation.backtest import Backtest, backtest
from forecast.evaluation.cutoffs import rolling_cutoffs, season_of
from forecast.paths import SpendPaths
from forecast.spend.hierarchy import Hierarchy
from tests.evaluation.tiny import WeekdayBootstrap, make_panel
from tests.oracles import metrics as slow

LAST = "2026-10-31"
CUTOFFS = rolling_cutoffs(LAST, 4, 28, 28)


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, Hierarchy]:
    return make_panel()


@pytest.fixture(scope="module")
def result(data: tuple[pd.DataFrame, Hierarchy]) -> Backtest:
    panel, hierarchy = data
    return backtest(WeekdayBootstrap(), panel, cutoffs=CUTOFFS, totals=(7, 28, 91), n_paths=200, seed=3, hierarchy=hierarchy)


def pick(rows: pd.DataFrame, cutoff: pd.Timestamp, days: int, node: str) -> dict[str, Any]:
    """The one row of a node's total."""
    chosen = rows[(rows["cutoff"] == cutoff) & (rows["days"] == days) & (rows["unique_id"] == node)]
    assert len(chosen) == 1
    return {str(name): value for name, value in chosen.iloc[0].items()}


def test_rows_hold_every_leaf_and_node_at_every_cutoff(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    _, hierarchy = data
    per_cutoff = len(hierarchy.leaf_ids) + len(hierarchy.nodes)
    assert result.rows.groupby(["cutoff", "days"]).size().to_dict() == {
        (cutoff, days): per_cutoff for cutoff in CUTOFFS for days in (7, 28, 91) if cutoff + pd.Timedelta(days=days) <= pd.Timestamp(LAST)
    }
    assert set(result.rows["unique_id"]) == {*hierarchy.leaf_ids, *hierarchy.node_ids}


def test_actuals_are_sums_of_the_days_after_the_cutoff(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    panel, hierarchy = data
    cutoff = CUTOFFS[1]
    inside = panel[(panel["ds"] > cutoff) & (panel["ds"] <= cutoff + pd.Timedelta(days=7))]
    rows = result.rows[(result.rows["cutoff"] == cutoff) & (result.rows["days"] == 7)].set_index("unique_id")
    assert rows.loc["company", "actual"] == pytest.approx(inside["y"].sum())
    leaf = hierarchy.leaf_ids[2]
    assert rows.loc[leaf, "actual"] == pytest.approx(inside.loc[inside["unique_id"] == leaf, "y"].sum())
    team = str(hierarchy.leaves["team"].iloc[0])
    members = hierarchy.leaves.index[hierarchy.leaves["team"] == team]
    assert rows.loc[f"team={team}", "actual"] == pytest.approx(inside.loc[inside["unique_id"].isin(members), "y"].sum())


def test_rows_equal_what_a_loop_over_paths_finds(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    panel, hierarchy = data
    cutoff, days = CUTOFFS[-1], 28
    forecaster = WeekdayBootstrap().fit(panel[panel["ds"] <= cutoff])
    seed = int(np.random.SeedSequence([3, int(cutoff.timestamp())]).generate_state(1)[0])
    paths = forecaster.simulate(91, 200, seed)
    asked = {"company": list(hierarchy.leaf_ids), hierarchy.leaf_ids[0]: [hierarchy.leaf_ids[0]]}
    for node, leaves in asked.items():
        places = [paths.ids.index(leaf) for leaf in leaves]
        samples = [float(sum(paths.values[place, :days, path].astype(np.float64).sum() for place in places)) for path in range(200)]
        row = pick(result.rows, cutoff, days, node)
        assert row["mean"] == pytest.approx(sum(samples) / 200, rel=1e-9)
        for level in (0.025, 0.1, 0.5, 0.9):
            assert row[f"q{level:g}"] == pytest.approx(slow.quantile(samples, level), rel=1e-9)
        assert row["pit"] == pytest.approx(slow.pit(row["actual"], samples))
        assert row["crps"] == pytest.approx(slow.crps(row["actual"], samples), rel=1e-9)
        assert row["overrun_probability"] == pytest.approx(sum(value > row["run_rate"] for value in samples) / 200)


def test_run_rate_and_seasonal_naive_are_the_last_four_weeks_and_the_last_week(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    panel, _ = data
    cutoff = CUTOFFS[0]
    daily = panel[panel["ds"] <= cutoff].groupby("ds")["y"].sum()
    row = pick(result.rows, cutoff, 28, "company")
    assert row["run_rate"] == pytest.approx(daily.iloc[-28:].mean() * 28)
    assert row["seasonal_naive"] == pytest.approx(daily.iloc[-7:].sum() * 28 / 7)


def test_nothing_after_the_cutoff_leaks_into_a_forecast(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    panel, hierarchy = data
    for cutoff in CUTOFFS:
        poisoned = panel.assign(y=panel["y"].where(panel["ds"] <= cutoff, 1e9))
        again = backtest(WeekdayBootstrap(), poisoned, cutoffs=[cutoff], n_paths=200, seed=3, hierarchy=hierarchy, truth=panel)
        expected = result.rows[result.rows["cutoff"] == cutoff].reset_index(drop=True)
        pd.testing.assert_frame_equal(again.rows, expected)


class _Leaky(WeekdayBootstrap):
    """A mutant: it looks one period beyond its panel, through a class attribute that holds everything."""

    everything: pd.DataFrame

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: pd.DataFrame | None = None) -> _Leaky:
        super().fit(panel, hierarchy)
        later = self.everything[self.everything["ds"] > self.last_]
        self.blocks_ = self.blocks_ * float(later["y"].mean()) / float(panel["y"].mean())
        return self


def test_the_leak_guard_catches_a_forecaster_that_looks_ahead(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    cutoff = CUTOFFS[0]
    means = []
    for shown in (panel, panel.assign(y=panel["y"].where(panel["ds"] <= cutoff, 1e9))):
        _Leaky.everything = shown
        means.append(backtest(_Leaky(), shown, cutoffs=[cutoff], totals=(7,), n_paths=50, hierarchy=hierarchy, truth=panel).rows["mean"].sum())
    assert means[0] != means[1]


def test_totals_without_complete_actuals_are_left_out(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    cutoff = pd.Timestamp(LAST) - pd.Timedelta(days=10)
    holed = panel.copy()
    leaf = hierarchy.leaf_ids[0]
    holed.loc[(holed["unique_id"] == leaf) & (holed["ds"] == cutoff + pd.Timedelta(days=3)), "y"] = np.nan
    rows = backtest(WeekdayBootstrap(), holed, cutoffs=[cutoff], totals=(2, 7, 28), n_paths=50, hierarchy=hierarchy).rows
    assert set(rows["days"]) == {2, 7}
    assert leaf in set(rows.query("days == 2")["unique_id"])
    assert not {leaf, "company"} & set(rows.query("days == 7")["unique_id"])


def test_a_series_without_spend_so_far_is_not_shown_and_counts_above(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    cutoff, leaf = CUTOFFS[-1], hierarchy.leaf_ids[0]
    born_later = panel.assign(y=panel["y"].where((panel["unique_id"] != leaf) | (panel["ds"] > cutoff), 0.0))
    rows = backtest(WeekdayBootstrap(), born_later, cutoffs=[cutoff], totals=(7,), n_paths=50, hierarchy=hierarchy).rows.set_index("unique_id")
    assert rows.loc[leaf, "mean"] == 0
    assert float(rows["actual"].loc[leaf]) > 0
    others = [other for other in hierarchy.leaf_ids if other != leaf]
    assert rows.loc["company", "mean"] == pytest.approx(rows.loc[others, "mean"].sum())
    assert rows.loc["company", "actual"] == pytest.approx(rows.loc[list(hierarchy.leaf_ids), "actual"].sum())


def test_an_executor_and_the_order_of_cutoffs_change_nothing(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    panel, hierarchy = data
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        again = backtest(
            WeekdayBootstrap(),
            panel.sample(frac=1.0, random_state=1),
            cutoffs=CUTOFFS[::-1],
            n_paths=200,
            seed=3,
            hierarchy=hierarchy,
            executor=pool,
            progress=lambda done, total: seen.append((done, total)),
        )
    pd.testing.assert_frame_equal(again.rows, result.rows)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_parameters_reach_the_clone_and_the_given_forecaster_stays_unfitted(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, _ = data
    wide, narrow = WeekdayBootstrap(width=3.0), WeekdayBootstrap(width=0.1)
    spread = [
        (rows["q0.9"] - rows["q0.1"]).sum()
        for rows in (backtest(model, panel, cutoffs=CUTOFFS[-1:], totals=(7,), n_paths=100).rows for model in (wide, narrow))
    ]
    assert spread[0] > 5 * spread[1]
    assert not hasattr(wide, "blocks_")


def test_record_is_plain_data_and_agrees_with_the_rows(data: tuple[pd.DataFrame, Hierarchy], result: Backtest) -> None:
    _, hierarchy = data
    record = json.loads(json.dumps(result.record(), allow_nan=False))
    assert record["horizon_days"] == 28
    assert record["cutoffs"] == 4
    assert set(record["nodes"]) == {*hierarchy.node_ids, *hierarchy.leaf_ids}
    rows = result.rows.query("unique_id == 'company' and days == 28")
    company = record["nodes"]["company"]
    assert company["wape"] == pytest.approx(slow.wape(rows["actual"], rows["mean"]))
    assert company["bias"] == pytest.approx(slow.bias(rows["actual"], rows["mean"]))
    assert company["coverage_80"] == pytest.approx(slow.coverage(rows["actual"], rows["q0.1"], rows["q0.9"]))
    assert company["grade"] in {"run", "walk", "crawl", "pre-crawl"}
    assert record["naive"]["company"]["run_rate"] == pytest.approx(slow.wape(rows["actual"], rows["run_rate"]))
    assert set(record["horizons"]) == {"7", "28", "91"}
    assert set(record["levels"]) >= {"leaf", "company", "team", "provider,service"}


def test_summary_equals_its_slow_twin(result: Backtest) -> None:
    rows = result.rows.query("level == 'leaf' and days == 28")
    line = result.summary(["level", "days"]).query("level == 'leaf' and days == 28").iloc[0]
    assert line["wape"] == pytest.approx(slow.wape(rows["actual"], rows["mean"]))
    assert line["coverage_95"] == pytest.approx(slow.coverage(rows["actual"], rows["q0.025"], rows["q0.975"]))
    assert line["scaled_crps"] == pytest.approx(sum(rows["crps"]) / sum(rows["actual"]))
    happened = [float(a > r) for a, r in zip(rows["actual"], rows["run_rate"], strict=True)]
    assert line["brier"] == pytest.approx(slow.brier_score(rows["overrun_probability"].tolist(), happened))
    assert line["skill"] == pytest.approx(1 - slow.wape(rows["actual"], rows["mean"]) / slow.wape(rows["actual"], rows["seasonal_naive"]))


def test_a_series_that_costs_nothing_does_not_count_as_covered(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    ended = panel.assign(y=panel["y"].where(panel["unique_id"] != hierarchy.leaf_ids[0], 0.0))
    without = panel[panel["unique_id"] != hierarchy.leaf_ids[0]]
    found = [
        backtest(WeekdayBootstrap(), frame, cutoffs=CUTOFFS, totals=(28,), n_paths=100).summary(["days"])["coverage_80"].iloc[0]
        for frame in (ended, without)
    ]
    assert found[0] == found[1]


def test_no_cutoffs_give_an_empty_table_and_a_record_that_says_so(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    empty = backtest(WeekdayBootstrap(), panel, cutoffs=[], hierarchy=hierarchy)
    record = empty.record()
    assert (record["cutoffs"], record["nodes"], record["horizon_days"]) == (0, {}, 0)
    assert "too short" in record["method"]
    assert empty.summary().empty


def test_record_falls_back_to_the_longest_total_that_history_allows(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    short = backtest(WeekdayBootstrap(), panel, cutoffs=rolling_cutoffs(LAST, 2, 7, 7), totals=(7, 28), n_paths=50, hierarchy=hierarchy)
    assert short.record()["horizon_days"] == 7


def test_series_that_end_before_the_cutoff_start_their_own_horizon() -> None:
    """A forecaster whose horizon starts after each series' own last row is still asked for the same days."""
    panel, _ = make_panel(n_leaves=3)
    late = sorted(set(panel["unique_id"]))[0]
    cutoff = CUTOFFS[-1]
    gap = panel[(panel["unique_id"] != late) | (panel["ds"] <= cutoff - pd.Timedelta(days=3)) | (panel["ds"] > cutoff)]
    rows = backtest(_OwnEnds(), gap, cutoffs=[cutoff], totals=(7,), n_paths=2).rows.set_index("unique_id")
    # the mutant-proof forecaster costs (steps since its own start) a day: three days were unseen, so days 4..10 are asked for
    assert rows.loc[late, "mean"] == sum(range(4, 11))
    assert rows["mean"].drop(late).unique().tolist() == [sum(range(1, 8))]


class _OwnEnds(WeekdayBootstrap):
    def simulate(self, horizon: int, n_paths: int = 1000, seed: int = 0) -> SpendPaths:
        edges = np.stack([pd.date_range(last, periods=horizon + 2)[1:].to_numpy().astype("datetime64[ns]") for last in self.lasts_])
        values = np.broadcast_to(np.arange(1, horizon + 1, dtype=np.float32)[None, :, None], (len(self.ids_), horizon, n_paths))
        return SpendPaths(self.ids_, edges[:, :-1], edges[:, 1:], np.ascontiguousarray(values))

    def fit(self, panel: pd.DataFrame, hierarchy: Hierarchy | None = None, events: pd.DataFrame | None = None) -> _OwnEnds:
        super().fit(panel)
        self.lasts_ = panel.groupby("unique_id")["ds"].max().loc[list(self.ids_)].tolist()
        return self


def test_backtest_works_on_hours() -> None:
    rng = np.random.default_rng(0)
    ds = pd.date_range("2026-01-01", periods=24 * 30, freq="h")
    panel = pd.DataFrame({"unique_id": "gpu", "ds": ds, "y": rng.gamma(5.0, 1.0, len(ds))})
    cutoffs = rolling_cutoffs(ds[-1], 2, 24, 48, freq="h")
    rows = backtest(WeekdayBootstrap(freq="h"), panel, cutoffs=cutoffs, totals=(24, 48), n_paths=50, freq="h").rows
    assert len(rows) == 4
    assert rows["seasonal_naive"].iloc[0] == pytest.approx(panel.set_index("ds")["y"].loc[: cutoffs[0]].iloc[-24:].sum())


def test_cutoffs_leave_a_complete_horizon_and_enough_history() -> None:
    assert [str(day.date()) for day in rolling_cutoffs("2026-03-31", 3, 28, 28)] == ["2026-01-06", "2026-02-03", "2026-03-03"]
    assert rolling_cutoffs("2026-03-31", 6, 28, 28, first="2026-02-01", least_history=14) == [pd.Timestamp("2026-03-03")]
    assert rolling_cutoffs("2026-03-31", 6, 28, 28, first="2026-03-20") == []
    assert [season_of(freq) for freq in ("D", "h", "W-SUN", "MS", "5min")] == [7, 24, 52, 12, 1]


@pytest.mark.parametrize(("n", "step", "horizon"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_cutoffs_that_cannot_be_are_refused(n: int, step: int, horizon: int) -> None:
    with pytest.raises(InputError, match="allowed is 1 or more"):
        rolling_cutoffs("2026-03-31", n, step, horizon)


def test_wrong_questions_are_refused(data: tuple[pd.DataFrame, Hierarchy]) -> None:
    panel, hierarchy = data
    with pytest.raises(InputError, match="is not a period of the data"):
        backtest(WeekdayBootstrap(), panel, cutoffs=["2030-01-01"])
    with pytest.raises(InputError, match="whole numbers from 1"):
        backtest(WeekdayBootstrap(), panel, cutoffs=CUTOFFS, totals=(0,))
    with pytest.raises(InputError, match="different series"):
        backtest(WeekdayBootstrap(), panel[panel["unique_id"] != hierarchy.leaf_ids[0]], cutoffs=CUTOFFS, hierarchy=hierarchy)
    with pytest.raises(InputError, match="columns of the backtest"):
        backtest(WeekdayBootstrap(), panel, cutoffs=CUTOFFS[:1], totals=(7,), n_paths=10).summary(["tema"])
