"""OpenCost: what Kubernetes workloads cost (`/allocation`) and what the clouds below them billed (`/cloudCost`).

An allocation becomes a line for each kind of resource (processors, GPUs, memory, …) and one for the rest of its `totalCost`,
so that its lines sum to it exactly; the parts are rounded each for itself and seldom do. Lines of 0 are kept: an answer that is
asked for again is merged by window, name and kind, and a cost that has become 0 must take the place of what it was.

An allocation's money is the cluster's bill seen from inside. Take in either it or the cloud's own bill, and ask always for the same
`aggregate` with `step=1d`: windows that overlap, or two aggregates of one day, are there twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, document_rows
from forecast.adapters.duck import quoted_name, quoted_text
from forecast.adapters.focus_columns import MONEY
from forecast.adapters.formats.base import Reading, tags_sql
from forecast.adapters.formats.pages import CHARGE_ID, charge_id, exact_documents, focus_columns, moment_of_text, month_of, readable

UNKNOWN = "unknown"
"""Provider and service of a cloud cost that was aggregated over them."""


@dataclass(frozen=True)
class _Resource:
    """A kind of resource: its meter, the fields whose sum is its cost, and the field and unit of its use."""

    meter: str
    fields: tuple[str, ...]
    usage: str | None = None
    unit: str | None = None


_RESOURCES: tuple[_Resource, ...] = (
    _Resource("CPU", ("cpuCost", "cpuCostAdjustment"), "cpuCoreHours", "Core-Hours"),
    _Resource("GPU", ("gpuCost", "gpuCostAdjustment"), "gpuHours", "GPU-Hours"),
    _Resource("RAM", ("ramCost", "ramCostAdjustment"), "ramByteHours", "Byte-Hours"),
    _Resource("Persistent Volume", ("pvCost", "pvCostAdjustment"), "pvByteHours", "Byte-Hours"),
    _Resource("Network", ("networkCost", "networkCostAdjustment")),
    _Resource("Load Balancer", ("loadBalancerCost", "loadBalancerCostAdjustment")),
    _Resource("Shared", ("sharedCost",)),
    _Resource("External", ("externalCost",)),
)
_REST, _TOTAL = "Other", "Total"

_PROPERTIES = ("cluster", "node", "namespace", "controller", "controllerKind", "pod", "container", "providerID")
_ADDITIONS = {"x_cluster": "cluster", "x_node": "node", "x_namespace": "namespace", "x_pod": "pod", "x_container": "container"}

_CLOUD_PROPERTIES = (
    "provider", "providerID", "accountID", "accountName", "invoiceEntityID", "invoiceEntityName",
    "regionID", "availabilityZone", "service", "category",
)  # fmt: skip
_CLOUD_COSTS = ("listCost", "netCost", "amortizedNetCost", "invoicedCost", "amortizedCost")
_CATEGORIES = {"Virtual Machine": "Compute", "Disk": "Storage", "Network": "Networking", "Load Balancer": "Networking"}
_BY_CHARGE = Reading("merge", (CHARGE_ID,))


@dataclass(frozen=True)
class OpenCostAllocation:
    """Answers of `/allocation`. currency : of the prices that OpenCost is configured with; its answers do not name one."""

    currency: str = "USD"
    name: str = "opencost-allocation"
    title: str = "OpenCost allocation"
    looks_for: str = "JSON with `cpuCost`, `ramCost` and `totalCost` of each allocation"
    reading: Reading = _BY_CHARGE

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"cpuCost", "ramCost", "totalCost"} <= sample.keys:
            return None
        return "its allocations have `cpuCost`, `ramCost` and `totalCost`"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        fields = {
            "name": "name",
            "meter": "line.meter",
            "amount": "line.amount",
            "quantity": "line.quantity",
            "unit": "line.unit",
            "start": "starts",
            "end": "ends",
            **{name: f"properties ->> '{name}'" for name in _PROPERTIES},
            "labels": _merged_labels("properties", "namespaceLabels", "labels"),
        }
        selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in fields.items())
        sql = f"SELECT {selected} FROM (SELECT *, unnest({_lines()}) AS line FROM ({_amounts(_allocations())}))"
        return document_rows(connection, file, sql, tuple(fields))

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = _references(rows)
        start, end = moment_of_text(at["start"]), moment_of_text(at["end"])
        month, next_month = month_of(start)
        special = f"nullif(regexp_extract({at['name']}, '__[a-z]+__'), '')"
        workload = f"coalesce({at['controller']}, {at['pod']}, {special})"
        own = tags_sql({"cluster": at["cluster"], "namespace": at["namespace"], "node": at["node"], "workload": workload})
        return {
            **focus_columns(
                billed_cost=at["amount"],
                effective_cost=at["amount"],
                billing_currency=quoted_text(self.currency),
                billing_account_id=at["cluster"],
                billing_account_name=at["cluster"],
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(start, at["start"]),
                charge_period_end=readable(end, at["end"]),
                charge_category="'Usage'",
                charge_frequency="'Usage-Based'",
                charge_description=f"concat({at['meter']}, ' of ', {at['name']})",
                consumed_quantity=at["quantity"],
                consumed_unit=at["unit"],
                provider_name="'Kubernetes'",
                service_name="'Kubernetes'",
                service_category="'Compute'",
                sku_id=f"concat('kubernetes/', lower(replace({at['meter']}, ' ', '-')))",
                sku_meter=at["meter"],
                sub_account_id=at["namespace"],
                sub_account_name=at["namespace"],
                resource_id=at["name"],
                resource_name=f"coalesce({at['controller']}, {at['pod']}, {at['name']})",
                resource_type=at["controllerKind"],
                tags=f"json_merge_patch(coalesce(CAST({own} AS JSON), '{{}}'), {at['labels']})",
            ),
            **{name: at[written] for name, written in _ADDITIONS.items()},
            "x_provider_id": at["providerID"],
            CHARGE_ID: charge_id("opencost", [at["start"], at["end"], at["cluster"], at["name"], at["meter"]]),
        }


@dataclass(frozen=True)
class OpenCostCloudCost:
    """Answers of `/cloudCost`: billed as invoiced, effective as amortised after discounts. currency : as the cloud's bills have it."""

    currency: str = "USD"
    name: str = "opencost-cloud-cost"
    title: str = "OpenCost cloud costs"
    looks_for: str = "JSON with `cloudCosts` and their `netCost`"
    reading: Reading = _BY_CHARGE

    def recognise(self, sample: Sample) -> str | None:
        if sample.file.kind != "json" or not {"cloudCosts", "netCost"} <= sample.keys:
            return None
        return "its sets have `cloudCosts` with `netCost`"

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        fields = {
            "key": "entry.key",
            "start": _bound("entry.value", "start"),
            "end": _bound("entry.value", "end"),
            **{name: f"nullif(entry.value -> 'properties' ->> '{name}', '')" for name in _CLOUD_PROPERTIES},
            **{name: f"entry.value -> '{name}' ->> 'cost'" for name in _CLOUD_COSTS},
            "kubernetesPercent": "entry.value -> 'netCost' ->> 'kubernetesPercent'",
            "labels": _merged_labels("entry.value -> 'properties'", "labels"),
        }
        selected = ", ".join(f"{sql} AS {quoted_name(name)}" for name, sql in fields.items())
        sets = f"SELECT unnest(json_extract(document, '$.data.sets[*]')) AS one FROM ({exact_documents()})"
        entries = _entries("(one -> 'cloudCosts')")
        sql = f"SELECT {selected} FROM (SELECT unnest({entries}) AS entry FROM ({sets}))"
        return document_rows(connection, file, sql, tuple(fields))

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = _references(rows)
        start, end = moment_of_text(at["start"]), moment_of_text(at["end"])
        month, next_month = month_of(start)
        categories = " ".join(f"WHEN {quoted_text(written)} THEN {quoted_text(meant)}" for written, meant in _CATEGORIES.items())
        billed = f"coalesce({at['invoicedCost']}, {at['netCost']})"
        return {
            **focus_columns(
                billed_cost=billed,
                effective_cost=f"coalesce({at['amortizedNetCost']}, {at['amortizedCost']}, {at['netCost']})",
                list_cost=at["listCost"],
                billing_currency=quoted_text(self.currency),
                billing_account_id=at["invoiceEntityID"],
                billing_account_name=f"coalesce({at['invoiceEntityName']}, {at['invoiceEntityID']})",
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=readable(start, at["start"]),
                charge_period_end=readable(end, at["end"]),
                charge_category=f"CASE WHEN TRY_CAST({billed} AS {MONEY}) < 0 THEN 'Credit' ELSE 'Usage' END",
                provider_name=f"coalesce({at['provider']}, {quoted_text(UNKNOWN)})",
                service_name=f"coalesce({at['service']}, {quoted_text(UNKNOWN)})",
                service_category=f"CASE WHEN {at['category']} IS NOT NULL THEN CASE {at['category']} {categories} ELSE 'Other' END END",
                sub_account_id=at["accountID"],
                sub_account_name=f"coalesce({at['accountName']}, {at['accountID']})",
                region_id=at["regionID"],
                availability_zone=at["availabilityZone"],
                resource_id=at["providerID"],
                tags=at["labels"],
            ),
            "x_category": at["category"],
            "x_kubernetes_percent": at["kubernetesPercent"],
            CHARGE_ID: charge_id("opencost-cloud", [at["start"], at["end"], at["key"]]),
        }


