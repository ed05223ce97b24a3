"""The file of sensitivity rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecast.adapters.sensitivity_file import LARGEST_FILE, load_sensitivity
from forecast.errors import InputError
from forecast.spend.scope import Scope


def test_no_file_is_no_rules() -> None:
    assert load_sensitivity(None).rules == ()


def test_rules_are_read_from_toml(tmp_path: Path) -> None:
    file = tmp_path / "sensitivity.toml"
    file.write_text('[[rule]]\nscope = "stage=dev"\nminimum_impact = 500\nminimum_percent = 20\nrequire = "either"\n', encoding="utf-8")
    rule = load_sensitivity(file).rule_of(Scope.parse("stage=dev,team=ads"))
    assert (rule.minimum_impact, rule.minimum_percent, rule.require) == (500.0, 20.0, "either")


@pytest.mark.parametrize("content", [b"[[rule]\n", b"\xff\xfe", b"rule = 3", b"#" * (LARGEST_FILE + 1), None])
def test_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "sensitivity.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"sensitivity\.toml"):
        load_sensitivity(file)
