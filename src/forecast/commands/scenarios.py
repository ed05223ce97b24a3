"""Plans that are kept: `forecast scenario save`, `list`, `show`, `delete`, `run`, `compare`, `changes`, `actual`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forecast.commands.console import CostOption, JsonOption, SnapshotOption, emit, line
from forecast.commands.forecasts import EndOption, PeriodOption, StartOption, read_days, show_whatif
from forecast.commands.home import Home
from forecast.commands.plan_files import (
    budgets_and_terms,
    compared_with,
    has_saved,
    named_by_file,
    read_plan_data,
    run_and_keep,
    run_of,
    saved_scenario,
)
from forecast.commands.scenario_tables import show_actual, show_changes, show_comparison, show_list, show_scenario, told_run
from forecast.errors import InputError

IdArgument = Annotated[str, typer.Argument(metavar="ID")]
VersionOption = Annotated[int | None, typer.Option("--version", metavar="NUMBER", help="An older version; by default the newest.")]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it: .xlsx, .json, or a picture as .svg or .png.")]
GroupOption = Annotated[str | None, typer.Option(metavar="DIMENSIONS", help="Rows for each of these, such as team,service; by default the team.")]

scenario = typer.Typer(help="Saved what-if scenarios: versions, comparisons, and what became of them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(scenario, name="scenario")


@scenario.command("save", epilog="Example: forecast scenario save growth plan.toml --name 'Traffic doubles'")
def save(
    scenario_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its name in addresses; a changed plan under an id that exists is its next version.")
    ],
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan as `forecast whatif` reads it.")],
    name: Annotated[str, typer.Option(help="A title for people.")] = "",
    by: Annotated[str, typer.Option(help="Who saves it.")] = "",
    why: Annotated[str, typer.Option("--note", help="Why.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Save a plan. Where there is a snapshot it must be one that can be answered, and what it says is kept with it."""
    from dataclasses import replace
    from datetime import UTC, datetime

    from forecast.scenarios.plan import parse_plan
    from forecast.scenarios.saved import SavedScenario, check_scenario_id, check_words, plan_data
    from forecast.workflows.scenario_runs import run_scenario

    home, now = Home(), datetime.now(UTC)
    check_scenario_id(scenario_id)
    check_words(name, by, why)
    written = read_plan_data(plan)
    try:
        draft = SavedScenario(scenario_id, 1, 1, name.strip(), plan_data(written), by.strip(), why.strip(), now, now)
        parse_plan(draft.plan, calendar=home.settings.calendar)
    except InputError as error:
        raise named_by_file(plan, error) from None
    run = None
    if home.has_records and home.records.latest_snapshot() is not None:
        snapshot = home.snapshot()
        budgets, terms = budgets_and_terms(home, snapshot)
        run = run_scenario(snapshot, draft, budgets, now=now, terms=terms)
    home.make()
    saved, is_new = home.records.put_scenario(scenario_id, draft.plan, now=now, name=draft.name, by=draft.by, note=draft.note)
    if run is not None:
        run = replace(run, version=saved.version)
        home.records.put_scenario_run(run)

    def show() -> None:
        line(f"Scenario {saved.id} version {saved.version}{'' if is_new else ' is what it was: nothing changed'}")
        if run is not None:
            line(told_run(run))

    emit({**saved.describe(), "is_new": is_new, "run": None if run is None else {**run.describe(), **run.summary}}, as_json, show)


@scenario.command("list", epilog="Example: forecast scenario list --json")
def list_all(as_json: JsonOption = False) -> None:
    """List all scenarios with what their newest version said last."""
    home = Home()
    found = home.records.scenarios() if home.has_records else []
    runs = home.records.newest_scenario_runs() if found else {}
    rows = [{**one.describe(), "run": {**runs[one.id].describe(), **runs[one.id].summary} if one.id in runs else None} for one in found]
    emit({"scenarios": rows}, as_json, lambda: show_list(found, runs))


@scenario.command("show", epilog="Example: forecast scenario show growth --version 2")
def show_one(scenario_id: IdArgument, version: VersionOption = None, as_json: JsonOption = False) -> None:
    """Show a scenario: its plan, its versions, and what each said on which snapshot."""
    home = Home()
    saved = saved_scenario(home, scenario_id, version)
    versions, runs = home.records.scenario_versions(saved.id), home.records.scenario_runs(saved.id)
    document = {
        **saved.describe(),
        "versions": [{key: value for key, value in one.describe().items() if key != "plan"} for one in versions],
        "runs": [{**run.describe(), **run.summary} for run in runs],
    }
    emit(document, as_json, lambda: show_scenario(saved, versions, runs))


@scenario.command("delete", epilog="Example: forecast scenario delete growth")
def delete(scenario_id: IdArgument, as_json: JsonOption = False) -> None:
    """Remove a scenario with all its versions and what they said."""
    home = Home()
    saved_scenario(home, scenario_id)
    home.records.delete_scenario(scenario_id)
    emit({"deleted": scenario_id}, as_json, lambda: line(f"Scenario {scenario_id} is removed"))


