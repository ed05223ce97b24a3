"""What counts as AI spend, as data: rules over the columns and tags of a charge line, shipped as TOML and overridable.

The first rule that holds gives its name, and says whether that is AI or, by exception, not. Nothing here looks at a row:
`adapters.ai_sql` turns the rules into SQL. How a rule and a pattern are written stands at the top of `data/ai_rules.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forecast.errors import InputError
from forecast.spend import focus
from forecast.spend.dimension_rules import FromKey, Source, parse_sources, table_of, texts_of

TAGS_FIELD = "tags"
WORD_FIELDS = frozenset({"instance_type", "text"})
"""Conditions that look for words in a value; the others look at the whole value."""

FIELDS: tuple[str, ...] = (
    "provider",
    "vendor",
    "service_category",
    "service_name",
    "sku",
    "meter",
    "description",
    "resource_type",
    "instance_type",
    "gpu_count",
    "ai_model",
    "text",
    TAGS_FIELD,
)
"""What a condition may be about. `[ai.fields]` says where each looks, but for `tags`, which looks at all tags."""

REGEX = "re:"
MOST_RULES, MOST_PATTERNS, LONGEST_PATTERN = 1000, 1000, 2000
MOST_ABOUT_TAGS = 60
"""Rules with tags are bits of one number where they are tried."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_WORD_START, _WORD_END = "(?:^|[^a-z0-9])", "(?:$|[^a-z0-9])"
_BEYOND_RE2 = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=|#)|\\[1-9]|[*+?}]\+")
"""Lookaround, atomic groups, conditions, comments, back references, possessive repeats: Python has them, the database has not."""


@dataclass(frozen=True)
class Condition:
    """A field of `FIELDS` and patterns of which one must match, as they are written in the rules file."""

    field: str
    patterns: tuple[str, ...]

    @property
    def regex(self) -> str:
        """One regular expression (RE2, upper and lower case alike) for all patterns, over the field's values one a line (tags as `key=value`)."""
        words = self.field in WORD_FIELDS
        some = "[^\\s]" if words else "[^\\n]"
        globs = [_glob(pattern, some) for pattern in self.patterns if not pattern.startswith(REGEX)]
        regexes = [pattern.removeprefix(REGEX) for pattern in self.patterns if pattern.startswith(REGEX)]
        if words:
            return f"(?i){_WORD_START}(?:{'|'.join([*globs, *regexes])}){_WORD_END}"
        whole = [f"^(?:{'|'.join(globs)})$"] if globs else []
        return "(?im)" + "|".join([*whole, *(f"(?:{regex})" for regex in regexes)])


@dataclass(frozen=True)
class AiRule:
    """All conditions must hold. ai : what it then is. why : in words, for people who read a report."""

    name: str
    why: str
    conditions: tuple[Condition, ...]
    ai: bool = True


@dataclass(frozen=True)
class AiRules:
    """Rules in the order in which they are tried, and where each field looks."""

    rules: tuple[AiRule, ...]
    fields: Mapping[str, tuple[Source, ...]]

    def about_tags(self) -> tuple[AiRule, ...]:
        """The rules that have a condition about tags."""
        return tuple(rule for rule in self.rules if any(condition.field == TAGS_FIELD for condition in rule.conditions))

    def columns(self) -> tuple[str, ...]:
        """Names of the columns that the rules look at; FOCUS columns and vendors' additions."""
        used = dict.fromkeys(condition.field for rule in self.rules for condition in rule.conditions)
        sources = [source.column for name in used for source in self.fields.get(name, ())]
        return tuple(dict.fromkeys([*sources, *([focus.TAGS] if TAGS_FIELD in used else [])]))


