"""The pages point at things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forecast.config import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")])
OUTSIDE_SETTINGS = {"FORECAST_TRACEBACK", "FORECAST_REQUIRE_SERVICES"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_every_setting_is_documented_and_no_other() -> None:
    known = {f"FORECAST_{name.upper()}" for name in Settings.model_fields}
    page = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert known <= set(re.findall(r"FORECAST_[A-Z_]+", page))
    for other in PAGES:
        named = set(re.findall(r"FORECAST_[A-Z]+(?:_[A-Z]+)*", other.read_text(encoding="utf-8")))
        assert named <= known | OUTSIDE_SETTINGS, other


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    from typer.main import get_command

    from forecast.cli import app

    commands = getattr(get_command(app), "commands")  # noqa: B009  (a click group; typer's stub says Command)
    named = set(re.findall(r"^(?:\$ )?forecast ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= set(commands)
