"""One trained home for the tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.training.homes import TrainingHome, make_home
from training.train import TrainReport


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrainingHome, TrainReport, list[tuple[str, float | None]]]]:
    """Home, report, and what the run told of its progress."""
    home = make_home(tmp_path_factory.mktemp("trained"))
    told: list[tuple[str, float | None]] = []
    report = home.train(progress=lambda doing, share: told.append((doing, share)))
    yield home, report, told
    home.close()
