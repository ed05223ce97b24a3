"""What a replay says becomes incidents: later words are not taken back by earlier ones, and restated days withdraw what they had opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from forecast.alerts.feedback import feedback_on
from forecast.alerts.incident import Detection
from forecast.workflows.detection import Scored, Step
from forecast.workflows.incident_keeping import RESTATED, InMemory, keep
from tests.alerts.examples import DAY, MONDAY, days, new_key, runaway

SCOPE = "service=Vertex AI,team=search"
SCOPES = frozenset({SCOPE})


def through(end: datetime | None) -> Callable[[str], datetime | None]:
    return lambda _: end


def step(
    day: int,
    detections: Sequence[Detection] = (),
    calm: Sequence[int] = (),
    scored: datetime | None = None,
    scopes: frozenset[str] = SCOPES,
) -> Step:
    """What was said at six on the day so many days after Monday; of the scored days all but those in `calm` are strange."""
    bounds = (-20, 20) if calm or scored else (0, -1)
    strange = frozenset((SCOPE, day_text(number)) for number in range(-20, 21) if number not in calm)
    looked_at = Scored(scopes, day_text(bounds[0]), day_text(bounds[1]), strange)
    return Step(MONDAY + day * DAY + timedelta(hours=6), 10, len(detections), list(detections), looked_at, through(scored))


def day_text(number: int) -> str:
    return str((MONDAY + number * DAY).date())


def test_detections_of_following_days_are_one_incident_that_resolves_by_itself() -> None:
    keeper = InMemory()
    steps = [
        step(1, [runaway(0, [(500.0, 100.0)])], scored=MONDAY + DAY),
        step(2, [runaway(0, [(500.0, 100.0), (620.0, 100.0)])], scored=MONDAY + 2 * DAY),
        step(3, [], [2], scored=MONDAY + 3 * DAY),
        step(4, [], [3], scored=MONDAY + 4 * DAY),
    ]
    (name,) = keep(steps, keeper, since=MONDAY)
    incident = keeper.incidents[name]
    assert [part.actual for part in incident.parts] == [500.0, 620.0]
    assert [(one.event, one.at.day) for one in incident.history if one.event != "grew"] == [("opened", 2), ("resolved", 5)]
    assert keep(steps, keeper, since=MONDAY) == [name]
    assert keeper.incidents[name] == incident, "the same replay again changes nothing"


def test_what_was_known_earlier_does_not_replace_what_is_known_since() -> None:
    keeper = InMemory()
    late = step(5, [runaway(0, [(900.0, 100.0)])])
    keep([late], keeper, since=MONDAY)
    found = keep([step(1, [runaway(0, [(500.0, 100.0)])])], keeper, since=MONDAY)
    assert [keeper.incidents[name].actual for name in found] == [900.0]


def test_days_that_are_billed_anew_and_are_normal_withdraw_their_incident() -> None:
    keeper = InMemory()
    drop = runaway(0, [(0.0, 100.0), (0.0, 100.0)], kind="drop", direction="down")
    (name,) = keep([step(2, [drop]), step(3, [], calm=[0])], keeper, since=MONDAY)
    assert keeper.incidents[name].is_active, "one of its days is strange still"
    keep([step(4, [], calm=[0, 1])], keeper, since=MONDAY)
    last = keeper.incidents[name].history[-1]
    assert (last.event, last.by, last.why) == ("resolved", "forecast", RESTATED)


def test_scopes_that_are_not_scored_and_earlier_incidents_stay_as_they_are() -> None:
    keeper = InMemory()
    other, early = new_key(parts=days(0, [(40.0, 0.0)])), runaway(-9, [(500.0, 100.0)])
    keep([step(1, [other, early])], keeper, since=MONDAY)
    keep([step(9, [], scored=MONDAY + 9 * DAY)], keeper, since=MONDAY)
    assert [incident.status for incident in keeper.incidents.values()] == ["open", "open"]


def test_days_that_are_not_known_well_enough_resolve_nothing() -> None:
    keeper = InMemory()
    keep([step(1, [runaway(0, [(500.0, 100.0)])]), step(9, [], scored=MONDAY + 2 * DAY), step(10)], keeper, since=MONDAY)
    assert [incident.status for incident in keeper.incidents.values()] == ["open"]


def test_feedback_that_there_is_marks_what_a_dry_run_finds() -> None:
    first = InMemory()
    (name,) = keep([step(1, [runaway(0, [(500.0, 100.0)])])], first, since=MONDAY)
    entry = feedback_on(first.incidents[name], "expected", number=1, now=MONDAY + 2 * DAY)
    keeper = InMemory(entries=[entry])
    keep([step(1, [runaway(0, [(500.0, 100.0)])])], keeper, since=MONDAY)
    assert keeper.incidents[name].suppressed is not None


def test_incident_keeps_the_name_that_it_was_opened_with() -> None:
    keeper = InMemory()
    later = runaway(0, [(500.0, 100.0), (620.0, 100.0), (600.0, 100.0)], kind="level_shift")
    (name,) = keep([step(1, [runaway(0, [(500.0, 100.0)])]), step(3, [later])], keeper, since=MONDAY)
    assert (keeper.incidents[name].kind, len(keeper.incidents[name].parts)) == ("spike", 3)
    apart = runaway(9, [(500.0, 100.0)], kind="level_shift")
    found = keep([step(10, [apart])], keeper, since=MONDAY)
    assert [keeper.incidents[one].kind for one in found] == ["level_shift"], "another time, another name"
