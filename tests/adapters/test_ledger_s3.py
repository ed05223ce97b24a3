"""The ledger in an object store, on a real S3-compatible server: the same answers as in a folder, safe writers, little to read, clear errors."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from forecast.adapters import ledger_commit, ledger_ingest
from forecast.adapters.ledger import Ledger
from forecast.adapters.ledger_table import SCHEMA, data_files
from forecast.adapters.object_store import check_reach, meaning_of
from forecast.config import Settings, load_settings
from forecast.errors import ConfigError
from tests.adapters.ledger_rows import cost_sum, focus_table, moment, row, write_csv, write_parquet
from tests.s3 import BUCKET, READER, WRITER, ObjectStore, running_object_store

ROWS = [row(ResourceId=f"r{number}", EffectiveCost=f"{number}.000000000001", BilledCost=f"{number}.5") for number in range(1, 11)]
FEBRUARY, MARCH, APRIL, MAY = (moment(f"2026-0{month}-01") for month in (2, 3, 4, 5))
HURRIED = {"max_retries": "1", "retry_timeout": "5s"}
"""For tests that lose the connection: the library would try for minutes."""


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with running_object_store() as running:
        yield running


@pytest.fixture
def address(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Address of a ledger of the test's own, which is the configured one."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FORECAST_LEDGER"))]:
        monkeypatch.delenv(name)
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    found = f"s3://{BUCKET}/{tmp_path.name}/{abs(hash(request.node.name))}/ledger"
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FORECAST_LEDGER", found)
    return found


def opened(settings: Settings, **options: str) -> Ledger:
    stored = settings.ledger_storage_options
    return Ledger(settings.ledger_address, storage_options=(stored or {}) | options, quarantine=settings.ledger_quarantine)


def total(ledger: Ledger) -> Decimal:
    return sum(ledger.charges(columns=["EffectiveCost"]).column("EffectiveCost").to_pylist(), Decimal(0))


def known_files(address: str) -> set[str]:
    return {file.path for file in data_files(DeltaTable(address))}


def stored_files(store: ObjectStore, address: str) -> set[str]:
    return {path for path in store.files(address) if path.endswith(".parquet")}


def ingest_in_process(address: str, path: str, quarantine: str) -> tuple[int, int]:
    report = Ledger(address, storage_options={"conditional_put": "etag"}, quarantine=quarantine, threads=1).ingest([path], received_at=FEBRUARY)
    return report.accepted, report.unchanged


# The same answers as in a folder


def deliver_all(ledger: Ledger, folder: Path) -> list[dict[str, Any]]:
    """Appended, restated by key, said again, withdrawn by replacement."""
    api = [row(x_charge_id=f"c{number}", EffectiveCost=f"{number}.25", ServiceName="Images", ProviderName="OpenAI") for number in range(6)]
    restated = [*api[:4], *(values | {"EffectiveCost": "99.5"} for values in api[4:])]
    export = [row(ResourceId=f"e{number}", ProviderName="AWS", ServiceName="GPU") for number in range(8)]
    broken = [*ROWS, row(ResourceId="broken", EffectiveCost="many")]
    write_csv(folder / "bill.csv", broken)
    write_csv(folder / "api.csv", api)
    write_csv(folder / "api-2.csv", restated)
    write_csv(folder / "export.csv", export)
    write_csv(folder / "export-2.csv", export[:5])
    write_parquet(folder / "large.parquet", focus_table(3000, days=90))
    reports = [
        ledger.ingest([folder / "bill.csv"], received_at=FEBRUARY),
        ledger.ingest([folder / "api.csv"], received_at=FEBRUARY, key="x_charge_id", source="api"),
        ledger.ingest([folder / "export.csv"], received_at=FEBRUARY, replace=True, source="export"),
        ledger.ingest([folder / "large.parquet"], received_at=MARCH, source="large"),
        ledger.ingest([folder / "api-2.csv"], received_at=MARCH, key="x_charge_id", source="api"),
        ledger.ingest([folder / "export-2.csv"], received_at=APRIL, replace=True, source="export"),
        ledger.ingest([folder / "bill.csv"], received_at=MAY),
    ]
    return [report.as_dict() for report in reports]


def sorted_charges(ledger: Ledger, **arguments: Any) -> pd.DataFrame:
    columns = [name for name in SCHEMA.names if name != "extra"]
    frame: pd.DataFrame = ledger.charges(columns=columns, **arguments).to_pandas()
    return frame.sort_values(["delivery_id", "file", "line"]).reset_index(drop=True)


def test_object_store_gives_the_answers_of_a_folder(address: str, tmp_path: Path) -> None:
    local, remote = Ledger(tmp_path / "local" / "ledger"), opened(load_settings())
    bills = tmp_path / "bills"
    assert deliver_all(remote, bills) == deliver_all(local, bills)
    assert remote.summary() == local.summary()
    assert (remote.digest(), remote.deliveries(), remote.currency) == (local.digest(), local.deliveries(), local.currency)
    assert remote.values("service") == local.values("service")
    pd.testing.assert_frame_equal(remote.developments(), local.developments())
    for as_of in (FEBRUARY, MARCH, APRIL, None):
        pd.testing.assert_frame_equal(sorted_charges(remote, as_of=as_of), sorted_charges(local, as_of=as_of))
        for scope, by in (("", ()), ("", ("provider", "service")), ("provider=AWS", ()), ("team=search,service!=Chat", ("stage",))):
            pd.testing.assert_frame_equal(remote.panel(scope, by, as_of=as_of), local.panel(scope, by, as_of=as_of))
    pd.testing.assert_frame_equal(remote.panel(start=MARCH, end=APRIL, freq="W"), local.panel(start=MARCH, end=APRIL, freq="W"))
    kept = [path.read_text().splitlines() for path in sorted((tmp_path / "home" / "quarantine").iterdir())]
    assert [len(lines) for lines in kept] == [1]


# Writers at once


def test_two_commits_of_one_version_cannot_both_succeed(address: str) -> None:
    options = load_settings().ledger_storage_options
    DeltaTable.create(address, schema=pa.schema([("number", pa.int64())]), storage_options=options)
    outcomes: list[bool] = []

    def commit(number: int, table: DeltaTable, ready: threading.Barrier) -> None:
        properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(f"writer-{number}", 1)])
        ready.wait()
        try:
            table.create_write_transaction([], "append", table.schema(), [], commit_properties=properties)
            outcomes.append(True)
        except CommitFailedError:
            outcomes.append(False)

    for version in range(1, 6):
        outcomes.clear()
        ready = threading.Barrier(4)
        writers = [threading.Thread(target=commit, args=(number, DeltaTable(address, storage_options=options), ready)) for number in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(outcomes) == [False, False, False, True]
        assert DeltaTable(address, storage_options=options).version() == version


def test_processes_with_overlapping_files_lose_and_double_nothing(address: str, store: ObjectStore, tmp_path: Path) -> None:
    table = focus_table(900, days=70)
    paths = [write_parquet(tmp_path / name, table.slice(start, 600)) for name, start in (("early.parquet", 0), ("late.parquet", 300))]
    costs = sum((round(Decimal(str(cost)), 12) for cost in table.column("EffectiveCost").to_pylist()), Decimal(0))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for number in range(4):
            place = f"{address}-{number}"
            counted = pool.starmap(ingest_in_process, [(place, str(path), str(tmp_path / "q")) for path in paths], chunksize=1)
            ledger = Ledger(place, quarantine=tmp_path / "q")
            assert sorted(counted) == [(300, 300), (600, 0)]
            assert ledger.summary()["rows"] == 900
            assert total(ledger) == costs
            assert stored_files(store, place) == known_files(place), "a try that failed left files"


def test_writer_whose_ledger_came_into_being_meanwhile_decides_again(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = write_csv(tmp_path / "ours.csv", ROWS[3:]), write_csv(tmp_path / "other.csv", ROWS[:6])
    commit = ledger_commit.commit
    raced: list[bool] = []

    def commit_after_another(*arguments: Any) -> None:
        if not raced:
            raced.append(True)
            opened(load_settings()).ingest([other], received_at=MARCH)
        commit(*arguments)

    monkeypatch.setattr(ledger_ingest, "commit", commit_after_another)
    report = opened(load_settings()).ingest([ours], received_at=MARCH)
    assert (report.accepted, report.unchanged) == (4, 3)
    assert total(opened(load_settings())) == cost_sum(ROWS)


# Failures


def test_lost_connection_while_files_are_sent_leaves_the_ledger_as_it_was(address: str, store: ObjectStore, tmp_path: Path) -> None:
    first, second = write_csv(tmp_path / "a.csv", ROWS[:6]), write_csv(tmp_path / "b.csv", ROWS)
    opened(load_settings()).ingest([first], received_at=FEBRUARY)
    with store.wire(r"PUT /\S+\.parquet") as wire:
        ledger = opened(load_settings(), endpoint=wire.endpoint, max_retries="0")
        with pytest.raises(ConfigError, match=r"ledger s3://\S+ cannot be used: nobody answers"):
            ledger.ingest([second], received_at=MARCH)
    assert total(opened(load_settings())) == cost_sum(ROWS[:6])
    assert stored_files(store, address) == known_files(address)
    assert opened(load_settings()).ingest([second], received_at=MARCH).accepted == 4
    assert total(opened(load_settings())) == cost_sum(ROWS)


def test_commit_whose_answer_was_lost_keeps_its_files(address: str, store: ObjectStore, tmp_path: Path) -> None:
    """The library asks again, hears that the version is there already, and cannot know that it is its own."""
    first, second = write_csv(tmp_path / "a.csv", ROWS[:6]), write_csv(tmp_path / "b.csv", ROWS)
    opened(load_settings()).ingest([first], received_at=FEBRUARY)
    with store.wire(r"PUT /\S+_delta_log/0+2\.json") as wire:
        report = opened(load_settings(), endpoint=wire.endpoint).ingest([second], received_at=MARCH)
    assert (report.accepted, report.unchanged) == (4, 6)
    assert total(opened(load_settings())) == cost_sum(ROWS)
    assert stored_files(store, address) == known_files(address)
    assert not opened(load_settings()).ingest([second], received_at=APRIL).changed


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "another-secret"}, BUCKET, r"does not know these keys.*SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, BUCKET, r"does not know these keys.*InvalidAccessKeyId"),
        ({"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1]}, "others", r"may not do that there.*AccessDenied"),
        ({}, "no-such-bucket", "there is no such bucket"),
        ({"AWS_ALLOW_HTTP": "false"}, BUCKET, "set allow_http = true"),
        ({"AWS_CONDITIONAL_PUT": "sometimes"}, BUCKET, ""),
    ],
    ids=["secret", "key", "denied", "bucket", "http", "fine"],
)
def test_store_that_refuses_is_told_in_one_sentence(
    changes: dict[str, str], place: str, words: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    options = load_settings().ledger_storage_options
    if not words:
        check_reach(address, options)  # what our own options say goes before the environment
        return
    with pytest.raises(ConfigError, match=words) as caught:
        check_reach(address.replace(BUCKET, place), options)
    message = str(caught.value)
    assert "\n" not in message
    assert "\x1b" not in message
    assert not any(secret in message for secret in ("another-secret", WRITER[1], READER[1]))
    assert caught.value.__suppress_context__


def test_reader_cannot_ingest_and_is_told(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write_csv(tmp_path / "a.csv", ROWS[:6]), write_csv(tmp_path / "b.csv", ROWS)
    for name, value in (("AWS_ACCESS_KEY_ID", READER[0]), ("AWS_SECRET_ACCESS_KEY", READER[1])):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="may not do that there"):
        opened(load_settings()).ingest([first], received_at=FEBRUARY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", WRITER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRITER[1])
    opened(load_settings()).ingest([first], received_at=FEBRUARY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    with pytest.raises(ConfigError, match="may not do that there"):
        opened(load_settings()).ingest([second], received_at=MARCH)
    assert total(opened(load_settings())) == cost_sum(ROWS[:6])


@pytest.mark.parametrize("request_lost", [r"GET /\S+\.parquet", r"GET /\S+0001\.json", r"GET /\S+list-type"], ids=["data", "log", "list"])
def test_store_that_goes_away_while_it_is_asked_is_told(request_lost: str, address: str, store: ObjectStore, tmp_path: Path) -> None:
    opened(load_settings()).ingest([write_csv(tmp_path / "a.csv", ROWS)], received_at=FEBRUARY)
    with store.wire(request_lost) as wire:
        with pytest.raises(ConfigError, match="nobody answers"):
            opened(load_settings(), endpoint=wire.endpoint, max_retries="0").panel()
        assert opened(load_settings(), endpoint=wire.endpoint).panel()["y"].sum() == pytest.approx(float(cost_sum(ROWS)))


def test_endpoint_without_a_server_is_told(address: str, store: ObjectStore) -> None:
    with store.wire() as wire:
        pass
    with pytest.raises(ConfigError, match="nobody answers at its endpoint"):
        check_reach(address, (load_settings().ledger_storage_options or {}) | HURRIED | {"endpoint": wire.endpoint})


def test_waiting_for_the_store_leaves_other_threads_alone(address: str) -> None:
    """`DeltaTable.is_deltatable` would hold Python's lock until the time is out."""
    silent = socket.create_server(("127.0.0.1", 0))
    ticks: list[int] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.01):
            ticks.append(1)

    ticking = threading.Thread(target=tick)
    ticking.start()
    options = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout": "1s", "max_retries": "0"}
    try:
        with pytest.raises(ConfigError, match="nobody answers"):
            check_reach(address, options)
    finally:
        done.set()
        ticking.join()
        silent.close()
    assert len(ticks) > 20


