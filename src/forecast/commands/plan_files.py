"""Plans that a command is given: a file as data, and scenarios that were saved in the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.commands.files import read_text
from forecast.errors import InputError, NotFoundError, PlanError

if TYPE_CHECKING:
    from forecast.budgets.budget import Budget
    from forecast.commands.home import Home
    from forecast.scenarios.saved import SavedScenario, ScenarioRun
    from forecast.snapshot import Snapshot
    from forecast.spend.periods import Period
    from forecast.spend.scope import Scope
    from forecast.workflows.scenario_compare import Compared
    from forecast.workflows.scenario_runs import Terms


def read_plan_data(path: Path) -> dict[str, Any]:
    """The plan in a file (TOML, JSON or YAML) as data; errors name the file."""
    from forecast.scenarios.plan import plan_of_text

    try:
        return dict(plan_of_text(read_text(path, "plan")))
    except PlanError as error:
        raise named_by_file(path, error) from None


def named_by_file(path: Path, error: InputError) -> PlanError:
    """What is wrong with a plan, with the file that it stands in."""
    return PlanError(f"{path}: {error}", field=error.field, got=error.got, allowed=error.allowed)


def saved_scenario(home: Home, scenario_id: str, version: int | None = None) -> SavedScenario:
    """A saved scenario; NotFoundError names the nearest. Looking for one makes no home."""
    if not home.has_records:
        from forecast.scenarios.saved import no_scenario

        raise no_scenario(scenario_id, ())
    return home.records.scenario(scenario_id, version)


def has_saved(home: Home, scenario_id: str) -> bool:
    """Whether a scenario of that id is saved."""
    try:
        saved_scenario(home, scenario_id)
    except NotFoundError:
        return False
    return True


def budgets_and_terms(home: Home, snapshot: Snapshot) -> tuple[list[Budget], Terms]:
    """All budgets of the snapshot's cost, and what plans are reckoned by."""
    from forecast.adapters.formats.pricing import load_prices, shipped_prices
    from forecast.workflows.scenario_runs import Terms

    budgets = [budget for budget in home.records.budgets() if budget.cost == snapshot.cost]
    prices = shipped_prices() if home.settings.prices is None else load_prices(home.settings.prices)
    return budgets, Terms(home.settings.calendar, home.rates_for(budgets, snapshot.currency), prices)


def compared_with(home: Home, ids: Sequence[str], period: Period, scope: Scope) -> list[Compared]:
    """The newest versions of saved scenarios; `base` is the forecast as it is, where none is saved under that name."""
    from forecast.scenarios.saved import BASE, check_compared
    from forecast.workflows.scenario_compare import Compared, base_plan
    from forecast.workflows.scenario_runs import saved_plan

    found = []
    for scenario_id in check_compared(ids, "compare"):
        if scenario_id == BASE and not has_saved(home, BASE):
            found.append(base_plan(period, scope))
            continue
        saved = saved_scenario(home, scenario_id)
        found.append(Compared(saved.id, saved_plan(saved, home.settings.calendar), saved.title, saved.version))
    return found


def run_and_keep(home: Home, saved: SavedScenario, snapshot: Snapshot) -> ScenarioRun:
    """Run a version on a snapshot and keep what it says, where it is kept itself."""
    from datetime import UTC, datetime

    from forecast.workflows.scenario_runs import run_scenario

    budgets, terms = budgets_and_terms(home, snapshot)
    run = run_scenario(snapshot, saved, budgets, now=datetime.now(UTC), terms=terms)
    home.records.put_scenario_run(run)
    return run


def run_of(home: Home, saved: SavedScenario, cost: str, snapshot_id: str | None) -> tuple[ScenarioRun, Snapshot | None]:
    """What a version said on a snapshot (or first), and that snapshot where it is still there; computed where it was never asked."""
    from forecast.workflows.scenario_runs import earlier_run

    if snapshot_id is not None and len(snapshot_id) < 8:
        raise InputError(f"Snapshot id {snapshot_id!r} is too short", field="snapshot_id", got=snapshot_id, allowed="at least 8 characters of an id")
    run = earlier_run(saved, home.records.scenario_runs(saved.id, saved.version, cost), snapshot_id)
    if run is None:
        snapshot = home.snapshot(cost, snapshot_id)
        return run_and_keep(home, saved, snapshot), snapshot
    try:
        return run, home.snapshot(cost, run.snapshot_id)
    except NotFoundError:
        return run, None
