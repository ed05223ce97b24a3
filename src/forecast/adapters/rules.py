"""Reads the rules that ship with the package and the operator's own file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

from forecast.adapters import duck
from forecast.errors import InputError
from forecast.spend.ai_rules import AiRules
from forecast.spend.rules import Rules, parse_rules

LARGEST_FILE = 2**20


def load_rules(path: str | Path | None = None) -> Rules:
    """The shipped rules, changed as the file at `path` says; None: as they ship. What is wrong with a file is an InputError that names it."""
    if path is None:
        return _shipped_rules()
    file = Path(path)
    try:
        size = file.stat().st_size
        text = file.read_text(encoding="utf-8") if size <= LARGEST_FILE else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Rules file {file} cannot be read: {error}", field="rules", got=str(file), allowed="a TOML file in UTF-8") from None
    if size > LARGEST_FILE:
        raise InputError(f"Rules file {file} has {size:,} bytes", field="rules", got=size, allowed=f"at most {LARGEST_FILE:,} bytes")
    rules = parse_rules(shipped_text(), text, file.name)
    _check_patterns(rules.ai, file.name)
    return rules


@cache
def shipped_text() -> str:
    """The TOML text of the shipped rules, comments and all."""
    return files("forecast.spend").joinpath("data/ai_rules.toml").read_text(encoding="utf-8")


@cache
def _shipped_rules() -> Rules:
    return parse_rules(shipped_text())


def _check_patterns(rules: AiRules, name: str) -> None:
    """Python reads regular expressions that the database does not: the one that will use them has the last word."""
    connection = duck.connect(threads=1)
    try:
        for rule in rules.rules:
            for condition in rule.conditions:
                try:
                    duck.execute(connection, "SELECT regexp_matches('', ?)", [condition.regex])
                except duckdb.Error as error:
                    where = f"{rule.name}.{condition.field}"
                    problem = str(error).splitlines()[0]
                    raise InputError(
                        f"{name}: {where} has a pattern that cannot be used: {problem}", field=where, got=condition.patterns, allowed="RE2"
                    ) from None
    finally:
        connection.close()
