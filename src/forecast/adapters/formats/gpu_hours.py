"""GPU hours as a simple table: who used how many GPUs of which type for how long.

    start        when it began (`date` or `day`: a whole day, unless `end` or `hours` say otherwise)
    end | hours  when it ended, or how long it lasted
    gpu_type     `H100`, or as node labels write it: `NVIDIA-A100-SXM4-80GB`, `nvidia-tesla-t4`
    gpu_hours | gpu_count   the GPU hours, or how many GPUs were used all that time
    provider, cluster, namespace, workload, pod, node, team, env, project, region, id   who, each if there is one
    labels (an object), label_… and tag_…   tags; any other column is kept as an addition
    cost | price, currency   what it cost, or an hour of one GPU

A row without a cost is hours × price: its own, else that of the price table, and then `x_priced_by` says which entry. Rows without
any price are refused. Merged by `id`, else by start and who; where a table says neither, by everything in the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

from forecast.adapters.bill_files import BillFile, Rows, Sample, table_rows
from forecast.adapters.duck import quoted_text
from forecast.adapters.focus_columns import MONEY
from forecast.adapters.formats.base import PRICED_BY, REFUSED, Reading, tags_sql
from forecast.adapters.formats.cloud_sql import Given
from forecast.adapters.formats.pages import CHARGE_ID, charge_id, focus_columns, moment_of_text, month_of, readable, refusal
from forecast.adapters.formats.pricing import priced_rows, shipped_prices
from forecast.spend.prices import PriceTable

PROVIDER, UNIT = "Kubernetes", "GPU-hour"
"""The provider of rows that name none, and the unit that the price table must have for them."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "start": ("start", "start_time", "window_start", "period_start", "timestamp", "date", "day"),
    "end": ("end", "end_time", "window_end", "period_end"),
    "hours": ("hours", "duration_hours"),
    "gpu_type": ("gpu_type", "gpu_model", "gpu_name", "gpu_product", "accelerator", "accelerator_type", "gpu"),
    "gpu_count": ("gpu_count", "gpus", "num_gpus"),
    "gpu_hours": ("gpu_hours", "gpuhours", "gpu-hours"),
    "provider": ("provider", "cloud"),
    "cluster": ("cluster", "cluster_name"),
    "namespace": ("namespace",),
    "workload": ("workload", "controller", "deployment", "job"),
    "pod": ("pod", "pod_name"),
    "node": ("node", "node_name", "instance"),
    "team": ("team",),
    "env": ("env", "environment", "stage"),
    "project": ("project",),
    "region": ("region",),
    "labels": ("labels", "tags"),
    "id": ("x_charge_id", "id", "uid"),
    "cost": ("cost", "total_cost", "amount"),
    "price": ("price", "price_per_gpu_hour", "price_per_hour", "rate"),
    "currency": ("currency",),
}
"""What a column is for, and the names by which it is known, whatever their case."""

_WHO = ("provider", "cluster", "namespace", "workload", "pod", "node", "team", "env", "project", "region")
_IDENTIFYING = ("cluster", "namespace", "workload", "pod", "node")
_TAGS = ("cluster", "namespace", "node", "team", "env", "project")
_PROVIDERS = {
    "aws": "AWS", "amazon": "AWS", "amazon web services": "AWS", "gcp": "Google Cloud", "google": "Google Cloud", "azure": "Microsoft",
}  # fmt: skip

# What node labels of NVIDIA's and the clouds' device plugins write, once the makers' names are gone; a slice of a GPU (MIG) is none of these.
_TYPES = {
    r"a100(-(sxm4|pcie))?-80gb": "A100-80GB",
    r"a100(-(sxm4|pcie))?(-40gb)?": "A100",
    r"h100(-(sxm5|pcie))?(-80gb)?(-hbm[23])?": "H100",
    r"v100(-(sxm2|pcie))?(-16gb)?": "V100",
}
_SHORT, _START = "short_type", "starts"
_TAG_COLUMN, _TAG_FIELD = r"^(label|tag)_", "tag "
_QUANTITY, _PRICE, _COUNT, _HOURS = "DECIMAL(22, 9)", "DECIMAL(16, 9)", "DECIMAL(12, 6)", "DECIMAL(18, 9)"
_BY_CHARGE = Reading("merge", (CHARGE_ID,))


