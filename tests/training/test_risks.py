"""Every training keeps what it says of every budget, and none fails for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from forecast.budgets.budget import Budget
from forecast.spend.scope import Scope
from forecast.workflows.risk_history import budget_risks
from tests.training.homes import NOW, make_home

QUARTER = Budget("company-q4", Scope(), date(2026, 10, 1), date(2027, 1, 1), 1_000_000.0)


def test_training_keeps_the_risk_of_each_budget_and_notes_those_that_have_none(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    for budget in (QUARTER, replace(QUARTER, id="euros", currency="EUR"), replace(QUARTER, id="cash", cost="billed")):
        home.records.put_budget(budget, now=NOW)
    report = home.train()
    snapshot = home.store.open(report.snapshot_id)
    assert home.records.risks("company-q4") == budget_risks(snapshot, [QUARTER], now=NOW)[0]
    assert home.records.risks("euros") == home.records.risks("cash") == []
    assert [note for note in report.notes if "budget" in note and "euros" in note]
    assert not [note for note in report.notes if "cash" in note]
    home.close()


def test_rates_that_cannot_be_read_are_a_note_and_the_training_goes_on(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    home.records.put_budget(replace(QUARTER, currency="EUR"), now=NOW)
    (home.settings.home / "rates.csv").write_text("what is this\n", encoding="utf-8")
    report = home.train()
    assert home.records.latest_snapshot() is not None
    assert [note for note in report.notes if "could not be kept" in note]
    home.close()
