"""OpenAI's usage pages: counts split into meters without a token lost, each priced exactly or refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.openai_usage import OpenAIUsage
from forecast.adapters.formats.pricing import load_prices, shipped_prices
from tests.adapters.formats.pages_for_tests import HOSTILE, read, sample, total, written
from tests.adapters.formats.test_openai_costs import bucket, page


def completions(**counts: object) -> dict[str, Any]:
    return {"object": "organization.usage.completions.result", "model": "gpt-4o-2024-08-06", "batch": False, "project_id": None, **counts}


def oracle(result: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Meters and tokens of a completions result, one after the other."""

    def count(name: str) -> int:
        return int(result.get(name) or 0)

    split = result.get("input_text_tokens") is not None
    inside = count("input_audio_tokens") + count("input_image_tokens") if split else 0
    cached_inside = count("input_cached_audio_tokens") + count("input_cached_image_tokens") if split else 0
    output_inside = count("output_audio_tokens") + count("output_image_tokens") if split else 0
    yield "input", count("input_tokens") - count("input_cached_tokens") - count("input_cache_write_tokens") - inside
    yield "cached_input", count("input_cached_tokens") - cached_inside
    yield "cache_write", count("input_cache_write_tokens")
    yield "output", count("output_tokens") - output_inside
    yield "audio_input", count("input_audio_tokens")
    yield "cached_audio_input", count("input_cached_audio_tokens")
    yield "audio_output", count("output_audio_tokens")
    yield "image_input", count("input_image_tokens")
    yield "cached_image_input", count("input_cached_image_tokens")
    yield "image_output", count("output_image_tokens")


def test_a_result_becomes_one_line_for_each_kind_of_token(tmp_path: Path) -> None:
    given = completions(
        input_tokens=1000, input_cached_tokens=400, output_tokens=500, input_audio_tokens=0, num_model_requests=5, project_id="p|1", user_id="u"
    )
    rows = read(OpenAIUsage(), written(tmp_path / "usage.json", page(bucket(0, given))))
    lines = {row["SkuMeter"]: row for row in rows}
    assert {meter: row["ConsumedQuantity"] for meter, row in lines.items()} == {
        "Input Tokens": "600",
        "Cached Input Tokens": "400",
        "Output Tokens": "500",
    }
    row = lines["Input Tokens"]
    assert row["BilledCost"] == row["ListCost"] == Decimal("0.0015")
    assert (row["ListUnitPrice"], row["PricingUnit"], row["PricingQuantity"]) == (Decimal("2.5"), "1M Tokens", Decimal("0.0006"))
    assert (row["ConsumedUnit"], row["BillingCurrency"], row["SubAccountId"]) == ("Tokens", "USD", "p|1")
    assert row["x_priced_by"] == f"prices {shipped_prices().version}: OpenAI gpt-4o-2024-08-06 input 2.50 USD per 1M Tokens since 2024-08-06"
    assert row["x_refused"] is None
    assert json.loads(row["SkuPriceDetails"]) == {"ModelId": "gpt-4o-2024-08-06", "x_ServiceTier": "standard"}
    assert json.loads(row["Tags"]) == {"project": "p|1", "user": "u"}
    assert total(rows) == Decimal("0.0015") + Decimal("0.0005") + Decimal("0.005")
    assert len({row["x_charge_id"] for row in rows}) == 3


def test_all_tokens_of_all_media_are_there_once(tmp_path: Path) -> None:
    given = completions(
        model="gpt-image-1", input_tokens=1000, input_cached_tokens=400, input_cache_write_tokens=100, input_uncached_tokens=500, output_tokens=500,
        input_text_tokens=400, output_text_tokens=400, input_cached_text_tokens=300, input_audio_tokens=50, input_cached_audio_tokens=50,
        output_audio_tokens=50, input_image_tokens=50, input_cached_image_tokens=50, output_image_tokens=50,
    )  # fmt: skip
    rows = read(OpenAIUsage(), written(tmp_path / "usage.json", page(bucket(0, given))))
    assert total(rows, "ConsumedQuantity") == 1500
    assert {row["SkuMeter"]: row["ConsumedQuantity"] for row in rows}["Image Output Tokens"] == "50"
    refused = {row["SkuMeter"] for row in rows if row["x_refused"]}
    assert refused == {"Cache Write Tokens", "Audio Input Tokens", "Cached Audio Input Tokens", "Audio Output Tokens", "Output Tokens"}
    assert all((row["BilledCost"] is None) == (row["SkuMeter"] in refused) for row in rows)