@dataclass(frozen=True)
class GpuHours:
    """The table, priced by `prices` where it does not say what it cost. currency : of costs and prices in a table that does not say."""

    prices: PriceTable = field(default_factory=shipped_prices, repr=False)
    currency: str = "USD"
    name: str = "gpu-hours"
    title: str = "GPU hours"
    looks_for: str = "columns start, gpu_type and gpu_hours (or gpu_count with end or hours)"
    reading: Reading = _BY_CHARGE

    def recognise(self, sample: Sample) -> str | None:
        names = {name.strip().lower() for name in (*sample.columns, *sample.keys)}
        found = {part: next((name for name in known if name in names), None) for part, known in NAMES.items()}
        if not (found["start"] and found["gpu_type"]):
            return None
        used = found["gpu_hours"] or (found["gpu_count"] if found["hours"] or found["end"] else None)
        return f"it has the columns {found['start']}, {found['gpu_type']} and {used}" if used else None

    def rows(self, connection: duckdb.DuckDBPyConnection, file: BillFile) -> Rows:
        table = table_rows(connection, file)
        given = Given(table)
        text = {part: given.text(*known) for part, known in NAMES.items()}
        start = _START
        end = _end(given, text, start)
        fields = {
            "provider": _named(text["provider"], self._providers(), PROVIDER),
            "model": "CAST(NULL AS VARCHAR)",
            "meter": _type_of(text["gpu_type"], _SHORT, self._types()),
            "tier": "CAST(NULL AS VARCHAR)",
            "context": "CAST(NULL AS VARCHAR)",
            "unit": quoted_text(UNIT),
            "quantity": f"CAST({_gpu_hours(given, text, start, end)} AS VARCHAR)" if not given.has(*NAMES["gpu_hours"]) else text["gpu_hours"],
            "moment": start,
            "start": readable(start, text["start"]),
            "end": readable(end, text["end"]),
            **{f"given {part}": text[part] for part in (*_WHO, "gpu_type", "cost", "price")},
            "given currency": f"upper({text['currency']})" if given.has(*NAMES["currency"]) else quoted_text(self.currency),
            "labels": f"to_json({given.pairs(_spelling(table, 'labels'))})",
            "identity": _identity(table, text, start),
            **{_tag_field(name): given.text(name) for name in _tag_columns(table)},
            **{_addition(name): given.text(name) for name in _other_columns(table)},
        }
        selected = ", ".join(f"{sql} AS c{place}" for place, sql in enumerate(fields.values()))
        # What many columns ask for is worked out once a row.
        source = f"SELECT *, {moment_of_text(text['start'])} AS {_START}, {_short_type(text['gpu_type'])} AS {_SHORT} FROM ({table.sql})"
        notes = (*table.notes, *self._notes(file, given))
        usage = Rows(f"SELECT row_number, {selected} FROM ({source})", tuple(fields), ("VARCHAR",) * len(fields), notes)
        return priced_rows(connection, usage, self.prices)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        at = {name: f"c{place}" for place, name in enumerate(rows.names)}
        own_price = f"TRY_CAST({at['given price']} AS {_PRICE})"
        hours = f"TRY_CAST({at['quantity']} AS {_QUANTITY})"
        has_cost, has_price = f"{at['given cost']} IS NOT NULL", f"{at['given price']} IS NOT NULL"
        by_row = f"CASE WHEN {hours} >= 0 THEN CAST(CAST({hours} * {own_price} AS {MONEY}) AS VARCHAR) END"
        cost = f"CASE WHEN {has_cost} THEN {at['given cost']} WHEN {has_price} THEN {by_row} ELSE CAST({at['cost']} AS VARCHAR) END"
        by_table = f"NOT ({has_cost} OR {has_price})"
        month, next_month = month_of(at["moment"])
        who = f"coalesce({at['given workload']}, {at['given pod']})"
        by_column = {name.removeprefix(_TAG_FIELD): at[name] for name in rows.names if name.startswith(_TAG_FIELD)}
        by_name = {**{name: at[f"given {name}"] for name in _TAGS}, "workload": who}
        own_tags = tags_sql({**by_name, **{name: f"coalesce({by_name.get(name, 'NULL')}, {column})" for name, column in by_column.items()}})
        return {
            **focus_columns(
                billed_cost=cost,
                effective_cost=cost,
                list_cost=f"CASE WHEN {by_table} THEN {at['cost']} END",
                list_unit_price=f"CASE WHEN {by_table} THEN {at['unit_price']} END",
                billing_currency=f"CASE WHEN {by_table} THEN {at['currency']} ELSE {at['given currency']} END",
                billing_account_id=at["given cluster"],
                billing_account_name=at["given cluster"],
                billing_period_start=month,
                billing_period_end=next_month,
                charge_period_start=at["start"],
                charge_period_end=at["end"],
                charge_category="'Usage'",
                charge_frequency="'Usage-Based'",
                charge_description=f"concat('GPU hours of ', {at['meter']})",
                consumed_quantity=at["quantity"],
                consumed_unit="'GPU-Hours'",
                pricing_quantity=at["quantity"],
                pricing_unit=quoted_text(UNIT),
                provider_name=at["provider"],
                service_name="'GPU hours'",
                service_category="'Compute'",
                sku_id=f"concat('gpu/', lower({at['meter']}))",
                sku_meter=at["meter"],
                region_id=at["given region"],
                resource_id=f"coalesce({at['given pod']}, {at['given workload']}, {at['given node']})",
                sub_account_id=at["given namespace"],
                sub_account_name=at["given namespace"],
                tags=f"json_merge_patch(coalesce({at['labels']}, '{{}}'), coalesce(CAST({own_tags} AS JSON), '{{}}'))",
            ),
            **{name: at[name] for name in rows.names if name.startswith("x_")},
            "x_gpu_type": at["given gpu_type"],
            CHARGE_ID: at["identity"],
            PRICED_BY: f"CASE WHEN {by_table} THEN {at['priced_by']} END",
            REFUSED: _refusal(at, by_table, has_cost, own_price, hours),
        }

    def _types(self) -> list[str]:
        return sorted({entry.meter for entry in self.prices.entries if entry.counted == UNIT})

    def _providers(self) -> dict[str, str]:
        return {**_PROVIDERS, **{entry.provider.lower(): entry.provider for entry in self.prices.entries if entry.counted == UNIT}}

    def _notes(self, file: BillFile, given: Given) -> list[str]:
        has_money = given.has(*NAMES["cost"], *NAMES["price"])
        return [f"{file.name}: has no currency column; its costs are taken as {self.currency}"] if has_money and not given.has("currency") else []


