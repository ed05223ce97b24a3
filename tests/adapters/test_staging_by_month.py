"""Large Parquet deliveries are staged month by month: the same ledger as in one pass, one file a month that is encoded once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from forecast.adapters import staging
from forecast.adapters.ledger import Ledger
from tests.adapters.ledger_rows import moment, row, write_parquet

NOW = moment("2026-09-01")


def bills(folder: Path) -> list[Path]:
    """Two files in order of time that share a month; a row without a billing period and one whose cost is no number."""
    rows = []
    for day in range(120):
        start = dt.datetime(2026, 3, 10) + dt.timedelta(days=day)
        first = start.replace(day=1)
        rows.append(
            row(
                ResourceId=f"r{day}",
                EffectiveCost=f"{day}.25",
                ChargePeriodStart=start,
                ChargePeriodEnd=start + dt.timedelta(days=1),
                BillingPeriodStart=first,
                BillingPeriodEnd=(first + dt.timedelta(days=32)).replace(day=1),
            )
        )
    rows[50]["BillingPeriodStart"] = None
    rows[70]["EffectiveCost"] = "much"
    return [write_parquet(folder / f"bill-{number}.parquet", pa.Table.from_pylist(part)) for number, part in enumerate((rows[:65], rows[65:]))]


@pytest.mark.parametrize("least", [1, 10**9])
def test_both_ways_give_the_same_report_and_the_same_charges(least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "BY_MONTH_FROM", least)
    ledger = Ledger(tmp_path / "home" / "ledger")
    report = ledger.ingest(bills(tmp_path), received_at=NOW)
    again = ledger.ingest(bills(tmp_path), received_at=moment("2026-09-02"))
    assert (again.accepted, again.unchanged) == (0, report.accepted)
    assert report.rows_read == 120
    assert report.quarantined == 120 - report.accepted
    lines = ledger.charges(columns=["ResourceId", "EffectiveCost", "line", "file", "BillingPeriodStart"]).sort_by("ResourceId")
    assert lines.num_rows == report.accepted
    assert all(
        float(cost) == int(name[1:]) + 0.25 for name, cost in zip(lines["ResourceId"].to_pylist(), lines["EffectiveCost"].to_pylist(), strict=True)
    )
    months = {str(value)[:7] for value in lines["BillingPeriodStart"].to_pylist()}
    assert months >= {"2026-03", "2026-04", "2026-05", "2026-06", "2026-07"}
    placed = dict(zip(lines["ResourceId"].to_pylist(), lines["line"].to_pylist(), strict=True))
    assert (placed["r3"], placed["r66"]) == (4, 2)
    assert not report.notes or "month" not in " ".join(report.notes)


def test_files_that_hold_too_many_months_are_staged_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "BY_MONTH_FROM", 1)
    monkeypatch.setattr(staging, "MOST_MONTHS", 1)
    ledger = Ledger(tmp_path / "home" / "ledger")
    assert ledger.ingest(bills(tmp_path), received_at=NOW).rows_read == 120
