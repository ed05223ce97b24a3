"""Homes for the command line: one with a snapshot and budgets, and a way to run a command in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.records import Records, SnapshotRecord
from forecast.adapters.snapshots import SnapshotStore
from forecast.budgets.budget import Budget
from forecast.cli import run
from forecast.config import load_settings
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from tests.snapshots_for_tests import make_snapshot

NOW = datetime(2026, 12, 11, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Commands:
    """Runs `forecast …` in this process, in the home that the environment names."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: str | Path) -> Ran:
        self._capture.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Ran(code, out, err)


def make_home(folder: Path) -> Snapshot:
    """Write a snapshot, a champion and three budgets into a home."""
    settings = load_settings(home=folder)
    written = SnapshotStore(settings.snapshots_folder).write(make_snapshot())
    records = Records(settings.records_address)
    records.add_snapshot(
        SnapshotRecord(
            id=written.id,
            created_at=NOW,
            cutoff=written.cutoff,
            cost=written.cost,
            currency=written.currency,
            n_paths=written.n_paths,
            size_bytes=written.leaf_paths.nbytes,
            champion_name="combination",
            champion_version="1",
        )
    )
    records.promote("combination", "1", now=NOW, run_id="run-1", reason="first")
    first, end = date(2027, 1, 1), date(2027, 4, 1)
    for budget in (
        Budget("company-q1", Scope(), first, end, 900_000.0, "USD"),
        Budget("ads-q1", Scope.parse("team=ads"), first, end, 100_000.0),
        Budget("old", Scope(), date(2020, 1, 1), date(2020, 4, 1), 10.0),
    ):
        records.put_budget(budget, now=NOW)
    records.close()
    return written
