"""Azure exports: two agreements, actual and amortised files, and what one of them alone can say."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.adapters import duck
from forecast.adapters.formats.azure_export import AZURE_COMMITMENT_PURCHASES, AZURE_EXPORT
from forecast.adapters.formats.base import focus_rows
from tests.adapters.formats.cloud_bills import Row, exact, mapped, opened, recognised, total, write_csv, write_parquet

VM = "/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/trainer-1"


def line(kind: str = "Usage", cost: str = "1.25", **changes: Any) -> Row:
    """A line of an Enterprise Agreement's file."""
    values: Row = {
        "InvoiceSectionName": "Research",
        "SubscriptionId": "s-1",
        "SubscriptionName": "research-prod",
        "ResourceGroup": "rg",
        "ResourceLocation": "WestEurope",
        "Date": "1/5/2026",
        "ProductName": "Virtual Machines ND H100 v5",
        "MeterCategory": "Virtual Machines",
        "MeterSubCategory": "ND H100 v5 Series",
        "MeterId": "meter-1",
        "MeterName": "ND96isr H100 v5",
        "MeterRegion": "EU West",
        "UnitOfMeasure": "1 Hour",
        "Quantity": "0.5",
        "EffectivePrice": "2.5",
        "CostInBillingCurrency": cost,
        "ConsumedService": "Microsoft.Compute",
        "ResourceId": VM,
        "Tags": '"team": "search","env": "prod"',
        "AdditionalInfo": '{"ServiceType":"Standard_ND96isr_H100_v5","VCPUs":96}',
        "ResourceName": "",
        "ReservationId": "",
        "ReservationName": "",
        "UnitPrice": "3",
        "Term": "",
        "PublisherType": "Azure",
        "PublisherName": "",
        "ChargeType": kind,
        "Frequency": "UsageBased",
        "PricingModel": "OnDemand",
        "BillingAccountId": "8000",
        "BillingAccountName": "Example",
        "BillingCurrencyCode": "EUR",
        "BillingPeriodStartDate": "1/1/2026",
        "BillingPeriodEndDate": "1/31/2026",
        "PayGPrice": "4",
        "ServiceFamily": "Compute",
        "benefitId": "",
        "benefitName": "",
    }
    return values | changes


def reserved(kind: str, cost: str, **changes: Any) -> Row:
    values = {"ReservationId": "r-1", "ReservationName": "gpus", "PricingModel": "Reservation", "Term": "12"}
    return line(kind, cost, **values, **changes)


def planned(kind: str, cost: str, **changes: Any) -> Row:
    values = {
        "benefitId": "/providers/Microsoft.BillingBenefits/savingsPlanOrders/o/savingsPlans/p",
        "benefitName": "plan",
        "PricingModel": "SavingsPlan",
    }
    return line(kind, cost, **values, **changes)


def two_exports(seed: int) -> tuple[list[Row], list[Row]]:
    """The actual and the amortised export of one generated month."""
    random = np.random.default_rng(seed)

    def money() -> str:
        return str(Decimal(int(random.integers(1, 10**9))).scaleb(-6))

    both = [line("Usage", money()) for _ in range(20)] + [line("Tax", money()), line("RoundingAdjustment", "-0.000001")]
    bought = {"Frequency": "OneTime", "Quantity": "1"}
    actual = [reserved("Purchase", money(), **bought), planned("Purchase", money(), **bought), reserved("Refund", f"-{money()}", **bought)]
    actual += [covered("Usage", "0") for covered in (reserved, planned) for _ in range(10)]
    amortised = [covered("Usage", money()) for covered in (reserved, planned) for _ in range(10)]
    amortised += [reserved("UnusedReservation", money()), planned("UnusedSavingsPlan", money())]
    return both + actual, both + amortised


