"""A small company in a real ledger, and what `train` needs besides it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records
from forecast.adapters.snapshots import SnapshotStore
from forecast.company.generate import generate
from forecast.config import Settings, load_settings
from training.specs import Spec
from training.train import TrainReport, train

QUICK = Spec(name="quick", forecaster="RunRate")
"""A forecaster that fits in milliseconds: most tests are about what happens around it."""
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LAST = date(2026, 10, 31)


@dataclass
class TrainingHome:
    settings: Settings
    ledger: Ledger
    records: Records
    store: SnapshotStore

    def train(self, **arguments: Any) -> TrainReport:
        given = {"spec": QUICK, "now": NOW, **arguments}
        return train(self.settings, self.ledger, self.records, self.store, **given)

    def close(self) -> None:
        self.records.close()


def make_home(folder: Path, *, days: int = 200, seed: int = 3, teams: int = 1, **settings: Any) -> TrainingHome:
    """A home whose ledger holds the generated company's last `days` days; equal companies are ingested once."""
    chosen = load_settings(home=folder, **{"threads": 1, "paths": 100, "daily_steps": 40, "months": 6, **settings})
    shutil.copytree(_template(days, seed, teams), folder, dirs_exist_ok=True)
    return TrainingHome(chosen, Ledger(chosen.ledger_address), Records(chosen.records_address), SnapshotStore(chosen.snapshots_folder))


@cache
def _template(days: int, seed: int, teams: int) -> Path:
    """A folder with the ledger of a company and the tables of an MLflow store, which take seconds to make and none to copy."""
    folder = Path(tempfile.mkdtemp(prefix="forecast-training-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rows = folder / "rows.parquet"
    generate(seed=seed, days=days, teams=teams).rows.to_parquet(rows)
    Ledger(folder / "ledger").ingest([rows], received_at=NOW)
    rows.unlink()
    tables = _empty_store()
    shutil.copyfile(tables, folder / tables.name)
    return folder


@cache
def _empty_store() -> Path:
    import mlflow

    from training.tracking import quiet

    quiet()
    folder = Path(tempfile.mkdtemp(prefix="forecast-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"
