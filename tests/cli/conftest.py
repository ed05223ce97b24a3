from __future__ import annotations

from pathlib import Path

import pytest

from forecast.snapshot import Snapshot
from tests.cli.homes import Commands, make_home


@pytest.fixture
def forecast(capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(capsys)


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that does not exist yet."""
    home = tmp_path / "home"
    monkeypatch.setenv("FORECAST_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Snapshot]:
    folder = tmp_path_factory.mktemp("cli") / "home"
    return folder, make_home(folder)


@pytest.fixture
def snapshot(trained: tuple[Path, Snapshot], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Snapshot:
    """The snapshot of a home that is now the configured one; the tests that use it only read."""
    monkeypatch.setenv("FORECAST_HOME", str(trained[0]))
    monkeypatch.chdir(tmp_path)
    return trained[1]
