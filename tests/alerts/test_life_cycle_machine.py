"""Any order of detections and hands: no money twice, no status that the table does not allow, no history that forgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from forecast.alerts.incident import Detection, Incident, events_since
from forecast.alerts.life_cycle import CALM, QUIET, acknowledge, merged, reopen, resolve, settle
from forecast.errors import InputError
from tests.alerts.examples import DAY, MONDAY, runaway

AFTER = {
    None: {("opened", "open")},
    "open": {("acknowledged", "acknowledged"), ("resolved", "resolved"), ("grew", "open")},
    "acknowledged": {("resolved", "resolved"), ("grew", "acknowledged")},
    "resolved": {("reopened", "open")},
}
"""Status → what may happen then, and the status after it."""
SCOPES: tuple[dict[str, str], ...] = ({}, {"team": "search"})


class Life(RuleBasedStateMachine):
    """Detections of two scopes on forty days, while a clock goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.incidents: dict[str, Incident] = {}
        self.said: dict[tuple[str, datetime], set[float]] = {}
        self.now = MONDAY + 40 * DAY

    def _keep(self, after: Incident) -> None:
        before = self.incidents.get(after.id)
        if before is not None:
            assert after.history[: len(before.history)] == before.history
            assert after.start <= before.start
            assert after.end >= before.end
        for event in events_since(before, after):
            self.now = max(self.now, event.transition.at)
        self.incidents[after.id] = after

    def _pick(self, number: int) -> Incident:
        return self.incidents[sorted(self.incidents)[number % len(self.incidents)]]

    @rule(hours=st.integers(1, 72))
    def time_goes_on(self, hours: int) -> None:
        self.now += DAY * hours / 24

    @rule(first=st.integers(0, 40), costs=st.lists(st.sampled_from([150.0, 500.0, 4000.0]), min_size=1, max_size=15), scope=st.sampled_from(SCOPES))
    def a_detector_speaks(self, first: int, costs: list[float], scope: dict[str, str]) -> None:
        detection = runaway(first, [(cost, 100.0) for cost in costs], scope=scope, sentence="")
        self._put([detection])

    @rule(first=st.integers(0, 40), number=st.integers(0, 30), cost=st.sampled_from([150.0, 500.0]), scope=st.sampled_from(SCOPES))
    def it_speaks_of_several(self, first: int, number: int, cost: float, scope: dict[str, str]) -> None:
        self._put([runaway(first, [(cost, 100.0)], scope=scope), runaway(number, [(cost, 100.0)] * 2, scope=scope)])

    def _put(self, detections: list[Detection]) -> None:
        for detection in detections:
            for part in detection.parts:
                self.said.setdefault((detection.fingerprint, part.start), set()).add(part.actual)
        found = merged(self.incidents.values(), detections, now=self.now)
        for place, name in enumerate(found.incident_of):
            assert found.incidents[name].fingerprint == detections[place].fingerprint
        for incident in found.incidents.values():
            self._keep(incident)
        if len(detections) == 1:
            again = merged(self.incidents.values(), detections, now=self.now)
            assert again == found

    @precondition(lambda self: self.incidents)
    @rule(number=st.integers(0, 9))
    def somebody_acknowledges(self, number: int) -> None:
        incident = self._pick(number)
        try:
            self._keep(acknowledge(incident, now=self.now, by="ada"))
        except InputError:
            assert incident.status == "resolved"

    @precondition(lambda self: self.incidents)
    @rule(number=st.integers(0, 9))
    def somebody_resolves(self, number: int) -> None:
        self._keep(resolve(self._pick(number), now=self.now, by="ada"))
        assert self._pick(number).status == "resolved"

    @precondition(lambda self: self.incidents)
    @rule(number=st.integers(0, 9))
    def somebody_reopens(self, number: int) -> None:
        self._keep(reopen(self._pick(number), now=self.now, by="ada"))
        assert self._pick(number).is_active

    @rule(day=st.integers(0, 50))
    def spend_is_normal_since(self, day: int) -> None:
        through = MONDAY + day * DAY
        for incident in list(self.incidents.values()):
            after = settle(incident, scored_through=through, now=self.now)
            assert (after.status == "resolved") == (incident.status == "resolved" or through - incident.end >= CALM)
            self._keep(after)

    @invariant()
    def every_day_of_a_fingerprint_is_held_once_with_money_that_was_said(self) -> None:
        held: set[tuple[str, datetime]] = set()
        for incident in self.incidents.values():
            assert list(incident.parts) == sorted(incident.parts, key=lambda part: part.start)
            for part in incident.parts:
                key = (incident.fingerprint, part.start)
                assert part.end - part.start == DAY
                assert key not in held
                assert part.actual in self.said[key]
                held.add(key)
        assert held == set(self.said)

    @invariant()
    def every_history_follows_the_table(self) -> None:
        for incident in self.incidents.values():
            status: str | None = None
            for transition in incident.history:
                assert (transition.event, transition.status) in AFTER[status]
                status = transition.status
            assert status == incident.status
            assert (incident.reopens_from is not None) == (incident.status == "resolved")
            moments = [transition.at for transition in incident.history]
            assert moments == sorted(moments)

    @invariant()
    def no_pause_within_an_incident_is_longer_than_the_quiet_window(self) -> None:
        spans: dict[str, list[datetime]] = {}
        for fingerprint, start in sorted(self.said):
            spans.setdefault(fingerprint, []).append(start)
        for incident in self.incidents.values():
            inside = [start for start in spans[incident.fingerprint] if incident.start <= start < incident.end]
            assert all(later - earlier <= QUIET + DAY for earlier, later in pairwise(inside))

    @invariant()
    def answers_add_up(self) -> None:
        for incident in self.incidents.values():
            answer = incident.as_dict()
            assert abs(answer["impact"] - (answer["actual"] - answer["expected"])) < 1e-6
            assert incident.id == answer["id"]
            assert replace(incident) == incident


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase
