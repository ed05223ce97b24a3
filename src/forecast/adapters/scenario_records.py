"""Saved scenarios in the records: a row a scenario, one a version, and one for what a version said on a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from forecast.adapters.record_rows import plain, write
from forecast.adapters.records_schema import METADATA, Moment
from forecast.errors import ConflictError, NotFoundError
from forecast.scenarios.saved import SavedScenario, ScenarioRun, check_scenario_id, digest_of, no_scenario

SCENARIOS = sa.Table(
    "scenarios",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("latest", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

SCENARIO_VERSIONS = sa.Table(
    "scenario_versions",
    METADATA,
    sa.Column("scenario_id", sa.String(100), sa.ForeignKey("scenarios.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("saved_at", Moment, nullable=False),
)

SCENARIO_RUNS = sa.Table(
    "scenario_runs",
    METADATA,
    sa.Column("scenario_id", sa.String(100), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("snapshot_id", sa.String(64), primary_key=True),
    sa.Column("cutoff", sa.Date, nullable=False),
    sa.Column("cost", sa.String(16), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("computed_at", Moment, nullable=False),
    sa.Column("summary", sa.JSON, nullable=False),
    sa.ForeignKeyConstraint(["scenario_id", "version"], ["scenario_versions.scenario_id", "scenario_versions.version"], ondelete="CASCADE"),
)

_RUN_FIELDS = tuple(field.name for field in fields(ScenarioRun))


class ScenarioRecords:
    """The part of `records.Records` that keeps scenarios."""

    _readers: sa.Engine
    _writers: sa.Engine

    def put_scenario(
        self,
        scenario_id: str,
        plan: Mapping[str, Any],
        *,
        now: datetime,
        name: str = "",
        by: str = "",
        note: str = "",
        expected: int | None = None,
    ) -> tuple[SavedScenario, bool]:
        """Save a plan; returns the version it is now, and whether that is new. A plan that is the newest version already changes nothing.

        expected : the version that the caller takes for the newest, 0 where there should be none; ConflictError where it is another.
        """
        check_scenario_id(scenario_id)
        with self._writers.begin() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's writers are one at a time already
                connection.execute(sa.text("LOCK TABLE scenarios IN SHARE ROW EXCLUSIVE MODE"))
            known = connection.execute(sa.select(SCENARIOS).where(SCENARIOS.c.id == scenario_id)).one_or_none()
            latest = 0 if known is None else int(known.latest)
            if expected is not None and expected != latest:
                raise _moved_on(scenario_id, expected, latest)
            if latest:
                newest = _read(connection, scenario_id, latest)
                if newest.digest == digest_of(plain(name), plan):
                    return newest, False
            write(connection, SCENARIOS, {"id": scenario_id}, {"latest": latest + 1, "created_at": now if known is None else known.created_at})
            values = {"name": plain(name), "plan": dict(plan), "by": plain(by), "note": plain(note), "saved_at": now}
            write(connection, SCENARIO_VERSIONS, {"scenario_id": scenario_id, "version": latest + 1}, values)
            return _read(connection, scenario_id, latest + 1), True

    def scenario(self, scenario_id: str, version: int | None = None) -> SavedScenario:
        """A version of a scenario, by default the newest; NotFoundError names the nearest ids, or the versions that there are."""
        with self._readers.begin() as connection:
            return _read(connection, scenario_id, version)

    def scenarios(self) -> list[SavedScenario]:
        """The newest version of every scenario, by id."""
        with self._readers.begin() as connection:
            query = _versions().where(SCENARIO_VERSIONS.c.version == SCENARIOS.c.latest).order_by(SCENARIOS.c.id)
            return [_scenario(row) for row in connection.execute(query)]

    def scenario_versions(self, scenario_id: str) -> list[SavedScenario]:
        """All versions of a scenario, the newest first; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            query = _versions().where(SCENARIOS.c.id == plain(scenario_id)).order_by(SCENARIO_VERSIONS.c.version.desc())
            found = [_scenario(row) for row in connection.execute(query)]
            if not found:
                raise _unknown(connection, scenario_id)
        return found

    def delete_scenario(self, scenario_id: str, *, expected: int | None = None) -> None:
        """Remove a scenario with all its versions and what they said; NotFoundError where there is none, ConflictError as in `put_scenario`."""
        with self._writers.begin() as connection:
            latest = connection.execute(sa.select(SCENARIOS.c.latest).where(SCENARIOS.c.id == plain(scenario_id)).with_for_update()).scalar()
            if latest is None:
                raise _unknown(connection, scenario_id)
            if expected is not None and expected != latest:
                raise _moved_on(scenario_id, expected, latest)
            connection.execute(sa.delete(SCENARIOS).where(SCENARIOS.c.id == plain(scenario_id)))

    def put_scenario_run(self, run: ScenarioRun) -> bool:
        """Keep what a version said on a snapshot, in place of what was kept of the two; False where the version is gone."""
        key = {"scenario_id": run.scenario_id, "version": run.version, "snapshot_id": run.snapshot_id}
        values = {name: getattr(run, name) for name in _RUN_FIELDS if name not in key}
        here = (SCENARIO_VERSIONS.c.scenario_id == run.scenario_id) & (SCENARIO_VERSIONS.c.version == run.version)
        with self._writers.begin() as connection:
            # FOR SHARE keeps PostgreSQL from removing the version before this is through.
            if connection.execute(sa.select(SCENARIO_VERSIONS.c.version).where(here).with_for_update(read=True)).one_or_none() is None:
                return False
            write(connection, SCENARIO_RUNS, key, {**values, "summary": dict(run.summary)})
        return True

    def scenario_runs(self, scenario_id: str, version: int | None = None, cost: str | None = None) -> list[ScenarioRun]:
        """What a scenario (or one version of it) said, by cutoff and time, the oldest first; nothing where it was never run."""
        query = sa.select(*(SCENARIO_RUNS.c[name] for name in _RUN_FIELDS)).where(SCENARIO_RUNS.c.scenario_id == plain(scenario_id))
        if version is not None:
            query = query.where(SCENARIO_RUNS.c.version == version)
        if cost is not None:
            query = query.where(SCENARIO_RUNS.c.cost == cost)
        order = (SCENARIO_RUNS.c.cutoff, SCENARIO_RUNS.c.computed_at, SCENARIO_RUNS.c.version)
        with self._readers.begin() as connection:
            return [ScenarioRun(**row._mapping) for row in connection.execute(query.order_by(*order))]

    def newest_scenario_runs(self) -> dict[str, ScenarioRun]:
        """Of each scenario that was run, what its newest version said last."""
        query = sa.select(*(SCENARIO_RUNS.c[name] for name in _RUN_FIELDS)).join_from(
            SCENARIO_RUNS, SCENARIOS, SCENARIO_RUNS.c.scenario_id == SCENARIOS.c.id
        )
        query = query.where(SCENARIO_RUNS.c.version == SCENARIOS.c.latest).order_by(SCENARIO_RUNS.c.cutoff, SCENARIO_RUNS.c.computed_at)
        with self._readers.begin() as connection:
            return {row.scenario_id: ScenarioRun(**row._mapping) for row in connection.execute(query)}

    def scenario_snapshots(self, most: int) -> list[str]:
        """Ids of the `most` newest snapshots that the newest versions of scenarios were first run on: what they are held against later."""
        query = sa.select(SCENARIO_RUNS.c.scenario_id, SCENARIO_RUNS.c.cost, SCENARIO_RUNS.c.snapshot_id, SCENARIO_RUNS.c.cutoff)
        query = query.join_from(SCENARIO_RUNS, SCENARIOS, SCENARIO_RUNS.c.scenario_id == SCENARIOS.c.id)
        query = query.where(SCENARIO_RUNS.c.version == SCENARIOS.c.latest).order_by(SCENARIO_RUNS.c.cutoff, SCENARIO_RUNS.c.computed_at)
        first: dict[tuple[str, str], tuple[Any, str]] = {}
        with self._readers.begin() as connection:
            for row in connection.execute(query):
                first.setdefault((row.scenario_id, row.cost), (row.cutoff, row.snapshot_id))
        return [name for _, name in sorted(set(first.values()), reverse=True)][:most]


