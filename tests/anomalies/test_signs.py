"""Each sign is raised by its own trouble, knows no later day, and says nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.anomalies.signs import (
    AMOUNTS,
    DUPLICATES,
    GROWTH,
    MIX,
    NEWCOMERS,
    OF_NODES,
    PRICE,
    SIGNS,
    SPEND,
    Sign,
    above_sign,
    hours_above_sign,
    leaf_signs,
    usual,
    usual_day,
)

FIRST = np.datetime64("2026-01-01")
N, DAYS = 4, 260
ALL = np.ones(N, dtype=bool)


def company(seed: int = 0, n_days: int = DAYS) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Four leaves of about a hundred a day, half of it input tokens and half output, and nothing strange."""
    rng = np.random.default_rng(seed)
    inputs, outputs = (50.0 * np.exp(0.03 * rng.normal(size=(N, n_days))) for _ in range(2))
    nothing = {name: np.zeros((N, n_days)) for name in AMOUNTS}
    return inputs + outputs, {**nothing, "input": inputs, "output": outputs}


def signs_of(values: np.ndarray, amounts: dict[str, np.ndarray], told_apart: np.ndarray = ALL) -> dict[str, Sign]:
    found = leaf_signs(values, amounts, FIRST, usual_day(values.sum(axis=0)), told_apart)
    node, scale, nothing = values.sum(axis=0, keepdims=True), usual_day(values.sum(axis=0)), np.zeros((1, values.shape[1]))
    above = [above_sign(node, FIRST, scale), hours_above_sign(node, nothing, nothing, FIRST, scale, np.ones(1, dtype=bool))]
    return {sign.name: sign for sign in [*found, *above]}


def test_all_signs_are_there_and_have_the_shape_of_what_they_are_about() -> None:
    found = signs_of(*company())
    assert set(found) == set(SIGNS)
    for name, sign in found.items():
        shape = (1 if name in OF_NODES else N, DAYS)
        for values in (sign.strength, sign.excess, sign.window, sign.way):
            assert values.shape == shape
            assert np.isfinite(values).all()
        assert (sign.strength >= 0.0).all()
        assert (sign.window >= 1).all()
        assert set(np.unique(sign.way)) <= {-1, 1}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, DAYS - 1))
def test_what_comes_later_changes_nothing_of_a_day(seed: int, day: int) -> None:
    values, amounts = company(seed)
    rng = np.random.default_rng(seed + 1)
    for name in ("price", "newcomers", "duplicates"):
        amounts[name] = np.where(rng.random(values.shape) < 0.1, 10.0 * rng.random(values.shape), 0.0)
    scale = usual_day(values.sum(axis=0))
    poisoned, of_lines = values.copy(), {name: amount.copy() for name, amount in amounts.items()}
    for matrix in (poisoned, *of_lines.values()):
        matrix[:, day:] = 1e9
    for plain, late in zip(leaf_signs(values, amounts, FIRST, scale, ALL), leaf_signs(poisoned, of_lines, FIRST, scale, ALL), strict=True):
        for field in ("strength", "excess", "window", "way"):
            # A sum that runs on has other last bits; nothing more may differ.
            np.testing.assert_allclose(getattr(plain, field)[:, :day], getattr(late, field)[:, :day], rtol=1e-9, atol=1e-9, err_msg=plain.name)


def test_each_trouble_raises_its_own_sign_above_all_that_was_before() -> None:
    values, amounts = company()
    day = 200
    more = 30.0
    spikes = values.copy()
    spikes[0, day] += 100.0
    assert _stands_out(signs_of(spikes, amounts)[SPEND], 0, day) > 3.0
    fallen = values.copy()
    fallen[0, day] = 0.0
    drop = signs_of(fallen, amounts)[SPEND]
    assert _stands_out(drop, 0, day) > 3.0
    assert drop.way[0, day] == -1
    assert drop.excess[0, day] == pytest.approx(-usual(values)[0, day])
    for name, column in ((PRICE, "price"), (DUPLICATES, "duplicates"), (NEWCOMERS, "newcomers")):
        struck, of_lines = values.copy(), {**amounts, column: amounts[column].copy()}
        struck[1, day] += more
        of_lines[column][1, day] = more
        assert _stands_out(signs_of(struck, of_lines)[name], 1, day) > 3.0, name
    loops, of_lines = values.copy(), {**amounts, "input": amounts["input"].copy()}
    loops[2, day] += 100.0
    of_lines["input"][2, day] += 100.0
    assert _stands_out(signs_of(loops, of_lines)[MIX], 2, day) > 3.0
    creeping = values.copy()
    creeping[3, day:] *= 1.03 ** np.arange(DAYS - day)
    assert _stands_out(signs_of(creeping, amounts)[GROWTH], 3, day + 25) > 2.0


