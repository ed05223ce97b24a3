"""OpenAI's cost pages: every amount with every digit, several pages, empty buckets, restated days."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.openai_costs import OpenAICosts
from tests.adapters.formats.pages_for_tests import HOSTILE, read, sample, total, written

DAY = 86400
START = 1767225600  # 2026-01-01


def result(value: object = 0.06, **more: object) -> dict[str, Any]:
    return {
        "object": "organization.costs.result", "amount": {"value": value, "currency": "usd"}, "line_item": None, "project_id": None, **more
    }  # fmt: skip


def bucket(day: int, *results: dict[str, Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": START + day * DAY, "end_time": START + (day + 1) * DAY, "results": list(results)}


def page(*buckets: dict[str, Any]) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None}


def test_a_result_becomes_one_charge_line(tmp_path: Path) -> None:
    given = result(
        0.25, line_item="gpt-4o-2024-08-06, cached input", project_id="proj_1", project_name=HOSTILE, organization_id="org-1", api_key_id="key_1",
        quantity=200000,
    )  # fmt: skip
    (row,) = read(OpenAICosts(), written(tmp_path / "costs.json", page(bucket(31, given))))
    assert row["BilledCost"] == row["EffectiveCost"] == "0.25"
    assert row["BillingCurrency"] == "USD"
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-02-01 00:00:00", "2026-02-02 00:00:00")
    assert (str(row["BillingPeriodStart"]), str(row["BillingPeriodEnd"])) == ("2026-02-01 00:00:00", "2026-03-01 00:00:00")
    assert (row["ProviderName"], row["ServiceName"], row["ServiceCategory"]) == ("OpenAI", "OpenAI API", "AI and Machine Learning")
    assert (row["BillingAccountId"], row["SubAccountId"], row["SubAccountName"], row["ResourceId"]) == ("org-1", "proj_1", HOSTILE, "key_1")
    assert (row["SkuMeter"], row["ConsumedQuantity"], row["ConsumedUnit"]) == ("Cached Input Tokens", "200000", "Tokens")
    assert json.loads(row["SkuPriceDetails"]) == {"ModelId": "gpt-4o-2024-08-06"}
    assert json.loads(row["Tags"]) == {"project": HOSTILE}
    assert str(row["x_charge_id"]).startswith("openai-costs:")


@pytest.mark.parametrize("number", ["0.1234567890123456789", "1e-05", "123456789012.123456789012", "0.1000", "-0.5", "7", '"0.30"'])
def test_an_amount_keeps_the_digits_of_the_file(tmp_path: Path, number: str) -> None:
    text = json.dumps(page(bucket(0, result("HERE")))).replace('"HERE"', number)
    (row,) = read(OpenAICosts(), written(tmp_path / "costs.json", text))
    assert row["BilledCost"] == number.strip('"')


@pytest.mark.parametrize("layout", ["one", "lines", "list"])
def test_sums_are_exact_over_several_pages_and_empty_buckets(tmp_path: Path, layout: str) -> None:
    draw = random.Random(3)
    pages, expected, count = [], Decimal(0), 0
    for number in range(1 if layout == "one" else 4):
        buckets = []
        for day in range(8):
            results = []
            for _ in range(draw.randrange(5)):
                amount = Decimal(draw.randrange(10**15)).scaleb(-draw.randrange(6, 14))
                expected, count = expected + amount, count + 1
                results.append(
                    result(f"#{amount:f}#", line_item=draw.choice([None, HOSTILE, "gpt-4o, input"]), project_id=draw.choice([None, "p", HOSTILE]))
                )
            buckets.append(bucket(number * 8 + day, *results))
        pages.append(json.dumps(page(*buckets), ensure_ascii=False).replace('"#', "").replace('#"', ""))
    rows = read(OpenAICosts(), written(tmp_path / "costs.json", *pages, layout=layout))
    assert total(rows) == expected
    assert len(rows) == count == len({row["x_charge_id"] for row in rows})
    assert [row["row_number"] for row in rows] == list(range(1, count + 1))
    starts = [row["ChargePeriodStart"] for row in rows]
    assert starts == sorted(starts)


def test_a_day_that_is_fetched_again_has_the_same_identity(tmp_path: Path) -> None:
    (first,) = read(OpenAICosts(), written(tmp_path / "a.json", page(bucket(0, result(1.0, project_id="p", line_item="x")))))
    again = read(OpenAICosts(), written(tmp_path / "b.json", page(bucket(0, result(2.0, project_id="p", line_item="x")), bucket(1, result(3.0)))))
    assert again[0]["x_charge_id"] == first["x_charge_id"]
    assert again[1]["x_charge_id"] != first["x_charge_id"]
    assert OpenAICosts().reading.mode == "merge"
    assert OpenAICosts().reading.key == ("x_charge_id",)


def test_equal_results_of_one_bucket_are_both_real_and_null_is_not_empty_text(tmp_path: Path) -> None:
    rows = read(
        OpenAICosts(), written(tmp_path / "a.json", page(bucket(0, result(1), result(1), result(1, line_item=""), result(1, line_item="null"))))
    )
    assert len({row["x_charge_id"] for row in rows}) == 4


def test_line_items_that_are_no_tokens_are_meters_of_their_own(tmp_path: Path) -> None:
    items = ["gpt-image-1 image, output", "Web search tool calls", "gpt-4o-mini, output", None, "assistants api | file search"]
    rows = read(OpenAICosts(), written(tmp_path / "a.json", page(bucket(0, *(result(line_item=item) for item in items)))))
    assert [row["SkuMeter"] for row in rows] == [
        "Image Output Tokens",
        "Web search tool calls",
        "Output Tokens",
        None,
        "assistants api | file search",
    ]
    assert [row["SkuPriceDetails"] for row in rows][1] is None


def test_credits_and_missing_amounts_stay_what_they_are(tmp_path: Path) -> None:
    credit, without = read(
        OpenAICosts(), written(tmp_path / "a.json", page(bucket(0, result(-5), {"object": "organization.costs.result", "amount": None})))
    )
    assert (credit["BilledCost"], credit["ChargeCategory"]) == ("-5", "Credit")
    assert without["BilledCost"] is None


def test_pages_without_any_result_are_recognised_and_hold_no_rows(tmp_path: Path) -> None:
    file = written(tmp_path / "a.json", page(bucket(0), bucket(1)), page(), layout="list")
    assert OpenAICosts().recognise(sample(file)) is not None
    assert read(OpenAICosts(), file) == []


def test_recognition_says_why_and_leaves_other_files_alone(tmp_path: Path) -> None:
    assert OpenAICosts().recognise(sample(written(tmp_path / "a.json", page(bucket(0, result()))))) == "its results are `organization.costs.result`"
    usage = page(bucket(0, {"object": "organization.usage.completions.result", "input_tokens": 1}))
    assert OpenAICosts().recognise(sample(written(tmp_path / "b.json", usage))) is None
    assert OpenAICosts().recognise(sample(written(tmp_path / "c.json", {"data": [{"results": [], "starting_at": "x", "ending_at": "y"}]}))) is None
    assert OpenAICosts().recognise(sample(written(tmp_path / "d.json", {"BilledCost": 1}))) is None
