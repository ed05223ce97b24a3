"""Another version serves: records decide, the alias follows, and the version's own snapshot answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from forecast.errors import NotFoundError
from tests.training.homes import LAST, NOW, TrainingHome, make_home
from training.promote import promote, rollback
from training.tracking import Tracking
from training.train import TrainReport


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrainingHome, TrainReport, TrainReport]]:
    home = make_home(tmp_path_factory.mktemp("twice"), days=60)
    first = home.train(cutoff=LAST - timedelta(days=1))
    second = home.train(now=NOW + timedelta(hours=1))
    yield home, first, second
    home.close()


def serving(home: TrainingHome) -> tuple[str, str | None, str]:
    record = home.records.latest_snapshot()
    assert record is not None
    return home.records.champion().version, Tracking(home.settings).champion("quick"), record.id


def test_an_older_version_can_serve_again_and_be_rolled_back(twice: tuple[TrainingHome, TrainReport, TrainReport]) -> None:
    home, first, second = twice
    assert serving(home) == (second.version, second.version, second.snapshot_id)
    report = promote(
        home.settings, home.records, home.store, first.version, name="quick", reason="the new one is worse", now=NOW + timedelta(hours=2)
    )
    assert (report.version, report.previous, report.snapshot_ids) == (first.version, f"quick/{second.version}", (first.snapshot_id,))
    assert serving(home) == (first.version, first.version, first.snapshot_id)
    assert home.records.promotions()[0].reason == "the new one is worse"
    rollback(home.settings, home.records, home.store, now=NOW + timedelta(hours=3))
    assert serving(home) == (second.version, second.version, second.snapshot_id)


def test_a_version_that_is_not_known_changes_nothing(twice: tuple[TrainingHome, TrainReport, TrainReport]) -> None:
    home, _, _ = twice
    before = serving(home)
    with pytest.raises(NotFoundError, match="version 99"):
        promote(home.settings, home.records, home.store, "99", name="quick")
    assert serving(home) == before


def test_a_version_whose_paths_are_gone_is_refused_before_anything_changes(tmp_path: Path) -> None:
    home = make_home(tmp_path, days=60)
    first = home.train(cutoff=LAST - timedelta(days=1))
    second = home.train(now=NOW + timedelta(hours=1))
    home.store.prune(1)
    with pytest.raises(NotFoundError, match="no longer has its paths"):
        promote(home.settings, home.records, home.store, first.version, name="quick")
    assert serving(home) == (second.version, second.version, second.snapshot_id)
    home.close()


def test_one_champion_has_nothing_to_roll_back_to(trained: tuple[TrainingHome, TrainReport, object]) -> None:
    home, _, _ = trained
    with pytest.raises(NotFoundError, match="no champion before this one"):
        rollback(home.settings, home.records, home.store)
