"""What counts as AI spend, as data: reading rules, putting one's own over the shipped ones, and refusing what cannot be used."""

from __future__ import annotations

import re
from typing import Any

import pytest

from forecast.errors import InputError
from forecast.spend.ai_rules import MOST_ABOUT_TAGS, AiRules, Condition, parse_ai_rules
from forecast.spend.dimension_rules import FromColumn, FromKey, parse_dimension_rules
from forecast.spend.rules import parse_rules

SHIPPED = """
[ai.fields]
provider = ["column:ProviderName"]
instance_type = ["column:SkuMeter", "SkuPriceDetails:InstanceType"]
service_name = ["column:ServiceName"]

[[ai.rules]]
name = "gpus"
why = "Machines with GPUs."
provider = ["AWS"]
instance_type = ["p5.*"]

[[ai.rules]]
name = "models"
why = "Model services."
service_name = ["*Bedrock*"]
"""


def rules(own: str | None = None) -> AiRules:
    return parse_rules(SHIPPED, own).ai


def names(own: str | None = None) -> list[str]:
    return [rule.name for rule in rules(own).rules]


def test_rules_are_read_in_their_order_with_all_conditions() -> None:
    first = rules().rules[0]
    assert names() == ["gpus", "models"]
    assert first.why == "Machines with GPUs."
    assert first.conditions == (Condition("provider", ("AWS",)), Condition("instance_type", ("p5.*",)))
    assert first.ai


def test_fields_say_which_columns_are_needed() -> None:
    assert rules().fields["instance_type"] == (FromColumn("SkuMeter"), FromKey("SkuPriceDetails", "InstanceType"))
    assert rules().columns() == ("ProviderName", "SkuMeter", "SkuPriceDetails", "ServiceName")
    assert "Tags" in rules('[[ai.rules]]\nname = "tagged"\ntags = ["ai=true"]').columns()


def test_own_rules_stand_before_the_shipped_ones() -> None:
    own = '[[ai.rules]]\nname = "ours"\nservice_name = ["Robots"]\n[[ai.rules]]\nname = "theirs"\nservice_name = ["Cobots"]'
    assert names(own) == ["ours", "theirs", "gpus", "models"]


def test_own_rule_with_a_shipped_name_stands_in_its_place() -> None:
    own = rules('[[ai.rules]]\nname = "models"\nservice_name = ["Only this"]')
    assert [rule.name for rule in own.rules] == ["gpus", "models"]
    assert own.rules[1].conditions == (Condition("service_name", ("Only this",)),)


def test_disabled_rules_are_gone() -> None:
    assert names('[ai]\ndisable = ["gpus"]') == ["models"]


def test_rule_may_say_that_something_is_not_ai() -> None:
    assert not rules('[[ai.rules]]\nname = "graphics"\nai = false\nservice_name = ["Studio"]').rules[0].ai


def test_field_can_look_at_more_than_it_ships_with() -> None:
    own = rules('[ai.fields]\ninstance_type = ["column:x_machine", "shipped"]')
    assert own.fields["instance_type"][0] == FromColumn("x_machine")
    assert own.fields["instance_type"][1:] == rules().fields["instance_type"]


def test_digest_changes_with_the_meaning_and_not_with_the_words() -> None:
    digest = parse_rules(SHIPPED).digest
    assert parse_rules(SHIPPED.replace("Machines with GPUs.", "Other words.") + "\n# a comment\n").digest == digest
    assert parse_rules(SHIPPED, "").digest == digest
    assert parse_rules(SHIPPED, '[ai]\ndisable = ["gpus"]').digest != digest
    assert parse_rules(SHIPPED, '[dimensions.team]\nsources = ["tag:squad"]').digest != digest


def test_digest_of_the_dimensions_does_not_change_with_ai_rules() -> None:
    before = parse_rules(SHIPPED)
    assert parse_rules(SHIPPED, '[ai]\ndisable = ["gpus"]').dimensions_digest == before.dimensions_digest
    assert parse_rules(SHIPPED, '[dimensions.team]\nsources = ["tag:squad"]').dimensions_digest != before.dimensions_digest


