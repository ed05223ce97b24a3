"""Several plans side by side: the same days, the same scope, the same simulated futures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forecast.budgets.budget import Budget
from forecast.errors import InputError, PlanError
from forecast.scenarios.plan import Plan
from forecast.scenarios.saved import BASE, MOST_COMPARED
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.scenario_paths import delta_paths
from forecast.workflows.scenario_runs import USUAL, Terms, figures, lever_line, on_days, scenario_answer, touched_budgets
from forecast.workflows.summary import distribution, heading

THIS_PLAN = "this plan"
"""Stands for a plan that is not saved among those that are; no scenario can be saved under it."""


@dataclass(frozen=True)
class Compared:
    """A plan in a comparison. id : of the saved scenario, or what stands for a plan that is not saved; version : None where it is not."""

    id: str
    plan: Plan
    name: str = ""
    version: int | None = None


def base_plan(period: Period, scope: Scope) -> Compared:
    """The forecast as it is, as a plan without levers."""
    return Compared(BASE, Plan(period, (), scope, ""), "the forecast as it is")


def compare_answer(
    snapshot: Snapshot,
    compared: Sequence[Compared],
    budgets: Sequence[Budget] = (),
    *,
    period: Period | None = None,
    scope: Scope | None = None,
    group_by: tuple[str, ...] | None = None,
    terms: Terms = USUAL,
) -> dict[str, Any]:
    """Scenarios side by side on the days and the scope of the first, or on those given.

    Answers the heading, the `baseline` that all of them share, `scenarios` (each with scenario, delta, probability_cheaper, levers, budgets, notes;
    `against_first`: its total less the first's, future by future; `probability_least`: in how many futures it is the cheapest of all, where some
    are equally cheap each has its part), `rows` by group (default: team) with the scenarios by id, `best` (id of the least mean, of the least p90
    and, for each budget, of the least overrun probability). A plan's levers that act on none of the days are left out, and noted.
    Raises PlanError for more than MOST_COMPARED beside the first and where a plan cannot be carried out (named by its id).
    """
    if not 1 <= len(compared) <= MOST_COMPARED + 1:
        raise PlanError(
            f"{len(compared)} scenarios are to be compared", field="compare_to", got=len(compared), allowed=f"1 to {MOST_COMPARED} beside the first"
        )
    first = compared[0].plan
    days, about = period or first.period, first.scope if scope is None else scope
    touched = touched_budgets(snapshot, budgets, days, terms.calendar)
    brought = [replace(one, plan=replace(on_days(one.plan, days), scope=about)) for one in compared]
    answers = [_answer(snapshot, one, touched, group_by, terms) for one in brought]
    deltas = np.stack([delta_paths(snapshot, one.plan, terms, group_by) for one in brought])
    least = np.isclose(deltas, deltas.min(axis=0), rtol=1e-12, atol=1e-9)
    scenarios = [
        {
            **_scenario(one, answer, days, about),
            "against_first": {**distribution(own - deltas[0]), "probability_cheaper": float(np.mean(own < deltas[0]))},
            "probability_least": float(np.mean(least[number] / least.sum(axis=0))),
        }
        for number, (one, answer, own) in enumerate(zip(compared, answers, deltas, strict=True))
    ]
    return {
        **heading(snapshot, about, days),
        "baseline": answers[0]["baseline"],
        "scenarios": scenarios,
        "rows": _rows(compared, answers),
        "best": _best(scenarios),
        "warnings": [f"{one['id']}: {text}" for one in scenarios for text in one["notes"]],
    }


def _answer(snapshot: Snapshot, one: Compared, budgets: Sequence[Budget], group_by: tuple[str, ...] | None, terms: Terms) -> dict[str, Any]:
    try:
        return scenario_answer(snapshot, one.plan, budgets, group_by, terms=terms)
    except InputError as error:
        error.args = (f"scenario {one.id}: {error}",)  # of its own class, which says what is wrong, and has its own status over HTTP
        raise


def _scenario(one: Compared, answer: Mapping[str, Any], days: Period, about: Scope) -> dict[str, Any]:
    notes = []
    left_out = len(one.plan.levers) - len(on_days(one.plan, days).levers)
    if left_out:
        notes.append(f"{left_out} of its levers act on none of these days")
    if one.plan.period != days:
        notes.append(f"its own days are {one.plan.period}")
    if one.plan.scope != about:
        notes.append(f"its own scope is {str(one.plan.scope) or 'the company'}")
    return {
        "id": one.id,
        "version": one.version,
        "name": one.name,
        "scenario": answer["scenario"],
        "delta": answer["delta"],
        "probability_cheaper": answer["probability_cheaper"],
        "levers": [lever_line(lever) for lever in answer["levers"]],
        "budgets": answer["budgets"],
        "notes": [*notes, *answer["warnings"]],
    }


def _rows(compared: Sequence[Compared], answers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups that any of the plans has: one that a plan makes anew has no baseline, and costs nothing in the others."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for one, answer in zip(compared, answers, strict=True):
        for row in answer["rows"]:
            kept = found.setdefault(
                tuple(row["group"].values()),
                {"group": row["group"], "baseline": figures(row["baseline"]), "scenarios": {}, "start": row["start"], "end": row["end"]},
            )
            kept["scenarios"][one.id] = {**figures(row["scenario"]), "delta": row["delta"]["mean"]}
    nothing = {"mean": 0.0, "p10": 0.0, "p50": 0.0, "p90": 0.0, "delta": 0.0}
    for row in found.values():
        for one in compared:
            row["scenarios"].setdefault(one.id, nothing)
    return list(found.values())


def _best(scenarios: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ids of the scenarios that are best by each measure; the first of equals."""
    best: dict[str, Any] = {figure: min(scenarios, key=lambda one: one["scenario"][figure])["id"] for figure in ("mean", "p90")}
    risks: dict[str, dict[str, float]] = {}
    for one in scenarios:
        for row in one["budgets"]:
            if row["overrun_probability_after"] is not None:
                risks.setdefault(row["id"], {})[one["id"]] = row["overrun_probability_after"]
    best["budgets"] = {budget_id: min(by_id, key=by_id.__getitem__) for budget_id, by_id in risks.items()}
    return best
