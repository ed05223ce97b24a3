"""The anomaly answer: rows in order, one incident per cause, causes with money, unknown series answered and not refused."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from scipy import stats

from forecast.errors import InputError
from forecast.snapshot import QUANTILES, Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.spike_scores import score_rows
from forecast.workflows.spikes import SpendRow, anomaly_answer
from tests.snapshots_for_tests import CUTOFF, make_snapshot, shared_snapshot

NEXT = CUTOFF + timedelta(days=1)
S = Scope.parse


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return shared_snapshot()


def usual(snapshot: Snapshot, text: str, day: date = NEXT) -> float:
    """Median of the scope's paths on a day, leaf by leaf."""
    step = (day - CUTOFF).days - 1
    return float(np.median(sum(snapshot.leaf_paths[row, step] for row in np.flatnonzero(snapshot.hierarchy.leaf_mask(S(text))))))


def test_rows_come_back_in_order_with_all_their_fields(snapshot: Snapshot) -> None:
    texts = ["team=ads", "team=search,stage=prod,workload=index", "", "team=ads|search", "ai_model=haiku", "team=nobody"]
    answer = anomaly_answer(snapshot, [SpendRow(S(text), NEXT, 1000.0 + number) for number, text in enumerate(texts)])
    assert [row["cost"] for row in answer["rows"]] == [1000.0 + number for number in range(6)]
    wanted = {"scope", "timestamp", "cost", "expected", "lower", "upper", "p_value", "score", "is_anomaly", "direction", "incident"}
    assert all(wanted <= set(row) for row in answer["rows"])
    assert [row.get("derived") for row in answer["rows"]] == [None, None, None, None, "recent", "parent"]
    assert {answer["snapshot_id"], answer["currency"], answer["cost"]} == {snapshot.id, "USD", "effective"}
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize("text", ["team=ads", "", "team=ads|search", "team=search,stage=prod,workload=index"])
def test_expectation_is_the_distribution_that_the_forecast_is_read_from(snapshot: Snapshot, text: str) -> None:
    samples = sum(snapshot.leaf_paths[row, 4].astype(float) for row in np.flatnonzero(snapshot.hierarchy.leaf_mask(S(text))))
    (row,) = anomaly_answer(snapshot, [SpendRow(S(text), CUTOFF + timedelta(days=5), float(np.quantile(samples, 0.95)))])["rows"]
    assert row["expected"] == pytest.approx(np.mean(samples), rel=1e-5)
    assert [row["lower"], row["upper"]] == pytest.approx(np.quantile(samples, [0.025, 0.975]), rel=1e-5)
    assert row["p_value"] == pytest.approx(0.1, abs=0.001)
    assert not row["is_anomaly"]


def test_p_values_of_future_paths_are_uniform(snapshot: Snapshot) -> None:
    """The truth is drawn from the same process with another seed's noise: here simply paths of the snapshot itself."""
    steps = np.arange(20)
    days = np.datetime64(CUTOFF, "D") + 1 + steps
    found = [
        score_rows(snapshot, [scope] * 20, days, snapshot.node_paths[node, steps, path].astype(float)).p_value
        for node, scope in enumerate(snapshot.hierarchy.nodes[:20])
        for path in range(0, 200, 20)
    ]
    p_values = np.concatenate(found)
    assert stats.kstest(p_values, "uniform").statistic < 0.03


def test_spike_is_flagged_and_its_neighbours_are_not(snapshot: Snapshot) -> None:
    cost = usual(snapshot, "team=ads")
    rows = [SpendRow(S("team=ads"), NEXT, cost * 3), SpendRow(S("team=search"), NEXT, usual(snapshot, "team=search"))]
    answer = anomaly_answer(snapshot, rows)
    assert [row["is_anomaly"] for row in answer["rows"]] == [True, False]
    assert answer["rows"][0]["score"] > 0.5 > answer["rows"][1]["score"]
    (incident,) = answer["incidents"]
    assert incident["id"] == answer["rows"][0]["incident"]
    assert (incident["kind"], incident["direction"], incident["status"]) == ("spike", "up", "open")
    assert incident["scope"] == {"team": "ads"}
    assert (incident["start"], incident["end"]) == (NEXT.isoformat(), (NEXT + timedelta(days=1)).isoformat())
    assert incident["impact"] == pytest.approx(incident["actual"] - incident["expected"])
    assert incident["sentence"].startswith("team=ads cost")
    again = anomaly_answer(snapshot, rows)
    assert again == answer, "same rows, same incident ids"