@pytest.mark.parametrize(
    ("own", "field", "words"),
    [
        ("[ai", "rules", "not TOML"),
        ("[spend]\na = 1", "rules.spend", "not known"),
        ("ai = 3", "ai", "not a table"),
        ("[ai]\nrule = []", "ai.rule", "not known"),
        ("[ai]\nrules = 3", "ai.rules", "not a list"),
        ('[ai]\ndisable = ["nothing"]', "ai.disable", "names no shipped rule"),
        ('[ai]\ndisable = "gpus"', "ai.disable", "not a list"),
        ('[[ai.rules]]\nname = "Bad name"\nservice_name = ["x"]', "ai.rules[0].name", "not a name"),
        ('[[ai.rules]]\nservice_name = ["x"]', "ai.rules[0].name", "not a name"),
        ('[[ai.rules]]\nname = "empty"', "ai.rules[0] (empty)", "no condition"),
        ('[[ai.rules]]\nname = "typo"\nservise_name = ["x"]', "ai.rules[0].servise_name", "not known"),
        ('[[ai.rules]]\nname = "text"\nservice_name = "x"', "ai.rules[0] (text).service_name", "not a list"),
        ('[[ai.rules]]\nname = "blank"\nservice_name = [" "]', "ai.rules[0] (blank).service_name", "not a list"),
        ('[[ai.rules]]\nname = "none"\nservice_name = []', "ai.rules[0] (none).service_name", "not a list"),
        ('[[ai.rules]]\nname = "maybe"\nai = "perhaps"\nservice_name = ["x"]', "ai.rules[0] (maybe).ai", "neither true nor false"),
        ('[[ai.rules]]\nname = "words"\nwhy = 3\nservice_name = ["x"]', "ai.rules[0] (words).why", "not text"),
        (
            '[[ai.rules]]\nname = "twice"\nsku = ["x"]\n[[ai.rules]]\nname = "twice"\nsku = ["x"]\n[ai.fields]\nsku = ["column:SkuId"]',
            "ai.rules",
            "twice",
        ),
        ('[[ai.rules]]\nname = "nowhere"\nsku = ["x"]', "ai.fields.sku", "where to look"),
        ('[[ai.rules]]\nname = "key"\ntags = ["true"]', "ai.rules[0] (key).tags", "not about a tag"),
        ("[[ai.rules]]\nname = \"open\"\nservice_name = ['re:(x']", "ai.rules[0] (open).service_name", "is not one"),
        ("[[ai.rules]]\nname = \"ahead\"\nservice_name = ['re:x(?=y)']", "ai.rules[0] (ahead).service_name", "the database cannot"),
        ("[[ai.rules]]\nname = \"back\"\nservice_name = ['re:(x)\\1']", "ai.rules[0] (back).service_name", "the database cannot"),
        ("[[ai.rules]]\nname = \"all\"\nservice_name = ['re:x*']", "ai.rules[0] (all).service_name", "match everything"),
        ('[[ai.rules]]\nname = "long"\nservice_name = ["' + "x" * 2001 + '"]', "ai.rules[0] (long).service_name", "2001 characters"),
        ('[ai.fields]\nservice_name = ["column:ServicName"]', "ai.fields.service_name", "did you mean ServiceName"),
        ('[ai.fields]\nservice_name = ["ServiceName"]', "ai.fields.service_name", "not one"),
        ('[ai.fields]\nservice_name = ["tag:service"]', "ai.fields.service_name", "looks at a tag"),
        ('[ai.fields]\ntags = ["tag:ai"]', "ai.fields.tags", "not known"),
    ],
)
def test_rules_that_cannot_be_used_are_refused_with_the_place(own: str, field: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        parse_rules(SHIPPED, own, "rules.toml")
    assert str(caught.value).startswith("rules.toml")
    assert caught.value.field == field


def test_rules_about_tags_have_a_bound() -> None:
    many = "".join(f'[[ai.rules]]\nname = "tagged-{number}"\ntags = ["ai={number}"]\n' for number in range(MOST_ABOUT_TAGS + 1))
    with pytest.raises(InputError, match="at most 60 rules with tags"):
        parse_rules(SHIPPED, many)


@pytest.mark.parametrize("value", [3, [], "ai", None])
def test_table_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="ai is not a table"):
        parse_ai_rules(value)


