"""A scheduled pull: when it is due, which days it asks for again, and what a failure or a restart changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import pytest

from forecast.adapters.sources.base import Pulled, SourceError
from forecast.adapters.sources.loop import Outcome, pull_repeatedly
from forecast.adapters.sources.memory import Memory
from forecast.errors import InputError
from forecast.workflows.pulling import PullSchedule

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
SCHEDULE = PullSchedule(every=dt.timedelta(hours=6), last_days=7, first_days=90)


def days(first: str, last: str) -> tuple[dt.date, dt.date]:
    return dt.date.fromisoformat(first), dt.date.fromisoformat(last)


@pytest.mark.parametrize(
    ("last", "now", "asked"),
    [
        (None, NOON, days("2025-12-10", "2026-03-11")),
        (NOON - dt.timedelta(hours=5, minutes=59), NOON, None),
        (NOON - dt.timedelta(hours=6), NOON, days("2026-03-03", "2026-03-11")),
        (NOON - dt.timedelta(days=30), NOON, days("2026-02-01", "2026-03-11")),
        (NOON + dt.timedelta(days=3), NOON, days("2026-03-03", "2026-03-11")),
        (NOON - dt.timedelta(hours=7), NOON.astimezone(dt.timezone(dt.timedelta(hours=13))), days("2026-03-03", "2026-03-11")),
    ],
)
def test_the_days_that_are_due_reach_back_over_restatements_and_outages(
    last: dt.datetime | None, now: dt.datetime, asked: tuple[dt.date, dt.date] | None
) -> None:
    assert SCHEDULE.due(last, now) == asked


@pytest.mark.parametrize("wrong", [{"every": dt.timedelta(0)}, {"last_days": -1}, {"last_days": 30, "first_days": 7}])
def test_a_schedule_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"cannot be asked every|A pull asks for"):
        PullSchedule(**wrong)  # type: ignore[arg-type]


def test_a_moment_without_zone_says_no_day() -> None:
    with pytest.raises(InputError, match="without a zone"):
        SCHEDULE.due(None, dt.datetime(2026, 3, 10))


class Asked:
    """A source that notes what it is asked for, and fails when told to; its clock goes on by five hours a look."""

    name = "made-up"

    def __init__(self, stop: Event, looks: int, fails: set[int]) -> None:
        self.stop, self.looks, self.fails = stop, looks, fails
        self.moment = NOON - dt.timedelta(hours=5)
        self.asked: list[tuple[dt.date, dt.date]] = []

    def now(self) -> dt.datetime:
        self.looks -= 1
        if self.looks <= 0:
            self.stop.set()
        self.moment += dt.timedelta(hours=5)
        return self.moment

    def pull(self, since: dt.date, until: dt.date, folder: Path) -> Sequence[Pulled]:
        self.asked.append((since, until))
        if len(self.asked) in self.fails:
            raise SourceError("busy")
        path = folder / "a.csv"
        path.write_text(f"{len(self.asked)}", encoding="utf-8")
        return [Pulled((path,))]


def run(source: Asked, memory: Memory) -> tuple[int, list[Outcome]]:
    outcomes: list[Outcome] = []
    taken = pull_repeatedly(
        source,
        lambda pulled: pulled.paths[0].read_text(encoding="utf-8"),
        due=SCHEDULE.due,
        memory=memory,
        stop=source.stop,
        now=source.now,
        tell=outcomes.append,
        check_seconds=0.001,
        retry_seconds=0.001,
    )
    return taken, outcomes


def test_a_source_is_asked_when_it_is_due_and_again_after_a_failure_and_a_restart(tmp_path: Path) -> None:
    first = Asked(Event(), looks=6, fails={2})
    taken, outcomes = run(first, Memory(tmp_path / "state"))
    # Noon, not at 17, fails at 22, again at 3 and so on: every second look but for the failure.
    assert [outcome.report for outcome in outcomes] == ["1", None, "3", "4"]
    assert [str(outcome.error or "") for outcome in outcomes] == ["", "busy", "", ""]
    assert (taken, first.asked[0][0], first.asked[-1]) == (3, dt.date(2025, 12, 10), days("2026-03-04", "2026-03-12"))
    again = Asked(Event(), looks=1, fails=set())
    again.moment = first.moment - dt.timedelta(hours=4)
    assert run(again, Memory(tmp_path / "state")) == (0, [])
