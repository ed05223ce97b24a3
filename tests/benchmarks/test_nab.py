"""The scorer of `benchmarks/nab.py` on files small enough to work out by hand, against a slow twin, and the benchmark itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmarks.nab import judged, left_out, scores_of
from benchmarks.nab_score import PROFILES, Corpus, Truth, best_threshold, load, part, score_at, worth

STAMPS = pd.date_range("2026-01-01", periods=100, freq="5min")


def truth(*windows: tuple[int, int], n: int = 100) -> Truth:
    times = STAMPS[:n]
    return Truth.of(times, np.zeros(n), [(str(times[begin]), str(times[end])) for begin, end in windows])


def alarms(*rows: int, n: int = 100) -> NDArray[np.float64]:
    found = np.zeros(n)
    found[list(rows)] = 0.9
    return found


def test_worth_falls_from_the_start_of_a_window_over_its_end_to_far_behind_it() -> None:
    assert worth(-1.0) == pytest.approx(0.98661, abs=1e-5)
    assert worth(0.0) == 0.0
    assert worth(3.0) == pytest.approx(-1.0, abs=1e-6)
    assert worth(50.0) == -1.0


def test_silence_is_0_and_first_rows_alone_are_100() -> None:
    corpus = {"cloud/a.csv": truth((30, 39), (60, 69))}
    for profile in PROFILES:
        assert score_at(corpus, {"cloud/a.csv": alarms()}, profile, 0.5)["score"] == pytest.approx(0.0)
        assert score_at(corpus, {"cloud/a.csv": alarms(30, 60)}, profile, 0.5)["score"] == pytest.approx(100.0)


def test_alarm_before_any_window_costs_its_full_weight_and_only_the_first_hit_counts() -> None:
    corpus = {"cloud/a.csv": truth((30, 39))}
    found = score_at(corpus, {"cloud/a.csv": alarms(20, 30, 35)}, "standard", 0.5)
    assert found["score"] == pytest.approx(100.0 * (1.0 - 0.11 + 1.0) / 2.0)
    assert (found["found"], found["windows"], found["false_alarm_rows"]) == (1, 1, 1)


def test_rows_of_the_beginning_are_not_scored() -> None:
    corpus = {"cloud/a.csv": truth((30, 39))}
    assert score_at(corpus, {"cloud/a.csv": alarms(*range(15))}, "standard", 0.5)["score"] == pytest.approx(0.0)


def test_silence_is_best_for_a_detector_that_is_only_wrong() -> None:
    corpus = {"cloud/a.csv": truth((30, 39))}
    scores = {"cloud/a.csv": np.where((np.arange(100) >= 30) & (np.arange(100) < 40), 0.0, 0.9)}
    scores["cloud/a.csv"][39] = 0.1
    assert best_threshold(corpus, scores, "standard") == 1.1


@pytest.mark.parametrize("profile", PROFILES)
def test_best_threshold_is_the_best_of_all(profile: str) -> None:
    rng = np.random.default_rng(1)
    corpus = {"cloud/a.csv": truth((30, 39), (60, 69)), "cloud/b.csv": truth((50, 54)), "other/c.csv": truth()}
    for _ in range(20):
        scores = {name: np.round(rng.random(100) ** 8, 2) for name in corpus}
        every = [score_at(corpus, scores, profile, threshold)["score"] for threshold in [1.1, *np.unique(np.concatenate(list(scores.values())))]]
        assert score_at(corpus, scores, profile, best_threshold(corpus, scores, profile))["score"] == pytest.approx(max(every))


def test_a_repeated_stamp_means_its_first_row() -> None:
    times = STAMPS[:50].append(STAMPS[20:70])
    found = Truth.of(pd.DatetimeIndex(times), np.zeros(100), [(str(STAMPS[20]), str(STAMPS[29]))])
    assert np.flatnonzero(found.window == 0).tolist() == list(range(20, 30))


def checkout(folder: Path) -> Path:
    """Three made-up files in the layout of the benchmark: one spike, one step, one of nothing but noise."""
    rng = np.random.default_rng(2)
    times = pd.date_range("2026-01-01", periods=3000, freq="5min")
    labels = {}
    for number, name in enumerate(["artificialWithAnomaly/spike.csv", "realMadeUp/step.csv", "artificialNoAnomaly/noise.csv"]):
        values = rng.normal(10.0, 1.0, 3000)
        if number == 0:
            values[2000] += 30.0
        if number == 1:
            values[2000:] += 30.0
        labels[name] = [] if number == 2 else [(str(times[1950]), str(times[2100]))]
        (folder / "data" / name).parent.mkdir(parents=True)
        pd.DataFrame({"timestamp": times, "value": values}).to_csv(folder / "data" / name, index=False)
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return folder


def test_plain_events_are_found_and_both_layouts_are_the_same(tmp_path: Path) -> None:
    corpus = load(checkout(tmp_path))
    scores, _ = scores_of(corpus)
    found = judged(corpus, scores)
    for profile in PROFILES:
        assert (found[profile]["found"], found[profile]["false_alarm_rows"]) == (2, 0)
        assert found[profile]["at_declared_rate"]["found"] == 2
        assert found[profile]["left_out"] == left_out(corpus, scores, profile) > 40.0
    assert set(part(corpus, ["realMadeUp"])) == {"realMadeUp/step.csv"}

    table = pd.concat(
        [pd.DataFrame({"unique_id": f"nab/{name.removesuffix('.csv')}", "ds": truth.times, "y": truth.values}) for name, truth in corpus.items()]
    )
    table.to_parquet(tmp_path / "nab.parquet")
    windows = json.loads((tmp_path / "labels" / "combined_windows.json").read_text())
    (tmp_path / "nab_labels.json").write_text(json.dumps({"windows": windows}))
    other: Corpus = load(tmp_path)
    assert judged(other, scores_of(other)[0]) == found
