"""A period cut from a wide reading is the period read alone, to the last digit."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.readings import Reading, read_scope
from forecast.workflows.scope_futures import recent_days, scope_futures
from tests.snapshots_for_tests import CUTOFF, make_snapshot

SCOPES = (
    "",
    "team=ads",
    "team=ads|search,stage!=dev",
    "ai_model=haiku",
    "ai_model=opus",
    "ai_model=llama",
    "stage=prod,region=eu-west",
    "ai_model!=haiku",
    "ai_model=haiku|opus",
)


@cache
def snapshot() -> Snapshot:
    made = make_snapshot(n_paths=6, history_days=90, daily=40, months=4, with_detector=False)
    owed = made.leaf_history[:, -5:, None] * np.random.default_rng(2).uniform(0.0, 0.5, (len(made.leaf_history), 5, 6))
    return replace(made, pending=owed.astype(np.float32))


@st.composite
def periods(draw: st.DrawFn) -> Period:
    first = snapshot().first_day + timedelta(days=draw(st.integers(0, 170)))
    return Period(first, first + timedelta(days=draw(st.integers(1, 40))))


def same(found: Reading, expected: Reading) -> None:
    for field in fields(Reading):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=field.name, strict=True)
        else:
            assert one == other, field.name


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SCOPES), periods()), min_size=1, max_size=8))
def test_every_reading_is_the_one_of_its_scope_and_period_alone(asked: list[tuple[str, Period]]) -> None:
    questions = [(Scope.parse(text), period) for text, period in asked]
    futures = list(scope_futures(snapshot(), questions))
    assert [future.scope for future in futures] == list(dict.fromkeys(scope for scope, _ in questions))
    for future in futures:
        for scope, period in questions:
            if scope == future.scope:
                same(future.reading(period), read_scope(snapshot(), scope, period))


def test_recent_mean_is_that_of_the_last_four_weeks() -> None:
    days = recent_days(snapshot())
    assert (days.start, days.end) == (CUTOFF - timedelta(days=27), CUTOFF + timedelta(days=1))
    soon = Period(date(2026, 12, 20), date(2027, 1, 10))
    for made in (snapshot(), replace(snapshot(), pending=None)):
        for text in SCOPES:
            (future,) = scope_futures(made, [(Scope.parse(text), soon)])
            expected = read_scope(made, Scope.parse(text), days).expected_past().sum() / 28
            np.testing.assert_allclose(future.recent_daily_mean, expected, rtol=1e-6, err_msg=text)


def test_parts_of_leaves_are_their_recent_shares() -> None:
    parts: dict[str, Any] = {}
    for name in ("eu-west", "us-east"):
        (future,) = scope_futures(snapshot(), [(Scope.parse(f"region={name}"), Period(CUTOFF, CUTOFF + timedelta(days=5)))])
        parts[name] = future.parts
    np.testing.assert_allclose(parts["eu-west"] + parts["us-east"], 1.0)
    (whole,) = scope_futures(snapshot(), [(Scope.parse("team=ads"), Period(CUTOFF, CUTOFF + timedelta(days=5)))])
    assert set(whole.parts.tolist()) == {0.0, 1.0}
