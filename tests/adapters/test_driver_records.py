"""Drivers in the records, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from forecast.adapters.records import Records
from forecast.errors import NotFoundError
from forecast.spend.drivers import Driver, read_drivers
from tests.postgres import running_postgres

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def records(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    if request.param == "sqlite":
        opened = Records(f"sqlite:///{tmp_path_factory.mktemp('records')}/records.db")
        yield opened
        opened.close()
        return
    with running_postgres() as address:
        opened = Records(address)
        yield opened
        opened.close()


def driver(value: float = 100.0, *, name: str = "Zugriffe – web", now: datetime = NOW) -> Driver:
    today = pd.Timestamp(now.date())
    days = pd.date_range(pd.Timestamp("2026-03-01"), today + pd.Timedelta(days=5))
    frame = pd.DataFrame({"ds": days, "value": [float(number) for number in range(len(days))]})
    frame.loc[frame["ds"] > today, ["value", "low", "high"]] = [value, value / 2, value * 2]
    (found,) = read_drivers(frame, known_on=today, name=name, scope="team=ads|search,stage!=dev", unit="requests", kind="requests")
    return found


def test_a_driver_comes_back_as_it_was_put(records: Records) -> None:
    kept, new = records.put_driver(driver(), now=NOW)
    assert new
    again = records.driver("Zugriffe – web")
    pd.testing.assert_frame_equal(again.values, driver().values)
    pd.testing.assert_frame_equal(kept.values, again.values)
    assert (again.scope, again.unit, again.kind) == (driver().scope, "requests", "requests")


def test_the_same_again_changes_nothing_and_a_new_plan_stands_beside_the_old_one(records: Records) -> None:
    records.put_driver(driver(), now=NOW)
    kept, new = records.put_driver(driver(), now=NOW)
    assert not new
    assert len(kept.values) == len(driver().values)
    later = NOW + timedelta(days=1)
    kept, _ = records.put_driver(driver(300.0, now=later), now=later)
    planned = kept.values[kept.values["ds"] == pd.Timestamp("2026-03-13")]
    assert planned["value"].tolist() == [100.0, 300.0]
    assert planned["known_from"].dt.day.tolist() == [10, 11]


def test_drivers_are_listed_by_name_and_removed_once(records: Records) -> None:
    records.put_driver(driver(name="b"), now=NOW)
    records.put_driver(driver(name="a"), now=NOW)
    names = [one.name for one in records.drivers()]
    assert names.index("a") < names.index("b")
    records.delete_driver("a")
    with pytest.raises(NotFoundError, match="'a'"):
        records.delete_driver("a")
    with pytest.raises(NotFoundError, match="'a'"):
        records.driver("a")
