"""What follows from feedback, and that an undo takes all of it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.alerts.feedback import VERDICTS, Feedback, applied, feedback_on, minimum_impacts, precision, suppression, undone, wilson
from forecast.alerts.incident import Incident
from forecast.alerts.life_cycle import continued, opened
from forecast.errors import InputError
from tests.alerts.examples import DAY, MONDAY, runaway

NOW = MONDAY + 2 * DAY


def spike(first: int = 0, cost: float = 500.0, **changes: Any) -> Incident:
    return opened(runaway(first, [(cost, 100.0)], **changes), now=NOW)


def said(incident: Incident, verdict: str, number: int = 1, **more: Any) -> Feedback:
    return feedback_on(incident, verdict, number=number, now=NOW, **more)


@pytest.mark.parametrize("verdict", ["expected", "planned"])
def test_expected_and_planned_suppress_the_same_fingerprint_for_the_stated_time(verdict: str) -> None:
    entry = said(spike(), verdict, days=10)
    found = suppression(spike(11), [entry])
    assert found is not None
    assert (found.feedback, found.verdict, found.until) == (1, verdict, NOW + 10 * DAY)
    assert suppression(spike(12), [entry]) is None
    assert suppression(spike(20), [said(spike(), verdict, until=MONDAY + 21 * DAY)]) is not None


def test_without_a_time_it_is_thirty_days_and_zero_days_is_this_incident_only() -> None:
    assert suppression(spike(31), [said(spike(), "expected")]) is not None
    assert suppression(spike(32), [said(spike(), "expected")]) is None
    only = said(spike(), "expected", days=0)
    assert suppression(spike(5), [only]) is None
    assert suppression(spike(), [only]) is not None


def test_other_kind_scope_direction_and_earlier_incidents_are_told() -> None:
    entry = said(spike(5), "expected")
    for other in (spike(5, kind="level_shift"), spike(5, scope={"team": "ads"}), spike(5, 20.0, direction="down", kind="drop"), spike(0)):
        assert suppression(other, [entry]) is None


def test_what_outgrows_what_was_called_expected_is_told() -> None:
    entry = said(spike(cost=500.0), "expected")
    assert suppression(spike(5, 900.0), [entry]) is not None
    assert suppression(spike(5, 901.0), [entry]) is None
    assert suppression(spike(5, 900.0, currency="EUR"), [entry]) is None
    lasting = continued(spike(cost=500.0), runaway(1, [(500.0, 100.0)] * 20), now=NOW)
    assert suppression(lasting, [entry]) is not None


def test_too_small_raises_the_least_impact_of_its_scope_whatever_the_kind() -> None:
    entry = said(spike(cost=140.0), "too_small")
    assert minimum_impacts([entry]) == {("service=Vertex AI,team=search", "USD"): 40.0}
    assert suppression(spike(9, 140.0, kind="level_shift"), [entry]) is not None
    assert suppression(spike(9, 60.0, kind="drop", direction="down"), [entry]) is not None
    assert suppression(spike(9, 141.0), [entry]) is None
    assert suppression(spike(9, 120.0, scope={"team": "search"}), [entry]) is None


def test_incident_that_was_called_too_small_is_told_when_it_has_doubled() -> None:
    small = spike(cost=140.0)
    entry = said(small, "too_small")
    assert suppression(continued(small, runaway(1, [(139.0, 100.0)]), now=NOW), [entry]) is not None
    assert suppression(continued(small, runaway(1, [(141.0, 100.0)]), now=NOW), [entry]) is None


def test_unexpected_is_always_told() -> None:
    incident = spike(5)
    entries = [said(spike(), "expected"), said(incident, "unexpected", 2)]
    assert suppression(incident, entries) is None
    assert applied(incident, entries).feedback == "unexpected"


def test_last_word_counts_and_undo_brings_the_one_before_back() -> None:
    incident = spike()
    first, second = said(incident, "expected", 1), said(incident, "unexpected", 2)
    assert applied(incident, [second, first]).feedback == "unexpected"
    entries = [first, undone(second, now=NOW, by="ada")]
    assert applied(incident, entries).feedback == "expected"
    assert suppression(spike(3), entries) is not None


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(VERDICTS)), max_size=8), st.integers(0, 4), st.sampled_from(VERDICTS))
def test_undo_takes_every_effect_back(before: list[tuple[int, str]], place: int, verdict: str) -> None:
    incidents = [spike(first, 120.0 + 30 * first) for first in range(5)]
    entries = [said(incidents[which], what, number) for number, (which, what) in enumerate(before)]
    more = said(incidents[place], verdict, len(entries))
    taken_back = [*entries, undone(more, now=NOW + DAY)]
    assert [applied(incident, taken_back) for incident in incidents] == [applied(incident, entries) for incident in incidents]
    assert precision(taken_back) == precision(entries)
    assert minimum_impacts(taken_back) == minimum_impacts(entries)


def test_undone_twice_is_undone_once() -> None:
    entry = undone(said(spike(), "expected"), now=NOW, by="ada")
    assert undone(entry, now=NOW + DAY, by="bob") == entry


def test_precision_counts_each_incident_once_by_its_last_word() -> None:
    incidents = [spike(first) for first in range(10)]
    entries = [said(incident, "unexpected" if number < 8 else "too_small", number) for number, incident in enumerate(incidents)]
    entries += [said(incidents[0], "planned", 10), said(incidents[0], "unexpected", 11)]
    found = precision(entries)
    assert (found.judged, found.right, found.value) == (10, 8, 0.8)
    assert found.low == pytest.approx(0.4901625, abs=1e-6)  # Wilson, 8 of 10 at 95 %
    assert found.high == pytest.approx(0.9433178, abs=1e-6)


def test_before_the_first_feedback_there_is_no_precision() -> None:
    assert precision([]).as_dict() == {"judged": 0, "right": 0, "value": None, "low": None, "high": None}
    with pytest.raises(InputError):
        precision([], coverage=95.0)


@given(st.integers(1, 500).flatmap(lambda judged: st.tuples(st.integers(0, judged), st.just(judged))), st.floats(0.01, 0.999))
def test_wilson_interval_holds_the_share_and_stays_within_one(counts: tuple[int, int], coverage: float) -> None:
    right, judged = counts
    low, high = wilson(right, judged, coverage)
    assert 0 <= low <= right / judged + 1e-12
    assert right / judged - 1e-12 <= high <= 1
    other = wilson(judged - right, judged, coverage)
    assert other == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("verdict", "more", "field"),
    [
        ("meh", {}, "verdict"),
        ("expected", {"reason": "x" * 2001}, "reason"),
        ("expected", {"reason": "\x1b[31m"}, "reason"),
        ("expected", {"reason": "a\x00"}, "reason"),
        ("expected", {"by": "a\nb"}, "by"),
        ("expected", {"by": "x" * 201}, "by"),
        ("expected", {"by": "\ud800"}, "by"),
        ("expected", {"days": -1}, "days"),
        ("expected", {"days": float("nan")}, "days"),
        ("expected", {"days": 1e9}, "days"),
        ("expected", {"until": NOW - timedelta(seconds=1)}, "until"),
        ("planned", {"until": NOW + DAY, "days": 3}, "days"),
        ("too_small", {"days": 3}, "until"),
        ("unexpected", {"until": NOW + DAY}, "until"),
    ],
)
def test_feedback_that_cannot_be_is_an_error(verdict: str, more: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        said(spike(), verdict, **more)
    assert caught.value.field == field
