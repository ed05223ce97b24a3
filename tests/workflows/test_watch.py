"""Each kind of trouble is found in the days that come in and has its name; what was planned, known or said to be normal is no alarm."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.alerts.feedback import feedback_on, undone
from forecast.alerts.incident import KINDS, Incident
from forecast.anomalies.sensitivity import parse_sensitivity
from forecast.anomalies.signs import AMOUNTS
from forecast.anomalies.threshold import DAYS_A_MONTH
from forecast.errors import ArtifactError
from forecast.spend.hierarchy import Hierarchy
from forecast.workflows import watch
from forecast.workflows.board import Board
from forecast.workflows.lessons import lessons_of
from forecast.workflows.watch import board_of, column_of, false_incidents, history_board, n_incidents, thresholds_in, thresholds_of
from tests.workflows.watched_companies import HISTORY, LEAF, company, found_in, history, next_days, rows_of, watched

DECLARED = 1.0
FIRST = company(DECLARED).cutoff + timedelta(days=1)


def told(found: list[Incident]) -> list[tuple[str, str, dict[str, str], int, int]]:
    """Kind, direction, scope, first and last day after the cutoff of each."""
    return [(one.kind, one.direction, dict(one.scope), (one.start.date() - FIRST).days, (one.end.date() - FIRST).days - 1) for one in found]


def changed(first: int, last: int, factor: float, n_days: int = 14, **values: str) -> pd.DataFrame:
    frame = next_days(n_days)
    frame.loc[rows_of(frame, first, last, **values), "spend"] *= factor
    return frame


def test_days_like_all_others_are_no_alarm() -> None:
    assert found_in(company(DECLARED), next_days()) == []


@pytest.mark.parametrize("daily", [False, True])
def test_spike_is_found_with_its_days_and_its_money(daily: bool) -> None:
    frame = changed(4, 5, 6.0, 9, **LEAF)
    (incident,) = found_in(company(DECLARED), frame, daily=daily)
    assert told([incident]) == [("spike", "up", LEAF, 4, 5)]
    here = rows_of(frame, 4, 5, **LEAF)
    assert incident.actual == pytest.approx(frame.loc[here, "spend"].sum())
    assert incident.impact == pytest.approx(frame.loc[here, "spend"].sum() * 5.0 / 6.0, rel=0.1)


def test_drop_is_not_missing_data_and_missing_data_is_no_drop() -> None:
    assert told(found_in(company(DECLARED), changed(4, 5, 0.2, **LEAF))) == [("drop", "down", LEAF, 4, 5)]
    assert told(found_in(company(DECLARED), changed(4, 6, 0.0, **LEAF))) == [("missing_data", "down", LEAF, 4, 6)]


def test_small_step_that_stays_is_a_level_shift() -> None:
    ((kind, way, scope, first, last),) = told(found_in(company(DECLARED), changed(3, 13, 1.12, **LEAF)))
    assert (kind, way, scope) == ("level_shift", "up", LEAF)
    assert first in (3, 4, 5)
    assert last == 13


def test_growth_of_a_percent_a_day_is_creeping_growth() -> None:
    frame = next_days(35)
    here = rows_of(frame, 0, 34, **LEAF)
    frame.loc[here, "spend"] *= 1.01 ** (frame.loc[here, "ds"] - frame["ds"].min()).dt.days
    ((kind, way, scope, first, last),) = told(found_in(company(DECLARED), frame))
    assert (kind, way, scope, last) == ("creeping_growth", "up", LEAF, 34)
    assert first < 28


@pytest.mark.parametrize(("column", "kind"), [("price", "price_change"), ("newcomers", "new_spend"), ("duplicates", "duplicate_billing")])
def test_what_lines_say_beside_their_amount_names_the_trouble(column: str, kind: str) -> None:
    frame = next_days()
    here = rows_of(frame, 6, 6, **LEAF)
    more = 0.6 * frame.loc[here, "spend"]
    frame.loc[here, column] = more
    frame.loc[here, "spend"] += more
    assert told(found_in(company(DECLARED), frame)) == [(kind, "up", LEAF, 6, 6)]


def test_retry_storm_is_seen_in_its_tokens_where_its_amount_is_usual() -> None:
    frame = next_days()
    here = rows_of(frame, 0, 13, **LEAF)
    for kind_of_tokens in ("input", "output"):
        frame.loc[here, kind_of_tokens] = 0.5 * frame.loc[here, "spend"]
    storm = rows_of(frame, 12, 12, **LEAF)
    more = 0.5 * frame.loc[storm, "spend"]
    frame.loc[storm, "input"] += more
    frame.loc[storm, "spend"] += more
    (incident,) = found_in(company(DECLARED), frame)
    assert told([incident]) == [("spike", "up", LEAF, 12, 12)]


@pytest.mark.parametrize("new", [{"team": "labs"}, {"workload": "training"}, {"provider": "mistral", "service": "Le Chat"}])
def test_leaf_that_never_was_is_new_spend_under_its_own_name(new: dict[str, str]) -> None:
    frame = next_days()
    more = frame[rows_of(frame, 8, 13, **LEAF)].assign(**new, spend=900.0)
    (incident,) = found_in(company(DECLARED), pd.concat([frame, more], ignore_index=True))
    assert told([incident])[0][:2] == ("new_spend", "up")
    assert incident.start.date() == FIRST + timedelta(days=8)
    assert set(new.items()) <= set(incident.scope.items())
    assert incident.impact == pytest.approx(5400.0)


def test_every_kind_that_is_named_here_is_one_of_the_kinds() -> None:
    named = {"spike", "drop", "missing_data", "level_shift", "creeping_growth", "price_change", "new_spend", "duplicate_billing"}
    assert named == set(KINDS)


def test_trouble_of_a_whole_team_is_one_incident_of_the_team_and_not_one_of_each_leaf() -> None:
    ((kind, way, scope, first, last),) = told(found_in(company(DECLARED), changed(5, 5, 1.8, team="search")))
    assert (kind, way, first, last) == ("spike", "up", 5, 5)
    assert scope["team"] == "search"
    assert "workload" not in scope


def test_level_that_is_higher_on_working_days_only_is_one_incident() -> None:
    frame = next_days(21)
    here = rows_of(frame, 3, 20, **LEAF) & (frame["ds"].dt.day_of_week < 5)
    frame.loc[here, "spend"] *= 3.0
    found = found_in(company(DECLARED), frame)
    assert [(one.kind, dict(one.scope)) for one in found] == [("spike", LEAF)]
    assert all(part.start.weekday() < 5 for part in found[0].parts)


def test_incident_that_goes_on_day_by_day_stays_one_and_keeps_its_name() -> None:
    found = found_in(company(DECLARED), changed(3, 10, 1.12, 12, **LEAF), daily=True)
    assert len(found) == 1
    assert found[0].kind in ("level_shift", "spike")


def forty(rng: np.random.Generator, n_days: int = 430) -> Board:
    """One service of sixty resources, forty of which belong to one team."""
    n = 60
    values = 25.0 * np.exp(0.2 * rng.normal(size=(n, n_days)))
    team = np.where(np.arange(n) < 40, "ads", "search")
    leaves = pd.DataFrame({"provider": "aws", "service": "EC2", "team": team, "stage": "prod", "workload": [f"w{k}" for k in range(n)]})
    hierarchy = Hierarchy(leaves.set_index(leaves["workload"].rename("unique_id")))
    nothing = {name: np.zeros_like(values) for name in AMOUNTS}
    return Board(leaves, values, nothing, hierarchy.nodes, hierarchy.members, np.datetime64("2025-10-01"))


def test_leak_that_is_spread_over_forty_resources_is_seen_at_their_parent() -> None:
    board = forty(np.random.default_rng(6))
    thresholds = thresholds_of(board, DECLARED, 10.0)
    values = board.values.copy()
    values[:40, 420:] += 15.0
    leaking = Board(board.leaves, values, board.amounts, board.nodes, board.members, board.first_day)
    found = leaking.flags({sign.name: thresholds.flags(sign) for sign in leaking.signs}, 415, 430, thresholds)
    of_team = [one for one in found if str(one.flag.scope) == "team=ads"]
    assert {one.flag.day for one in of_team} >= {date(2026, 11, 26), date(2026, 12, 4)}
    assert n_incidents(leaking, {sign.name: thresholds.flags(sign)[:, 418:] for sign in leaking.signs}, 2000.0) == 1


@pytest.mark.parametrize("declared", [2.0, 8.0])
def test_declared_rate_holds_on_days_that_the_thresholds_have_not_seen(declared: float) -> None:
    rates = []
    for seed in (1, 2):
        board = forty(np.random.default_rng(seed), 860)
        before = Board(
            board.leaves,
            board.values[:, :430],
            {name: amount[:, :430] for name, amount in board.amounts.items()},
            board.nodes,
            board.members,
            board.first_day,
        )
        thresholds = thresholds_of(before, declared)
        flagged = {sign.name: thresholds.flags(sign)[:, 430:] for sign in board.signs}
        rates.append(n_incidents(board, flagged) / (430 / DAYS_A_MONTH))
    assert declared / 2.5 <= np.mean(rates) <= declared * 2.0


def test_replay_of_history_had_no_more_incidents_than_declared() -> None:
    for declared in (1.0, 4.0):
        rates = false_incidents(company(declared))
        assert rates["declared"] == declared
        assert 0.5 * declared <= rates["replayed"] <= declared
        assert rates["expected"] == 0.0


def event(**changes: Any) -> dict[str, Any]:
    end = FIRST + timedelta(days=30)
    plain = {
        "id": "launch",
        "scope": "team=search",
        "start": str(FIRST + timedelta(days=4)),
        "end": str(end),
        "announced": str(FIRST),
        "currency": None,
    }
    return {**plain, "effect": {"factor": 2.0, "low": 1.2, "high": 3.0}, "ramp_days": 0, **changes}


def test_planned_event_is_no_alarm_and_more_than_was_planned_is_one() -> None:
    plain = company(DECLARED)
    planned = watched(history(), DECLARED, meta={**plain.meta, "events": [event()]})
    assert found_in(plain, changed(4, 13, 2.0, team="search"))
    assert found_in(planned, changed(4, 13, 2.0, team="search")) == []
    assert found_in(planned, changed(4, 13, 8.0, team="search"))
    assert found_in(planned, changed(2, 3, 2.0, team="search")), "it was to begin later"


def test_one_off_that_the_bill_calls_so_is_no_incident_of_the_replay() -> None:
    values = history()
    leaf = int(np.flatnonzero((company().hierarchy.leaves[list(LEAF)] == pd.Series(LEAF)).all(axis=1))[0])
    values[leaf, HISTORY - 60] += 9000.0
    known = pd.DataFrame({"leaf": [leaf], "ds": company().history_ds[[HISTORY - 60]].astype("datetime64[s]"), "kind": ["one_off"], "cost": [9000.0]})
    unknown, said = watched(values, DECLARED), watched(values, DECLARED, known_money=known)
    day = str(company().history_ds[HISTORY - 60].astype("datetime64[D]"))
    assert day in unknown.detector["replayed_from"].astype(str)
    assert day not in said.detector["replayed_from"].astype(str)


def test_item_of_every_months_end_is_no_alarm_and_one_of_twice_its_size_is() -> None:
    days = company().history_ds.astype("datetime64[D]")
    ends = np.flatnonzero((days + 1).astype("datetime64[M]") != days.astype("datetime64[M]"))
    leaf = int(np.flatnonzero((company().hierarchy.leaves[list(LEAF)] == pd.Series(LEAF)).all(axis=1))[0])
    values = history()
    values[leaf, ends] += 2000.0
    taxed = watched(values, DECLARED)
    frame = next_days(28)
    end = (frame["ds"] + pd.Timedelta(days=1)).dt.day == 1
    assert end.any()
    here = end & rows_of(frame, 0, 27, **LEAF)
    frame.loc[here, "spend"] += 2000.0
    assert [one for one in found_in(taxed, frame) if one.impact > 500.0] == []
    frame.loc[here, "spend"] += 4000.0
    assert [(one.kind, dict(one.scope)) for one in found_in(taxed, frame) if one.impact > 500.0] == [("spike", LEAF)]


def test_flagged_day_does_not_teach_until_someone_says_that_it_is_normal() -> None:
    frame = next_days(21)
    for first in (2, 12):
        frame.loc[rows_of(frame, first, first, **LEAF), "spend"] *= 6.0
    twice = found_in(company(DECLARED), frame, daily=True)
    assert [(first, last) for *_, first, last in sorted(told(twice), key=lambda one: one[3])] == [(2, 2), (12, 12)]
    earlier = min(twice, key=lambda one: one.start)
    said = datetime.combine(FIRST + timedelta(days=8), datetime.min.time(), tzinfo=earlier.start.tzinfo)
    entry = feedback_on(earlier, "expected", number=1, now=said)
    lessons = lessons_of([earlier], [entry])
    assert told(found_in(company(DECLARED), frame, daily=True, lessons=lessons)) == [("spike", "up", LEAF, 2, 2)]
    assert len(found_in(company(DECLARED), frame, daily=True, lessons=lessons_of([earlier], [undone(entry, now=said)]))) == 2
    late = feedback_on(earlier, "expected", number=1, now=said + timedelta(days=60))
    assert len(found_in(company(DECLARED), frame, daily=True, lessons=lessons_of([earlier], [late]))) == 2, "nobody had said it by then"
    frame.loc[rows_of(frame, 12, 12, **LEAF), "spend"] *= 4.0
    assert len(found_in(company(DECLARED), frame, daily=True, lessons=lessons)) == 2, "so much more is news again"
    assert lessons_of([earlier], [feedback_on(earlier, "unexpected", number=1, now=said)]) == []


def test_rules_by_scope_take_away_and_let_smaller_impacts_through() -> None:
    loud = changed(4, 5, 6.0, 9, **LEAF)
    assert found_in(company(DECLARED), loud, rules=parse_sensitivity({"rule": [{"scope": "team=search", "ignore": True}]})) == []
    assert found_in(company(DECLARED), loud, rules=parse_sensitivity({"rule": [{"minimum_impact": 1e6}]})) == []
    assert found_in(company(DECLARED), loud, rules=parse_sensitivity({"rule": [{"multiple": 1000}]})) == []
    assert len(found_in(company(DECLARED), loud, rules=parse_sensitivity({"rule": [{"minimum_percent": 100}]}))) == 1
    least, frame = thresholds_in(company(DECLARED))[1], next_days(9)
    twice = rows_of(frame, 4, 4, **LEAF)
    frame.loc[twice, "duplicates"] = 0.6 * least
    frame.loc[twice, "spend"] += 0.6 * least
    assert found_in(company(DECLARED), frame) == []
    (incident,) = found_in(company(DECLARED), frame, rules=parse_sensitivity({"rule": [{"scope": "team=search", "minimum_impact": 5}]}))
    assert incident.kind == "duplicate_billing"
    assert incident.impact == pytest.approx(0.6 * least)


def test_what_people_called_expected_is_counted_apart_in_the_replay() -> None:
    values = history()
    leaf = int(np.flatnonzero((company().hierarchy.leaves[list(LEAF)] == pd.Series(LEAF)).all(axis=1))[0])
    values[leaf, HISTORY - 60] *= 9.0
    snapshot = watched(values, DECLARED)
    frame = changed(4, 4, 6.0, **LEAF)
    (incident,) = [one for one in found_in(snapshot, frame) if one.kind == "spike"]
    day = company().history_ds[HISTORY - 60].astype("datetime64[s]").item()
    start = datetime(day.year, day.month, day.day, tzinfo=incident.start.tzinfo)
    (lesson,) = lessons_of([incident], [feedback_on(incident, "planned", number=1, now=incident.end)])
    moved = type(lesson)(lesson.scope, lesson.way, {start.date(): 1.0}, lesson.said)
    plain, apart = false_incidents(snapshot), false_incidents(snapshot, [moved])
    assert apart["expected"] == pytest.approx(1.0 / (400 / DAYS_A_MONTH))
    assert plain["replayed"] == pytest.approx(apart["replayed"] + apart["expected"])


def test_detector_of_another_version_says_to_train_again() -> None:
    snapshot = company(DECLARED)
    for missing in ("replayed_days", "sign_thresholds"):
        old = type(snapshot)(**{**_fields(snapshot), "detector": {name: array for name, array in snapshot.detector.items() if name != missing}})
        with pytest.raises(ArtifactError, match="train again"):
            false_incidents(old) if missing == "replayed_days" else thresholds_in(old)


def test_board_of_a_step_says_the_same_as_one_of_the_whole_history(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, frame = company(DECLARED), changed(4, 5, 6.0, **LEAF)
    short = board_of(snapshot, frame, None)
    monkeypatch.setattr(watch, "SEEN_DAYS", 10_000)
    whole = board_of(snapshot, frame, None)
    assert short.values.shape[1] < whole.values.shape[1] == HISTORY + 14
    assert column_of(short, np.datetime64(FIRST)) == short.values.shape[1] - 14
    np.testing.assert_array_equal(short.all_values[:, -60:], whole.all_values[:, -60:])
    for own, other in zip(short.signs, whole.signs, strict=True):
        assert own.name == other.name
        apart = np.abs(own.strength[:, -14:] - other.strength[:, -14:]) > 0.05 * other.strength[:, -14:] + 0.02
        assert apart.mean() < 0.01, own.name


def test_history_is_read_once_a_snapshot() -> None:
    snapshot = company(DECLARED)
    assert history_board(snapshot) is history_board(snapshot)


def _fields(snapshot: Any) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in type(snapshot).__dataclass_fields__}
