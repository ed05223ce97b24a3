"""The rules file: what counts as AI spend and where each dimension comes from, in one TOML text over the shipped one."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from forecast.errors import InputError
from forecast.spend.ai_rules import AiRules, parse_ai_rules
from forecast.spend.dimension_rules import RULES, DimensionRule, parse_dimension_rules, source_text, table_of


@dataclass(frozen=True)
class Rules:
    """Rules in force. Equal rules have equal digests, however their files are written."""

    ai: AiRules
    dimensions: tuple[DimensionRule, ...] = RULES

    @property
    def digest(self) -> str:
        """SHA-256 over everything that can change what a row is taken as; words (`why`) are not in it."""
        return hashlib.sha256(json.dumps(self._meaning(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def dimensions_digest(self) -> str:
        """The same over the dimensions alone: rows need not be read anew where only the AI rules changed."""
        return hashlib.sha256(json.dumps(self._meaning()["dimensions"], sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def _meaning(self) -> dict[str, object]:
        return {
            "fields": {name: [source_text(source) for source in sources] for name, sources in self.ai.fields.items()},
            "rules": [[rule.name, rule.ai, [[condition.field, condition.patterns] for condition in rule.conditions]] for rule in self.ai.rules],
            "dimensions": [
                [rule.dimension, [source_text(source) for source in rule.sources], dict(rule.names), rule.any_case] for rule in self.dimensions
            ],
        }


def parse_rules(shipped: str, own: str | None = None, name: str = "rules file") -> Rules:
    """Rules from the `shipped` TOML text and the text of one's `own` file, called `name` in errors (`InputError`).

    A file has the tables `[ai]` (see `ai_rules`) and `[dimensions.NAME]` (see `dimension_rules`), both optional.
    """
    rules = _over(Rules(AiRules((), {})), shipped, "shipped rules")
    return rules if own is None else _over(rules, own, name)


def _over(rules: Rules, text: str, name: str) -> Rules:
    try:
        tables: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}", field="rules", got=str(error), allowed="TOML") from None
    try:
        table_of(tables, "rules", ("ai", "dimensions"))
        ai = parse_ai_rules(tables["ai"], rules.ai) if "ai" in tables else rules.ai
        dimensions = parse_dimension_rules(tables["dimensions"], rules.dimensions) if "dimensions" in tables else rules.dimensions
    except InputError as error:
        raise InputError(f"{name}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None
    return Rules(ai, dimensions)
