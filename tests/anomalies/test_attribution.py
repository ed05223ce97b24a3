"""Root causes: the planted one is named, the money adds up, offsetting falls are shown."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from forecast.anomalies.attribution import Contributor, impacts_by_value, price_volume_mix, root_causes, sentence

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
        for dimension in DIMENSIONS:
            scaled = reference.assign(cost=reference["cost"] / 10)
            assert impacts_by_value(current, scaled, dimension).sum() == pytest.approx(excess)


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


@pytest.mark.parametrize("seed", range(5))
def test_price_volume_and_mix_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = usual_lines(seed=seed)
    current = day_like(reference)
    current["quantity"] *= np.exp(rng.normal(0.0, 0.5, len(current)))
    current["cost"] = current["quantity"] * np.exp(rng.normal(0.0, 0.5, len(current)))
    found = price_volume_mix(current, reference)
    assert found is not None
    assert sum(found) == pytest.approx(current["cost"].sum() - reference["cost"].sum())


def test_price_rise_is_price_growth_is_volume_and_a_switch_is_mix() -> None:
    reference = day_like(usual_lines())
    dearer = reference.assign(cost=reference["cost"] * 1.5)
    price, volume, mix = price_volume_mix(dearer, reference) or (0, 0, 0)
    assert (price, volume, mix) == pytest.approx((0.5 * reference["cost"].sum(), 0.0, 0.0), abs=1e-9)
    more = reference.assign(cost=reference["cost"] * 1.5, quantity=reference["quantity"] * 1.5)
    price, volume, mix = price_volume_mix(more, reference) or (0, 0, 0)
    assert (price, volume, mix) == pytest.approx((0.0, 0.5 * reference["cost"].sum(), 0.0), abs=1e-6)
    # All of the mini model's tokens go to the large one at 5 times the price.
    mini = reference["ai_model"] == "mini"
    switched = reference.assign(ai_model="large", cost=reference["cost"].where(~mini, reference["quantity"] * 5.0))
    price, volume, mix = price_volume_mix(switched, reference) or (0, 0, 0)
    assert mix == pytest.approx(4.0 * reference.loc[mini, "quantity"].sum())
    assert abs(price) + abs(volume) == pytest.approx(0.0, abs=1e-6)


def test_unknown_quantities_give_no_split() -> None:
    reference = day_like(usual_lines())
    assert price_volume_mix(reference.assign(quantity=np.nan), reference) is None
    assert price_volume_mix(reference.drop(columns="quantity"), reference) is None


def test_sentence_is_made_from_the_numbers() -> None:
    cause = Contributor({"team": "ads", "ai_model": "large"}, 900.0, 0.9, 0.0, 900.0, 0.0)
    text = sentence("team=ads", ("2026-12-11", "2026-12-11"), 1500.0, 500.0, "USD", [cause])
    assert text == (
        "team=ads cost 1,500.00 USD on 2026-12-11, 1,000.00 above the expected 500.00 USD (200%); "
        "90% of that is team=ads, ai_model=large, mostly volume."
    )


def test_sentence_does_not_name_the_incident_as_its_own_cause() -> None:
    cause = Contributor({"provider": "Anthropic", "team": "ads"}, 1000.0, 1.0, None, None, None)
    text = sentence("provider=Anthropic,team=ads", ("2026-12-11", "2026-12-11"), 1500.0, 500.0, "USD", [cause])
    assert text.endswith("above the expected 500.00 USD (200%).")
