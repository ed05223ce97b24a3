"""Kinds of charge in the ledger: told at ingestion, kept through restatements, and what training reads of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import SpendHistory, read_history
from forecast.spend.charges import COLUMNS
from forecast.spend.dimensions import LEAF_DIMENSIONS
from tests.adapters.ledger_rows import moment, row, write_csv
from tests.oracles.charge_kinds import kind_of

FIRST, CUTOFF = dt.date(2026, 1, 1), dt.date(2026, 4, 30)
MONTHS = [dt.date(2026, month, 1) for month in range(1, 6)]


def charge(day: dt.date, cost: str, days: int = 1, **changes: Any) -> dict[str, Any]:
    month = day.replace(day=1)
    return row(
        BilledCost=cost,
        EffectiveCost=cost,
        ChargePeriodStart=f"{day}T00:00:00Z",
        ChargePeriodEnd=f"{day + dt.timedelta(days=days)}T00:00:00Z",
        BillingPeriodStart=f"{month}T00:00:00Z",
        BillingPeriodEnd=f"{(month + dt.timedelta(days=32)).replace(day=1)}T00:00:00Z",
        **changes,
    )


def seats(month: dt.date, cost: str) -> dict[str, Any]:
    days = ((month + dt.timedelta(days=32)).replace(day=1) - month).days
    return charge(
        month, cost, days, ServiceName="Assistant", ChargeCategory="Purchase", ChargeFrequency="Recurring", SkuId="seat-pro", PricingUnit="Seats"
    )


def bill() -> list[dict[str, Any]]:
    """A day's usage, seats by the month, a campaign invoiced once, a refund, and a commitment paid partly upfront."""
    usage = [charge(FIRST + dt.timedelta(days=day), "10", ChargeFrequency="Usage-Based") for day in range(120)]
    commitment = {"ServiceName": "Compute", "ChargeCategory": "Purchase", "CommitmentDiscountId": "plan-1"}
    fees = [charge(month, "31", 30, ChargeFrequency="Recurring", **commitment) for month in MONTHS[:4]]
    return [
        *usage,
        *(seats(month, "300") for month in MONTHS[:4]),
        charge(dt.date(2026, 3, 5), "5000", ChargeFrequency="One-Time", ChargeDescription="fine-tuning campaign"),
        charge(dt.date(2026, 3, 9), "-70", ChargeCategory="Credit", ChargeDescription="Refund for February"),
        charge(FIRST, "900", 180, ChargeFrequency="One-Time", **commitment),
        *fees,
    ]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("kinds")
    found = Ledger(folder / "ledger")
    found.ingest([write_csv(folder / "bill.csv", bill())], received_at=moment("2026-05-02"))
    return found


@pytest.fixture(scope="module")
def history(ledger: Ledger) -> SpendHistory:
    return read_history(ledger, LEAF_DIMENSIONS, CUTOFF)


def test_every_line_is_of_the_kind_that_the_slow_twin_reads_off_it(ledger: Ledger) -> None:
    lines = ledger.charges(columns=[*COLUMNS, "charge_kind", "treatment"]).to_pylist()
    assert len(lines) == len(bill())
    for line in lines:
        assert (line["charge_kind"], line["treatment"]) == kind_of(line)
    assert {line["charge_kind"] for line in lines} == {"usage", "subscription", "one_time", "refund", "commitment_fee", "commitment_purchase"}


def test_spend_is_asked_for_by_kind(ledger: Ledger) -> None:
    assert ledger.values("charge_kind") == ["commitment_fee", "commitment_purchase", "one_time", "refund", "subscription", "usage"]
    by_kind = ledger.panel(by=["charge_kind"], freq="MS")
    march = by_kind[by_kind["ds"] == "2026-03-01"].set_index("charge_kind")["y"].to_dict()
    assert march == {"usage": 310.0, "subscription": 300.0, "one_time": 5000.0, "refund": -70.0, "commitment_fee": 31.0}
    assert ledger.panel("charge_kind=usage|one_time")["y"].sum() == 6200.0
    assert ledger.panel("charge_kind!=usage", by=["charge_treatment"], freq="MS")["y"].sum() == pytest.approx(ledger.panel()["y"].sum() - 1200.0)


