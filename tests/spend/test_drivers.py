"""Drivers: what is read, what is known when, and what is said about wrong rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import InputError, SchemaError, SpendDataError
from forecast.spend.drivers import BRIDGED_DAYS, Driver, merged, names_of, on_grid, read_drivers

TODAY = pd.Timestamp("2026-03-10")
HISTORY = pd.date_range("2026-01-01", TODAY, freq="D")


def rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"name": "requests", "ds": HISTORY, "value": np.arange(1.0, len(HISTORY) + 1.0)}).assign(**columns)


def one(frame: pd.DataFrame, **arguments: Any) -> Driver:
    (driver,) = read_drivers(frame, known_on=arguments.pop("known_on", TODAY), **arguments)
    return driver


def plan(value: float, days: str = "2026-03-11 2026-03-12", **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"name": "requests", "ds": days.split(), "value": value}).assign(**columns)


def test_a_value_is_known_on_its_own_day_and_a_plan_on_the_day_it_was_made() -> None:
    driver = one(pd.concat([rows(), plan(500.0)]))
    early = driver.known_at(pd.Timestamp("2026-02-01"))
    assert early.index[-1] == pd.Timestamp("2026-02-01")
    assert driver.known_at(pd.Timestamp("2026-03-09")).index[-1] == pd.Timestamp("2026-03-09")
    assert driver.known_at(TODAY)["value"].iloc[-2:].tolist() == [500.0, 500.0]


def test_what_is_in_hand_counts_as_known_at_the_cutoff_and_not_before() -> None:
    driver = one(pd.concat([rows(), plan(500.0)])).as_known(pd.Timestamp("2026-03-01"))
    assert driver.known_at(pd.Timestamp("2026-03-01")).index[-1] == pd.Timestamp("2026-03-12")
    assert driver.known_at(pd.Timestamp("2026-02-28")).index[-1] == pd.Timestamp("2026-02-28")


def test_values_weeks_apart_are_averages_of_weeks_and_firsts_of_months_of_months() -> None:
    weekly = one(pd.DataFrame({"ds": ["2026-01-05", "2026-01-12", "2026-01-26"], "value": [10.0, 20.0, 30.0]}), name="users")
    assert len(weekly.values) == 21
    assert weekly.values["average"].all()
    monthly = one(pd.concat([rows(), plan(500.0, "2026-04-01 2026-05-01")]))
    ahead = monthly.known_at(TODAY).loc["2026-04-01":]
    assert len(ahead) == 30 + 31
    assert ahead["average"].all()
    assert not monthly.known_at(TODAY).loc[:"2026-03-10", "average"].any()


def test_the_average_of_a_week_is_known_when_the_week_is_over() -> None:
    weekly = one(pd.DataFrame({"ds": ["2026-01-05", "2026-01-12"], "value": [10.0, 20.0]}), name="users")
    assert weekly.known_at(pd.Timestamp("2026-01-10")).empty
    assert len(weekly.known_at(pd.Timestamp("2026-01-11"))) == 7


def test_a_said_period_is_believed() -> None:
    assert len(one(plan(5.0, "2026-04-01 2026-05-01", period="day")).values) == 2
    with pytest.raises(InputError, match="period is 'year'"):
        one(plan(5.0, period="year"))


def test_two_rows_of_a_day_are_refused_with_name_and_day() -> None:
    with pytest.raises(SpendDataError, match="'requests' has two rows for 2026-01-01"):
        one(pd.concat([rows(), rows()]))


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        (rows(value=-1.0), SpendDataError, "value -1 on 2026-01-01"),
        (rows(value=np.inf), SpendDataError, "value inf on 2026-01-01"),
        (rows(value="many"), SchemaError, "value 'many' on 2026-01-01 is not a number"),
        (rows(ds="soon"), SchemaError, "column ds is not a day"),
        (rows(ds=None), SpendDataError, "has a row without a day"),
        (rows(value=np.nan), SpendDataError, "no row with a value"),
        (rows(low=1000.0), SpendDataError, "outside its low 1000"),
        (rows().drop(columns="value"), SchemaError, "no column 'value'"),
        (rows().drop(columns="name"), SchemaError, "no column 'name'"),
        (rows(name="a/b"), InputError, "the name is not usable"),
        (rows(kind="weather"), InputError, "kind is 'weather'"),
        (rows(scope=["team=a", "team=b"] * 34 + ["team=a"]), SpendDataError, "two values of scope"),
    ],
)
def test_wrong_rows_are_named(frame: pd.DataFrame, error: type[InputError], words: str) -> None:
    with pytest.raises(error, match=words):
        one(frame)


def test_missing_values_are_gaps_that_are_bridged_up_to_a_limit() -> None:
    frame = rows()
    frame.loc[10:12, "value"] = np.nan
    values = on_grid(one(frame).known_at(TODAY), HISTORY)
    assert values.tolist() == rows()["value"].tolist()
    frame.loc[20 : 20 + BRIDGED_DAYS, "value"] = np.nan
    values = on_grid(one(frame).known_at(TODAY), HISTORY)
    assert np.isnan(values[: 21 + BRIDGED_DAYS]).all()
    assert np.isfinite(values[21 + BRIDGED_DAYS :]).all()


def test_the_same_delivery_twice_changes_nothing_and_an_old_plan_stays_known() -> None:
    first = one(pd.concat([rows(), plan(500.0)]), scope="team=a", unit="requests")
    later = pd.Timestamp("2026-03-20")
    second = one(pd.concat([rows(), plan(700.0)]), known_on=later)
    both = merged(first, second, later)
    assert len(both.values) == len(first.values) + 2
    pd.testing.assert_frame_equal(merged(both, second, pd.Timestamp("2026-03-25")).values, both.values)
    assert both.known_at(TODAY)["value"].iloc[-1] == 500.0
    assert both.known_at(later)["value"].iloc[-1] == 700.0
    assert (both.unit, str(both.scope)) == ("requests", "team=a")


def test_a_corrected_value_is_known_from_the_day_of_the_correction() -> None:
    frame = rows()
    frame.loc[3, "value"] = 99.0
    both = merged(one(rows()), one(frame), TODAY + pd.Timedelta(days=1))
    assert both.known_at(TODAY)["value"].iloc[3] == 4.0
    assert both.known_at(TODAY + pd.Timedelta(days=1))["value"].iloc[3] == 99.0


def test_what_came_of_a_planned_day_is_known_on_that_day() -> None:
    first = one(pd.concat([rows(), plan(500.0)]))
    came = one(plan(80.0, "2026-03-11"), known_on=pd.Timestamp("2026-03-12"))
    both = merged(first, came, pd.Timestamp("2026-03-12"))
    assert both.known_at(pd.Timestamp("2026-03-11"))["value"].loc["2026-03-11"] == 80.0
    assert both.known_at(TODAY)["value"].loc["2026-03-11"] == 500.0


def test_a_driver_comes_back_from_plain_data() -> None:
    driver = one(pd.concat([rows(), plan(500.0, low=400.0, high=650.0)]), scope="team=a|b,stage!=dev", unit="requests", kind="requests")
    again = Driver.of_record(driver.name, str(driver.scope), driver.record(), driver.unit, driver.kind)
    pd.testing.assert_frame_equal(again.values, driver.values)
    assert (again.name, again.scope, again.unit, again.kind) == (driver.name, driver.scope, driver.unit, driver.kind)


def test_two_drivers_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="'requests'"):
        names_of([one(rows()), one(rows())])
