"""What is said about a bill: the share taken as AI, the largest lines left out, and tag coverage, in SQL over the ledger's columns."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pytest

from forecast.adapters import duck
from forecast.adapters.ai_summary import ai_summary, coverage_sql, left_out_sql
from forecast.adapters.duck import execute
from forecast.spend.coverage import tag_coverage
from forecast.spend.dimensions import UNKNOWN

Charge = tuple[str | None, str, str, str, str, str | None, str, str]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duck.connect(threads=2)
    execute(
        opened,
        "CREATE TABLE charges (ai_rule VARCHAR, provider VARCHAR, service VARCHAR, team VARCHAR, sku VARCHAR, ChargeDescription VARCHAR, "
        "EffectiveCost DECIMAL(38, 12), BilledCost DECIMAL(38, 12))",
    )
    yield opened
    opened.close()


def given(connection: duckdb.DuckDBPyConnection, *charges: Charge) -> None:
    for charge in charges:
        execute(connection, "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?::DECIMAL(38, 12), ?::DECIMAL(38, 12))", list(charge))


def test_summary_tells_the_share_of_money_and_the_rules_behind_it(connection: duckdb.DuckDBPyConnection) -> None:
    given(
        connection,
        ("gpus", "AWS", "EC2", "ads", "p5", "p5 hours", "60.000000000001", "50"),
        ("llm", "OpenAI", "API", "ads", "gpt", "tokens", "20", "20"),
        ("gpus", "AWS", "EC2", UNKNOWN, "p5", "credit", "-10", "-10"),
        (None, "AWS", "S3", "ads", "s3", "storage", "10", "20"),
    )
    summary = ai_summary(connection, "charges")
    assert (summary.rows, summary.ai_rows) == (4, 3)
    assert (summary.effective_cost, summary.ai_effective_cost) == (Decimal("80.000000000001"), Decimal("70.000000000001"))
    assert (summary.billed_cost, summary.ai_billed_cost) == (Decimal(80), Decimal(60))
    assert summary.effective_share == pytest.approx(90 / 100)
    assert summary.billed_share == pytest.approx(80 / 100)
    assert list(summary.by_rule.items()) == [("gpus", Decimal("50.000000000001")), ("llm", Decimal(20))]


def test_largest_lines_left_out_are_grouped_by_sku_and_without_one_by_description(connection: duckdb.DuckDBPyConnection) -> None:
    given(
        connection,
        (None, "AWS", "S3", "ads", "s3", "storage in Ohio", "10", "10"),
        (None, "AWS", "S3", "ads", "s3", "storage in Oregon", "10", "10"),
        (None, "Zoom", "Meetings", "ads", UNKNOWN, "seats", "15", "15"),
        (None, "Zoom", "Meetings", "ads", UNKNOWN, "rooms", "1", "1"),
        (None, "AWS", "Plans", "ads", "plan", "fee", "0", "100"),
        (None, "AWS", "Plans", "ads", "refund", "refund", "-30", "-30"),
        ("gpus", "AWS", "EC2", "ads", "p5", "p5 hours", "1000", "1000"),
    )
    found = [(line.service, line.sku, line.description, line.rows, line.effective_cost) for line in ai_summary(connection, "charges").left_out]
    assert found == [
        ("Plans", "plan", "fee", 1, Decimal(0)),
        ("Plans", "refund", "refund", 1, Decimal(-30)),
        ("S3", "s3", None, 2, Decimal(20)),
        ("Meetings", UNKNOWN, "seats", 1, Decimal(15)),
        ("Meetings", UNKNOWN, "rooms", 1, Decimal(1)),
    ]


def test_ten_lines_are_left_out_unless_more_are_asked_for(connection: duckdb.DuckDBPyConnection) -> None:
    given(connection, *((None, "P", "S", "t", f"sku-{number:02d}", None, str(number + 1), "0") for number in range(15)))
    summary = ai_summary(connection, "charges")
    assert [line.sku for line in summary.left_out] == [f"sku-{number:02d}" for number in range(14, 4, -1)]
    assert len(execute(connection, left_out_sql("charges", 12))) == 12


def test_bill_of_nothing_has_no_share(connection: duckdb.DuckDBPyConnection) -> None:
    empty = ai_summary(connection, "charges")
    assert (empty.rows, empty.effective_cost, empty.effective_share, empty.by_rule, empty.left_out) == (0, Decimal(0), None, {}, ())
    given(connection, (None, "P", "S", "t", "s", None, "0", "0"))
    assert ai_summary(connection, "(SELECT * FROM charges)").billed_share is None


def test_coverage_in_sql_is_that_of_the_frame(connection: duckdb.DuckDBPyConnection) -> None:
    generator = np.random.default_rng(5)
    for _ in range(60):
        team = str(generator.choice(["ads", "maps", UNKNOWN, ""]))
        cost = str(round(float(generator.normal(5, 10)), 4))
        given(connection, (None, str(generator.choice(["AWS", UNKNOWN])), "S", team, UNKNOWN, None, cost, cost))
    names = ("provider", "team", "service", "sku")
    frame = connection.sql("SELECT provider, team, service, sku, CAST(EffectiveCost AS DOUBLE) AS cost FROM charges").df()
    in_sql = connection.sql(coverage_sql("charges", names)).df().astype({"known": float, "unknown": float})
    pd.testing.assert_frame_equal(in_sql, tag_coverage(frame, names), check_dtype=False)


def test_coverage_of_no_money_is_null(connection: duckdb.DuckDBPyConnection) -> None:
    assert execute(connection, coverage_sql("charges", ("team",))) == [("team", Decimal(0), Decimal(0), None)]
