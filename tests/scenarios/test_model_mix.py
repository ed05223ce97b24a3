"""Shares of AI models: they stay shares, go on as they did before, and are surer tomorrow than in three months."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.scenarios.model_mix import moved_share, share_changes
from forecast.spend.scope import Scope

from .small_world import DAYS, lowered, meters, pull, small_world, spend_of_paths

SCOPE = Scope.parse("ai_model=gpt-4o,provider=OpenAI")
MONTHS = np.arange(np.datetime64("2025-07"), np.datetime64("2027-01"))


def history(wander: float, drift: float = 0.0, models: int = 8) -> pd.DataFrame:
    """The last month as it is, and months before in which the logits of AI models wander. wander : standard deviation a month."""
    rng = np.random.default_rng(5)
    frames = [meters()]
    for leaf in range(3):
        logits = np.cumsum(rng.normal(drift, wander, (models, len(MONTHS))), axis=1)
        shares = np.exp(logits) / np.exp(logits).sum(axis=0)
        rows = [
            (leaf, f"model-{model}", "Output Tokens", "Tokens", 100.0 * shares[model, month], 1e6, MONTHS[month])
            for model in range(models)
            for month in range(len(MONTHS))
        ]
        frame = pd.DataFrame(rows, columns=["leaf", "ai_model", "meter", "unit", "cost", "quantity", "start"])
        start = frame["start"].to_numpy().astype("datetime64[M]")
        frames.append(frame.assign(start=start.astype("datetime64[D]"), end=(start + 1).astype("datetime64[D]"), recent=False))
    return pd.concat(frames, ignore_index=True)


@given(st.floats(0.0, 1.0), st.floats(-50.0, 50.0))
def test_share_stays_a_share_and_moves_with_its_logit(share: float, change: float) -> None:
    after = float(moved_share(share, np.array([change]))[0])
    assert 0.0 <= after <= 1.0
    if 0.002 < share < 0.998:
        assert (after >= share - 1e-9) == (change >= 0.0) or after == pytest.approx(share, abs=1e-9)


def test_same_scope_wanders_alike_and_another_does_not() -> None:
    world = small_world(meters=history(0.4))
    one, again = share_changes(world, SCOPE, 0.3), share_changes(world, SCOPE, 0.3)
    other = share_changes(world, Scope.parse("ai_model=gpt-4o-mini,provider=OpenAI"), 0.3)
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one, again)
    assert one.shape == (len(DAYS), world.n_paths)
    assert abs(np.corrcoef(one[-1], other[-1])[0, 1]) < 0.5


def test_doubt_grows_with_time_and_is_what_history_had() -> None:
    found = share_changes(small_world(meters=history(0.4)), SCOPE, 0.2)
    assert found is not None
    spread = found.std(axis=1)
    assert (np.diff(spread) > -0.02).all()
    day = 17  # a month from the middle of what is called recent
    assert spread[day] == pytest.approx(0.4, rel=0.35)


def test_shares_that_never_moved_make_no_doubt() -> None:
    found = share_changes(small_world(meters=history(0.0)), SCOPE, 0.2)
    assert found is not None
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


@pytest.mark.parametrize("scope", ["provider=OpenAI", ""])
def test_scope_without_an_ai_model_has_no_share_to_wander(scope: str) -> None:
    assert share_changes(small_world(meters=history(0.4)), Scope.parse(scope), 0.3) is None


def test_little_history_says_nothing() -> None:
    assert share_changes(small_world(), SCOPE, 0.3) is None
    assert share_changes(small_world(meters=None), SCOPE, 0.3) is None


MOVES: list[dict[str, Any]] = [
    {"scope": "ai_model=gpt-4o", "to": "ai_model=gpt-4o-mini", "share": 1.0, "price_ratio": 1.0},
    {"scope": "ai_model=gpt-4o", "to": "ai_model=claude-haiku", "share": {"expected": 0.8, "low": 0.5, "high": 1.0}, "price_ratio": 1.0},
]


@pytest.mark.parametrize("values", MOVES)
def test_wandering_shares_conserve_money_and_never_take_more_than_there_is(values: dict[str, Any]) -> None:
    now, new = pull(lowered("move_share", small_world(meters=history(0.6)), **values))
    assert now.min() >= -1e-9
    np.testing.assert_allclose(now.sum(axis=0) + sum(new.values(), np.zeros(now.shape[1:])), spend_of_paths().sum(axis=0), rtol=1e-9)


def test_other_levers_on_an_ai_model_wander_with_it() -> None:
    values = {"scope": "ai_model=gpt-4o,team=ads", "to": 0.5}
    steady, wandering = (pull(lowered("batch_share", small_world(meters=history(wander)), **values))[0][1] for wander in (0.0, 0.6))
    assert (wandering >= 0.75 * spend_of_paths()[1] - 1e-9).all(), "no more than all of the leaf is a quarter cheaper"
    spend = spend_of_paths()[1]
    assert (wandering / spend).std() > 10.0 * (steady / spend).std()


def test_move_is_less_sure_with_history_and_as_sure_as_before_without() -> None:
    values = {"scope": "ai_model=gpt-4o,team=ads", "to": "ai_model=gpt-4o-mini", "share": 0.5, "price_ratio": 0.1}
    steady, wandering = (pull(lowered("move_share", small_world(meters=history(wander)), **values))[0][1].sum(axis=0) for wander in (0.0, 0.6))
    assert wandering.std() > 1.2 * steady.std()
    plain = pull(lowered("move_share", **values))[0][1].sum(axis=0)
    np.testing.assert_allclose(steady, plain, rtol=1e-9)