def _references(rows: Rows) -> dict[str, str]:
    return {name: f"c{place}" for place, name in enumerate(rows.names)}


def _entries(of: str) -> str:
    """SQL of the keys and values of a JSON object in its order; one pass, where a look-up by key would be one a key."""
    return f"map_entries(from_json(CASE WHEN json_type({of}) = 'OBJECT' THEN {of} END, '\"MAP(VARCHAR, JSON)\"'))"


def _allocations() -> str:
    """SELECT of `name` and `one` (JSON) of every allocation: objects by name, in a list of sets under `data` or without that envelope."""
    of_data = "json_extract(document, '$.data[*]')"
    sets = f"SELECT unnest(CASE json_type(document -> 'data') WHEN 'ARRAY' THEN {of_data} ELSE [document] END) AS one FROM ({exact_documents()})"
    return f"""
        SELECT entry.key AS name, entry.value AS one FROM (SELECT unnest({_entries("one")}) AS entry FROM ({sets}))
        WHERE json_type(entry.value) = 'OBJECT'
    """


def _amounts(allocations: str) -> str:
    """SELECT over allocations with the exact cost of each kind, their sum, the total as written, and whether all of it can be read."""
    written = [f"(one ->> '{field}')" for resource in _RESOURCES for field in resource.fields]
    costs = ", ".join(f"{_sum_of(resource)} AS cost_{place}" for place, resource in enumerate(_RESOURCES))
    parts = " + ".join(f"cost_{place}" for place in range(len(_RESOURCES)))
    unread = " OR ".join(f"({field} IS NOT NULL AND TRY_CAST({field} AS {MONEY}) IS NULL)" for field in written)
    return f"""
        SELECT *, {parts} AS parts, TRY_CAST(total AS {MONEY}) AS exact_total FROM (
            SELECT name, one, one -> 'properties' AS properties, {_bound("one", "start")} AS starts, {_bound("one", "end")} AS ends,
                   one ->> 'totalCost' AS total, {costs}, ({unread}) OR coalesce({", ".join(written)}) IS NULL AS unread
            FROM ({allocations})
        )
    """


