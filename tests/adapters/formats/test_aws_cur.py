"""AWS reports: three spellings of the same rows, amortisation, discounts and what names an AI model."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecast.adapters import duck
from forecast.adapters.formats.aws_cur import AWS_CUR, snake
from forecast.adapters.formats.base import focus_rows
from tests.adapters.formats.cloud_bills import Row, exact, mapped, opened, recognised, total, write_csv, write_parquet

PLAN = "arn:aws:savingsplans::111122223333:savingsplan/aaaa"
RESERVATION = "arn:aws:ec2:eu-west-1:111122223333:reserved-instances/bbbb"
COSTS = (
    "lineItem/UnblendedCost",
    "reservation/EffectiveCost",
    "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod",
    "reservation/UnusedRecurringFee",
    "savingsPlan/SavingsPlanEffectiveCost",
    "savingsPlan/TotalCommitmentToDate",
    "savingsPlan/UsedCommitment",
)


def line(kind: str = "Usage", cost: str = "1.5", **changes: Any) -> Row:
    """A line of a legacy report; names with a slash are given with two underscores."""
    values: Row = {
        "identity/LineItemId": "line-1",
        "bill/InvoiceId": "INV-1",
        "bill/InvoicingEntity": "Amazon Web Services EMEA SARL",
        "bill/BillingEntity": "AWS",
        "bill/PayerAccountId": "111122223333",
        "bill/BillingPeriodStartDate": "2026-01-01T00:00:00.000Z",
        "bill/BillingPeriodEndDate": "2026-02-01T00:00:00.000Z",
        "lineItem/UsageAccountId": "444455556666",
        "lineItem/LineItemType": kind,
        "lineItem/UsageStartDate": "2026-01-05T00:00:00.000Z",
        "lineItem/UsageEndDate": "2026-01-05T01:00:00.000Z",
        "lineItem/ProductCode": "AmazonEC2",
        "lineItem/UsageType": "EUW1-BoxUsage:p5.48xlarge",
        "lineItem/Operation": "RunInstances",
        "lineItem/ResourceId": "i-0abc",
        "lineItem/UsageAmount": "2.0",
        "lineItem/CurrencyCode": "USD",
        "lineItem/UnblendedCost": cost,
        "lineItem/LineItemDescription": "two hours",
        "lineItem/LegalEntity": "Amazon Web Services EMEA SARL",
        "product/ProductName": "Amazon Elastic Compute Cloud",
        "product/instanceType": "p5.48xlarge",
        "product/regionCode": "eu-west-1",
        "product/sku": "SKU1",
        "pricing/RateCode": "SKU1.ABC.DEF",
        "pricing/publicOnDemandCost": "2.5",
        "pricing/term": "OnDemand",
        "pricing/unit": "Hrs",
        "resourceTags/user:team": "search",
        "resourceTags/aws:createdBy": "",
    }
    for name in ("reservation/ReservationARN", "savingsPlan/SavingsPlanARN", *COSTS[1:]):
        values[name] = ""
    return values | {name.replace("__", "/"): value for name, value in changes.items()}


def athena(row: Row) -> Row:
    """The same line in Athena's names and types: amounts are doubles, times are timestamps, nothing is null."""
    found: Row = {}
    for name, value in row.items():
        renamed = snake(name)
        if name.endswith(("StartDate", "EndDate")):
            found[renamed] = dt.datetime.fromisoformat(value.removesuffix("Z"))
        elif name.endswith(("Cost", "Amount")) or name in COSTS:
            found[renamed] = float(value) if value else None
        else:
            found[renamed] = value or None
    return found


def second(row: Row) -> Row:
    """The same line as CUR 2.0 has it: attributes of the product and tags in maps."""
    flat = athena(row)
    tags = {"user_team": flat.pop("resource_tags_user_team"), "aws_created_by": None}
    flat.pop("resource_tags_aws_created_by")
    attributes = {"product_name": flat.pop("product_product_name")}
    return flat | {
        "product": attributes,
        "resource_tags": {key: value for key, value in tags.items() if value},
        "line_item_usage_account_name": "search-prod",
    }


