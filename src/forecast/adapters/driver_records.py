"""Drivers in the records: a row a driver, its days as JSON. They are few numbers (a year of days and its plans), read whole and written whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from forecast.adapters.record_rows import plain, write
from forecast.adapters.records_schema import DRIVERS
from forecast.errors import NotFoundError
from forecast.spend.drivers import Driver, merged
from forecast.spend.nearest import not_kept


class DriverRecords:
    """The part of `records.Records` that keeps drivers."""

    _readers: sa.Engine
    _writers: sa.Engine

    def put_driver(self, driver: Driver, *, now: datetime) -> tuple[Driver, bool]:
        """Enter a delivery of a driver on top of what is known of it; returns what is known now, and whether the driver is new.

        Days that were given before stay as versions (`spend.drivers.merged`); scope, unit and kind are replaced where they are said.
        """
        with self._writers.begin() as connection:
            row = connection.execute(sa.select(DRIVERS).where(DRIVERS.c.name == driver.name).with_for_update()).one_or_none()
            kept = driver if row is None else merged(_driver(row), driver, pd.Timestamp(now.astimezone(UTC).date()))
            values = {"scope": str(kept.scope), "unit": kept.unit, "kind": kept.kind, "rows": kept.record(), "changed_at": now}
            write(connection, DRIVERS, {"name": kept.name}, values)
        return kept, row is None

    def driver(self, name: str) -> Driver:
        """The driver of this name; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            row = connection.execute(sa.select(DRIVERS).where(DRIVERS.c.name == plain(name))).one_or_none()
            if row is None:
                raise _no_driver(connection, name)
        return _driver(row)

    def drivers(self) -> list[Driver]:
        """All drivers, by name."""
        with self._readers.begin() as connection:
            return [_driver(row) for row in connection.execute(sa.select(DRIVERS).order_by(DRIVERS.c.name))]

    def delete_driver(self, name: str) -> None:
        """Remove a driver with its values; NotFoundError where there is none."""
        with self._writers.begin() as connection:
            if not connection.execute(sa.delete(DRIVERS).where(DRIVERS.c.name == plain(name))).rowcount:
                raise _no_driver(connection, name)


def _driver(row: Any) -> Driver:
    return Driver.of_record(row.name, row.scope, row._mapping["rows"], row.unit, row.kind)


def _no_driver(connection: sa.Connection, name: str) -> NotFoundError:
    return not_kept("No driver is called", name, connection.execute(sa.select(DRIVERS.c.name)).scalars(), field="name")
