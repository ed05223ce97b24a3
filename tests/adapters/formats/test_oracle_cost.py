"""Oracle cost reports: hours in files of a few hours, corrections that add, tags in columns."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters.formats.oracle_cost import ORACLE_COST
from tests.adapters.formats.cloud_bills import Row, exact, mapped, recognised, total, write_csv, write_parquet


def line(number: int = 1, cost: str = "0.75", **changes: Any) -> Row:
    values: Row = {
        "lineItem/referenceNo": f"V2.{number}",
        "lineItem/tenantId": "ocid1.tenancy.oc1..t",
        "lineItem/intervalUsageStart": "2026-01-05T03:00Z",
        "lineItem/intervalUsageEnd": "2026-01-05T04:00Z",
        "product/service": "COMPUTE",
        "product/compartmentId": "ocid1.compartment.oc1..c",
        "product/compartmentName": "research",
        "product/region": "eu-frankfurt-1",
        "product/availabilityDomain": "AD-1",
        "product/resourceId": "ocid1.instance.oc1..i",
        "usage/billedQuantity": "2",
        "usage/billedQuantityOverage": "",
        "cost/subscriptionId": "99",
        "cost/productSku": "B95909",
        "product/Description": "Compute - GPU - A100 v2",
        "cost/unitPrice": "0.375",
        "cost/unitPriceOverage": "",
        "cost/myCost": cost,
        "cost/myCostOverage": "",
        "cost/currencyCode": "EUR",
        "cost/billingUnitReadable": "ONE HOURS GPU",
        "cost/skuUnitDescription": "GPU Per Hour",
        "cost/overageFlag": "N",
        "lineItem/isCorrection": "false",
        "lineItem/backreferenceNo": "",
        "tags/Finance.team": "search",
        "tags/env": "",
    }
    return values | changes


def test_a_line_becomes_one_focus_row(tmp_path: Path) -> None:
    rows = mapped(ORACLE_COST, write_csv(tmp_path / "report.csv", [line()]))
    expected = {
        "row_number": 1,
        "BilledCost": Decimal("0.75"),
        "EffectiveCost": Decimal("0.75"),
        "BillingCurrency": "EUR",
        "ContractedUnitPrice": Decimal("0.375"),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": "Compute - GPU - A100 v2",
        "ChargePeriodStart": "2026-01-05T03:00",
        "ChargePeriodEnd": "2026-01-05T04:00",
        "BillingPeriodStart": "2026-01-01T00:00:00",
        "BillingPeriodEnd": "2026-02-01T00:00:00",
        "PricingQuantity": Decimal(2),
        "PricingUnit": "GPU Per Hour",
        "BillingAccountId": "ocid1.tenancy.oc1..t",
        "SubAccountId": "ocid1.compartment.oc1..c",
        "SubAccountName": "research",
        "SubAccountType": "Compartment",
        "InvoiceIssuerName": "Oracle",
        "ProviderName": "Oracle",
        "PublisherName": "Oracle",
        "ServiceName": "COMPUTE",
        "ServiceCategory": "Compute",
        "RegionId": "eu-frankfurt-1",
        "AvailabilityZone": "AD-1",
        "ResourceId": "ocid1.instance.oc1..i",
        "SkuId": "B95909",
        "SkuMeter": "Compute - GPU - A100 v2",
        "Tags": '{"Finance.team":"search"}',
        "x_line_item_id": "V2.1",
        "x_overage": "N",
        "x_subscription_id": "99",
        "x_billing_unit": "ONE HOURS GPU",
    }
    assert rows == [expected]


def test_packed_and_parquet_files_give_the_same_rows_as_csv(tmp_path: Path) -> None:
    lines = [line(number, f"{number}.000000{number}") for number in range(1, 9)]
    plain = mapped(ORACLE_COST, write_csv(tmp_path / "report.csv", lines))
    assert mapped(ORACLE_COST, write_csv(tmp_path / "report.csv.gz", lines)) == plain
    typed = [row | {"cost/myCost": float(row["cost/myCost"])} for row in lines]
    assert mapped(ORACLE_COST, write_parquet(tmp_path / "report.parquet", typed)) == plain


def test_the_cost_with_its_overage_and_corrections_adds_up_to_the_reports(tmp_path: Path) -> None:
    correction = {"lineItem/isCorrection": "true", "lineItem/backreferenceNo": "V2.1"}
    overage = {"cost/overageFlag": "Y", "cost/myCostOverage": "4", "usage/billedQuantityOverage": "1"}
    lines = [line(1, "10"), line(2, "-2.5", **correction), line(3, "4", **overage)]
    rows = mapped(ORACLE_COST, write_csv(tmp_path / "report.csv", lines))
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == exact([row["cost/myCost"] for row in lines])
    assert (rows[1]["ChargeClass"], rows[1]["x_corrects_line_item_id"]) == ("Correction", "V2.1")
    assert (rows[2]["x_overage"], rows[2]["x_overage_cost"]) == ("Y", "4")


def test_lines_are_merged_by_number_hour_and_overage_and_every_row_has_all_three(tmp_path: Path) -> None:
    """A report of six hours stands for no day, so that it can replace none."""
    assert ORACLE_COST.reading.mode == "merge"
    (row,) = mapped(ORACLE_COST, write_csv(tmp_path / "report.csv", [line() | {"cost/overageFlag": ""}]))
    assert [row[name] for name in ORACLE_COST.reading.key] == ["V2.1", "2026-01-05T03:00", "N"]


@pytest.mark.parametrize(
    ("described", "model"),
    [
        ("OCI Generative AI - Meta Llama 3.1 405B", "Meta Llama 3.1 405B"),
        ("Oracle Cloud Infrastructure Generative AI - Cohere Command R", "Cohere Command R"),
        ("Compute - GPU - A100 v2", None),
    ],
)
def test_generative_ai_is_named_by_its_model(tmp_path: Path, described: str, model: str | None) -> None:
    service = "GENERATIVE_AI" if model else "COMPUTE"
    (row,) = mapped(ORACLE_COST, write_csv(tmp_path / "report.csv", [line() | {"product/Description": described, "product/service": service}]))
    assert row.get("SkuPriceDetails") == (f'{{"ModelId":"{model}"}}' if model else None)
    assert row["ServiceCategory"] == ("AI and Machine Learning" if model else "Compute")


def test_only_this_format_claims_a_cost_report_and_nothing_claims_a_usage_report(tmp_path: Path) -> None:
    assert list(recognised(write_csv(tmp_path / "report.csv", [line()]))) == ["oracle-cost"]
    without_cost = {name: value for name, value in line().items() if not name.startswith("cost/")}
    assert recognised(write_csv(tmp_path / "usage.csv", [without_cost])) == {}


def test_a_report_saved_again_with_slashes_is_read_only_where_its_own_dates_decide(tmp_path: Path) -> None:
    def hour(day: str) -> Row:
        return line() | {"lineItem/intervalUsageStart": f"{day} 03:00", "lineItem/intervalUsageEnd": f"{day} 04:00"}

    decided = mapped(ORACLE_COST, write_csv(tmp_path / "decided.csv", [hour("5/1/2026"), hour("13/1/2026")]))
    assert [row["ChargePeriodStart"] for row in decided] == ["2026-01-05T03:00:00", "2026-01-13T03:00:00"]
    assert {row["BillingPeriodStart"] for row in decided} == {"2026-01-01T00:00:00"}
    (open_to_both,) = mapped(ORACLE_COST, write_csv(tmp_path / "both.csv", [hour("5/1/2026")]))
    assert open_to_both["ChargePeriodStart"] == "5/1/2026T03:00"  # as written; the helper puts a T in place of the blank
    assert "BillingPeriodStart" not in open_to_both
