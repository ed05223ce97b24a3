"""FOCUS 1.2 rows for the ledger's tests: any number, all 57 columns, the same for the same seed.

Not a company: no rhythm, no truth. `focus_table` gives typed Arrow columns (Parquet), `focus_csv` the same rows as text.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from forecast.spend import focus

TEAMS = ("search", "ads", "platform", "research")
STAGES = ("dev", "qa", "production")
PROVIDERS = ("OpenAI", "AWS", "Anthropic")

Row = dict[str, Any]


def row(**changes: Any) -> Row:
    """One good row as text values; keyword arguments replace columns, None takes one out of the row."""
    values: Row = {
        "BilledCost": "10.5",
        "EffectiveCost": "10.25",
        "BillingCurrency": "USD",
        "ChargePeriodStart": "2026-01-05T00:00:00Z",
        "ChargePeriodEnd": "2026-01-06T00:00:00Z",
        "BillingPeriodStart": "2026-01-01T00:00:00Z",
        "BillingPeriodEnd": "2026-02-01T00:00:00Z",
        "ProviderName": "OpenAI",
        "ServiceName": "Chat",
        "ChargeCategory": "Usage",
        "Tags": '{"team": "search", "env": "prod"}',
    }
    return values | changes


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None) -> Path:
    """Rows as a CSV file; columns are those of all rows in order of first appearance unless given."""
    names = list(columns) if columns is not None else list(dict.fromkeys(name for values in rows for name in values))
    lines = [",".join(_quoted(name) for name in names)]
    lines += [",".join(_quoted(values.get(name)) for name in names) for values in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_ndjson(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(values) + "\n" for values in rows), encoding="utf-8")
    return path


def focus_table(count: int, *, seed: int = 0, start: str = "2026-01-01", days: int = 60) -> pa.Table:
    """`count` distinct rows over `days` days from `start`, typed as a vendor's Parquet export has them."""
    generator = np.random.default_rng(seed)
    day = generator.integers(0, days, count)
    charge_start = np.datetime64(start, "us") + day.astype("timedelta64[D]") + generator.integers(0, 24, count).astype("timedelta64[h]")
    month = charge_start.astype("datetime64[M]")
    cents = generator.lognormal(1.0, 2.0, count).round(6) + 0.000001
    provider = generator.integers(0, len(PROVIDERS), count)
    team = generator.integers(0, len(TEAMS), count)
    stage = generator.integers(0, len(STAGES), count)
    sku = generator.integers(0, 40, count)
    cost = pa.array(cents, pa.float64())
    number = np.arange(count)

    def pick(values: Sequence[str], index: np.ndarray) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(values, pa.string())).cast(pa.string())

    def same(value: str | None) -> pa.Array:
        return pa.array([value], pa.string()).take(pa.array(np.zeros(count, dtype=np.int64)))

    tags = [json.dumps({"team": t, "env": s, "workload": f"w{w}"}) for t in TEAMS for s in STAGES for w in range(5)]
    tag_index = (team * len(STAGES) + stage) * 5 + generator.integers(0, 5, count)
    given: dict[str, pa.Array] = {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "ContractedCost": cost,
        "BillingCurrency": same("USD"),
        "BillingPeriodStart": pa.array(month.astype("datetime64[us]")),
        "BillingPeriodEnd": pa.array((month + 1).astype("datetime64[us]")),
        "ChargePeriodStart": pa.array(charge_start),
        "ChargePeriodEnd": pa.array(charge_start + np.timedelta64(1, "h")),
        "ChargeCategory": same("Usage"),
        "ChargeFrequency": same("Usage-Based"),
        "ChargeDescription": pick([f"tokens of sku {i} at list price" for i in range(40)], sku),
        "ProviderName": pick(PROVIDERS, provider),
        "PublisherName": pick(PROVIDERS, provider),
        "InvoiceIssuerName": pick(PROVIDERS, provider),
        "ServiceName": pick([f"service {i}" for i in range(10)], sku % 10),
        "ServiceCategory": same("AI and Machine Learning"),
        "RegionId": pick(["us-east-1", "eu-west-1"], team % 2),
        "SkuId": pick([f"sku-{i}" for i in range(40)], sku),
        "SkuMeter": pick(["input tokens", "output tokens"], sku % 2),
        "SkuPriceDetails": pick([json.dumps({"ModelId": f"model-{i}"}) for i in range(6)], sku % 6),
        "ResourceId": pa.array(np.char.add("resource-", (number % 997).astype(str))),
        "PricingQuantity": pa.array(generator.random(count) * 1000),
        "ConsumedQuantity": pa.array(generator.random(count) * 1000),
        "PricingUnit": same("1K tokens"),
        "ListUnitPrice": pa.array(generator.random(count)),
        "InvoiceId": pa.array(np.char.add("invoice-", number.astype(str))),
        "SubAccountName": pick([f"account {t}" for t in TEAMS], team),
        "Tags": pick(tags, tag_index),
    }
    kinds = {"string": pa.string(), "json": pa.string(), "decimal": pa.float64(), "timestamp": pa.timestamp("us")}
    return pa.table({c.name: given[c.name] if c.name in given else pa.nulls(count, kinds[c.kind]) for c in focus.COLUMNS})


def write_parquet(path: Path, table: pa.Table) -> Path:
    pa.parquet.write_table(table, path)
    return path


def cost_sum(rows: Sequence[Mapping[str, Any]], column: str = "EffectiveCost") -> Decimal:
    return sum((Decimal(values[column]) for values in rows), Decimal(0))


def moment(text: str) -> dt.datetime:
    """A time of day in UTC, e.g. `2026-02-01`."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text
