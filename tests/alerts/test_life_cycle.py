"""The life of an incident, step by step."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from forecast.alerts.identity import fingerprint, incident_id, scope_text
from forecast.alerts.incident import SEVERITY_PARTS, Detection, Incident, events_since, severity
from forecast.alerts.life_cycle import CALM, QUIET, acknowledge, continued, headline, merged, opened, reopen, resolve, settle
from forecast.alerts.spans import Part, moment, within
from forecast.anomalies import incidents as anomalies
from forecast.errors import InputError
from forecast.spend.scope import Scope
from forecast.workflows.spikes import scope_values
from tests.alerts.examples import DAY, MONDAY, days, new_key, runaway

NOW = MONDAY + 2 * DAY + timedelta(hours=6)


def steps(incident: Incident) -> list[tuple[str, str]]:
    return [(transition.event, transition.by) for transition in incident.history]


def test_new_incident_is_open_and_says_who_opened_it() -> None:
    incident = opened(runaway(), now=NOW)
    assert incident.status == "open"
    assert steps(incident) == [("opened", "forecast")]
    assert (incident.first_seen, incident.last_seen) == (NOW, NOW)
    assert incident.impact == pytest.approx(910.25)
    assert incident.impact_percent == pytest.approx(100 * 910.25 / 210.25)
    assert (incident.start, incident.end) == (MONDAY, MONDAY + 2 * DAY)
    assert incident.largest_day_impact == pytest.approx(510.25)


def test_identity_is_the_same_as_that_of_the_anomaly_answers() -> None:
    for scope in ("", "team=search", "service=Vertex AI,team=ads|search,stage!=dev", "team=a\\,b\\=c\\\\d", "team=a\\|b|c"):
        parsed = Scope.parse(scope)
        values = scope_values(parsed)
        assert scope_text(values) == str(parsed)
        assert incident_id("spike", "up", values, MONDAY) == anomalies.incident_id("spike", "up", parsed, MONDAY.date())


def test_severity_is_the_same_as_that_of_the_anomaly_answers() -> None:
    assert SEVERITY_PARTS == anomalies.SEVERITIES
    for impact in (0.0, 1.0, -95.0, 299.0, 301.0, -1501.0):
        for expected in (0.0, 100.0, -100.0):
            assert severity(impact, expected) == anomalies.severity(impact, expected)


def test_fingerprint_comes_of_kind_direction_and_scope_in_any_order() -> None:
    first = fingerprint("spike", "up", {"team": "ads", "service": "x"})
    assert first == fingerprint("spike", "up", {"service": "x", "team": "ads"})
    assert re.fullmatch(r"[0-9a-f]{16}", first)
    others = [
        fingerprint("drop", "up", {"team": "ads", "service": "x"}),
        fingerprint("spike", "down", {"team": "ads", "service": "x"}),
        fingerprint("spike", "up", {"team": "ads"}),
        fingerprint("spike", "up", {"team": "ads,service=x"}),
    ]
    assert len({first, *others}) == 5


def test_same_detection_again_changes_only_when_it_was_last_seen() -> None:
    incident = opened(runaway(), now=NOW)
    again = continued(incident, runaway(), now=NOW + timedelta(hours=1))
    assert replace(again, last_seen=NOW) == incident


def test_impact_grows_while_it_lasts_and_a_graver_severity_is_an_event() -> None:
    incident = acknowledge(opened(runaway(), now=NOW), now=NOW, by="ada")
    after = continued(incident, runaway(2, [(2400.0, 105.0)]), now=NOW + DAY)
    assert after.impact == pytest.approx(910.25 + 2295.0)
    assert after.end == MONDAY + 3 * DAY
    assert (incident.severity, after.severity) == ("high", "critical")
    assert steps(after)[-1] == ("grew", "forecast")
    assert after.status == "acknowledged"
    assert after.id == incident.id
    assert "3,520.50 USD from 2027-03-01 to 2027-03-03" in after.sentence


def test_restated_days_replace_what_was_there() -> None:
    incident = opened(runaway(), now=NOW)
    after = continued(incident, runaway(1, [(300.0, 110.25)]), now=NOW)
    assert after.actual == pytest.approx(800.0)
    whole = Part(MONDAY, MONDAY + 2 * DAY, 400.0, 210.25)
    after = continued(after, runaway(parts=(whole,), sentence="all anew"), now=NOW)
    assert (after.actual, after.expected, after.sentence) == (400.0, 210.25, "all anew")
    hour = Part(MONDAY, MONDAY + DAY / 24, 50.0, 5.0)
    after = continued(after, runaway(parts=(hour,)), now=NOW)
    assert after.actual == pytest.approx(400.0 * 47 / 48 + 50.0)


def test_order_of_separate_detections_does_not_matter_for_the_money() -> None:
    found = [runaway(first, [(500.0 + first, 100.0)], sentence="") for first in (0, 1, 2)]
    one = merged([], found, now=NOW).incidents
    other = merged([], found[::-1], now=NOW).incidents
    assert one == other
    assert [incident.impact for incident in one.values()] == [pytest.approx(1203.0)]


def test_detection_within_the_quiet_window_continues_and_a_later_one_begins_another() -> None:
    first = opened(runaway(), now=NOW)
    near, far = runaway(2 + QUIET.days, [(500.0, 100.0)]), runaway(3 + QUIET.days, [(500.0, 100.0)])
    assert merged([first], [near], now=NOW).incident_of == [first.id]
    other = merged([first], [far], now=NOW)
    assert list(other.incidents) == other.incident_of != [first.id]
    assert other.incidents[other.incident_of[0]].fingerprint == first.fingerprint


def test_late_bill_of_the_day_before_continues_too_and_keeps_the_id() -> None:
    first = opened(runaway(2), now=NOW)
    found = merged([first], [runaway(0, [(300.0, 100.0)])], now=NOW + DAY)
    assert found.incident_of == [first.id]
    assert found.incidents[first.id].start == MONDAY
    # its first day again is no new incident
    assert merged(found.incidents.values(), [runaway(2)], now=NOW).incident_of == [first.id]


def test_other_kind_direction_or_scope_is_another_incident() -> None:
    first = opened(runaway(), now=NOW)
    others = [runaway(kind="level_shift"), runaway(direction="down"), runaway(scope={"team": "search"})]
    assert first.id not in merged([first], others, now=NOW).incident_of


def test_money_that_another_incident_holds_is_not_counted_twice() -> None:
    one, other = opened(runaway(0, [(500.0, 100.0)]), now=NOW), opened(runaway(6, [(500.0, 100.0)]), now=NOW)
    bridge = runaway(0, [(500.0, 100.0)] * 7)
    found = merged([one, other], [bridge], now=NOW).incidents
    total = sum(incident.actual for incident in {one.id: one, other.id: other, **found}.values())
    assert total == pytest.approx(3500.0)


def test_acknowledged_twice_is_acknowledged_once_and_resolved_is_an_error() -> None:
    incident = acknowledge(opened(runaway(), now=NOW), now=NOW + DAY, by="ada", why="looking")
    assert acknowledge(incident, now=NOW + 2 * DAY, by="bob") == incident
    assert (incident.history[-1].by, incident.history[-1].why, incident.history[-1].at) == ("ada", "looking", NOW + DAY)
    over = resolve(incident, now=NOW + DAY, by="ada")
    with pytest.raises(InputError, match="resolved") as caught:
        acknowledge(over, now=NOW + DAY, by="bob")
    assert (caught.value.field, caught.value.got, caught.value.allowed) == ("status", "resolved", "open")
    assert resolve(over, now=NOW + 2 * DAY, by="bob") == over


def test_spend_that_began_before_it_was_resolved_by_hand_does_not_reopen_it() -> None:
    over = resolve(opened(runaway(), now=NOW), now=MONDAY + 2.5 * DAY, by="ada", why="stopped")
    late = continued(over, runaway(2, [(250.0, 100.0)]), now=MONDAY + 3 * DAY)
    assert late.status == "resolved"
    assert late.impact == pytest.approx(910.25 + 150.0)
    again = continued(late, runaway(3, [(550.0, 100.0)]), now=MONDAY + 4 * DAY)
    assert (again.status, steps(again)[-1]) == ("open", ("reopened", "forecast"))


def test_it_is_resolved_by_itself_when_spend_was_normal_long_enough() -> None:
    incident = opened(runaway(), now=NOW)
    early = incident.end + CALM - timedelta(hours=1)
    assert settle(incident, scored_through=early, now=NOW + 9 * DAY) == incident
    over = settle(incident, scored_through=incident.end + CALM, now=NOW + 2 * DAY)
    assert (over.status, steps(over)[-1]) == ("resolved", ("resolved", "forecast"))
    assert settle(over, scored_through=incident.end + 9 * DAY, now=NOW + 9 * DAY) == over


def test_billing_lag_does_not_hide_a_day_after_it_was_resolved_by_itself() -> None:
    incident = opened(runaway(), now=NOW)
    over = settle(incident, scored_through=incident.end + CALM, now=NOW + 30 * DAY)
    assert continued(over, runaway(), now=NOW + 31 * DAY).status == "resolved"
    assert continued(over, runaway(4, [(500.0, 100.0)]), now=NOW + 31 * DAY).status == "open"


def test_reopened_by_hand_it_is_open() -> None:
    incident = opened(runaway(), now=NOW)
    assert reopen(incident, now=NOW, by="ada") == incident
    again = reopen(resolve(incident, now=NOW, by="ada"), now=NOW + DAY, by="bob", why="not over")
    assert (again.status, steps(again)[-1]) == ("open", ("reopened", "bob"))
    assert acknowledge(again, now=NOW + DAY, by="bob").status == "acknowledged"


def test_root_causes_are_those_of_the_largest_or_the_whole() -> None:
    incident = opened(runaway(), now=NOW)
    small = continued(incident, runaway(2, [(150.0, 100.0)], root_causes=({"scope": {"meter": "x"}, "impact": 50.0, "share": 1.0},)), now=NOW)
    assert small.root_causes == incident.root_causes
    large = continued(incident, runaway(2, [(9000.0, 100.0)], root_causes=({"scope": {"meter": "y"}, "impact": 8900.0, "share": 1.0},)), now=NOW)
    assert large.root_causes[0]["scope"] == {"meter": "y"}


def test_p_value_is_the_smallest_and_the_last_is_kept_beside_it() -> None:
    after = continued(opened(runaway(), now=NOW), runaway(p_value=0.01), now=NOW)
    assert (after.p_value, after.last_p_value) == (0.00002, 0.01)


def test_money_in_another_currency_replaces_all() -> None:
    after = continued(opened(runaway(), now=NOW), runaway(2, [(90.0, 10.0)], currency="EUR"), now=NOW)
    assert (after.currency, after.actual) == ("EUR", 90.0)


def test_events_since_are_what_was_added_to_the_history() -> None:
    first = opened(runaway(), now=NOW)
    then = resolve(acknowledge(first, now=NOW, by="ada"), now=NOW, by="ada")
    assert [event.id for event in events_since(None, first)] == [f"{first.id}.0"]
    assert [event.transition.event for event in events_since(first, then)] == ["acknowledged", "resolved"]
    assert events_since(then, then) == []


def test_answer_of_an_incident_can_be_read_as_a_detection() -> None:
    for incident in (opened(runaway(), now=NOW), opened(new_key(), now=NOW)):
        answer = incident.as_dict()
        again = Detection.of_answer(answer)
        assert (again.fingerprint, again.start, again.end, again.currency) == (incident.fingerprint, incident.start, incident.end, incident.currency)
        assert again.impact == pytest.approx(incident.impact)
    assert {"id", "kind", "status", "direction", "severity", "scope", "start", "end", "actual", "expected", "impact"} <= set(answer)
    assert {"impact_percent", "p_value", "root_causes", "sentence"} <= set(answer)


def test_hours_are_moments_and_days_are_days_in_answers() -> None:
    assert opened(runaway(), now=NOW).as_dict()["start"] == "2027-03-01"
    assert opened(new_key(), now=NOW).as_dict()["end"] == "2027-03-01T15:00:00Z"
    assert "on 2027-03-01," in headline(opened(runaway(0, [(5.0, 1.0)]), now=NOW))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "Spike!"}, "kind"),
        ({"direction": "sideways"}, "direction"),
        ({"p_value": 1.5}, "p_value"),
        ({"p_value": float("nan")}, "p_value"),
        ({"parts": ()}, "parts"),
        ({"parts": (*days(0, [(1.0, 1.0)]), *days(0, [(2.0, 1.0)]))}, "parts"),
    ],
)
def test_detection_that_cannot_be_is_an_error(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        runaway(**changes)
    assert caught.value.field == field


def test_answer_without_a_field_or_with_a_wrong_day_names_it() -> None:
    answer = opened(runaway(), now=NOW).as_dict()
    with pytest.raises(InputError, match="p_value"):
        Detection.of_answer({name: value for name, value in answer.items() if name != "p_value"})
    with pytest.raises(InputError, match="someday"):
        Detection.of_answer({**answer, "start": "someday"})
    with pytest.raises(InputError, match="not after"):
        Detection.of_answer({**answer, "end": answer["start"]})
    with pytest.raises(InputError, match="actual is not money"):
        Detection.of_answer({**answer, "actual": float("nan")})


def test_cut_parts_share_their_money_by_time() -> None:
    (part,) = days(0, [(240.0, 24.0)])
    inside = within([part], MONDAY + DAY / 4, MONDAY + DAY / 2, inside=True)
    outside = within([part], MONDAY + DAY / 4, MONDAY + DAY / 2, inside=False)
    assert [(piece.actual, piece.expected) for piece in inside] == [(60.0, 6.0)]
    assert [piece.actual for piece in outside] == [60.0, 120.0]
    assert within([part], MONDAY + 3 * DAY, MONDAY + 4 * DAY, inside=False) == [part]


def test_day_is_its_midnight_in_utc() -> None:
    assert moment(date(2027, 3, 1)) == moment("2027-03-01") == moment("2027-03-01T01:00:00+01:00") == MONDAY
