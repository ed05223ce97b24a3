"""The detector's arrays in a snapshot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecast.anomalies.snapshot_detector import DetectorState, fit_snapshot_detector, score_by_expectation, score_by_quantiles
from forecast.errors import ArtifactError, InputError
from forecast.snapshot import QUANTILES


def history(n_days: int = 300, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    leaves = 100.0 * np.exp(0.15 * rng.standard_normal((8, n_days)))
    return np.vstack([leaves.sum(axis=0), leaves[:4].sum(axis=0), leaves[4:].sum(axis=0), leaves])


IDS = ("company", "team=a", "team=b", *(f"team={team},stage={stage}" for team in "ab" for stage in "wxyz"))


def test_arrays_are_data_and_survive_the_disk(tmp_path: Path) -> None:
    arrays = fit_snapshot_detector(IDS, history())
    for name, array in arrays.items():
        np.save(tmp_path / name, array, allow_pickle=False)
        again = np.load(tmp_path / f"{name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(array, again)
    state = DetectorState.from_arrays(arrays)
    assert state.row["team=a"] == 1
    assert state.location.shape == (11, 300)


def test_same_history_gives_the_same_bytes() -> None:
    first, second = fit_snapshot_detector(IDS, history()), fit_snapshot_detector(IDS, history())
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_expectation_of_a_day_does_not_know_later_days() -> None:
    poisoned = history()
    poisoned[:, 200:] = poisoned[:, 200:] * 3.0
    plain, changed = fit_snapshot_detector(IDS, history()), fit_snapshot_detector(IDS, poisoned)
    # The transform's constant is fitted to all of history, so costs are compared and not the transformed scale.
    expected = [state["constant"][:, None] * np.sinh(state["location"][:, 50:200].astype(float)) for state in (plain, changed)]
    np.testing.assert_allclose(expected[0], expected[1], rtol=0.02)


def test_threshold_falls_with_the_declared_rate() -> None:
    found = [float(fit_snapshot_detector(IDS, history(), false_alarms_per_month=rate)["threshold"][0]) for rate in (0.1, 1.0, 4.0)]
    assert found == sorted(found, reverse=True)


def test_ids_of_leaves_and_short_histories_are_accepted() -> None:
    arrays = fit_snapshot_detector(("company", "aws|EC2|ads"), history()[:2, :3])
    assert DetectorState.from_arrays(arrays).strength >= 3.0, "little history asks for more"
    fit_snapshot_detector(("company",), np.zeros((1, 50)))


def test_wrong_shapes_and_missing_arrays_are_named() -> None:
    with pytest.raises(InputError, match="history"):
        fit_snapshot_detector(("company",), history())
    with pytest.raises(ArtifactError, match="threshold"):
        DetectorState.from_arrays({"ids": np.array(["company"])})


def test_p_values_of_the_predictive_distribution_are_its_own_inside_and_fall_beyond() -> None:
    state = DetectorState.from_arrays(fit_snapshot_detector(IDS, history()))
    rng = np.random.default_rng(1)
    samples = np.sort(rng.normal(1000.0, 100.0, 20_000))
    table = np.quantile(samples, QUANTILES)
    costs = np.concatenate([np.quantile(samples, np.linspace(0.015, 0.985, 50)), [1500.0, 2000.0, 500.0]])
    n = len(costs)
    found = score_by_quantiles(state, costs, np.full(n, 1000.0), np.tile(table, (n, 1)), QUANTILES, np.full(n, 100.0))
    levels = np.linspace(0.015, 0.985, 50)
    np.testing.assert_allclose(found.p_value[:50], 2 * np.minimum(levels, 1 - levels), atol=0.02)
    assert found.p_value[51] < found.p_value[50] <= 0.02
    assert found.p_value[52] <= 0.02
    assert found.strength[50] == pytest.approx(500.0 / (table[-1] - 1000.0)), "the outer 1 % is farther than the record"


def test_strength_is_money_against_the_larger_of_record_and_outer_percent() -> None:
    state = DetectorState.from_arrays(fit_snapshot_detector(IDS, history()))
    table = np.full((3, len(QUANTILES)), 50.0)
    found = score_by_quantiles(state, np.array([50.0, 50.2, 500.0]), np.full(3, 50.0), table, QUANTILES, np.full(3, 90.0))
    np.testing.assert_allclose(found.strength, [0.0, 0.2 / 90.0, 5.0])
    assert found.p_value[0] > 0.5, "a certain forecast that came true is not strange"
    assert found.p_value[2] < 0.002


def test_record_of_a_day_is_what_came_before_it_and_waits_a_month() -> None:
    spiked = history()
    spiked[3, 100] += 5000.0
    arrays = fit_snapshot_detector(IDS, spiked)
    state = DetectorState.from_arrays(arrays)
    plain = DetectorState.from_arrays(fit_snapshot_detector(IDS, history()))
    np.testing.assert_array_equal(state.record[3, :101], plain.record[3, :101])
    assert np.isinf(state.record[:, :28]).all()
    assert state.record[3, 102] == pytest.approx(1.5 * state.record[3, 100]), "one monster raises a record by half, not to itself"
    assert state.record.shape == (11, 301)
    assert np.isfinite(fit_snapshot_detector(IDS, history()[:, :5])["record"][:, -1]).all()


def test_planned_money_is_no_record_and_no_surprise() -> None:
    eventful = history()
    eventful[3, 200:210] += 900.0
    low, high = np.zeros_like(eventful), np.zeros_like(eventful)
    high[3, 200:210] = 1000.0
    known = DetectorState.from_arrays(fit_snapshot_detector(IDS, eventful, planned=(low, high)))
    unknown = DetectorState.from_arrays(fit_snapshot_detector(IDS, eventful))
    assert known.record[3, 210] < 0.7 * unknown.record[3, 210]


def test_replay_has_about_as_many_merged_incidents_as_declared() -> None:
    rng = np.random.default_rng(5)
    wild = 100.0 * np.exp(0.2 * rng.standard_t(3, (40, 500)))
    ids = tuple(f"team=t{number}" for number in range(40))
    for declared in (1.0, 4.0, 10.0):
        state = DetectorState.from_arrays(fit_snapshot_detector(ids, wild, false_alarms_per_month=declared))
        location = state.location.astype(np.float64)
        found = [
            score_by_expectation(
                state, wild[:, day], state.constant, location[:, day], state.spread[:, day].astype(float), state.record[:, day].astype(float)
            )
            for day in range(100, 500)
        ]
        flags = np.stack([one.strength >= state.strength for one in found], axis=1)
        runs = int(flags[:, 0].sum() + (flags[:, 1:] & ~flags[:, :-1]).sum())
        assert runs <= declared * 400 / 30.4 * 1.05
        assert runs >= 0.6 * declared * 400 / 30.4


def test_threshold_is_said_as_a_p_value_too() -> None:
    state = DetectorState.from_arrays(fit_snapshot_detector(IDS, history(), false_alarms_per_month=4.0))
    assert 1e-6 < 10.0**-state.threshold < 0.05