def with_commitments() -> list[Row]:
    """A month: 10 of a plan's 12 used, 7 of a reservation's 9 used (3 of them paid up front)."""
    return [
        line("Usage", "4.25"),
        line("SavingsPlanCoveredUsage", "14", savingsPlan__SavingsPlanARN=PLAN, savingsPlan__SavingsPlanEffectiveCost="10"),
        line("SavingsPlanNegation", "-14", savingsPlan__SavingsPlanARN=PLAN),
        line(
            "SavingsPlanRecurringFee",
            "12",
            savingsPlan__SavingsPlanARN=PLAN,
            savingsPlan__TotalCommitmentToDate="12",
            savingsPlan__UsedCommitment="10",
        ),
        line("DiscountedUsage", "0", reservation__ReservationARN=RESERVATION, reservation__EffectiveCost="7"),
        line(
            "RIFee",
            "6",
            reservation__ReservationARN=RESERVATION,
            reservation__UnusedAmortizedUpfrontFeeForBillingPeriod="0.75",
            reservation__UnusedRecurringFee="1.25",
        ),
        line("Fee", "36", reservation__ReservationARN=RESERVATION),
        line("Tax", "2.01"),
    ]


def test_a_usage_line_becomes_one_focus_row(tmp_path: Path) -> None:
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [line()]))
    expected = {
        "row_number": 1,
        "BilledCost": Decimal("1.5"),
        "EffectiveCost": Decimal("1.5"),
        "ListCost": Decimal("2.5"),
        "ContractedCost": Decimal("1.5"),
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": "two hours",
        "ChargePeriodStart": "2026-01-05T00:00:00",
        "ChargePeriodEnd": "2026-01-05T01:00:00",
        "BillingPeriodStart": "2026-01-01T00:00:00",
        "BillingPeriodEnd": "2026-02-01T00:00:00",
        "ConsumedQuantity": Decimal(2),
        "ConsumedUnit": "Hrs",
        "PricingQuantity": Decimal(2),
        "PricingUnit": "Hrs",
        "PricingCategory": "Standard",
        "BillingAccountId": "111122223333",
        "SubAccountId": "444455556666",
        "SubAccountType": "Account",
        "InvoiceId": "INV-1",
        "InvoiceIssuerName": "Amazon Web Services EMEA SARL",
        "ProviderName": "AWS",
        "PublisherName": "Amazon Web Services EMEA SARL",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceCategory": "Compute",
        "RegionId": "eu-west-1",
        "ResourceId": "i-0abc",
        "SkuId": "SKU1",
        "SkuMeter": "EUW1-BoxUsage:p5.48xlarge",
        "SkuPriceId": "SKU1.ABC.DEF",
        "SkuPriceDetails": '{"InstanceType":"p5.48xlarge"}',
        "Tags": '{"team":"search"}',
        "x_line_item_id": "line-1",
        "x_line_item_type": "Usage",
        "x_operation": "RunInstances",
        "x_product_code": "AmazonEC2",
        "x_billing_entity": "AWS",
        "x_instance_type": "p5.48xlarge",
    }
    assert rows == [expected]


def test_packed_and_parquet_files_give_the_same_rows_as_csv(tmp_path: Path) -> None:
    lines = with_commitments()
    plain = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))
    assert mapped(AWS_CUR, write_csv(tmp_path / "cur.csv.gz", lines)) == plain
    typed = [athena(row) for row in lines]
    doubles = {snake(name): pa.float64() for name in COSTS}
    assert mapped(AWS_CUR, write_parquet(tmp_path / "cur.parquet", typed, doubles)) == plain


def test_cur_2_gives_the_same_rows_with_maps_in_parquet_and_as_text(tmp_path: Path) -> None:
    lines = with_commitments()
    plain = [row | {"SubAccountName": "search-prod"} for row in mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))]
    text = pa.map_(pa.string(), pa.string())
    types = {snake(name): pa.float64() for name in COSTS} | {"product": text, "resource_tags": text}
    nested = [second(row) for row in lines]
    as_maps = [row | {name: list(row[name].items()) for name in ("product", "resource_tags")} for row in nested]
    assert mapped(AWS_CUR, write_parquet(tmp_path / "cur2.parquet", as_maps, types)) == plain
    as_text = [row | {name: json.dumps(row[name]) for name in ("product", "resource_tags")} for row in nested]
    assert mapped(AWS_CUR, write_csv(tmp_path / "cur2.csv.gz", as_text)) == plain


