"""A home that was copied elsewhere trains into its own folder, and reads its own copies of what was trained before."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from forecast.adapters.artifacts import load_forecaster
from forecast.adapters.ledger import Ledger
from forecast.adapters.records import Records
from forecast.adapters.snapshots import SnapshotStore
from forecast.config import load_settings
from forecast.errors import ConfigError
from tests.training.homes import LAST, NOW, TrainingHome, make_home
from training.moved_home import bring_artifacts_home
from training.tracking import EXPERIMENT, Tracking


def test_a_copied_home_leaves_the_folder_that_it_was_copied_from_alone(tmp_path: Path) -> None:
    home = make_home(tmp_path / "old", days=60)
    first = home.train(cutoff=LAST - timedelta(days=1))
    home.close()
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    before = sorted((tmp_path / "old").rglob("*"))
    settings = load_settings(home=tmp_path / "new", threads=1, paths=100, daily_steps=40, months=6)
    copied = TrainingHome(settings, Ledger(settings.ledger_address), Records(settings.records_address), SnapshotStore(settings.snapshots_folder))
    second = copied.train(now=NOW + timedelta(hours=1))
    assert sorted((tmp_path / "old").rglob("*")) == before
    assert (tmp_path / "new" / "mlartifacts" / second.run_id).is_dir()
    shutil.rmtree(tmp_path / "old")
    for report in (first, second):
        assert load_forecaster(Tracking(settings).download(report.name, report.version, tmp_path / report.version)) is not None
    copied.close()


def test_nothing_to_move_changes_nothing(tmp_path: Path) -> None:
    store, artifacts = tmp_path / "mlflow.db", tmp_path / "mlartifacts"
    assert not bring_artifacts_home(store, artifacts, EXPERIMENT)
    assert not store.exists()
    settings = load_settings(home=tmp_path)
    Tracking(settings)
    assert not bring_artifacts_home(store, artifacts, EXPERIMENT)


def test_a_store_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match=r"mlflow\.db"):
        Tracking(load_settings(home=tmp_path))
