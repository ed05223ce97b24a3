"""Promises of SpikeDetector: causal, calibrated, neither deaf nor crying wolf for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast.anomalies.detector import SpikeDetector
from forecast.errors import InputError, NotFittedError, SchemaError

START = "2025-01-06"


def noise_panel(n_series: int = 12, n_days: int = 400, seed: int = 0) -> pd.DataFrame:
    """Weekly rhythm, growth and lognormal noise."""
    rng = np.random.default_rng(seed)
    ds = pd.date_range(START, periods=n_days)
    week = np.where(ds.day_of_week >= 5, 0.6, 1.0)
    growth = np.exp(0.001 * np.arange(n_days))
    return pd.concat(
        [
            pd.DataFrame({"unique_id": f"s{number}", "ds": ds, "y": 10.0 ** (number % 4) * week * growth * np.exp(0.1 * rng.standard_normal(n_days))})
            for number in range(n_series)
        ],
        ignore_index=True,
    )


def parts(panel: pd.DataFrame, days: int = 300) -> tuple[pd.DataFrame, pd.DataFrame]:
    cut = pd.Timestamp(START) + pd.Timedelta(days=days)
    return panel[panel["ds"] < cut], panel[panel["ds"] >= cut]


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return parts(noise_panel())[0]


@pytest.fixture(scope="module")
def fresh() -> pd.DataFrame:
    return parts(noise_panel())[1]


@pytest.fixture(scope="module")
def detector(history: pd.DataFrame) -> SpikeDetector:
    return SpikeDetector().fit(history)


def test_one_row_in_one_row_out_in_the_same_order(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    shuffled = fresh.sample(frac=1.0, random_state=1)
    scored = detector.score(shuffled)
    assert list(scored.columns) == ["unique_id", "ds", "y", "expected", "lower", "upper", "p_value", "score", "is_anomaly"]
    assert scored.index.equals(shuffled.index)
    assert (scored["y"].to_numpy() == shuffled["y"].to_numpy()).all()
    pd.testing.assert_frame_equal(scored.sort_index(), detector.score(fresh).sort_index())
    assert (scored["lower"] < scored["expected"]).all()
    assert (scored["expected"] < scored["upper"]).all()


def test_scores_are_unchanged_when_the_future_is_poisoned(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    day = fresh["ds"].min() + pd.Timedelta(days=40)
    poisoned = fresh.assign(y=fresh["y"].where(fresh["ds"] <= day, 1e9))
    before = fresh["ds"] <= day
    pd.testing.assert_frame_equal(detector.score(fresh)[before], detector.score(poisoned)[before])


def test_scoring_teaches_the_detector_nothing(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    first = detector.score(fresh)
    pd.testing.assert_frame_equal(first, detector.score(fresh))


def test_p_values_are_uniform_on_noise(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    p_values = detector.score(fresh)["p_value"]
    assert stats.kstest(p_values, "uniform").statistic < 0.06
    assert np.mean(p_values < 0.05) == pytest.approx(0.05, abs=0.025)


def test_measured_false_alarms_are_near_the_declared_ones() -> None:
    """20 companies × 100 days at 4 a month; one detector knows its rate only from ten months, so the mean is looked at."""
    found = []
    for seed in range(20):
        past, coming = parts(noise_panel(seed=seed + 100))
        scored = SpikeDetector(false_alarms_per_month=4.0).fit(past).score(coming)
        days = scored.groupby("ds")["is_anomaly"].any().to_numpy()
        found.append((days[0] + (days[1:] & ~days[:-1]).sum()) / (len(days) / 30.4))
    assert 2.5 < np.mean(found) < 5.5


@pytest.mark.parametrize("factor", [2.5, 0.2])
def test_spikes_and_drops_are_found(detector: SpikeDetector, fresh: pd.DataFrame, factor: float) -> None:
    row = fresh[(fresh["unique_id"] == "s3")].index[30]
    strange = fresh.copy()
    strange.loc[row, "y"] *= factor
    scored = detector.score(strange)
    assert scored.loc[row, "is_anomaly"]
    assert scored.loc[row, "score"] > 0.5
    assert scored.loc[row, "p_value"] < 1e-4


def test_monster_spike_leaves_neither_deafness_nor_permanent_alarm(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    rows = fresh[fresh["unique_id"] == "s2"].index
    strange = fresh.copy()
    strange.loc[rows[10], "y"] *= 1e6
    strange.loc[rows[40], "y"] *= 3.0
    scored = detector.score(strange).loc[rows]
    assert scored["is_anomaly"].iloc[10]
    assert scored["is_anomaly"].iloc[40]
    assert scored["is_anomaly"].iloc[11:40].sum() <= 2


def test_new_level_is_accepted_in_the_end(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    rows = fresh[fresh["unique_id"] == "s1"].index
    strange = fresh.copy()
    strange.loc[rows[20:], "y"] *= 4.0
    scored = detector.score(strange).loc[rows]
    assert scored["is_anomaly"].iloc[20:24].all()
    assert scored["is_anomaly"].iloc[40:].sum() <= 2


def test_flagged_day_does_not_teach(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    rows = fresh[fresh["unique_id"] == "s5"].index
    strange = fresh.copy()
    strange.loc[rows[10], "y"] *= 50.0
    missing = fresh.copy()
    missing.loc[rows[10], "y"] = np.nan
    after = rows[11:20]
    pd.testing.assert_series_equal(detector.score(strange).loc[after, "expected"], detector.score(missing).loc[after, "expected"])


def test_cents_give_the_scores_of_dollars(history: pd.DataFrame, fresh: pd.DataFrame) -> None:
    dollars = SpikeDetector().fit(history).score(fresh)
    cents = SpikeDetector().fit(history.assign(y=100 * history["y"])).score(fresh.assign(y=100 * fresh["y"]))
    np.testing.assert_allclose(cents["p_value"], dollars["p_value"], rtol=1e-6)
    np.testing.assert_allclose(cents["expected"], 100 * dollars["expected"], rtol=1e-9)


def test_missing_value_is_not_a_zero(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    rows = fresh.iloc[:3].assign(y=[np.nan, 0.0, fresh["y"].iloc[2]])
    scored = detector.score(rows)
    assert np.isnan(scored["p_value"].iloc[0])
    assert not scored["is_anomaly"].iloc[0]
    assert scored["score"].iloc[0] == 0.0
    assert scored["is_anomaly"].iloc[1]


def test_new_series_waits_and_then_speaks(detector: SpikeDetector) -> None:
    ds = pd.date_range("2026-02-01", periods=40)
    y = 100.0 + np.random.default_rng(2).normal(0, 3, 40)
    y[30] = 400.0
    scored = detector.score(pd.DataFrame({"unique_id": "new", "ds": ds, "y": y}))
    assert scored["p_value"].iloc[:8].isna().all()
    assert not scored["is_anomaly"].iloc[:8].any()
    assert scored["is_anomaly"].iloc[30]


def test_rows_of_the_history_are_scored_by_what_came_before_them(detector: SpikeDetector, history: pd.DataFrame) -> None:
    day = history["ds"].min() + pd.Timedelta(days=200)
    rows = history[history["ds"] == day]
    once = detector.score(rows)
    changed = history.assign(y=history["y"].where(history["ds"] <= day, history["y"] * 7))
    refit = SpikeDetector().fit(changed)
    # The scale of the transform and the pooled tail are fitted; the expectation before a day is not moved by later days beyond that.
    np.testing.assert_allclose(refit.score(rows)["expected"], once["expected"], rtol=0.02)


def test_second_row_of_one_day_is_scored_like_the_first(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    row = fresh.iloc[[5]]
    scored = detector.score(pd.concat([row, row], ignore_index=True))
    assert scored["p_value"].iloc[0] == scored["p_value"].iloc[1]


@pytest.mark.parametrize("freq", ["h", "W", "MS", "5min"])
def test_other_frequencies_and_negative_values(freq: str) -> None:
    rng = np.random.default_rng(9)
    ds = pd.date_range("2024-01-01", periods=160, freq=freq)
    panel = pd.DataFrame({"unique_id": "x", "ds": ds, "y": rng.normal(0.0, 1.0, 160)})
    detector = SpikeDetector(freq=freq).fit(panel.iloc[:120])
    coming = panel.iloc[120:].copy()
    coming.iloc[20, 2] = 25.0
    scored = detector.score(coming)
    assert scored["is_anomaly"].iloc[20]
    assert scored["is_anomaly"].sum() <= 4


@pytest.mark.parametrize("y", [np.zeros(100), np.full(100, 7.0)])
def test_constant_series_are_quiet_until_something_happens(y: np.ndarray) -> None:
    ds = pd.date_range("2025-01-01", periods=100)
    detector = SpikeDetector().fit(pd.DataFrame({"unique_id": "x", "ds": ds[:60], "y": y[:60]}))
    coming = y[60:].copy()
    coming[20] += 5.0
    scored = detector.score(pd.DataFrame({"unique_id": "x", "ds": ds[60:], "y": coming}))
    assert scored["is_anomaly"].tolist() == [number == 20 for number in range(40)]


def test_unfitted_detector_names_itself(fresh: pd.DataFrame) -> None:
    with pytest.raises(NotFittedError, match="SpikeDetector"):
        SpikeDetector().score(fresh)


def test_constructor_only_stores() -> None:
    assert vars(SpikeDetector(freq="h", false_alarms_per_month=2.0)) == {"freq": "h", "false_alarms_per_month": 2.0}


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rate_that_is_none_is_refused(history: pd.DataFrame, rate: float) -> None:
    with pytest.raises(InputError) as caught:
        SpikeDetector(false_alarms_per_month=rate).fit(history)
    assert caught.value.field == "false_alarms_per_month"


def test_wrong_columns_are_named(detector: SpikeDetector, fresh: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="'y'"):
        detector.score(fresh.drop(columns="y"))


def test_spend_that_was_never_negative_is_not_expected_to_be() -> None:
    rng = np.random.default_rng(4)
    days = pd.date_range("2026-01-01", periods=120)
    bursts = rng.lognormal(2, 1.5, 120) * (rng.random(120) < 0.4)
    history = pd.DataFrame({"unique_id": "bursts", "ds": days, "y": bursts})
    scored = SpikeDetector().fit(history).score(pd.DataFrame({"unique_id": ["bursts"], "ds": [days[-1] + pd.Timedelta(days=1)], "y": [3.0]}))
    assert (scored[["expected", "lower", "upper"]] >= 0).all().all()


def series_of(y: np.ndarray, freq: str = "h") -> pd.DataFrame:
    return pd.DataFrame({"unique_id": "x", "ds": pd.date_range("2026-01-01", periods=len(y), freq=freq), "y": y})


def noises(kind: str, n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(21)
    if kind == "gamma":
        return rng.gamma(4.0, 10.0, n)
    if kind == "growth":
        return 100.0 * np.exp(0.0005 * np.arange(n) + 0.1 * rng.standard_normal(n))
    if kind == "day":
        return 100.0 + 40.0 * np.sin(2 * np.pi * np.arange(n) / 24) + 5.0 * rng.standard_normal(n)
    return 50.0 + 5.0 * (rng.standard_normal(n) if kind == "normal" else rng.standard_t(4, n))


@pytest.mark.parametrize("kind", ["normal", "student", "gamma", "growth", "day"])
def test_p_values_are_uniform_and_alarms_as_rare_as_declared_on_every_kind_of_noise(kind: str) -> None:
    panel = series_of(noises(kind))
    scored = SpikeDetector(freq="h", false_alarms_per_month=2.0).fit(panel[:1000]).score(panel[1000:])
    assert stats.kstest(scored["p_value"], "uniform").statistic < 0.08
    flags = scored["is_anomaly"].to_numpy()
    months = len(flags) / (24 * 30.4)
    assert (flags[0] + (flags[1:] & ~flags[:-1]).sum()) / months <= 6.0


def test_strange_rows_score_higher_than_others() -> None:
    rng = np.random.default_rng(22)
    y = noises("day")
    strange = np.zeros(len(y), dtype=bool)
    strange[rng.choice(np.arange(1000, len(y)), 60, replace=False)] = True
    y[strange] *= rng.choice([0.5, 1.6], 60)
    scored = SpikeDetector(freq="h").fit(series_of(y)[:1000]).score(series_of(y)[1000:])
    ranks = stats.rankdata(scored["score"])
    hits = strange[1000:]
    area = (ranks[hits].sum() - hits.sum() * (hits.sum() + 1) / 2) / (hits.sum() * (~hits).sum())
    assert area > 0.95


def test_spike_among_days_of_nothing_is_not_lost_on_a_logarithmic_scale() -> None:
    rng = np.random.default_rng(23)
    y = np.where(rng.random(300) < 0.5, 0.0, rng.gamma(4.0, 10.0, 300))
    y[250] = 800.0
    scored = SpikeDetector().fit(series_of(y, "D")[:200]).score(series_of(y, "D")[200:])
    assert scored["p_value"].iloc[50] < 1e-4
    assert scored["p_value"].drop(scored.index[50]).min() > 1e-3


def test_monster_in_a_short_history_does_not_make_deaf() -> None:
    y = np.random.default_rng(24).normal(50.0, 2.0, 500)
    calm = SpikeDetector(freq="h").fit(series_of(y)[:300])
    y[150] = 50_000.0
    y[400] = 90.0
    found = SpikeDetector(freq="h").fit(series_of(y)[:300])
    assert found.threshold_ < 1.5 * calm.threshold_
    assert found.score(series_of(y)[300:])["is_anomaly"].to_numpy().nonzero()[0].tolist() == [100]


def test_largest_values_that_are_costs_are_scored_without_a_warning() -> None:
    y = np.random.default_rng(25).normal(50.0, 2.0, 200)
    coming = series_of(np.concatenate([y, [1e18, -1e18, 50.0]]))[200:]
    scored = SpikeDetector(freq="h").fit(series_of(y)).score(coming)
    assert scored["is_anomaly"].tolist() == [True, True, False]
    assert np.isfinite(scored[["expected", "lower", "upper"]].to_numpy()).all()
