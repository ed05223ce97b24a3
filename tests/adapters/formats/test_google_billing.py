"""Google Cloud billing rows: nested records in JSON lines and Parquet, credits inside the row, both models of commitments."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecast.adapters import duck
from forecast.adapters.formats.base import REFUSED, focus_rows
from forecast.adapters.formats.google_billing import GOOGLE_BILLING
from tests.adapters.formats.cloud_bills import Row, exact, mapped, opened, recognised, total, write_csv, write_parquet

TEXT, PAIR = pa.string(), pa.struct([("key", pa.string()), ("value", pa.string())])
TYPES: dict[str, pa.DataType] = {
    "cost": pa.float64(),
    "service": pa.struct([("id", TEXT), ("description", TEXT)]),
    "sku": pa.struct([("id", TEXT), ("description", TEXT)]),
    "project": pa.struct([("id", TEXT), ("number", TEXT), ("name", TEXT), ("labels", pa.list_(PAIR))]),
    "labels": pa.list_(PAIR),
    "system_labels": pa.list_(PAIR),
    "location": pa.struct([("location", TEXT), ("country", TEXT), ("region", TEXT), ("zone", TEXT)]),
    "resource": pa.struct([("name", TEXT), ("global_name", TEXT)]),
    "usage": pa.struct([("amount", pa.float64()), ("unit", TEXT), ("amount_in_pricing_units", pa.float64()), ("pricing_unit", TEXT)]),
    "credits": pa.list_(pa.struct([("name", TEXT), ("amount", pa.float64()), ("full_name", TEXT), ("id", TEXT), ("type", TEXT)])),
    "invoice": pa.struct([("month", TEXT)]),
    "cost_at_list": pa.decimal128(38, 9),
    "consumption_model": pa.struct([("id", TEXT), ("description", TEXT)]),
    "subscription": pa.struct([("instance_id", TEXT)]),
}


def credit(amount: float, kind: str = "SUSTAINED_USAGE_DISCOUNT") -> Row:
    return {"name": "a credit", "amount": amount, "full_name": "a credit", "id": "c", "type": kind}


def line(cost: float = 2.5, *credits: Row, **changes: Any) -> Row:
    """A row of the detailed table with plain values."""
    values: Row = {
        "billing_account_id": "010101-ABCDEF-020202",
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "2E27-4F75-95CD", "description": "Nvidia H100 GPU running in Netherlands"},
        "usage_start_time": dt.datetime(2026, 1, 5, 3, tzinfo=dt.UTC),
        "usage_end_time": dt.datetime(2026, 1, 5, 4, tzinfo=dt.UTC),
        "project": {
            "id": "search-prod",
            "number": "42",
            "name": "Search",
            "labels": [{"key": "team", "value": "platform"}, {"key": "env", "value": "prod"}],
        },
        "labels": [{"key": "team", "value": "search"}],
        "system_labels": [{"key": "compute.googleapis.com/machine_spec", "value": "a3-highgpu-8g"}],
        "location": {"location": "europe-west4", "country": "NL", "region": "europe-west4", "zone": "europe-west4-a"},
        "resource": {"name": "trainer", "global_name": "//compute.googleapis.com/trainer"},
        "cost": cost,
        "currency": "EUR",
        "currency_conversion_rate": 0.92,
        "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"},
        "credits": list(credits),
        "invoice": {"month": "202601"},
        "cost_type": "regular",
        "cost_at_list": Decimal("3.000000000"),
        "consumption_model": {"id": "7754-699E-0EBF", "description": "Default"},
        "subscription": None,
        "export_time": dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC),
    }
    return values | changes


def as_bigquery_json(row: Row) -> str:
    """One JSON line: times with UTC after them, exact numbers as strings, nothing for what is null."""

    def written(value: Any) -> Any:
        match value:
            case dt.datetime():
                return value.strftime("%Y-%m-%d %H:%M:%S UTC")
            case Decimal():
                return str(value)
            case dict():
                return {key: written(item) for key, item in value.items() if item is not None}
            case list():
                return [written(item) for item in value]
        return value

    return json.dumps(written(row))


def write_json(path: Path, rows: Sequence[Row]) -> Path:
    content = "".join(as_bigquery_json(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def test_a_usage_row_becomes_one_focus_row(tmp_path: Path) -> None:
    rows = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", [line(2.5, credit(-0.5), credit(-0.25, "PROMOTION"))]))
    credits = rows[0].pop("x_credits")
    expected = {
        "row_number": 1,
        "BilledCost": Decimal("1.75"),
        "EffectiveCost": Decimal("1.75"),
        "ListCost": Decimal(3),
        "ContractedCost": Decimal("2.5"),
        "BillingCurrency": "EUR",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": "Nvidia H100 GPU running in Netherlands",
        "ChargePeriodStart": "2026-01-05T03:00:00",
        "ChargePeriodEnd": "2026-01-05T04:00:00",
        "BillingPeriodStart": "2026-01-01T00:00:00",
        "BillingPeriodEnd": "2026-02-01T00:00:00",
        "ConsumedQuantity": Decimal(3600),
        "ConsumedUnit": "seconds",
        "PricingQuantity": Decimal(1),
        "PricingUnit": "hour",
        "PricingCategory": "Standard",
        "BillingAccountId": "010101-ABCDEF-020202",
        "SubAccountId": "search-prod",
        "SubAccountName": "Search",
        "SubAccountType": "Project",
        "InvoiceIssuerName": "Google Cloud",
        "ProviderName": "Google Cloud",
        "PublisherName": "Google Cloud",
        "ServiceName": "Compute Engine",
        "ServiceCategory": "Compute",
        "RegionId": "europe-west4",
        "RegionName": "europe-west4",
        "AvailabilityZone": "europe-west4-a",
        "ResourceId": "//compute.googleapis.com/trainer",
        "ResourceName": "trainer",
        "SkuId": "2E27-4F75-95CD",
        "SkuMeter": "Nvidia H100 GPU running in Netherlands",
        "SkuPriceDetails": '{"InstanceType":"a3-highgpu-8g"}',
        "Tags": '{"env":"prod","team":"search"}',
        "x_cost_type": "regular",
        "x_cost_before_credits": "2.5",
        "x_promotion": Decimal("-0.25"),
        "x_service_id": "6F81-5844-456A",
        "x_project_number": "42",
        "x_instance_type": "a3-highgpu-8g",
        "x_consumption_model": "Default",
        "x_currency_conversion_rate": "0.92",
        "x_country": "NL",
        "x_export_time": "2026-01-05 09:00:00 UTC",
        "x_system_labels": '{"compute.googleapis.com/machine_spec":"a3-highgpu-8g"}',
    }
    assert rows == [expected]
    assert [(item["type"], item["amount"]) for item in json.loads(credits)] == [("SUSTAINED_USAGE_DISCOUNT", -0.5), ("PROMOTION", -0.25)]


def test_packed_and_parquet_files_give_the_same_rows_as_json(tmp_path: Path) -> None:
    lines = [line(1.1, credit(-0.1)), line(2.2, labels=[], project=None), line(0.3, cost_type="tax", project=None, resource=None), line(1e-07)]
    plain = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", lines))
    assert mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.ndjson.gz", lines)) == plain
    parquet = mapped(GOOGLE_BILLING, write_parquet(tmp_path / "rows.parquet", lines, TYPES))
    hidden = {"x_export_time": None, "x_cost_before_credits": None}
    assert [row | hidden for row in parquet] == [row | hidden for row in plain]


def test_lists_that_parquet_wraps_in_records_are_read_too(tmp_path: Path) -> None:
    element = pa.struct([("amount", pa.float64()), ("type", TEXT)])
    wrapped = pa.struct([("list", pa.list_(pa.struct([("element", element)])))])
    row = line() | {"credits": {"list": [{"element": {"amount": -1.5, "type": "DISCOUNT"}}]}}
    (found,) = mapped(GOOGLE_BILLING, write_parquet(tmp_path / "rows.parquet", [row], TYPES | {"credits": wrapped}))
    assert found["BilledCost"] == 1


def test_costs_and_credits_written_as_strings_keep_every_digit(tmp_path: Path) -> None:
    row = line() | {"cost": "0.123456789012", "credits": [credit(0) | {"amount": "-0.023456789012"}]}
    (found,) = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", [row]))
    assert found["BilledCost"] == Decimal("0.1")


@pytest.mark.parametrize("seed", range(3))
def test_no_money_is_lost_between_cost_and_credits(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = ("regular", "tax", "adjustment", "rounding_error")
    lines = []
    for place in range(200):
        credits = [credit(-round(float(amount), 6), "DISCOUNT") for amount in random.uniform(0, 3, int(random.integers(0, 4)))]
        lines.append(line(round(float(random.uniform(-1, 9)), 6), *credits, cost_type=kinds[place % 4]))
    rows = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", lines))
    expected = exact([row["cost"] for row in lines]) + exact([item["amount"] for row in lines for item in row["credits"]])
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == expected
    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Tax", "Adjustment"}


def test_a_fee_and_covered_usage_of_the_older_model_are_the_fee_together(tmp_path: Path) -> None:
    fee = line(7.0, sku={"id": "S1", "description": "Commitment - dollar based v1: GCE for 1 year"}, subscription={"instance_id": "subscriptions/1"})
    usage = line(10.0, credit(-10.0, "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE"))
    rows = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", [fee, usage]))
    assert total(rows, "EffectiveCost") == 7
    assert [(row["ChargeCategory"], row["ChargeFrequency"]) for row in rows] == [("Purchase", "Recurring"), ("Usage", "Usage-Based")]
    assert rows[0]["CommitmentDiscountId"] == "subscriptions/1"
    assert [row["CommitmentDiscountCategory"] for row in rows] == ["Spend", "Spend"]
    assert (rows[1]["CommitmentDiscountStatus"], rows[1]["PricingCategory"]) == ("Used", "Committed")


def test_a_fee_and_covered_usage_of_the_newer_model_are_used_and_unused_part(tmp_path: Path) -> None:
    fee = line(7.0, credit(-6.0, "FEE_UTILIZATION_OFFSET"), sku={"id": "S1", "description": "Commitment - dollar based v1: GCE for 1 year"})
    usage = line(6.0, consumption_model={"id": "X", "description": "Compute Flexible CUD - 1 Year"})
    rows = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", [fee, usage]))
    assert [row["EffectiveCost"] for row in rows] == [1, 6]
    assert (rows[1]["CommitmentDiscountStatus"], rows[1]["PricingCategory"]) == ("Used", "Committed")


def test_corrections_say_so_and_other_cost_types_are_handed_on(tmp_path: Path) -> None:
    lines = [
        line(-1.0, cost_type="adjustment", adjustment_info={"id": "a1", "type": "USAGE_CORRECTION", "mode": "PARTIAL_CORRECTION"}),
        line(-1.0, cost_type="adjustment", adjustment_info={"id": "a2", "type": "GOODWILL"}),
        line(1.0, cost_type="barter"),
    ]
    rows = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", lines))
    assert [(row["ChargeCategory"], row.get("ChargeClass")) for row in rows] == [("Adjustment", "Correction"), ("Adjustment", None), ("barter", None)]


def test_a_row_with_a_credit_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    lines = [line() | {"credits": [credit(0) | {"amount": "some"}]}, line() | {"cost": "free", "invoice": {"month": "January"}}]
    with duck.connect() as connection:
        rows = focus_rows(connection, GOOGLE_BILLING, opened(write_json(tmp_path / "rows.json", lines)))
    assert [row[REFUSED] for row in rows] == ["credits|has an amount that is not a number|a decimal number in each credit", None]
    assert (rows[1]["BilledCost"], rows[1]["BillingPeriodStart"]) == ("free", "January")


@pytest.mark.parametrize(
    ("described", "model", "tokens"),
    [
        ("Gemini 2.5 Flash GA Text Input - Predictions", "Gemini 2.5 Flash", "input"),
        ("Gemini 2.5 Flash Lite Text Output - Predictions", "Gemini 2.5 Flash Lite", "output"),
        ("Gemini 2.5 Flash GA Thinking Text Output - Predictions", "Gemini 2.5 Flash", "output"),
        ("Claude Sonnet 4.5 Input Tokens", "Claude Sonnet 4.5", "input"),
        ("Vertex AI: Online Prediction N1 Predefined Instance Core", None, None),
    ],
)
def test_a_sku_of_vertex_ai_names_model_and_kind_of_token(tmp_path: Path, described: str, model: str | None, tokens: str | None) -> None:
    row = line(service={"id": "C7E2", "description": "Vertex AI"}, sku={"id": "S", "description": described}, system_labels=[])
    (found,) = mapped(GOOGLE_BILLING, write_json(tmp_path / "rows.json", [row]))
    details = json.loads(found.get("SkuPriceDetails", "{}"))
    assert found["ServiceCategory"] == "AI and Machine Learning"
    assert (details.get("ModelId"), details.get("TokenType")) == (model, tokens)


def test_only_this_format_claims_an_export_and_says_which_table(tmp_path: Path) -> None:
    detailed = recognised(write_json(tmp_path / "rows.json", [line()]))
    assert list(detailed) == ["google-billing"]
    assert detailed["google-billing"].endswith("of a Google Cloud billing export (detailed)")
    standard = {name: value for name, value in line().items() if name != "resource"}
    assert recognised(write_parquet(tmp_path / "rows.parquet", [standard], TYPES))["google-billing"].endswith("(standard)")


def test_other_tables_with_costs_are_not_taken_for_an_export(tmp_path: Path) -> None:
    focus = {"BilledCost": "1", "EffectiveCost": "1", "ChargePeriodStart": "2026-01-01", "service": "a", "cost": 1}
    assert recognised(write_csv(tmp_path / "focus.csv", [focus])) == {}
    (tmp_path / "page.json").write_text(json.dumps({"data": [{"results": [{"amount": {"value": 1, "currency": "usd"}}]}]}))
    assert recognised(tmp_path / "page.json") == {}