def test_a_usage_line_becomes_one_focus_row(tmp_path: Path) -> None:
    rows = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", [line()]))
    expected = {
        "row_number": 1,
        "BilledCost": Decimal("1.25"),
        "EffectiveCost": Decimal("1.25"),
        "ListCost": Decimal(2),
        "ContractedCost": Decimal("1.5"),
        "BillingCurrency": "EUR",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": "Virtual Machines ND H100 v5",
        "ChargePeriodStart": "2026-01-05T00:00:00",
        "ChargePeriodEnd": "2026-01-06T00:00:00",
        "BillingPeriodStart": "2026-01-01T00:00:00",
        "BillingPeriodEnd": "2026-02-01T00:00:00",
        "PricingQuantity": Decimal("0.5"),
        "PricingUnit": "1 Hour",
        "ConsumedQuantity": Decimal("0.5"),
        "ConsumedUnit": "1 Hour",
        "PricingCategory": "Standard",
        "ContractedUnitPrice": Decimal(3),
        "ListUnitPrice": Decimal(4),
        "BillingAccountId": "8000",
        "BillingAccountName": "Example",
        "SubAccountId": "s-1",
        "SubAccountName": "research-prod",
        "SubAccountType": "Subscription",
        "InvoiceIssuerName": "Microsoft",
        "ProviderName": "Microsoft",
        "PublisherName": "Microsoft",
        "ServiceName": "Virtual Machines",
        "ServiceCategory": "Compute",
        "RegionId": "westeurope",
        "RegionName": "WestEurope",
        "ResourceId": VM,
        "ResourceName": "trainer-1",
        "ResourceType": "Microsoft.Compute/virtualMachines",
        "SkuId": "meter-1",
        "SkuMeter": "ND96isr H100 v5",
        "SkuPriceDetails": '{"InstanceType":"Standard_ND96isr_H100_v5"}',
        "Tags": '{"team": "search","env": "prod"}',
        "x_charge_type": "Usage",
        "x_pricing_model": "OnDemand",
        "x_effective_price": "2.5",
        "x_meter_category": "Virtual Machines",
        "x_meter_subcategory": "ND H100 v5 Series",
        "x_resource_group": "rg",
        "x_invoice_section_name": "Research",
        "x_consumed_service": "Microsoft.Compute",
        "x_instance_type": "Standard_ND96isr_H100_v5",
        "x_additional_info": '{"ServiceType":"Standard_ND96isr_H100_v5","VCPUs":96}',
    }
    assert rows == [expected]


def test_packed_and_parquet_files_give_the_same_rows_as_csv(tmp_path: Path) -> None:
    actual, amortised = two_exports(3)
    lines = actual + amortised
    plain = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", lines))
    assert mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv.gz", lines)) == plain
    days = ("Date", "BillingPeriodStartDate", "BillingPeriodEndDate")
    amounts = ("Quantity", "CostInBillingCurrency", "EffectivePrice", "UnitPrice", "PayGPrice")
    typed: list[Row] = []
    for row in lines:
        times = {name: dt.datetime.strptime(row[name], "%m/%d/%Y") for name in days}
        typed.append(row | times | {name: Decimal(row[name]) for name in amounts})
    parquet = mapped(AZURE_EXPORT, write_parquet(tmp_path / "export.parquet", typed))
    shown = {"x_effective_price": None}
    assert [row | shown for row in parquet] == [row | shown for row in plain]


def test_an_amortised_file_is_effective_exactly_and_bills_no_covered_row(tmp_path: Path) -> None:
    _, amortised = two_exports(5)
    rows = mapped(AZURE_EXPORT, write_csv(tmp_path / "amortised.csv", amortised))
    assert total(rows, "EffectiveCost") == exact([row["CostInBillingCurrency"] for row in amortised])
    uncovered = [row["CostInBillingCurrency"] for row in amortised if not row["ReservationId"] and not row["benefitId"]]
    assert total(rows, "BilledCost") == exact(uncovered)
    assert {row.get("x_incomplete_cost") for row in rows} == {None, "BilledCost"}
    unused = [row for row in rows if row.get("CommitmentDiscountStatus") == "Unused"]
    assert [(row["CommitmentDiscountType"], row["ChargeCategory"]) for row in unused] == [("Reservation", "Usage"), ("Savings Plan", "Usage")]


def test_an_actual_file_is_billed_exactly_and_effective_as_cash(tmp_path: Path) -> None:
    actual, _ = two_exports(5)
    rows = mapped(AZURE_EXPORT, write_csv(tmp_path / "actual.csv", actual))
    paid = exact([row["CostInBillingCurrency"] for row in actual])
    assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == paid
    assert {row.get("x_incomplete_cost") for row in rows} == {None, "EffectiveCost"}