def test_drop_is_an_incident_of_its_own_kind(snapshot: Snapshot) -> None:
    (incident,) = anomaly_answer(snapshot, [SpendRow(S("team=ads"), NEXT, 0.0)])["incidents"]
    assert (incident["kind"], incident["direction"]) == ("drop", "down")
    assert incident["impact"] < 0


def test_parents_children_and_neighbouring_days_are_one_incident_with_the_cause_in_it(snapshot: Snapshot) -> None:
    rows = []
    for day in (NEXT, NEXT + timedelta(days=1)):
        extra = 4000.0
        for text in ("", "team=ads", "team=ads,stage=prod"):
            rows.append(SpendRow(S(text), day, usual(snapshot, text, day) + extra))
        rows.append(SpendRow(S("team=ads,stage=dev"), day, usual(snapshot, "team=ads,stage=dev", day)))
        rows.append(SpendRow(S("team=search"), day, usual(snapshot, "team=search", day)))
    answer = anomaly_answer(snapshot, rows)
    (incident,) = answer["incidents"]
    assert incident["scope"] == {"stage": "prod", "team": "ads"}
    assert incident["end"] == (NEXT + timedelta(days=2)).isoformat()
    assert incident["impact"] == pytest.approx(8000.0, rel=0.02)
    parent_only = anomaly_answer(snapshot, [row for row in rows if row.scope != S("team=ads,stage=prod") or row.day == NEXT])
    assert len(parent_only["incidents"]) == 1


def test_causes_among_rows_add_up_to_the_impact(snapshot: Snapshot) -> None:
    rows = [SpendRow(S(""), NEXT, usual(snapshot, "") + 20_000.0)]
    rows += [
        SpendRow(S(f"team={team}"), NEXT, usual(snapshot, f"team={team}") + part)
        for team, part in (("ads", 14_000.0), ("search", 9_000.0), ("research", -1200.0))
    ]
    answer = anomaly_answer(snapshot, rows)
    incident = next(incident for incident in answer["incidents"] if incident["direction"] == "up")
    causes = incident["root_causes"]
    assert causes[0]["scope"] == {"team": "ads"}
    assert sum(cause["impact"] for cause in causes) == pytest.approx(incident["impact"])
    assert sum(cause["share"] for cause in causes) == pytest.approx(1.0)
    assert any(cause["impact"] < 0 for cause in causes), "the offsetting fall is shown"


def test_planted_runaway_in_the_recent_lines_is_found_by_model_with_price_volume_mix() -> None:
    base = make_snapshot(n_paths=50)
    recent = base.recent.copy()
    day = recent["ds"].max()
    hit = (recent["ds"] == day) & (recent["team"] == "ads") & (recent["stage"] == "prod") & (recent["ai_model"] == "gpt-mini")
    before = recent.loc[hit, "cost"].sum()
    recent.loc[hit, ["cost", "quantity"]] *= 30.0
    history = base.leaf_history.copy()
    history[:, -1] += recent[hit].groupby("leaf")["cost"].sum().reindex(range(len(history)), fill_value=0.0).to_numpy() * 29.0 / 30.0
    snapshot = make_snapshot(n_paths=50, cutoff=CUTOFF)
    object.__setattr__(snapshot, "recent", recent)
    object.__setattr__(snapshot, "leaf_history", history)
    cost = float(snapshot.scope_history(S("team=ads,stage=prod,provider=openai"))[-1]) + 0.0
    answer = anomaly_answer(snapshot, [SpendRow(S("team=ads"), CUTOFF, float(history[snapshot.hierarchy.leaf_mask(S("team=ads")), -1].sum()))])
    assert cost > 0
    (incident,) = answer["incidents"]
    first = incident["root_causes"][0]
    assert first["scope"]["ai_model"] == "gpt-mini" or first["scope"].get("service") == "OpenAI API"
    assert first["scope"]["team"] == "ads"
    assert first["impact"] == pytest.approx(29.0 * before, rel=0.35)
    assert first["price"] + first["volume"] + first["mix"] == pytest.approx(first["impact"])
    assert abs(first["price"]) < 0.2 * first["impact"]
    assert sum(cause["impact"] for cause in incident["root_causes"]) == pytest.approx(incident["impact"])


