"""What a clone promises: the README's commands are the Makefile's, continuous integration runs them, the lock names no registry."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("install", "demo", "test", "check", "bench", "serve", "bento", "clean", "help")


def fenced(text: str) -> list[str]:
    """Lines inside the fenced blocks of a Markdown text."""
    return [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_readme_gives_the_command(command: str) -> None:
    assert command in fenced((ROOT / "README.md").read_text(encoding="utf-8"))


def test_continuous_integration_runs_the_readmes_test_command_and_the_checks() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert {"make test", "make check", "make wheel", "make bento"} <= set(lines)
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("target", TARGETS)
def test_makefile_has_the_target(target: str) -> None:
    # A dry run; `install` would be the real one where the stamp is older than the lock.
    subprocess.run(["make", "--dry-run", "--file", str(ROOT / "Makefile"), target], cwd=ROOT, check=True, capture_output=True)


def test_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index" not in lock
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*==.*\\$", lock, re.MULTILINE)
    assert len(pinned) > 100
    assert len(re.findall(r"^[a-z0-9][a-z0-9._-]*==", lock, re.MULTILINE)) == len(pinned)
