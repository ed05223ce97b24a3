"""The sparse map against a slow twin that moves every portion of money by itself, path by path and day by day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.bases import Bases
from forecast.scenarios.bins import Wanted
from forecast.scenarios.effects import MOST_UNCERTAIN, Effects
from forecast.scenarios.primitives import Change, Copy, Follow, Money, Move, Place, Primitive, Scale
from forecast.scenarios.responses import Commitment, Responses
from forecast.scenarios.spending import Spending
from tests.oracles.scenarios import scenario

N_LEAVES, N_DAYS, N_PATHS = 5, 4, 6
VIRTUAL = ({"team": "new"},)
RNG = np.random.default_rng(0)
SPEND = RNG.uniform(1.0, 100.0, (N_LEAVES, N_DAYS, N_PATHS))
PHASE = np.linspace(0.05, 0.95, N_PATHS)


def responses() -> Responses:
    """Leaves that are elastic, half fixed, in steps, measured, and of everything."""
    shares = np.array([[1, 0, 0, 0], [0.5, 0, 0, 0.5], [0, 0, 1, 0], [0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25]], dtype=np.float64)
    power = np.linspace(0.5, 1.1, N_PATHS)
    driver = np.array([-1, -1, -1, 0, 0])
    return Responses(shares, np.array([np.nan, np.nan, 7.0, np.nan, 3.0]), driver, (power,), PHASE)


def committed(worth: float = 40.0, inside: float = 26.0) -> Responses:
    """The same where one commitment covers machines of two leaves."""
    return replace(responses(), commitments=(Commitment(np.array([2, 4]), inside, worth, inside),))


def spending(how: Responses | None = None, spend: np.ndarray = SPEND) -> Spending:
    n_days = spend.shape[1]
    return Spending(spend, {}, np.arange(n_days), np.ones(n_days), how or responses(), Bases())


def effects(money: Spending) -> Effects:
    def usage(now: Effects, parts: np.ndarray) -> np.ndarray:
        return money.held(now.held(parts))

    return Effects(money.n_days, money.responses, money.bases, VIRTUAL, usage)


def fast(levers: Sequence[Sequence[Primitive]], inside: np.ndarray | None = None, how: Responses | None = None) -> np.ndarray:
    """(n_days, n_paths) what spend inside some places changes by."""
    money = spending(how)
    state = effects(money)
    for lever in levers:
        state.apply(lever)
    return money.held(state.change(inside))


def slow(levers: Sequence[Sequence[Primitive]], inside: np.ndarray | None = None, how: Responses | None = None) -> np.ndarray:
    after = scenario(SPEND, how or responses(), levers, VIRTUAL)
    places = np.ones(N_LEAVES + 1, dtype=bool) if inside is None else inside
    return np.asarray(after[places].sum(axis=0) - SPEND[places[:N_LEAVES]].sum(axis=0))


def whole(*leaves: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(leaves), np.ones(len(leaves))


def certain(size: float, days: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Change:
    return Change(np.array(days) * size)


def to(*rows: int) -> Place:
    return Place(np.array(rows), np.full(len(rows), 1.0 / len(rows)))


leaf_sets = st.lists(st.integers(0, N_LEAVES - 1), min_size=1, max_size=N_LEAVES, unique=True).map(sorted)
place_sets = st.lists(st.integers(0, N_LEAVES), min_size=1, max_size=N_LEAVES + 1, unique=True).map(sorted)
"""Leaves, and the one that levers make."""
places = st.one_of(place_sets.map(lambda rows: to(*rows)), st.just(Place(values=VIRTUAL[0])))


@st.composite
def changes(draw: st.DrawFn, least: float = -1.0, most: float = 3.0) -> Change:
    by_day = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=N_DAYS, max_size=N_DAYS)))
    form = draw(st.sampled_from(["certain", "path", "table"]))
    low, high = (draw(st.floats(least, most)) for _ in range(2))
    if form == "certain":
        return Change(by_day * low)
    if form == "path":
        return Change(by_day, np.linspace(low, high, N_PATHS))
    return Change.of(by_day[:, None] * np.linspace(low, high, N_PATHS)[None, :], N_DAYS)


@st.composite
def primitives(draw: st.DrawFn) -> Primitive:
    leaves = np.array(draw(place_sets))
    parts = np.array([draw(st.sampled_from([1.0, 0.25])) for _ in leaves])
    kind = draw(st.sampled_from(["scale", "scale", "move", "copy", "money", "follow"]))
    if kind == "scale":
        side = draw(st.sampled_from(["demand", "running", "price", "spend"]))
        forced = draw(st.sampled_from([None, None, "elastic", "fixed"])) if side == "demand" else None
        return Scale(leaves, parts, draw(changes()), side, forced)  # type: ignore[arg-type]
    if kind == "move":
        goes = {int(leaf): draw(places) for leaf in leaves}
        return Move(leaves, parts, goes, draw(changes(0.0, 1.0)), draw(changes(0.0, 3.0)), draw(st.booleans()))
    if kind == "copy":
        return Copy(leaves, parts, draw(places), draw(changes(0.0, 2.0)))
    if kind == "money":
        return Money(draw(places), draw(changes(-50.0, 50.0)), draw(st.sampled_from(["elastic", "fixed", "once"])))
    return Follow(leaves, parts, draw(places), lambda usage: np.maximum(40.0 - usage, -5.0))


contracts = st.sampled_from([None, committed(), committed(60.0, 0.0), committed(250.0, 150.0)])


@given(st.lists(st.lists(primitives(), min_size=1, max_size=2), max_size=3), leaf_sets, st.booleans(), contracts)
@settings(max_examples=200, deadline=None)
def test_map_is_what_moving_every_portion_gives(levers: list[list[Primitive]], wanted: list[int], new: bool, how: Responses | None) -> None:
    inside = np.isin(np.arange(N_LEAVES + 1), [*wanted, *([N_LEAVES] if new else [])])
    np.testing.assert_allclose(fast(levers, how=how), slow(levers, how=how), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(fast(levers, inside, how), slow(levers, inside, how), rtol=1e-9, atol=1e-8)


@given(st.lists(st.lists(primitives(), min_size=1, max_size=2), min_size=1, max_size=3), contracts)
@settings(max_examples=60, deadline=None)
def test_mean_of_a_map_is_the_mean_of_its_paths(levers: list[list[Primitive]], how: Responses | None) -> None:
    money = spending(how)
    state = effects(money)
    for lever in levers:
        state.apply(lever)
    change = state.change()
    assert money.mean(change) == pytest.approx(money.held(change).sum(axis=0).mean(), rel=1e-9, abs=1e-7)


def test_nothing_done_changes_nothing_at_all() -> None:
    money = spending()
    state = effects(money)
    assert state.change() == {}
    state.apply([Scale(*whole(0, 1, 2, 3, 4), certain(0.0)), Scale(*whole(0, 1), certain(0.0), "price")])
    assert state.change() == {}
    state.apply([Scale(*whole(1), certain(1.0), "demand", "fixed")])
    assert state.change() == {}


def test_leaves_that_no_lever_touches_change_by_nothing_at_all() -> None:
    others = np.array([True, False, False, False, True, False])
    levers = [[Scale(*whole(1, 2, 3), Change(np.ones(N_DAYS), np.linspace(0.1, 0.9, N_PATHS)))]]
    assert not fast(levers, others).any()


@pytest.mark.parametrize("factor", [3.7, 0.2, 1e3])
def test_scaling_and_scaling_back_restores(factor: float) -> None:
    leaves = whole(0, 1, 3)
    up, down = certain(factor - 1.0), certain(1.0 / factor - 1.0)
    levers = [[Scale(*leaves, up)], [Scale(*leaves, up, "price")]]
    back = [[Scale(*leaves, down, "price")], [Scale(*leaves, down)]]
    assert np.abs(fast(levers + back)).max() <= 1e-9 * SPEND.sum()


def test_machines_are_restored_too_when_demand_is() -> None:
    levers = [[Scale(*whole(2, 4), certain(3.7 - 1.0))], [Scale(*whole(2, 4), certain(1.0 / 3.7 - 1.0))]]
    assert np.abs(fast(levers)).max() <= 1e-9 * SPEND.sum()


def test_levers_on_disjoint_leaves_commute() -> None:
    one, two = [Scale(*whole(0, 2), certain(1.0))], [Move(*whole(1), {1: to(3)}, certain(0.5), certain(0.3))]
    np.testing.assert_allclose(fast([one, two]), fast([two, one]), rtol=1e-9)


def test_move_at_equal_price_conserves_money_whatever_the_shares_turn_out_to_be() -> None:
    share = Change(np.ones(N_DAYS), np.linspace(0.1, 0.9, N_PATHS))
    goes = {leaf: to((leaf + 1) % N_LEAVES) for leaf in range(N_LEAVES)}
    assert np.abs(fast([[Move(*whole(*range(N_LEAVES)), goes, share, certain(1.0))]])).max() <= 1e-9 * SPEND.sum()


def test_moved_spend_meets_later_levers_where_it_is_now() -> None:
    both = fast([[Move(*whole(0), {0: to(1)}, certain(1.0), certain(1.0))], [Scale(*whole(1), certain(9.0), "price")]])
    np.testing.assert_allclose(both, 9.0 * (SPEND[0] + SPEND[1]))
    swap = {0: to(1), 1: to(0)}
    assert np.abs(fast([[Move(*whole(0, 1), swap, certain(1.0), certain(1.0), keeps_fixed=False)]])).max() < 1e-9, "a swap moves nothing twice"


def test_what_a_lever_brings_is_scaled_moved_and_copied_by_those_after_it() -> None:
    new = N_LEAVES
    bring = [Copy(*whole(0), Place(values=VIRTUAL[0]), certain(0.5))]
    np.testing.assert_allclose(fast([bring, [Scale(*whole(new), certain(1.0))]]), SPEND[0])
    np.testing.assert_allclose(fast([bring, [Scale(*whole(0, new), certain(-0.2), "price")]]), 0.2 * SPEND[0])
    np.testing.assert_allclose(fast([[Scale(*whole(new), certain(1.0))], bring]), 0.5 * SPEND[0], err_msg="a lever before it does nothing")
    np.testing.assert_allclose(fast([bring, [Move(*whole(new), {new: to(1)}, certain(1.0), certain(0.1))]]), 0.05 * SPEND[0])
    np.testing.assert_allclose(fast([bring, [Copy(*whole(0, new), to(1), certain(1.0))]]), 2.0 * SPEND[0])


def test_fixed_cost_stays_when_usage_ends_and_ends_when_it_is_said_to() -> None:
    np.testing.assert_allclose(fast([[Scale(*whole(1), certain(-1.0))]]), -0.5 * SPEND[1])
    np.testing.assert_allclose(fast([[Scale(*whole(1), certain(-1.0), "demand", "elastic")]]), -SPEND[1])
    np.testing.assert_allclose(fast([[Move(*whole(1), {1: to(0)}, certain(1.0), certain(0.0))]]), -0.5 * SPEND[1])


def test_machines_come_whole_and_one_keeps_running() -> None:
    after = SPEND[2] + fast([[Scale(*whole(2), certain(0.3))]])
    ratio = after / SPEND[2]
    machines = SPEND[2] / 7.0
    load = np.ceil(machines - PHASE[None, :] * 0 - responses().phase_of(2)[None, :] * np.minimum(machines, 1.0) - 1e-9)
    np.testing.assert_allclose(ratio * load, np.round(ratio * load), atol=1e-9)
    least = SPEND[2] + fast([[Scale(*whole(2), certain(-0.9999))]])
    assert (least > 0.0).all(), "the last machine runs on"
    np.testing.assert_allclose(SPEND[2] + fast([[Scale(*whole(2), certain(-1.0))]]), 0.0, atol=1e-9)


def test_machines_follow_demand_on_the_mean() -> None:
    rng = np.random.default_rng(1)
    spend = rng.uniform(40.0, 60.0, (1, 30, 400))
    shares = np.array([[0.0, 0.0, 1.0, 0.0]])
    how = Responses(shares, np.array([10.0]), np.array([-1]), (), (rng.permutation(400) + 0.5) / 400)
    money = spending(how, spend)
    state = effects(money)
    state.apply([Scale(*whole(0), Change(np.full(30, 0.5)))])
    assert money.mean(state.change()) / spend.mean(axis=2).sum() == pytest.approx(0.5, abs=0.06)


def test_measured_spend_follows_by_its_power_path_by_path() -> None:
    power = responses().powers[0]
    np.testing.assert_allclose(fast([[Scale(*whole(3), certain(1.0))]]), SPEND[3] * (2.0**power - 1.0)[None, :])
    twice = [[Scale(*whole(3), certain(1.0))], [Scale(*whole(3), certain(-0.5))]]
    assert np.abs(fast(twice)).max() < 1e-9 * SPEND.sum()


def slow_pool(rates: np.ndarray, commitments: tuple[Commitment, ...] = ()) -> Responses:
    shares = np.zeros((N_LEAVES, 4))
    shares[:, 2] = 1.0
    quantum, none = np.full(N_LEAVES, 1e-6), np.full(N_LEAVES, -1)
    return Responses(shares, quantum, none, (), PHASE, np.ones(N_LEAVES, dtype=bool), rates, commitments)


def test_slow_pools_follow_by_a_part_of_the_way_a_day_and_stop_at_once() -> None:
    rates = np.linspace(0.1, 1.0, N_PATHS)
    ratio = 1.0 + fast([[Scale(*whole(0), certain(1.0))]], how=slow_pool(rates)) / SPEND[0]
    np.testing.assert_allclose(ratio, 2.0 - (1.0 - rates[None, :]) ** (np.arange(N_DAYS) + 1.0)[:, None], rtol=1e-5)
    np.testing.assert_allclose(fast([[Scale(*whole(0), certain(-1.0))]], how=slow_pool(rates)), -SPEND[0])
    back = [[Scale(*whole(0), certain(1.0))], [Scale(*whole(0), certain(-0.5))]]
    assert np.abs(fast(back, how=slow_pool(rates))).max() < 1e-9 * SPEND.sum()


def test_hours_that_come_on_top_cost_what_hours_without_a_commitment_cost() -> None:
    how = slow_pool(np.ones(N_PATHS), (Commitment(np.array([0]), 0.5, 0.8, 0.5),))
    np.testing.assert_allclose(fast([[Scale(*whole(0), certain(1.0))]], how=how), SPEND[0] + 0.3, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.3, 0.0, 2.0])
def test_leaves_under_one_commitment_save_no_more_than_what_is_paid_beyond_it(factor: float) -> None:
    worth, inside = 90.0, 60.0
    how = slow_pool(np.ones(N_PATHS), (Commitment(np.array([0, 1]), inside, worth, inside),))
    cost = SPEND[0] + SPEND[1]
    usage = np.where(cost >= inside, cost + worth - inside, cost * worth / inside)
    expected = np.maximum(factor * usage, worth) - np.maximum(usage, worth)
    np.testing.assert_allclose(fast([[Scale(*whole(0, 1), certain(factor - 1.0))]], how=how), expected, rtol=1e-4, atol=1e-4)
    apart = [[Scale(*whole(0), certain(factor - 1.0))], [Scale(*whole(1), certain(factor - 1.0))]]
    np.testing.assert_allclose(fast(apart, how=how), expected, rtol=1e-4, atol=1e-4, err_msg="one lever after the other comes to the same")
    back = [*apart, [Scale(*whole(1, 0), certain(1.0 / factor - 1.0))]] if factor else apart
    assert not factor or np.abs(fast(back, how=how)).max() < 1e-9 * SPEND.sum()


def test_what_one_leaf_gives_up_of_a_commitment_another_that_grows_uses() -> None:
    how = slow_pool(np.ones(N_PATHS), (Commitment(np.array([0, 1]), 60.0, 60.0, 60.0),))
    levers = [[Scale(*whole(0), certain(-1.0))], [Scale(*whole(1), Change.of(SPEND[0] / SPEND[1], N_DAYS))]]
    np.testing.assert_allclose(fast(levers, how=how), 0.0, atol=1e-3)


def test_machines_that_move_or_run_fewer_hours_leave_the_commitment_behind() -> None:
    how = slow_pool(np.ones(N_PATHS), (Commitment(np.array([0]), 1000.0, 1000.0, 1000.0),))
    np.testing.assert_allclose(fast([[Scale(*whole(0), certain(-0.6), "running")]], how=how), 0.0, atol=1e-6)
    away = Move(*whole(0), {0: to(1)}, certain(0.5), certain(0.3))
    np.testing.assert_allclose(fast([[away]], how=how), 0.15 * SPEND[0], rtol=1e-6)
    np.testing.assert_allclose(fast([[replace(away, keeps_fixed=False)]], how=how), -0.35 * SPEND[0], rtol=1e-6)
    np.testing.assert_allclose(fast([[Scale(*whole(0), certain(-1.0), "spend")]], how=how), -SPEND[0])


def test_sums_by_bin_and_by_stage_are_sums_of_days() -> None:
    money = spending()
    state = effects(money)
    stages = []
    for lever in ([Scale(*whole(0, 2), Change(np.ones(N_DAYS), np.linspace(0, 1, N_PATHS)))], [Money(to(1), certain(5.0))]):
        state.apply(lever)
        stages.append(state.change())
    bins = np.array([0, 0, -1, 1])
    found = money.totals([Wanted(stages, bins, 2), Wanted(stages[-1:], np.arange(N_DAYS), N_DAYS)])
    days = np.stack([money.held(stage) for stage in stages])
    np.testing.assert_allclose(found[0][:, 0], days[:, :2].sum(axis=1))
    np.testing.assert_allclose(found[0][:, 1], days[:, 3])
    np.testing.assert_allclose(found[1][0], days[1])


def test_days_of_long_steps_are_even_parts_of_them() -> None:
    step, length = np.array([0, 1, 1, 1]), np.array([1.0, 4.0, 4.0, 4.0])
    paths = SPEND[:, :2]
    money = Spending(paths, {}, step, length, responses(), Bases())
    state = effects(money)
    state.apply([Scale(*whole(0), Change(np.array([1.0, 0.0, 1.0, 1.0])))])
    expected = paths[0, 0] + paths[0, 1] * 0.5
    np.testing.assert_allclose(money.totals([Wanted([state.change()], np.zeros(4, dtype=np.int64))])[0][0, 0], expected)
    table = effects(money)
    table.apply([Scale(*whole(0), Change.of(np.array([1.0, 0.0, 1.0, 1.0])[:, None] * np.ones((1, N_PATHS)), 4))])
    np.testing.assert_allclose(money.totals([Wanted([table.change()], np.zeros(4, dtype=np.int64))])[0][0, 0], expected)


def test_too_many_uncertain_levers_on_the_same_spend_are_refused() -> None:
    levers = [[Scale(*whole(0), Change(np.ones(N_DAYS), np.linspace(0, 1, N_PATHS)))] for _ in range(MOST_UNCERTAIN + 1)]
    with pytest.raises(PlanError, match="uncertain"):
        fast(levers)


def broken(name: str, wrong: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    def put(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Effects, name, wrong)

    return put


def _moves_without_leaving(self: Effects, move: Move) -> None:
    parts = self._parts(move.leaves, move.parts)
    before = {product: block.copy() for product, block in self.blocks.items()}
    _MOVE(self, move)
    for product, block in before.items():
        now = self.blocks[product]
        rows = [row for row in range(len(now.source)) if parts[now.place[row]] and row < len(block.source)]
        now.values[rows] = block.values[rows] if len(block.source) >= len(now.source) else now.values[rows] * 1.01


def _scales_twice_over(self: Effects, part: np.ndarray, kinds: frozenset[int], change: Change) -> None:
    _MULTIPLY(self, part, kinds, change.times(1.001))


_MOVE, _MULTIPLY = Effects._move, Effects._multiply
MUTANTS = {
    "a change is a thousandth too large": broken("_multiply", _scales_twice_over),
    "moved money does not leave": broken("_move", _moves_without_leaving),
    "machines do not follow": broken("_scale_machines", lambda self, part, change, forced, in_proportion=False: None),
    "measured spend does not follow": broken("_scale_measured", lambda self, scale, part: None),
    "copies do not arrive": broken("_copy", lambda self, copy: None),
}
LEVERS: list[list[Primitive]] = [
    [Scale(*whole(0, 1, 2, 3, 4), certain(0.5))],
    [Move(*whole(0), {0: to(1)}, certain(0.5), certain(0.3))],
    [Copy(*whole(0), Place(values=VIRTUAL[0]), certain(0.5))],
]


def test_the_levers_of_the_mutants_agree_with_the_twin_when_nothing_is_broken() -> None:
    np.testing.assert_allclose(fast(LEVERS), slow(LEVERS), rtol=1e-9)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_checks_bite(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    assert not np.allclose(fast(LEVERS), slow(LEVERS), rtol=1e-6)


def test_check_bites_when_what_leaves_share_of_a_commitment_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    levers: list[list[Primitive]] = [[Scale(*whole(2), certain(-0.9))], [Scale(*whole(2, 4), certain(-0.5))]]
    how = committed(60.0, 40.0)
    np.testing.assert_allclose(fast(levers, how=how), slow(levers, how=how), rtol=1e-9)
    monkeypatch.setattr(Effects, "_costs", lambda self, leaves: {leaf: self._demand[leaf] for leaf in leaves})
    assert not np.allclose(fast(levers, how=how), slow(levers, how=how), rtol=1e-6)