@pytest.mark.parametrize("seed", range(5))
def test_an_amortised_export_and_the_purchases_of_the_actual_one_give_both_columns_exactly(tmp_path: Path, seed: int) -> None:
    actual, amortised = two_exports(seed)
    rows = mapped(AZURE_EXPORT, write_csv(tmp_path / "amortised.csv", amortised))
    rows += mapped(AZURE_COMMITMENT_PURCHASES, write_csv(tmp_path / "actual.csv", actual))
    assert total(rows, "BilledCost") == exact([row["CostInBillingCurrency"] for row in actual])
    assert total(rows, "EffectiveCost") == exact([row["CostInBillingCurrency"] for row in amortised])


def test_without_commitments_billed_and_effective_are_the_same(tmp_path: Path) -> None:
    lines = [line("Usage", "5.64902E-05"), line("Purchase", "7", Frequency="Recurring"), line("Refund", "-3"), line("Tax", "1")]
    rows = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", lines))
    assert [row["BilledCost"] for row in rows] == [row["EffectiveCost"] for row in rows] == [Decimal("0.0000564902"), 7, -3, 1]
    assert [(row["ChargeCategory"], row.get("ChargeClass"), row.get("ChargeFrequency")) for row in rows[1:3]] == [
        ("Purchase", None, "Recurring"),
        ("Purchase", "Correction", "One-Time"),
    ]


def customer_agreement(**changes: Any) -> Row:
    values: Row = {
        "invoiceId": "E0400",
        "billingAccountId": "a:b",
        "billingAccountName": "Example",
        "billingProfileId": "P1",
        "invoiceSectionName": "Research",
        "billingPeriodEndDate": "01/31/2026",
        "billingPeriodStartDate": "01/01/2026",
        "servicePeriodEndDate": "01/31/2026",
        "servicePeriodStartDate": "01/01/2026",
        "date": "01/05/2026",
        "serviceFamily": "AI + Machine Learning",
        "consumedService": "Microsoft.CognitiveServices",
        "meterId": "meter-2",
        "meterName": "gpt-4o-0806-Inp-glbl Tokens",
        "meterCategory": "Cognitive Services",
        "meterSubCategory": "Azure OpenAI",
        "meterRegion": "",
        "ProductId": "DZH1",
        "ProductName": "Azure OpenAI - gpt-4o",
        "SubscriptionId": "s-2",
        "subscriptionName": "assistant",
        "publisherType": "Microsoft",
        "publisherName": "Microsoft",
        "resourceGroupName": "rg",
        "ResourceId": "",
        "resourceLocation": "swedencentral",
        "location": "SE Central",
        "effectivePrice": "0.0025",
        "quantity": "1000",
        "unitOfMeasure": "1K",
        "chargeType": "Usage",
        "billingCurrency": "EUR",
        "pricingCurrency": "USD",
        "costInBillingCurrency": "2.3",
        "exchangeRatePricingToBilling": "0.92",
        "paygCostInBillingCurrency": "2.4",
        "additionalInfo": "",
        "tags": '{"team":"assistant"}',
        "PayGPrice": "0.003",
        "frequency": "UsageBased",
        "pricingModel": "OnDemand",
        "unitPrice": "0.0025",
        "provider": "Azure",
    }
    return values | changes


def test_a_customer_agreement_has_its_own_columns_and_two_currencies(tmp_path: Path) -> None:
    (row,) = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", [customer_agreement()]))
    assert (row["BilledCost"], row["BillingCurrency"], row["PricingCurrency"]) == (Decimal("2.3"), "EUR", "USD")
    assert (row["ListCost"], row["ContractedCost"]) == (Decimal("2.4"), Decimal("2.3"))
    assert (row["InvoiceId"], row["SubAccountName"], row["ServiceCategory"]) == ("E0400", "assistant", "AI and Machine Learning")
    assert (row["Tags"], row["RegionName"], row["ChargePeriodStart"]) == ('{"team":"assistant"}', "SE Central", "2026-01-05T00:00:00")


def test_a_price_in_another_currency_without_a_rate_gives_no_comparison(tmp_path: Path) -> None:
    lines = [customer_agreement(exchangeRatePricingToBilling="", paygCostInBillingCurrency="")]
    (row,) = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", lines))
    assert "ListCost" not in row
    assert "ContractedCost" not in row


