"""Bills that come by themselves: `forecast ingest --watch` and `forecast pull`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forecast.commands.console import note, working
from forecast.commands.home import Home
from forecast.commands.ingest import ingest_into
from forecast.errors import InputError

if TYPE_CHECKING:
    from forecast.adapters.formats.base import BillFormat
    from forecast.adapters.sources.base import Pulled
    from forecast.adapters.sources.loop import Outcome


def register(app: typer.Typer) -> None:
    app.command("pull", epilog="Example: forecast pull openai --every-hours 6")(pull)


def watch_folder(home: Home, folder: Path, *, format: str, source: str | None, formats: Sequence[BillFormat]) -> None:
    """Take in what comes into a folder until the program is stopped; what was taken in once is remembered in the home."""
    from forecast.adapters.sources.folder import FolderSource
    from forecast.adapters.sources.loop import watch as watch_source
    from forecast.adapters.sources.memory import STATE_FILE, Memory

    note(f"Watching {folder}; Ctrl-C ends it")
    stop = Event()
    with stopping(stop):
        taken = watch_source(
            FolderSource(folder, format=format, source=source), _taker(home, formats), memory=Memory(home.folder / STATE_FILE), stop=stop, tell=_tell
        )
    note(f"{taken:,} deliveries were taken in")


def pull(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="openai or anthropic; the key comes from OPENAI_ADMIN_KEY or ANTHROPIC_ADMIN_KEY.")],
    since: Annotated[str | None, typer.Option(metavar="DATE", help="First day; default: ten days before the last pull, ninety at first.")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="First day that is not asked for; default: after today.")] = None,
    every_hours: Annotated[float | None, typer.Option(min=0.1, metavar="HOURS", help="Stay, and ask again every so often.")] = None,
) -> None:
    """Ask a vendor's API for its costs and take them in. Bills are restated for days, so the last days are asked for each time."""
    from datetime import timedelta

    from forecast.adapters.formats.registry import shipped_formats
    from forecast.adapters.sources.loop import pull_once, pull_repeatedly
    from forecast.adapters.sources.memory import STATE_FILE, Memory
    from forecast.adapters.sources.registry import source_named
    from forecast.spend.periods import parse_day
    from forecast.workflows.pulling import PullSchedule

    home = Home()
    asked = source_named(source)
    first, last = (None if text is None else parse_day(text, name) for text, name in ((since, "since"), (until, "until")))
    if every_hours is not None and (first is not None or last is not None):
        raise InputError("--every-hours asks for the last days each time", field="every-hours", got=every_hours, allowed="no --since and --until")
    home.make()
    memory, take = Memory(home.folder / STATE_FILE), _taker(home, shipped_formats())
    if every_hours is not None:
        stop = Event()
        with stopping(stop):
            pull_repeatedly(asked, take, due=PullSchedule(timedelta(hours=every_hours)).due, memory=memory, stop=stop, tell=_tell)
        return
    now = datetime.now(UTC)
    days = PullSchedule(timedelta(microseconds=1)).due(memory.last_pull(asked.name), now)
    begin, end = (first or days[0], last or days[1]) if days else (first or now.date(), last or now.date() + timedelta(days=1))
    outcomes = pull_once(asked, take, since=begin, until=end, memory=memory)
    for outcome in outcomes:
        _tell(outcome)
    if not outcomes:
        note(f"{asked.name} has no costs from {begin} to {end}")
    if failed := next((outcome.error for outcome in outcomes if outcome.error is not None), None):
        raise failed
    if first is None and last is None:
        memory.remember_pull(asked.name, now)


def _taker(home: Home, formats: Sequence[BillFormat]) -> Callable[[Pulled], dict[str, Any]]:
    """Takes what a source brought into the ledger and the log."""

    def take(pulled: Pulled) -> dict[str, Any]:
        with working("Ingesting") as progress:
            return ingest_into(
                home,
                pulled.paths,
                received_at=pulled.received_at or datetime.now(UTC),
                format=pulled.format,
                key=",".join(pulled.key) or None,
                replace=pulled.replace,
                covers=pulled.covers,
                source=pulled.source,
                formats=formats,
                progress=progress,
            )

    return take


def _tell(outcome: Outcome) -> None:
    report = outcome.report
    counts = "" if report is None else f": {report['accepted']:,} accepted, {report['unchanged']:,} unchanged, {report['quarantined']:,} quarantined"
    note(f"{outcome.sentence}{counts}")


@contextmanager
def stopping(stop: Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`, so that a delivery that is being taken in is finished first."""
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda _signal, _frame: stop.set()) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
