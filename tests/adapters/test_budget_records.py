"""Budgets and the history of their risk in the records, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from forecast.adapters import records_schema
from forecast.adapters.records import Records
from forecast.budgets.budget import Budget, Phase
from forecast.budgets.risk_history import BudgetRisk
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, NotFoundError
from forecast.spend.scope import Scope

NOW = datetime(2026, 12, 11, 6, 30, tzinfo=UTC)
FULL = Budget(
    "ads.2027-01",
    Scope.parse("team=ads|search,stage!=dev"),
    date(2027, 1, 1),
    date(2027, 2, 1),
    0.1 + 0.2,
    "EUR",
    "billed",
    "Ads – January",
    "Özge",
    "balance",
    None,
    "month",
    (Phase(date(2027, 1, 1), 0.1), Phase(date(2027, 1, 15), 0.2)),
    (Threshold.parse("probability>=30%:warn"), Threshold.parse("exhaustion<2027-01-20:act"), Threshold.parse("actual>=33.3333333333333%:act")),
    "credits",
    0.01,
)
COMPANY = Budget("company", Scope(), date(2027, 1, 1), date(2028, 1, 1), 1e6)
ADS = replace(COMPANY, id="ads", scope=Scope.parse("team=ads"), amount=2e5, parent="company")
PROJECT = replace(ADS, id="project", scope=Scope.parse("team=ads,workload=chat"), amount=1e5, parent="ads")


def risk(budget_id: str, days: int = 0, **changes: object) -> BudgetRisk:
    found = BudgetRisk(
        budget_id,
        f"{days:02}" * 32,
        date(2026, 12, 10) + timedelta(days=days),
        NOW + timedelta(days=days),
        date(2027, 1, 1),
        date(2027, 4, 1),
        2e5,
        "USD",
        0.0,
        2.1e5,
        1.8e5,
        2.0e5,
        2.6e5,
        0.41,
        1.2e4,
        "warn",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def test_budget_with_all_its_fields_comes_back_as_it_was_put(records: Records) -> None:
    assert records.put_budget(FULL, now=NOW)
    assert not records.put_budget(FULL, now=NOW)
    assert records.budget(FULL.id) == FULL


def test_budgets_of_a_family_are_written_in_any_order_and_only_new_ones_are_told(records: Records) -> None:
    assert records.put_budgets([PROJECT, ADS, COMPANY], now=NOW) == {"project", "ads", "company"}
    assert records.put_budgets([ADS, replace(ADS, id="other")], now=NOW) == {"other"}
    assert [budget.parent for budget in records.budgets()] == ["company", None, "company", "ads"]


def test_budgets_are_written_together_or_not_at_all(records: Records) -> None:
    with pytest.raises(BudgetError, match="parent nobody does not exist"):
        records.put_budgets([COMPANY, replace(ADS, parent="nobody")], now=NOW)
    broken = replace(ADS)
    object.__setattr__(broken, "name", None)
    with pytest.raises(sa.exc.IntegrityError):
        records.put_budgets([COMPANY, broken], now=NOW)
    assert records.budgets() == []


def test_a_budget_cannot_be_a_part_of_itself(records: Records) -> None:
    records.put_budgets([COMPANY, ADS, PROJECT], now=NOW)
    with pytest.raises(BudgetError, match="company < project < ads < company") as caught:
        records.put_budget(replace(COMPANY, parent="project"), now=NOW)
    assert (caught.value.field, caught.value.got) == ("parent", "project")
    assert records.budget("company") == COMPANY


def test_a_parent_is_removed_after_its_parts(records: Records) -> None:
    records.put_budgets([COMPANY, ADS, replace(ADS, id="ads-2")], now=NOW)
    with pytest.raises(BudgetError, match=r"parent of ads, ads-2 "):
        records.delete_budget("company")
    for budget_id in ("ads", "ads-2", "company"):
        records.delete_budget(budget_id)
    assert records.budgets() == []
    with pytest.raises(NotFoundError):
        records.delete_budget("company")


def test_a_parent_that_is_removed_while_a_part_is_added_leaves_no_orphan(records: Records, address: str) -> None:
    other = Records(address)
    outcomes: list[str] = []

    def add(opened: Records, number: int) -> None:
        try:
            opened.put_budget(replace(ADS, id=f"ads-{number}"), now=NOW)
        except BudgetError:
            outcomes.append("refused")

    for number in range(8):
        for budget in records.budgets():
            if budget.parent is not None:
                records.delete_budget(budget.id)
        records.put_budget(COMPANY, now=NOW)
        thread = threading.Thread(target=add, args=(other, number))
        thread.start()
        try:
            records.delete_budget("company")
        except BudgetError:
            outcomes.append("kept")
        thread.join()
        ids = {budget.id for budget in records.budgets()}
        assert all(budget.parent in ids for budget in records.budgets() if budget.parent is not None)
    other.close()
    assert len(outcomes) == 8


def test_risks_come_back_by_cutoff_and_since_a_day(records: Records) -> None:
    records.put_budgets([COMPANY, ADS], now=NOW)
    rows = [risk("ads", 2), risk("ads", 0), risk("ads", 1), risk("company", 1)]
    assert records.put_risks(rows) == 4
    assert records.risks("ads") == [risk("ads", 0), risk("ads", 1), risk("ads", 2)]
    assert records.risks("ads", since=date(2026, 12, 11)) == [risk("ads", 1), risk("ads", 2)]
    assert records.risks("nobody") == records.risks("a\x00b") == []
    assert records.put_risks([]) == 0


def test_risks_of_the_same_snapshot_and_start_are_replaced_and_of_another_start_kept(records: Records) -> None:
    records.put_budget(replace(ADS, parent=None), now=NOW)
    records.put_risks([risk("ads"), risk("ads", start=date(2027, 4, 1), end=date(2027, 7, 1))])
    records.put_risks([risk("ads", state="act", overrun_probability=0.8)])
    assert [(row.start, row.state) for row in records.risks("ads")] == [(date(2027, 1, 1), "act"), (date(2027, 4, 1), "warn")]
    assert records.risks("ads")[0].computed_at == NOW


def test_removing_a_budget_removes_its_risks_and_rows_of_a_removed_one_are_left_out(records: Records) -> None:
    records.put_budgets([COMPANY, ADS], now=NOW)
    records.put_risks([risk("ads"), risk("company")])
    records.delete_budget("ads")
    assert records.risks("ads") == []
    assert records.put_risks([risk("ads"), risk("company", 1)]) == 1
    records.put_budget(ADS, now=NOW)
    assert records.risks("ads") == []
    assert len(records.risks("company")) == 2


def test_replacing_a_budget_keeps_the_history_of_its_risk(records: Records) -> None:
    records.put_budget(COMPANY, now=NOW)
    records.put_risks([risk("company")])
    records.put_budget(replace(COMPANY, amount=5.0), now=NOW)
    assert records.risks("company") == [risk("company")]


def test_budgets_of_an_older_home_stay_what_they_were(address: str) -> None:
    engine = records_schema.open_engine(address)
    config = Config()
    config.set_main_option("script_location", str(Path(records_schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        columns = 'id, scope, start, "end", amount, currency, cost, name, owner, changed_at'
        row = "'old', 'team=ads', '2027-01-01', '2027-04-01', 250000.25, 'USD', 'billed', 'Ads', 'Ozge', '2026-12-11 06:30:00'"
        connection.execute(sa.text(f"INSERT INTO budgets ({columns}) VALUES ({row})"))
    engine.dispose()
    records = Records(address)
    expected = Budget("old", Scope.parse("team=ads"), date(2027, 1, 1), date(2027, 4, 1), 250_000.25, "USD", "billed", "Ads", "Ozge")
    assert records.budgets() == [expected]
    records.put_budget(replace(FULL, parent="old"), now=NOW)
    assert records.put_risks([risk("old")]) == 1
    records.close()


def test_the_migration_can_be_taken_back(address: str) -> None:
    records = Records(address)
    records.put_budget(COMPANY, now=NOW)
    records.close()
    engine = records_schema.open_engine(address)
    config = Config()
    config.set_main_option("script_location", str(Path(records_schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    engine.dispose()
    records = Records(address)
    assert records.budgets() == [COMPANY]
    records.close()
