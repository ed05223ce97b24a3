"""LiteLLM: requests by their id, and days whose lines add up to the day."""

from __future__ import annotations

import csv
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters import duck
from forecast.adapters.formats.litellm import LiteLLMDailyActivity, LiteLLMSpendLogs
from tests.adapters.formats.pages_for_tests import HOSTILE, found, read, sample, total, written


def request(number: int, **more: object) -> dict[str, Any]:
    return {
        "request_id": f"chatcmpl-{number}", "call_type": "acompletion", "api_key": "hash1", "spend": 0.000002, "total_tokens": 100,
        "prompt_tokens": 20, "completion_tokens": 80,
        "startTime": "2026-01-31T23:59:59.500Z", "endTime": "2026-02-01T00:00:02Z", "model": "gpt-4o", "model_group": "smart",
        "custom_llm_provider": "openai", "user": "ann", "end_user": "", "team_id": "t-1", "request_tags": ["job:nightly"], "metadata": {}, **more,
    }  # fmt: skip


def test_a_request_becomes_one_charge_line(tmp_path: Path) -> None:
    given = request(
        1, request_tags=["job:nightly", "plain", "a:b:c", 'x"|y: z ', "team:claimed"], metadata={"user_api_key_team_alias": "Ads", "cost": 1.5}
    )
    (row,) = read(LiteLLMSpendLogs(), written(tmp_path / "logs.json", given, layout="list"))
    assert (row["BilledCost"], row["BillingCurrency"], row["x_charge_id"]) == ("2e-06", "USD", "chatcmpl-1")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-01-31 23:59:59.5", "2026-02-01 00:00:02")
    assert str(row["BillingPeriodStart"]) == "2026-01-01 00:00:00"
    assert (row["ProviderName"], row["ServiceName"], row["ResourceId"], row["SubAccountId"]) == ("OpenAI", "OpenAI API", "hash1", "t-1")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["x_prompt_tokens"]) == ("100", "Tokens", "20")
    assert json.loads(row["SkuPriceDetails"]) == {"ModelId": "gpt-4o", "x_ModelGroup": "smart"}
    assert json.loads(row["Tags"]) == {"job": "nightly", "plain": "true", "a": "b:c", 'x"|y': "z", "team": "Ads", "user": "ann"}
    assert (LiteLLMSpendLogs().reading.mode, LiteLLMSpendLogs().reading.key) == ("merge", ("x_charge_id",))


