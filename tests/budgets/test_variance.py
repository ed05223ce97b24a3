"""Price, volume and mix add up, have no base period, and do not depend on how finely items are cut."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from forecast.budgets.variance import ItemChanges, item_changes
from forecast.errors import InputError
from tests.oracles import variance as oracle

MONEY = st.one_of(st.just(0.0), st.floats(-1e6, 1e6).map(lambda value: round(value, 4)), st.floats(1.0, 1e6))
QUANTITY = st.one_of(st.just(0.0), st.none(), st.floats(1e-3, 1e9), st.integers(-3, 20).map(float))


@dataclass(frozen=True)
class Item:
    cost_before: float
    quantity_before: float | None
    cost_after: float
    quantity_after: float | None
    group: int
    comparable: bool = True

    def swapped(self) -> Item:
        return Item(self.cost_after, self.quantity_after, self.cost_before, self.quantity_before, self.group, self.comparable)

    def half(self) -> Item:
        quantities = [None if value is None else value / 2 for value in (self.quantity_before, self.quantity_after)]
        return Item(self.cost_before / 2, quantities[0], self.cost_after / 2, quantities[1], self.group, self.comparable)


ITEM = st.builds(Item, MONEY, QUANTITY, MONEY, QUANTITY, st.integers(0, 2), st.sampled_from([True, True, True, False]))
ITEMS = st.lists(ITEM, max_size=8)


def changes_of(items: list[Item]) -> ItemChanges:
    def column(name: str) -> list[float]:
        return [np.nan if (value := getattr(item, name)) is None else value for item in items]

    return item_changes(
        column("cost_before"),
        column("quantity_before"),
        column("cost_after"),
        column("quantity_after"),
        [item.group for item in items],
        [item.comparable for item in items],
    )


def tolerance(items: list[Item]) -> float:
    """Of rounding."""
    return 1e-9 * (1.0 + sum(abs(item.cost_before) + abs(item.cost_after) for item in items))


def expected_of(items: list[Item]) -> dict[str, list[Fraction]]:
    """By the slow twin; items that lie on a bound are no example."""
    try:
        return oracle.item_changes(
            [item.cost_before for item in items],
            [item.quantity_before for item in items],
            [item.cost_after for item in items],
            [item.quantity_after for item in items],
            [item.group for item in items],
            [item.comparable for item in items],
        )
    except oracle.NearBoundError:
        reject()


@given(ITEMS)
def test_parts_of_each_item_add_up_to_its_change(items: list[Item]) -> None:
    change = np.array([item.cost_after - item.cost_before for item in items])
    found = changes_of(items)
    np.testing.assert_allclose(found.total, change, rtol=0, atol=tolerance(items))
    assert sum(found.sums().values()) == pytest.approx(change.sum(), abs=tolerance(items))


@given(ITEMS)
def test_it_is_what_the_definitions_say_item_by_item(items: list[Item]) -> None:
    found = changes_of(items)
    expected = expected_of(items)
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), [float(value) for value in values], rtol=1e-9, atol=tolerance(items), err_msg=name)


@given(ITEMS)
def test_swapping_the_periods_turns_every_sign(items: list[Item]) -> None:
    expected_of(items)
    there, back = changes_of(items), changes_of([item.swapped() for item in items])
    for name in ("price", "volume", "mix", "unquantified"):
        np.testing.assert_allclose(getattr(there, name), -getattr(back, name), rtol=0, atol=tolerance(items), err_msg=name)
    np.testing.assert_allclose(there.new, -back.ended, rtol=0, atol=tolerance(items))


@given(ITEMS.filter(bool), st.integers(0, 7))
def test_an_item_cut_into_equal_halves_changes_nothing(items: list[Item], which: int) -> None:
    expected_of(items)
    number = which % len(items)
    halved = [*items[:number], items[number].half(), items[number].half(), *items[number + 1 :]]
    whole, cut = changes_of(items).sums(), changes_of(halved).sums()
    for name, money in whole.items():
        assert cut[name] == pytest.approx(money, abs=tolerance(items)), name


@given(ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_items_is_of_no_account(items: list[Item], random: object) -> None:
    expected_of(items)
    order = list(range(len(items)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain, mixed = changes_of(items), changes_of([items[number] for number in order])
    np.testing.assert_allclose(plain.mix[order], mixed.mix, rtol=0, atol=tolerance(items))


def test_a_price_cut_is_price() -> None:
    assert changes_of([Item(100.0, 50.0, 80.0, 50.0, 0)]).sums() == pytest.approx(dict.fromkeys(oracle.NAMES, 0.0) | {"price": -20.0})


def test_twice_the_usage_is_volume() -> None:
    items = [Item(100.0, 50.0, 200.0, 100.0, 0), Item(30.0, 10.0, 60.0, 20.0, 0)]
    assert changes_of(items).sums() == pytest.approx(dict.fromkeys(oracle.NAMES, 0.0) | {"volume": 130.0})


def test_a_switch_to_a_cheaper_model_is_mix_also_where_the_model_is_new() -> None:
    for left_over in (0.0, 5.0):
        items = [Item(1000.0, 100.0, 10.0 * left_over, left_over, 0), Item(0.0, 0.0, 100.0 - left_over, 100.0 - left_over, 0)]
        found = changes_of(items).sums()
        assert found["mix"] == pytest.approx(-900.0 + 9 * left_over)
        assert found["volume"] == found["price"] == found["new"] == pytest.approx(0.0, abs=1e-9)


def test_items_that_are_too_unlike_have_no_mix() -> None:
    """One dear call less and a billion cheap tokens more are no volume of a billion dear calls."""
    found = changes_of([Item(10.0, 1.0, 0.0, 0.0, 0), Item(0.0, 0.0, 100.0, 1e9, 0)]).sums()
    assert (found["volume"], found["mix"]) == pytest.approx((90.0, 0.0))


def test_a_unit_that_changes_without_saying_so_is_no_price() -> None:
    found = changes_of([Item(100.0, 5e6, 110.0, 5e3, 0)]).sums()
    assert found["unquantified"] == pytest.approx(10.0)


def test_a_group_that_nobody_used_before_is_new_and_one_that_nobody_uses_has_ended() -> None:
    found = changes_of([Item(0.0, 0.0, 40.0, 2.0, 0), Item(70.0, 7.0, 0.0, 0.0, 1)]).sums()
    assert (found["new"], found["ended"]) == (40.0, -70.0)


@pytest.mark.parametrize(
    "item",
    [
        Item(5.0, 0.0, 9.0, 3.0, 0),
        Item(5.0, None, 9.0, 3.0, 0),
        Item(5.0, 2.0, -9.0, -3.0, 0),
        Item(-5.0, 2.0, 9.0, 3.0, 0),
        Item(5.0, 2.0, 9.0, 3.0, 0, comparable=False),
        Item(1e300, 1e-300, 9.0, 3.0, 0),
        Item(5.0, np.inf, 9.0, 3.0, 0),
    ],
    ids=["no quantity", "unknown quantity", "refund", "credit", "another unit", "a price beyond floats", "infinite quantity"],
)
def test_what_has_no_price_is_unquantified_and_leaves_the_others_alone(item: Item) -> None:
    other = Item(100.0, 50.0, 80.0, 50.0, 0)
    found = changes_of([item, other])
    assert found.unquantified.tolist() == [item.cost_after - item.cost_before, 0.0]
    assert found.price.tolist() == pytest.approx([0.0, -20.0])


def test_free_usage_has_a_price_of_nothing() -> None:
    found = changes_of([Item(0.0, 100.0, 50.0, 100.0, 0)]).sums()
    assert found["price"] == pytest.approx(50.0)


def test_parts_are_summed_by_any_code() -> None:
    found = changes_of([Item(10.0, 1.0, 20.0, 2.0, 0), Item(10.0, 1.0, 5.0, 1.0, 1), Item(0.0, 0.0, 5.0, 1.0, 2)])
    sums = found.by(np.array([1, 1, 0]), 3)
    assert sums["volume"].tolist() == [0.0, 10.0, 0.0]
    assert sums["price"].tolist() == [0.0, -5.0, 0.0]
    assert sums["new"].tolist() == [5.0, 0.0, 0.0]


def test_a_year_of_small_steps_comes_near_one_step() -> None:
    """The midpoint formula is not additive over time; over small steps in one direction it nearly is."""
    quantity, price = np.linspace(100.0, 130.0, 13), np.linspace(2.0, 1.5, 13)
    steps = [Item(float(q0 * p0), float(q0), float(q1 * p1), float(q1), 0) for (q0, p0), (q1, p1) in pairwise(zip(quantity, price, strict=True))]
    whole = changes_of([Item(200.0, 100.0, 195.0, 130.0, 0)]).sums()
    assert sum(changes_of([step]).sums()["price"] for step in steps) == pytest.approx(whole["price"], rel=0.01)


@pytest.mark.parametrize("field", ["cost_after", "quantity_before", "quantity_after", "group", "comparable"])
def test_arrays_of_other_lengths_are_refused_by_name(field: str) -> None:
    given = {"cost_before": [1.0, 2.0], "cost_after": [1.0, 2.0], "quantity_before": [1.0, 2.0], "quantity_after": [1.0, 2.0], "group": [0, 0]}
    with pytest.raises(InputError, match=field):
        item_changes(**{**given, field: [1]})  # type: ignore[arg-type]


def test_money_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="cost_before"):
        item_changes([np.nan], [1.0], [1.0], [1.0], [0])
