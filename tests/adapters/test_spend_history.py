"""What training reads of the ledger: complete days, leaves that add up, and the lines below them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.ledger import Ledger
from forecast.adapters.spend_history import last_usable_day, read_history, read_recent
from forecast.errors import InsufficientHistoryError
from forecast.spend.dimensions import LEAF_DIMENSIONS, OTHER
from tests.adapters.ledger_rows import focus_table, row, write_csv, write_parquet

FIRST, DAYS = dt.date(2026, 1, 1), 60
RECEIVED = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def filled(folder: Path, rows: Sequence[dict[str, Any]]) -> Ledger:
    ledger = Ledger(folder / "ledger")
    ledger.ingest([write_csv(folder / "rows.csv", rows)], received_at=RECEIVED)
    return ledger


def daily(provider: str, days: int, cost: float = 10.0, first: dt.date = FIRST, **changes: Any) -> list[dict[str, Any]]:
    """One charge a day that lasts the day."""
    return [
        row(
            ProviderName=provider,
            EffectiveCost=str(cost),
            ChargePeriodStart=f"{first + dt.timedelta(days=day)}T00:00:00Z",
            ChargePeriodEnd=f"{first + dt.timedelta(days=day + 1)}T00:00:00Z",
            **changes,
        )
        for day in range(days)
    ]


def hour(moment: str, provider: str = "OpenAI") -> dict[str, Any]:
    start = dt.datetime.fromisoformat(moment)
    return row(ProviderName=provider, ChargePeriodStart=f"{start.isoformat()}Z", ChargePeriodEnd=f"{(start + dt.timedelta(hours=1)).isoformat()}Z")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("home")
    found = Ledger(folder / "ledger")
    found.ingest([write_parquet(folder / "rows.parquet", focus_table(6000, start=str(FIRST), days=DAYS))], received_at=RECEIVED)
    return found


def test_leaves_add_up_to_the_ledgers_days(ledger: Ledger) -> None:
    cutoff = FIRST + dt.timedelta(days=DAYS - 11)
    history = read_history(ledger, LEAF_DIMENSIONS, cutoff)
    company = ledger.panel(end=cutoff + dt.timedelta(days=1)).set_index("ds")["y"]
    assert history.matrix.ds[-1].date() == cutoff
    assert history.matrix.ids == history.hierarchy.leaf_ids
    np.testing.assert_allclose(history.matrix.values.sum(axis=0), company.reindex(history.matrix.ds).to_numpy(), rtol=1e-9)
    leaf = history.hierarchy.leaf_ids[5]
    lines = ledger.panel(by=LEAF_DIMENSIONS, end=cutoff + dt.timedelta(days=1))
    own = lines[lines["unique_id"] == leaf].set_index("ds")["y"]
    assert (own.reindex(history.matrix.ds).isna()).any()  # a day without a charge line …
    np.testing.assert_allclose(history.matrix.values[5], own.reindex(history.matrix.ds).fillna(0.0).to_numpy(), rtol=1e-12)  # … cost nothing
    assert len(history.panel) == history.matrix.values.size


def test_small_leaves_are_gathered_and_no_money_is_lost(ledger: Ledger) -> None:
    cutoff = FIRST + dt.timedelta(days=DAYS - 1)
    everything = read_history(ledger, LEAF_DIMENSIONS, cutoff)
    few = read_history(ledger, LEAF_DIMENSIONS, cutoff, most_leaves=20)
    assert few.matrix.n_series < everything.matrix.n_series / 4
    assert OTHER in set(few.hierarchy.leaves["workload"])
    assert few.matrix.values.sum() == pytest.approx(everything.matrix.values.sum())
    recent = read_recent(ledger, few)
    assert recent["cost"].sum() == pytest.approx(few.matrix.values[:, -56:].sum())


def test_recent_lines_of_a_leaf_and_day_add_up_to_its_history(ledger: Ledger) -> None:
    history = read_history(ledger, LEAF_DIMENSIONS, FIRST + dt.timedelta(days=DAYS - 1))
    recent = read_recent(ledger, history, days=20)
    totals = recent.groupby(["leaf", "ds"])["cost"].sum()
    assert recent["ds"].min() == history.matrix.ds[-20]
    for (leaf, day), total in totals.items():  # type: ignore[misc]
        assert total == pytest.approx(history.matrix.values[leaf, history.matrix.ds.get_loc(day)])  # type: ignore[has-type, index]
    assert total_of(history.matrix.values[:, -20:]) == pytest.approx(totals.sum())
    assert {"region", "ai_model", "meter", "sku", "resource", "charge_category", "tags", "quantity"} <= set(recent.columns)
    assert set(recent["ai_model"]) == {f"model-{number}" for number in range(6)}
    assert "team" in json.loads(str(recent["tags"].iloc[0]))


def total_of(values: np.ndarray) -> float:
    return float(values.sum())


def test_recent_is_the_same_twice_and_beyond_its_bound_only_detail_is_lost(ledger: Ledger) -> None:
    history = read_history(ledger, LEAF_DIMENSIONS, FIRST + dt.timedelta(days=DAYS - 1))
    recent = read_recent(ledger, history)
    pd.testing.assert_frame_equal(recent, read_recent(ledger, history))
    bounded = read_recent(ledger, history, most=100)
    assert bounded["resource"].nunique() <= 101
    assert OTHER in set(bounded["resource"])
    for columns in (["leaf", "ds"], ["region"], ["ai_model"]):
        pd.testing.assert_series_equal(bounded.groupby(columns)["cost"].sum(), recent.groupby(columns)["cost"].sum())
    assert bounded["quantity"].sum() == pytest.approx(recent["quantity"].sum())


def test_leaves_may_be_a_tag(tmp_path: Path) -> None:
    rows = [
        *daily("OpenAI", 20, 10.0, Tags='{"product": "chat"}'),
        *daily("OpenAI", 20, 4.0, Tags='{"product": "maps"}'),
        *daily("AWS", 20, 1.0, Tags="{}"),
    ]
    ledger = filled(tmp_path, rows)
    history = read_history(ledger, ("provider", "product"), FIRST + dt.timedelta(days=19))
    assert history.matrix.ids == ("AWS|(none)", "OpenAI|chat", "OpenAI|maps")
    assert history.matrix.values[:, 0].tolist() == [1.0, 10.0, 4.0]
    assert read_recent(ledger, history)["cost"].sum() == pytest.approx(300.0)


def test_a_day_that_is_billed_by_the_hour_is_complete_with_its_last_hour(tmp_path: Path) -> None:
    moments = [f"2026-01-{day:02d}T{part:02d}:00:00" for day in range(1, 31) for part in range(24)]
    ledger = filled(tmp_path, [hour(moment) for moment in moments])
    assert last_usable_day(ledger) == dt.date(2026, 1, 30)
    half = filled(tmp_path / "half", [hour(moment) for moment in moments[:-10]])
    assert last_usable_day(half) == dt.date(2026, 1, 29)


def test_the_slowest_daily_provider_decides_and_one_that_ended_does_not(tmp_path: Path) -> None:
    late = filled(tmp_path / "late", [*daily("OpenAI", 60), *daily("AWS", 58)])
    assert last_usable_day(late) == FIRST + dt.timedelta(days=57)
    ended = filled(tmp_path / "ended", [*daily("OpenAI", 60), *daily("AWS", 40)])
    assert last_usable_day(ended) == FIRST + dt.timedelta(days=59)
    rare = filled(tmp_path / "rare", [*daily("OpenAI", 60), *daily("AWS", 60)[::7]])
    assert last_usable_day(rare) == FIRST + dt.timedelta(days=59)


def test_a_charge_for_a_month_does_not_make_its_days_complete(tmp_path: Path) -> None:
    licence = row(ProviderName="GitHub", ChargePeriodStart="2026-01-01T00:00:00Z", ChargePeriodEnd="2026-02-01T00:00:00Z")
    ledger = filled(tmp_path, [*daily("OpenAI", 20), licence])
    assert last_usable_day(ledger) == dt.date(2026, 1, 20)


def test_charges_of_months_only_are_complete_with_the_last_of_them(tmp_path: Path) -> None:
    licences = [
        row(ProviderName="GitHub", ChargePeriodStart=f"2026-0{month}-01T00:00:00Z", ChargePeriodEnd=f"2026-0{month + 1}-01T00:00:00Z")
        for month in (1, 2, 3)
    ]
    assert last_usable_day(filled(tmp_path, licences)) == dt.date(2026, 3, 1)


def test_a_cutoff_before_all_spend_is_an_error_that_says_where_spend_begins(tmp_path: Path) -> None:
    ledger = filled(tmp_path, daily("OpenAI", 20))
    with pytest.raises(InsufficientHistoryError, match="first day is 2026-01-01"):
        read_history(ledger, LEAF_DIMENSIONS, dt.date(2025, 6, 1))
