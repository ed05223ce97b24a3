"""Reads an operator's sensitivity rules (TOML)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from forecast.anomalies.sensitivity import Sensitivity, parse_sensitivity
from forecast.errors import InputError

LARGEST_FILE = 2**20


def load_sensitivity(path: str | Path | None) -> Sensitivity:
    """The rules of the file at `path`; None: no rules. What is wrong with a file is an InputError that names it."""
    if path is None:
        return Sensitivity()
    file = Path(path)
    try:
        size = file.stat().st_size
        text = file.read_text(encoding="utf-8") if size <= LARGEST_FILE else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Sensitivity file {file} cannot be read: {error}", field="sensitivity", got=str(file), allowed="a TOML file in UTF-8"
        ) from None
    if size > LARGEST_FILE:
        raise InputError(f"Sensitivity file {file} has {size:,} bytes", field="sensitivity", got=size, allowed=f"at most {LARGEST_FILE:,} bytes")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file.name} is not TOML: {error}", field="sensitivity", got=str(error), allowed="TOML") from None
    return parse_sensitivity(data, file.name)
