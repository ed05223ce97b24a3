"""A saved scenario run anew on a newer snapshot, beside what it said before: what changed because days went by, and what because the forecast did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from forecast.budgets.budget import Budget
from forecast.errors import InputError, NotFoundError
from forecast.scenarios.plan import Plan
from forecast.scenarios.saved import SavedScenario, ScenarioRun
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.workflows.scenario_runs import DISTRIBUTIONS, FIGURES, USUAL, Terms, figures, on_days, run_scenario, saved_plan, scenario_answer
from forecast.workflows.summary import heading


def changes_answer(
    saved: SavedScenario,
    before: ScenarioRun,
    newest: Snapshot,
    budgets: Sequence[Budget] = (),
    *,
    now: datetime,
    older: Snapshot | None = None,
    terms: Terms = USUAL,
) -> tuple[dict[str, Any], ScenarioRun]:
    """What the version said before, what it says on the newest snapshot, and the difference; and the new run, to be kept.

    before : an earlier run of the same version. older : its snapshot where it still has its paths: then `remaining` compares both on the days that
    are still open, like for like. Raises InputError where the two snapshots count another cost or currency, and what `whatif_answer` raises.
    """
    if (before.cost, before.currency) != (newest.cost, newest.currency):
        raise InputError(
            f"Snapshot {before.snapshot_id[:12]} counts {before.cost} cost in {before.currency}, the newest {newest.cost} in {newest.currency}",
            field="since",
            got=before.snapshot_id,
            allowed=f"a snapshot of {newest.cost} cost in {newest.currency}",
        )
    after = run_scenario(newest, saved, budgets, now=now, terms=terms)
    plan = saved_plan(saved, terms.calendar)
    old, new = before.summary, after.summary
    warnings: list[str] = []
    answer: dict[str, Any] = {
        **heading(newest, plan.scope, plan.period),
        "scenario_id": saved.id,
        "version": saved.version,
        "name": saved.title,
        "before": {**before.describe(), **_said(old)},
        "after": {**after.describe(), **_said(new)},
        "change": _difference(old, new),
        "days_passed": _days_passed(plan, before, newest),
        "remaining": _remaining(plan, older, newest, terms, before, warnings),
        "levers": _levers(old["levers"], new["levers"]),
        "budgets": _budgets(old["budgets"], new["budgets"]),
        "warnings": warnings,
    }
    if before.snapshot_id == newest.id:
        warnings.append("the newest snapshot is the one that it was run on: nothing can have changed but budgets")
    answer["sentence"] = _sentence(answer)
    return answer, after


def _said(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: figures(summary[name]) for name in DISTRIBUTIONS},
        "spent": summary["spent"],
        "probability_cheaper": summary["probability_cheaper"],
    }


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Figure by figure: of quantiles, how far each moved."""
    return {name: {figure: new[name][figure] - old[name][figure] for figure in FIGURES} for name in DISTRIBUTIONS}


def _days_passed(plan: Plan, before: ScenarioRun, newest: Snapshot) -> int:
    """Days of the plan that were to come then and are over now."""
    first = max(plan.period.start.toordinal(), before.cutoff.toordinal() + 1)
    return max(min(plan.period.end.toordinal(), newest.first_open_day.toordinal()) - first, 0)


def _remaining(
    plan: Plan,
    older: Snapshot | None,
    newest: Snapshot,
    terms: Terms,
    before: ScenarioRun,
    warnings: list[str],
) -> dict[str, Any] | None:
    start = max(plan.period.start, newest.first_open_day)
    if start >= plan.period.end:
        warnings.append("all days of the plan are over: see what happened with `actual`")
        return None
    still = on_days(plan, Period(start, plan.period.end))
    try:
        if older is None:
            raise NotFoundError(f"Snapshot {before.snapshot_id[:12]} is not there any more")
        then = scenario_answer(older, still, (), (), terms=terms)
    except NotFoundError as error:
        warnings.append(f"{error}: days that went by are not told apart from a forecast that changed")
        return None
    now = scenario_answer(newest, still, (), (), terms=terms)
    sides = {side: {name: figures(answer[name]) for name in DISTRIBUTIONS} for side, answer in (("before", then), ("after", now))}
    return {"start": start.isoformat(), "end": plan.period.end.isoformat(), **sides, "change": _difference(sides["before"], sides["after"])}


def _levers(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same plan has the same levers in the same order."""
    return [
        {
            **{name: after[name] for name in ("type", "name", "scope") if name in after},
            "before": before["delta"],
            "after": after["delta"],
            "change": after["delta"]["mean"] - before["delta"]["mean"],
        }
        for before, after in zip(old, new, strict=False)
    ]


def _budgets(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Budgets that either run knew; of one that repeats both may mean another occurrence, so both say their days."""
    known = {row["id"]: row for row in old}
    found = [{"id": row["id"], "before": known.pop(row["id"], None), "after": dict(row)} for row in new]
    return [*found, *({"id": budget_id, "before": dict(row), "after": None} for budget_id, row in known.items())]


def _sentence(answer: Mapping[str, Any]) -> str:
    old, new, currency = answer["before"], answer["after"], answer["currency"]
    told = (
        f"By the forecast of {old['cutoff']} the plan changed the total by {old['delta']['mean']:+,.0f} {currency}, by that of {new['cutoff']} "
        f"by {new['delta']['mean']:+,.0f}"
    )
    if answer["days_passed"]:
        told += f"; {answer['days_passed']} of its days are over since"
    if (still := answer["remaining"]) is not None and answer["days_passed"]:
        told += f", and on those still open it went from {still['before']['delta']['mean']:+,.0f} to {still['after']['delta']['mean']:+,.0f}"
    return f"{told}."
