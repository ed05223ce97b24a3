"""Bulk rows keep the promises of ordinary ones: the same checks run on them, and the real ledger takes them in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from forecast.adapters.focus_writer import write_rows
from forecast.adapters.ledger import Ledger
from forecast.company.bulk import bulk_rows
from forecast.company.generate import Company
from forecast.errors import InputError
from forecast.spend.focus import columns_of

from . import test_rows as promises

COLUMNS = columns_of("1.2")

END = date(2026, 10, 1)
LINES = 120_000

NOT_KEPT = {
    "test_tax_of_a_month_is_a_share_of_what_was_billed_in_it": "taxes are those of the company whose lines are multiplied",
}
"""Checks of ordinary rows that bulk rows do not pass, and why."""

CHECKS = [
    check
    for name, check in inspect.getmembers(promises, inspect.isfunction)
    if name.startswith("test_") and list(inspect.signature(check).parameters) == ["company"] and name not in NOT_KEPT
]


def whole(seed: int, lines: int, **arguments: Any) -> pd.DataFrame:
    """All frames as one, text as strings."""
    rows = pd.concat(bulk_rows(seed, lines, end=END, **arguments), ignore_index=True)
    return rows.astype({name: "str" for name, kind in rows.dtypes.items() if kind == "category"})


@pytest.fixture(scope="module")
def bulk(company: Company) -> Company:
    """Bulk rows in place of a company's own."""
    return replace(company, rows=whole(7, LINES, days=120), start=date(2026, 6, 3), end=END)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_what_holds_for_rows_holds_for_bulk_rows(bulk: Company, check: Callable[[Company], None]) -> None:
    check(bulk)


@pytest.mark.parametrize("lines", [1, 999, 25_000, 60_001])
def test_there_are_exactly_as_many_rows_as_asked_for(lines: int) -> None:
    frames = list(bulk_rows(3, lines, days=60, teams=2, chunk=20_000))
    assert [len(frame) for frame in frames[:-1]] == [20_000] * (len(frames) - 1)
    assert sum(map(len, frames)) == lines
    assert {tuple(frame.columns) for frame in frames} == {tuple(column.name for column in COLUMNS)}


def test_the_seed_decides_and_the_size_of_a_chunk_does_not() -> None:
    one = whole(3, 30_000, days=60, teams=2)
    pd.testing.assert_frame_equal(one, whole(3, 30_000, days=60, teams=2, chunk=7_001))
    assert not one["EffectiveCost"].equals(whole(4, 30_000, days=60, teams=2)["EffectiveCost"])


def test_no_two_rows_are_about_the_same_meter_of_a_resource_and_day(bulk: Company) -> None:
    rows = bulk.rows[bulk.rows["ResourceId"].notna()]
    keys = ["ChargePeriodStart", "ResourceId", "SkuPriceId", "ChargeCategory", "CommitmentDiscountStatus"]
    assert not rows.duplicated(keys).any()
    assert rows["ResourceId"].nunique() > 400


def test_all_files_have_one_schema_of_plain_types(tmp_path: Path) -> None:
    for number, frame in enumerate(bulk_rows(3, 30_000, days=60, teams=2, chunk=10_000)):
        write_rows(frame, tmp_path / f"{number}.parquet")
    schemas = [pq.read_schema(file) for file in sorted(tmp_path.iterdir())]
    assert len(schemas) == 3
    assert all(schema.equals(schemas[0], check_metadata=True) for schema in schemas)
    assert {str(field.type) for field in schemas[0]} == {"string", "double", "timestamp[us]"}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path), whole_of(3, 30_000))


def whole_of(seed: int, lines: int) -> pd.DataFrame:
    rows = pd.concat(bulk_rows(seed, lines, days=60, teams=2), ignore_index=True)
    return rows.astype({name: "str" for name, kind in rows.dtypes.items() if kind == "category"})


def test_the_ledger_takes_bulk_rows_in_and_sums_agree(tmp_path: Path) -> None:
    rows = list(bulk_rows(7, 200_000, days=120, chunk=100_000))
    for number, frame in enumerate(rows):
        write_rows(frame, tmp_path / f"{number}.parquet")
    ledger = Ledger(tmp_path / "ledger")
    report = ledger.ingest(sorted(tmp_path.glob("*.parquet")), received_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert (report.accepted, report.quarantined, report.unchanged) == (200_000, 0, 0)
    assert float(report.effective_cost) == pytest.approx(sum(float(frame["EffectiveCost"].sum()) for frame in rows), abs=0.005)
    assert float(report.billed_cost) == pytest.approx(sum(float(frame["BilledCost"].sum()) for frame in rows), abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"lines": 0}, "lines"),
        ({"lines": -5}, "lines"),
        ({"lines": 1.5}, "lines"),
        ({"lines": 10**10}, "lines"),
        ({"days": 10}, "days"),
        ({"teams": 0}, "teams"),
        ({"seed": -1}, "seed"),
        ({"chunk": 0}, "chunk"),
        ({"days": 3660, "teams": 200}, "teams"),
    ],
)
def test_impossible_sizes_are_named_before_the_first_row(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        bulk_rows(**{"seed": 1, "lines": 1000, **arguments})
    assert caught.value.field == field
    assert field in str(caught.value)
