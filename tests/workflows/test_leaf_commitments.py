"""Commitments read off a snapshot's bills, and what scaling down saves where they go on."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.scenarios.responses import ELASTIC, STEPS, Responses
from forecast.scenarios.world import standard_normals
from forecast.snapshot import Snapshot
from forecast.workflows.leaf_commitments import leaf_commitments
from forecast.workflows.leaf_responses import leaf_responses
from forecast.workflows.whatif import whatif_answer
from tests.oracles.scenarios import shapley_by_orders
from tests.snapshots_for_tests import make_snapshot

DAYS = 30
PERIOD = {"start": "2026-12-11", "end": "2027-01-31"}
HOURS = ("Instance Hours", "Hours")
Row = tuple[int, str, str, float, float, str, float, float]


def meters_of(rows: list[Row]) -> pd.DataFrame:
    """leaf, meter, unit, cost, quantity, commitment, committed, worth of the last month."""
    frame = pd.DataFrame(rows, columns=["leaf", "meter", "unit", "cost", "quantity", "commitment", "committed", "worth"])
    return frame.assign(start=np.datetime64("2026-11-11", "s"), end=np.datetime64("2026-12-11", "s"), recent=True, ai_model="(none)")


@pytest.fixture(scope="module")
def bare() -> Snapshot:
    return make_snapshot(history_days=120, with_detector=False)


@pytest.fixture(scope="module")
def snapshot(bare: Snapshot) -> Snapshot:
    """Leaves 0 and 1 run machines under one commitment, which covers half of their usage at two thirds of the price and is a tenth unused."""
    means = [float(bare.leaf_paths[leaf, :50].mean()) * DAYS for leaf in (0, 1)]
    rows: list[Row] = []
    for leaf, money in enumerate(means):
        # A usage worth 6/5 of the money: half of it is covered and costs 2/5 of the money, the other half 3/5.
        rows.append((leaf, *HOURS, 0.6 * money, 0.6 * money, "", 0.0, 0.0))
        rows.append((leaf, *HOURS, 0.4 * money, 0.6 * money, "plan-1", 0.4 * money, 0.6 * money))
    rows.append((5, "Commitment", "USD", 0.4 * sum(means) / 9.0, 0.0, "plan-1", 0.4 * sum(means) / 9.0, 0.0))
    rows += [(leaf, "Input Tokens", "Tokens", 100.0, 1e6, "", 0.0, 0.0) for leaf in range(2, len(bare.hierarchy.leaves)) if leaf != 5]
    return replace(bare, meters=meters_of(rows), known_money=None)


def responses_of(snapshot: Snapshot) -> Responses:
    return leaf_responses(snapshot, lambda name: standard_normals(0, snapshot.n_paths, name), np.full(snapshot.n_paths, 0.5))


def scope_of(snapshot: Snapshot, *leaves: int) -> str:
    """All dimensions of one leaf; of several what they have in common would do."""
    texts = snapshot.hierarchy.leaves.iloc[list(leaves)]
    return ",".join(f"{name}={'|'.join(dict.fromkeys(texts[name]))}" for name in texts.columns)


def answer(snapshot: Snapshot, *levers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return whatif_answer(snapshot, {**PERIOD, "levers": list(levers)}, group_by=(), **more)


def test_commitments_come_from_what_is_used_and_unused_of_them(snapshot: Snapshot) -> None:
    (one,) = leaf_commitments(snapshot)
    money = float(snapshot.leaf_paths[:2, :50].mean(axis=(1, 2)).sum())
    assert one.leaves.tolist() == [0, 1]
    assert one.money == pytest.approx(0.4 * money * 10.0 / 9.0)
    assert one.inside == pytest.approx(one.money)
    assert one.worth == pytest.approx(0.6 * money * 10.0 / 9.0), "what is unused covers as much again for its money"
    found = responses_of(snapshot)
    assert found.covering == {0: 0, 1: 0}
    assert found.shares[0, STEPS] == 1.0
    assert found.shares[2, ELASTIC] == 1.0


def test_bills_that_leave_out_what_is_covered_know_the_same_commitment(snapshot: Snapshot) -> None:
    meters = snapshot.meters
    assert meters is not None
    billed = replace(snapshot, meters=meters.assign(cost=meters["cost"].where(meters["commitment"] == "", 0.0)))
    (one,), (other,) = leaf_commitments(snapshot), leaf_commitments(billed)
    assert (other.inside, other.money, other.worth) == (0.0, one.money, one.worth)


def test_bills_that_do_not_say_what_usage_would_cost_say_what_hours_cost_that_are_not_covered(snapshot: Snapshot) -> None:
    meters = snapshot.meters
    assert meters is not None
    silent = replace(snapshot, meters=meters.assign(worth=np.minimum(meters["worth"], meters["committed"])))
    (one,), (other,) = leaf_commitments(snapshot), leaf_commitments(silent)
    assert other.worth == pytest.approx(one.worth)


def test_commitments_that_share_a_leaf_are_one_and_others_are_apart(bare: Snapshot) -> None:
    rows: list[Row] = [
        (0, *HOURS, 60.0, 90.0, "a", 60.0, 90.0),
        (1, *HOURS, 60.0, 90.0, "a", 60.0, 90.0),
        (1, *HOURS, 30.0, 45.0, "b", 30.0, 45.0),
        (4, *HOURS, 30.0, 30.0, "c", 30.0, 30.0),
        (5, "Commitment", "USD", 30.0, 0.0, "nobody uses it", 30.0, 0.0),
    ]
    found = leaf_commitments(replace(bare, meters=meters_of(rows)))
    assert [one.leaves.tolist() for one in found] == [[0, 1], [4]]
    assert [one.money for one in found] == pytest.approx([5.0, 1.0])


def test_snapshots_that_keep_no_commitments_have_none(bare: Snapshot, snapshot: Snapshot) -> None:
    assert snapshot.meters is not None
    old = replace(bare, meters=snapshot.meters.drop(columns=["commitment", "committed", "worth"]))
    assert leaf_commitments(old) == leaf_commitments(replace(bare, meters=None)) == ()
    assert responses_of(old).commitments == ()


def test_spend_that_is_not_counted_in_machines_can_be_covered_too(bare: Snapshot) -> None:
    rows: list[Row] = [(0, "Input Tokens", "Tokens", 60.0, 1e6, "", 0.0, 0.0), (0, "Input Tokens", "Tokens", 40.0, 1e6, "a", 40.0, 60.0)]
    found = responses_of(replace(bare, meters=meters_of(rows)))
    assert found.shares[0, STEPS] == 1.0
    assert found.quantum[0] < 1e-6, "in pieces so small that none are seen"


def test_nothing_more_is_saved_below_what_is_committed(snapshot: Snapshot) -> None:
    scope = scope_of(snapshot, 0, 1)
    told = {factor: answer(snapshot, {"type": "scale_usage", "scope": scope, "factor": factor}) for factor in (0.0, 0.3, 0.6, 0.9, 2.0)}
    money = {factor: found["delta"]["mean"] for factor, found in told.items()}
    (one,) = leaf_commitments(snapshot)
    recent = np.asarray(snapshot.expected_history[:2, -28:].mean(axis=1).sum())
    least = one.worth / float(one.usage(recent))
    assert f"below {least:.0%} of today's usage nothing more is saved" in told[0.3]["levers"][0]["notes"][-1]
    days = 51
    whole = float(snapshot.leaf_paths[:2, :days].mean(axis=2).sum())
    assert money[0.3] == pytest.approx(money[0.0], rel=0.02)
    assert money[0.0] == pytest.approx(-(1.2 - 2.0 / 3.0) * whole, rel=0.1), "worth of usage 1.2, of which 2/3 is paid anyhow"
    assert money[2.0] == pytest.approx(1.2 * whole, rel=0.1)
    assert money[0.9] == pytest.approx(-0.12 * whole, rel=0.1)
    ended = answer(snapshot, {"type": "switch_off", "scope": scope, "keeps_fixed": False})["delta"]["mean"]
    assert ended == pytest.approx(-whole, rel=1e-6)
    assert answer(snapshot, {"type": "switch_off", "scope": scope})["delta"]["mean"] == pytest.approx(money[0.0], rel=1e-9)


def test_scaling_there_and_back_restores_what_commitments_cover(snapshot: Snapshot) -> None:
    scope, other = scope_of(snapshot, 0, 1), scope_of(snapshot, 1)
    there = [{"type": "scale_usage", "scope": scope, "factor": 0.2}, {"type": "scale_usage", "scope": other, "factor": 3.0}]
    back = [{"type": "scale_usage", "scope": other, "factor": 1.0 / 3.0}, {"type": "scale_usage", "scope": scope, "factor": 5.0}]
    found = answer(snapshot, *there, *back)
    assert abs(found["delta"]["mean"]) <= 1e-9 * found["baseline"]["mean"]


def test_shares_of_levers_that_meet_only_under_a_commitment_add_up_and_are_the_means_over_all_orders(snapshot: Snapshot) -> None:
    less = {"expected": 0.4, "low": 0.2, "high": 0.6}
    levers: list[dict[str, Any]] = [{"type": "scale_usage", "scope": scope_of(snapshot, leaf), "factor": less} for leaf in (0, 1)]
    levers.append({"type": "change_price", "scope": scope_of(snapshot, 0), "factor": 0.9})
    found = answer(snapshot, *levers)
    value = {
        subset: answer(snapshot, *(levers[number] for number in subset))["delta"]["mean"] if subset else 0.0
        for size in range(4)
        for subset in combinations(range(3), size)
    }
    assert value[0, 1] != pytest.approx(value[0,] + value[1,], rel=0.01), "what one gives up the other cannot give up again"
    shares = [part["mean"] for part in found["waterfall"]["parts"]]
    assert math.fsum(shares) == pytest.approx(found["delta"]["mean"], rel=1e-9)
    assert shares == pytest.approx(shapley_by_orders(3, value), rel=1e-6)


def test_answer_says_when_other_spend_uses_what_is_given_up(snapshot: Snapshot) -> None:
    notes = answer(snapshot, {"type": "scale_usage", "scope": scope_of(snapshot, 0), "factor": 0.9})["levers"][0]["notes"]
    assert "commitments that go on" in notes[-1]
