"""New workloads: by analogy they follow what they are like path by path; from unit economics they cost the product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError

from .small_world import lowered, pull, small_world, spend_of_paths, total

few = settings(max_examples=25, deadline=None)
TARGET = "team=maps,provider=OpenAI"


@given(st.floats(0.0, 5.0))
@few
def test_workload_by_analogy_follows_it_path_by_path_and_leaves_it_alone(scale: float) -> None:
    now, new = pull(lowered("new_workload", like="team=search,provider=OpenAI", scale=scale, target=TARGET))
    np.testing.assert_array_equal(now, spend_of_paths())
    np.testing.assert_allclose(new["provider=OpenAI", "team=maps"], scale * spend_of_paths()[0], rtol=1e-12)


def test_workload_at_a_place_that_exists_is_counted_there() -> None:
    now, new = pull(lowered("new_workload", like="team=search,provider=OpenAI", target="team=ads,stage=dev"))
    assert not new
    np.testing.assert_allclose(now[4], spend_of_paths()[4] + spend_of_paths()[0])


@given(st.floats(0.0, 1e4), st.floats(0.0, 50.0), st.floats(0.0, 1e4), st.floats(0.0, 100.0))
@few
def test_unit_economics_are_the_product(users: float, requests: float, tokens: float, price: float) -> None:
    found = lowered("new_workload", users=users, requests_a_user_a_day=requests, tokens_a_request=tokens, price_a_million=price, target=TARGET)
    np.testing.assert_allclose(total(found), users * requests * tokens * price / 1e6, rtol=1e-9, atol=1e-9)


def test_both_ways_of_saying_tokens_agree_at_one_price() -> None:
    one = lowered("new_workload", users=100, requests_a_user_a_day=3, tokens_a_request=1500, price_a_million=4, target=TARGET)
    two = lowered(
        "new_workload", users=100, requests_a_user_a_day=3, input_tokens=1200, output_tokens=300, input_price=4, output_price=4, target=TARGET
    )
    np.testing.assert_allclose(total(one), total(two), rtol=1e-12)
    assert one.figures == pytest.approx(two.figures)


def test_figures_say_what_a_request_and_a_user_cost() -> None:
    figures = lowered("new_workload", users=100, requests_a_user_a_day=3, tokens_a_request=1500, price_a_million=4, target=TARGET).figures
    assert figures["money_a_request"] == pytest.approx(0.006)
    assert figures["requests_a_day"] == pytest.approx(300)
    assert figures["money_a_user_a_month"] == pytest.approx(0.018 * 365.25 / 12)


def test_uncertain_numbers_draw_apart_and_become_certain_in_the_limit() -> None:
    given_ = {"requests_a_user_a_day": 3, "tokens_a_request": 1500, "price_a_million": 4, "target": TARGET}
    certain = total(lowered("new_workload", users=100, **given_))
    wide = lowered("new_workload", users={"expected": 100, "low": 50, "high": 200}, **given_)
    assert np.quantile(total(wide)[0], [0.1, 0.5, 0.9]) == pytest.approx(certain[0, 0] * np.array([0.5, 1.0, 2.0]), rel=0.03)
    narrow = lowered("new_workload", users={"expected": 100, "low": 100 - 1e-7, "high": 100 + 1e-7}, **given_)
    np.testing.assert_allclose(total(narrow), certain, rtol=1e-8)


def test_what_was_never_spent_on_lately_is_no_model_for_a_workload() -> None:
    world = small_world(recent=np.zeros(6))
    with pytest.raises(PlanError, match=r"levers\[0\].like: nothing was spent"):
        lowered("new_workload", world, like="team=search", target=TARGET)


def test_unknown_workload_to_be_like_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].like: .*nearest: search"):
        lowered("new_workload", like="team=serch", target=TARGET)
