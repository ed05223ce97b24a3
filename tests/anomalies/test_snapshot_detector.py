"""The detector's arrays in a snapshot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecast.anomalies.snapshot_detector import DetectorState, fit_snapshot_detector, score_by_quantiles
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
    assert DetectorState.from_arrays(arrays).threshold >= 1.0
    fit_snapshot_detector(("company",), np.zeros((1, 50)))


def test_wrong_shapes_and_missing_arrays_are_named() -> None:
    with pytest.raises(InputError, match="history"):
        fit_snapshot_detector(("company",), history())
    with pytest.raises(ArtifactError, match="threshold"):
        DetectorState.from_arrays({"ids": np.array(["company"])})


def test_p_values_of_the_predictive_distribution_are_its_own_inside_and_go_on_beyond() -> None:
    state = DetectorState.from_arrays(fit_snapshot_detector(IDS, history()))
    rng = np.random.default_rng(1)
    samples = np.sort(rng.normal(1000.0, 100.0, 20_000))
    table = np.quantile(samples, QUANTILES)
    costs = np.concatenate([np.quantile(samples, np.linspace(0.015, 0.985, 50)), [1500.0, 2000.0, 500.0]])
    found = score_by_quantiles(state, costs, np.full(len(costs), 1000.0), np.tile(table, (len(costs), 1)), QUANTILES)
    levels = np.linspace(0.015, 0.985, 50)
    np.testing.assert_allclose(found.p_value[:50], 2 * np.minimum(levels, 1 - levels), atol=0.02)
    assert found.p_value[51] < found.p_value[50] < 0.02
    assert found.p_value[52] < 0.02


def test_certain_forecast_does_not_divide_by_zero() -> None:
    state = DetectorState.from_arrays(fit_snapshot_detector(IDS, history()))
    table = np.full((3, len(QUANTILES)), 50.0)
    found = score_by_quantiles(state, np.array([50.0, 50.2, 500.0]), np.full(3, 50.0), table, QUANTILES)
    assert np.isfinite(found.p_value).all()
    assert found.p_value[0] > 0.5
    assert found.p_value[2] < 1e-4
