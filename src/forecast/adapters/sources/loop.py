"""Takes in what sources bring: once, whenever a folder changes, or again and again by a schedule.

`ingest` is given: it takes a `Pulled` into the ledger and gives back its report. Here is decided only what it is called for, and what an error
means. A delivery that the ledger refuses (an `InputError`) is not offered again before its content changes or the program starts anew,
and does not keep others waiting. What cannot be had now (`SourceError`, a file server that fails) is tried again later.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from forecast.adapters.sources.base import Pulled, SourceError, SpendSource
from forecast.adapters.sources.folder import FolderSource
from forecast.adapters.sources.memory import Memory
from forecast.errors import InputError

Ingest = Callable[[Pulled], Any]
"""Takes a delivery in; what it gives back is `Outcome.report`."""

Days = tuple[dt.date, dt.date]
"""First day, and the first that is no longer asked for."""

RETRY_SECONDS = 300.0

_ALL_DAYS: Days = (dt.date.min, dt.date.max)


@dataclass(frozen=True)
class Outcome:
    """What became of one delivery. pulled : None where the source itself could not be asked. error : why it was not taken in."""

    source: str
    pulled: Pulled | None
    report: Any = None
    error: Exception | None = None

    @property
    def sentence(self) -> str:
        what = self.source if self.pulled is None else f"{self.source}: {self.pulled.name}"
        return f"{what} taken in" if self.error is None else f"{what} not taken in: {self.error}"


def pull_once(
    source: SpendSource,
    ingest: Ingest,
    *,
    since: dt.date,
    until: dt.date,
    memory: Memory | None = None,
    scratch: Path | None = None,
    refused: set[str] | None = None,
) -> list[Outcome]:
    """Ask a source for the days from `since` up to, not including, `until`, and take in what it brings, in its order.

    memory : of contents that are taken once (`Pulled.digest`); without one they are taken each time. scratch : folder for files that are fetched;
    they are removed again. refused : digests that the ledger refused before; new ones are added. An error of the source, or of one delivery,
    is an outcome; other errors of `ingest` (of the ledger, of the program) go up.
    """
    outcomes: list[Outcome] = []
    turned_away = set() if refused is None else refused
    with tempfile.TemporaryDirectory(prefix="pulled-", dir=scratch) as folder:
        try:
            brought = source.pull(since, until, Path(folder))
        except SourceError as error:
            return [Outcome(source.name, None, error=error)]
        for pulled in brought:
            if pulled.digest and (pulled.digest in turned_away or (memory is not None and memory.knows(pulled.digest))):
                continue
            try:
                report = ingest(pulled)
            except (InputError, OSError) as error:
                if pulled.digest and isinstance(error, InputError):
                    turned_away.add(pulled.digest)
                outcomes.append(Outcome(source.name, pulled, error=error))
                continue
            if pulled.digest and memory is not None:
                memory.remember(pulled.digest, pulled.name)
            outcomes.append(Outcome(source.name, pulled, report))
    return outcomes


def watch(
    source: FolderSource,
    ingest: Ingest,
    *,
    memory: Memory,
    stop: Event,
    tell: Callable[[Outcome], None] = lambda outcome: None,
    poll_seconds: float = 30.0,
    events: bool = True,
) -> int:
    """Take in what comes into a folder until `stop` is set; gives back how many deliveries were taken in.

    The source says how long a delivery must be at rest, and by which clock. Changes wake the loop by the system's events; where there are none
    (network folders, or events=False) it looks every `poll_seconds`. tell : is given every outcome; the same trouble is told once.
    """
    refused: set[str] = set()
    told: set[str] = set()
    taken = 0
    for _ in _ticks(source, stop, poll_seconds, events):
        outcomes = pull_once(source, ingest, since=_ALL_DAYS[0], until=_ALL_DAYS[1], memory=memory, refused=refused)
        for outcome in outcomes:
            taken += outcome.error is None
            if outcome.error is None or outcome.sentence not in told:
                tell(outcome)
        told = {outcome.sentence for outcome in outcomes if outcome.error is not None}
    return taken


def pull_repeatedly(
    source: SpendSource,
    ingest: Ingest,
    *,
    due: Callable[[dt.datetime | None, dt.datetime], Days | None],
    memory: Memory,
    stop: Event,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    tell: Callable[[Outcome], None] = lambda outcome: None,
    check_seconds: float = 60.0,
    retry_seconds: float = RETRY_SECONDS,
    scratch: Path | None = None,
) -> int:
    """Ask a source whenever it is due, until `stop` is set; gives back how many deliveries were taken in.

    due : from the last pull that went well (None: never) and now, the days to ask for, or None where it is not time yet
    (`workflows.pulling.PullSchedule.due`). The memory keeps the last pull, so that a restart goes on where the program was. A pull in which
    anything failed does not count, and is made again after `retry_seconds`.
    """
    taken = 0
    while not stop.is_set():
        moment = now()
        days = due(memory.last_pull(source.name), moment)
        failed = False
        if days is not None:
            outcomes = pull_once(source, ingest, since=days[0], until=days[1], memory=memory, scratch=scratch)
            for outcome in outcomes:
                tell(outcome)
            failed = any(outcome.error is not None for outcome in outcomes)
            taken += sum(outcome.error is None for outcome in outcomes)
            if not failed:
                memory.remember_pull(source.name, moment)
        stop.wait(retry_seconds if failed else check_seconds)
    return taken


def _ticks(source: FolderSource, stop: Event, poll_seconds: float, events: bool) -> Iterator[None]:
    """When to look again: at once, at a change, after the settling time of something that changed, every `poll_seconds` else."""
    seconds = max(min(source.settle_seconds, poll_seconds), 0.05)
    changes = _changes(source.path, stop, seconds) if events else None
    while not stop.is_set():
        yield
        next_look = time.monotonic() + poll_seconds
        changed = False
        while not (stop.is_set() or changed or time.monotonic() >= next_look):
            told = None if changes is None else next(changes, None)
            if told is None:
                # The system tells nothing, or no longer.
                changes = None
                stop.wait(seconds)
            changed = bool(told) or source.is_unsettled


def _changes(path: Path, stop: Event, seconds: float) -> Iterator[bool] | None:
    """Whether something changed, after `seconds` at the latest each time; None where the system tells no changes."""
    with suppress(ImportError):
        import watchfiles

        ticks = watchfiles.watch(
            path, watch_filter=None, stop_event=stop, rust_timeout=int(seconds * 1000), yield_on_timeout=True, debounce=200, raise_interrupt=True
        )
        return _until_it_fails(bool(changes) for changes in ticks)
    return None


def _until_it_fails(ticks: Iterator[bool]) -> Iterator[bool]:
    """The system may run out of watches, or the folder may go away: then it is looked at every so often."""
    with suppress(OSError, RuntimeError):
        yield from ticks