def test_a_restated_charge_is_counted_once_under_its_new_kind(tmp_path: Path) -> None:
    """A vendor says later that a charge was an adjustment: the counter-entry takes it out of the kind in which it stood."""
    ledger = Ledger(tmp_path / "ledger")
    day = dt.date(2026, 1, 5)
    ledger.ingest([write_csv(tmp_path / "a.csv", [charge(day, "50", x_id="1")])], received_at=moment("2026-01-06"), key="x_id")
    later = charge(day, "-20", x_id="1", ChargeCategory="Adjustment")
    ledger.ingest([write_csv(tmp_path / "b.csv", [later])], received_at=moment("2026-02-06"), key="x_id")
    assert ledger.panel(by=["charge_kind"])[["charge_kind", "y"]].to_numpy().tolist() == [["refund", -20.0]]
    before = ledger.panel(by=["charge_kind"], as_of=moment("2026-01-10"))
    assert before[["charge_kind", "y"]].to_numpy().tolist() == [["usage", 50.0]]
    assert [line["charge_kind"] for line in ledger.charges(columns=["charge_kind"]).to_pylist()] == ["refund"]


def test_history_counts_all_money_and_knows_what_of_it_is_not_learnt(ledger: Ledger, history: SpendHistory) -> None:
    company = ledger.panel(end=CUTOFF + dt.timedelta(days=1)).set_index("ds")["y"].reindex(history.matrix.ds, fill_value=0.0)
    np.testing.assert_allclose(history.matrix.values.sum(axis=0), company.to_numpy())
    parts = history.parts
    np.testing.assert_allclose(parts.total, history.matrix.values)
    assert set(np.unique(parts.learnable.sum(axis=0))) == {10.0}
    assert {str(day.date()): cost for day, cost in zip(history.matrix.ds, parts.one_offs.sum(axis=0), strict=True) if cost} == {
        "2026-03-05": 5000.0,
        "2026-03-09": -70.0,
    }
    assert parts.scheduled.sum() == 4 * 300.0 + 900.0 + 4 * 31.0


def test_schedules_are_read_off_the_lines_of_the_ledger(history: SpendHistory) -> None:
    table = history.parts.schedules.table()
    assert dict(zip(table["kind"], table["cadence"], strict=True)) == {
        "subscription": "monthly",
        "commitment_fee": "monthly",
        "commitment_purchase": "term",
    }
    # The upfront purchase says how long the commitment lasts, and so when its fees end.
    ends = {kind: str(end)[:10] for kind, end in zip(table["kind"], table["term_end"], strict=True)}
    assert ends == {"subscription": "NaT", "commitment_fee": "2026-06-30", "commitment_purchase": "2026-06-30"}


def test_history_up_to_an_earlier_day_knows_no_later_line(ledger: Ledger) -> None:
    earlier = read_history(ledger, LEAF_DIMENSIONS, dt.date(2026, 3, 7))
    assert earlier.lines["ds"].max() <= pd.Timestamp(2026, 3, 7)
    assert earlier.parts.one_offs.sum() == 5000.0


def test_lines_are_in_force_and_of_the_cost_that_is_asked_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    usage = [charge(FIRST + dt.timedelta(days=day), "10", ServiceName="Chat") for day in range(30)]
    campaign = charge(dt.date(2026, 1, 9), "700", ChargeFrequency="One-Time", ServiceName="Chat") | {"EffectiveCost": "0"}
    ledger.ingest([write_csv(tmp_path / "a.csv", [*usage, campaign])], received_at=moment("2026-02-01"), replace=True)
    billed = read_history(ledger, LEAF_DIMENSIONS, dt.date(2026, 1, 30), cost="billed")
    assert billed.lines["cost"].tolist() == [700.0]
    assert read_history(ledger, LEAF_DIMENSIONS, dt.date(2026, 1, 30)).lines["cost"].tolist() == [0.0]
    ledger.ingest([write_csv(tmp_path / "b.csv", usage)], received_at=moment("2026-02-03"), replace=True)
    withdrawn = read_history(ledger, LEAF_DIMENSIONS, dt.date(2026, 1, 30), cost="billed")
    assert withdrawn.lines.empty
    assert not withdrawn.parts.one_offs.any()
    then = read_history(ledger, LEAF_DIMENSIONS, dt.date(2026, 1, 30), cost="billed", as_of=moment("2026-02-02"))
    assert then.lines["cost"].tolist() == [700.0]


def test_kinds_conserve_money_to_the_last_digit(ledger: Ledger) -> None:
    lines = ledger.charges(columns=["charge_kind", "EffectiveCost"]).to_pylist()
    by_kind: dict[str, Decimal] = {}
    for line in lines:
        by_kind[line["charge_kind"]] = by_kind.get(line["charge_kind"], Decimal(0)) + line["EffectiveCost"]
    assert sum(by_kind.values()) == Decimal(ledger.summary()["effective_cost"])
