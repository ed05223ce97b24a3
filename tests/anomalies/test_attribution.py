"""Root causes: the planted one is named, the money adds up, offsetting falls are shown."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.attribution import Contributor, root_causes

DIMENSIONS = ("provider", "team", "ai_model", "meter")


def usual_lines(days: int = 10, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for _, provider, team, model, meter in itertools.product(range(days), ("a", "b"), ("ads", "search"), ("large", "mini"), ("in", "out")):
        price = {"large": 5.0, "mini": 1.0}[model]
        quantity = 100.0 * np.exp(0.05 * rng.standard_normal())
        rows.append((provider, team, model, meter, price * quantity, quantity))
    return pd.DataFrame(rows, columns=["provider", "team", "ai_model", "meter", "cost", "quantity"])


def day_like(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.iloc[:16].reset_index(drop=True)


def explain(current: pd.DataFrame, reference: pd.DataFrame) -> list[Contributor]:
    return root_causes(current, reference, DIMENSIONS, actual=float(current["cost"].sum()), expected=float(reference["cost"].sum()) / 10)


def test_runaway_of_one_team_on_one_model_is_named_with_its_money() -> None:
    reference = usual_lines()
    current = day_like(reference)
    hit = (current["team"] == "ads") & (current["ai_model"] == "large")
    current.loc[hit, ["cost", "quantity"]] *= 6.0
    causes = explain(current, reference)
    assert causes[0].scope == {"team": "ads", "ai_model": "large"} or causes[0].scope == {"ai_model": "large", "team": "ads"}
    assert causes[0].share == pytest.approx(1.0, abs=0.05)
    assert causes[0].volume == pytest.approx(causes[0].impact, rel=0.05)
    assert causes[0].price == pytest.approx(0.0, abs=0.02 * causes[0].impact)


def test_impacts_add_up_to_the_excess() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        reference = usual_lines(seed=int(rng.integers(1000)))
        current = day_like(reference)
        current["cost"] *= np.exp(rng.normal(0.0, 0.8, len(current)))
        causes = explain(current, reference)
        excess = float(current["cost"].sum()) - float(reference["cost"].sum()) / 10
        assert sum(cause.impact for cause in causes) == pytest.approx(excess)
        assert sum(cause.share or 0.0 for cause in causes) == pytest.approx(1.0)


def test_offsetting_fall_is_shown() -> None:
    reference = usual_lines()
    current = day_like(reference)
    current.loc[current["team"] == "ads", ["cost", "quantity"]] *= 3.0
    current.loc[current["team"] == "search", ["cost", "quantity"]] *= 0.5
    causes = explain(current, reference)
    by_team = {cause.scope.get("team"): cause.impact for cause in causes}
    assert by_team["ads"] > 0
    assert by_team["search"] < 0


def test_everything_growing_alike_blames_nobody() -> None:
    reference = usual_lines()
    current = day_like(reference).assign(cost=lambda frame: frame["cost"] * 2.0, quantity=lambda frame: frame["quantity"] * 2.0)
    causes = explain(current, reference)
    assert [cause.scope for cause in causes] == [{}]
    assert causes[0].share == 1.0


def test_fall_is_explained_like_a_rise() -> None:
    reference = usual_lines()
    current = day_like(reference)
    hit = (current["team"] == "ads") & (current["provider"] == "a")
    current.loc[hit, ["cost", "quantity"]] = 0.0
    causes = explain(current, reference)
    assert causes[0].scope == {"provider": "a", "team": "ads"}
    assert causes[0].impact < 0 < (causes[0].share or 0.0)


def test_two_causes_are_ranked_by_their_money() -> None:
    reference = usual_lines()
    current = day_like(reference)
    current.loc[(current["team"] == "ads") & (current["provider"] == "a"), ["cost", "quantity"]] *= 6.0
    current.loc[(current["team"] == "search") & (current["provider"] == "b"), ["cost", "quantity"]] *= 4.0
    first, second, *_ = explain(current, reference)
    assert first.scope == {"provider": "a", "team": "ads"}
    assert second.scope == {"provider": "b", "team": "search"}
    assert first.impact > second.impact > 0


def test_switch_of_models_is_one_cause_and_mix() -> None:
    """Team ads moves all of its mini tokens to the large model: no model is blamed, the team is, and the answer says from which to which."""
    reference = usual_lines()
    current = day_like(reference)
    hit = (current["team"] == "ads") & (current["ai_model"] == "mini")
    current = current.assign(ai_model=current["ai_model"].where(~hit, "large"), cost=current["cost"].where(~hit, current["quantity"] * 5.0))
    first, *_ = explain(current, reference)
    assert first.scope == {"team": "ads"}
    assert first.switched == ("mini", "large")
    assert first.mix == pytest.approx(first.impact, rel=0.15)
    assert first.as_dict()["switched"] == {"from": "mini", "to": "large"}


def test_no_lines_and_no_excess_are_answered() -> None:
    reference = usual_lines()
    assert [cause.scope for cause in root_causes(reference, reference, DIMENSIONS, actual=5.0, expected=5.0)] == [{}]
    (cause,) = root_causes(reference.iloc[:0], reference, DIMENSIONS, actual=0.0, expected=100.0)
    assert (cause.scope, cause.impact, cause.share) == ({}, -100.0, 1.0)
    (cause,) = root_causes(reference.iloc[:0], reference.iloc[:0], DIMENSIONS, actual=3.0, expected=1.0)
    assert (cause.scope, cause.impact) == ({}, 2.0)


def test_credits_and_refunds_do_not_break_the_sums() -> None:
    reference = usual_lines()
    reference.loc[reference.index % 7 == 0, "cost"] *= -0.5
    current = day_like(reference).assign(cost=lambda frame: frame["cost"] + 100.0 * (frame["team"] == "ads"))
    causes = explain(current, reference)
    excess = float(current["cost"].sum()) - float(reference["cost"].sum()) / 10
    assert sum(cause.impact for cause in causes) == pytest.approx(excess)
    assert all(np.isfinite(cause.impact) for cause in causes)
