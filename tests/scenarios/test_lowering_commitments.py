"""Commitments and fees: covered usage is never negative, every unit of money is in one place, and what binds goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.primitives import Follow
from forecast.scenarios.responses import Commitment

from .small_world import DAYS, lowered, meters, pull, small_world, spend_of_paths, total

few = settings(max_examples=25, deadline=None)
AWS = spend_of_paths()[[3, 4]].sum(axis=0)


@given(st.floats(0.0, 3000.0), st.floats(0.0, 0.95))
@few
def test_cost_is_the_commitment_and_the_usage_beyond_it(a_day: float, discount: float) -> None:
    found = lowered("commit", scope="provider=AWS", a_day=a_day, discount=discount)
    cost = AWS + total(found)
    covered = np.minimum(AWS, a_day / (1.0 - discount))
    np.testing.assert_allclose(cost, a_day + AWS - covered, rtol=1e-9, atol=1e-6)
    assert (cost >= a_day - 1e-6).all()
    assert (covered >= 0.0).all()
    figures = found.figures
    assert figures["unused"] == pytest.approx(float((a_day - covered * (1 - discount)).sum(axis=0).mean()), abs=1e-6)
    assert figures["saves"] == pytest.approx(-float(total(found).sum(axis=0).mean()), abs=1e-6)


@given(st.floats(0.0, 3000.0), st.floats(0.0, 0.9), st.floats(0.0, 1.0))
@few
def test_less_usage_never_leaves_less_unused(a_day: float, discount: float, factor: float) -> None:
    (follow,) = lowered("commit", scope="provider=AWS", a_day=a_day, discount=discount).primitives
    assert isinstance(follow, Follow)
    full, less = follow.money(AWS), follow.money(AWS * factor)
    assert (less >= full - 1e-6).all(), "a commitment helps less where less is used"
    assert (AWS * factor + less >= a_day - 1e-6).all(), "and is paid all the same"


def test_it_covers_what_is_used_after_the_levers_before_it() -> None:
    (follow,) = lowered("commit", scope="provider=AWS", a_day=1e6, discount=0.5).primitives
    assert isinstance(follow, Follow)
    np.testing.assert_allclose(follow.money(np.zeros_like(AWS)), 1e6)


def test_what_does_not_follow_usage_is_not_covered() -> None:
    with pytest.raises(PlanError, match="covers nothing"):
        lowered("commit", scope="provider=GitHub", a_day=10.0, discount=0.3)
    (follow,) = lowered("commit", scope="team=ads", a_day=10.0, discount=0.3).primitives
    assert isinstance(follow, Follow)
    assert follow.leaves.tolist() == [1, 4]


def test_share_of_usage_is_of_what_is_spent_lately_at_the_committed_price() -> None:
    found = lowered("commit", scope="provider=AWS", share_of_usage=0.5, discount=0.4)
    assert found.figures["committed_a_day"] == pytest.approx(0.5 * 900 * 0.6)
    assert found.figures["covers_usage_a_day"] == pytest.approx(450.0)


def test_month_is_paid_in_even_parts_of_its_days() -> None:
    (follow,) = lowered("commit", scope="provider=AWS", a_month=3100.0, discount=0.0).primitives
    assert isinstance(follow, Follow)
    due = follow.money(np.zeros_like(AWS))[:, 0]
    assert due[0] == pytest.approx(100.0)
    assert due[31] == pytest.approx(3100 / 28)
    assert due[:31].sum() == pytest.approx(3100.0)


def test_binds_for_its_term_beyond_the_end_of_the_lever_and_no_longer() -> None:
    found = lowered("commit", scope="provider=AWS", a_day=100.0, discount=0.2, until="2027-01-11", term_days=30)
    (follow,) = found.primitives
    assert isinstance(follow, Follow)
    due = follow.money(np.zeros_like(AWS))[:, 0]
    assert due.tolist() == [100.0] * 30 + [0.0] * 60
    assert any("binds until 2027-01-31" in note for note in found.notes)
    assert found.figures["remains_after_plan"] == pytest.approx(0.0)


def test_what_remains_after_the_plan_is_the_rest_of_the_term() -> None:
    found = lowered("commit", scope="provider=AWS", a_day=100.0, discount=0.2, term_days=365, **{"from": "2027-02-01"})
    assert found.figures["remains_after_plan"] == pytest.approx(100.0 * (365 - 59))
    assert found.figures["committed_in_all"] == pytest.approx(36_500.0)
    assert any("remain to be paid" in note for note in found.notes)


def test_commitments_bought_in_parts_ramp_up_and_stay() -> None:
    (follow,) = lowered("commit", scope="provider=AWS", a_day=100.0, discount=0.0, ramp="linear", ramp_days=10, until="2027-01-06").primitives
    assert isinstance(follow, Follow)
    due = follow.money(np.zeros_like(AWS))[:, 0]
    np.testing.assert_allclose(due[:5], [10, 20, 30, 40, 50])
    np.testing.assert_allclose(due[5:], 50.0)


def test_more_upfront_than_all_of_it_is_refused() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].upfront: .* more than all of the commitment"):
        lowered("commit", scope="provider=AWS", a_day=10.0, discount=0.3, upfront=4000.0)


def test_discount_that_leaves_no_price_is_refused() -> None:
    with pytest.raises(PlanError, match=r"levers\[0\].discount"):
        lowered("commit", scope="provider=AWS", a_day=10.0, discount=1.0)


def test_best_commitment_saves_the_most() -> None:
    best = lowered("commit", scope="provider=AWS", a_day=1.0, discount=0.3).figures["best_committed_a_day"]
    assert isinstance(best, float)
    saved = [lowered("commit", scope="provider=AWS", a_day=best * factor, discount=0.3).figures["saves"] for factor in (0.7, 0.9, 1.0, 1.1, 1.5)]
    assert max(range(5), key=lambda number: saved[number]) == 2  # type: ignore[arg-type, return-value]


def test_uncertain_commitment_becomes_certain_in_the_limit() -> None:
    certain = total(lowered("commit", scope="provider=AWS", a_day=500.0, discount=0.3))
    for width in (1e-2, 1e-5):
        given_ = {"expected": 500.0, "low": 500.0 * (1 - width), "high": 500.0 * (1 + width)}
        assert np.abs(total(lowered("commit", scope="provider=AWS", a_day=given_, discount=0.3)) - certain).max() <= 3 * width * 500.0


@given(st.floats(0.0, 1e5))
@few
def test_month_costs_at_least_its_fee(fee: float) -> None:
    found = lowered("minimum_fee", scope="provider=AWS", a_month=fee)
    cost = AWS + total(found)
    for first, last in ((0, 31), (31, 59), (59, 90)):
        used, paid = AWS[first:last].sum(axis=0), cost[first:last].sum(axis=0)
        np.testing.assert_allclose(paid, np.maximum(used, fee), rtol=1e-9, atol=1e-6)
    assert (total(found) >= 0.0).all()


def test_part_of_a_month_owes_its_part_of_the_fee() -> None:
    found = lowered("minimum_fee", scope="provider=AWS", a_month=1e6, **{"from": "2027-01-17", "until": "2027-02-01"})
    cost = (AWS + total(found))[16:31].sum(axis=0)
    np.testing.assert_allclose(cost, 1e6 * 15 / 31, rtol=1e-9)
    assert (total(found)[:16] == 0.0).all()
    assert (total(found)[31:] == 0.0).all()


def test_fee_is_counted_where_the_usage_is_or_where_it_is_told() -> None:
    now, new = pull(lowered("minimum_fee", scope="provider=AWS", a_month=1e6))
    assert not new
    assert (now[[3, 4]] > spend_of_paths()[[3, 4]]).all()
    _, new = pull(lowered("minimum_fee", scope="provider=AWS", a_month=1e6, target="provider=AWS,service=Support"))
    assert list(new) == [("provider=AWS", "service=Support")]


def test_fee_says_how_far_usage_is_from_it() -> None:
    figures = lowered("minimum_fee", scope="provider=AWS", a_month=900 * 365.25 / 12 / 2).figures
    assert figures["break_even_usage"] == pytest.approx(0.5)
    assert figures["probability_due"] == 0.0


def test_nothing_happens_on_days_that_are_over() -> None:
    assert len(DAYS) == 90
    found = lowered("commit", scope="provider=AWS", a_day=100.0, discount=0.3, term_days=10)
    assert (total(found)[10:] == 0.0).all()


@pytest.mark.parametrize(("kind", "values"), [("commit", {"a_day": 100.0, "discount": 0.3}), ("minimum_fee", {"a_month": 1e6})])
def test_plan_without_a_day_to_come_changes_nothing(kind: str, values: dict[str, float]) -> None:
    none = np.arange(np.datetime64("2027-01-01"), np.datetime64("2027-01-01"))
    world = small_world(days=none, expected=np.zeros((6, 0)), find_paths=lambda leaves: np.zeros((len(leaves), 0, 50)))
    assert not lowered(kind, world, scope="provider=AWS", **values).primitives


def test_commitment_that_is_billed_already_is_said() -> None:
    frame = meters()
    billed = pd.concat([frame, frame.iloc[[9]].assign(meter="Commitment", unit="USD", cost=50.0)], ignore_index=True)
    notes = lowered("commit", small_world(meters=billed), scope="provider=AWS", a_day=100.0, discount=0.3).notes
    assert any("Commitment is billed here already" in note for note in notes)
    assert not any("already" in note for note in lowered("commit", scope="provider=AWS", a_day=100.0, discount=0.3).notes)


def test_what_is_committed_already_is_not_covered_again() -> None:
    world = small_world()
    world.responses.shares[3] = (0.0, 0.0, 1.0, 0.0)
    known = replace(world.responses, commitments=(Commitment(np.array([3]), 250.0, 400.0, 250.0),))
    some = replace(world, responses=known)
    found = lowered("commit", some, scope="provider=AWS", share_of_usage=1.0, discount=0.5)
    assert "250 USD a day are committed already, as billed, and not covered again" in found.notes
    assert found.figures["committed_a_day"] == pytest.approx(0.5 * (400.0 + 500.0 - 250.0))
    paths = spend_of_paths()[3] + spend_of_paths()[4]
    usage = np.maximum(paths - 250.0, 0.0)
    np.testing.assert_allclose(total(found), 325.0 - np.minimum(usage, 650.0))