@scenario.command("run", epilog="Example: forecast scenario run growth --out growth.xlsx")
def run(
    scenario_id: IdArgument,
    version: VersionOption = None,
    by: GroupOption = None,
    cost: CostOption = "effective",
    snapshot_id: SnapshotOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a saved scenario on the current snapshot. What it says there is kept."""
    from forecast.commands.scenario_output import check_output, write_whatif
    from forecast.spend.dimensions import parse_dimensions
    from forecast.workflows.scenario_runs import saved_plan, scenario_answer, touched_budgets

    home = Home()
    calendar = home.settings.calendar
    saved = saved_scenario(home, scenario_id, version)
    plan = saved_plan(saved, calendar)
    check_output(out)
    snapshot = home.snapshot(cost, snapshot_id)
    run_and_keep(home, saved, snapshot)
    budgets, terms = budgets_and_terms(home, snapshot)
    touched = touched_budgets(snapshot, budgets, plan.period, calendar)
    groups = None if by is None else parse_dimensions(by)
    answer = {
        **scenario_answer(snapshot, plan, touched, groups, terms=terms),
        "scenario_id": saved.id,
        "version": saved.version,
        "name": saved.title,
    }
    if out is not None:
        write_whatif(answer, out, snapshot, plan, terms)
    emit(answer, as_json, lambda: show_whatif(answer, with_rows=by is not None))


@scenario.command("compare", epilog="Example: forecast scenario compare growth growth-and-cheaper base")
def compare(
    scenario_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Saved scenarios, at most ten; base is the forecast as it is.")],
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    by: GroupOption = None,
    cost: CostOption = "effective",
    snapshot_id: SnapshotOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare saved scenarios side by side, on the same futures; by default on the days of the first."""
    from forecast.commands.scenario_output import check_output, write_comparison
    from forecast.scenarios.saved import BASE, check_compared
    from forecast.spend.dimensions import parse_dimensions
    from forecast.spend.scope import Scope
    from forecast.workflows.scenario_compare import compare_answer
    from forecast.workflows.scenario_runs import saved_plan

    home = Home()
    calendar = home.settings.calendar
    check_compared(scenario_ids, "scenario")
    check_output(out)
    # The first that is a plan says what the comparison is about; the forecast as it is has no days of its own.
    named = next((each for each in scenario_ids if each != BASE), BASE)
    first = None if named == BASE and not has_saved(home, BASE) else saved_plan(saved_scenario(home, named), calendar)
    is_asked = period is not None or start is not None or end is not None
    days = first.period if first is not None and not is_asked else read_days(period, start, end, calendar)
    about = Scope() if first is None else first.scope
    snapshot = home.snapshot(cost, snapshot_id)
    budgets, terms = budgets_and_terms(home, snapshot)
    compared = compared_with(home, scenario_ids, days, about)
    groups = None if by is None else parse_dimensions(by)
    answer = compare_answer(snapshot, compared, budgets, period=days, scope=about, group_by=groups, terms=terms)
    if out is not None:
        write_comparison(answer, out)
    emit(answer, as_json, lambda: show_comparison(answer))


@scenario.command("changes", epilog="Example: forecast scenario changes growth --since 117ed8c8")
def changes(
    scenario_id: IdArgument,
    since: Annotated[str | None, typer.Option(metavar="SNAPSHOT", help="An earlier snapshot; by default the one of the first run.")] = None,
    version: VersionOption = None,
    cost: CostOption = "effective",
    as_json: JsonOption = False,
) -> None:
    """Run a scenario on the newest snapshot and show what changed since an earlier one."""
    from datetime import UTC, datetime

    from forecast.workflows.scenario_changes import changes_answer

    home = Home()
    saved = saved_scenario(home, scenario_id, version)
    newest = home.snapshot(cost)
    before, older = run_of(home, saved, cost, since)
    budgets, terms = budgets_and_terms(home, newest)
    answer, after = changes_answer(saved, before, newest, budgets, now=datetime.now(UTC), older=older, terms=terms)
    home.records.put_scenario_run(after)
    emit(answer, as_json, lambda: show_changes(answer))


@scenario.command("actual", epilog="Example: forecast scenario actual growth --by team")
def actual(
    scenario_id: IdArgument,
    made_on: Annotated[
        str | None, typer.Option(metavar="SNAPSHOT", help="The forecast that the plan is judged by; by default of the first run.")
    ] = None,
    version: VersionOption = None,
    by: GroupOption = None,
    granularity: Annotated[str | None, typer.Option(metavar="WORD", help="day, week, month, quarter or year; by default one row a group.")] = None,
    cost: CostOption = "effective",
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a plan with what happened on its days that are over since it was made."""
    from typing import cast

    from forecast.commands.scenario_output import check_output, write_actual
    from forecast.spend.days import Granularity, check_granularity
    from forecast.spend.dimensions import parse_dimensions
    from forecast.workflows.scenario_actual import actual_answer

    home = Home()
    saved = saved_scenario(home, scenario_id, version)
    check_output(out, (".xlsx", ".json"))
    if granularity is not None:
        check_granularity(granularity)
    groups = None if by is None else parse_dimensions(by)
    newest = home.snapshot(cost)
    made, older = run_of(home, saved, cost, made_on)
    _, terms = budgets_and_terms(home, newest)
    answer = actual_answer(saved, made, newest, older=older, group_by=groups, granularity=cast("Granularity | None", granularity), terms=terms)
    if out is not None:
        write_actual(answer, out)
    emit(answer, as_json, lambda: show_actual(answer))
