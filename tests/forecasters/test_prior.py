"""The shipped prior: its file, its generator, its features and the member that speaks for it."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ArtifactError, InputError, InsufficientHistoryError
from forecast.forecasters.analogs import PriorForecaster, borrowed_trajectories, expected
from forecast.forecasters.history import History, history_of
from forecast.forecasters.prior.container import Part, digest_of, pack, unpack
from forecast.forecasters.prior.features import common_profile, flattened, see, shaped
from forecast.forecasters.prior.growing import Recipe
from forecast.forecasters.prior.prior import DATA, DIGEST, Prior, shipped, steps_of
from forecast.forecasters.prior.processes import FUTURE, HELD_OUT, PAST, TRAINED, generate
from forecast.spend.panel import to_matrix
from tests.contracts.panels import long_panel, spend_panel
from training.prior import CARD, build, card, judge, write

SMALL = Recipe(teachers=1500, spreaders=1500, bank=900, rounds=6, trees_a_target=2, forest_leaves=16, least_in_leaf=40, members=16)


def history(values: np.ndarray) -> History:
    return history_of(to_matrix(long_panel(values), "D"))


def now(past: History) -> np.ndarray:
    return np.array([past.n_periods], dtype=np.int64)


@pytest.fixture(scope="module")
def small() -> tuple[bytes, str]:
    return build(SMALL)


def test_small_prior_is_the_same_bytes_every_time(small: tuple[bytes, str]) -> None:
    assert build(SMALL) == small


def test_damaged_file_is_named_as_damaged(small: tuple[bytes, str]) -> None:
    data, _ = small
    digest = digest_of(data)
    broken = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ArtifactError, match="damaged"):
        unpack(broken, digest)
    with pytest.raises(ArtifactError, match="another format"):
        unpack(b"x" + data, digest_of(b"x" + data))


def test_container_gives_back_what_was_put_in_and_takes_no_objects() -> None:
    numbers = np.arange(6, dtype=np.uint16).reshape(2, 3)
    parts: dict[str, Part] = {"text": "trees\n", "numbers": numbers}
    data = pack(parts)
    found = unpack(data, digest_of(data))
    assert found["text"] == "trees\n"
    np.testing.assert_array_equal(found["numbers"], numbers)
    with pytest.raises(ArtifactError, match="'code' of the prior has type"):
        pack({"code": np.array([object()])})


def test_shipped_file_is_small_and_has_the_digest_that_stands_beside_its_card() -> None:
    package = resources.files("forecast.forecasters.prior")
    data = package.joinpath(DATA).read_bytes()
    digest = package.joinpath(DIGEST).read_text(encoding="utf-8")
    assert len(data) < 10_000_000
    assert (CARD / DIGEST).read_text(encoding="utf-8") == digest
    assert digest_of(data) in digest
    assert digest_of(data) in (CARD / "card.md").read_text(encoding="utf-8")


def test_card_tells_how_the_prior_does_on_processes_it_never_saw(small: tuple[bytes, str], tmp_path: Path) -> None:
    data, facts = small
    text = card(facts, judge(Prior.of(unpack(data, digest_of(data))), count=400))
    for family in HELD_OUT:
        assert f"| {family} |" in text
    folder = tmp_path / "card"
    write(data, facts, text, package=tmp_path, folder=folder)
    assert (folder / "card.md").read_text(encoding="utf-8") == text


def test_generated_histories_are_seeded_finite_and_never_negative() -> None:
    one, two, other = generate(400, 3), generate(400, 3), generate(400, 4)
    np.testing.assert_array_equal(one.past, two.past)
    assert not np.array_equal(one.past[:100], other.past[:100])
    for made in (one, generate(200, 3, HELD_OUT, sums=0.0)):
        assert np.isfinite(made.past).all()
        assert np.isfinite(made.future).all()
        assert (made.past >= 0).all()
        assert (made.future >= 0).all()
        assert (made.past.sum(axis=1) > 0).all()
        assert made.past.shape[1] == PAST
        assert made.future.shape[1] == FUTURE
    assert set(np.unique(one.family)) == set(range(len(TRAINED) + 1))
    with pytest.raises(InputError, match="count"):
        generate(0, 1)


def test_ages_of_generated_histories_count_from_the_first_spend() -> None:
    made = generate(300, 5)
    rows = np.arange(len(made.past))
    assert (made.past[rows, PAST - made.age] > 0).all()
    before = np.arange(PAST)[None, :] < PAST - made.age[:, None]
    assert (made.past[before] == 0).all()


def test_features_do_not_know_units() -> None:
    made = generate(500, 6)
    small_money, large_money = see(made.past * 1e-9, made.age), see(made.past * 1e12, made.age)
    np.testing.assert_allclose(small_money.features, large_money.features, atol=2e-5)
    np.testing.assert_allclose(small_money.scale * 1e21, large_money.scale, rtol=1e-9)


def test_features_of_silence_are_usable() -> None:
    found = see(np.zeros((2, PAST)), np.array([0, PAST]))
    assert (found.scale == 0).all()
    assert not np.isinf(found.features).any()


def test_week_is_taken_out_and_put_back() -> None:
    made = generate(200, 7)
    profile = see(made.past, made.age).profile
    np.testing.assert_allclose(shaped(flattened(made.future, profile), profile), made.future, atol=1e-9 * made.future.max())


def test_strong_week_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    steady = np.tile([3.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0], (1, PAST // 7))
    restless = rng.lognormal(0, 1.2, (200, PAST))
    age = np.full(1, PAST)
    np.testing.assert_allclose(see(steady, age).profile[0], np.array([7, 7, 7, 7, 7, 0, 0]) / 5, atol=0.02)
    assert np.abs(see(restless, np.full(200, PAST)).profile - 1).mean() < 0.1


def test_week_that_all_series_share_is_found_from_two_weeks_whatever_their_last_day() -> None:
    rng = np.random.default_rng(2)
    week = np.array([1.2, 1.1, 1.2, 1.2, 1.1, 0.6, 0.6])
    phase = rng.integers(0, 7, 40)
    day = (np.arange(-PAST, 0)[None, :] + phase[:, None]) % 7
    windows = week[day] * rng.lognormal(0, 0.3, (40, PAST)) * rng.lognormal(3, 2, (40, 1))
    found = common_profile(windows[:, None, :], np.full((40, 1), 16), phase)
    np.testing.assert_allclose(found[0, 0], week[(phase[0] + np.arange(7)) % 7], atol=0.15)
    alone = common_profile(windows[:2, None, :], np.full((2, 1), 16), phase[:2])
    np.testing.assert_array_equal(alone, 1.0)


def test_no_origin_sees_its_future() -> None:
    past = history_of(to_matrix(spend_panel(), "D"))
    origins = np.array([20, 60, 150], dtype=np.int64)
    poisoned = past.values.copy()
    poisoned[:, 60:] = 1e9
    changed = replace(past, values=poisoned)
    for function in (expected, lambda one, at, horizon: borrowed_trajectories(one, at, horizon, 5)):
        np.testing.assert_array_equal(function(past, origins, 28)[:, :2], function(changed, origins, 28)[:, :2])
        assert not np.array_equal(function(past, origins, 28)[:, 2], function(changed, origins, 28)[:, 2])


@pytest.mark.parametrize("factor", [1e-9, 1e6, 1e12])
def test_money_times_a_factor_gives_forecasts_times_the_factor(factor: float) -> None:
    panel = spend_panel(count=8, days=40)
    one, other = (history_of(to_matrix(panel.assign(y=panel["y"] * by), "D")) for by in (1.0, factor))
    np.testing.assert_allclose(expected(other, now(other), 28), expected(one, now(one), 28) * factor, rtol=1e-6)
    paths = [borrowed_trajectories(past, now(past), 28, 20).astype(float) for past in (one, other)]
    np.testing.assert_allclose(paths[1], paths[0] * factor, rtol=1e-3, atol=1e-6 * factor * paths[0].max())


def test_odd_histories_give_finite_forecasts() -> None:
    values = np.zeros((5, 21))
    values[1] = 80.0
    values[2, -1] = 80.0
    values[3] = [10.0, 0.0, -4.0] * 7
    values[4, :3] = np.nan
    values[4, 3:] = 5.0
    past = history(values)
    found, paths = expected(past, now(past), 80), borrowed_trajectories(past, now(past), 80, 50)
    assert np.isfinite(found).all()
    assert np.isfinite(paths).all()
    assert (found[0] == 0).all()
    assert (paths[0] == 0).all()
    np.testing.assert_allclose(found[1, 0, :28].mean(), 80.0, rtol=0.05)
    assert found[2, 0, :28].sum() < 80.0 * 28
    assert found[3].mean() < 10.0
    assert (np.delete(paths, 3, axis=0) >= 0).all()


def test_beyond_the_longest_future_the_last_four_weeks_repeat() -> None:
    np.testing.assert_array_equal(steps_of(100)[56:84], np.arange(28, 56))
    np.testing.assert_array_equal(steps_of(100)[84:], np.arange(28, 44))
    past = history_of(to_matrix(spend_panel(count=4, days=60), "D"))
    paths = borrowed_trajectories(past, now(past), 112, 7)
    assert paths.shape == (4, 1, 7, 112)
    np.testing.assert_allclose(paths[..., 56:84], paths[..., 28:56], rtol=1e-6)
    np.testing.assert_array_equal(paths, borrowed_trajectories(past, now(past), 112, 7))


def test_futures_of_series_move_together_as_far_as_they_are_told() -> None:
    past = history(np.random.default_rng(3).lognormal(2, 0.4, (60, 30)))

    def spread(together: float) -> float:
        paths = borrowed_trajectories(past, now(past), 28, 200, together=together)
        return float(paths[:, 0].sum(axis=(0, 2)).std() / paths.sum(axis=(0, 1, 3)).mean())

    assert spread(0.0) < 0.7 * spread(0.3)


def test_three_weeks_of_an_unseen_process_are_enough_for_true_intervals() -> None:
    made = generate(2500, 123, HELD_OUT, sums=0.0)
    young = (made.age >= 14) & (made.age <= 28)
    paths = shipped().trajectories(made.past[young], made.age[young], 28, 200, np.random.default_rng(1), 0.0)
    for days in (7, 28):
        low, high = np.quantile(paths[:, :, :days].sum(axis=2), [0.1, 0.9], axis=1)
        came = made.future[young, :days].sum(axis=1)
        assert 0.72 < ((came >= low) & (came <= high)).mean() < 0.92


def test_member_says_that_it_knows_days_only() -> None:
    panel = long_panel(np.full((3, 60), 2.0))
    hourly = panel.assign(ds=np.tile(pd.date_range("2026-01-01", periods=60, freq="h"), 3))
    with pytest.raises(InsufficientHistoryError, match="knows daily series only"):
        PriorForecaster("h").fit(hourly)
    assert PriorForecaster().fit(panel).simulate(7, n_paths=20).values.shape == (3, 7, 20)