def test_fresh_charge_lines_name_the_cause(snapshot: Snapshot) -> None:
    recent = snapshot.recent
    lines = recent[recent["ds"] == recent["ds"].max()].assign(ds=np.datetime64(NEXT))
    hit = (lines["team"] == "search") & (lines["region"] == "us-east")
    lines = lines.assign(cost=lines["cost"].where(~hit, lines["cost"] * 8.0), quantity=lines["quantity"].where(~hit, lines["quantity"] * 8.0))
    cost = float(lines.loc[lines["team"] == "search", "cost"].sum())
    (incident,) = anomaly_answer(snapshot, [SpendRow(S("team=search"), NEXT, cost)], lines=lines)["incidents"]
    assert incident["root_causes"][0]["scope"]["region"] == "us-east"
    assert "region=us-east" in incident["sentence"]
    with pytest.raises(InputError, match="lines"):
        anomaly_answer(snapshot, [SpendRow(S("team=search"), NEXT, cost)], lines=lines.drop(columns="cost"))


def test_unknown_series_are_judged_by_their_parent(snapshot: Snapshot) -> None:
    small, large = anomaly_answer(snapshot, [SpendRow(S("team=brand-new"), NEXT, 1.0), SpendRow(S("team=newer,stage=prod"), NEXT, 50_000.0)])["rows"]
    assert (small["derived"], small["expected"], small["is_anomaly"]) == ("parent", 0.0, False)
    assert (large["derived"], large["is_anomaly"]) == ("parent", True)
    answer = anomaly_answer(snapshot, [SpendRow(S("team=newer"), NEXT, 50_000.0)])
    assert answer["incidents"][0]["kind"] == "new_spend"
    assert answer["incidents"][0]["impact_percent"] is None
    combination = anomaly_answer(snapshot, [SpendRow(S("team=research,stage=prod"), NEXT, 9000.0), SpendRow(S("colour=red"), NEXT, 0.0)])
    assert [row["derived"] for row in combination["rows"]] == ["parent", "parent"]


def test_days_of_the_history_use_what_was_expected_before_them(snapshot: Snapshot) -> None:
    day = CUTOFF - timedelta(days=15)
    column = len(snapshot.history_ds) - 16
    for text in ("team=ads", "team=ads|search", "team=search,stage=prod,workload=index", "ai_model=haiku"):
        scope = S(text)
        actual = float(snapshot.scope_history(scope)[column]) if "ai_model" not in text else 5000.0
        (row,) = anomaly_answer(snapshot, [SpendRow(scope, day, actual)])["rows"]
        assert row["derived"] in {"history", "recent"}
        assert row["lower"] < row["expected"] < row["upper"]
        if "ai_model" not in text:
            assert row["expected"] == pytest.approx(actual, rel=0.5)


def test_first_days_of_history_cannot_be_strange_and_earlier_ones_are_refused(snapshot: Snapshot) -> None:
    (row,) = anomaly_answer(snapshot, [SpendRow(S("team=ads"), snapshot.first_day, 1e9)])["rows"]
    assert (row["expected"], row["is_anomaly"], row["p_value"], row["direction"]) == (None, False, 1.0, None)
    with pytest.raises(InputError, match=r"rows\[1\].timestamp"):
        anomaly_answer(snapshot, [SpendRow(S(""), NEXT, 1.0), SpendRow(S(""), snapshot.first_day - timedelta(days=1), 1.0)])


