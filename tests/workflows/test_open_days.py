"""A day that is not over: what has come of it can be too much already, and is never too little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from forecast.alerts.incident import Incident
from forecast.workflows.detection import replayed
from forecast.workflows.incident_keeping import InMemory, keep
from tests.workflows.watched_companies import LEAF, company, next_days, rows_of

DECLARED = 1.0
TODAY = 4
"""Number of the day after the cutoff that is going on."""


def by_the_hour(factor: float, hours: int) -> tuple[list[Incident], pd.DataFrame]:
    """Incidents after some hours of a day on which one leaf spends `factor` times as much as usual, every hour alike, and what was billed by then."""
    whole = next_days(TODAY + 1)
    whole.loc[rows_of(whole, TODAY, TODAY, **LEAF), "spend"] *= factor
    today = whole["ds"] == whole["ds"].max()
    part = min(hours / 24.0, 1.0)
    frame = whole.assign(spend=whole["spend"].where(~today, whole["spend"] * part))
    now = whole["ds"].max() + pd.Timedelta(hours=hours)
    known_at = (frame["ds"] + pd.Timedelta(hours=25)).where(~today, now)
    developments = frame[list(company(DECLARED).hierarchy.dimensions)].assign(ds=frame["ds"], known_at=known_at, change=frame["spend"])
    since = frame["ds"].min().date()
    until = (frame["ds"].max() + pd.Timedelta(days=1)).date()
    keeper = InMemory()

    def bills(then: datetime) -> pd.DataFrame:
        return frame[(known_at <= pd.Timestamp(then.replace(tzinfo=None))).to_numpy()]

    ids = keep(
        replayed(company(DECLARED), developments, since=since, until=until, bills=bills),
        keeper,
        since=datetime(since.year, since.month, since.day, tzinfo=UTC),
    )
    return [keeper.incidents[name] for name in ids], frame


def test_runaway_of_the_night_is_an_incident_in_the_morning() -> None:
    (incident,), frame = by_the_hour(24.0, 6)
    assert (incident.direction, incident.scope, incident.status) == ("up", LEAF, "open")
    here = rows_of(frame, TODAY, TODAY, **LEAF)
    assert incident.actual == pytest.approx(frame.loc[here, "spend"].sum())
    assert incident.end - incident.start == timedelta(days=1)


@pytest.mark.parametrize("hours", [1, 6, 12, 23])
def test_part_of_a_usual_day_is_no_drop(hours: int) -> None:
    assert by_the_hour(1.0, hours)[0] == []


def test_what_is_not_yet_more_than_a_whole_day_waits_for_the_rest() -> None:
    assert by_the_hour(6.0, 3)[0] == []
    (incident,), _ = by_the_hour(6.0, 26)
    assert incident.scope == LEAF