@pytest.mark.parametrize("layout", ["lines", "list", "data", "csv", "parquet"])
def test_every_way_of_exporting_the_log_says_the_same(tmp_path: Path, layout: str) -> None:
    draw = random.Random(1)
    requests = [request(number, model=draw.choice(["gpt-4o", HOSTILE]), request_tags=[f"n:{number}", HOSTILE]) for number in range(50)]
    spends = [Decimal(draw.randrange(10**9)).scaleb(-12) for _ in requests]
    for given, spend in zip(requests, spends, strict=True):
        given["spend"] = float(spend)
    if layout in ("csv", "parquet"):
        with (tmp_path / "logs.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(requests[0])
            writer.writerows([[json.dumps(value) if isinstance(value, list | dict) else value for value in given.values()] for given in requests])
        if layout == "parquet":
            with duck.connect() as connection:
                duck.execute(
                    connection,
                    f"COPY (SELECT * REPLACE (CAST(request_tags AS JSON)::VARCHAR[] AS request_tags) FROM read_csv('{tmp_path}/logs.csv')) "
                    f"TO '{tmp_path}/logs.parquet' (FORMAT parquet)",
                )
        file = found(tmp_path / f"logs.{layout}")
    elif layout == "data":
        file = written(tmp_path / "logs.json", {"data": requests, "total": 50, "page": 1})
    else:
        file = written(tmp_path / "logs.json", *requests, layout=layout)
    assert LiteLLMSpendLogs().recognise(sample(file)) is not None
    rows = read(LiteLLMSpendLogs(), file)
    assert total(rows) == sum(spends)
    assert [row["x_charge_id"] for row in rows] == [given["request_id"] for given in requests]
    assert all(json.loads(row["Tags"])["n"] == str(number) for number, row in enumerate(rows))


def test_a_spend_keeps_the_digits_of_the_file(tmp_path: Path) -> None:
    text = json.dumps(request(1, spend="HERE")).replace('"HERE"', "123456.1234567890123456789")
    (row,) = read(LiteLLMSpendLogs(), written(tmp_path / "logs.ndjson", text))
    assert row["BilledCost"] == "123456.1234567890123456789"


def test_an_answer_from_the_cache_has_a_charge_period_of_a_second(tmp_path: Path) -> None:
    moment = "2026-01-05 10:00:00"
    rows = read(
        LiteLLMSpendLogs(), written(tmp_path / "a.json", request(1, startTime=moment, endTime=moment), request(2, endTime=None), layout="list")
    )
    assert (rows[0]["ChargePeriodStart"], rows[0]["ChargePeriodEnd"]) == ("2026-01-05 10:00:00", "2026-01-05 10:00:01")
    assert rows[1]["ChargePeriodEnd"] == "2026-02-01 00:00:00.5"


@pytest.mark.parametrize(
    ("model", "key", "provider", "ai_model"),
    [
        ("claude-x", "anthropic", "Anthropic", "claude-x"),
        ("azure/my-gpt", "azure", "Microsoft", "my-gpt"),
        ("bedrock/anthropic.claude", None, "AWS", "anthropic.claude"),
        ("meta-llama/Llama-3", "hosted_vllm", "hosted_vllm", "meta-llama/Llama-3"),
        ("m", None, "LiteLLM", "m"),
    ],
)
def test_the_provider_behind_the_proxy_is_named(tmp_path: Path, model: str, key: str | None, provider: str, ai_model: str) -> None:
    (row,) = read(LiteLLMSpendLogs(), written(tmp_path / "a.json", request(1, model=model, custom_llm_provider=key), layout="list"))
    assert row["ProviderName"] == row["PublisherName"] == row["InvoiceIssuerName"] == provider
    assert json.loads(row["SkuPriceDetails"])["ModelId"] == ai_model


def test_null_and_broken_fields_are_told_and_not_made_up(tmp_path: Path) -> None:
    given = request(1, spend=None, request_tags="not json", metadata="{broken", user=None, team_id=None, startTime="yesterday")
    (row,) = read(LiteLLMSpendLogs(), written(tmp_path / "a.json", given, layout="list"))
    assert (row["BilledCost"], row["Tags"], row["ChargePeriodStart"]) == (None, None, "yesterday")


def metrics(spend: object, tokens: int = 10) -> dict[str, Any]:
    return {"spend": spend, "prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens, "api_requests": 1}


def entry(spend: object, keys: dict[str, object] | None = None) -> dict[str, Any]:
    split = {key: {"metrics": metrics(part), "metadata": {"key_alias": f"alias {key}", "team_id": "t"}} for key, part in (keys or {}).items()}
    return {"metrics": metrics(spend), "metadata": {}, "api_key_breakdown": split}


def activity(*days: tuple[str, object, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    results = [{"date": day, "metrics": metrics(spend), "breakdown": {"mcp_servers": {}, **breakdown}} for day, spend, breakdown in days]
    return {"results": results, "metadata": {"total_spend": 1, "page": 1, "has_more": False}}


def lines(tmp_path: Path, *days: tuple[str, object, dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return read(LiteLLMDailyActivity(), written(tmp_path / "activity.json", activity(*days)))


def test_models_are_split_by_key_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    breakdown = {
        "models": {"gpt-4o": entry(0.3, {"k1": 0.1, HOSTILE: 0.2}), "openai/o3": entry(0.5)},
        "providers": {"openai": entry(0.8)},
        "api_keys": {"k1": entry(0.6), HOSTILE: entry(0.2)},
    }
    rows = lines(tmp_path, ("2026-01-31", 0.8, breakdown))
    assert [(json.loads(row["SkuPriceDetails"])["ModelId"], row["ResourceId"], row["BilledCost"]) for row in rows] == [
        ("gpt-4o", HOSTILE, "0.200000000000"), ("gpt-4o", "k1", "0.100000000000"), ("o3", None, "0.500000000000"),
    ]  # fmt: skip
    assert {row["ProviderName"] for row in rows} == {"OpenAI"}
    assert json.loads(rows[1]["Tags"]) == {"team": "t", "api_key_alias": "alias k1"}
    assert (rows[0]["ChargePeriodStart"], str(rows[0]["ChargePeriodEnd"])) == ("2026-01-31 00:00:00", "2026-02-01 00:00:00")
    assert LiteLLMDailyActivity().reading.mode == "replace"


def test_a_breakdown_that_adds_up_is_taken_before_one_that_says_more(tmp_path: Path) -> None:
    breakdown = {"models": {"gpt-4o": entry(0.3)}, "providers": {"openai": entry(0.3), "anthropic": entry(0.5)}}
    rows = lines(tmp_path, ("2026-01-31", 0.8, breakdown))
    assert {row["ProviderName"]: row["BilledCost"] for row in rows} == {"OpenAI": "0.300000000000", "Anthropic": "0.500000000000"}


def test_what_no_breakdown_explains_is_a_line_of_its_own(tmp_path: Path) -> None:
    breakdown = {"models": {"gpt-4o": entry(0.3, {"k1": 0.25})}, "providers": {"openai": entry(0.2)}}
    rows = lines(tmp_path, ("2026-01-31", 0.8, breakdown), ("2026-02-01", 0.4, {}), ("2026-02-02", 0, {}))
    assert [row["BilledCost"] for row in rows] == ["0.250000000000", "0.050000000000", "0.500000000000", "0.400000000000"]
    assert [row["SkuMeter"] for row in rows] == ["Requests", "Requests", "Not in any breakdown", "Not in any breakdown"]
    assert rows[2]["ProviderName"] == "LiteLLM"


def test_older_proxies_write_figures_without_metrics_inside(tmp_path: Path) -> None:
    flat = {"models": {"gpt-4o-mini": metrics(1.095e-05, 46)}, "providers": {"openai": metrics(1.095e-05)}}
    (row,) = lines(tmp_path, ("2026-01-31", 1.095e-05, flat))
    assert (Decimal(row["BilledCost"]), row["ConsumedQuantity"]) == (Decimal("0.00001095"), "46")


@pytest.mark.parametrize(
    ("model", "providers", "expected"),
    [
        ("gpt-4o", ("openai", "anthropic"), "OpenAI"),
        ("claude-x", ("openai", "anthropic"), "Anthropic"),
        ("claude-x", ("openai", "bedrock"), "AWS"),
        ("claude-x", ("anthropic", "bedrock"), "LiteLLM"),
        ("mine", ("openai", "anthropic"), "LiteLLM"),
        ("groq/mine", ("openai", "groq"), "Groq"),
    ],
)
def test_the_provider_of_a_model_is_named_only_where_one_can_be_meant(tmp_path: Path, model: str, providers: tuple[str, ...], expected: str) -> None:
    breakdown = {"models": {model: entry(1)}, "providers": {name: entry(0.25) for name in providers}}
    (row,) = lines(tmp_path, ("2026-01-31", 1, breakdown))
    assert row["ProviderName"] == expected


def test_the_lines_of_each_day_add_up_to_the_day_to_the_last_digit(tmp_path: Path) -> None:
    draw = random.Random(9)
    days, expected = [], {}
    for number in range(1, 29):
        models: dict[str, Any] = {}
        spend = 0.0
        for model in ("gpt-4o", "claude-x", HOSTILE):
            parts = {f"k{key}": draw.random() * 10 ** draw.randrange(-7, 3) for key in range(draw.randrange(4))}
            whole = sum(parts.values()) + (draw.random() if draw.random() < 0.3 else 0.0)
            models[model] = entry(whole, dict(parts))
            spend += whole
        spend += draw.choice([0.0, 0.0, 1.5, -0.25])
        day = f"2026-01-{number:02d}"
        expected[f"{day} 00:00:00"] = round(Decimal(repr(spend)), 12)
        days.append((day, spend, {"models": models, "providers": {"openai": entry(spend / 3)}}))
    rows = lines(tmp_path, *days)
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row["ChargePeriodStart"]] = sums.get(row["ChargePeriodStart"], Decimal(0)) + Decimal(row["BilledCost"])
    assert sums == expected
    assert len({row["x_charge_id"] for row in rows}) == len(rows)


def test_recognition_says_why_and_tells_the_two_apart(tmp_path: Path) -> None:
    daily = sample(written(tmp_path / "a.json", activity(("2026-01-31", 1, {}))))
    logs = sample(written(tmp_path / "b.json", request(1), layout="list"))
    assert LiteLLMDailyActivity().recognise(daily) == "its results have a `date`, `metrics` with `spend`, and a `breakdown`"
    assert LiteLLMSpendLogs().recognise(logs) == "it has request_id, spend and startTime, as LiteLLM_SpendLogs has"
    assert LiteLLMDailyActivity().recognise(logs) is None
    assert LiteLLMSpendLogs().recognise(daily) is None
