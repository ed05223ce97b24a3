"""The records on SQLite and on a real PostgreSQL: one set of promises, two databases."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from forecast.adapters import records_schema
from forecast.adapters.records import IngestionRecord, Records, SnapshotRecord
from forecast.budgets.budget import Budget
from forecast.errors import ConfigError, InputError, NotFoundError
from forecast.spend.events import Effect, PlannedEvent
from forecast.spend.scope import Scope

NOW = datetime(2026, 12, 11, 6, 30, tzinfo=UTC)
BUDGET = Budget("ads-q1", Scope.parse("team=ads|search,stage!=dev"), date(2027, 1, 1), date(2027, 4, 1), 250_000.25, "USD", "billed", "Ads", "Özge")
EVENT = PlannedEvent(
    "sale",
    "Özge's sale",
    "campaign",
    date(2027, 3, 1),
    date(2027, 3, 15),
    Scope.parse("team=ads|search,ai_model!=gpt-large"),
    Effect("money", 50_000.25, -1.5, 90_000.0),
    date(2027, 1, 5),
    3,
    "USD",
)
SNAPSHOT = SnapshotRecord("a1" * 32, NOW, date(2026, 12, 10), "effective", "USD", 1000, 5_000_000_000, "combination", "3", "d" * 64)


def test_budget_comes_back_as_it_was_put(records: Records) -> None:
    records.put_budget(BUDGET, now=NOW)
    assert records.budget("ads-q1") == BUDGET
    assert records.budgets() == [BUDGET]


def test_budget_put_again_replaces_the_first(records: Records) -> None:
    records.put_budget(BUDGET, now=NOW)
    records.put_budget(replace(BUDGET, amount=1.0, currency=None), now=NOW)
    assert records.budgets() == [replace(BUDGET, amount=1.0, currency=None)]


def test_budgets_come_in_the_order_of_their_ids(records: Records) -> None:
    for name in ("c", "a", "b"):
        records.put_budget(replace(BUDGET, id=name), now=NOW)
    assert [budget.id for budget in records.budgets()] == ["a", "b", "c"]


def test_deleted_budget_is_gone_and_cannot_be_deleted_twice(records: Records) -> None:
    records.put_budget(BUDGET, now=NOW)
    records.delete_budget("ads-q1")
    assert records.budgets() == []
    with pytest.raises(NotFoundError, match="ads-q1"):
        records.delete_budget("ads-q1")


@pytest.mark.parametrize("budget_id", ["", "nobody", "a\x00b", "%", "'; DROP TABLE budgets; --", "x" * 10_000])
def test_budget_that_is_not_there_is_a_not_found_error(records: Records, budget_id: str) -> None:
    with pytest.raises(NotFoundError):
        records.budget(budget_id)


def test_planned_event_comes_back_as_it_was_put(records: Records) -> None:
    lasting = replace(EVENT, id="price", end=None, currency=None, effect=Effect("factor", 0.8))
    records.put_events([EVENT, lasting], now=NOW)
    assert records.event("sale") == EVENT
    assert records.event("price") == lasting
    records.put_events([replace(EVENT, ramp_days=0)], now=NOW)
    assert records.event("sale") == replace(EVENT, ramp_days=0)


def test_planned_events_come_by_start_and_are_removed_once(records: Records) -> None:
    records.put_events([EVENT, replace(EVENT, id="a"), replace(EVENT, id="z", start=date(2027, 2, 1))], now=NOW)
    assert [event.id for event in records.events()] == ["z", "a", "sale"]
    records.delete_event("a")
    assert [event.id for event in records.events()] == ["z", "sale"]
    for name in ("a", "", "a\x00b", "%"):
        with pytest.raises(NotFoundError):
            records.delete_event(name)
        with pytest.raises(NotFoundError):
            records.event(name)


def test_events_of_one_call_are_written_together_or_not_at_all(records: Records) -> None:
    broken = replace(EVENT, id="broken")
    object.__setattr__(broken, "name", None)
    with pytest.raises(sa.exc.IntegrityError):
        records.put_events([EVENT, broken], now=NOW)
    assert records.events() == []


def test_there_is_no_latest_snapshot_before_the_first(records: Records) -> None:
    assert records.latest_snapshot() is None
    assert records.snapshots() == []


def test_snapshot_comes_back_as_it_was_added(records: Records) -> None:
    records.add_snapshot(SNAPSHOT)
    assert records.latest_snapshot() == SNAPSHOT
    assert records.snapshot(SNAPSHOT.id[:8]) == SNAPSHOT


def test_newer_snapshot_becomes_current_for_its_cost_only(records: Records) -> None:
    billed = replace(SNAPSHOT, id="b2" * 32, cost="billed")
    newer = replace(SNAPSHOT, id="c3" * 32, created_at=NOW + timedelta(days=1), cutoff=date(2026, 12, 11))
    for snapshot in (SNAPSHOT, billed, newer):
        records.add_snapshot(snapshot)
    assert records.latest_snapshot("effective") == newer
    assert records.latest_snapshot("billed") == billed
    assert [(snapshot.id, snapshot.is_current) for snapshot in records.snapshots("effective")] == [(newer.id, True), (SNAPSHOT.id, False)]


def test_snapshot_that_is_not_to_serve_leaves_the_current_one(records: Records) -> None:
    records.add_snapshot(SNAPSHOT)
    records.add_snapshot(replace(SNAPSHOT, id="e5" * 32, created_at=NOW + timedelta(days=1), is_current=False))
    assert records.latest_snapshot() == SNAPSHOT
    assert len(records.snapshots()) == 2


def test_same_snapshot_added_twice_is_one(records: Records) -> None:
    records.add_snapshot(SNAPSHOT)
    records.add_snapshot(SNAPSHOT)
    assert records.snapshots() == [SNAPSHOT]


def test_snapshot_prefix_must_be_long_enough_and_unique(records: Records) -> None:
    records.add_snapshot(SNAPSHOT)
    records.add_snapshot(replace(SNAPSHOT, id="a1" * 31 + "ff"))
    with pytest.raises(InputError, match="too short"):
        records.snapshot("a1a1")
    with pytest.raises(NotFoundError, match="More than one"):
        records.snapshot("a1" * 8)
    with pytest.raises(NotFoundError, match="No snapshot"):
        records.snapshot("%%%%%%%%")


def test_there_is_no_champion_before_the_first_promotion(records: Records) -> None:
    records.register_model("structural", "1", now=NOW)
    with pytest.raises(NotFoundError, match="forecast train"):
        records.champion()


def test_last_promoted_model_is_the_champion_and_history_is_kept(records: Records) -> None:
    records.promote("structural", "1", now=NOW, run_id="run-1", reason="first")
    records.promote("combination", "1", now=NOW + timedelta(days=1), run_id="run-2", reason="better by 4 %")
    records.promote("structural", "1", now=NOW + timedelta(days=2), reason="rollback")
    champion = records.champion()
    assert (champion.name, champion.version, champion.run_id) == ("structural", "1", "run-1")
    assert champion.registered_at == NOW
    assert champion.promoted_at == NOW + timedelta(days=2)
    assert [(line.name, line.reason) for line in records.promotions()] == [
        ("structural", "rollback"),
        ("combination", "better by 4 %"),
        ("structural", "first"),
    ]
    assert sum(model.is_champion for model in records.models()) == 1


def test_registered_model_keeps_its_first_moment(records: Records) -> None:
    records.register_model("boosting", "2", now=NOW)
    again = records.register_model("boosting", "2", now=NOW + timedelta(days=3), run_id="late")
    assert (again.registered_at, again.run_id, again.promoted_at, again.is_champion) == (NOW, "late", None, False)
    with pytest.raises(NotFoundError):
        records.model("boosting", "3")


def test_ingestion_comes_back_as_it_was_logged_and_is_logged_once(records: Records) -> None:
    first = IngestionRecord("d-1", NOW, "bills/january.csv", 10, 0, 0, 1, {"quarantined": [{"reason": "no date", "rows": 1}]})
    second = IngestionRecord("d-2", NOW + timedelta(hours=1), "bills/february.csv", 5)
    for ingestion in (first, second, replace(first, accepted=11)):
        records.log_ingestion(ingestion)
    assert records.ingestions() == [second, replace(first, accepted=11)]
    assert records.ingestions(most=1) == [second]


def test_moments_come_back_in_utc_whatever_zone_they_had(records: Records) -> None:
    local = datetime(2026, 12, 11, 8, 30, tzinfo=timezone(timedelta(hours=2)))
    records.add_snapshot(replace(SNAPSHOT, created_at=local))
    records.promote("structural", "1", now=NOW.replace(tzinfo=None))
    found = records.latest_snapshot()
    assert found is not None
    assert found.created_at == local
    assert found.created_at.utcoffset() == timedelta(0)
    assert records.champion().promoted_at == NOW


def test_records_opened_again_keep_what_was_written(address: str) -> None:
    first = Records(address)
    first.put_budget(BUDGET, now=NOW)
    first.close()
    second = Records(address)
    assert second.budgets() == [BUDGET]
    second.close()


def test_many_writers_at_once_lose_nothing(records: Records, address: str) -> None:
    other = Records(address)
    failures: list[BaseException] = []

    def write(opened: Records, name: str) -> Callable[[], None]:
        def run() -> None:
            try:
                for number in range(20):
                    opened.put_budget(replace(BUDGET, id=f"{name}-{number}"), now=NOW)
                    opened.budgets()
            except BaseException as error:
                failures.append(error)

        return run

    threads = [threading.Thread(target=write(opened, f"writer{number}")) for number, opened in enumerate((records, other, records, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert not failures
    assert len(records.budgets()) == 80


def test_two_that_open_new_records_at_once_both_find_the_tables(address: str) -> None:
    command = [sys.executable, "-c", "import sys; from forecast.adapters.records import Records; print(Records(sys.argv[1]).budgets())", address]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(3)]
    assert [process.communicate(timeout=120)[0].strip() for process in running] == ["[]"] * 3


def test_migrations_make_the_tables_that_the_code_speaks_of(address: str) -> None:
    Records(address).close()
    engine = records_schema.open_engine(address)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), records_schema.METADATA)
    engine.dispose()
    assert differences == []


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(records_schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == records_schema.HEAD


def test_records_of_a_newer_program_are_refused(address: str) -> None:
    Records(address).close()
    engine = records_schema.open_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigError, match="another version"):
        Records(address)


@pytest.mark.parametrize(
    "wrong", ["", "nonsense", "mysql://u:secret@host/db", "postgresql://u:secret@127.0.0.1:1/db", "sqlite:////dev/null/x/records.db"]
)
def test_address_that_cannot_be_used_is_a_config_error_without_the_password(wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Records(wrong)
    assert "secret" not in str(caught.value)


def test_file_that_is_not_a_database_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_text("these are not the records that you are looking for" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        Records(f"sqlite:///{tmp_path / 'records.db'}")


def test_sqlite_keeps_a_write_ahead_log(tmp_path: Path) -> None:
    records = Records(f"sqlite:///{tmp_path / 'records.db'}")
    engine = records_schema.open_engine(f"sqlite:///{tmp_path / 'records.db'}")
    with engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
    engine.dispose()
    records.close()
