"""GPU hours: counted from what the table says, priced exactly, refused where there is no price."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forecast.adapters import duck
from forecast.adapters.bill_files import BillFile
from forecast.adapters.formats.gpu_hours import GpuHours
from forecast.spend.prices import read_prices
from tests.adapters.formats.cloud_bills import write_csv, write_parquet
from tests.adapters.formats.pages_for_tests import HOSTILE, found, read, sample, total, written

PRICES = read_prices(
    """provider,model,meter,tier,context,unit,price,currency,valid_from
Kubernetes,*,H100,,,GPU-hour,3.10,USD,2025-01-01
Kubernetes,*,H100,,,GPU-hour,2.50,USD,2026-02-01
Kubernetes,*,A100-80GB,,,GPU-hour,1.999999,USD,2025-01-01
AWS,*,H100,,,GPU-hour,4,EUR,2025-01-01
Kubernetes,*,Our Own Card,,,GPU-hour,0.25,USD,2025-01-01
""",
    "tariff",
)
FORMAT = GpuHours(PRICES)


def used(**changes: Any) -> dict[str, Any]:
    values = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-05T06:00:00Z", "gpu_type": "H100", "gpu_count": "8", "namespace": "ml", "pod": "pod-1"}
    return values | changes


def table(tmp_path: Path, *rows: dict[str, Any]) -> BillFile:
    return found(write_csv(tmp_path / "gpu.csv", rows))


def lines(tmp_path: Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return read(FORMAT, table(tmp_path, *rows))


def test_hours_are_count_times_duration_and_priced_by_the_table(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, used(team="ads", cluster="one", node="n-1", label_env="prod", note=HOSTILE))
    assert (Decimal(row["ConsumedQuantity"]), Decimal(row["BilledCost"])) == (Decimal(48), Decimal("148.80"))
    assert Decimal(row["EffectiveCost"]) == Decimal(row["ListCost"]) == Decimal("148.8")
    assert row["x_priced_by"] == "tariff 2026-02-01: Kubernetes H100 3.10 USD per GPU-hour since 2025-01-01"
    assert row["x_refused"] is None
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-01-05 00:00:00", "2026-01-05 06:00:00")
    assert (row["ProviderName"], row["ServiceName"], row["SkuMeter"], row["BillingCurrency"]) == ("Kubernetes", "GPU hours", "H100", "USD")
    assert (row["ResourceId"], row["SubAccountName"], row["BillingAccountId"], row["x_note"]) == ("pod-1", "ml", "one", HOSTILE)
    assert json.loads(row["Tags"]) == {
        "cluster": "one", "namespace": "ml", "node": "n-1", "team": "ads", "env": "prod", "workload": "pod-1"
    }  # fmt: skip


def test_the_price_of_the_day_counts(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, used(start="2026-02-01T00:00:00Z", end="2026-02-01T01:00:00Z", gpu_count="1"))
    assert Decimal(row["BilledCost"]) == Decimal("2.5")


@pytest.mark.parametrize(
    ("columns", "hours"),
    [
        ({"gpu_hours": "1.5"}, "1.5"),
        ({"gpu_count": "2", "hours": "0.25"}, "0.5"),
        ({"gpu_count": "3", "end": "2026-01-05T00:00:20Z"}, "0.016666668"),
        ({"gpu_count": "0.5", "hours": "", "end": "2026-01-05T01:00:00Z"}, "0.5"),
    ],
)
def test_gpu_hours_come_from_what_the_table_says(tmp_path: Path, columns: dict[str, str], hours: str) -> None:
    row = {"start": "2026-01-05T00:00:00Z", "gpu_type": "H100", "pod": "p"} | columns
    assert Decimal(lines(tmp_path, row)[0]["ConsumedQuantity"]) == Decimal(hours)


def test_a_day_alone_is_a_whole_day(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, {"date": "2026-01-31", "gpu_type": "h100", "gpu_hours": "10"})
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-01-31 00:00:00", "2026-02-01 00:00:00")
    assert Decimal(row["BilledCost"]) == 31


@pytest.mark.parametrize(
    ("written_as", "priced_as"),
    [
        ("h100", "H100"),
        ("NVIDIA-H100-80GB-HBM3", "H100"),
        ("nvidia-h100-80gb", "H100"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("our own card", "Our Own Card"),
    ],
)
def test_names_of_node_labels_mean_the_gpus_of_the_price_table(tmp_path: Path, written_as: str, priced_as: str) -> None:
    (row,) = lines(tmp_path, used(gpu_type=written_as))
    assert (row["SkuMeter"], row["x_gpu_type"], row["x_refused"]) == (priced_as, written_as, None)


@pytest.mark.parametrize("written_as", ["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "H100-NVL", "MI300X", "A100-40GB"])
def test_what_has_no_price_is_refused_and_never_costs_nothing(tmp_path: Path, written_as: str) -> None:
    (row,) = lines(tmp_path, used(gpu_type=written_as))
    assert row["BilledCost"] is None
    assert row["x_priced_by"] is None
    assert row["x_refused"].startswith("BilledCost|has no price: none in tariff for Kubernetes ")


def test_the_cloud_that_a_table_names_decides_the_price(tmp_path: Path) -> None:
    named, none = lines(tmp_path, used(provider="aws"), used(provider=""))
    assert (named["ProviderName"], Decimal(named["BilledCost"]), named["BillingCurrency"]) == ("AWS", Decimal(192), "EUR")
    assert (none["ProviderName"], none["BillingCurrency"]) == ("Kubernetes", "USD")


def test_a_cost_or_a_price_of_the_row_goes_before_the_table_and_is_not_priced_by_us(tmp_path: Path) -> None:
    cost, price, neither = lines(tmp_path, used(cost="7.77", currency="eur"), used(price="0.000001", currency="usd"), used(currency="usd"))
    assert (cost["BilledCost"], cost["BillingCurrency"], cost["x_priced_by"]) == ("7.77", "EUR", None)
    assert (Decimal(price["BilledCost"]), price["x_priced_by"]) == (Decimal("0.000048"), None)
    assert (Decimal(neither["BilledCost"]), neither["BillingCurrency"]) == (Decimal("148.8"), "USD")
    assert neither["x_priced_by"] is not None


def test_a_row_with_its_own_cost_needs_no_price_for_its_gpu(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, used(gpu_type="MI300X", cost="3", currency="USD"))
    assert (row["BilledCost"], row["x_refused"]) == ("3", None)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"gpu_count": "many"}, "quantity"),
        ({"gpu_count": "-1"}, "quantity"),
        ({"end": "2026-01-04T00:00:00Z"}, "quantity"),
        ({"price": "a lot"}, "price"),
    ],
)
def test_hours_and_prices_that_are_none_are_refused(tmp_path: Path, changes: dict[str, str], column: str) -> None:
    (row,) = lines(tmp_path, used(**changes))
    assert row["BilledCost"] is None
    assert row["x_refused"].startswith(f"{column}|")


def test_a_cost_that_is_no_number_stays_for_the_ledger_to_refuse(tmp_path: Path) -> None:
    (row,) = lines(tmp_path, used(cost="abc", currency="USD"))
    assert row["BilledCost"] == "abc"


def test_costs_without_a_currency_are_taken_as_the_declared_one_and_that_is_noted(tmp_path: Path) -> None:
    file = table(tmp_path, used(cost="7"))
    format = GpuHours(PRICES, currency="CHF")
    assert read(format, file)[0]["BillingCurrency"] == "CHF"
    with duck.connect() as connection:
        assert "no currency column" in format.rows(connection, file).notes[-1]


def test_a_second_delivery_restates_by_start_and_who_and_equal_rows_are_two(tmp_path: Path) -> None:
    first = lines(tmp_path, used(), used(pod="pod-2"), used())
    second = lines(tmp_path, used(end="2026-01-05T07:00:00Z"), used(), used(pod="pod-2"))
    assert len({row["x_charge_id"] for row in first}) == 3
    assert {row["x_charge_id"] for row in first} == {row["x_charge_id"] for row in second}


def test_an_id_of_the_table_is_the_identity(tmp_path: Path) -> None:
    assert lines(tmp_path, used(id="abc"))[0]["x_charge_id"] == "abc"


def test_a_table_that_says_nobody_is_told_apart_by_everything_it_says(tmp_path: Path) -> None:
    anonymous = {"start": "2026-01-05", "gpu_type": "H100", "gpu_hours": "1"}
    first = lines(tmp_path, anonymous, anonymous)
    (other,) = lines(tmp_path, anonymous | {"gpu_hours": "2"})
    assert len({row["x_charge_id"] for row in (*first, other)}) == 3


def test_csv_json_and_parquet_say_the_same(tmp_path: Path) -> None:
    rows = [used(labels='{"team": "ads"}', gpu_count=8), used(pod="pod-2", labels=None, gpu_count=2)]
    as_csv = read(FORMAT, found(write_csv(tmp_path / "a.csv", rows)))
    as_json = read(
        FORMAT, written(tmp_path / "a.json", *[row | {"labels": row["labels"] and json.loads(row["labels"])} for row in rows], layout="list")
    )
    as_parquet = read(FORMAT, found(write_parquet(tmp_path / "a.parquet", rows)))
    assert as_csv == as_json == as_parquet
    assert json.loads(as_csv[0]["Tags"]) == {"team": "ads", "namespace": "ml", "workload": "pod-1"}


def test_money_of_many_rows_is_exact(tmp_path: Path) -> None:
    rows = [used(gpu_type="A100-80GB", gpu_hours=f"{place}.{place:03}", pod=f"p{place}") for place in range(1, 200)]
    expected = sum(Decimal(row["gpu_hours"]) * Decimal("1.999999") for row in rows)
    assert total(lines(tmp_path, *rows)) == expected


def test_it_is_recognised_by_start_type_and_hours(tmp_path: Path) -> None:
    assert FORMAT.recognise(sample(table(tmp_path, used()))) == "it has the columns start, gpu_type and gpu_count"
    assert FORMAT.recognise(sample(table(tmp_path, {"start": 1, "gpu_type": "T4", "gpu_count": 1}))) is None
    assert FORMAT.recognise(sample(table(tmp_path, {"start": 1, "end": 2, "cost": 1}))) is None
    assert FORMAT.recognise(sample(written(tmp_path / "a.json", used()))) is not None
