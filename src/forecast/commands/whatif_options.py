"""What `forecast whatif` does beyond one plan: side by side with saved scenarios, and goal seek."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.commands.console import emit, line
from forecast.commands.plan_files import budgets_and_terms, compared_with, named_by_file, read_plan_data
from forecast.commands.scenario_output import check_output as check_output
from forecast.commands.scenario_output import write_comparison, write_goal, write_whatif
from forecast.commands.scenario_tables import show_comparison, show_goal
from forecast.errors import InputError, PlanError

if TYPE_CHECKING:
    from forecast.commands.home import Home
    from forecast.scenarios.plan import Plan
    from forecast.snapshot import Snapshot


def compared(home: Home, snapshot: Snapshot, path: Path, plan: Plan, named: Sequence[str] | None) -> dict[str, Any]:
    """`compare` of an answer: the plan and saved scenarios on its days and scope; empty where there is nothing to compare with."""
    from forecast.workflows.scenario_compare import THIS_PLAN, Compared, compare_answer

    ids = _names(path, named)
    if not ids:
        return {}
    budgets, terms = budgets_and_terms(home, snapshot)
    plans = [Compared(THIS_PLAN, plan, plan.name), *compared_with(home, ids, plan.period, plan.scope)]
    return {"compare": compare_answer(snapshot, plans, budgets, terms=terms)}


def _names(path: Path, named: Sequence[str] | None) -> tuple[str, ...]:
    """Ids from `--compare`, else from `compare_to` of the plan's file, which `parse_plan` has read."""
    if named:
        return tuple(named)
    found = read_plan_data(path).get("compare_to") or ()
    return (found,) if isinstance(found, str) else tuple(found)


def write(home: Home, answer: Mapping[str, Any], out: Path | None, snapshot: Snapshot, plan: Plan) -> None:
    """The answer, or its comparison where there is one, to a file."""
    if out is None:
        return
    if "compare" in answer and out.suffix.lower() != ".json":
        write_comparison(answer["compare"], out)
    else:
        write_whatif(answer, out, snapshot, plan, budgets_and_terms(home, snapshot)[1])


def show(answer: Mapping[str, Any], show_whatif: Callable[[Mapping[str, Any]], None]) -> None:
    show_whatif(answer)
    if "compare" in answer:
        line()
        show_comparison(answer["compare"])


def seek_goal(
    home: Home, path: Path, goal: str, compare: Sequence[str] | None, cost: str, snapshot_id: str | None, out: Path | None, as_json: bool
) -> None:
    """Answer a goal about the plan in a file."""
    from forecast.scenarios.goal_request import parse_goal
    from forecast.scenarios.plan import parse_plan
    from forecast.workflows.goal_seek import goal_answer

    if compare:
        raise PlanError("--goal and --compare are two questions", field="goal", got=goal, allowed="one of the two")
    wanted, plan = parse_goal(goal), read_plan_data(path)
    try:
        parse_plan(plan, calendar=home.settings.calendar)
    except InputError as error:
        raise named_by_file(path, error) from None
    snapshot = home.snapshot(cost, snapshot_id)
    budgets, terms = budgets_and_terms(home, snapshot)
    answer = goal_answer(snapshot, plan, wanted, budgets, terms=terms)
    if out is not None:
        write_goal(answer, out)
    emit(answer, as_json, lambda: show_goal(answer))
