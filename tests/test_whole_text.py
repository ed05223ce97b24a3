"""What is checked by a pattern is checked to its last character: `$` alone lets a line's end through."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from forecast.adapters.snapshots import SnapshotStore
from forecast.budgets.budget import Budget, check_id
from forecast.errors import BudgetError, InputError, NotFoundError, PlanError
from forecast.scenarios.saved import check_scenario_id
from forecast.spend.events import Effect, PlannedEvent
from forecast.spend.scope import Scope
from forecast.spend.zones import check_zone

SOURCE = Path(__file__).resolve().parents[1] / "src"
FIRST, END = date(2027, 1, 1), date(2027, 4, 1)
BUDGET = Budget("company-q1", Scope(), FIRST, END, 900.0, "USD")
EVENT = PlannedEvent("launch", "Launch", "launch", FIRST, END, Scope(), Effect("factor", 2.0), FIRST)
ENDS = pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", " ", "\x00"])


@ENDS
def test_names_of_budgets_events_and_scenarios_end_where_they_end(end: str) -> None:
    with pytest.raises(BudgetError):
        check_id(f"company-q1{end}")
    with pytest.raises(BudgetError):
        replace(BUDGET, id=f"company-q1{end}")
    with pytest.raises(BudgetError):
        replace(BUDGET, currency=f"USD{end}")
    with pytest.raises(PlanError):
        replace(EVENT, id=f"launch{end}")
    with pytest.raises(PlanError):
        replace(EVENT, currency=f"USD{end}")
    with pytest.raises(InputError):
        check_scenario_id(f"plan{end}")


@ENDS
def test_zones_and_snapshots_end_where_they_end(end: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        check_zone(f"Europe/Berlin{end}")
    with pytest.raises(NotFoundError, match="No snapshot"):
        SnapshotStore(tmp_path).open("0" * 64 + end)


def test_no_new_pattern_of_names_ends_in_a_dollar() -> None:
    """`fullmatch` says it without one. What is matched line by line or after `strip` may have it."""
    allowed = {"whatif_figures.py", "plan_text.py"}
    found = {path.name for path in SOURCE.rglob("*.py") if re.search(r're\.compile\([^\n]*\$"', path.read_text(encoding="utf-8"))}
    assert found <= allowed
