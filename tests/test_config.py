"""Settings: read once, named when wrong, passwords hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.config import hide_password, load_settings
from forecast.errors import ConfigError


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forecast.toml").write_text("fiscal_start = 4\npaths = 300\n")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setenv("FORECAST_FISCAL_START", "7")
    settings = load_settings()
    assert (settings.fiscal_start, settings.paths, settings.home) == (7, 300, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("FISCAL_START", "13"), ("PATHS", "many"), ("LEAF_DIMENSIONS", "provider,team")])
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setenv(f"FORECAST_{name}", value)
    with pytest.raises(ConfigError, match=name.lower()):
        load_settings()


def test_passwords_are_hidden() -> None:
    assert hide_password("postgresql://user:secret@host/db") == "postgresql://user:***@host/db"
