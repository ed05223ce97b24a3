"""`benchmarks/labelled_anomalies.py`: its ways of counting on rows worked out by hand, thresholds without labels, and a tiny made-up run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.labelled_anomalies import is_for_development, judged, load, rules, run
from benchmarks.labelled_measures import LONG, TOLERANCE, alarms, counted, runs, summary, threshold_for
from benchmarks.labelled_methods import CALIBRATED, METHODS, Series


def at(*rows: int, n: int = 100) -> NDArray[np.bool_]:
    found = np.zeros(n, dtype=bool)
    found[list(rows)] = True
    return found


def test_runs_are_first_and_last_rows_and_short_gaps_do_not_part_them() -> None:
    assert runs(at(3, 4, 6, 12)) == [(3, 4), (6, 6), (12, 12)]
    assert runs(at(3, 4, 6, 12), gap=1) == [(3, 6), (12, 12)]
    assert runs(at()) == []


def test_one_flag_in_a_window_is_one_row_one_event_and_all_rows_after_adjustment() -> None:
    found = counted(at(32), at(*range(30, 40)))
    assert found.rows == (1, 9, 0)
    assert found.adjusted == (10, 0, 0)
    assert found.events == (1, 0, 0)
    assert found.delays == (2,)


def test_flag_just_beside_a_window_is_its_event_but_a_wrong_row() -> None:
    labels = at(*range(30, 40))
    late, too_late = counted(at(39 + TOLERANCE), labels), counted(at(40 + TOLERANCE), labels)
    assert (late.events, late.rows, late.adjusted) == ((1, 0, 0), (0, 10, 1), (0, 10, 1))
    assert too_late.events == (0, 1, 1)


def test_labelled_runs_near_each_other_are_one_window_and_false_flags_near_each_other_one_alarm() -> None:
    assert counted(at(), at(30, 31, 32 + TOLERANCE)).events == (0, 1, 0)
    assert counted(at(50, 51 + TOLERANCE, 80), at()).events == (0, 0, 2)


def test_flagging_everything_is_not_precise() -> None:
    found = counted(np.ones(1000, dtype=bool), at(500, n=1000))
    assert found.events == (1, 0, sum(-(-part // LONG) for part in (500 - TOLERANCE, 499 - TOLERANCE)))
    assert summary([found])["events"]["precision"] < 0.03


def test_summary_adds_series_up() -> None:
    found = summary([counted(at(32), at(30, 31, 32)), counted(at(70), at(10))])
    assert found["events"] == {"found": 1, "missed": 1, "false": 1, "precision": 0.5, "recall": 0.5, "f1": pytest.approx(0.5)}
    assert found["median_delay_rows"] == 2.0


def test_threshold_is_the_lowest_one_that_is_quiet_enough_from_above() -> None:
    scores = np.random.default_rng(1).random((3, 400))
    found = threshold_for(list(scores), 6.0)
    assert sum(alarms(one >= found) for one in scores) <= 6
    next_lower = np.max(scores[scores < found])
    assert sum(alarms(one >= next_lower) for one in scores) > 6


def test_threshold_of_a_constant_series_is_not_one_alarm_over_all_of_it() -> None:
    assert threshold_for([np.zeros(500)], 1.0) > 0.0


def test_threshold_passes_over_rows_that_have_no_score() -> None:
    scores = np.array([np.nan, 1.0, 2.0, np.nan, 3.0, *[0.0] * 20])
    assert threshold_for([scores], 0.1) <= 3.0


def made_up(folder: Path) -> Path:
    """Two hourly series with a spike in the judged part, one of them with a repeated stamp; one of nothing but noise, in seconds, no stamps."""
    rng = np.random.default_rng(2)
    parts = []
    for name, spikes in (("made-up/a", [300, 400]), ("made-up/b", [330])):
        y = rng.normal(50.0, 2.0, 480)
        y[spikes] += 60.0
        label = np.zeros(480, dtype=int)
        label[spikes] = 1
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range("2026-01-01", periods=480, freq="h"), "y": y, "label": label}))
    parts.append(parts[0].iloc[[5]].assign(y=9e9))
    pd.concat(parts).to_parquet(folder / "ms_cloud_monitoring.parquet")
    quiet = pd.DataFrame({"unique_id": "quiet", "t": 300 * np.arange(480), "y": rng.normal(0.0, 1.0, 480), "label": 0})
    quiet.to_parquet(folder / "merlion_synthetic.parquet")
    return folder


def test_plain_spikes_are_found_by_every_method_and_no_rule_reads_a_label(tmp_path: Path) -> None:
    corpus = load(made_up(tmp_path), "ms_cloud_monitoring")
    assert {name: (one.freq, len(one.values)) for name, one in corpus.items()} == {"made-up/a": ("h", 480), "made-up/b": ("h", 480)}
    assert load(tmp_path, "merlion_synthetic")["quiet"].freq == "5min"
    found = run(corpus, None, tmp_path)
    assert set(found) == set(METHODS)
    for method, parts in found.items():
        total = sum(parts[part]["set_1_in_1000"]["events"]["found"] for part in ("development", "aside"))
        assert total == 3 if method == "spike_detector" else total >= 2, method


@pytest.mark.parametrize("name", METHODS)
def test_neither_scores_nor_rules_read_a_label(name: str, tmp_path: Path) -> None:
    series = load(made_up(tmp_path), "ms_cloud_monitoring")["made-up/a"]
    blind = Series(series.name, series.freq, series.times, series.values, ~series.labels)
    flags, other = (rules({"a": one}, {"a": METHODS[name](one)}) for one in (series, blind))
    for rule in flags:
        np.testing.assert_array_equal(flags[rule]["a"], other[rule]["a"])


@pytest.mark.parametrize("name", METHODS)
def test_scores_do_not_change_when_the_future_is_poisoned(name: str, tmp_path: Path) -> None:
    series = load(made_up(tmp_path), "ms_cloud_monitoring")["made-up/a"]
    values = series.values.copy()
    cut = 320
    assert cut > series.cut(CALIBRATED)
    values[cut:] = 1e6
    poisoned = Series(series.name, series.freq, series.times, values, series.labels)
    first, second = METHODS[name](series), METHODS[name](poisoned)
    np.testing.assert_array_equal(first.scores[:cut], second.scores[:cut])
    assert np.isfinite(first.scores[series.cut(CALIBRATED) : cut]).all()


def test_parts_are_told_by_name_alone_and_only_rows_after_calibration_are_judged(tmp_path: Path) -> None:
    assert [is_for_development(name) for name in ("a", "b", "c", "d")] == [True, True, False, False]
    corpus = load(made_up(tmp_path), "ms_cloud_monitoring")
    name = "made-up/a"
    series = corpus[name]
    early = np.zeros(480, dtype=bool)
    early[: series.cut(CALIBRATED)] = True
    labelled = {name: Series(name, "h", series.times, series.values, early)}
    found = judged(labelled, {name: METHODS["z_score"](series)})
    part = "development" if is_for_development(name) else "aside"
    assert found[part]["usual"]["events"]["missed"] == found[part]["usual"]["events"]["found"] == 0
