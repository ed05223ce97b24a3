"""What a snapshot keeps of quantities, and of commitments: which usage they cover, what of them is unused, and what it would cost without them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import read_history
from forecast.adapters.spend_meters import read_meters
from forecast.spend.dimensions import LEAF_DIMENSIONS
from forecast.spend.meters import COLUMNS
from tests.adapters.ledger_rows import row, write_csv

FIRST, DAYS = dt.date(2026, 1, 1), 59
CUTOFF = FIRST + dt.timedelta(days=DAYS - 1)
PLAN = {"CommitmentDiscountId": "plan-1", "PricingCategory": "Committed"}


def line(day: int, effective: str, billed: str, contracted: str, **changes: Any) -> dict[str, Any]:
    start = FIRST + dt.timedelta(days=day)
    return row(
        ProviderName="AWS",
        ServiceName="Compute",
        EffectiveCost=effective,
        BilledCost=billed,
        ContractedCost=contracted,
        ChargePeriodStart=f"{start}T00:00:00Z",
        ChargePeriodEnd=f"{start + dt.timedelta(days=1)}T00:00:00Z",
        SkuMeter="Instance Hours",
        ConsumedUnit="Hours",
        **changes,
    )


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Each day ten hours on demand, ten under a commitment a third cheaper, and one that nobody used."""
    rows = []
    for day in range(DAYS):
        rows.append(line(day, "30", "30", "30", ConsumedQuantity="10", SkuId="on-demand"))
        rows.append(line(day, "20", "0", "30", ConsumedQuantity="10", SkuId="covered", CommitmentDiscountStatus="Used", **PLAN))
        rows.append(line(day, "2", "0", "2", ConsumedQuantity="", SkuId="plan", CommitmentDiscountStatus="Unused", **PLAN))
    folder: Path = tmp_path_factory.mktemp("meters")
    found = Ledger(folder / "ledger")
    found.ingest([write_csv(folder / "rows.csv", rows)], received_at=dt.datetime(2026, 6, 1, tzinfo=dt.UTC))
    return found


def recent(ledger: Ledger, cost: str) -> pd.DataFrame:
    found = read_meters(ledger, read_history(ledger, LEAF_DIMENSIONS, CUTOFF, cost=cost), cost=cost)
    assert tuple(found.columns) == COLUMNS
    return found[found["recent"]]


@pytest.mark.parametrize(("cost", "covered"), [("effective", 20.0), ("billed", 0.0)])
def test_commitments_are_told_apart_in_the_last_month_whatever_money_is_looked_at(ledger: Ledger, cost: str, covered: float) -> None:
    rows = recent(ledger, cost)
    days = float((rows["end"] - rows["start"]).dt.days.iloc[0])
    plain, used, unused = (
        rows[mask] for mask in (rows["commitment"] == "", rows["worth"] > 0.0, (rows["commitment"] != "") & (rows["worth"] == 0.0))
    )
    assert plain["cost"].sum() == pytest.approx(30.0 * days)
    assert (plain[["committed", "worth"]] == 0.0).all(axis=None)
    assert used[["cost", "quantity", "committed", "worth"]].sum().tolist() == pytest.approx([covered * days, 10 * days, 20.0 * days, 30.0 * days])
    assert set(used["commitment"]) | set(unused["commitment"]) == {"plan-1"}
    assert unused["committed"].sum() == pytest.approx(2.0 * days)


def test_months_are_not_told_apart_and_add_up_to_the_bill(ledger: Ledger) -> None:
    history = read_history(ledger, LEAF_DIMENSIONS, CUTOFF)
    found = read_meters(ledger, history)
    months = found[~found["recent"]]
    assert (months["commitment"] == "").all()
    assert months["cost"].sum() == pytest.approx(history.matrix.values.sum())
