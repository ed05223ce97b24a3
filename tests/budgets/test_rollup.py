"""Budgets that do not fit together are found, and those that do raise nothing."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest

from forecast.budgets.budget import Budget, Phase
from forecast.budgets.family import children_of, cycles, occurrences_within
from forecast.budgets.rollup import CHECKS, Finding, check_rollup
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.hierarchy import Hierarchy
from forecast.spend.periods import parse_period
from forecast.spend.scope import Scope
from tests.snapshots_for_tests import make_leaves

Q1 = "2027-Q1"


def plan(budget_id: str, scope: str = "", amount: float = 100.0, parent: str | None = None, period: str = Q1, **more: Any) -> Budget:
    days = parse_period(period)
    return Budget(budget_id, Scope.parse(scope), days.start, days.end, amount, parent=parent, **more)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [finding.sentence for finding in found]
    return found[0]


def test_sound_plan_of_three_levels_raises_nothing() -> None:
    budgets = [
        plan("company", amount=100.0),
        plan("ads", "team=ads", 60.0, "company"),
        plan("search", "team=search", 40.0, "company"),
        plan("ads-prod", "team=ads,stage=prod", 45.0, "ads"),
        plan("ads-dev", "team=ads,stage=dev", 15.0, "ads"),
        plan("elsewhere", "team=maps"),
    ]
    random.Random(4).shuffle(budgets)
    assert check_rollup(budgets) == []
    assert check_rollup([]) == []


def test_children_that_exceed_their_parent_say_by_how_much() -> None:
    found = only(check_rollup([plan("company"), plan("ads", "team=ads", 70.0, "company"), plan("search", "team=search", 40.0, "company")]))
    assert (found.check, found.severity, found.budget_id, found.others) == ("children_exceed", "warning", "company", ("ads", "search"))
    assert found.amount == pytest.approx(10.0)
    assert "110.00" in found.sentence
    assert set(found.describe()) == {"check", "severity", "budget_id", "others", "amount", "currency", "start", "end", "sentence"}


def test_children_that_are_exactly_the_parent_do_not_exceed_it() -> None:
    children = [plan(f"t{number}", f"team=t{number}", 0.1, "company") for number in range(1000)]
    assert check_rollup([plan("company", amount=100.0), *children]) == []


def test_budget_of_units_counts_with_its_money() -> None:
    credits = plan("credits", "provider=openai", 30.0, "company", kind="balance", unit="credits", unit_price=4.0)
    assert only(check_rollup([plan("company"), credits])).amount == pytest.approx(20.0)


def test_parent_that_does_not_exist_is_found() -> None:
    found = only(check_rollup([plan("ads", parent="compnay")]))
    assert (found.check, found.severity, found.budget_id, found.others) == ("missing_parent", "error", "ads", ("compnay",))


def test_circle_is_found_once_and_its_tail_is_no_part_of_it() -> None:
    budgets = [
        plan("c", parent="b"),
        plan("a", parent="c"),
        plan("b", parent="a"),
        plan("tail", parent="a"),
        plan("top"),
        plan("below", "", 1.0, "top"),
    ]
    found = only(check_rollup(budgets))
    assert (found.check, found.budget_id, found.others) == ("cycle", "a", ("b", "c"))
    assert "a > c > b > a" in found.sentence
    by_id = {budget.id: budget for budget in budgets}
    assert cycles(by_id) == [("a", "c", "b")]
    assert [child.id for child in children_of(by_id)["a"]] == ["b", "tail"]


def test_chain_of_thousands_is_walked_without_a_deep_stack() -> None:
    budgets = [plan("b0"), *(plan(f"b{number}", parent=f"b{number - 1}") for number in range(1, 3000))]
    assert check_rollup(budgets) == []


def test_money_that_does_not_add_up_is_left_out_of_the_sum() -> None:
    found = check_rollup(
        [
            plan("company", currency="USD"),
            plan("ads", "team=ads", 900.0, "company", currency="EUR"),
            plan("m", "team=m", 900.0, "company", cost="billed"),
        ]
    )
    assert [(finding.check, finding.budget_id) for finding in found] == [("other_currency", "ads"), ("other_cost", "m")]


def test_budget_without_a_currency_has_that_of_the_ledger() -> None:
    budgets = [plan("company"), plan("ads", "team=ads", 900.0, "company", currency="EUR")]
    assert only(check_rollup(budgets, currency="USD")).check == "other_currency"
    assert only(check_rollup(budgets, currency="EUR")).check == "children_exceed"
    assert only(check_rollup(budgets)).check == "children_exceed"


@pytest.mark.parametrize(
    ("period", "word"), [("2027-03-01..2027-04-02", "reaches beyond"), ("2026-12-31..2027-01-02", "reaches beyond"), ("2027-Q2", "lies outside")]
)
def test_child_outside_of_the_days_of_its_parent_is_found(period: str, word: str) -> None:
    found = only(check_rollup([plan("company"), plan("ads", "team=ads", 1.0, "company", period)]))
    assert (found.check, found.severity) == ("period_outside", "error")
    assert word in found.sentence


@pytest.mark.parametrize(
    ("scope", "check"), [("team=search", "scope_outside"), ("team=ads|search", "scope_outside"), ("workload=ranking", "scope_unclear")]
)
def test_child_outside_of_the_scope_of_its_parent_is_found(scope: str, check: str) -> None:
    assert only(check_rollup([plan("ads", "team=ads"), plan("child", scope, 1.0, "ads")])).check == check


def test_leaves_settle_what_the_writing_leaves_open() -> None:
    hierarchy = Hierarchy(make_leaves())
    ads, ranking, index = plan("ads", "team=ads"), plan("ranking", "workload=ranking", 1.0, "ads"), plan("index", "workload=index", 1.0, "ads")
    assert check_rollup([ads, ranking], hierarchy=hierarchy) == []
    assert only(check_rollup([ads, index], hierarchy=hierarchy)).check == "scope_outside"
    unclear = only(check_rollup([ads, ranking]))
    assert unclear.sentence.endswith("write its scope team=ads,workload=ranking")


def test_children_that_count_the_same_spend_are_found() -> None:
    budgets = [plan("company"), plan("ads", "team=ads", 30.0, "company"), plan("openai", "provider=openai", 30.0, "company")]
    found = only(check_rollup(budgets))
    assert (found.check, found.severity, found.budget_id, found.others) == ("overlap", "warning", "ads", ("openai",))
    nested = [plan("company"), plan("ads", "team=ads", 30.0, "company"), plan("ads-prod", "team=ads,stage=prod", 30.0, "company")]
    assert only(check_rollup(nested)).check == "overlap"


def test_children_of_other_days_do_not_overlap() -> None:
    months = [plan(f"ads-{month}", "", 30.0, "company", f"2027-0{month}") for month in (1, 2, 3)]
    assert check_rollup([plan("company"), *months]) == []
    assert only(check_rollup([plan("company"), *months, plan("late", "", 1.0, "company", "2027-03-15..2027-04-01")])).check == "overlap"


def test_month_that_repeats_counts_for_each_month_of_the_quarter() -> None:
    monthly = plan("ads-monthly", "team=ads", 30.0, "company", "2027-01", repeats="month")
    assert check_rollup([plan("company"), monthly]) == []
    found = only(check_rollup([plan("company", amount=80.0), monthly]))
    assert found.check == "children_exceed"
    assert found.amount == pytest.approx(10.0)
    assert [part.period for part in occurrences_within(monthly, parse_period(Q1), CALENDAR_YEAR)] == [parse_period(f"2027-0{n}") for n in (1, 2, 3)]
    assert all(part.repeats is None for part in occurrences_within(monthly, parse_period(Q1), CALENDAR_YEAR))


def test_month_that_begins_later_counts_from_then_on() -> None:
    monthly = plan("ads-monthly", "team=ads", 30.0, "company", "2027-02", repeats="month")
    assert [part.start.month for part in occurrences_within(monthly, parse_period("2027"), CALENDAR_YEAR)] == list(range(2, 13))
    assert only(check_rollup([plan("company", amount=59.0), monthly])).amount == pytest.approx(1.0)


def test_parent_that_repeats_is_compared_in_the_periods_in_which_its_children_lie() -> None:
    team = plan("team", "team=ads", 100.0, None, "2027-01", repeats="month")
    project = plan("project", "team=ads,workload=x", 70.0, "team", "2027-05-03..2027-05-20")
    assert check_rollup([team, project]) == []
    other = plan("other", "team=ads,workload=y", 40.0, "team", "2027-05-10..2027-05-30")
    found = only(check_rollup([team, project, other]))
    assert (found.check, found.start, found.end) == ("children_exceed", date(2027, 5, 1), date(2027, 6, 1))
    across = plan("across", "team=ads,workload=x", 1.0, "team", "2027-05-03..2027-06-02")
    assert only(check_rollup([team, across])).check == "period_outside"


def test_months_of_a_calendar_of_weeks_are_its_periods() -> None:
    calendar = FiscalCalendar(start=2, pattern="4-4-5")
    quarter = calendar.quarter(2027, 1)
    first = calendar.month(2027, 1)
    parent = Budget("q", Scope(), quarter.start, quarter.end, 100.0)
    child = Budget("m", Scope(), first.start, first.end, 34.0, parent="q", repeats="month")
    assert only(check_rollup([parent, child], calendar=calendar)).amount == pytest.approx(2.0)
    assert "period_outside" in {finding.check for finding in check_rollup([parent, child])}


def test_phase_that_children_exceed_is_found_although_the_whole_is_not() -> None:
    phases = (Phase(date(2027, 1, 1), 20.0), Phase(date(2027, 2, 1), 40.0), Phase(date(2027, 3, 1), 40.0))
    parent = plan("company", phases=phases)
    months = [plan("jan", "", 25.0, "company", "2027-01"), plan("feb", "", 35.0, "company", "2027-02")]
    found = only(check_rollup([parent, *months]))
    assert (found.check, found.others, found.start) == ("children_exceed_phase", ("jan",), date(2027, 1, 1))
    assert found.amount == pytest.approx(5.0)
    phased = plan("ads", "team=ads", 100.0, "company", phases=phases)
    assert check_rollup([parent, phased]) == []
    across = plan("ads", "team=ads", 99.0, "company")
    assert check_rollup([parent, across]) == []


def test_order_of_the_budgets_does_not_matter() -> None:
    budgets = [
        plan("company", amount=10.0, currency="USD"),
        plan("ads", "team=ads", 70.0, "company"),
        plan("openai", "provider=openai", 30.0, "company", "2027-02-01..2027-05-01", currency="EUR"),
        plan("x", "team=x", 30.0, "nobody"),
        plan("y", "team=y", 30.0, "ads", cost="billed"),
    ]
    found = check_rollup(budgets)
    assert {finding.check for finding in found} == {
        "missing_parent",
        "other_cost",
        "other_currency",
        "period_outside",
        "scope_outside",
        "overlap",
        "children_exceed",
    }
    assert {finding.check for finding in found} <= set(CHECKS)
    for seed in range(5):
        shuffled = list(budgets)
        random.Random(seed).shuffle(shuffled)
        assert sorted(check_rollup(shuffled), key=repr) == sorted(found, key=repr)


def test_many_children_that_all_overlap_are_said_in_short() -> None:
    children = [plan(f"c{number:04}", "", 0.001, "company") for number in range(1500)]
    found = check_rollup([plan("company"), *children])
    assert len(found) == 1499
    assert max(len(finding.others) for finding in found) == 20
    assert max(len(finding.sentence) for finding in found) < 300
