from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from forecast.company.generate import Company, generate
from forecast.spend.focus import columns_of

COLUMNS = columns_of("1.2")

MONEY = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]


def test_rows_have_the_57_columns_of_focus_1_2_in_order(company: Company) -> None:
    assert list(company.rows.columns) == [column.name for column in COLUMNS]
    assert len(COLUMNS) == 57


def test_mandatory_columns_are_never_null(company: Company) -> None:
    # ChargeClass is mandatory as a column and must be null on rows that correct nothing; taxes and credits have no quantity.
    amounts = company.rows["ChargeCategory"].isin(["Tax", "Credit"])
    may_be_null = {"ChargeClass", "PricingQuantity", "PricingUnit"}
    mandatory = [column.name for column in COLUMNS if column.mandatory and column.name not in may_be_null]
    nulls = company.rows[mandatory].isna().sum()
    assert nulls.sum() == 0, nulls[nulls > 0].to_dict()
    for name in ("PricingQuantity", "PricingUnit"):
        np.testing.assert_array_equal(company.rows[name].isna(), amounts)
    for name in ("ConsumedQuantity", "ListUnitPrice", "ContractedUnitPrice", "SkuId", "SkuPriceId", "PricingCategory"):
        assert company.rows.loc[amounts, name].isna().all(), name


def test_closed_lists_of_values_are_kept_to(company: Company) -> None:
    for column in COLUMNS:
        if column.allowed:
            assert set(company.rows[column.name].dropna().unique()) <= set(column.allowed), column.name
    assert set(company.rows["ChargeCategory"].unique()) == {"Usage", "Purchase", "Tax", "Credit"}
    assert set(company.rows["PricingCategory"].dropna().unique()) == {"Standard", "Dynamic", "Committed"}