def _versions() -> sa.Select[Any]:
    columns = [SCENARIOS.c.id, SCENARIOS.c.latest, SCENARIOS.c.created_at, *(SCENARIO_VERSIONS.c[name] for name in _VERSION_COLUMNS)]
    return sa.select(*columns).join_from(SCENARIOS, SCENARIO_VERSIONS, SCENARIOS.c.id == SCENARIO_VERSIONS.c.scenario_id)


_VERSION_COLUMNS = ("version", "name", "plan", "by", "note", "saved_at")


def _read(connection: sa.Connection, scenario_id: str, version: int | None) -> SavedScenario:
    query = _versions().where(SCENARIOS.c.id == plain(scenario_id))
    # A number that no column holds is a version that there is not.
    wanted = SCENARIOS.c.latest if version is None else min(max(version, 0), 2**31 - 1)
    row = connection.execute(query.where(SCENARIO_VERSIONS.c.version == wanted)).one_or_none()
    if row is not None:
        return _scenario(row)
    latest = connection.execute(sa.select(SCENARIOS.c.latest).where(SCENARIOS.c.id == plain(scenario_id))).scalar()
    if latest is None:
        raise _unknown(connection, scenario_id)
    raise NotFoundError(f"Scenario {scenario_id} has no version {version}", field="version", got=version, allowed=f"1 to {latest}")


def _scenario(row: Any) -> SavedScenario:
    return SavedScenario(**row._mapping)


def _unknown(connection: sa.Connection, scenario_id: str) -> NotFoundError:
    return no_scenario(scenario_id, connection.execute(sa.select(SCENARIOS.c.id)).scalars())


def _moved_on(scenario_id: str, expected: int, latest: int) -> ConflictError:
    there = f"its newest version is {latest}" if latest else "there is none"
    taken = f"version {expected} was expected" if expected else "none was expected"
    return ConflictError(f"Scenario {scenario_id}: {taken}, and {there}", field="version", got=expected, allowed=str(latest))