def test_answers_of_the_server_stay_out_of_messages() -> None:
    place = "https://account.example/container/ledger"
    azure = f"Generic MicrosoftAzure error\n \x1b[31m↳\x1b[0m Error performing GET {place}?sv=1&sig=SIGNED in 1s - odd <a>SECRET</a>"
    assert meaning_of(azure) == f"Generic MicrosoftAzure error Error performing GET {place} in 1s - odd"


# Little to read


def test_readers_get_only_what_they_ask_for(address: str, store: ObjectStore, tmp_path: Path) -> None:
    ledger = opened(load_settings())
    ledger.ingest([write_parquet(tmp_path / "half-a-year.parquet", focus_table(40_000, days=181))], received_at=moment("2026-08-01"))

    def cost_of(**arguments: Any) -> int:
        before = store.sent()
        ledger.panel(**arguments)
        return store.sent() - before

    before = store.sent()
    ledger.charges()
    everything = store.sent() - before
    assert cost_of() < everything / 3, "columns that nobody asked for were read"
    assert cost_of(start=MARCH, end=APRIL) < everything / 10, "files of other months were read"


# On the command line


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forecast.cli", *arguments]
    return subprocess.run(command, env=dict(os.environ) | environment, capture_output=True, text=True, timeout=120, check=False)


