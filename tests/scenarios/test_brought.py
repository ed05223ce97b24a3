"""Levers on what levers before them bring: new places can be named, scaled, moved, copied and committed to; before they are there they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import PlanError
from forecast.scenarios.bases import Bases
from forecast.scenarios.spending import Spending
from forecast.workflows.whatif_levers import LoweredLevers, lower_levers
from tests.oracles.scenarios import scenario

from .small_world import DAYS, lever_of, small_world, spend_of_paths

Levers = tuple[tuple[str, dict[str, Any]], ...]
MAPS: tuple[str, dict[str, Any]] = ("new_workload", {"like": "provider=OpenAI,team=search", "scale": 0.5, "target": "provider=OpenAI,team=maps"})
OPENAI, SEARCH = [0, 1], 0


def lower(*levers: tuple[str, dict[str, Any]]) -> LoweredLevers:
    return lower_levers([lever_of(kind, **values) for kind, values in levers], small_world())


def delta(*levers: tuple[str, dict[str, Any]]) -> np.ndarray:
    """(n_days, n_paths) what the levers change together, as they act."""
    found = lower(*levers)
    money = Spending(spend_of_paths(), {}, np.arange(len(DAYS)), np.ones(len(DAYS)), found.world.responses, Bases())
    state = found.start(money)
    for number in found.order:
        state.apply(found.lowered[number].primitives)
    return money.held(state.change(None))


def spend(*leaves: int) -> np.ndarray:
    return np.asarray(spend_of_paths()[list(leaves)].sum(axis=0))


def test_assistant_launches_then_prices_fall_then_its_traffic_doubles() -> None:
    cheaper = ("change_price", {"scope": "provider=OpenAI", "factor": 0.8})
    twice = ("scale_usage", {"scope": "team=maps", "factor": 2.0})
    np.testing.assert_allclose(delta(MAPS, cheaper, twice), 0.8 * 0.5 * 2.0 * spend(SEARCH) - 0.2 * spend(*OPENAI))
    np.testing.assert_allclose(
        delta(cheaper, MAPS, twice), 0.8 * 0.5 * 2.0 * spend(SEARCH) - 0.2 * spend(*OPENAI), err_msg="as cheap as what it is like"
    )


@pytest.mark.parametrize(("scope", "part"), [("", 1.0), ("provider=OpenAI", 1.0), ("team!=ads", 1.0), ("team!=maps", 0.0), ("stage=prod", 0.0)])
def test_whole_company_and_other_scopes_hold_for_what_is_new(scope: str, part: float) -> None:
    price = ("change_price", {"scope": scope, "factor": 0.5})
    added = delta(MAPS, price) - delta(("change_price", {"scope": scope if scope != "team!=maps" else "", "factor": 0.5}))
    np.testing.assert_allclose(added, 0.5 * spend(SEARCH) * (1.0 - 0.5 * part), rtol=1e-9, atol=1e-9)


def test_scope_may_mix_teams_that_are_there_with_those_that_are_new() -> None:
    both = ("scale_usage", {"scope": "provider=OpenAI,team=ads|maps", "factor": 3.0})
    np.testing.assert_allclose(delta(MAPS, both), 0.5 * 3.0 * spend(SEARCH) + 2.0 * spend(1))


def test_new_place_has_the_ai_models_of_what_it_is_like() -> None:
    mini = ("change_price", {"scope": "ai_model=gpt-4o-mini", "factor": 0.0})
    like_ads = ("new_workload", {"like": "provider=OpenAI,team=ads", "scale": 1.0, "target": "team=maps"})
    np.testing.assert_allclose(delta(like_ads, mini), spend(1) - 2.0 * 0.5 * spend(1), atol=1e-9, err_msg="half of the team's spend is on it")
    np.testing.assert_allclose(delta(MAPS, mini), 0.5 * spend(SEARCH) - 0.5 * spend(1))
    users = {"users": 10, "requests_a_user_a_day": 5, "tokens_a_request": 1000, "price_a_million": 20, "target": "team=maps"}
    np.testing.assert_allclose(delta(("new_workload", users), mini), 1.0 - 0.5 * spend(1), err_msg="nobody knows which models it uses")


def test_new_place_can_be_copied_moved_and_switched_off() -> None:
    again = ("new_workload", {"like": "team=maps", "scale": 2.0, "target": "team=charts"})
    np.testing.assert_allclose(delta(MAPS, again), 1.5 * spend(SEARCH))
    cut = ("change_price", {"scope": "team=charts,ai_model=gpt-4o", "factor": 0.0})
    np.testing.assert_allclose(delta(MAPS, again, cut), 0.5 * spend(SEARCH), err_msg="a copy of a copy has its AI models too")
    away = ("move_share", {"scope": "team=maps", "to": "provider=AWS,service=EC2", "share": 1.0, "price_ratio": 0.1})
    np.testing.assert_allclose(delta(MAPS, away), 0.05 * spend(SEARCH))
    off = ("switch_off", {"scope": "team=maps", "exit_cost": 90.0})
    found = delta(MAPS, off)
    np.testing.assert_allclose(found[0], 90.0, err_msg="the exit cost comes where it was")
    np.testing.assert_allclose(found[1:], 0.0, atol=1e-9)
    with pytest.raises(PlanError, match="switched off"):
        lower(MAPS, off, away)


def test_commitment_covers_what_is_new_wherever_it_stands_in_the_plan() -> None:
    commit = ("commit", {"scope": "team=maps", "a_day": 10.0, "discount": 0.5})
    for levers in ((commit, MAPS), (MAPS, commit)):
        np.testing.assert_allclose(delta(*levers), 0.5 * spend(SEARCH) + 10.0 - np.minimum(0.5 * spend(SEARCH), 20.0))


def test_lever_before_the_one_that_brings_a_value_is_an_error_that_names_it() -> None:
    twice = ("scale_usage", {"scope": "team=maps", "factor": 2.0})
    with pytest.raises(PlanError, match=r"levers\[1\] brings team 'maps', and acts after levers\[0\]") as caught:
        lower(twice, MAPS)
    assert caught.value.field == "levers[0].scope"
    assert caught.value.allowed == "levers[1] before levers[0]"
    with pytest.raises(PlanError, match=r"levers\[0\].scope") as other:
        lower(("scale_usage", {"scope": "team=mapz", "factor": 2.0}), MAPS)
    assert "brings" not in str(other.value)


def test_nothing_can_be_like_what_a_lever_has_ended() -> None:
    off, again = ("scale_usage", {"scope": "", "factor": 0.0}), ("new_workload", {"like": "team=maps", "scale": 1.0, "target": "team=x"})
    with pytest.raises(PlanError, match=r"levers\[2\].like: nothing was spent on team=maps lately$"):
        lower(MAPS, off, again, ("new_workload", {"like": "team=ads", "scale": 1.0, "target": "team=x"}))


def test_scope_that_nothing_new_or_old_has_is_an_error() -> None:
    for scope in ("team=maps,provider=AWS", "team=maps|mapz", "team=maps,ai_model=claude-haiku", "team=maps,ai_model=unheard-of"):
        with pytest.raises(PlanError, match=r"levers\[1\].scope"):
            lower(MAPS, ("scale_usage", {"scope": scope, "factor": 2.0}))


def test_levers_on_new_places_meet_and_nothing_is_said_of_usage_that_is_not_there() -> None:
    found = lower(MAPS, ("scale_usage", {"scope": "team=maps", "factor": 2.0}), ("scale_usage", {"scope": "team=ads", "factor": 2.0}))
    assert found.touches[0] & found.touches[1] == {found.world.n_leaves}
    assert found.response(1) is None
    assert found.virtual == ({"provider": "OpenAI", "team": "maps"},)


scopes = st.sampled_from(["", "team=maps", "provider=OpenAI", "team!=ads", "team=search|maps"])
later: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.one_of(
    st.tuples(st.just("scale_usage"), st.fixed_dictionaries({"scope": scopes, "factor": st.floats(0.1, 3.0)})),
    st.tuples(st.just("change_price"), st.fixed_dictionaries({"scope": scopes, "factor": st.floats(0.1, 2.0)})),
    st.tuples(st.just("grow"), st.fixed_dictionaries({"scope": scopes, "percent_a_month": st.floats(-50.0, 50.0)})),
    st.tuples(
        st.just("new_workload"),
        st.fixed_dictionaries({"like": scopes, "scale": st.floats(0.1, 2.0), "target": st.sampled_from(["team=maps", "team=x"])}),
    ),
)


@given(st.lists(later, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_levers_on_new_places_do_what_the_slow_twin_does(levers: list[tuple[str, dict[str, Any]]]) -> None:
    found = lower(MAPS, *levers)
    base = spend_of_paths()[:, :3, :4]
    after = scenario(base, found.world.responses, [one.primitives for one in found.lowered], [dict(values) for values in found.virtual])
    np.testing.assert_allclose(delta(MAPS, *levers)[:3, :4], after.sum(axis=0) - base.sum(axis=0), rtol=1e-9, atol=1e-8)