def test_more_of_the_same_mix_is_no_retry_storm_and_a_newcomer_that_takes_over_is_none() -> None:
    values, amounts = company()
    twice = {**amounts, "input": amounts["input"].copy(), "output": amounts["output"].copy()}
    twice["input"][0, 200] *= 2.0
    twice["output"][0, 200] *= 2.0
    assert _stands_out(signs_of(values, twice)[MIX], 0, 200) < 1.5
    moved = {**amounts, "newcomers": amounts["newcomers"].copy()}
    moved["newcomers"][0, 200] = 80.0
    assert _stands_out(signs_of(values, moved)[NEWCOMERS], 0, 200) < 1.0


def test_cheaper_prices_and_fading_spend_are_no_trouble() -> None:
    values, amounts = company()
    cheaper = {**amounts, "price": amounts["price"].copy()}
    cheaper["price"][:, 200] = -40.0
    assert (signs_of(values, cheaper)[PRICE].strength[:, 200] == 0.0).all()
    fading = values.copy()
    fading[:, 180:] *= 0.97 ** np.arange(DAYS - 180)
    assert (signs_of(fading, amounts)[GROWTH].strength[:, 215:] == 0.0).all()


def test_what_is_not_told_apart_is_only_looked_at_for_faults_of_its_bills() -> None:
    values, amounts = company()
    values[0, 200] += 500.0
    of_lines = {**amounts, "price": amounts["price"].copy(), "newcomers": amounts["newcomers"].copy()}
    of_lines["price"][0, 200] = of_lines["newcomers"][0, 200] = 100.0
    found = signs_of(values, of_lines, np.array([False, True, True, True]))
    for name in (SPEND, GROWTH):
        assert (found[name].strength[0] == 0.0).all()
        assert found[name].strength[1:].max() > 0.0
    assert found[PRICE].strength[0, 200] > 3.0


def test_small_rises_of_many_leaves_stand_out_above_them_and_not_in_them() -> None:
    rng = np.random.default_rng(5)
    values = 25.0 * np.exp(0.15 * rng.normal(size=(40, DAYS)))
    values[:, 200] += 8.0
    scale = usual_day(values.sum(axis=0))
    nothing = {name: np.zeros((40, DAYS)) for name in AMOUNTS}
    (spend, *_) = leaf_signs(values, nothing, FIRST, scale, np.ones(40, dtype=bool))
    above = above_sign(values.sum(axis=0, keepdims=True), FIRST, scale)
    assert above.strength[0, 200] > 2.0 * np.median(spend.strength[:, 200])
    assert above.excess[0, 200] == pytest.approx(320.0, rel=0.3)


def test_cents_are_as_strange_as_dollars() -> None:
    values, amounts = company()
    values[0, 200] *= 4.0
    cents = signs_of(100.0 * values, {name: 100.0 * amount for name, amount in amounts.items()})
    for name, sign in signs_of(values, amounts).items():
        np.testing.assert_allclose(cents[name].strength, sign.strength, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(cents[name].excess, 100.0 * sign.excess, rtol=1e-9, atol=1e-9)


def test_a_short_history_says_nothing_and_does_not_break() -> None:
    values, amounts = company(n_days=5)
    for sign in signs_of(values, amounts).values():
        assert (sign.strength == 0.0).all()


def _stands_out(sign: Sign, row: int, day: int) -> float:
    """A day's strength, in units of the largest that the series had in the two months before."""
    return float(sign.strength[row, day] / max(sign.strength[row, day - 60 : day - 14].max(), 1e-3 if sign.strength[row, day] else 1.0))
