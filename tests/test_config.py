"""Settings: read once, named when wrong, passwords hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.config import hide_password, load_settings
from forecast.errors import ConfigError
from forecast.spend.fiscal import FiscalCalendar


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forecast.toml").write_text("fiscal_start = 4\npaths = 300\n")
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setenv("FORECAST_FISCAL_START", "7")
    settings = load_settings()
    assert (settings.fiscal_start, settings.paths, settings.home) == (7, 300, tmp_path)


BAD_VALUES = [
    ("FISCAL_START", "13"),
    ("FISCAL_PATTERN", "4-4-4"),
    ("FISCAL_WEEK_END", "sat"),
    ("FISCAL_RULE", "first"),
    ("TIME_ZONE", "Mars/Olympus"),
    ("TIME_ZONE", "+02:00"),
    ("PATHS", "many"),
    ("LEAF_DIMENSIONS", "provider,team"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    monkeypatch.setenv(f"FORECAST_{name}", value)
    with pytest.raises(ConfigError, match=name.lower()):
        load_settings()


def test_the_calendar_and_the_time_zone_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(home=tmp_path)
    assert (settings.calendar, settings.time_zone) == (FiscalCalendar(), "UTC")
    (tmp_path / "forecast.toml").write_text('fiscal_start = 2\nfiscal_pattern = "4-5-4"\nfiscal_rule = "nearest"\ntime_zone = "America/New_York"\n')
    monkeypatch.setenv("FORECAST_FISCAL_WEEK_END", "friday")
    settings = load_settings(home=tmp_path)
    assert settings.calendar == FiscalCalendar(2, "4-5-4", "friday", "nearest")
    assert settings.time_zone == "America/New_York"
    assert load_settings(home=tmp_path, time_zone="Etc/UTC").time_zone == "UTC"


def test_passwords_are_hidden() -> None:
    assert hide_password("postgresql://user:secret@host/db") == "postgresql://user:***@host/db"