def test_list_cost_of_usage_is_quantity_times_list_price(company: Company) -> None:
    usage = company.rows[company.rows["ConsumedQuantity"].notna()]
    for quantity in ("ConsumedQuantity", "PricingQuantity"):
        np.testing.assert_allclose(usage[quantity] * usage["ListUnitPrice"], usage["ListCost"], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(usage["PricingQuantity"] * usage["ContractedUnitPrice"], usage["ContractedCost"], rtol=1e-12, atol=1e-9)


def test_money_is_finite_has_at_most_ten_decimals_and_is_negative_where_it_is_given_back(company: Company) -> None:
    given_back = ((company.rows["ChargeCategory"] == "Credit") | (company.rows["ConsumedQuantity"] < 0.0)).to_numpy()
    assert (company.rows.loc[company.rows["ConsumedQuantity"] < 0.0, "ChargeClass"] == "Correction").all()
    priced = company.rows["PricingQuantity"].notna().to_numpy()
    for name in [*MONEY, "ListUnitPrice", "ContractedUnitPrice"]:
        values = company.rows[name].to_numpy()[priced | (name in MONEY)]
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        if name in MONEY:
            np.testing.assert_array_equal(values < 0.0, given_back)
        else:
            assert (values >= 0.0).all()
        np.testing.assert_array_equal(np.round(values, 10), values)


def test_no_cost_exceeds_the_list_cost(company: Company) -> None:
    charged = company.rows[company.rows["ChargeClass"].isna()]
    for name in ("BilledCost", "EffectiveCost", "ContractedCost"):
        assert (charged[name] <= charged["ListCost"] + 1e-9).all(), name


def test_tokens_and_machine_hours_are_whole(company: Company) -> None:
    whole = company.rows[company.rows["ConsumedUnit"].isin(["Tokens"]) | company.rows["SkuMeter"].str.contains("Instance Hours")]
    assert (whole["ConsumedQuantity"] % 1 == 0).all()
    gpu = company.rows[company.rows["SkuMeter"].str.contains("Instance Hours")]
    assert {json.loads(text)["GpuCount"] for text in gpu["SkuPriceDetails"].unique()} <= {1, 2, 4, 8}


def test_licences_are_billed_on_the_first_and_used_day_by_day(company: Company) -> None:
    seats = company.rows[company.rows["ResourceType"] == "Subscription"]
    bought, used = seats[seats["ChargeCategory"] == "Purchase"], seats[seats["ChargeCategory"] == "Usage"]
    assert (bought["ChargePeriodStart"].dt.day == 1).all()
    assert (bought["ChargeFrequency"] == "Recurring").all()
    assert (bought["EffectiveCost"] == 0.0).all()
    assert (bought["BilledCost"] > 0.0).all()
    assert bought["ConsumedQuantity"].isna().all()
    assert (used["BilledCost"] == 0.0).all()
    # Over a whole month the two say the same.
    whole_months = used[used["BillingPeriodStart"] > pd.Timestamp(company.start)]
    keys = ["BillingPeriodStart", "ResourceId"]
    np.testing.assert_allclose(bought.groupby(keys)["BilledCost"].sum(), whole_months.groupby(keys)["EffectiveCost"].sum(), atol=1e-3)


def test_billing_period_is_the_calendar_month_around_the_charge_period(company: Company) -> None:
    rows = company.rows
    assert (rows["BillingPeriodStart"].dt.day == 1).all()
    assert (rows["BillingPeriodEnd"] == rows["BillingPeriodStart"] + pd.offsets.MonthBegin(1)).all()
    # A correction is billed in the month after the one that it corrects.
    correction = rows["ChargeClass"] == "Correction"
    corrected, billed = rows.loc[correction, "ChargePeriodStart"], rows.loc[correction, "BillingPeriodStart"]
    assert (billed == corrected + pd.offsets.MonthBegin(1)).all()
    assert (rows.loc[~correction, "BillingPeriodStart"] <= rows.loc[~correction, "ChargePeriodStart"]).all()
    assert (rows["ChargePeriodEnd"] <= rows["BillingPeriodEnd"]).all()
    assert (rows["ChargePeriodEnd"] - rows["ChargePeriodStart"] == pd.Timedelta(days=1)).all()
    assert rows["ChargePeriodStart"].min() == pd.Timestamp(company.start)
    assert rows["ChargePeriodEnd"].max() == pd.Timestamp(company.end)
    assert rows["ChargePeriodStart"].is_monotonic_increasing


def test_open_month_has_no_invoice_yet() -> None:
    rows = generate(3, 60, 1, end=pd.Timestamp("2026-10-20").date()).rows
    is_open = rows["BillingPeriodStart"] == "2026-10-01"
    assert rows.loc[is_open, "InvoiceId"].isna().all()
    assert rows.loc[~is_open, "InvoiceId"].notna().all()


def test_tags_are_sorted_json_and_few_rows_have_none(company: Company) -> None:
    texts = company.rows["Tags"].dropna().unique()
    for text in texts:
        # Some are written carelessly; whoever ignores case sees the same four.
        tags = {key.lower(): value.lower() for key, value in json.loads(text).items()}
        assert sorted(tags) == ["env", "project", "team", "workload"]
        assert tags["env"] in {"dev", "test", "prod"}
    careless = company.rows["Tags"].str.contains('"Team"|"ENV"|"Env"|"Prod"|"PROD"', na=False)
    assert 0.0 < careless.mean() < 0.05
    assert 0.0 < company.rows["Tags"].isna().mean() < 0.03
    # What no team is charged for: taxes, credits, the fee of the commitment and its unused part.
    central = company.rows["SubAccountName"].isna()
    commitment = company.rows["SkuId"] == "compute-commitment"
    np.testing.assert_array_equal(central, company.rows["ChargeCategory"].isin(["Tax", "Credit"]) | commitment)


def test_commitment_is_billed_by_the_month_and_costs_what_was_committed_day_by_day() -> None:
    rows = generate(8).rows
    under = rows[rows["CommitmentDiscountId"].notna()]
    bought, used, unused = (
        under[under["ChargeCategory"] == "Purchase"],
        under[under["CommitmentDiscountStatus"] == "Used"],
        under[under["CommitmentDiscountStatus"] == "Unused"],
    )
    assert len(bought) == 17  # the first of each month after the company's first day
    assert len(used) > 500
    assert len(unused) > 10
    assert (bought["EffectiveCost"] == 0.0).all()
    assert (pd.concat([used, unused])["BilledCost"] == 0.0).all()
    assert (used["EffectiveCost"] < used["ContractedCost"]).all()
    # Used and unused together are the commitment: a level for a year, and what is billed for a month is what its days cost.
    daily = pd.concat([used, unused]).groupby("ChargePeriodStart")["EffectiveCost"].sum()
    assert 1 <= daily.round(0).nunique() <= 4
    month = daily["2026-03-01":"2026-03-31"].sum()
    assert bought.loc[bought["ChargePeriodStart"] == "2026-03-01", "BilledCost"].item() == pytest.approx(month, rel=1e-3)


def test_tax_of_a_month_is_a_share_of_what_was_billed_in_it(company: Company) -> None:
    rows = company.rows[~company.rows["ProviderName"].isin(["AWS", "Google Cloud"])]
    closed = rows[(rows["BillingPeriodStart"] > pd.Timestamp(company.start)) & (rows["ChargeCategory"] != "Credit")]
    months = closed.pivot_table(
        index=["ProviderName", "BillingPeriodStart"], columns=closed["ChargeCategory"] == "Tax", values="BilledCost", aggfunc="sum"
    )
    rates = (months[True] / months[False]).dropna().groupby("ProviderName").agg(["min", "max"])
    assert len(rates) >= 1
    # Incidents are planted after the invoices: their tax is left out, so a month with one may be a little lower.
    assert (rates["max"] - rates["min"] < 0.02).all()
    assert (company.rows.loc[company.rows["ChargeCategory"] == "Tax", "ChargePeriodEnd"].dt.day == 1).all()


def test_rows_survive_parquet_as_plain_strings_floats_and_naive_times(company: Company) -> None:
    buffer = io.BytesIO()
    rows = company.rows.head(5000)
    rows.to_parquet(buffer)
    buffer.seek(0)
    types = {str(field.type) for field in pq.read_schema(buffer)}
    assert types <= {"string", "large_string", "double", "timestamp[us]"}
    buffer.seek(0)
    pd.testing.assert_frame_equal(pd.read_parquet(buffer), rows)


def test_hours_of_a_day_add_up_to_the_day() -> None:
    days, hours = generate(5, 60, 2).rows, generate(5, 60, 2, "h").rows
    assert (hours["ChargePeriodEnd"] - hours["ChargePeriodStart"] == pd.Timedelta(hours=1)).all()
    keys = ["ResourceId", "SkuPriceId", "ChargeCategory"]
    by_day = days.groupby([*keys, "ChargePeriodStart"])[["PricingQuantity", *MONEY]].sum()
    by_hour = hours.groupby([*keys, hours["ChargePeriodStart"].dt.normalize()])[["PricingQuantity", *MONEY]].sum()
    pd.testing.assert_frame_equal(by_day, by_hour, rtol=1e-9, atol=1e-6)
    tokens = hours[hours["ConsumedUnit"] == "Tokens"]
    assert (tokens["ConsumedQuantity"] % 1 == 0).all()
