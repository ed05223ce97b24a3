"""The text of a plan as plain data: TOML, JSON or YAML, told apart by how it is written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from forecast.errors import PlanError

MOST_CHARACTERS = 256 * 1024
_TOML_LINE = re.compile(r"^\s*(\[.*|[\w.\"'-]+\s*=.*)$")


def plan_of_text(text: str) -> Mapping[str, Any]:
    """The plan in a text: JSON where it begins with a brace, TOML where lines read `name = value`, else YAML. PlanError where it is none."""
    if len(text) > MOST_CHARACTERS:
        raise PlanError(f"plan has {len(text)} characters", field="plan", got=len(text), allowed=f"at most {MOST_CHARACTERS} characters")
    text = text.removeprefix("\ufeff")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[0].lstrip().startswith("{"):
        return _read(text, "JSON")
    return _read(text, "TOML" if not lines or _TOML_LINE.match(lines[0]) else "YAML")


def _read(text: str, form: str) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(text) if form == "JSON" else tomllib.loads(text) if form == "TOML" else _yaml(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise PlanError(
            f"plan is not {form}: {problem}", field="plan", got=text[:80], allowed="TOML, JSON or YAML with start, end and levers"
        ) from None
    if not isinstance(found, Mapping):
        raise PlanError(f"plan is not a table: got {type(found).__name__}", field="plan", got=type(found).__name__, allowed="start, end, levers")
    return found


def _yaml(text: str) -> Any:
    """Plain data; references are refused, because a few of them can stand for more than a machine holds."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"references such as *{event.anchor} are not allowed")
    return yaml.safe_load(text)
