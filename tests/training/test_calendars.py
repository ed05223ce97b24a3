"""A snapshot keeps the calendar and the time zone that it was made with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.readings import read_scope
from tests.training.homes import LAST, make_home


def test_the_snapshot_keeps_zone_and_calendar_and_its_ready_totals_are_the_companys(tmp_path: Path) -> None:
    home = make_home(
        tmp_path, fiscal_start=2, fiscal_pattern="4-5-4", fiscal_week_end="saturday", fiscal_rule="nearest", time_zone="America/New_York"
    )
    found = home.train().snapshot_id
    snapshot, totals = home.store.open(found), home.store.totals(found)
    home.close()
    assert snapshot.time_zone == "America/New_York"
    assert {name: snapshot.meta[name] for name in home.settings.calendar.describe()} == home.settings.calendar.describe()
    assert snapshot.first_open_day == LAST
    quarter = home.settings.calendar.quarter(2027, 4)
    node = totals[(totals["node"] == snapshot.hierarchy.node_ids[0])]
    kept = node[(node["start"] == np.datetime64(quarter.start)) & (node["end"] == np.datetime64(quarter.end))]
    assert kept["mean"].item() == pytest.approx(read_scope(snapshot, Scope(), quarter).totals().mean(), rel=1e-5)


def test_a_snapshot_in_utc_says_nothing_of_zones_and_of_weeks(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    snapshot = home.store.open(home.train().snapshot_id)
    home.close()
    assert not {"time_zone", "fiscal_pattern", "fiscal_week_end", "fiscal_rule"} & set(snapshot.meta)
    assert snapshot.meta["fiscal_start"] == 1
    assert snapshot.first_open_day == LAST + timedelta(days=1)
    assert read_scope(snapshot, Scope(), Period(LAST, LAST + timedelta(days=2))).past_days.tolist() == [LAST]
