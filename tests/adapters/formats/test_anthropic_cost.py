"""Anthropic's cost reports: cents become dollars without losing a digit."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.anthropic_cost import AnthropicCost
from tests.adapters.formats.pages_for_tests import HOSTILE, read, sample, total, written


def result(amount: object = "123.45", **more: object) -> dict[str, Any]:
    empty = dict.fromkeys(("workspace_id", "description", "cost_type", "model", "token_type", "service_tier", "context_window"))
    return {"currency": "USD", "amount": amount, **empty, **more}


def bucket(day: int, *results: dict[str, Any]) -> dict[str, Any]:
    return {"starting_at": f"2026-01-{day:02d}T00:00:00Z", "ending_at": f"2026-01-{day + 1:02d}T00:00:00Z", "results": list(results)}


def page(*buckets: dict[str, Any]) -> dict[str, Any]:
    return {"data": list(buckets), "has_more": False, "next_page": None}


def test_a_result_becomes_one_charge_line_in_dollars(tmp_path: Path) -> None:
    given = result(
        "123.78912", workspace_id="wrkspc_1", description="Sonnet 4, Input Tokens", cost_type="tokens", model="claude-sonnet-4-20250514",
        token_type="cache_creation.ephemeral_1h_input_tokens", service_tier="batch", context_window="0-200k", inference_geo="us",
    )  # fmt: skip
    (row,) = read(AnthropicCost(), written(tmp_path / "cost.json", page(bucket(31 - 1, given))))
    assert row["BilledCost"] == row["EffectiveCost"] == "1.2378912"
    assert (row["BillingCurrency"], row["ProviderName"], row["ServiceName"]) == ("USD", "Anthropic", "Claude API")
    assert (row["ChargePeriodStart"], str(row["BillingPeriodEnd"])) == ("2026-01-30 00:00:00", "2026-02-01 00:00:00")
    assert (row["SkuMeter"], row["SubAccountId"], row["RegionId"]) == ("1h Cache Write Tokens", "wrkspc_1", "us")
    assert json.loads(row["SkuPriceDetails"]) == {"ModelId": "claude-sonnet-4-20250514", "x_ServiceTier": "batch", "x_ContextWindow": "0-200k"}
    assert json.loads(row["Tags"]) == {"project": "wrkspc_1", "workspace": "wrkspc_1"}


@pytest.mark.parametrize(
    ("cents", "dollars"),
    [
        ("0", "0.00"), ("5", "0.05"), ("50", "0.50"), ("123", "1.23"), ("-7.5", "-0.075"), ("0.000000000000000001", "0.00000000000000000001"),
        ("123456789012345678901234567890.5", "1234567890123456789012345678.905"), ("0012", "0.12"), ("12.", "0.12"), ("1e-2", "0.0001"),
        ("1,000", "1,000"), ("free", "free"), (123.5, "1.235"), (None, None),
    ],
)  # fmt: skip
def test_cents_become_dollars_digit_by_digit(tmp_path: Path, cents: object, dollars: str | None) -> None:
    (row,) = read(AnthropicCost(), written(tmp_path / "cost.json", page(bucket(1, result(cents)))))
    if dollars is None or "e" in dollars or "," in dollars:
        assert row["BilledCost"] == dollars
    else:
        assert Decimal(row["BilledCost"]) == Decimal(dollars)


@pytest.mark.parametrize("layout", ["lines", "list"])
def test_sums_are_exact_over_several_pages_and_empty_buckets(tmp_path: Path, layout: str) -> None:
    draw = random.Random(5)
    pages, expected, count = [], Decimal(0), 0
    for number in range(3):
        buckets = []
        for day in range(1, 9):
            results = []
            for _ in range(draw.randrange(5)):
                cents = Decimal(draw.randrange(10**14)).scaleb(-draw.randrange(12))
                expected, count = expected + cents / 100, count + 1
                results.append(result(f"{cents:f}", workspace_id=draw.choice([None, "w", HOSTILE]), description=draw.choice([None, HOSTILE])))
            buckets.append(bucket(number * 9 + day, *results))
        pages.append(page(*buckets))
    rows = read(AnthropicCost(), written(tmp_path / "cost.json", *pages, layout=layout))
    assert total(rows) == expected
    assert len(rows) == count == len({row["x_charge_id"] for row in rows})


def test_costs_that_are_not_tokens_are_meters_of_their_own(tmp_path: Path) -> None:
    kinds = ["web_search", "code_execution", "session_usage", "dream_hours", None]
    rows = read(AnthropicCost(), written(tmp_path / "cost.json", page(bucket(1, *(result(cost_type=kind) for kind in kinds)))))
    assert [row["SkuMeter"] for row in rows] == ["Web Searches", "Code Execution", "Session Usage", "dream_hours", None]


def test_restated_days_keep_their_identity_and_equal_results_both_count(tmp_path: Path) -> None:
    first = read(AnthropicCost(), written(tmp_path / "a.json", page(bucket(1, result("1"), result("1")))))
    again = read(AnthropicCost(), written(tmp_path / "b.json", page(bucket(1, result("2"), result("3")))))
    assert [row["x_charge_id"] for row in first] == [row["x_charge_id"] for row in again]
    assert len({row["x_charge_id"] for row in first}) == 2
    assert AnthropicCost().reading.mode == "merge"


def test_recognition_says_why_and_leaves_usage_reports_alone(tmp_path: Path) -> None:
    format = AnthropicCost()
    assert "an `amount` (in cents)" in str(format.recognise(sample(written(tmp_path / "a.json", page(bucket(1, result()))))))
    empty = written(tmp_path / "b.json", page(bucket(1)))
    assert format.recognise(sample(empty)) is not None
    assert read(format, empty) == []
    assert format.recognise(sample(written(tmp_path / "c.json", page(bucket(1, {"uncached_input_tokens": 1}))))) is None
    assert format.recognise(sample(written(tmp_path / "d.json", {"object": "page", "data": [], "results": []}))) is None
