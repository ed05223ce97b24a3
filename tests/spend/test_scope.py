"""Scopes: one text for one filter."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.spend.scope import Clause, Scope, unknown_value

VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).map(str.strip).filter(bool)


def test_order_of_writing_does_not_matter() -> None:
    assert Scope.parse("team=search,stage!=dev") == Scope.parse({"stage!": "dev", "team": "search"})
    assert str(Scope.parse("stage=prod,team=b|a")) == "stage=prod,team=a|b"


def test_empty_is_the_whole_company() -> None:
    assert Scope.parse("").is_company
    assert Scope.parse(None) == Scope()
    assert Scope.parse("team=search").as_values() == {"team": "search"}
    assert Scope.parse("team!=search").as_values() is None


@given(st.dictionaries(st.sampled_from(["team", "service", "cost-centre", "ai_model"]), st.lists(VALUES, min_size=1, max_size=3), max_size=3))
def test_text_reads_back_as_the_same_scope(values: dict[str, list[str]]) -> None:
    scope = Scope.parse(values)
    assert Scope.parse(str(scope)) == scope


@pytest.mark.parametrize("text", ["team", "team=", "=x", "team=a,team=b", "te am=a", "team=|"])
def test_what_is_not_a_filter_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Scope.parse(text)
    assert caught.value.field == "scope"


def test_an_unknown_value_suggests_the_nearest() -> None:
    error = unknown_value("team", "serch", ["search", "ads", "Research"])
    assert error.suggestions[0] == "search"
    assert "search" in str(error)


def test_clause_text_escapes_its_separators() -> None:
    assert str(Clause("team", ("a,b|c",))) == r"team=a\,b\|c"


def test_copy_of_a_scope_takes_no_hash_along_because_another_process_has_others() -> None:
    scope = Scope.parse("team=ads,stage!=dev")
    assert hash(scope) == hash(Scope.parse(str(scope)))
    assert vars(copy.copy(scope)) == {"clauses": scope.clauses}