def test_days_beyond_the_daily_steps_are_read_from_the_same_weekday(snapshot: Snapshot) -> None:
    far = snapshot.daily_end + timedelta(days=400)
    (row,) = anomaly_answer(snapshot, [SpendRow(S("team=ads"), far, 1200.0)])["rows"]
    assert row["derived"] == "beyond"
    same = next(day for day in (snapshot.daily_end - timedelta(days=back) for back in range(1, 8)) if day.weekday() == far.weekday())
    assert row["expected"] == anomaly_answer(snapshot, [SpendRow(S("team=ads"), same, 1200.0)])["rows"][0]["expected"]


@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("2026-12-12", date(2026, 12, 12)),
        ("2026-12-12T23:30:00Z", date(2026, 12, 12)),
        (datetime(2026, 12, 12, 23, 30, tzinfo=timezone(timedelta(hours=-5))), date(2026, 12, 13)),
        (datetime(2026, 12, 12, 1, tzinfo=UTC).timestamp(), date(2026, 12, 12)),
        (date(2026, 12, 12), date(2026, 12, 12)),
    ],
)
def test_a_row_counts_on_its_utc_day(stamp: date | datetime | str | float, day: date) -> None:
    assert SpendRow(S(""), stamp, 1.0).day == day


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), True, "12"])
def test_cost_that_is_not_money_is_refused(cost: float) -> None:
    with pytest.raises(InputError) as caught:
        SpendRow(S(""), NEXT, cost)
    assert caught.value.field == "cost"


@pytest.mark.parametrize("stamp", ["soon", "", "2026-13-01", float("nan"), 1e300])
def test_time_that_is_none_is_refused(stamp: str | float) -> None:
    with pytest.raises(InputError) as caught:
        SpendRow(S(""), stamp, 1.0)
    assert caught.value.field == "timestamp"


def test_no_rows_are_an_empty_answer(snapshot: Snapshot) -> None:
    answer = anomaly_answer(snapshot, [])
    assert (answer["rows"], answer["incidents"]) == ([], [])


def test_scoring_leaves_the_snapshot_alone() -> None:
    snapshot = make_snapshot(n_paths=50)
    before = (snapshot.leaf_paths.tobytes(), snapshot.leaf_history.tobytes(), {name: array.tobytes() for name, array in snapshot.detector.items()})
    anomaly_answer(snapshot, [SpendRow(S("team=ads"), NEXT, 1e6), SpendRow(S("ai_model=haiku"), CUTOFF, 1e6)])
    assert before == (
        snapshot.leaf_paths.tobytes(),
        snapshot.leaf_history.tobytes(),
        {name: array.tobytes() for name, array in snapshot.detector.items()},
    )


def test_stored_quantiles_begin_and_end_where_the_tail_takes_over() -> None:
    assert (QUANTILES[0], QUANTILES[-1]) == (0.01, 0.99)


def test_ten_thousand_rows_and_one_row_are_quick() -> None:
    snapshot = make_snapshot(n_paths=1000)
    rng = np.random.default_rng(0)
    leaves = [S(dict(zip(snapshot.hierarchy.dimensions, row, strict=True))) for row in snapshot.hierarchy.leaves.itertuples(index=False, name=None)]
    places = [*snapshot.hierarchy.nodes, *leaves, S("ai_model=haiku"), S("team=unknown")]
    rows = [
        SpendRow(places[rng.integers(len(places))], CUTOFF + timedelta(days=int(rng.integers(-60, 100))), float(rng.exponential(500)))
        for _ in range(10_000)
    ]
    started = time.perf_counter()
    anomaly_answer(snapshot, rows)
    assert time.perf_counter() - started < 5.0, "goal is 1 s"
    strangers = [SpendRow(S(f"team=stranger-{number}"), NEXT, float(number)) for number in range(10_000)]
    started = time.perf_counter()
    anomaly_answer(snapshot, strangers)
    assert time.perf_counter() - started < 6.0, "goal is 1 s"
    times = []
    for _ in range(15):
        started = time.perf_counter()
        anomaly_answer(snapshot, rows[:1])
        times.append(time.perf_counter() - started)
    assert sorted(times)[7] < 0.03, "goal is 3 ms"
