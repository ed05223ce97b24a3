"""A plan beside what happened afterwards: the forecast without it, the scenario with it, and the bill, on the days that are over since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from forecast.errors import InputError, NotFoundError, PlanError, UnknownScopeError
from forecast.scenarios.plan import Plan
from forecast.scenarios.saved import SavedScenario, ScenarioRun
from forecast.snapshot import Snapshot
from forecast.spend.fiscal import FiscalCalendar
from forecast.spend.periods import Granularity, Period, split
from forecast.spend.scope import Scope
from forecast.workflows.readings import Reading, read_groups, read_scope
from forecast.workflows.scenario_runs import DISTRIBUTIONS, USUAL, Terms, figures, on_days, saved_plan, scenario_answer
from forecast.workflows.shares import recent_spend
from forecast.workflows.summary import heading

MOST_LEVERS = 12
"""Levers that are held against the bill one by one; each is a scenario of its own."""


def actual_answer(
    saved: SavedScenario,
    made: ScenarioRun,
    newest: Snapshot,
    *,
    older: Snapshot | None = None,
    group_by: tuple[str, ...] | None = None,
    granularity: Granularity | None = None,
    terms: Terms = USUAL,
) -> dict[str, Any]:
    """What the plan's days cost that were to come when it was made and are over now, beside baseline and scenario of then.

    made : the run that the plan is judged by. newest : where the bill is read. older : the snapshot of `made`; where it has no paths any more
    (or is None) whole months are compared by the summary that was kept, and only means add up. `effect` is the bill less the baseline: what the
    plan did, if nothing else happened. Raises PlanError where no day of the plan has happened since.
    """
    plan = saved_plan(saved, terms.calendar)
    start = max(plan.period.start, made.cutoff + timedelta(days=1) if older is None else older.first_open_day)
    end = min(plan.period.end, newest.first_open_day)
    if end <= start:
        raise PlanError(
            f"scenario {saved.id} version {saved.version}: no day of the plan ({plan.period}) has happened between the forecast that it was "
            f"made on (cutoff {made.cutoff}) and the newest bills (cutoff {newest.cutoff})",
            field="snapshot_id",
            got=str(newest.cutoff),
            allowed=f"bills until {start} or later, or an earlier run of the scenario",
        )
    elapsed = Period(start, end)
    warnings: list[str] = []
    rows: list[dict[str, Any]] = []
    levers: list[dict[str, Any]] = []
    try:
        if older is None:
            raise NotFoundError(f"Snapshot {made.snapshot_id[:12]} is not there any more")
        then = scenario_answer(older, on_days(plan, elapsed), (), group_by, granularity=granularity, terms=terms)
        reading = read_scope(newest, plan.scope, elapsed)
        warnings += reading.warnings if reading.derived else ()
        total = _beside(reading, {name: figures(then[name]) for name in DISTRIBUTIONS})
        rows = _rows(newest, plan.scope, then["rows"], elapsed, granularity, terms.calendar, warnings)
        levers = _levers(older, newest, plan, elapsed, terms)
    except NotFoundError as error:
        if isinstance(error, UnknownScopeError):
            raise
        warnings.append(f"{error}: months are compared by what was kept of the run, and only their means add up")
        elapsed, rows, total = _by_month(newest, plan, made, elapsed)
    answer: dict[str, Any] = {
        **heading(newest, plan.scope, elapsed),
        "scenario_id": saved.id,
        "version": saved.version,
        "name": saved.title,
        "made_on": made.describe(),
        "planned": {"start": plan.period.start.isoformat(), "end": plan.period.end.isoformat()},
        "is_over": newest.first_open_day >= plan.period.end,
        **total,
        "rows": rows,
        "levers": levers,
        "warnings": warnings,
    }
    if total["actual"]["pending"]:
        warnings.append("some of these days are not fully billed yet: what is expected to be billed counts as actual")
    answer["sentence"] = _sentence(answer)
    return answer


def _beside(reading: Reading, said: Mapping[str, Any]) -> dict[str, Any]:
    """The bill of a reading whose days are over, beside what was said of them."""
    billed = reading.spent
    cost = float(np.sum(reading.expected_past()))
    return {"actual": {"cost": cost, "billed": billed, "pending": cost - billed}, **said, **_verdict(cost, said)}


def _verdict(cost: float, said: Mapping[str, Any]) -> dict[str, Any]:
    baseline, scenario, delta = (said[name] for name in DISTRIBUTIONS)
    width = (baseline["p90"] or 0.0) - (baseline["p10"] or 0.0) if baseline["p10"] is not None else None
    effect = {
        "mean": cost - baseline["mean"],
        "p10": None if baseline["p90"] is None else cost - baseline["p90"],
        "p50": None if baseline["p50"] is None else cost - baseline["p50"],
        "p90": None if baseline["p10"] is None else cost - baseline["p10"],
    }
    return {
        "place": {"baseline": _place(cost, baseline), "scenario": _place(cost, scenario)},
        "effect": effect,
        "realised_share": effect["mean"] / delta["mean"] if abs(delta["mean"]) > 1e-9 * max(abs(baseline["mean"]), 1e-300) else None,
        # Without it the bill cannot tell a plan that worked from one that did not: what the forecast does not know is larger.
        "is_telling": None if width is None else bool(abs(delta["mean"]) > width / 2),
    }


def _place(cost: float, distribution: Mapping[str, Any]) -> str | None:
    if distribution["p10"] is None:
        return None
    if cost > distribution["p90"]:
        return "above P90"
    edges = (("p10", "below P10"), ("p50", "between P10 and P50"))
    return next((words for name, words in edges if cost < distribution[name]), "between P50 and P90")


def _rows(
    newest: Snapshot,
    scope: Scope,
    said: Sequence[Mapping[str, Any]],
    elapsed: Period,
    granularity: Granularity | None,
    calendar: FiscalCalendar,
    warnings: list[str],
) -> list[dict[str, Any]]:
    """What was said of each group and period, with the bill beside it. warnings : what is to be known of the bills is added to them."""
    names = tuple(said[0]["group"]) if said else ()
    buckets = [elapsed] if granularity is None else split(elapsed, granularity, calendar)
    billed: dict[tuple[tuple[str, ...], str], Reading] = {}
    for bucket in buckets:
        for reading in read_groups(newest, scope, names, bucket):
            billed[tuple(reading.group.values()), bucket.start.isoformat()] = reading
            warnings += [text for text in reading.warnings if reading.derived and text not in warnings]
    found = []
    for row in said:
        given = billed.get((tuple(row["group"].values()), row["start"]))
        told = {name: figures(row[name]) for name in DISTRIBUTIONS}
        beside = {"actual": {"cost": 0.0, "billed": 0.0, "pending": 0.0}, **told, **_verdict(0.0, told)} if given is None else _beside(given, told)
        found.append({"group": row["group"], "start": row["start"], "end": row["end"], **beside})
    return found


def _levers(older: Snapshot, newest: Snapshot, plan: Plan, elapsed: Period, terms: Terms) -> list[dict[str, Any]]:
    """Each lever's own scope on its own days: which of them shows in the bill. Levers without a scope, and those finer than a
    leaf on days of which no charge lines are kept, are left out."""
    found = []
    for number, lever in enumerate(plan.levers[:MOST_LEVERS]):
        start, end = max(lever.start, elapsed.start), min(lever.end, elapsed.end)
        if start >= end or not lever.scope.clauses or not _is_told(newest, lever.scope, start):
            continue
        period = Period(start, end)
        try:
            then = scenario_answer(older, replace(on_days(plan, period), scope=lever.scope), (), (), terms=terms)
            reading = read_scope(newest, lever.scope, period)
        except InputError:
            continue
        told = {name: figures(then[name]) for name in DISTRIBUTIONS}
        named = {"lever": number, "type": lever.type, "name": lever.name, "scope": str(lever.scope)}
        found.append({**named, "start": start.isoformat(), "end": end.isoformat(), **_beside(reading, told)})
    return found


def _is_told(newest: Snapshot, scope: Scope, start: date) -> bool:
    """Whether the bill of a scope is told by charge lines from a day on, and not by leaves times their recent shares."""
    first = recent_spend(newest).first_day
    return newest.hierarchy.covers(scope) or (first is not None and bool(first <= np.datetime64(start, "D")))


def _by_month(newest: Snapshot, plan: Plan, made: ScenarioRun, elapsed: Period) -> tuple[Period, list[dict[str, Any]], dict[str, Any]]:
    """Whole months of the kept summary that lie in the elapsed days; PlanError where none does."""
    rows = []
    for month in made.summary["months"]:
        period = Period(date.fromisoformat(month["start"]), date.fromisoformat(month["end"]))
        if period.start < elapsed.start or period.end > elapsed.end:
            continue
        told = {name: figures(month[name]) for name in DISTRIBUTIONS}
        rows.append({"group": {}, "start": month["start"], "end": month["end"], **_beside(read_scope(newest, plan.scope, period), told)})
    if not rows:
        raise PlanError(
            f"Snapshot {made.snapshot_id[:12]} no longer has its paths, and no whole month of the plan has happened since",
            field="snapshot_id",
            got=str(newest.cutoff),
            allowed="bills of a whole month of the plan, or a later run of the scenario",
        )
    whole = Period(date.fromisoformat(rows[0]["start"]), date.fromisoformat(rows[-1]["end"]))
    means = {
        name: {"mean": sum(row[name]["mean"] for row in rows), "p10": None, "p50": None, "p90": None} if len(rows) > 1 else rows[0][name]
        for name in DISTRIBUTIONS
    }
    return whole, rows, _beside(read_scope(newest, plan.scope, whole), means)


def _sentence(answer: Mapping[str, Any]) -> str:
    cost, baseline, scenario, delta = answer["actual"]["cost"], answer["baseline"], answer["scenario"], answer["delta"]
    told = (
        f"{answer['start']} to {answer['end']} (exclusive) cost {cost:,.0f} {answer['currency']}; the forecast without the plan was "
        f"{baseline['mean']:,.0f}, with it {scenario['mean']:,.0f} (effect {delta['mean']:+,.0f})"
    )
    if (place := answer["place"])["scenario"] is not None:
        told += f". The bill lies {place['baseline']} of the forecast without the plan and {place['scenario']} of the one with it"
    if answer["is_telling"] is False:
        told += "; the plan's effect is smaller than what the forecast did not know, so the total cannot tell whether it worked"
    return f"{told}."
