"""The specification as data, and the rules that make dimensions of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import forecast
from forecast.spend import focus
from forecast.spend.dimension_rules import BY_DIMENSION, RULES, FromColumn, FromKey
from forecast.spend.dimensions import DIMENSIONS


@pytest.mark.parametrize(("version", "columns"), [("1.0", 43), ("1.1", 50), ("1.2", 57), ("1.3", 65)])
def test_each_version_has_as_many_columns_as_the_specification_lists(version: str, columns: int) -> None:
    assert len(focus.columns_of(version)) == columns


def test_columns_are_unique_and_in_the_order_of_the_specification() -> None:
    names = [column.name for column in focus.COLUMNS]
    assert names == sorted(set(names))


def test_required_columns_are_mandatory_ones() -> None:
    assert all(focus.BY_NAME[name].mandatory for name in focus.REQUIRED)
    assert sum(column.mandatory for column in focus.COLUMNS) == 23


def test_column_names_are_known_whatever_their_case() -> None:
    assert focus.canonical_name(" billedcost ") == "BilledCost"
    assert focus.canonical_name("x_Anything") is None


def test_version_is_the_first_that_knows_all_columns() -> None:
    assert focus.version_of(["BilledCost", "x_Own"]) == "1.0"
    assert focus.version_of(["BilledCost", "SkuMeter"]) == "1.1"
    assert focus.version_of(["SkuMeter", "InvoiceId"]) == "1.2"
    assert focus.version_of(["InvoiceId", "HostProviderName"]) == "1.3"


def test_missing_columns_are_told_apart_by_whether_a_row_needs_them() -> None:
    names = set(focus.REQUIRED) - {"BilledCost"}
    assert focus.missing_required(names) == ("BilledCost",)
    assert "ListCost" in focus.missing_mandatory(names)
    assert "BilledCost" not in focus.missing_mandatory(names)


def test_columns_of_a_later_version_are_not_missed_in_an_earlier_one() -> None:
    assert "HostProviderName" not in focus.missing_mandatory(["BilledCost", "InvoiceId"])
    assert "HostProviderName" in focus.missing_mandatory(["BilledCost", "ContractApplied"])


def test_columns_that_the_version_advises_against_are_not_missed() -> None:
    assert "PublisherName" in focus.missing_mandatory(["BilledCost"])
    assert "PublisherName" not in focus.missing_mandatory(["BilledCost", "ServiceProviderName"])


def test_a_required_column_that_was_replaced_has_a_substitute_of_the_version_that_replaced_it() -> None:
    for name, substitute in focus.SUBSTITUTES.items():
        assert focus.BY_NAME[name].deprecated == focus.BY_NAME[substitute].since
        assert name in focus.REQUIRED


def test_every_column_has_a_constant_by_which_code_names_it() -> None:
    constants = {value for name, value in vars(focus).items() if name.isupper() and isinstance(value, str)}
    assert set(focus.BY_NAME) <= constants


def test_every_dimension_has_one_rule_in_the_order_of_the_dimensions() -> None:
    assert tuple(rule.dimension for rule in RULES) == DIMENSIONS
    assert set(BY_DIMENSION) == set(DIMENSIONS)


def test_rules_only_read_columns_that_the_specification_knows_or_that_vendors_add() -> None:
    for rule in RULES:
        for source in rule.sources:
            if isinstance(source, FromKey):
                assert focus.BY_NAME[source.column].kind == "json"
            if isinstance(source, FromColumn):
                assert source.column in focus.BY_NAME or source.column.startswith("x_")


def test_stage_names_are_lower_case_and_mean_three_stages() -> None:
    names = BY_DIMENSION["stage"].names
    assert all(name == name.lower() for name in names)
    assert set(names.values()) == {"dev", "test", "prod"}


def test_ledger_names_no_focus_column_itself() -> None:
    adapters = Path(forecast.__file__).parent / "adapters"
    files = [path for path in adapters.glob("*.py") if path.name.startswith(("ledger", "focus", "ingest"))]
    assert files
    quoted = re.compile("[\"'](" + "|".join(focus.BY_NAME) + ")[\"']")
    assert {path.name: quoted.findall(path.read_text()) for path in files} == {path.name: [] for path in files}
