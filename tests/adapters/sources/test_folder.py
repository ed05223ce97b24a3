"""A watched folder: nothing half written, every content once, several parts together, and all of it after a restart too."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.sources.base import Pulled, SourceError
from forecast.adapters.sources.folder import FolderSource
from forecast.adapters.sources.loop import Outcome, pull_once, watch
from forecast.adapters.sources.memory import Memory
from forecast.errors import DeliveryError
from tests.adapters.ledger_rows import row, write_csv

TODAY = dt.date(2026, 2, 1)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def names(source: FolderSource, tmp_path: Path) -> list[list[str]]:
    return [[path.name for path in pulled.paths] for pulled in source.pull(TODAY, TODAY, tmp_path)]


def test_a_file_is_handed_over_when_it_was_the_same_for_the_settling_time(inbox: Path, tmp_path: Path, clock: Clock) -> None:
    source = FolderSource(inbox, 10, clock)
    file = write_csv(inbox / "a.csv", [row()])
    assert names(source, tmp_path) == []
    assert source.is_unsettled
    clock.seconds += 6
    with file.open("a", encoding="utf-8") as stream:
        stream.write("\n")
    assert names(source, tmp_path) == []
    clock.seconds += 6
    assert names(source, tmp_path) == []
    clock.seconds += 4
    assert names(source, tmp_path) == [["a.csv"]]
    assert not source.is_unsettled
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))
    assert names(source, tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["a.csv.part", "a.csv.tmp", "a.csv.crdownload", "a.csv~", ".a.csv", "_log.json", "manifest.json", "readme.txt", "a.xlsx", ".hidden/a.csv"],
)
def test_what_is_in_the_making_or_no_bill_is_not_looked_at(inbox: Path, tmp_path: Path, clock: Clock, name: str) -> None:
    write_csv(inbox / name, [row()])
    source = FolderSource(inbox, 0, clock)
    assert names(source, tmp_path) == []
    assert not source.is_unsettled


def test_a_folder_inside_is_one_delivery_and_waits_for_its_last_part(inbox: Path, tmp_path: Path, clock: Clock) -> None:
    source = FolderSource(inbox, 10, clock)
    write_csv(inbox / "2026-01" / "part-1.csv", [row()])
    write_csv(inbox / "2026-01" / "deep" / "part-2.csv", [row(BilledCost="2")])
    waiting = write_csv(inbox / "2026-01" / "part-3.csv.part", [row(BilledCost="3")])
    names(source, tmp_path)
    clock.seconds += 60
    assert names(source, tmp_path) == []
    waiting.rename(inbox / "2026-01" / "part-3.csv")
    names(source, tmp_path)
    clock.seconds += 10
    assert names(source, tmp_path) == [["part-2.csv", "part-1.csv", "part-3.csv"]]


def test_a_folder_that_is_not_there_is_an_error_that_passes(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file or directory"):
        FolderSource(tmp_path / "none", 0, clock).pull(TODAY, TODAY, tmp_path)
    (outcome,) = pull_once(FolderSource(tmp_path / "none", 0, clock), lambda pulled: None, since=TODAY, until=TODAY)
    assert isinstance(outcome.error, SourceError)
    assert outcome.sentence.startswith("folder not taken in: The watched folder")


def test_a_content_is_taken_in_once_whatever_its_name_and_after_a_restart_too(inbox: Path, tmp_path: Path, clock: Clock) -> None:
    state = tmp_path / "home" / "sources.ndjson"
    taken: list[str] = []

    def look() -> int:
        return len(pull_once(FolderSource(inbox, 0, clock), lambda pulled: taken.append(pulled.name), since=TODAY, until=TODAY, memory=Memory(state)))

    first = write_csv(inbox / "a.csv", [row()])
    assert [look(), look()] == [1, 0]
    (inbox / "copy.csv").write_bytes(first.read_bytes())
    os.utime(first)
    assert look() == 0
    write_csv(first, [row(BilledCost="11")])
    assert look() == 1
    assert taken == ["a.csv", "a.csv"]


def test_a_refused_file_is_told_once_and_tried_again_when_it_changed(inbox: Path, tmp_path: Path, clock: Clock) -> None:
    memory, refused = Memory(tmp_path / "state"), set[str]()
    source = FolderSource(inbox, 0, clock)

    def ingest(pulled: Pulled) -> str:
        if "bad" in pulled.paths[0].read_text(encoding="utf-8"):
            raise DeliveryError(f"{pulled.name} is bad")
        return "good"

    def look() -> list[str]:
        return [outcome.sentence for outcome in pull_once(source, ingest, since=TODAY, until=TODAY, memory=memory, refused=refused)]

    (inbox / "a.csv").write_text("bad", encoding="utf-8")
    (inbox / "b.csv").write_text("good", encoding="utf-8")
    assert look() == ["folder: a.csv not taken in: a.csv is bad", "folder: b.csv taken in"]
    assert look() == []
    (inbox / "a.csv").write_text("mended", encoding="utf-8")
    assert look() == ["folder: a.csv taken in"]


def test_a_fault_of_the_disk_is_tried_again_and_a_fault_of_the_program_goes_up(inbox: Path, tmp_path: Path, clock: Clock) -> None:
    write_csv(inbox / "a.csv", [row()])
    memory, source = Memory(tmp_path / "state"), FolderSource(inbox, 0, clock)
    faults: list[Exception] = [OSError(5, "Input/output error"), OSError(5, "Input/output error")]

    def ingest(pulled: Pulled) -> None:
        if faults:
            raise faults.pop()

    looks = [pull_once(source, ingest, since=TODAY, until=TODAY, memory=memory)[0] for _ in range(3)]
    assert [outcome.error is None for outcome in looks] == [False, False, True]
    write_csv(inbox / "b.csv", [row()])
    faults.append(ZeroDivisionError())
    write_csv(inbox / "b.csv", [row(BilledCost="3")])
    with pytest.raises(ZeroDivisionError):
        pull_once(source, ingest, since=TODAY, until=TODAY, memory=memory)


def test_the_memory_stands_a_line_that_was_cut_off_and_other_writers(tmp_path: Path) -> None:
    path = tmp_path / "state"
    memory = Memory(path)
    assert not memory.knows("a")
    memory.remember("a", "a.csv")
    with path.open("ab") as file:
        file.write(b'{"digest": "b')
    other = Memory(path)
    assert (other.knows("a"), other.knows("b")) == (True, False)
    other.remember("c", "ü.csv")
    other.remember_pull("openai", dt.datetime(2026, 1, 5, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    assert (memory.knows("c"), memory.last_pull("openai"), memory.last_pull("x")) == (True, dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC), None)
    with pytest.raises(ValueError, match="zone"):
        memory.remember_pull("openai", dt.datetime(2026, 1, 5))


def test_many_processes_remember_at_once(tmp_path: Path) -> None:
    path = tmp_path / "state"
    script = (
        "import sys; from pathlib import Path; from forecast.adapters.sources.memory import Memory\n"
        f"memory = Memory(Path({str(path)!r}))\n"
        "for number in range(25): memory.remember(f'{sys.argv[1]}-{number}', 'x')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    memory = Memory(path)
    assert all(memory.knows(f"{process}-{number}") for process in range(3) for number in range(25))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


@pytest.mark.parametrize("events", [True, False], ids=["events", "polling"])
def test_a_watched_folder_feeds_the_ledger_until_it_is_told_to_stop(inbox: Path, tmp_path: Path, events: bool) -> None:
    ledger, memory, stop = Ledger(tmp_path / "ledger"), Memory(tmp_path / "sources.ndjson"), Event()
    outcomes: list[Outcome] = []
    counted: list[int] = []

    def ingest(pulled: Pulled) -> object:
        return ledger.ingest(pulled.paths, received_at=dt.datetime.now(dt.UTC), format=pulled.format, replace=pulled.replace, source=pulled.source)

    def run() -> None:
        source = FolderSource(inbox, 0.3)
        counted.append(watch(source, ingest, memory=memory, stop=stop, tell=outcomes.append, poll_seconds=30 if events else 0.2, events=events))

    write_csv(inbox / "before.csv", [row()])
    thread = Thread(target=run)
    thread.start()
    try:
        wait_for(lambda: len(outcomes) == 1)
        slow = inbox / "slow.csv"
        lines = write_csv(tmp_path / "whole.csv", [row(BilledCost=str(number)) for number in range(6)]).read_text(encoding="utf-8").splitlines(True)
        with slow.open("w", encoding="utf-8") as stream:
            for text in lines:
                stream.write(text)
                stream.flush()
                time.sleep(0.1)
        (inbox / "broken.csv").write_text("nothing,that\nwe,know\n", encoding="utf-8")
        wait_for(lambda: len(outcomes) == 3)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    taken = {outcome.pulled.name: outcome for outcome in outcomes if outcome.pulled is not None}
    assert taken["before.csv"].report.accepted == 1
    assert taken["slow.csv"].report.accepted == 6
    assert isinstance(taken["broken.csv"].error, DeliveryError | ValueError)
    assert counted == [2]


def test_watching_works_by_polling_where_the_folder_comes_later(tmp_path: Path) -> None:
    stop, outcomes = Event(), list[Outcome]()
    inbox = tmp_path / "later"

    def run() -> None:
        watch(FolderSource(inbox, 0.1), lambda pulled: "in", memory=Memory(tmp_path / "state"), stop=stop, tell=outcomes.append, poll_seconds=0.1)

    thread = Thread(target=run)
    thread.start()
    try:
        wait_for(lambda: len(outcomes) == 1)
        write_csv(inbox / "a.csv", [row()])
        wait_for(lambda: len(outcomes) == 2)
    finally:
        stop.set()
        thread.join(20)
    assert isinstance(outcomes[0].error, SourceError)
    assert [outcome.report for outcome in outcomes[1:]] == ["in"]


def test_a_source_is_added_in_one_file(tmp_path: Path) -> None:
    module = tmp_path / "acme.py"
    module.write_text(
        """
