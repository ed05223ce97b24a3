"""Late and restated bills: the law of the moments, and the replay of a generated company through the real ledger."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.adapters.focus_writer import write_rows
from forecast.adapters.ledger import Ledger
from forecast.company.deliveries import CHARGE_ID, deliveries, known_at
from forecast.company.generate import Company, generate
from forecast.errors import InputError
from forecast.spend.focus import columns_of

COLUMNS = columns_of("1.2")

END = date(2026, 10, 20)
DAYS = 60
MONEY = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]
LEAF = ["ProviderName", "ServiceName", "SubAccountName", "Tags"]


@pytest.fixture(scope="module")
def small() -> Company:
    return generate(5, DAYS, 2, end=END)


def day_ends(company: Company) -> pd.Series:
    ends: pd.Series = company.rows["ChargePeriodEnd"].dt.tz_localize("UTC")
    return ends


def totals(rows: pd.DataFrame) -> pd.Series:
    """Effective cost by leaf and day."""
    return rows.groupby([*LEAF, "ChargePeriodStart"], dropna=False)["EffectiveCost"].sum()


def test_every_row_has_its_moments_in_order_and_on_the_hour(company: Company) -> None:
    timing = company.timing
    assert len(timing) == len(company.rows)
    assert (timing["received_at"] >= day_ends(company) + pd.Timedelta(hours=2)).all()
    first, second = timing["restated_at"].notna(), timing["closed_at"].notna()
    assert (timing["restated_at"] > timing["received_at"])[first].all()
    assert (timing["closed_at"] > timing["restated_at"])[second].all()
    np.testing.assert_array_equal(timing["first_factor"] != 1.0, first)
    np.testing.assert_array_equal(timing["second_factor"] != 1.0, second)
    for name in ("received_at", "restated_at", "closed_at"):
        assert (timing[name].dropna() == timing[name].dropna().dt.floor("h")).all()
    assert 0.2 < first.mean() < 0.5
    assert 0.001 < second.mean() < 0.02


def test_providers_deliver_in_their_own_rhythm(company: Company) -> None:
    hours = (company.timing["received_at"] - day_ends(company)).dt.total_seconds() / 3600.0
    usage = (company.rows["ChargeCategory"] == "Usage") & company.rows["ChargeClass"].isna()
    median = hours[usage].groupby(company.rows["ProviderName"]).median()
    assert median["OpenAI"] < 8.0 < median["AWS"] < 30.0
    assert median["Anthropic"] < 10.0 < median["Google Cloud"] < 30.0
    late = (hours > 31.0)[usage & company.rows["ProviderName"].isin(["OpenAI", "Anthropic", "AWS", "Google Cloud"])]
    assert 0.005 < late.mean() < 0.05
    assert hours[usage].max() <= 24 * 4 + 54
    tax = company.timing["received_at"][company.rows["ChargeCategory"] == "Tax"].dt.day
    assert set(tax) <= {3, 4, 5}
    seats = company.timing["received_at"][(company.rows["ChargeCategory"] == "Purchase") & (company.rows["ProviderName"] == "GitHub")]
    assert (seats.dt.day <= 7).all()


def test_late_resources_are_late_with_all_meters_of_the_day(company: Company) -> None:
    rows = company.rows.assign(received=company.timing["received_at"])
    rows = rows[(rows["ProviderName"] == "OpenAI") & (rows["ChargeCategory"] == "Usage") & rows["ChargeClass"].isna()]
    received = rows.groupby(["ResourceId", "ChargePeriodStart"])["received"]
    pd.testing.assert_series_equal(received.min(), received.max())


def test_most_days_of_llm_vendors_change_after_a_day_by_as_much_as_measured() -> None:
    """The README of the real data: 59 % and 69 % of days; early totals 6–11 % too high for one user, 3 % too low for the other."""
    signs = set()
    for seed in range(4):
        company = generate(seed, 200, 3, incidents=False)
        cost = company.rows["EffectiveCost"]
        for vendor in ("OpenAI", "Anthropic"):
            mine = (company.rows["ProviderName"] == vendor) & (company.rows["ChargeCategory"] == "Usage") & company.rows["ChargeClass"].isna()
            day = company.rows.loc[mine, "ChargePeriodStart"]
            early = (cost * company.timing["first_factor"])[mine].groupby(day).sum() / cost[mine].groupby(day).sum() - 1.0
            wrong = early.abs() > 0.01
            assert 0.5 < wrong.mean() < 0.8
            size = float(early[wrong].median())
            assert 0.06 < size < 0.11 or -0.04 < size < -0.02, (seed, vendor)
            signs.add(size > 0.0)
            wait = (company.timing["restated_at"] - day_ends(company))[
                mine & (company.timing["first_factor"] != 1.0) & company.timing["closed_at"].isna()
            ]
            assert (wait > pd.Timedelta(hours=24)).all()
    assert signs == {True, False}


def test_incidents_and_cutoffs_leave_the_moments_of_all_other_charges(small: Company) -> None:
    for other in (generate(5, DAYS, 2, end=END, incidents=False), generate(5, DAYS, 2, end=END, cutoff="2026-09-30", futures=2, horizon=5)):
        one, two = (
            made.timing.assign(quantity=made.rows["PricingQuantity"].fillna(0.0)).set_index(["charge_id", "quantity"]).sort_index()
            for made in (small, other)
        )
        assert one.index.is_unique
        both = one.index.intersection(two.index)
        assert len(both) > 0.95 * len(two)
        pd.testing.assert_frame_equal(one.loc[both], two.loc[both])


def test_corrections_move_usage_between_keys_and_change_no_leaf(company: Company) -> None:
    rows = company.rows
    correction = rows["ChargeClass"] == "Correction"
    assert 20 <= correction.sum() <= 2000
    assert rows.loc[correction, "EffectiveCost"].abs().sum() < 1e-3 * rows["EffectiveCost"].abs().sum()
    moved = rows[correction].groupby([*LEAF, "SkuPriceId", "ChargePeriodStart"], dropna=False)
    for name in [*MONEY, "ConsumedQuantity"]:
        assert moved[name].sum().abs().max() == pytest.approx(0.0, abs=1e-9)
    assert (rows.loc[correction, "ChargeCategory"] == "Usage").all()
    received = company.timing.loc[correction, "received_at"].dt.tz_localize(None)
    assert (received >= rows.loc[correction, "BillingPeriodStart"]).all()
    assert (received < rows.loc[correction, "BillingPeriodEnd"]).all()
    # No key is left with less than nothing.
    kept = rows.groupby(["ResourceId", "SkuPriceId", "ChargePeriodStart"])["ConsumedQuantity"].sum()
    assert kept.min() >= 0.0


def test_hours_of_corrections_add_up_to_their_day() -> None:
    days, hours = generate(5, 75, 3).rows, generate(5, 75, 3, "h").rows
    for made in (days, hours):
        assert (made["ChargeClass"] == "Correction").any()
    keys = ["ResourceId", "SkuPriceId"]
    by_day = days[days["ChargeClass"] == "Correction"].groupby([*keys, "ChargePeriodStart"])["PricingQuantity"].sum()
    part = hours[hours["ChargeClass"] == "Correction"]
    pd.testing.assert_series_equal(by_day, part.groupby([*keys, part["ChargePeriodStart"].dt.normalize()])["PricingQuantity"].sum())


def test_rows_known_in_the_end_are_the_rows(small: Company) -> None:
    known = known_at(small, "2026-12-01")
    assert list(known.columns) == [*(column.name for column in COLUMNS), CHARGE_ID]
    pd.testing.assert_frame_equal(known.drop(columns=[CHARGE_ID, "InvoiceId"]), small.rows.drop(columns="InvoiceId"))
    assert known[CHARGE_ID].is_unique
    assert (known[CHARGE_ID].str.len() == 16).all()
    assert known_at(small, datetime(2026, 8, 1, tzinfo=UTC)).empty


def test_early_rows_are_valid_charges(small: Company) -> None:
    known = known_at(small, "2026-10-10T06:00:00Z")
    final = small.rows["EffectiveCost"].sum()
    assert abs(float(known["EffectiveCost"].sum()) / final - 1.0) < 0.5
    counted = known[known["ConsumedQuantity"].notna()]
    np.testing.assert_allclose(counted["ConsumedQuantity"] * counted["ListUnitPrice"], counted["ListCost"], rtol=1e-12, atol=1e-8)
    assert (known.loc[known["ConsumedUnit"] == "Tokens", "ConsumedQuantity"] % 1.0 == 0.0).all()
    for name in MONEY:
        np.testing.assert_array_equal(np.round(known[name], 10), known[name])
    # A month that is not closed has no invoice.
    assert known.loc[known["BillingPeriodStart"] == "2026-10-01", "InvoiceId"].isna().all()


@pytest.mark.parametrize("every", ["D", "h"])
def test_replay_by_key_is_what_was_known_at_every_delivery(small: Company, every: str) -> None:
    held: dict[str, float] = {}
    before = datetime.min.replace(tzinfo=UTC)
    for number, delivery in enumerate(deliveries(small, every=every)):
        assert delivery.received_at > before
        before = delivery.received_at
        assert delivery.rows[CHARGE_ID].is_unique
        held |= dict(zip(delivery.rows[CHARGE_ID], delivery.rows["EffectiveCost"], strict=True))
        if number % 17 == 0:
            known = known_at(small, delivery.received_at)
            assert held == dict(zip(known[CHARGE_ID], known["EffectiveCost"], strict=True))
    assert sum(held.values()) == pytest.approx(float(small.rows["EffectiveCost"].sum()))
    assert len(held) == len(small.rows)


def test_real_ledger_replays_the_bills_to_the_cent(small: Company, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    opening = datetime(2026, 10, 7, tzinfo=UTC)
    known: dict[datetime, pd.DataFrame] = {opening: known_at(small, opening)}

    def take_in(rows: pd.DataFrame, received_at: datetime) -> Any:
        file = tmp_path / f"{received_at:%Y%m%d%H}.parquet"
        write_rows(rows, file)
        return ledger.ingest([file], key=CHARGE_ID, received_at=received_at)

    take_in(known[opening], opening)
    superseded = 0
    for delivery in deliveries(small, since=opening):
        report = take_in(delivery.rows, delivery.received_at)
        assert report.quarantined == report.repeated == report.history == report.unchanged == 0
        superseded += report.superseded
        known[delivery.received_at] = known_at(small, delivery.received_at)
    assert superseded > 100
    # Between two deliveries it is what the last one said.
    for moment in list(known)[:9:4]:
        for as_of in (moment, moment + timedelta(hours=12)):
            compare(ledger, known[moment], as_of)
    compare(ledger, small.rows, None)


def compare(ledger: Ledger, rows: pd.DataFrame, as_of: datetime | None) -> None:
    """Totals by provider, service and day, to the cent."""
    panel = ledger.panel(by=("provider", "service"), as_of=as_of)
    held = panel.set_index(["provider", "service", "ds"])["y"].sort_index()
    expected = rows.groupby(["ProviderName", "ServiceName", "ChargePeriodStart"])["EffectiveCost"].sum()
    expected.index.names = held.index.names
    pd.testing.assert_series_equal(held, expected.sort_index(), check_names=False, rtol=0.0, atol=0.005)


def test_since_and_until_cut_the_deliveries(small: Company) -> None:
    moments = [delivery.received_at for delivery in deliveries(small)]
    some = [delivery.received_at for delivery in deliveries(small, since="2026-09-10", until="2026-09-12")]
    assert some == [moment for moment in moments if datetime(2026, 9, 10, tzinfo=UTC) < moment <= datetime(2026, 9, 12, tzinfo=UTC)]
    assert len(some) == 2
    assert moments[-1].date() > END


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"every": "W"}, "every"),
        ({"since": "yesterday"}, "since"),
        ({"until": 5}, "until"),
        ({"since": "2026-10-02", "until": "2026-10-01"}, "until"),
    ],
)
def test_wrong_arguments_are_named_before_the_first_delivery(small: Company, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        deliveries(small, **arguments)
    assert caught.value.field == field


def test_wrong_moment_is_named(small: Company) -> None:
    with pytest.raises(InputError, match="moment is 'soon'"):
        known_at(small, "soon")