def _tag_columns(table: Rows) -> list[str]:
    return [name for name in table.names if re.match(_TAG_COLUMN, name.strip(), re.IGNORECASE)]


def _tag_field(name: str) -> str:
    return _TAG_FIELD + re.sub(_TAG_COLUMN, "", name.strip(), flags=re.IGNORECASE)


def _other_columns(table: Rows) -> list[str]:
    known = {name for names in NAMES.values() for name in names}
    return [name for name in table.names if name.strip() and name.strip().lower() not in known and name not in _tag_columns(table)]


def _addition(name: str) -> str:
    return name if name.lower().startswith("x_") else f"x_{name.strip()}"


def _spelling(table: Rows, part: str) -> str:
    return next((name for name in NAMES[part] if table.find(name) is not None), part)


def _end(given: Given, text: Mapping[str, str], start: str) -> str:
    ends: list[str] = []
    if given.has(*NAMES["end"]):
        ends.append(moment_of_text(text["end"]))
    if given.has(*NAMES["hours"]):
        ends.append(f"{start} + to_microseconds(CAST(TRY_CAST({text['hours']} AS {_HOURS}) * 3600000000 AS BIGINT))")
    return f"coalesce({', '.join(ends)})" if ends else f"{start} + INTERVAL 1 DAY"