def _sum_of(resource: _Resource) -> str:
    return " + ".join(f"coalesce(TRY_CAST(one ->> '{field}' AS {MONEY}), 0)" for field in resource.fields)


def _lines() -> str:
    """SQL of the list of an allocation's lines; only its total where that or, without one, a part cannot be read, for the ledger to refuse."""
    lines = [_line(resource.meter, f"CAST(cost_{place} AS VARCHAR)", resource) for place, resource in enumerate(_RESOURCES)]
    rest = _line(_REST, "CAST(exact_total - parts AS VARCHAR)")
    return f"""
        CASE WHEN exact_total IS NOT NULL THEN [{", ".join([*lines, rest])}]
             WHEN total IS NOT NULL OR unread THEN [{_line(_TOTAL, "total")}]
             ELSE [{", ".join(lines)}] END
    """


def _line(meter: str, amount: str, resource: _Resource | None = None) -> str:
    quantity = f"one ->> '{resource.usage}'" if resource is not None and resource.usage else "CAST(NULL AS VARCHAR)"
    unit = quoted_text(resource.unit) if resource is not None and resource.unit else "CAST(NULL AS VARCHAR)"
    return f"struct_pack(meter := {quoted_text(meter)}, amount := {amount}, quantity := {quantity}, unit := {unit})"


def _bound(of: str, which: str) -> str:
    """The step's window, the same however far a running day has come; the time that the allocation ran where there is none."""
    return f"coalesce({of} -> 'window' ->> '{which}', {of} ->> '{which}')"


def _merged_labels(of: str, *names: str) -> str:
    """SQL of one JSON object with the labels of all objects of these names; later ones win."""
    objects = [f"CASE WHEN json_type({of} -> '{name}') = 'OBJECT' THEN {of} -> '{name}' ELSE '{{}}' END" for name in names]
    return f"json_merge_patch('{{}}', {', '.join(objects)})"
