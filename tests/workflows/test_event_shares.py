"""An event on part of a leaf belongs to that part in every finer answer, and to no other."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.forecasts import forecast_answer
from forecast.workflows.readings import read_groups
from tests.snapshots_for_tests import make_snapshot

JANUARY = Period(date(2027, 1, 1), date(2027, 2, 1))
LARGE, API = Scope.parse("ai_model=gpt-large"), Scope.parse("service=OpenAI API")


def with_price_rise(rise: float) -> Snapshot:
    """A snapshot whose leaves of the large model were made dearer by `rise` times what they spend on it."""
    snapshot = make_snapshot(n_paths=60)
    share = large_share(snapshot)
    leaves = snapshot.hierarchy.leaf_mask(API).nonzero()[0]
    means = snapshot.leaf_paths.mean(axis=2, dtype=np.float64)
    rows = []
    for leaf in leaves:
        paths = snapshot.leaf_paths[leaf]
        paths *= np.float32(1.0 + rise * share[leaf])
        rows += [("price", int(leaf), step, money) for step, money in enumerate(rise * share[leaf] * means[leaf])]
    price = {"id": "price", "name": "", "type": "price_change", "start": "2026-12-11", "end": None, "scope": str(LARGE), "status": "ahead"}
    snapshot.meta["events"] = [price]
    object.__setattr__(snapshot, "node_paths", snapshot.hierarchy.aggregate(snapshot.leaf_paths).astype(np.float32))
    object.__setattr__(snapshot, "event_effects", pd.DataFrame(rows, columns=["event", "leaf", "step", "effect"]))
    return snapshot


def large_share(snapshot: Snapshot) -> np.ndarray:
    """(n_leaves,) recent share of the large model."""
    recent, n = snapshot.recent, len(snapshot.hierarchy.leaf_ids)
    own = np.bincount(recent["leaf"], weights=np.where(recent["ai_model"] == "gpt-large", recent["cost"], 0.0), minlength=n)
    return np.asarray(own / np.bincount(recent["leaf"], weights=recent["cost"], minlength=n))


def means(snapshot: Snapshot, scope: Scope = API) -> dict[str, float]:
    rows = forecast_answer(snapshot, scope=scope, period=JANUARY, group_by=("ai_model",))["rows"]
    return {row["group"]["ai_model"]: row["mean"] for row in rows}


def test_a_price_rise_of_one_model_is_in_its_answer_and_in_no_neighbours() -> None:
    plain, risen = means(with_price_rise(0.0)), means(with_price_rise(0.5))
    assert risen["gpt-large"] == pytest.approx(1.5 * plain["gpt-large"], rel=0.03)
    assert risen["gpt-mini"] == pytest.approx(plain["gpt-mini"], rel=0.03)
    alone = forecast_answer(with_price_rise(0.5), scope=LARGE, period=JANUARY)
    assert alone["total"]["mean"] == pytest.approx(risen["gpt-large"], rel=1e-6)
    assert alone["events"][0]["effect"] == pytest.approx(risen["gpt-large"] - plain["gpt-large"], rel=0.05)
    assert forecast_answer(with_price_rise(0.5), scope=Scope.parse("ai_model=gpt-mini"), period=JANUARY)["events"] == []


def test_parts_of_a_leaf_add_up_to_it_on_every_path() -> None:
    snapshot = with_price_rise(0.5)
    whole = read_groups(snapshot, API, (), JANUARY)[0].totals()
    parts = sum(reading.totals() for reading in read_groups(snapshot, API, ("ai_model",), JANUARY))
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_an_event_may_name_values_that_nobody_has_spent_on() -> None:
    snapshot = with_price_rise(0.5)
    risen = means(snapshot)
    snapshot.meta["events"][0]["scope"] = "ai_model=gpt-large|gpt-unreleased"
    assert means(snapshot) == pytest.approx(risen)
    snapshot.meta["events"][0]["scope"] = "ai_model=gpt-unreleased"
    assert sum(means(snapshot).values()) == pytest.approx(sum(risen.values()), rel=1e-6)
