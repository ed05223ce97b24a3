"""Goal seek: how far a number of a plan may go before a promise breaks, and where it is best. Every value that is tried is a whole scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from forecast.budgets.budget import Budget
from forecast.errors import NotFoundError, PlanError
from forecast.scenarios.goal import Optimum, Point, Reach, furthest, optimum
from forecast.scenarios.goal_request import AT_LEAST, AT_MOST, BELOW, MAXIMISE, OF_BUDGET, Goal, goal_field, is_whole, lever_number, plan_with
from forecast.scenarios.kinds import Field
from forecast.scenarios.plan import Plan, parse_plan
from forecast.snapshot import Snapshot
from forecast.workflows.scenario_runs import USUAL, Terms, scenario_answer, touched_budgets
from forecast.workflows.whatif import meant_budget

_SIGNS = {AT_MOST: "at most", AT_LEAST: "at least", BELOW: "below"}
_NAMES = {
    "mean": "mean cost",
    "p10": "P10 of the cost",
    "p50": "median cost",
    "p90": "P90 of the cost",
    "delta.mean": "mean change",
    "delta.p10": "P10 of the change",
    "delta.p50": "median change",
    "delta.p90": "P90 of the change",
    "probability_cheaper": "probability of being cheaper",
}
_SHARES = frozenset({"overrun_probability", "probability_cheaper"})


def goal_answer(
    snapshot: Snapshot,
    plan: Mapping[str, Any],
    goal: Goal,
    budgets: Sequence[Budget] = (),
    *,
    terms: Terms = USUAL,
) -> dict[str, Any]:
    """The value that the goal asks for, the bracket it lies in, and the whole curve of values that were tried.

    plan : as `parse_plan` reads it; the goal's field of its lever takes other values, everything else stays. All values are answered on the same
    futures. Answers the heading of a what-if answer and status, value, figure, bracket, ranges, is_monotone (or is_unimodal), curve, `at` (what
    the plan says at the value), sentence and warnings. Raises PlanError and NotFoundError naming the field, and what `whatif_answer` raises.
    """
    levers = plan.get("levers") if isinstance(plan, Mapping) else None
    if not isinstance(levers, list | tuple) or not all(isinstance(lever, Mapping) for lever in levers):
        raise PlanError("levers is not a list of tables", field="levers", got=type(levers).__name__, allowed="a plan with levers")
    number = lever_number(levers, goal.lever)
    field = goal_field(levers[number], goal)
    held_to = _budget(budgets, goal)
    answers: dict[float, dict[str, Any]] = {}

    def planned(value: float) -> Plan:
        return parse_plan(plan_with(plan, number, field, value), calendar=terms.calendar)

    def figure(value: float) -> float:
        parsed = planned(value)
        meant = [meant_budget(snapshot, budget, parsed.period, terms.calendar) for budget in held_to]
        answers[value] = scenario_answer(snapshot, parsed, meant, (), terms=terms, with_waterfall=False)
        return _figure(answers[value], goal)

    found: Reach | Optimum
    if goal.is_search:
        found = optimum(figure, goal.low, goal.high, greatest=goal.aim == MAXIMISE, points=goal.points, is_whole=is_whole(field))
    else:
        found = furthest(figure, goal.low, goal.high, goal.holds, points=goal.points, is_whole=is_whole(field))
    first = answers[found.curve[0].value]
    answer: dict[str, Any] = {
        **{name: first[name] for name in ("snapshot_id", "cutoff", "currency", "cost", "scope", "start", "end", "time_zone") if name in first},
        "name": first.get("name", ""),
        "goal": {**goal.describe(), "lever": number},
        "status": found.status,
        "value": found.value,
        "figure": found.figure,
        "bracket": None if found.bracket is None else dict(zip(("low", "high"), sorted(found.bracket), strict=True)),
        "curve": [_row(point, answers[point.value]) for point in found.curve],
        "at": None,
        "warnings": _warnings(found, goal),
    }
    if isinstance(found, Reach):
        answer["is_monotone"] = found.is_monotone
        answer["ranges"] = [{"low": low, "high": high} for low, high in found.ranges]
    else:
        answer["is_unimodal"] = found.is_unimodal
    if found.value is not None:
        parsed = planned(found.value)
        touched = touched_budgets(snapshot, budgets, parsed.period, terms.calendar)
        whole = scenario_answer(snapshot, parsed, touched, (), terms=terms, with_waterfall=False)
        answer["at"] = {name: whole[name] for name in ("baseline", "scenario", "delta", "probability_cheaper", "budgets")}
        answer["warnings"] += [text for text in whole["warnings"] if text not in answer["warnings"]]
    answer["sentence"] = _sentence(found, goal, field, str(levers[number].get("name") or f"levers[{number}]"), first["currency"])
    return answer


def _budget(budgets: Sequence[Budget], goal: Goal) -> list[Budget]:
    if goal.budget is None:
        return []
    for budget in budgets:
        if budget.id == goal.budget:
            return [budget]
    ids = sorted(budget.id for budget in budgets)
    near = get_close_matches(goal.budget, ids, n=3) or ids[:5]
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise NotFoundError(
        f"goal.budget: no budget that this can be asked of has the id {goal.budget!r}{hint}",
        field="goal.budget",
        got=goal.budget,
        allowed=", ".join(near) or "the id of a budget",
    )


def _figure(answer: Mapping[str, Any], goal: Goal) -> float:
    if goal.figure in OF_BUDGET:
        row = answer["budgets"][0]
        value = row[OF_BUDGET[goal.figure]]
        if value is None:
            raise PlanError(
                f"goal.budget: {row.get('warning') or 'nothing can be said of this budget'}",
                field="goal.budget",
                got=goal.budget,
                allowed="a budget that the plan's effect on can be told",
            )
        return float(value)
    if goal.figure == "probability_cheaper":
        return float(answer["probability_cheaper"])
    part, _, name = goal.figure.rpartition(".")
    return float(answer[part or "scenario"][name])


def _row(point: Point, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": point.value, "figure": point.figure, **{name: answer["scenario"][name] for name in ("mean", "p10", "p50", "p90")}}


def _warnings(found: Reach | Optimum, goal: Goal) -> list[str]:
    if isinstance(found, Optimum):
        if found.is_unimodal:
            return []
        return ["the figure has more than one valley or hill on the curve; between the values that were tried another one may be better"]
    if found.is_monotone:
        return []
    stretches = f"; it holds on {len(found.ranges)} separate stretches (see ranges)" if len(found.ranges) > 1 else ""
    return [f"the figure is not monotone over these values{stretches}; look at the curve before you rely on one number"]


def _sentence(found: Reach | Optimum, goal: Goal, field: Field, lever: str, currency: str) -> str:
    what = f"{lever}.{goal.field}"
    figure = _NAMES.get(goal.figure, goal.figure.replace("_", " ")) + (f" of {goal.budget}" if goal.budget else "")

    def told(value: float) -> str:
        return f"{100 * value:.1f} %" if goal.figure in _SHARES else f"{value:,.0f} {currency}"

    span = f"{goal.low:g} to {goal.high:g}"
    if isinstance(found, Optimum):
        best = "greatest" if goal.aim == MAXIMISE else "least"
        if found.status == "flat":
            return f"The {figure} is {told(found.figure)} for every {what} from {span}."
        is_bound = found.value in {field.least, field.most}
        edge = "" if found.status == "inside" or is_bound else "; that is an end of the range, and it may be better beyond"
        return f"The {figure} is {best} at {what} {found.value:g}: {told(found.figure)}{edge}."
    condition = f"the {figure} {_SIGNS.get(goal.aim, 'above')} {told(goal.limit or 0.0)}"
    if found.status == "never":
        nearest = min(found.curve, key=lambda point: abs(point.figure - (goal.limit or 0.0)))
        return f"No {what} from {span} keeps {condition}; the nearest is {told(nearest.figure)} at {nearest.value:g}."
    if found.status == "always":
        return f"Every {what} from {span} keeps {condition}; the limit is not reached in this range."
    if found.value is None or found.bracket is None or found.figure is None:
        return ""
    beyond = found.bracket[1]
    side = "up to" if beyond > found.value else "down to"
    after = next(point.figure for point in found.curve if point.value == beyond)
    return f"{what} may go {side} {found.value:.6g} with {condition} ({told(found.figure)}); at {beyond:.6g} it is {told(after)}."
