"""Spend out of the ledger: panels, scopes, values, charges, summary."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from forecast.adapters.ledger import Ledger
from forecast.adapters.ledger_table import SCHEMA, TablePlace
from forecast.errors import InputError, UnknownScopeError
from forecast.spend.scope import Clause, Scope
from tests.adapters.ledger_rows import focus_table, moment, row, write_csv, write_parquet

NOW = moment("2026-06-01")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return focus_table(3000, seed=3)


@pytest.fixture(scope="module")
def rows(table: pa.Table) -> pd.DataFrame:
    """The same charges as a plain frame with the dimensions made by hand: the slow twin of the ledger's queries."""
    frame = table.to_pandas()
    tags = pd.DataFrame([pd.Series(eval(text)) for text in frame["Tags"]])
    return pd.DataFrame(
        {
            "provider": frame["ProviderName"],
            "service": frame["ServiceName"],
            "team": tags["team"],
            "stage": tags["env"].map({"dev": "dev", "qa": "test", "production": "prod"}),
            "workload": tags["workload"],
            "env": tags["env"],
            "region": frame["RegionId"],
            "start": frame["ChargePeriodStart"],
            "cost": frame["EffectiveCost"],
        }
    )


@pytest.fixture(scope="module")
def ledger(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    folder = tmp_path_factory.mktemp("views")
    ledger = Ledger(folder / "ledger")
    ledger.ingest([write_parquet(folder / "a.parquet", table)], received_at=NOW)
    return ledger


def expected(rows: pd.DataFrame, by: list[str], period: str) -> pd.DataFrame:
    ds = {
        "h": rows["start"].dt.floor("h"),
        "D": rows["start"].dt.normalize(),
        "W": rows["start"].dt.to_period("W-SUN").dt.start_time,
        "MS": rows["start"].dt.to_period("M").dt.start_time,
    }
    ids = rows[by].agg("|".join, axis=1) if by else pd.Series("company", index=rows.index)
    return rows.assign(unique_id=ids, ds=ds[period]).groupby(["unique_id", "ds"])[["cost"]].sum().reset_index()


@pytest.mark.parametrize("freq", ["h", "D", "W", "MS"])
@pytest.mark.parametrize("by", [[], ["team"], ["provider", "service", "team", "stage", "workload"], ["env", "region"]], ids=str)
def test_panel_is_the_group_by_of_its_rows(ledger: Ledger, rows: pd.DataFrame, by: list[str], freq: str) -> None:
    panel = ledger.panel(by=by, freq=freq)
    twin = expected(rows, by, freq)
    assert panel.columns.tolist() == ["unique_id", "ds", "y", *by]
    assert panel["unique_id"].tolist() == twin["unique_id"].tolist()
    assert panel["ds"].tolist() == twin["ds"].tolist()
    assert panel["ds"].dtype == np.dtype("datetime64[us]")
    np.testing.assert_allclose(panel["y"], twin["cost"], rtol=1e-9, atol=1e-9)


def test_weeks_start_on_monday(ledger: Ledger) -> None:
    assert set(ledger.panel(freq="W")["ds"].dt.day_name()) == {"Monday"}


@pytest.mark.parametrize(
    ("scope", "keep"),
    [
        ("team=ads", lambda rows: rows["team"] == "ads"),
        ("team=ads|search,stage!=dev", lambda rows: rows["team"].isin(["ads", "search"]) & (rows["stage"] != "dev")),
        ("workload=w1", lambda rows: rows["workload"] == "w1"),
        ("env=qa", lambda rows: rows["env"] == "qa"),
        ("env!=qa|dev", lambda rows: ~rows["env"].isin(["qa", "dev"])),
        ("team!=(none)", lambda rows: rows["team"] != "(none)"),
    ],
)
def test_scope_filters_by_dimension_and_tag(ledger: Ledger, rows: pd.DataFrame, scope: str, keep: Any) -> None:
    assert ledger.panel(scope)["y"].sum() == pytest.approx(rows.loc[keep(rows), "cost"].sum())


def test_period_is_half_open_and_about_the_start_of_charges(ledger: Ledger, rows: pd.DataFrame) -> None:
    start, end = dt.date(2026, 1, 10), dt.datetime(2026, 1, 12, 6)
    inside = rows["start"].between(pd.Timestamp(start), pd.Timestamp(end), inclusive="left")
    assert ledger.panel(start=start, end=end)["y"].sum() == pytest.approx(rows.loc[inside, "cost"].sum())


def test_long_charge_counts_on_the_day_it_starts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.ingest([write_csv(tmp_path / "a.csv", [row(ChargePeriodEnd="2027-01-05", EffectiveCost="0", BilledCost="120")])], received_at=NOW)
    assert ledger.panel(cost="billed")[["unique_id", "y"]].to_dict("records") == [{"unique_id": "company", "y": 120.0}]
    assert ledger.panel(cost="effective")["y"].tolist() == [0.0]


def test_missing_tag_is_visible_as_none(ledger: Ledger) -> None:
    assert ledger.panel(by=["no-such-tag"])["unique_id"].unique().tolist() == ["(none)"]


def test_value_that_never_occurred_is_an_error_with_the_nearest(ledger: Ledger) -> None:
    with pytest.raises(UnknownScopeError, match="no spend has ever had team 'serch'; nearest: search"):
        ledger.panel("team=serch")
    with pytest.raises(UnknownScopeError):
        ledger.charges("stage!=live")


def test_values_are_sorted_and_of_all_time(ledger: Ledger) -> None:
    assert ledger.values("team") == ["ads", "platform", "research", "search"]
    assert ledger.values("env") == ["dev", "production", "qa"]


HOSTILE = ["x'; DROP TABLE charges; --", 'x" OR 1=1 --', "'", '"', "\\", "$.team", "ä 'ö' \"ü\"", "{0}", "%", "?"]


def test_hostile_tag_values_are_only_values(tmp_path: Path) -> None:
    import json

    ledger = Ledger(tmp_path / "ledger")
    given = [
        row(Tags=json.dumps({"team": value, "odd:key": value}), ResourceId=str(number), EffectiveCost=str(number + 1))
        for number, value in enumerate(HOSTILE)
    ]
    ledger.ingest([write_csv(tmp_path / "a.csv", given)], received_at=NOW)
    assert ledger.values("odd:key") == sorted(HOSTILE)
    assert ledger.values("team") == sorted(value.lower() for value in HOSTILE)
    for number, written in enumerate(HOSTILE):
        for dimension, value in (("team", written.lower()), ("odd:key", written)):
            assert ledger.panel(Scope((Clause(dimension, (value,)),)))["y"].tolist() == [number + 1]
            assert ledger.panel(Scope((Clause(dimension, (value,), exclude=True),)))["y"].sum() == sum(range(1, len(HOSTILE) + 1)) - number - 1


def test_spellings_of_a_team_that_differ_only_in_case_are_one_team(tmp_path: Path) -> None:
    import json

    ledger = Ledger(tmp_path / "ledger")
    tags = [{"team": "search"}, {"Team": "Search"}, {"TEAM": "SEARCH"}, {"team": "ads"}]
    given = [row(Tags=json.dumps(tag), ResourceId=str(number), EffectiveCost=str(10**number)) for number, tag in enumerate(tags)]
    ledger.ingest([write_csv(tmp_path / "a.csv", given)], received_at=NOW)
    assert ledger.values("team") == ["ads", "search"]
    assert ledger.panel("team=search")["y"].tolist() == [111.0]
    assert ledger.charges(columns=["Tags"]).num_rows == 4, "what was written stays in the tags"


@pytest.mark.parametrize("name", ["a'b", 'a"b', "team; DROP", "", "x" * 200, "ds", "y", "unique_id"])
def test_names_that_are_no_names_are_errors(ledger: Ledger, name: str) -> None:
    with pytest.raises(InputError, match="is not a dimension or tag key"):
        ledger.panel(by=[name])
    with pytest.raises(InputError):
        ledger.values(name)


@pytest.mark.parametrize("options", [{"freq": "Q"}, {"cost": "listed"}, {"by": ["team", "team"]}], ids=str)
def test_options_that_are_not_known_are_errors(ledger: Ledger, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        ledger.panel(**options)
    assert refused.value.allowed


def test_charges_are_exact_and_have_the_columns_that_were_asked_for(ledger: Ledger, table: pa.Table) -> None:
    charges = ledger.charges("team=ads", dt.date(2026, 1, 1), dt.date(2026, 1, 8), ["BilledCost", "ChargePeriodStart", "env", "team"])
    assert charges.column_names == ["BilledCost", "ChargePeriodStart", "env", "team"]
    assert charges.schema.field("BilledCost").type == pa.decimal128(38, 12)
    assert charges.schema.field("ChargePeriodStart").type == pa.timestamp("us")
    assert set(ledger.charges().column_names) == set(SCHEMA.names)
    with pytest.raises(InputError, match="is not a column"):
        ledger.charges(columns=['x" FROM y'])


def test_summary_is_exact_and_says_what_there_is(ledger: Ledger, table: pa.Table) -> None:
    summary = ledger.summary()
    exact = sum((round(Decimal(str(cost)), 12) for cost in table.column("EffectiveCost").to_pylist()), Decimal(0))
    assert Decimal(summary["effective_cost"]) == exact == sum(Decimal(provider["effective_cost"]) for provider in summary["providers"])
    assert (summary["rows"], summary["currency"], summary["deliveries"]) == (3000, "USD", 1)
    assert (summary["first_day"], summary["last_day"]) == ("2026-01-01", "2026-03-01")


def test_empty_ledger_says_what_to_do(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.is_empty
    for ask in (ledger.panel, ledger.summary, ledger.digest, ledger.charges, lambda: ledger.values("team"), lambda: ledger.currency):
        with pytest.raises(InputError, match="The ledger is empty: run `forecast ingest PATH` first"):
            ask()
    assert not (tmp_path / "ledger").exists()


def test_remote_way_of_reading_gives_the_same_panel(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object stores are read through the table's Arrow dataset; the local reader must not differ from it."""
    local = ledger.panel("stage!=dev", ("team", "env"), "W")
    monkeypatch.setattr(TablePlace, "folder", None)
    pd.testing.assert_frame_equal(ledger.panel("stage!=dev", ("team", "env"), "W"), local)


def test_compaction_changes_no_view_and_no_digest(table: pa.Table, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for number in range(4):
        ledger.ingest([write_parquet(tmp_path / f"{number}.parquet", table.slice(number * 500, 700))], received_at=NOW + dt.timedelta(hours=number))
    before, digest = ledger.panel(by=["team"]), ledger.digest()
    DeltaTable(tmp_path / "ledger").optimize.compact()
    pd.testing.assert_frame_equal(ledger.panel(by=["team"]), before)
    assert ledger.digest() == digest


def test_any_engine_reads_the_table(ledger: Ledger) -> None:
    delta = DeltaTable(ledger._place.address)
    assert delta.metadata().partition_columns == ["billing_month"]
    assert delta.to_pyarrow_dataset().count_rows() == 3000
    assert delta.protocol().min_reader_version == 1
