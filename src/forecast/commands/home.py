"""The home folder as a command sees it: stores that open on first use, and clear words for what is not there yet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from forecast.adapters.ledger import Ledger
    from forecast.adapters.records import Records
    from forecast.adapters.snapshots import SnapshotStore
    from forecast.budgets.budget import Budget
    from forecast.config import Settings
    from forecast.snapshot import Snapshot
    from forecast.spend.currency import Rates


class Home:
    """Ledger, records and snapshots of the configured home. Looking at a home that does not exist makes no folder."""

    def __init__(self, home: Path | None = None) -> None:
        from forecast.commands.console import note
        from forecast.config import load_settings, unheard_variables

        for sentence in unheard_variables(os.environ):
            note(f"forecast: warning: {sentence}")
        self.settings: Settings = load_settings(home=home)

    @property
    def folder(self) -> Path:
        return self.settings.home

    def make(self) -> None:
        """The folder, for commands that write."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"Home folder {self.folder} cannot be made: {error.strerror}",
                field="FORECAST_HOME",
                got=str(self.folder),
                allowed="a folder that can be written",
            ) from None

    @cached_property
    def ledger(self) -> Ledger:
        from forecast.adapters.ledger import Ledger
        from forecast.adapters.rates import find_rates

        settings = self.settings
        if settings.ledger_store is not None:
            from forecast.adapters.object_store import check_reach

            check_reach(settings.ledger_address, settings.ledger_storage_options)
        return Ledger(
            settings.ledger_address,
            storage_options=settings.ledger_storage_options,
            quarantine=settings.ledger_quarantine,
            rules=settings.rules,
            rates=find_rates(settings.rates, settings.home),
            currency=settings.currency,
        )

    @cached_property
    def records(self) -> Records:
        from forecast.adapters.records import Records

        return Records(self.settings.records_address)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        from forecast.adapters.snapshots import SnapshotStore

        return SnapshotStore(self.settings.snapshots_folder)

    @property
    def has_records(self) -> bool:
        """Whether there are records to read, without making any."""
        return self.settings.records is not None or (self.folder / "records.db").exists()

    @property
    def has_ledger(self) -> bool:
        """Whether there is a place to look for spend in, without making one or asking an object store."""
        return self.settings.ledger is not None or (self.folder / "ledger").exists()

    def filled_ledger(self) -> Ledger:
        """The ledger; InputError where no spend has been ingested."""
        if not self.has_ledger or self.ledger.is_empty:
            raise InputError(
                f"There is no spend in {self.settings.ledger or self.folder} yet: run `forecast ingest PATH` first, or `forecast demo`",
                field="FORECAST_HOME",
                got=str(self.folder),
                allowed="a home with a ledger",
            )
        return self.ledger

    def rates_for(self, budgets: Iterable[Budget], currency: str) -> Rates | None:
        """The table of rates, read only where a budget is in another currency than that of the answer."""
        from forecast.adapters.rates import find_rates

        if all(budget.currency in {None, currency} for budget in budgets):
            return None
        return find_rates(self.settings.rates, self.settings.home)

    def snapshot(self, cost: str = "effective", snapshot_id: str | None = None, as_of: date | None = None) -> Snapshot:
        """The snapshot that answers: by id, the newest whose cutoff is not after `as_of`, or the current one.

        NotFoundError says what there is, or which command makes one.
        """
        if cost not in {"effective", "billed"}:
            raise InputError(
                f"cost is not one that is known: got {cost!r}, allowed are effective, billed", field="cost", got=cost, allowed="effective, billed"
            )
        if self.has_records and snapshot_id is not None:
            from forecast.adapters.snapshot_index import check_as_of

            return self.snapshots.open(check_as_of(self.records.snapshot(snapshot_id), as_of).id)
        if self.has_records and as_of is not None and (records := self.records.snapshots(cost)):
            from forecast.adapters.snapshot_index import newest_as_of

            return self.snapshots.open(newest_as_of(records, cost, as_of).id)
        record = self.records.latest_snapshot(cost) if self.has_records else None
        if record is None:
            others = sorted({other.cost for other in self.records.snapshots()}) if self.has_records else []
            if not others:
                self.filled_ledger()
            command = "forecast train" if cost == "effective" else f"forecast train --cost {cost}"
            among = f"; there are snapshots of {', '.join(others)} cost" if others else ""
            raise NotFoundError(
                f"There is no snapshot of {cost} cost in {self.folder} yet: run `{command}`{among}", field="snapshot", got=None, allowed=command
            )
        return self.snapshots.open(record.id)