@pytest.mark.parametrize("layout", ["lines", "list"])
def test_costs_are_those_of_a_plain_loop(tmp_path: Path, layout: str) -> None:
    draw = random.Random(11)
    pages, expected, refused = [], Decimal(0), 0
    for number in range(3):
        buckets = []
        for day in range(6):
            results = []
            for _ in range(draw.randrange(4)):
                tokens, cached = draw.randrange(10**10), draw.randrange(3)
                given = completions(
                    model=draw.choice(["gpt-4o", "gpt-5-mini-2025-08-07", "o4-mini", "gpt-9", HOSTILE, None]),
                    batch=draw.choice([True, False, None]), service_tier=draw.choice([None, "default", "flex"]),
                    input_tokens=tokens, input_cached_tokens=tokens * cached // 5, output_tokens=draw.randrange(10**9),
                    project_id=draw.choice([None, HOSTILE, "p"]), api_key_id=draw.choice([None, "k1", "k2"]),
                )  # fmt: skip
                results.append(given)
                batch, service = given["batch"], given["service_tier"]
                tier = "batch" if batch else "flex" if service == "flex" else "standard"
                when = datetime.fromtimestamp(bucket(number * 6 + day)["start_time"], UTC).date()
                for meter, count in oracle(given):
                    entry = shipped_prices().find("OpenAI", given["model"], meter, "Tokens", when, tier)
                    if count and entry is not None:
                        expected += count * entry.of_one
                    refused += bool(count) and entry is None
            buckets.append(bucket(number * 6 + day, *results))
        pages.append(page(*buckets))
    rows = read(OpenAIUsage(), written(tmp_path / "usage.json", *pages, layout=layout))
    assert total(rows) == expected > 0
    assert sum(row["x_refused"] is not None for row in rows) == refused > 0
    assert all((row["BilledCost"] is None) == (row["x_refused"] is not None) for row in rows)
    assert len({row["x_charge_id"] for row in rows}) == len(rows)
    assert all(str(row["x_refused"]).count("|") == 2 for row in rows if row["x_refused"])


@pytest.mark.parametrize(
    ("given", "meter", "quantity", "unit", "cost"),
    [
        (
            {"object": "organization.usage.embeddings.result", "model": "text-embedding-3-small", "input_tokens": 16},
            "Input Tokens",
            "16",
            "Tokens",
            "0.00000032",
        ),
        (
            {"object": "organization.usage.moderations.result", "model": "omni-moderation-latest", "input_tokens": 16},
            "Input Tokens",
            "16",
            "Tokens",
            "0",
        ),
        (
            {"object": "organization.usage.images.result", "model": "dall-e-2", "images": 2, "size": "512x512"},
            "Images 512x512",
            "2",
            "Images",
            "0.036",
        ),
        ({"object": "organization.usage.audio_speeches.result", "model": "tts-1", "characters": 45}, "Characters", "45", "Characters", "0.000675"),
        (
            {"object": "organization.usage.audio_transcriptions.result", "model": "whisper-1", "seconds": 20},
            "Transcription Seconds",
            "20",
            "Seconds",
            "0.002",
        ),
        (
            {"object": "organization.usage.vector_stores.result", "usage_bytes": 2500000001},
            "Vector Storage",
            "2.500000001",
            "GB-days",
            "0.2500000001",
        ),
        ({"object": "organization.usage.code_interpreter_sessions.result", "num_sessions": 3}, "Code Interpreter Sessions", "3", "Sessions", "0.09"),
    ],
)
def test_other_kinds_of_usage_are_priced_by_what_they_count(
    tmp_path: Path, given: dict[str, Any], meter: str, quantity: str, unit: str, cost: str
) -> None:
    (row,) = read(OpenAIUsage(), written(tmp_path / "usage.json", page(bucket(0, given))))
    assert (row["SkuMeter"], row["ConsumedQuantity"], row["ConsumedUnit"], row["x_refused"]) == (meter, quantity, unit, None)
    assert row["BilledCost"] == Decimal(cost)


