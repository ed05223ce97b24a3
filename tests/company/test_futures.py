from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast.company import organisation
from forecast.company.futures import Futures
from forecast.company.generate import Company, generate
from forecast.company.levers import Lever
from forecast.company.simulation import Simulation
from forecast.company.span import Span
from forecast.company.stretch import Streams, Stretch
from forecast.errors import InputError, UnknownScopeError
from forecast.spend.scope import Scope

CUTOFF = date(2026, 8, 31)


@cache
def small(*levers: Lever, futures: int = 30) -> Company:
    return generate(5, 150, 3, end=date(2026, 10, 1), cutoff=CUTOFF, futures=futures, horizon=30, levers=levers, incidents=False)


def futures_of(company: Company) -> Futures:
    assert company.futures is not None
    return company.futures


def pulled(*levers: Lever) -> tuple[Futures, Futures]:
    company = small(*levers)
    assert company.lever_futures is not None
    return futures_of(company), company.lever_futures


def lever(kind: str, factor: float = 0.0, scope: str = "", **more: str) -> Lever:
    plan = {"type": kind, "scope": scope, "from": "2026-09-11", "share" if kind == "move_share" else "factor": factor, **more}
    return Lever.parse(plan, 0)


def test_costs_of_futures_are_those_of_charge_lines() -> None:
    # The same stretch lived twice: once as lines of a bill, once as the costs that futures are made of.
    streams = Streams(3)
    company = organisation.found(streams, 90, 3)
    simulation = Simulation.drawn(company, streams, 90)
    span = Span(date(2026, 1, 1), date(2026, 4, 1))
    lines, _ = simulation.happen(Stretch.beginning(span, streams, 90))
    keys, cost = simulation.may_happen(Stretch.beginning(span, streams, 90), ())
    assert cost.shape == (90, 1, len(keys))
    billed = pd.DataFrame(lines.effective_cost().T).groupby([lines.attributes["leaf"].to_numpy()]).sum().T
    for index, leaf in enumerate(company.leaves):
        chosen = (keys[["provider", "service", "team", "stage", "workload"]] == [value or "(none)" for value in leaf.key]).all(axis=1)
        expected = billed[index] if index in billed else np.zeros(90)
        # Tokens of a bill are whole, and its unit prices have ten decimals (0.3 % of the cheapest one).
        np.testing.assert_allclose(cost[:, 0, chosen.to_numpy()].sum(axis=1), expected, rtol=3e-3, atol=0.02)


def test_what_really_came_is_one_more_future() -> None:
    # Its rank among the futures is uniform; 40 companies, so a wrong spread or level shows.
    ranks = []
    for seed in range(200, 240):
        company = generate(seed, 100, 2, end=date(2026, 10, 1), cutoff=CUTOFF, futures=25, horizon=30, incidents=False)
        came = company.rows.loc[company.rows["ChargePeriodStart"] >= "2026-09-01", "EffectiveCost"].sum()
        ranks.append(float((futures_of(company).total() < came).mean()))
    assert stats.kstest(ranks, "uniform").pvalue > 0.01


def test_more_futures_begin_with_the_same_ones() -> None:
    few, many = futures_of(small(futures=10)), futures_of(small(futures=30))
    np.testing.assert_array_equal(few.cost, many.cost[:, :, :10])
    assert len(many) == 30
    assert len(np.unique(many.total())) == 30


def test_totals_of_scopes_add_up_and_days_add_up() -> None:
    futures = futures_of(small())
    teams = sorted(set(futures.keys["team"]))
    np.testing.assert_allclose(sum(futures.total(f"team={team}") for team in teams), futures.total(), rtol=1e-6)
    np.testing.assert_allclose(futures.daily("provider=OpenAI").sum(axis=0), futures.total(Scope.parse("provider=OpenAI")), rtol=1e-6)
    halves = futures.total("", futures.start, date(2026, 9, 11)) + futures.total("", date(2026, 9, 11), futures.end)
    np.testing.assert_allclose(halves, futures.total(), rtol=1e-6)
    assert futures.end == futures.start + timedelta(days=30)
    np.testing.assert_array_equal(futures.total("", "2026-09-01", "2026-09-11"), futures.total("", futures.start, date(2026, 9, 11)))


def test_overrun_probability_is_the_share_of_futures_beyond_the_amount() -> None:
    futures = futures_of(small())
    total = futures.total("team!=(none)")
    middle = float(np.median(total))
    assert futures.overrun_probability("team!=(none)", futures.start, futures.end, middle) == pytest.approx(0.5, abs=0.05)
    assert futures.overrun_probability("", futures.start, futures.end, 0.0) == 1.0


def test_scaling_usage_doubles_tokens_and_leaves_seats_alone() -> None:
    plain, changed = pulled(lever("scale_usage", 2.0))
    split = date(2026, 9, 11)
    # Same shocks: before the lever nothing differs.
    np.testing.assert_array_equal(plain.daily()[:10], changed.daily()[:10])
    tokens = "provider=OpenAI|Anthropic,charge_category=Usage"
    np.testing.assert_allclose(changed.total(tokens, split), 2.0 * plain.total(tokens, split), rtol=1e-4)
    seats = "provider=GitHub|Notion,charge_category=Usage"
    np.testing.assert_allclose(changed.total(seats), plain.total(seats), rtol=1e-6)


