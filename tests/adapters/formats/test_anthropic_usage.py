"""Anthropic's usage reports: one priced line for each kind of token."""

from __future__ import annotations

import json
import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.anthropic_usage import AnthropicUsage
from forecast.adapters.formats.pricing import shipped_prices
from tests.adapters.formats.pages_for_tests import HOSTILE, read, sample, total, written
from tests.adapters.formats.test_anthropic_cost import bucket, page


def messages(**more: object) -> dict[str, Any]:
    return {
        "uncached_input_tokens": 1500, "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200, "output_tokens": 500, "server_tool_use": {"web_search_requests": 10}, "api_key_id": "apikey_1",
        "workspace_id": "wrkspc_1", "model": "claude-sonnet-4-20250514", "service_tier": "standard", "context_window": "0-200k", **more,
    }  # fmt: skip


def counts(result: dict[str, Any]) -> dict[str, int]:
    written_to_cache = result["cache_creation"] or {}
    return {
        "input": result["uncached_input_tokens"] or 0,
        "cache_write_5m": written_to_cache.get("ephemeral_5m_input_tokens") or 0,
        "cache_write_1h": written_to_cache.get("ephemeral_1h_input_tokens") or 0,
        "cached_input": result["cache_read_input_tokens"] or 0,
        "output": result["output_tokens"] or 0,
        "web_searches": (result["server_tool_use"] or {}).get("web_search_requests") or 0,
    }


def test_a_result_becomes_one_line_for_each_kind_of_token(tmp_path: Path) -> None:
    rows = read(AnthropicUsage(), written(tmp_path / "usage.json", page(bucket(1, messages()))))
    costs = {row["SkuMeter"]: row["BilledCost"] for row in rows}
    assert costs == {
        "Input Tokens": Decimal("0.0045"), "5m Cache Write Tokens": Decimal("0.001875"), "1h Cache Write Tokens": Decimal("0.006"),
        "Cached Input Tokens": Decimal("0.00006"), "Output Tokens": Decimal("0.0075"), "Web Searches": Decimal("0.1"),
    }  # fmt: skip
    row = next(row for row in rows if row["SkuMeter"] == "Input Tokens")
    assert row["x_priced_by"] == f"prices {shipped_prices().version}: Anthropic claude-sonnet-4 input 3.00 USD per 1M Tokens since 2025-05-14"
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["ResourceId"]) == ("1500", "Tokens", "apikey_1")
    assert json.loads(row["Tags"]) == {"project": "wrkspc_1", "workspace": "wrkspc_1"}
    assert len({row["x_charge_id"] for row in rows}) == 6


@pytest.mark.parametrize(
    ("more", "cost"),
    [
        ({"service_tier": "batch"}, "0.00225"),
        ({"context_window": "200k-1M"}, "0.009"),
        ({"model": "claude-opus-4-6", "inference_geo": "us"}, "0.00825"),
        ({"model": "claude-opus-4-6", "inference_geo": "global"}, "0.0075"),
        ({"model": "claude-opus-4-6", "inference_geo": "us", "service_tier": "batch"}, "0.004125"),
        ({"service_tier": "priority"}, None),
        ({"model": "claude-opus-4-6", "speed": "fast"}, None),
        ({"model": None}, None),
        ({"model": HOSTILE}, None),
    ],
)
def test_tier_context_and_geography_have_prices_of_their_own_or_none(tmp_path: Path, more: dict[str, Any], cost: str | None) -> None:
    april = {**bucket(1, messages(**more)), "starting_at": "2026-04-01T00:00:00Z", "ending_at": "2026-04-02T00:00:00Z"}
    rows = read(AnthropicUsage(), written(tmp_path / "usage.json", page(april)))
    row = next(row for row in rows if row["SkuMeter"] == "Input Tokens")
    assert row["BilledCost"] == (Decimal(cost) if cost else None)
    assert (row["x_refused"] is None) == (cost is not None)
    assert total([row for row in rows if row["SkuMeter"] == "Web Searches"]) == Decimal("0.1")


def test_costs_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    draw = random.Random(2)
    pages, expected, refused = [], Decimal(0), 0
    for number in range(3):
        buckets = []
        for day in range(1, 9):
            results = []
            for _ in range(draw.randrange(4)):
                given = messages(
                    model=draw.choice(["claude-opus-4-1-20250805", "claude-haiku-4-5", "claude-none", None]),
                    service_tier=draw.choice([None, "standard", "batch", "priority"]), context_window=draw.choice([None, "0-200k", "200k-1M"]),
                    uncached_input_tokens=draw.randrange(10**10), output_tokens=draw.choice([0, None, 5]), workspace_id=draw.choice([None, HOSTILE]),
                    cache_creation=draw.choice([None, {"ephemeral_1h_input_tokens": 7, "ephemeral_5m_input_tokens": 0}]),
                    server_tool_use=draw.choice([None, {"web_search_requests": draw.randrange(9)}]),
                )  # fmt: skip
                results.append(given)
                for meter, count in counts(given).items():
                    search = meter == "web_searches"
                    when, tier = date(2026, 1, number * 9 + day), None if search else given["service_tier"]
                    unit = "Requests" if search else "Tokens"
                    entry = shipped_prices().find("Anthropic", given["model"], meter, unit, when, tier, given["context_window"])
                    if count and entry is not None:
                        expected += count * entry.of_one
                    refused += bool(count) and entry is None
            buckets.append(bucket(number * 9 + day, *results))
        pages.append(page(*buckets))
    rows = read(AnthropicUsage(), written(tmp_path / "usage.json", *pages, layout="list"))
    assert total(rows) == expected > 0
    assert sum(row["x_refused"] is not None for row in rows) == refused > 0
    assert len({row["x_charge_id"] for row in rows}) == len(rows)


def test_recognition_says_why_and_leaves_cost_reports_alone(tmp_path: Path) -> None:
    format = AnthropicUsage()
    assert "`uncached_input_tokens`" in str(format.recognise(sample(written(tmp_path / "a.json", page(bucket(1, messages()))))))
    assert format.recognise(sample(written(tmp_path / "b.json", page(bucket(1, {"amount": "1", "currency": "USD"}))))) is None
    assert format.recognise(sample(written(tmp_path / "c.json", page(bucket(1))))) is None
