"""Levers on tokens: money is conserved where prices are equal, prices are told from bills and lists, and nobody pays for another team."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.metered import CACHE_WRITE, CACHED, HOURS, INPUT, OUTPUT, SPOT_HOURS, TOKENS, kind_of
from forecast.scenarios.primitives import Move

from .small_world import LEAVES, lowered, pull, small_world, spend_of_paths, total

shares = st.floats(0.0, 1.0)
scopes = st.sampled_from(["", "team=ads", "provider=OpenAI", "ai_model=gpt-4o", "team=search,stage=prod"])
few = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize(
    ("meter", "unit", "kind"),
    [
        ("Input Tokens", "Tokens", INPUT),
        ("Cached Input Tokens", "Tokens", CACHED),
        ("cached_input", "Tokens", CACHED),
        ("cache_write_5m", "1M Tokens", CACHE_WRITE),
        ("Output Tokens", "Tokens", OUTPUT),
        ("completion", "1K Tokens", OUTPUT),
        ("prompt", "tokens", INPUT),
        ("Training", "Tokens", TOKENS),
        ("output", "", OUTPUT),
        ("Instance Hours", "Hours", HOURS),
        ("Spot Instance Hours", "Hours", SPOT_HOURS),
        ("H100", "GPU-hour", HOURS),
        ("USE1-SpotUsage:p4d.24xlarge", "Hrs", SPOT_HOURS),
        ("USE1-Claude3Sonnet-input-tokens", "1K tokens", INPUT),
        ("CacheReadInputTokenCount", "Tokens", CACHED),
        ("CacheWriteInputTokenCount", "Tokens", CACHE_WRITE),
        ("OutputTokens", "1M", OUTPUT),
        ("Storage", "GB-Hours", None),
        ("Seats", "Seats", None),
        ("Data Transfer Out", "GB", None),
    ],
)
def test_what_a_meter_counts_is_read_off_its_words(meter: str, unit: str, kind: str | None) -> None:
    assert kind_of(meter, unit) == kind


@given(scopes, shares)
@few
def test_move_at_equal_price_conserves_money(scope: str, share: float) -> None:
    found = lowered("move_share", scope=scope, to="provider=AWS", share=share, price_ratio=1.0)
    assert total(found).sum(axis=0) == pytest.approx(np.zeros(50), abs=1e-6)


@given(scopes, shares)
@few
def test_move_never_leaves_less_than_nothing_and_no_team_pays_for_another(scope: str, share: float) -> None:
    found = lowered("move_share", scope=scope, to="ai_model=claude-haiku", share=share, price_ratio=1.0)
    now, new = pull(found)
    assert (now >= -1e-9).all()
    for team in ("search", "ads"):
        own = (LEAVES["team"] == team).to_numpy()
        fresh = sum((money for values, money in new.items() if f"team={team}" in values), np.zeros(now.shape[1:]))
        np.testing.assert_allclose(now[own].sum(axis=0) + fresh, spend_of_paths()[own].sum(axis=0), rtol=1e-9)


def test_ai_model_of_another_vendor_takes_its_spend_there() -> None:
    now, new = pull(lowered("move_share", scope="ai_model=gpt-4o,team=search", to="ai_model=claude-haiku", share=1.0, price_ratio=0.5))
    spend = spend_of_paths()
    assert not new
    assert now[0].max() == 0.0
    np.testing.assert_allclose(now[2], spend[2] + 0.5 * spend[0])
    _, new = pull(lowered("move_share", scope="ai_model=gpt-4o,team=ads", to="ai_model=claude-haiku", share=1.0, price_ratio=0.5))
    assert list(new) == [("provider=Anthropic", "service=Claude API", "team=ads", "stage=prod")]


def test_ai_model_of_the_same_vendor_stays_in_its_leaf_and_what_is_on_it_does_not_move() -> None:
    found = lowered("move_share", scope="provider=OpenAI,team=ads", to="ai_model=gpt-4o-mini", share=1.0, price_ratio=0.0)
    spend = spend_of_paths()
    np.testing.assert_allclose(pull(found)[0][1], spend[1] * 0.5, rtol=1e-9)


def test_what_does_not_follow_usage_does_not_move() -> None:
    found = lowered("move_share", scope="team=ads", to="team=search", share=1.0)
    now, _ = pull(found)
    np.testing.assert_array_equal(now[5], spend_of_paths()[5])
    assert "does not follow usage" in " ".join(found.notes)


def test_price_ratio_is_told_from_what_both_models_were_billed_weighted_by_what_is_used_here() -> None:
    found = lowered("move_share", scope="ai_model=gpt-4o,team=search", to="ai_model=claude-haiku", share=0.5)
    # 160 M in at 1.00, 160 M from a cache (no price of its own there) at 1.00 and 40 M out at 5.00 against the 1,000 that they cost here.
    assert found.figures["price_ratio"] == pytest.approx((160 + 160 + 200) / 1000)
    assert found.figures["price_ratio_source"] == "as billed"
    assert found.figures["break_even_retry_rate"] == pytest.approx(1000 / 520 - 1)


def test_ai_model_that_is_only_listed_can_be_moved_to_at_its_list_price() -> None:
    found = lowered("move_share", scope="ai_model=gpt-4o,team=ads", to="ai_model=mistral-large", share=0.5)
    assert found.figures["price_ratio"] == pytest.approx((100 * 2.0 + 25 * 6.0) / (100 * 2.5 + 25 * 10.0))
    assert found.figures["price_ratio_source"] == "as listed"
    assert "never been used here" in found.notes[0]
    assert list(pull(found)[1]) == [("provider=Mistral", "service=(none)", "team=ads", "stage=prod")]


def test_provider_without_the_ai_model_is_priced_as_its_own_are_on_average() -> None:
    found = lowered("move_share", scope="provider=Anthropic", to="provider=OpenAI", share=0.5)
    assert found.figures["price_ratio_source"] == "as its AI models are billed on average"
    # 300 M in at 900/1260 M and 100 M out at 900/315 M, against 800.
    assert found.figures["price_ratio"] == pytest.approx((300 * 900 / 1260 + 100 * 900 / 315) / 800)


def test_unknown_ai_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].to: .*nearest: gpt-4o-mini"):
        lowered("move_share", scope="ai_model=gpt-4o", to="ai_model=gpt-4o-min", share=0.5)


def test_place_that_holds_all_of_the_scope_is_refused() -> None:
    with pytest.raises(PlanError, match="already"):
        lowered("move_share", scope="ai_model=claude-haiku", to="provider=Anthropic", share=0.5)


def test_without_any_price_a_unit_is_taken_to_cost_the_same_and_that_is_said() -> None:
    found = lowered("move_share", scope="provider=AWS", to="provider=OpenAI", share=0.5)
    assert found.figures["cost_ratio"] == 1.0
    assert "say price_ratio" in found.notes[0]


@given(st.floats(0.1, 2.0), st.floats(0.5, 1.5), shares)
@few
def test_more_tokens_and_retries_never_cost_less(price: float, tokens: float, retries: float) -> None:
    plain = lowered("move_share", scope="team=search", to="provider=OpenAI", share=0.5, price_ratio=price)
    worse = lowered("move_share", scope="team=search", to="provider=OpenAI", share=0.5, price_ratio=price, token_ratio=1 + tokens, retry_rate=retries)
    assert (total(worse).sum(axis=0) >= total(plain).sum(axis=0) - 1e-6).all()


def test_narrow_range_is_the_certain_number_in_the_limit() -> None:
    certain = total(lowered("move_share", scope="team=search", to="provider=OpenAI", share=0.5, price_ratio=0.4))
    for width in (1e-2, 1e-4, 1e-6):
        ratio = {"expected": 0.4, "low": 0.4 * (1 - width), "high": 0.4 * (1 + width)}
        wide = total(lowered("move_share", scope="team=search", to="provider=OpenAI", share=0.5, price_ratio=ratio))
        assert np.abs(wide - certain).max() <= 3.0 * width * np.abs(spend_of_paths()).sum(axis=0).max()


@given(st.floats(0.0, 3.0))
@few
def test_tokens_per_request_touches_what_is_billed_by_tokens_alone(factor: float) -> None:
    now, _ = pull(lowered("tokens_per_request", scope="team=search", factor=factor))
    spend = spend_of_paths()
    np.testing.assert_array_equal(now[[1, 3, 4, 5]], spend[[1, 3, 4, 5]])
    np.testing.assert_allclose(now[[0, 2]], spend[[0, 2]] * factor, rtol=1e-9, atol=1e-9)


def test_scope_without_tokens_is_refused() -> None:
    with pytest.raises(PlanError, match="nothing of provider=AWS is billed by tokens"):
        lowered("tokens_per_request", scope="provider=AWS", factor=0.5)


def test_cache_hit_rate_as_billed_now_changes_nothing() -> None:
    found = lowered("cache_hit_rate", scope="ai_model=gpt-4o,team=search", to=0.5)
    # Half of the input tokens come from the cache, at half of the price.
    assert found.figures["from_share"] == pytest.approx(0.5)
    assert found.figures["discount"] == pytest.approx(0.5)
    assert np.abs(total(found)).max() < 1e-9


@given(shares, shares)
@few
def test_higher_cache_hit_rate_never_costs_more_and_leaves_output_alone(one: float, other: float) -> None:
    low, high = sorted((one, other))
    less, more = (total(lowered("cache_hit_rate", scope="provider=OpenAI", to=rate)).sum(axis=0) for rate in (high, low))
    assert (less <= more + 1e-9).all()
    spend = spend_of_paths()[:2].sum(axis=(0, 1))
    assert (less >= -0.6 * spend).all(), "input tokens are 60 % and 50 % of what the two leaves cost"


def test_cache_without_a_known_price_asks_for_the_discount() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].discount"):
        lowered("cache_hit_rate", scope="provider=Anthropic", to=0.8)
    assert lowered("cache_hit_rate", scope="provider=Anthropic", to=0.8, discount=0.9).figures["input_cost_ratio"] == pytest.approx(0.28)


@given(shares, shares)
@few
def test_batches_are_bounded_by_their_discount(before: float, after: float) -> None:
    found = lowered("batch_share", scope="provider=Anthropic", to=after, from_share=before)
    ratio = found.figures["cost_ratio"]
    assert isinstance(ratio, float)
    assert 0.5 - 1e-12 <= ratio <= 2.0 + 1e-12
    assert (ratio <= 1.0 + 1e-12) == (after >= before - 1e-12) or after == pytest.approx(before)


def test_snapshot_without_meters_moves_at_a_given_ratio_and_refuses_what_needs_tokens() -> None:
    world = small_world(meters=None, prices=None)
    (move,) = lowered("move_share", world, scope="provider=OpenAI", to="provider=Anthropic", share=0.5, price_ratio=0.3).primitives
    assert isinstance(move, Move)
    assert move.ratio.mean() == pytest.approx(0.3)
    with pytest.raises(PlanError, match="billed by tokens"):
        lowered("batch_share", world, scope="provider=OpenAI", to=0.5)


def test_levers_on_days_that_are_over_do_nothing() -> None:
    world = small_world(days=np.arange(np.datetime64("2027-01-01"), np.datetime64("2027-01-01")), expected=np.zeros((6, 0)))
    levers: dict[str, dict[str, Any]] = {
        "move_share": {"to": "ai_model=gpt-4o-mini", "share": 0.5},
        "cache_hit_rate": {"to": 0.5},
        "batch_share": {"to": 0.5},
        "tokens_per_request": {"factor": 0.5},
    }
    for kind, values in levers.items():
        assert total(lowered(kind, world, scope="team=search,provider=OpenAI", **values), np.zeros((6, 0, 50))).size == 0
