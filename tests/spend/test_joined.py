"""Values that hold bars and backslashes: no two combinations of values have one name, and so no money of two series is summed as one."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.alerts import identity
from forecast.anomalies.incidents import incident_id
from forecast.spend.hierarchy import build_hierarchy
from forecast.spend.joined import join_values, series_name, series_name_sql, series_names, split_values
from forecast.spend.scope import Scope
from forecast.workflows.spikes import scope_values

VALUES = st.lists(st.text(alphabet="ab|\\,= é", min_size=1, max_size=6), min_size=1, max_size=4)
TABLES = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(VALUES.map(lambda v: v[0]), min_size=width, max_size=width), min_size=1, max_size=8)
)


@given(VALUES)
def test_what_was_joined_is_split_into_the_same_values(values: list[str]) -> None:
    assert split_values(join_values(values)) == tuple(values)


@given(TABLES)
def test_names_of_series_differ_where_values_do_and_are_the_same_in_pandas_and_in_the_ledgers_queries(rows: list[list[str]]) -> None:
    table = pd.DataFrame(rows, columns=[f"c{number}" for number in range(len(rows[0]))], dtype=object)
    names = series_names(table)
    assert names.tolist() == [series_name(row) for row in rows]
    assert names.nunique() == len({tuple(row) for row in rows})
    with duckdb.connect() as connection:
        connection.register("given", table)
        asked = connection.execute(f"SELECT {series_name_sql(list(table.columns))} AS name FROM given").df()
    assert sorted(asked["name"]) == sorted(names)


def test_leaves_whose_joined_values_read_alike_stay_apart() -> None:
    totals = pd.DataFrame({"provider": ["a|b", "a", "a\\"], "team": ["c", "b|c", "|b|c"], "total": [1.0, 2.0, 3.0]})
    hierarchy, ids = build_hierarchy(totals, ("provider", "team"), levels=((), ("team",)))
    assert (len(hierarchy.leaves), ids.nunique()) == (3, 3)
    assert hierarchy.aggregate(np.array([[1.0], [2.0], [4.0]])).sum() == pytest.approx(14.0)


@given(st.dictionaries(st.sampled_from(["team", "stage", "service!"]), VALUES.filter(all), min_size=1))
def test_an_incident_has_the_same_id_from_its_scope_and_from_the_values_it_shows(values: dict[str, list[str]]) -> None:
    scope, day = Scope.parse(values), date(2026, 12, 10)
    shown = scope_values(scope)
    assert Scope.parse({name: split_values(value) for name, value in shown.items()}) == scope
    if not any(clause.exclude for clause in scope.clauses):
        assert identity.scope_text(shown) == str(scope)
        assert identity.incident_id("spike", "up", shown, datetime(2026, 12, 10, tzinfo=UTC)) == incident_id("spike", "up", scope, day)


def test_one_value_with_a_bar_is_another_incident_than_two_values() -> None:
    one, two = ({"team": text} for text in (join_values(["ads|search"]), join_values(["ads", "search"])))
    assert identity.fingerprint("spike", "up", one) != identity.fingerprint("spike", "up", two)