def test_billed_is_the_unblended_sum_and_effective_the_amortised_one(tmp_path: Path) -> None:
    lines = with_commitments()
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))
    assert total(rows, "BilledCost") == exact([row["lineItem/UnblendedCost"] for row in lines])
    assert total(rows, "EffectiveCost") == Decimal("4.25") + 12 + 9 + Decimal("2.01")
    by_kind = {row["x_line_item_type"]: row["EffectiveCost"] for row in rows}
    assert by_kind["SavingsPlanNegation"] == by_kind["Fee"] == 0
    assert (by_kind["SavingsPlanRecurringFee"], by_kind["RIFee"]) == (2, 2)


def test_used_and_unused_parts_are_the_amortised_fee_for_any_split(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    lines, fees = [], Decimal(0)
    for _ in range(40):
        used = [Decimal(int(cents)).scaleb(-7) for cents in random.integers(1, 10**9, 5)]
        unused = Decimal(int(random.integers(0, 10**9))).scaleb(-7)
        fee = sum(used) + unused
        fees += fee
        plan = {"savingsPlan__SavingsPlanARN": PLAN}
        lines += [line("SavingsPlanCoveredUsage", "3", savingsPlan__SavingsPlanEffectiveCost=str(part), **plan) for part in used]
        lines += [line("SavingsPlanNegation", "-3", **plan) for _ in used]
        paid = {"savingsPlan__TotalCommitmentToDate": str(fee), "savingsPlan__UsedCommitment": str(sum(used))}
        lines.append(line("SavingsPlanRecurringFee", str(fee), **plan, **paid))
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))
    assert total(rows, "EffectiveCost") == fees
    assert total(rows, "BilledCost") == fees


def test_without_commitments_billed_and_effective_are_the_same(tmp_path: Path) -> None:
    kinds = ("Usage", "Tax", "Credit", "Refund", "EdpDiscount", "Fee")
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [line(kind, f"{place - 2}.0000001") for place, kind in enumerate(kinds)]))
    assert [row["BilledCost"] for row in rows] == [row["EffectiveCost"] for row in rows]


def test_a_report_without_amortised_columns_is_effective_as_billed(tmp_path: Path) -> None:
    dropped = (*COSTS[1:], "reservation/ReservationARN")
    lines = [{name: value for name, value in row.items() if name not in dropped} for row in with_commitments()]
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))
    assert [row["EffectiveCost"] for row in rows] == [row["BilledCost"] for row in rows]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Usage", ("Usage", None, "Usage-Based")),
        ("SavingsPlanUpfrontFee", ("Purchase", None, "One-Time")),
        ("RIFee", ("Purchase", None, "Recurring")),
        ("Fee", ("Purchase", None, "One-Time")),
        ("Tax", ("Tax", None, None)),
        ("Credit", ("Credit", None, "One-Time")),
        ("Refund", ("Adjustment", "Correction", "One-Time")),
        ("PrivateRateDiscount", ("Adjustment", None, "Usage-Based")),
        ("BundledDiscount", ("Adjustment", None, "Usage-Based")),
        ("SomethingNew", ("SomethingNew", None, None)),
    ],
)
def test_each_line_item_type_has_its_kind_of_charge(tmp_path: Path, kind: str, expected: tuple[str | None, ...]) -> None:
    (row,) = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [line(kind)]))
    assert tuple(row.get(name) for name in ("ChargeCategory", "ChargeClass", "ChargeFrequency")) == expected


def test_discounts_as_rows_are_added_and_net_columns_left_alone(tmp_path: Path) -> None:
    lines = [line("Usage", "10", lineItem__NetUnblendedCost="9"), line("EdpDiscount", "-1", lineItem__NetUnblendedCost="0")]
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", lines))
    assert [row["BilledCost"] for row in rows] == [10, -1]
    assert [row["x_net_unblended_cost"] for row in rows] == ["9", "0"]