def test_usage_that_cannot_be_priced_is_refused_and_never_nothing(tmp_path: Path) -> None:
    results = [
        completions(model=None, input_tokens=5),
        {"object": "organization.usage.images.result", "model": "dall-e-3", "images": 1, "size": "1024x1024"},
        {"object": "organization.usage.dreams.result", "dreams": 7},
        completions(input_tokens="many"),
        completions(input_tokens=5, input_cached_tokens=9),
    ]
    rows = read(OpenAIUsage(), written(tmp_path / "usage.json", page(bucket(0, *results))))
    assert [row["x_refused"] is not None for row in rows] == [True, True, True, True, False, True]
    assert "group_by=model" in str(rows[0]["x_refused"])
    assert "organization.usage.dreams.result are not known" in str(rows[2]["x_refused"])


def test_usage_of_no_said_tier_is_standard_and_says_so(tmp_path: Path) -> None:
    (row,) = read(OpenAIUsage(), written(tmp_path / "usage.json", page(bucket(0, completions(batch=None, input_tokens=5)))))
    assert str(row["x_priced_by"]).endswith("since 2024-08-06 (no tier given: standard)")


def test_storage_in_buckets_of_an_hour_is_refused(tmp_path: Path) -> None:
    hour = {**bucket(0, {"object": "organization.usage.vector_stores.result", "usage_bytes": 10}), "end_time": bucket(0)["start_time"] + 3600}
    (row,) = read(OpenAIUsage(), written(tmp_path / "usage.json", page(hour)))
    assert "not whole days" in str(row["x_refused"])


def test_restated_usage_has_the_same_identity(tmp_path: Path) -> None:
    first = read(OpenAIUsage(), written(tmp_path / "a.json", page(bucket(0, completions(input_tokens=5, output_tokens=1)))))
    again = read(OpenAIUsage(), written(tmp_path / "b.json", page(bucket(0, completions(input_tokens=9, output_tokens=2)))))
    assert [row["x_charge_id"] for row in first] == [row["x_charge_id"] for row in again]
    assert OpenAIUsage().reading.key == ("x_charge_id",)


def test_prices_of_the_users_own_reach_the_format(tmp_path: Path) -> None:
    prices = tmp_path / "ours.csv"
    prices.write_text("provider,model,meter,unit,price,currency,valid_from\nOpenAI,gpt-4o,input,1M Tokens,1.00,USD,2025-01-01\n", encoding="utf-8")
    (row,) = read(OpenAIUsage(load_prices(prices)), written(tmp_path / "a.json", page(bucket(0, completions(input_tokens=5)))))
    assert row["BilledCost"] == Decimal("0.000005")
    assert str(row["x_priced_by"]).startswith("prices ours.csv 2025-01-01: OpenAI gpt-4o input")


def test_recognition_says_why_and_leaves_cost_pages_alone(tmp_path: Path) -> None:
    reason = OpenAIUsage().recognise(sample(written(tmp_path / "a.json", page(bucket(0, completions())))))
    assert reason == "its results are `organization.usage.….result`, counts without money"
    assert OpenAIUsage().recognise(sample(written(tmp_path / "b.json", page(bucket(0))))) is None
    assert OpenAIUsage().recognise(sample(written(tmp_path / "c.json", page(bucket(0, {"object": "organization.costs.result"}))))) is None
