"""All billing formats, and which of them a file is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from forecast.adapters.bill_files import BillFile, as_delivery_error, sample_of
from forecast.adapters.formats.anthropic_cost import AnthropicCost
from forecast.adapters.formats.anthropic_usage import AnthropicUsage
from forecast.adapters.formats.aws_cur import AWS_CUR
from forecast.adapters.formats.azure_export import AZURE_COMMITMENT_PURCHASES, AZURE_EXPORT
from forecast.adapters.formats.base import BillFormat
from forecast.adapters.formats.focus import FocusFormat
from forecast.adapters.formats.google_billing import GOOGLE_BILLING
from forecast.adapters.formats.gpu_hours import GpuHours
from forecast.adapters.formats.litellm import LiteLLMDailyActivity, LiteLLMSpendLogs
from forecast.adapters.formats.mapped import MappedFormat
from forecast.adapters.formats.mapping import TableMapping
from forecast.adapters.formats.openai_costs import OpenAICosts
from forecast.adapters.formats.openai_usage import OpenAIUsage
from forecast.adapters.formats.opencost import OpenCostAllocation, OpenCostCloudCost
from forecast.adapters.formats.oracle_cost import ORACLE_COST
from forecast.adapters.formats.pricing import shipped_prices
from forecast.errors import DeliveryError, InputError
from forecast.spend.prices import PriceTable


def shipped_formats(prices: PriceTable | None = None, mapping: TableMapping | None = None) -> tuple[BillFormat, ...]:
    """All formats, in the order in which they are tried: a table's own mapping first, what is recognised by the least last.

    prices : stands in place of the shipped price table. mapping : of a table that is none of the formats.
    """
    table = shipped_prices() if prices is None else prices
    mapped: tuple[BillFormat, ...] = () if mapping is None else (MappedFormat(mapping),)
    return (
        *mapped,
        AWS_CUR,
        AZURE_EXPORT,
        AZURE_COMMITMENT_PURCHASES,
        GOOGLE_BILLING,
        ORACLE_COST,
        OpenAICosts(),
        OpenAIUsage(table),
        AnthropicCost(),
        AnthropicUsage(table),
        LiteLLMSpendLogs(),
        LiteLLMDailyActivity(),
        OpenCostAllocation(),
        OpenCostCloudCost(),
        FocusFormat(),
        GpuHours(table),
    )


@dataclass(frozen=True)
class Recognised:
    """The format of a file and why, in words."""

    format: BillFormat
    why: str


def recognise(connection: duckdb.DuckDBPyConnection, file: BillFile, formats: Sequence[BillFormat], wanted: str = "auto") -> Recognised:
    """Which of `formats` the file is; with `wanted` not "auto", that one without a look. DeliveryError says what was looked for."""
    if wanted != "auto":
        return Recognised(by_name(formats, wanted), "was asked for")
    try:
        sample = sample_of(connection, file)
    except duckdb.Error as error:
        raise as_delivery_error(file, error) from error
    for format in formats:
        why = format.recognise(sample)
        if why is not None:
            return Recognised(format, why)
    seen = ", ".join([*sample.columns, *sorted(sample.keys)][:8]) or "nothing with a name"
    looked_for = "; ".join(f"{format.title}: {format.looks_for}" for format in formats)
    raise DeliveryError(
        f"{file.name} is not a bill that is known: got {seen}; looked for {looked_for}. A table of your own needs a mapping: --map FILE",
        field="format",
        got=seen,
        allowed=", ".join(format.name for format in formats),
    )


def by_name(formats: Sequence[BillFormat], name: str) -> BillFormat:
    """The format that `--format` names."""
    for format in formats:
        if format.name == name:
            return format
    allowed = ", ".join(["auto", *(format.name for format in formats)])
    raise InputError(f"format {name!r} is not known: allowed are {allowed}", field="format", got=name, allowed=allowed)
