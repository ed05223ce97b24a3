"""The text of a plan as plain data: TOML, JSON or YAML, told apart by how it is written.

What a reader could take for something else is refused rather than guessed: a name that stands twice, references, numbers with colons.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from forecast.errors import PlanError

MOST_CHARACTERS = 256 * 1024
MOST_DEPTH = 10
"""Tables and lists inside one another; a plan has five."""
_ALLOWED = "TOML, JSON or YAML with start, end and levers"
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
        if form == "JSON":
            found = json.loads(text, object_pairs_hook=_once)
        else:
            found = tomllib.loads(text) if form == "TOML" else yaml.load(text, Loader=_PlainLoader)  # a SafeLoader that refuses more
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # errors of JSON and TOML are ValueErrors
        problem = " ".join(str(error).split())
        raise PlanError(f"plan is not {form}: {problem}", field="plan", got=text[:80], allowed=_ALLOWED) from None
    if not isinstance(found, Mapping):
        raise PlanError(f"plan is not a table: got {type(found).__name__}", field="plan", got=type(found).__name__, allowed="start, end, levers")
    _check(found, "plan", MOST_DEPTH)
    return found


def _check(value: Any, where: str, depth: int) -> None:
    """Only tables whose names are texts, lists, and what stands for itself."""
    if isinstance(value, bytes | set | frozenset):
        kind = type(value).__name__
        raise PlanError(f"{where} is a {kind}", field=where, got=kind, allowed="text, numbers, days, lists and tables")
    if not isinstance(value, Mapping | list | tuple):
        return
    if depth == 0:
        raise PlanError(f"{where} is too deep", field=where, got=f"more than {MOST_DEPTH} levels", allowed=f"at most {MOST_DEPTH} levels")
    if not isinstance(value, Mapping):
        for number, item in enumerate(value):
            _check(item, f"{where}[{number}]", depth - 1)
        return
    for name, item in value.items():
        if not isinstance(name, str):
            raise PlanError(f"{where} has the name {name!r}, which is no text", field=where, got=repr(name)[:80], allowed="names that are text")
        _check(item, f"{where}.{name[:80]}", depth - 1)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError for a name that stands twice, of which readers keep whichever they like."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:80]!r} stands twice in one table")
        found[name] = value
    return found


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain data. References are refused, because a few of them can stand for more than a machine holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, f"references such as *{event.anchor} are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for name, _ in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the name {name.value[:80]!r} stands twice in one table", name.start_mark)
            seen.add(name.value if isinstance(name, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> int | float:
        """YAML 1.1 takes 1:30 for 90 and 010 for 8; nobody who plans means that."""
        text = self.construct_scalar(node)
        if ":" in text or re.fullmatch(r"[-+]?0[0-9_]+", text):
            raise yaml.constructor.ConstructorError(None, None, f"{text[:80]} is no plain number", node.start_mark)
        is_whole = node.tag.endswith(":int")
        number: int | float = self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)
        return number


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_number)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _PlainLoader.construct_number)
# Numbers such as 1e6 are text in YAML 1.1, which wants 1.0e+6.
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))
