"""A home with a real snapshot in a real store and its line in the records: what the service is tested on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forecast.adapters.records import Records, SnapshotRecord
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import Settings, load_settings
from forecast.snapshot import Snapshot
from tests.snapshots_for_tests import make_snapshot

with warnings.catch_warnings():
    # Starlette's test client wants httpx2, which is not in the lock; httpx still serves it.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

    # BentoML uses an older name of pathspec's patterns while it is imported.
    from forecast.serving.service import SpendForecastService

__all__ = ["NOW", "TestClient", "add_snapshot", "make_home", "problem_of", "service_app"]

NOW = datetime(2026, 12, 11, 6, 0, tzinfo=UTC)


def service_app() -> Any:
    """BentoML's application of the service, as a worker has it."""
    service: Any = SpendForecastService
    return service.to_asgi()


def make_home(folder: Path, **snapshot: Any) -> Settings:
    """Settings of a home under `folder` with one snapshot and a champion."""
    settings = load_settings(home=folder)
    add_snapshot(settings, make_snapshot(**snapshot))
    records = Records(settings.records_address)
    records.promote("combination", "1", now=NOW, run_id="run-1", reason="first")
    records.close()
    return settings


def add_snapshot(settings: Settings, made: Snapshot, *, created_at: datetime = NOW) -> Snapshot:
    """Write a snapshot to the store and make it current, as training does."""
    store = SnapshotStore(settings.snapshots_folder)
    written = store.write(made, created_at=created_at)
    records = Records(settings.records_address)
    records.add_snapshot(
        SnapshotRecord(
            id=written.id,
            created_at=created_at,
            cutoff=written.cutoff,
            cost=written.cost,
            currency=written.currency,
            n_paths=written.n_paths,
            size_bytes=store.size(written.id),
            champion_name="combination",
            champion_version="1",
        )
    )
    records.close()
    return written


def problem_of(response: Any) -> Mapping[str, Any]:
    """The body of a problem, after checking that it is one in form."""
    assert response.headers["content-type"] == "application/problem+json", response.text[:300]
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    assert {"type", "title", "status", "detail", "errors"} <= set(body)
    assert all(set(error) == {"field", "got", "allowed", "message"} for error in body["errors"])
    return body
