"""The measures of `benchmarks/company_spikes.py` by hand, and all of it on one small company."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.company_spike_rules import interquartile, percent_and_money, z_score
from benchmarks.company_spike_truth import Alarm, Planted, Verdicts, real_ones, verdicts
from benchmarks.company_spikes import DECLARED, company_snapshot, judge, tables, until
from forecast.anomalies.incidents import Flag
from forecast.spend.scope import Scope
from forecast.workflows.board import Found
from forecast.workflows.watch import history_board

START = date(2026, 3, 10)
TEAM = {"team": "ads", "provider": "AWS"}


def leak(share: float = 1.0, days: int = 3) -> Planted:
    """An incident of 100 a day."""
    return Planted("leaked_key", TEAM, START, {START + timedelta(days=day): 100.0 for day in range(days)}, share, frozenset(), True)


def alarm(scope: str, first: int, n_days: int = 1, *, a_day: float = 100.0, direct: bool = True) -> Alarm:
    """Alarm on days from START + `first` on, `a_day` above 50."""
    members = tuple(
        Found(Flag(day, Scope.parse(scope), START + timedelta(days=first + day), 50.0 + a_day, 50.0, 1e-6), "spend", 1, direct)
        for day in range(n_days)
    )
    return Alarm({"direction": "up" if a_day > 0.0 else "down", "impact": a_day * n_days}, members)


def judged_by(alarms: list[Alarm], truth: list[Planted] | None = None) -> Verdicts:
    return verdicts([leak()] if truth is None else truth, alarms, None, None)  # type: ignore[arg-type]


def test_an_alarm_on_the_first_day_and_scope_of_an_incident_finds_it_early() -> None:
    found = judged_by([alarm("team=ads", 0, 3)])
    assert (found.false, found.rows[0]["found"], found.rows[0]["delay"], found.rows[0]["early"], found.rows[0]["alarms"]) == (0, True, 0, True, 1)


def test_an_alarm_of_its_third_day_finds_it_late() -> None:
    row = judged_by([alarm("team=ads", 2)]).rows[0]
    assert (row["found"], row["delay"], row["early"]) == (True, 2, False)


@pytest.mark.parametrize(
    "wrong",
    [
        alarm("team=search", 0),  # another team
        alarm("team=ads", -5),  # before it began
        alarm("team=ads", 0, a_day=-100.0),  # a fall
        alarm("team=ads", 0, a_day=1000.0),  # a rise that it explains a tenth of
        alarm("team=ads", 20),  # long after
    ],
)
def test_what_an_incident_does_not_explain_is_false(wrong: Alarm) -> None:
    found = judged_by([wrong])
    assert (found.false, found.rows[0]["found"]) == (1, False)


def test_the_fall_after_an_incident_is_no_false_alarm_but_one_more_of_it() -> None:
    found = judged_by([alarm("team=ads", 0, 3), alarm("team=ads", 4, a_day=-100.0)])
    assert (found.false, found.rows[0]["alarms"]) == (0, 2)


def test_one_alarm_may_tell_of_two_incidents() -> None:
    found = judged_by([alarm("team=ads", 0, 3)], [leak(), leak()])
    assert [row["found"] for row in found.rows] == [True, True]
    assert found.false == 0


def company(false: int, *found: bool) -> dict[str, Any]:
    rows = [
        {"kind": "leaked_key", "share": 0.5, "found": one, "early": one, "alarms": int(one), "first": one or None, "exact": one or None}
        for one in found
    ]
    return {"months": 2.0, "methods": {"signs": {"false": false, "incidents": rows}}}


def test_rates_are_pooled_over_companies_and_have_an_interval() -> None:
    figures = tables([company(4, True, True), company(8, False), company(0, True)])["signs"]
    assert figures["false_a_month"][0] == 2.0
    assert figures["recall"][0] == 0.75
    assert figures["recall"][1] < 0.75 < figures["recall"][2]
    assert figures["kinds"] == {"leaked_key": {"incidents": 4, "found": 3, "early": 3}}


def test_small_incidents_are_not_asked_for() -> None:
    one = company(0, True, False)
    one["methods"]["signs"]["incidents"][1]["share"] = 0.05
    assert tables([one], draws=0)["signs"]["recall"] == [1.0]


def test_rules_hold_a_day_against_the_four_weeks_before_it() -> None:
    values = np.tile([90.0, 110.0], 20)[None]
    values[0, -1] = 200.0
    assert z_score(values, 1.0)[0, -1] == pytest.approx(100.0 / np.std(values[0, :28], ddof=1))
    assert interquartile(values, 1.0)[0, -1] == pytest.approx(90.0 / 20.0)
    assert percent_and_money(values, 1000.0)[0, -1] == pytest.approx(100.0 / 5.0)
    assert percent_and_money(values, 1000.0)[0, -3] == 0.0
    for rule in (z_score, interquartile, percent_and_money):
        later = values.copy()
        later[0, 35:] = 1e9
        pd.testing.assert_frame_equal(pd.DataFrame(rule(later, 1.0)[:, :35]), pd.DataFrame(rule(values, 1.0)[:, :35]))


def test_a_small_company_is_judged_by_every_method() -> None:
    found = judge(3, days=150, teams=2, scored=40)
    assert {f"signs/{how}/{declared:g}" for how in ("blind", "confirmed", "adapted", "replayed") for declared in DECLARED} < set(found["methods"])
    assert {"z_score/blind/4", "interquartile/blind/4", "percent_and_money/blind/4"} < set(found["methods"])
    assert all(one["false"] >= 0 for one in found["methods"].values())
    assert len({len(one["incidents"]) for one in found["methods"].values()}) == 1


def test_a_board_before_a_day_has_the_signs_that_it_would_compute() -> None:
    _, snapshot = company_snapshot(3, 120, 2)
    board = history_board(snapshot)
    before = until(board, 90)
    for kept, anew in zip(before.signs, type(board)(**{name: getattr(before, name) for name in board.__dataclass_fields__}).signs, strict=True):
        same = (kept.strength > 0.0) == (anew.strength > 0.0)
        assert same.all()


def test_people_confirm_what_an_incident_explains_and_nothing_else() -> None:
    ours, other = alarm("team=ads", 0, 3), alarm("team=search", 0)
    for one in (ours, other):
        one.incident["scope"] = {"team": str(one.members[0].flag.scope).removeprefix("team=")}  # type: ignore[index]
    (said,) = real_ones([ours, other], [leak()])
    assert (str(said.scope), said.way, sorted(said.money)) == ("team=ads", 1, [START + timedelta(days=day) for day in range(3)])
