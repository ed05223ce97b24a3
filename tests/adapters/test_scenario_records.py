"""Saved scenarios in the records, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from forecast.adapters import records_schema
from forecast.adapters.records import Records
from forecast.errors import ConflictError, NotFoundError, PlanError
from forecast.scenarios.saved import ScenarioRun

NOW = datetime(2026, 12, 11, 6, 30, tzinfo=UTC)
PLAN = {"period": "2027-Q1", "scope": "team=ads|search", "levers": [{"type": "scale_usage", "factor": 2.0, "name": "Verkehr – März"}]}
DEARER = {**PLAN, "levers": [{"type": "scale_usage", "factor": 3.0}]}


def run_of(scenario_id: str, version: int = 1, days: int = 0, **changes: object) -> ScenarioRun:
    summary = {"delta": {"mean": 0.1 + 0.2, "p10": None}, "months": [{"start": "2027-01-01"}]}
    cutoff, when = date(2026, 12, 10) + timedelta(days=days), NOW + timedelta(days=days)
    return replace(ScenarioRun(scenario_id, version, f"{days:02}" * 32, cutoff, "effective", "USD", when, summary), **changes)  # type: ignore[arg-type]


def test_scenario_comes_back_as_it_was_saved(records: Records) -> None:
    saved, is_new = records.put_scenario("growth.2027", PLAN, now=NOW, name="Wachstum – 2027", by="Özge", note="board\x00s idea")
    assert is_new
    assert (saved.version, saved.latest, saved.plan, saved.name, saved.by) == (1, 1, PLAN, "Wachstum – 2027", "Özge")
    assert (saved.created_at, saved.saved_at) == (NOW, NOW)
    assert records.scenario("growth.2027") == saved
    assert records.scenarios() == [saved]


def test_every_save_of_a_changed_plan_is_a_new_version_and_old_ones_stay_readable(records: Records) -> None:
    later = NOW + timedelta(hours=1)
    first, _ = records.put_scenario("growth", PLAN, now=NOW)
    same, is_new = records.put_scenario("growth", dict(reversed(PLAN.items())), now=later)
    assert (same, is_new) == (first, False)
    second, is_new = records.put_scenario("growth", DEARER, now=later, by="ada")
    assert (is_new, second.version, second.created_at, second.saved_at) == (True, 2, NOW, later)
    third, _ = records.put_scenario("growth", PLAN, now=later, name="again")
    assert (third.version, third.plan) == (3, PLAN)
    assert [(one.version, one.latest) for one in records.scenario_versions("growth")] == [(3, 3), (2, 3), (1, 3)]
    assert records.scenario("growth", 1) == replace(first, latest=3)
    assert records.scenario("growth").version == 3


def test_unknown_scenarios_and_versions_name_what_there_is(records: Records) -> None:
    with pytest.raises(NotFoundError, match="none is saved yet"):
        records.scenario("growth")
    for name in ("growth", "growth-slow", "exit"):
        records.put_scenario(name, PLAN, now=NOW)
    with pytest.raises(NotFoundError, match="nearest: growth") as caught:
        records.scenario("grwth")
    assert (caught.value.field, caught.value.got) == ("id", "grwth")
    with pytest.raises(NotFoundError, match="saved are exit, growth, growth-slow"):
        records.scenario_versions("zzz\x00")
    for version in (0, 2, -1, 10**12):
        with pytest.raises(NotFoundError, match="no version") as caught:
            records.scenario("growth", version)
        assert caught.value.allowed == "1 to 1"
    with pytest.raises(PlanError, match="is not one"):
        records.put_scenario("a b", PLAN, now=NOW)


def test_a_save_or_removal_that_expects_another_version_changes_nothing(records: Records) -> None:
    with pytest.raises(ConflictError, match="there is none"):
        records.put_scenario("growth", PLAN, now=NOW, expected=1)
    records.put_scenario("growth", PLAN, now=NOW, expected=0)
    with pytest.raises(ConflictError, match="newest version is 1"):
        records.put_scenario("growth", DEARER, now=NOW, expected=0)
    records.put_scenario("growth", DEARER, now=NOW, expected=1)
    with pytest.raises(ConflictError):
        records.delete_scenario("growth", expected=1)
    assert records.scenario("growth").version == 2
    records.delete_scenario("growth", expected=2)
    with pytest.raises(NotFoundError):
        records.delete_scenario("growth")


def test_runs_come_back_by_cutoff_and_one_on_the_same_snapshot_replaces(records: Records) -> None:
    records.put_scenario("growth", PLAN, now=NOW)
    records.put_scenario("growth", DEARER, now=NOW)
    rows = [run_of("growth", days=2), run_of("growth"), run_of("growth", 2, 1), run_of("growth", days=1, cost="billed")]
    assert all(records.put_scenario_run(row) for row in rows)
    assert records.scenario_runs("growth", 1) == [rows[1], rows[3], rows[0]]
    assert records.scenario_runs("growth", cost="effective") == [rows[1], rows[2], rows[0]]
    records.put_scenario_run(replace(rows[1], summary={"delta": 1}))
    assert records.scenario_runs("growth", 1)[0].summary == {"delta": 1}
    assert records.scenario_runs("nobody") == []


def test_the_newest_run_is_of_the_newest_version_and_the_latest_cutoff(records: Records) -> None:
    records.put_scenario("growth", PLAN, now=NOW)
    records.put_scenario("exit", PLAN, now=NOW)
    records.put_scenario_run(run_of("growth", days=5))
    records.put_scenario("growth", DEARER, now=NOW)
    assert records.newest_scenario_runs() == {}
    rows = [run_of("growth", 2, 1), run_of("growth", 2, 0), run_of("exit")]
    for row in rows:
        records.put_scenario_run(row)
    assert records.newest_scenario_runs() == {"growth": rows[0], "exit": rows[2]}


def test_snapshots_that_scenarios_are_held_against_are_the_first_ones_of_their_newest_versions(records: Records) -> None:
    for name in ("growth", "exit"):
        records.put_scenario(name, PLAN, now=NOW)
    rows = [run_of("growth", days=1), run_of("growth", days=4), run_of("exit", days=2), run_of("exit", days=3, cost="billed")]
    for row in rows:
        records.put_scenario_run(row)
    assert records.scenario_snapshots(5) == ["03" * 32, "02" * 32, "01" * 32]
    assert records.scenario_snapshots(2) == ["03" * 32, "02" * 32]
    records.put_scenario("growth", DEARER, now=NOW)
    assert records.scenario_snapshots(5) == ["03" * 32, "02" * 32]
    records.put_scenario_run(run_of("growth", 2, days=4))
    records.delete_scenario("exit")
    assert records.scenario_snapshots(5) == ["04" * 32]


def test_removing_a_scenario_removes_its_versions_and_runs_and_a_late_run_is_left_out(records: Records) -> None:
    records.put_scenario("growth", PLAN, now=NOW)
    records.put_scenario_run(run_of("growth"))
    records.delete_scenario("growth")
    assert records.scenarios() == []
    assert records.scenario_runs("growth") == []
    assert not records.put_scenario_run(run_of("growth"))
    saved, _ = records.put_scenario("growth", DEARER, now=NOW)
    assert (saved.version, records.scenario_runs("growth")) == (1, [])


def test_many_that_save_at_once_each_get_a_version_of_their_own(records: Records, address: str) -> None:
    others = [Records(address) for _ in range(4)]

    def save(opened: Records, number: int) -> None:
        for step in range(5):
            opened.put_scenario("growth", {**PLAN, "name": f"{number}/{step}"}, now=NOW)

    threads = [threading.Thread(target=save, args=(opened, number)) for number, opened in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opened in others:
        opened.close()
    versions = records.scenario_versions("growth")
    assert [one.version for one in versions] == list(range(20, 0, -1))
    assert len({one.plan["name"] for one in versions}) == 20


def test_records_of_an_older_home_get_the_tables_and_the_migration_can_be_taken_back(address: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(records_schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")

    def moved(step: str, revision: str) -> None:
        engine = records_schema.open_engine(address)
        with engine.execution_options(writes=True).begin() as connection:
            config.attributes["connection"] = connection
            getattr(command, step)(config, revision)
        engine.dispose()

    moved("upgrade", "0005")
    for _ in range(2):
        opened = Records(address)
        assert opened.scenarios() == []
        opened.put_scenario("growth", PLAN, now=NOW)
        opened.close()
        moved("downgrade", "0005")