def _gpu_hours(given: Given, text: Mapping[str, str], start: str, end: str) -> str:
    """GPU hours of a table without them: how many times how long, to 9 decimals."""
    count = f"TRY_CAST({text['gpu_count']} AS {_COUNT})"
    # Whole numbers of 10^-9 hours: a division would leave the decimals.
    lasted = f"CAST((epoch_us({end}) - epoch_us({start})) * 10 + 18 AS HUGEINT) // 36 * CAST('0.000000001' AS DECIMAL(10, 9))"
    hours = f"coalesce(TRY_CAST({text['hours']} AS {_HOURS}), TRY_CAST({lasted} AS {_HOURS}))" if given.has(*NAMES["hours"]) else lasted
    return f"TRY_CAST({count} * CAST({hours} AS {_HOURS}) AS {_QUANTITY})"


def _identity(table: Rows, text: Mapping[str, str], start: str) -> str:
    who = [text[name] for name in (*_WHO, "gpu_type")]
    if any(table.find(name) is not None for part in _IDENTIFYING for name in NAMES[part]):
        parts = [start, *who]
    else:
        parts = [f"c{place}" for place in range(len(table.names))]
    place = f"row_number() OVER (PARTITION BY {', '.join(parts)} ORDER BY row_number)"
    natural = charge_id("gpu-hours", [*parts, place])
    return f"coalesce({text['id']}, {natural})" if any(table.find(name) is not None for name in NAMES["id"]) else natural


def _named(text: str, names: Mapping[str, str], otherwise: str) -> str:
    cases = " ".join(f"WHEN {quoted_text(written)} THEN {quoted_text(meant)}" for written, meant in names.items())
    return f"coalesce(CASE lower({text}) {cases} ELSE {text} END, {quoted_text(otherwise)})"


def _type_of(text: str, short: str, known: list[str]) -> str:
    """The price table's name of a GPU: as written where the table has it, else by its short name without the memory that goes without saying."""
    written = [f"WHEN lower({text}) = {quoted_text(name.lower())} THEN {quoted_text(name)}" for name in known]
    patterns = [f"WHEN regexp_full_match({short}, {quoted_text(pattern)}) THEN {quoted_text(name)}" for pattern, name in _TYPES.items()]
    shortened = [f"WHEN {short} = {quoted_text(name.lower())} THEN {quoted_text(name)}" for name in known]
    return f"CASE {' '.join([*written, *shortened, *patterns])} ELSE {text} END"


def _short_type(text: str) -> str:
    """A GPU's name without its maker, words joined by one dash."""
    return f"regexp_replace(regexp_replace(lower({text}), '[\\s_-]+', '-', 'g'), '^(nvidia-)?(tesla-)?', '')"


def _refusal(at: Mapping[str, str], by_table: str, has_cost: str, own_price: str, hours: str) -> str:
    bad_hours = refusal("gpu_hours", f"concat('is not a number of 0 or more: ', coalesce({at['quantity']}, 'nothing'))", "'hours such as 12.5'")
    bad_price = refusal("price", f"concat('is not a price: ', {at['given price']})", "'the price of an hour of one GPU, such as 2.50'")
    return f"""
        CASE WHEN {by_table} THEN {at["refused"]}
             WHEN {has_cost} THEN NULL
             WHEN {hours} IS NULL OR {hours} < 0 THEN {bad_hours}
             WHEN {own_price} IS NULL THEN {bad_price} END
    """
