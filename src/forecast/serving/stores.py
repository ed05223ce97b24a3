"""The open stores behind the service: which snapshot answers, and the threads that compute.

A new snapshot is found without a restart: the records are asked at most once a second. Slow work never runs on the event
loop: answers have a few threads, deliveries one of their own, so that a large bill does not hold up a question.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TypeVar

from forecast.adapters.formats.base import BillFormat
from forecast.adapters.formats.pricing import load_prices
from forecast.adapters.formats.registry import shipped_formats
from forecast.adapters.ledger import Ledger
from forecast.adapters.object_store import reaching
from forecast.adapters.rates import find_rates
from forecast.adapters.records import Records, SnapshotRecord
from forecast.adapters.rules import load_rules
from forecast.adapters.snapshot_index import check_as_of, newest_as_of
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import Settings
from forecast.errors import ConfigError, ForecastError, InputError, NotFoundError
from forecast.serving.problems import HttpProblemError
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows import known_costs
from forecast.workflows.dated_money import dated_money

T = TypeVar("T")
LOGGER = logging.getLogger("forecast.serving")

CHECK_SECONDS = 1.0
"""How long the current snapshot is taken for current before the records are asked again."""
OPEN_SNAPSHOTS = 4
"""Snapshots that stay mapped; each maps its files and holds little memory of its own."""
ANSWER_THREADS = 2
"""One slow answer leaves room for another; more threads would only wait for each other, as the interpreter runs one at a time."""
MOST_CACHED_ANSWERS = 1024
MOST_CACHED_BYTES = 32 * 1024 * 1024


class AnswerCache:
    """The last answers as bytes, by (question, snapshot id, canonical request); bounded in number and in bytes.

    A snapshot never changes and an answer is a function of snapshot and request, so an entry cannot go stale.
    """

    def __init__(self, most: int = MOST_CACHED_ANSWERS, most_bytes: int = MOST_CACHED_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0
        self._answers: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()

    def get(self, key: tuple[str, str, str]) -> bytes | None:
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, key: tuple[str, str, str], answer: bytes) -> None:
        size = _size(key, answer)
        if not self._most or size > self._most_bytes // 8:
            return
        if (old := self._answers.pop(key, None)) is not None:
            self._bytes -= _size(key, old)
        self._answers[key] = answer
        self._bytes += size
        while len(self._answers) > self._most or self._bytes > self._most_bytes:
            oldest, dropped = self._answers.popitem(last=False)
            self._bytes -= _size(oldest, dropped)

    def __len__(self) -> int:
        return len(self._answers)


def _prepare(snapshot: Snapshot) -> None:
    """Compute what every answer reads here, on the opening thread, and not within the first answer."""
    snapshot.hierarchy.node_of(Scope())
    snapshot.expected_node_history.sum()
    known_costs.prepare(snapshot)
    dated_money(snapshot)


def _size(key: tuple[str, str, str], answer: bytes) -> int:
    return sum(map(len, key)) + len(answer)


class Stores:
    """Records, ledger and snapshots of one home. Opened once per worker; `close` gives everything back."""

    def __init__(self, settings: Settings, *, cached_answers: int = MOST_CACHED_ANSWERS, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.records = Records(settings.records_address)
        self.snapshots = SnapshotStore(settings.snapshots_folder)
        self.answers = AnswerCache(cached_answers)
        self._ledger: Ledger | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Snapshot] = OrderedDict()
        self._current: dict[str, tuple[float, Snapshot]] = {}
        self._answering = ThreadPoolExecutor(ANSWER_THREADS, thread_name_prefix="answer")
        self._opening = ThreadPoolExecutor(1, thread_name_prefix="open")
        self._ingesting = ThreadPoolExecutor(1, thread_name_prefix="ingest")

    def close(self) -> None:
        self._answering.shutdown()
        self._opening.shutdown()
        self._ingesting.shutdown()
        self.records.close()

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, computed on one of the answering threads."""
        return await asyncio.get_running_loop().run_in_executor(self._answering, function)

    async def run_ingest(self, function: Callable[[Ledger], T]) -> T:
        """The function's result on the one thread that writes to the ledger: deliveries come one after the other."""

        def ingest() -> T:
            with reaching(self.settings.ledger_address):
                return function(self._opened_ledger())

        return await asyncio.get_running_loop().run_in_executor(self._ingesting, ingest)

    def formats(self) -> tuple[BillFormat, ...]:
        """The formats of bills, priced by the table of the settings. Called where deliveries are: reading a table takes a moment."""
        if self.settings.prices is None:
            return shipped_formats()
        try:
            return shipped_formats(load_prices(self.settings.prices))
        except InputError as error:
            # The operator's table, not the caller's delivery.
            raise ConfigError(f"Setting prices cannot be used: {error}") from error

    def _opened_ledger(self) -> Ledger:
        if self._ledger is None:
            settings = self.settings
            try:
                rules, rates = load_rules(settings.rules), find_rates(settings.rates, settings.home)
            except InputError as error:
                # The operator's files, not the caller's delivery.
                raise ConfigError(f"A file of the settings cannot be used: {error}") from error
            self._ledger = Ledger(
                settings.ledger_address,
                storage_options=settings.ledger_storage_options,
                quarantine=settings.ledger_quarantine,
                rules=rules,
                rates=rates,
                currency=settings.currency,
            )
        return self._ledger

    async def snapshot(self, cost: str = "effective", as_of: date | None = None, snapshot_id: str | None = None) -> Snapshot:
        """The snapshot that answers: by id, or the newest whose cutoff is not after `as_of`, or the current one of this cost.

        NotFoundError says what there is; HttpProblemError 503 before the first training.
        """
        if as_of is None and snapshot_id is None:
            known = self._current.get(cost)
            # While one request asks the records (and maps a new snapshot, which takes a while), the others go on with what is known.
            if known is not None and (self._lock.locked() or self._clock() - known[0] < CHECK_SECONDS):
                return known[1]
            return await self._run_opening(lambda: self.current(cost))
        return await self._run_opening(lambda: self._chosen(cost, as_of, snapshot_id))

    async def _run_opening(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._opening, function)

    def current(self, cost: str = "effective") -> Snapshot:
        """The current snapshot of a cost (blocking); one that was trained a moment ago replaces the one before."""
        with self._lock:
            known = self._current.get(cost)
            if known is not None and self._clock() - known[0] < CHECK_SECONDS:
                return known[1]
            record = self.records.latest_snapshot(cost)
            if record is None:
                raise self._nothing_of(cost)
            try:
                snapshot = self._opened(record.id)
            except (ForecastError, OSError) as error:
                if known is None:
                    raise
                LOGGER.error("Snapshot %s cannot be opened, %s goes on answering", record.id, known[1].id, exc_info=error)
                snapshot = known[1]
            self._current[cost] = (self._clock(), snapshot)
            return snapshot

    def is_ready(self) -> bool:
        """Whether there is a snapshot to answer from."""
        try:
            return bool(self._current) or bool(self.records.snapshots())
        except Exception:
            LOGGER.exception("The records cannot be read")
            return False

    def _chosen(self, cost: str, as_of: date | None, snapshot_id: str | None) -> Snapshot:
        record = self._record_as_of(cost, as_of) if snapshot_id is None else check_as_of(self.records.snapshot(snapshot_id), as_of)
        with self._lock:
            return self._opened(record.id)

    def _record_as_of(self, cost: str, as_of: date | None) -> SnapshotRecord:
        records = self.records.snapshots(cost)
        if not records:
            raise self._nothing_of(cost)
        return newest_as_of(records, cost, as_of)

    def _nothing_of(self, cost: str) -> Exception:
        others = sorted({record.cost for record in self.records.snapshots()})
        if not others:
            return HttpProblemError(503, "There is no snapshot yet: ingest spend and run `forecast train` first.")
        return NotFoundError(
            f"No snapshot is of cost {cost!r}; there are snapshots of {', '.join(others)}", field="cost", got=cost, allowed=", ".join(others)
        )

    def _opened(self, snapshot_id: str) -> Snapshot:
        """The snapshot, from the few that are mapped already; call with the lock held."""
        found = self._open.pop(snapshot_id, None)
        if found is None:
            found = self.snapshots.open(snapshot_id)
            _prepare(found)
        self._open[snapshot_id] = found
        while len(self._open) > OPEN_SNAPSHOTS:
            self._open.popitem(last=False)
        return found