def test_command_line_works_by_configuration_alone(address: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "forecast.toml").write_text(f'ledger = "{address}"\n\n[ledger_options]\nendpoint = "{store.endpoint}"\nallow_http = true\n')
    for name in ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "FORECAST_LEDGER"):
        monkeypatch.delenv(name)
    nothing = run("panel")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert f"There is no spend in {address} yet" in nothing.stderr
    bill = write_csv(tmp_path / "bill.csv", [*ROWS, row(ResourceId="broken", EffectiveCost="many")])
    taken = run("ingest", str(bill), "--as-received", "2026-02-01", "--json")
    assert (json.loads(taken.stdout)["accepted"], json.loads(taken.stdout)["quarantined"]) == (10, 1), taken.stderr
    assert len(list((home / "quarantine").iterdir())) == 1
    shown = run("panel", "--json")
    assert [entry["y"] for entry in json.loads(shown.stdout)["rows"]] == [pytest.approx(float(cost_sum(ROWS)))], shown.stderr
    told = run("doctor", "--json")
    assert json.loads(told.stdout)["ledger"]["rows"] == 10
    assert WRITER[1] not in told.stdout
    assert not (home / "ledger").exists()
    refused = run("panel", AWS_SECRET_ACCESS_KEY="another-secret")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith(f"forecast: error: The ledger {address} cannot be used: the store does not know these keys")
    assert "another-secret" not in refused.stderr
    traced = run("panel", AWS_SECRET_ACCESS_KEY="another-secret", FORECAST_TRACEBACK="1")
    assert "another-secret" not in traced.stderr
    assert "<Error>" not in traced.stderr