def test_discounts_inside_rows_are_counted_once_by_the_net_cost(tmp_path: Path) -> None:
    lines = [
        second(line("Usage", "10")) | {"line_item_net_unblended_cost": "9", "discount": '{"edp_discount": -1}'},
        second(line("Usage", "5")) | {"line_item_net_unblended_cost": "", "discount": "{}"},
        second(line("EdpDiscount", "-1")) | {"line_item_net_unblended_cost": "", "discount": "{}"},
    ]
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur2.csv", [row | {"product": "{}", "resource_tags": "{}"} for row in lines]))
    assert [row["BilledCost"] for row in rows] == [9, 5, 0]
    assert [row["EffectiveCost"] for row in rows] == [9, 5, 0]
    assert rows[0]["x_unblended_cost"] == "10.0"


def test_a_savings_plan_under_a_discount_is_amortised_net(tmp_path: Path) -> None:
    """A plan of 10, 8 of it used, at 10 % off: 7.2 used and 1.8 unused."""
    plan = {"discount": "{}", "product": "{}", "resource_tags": "{}"}
    covered = second(line("SavingsPlanCoveredUsage", "12", savingsPlan__SavingsPlanARN=PLAN, savingsPlan__SavingsPlanEffectiveCost="8"))
    fee = second(
        line(
            "SavingsPlanRecurringFee",
            "10",
            savingsPlan__SavingsPlanARN=PLAN,
            savingsPlan__TotalCommitmentToDate="10",
            savingsPlan__UsedCommitment="8",
        )
    )
    lines = [
        covered | plan | {"line_item_net_unblended_cost": "12", "savings_plan_net_savings_plan_effective_cost": "7.2"},
        fee
        | plan
        | {
            "line_item_net_unblended_cost": "9",
            "savings_plan_recurring_commitment_for_billing_period": "10",
            "savings_plan_net_recurring_commitment_for_billing_period": "9",
        },
    ]
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur2.csv", lines))
    assert [row["EffectiveCost"] for row in rows] == [Decimal("7.2"), Decimal("1.8")]


@pytest.mark.parametrize(
    ("code", "product", "usage_type", "model", "tokens"),
    [
        ("AmazonBedrock", "Amazon Bedrock", "USE1-NovaPro-input-tokens-latency-optimized", "NovaPro", "input"),
        ("AmazonBedrock", "Amazon Bedrock", "EUW1-TitanEmbeddingV2-Text-input-tokens", "TitanEmbeddingV2-Text", "input"),
        ("AmazonBedrock", "Amazon Bedrock", "USE1-openai.gpt-oss-120b-mantle-output-tokens-standard", "openai.gpt-oss-120b", "output"),
        ("a1b2c3", "Claude Sonnet 4.5 (Amazon Bedrock Edition)", "USE1-MP:USE1_CacheReadInputTokenCount-Units", "Claude Sonnet 4.5", "cached input"),
        ("AmazonBedrock", "Amazon Bedrock", "USE1-Guardrail-ContentPolicyUnitsConsumed", None, None),
        ("AmazonSageMaker", "Amazon SageMaker", "USE1-Host:ml.g5.xlarge", None, None),
    ],
)
def test_ai_usage_is_named_by_its_model(tmp_path: Path, code: str, product: str, usage_type: str, model: str | None, tokens: str | None) -> None:
    changes = {"lineItem__ProductCode": code, "product__ProductName": product, "lineItem__UsageType": usage_type, "product__instanceType": ""}
    (row,) = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [line(**changes)]))
    details = json.loads(row.get("SkuPriceDetails", "{}"))
    assert row["ServiceCategory"] == "AI and Machine Learning"
    assert (details.get("ModelId"), details.get("TokenType")) == (model, tokens)
    assert row.get("x_instance_type") == ("ml.g5.xlarge" if "ml.g5" in usage_type else None)