@pytest.mark.parametrize(
    ("condition", "text", "matches"),
    [
        (Condition("service_name", ("Amazon Bedrock*",)), "amazon bedrock agentcore", True),
        (Condition("service_name", ("Amazon Bedrock",)), "Amazon Bedrock Agents", False),
        (Condition("service_name", ("Bedrock",)), "Amazon Bedrock", False),
        (Condition("service_name", ("re:bedrock",)), "Amazon Bedrock Agents", True),
        (Condition("service_name", ("a.b",)), "axb", False),
        (Condition("service_name", ("x", "Bedrock?")), "Bedrock2", True),
        (Condition("service_name", ("one",)), "zero\none", True),
        (Condition("instance_type", ("p5.*",)), "USE1-BoxUsage:p5.48xlarge", True),
        (Condition("instance_type", ("p5.*",)), "BoxUsage:xp5.48xlarge", False),
        (Condition("instance_type", ("p5.large",)), "p5.larger", False),
        (Condition("instance_type", ("p5 *x",)), "a p5 4x b", True),
        (Condition("tags", ("ai=true",)), "team=search\nAI=True", True),
        (Condition("tags", ("ai=true",)), "not-ai=true", False),
        (Condition("tags", ("ai=*",)), "team=ai\nenv=prod", False),
        (Condition("tags", ("re:^(kind|type)=ai$",)), "type=AI\nb=1", True),
    ],
)
def test_patterns_match_whole_values_words_or_tags(condition: Condition, text: str, matches: bool) -> None:
    assert (re.search(condition.regex, text) is not None) is matches


# dimensions


def test_own_sources_of_a_dimension_stand_for_the_shipped_ones() -> None:
    changed = {rule.dimension: rule for rule in parse_dimension_rules({"team": {"sources": ["tag:squad", "TAG:team", "column:subaccountname"]}})}
    assert changed["team"].sources == (FromKey("Tags", "squad"), FromKey("Tags", "team"), FromColumn("SubAccountName"))
    assert changed["team"].any_case


def test_shipped_sources_can_be_kept_beside_own_ones() -> None:
    changed = {rule.dimension: rule for rule in parse_dimension_rules({"project": {"sources": ["tag:cost-object", "shipped"]}})}
    assert changed["project"].sources[0] == FromKey("Tags", "cost-object")
    assert FromKey("Tags", "project") in changed["project"].sources


def test_names_of_values_are_added_in_lower_case_where_case_does_not_count() -> None:
    changed = {rule.dimension: rule for rule in parse_dimension_rules({"stage": {"names": {"UAT": "test"}}})}
    assert changed["stage"].names["uat"] == "test"
    assert changed["stage"].names["staging"] == "test"


def test_case_can_be_told_apart() -> None:
    changed = {rule.dimension: rule for rule in parse_dimension_rules({"team": {"any_case": False}})}
    assert not changed["team"].any_case


def test_json_columns_are_sources_by_key() -> None:
    changed = {rule.dimension: rule for rule in parse_dimension_rules({"ai_model": {"sources": ["skupricedetails:Deployment"]}})}
    assert changed["ai_model"].sources == (FromKey("SkuPriceDetails", "Deployment"),)


@pytest.mark.parametrize(
    ("tables", "field", "words"),
    [
        ({"squad": {"sources": ["tag:squad"]}}, "dimensions.squad", "not a ready dimension"),
        ({"team": {"source": ["tag:squad"]}}, "dimensions.team.source", "not known"),
        ({"team": {"sources": "tag:squad"}}, "dimensions.team.sources", "not a list"),
        ({"team": {"sources": ["label:squad"]}}, "dimensions.team.sources", "not one"),
        ({"team": {"sources": ["tag:"]}}, "dimensions.team.sources", "not one"),
        ({"team": {"sources": ["ProviderName:x"]}}, "dimensions.team.sources", "not one"),
        ({"team": {"any_case": "yes"}}, "dimensions.team.any_case", "neither true nor false"),
        ({"team": {"names": {"a": 1}}}, "dimensions.team.names.a", "not a name"),
        ({"team": 1}, "dimensions.team", "not a table"),
        ([], "dimensions", "not a table"),
    ],
)
def test_dimension_rules_that_cannot_be_used_are_refused_with_the_place(tables: Any, field: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_dimension_rules(tables)
    assert caught.value.field == field
