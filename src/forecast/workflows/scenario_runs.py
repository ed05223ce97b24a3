"""What a saved scenario says on a snapshot, and the summary of it that is kept: small, and readable when the snapshot's paths are gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from forecast.budgets.budget import Budget
from forecast.errors import InputError, NotFoundError, PlanError
from forecast.scenarios.plan import Plan, parse_plan
from forecast.scenarios.saved import SavedScenario, ScenarioRun
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Granularity, Period
from forecast.spend.prices import PriceTable
from forecast.workflows.whatif import meant_budget, whatif_answer

DISTRIBUTIONS = ("baseline", "scenario", "delta")
FIGURES = ("mean", "p10", "p50", "p90")
_BUDGET_FIELDS = ("id", "name", "scope", "start", "end", "amount", "overrun_probability_before", "overrun_probability_after")


@dataclass(frozen=True)
class Terms:
    """What plans are read and reckoned by: the company's calendar, exchange rates, list prices."""

    calendar: FiscalCalendar = CALENDAR_YEAR
    rates: Rates | None = None
    prices: PriceTable | None = None


USUAL = Terms()


def saved_plan(saved: SavedScenario, calendar: FiscalCalendar = CALENDAR_YEAR) -> Plan:
    """The plan of a version, read by today's calendar; PlanError names the scenario and the version."""
    try:
        return parse_plan(saved.plan, calendar=calendar)
    except InputError as error:
        raise PlanError(f"scenario {saved.id} version {saved.version}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None


def touched_budgets(snapshot: Snapshot, budgets: Sequence[Budget], period: Period, calendar: FiscalCalendar) -> list[Budget]:
    """Budgets that share days with a plan for `period` and that the snapshot can see; of those that repeat the occurrence that is meant."""
    meant = [meant_budget(snapshot, budget, period, calendar) for budget in budgets]
    return [
        budget
        for budget in meant
        if budget.start < period.end and budget.end > period.start and budget.start >= snapshot.first_day and budget.end <= snapshot.horizon_end
    ]


def scenario_answer(
    snapshot: Snapshot,
    plan: Plan,
    budgets: Sequence[Budget] = (),
    group_by: tuple[str, ...] | None = None,
    *,
    granularity: Granularity | None = None,
    terms: Terms = USUAL,
    with_waterfall: bool = True,
) -> dict[str, Any]:
    """`whatif_answer` by these terms."""
    return whatif_answer(
        snapshot,
        plan,
        budgets,
        group_by,
        granularity=granularity,
        calendar=terms.calendar,
        rates=terms.rates,
        prices=terms.prices,
        with_waterfall=with_waterfall,
    )


def run_scenario(
    snapshot: Snapshot,
    saved: SavedScenario,
    budgets: Sequence[Budget] = (),
    *,
    now: datetime,
    terms: Terms = USUAL,
) -> ScenarioRun:
    """What a version says on a snapshot, with its months, to be kept."""
    plan = saved_plan(saved, terms.calendar)
    touched = touched_budgets(snapshot, budgets, plan.period, terms.calendar)
    answer = scenario_answer(snapshot, plan, touched, (), granularity="month", terms=terms)
    return ScenarioRun(saved.id, saved.version, snapshot.id, snapshot.cutoff, snapshot.cost, snapshot.currency, now, summary_of(answer))


def earlier_run(saved: SavedScenario, runs: Sequence[ScenarioRun], snapshot_id: str | None) -> ScenarioRun | None:
    """The run of a version on the snapshot whose id begins so, or its first; None where it was never run there.

    runs : of the version, the oldest first. Raises NotFoundError where it was never run at all and no snapshot is named.
    """
    if snapshot_id is not None:
        return next((run for run in runs if run.snapshot_id.startswith(snapshot_id)), None)
    if not runs:
        raise NotFoundError(
            f"scenario {saved.id} version {saved.version} was never run: run it once, or name a snapshot",
            field="snapshot_id",
            got=None,
            allowed="a run",
        )
    return runs[0]


def summary_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a what-if answer (by month, ungrouped) that is kept."""
    return {
        **{name: answer[name] for name in ("scope", "start", "end", "spent", "probability_cheaper")},
        **{name: figures(answer[name]) for name in DISTRIBUTIONS},
        "levers": [lever_line(lever) for lever in answer["levers"]],
        "budgets": [{name: row.get(name) for name in _BUDGET_FIELDS} for row in answer["budgets"]],
        "months": [{"start": row["start"], "end": row["end"], **{name: figures(row[name]) for name in DISTRIBUTIONS}} for row in answer["rows"]],
    }


def lever_line(lever: Mapping[str, Any]) -> dict[str, Any]:
    """Which lever, and its money."""
    return {**{name: lever[name] for name in ("type", "name", "scope") if name in lever}, "delta": figures(lever["delta"])}


def figures(distribution: Mapping[str, Any]) -> dict[str, float]:
    return {name: distribution[name] for name in FIGURES}


def on_days(plan: Plan, period: Period) -> Plan:
    """The plan on fewer or other days: levers keep their own days and ramps, those that act on none of these are left out."""
    levers = tuple(lever for lever in plan.levers if lever.start < period.end and lever.end > period.start)
    return replace(plan, period=period, levers=levers)