def test_a_price_lever_changes_its_scope_only() -> None:
    plain, changed = pulled(lever("change_price", 0.8, "provider=OpenAI"))
    split = date(2026, 9, 11)
    scope = "provider=OpenAI,charge_category=Usage"
    np.testing.assert_allclose(changed.total(scope, split), 0.8 * plain.total(scope, split), rtol=1e-4)
    np.testing.assert_array_equal(changed.total("provider=Anthropic"), plain.total("provider=Anthropic"))


def test_a_move_reads_like_one_of_a_plan() -> None:
    plan = {"type": "move_share", "scope": "team=ads,ai_model=gpt-4o", "to": "ai_model=gpt-4o-mini", "share": 0.4, "from": "2026-09-11"}
    found = Lever.parse(plan, 0)
    assert (found.source, found.target, str(found.scope), found.factor) == ("gpt-4o", "gpt-4o-mini", "team=ads", 0.4)


def test_switching_a_team_off_leaves_what_was_bought() -> None:
    team = str(futures_of(small()).keys["team"].iloc[0])
    plain, changed = pulled(lever("switch_off", scope=f"team={team}"))
    split = date(2026, 9, 11)
    assert changed.total(f"team={team},provider=OpenAI|Anthropic", split).max() == 0.0
    seats = f"team={team},provider=GitHub|Notion"
    np.testing.assert_array_equal(changed.total(seats), plain.total(seats))


def test_moving_all_tokens_to_a_cheaper_model_empties_the_first_and_costs_less() -> None:
    split = date(2026, 9, 11)
    futures = futures_of(small())
    sonnets = ("claude-3-7-sonnet", "claude-sonnet-4", "claude-sonnet-4-5")
    used = max(sonnets, key=lambda model: float(np.median(futures.total(f"ai_model={model}", split))))
    plain, changed = pulled(lever("move_share", 1.0, source=f"ai_model={used}", target="ai_model=claude-3-haiku"))
    assert changed.total(f"ai_model={used}", split).max() == 0.0
    gone, come = (
        plain.total(f"ai_model={used}", split),
        changed.total("ai_model=claude-3-haiku", split) - plain.total("ai_model=claude-3-haiku", split),
    )
    # Haiku's tokens cost a twelfth of Sonnet's, whatever the mix of meters; a price change may have come for one of them.
    assert np.median(come[gone > 1.0] / gone[gone > 1.0]) == pytest.approx(1 / 12, rel=0.02)
    np.testing.assert_array_equal(plain.total("provider=OpenAI"), changed.total("provider=OpenAI"))


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"type": "teleport", "from": "2026-09-11"}, "levers[0].type"),
        ({"type": "scale_usage", "from": "2026-09-11", "factor": -1.0}, "levers[0].factor"),
        ({"type": "scale_usage", "from": "2026-09-11", "factor": "two"}, "levers[0].factor"),
        ({"type": "scale_usage", "from": "soon", "factor": 2.0}, "levers[0].from"),
        ({"type": "scale_usage", "from": "2026-09-11", "until": "2026-09-11", "factor": 2.0}, "levers[0].until"),
        ({"type": "scale_usage", "from": "2026-09-11", "factor": 2.0, "ramp": "step"}, "levers[0]"),
        ({"type": "move_share", "from": "2026-09-11", "share": 0.5, "source": "abacus", "target": "gpt-5"}, "levers[0].source"),
        ({"type": "move_share", "from": "2026-09-11", "share": 0.5, "source": "gpt-5", "target": "claude-opus-4"}, "levers[0].target"),
        ({"type": "move_share", "from": "2026-09-11", "share": 1.5, "source": "gpt-5", "target": "gpt-4o"}, "levers[0].factor"),
    ],
)
def test_impossible_levers_are_named(plan: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        generate(1, 60, 1, futures=1, horizon=5, levers=[plan])
    assert caught.value.field == field


def test_levers_without_futures_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        generate(1, 60, 1, levers=[{"type": "switch_off", "from": "2026-10-01"}])
    assert caught.value.field == "futures"


def test_questions_that_futures_cannot_answer_are_refused() -> None:
    futures = futures_of(small())
    with pytest.raises(InputError, match="not kept") as caught:
        futures.total("resource=x")
    assert caught.value.field == "scope"
    with pytest.raises(UnknownScopeError, match="nobody"):
        futures.total("team=nobody")
    with pytest.raises(UnknownScopeError, match="nobody"):
        generate(1, 60, 1, futures=1, horizon=5, levers=[{"type": "switch_off", "scope": "team=nobody", "from": "2026-11-02"}])
    with pytest.raises(InputError, match="cannot be answered from the futures"):
        futures.total("", futures.start - timedelta(days=1))
