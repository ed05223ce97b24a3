"""From a declared number of false incidents a month to thresholds: the replay has no more than that, and nearly as many."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from forecast.anomalies.sign_thresholds import FEW_DAYS, GAP, PRIOR, REPLAYED, SHARES, Thresholds, episodes, fit_thresholds
from forecast.anomalies.signs import SIGNS, Sign
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.errors import ArtifactError

N, DAYS = 60, 428


def noise(seed: int = 0, n_days: int = DAYS) -> list[Sign]:
    """Strengths of every sign with the tail that records leave: beyond x as often as 1 ÷ x²."""
    rng = np.random.default_rng(seed)
    return [sign_of(name, 0.3 * rng.random((N, n_days)) ** -0.5) for name in SIGNS]


def sign_of(name: str, strength: NDArray[np.float64]) -> Sign:
    ones = np.ones(strength.shape, dtype=np.int64)
    return Sign(name, strength, strength, ones, ones)


def counted(flagged: Mapping[str, NDArray[np.bool_]]) -> int:
    """Each series' episodes, whichever signs tell of them, as incidents."""
    return episodes(np.logical_or.reduce(list(flagged.values())))


def slow_episodes(flags: NDArray[np.bool_]) -> int:
    found = 0
    for row in flags.tolist():
        last = None
        for day, flag in enumerate(row):
            if flag:
                found += last is None or day - last > GAP
                last = day
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.6))
def test_episodes_are_those_of_a_walk_through_the_days(seed: int, share: float) -> None:
    flags = np.random.default_rng(seed).random((4, 30)) < share
    assert episodes(flags) == slow_episodes(flags)


@pytest.mark.parametrize("declared", [1.0, 4.0, 10.0])
def test_replay_has_no_more_incidents_than_declared_and_not_far_fewer(declared: float) -> None:
    signs = noise()
    thresholds = fit_thresholds(signs, declared, counted)
    months = REPLAYED / DAYS_A_MONTH
    rate = counted({sign.name: thresholds.flags(sign)[:, -REPLAYED:] for sign in signs}) / months
    assert 0.6 * declared <= rate <= declared


def test_declared_rate_holds_on_days_that_thresholds_have_not_seen() -> None:
    signs, later = noise(1), noise(2)
    thresholds = fit_thresholds(signs, 4.0, counted)
    rate = counted({sign.name: thresholds.flags(sign) for sign in later}) / (DAYS / DAYS_A_MONTH)
    assert 2.0 <= rate <= 8.0


def test_more_tolerance_never_raises_a_threshold() -> None:
    signs = noise(3)
    by_rate = [fit_thresholds(signs, declared, counted).of_sign for declared in (0.2, 1.0, 4.0, 20.0)]
    for careful, sharp in pairwise(by_rate):
        assert all(careful[name] >= sharp[name] for name in SIGNS)


def test_incidents_that_signs_share_leave_room_for_others() -> None:
    signs = noise(4)
    apart = fit_thresholds(signs, 4.0, lambda flagged: sum(episodes(rows) for rows in flagged.values()))
    together = fit_thresholds(signs, 4.0, lambda flagged: max(episodes(rows) for rows in flagged.values()))
    assert all(together.of_sign[name] <= apart.of_sign[name] for name in SIGNS)


def test_with_little_history_signs_speak_from_what_is_known_of_companies() -> None:
    few = fit_thresholds(noise(5, FEW_DAYS), 4.0, counted)
    none = fit_thresholds([sign_of(name, np.zeros((N, 3))) for name in SIGNS], 4.0, counted)
    assert all(few.of_sign[name] >= PRIOR[name] for name in SIGNS)
    assert none.of_sign == PRIOR or all(none.of_sign[name] >= min(PRIOR.values()) for name in SIGNS)


def test_every_sign_has_its_share_and_its_prior() -> None:
    assert set(SHARES) == set(PRIOR) == set(SIGNS)
    assert all(share > 0.0 for share in SHARES.values())


def test_p_values_are_how_often_a_strength_is_reached() -> None:
    signs = noise(6)
    thresholds = fit_thresholds(signs, 4.0, counted)
    strength = signs[0].strength[:, -REPLAYED:]
    for level in np.quantile(strength, [0.9, 0.99, 0.999]):
        (found,) = thresholds.p_values(signs[0].name, np.array([level]))
        assert found == pytest.approx((strength >= level).mean(), rel=0.35)
    ladder = thresholds.p_values(signs[0].name, np.geomspace(0.1, 1e6, 60))
    assert (np.diff(ladder) <= 1e-15).all()
    assert ((ladder > 0.0) & (ladder <= 1.0)).all()


def test_p_values_without_any_history_are_probabilities_too() -> None:
    thresholds = fit_thresholds([sign_of(name, np.zeros((2, 200))) for name in SIGNS], 1.0, counted)
    found = thresholds.p_values(SIGNS[0], np.array([0.0, 1e-6, 1.0, 50.0]))
    assert found[0] == 1.0
    assert ((found > 0.0) & (found <= 1.0)).all()
    assert (np.diff(found) <= 0.0).all()


def test_thresholds_survive_as_arrays_and_a_detector_without_them_says_what_to_do() -> None:
    signs = noise(7)
    thresholds = fit_thresholds(signs, 2.0, counted)
    again = Thresholds.from_arrays(thresholds.arrays())
    assert again.of_sign == thresholds.of_sign
    for sign in signs:
        np.testing.assert_array_equal(again.flags(sign), thresholds.flags(sign))
        np.testing.assert_array_equal(again.p_values(sign.name, sign.strength), thresholds.p_values(sign.name, sign.strength))
    with pytest.raises(ArtifactError, match="train again"):
        Thresholds.from_arrays({"threshold": np.array([3.0])})


def test_what_is_confirmed_as_real_neither_sets_a_threshold_nor_counts() -> None:
    signs, real = noise(8), np.zeros((N, DAYS), dtype=bool)
    real[::6, 50::40] = True
    loud = [sign_of(sign.name, np.where(real, 40.0, sign.strength)) for sign in signs]
    plain = fit_thresholds(loud, 4.0, counted)
    apart = fit_thresholds(
        loud, 4.0, lambda flagged: counted({name: rows & ~real[:, -rows.shape[1] :] for name, rows in flagged.items()}), dict.fromkeys(SIGNS, real)
    )
    quiet = fit_thresholds(signs, 4.0, counted)
    assert plain.of_sign["spend"] > 1.3 * apart.of_sign["spend"]
    assert apart.of_sign["spend"] == pytest.approx(quiet.of_sign["spend"], rel=0.2)
    assert (apart.levels["spend"] < 40.0).sum() >= (plain.levels["spend"] < 40.0).sum()
