"""How routes come by saved scenarios: the version that is asked for, its runs, their snapshots, and budgets with their rates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from forecast.budgets.budget import Budget
from forecast.errors import NotFoundError
from forecast.scenarios.saved import BASE, SavedScenario, ScenarioRun, check_compared
from forecast.serving.responses import prices_for, rates_for
from forecast.serving.stores import Stores
from forecast.snapshot import Snapshot
from forecast.spend.periods import Period
from forecast.spend.scope import Scope
from forecast.workflows.scenario_compare import Compared, base_plan
from forecast.workflows.scenario_runs import Terms, earlier_run, run_scenario, saved_plan


async def budgets_and_terms(stores: Stores, snapshot: Snapshot) -> tuple[list[Budget], Terms]:
    """All budgets of the snapshot's cost, and what plans are reckoned by."""

    def read() -> tuple[list[Budget], Terms]:
        budgets = [budget for budget in stores.records.budgets() if budget.cost == snapshot.cost]
        return budgets, Terms(stores.settings.calendar, rates_for(stores, budgets, snapshot.currency), prices_for(stores))

    return await stores.run(read)


def key_of(budgets: Sequence[Budget], terms: Terms) -> str:
    """Of what an answer depends on beside its question and its snapshot."""
    return repr([budgets, None if terms.rates is None else hash(terms.rates)])


async def run_of(stores: Stores, saved: SavedScenario, cost: str, snapshot_id: str | None) -> tuple[ScenarioRun, Snapshot | None]:
    """What a version said on a snapshot (or first), and that snapshot where it is still there; computed where it was never asked.

    NotFoundError for a snapshot that is neither known nor kept in a run.
    """
    runs = await stores.run(lambda: stores.records.scenario_runs(saved.id, saved.version, cost))
    run = earlier_run(saved, runs, snapshot_id)
    if run is not None:
        try:
            return run, await stores.snapshot(cost, snapshot_id=run.snapshot_id)
        except NotFoundError:
            return run, None
    snapshot = await stores.snapshot(cost, snapshot_id=snapshot_id)
    return await keep_run(stores, saved, snapshot), snapshot


async def compute_run(stores: Stores, saved: SavedScenario, snapshot: Snapshot) -> ScenarioRun:
    """What a version says on a snapshot."""
    budgets, terms = await budgets_and_terms(stores, snapshot)
    now = datetime.now(UTC)
    return await stores.run(lambda: run_scenario(snapshot, saved, budgets, now=now, terms=terms))


async def keep_run(stores: Stores, saved: SavedScenario, snapshot: Snapshot) -> ScenarioRun:
    """Run a version on a snapshot and keep what it says."""
    run = await compute_run(stores, saved, snapshot)
    await stores.run(lambda: stores.records.put_scenario_run(run))
    return run


async def compared_with(stores: Stores, ids: Sequence[str], period: Period, scope: Scope) -> list[Compared]:
    """The newest versions of saved scenarios; `base` is the forecast as it is, where none is saved under that name."""
    wanted, calendar = check_compared(ids), stores.settings.calendar

    def read() -> list[Compared]:
        return [_compared(stores, scenario_id, number, period, scope) for number, scenario_id in enumerate(wanted)]

    def _compared(stores: Stores, scenario_id: str, number: int, period: Period, scope: Scope) -> Compared:
        try:
            saved = stores.records.scenario(scenario_id)
        except NotFoundError as error:
            if scenario_id == BASE:
                return base_plan(period, scope)
            error.field = f"compare_to[{number}]"
            raise
        return Compared(saved.id, saved_plan(saved, calendar), saved.title, saved.version)

    return await stores.run(read)
