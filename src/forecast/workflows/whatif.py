"""What if we scale? A plan's scenario beside the forecast, on the same simulated futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast.budgets.budget import Budget
from forecast.scenarios.bins import Wanted
from forecast.scenarios.plan import Plan, parse_plan
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.dimensions import parse_dimensions
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.spend.periods import Granularity, split
from forecast.spend.prices import PriceTable
from forecast.spend.scope import Scope
from forecast.workflows.applied_plans import AppliedPlan, PlanViews, apply_plan
from forecast.workflows.finer_views import finer_names
from forecast.workflows.plan_views import plan_view, told_by_rows
from forecast.workflows.readings import SHARE
from forecast.workflows.summary import distribution, heading
from forecast.workflows.whatif_budgets import budget_cases, other_deltas
from forecast.workflows.whatif_budgets import meant_budget as meant_budget
from forecast.workflows.whatif_figures import break_even, decomposition, energy, unit_costs, volume_change
from forecast.workflows.whatif_levers import LoweredLevers, lever_answer, overlaps
from forecast.workflows.whatif_rows import WhatifRows
from forecast.workflows.whatif_waterfall import waterfall


def whatif_answer(
    snapshot: Snapshot,
    plan: Plan | Mapping[str, Any] | str,
    budgets: Sequence[Budget] = (),
    group_by: tuple[str, ...] | None = None,
    *,
    granularity: Granularity | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
    rates: Rates | None = None,
    prices: PriceTable | None = None,
    with_waterfall: bool = True,
) -> dict[str, Any]:
    """Baseline, scenario and delta of a plan, by group and period, by lever, and what it does to budgets.

    plan : a Plan, or what `parse_plan` reads. group_by : dimensions of the rows; by default the team, where leaves have one. Where they or
    the plan's scope are finer than a leaf (an AI model, a region, a tag) leaves are taken apart by their recent shares, as forecasts are.
    granularity : calendar buckets of the rows; by default one row a group for all of the plan's days. Deltas are computed path by path;
    levers' deltas are what each adds in its turn, and their means add up to the mean delta; `waterfall` shares it out whatever the order.
    Days that are over are never changed. budgets : of those that repeat the occurrence that the plan begins in is meant; rates : for those in
    another currency, and for levers on one; prices : list prices, for levers that need one. with_waterfall : without it `waterfall` and the
    levers' `share_of_delta` are None, which takes about half the time.
    A lever on a scope finer than a leaf acts on what the rows tell apart, else on the leaf's recent share of it (`derived: "share"` on the lever).
    Raises PlanError naming the lever and the field; OutsideHorizonError beyond the horizon.
    """
    if not isinstance(plan, Plan):
        plan = parse_plan(plan, calendar=calendar)
    snapshot.check_visible(plan.period)
    names = group_names(snapshot, group_by)
    buckets = [plan.period] if granularity is None else split(plan.period, granularity, calendar)
    view = plan_view(snapshot, plan.period, plan.scope, names, plan.levers, rates=rates, prices=prices)
    applied = apply_plan(plan, view)
    world, spending, levers, stages = view.world, view.spending, applied.levers, applied.stages
    inside = applied.inside(plan.scope)
    baseline = view.read(plan.scope)[0]
    totals = baseline.totals()

    rows = WhatifRows(plan, names, buckets, applied)

    def where_told(finer: tuple[str, ...]) -> AppliedPlan:
        return apply_plan(plan, plan_view(snapshot, plan.period, Scope(), finer, plan.levers, rates=rates, prices=prices), with_stages=False)

    meant = [meant_budget(snapshot, budget, plan.period, calendar) for budget in budgets]
    cases = budget_cases(snapshot, meant, PlanViews(applied, where_told), world.days, rates)
    every_day = np.zeros(world.n_days, dtype=np.int64)
    wanted = [Wanted(stages, every_day), Wanted(stages[-1:], np.arange(world.n_days), world.n_days)]
    wanted += [Wanted([applied.final.change(mask)], rows.bins(world.days), len(buckets)) for mask in rows.masks]
    of_cases = {number: own for number, case in enumerate(cases) if case.applied is applied and (own := case.wanted()) is not None}
    in_turn, by_day, *others = spending.totals([*wanted, *of_cases.values()])
    of_rows = others[: len(rows.masks)]
    of_budgets = {number: own[0] for number, own in zip(of_cases, others[len(rows.masks) :], strict=True)} | other_deltas(cases, applied)

    delta = in_turn[-1, 0]
    shared = waterfall(levers, spending, inside, int(world.seed), float(delta.mean())) if with_waterfall else None
    volume = volume_change(levers, spending, inside)
    answers = []
    turn_of = {number: turn for turn, number in enumerate(levers.order)}
    for number in range(len(plan.levers)):
        turn = turn_of[number]
        added = in_turn[turn, 0] - (in_turn[turn - 1, 0] if turn else 0.0)
        share = None if shared is None else shared.means[number]
        answers.append({**_lever(snapshot, levers, number), "delta": distribution(added), "share_of_delta": share})
    warnings = overlaps(levers)
    warnings += dict.fromkeys(text for reading in (baseline, *rows.known) if reading.derived for text in reading.warnings)
    warnings += told_by_rows(plan.levers, view)
    if plan.period.start <= snapshot.cutoff:
        warnings.append(f"days up to the cutoff {snapshot.cutoff.isoformat()} are over and not changed")
    return {
        **heading(snapshot, plan.scope, plan.period),
        "name": plan.name,
        "spent": baseline.spent,
        "baseline": distribution(totals),
        "scenario": distribution(totals + delta),
        "delta": distribution(delta),
        "probability_cheaper": float(np.mean(delta < 0)),
        "rows": rows.answers(of_rows),
        "levers": answers,
        "waterfall": None if shared is None else shared.describe([lever.title for lever in plan.levers]),
        "decomposition": decomposition(levers, spending, inside, volume, float(delta.mean())),
        "budgets": [case.answer(of_budgets.get(number)) for number, case in enumerate(cases)],
        "unit_costs": unit_costs(levers, spending, inside, stages[-1], volume),
        "energy": energy(levers, spending, inside, volume),
        "break_even": break_even(by_day[0], world.days) if plan.levers else None,
        "warnings": warnings,
    }


def group_names(snapshot: Snapshot, group_by: tuple[str, ...] | None) -> tuple[str, ...]:
    """Dimensions that an answer is grouped by: those asked for, else the team."""
    if group_by is None:
        return tuple(name for name in ("team",) if name in snapshot.hierarchy.dimensions)
    return parse_dimensions(group_by)


def _lever(snapshot: Snapshot, levers: LoweredLevers, number: int) -> dict[str, Any]:
    """What is said of a lever beside its money."""
    lever = levers.levers[number]
    finer = finer_names(snapshot, lever.scope, () if lever.to is None else lever.to.dimensions)
    return lever_answer(levers, number) | ({"derived": SHARE} if finer else {})