@pytest.mark.parametrize(
    ("meter", "model", "tokens"),
    [
        ("gpt-4o-0806-Inp-glbl Tokens", "gpt-4o-0806", "input"),
        ("gpt-4o-mini-0718-Batch-Outp-glbl Tokens", "gpt-4o-mini-0718", "output"),
        ("gpt 4.1 cached Inp glbl Tokens", "gpt 4.1", "cached input"),
        ("gpt-5-codex-ccchd-inp-glbl Tokens", "gpt-5-codex", "cached input"),
        ("5.4 mini opt Gl 1M Tokens", "5.4 mini", "output"),
        ("text-embedding-3-large-glbl Tokens", "text-embedding-3-large", None),
        ("Provisioned Managed Unit", None, None),
    ],
)
def test_a_meter_of_azure_openai_names_model_and_kind_of_token(tmp_path: Path, meter: str, model: str | None, tokens: str | None) -> None:
    (row,) = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", [customer_agreement(meterName=meter)]))
    details = json.loads(row.get("SkuPriceDetails", "{}"))
    assert (details.get("ModelId"), details.get("TokenType")) == (model, tokens)


def test_days_are_read_as_azure_writes_them_and_others_are_handed_on(tmp_path: Path) -> None:
    days = ["9/2/2025", "09/02/2025", "2025-09-02", "20250902", "2025-09-02T00:00:00Z", "13/9/2025"]
    path = write_csv(tmp_path / "export.csv", [line(Date=day, BillingPeriodStartDate="", BillingPeriodEndDate="") for day in days])
    with duck.connect() as connection:
        rows = focus_rows(connection, AZURE_EXPORT, opened(path))
    assert [row["ChargePeriodStart"] for row in rows] == ["2025-09-02T00:00:00Z"] * 5 + ["13/9/2025"]
    assert (rows[0]["BillingPeriodStart"], rows[0]["BillingPeriodEnd"]) == ("2025-09-01T00:00:00Z", "2025-10-01T00:00:00Z")


def test_an_unreadable_cost_is_handed_on_even_where_a_commitment_covers_it(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "export.csv", [reserved("Usage", "free"), line("Gift")])
    with duck.connect() as connection:
        rows = focus_rows(connection, AZURE_EXPORT, opened(path))
    assert (rows[0]["BilledCost"], rows[0]["EffectiveCost"]) == ("free", "free")
    assert rows[1]["ChargeCategory"] == "Gift"


def test_tags_that_are_not_json_are_kept_as_they_are(tmp_path: Path) -> None:
    (row,) = mapped(AZURE_EXPORT, write_csv(tmp_path / "export.csv", [line(Tags="team=search")]))
    assert "Tags" not in row
    assert row["x_tags_unread"] == "team=search"


def test_a_pay_as_you_go_file_holds_usage_in_its_own_columns(tmp_path: Path) -> None:
    names = ("SubscriptionId", "MeterCategory", "MeterId", "MeterName", "ResourceLocation", "Quantity")
    row = {name: line()[name] for name in names} | {"OfferId": "MS-AZR-0003P", "UsageDateTime": "2026-01-05", "PreTaxCost": "3", "Currency": "USD"}
    (found,) = mapped(AZURE_EXPORT, write_csv(tmp_path / "payg.csv", [row]))
    assert (found["BilledCost"], found["BillingCurrency"], found["ChargeCategory"]) == (3, "USD", "Usage")
    assert found["BillingPeriodStart"] == "2026-01-01T00:00:00"


def test_only_this_format_claims_an_export_and_says_of_what(tmp_path: Path) -> None:
    found = recognised(write_csv(tmp_path / "export.csv", [line(), reserved("UnusedReservation", "1")]))
    assert list(found) == ["azure"]
    assert found["azure"].endswith("of an Enterprise Agreement or alike; it begins with unused commitments, so it is an amortised one")
    assert "Customer Agreement" in recognised(write_csv(tmp_path / "mca.csv.gz", [customer_agreement()]))["azure"]
    assert list(recognised(write_parquet(tmp_path / "export.parquet", [line()]))) == ["azure"]


def test_azures_focus_export_is_not_taken_for_this_one(tmp_path: Path) -> None:
    row = {"BilledCost": "1", "EffectiveCost": "1", "ChargeCategory": "Usage", "x_SkuMeterCategory": "Virtual Machines", "x_SkuMeterId": "m"}
    assert recognised(write_csv(tmp_path / "focus.csv", [row])) == {}
