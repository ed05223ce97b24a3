"""Where each dimension of a charge line comes from: FOCUS columns, tags and price details, as a table of rules.

The ledger turns these rules into SQL once, when rows come in; nothing here computes. The first source that has a
value wins; where none has, the dimension is `UNKNOWN`, so that untagged spend stays visible. `RULES` is what ships;
a rules file changes it (`[dimensions.team] sources = ["tag:squad", "shipped"]`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from forecast.errors import InputError
from forecast.spend import focus
from forecast.spend.dimensions import DIMENSIONS

SHIPPED = "shipped"
"""In a list of sources: the ones that ship, at this place."""

SOURCE_FORMS = f"tag:KEY, column:NAME, a JSON column and a key such as {focus.SKU_PRICE_DETAILS}:InstanceType, or {SHIPPED}"
MOST_SOURCES = 100


@dataclass(frozen=True)
class FromColumn:
    """The value of a column; names outside the specification (`x_…`) are columns that a vendor added."""

    column: str


@dataclass(frozen=True)
class FromKey:
    """The value under a key of a JSON column (`Tags`, `SkuPriceDetails`); upper and lower case are not told apart."""

    column: str
    key: str


Source = FromColumn | FromKey


@dataclass(frozen=True)
class DimensionRule:
    """Sources in order of preference. any_case : the value is taken in lower case; `names` then says what it means, else it stands itself."""

    dimension: str
    sources: tuple[Source, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    any_case: bool = False


def tag(key: str) -> FromKey:
    return FromKey(focus.TAGS, key)


STAGES: Mapping[str, str] = {
    "dev": "dev",
    "development": "dev",
    "test": "test",
    "testing": "test",
    "qa": "test",
    "stage": "test",
    "staging": "test",
    "prod": "prod",
    "production": "prod",
}
"""What people write in an environment tag, and the stage that it means."""

RULES: tuple[DimensionRule, ...] = (
    DimensionRule("provider", (FromColumn(focus.PROVIDER_NAME),)),
    DimensionRule("service", (FromColumn(focus.SERVICE_NAME),)),
    # People write `search`, `Search` and `SEARCH` for one team. Lower case, not the most common spelling: that one could change with every
    # delivery, and rows would move between teams.
    DimensionRule("team", (tag("team"), FromColumn(focus.SUB_ACCOUNT_NAME)), any_case=True),
    DimensionRule("stage", (tag("env"), tag("environment"), tag("stage")), STAGES, any_case=True),
    DimensionRule("region", (FromColumn(focus.REGION_ID), FromColumn(focus.REGION_NAME))),
    DimensionRule(
        "ai_model",
        (
            FromKey(focus.SKU_PRICE_DETAILS, "ModelId"),
            FromKey(focus.SKU_PRICE_DETAILS, "x_ModelId"),
            FromKey(focus.SKU_PRICE_DETAILS, "Model"),
            FromColumn("x_ModelId"),
            FromColumn("x_Model"),
            tag("model"),
        ),
    ),
    DimensionRule("meter", (FromColumn(focus.SKU_METER),)),
    DimensionRule("sku", (FromColumn(focus.SKU_ID), FromColumn(focus.SKU_PRICE_ID))),
    DimensionRule("resource", (FromColumn(focus.RESOURCE_ID), FromColumn(focus.RESOURCE_NAME))),
    DimensionRule("charge_category", (FromColumn(focus.CHARGE_CATEGORY),)),
    DimensionRule("workload", (tag("workload"),)),
    # A cluster's bill knows no project; there the namespace is what people mean by it.
    DimensionRule("project", (tag("project"), FromColumn("x_project_id"), FromColumn("x_ProjectId"), tag("namespace"))),
)

BY_DIMENSION: Mapping[str, DimensionRule] = {name: rule for name in DIMENSIONS for rule in RULES if rule.dimension == name}


def parse_dimension_rules(tables: object, shipped: Sequence[DimensionRule] = RULES) -> tuple[DimensionRule, ...]:
    """The `shipped` rules, changed as the tables `[dimensions.NAME]` of a rules file say; in the order of `shipped`.

    tables : as a TOML reader gives them, e.g. `{"team": {"sources": ["tag:squad", "shipped"], "any_case": true}}`. `sources` stands for
    the shipped ones (`shipped` in the list puts them in), `names` is added to the shipped names, `any_case` replaces. What is not said stays.
    """
    given = table_of(tables, "dimensions", None)
    by_name = {rule.dimension: rule for rule in shipped}
    for name in given:
        if name not in by_name:
            raise InputError(
                f"dimensions.{name} is not a ready dimension; a tag needs no rule, it is asked for by its key",
                field=f"dimensions.{name}",
                got=name,
                allowed=", ".join(by_name),
            )
    return tuple(_changed(rule, given[rule.dimension]) if rule.dimension in given else rule for rule in shipped)


def parse_sources(listed: object, where: str, shipped: Sequence[Source]) -> tuple[Source, ...]:
    """Sources from their texts; `shipped` in the list stands for those that ship. Twice the same source counts once."""
    texts = texts_of(listed, where, MOST_SOURCES)
    found: list[Source] = []
    for text in texts:
        found += shipped if text.strip().lower() == SHIPPED else [parse_source(text, where)]
    return tuple(dict.fromkeys(found))


def parse_source(text: str, where: str) -> Source:
    """`tag:team`, `column:SubAccountName` or `SkuPriceDetails:InstanceType` as a source; FOCUS names in any case."""
    kind, colon, name = (part.strip() for part in text.partition(":"))
    if colon and name:
        if kind.lower() == "tag":
            return tag(name)
        if kind.lower() == "column":
            return FromColumn(focus.canonical_name(name) or _added_column(name, where))
        column = focus.canonical_name(kind)
        if column is not None and focus.BY_NAME[column].kind == "json":
            return FromKey(column, name)
    raise InputError(f"{where} names a source that is not one: got {text!r}, allowed are {SOURCE_FORMS}", field=where, got=text, allowed=SOURCE_FORMS)


def source_text(source: Source) -> str:
    """A source as a rules file writes it."""
    match source:
        case FromColumn(column):
            return f"column:{column}"
        case FromKey(column, key):
            return f"tag:{key}" if column == focus.TAGS else f"{column}:{key}"


def table_of(value: object, where: str, keys: Sequence[str] | None) -> Mapping[str, object]:
    """A TOML table; with `keys`, one that has no others."""
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is not a table: got {value!r}, allowed is a table such as [{where}]", field=where, got=value, allowed="a table")
    if keys is not None and (unknown := [key for key in value if key not in keys]):
        at, allowed = f"{where}.{unknown[0]}", ", ".join(keys)
        raise InputError(f"{at} is not known: allowed are {allowed}", field=at, got=unknown[0], allowed=allowed)
    return value


def texts_of(value: object, where: str, most: int) -> tuple[str, ...]:
    """A list of one to `most` texts that are not blank."""
    allowed = f"a list of 1 to {most} texts"
    if not isinstance(value, list) or not 1 <= len(value) <= most or not all(isinstance(item, str) and item.strip() for item in value):
        raise InputError(f"{where} is not {allowed}: got {value!r}", field=where, got=value, allowed=allowed)
    return tuple(value)


def _changed(rule: DimensionRule, value: object) -> DimensionRule:
    where = f"dimensions.{rule.dimension}"
    table = table_of(value, where, ("sources", "names", "any_case"))
    any_case = table.get("any_case", rule.any_case)
    if not isinstance(any_case, bool):
        raise InputError(
            f"{where}.any_case is neither true nor false: got {any_case!r}", field=f"{where}.any_case", got=any_case, allowed="true, false"
        )
    sources = parse_sources(table["sources"], f"{where}.sources", rule.sources) if "sources" in table else rule.sources
    added = table_of(table.get("names", {}), f"{where}.names", None)
    for written, meant in added.items():
        if not isinstance(meant, str) or not meant.strip():
            at = f"{where}.names.{written}"
            raise InputError(f"{at} is not a name: got {meant!r}, allowed is text", field=at, got=meant, allowed="text")
    names = dict(rule.names) | {str(written): str(meant) for written, meant in added.items()}
    # Values are in lower case when they are looked up there.
    return replace(rule, sources=sources, any_case=any_case, names={key.lower(): name for key, name in names.items()} if any_case else names)


def _added_column(name: str, where: str) -> str:
    """The name of a vendor's own column; one that is nearly a FOCUS name is taken for a slip."""
    near = [] if name.lower().startswith("x_") else get_close_matches(name.lower(), [column.name.lower() for column in focus.COLUMNS], 1, 0.85)
    if near:
        meant = str(focus.canonical_name(near[0]))
        raise InputError(f"{where} names the column {name!r}, which FOCUS does not have; did you mean {meant}?", field=where, got=name, allowed=meant)
    return name
