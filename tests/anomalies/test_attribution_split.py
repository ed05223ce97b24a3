"""Price, volume and mix add up to the change, and each is what its name says."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.attribution_cube import Cube, build_cube
from forecast.anomalies.attribution_split import Split, price_volume_mix
from forecast.budgets.variance import item_changes

PRICES = {"large": 5.0, "mini": 1.0}


def lines(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(list(itertools.product(("ads", "search"), ("large", "mini"), ("in", "out"))), columns=["team", "ai_model", "meter"])
    frame["quantity"] = 100.0 * np.exp(0.3 * rng.standard_normal(len(frame)))
    return frame.assign(cost=frame["quantity"] * frame["ai_model"].map(PRICES))


def cube_of(current: pd.DataFrame, usual: pd.DataFrame) -> Cube:
    return build_cube(current, usual, ["team", "ai_model", "meter"], actual=float(current["cost"].sum()), expected=float(usual["cost"].sum()))


def split(current: pd.DataFrame, usual: pd.DataFrame) -> Split:
    found = price_volume_mix(cube_of(current, usual))
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(10))
def test_parts_add_up_and_are_those_of_the_budget_variance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    usual = lines(seed)
    current = usual.assign(quantity=usual["quantity"] * np.exp(rng.normal(0.0, 0.5, len(usual))))
    current["cost"] = current["quantity"] * np.exp(rng.normal(0.0, 0.5, len(usual)))
    cube = cube_of(current, usual)
    found = split(current, usual)
    assert found.price + found.volume + found.mix == pytest.approx(current["cost"].sum() - usual["cost"].sum())
    group = pd.factorize(pd.Series(cube.codes["team"] * 10 + cube.codes["meter"]))[0]
    assert cube.quantity_usual is not None
    assert cube.quantity_now is not None
    other = item_changes(cube.usual, cube.quantity_usual, cube.now, cube.quantity_now, group).sums()
    assert [found.price, found.volume, found.mix] == pytest.approx([other["price"], other["volume"], other["mix"]])


def test_price_rise_is_price() -> None:
    usual = lines()
    found = split(usual.assign(cost=usual["cost"] * 1.5), usual)
    assert (found.price, found.volume, found.mix) == pytest.approx((0.5 * usual["cost"].sum(), 0.0, 0.0), abs=1e-9)
    assert found.switched is None


def test_growth_is_volume() -> None:
    usual = lines()
    found = split(usual.assign(cost=usual["cost"] * 1.5, quantity=usual["quantity"] * 1.5), usual)
    assert (found.price, found.volume, found.mix) == pytest.approx((0.0, 0.5 * usual["cost"].sum(), 0.0), abs=1e-9)


def test_switch_to_the_dearer_model_is_mix_and_named() -> None:
    usual = lines()
    mini = usual["ai_model"] == "mini"
    switched = usual.assign(ai_model="large", cost=usual["quantity"] * 5.0)
    found = split(switched, usual)
    assert found.mix == pytest.approx(4.0 * usual.loc[mini, "quantity"].sum())
    assert (found.price, found.volume) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert found.switched == ("mini", "large")


def test_switch_to_the_cheaper_model_is_a_saving_and_named() -> None:
    usual = lines()
    found = split(usual.assign(ai_model="mini", cost=usual["quantity"]), usual)
    assert found.mix < 0
    assert found.switched == ("large", "mini")


def test_swapping_the_periods_turns_every_sign() -> None:
    usual, current = lines(1), lines(2)
    there, back = split(current, usual), split(usual, current)
    assert [there.price, there.volume, there.mix] == pytest.approx([-back.price, -back.volume, -back.mix])


def test_new_lines_and_ended_ones_are_volume() -> None:
    usual = lines()
    found = split(usual[usual["team"] == "ads"], usual)
    assert found.volume == pytest.approx(-usual.loc[usual["team"] == "search", "cost"].sum())
    assert split(usual, usual[usual["team"] == "ads"]).volume == pytest.approx(-found.volume)


def test_unknown_quantities_give_no_split() -> None:
    usual = lines()
    assert price_volume_mix(cube_of(usual.assign(quantity=np.nan, cost=usual["cost"] * 2), usual)) is None
    assert price_volume_mix(cube_of(usual.drop(columns="quantity"), usual)) is None


def test_a_little_money_without_quantity_is_volume() -> None:
    usual = lines()
    tax = pd.DataFrame({"team": ["ads"], "ai_model": ["(none)"], "meter": ["tax"], "quantity": [0.0], "cost": [1.0]})
    current = pd.concat([usual.assign(cost=usual["cost"] * 1.5, quantity=usual["quantity"] * 1.5), tax], ignore_index=True)
    assert split(current, usual).volume == pytest.approx(0.5 * usual["cost"].sum() + 1.0)
