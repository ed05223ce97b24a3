"""`--out` of what-if answers: by the file's ending a workbook, a picture, or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.commands.console import note

if TYPE_CHECKING:
    from forecast.scenarios.plan import Plan
    from forecast.snapshot import Snapshot
    from forecast.spend.periods import Granularity
    from forecast.workflows.scenario_runs import Terms

ENDINGS = (".xlsx", ".json", ".svg", ".png")


def check_output(path: Path | None, allowed: tuple[str, ...] = ENDINGS) -> None:
    """InputError where nothing could be written there; asked before the work."""
    if path is not None:
        from forecast.adapters.reports import check_suffix

        check_suffix(path, allowed)


def write_whatif(answer: Mapping[str, Any], path: Path, snapshot: Snapshot, plan: Plan, terms: Terms) -> None:
    """A what-if answer with its course over time."""
    from forecast.adapters.scenario_pictures import PICTURES, write_whatif_picture
    from forecast.adapters.scenario_reports import write_json, write_whatif_report
    from forecast.workflows.scenario_runs import scenario_answer

    suffix = path.suffix.lower()
    if suffix == ".json":
        write_json(answer, path)
    else:
        course = scenario_answer(snapshot, plan, (), (), granularity=_granularity(plan), terms=terms)["rows"]
        (write_whatif_picture if suffix in PICTURES else write_whatif_report)(answer, course, path)
    note(f"Written to {path}")


def _granularity(plan: Plan) -> Granularity:
    days = (plan.period.end - plan.period.start).days
    return "day" if days <= 31 else "week" if days <= 190 else "month"


def write_comparison(answer: Mapping[str, Any], path: Path) -> None:
    from forecast.adapters.scenario_pictures import PICTURES, write_comparison_picture
    from forecast.adapters.scenario_reports import write_comparison_report, write_json

    suffix = path.suffix.lower()
    (write_json if suffix == ".json" else write_comparison_picture if suffix in PICTURES else write_comparison_report)(answer, path)
    note(f"Written to {path}")


def write_goal(answer: Mapping[str, Any], path: Path) -> None:
    from forecast.adapters.scenario_pictures import PICTURES, write_goal_picture
    from forecast.adapters.scenario_reports import write_goal_report, write_json

    suffix = path.suffix.lower()
    (write_json if suffix == ".json" else write_goal_picture if suffix in PICTURES else write_goal_report)(answer, path)
    note(f"Written to {path}")


def write_actual(answer: Mapping[str, Any], path: Path) -> None:
    from forecast.adapters.scenario_reports import write_actual_report, write_json

    (write_json if path.suffix.lower() == ".json" else write_actual_report)(answer, path)
    note(f"Written to {path}")