from forecast.adapters.sources.base import Pulled

class Acme:
    name = "acme"

    def pull(self, since, until, folder):
        path = folder / f"acme-{since}.csv"
        path.write_text("ProviderName,ServiceName,ChargeCategory,BilledCost,EffectiveCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,"
                        "BillingPeriodStart,x_id\\n"
                        f"Acme,Tokens,Usage,1.25,1.25,USD,{since}T00:00:00Z,{until}T00:00:00Z,2026-01-01T00:00:00Z,1\\n")
        return [Pulled((path,), key=("x_id",), source="acme")]
""",
        encoding="utf-8",
    )
    sys.path.insert(0, str(tmp_path))
    try:
        from acme import Acme  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    from forecast.adapters.sources.registry import SOURCES, source_named

    source = source_named("acme", {}, {**SOURCES, "acme": lambda environment: Acme()})
    ledger = Ledger(tmp_path / "ledger")

    def ingest(pulled: Pulled) -> object:
        return ledger.ingest(pulled.paths, received_at=dt.datetime(2026, 2, 1), key=pulled.key, source=pulled.source)

    outcomes: Sequence[Outcome] = pull_once(source, ingest, since=dt.date(2026, 1, 5), until=dt.date(2026, 1, 6), scratch=tmp_path)
    assert [(outcome.error, outcome.report.accepted) for outcome in outcomes] == [(None, 1)]