def test_a_fee_at_a_moment_lasts_an_hour_and_the_last_second_is_the_end(tmp_path: Path) -> None:
    at_once = line("Fee", lineItem__UsageEndDate="2026-01-05T00:00:00.000Z")
    whole_month = line("RIFee", lineItem__UsageStartDate="2026-01-01T00:00:00Z", lineItem__UsageEndDate="2026-01-31T23:59:59Z")
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [at_once, whole_month]))
    assert [row["ChargePeriodEnd"] for row in rows] == ["2026-01-05T01:00:00", "2026-02-01T00:00:00"]


def test_values_that_cannot_be_read_are_handed_on_for_quarantine(tmp_path: Path) -> None:
    bad_fee = line("SavingsPlanRecurringFee", "1", savingsPlan__TotalCommitmentToDate="much", savingsPlan__UsedCommitment="1")
    path = write_csv(tmp_path / "cur.csv", [line(cost="n/a", lineItem__UsageStartDate="soon"), bad_fee])
    with duck.connect() as connection:
        rows = focus_rows(connection, AWS_CUR, opened(path))
    assert (rows[0]["BilledCost"], rows[0]["ChargePeriodStart"]) == ("n/a", "soon")
    assert rows[1]["EffectiveCost"] == "much"


def test_children_of_split_cost_allocation_add_nothing(tmp_path: Path) -> None:
    child = line(cost="", splitLineItem__ParentResourceId="i-0abc", splitLineItem__SplitCost="0.4")
    rows = mapped(AWS_CUR, write_csv(tmp_path / "cur.csv", [line(), child]))
    assert [row["BilledCost"] for row in rows] == [Decimal("1.5"), 0]
    assert rows[1]["x_split_cost"] == "0.4"


def test_only_this_format_claims_a_report(tmp_path: Path) -> None:
    plain, flat = recognised(write_csv(tmp_path / "cur.csv", [line()])), recognised(write_parquet(tmp_path / "cur.parquet", [athena(line())]))
    assert plain == {"aws-cur": "has the columns lineItem/LineItemType and lineItem/UnblendedCost of a Cost and Usage Report"}
    assert flat == {
        "aws-cur": "has the columns line_item_line_item_type and line_item_unblended_cost of a Cost and Usage Report in Athena's spelling"
    }
    assert "CUR 2.0" in recognised(write_csv(tmp_path / "cur2.csv", [second(line())]))["aws-cur"]


def test_a_report_stands_for_its_billing_period() -> None:
    assert AWS_CUR.reading.mode == "replace"
    assert snake("savingsPlan/SavingsPlanARN") == "savings_plan_savings_plan_a_r_n"


@pytest.mark.parametrize(
    ("start", "end", "month", "next_month", "expected"),
    [
        ("5/1/2026 00:00", "5/1/2026 01:00", "1/1/2026", "1/2/2026", "2026-01-05T00:00:00"),
        ("1/5/2026 00:00", "1/5/2026 01:00", "1/1/2026", "2/1/2026", "2026-01-05T00:00:00"),
        ("1/13/2026", "1/13/2026", "1/1/2026", "2/1/2026", "2026-01-13T00:00:00"),
    ],
)
def test_dates_with_slashes_are_read_in_the_order_that_the_file_itself_decides(
    tmp_path: Path, start: str, end: str, month: str, next_month: str, expected: str
) -> None:
    dates = {"lineItem__UsageStartDate": start, "lineItem__UsageEndDate": end}
    periods = {"bill__BillingPeriodStartDate": month, "bill__BillingPeriodEndDate": next_month}
    (row,) = mapped(AWS_CUR, write_csv(tmp_path / "saved-again.csv", [line(**dates, **periods)]))
    assert row["ChargePeriodStart"] == expected
    assert row["ChargePeriodEnd"] == f"{expected[:11]}01:00:00"
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-01-01T00:00:00", "2026-02-01T00:00:00")


def test_dates_that_could_be_read_both_ways_are_left_for_the_ledger_to_refuse(tmp_path: Path) -> None:
    dates = {"lineItem__UsageStartDate": "5/1/2026", "lineItem__UsageEndDate": "6/1/2026"}
    (row,) = mapped(AWS_CUR, write_csv(tmp_path / "saved-again.csv", [line(**dates)]))
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("5/1/2026", "6/1/2026")