def parse_ai_rules(table: object, shipped: AiRules | None = None) -> AiRules:
    """The rules of the table `[ai]` of a rules file over the `shipped` ones.

    Own rules come first in their order; one with the name of a shipped rule stands in its place; `disable` takes shipped rules away.
    `fields` says anew where a field looks, `"shipped"` in the list being where it looks otherwise.
    """
    given = table_of(table, "ai", ("disable", "fields", "rules"))
    before = shipped or AiRules((), {})
    fields = dict(before.fields)
    for name, listed in table_of(given.get("fields", {}), "ai.fields", [name for name in FIELDS if name != TAGS_FIELD]).items():
        fields[name] = parse_sources(listed, f"ai.fields.{name}", before.fields.get(name, ()))
        if any(isinstance(source, FromKey) and source.column == focus.TAGS for source in fields[name]):
            raise InputError(
                f'ai.fields.{name} looks at a tag; a rule does that with its condition tags = ["key=value"]',
                field=f"ai.fields.{name}",
                got=listed,
                allowed="columns and keys of JSON columns",
            )
    entries = given.get("rules", [])
    if not isinstance(entries, list) or len(entries) > MOST_RULES:
        raise InputError(
            f"ai.rules is not a list of at most {MOST_RULES} tables", field="ai.rules", got=type(entries).__name__, allowed="[[ai.rules]]"
        )
    own = {rule.name: rule for rule in _unique([_rule(entry, f"ai.rules[{place}]", fields) for place, entry in enumerate(entries)])}
    disabled = set(texts_of(given["disable"], "ai.disable", MOST_RULES)) if "disable" in given else set()
    known = {rule.name for rule in before.rules}
    if unknown := sorted(disabled - known):
        allowed = ", ".join(sorted(known))
        raise InputError(
            f"ai.disable names no shipped rule: got {unknown[0]!r}, allowed are {allowed}", field="ai.disable", got=unknown[0], allowed=allowed
        )
    added = [rule for name, rule in own.items() if name not in known]
    kept = [own.get(rule.name, rule) for rule in before.rules if rule.name not in disabled]
    rules = AiRules((*added, *kept), fields)
    if len(rules.about_tags()) > MOST_ABOUT_TAGS:
        allowed = f"at most {MOST_ABOUT_TAGS} rules with tags; one rule can list many"
        got = len(rules.about_tags())
        raise InputError(f"ai.rules has {got} rules with tags; allowed are {allowed}", field="ai.rules", got=got, allowed=allowed)
    return rules


def _rule(entry: object, where: str, fields: Mapping[str, Sequence[Source]]) -> AiRule:
    table = table_of(entry, where, ("name", "why", "ai", *FIELDS))
    name, why, ai = table.get("name"), table.get("why", ""), table.get("ai", True)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "lower-case letters, digits, - and _, at most 64"
        raise InputError(f"{where}.name is not a name: got {name!r}, allowed are {allowed}", field=f"{where}.name", got=name, allowed=allowed)
    where = f"{where} ({name})"
    if not isinstance(why, str):
        raise InputError(f"{where}.why is not text: got {why!r}", field=f"{where}.why", got=why, allowed="text")
    if not isinstance(ai, bool):
        raise InputError(f"{where}.ai is neither true nor false: got {ai!r}", field=f"{where}.ai", got=ai, allowed="true, false")
    conditions = tuple(Condition(key, _patterns(table[key], f"{where}.{key}", key)) for key in FIELDS if key in table)
    if not conditions:
        raise InputError(f"{where} has no condition, so it would hold for every line", field=where, got=sorted(table), allowed=", ".join(FIELDS))
    for condition in conditions:
        if condition.field != TAGS_FIELD and not fields.get(condition.field):
            at = f"ai.fields.{condition.field}"
            raise InputError(f"{where} needs {at}, which says where to look", field=at, got=None, allowed="a list of sources")
    return AiRule(name, why, conditions, ai)


def _unique(rules: Sequence[AiRule]) -> Sequence[AiRule]:
    names = [rule.name for rule in rules]
    if twice := next((name for place, name in enumerate(names) if name in names[:place]), None):
        raise InputError(f"ai.rules has the name {twice!r} twice", field="ai.rules", got=twice, allowed="each name once")
    return rules


def _patterns(listed: object, where: str, field: str) -> tuple[str, ...]:
    patterns = texts_of(listed, where, MOST_PATTERNS)
    for pattern in patterns:
        if len(pattern) > LONGEST_PATTERN:
            raise InputError(
                f"{where} has a pattern of {len(pattern)} characters", field=where, got=pattern[:60], allowed=f"at most {LONGEST_PATTERN}"
            )
        if pattern.startswith(REGEX):
            _check_regex(pattern.removeprefix(REGEX), where)
        elif field == TAGS_FIELD and "=" not in pattern:
            raise InputError(f"{where} is not about a tag: got {pattern!r}", field=where, got=pattern, allowed="key=value, such as ai=true")
    return patterns


def _check_regex(regex: str, where: str) -> None:
    allowed = "a regular expression without lookaround, back references and possessive repeats"
    problem = "uses what the database cannot" if _BEYOND_RE2.search(regex) else None
    try:
        matches_nothing = re.compile(regex).search("") is not None
    except re.error as error:
        problem, matches_nothing = f"is not one: {error}", False
    if problem is None and matches_nothing:
        problem, allowed = "matches the empty text, so it would match everything", "one that needs at least one character"
    if problem is not None:
        raise InputError(
            f"{where} has a regular expression that {problem}; got {regex!r}, allowed is {allowed}", field=where, got=regex, allowed=allowed
        )


def _glob(pattern: str, some: str) -> str:
    """`*` and `?` as a regular expression; `some` is what they stand for."""
    return "".join({"*": f"{some}*", "?": some}.get(character, re.escape(character)) for character in pattern)
