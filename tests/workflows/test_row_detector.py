"""Verdicts of rows are those of detection: money against the series' own record, at a threshold that a replay of history allows."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import numpy as np
import pytest

from forecast.anomalies.sensitivity import parse_sensitivity
from forecast.anomalies.signs import usual_day
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows import row_detector as module
from forecast.workflows.board import OWN_DAYS
from forecast.workflows.row_detector import row_detector
from forecast.workflows.row_places import places_of
from forecast.workflows.spike_scores import RowAnswers, detector_state, score_rows
from forecast.workflows.spikes import SpendRow, anomaly_answer
from tests.snapshots_for_tests import CUTOFF, make_snapshot

S = Scope.parse
NEXT = CUTOFF + timedelta(days=1)
ADS = "team=ads,stage=dev,provider=openai,service=OpenAI API,workload=ranking"


def with_rows(snapshot: Snapshot, declared: float = 1.0, minimum_impact: float = 0.0) -> Snapshot:
    arrays = row_detector(snapshot, declared, minimum_impact, own_days=OWN_DAYS)
    return dataclasses.replace(snapshot, detector={**arrays, "minimum_impact": np.array([minimum_impact])})


@pytest.fixture(scope="module")
def trained() -> Snapshot:
    return with_rows(make_snapshot(n_paths=50, history_days=400))


def scored(snapshot: Snapshot, text: str, day: date, cost: float) -> RowAnswers:
    return score_rows(snapshot, [S(text)], np.array([day], dtype="datetime64[D]"), np.array([cost]))


def test_nodes_and_leaves_have_their_records(trained: Snapshot) -> None:
    state = detector_state(trained)
    assert set(state.row) == {*trained.hierarchy.node_ids, *trained.hierarchy.leaf_ids}
    assert state.record.shape == (len(state.row), 401)
    assert np.isfinite(state.record[:, -1]).all()
    assert state.floor == pytest.approx(0.005 * usual_day(trained.leaf_history.sum(axis=0)))


def test_scopes_that_keep_no_arrays_are_replayed_to_the_same_verdict(trained: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LEAVES_KEPT", 5)
    bare = with_rows(make_snapshot(n_paths=50, history_days=400))
    assert set(detector_state(bare).row) == set(bare.hierarchy.node_ids)
    for text, day in ((ADS, CUTOFF - timedelta(days=30)), (ADS, NEXT)):
        kept, replayed = scored(trained, text, day, 900.0), scored(bare, text, day, 900.0)
        assert replayed.strength[0] == pytest.approx(kept.strength[0], rel=1e-4)
        assert replayed.expected[0] == pytest.approx(kept.expected[0], rel=1e-4)
        assert replayed.is_anomaly[0] == kept.is_anomaly[0]


def test_days_of_the_replay_are_flagged_at_the_declared_rate() -> None:
    base = make_snapshot(n_paths=20, history_days=400)
    found = {}
    for declared in (1.0, 6.0):
        snapshot = with_rows(base, declared)
        nodes = list(snapshot.hierarchy.nodes)
        days = snapshot.history_ds[-360:]
        rows = [
            SpendRow(scope, day, float(cost))
            for scope, line in zip(nodes, snapshot.node_history[:, -360:], strict=True)
            for day, cost in zip(days.astype("datetime64[D]").tolist(), line, strict=True)
        ]
        found[declared] = len(anomaly_answer(snapshot, rows)["incidents"]) / 12.0
    assert found[1.0] <= 1.3
    assert found[1.0] < found[6.0] <= 7.0


def test_record_is_what_a_series_has_shown_and_not_what_others_have(trained: Snapshot) -> None:
    """The same money: a leaf that throws it about every other week may do so again, its quiet sister may not."""
    base = make_snapshot(n_paths=50, history_days=400)
    history = base.leaf_history.copy()
    wild = int(np.flatnonzero(base.hierarchy.leaf_mask(S(ADS)))[0])
    history[wild, 40::13] += 3000.0
    snapshot = with_rows(dataclasses.replace(base, leaf_history=history))
    day = CUTOFF - timedelta(days=5)
    sister = ADS.replace("openai", "anthropic").replace("OpenAI API", "Claude API")
    assert not scored(snapshot, ADS, day, 3200.0).is_anomaly[0]
    assert scored(snapshot, sister, day, 3200.0).is_anomaly[0]
    assert scored(trained, ADS, day, 3200.0).is_anomaly[0]


def test_forecast_day_must_lie_beyond_record_and_outer_percent(trained: Snapshot) -> None:
    node = trained.hierarchy.node_of(S("team=ads"))
    assert node is not None
    mean, edge = float(trained.node_means[node, 0]), float(trained.node_quantiles[node, 0, -1])
    state = detector_state(trained)
    wide = max(float(state.record[state.row["team=ads"], -1]), edge - mean)
    below, above = (scored(trained, "team=ads", NEXT, mean + part * state.strength * wide) for part in (0.98, 1.02))
    assert (below.is_anomaly[0], above.is_anomaly[0]) == (False, True)
    assert below.score[0] < 0.5 < above.score[0]
    assert above.p_value[0] <= 0.02


def test_what_comes_later_changes_no_record(trained: Snapshot) -> None:
    base = make_snapshot(n_paths=50, history_days=400)
    poisoned = base.leaf_history.copy()
    poisoned[:, -20:] *= 40.0
    other = row_detector(dataclasses.replace(base, leaf_history=poisoned), 1.0, 0.0)
    np.testing.assert_allclose(other["record"][:, 28:381], trained.detector["record"][:, 28:381], rtol=0.02)


def test_small_incidents_are_none_and_rules_decide_by_scope() -> None:
    snapshot = with_rows(make_snapshot(n_paths=50, history_days=400), minimum_impact=2000.0)
    mean = float(snapshot.node_means[snapshot.hierarchy.node_of(S("team=ads")) or 0, 0])
    rows = [SpendRow(S("team=ads"), NEXT, mean + 1900.0)]
    strange = score_rows(snapshot, [S("team=ads")], np.array([NEXT], dtype="datetime64[D]"), np.array([mean + 1900.0]))
    assert strange.is_anomaly[0]
    answers = {
        "default": anomaly_answer(snapshot, rows),
        "lower": anomaly_answer(snapshot, rows, rules=parse_sensitivity({"rule": [{"scope": "team=ads", "minimum_impact": 100}]})),
        "other": anomaly_answer(snapshot, rows, rules=parse_sensitivity({"rule": [{"scope": "team=search", "minimum_impact": 100}]})),
        "strict": anomaly_answer(snapshot, rows, rules=parse_sensitivity({"rule": [{"scope": "team=ads", "minimum_impact": 100, "multiple": 50}]})),
        "ignored": anomaly_answer(snapshot, rows, rules=parse_sensitivity({"rule": [{"scope": "team=ads", "ignore": True}]})),
    }
    assert {name: len(answer["incidents"]) for name, answer in answers.items()} == {"default": 0, "lower": 1, "other": 0, "strict": 0, "ignored": 0}
    assert all(answer["rows"][0]["score"] > 0.5 for answer in answers.values()), "the score is how strange it is, whatever is news"
    assert [answer["rows"][0]["is_anomaly"] for answer in answers.values()] == [False, True, False, False, False]


def test_strangers_of_one_parent_share_its_place(trained: Snapshot) -> None:
    texts = ["team=nobody", "team=no-one", "", "stage=prod,team=nobody", "stage=prod", "colour=red,stage=prod", "resource=r-1"]
    places, codes = places_of(trained, [S(text) for text in texts])
    assert codes[0] == codes[1]
    assert codes[3] == codes[5]
    assert [places[code].unknown for code in codes] == [True, True, False, True, False, True, True]
    assert places[codes[3]].scope == S("stage=prod")
    assert places[codes[6]].scope == S("")
