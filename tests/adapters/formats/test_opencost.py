"""OpenCost: lines that sum to the total exactly, whatever the parts say, and identities that survive a second look at a day."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.adapters.formats.opencost import OpenCostAllocation, OpenCostCloudCost
from tests.adapters.formats.pages_for_tests import HOSTILE, read, sample, total, written

DAY = {"start": "2026-01-31T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
KINDS = ("CPU", "GPU", "RAM", "Persistent Volume", "Network", "Load Balancer", "Shared", "External", "Other")


def allocation(total_cost: object = 3.5, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "properties": {"cluster": "one", "namespace": "ml", "controller": "trainer", "controllerKind": "job", "node": "node-1"},
        "window": DAY, "start": "2026-01-31T03:00:00Z", "end": "2026-01-31T09:00:00Z",
        "cpuCoreHours": 12.5, "cpuCost": 1.25, "cpuCostAdjustment": 0.25,
        "gpuHours": 4, "gpuCost": 2, "gpuCostAdjustment": 0, "ramByteHours": 40855853856.91022, "ramCost": 0, "ramCostAdjustment": 0, "pvCost": 0,
        "networkCost": 0, "loadBalancerCost": 0, "sharedCost": 0, "externalCost": 0, "totalCost": total_cost,
    }  # fmt: skip
    return values | changes


def answer(*sets: dict[str, Any] | None) -> dict[str, Any]:
    return {"code": 200, "status": "success", "data": list(sets)}


def lines(tmp_path: Path, *documents: object, layout: str = "one") -> list[dict[str, Any]]:
    return read(OpenCostAllocation(), written(tmp_path / "allocation.json", *documents, layout=layout))


def test_an_allocation_becomes_a_line_for_each_kind_of_resource(tmp_path: Path) -> None:
    found = lines(tmp_path, answer({"ml/trainer": allocation(gpuCost=1.5)}))
    assert tuple(row["SkuMeter"] for row in found) == KINDS
    cpu, gpu = found[0], found[1]
    assert (Decimal(cpu["BilledCost"]), Decimal(gpu["BilledCost"]), Decimal(found[-1]["BilledCost"])) == (
        Decimal("1.5"),
        Decimal("1.5"),
        Decimal("0.5"),
    )
    assert cpu["EffectiveCost"] == cpu["BilledCost"]
    assert (cpu["ConsumedQuantity"], cpu["ConsumedUnit"], gpu["ConsumedQuantity"], gpu["ConsumedUnit"]) == ("12.5", "Core-Hours", "4", "GPU-Hours")
    assert (cpu["ChargePeriodStart"], cpu["ChargePeriodEnd"]) == ("2026-01-31 00:00:00", "2026-02-01 00:00:00")
    assert (str(cpu["BillingPeriodStart"]), str(cpu["BillingPeriodEnd"])) == ("2026-01-01 00:00:00", "2026-02-01 00:00:00")
    assert (cpu["ProviderName"], cpu["ServiceName"], cpu["BillingCurrency"], cpu["ChargeCategory"]) == ("Kubernetes", "Kubernetes", "USD", "Usage")
    assert (cpu["BillingAccountId"], cpu["SubAccountName"], cpu["ResourceId"], cpu["ResourceType"]) == ("one", "ml", "ml/trainer", "job")
    assert json.loads(cpu["Tags"]) == {"cluster": "one", "namespace": "ml", "node": "node-1", "workload": "trainer"}


def test_lines_sum_to_the_total_exactly_whatever_the_parts_were_rounded_to(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    sets = []
    for _ in range(5):
        parts = generator.lognormal(0, 2, (40, 8))
        names = ("cpuCost", "gpuCost", "ramCost", "pvCost", "networkCost", "loadBalancerCost", "sharedCost", "cpuCostAdjustment")
        rows = [
            {name: round(float(value), 5) for name, value in zip(names, part, strict=True)} | {"totalCost": round(float(part.sum()), 5)}
            for part in parts
        ]
        sets.append({f"pod-{place}": allocation(**row) for place, row in enumerate(rows)})
    found = lines(tmp_path, answer(*sets))
    assert len(found) == 5 * 40 * len(KINDS)
    assert total(found) == sum(Decimal(str(one["totalCost"])) for each in sets for one in each.values())
    assert len({row["x_charge_id"] for row in lines(tmp_path, answer(sets[0]))}) == 40 * len(KINDS)


def test_numbers_keep_the_digits_of_the_file(tmp_path: Path) -> None:
    text = json.dumps(answer({"a": allocation("HERE", cpuCost=0, cpuCostAdjustment=0, gpuCost=0)})).replace('"HERE"', "1234567890123456.123456789012")
    assert total(lines(tmp_path, text)) == Decimal("1234567890123456.123456789012")


@pytest.mark.parametrize("name", ["__idle__", "one/__unallocated__"])
def test_what_nobody_used_is_a_workload_of_its_own(tmp_path: Path, name: str) -> None:
    found = lines(tmp_path, answer({name: allocation(properties={"cluster": "one"})}))
    assert json.loads(found[0]["Tags"]) == {"cluster": "one", "workload": name.removeprefix("one/")}
    assert found[0]["SubAccountName"] is None


def test_labels_become_tags_and_those_of_the_pod_win(tmp_path: Path) -> None:
    properties = {"namespace": "ml", "namespaceLabels": {"team": "ads", "env": "prod"}, "labels": {"team": "search", "odd": HOSTILE}}
    found = lines(tmp_path, answer({"ml": allocation(properties=properties)}))
    assert json.loads(found[0]["Tags"]) == {"namespace": "ml", "team": "search", "env": "prod", "odd": HOSTILE}


def test_a_second_look_at_a_day_has_the_same_identities_and_a_cost_of_nothing_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    before = lines(tmp_path, answer({"a": allocation(), "b": allocation()}))
    after = lines(tmp_path, answer({"b": allocation(totalCost=1.5, gpuCost=0, end="2026-01-31T12:00:00Z"), "a": allocation()}))
    current = {row["x_charge_id"]: Decimal(row["BilledCost"]) for row in (*before, *after)}
    assert {row["x_charge_id"] for row in before} == {row["x_charge_id"] for row in after}
    assert sum(current.values()) == Decimal("5.0")


@pytest.mark.parametrize("changes", [{"window": {"start": "2026-01-30T00:00:00Z", "end": DAY["start"]}}, {"properties": {"cluster": "two"}}])
def test_other_windows_and_other_clusters_are_other_charges(tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = lines(tmp_path, answer({"a": allocation()})), lines(tmp_path, answer({"a": allocation(**changes)}))
    assert not {row["x_charge_id"] for row in first} & {row["x_charge_id"] for row in second}


@pytest.mark.parametrize("layout", ["one", "lines", "list"])
def test_several_answers_in_one_file_and_empty_sets_are_read(tmp_path: Path, layout: str) -> None:
    other = {"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}
    documents = [answer({"a": allocation()}, None, {}), answer({"a": allocation(window=other)})]
    found = lines(tmp_path, *documents, layout=layout)
    assert total(found) == Decimal("7.0")
    assert [row["row_number"] for row in found] == list(range(1, 2 * len(KINDS) + 1))


def test_a_set_without_the_envelope_is_read(tmp_path: Path) -> None:
    assert total(lines(tmp_path, {"a": allocation()})) == Decimal("3.5")


def test_a_total_or_without_one_a_part_that_cannot_be_read_is_left_to_the_ledger_and_counts_nothing_else(tmp_path: Path) -> None:
    (bad,) = lines(tmp_path, answer({"a": allocation("much")}))
    assert (bad["SkuMeter"], bad["BilledCost"]) == ("Total", "much")
    (missing,) = lines(tmp_path, answer({"a": allocation(None, gpuCost="much")}))
    assert missing["BilledCost"] is None
    (nothing,) = lines(tmp_path, answer({"a": {"properties": {}, "window": DAY}}))
    assert nothing["BilledCost"] is None
    huge = lines(tmp_path, answer({"a": allocation(1e308)}))
    assert [row["SkuMeter"] for row in huge] == ["Total"]


def test_a_part_that_cannot_be_read_is_in_the_rest_where_the_total_can(tmp_path: Path) -> None:
    found = lines(tmp_path, answer({"a": allocation(gpuCost=None)}))
    assert total(found) == Decimal("3.5")
    assert Decimal(found[-1]["BilledCost"]) == 2


def test_without_a_total_the_parts_count(tmp_path: Path) -> None:
    assert total(lines(tmp_path, answer({"a": allocation(None)}))) == Decimal("3.5")


def test_without_a_window_the_time_that_it_ran_is_the_charge_period(tmp_path: Path) -> None:
    found = lines(tmp_path, answer({"a": allocation(window=None)}))
    assert (found[0]["ChargePeriodStart"], found[0]["ChargePeriodEnd"]) == ("2026-01-31 03:00:00", "2026-01-31 09:00:00")


def test_a_time_that_cannot_be_read_stays_as_it_is_written(tmp_path: Path) -> None:
    found = lines(tmp_path, answer({"a": allocation(window={"start": "someday", "end": None})}))
    assert found[0]["ChargePeriodStart"] == "someday"


def cloud_cost(cost: object = 7.25, **changes: Any) -> dict[str, Any]:
    properties = {"provider": "AWS", "accountID": "acc", "invoiceEntityID": "payer", "service": "AmazonEC2", "category": "Virtual Machine",
                  "providerID": "i-1", "regionID": "eu-west-1", "labels": {"team": "ads"}}  # fmt: skip
    metrics = {name: {"cost": cost, "kubernetesPercent": 0.5} for name in ("netCost", "invoicedCost")}
    metrics |= {"listCost": {"cost": 9.5}, "amortizedNetCost": {"cost": 6.125}, "amortizedCost": {"cost": 6.5}}
    return {"properties": properties, "window": DAY, **metrics} | changes


def clouds(tmp_path: Path, **costs: dict[str, Any]) -> list[dict[str, Any]]:
    document = {"code": 200, "data": {"sets": [{"cloudCosts": costs, "window": DAY}, {"cloudCosts": None}], "window": DAY}}
    return read(OpenCostCloudCost(), written(tmp_path / "cloud.json", document))


def test_a_cloud_cost_becomes_one_line(tmp_path: Path) -> None:
    (row,) = clouds(tmp_path, key=cloud_cost())
    assert (row["BilledCost"], row["EffectiveCost"], row["ListCost"]) == ("7.25", "6.125", "9.5")
    assert (row["ProviderName"], row["ServiceName"], row["ServiceCategory"], row["RegionId"]) == ("AWS", "AmazonEC2", "Compute", "eu-west-1")
    assert (row["BillingAccountId"], row["SubAccountId"], row["SubAccountName"], row["ResourceId"]) == ("payer", "acc", "acc", "i-1")
    assert (row["x_kubernetes_percent"], json.loads(row["Tags"]), row["ChargeCategory"]) == ("0.5", {"team": "ads"}, "Usage")


def test_cloud_costs_below_nothing_are_credits_and_aggregated_ones_have_an_unknown_provider(tmp_path: Path) -> None:
    credit, bare = clouds(tmp_path, one=cloud_cost(-1.5), two=cloud_cost(properties={}))
    assert (credit["ChargeCategory"], credit["BilledCost"]) == ("Credit", "-1.5")
    assert (bare["ProviderName"], bare["ServiceName"], bare["ServiceCategory"]) == ("unknown", "unknown", None)
    assert credit["x_charge_id"] != bare["x_charge_id"]


def test_costs_fall_back_on_the_net_cost(tmp_path: Path) -> None:
    (row,) = clouds(tmp_path, key=cloud_cost(invoicedCost=None, amortizedNetCost=None, amortizedCost=None))
    assert row["BilledCost"] == row["EffectiveCost"] == "7.25"


def test_each_kind_of_answer_is_recognised_by_its_own_format_alone(tmp_path: Path) -> None:
    allocations = sample(written(tmp_path / "a.json", answer({"a": allocation()})))
    costs = sample(written(tmp_path / "c.json", {"data": {"sets": [{"cloudCosts": {"k": cloud_cost()}}]}}))
    other = sample(written(tmp_path / "o.json", {"data": []}))
    assert [format.recognise(allocations) is not None for format in (OpenCostAllocation(), OpenCostCloudCost())] == [True, False]
    assert [format.recognise(costs) is not None for format in (OpenCostAllocation(), OpenCostCloudCost())] == [False, True]
    assert [format.recognise(other) for format in (OpenCostAllocation(), OpenCostCloudCost())] == [None, None]


def test_the_currency_is_the_one_that_opencost_is_configured_with(tmp_path: Path) -> None:
    (row, *_) = read(OpenCostAllocation(currency="EUR"), written(tmp_path / "a.json", answer({"a": allocation()})))
    assert row["BillingCurrency"] == "EUR"
