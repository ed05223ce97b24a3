"""Saved scenarios as resources: versions, runs, what changed since, and the plan beside what happened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forecast.errors import ConflictError, NotFoundError
from forecast.scenarios.plan import parse_plan
from forecast.scenarios.saved import SavedScenario, ScenarioRun, check_scenario_id, plan_data
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.problems import HttpProblemError
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import answered, json_response, stores_of, to_json
from forecast.serving.scenario_plans import budgets_and_terms, compute_run, keep_run, key_of, run_of
from forecast.serving.scenario_schemas import (
    ActualAnswer,
    ChangesAnswer,
    Granularity,
    RunBody,
    ScenarioAnswer,
    ScenarioBody,
    ScenarioList,
    ScenarioRunAnswer,
    VersionList,
)
from forecast.serving.schemas import Cost, read_dimensions
from forecast.serving.stores import Stores
from forecast.workflows.scenario_actual import actual_answer
from forecast.workflows.scenario_changes import changes_answer
from forecast.workflows.scenario_runs import saved_plan, scenario_answer, touched_budgets

_Version = Annotated[int | None, Query(ge=1, description="without it the newest")]
_Snapshot = Annotated[str | None, Query(pattern=r"^[0-9a-f]{8,64}$", description="the first 8 characters are enough")]


async def put_scenario(request: Request, scenario_id: str, body: ScenarioBody) -> Response:
    """Save a plan: 201 where the id is new. A changed plan is a new version, the same again changes nothing. `If-Match` guards against lost updates.

    Where there is a snapshot the plan must be one that it can answer; what it says is kept with the version.
    """
    stores = stores_of(request)
    check_scenario_id(scenario_id)
    now = datetime.now(UTC)
    expected = await _expected(request, stores, scenario_id)
    draft = SavedScenario(scenario_id, 1, 1, body.name.strip(), plan_data(body.plan), body.by.strip(), body.note.strip(), now, now)
    parse_plan(draft.plan, calendar=stores.settings.calendar)
    has_snapshot = await stores.run(stores.records.latest_snapshot) is not None
    run = await compute_run(stores, draft, await stores.snapshot()) if has_snapshot else None  # refused before it is kept

    def write() -> tuple[SavedScenario, bool]:
        kept = stores.records.put_scenario(scenario_id, draft.plan, now=now, name=draft.name, by=draft.by, note=draft.note, expected=expected)
        if run is not None:
            stores.records.put_scenario_run(replace(run, version=kept[0].version))
        return kept

    try:
        saved, is_new = await stores.run(write)
    except ConflictError as error:
        raise _moved_on(request, error) from None
    answer = {**saved.describe(), "is_new": is_new, "run": None if run is None else _told(replace(run, version=saved.version))}
    headers = {"ETag": _etag(saved), "Location": f"/v1/scenarios/{scenario_id}"}
    return json_response(answer, 201 if is_new and saved.version == 1 else 200, headers)


async def get_scenario(request: Request, scenario_id: str, version: _Version = None) -> Response:
    """A version of a scenario, by default the newest. `If-None-Match` with its ETag is answered with 304."""
    stores = stores_of(request)
    saved = await stores.run(lambda: stores.records.scenario(scenario_id, version))
    tag = _etag(saved)
    known = _tags(request, "if-none-match")
    if tag in known or known == ["*"]:
        return Response(status_code=304, headers={"ETag": tag})
    return json_response(saved.describe(), headers={"ETag": tag})


async def delete_scenario(request: Request, scenario_id: str) -> Response:
    """Remove a scenario with all its versions and what they said."""
    stores = stores_of(request)
    expected = await _expected(request, stores, scenario_id)
    try:
        await stores.run(lambda: stores.records.delete_scenario(scenario_id, expected=expected))
    except ConflictError as error:
        raise _moved_on(request, error) from None
    return Response(status_code=204)


async def list_scenarios(request: Request) -> Response:
    """The newest version of every scenario, by id, with what it said last."""
    stores = stores_of(request)

    def read() -> bytes:
        runs = stores.records.newest_scenario_runs()
        found = stores.records.scenarios()
        return to_json({"scenarios": [{**saved.describe(), "run": _told(runs[saved.id]) if saved.id in runs else None} for saved in found]})

    return Response(await stores.run(read), media_type="application/json")


async def list_versions(request: Request, scenario_id: str) -> Response:
    """All versions of a scenario, the newest first, each with what it said on which snapshot."""
    stores = stores_of(request)

    def read() -> bytes:
        versions = stores.records.scenario_versions(scenario_id)
        runs = stores.records.scenario_runs(scenario_id)
        return to_json({"versions": [{**one.describe(), "runs": [_told(run) for run in runs if run.version == one.version]} for one in versions]})

    return Response(await stores.run(read), media_type="application/json")


async def run_scenario_now(request: Request, scenario_id: str, body: RunBody) -> Response:
    """Run a version on the current snapshot (or another): a what-if answer. What it says there is kept."""
    stores = stores_of(request)
    saved = await stores.run(lambda: stores.records.scenario(scenario_id, body.version))
    calendar = stores.settings.calendar
    plan = saved_plan(saved, calendar)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    await keep_run(stores, saved, snapshot)
    budgets, terms = await budgets_and_terms(stores, snapshot)
    touched = touched_budgets(snapshot, budgets, plan.period, calendar)

    def compute() -> Mapping[str, Any]:
        answer = scenario_answer(snapshot, plan, touched, body.group_by, granularity=body.granularity, terms=terms)
        return {**answer, "scenario_id": saved.id, "version": saved.version, "name": saved.title}

    canonical = repr([saved.id, saved.version, saved.digest, body.model_dump_json(), key_of(touched, terms)])
    return await answered(stores, "scenario", snapshot, canonical, compute)


async def changes(
    request: Request,
    scenario_id: str,
    since: _Snapshot = None,
    version: _Version = None,
    cost: Cost = "effective",
) -> Response:
    """Run a version on the newest snapshot beside what it said on an earlier one (`since`; by default when it was first run)."""
    stores = stores_of(request)
    saved = await stores.run(lambda: stores.records.scenario(scenario_id, version))
    newest = await stores.snapshot(cost)
    before, older = await run_of(stores, saved, cost, since)
    budgets, terms = await budgets_and_terms(stores, newest)
    now = datetime.now(UTC)

    def compute() -> dict[str, Any]:
        answer, run = changes_answer(saved, before, newest, budgets, now=now, older=older, terms=terms)
        stores.records.put_scenario_run(run)
        return answer

    return json_response(await stores.run(compute))


async def actual(
    request: Request,
    scenario_id: str,
    made_on: _Snapshot = None,
    version: _Version = None,
    cost: Cost = "effective",
    group_by: Annotated[
        str | None, Query(max_length=500, description="leaf dimensions of the rows, such as team,service; without it the team")
    ] = None,
    granularity: Annotated[Granularity | None, Query(description="without it one row a group")] = None,
) -> Response:
    """The plan beside what happened on its days that are over since it was made (`made_on`; by default when it was first run)."""
    stores = stores_of(request)
    saved = await stores.run(lambda: stores.records.scenario(scenario_id, version))
    names = None if group_by is None else read_dimensions(group_by)
    newest = await stores.snapshot(cost)
    made, older = await run_of(stores, saved, cost, made_on)
    _, terms = await budgets_and_terms(stores, newest)
    return json_response(
        await stores.run(lambda: actual_answer(saved, made, newest, older=older, group_by=names, granularity=granularity, terms=terms))
    )


def _told(run: ScenarioRun) -> dict[str, Any]:
    """A run with the totals that it came to."""
    totals = ("start", "end", "baseline", "scenario", "delta", "probability_cheaper")
    return {**run.describe(), **{name: run.summary[name] for name in totals if name in run.summary}}


def _etag(saved: SavedScenario) -> str:
    return f'"{hashlib.sha256(to_json(saved.describe())).hexdigest()[:32]}"'


def _tags(request: Request, header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in request.headers.get(header, "").split(",") if tag.strip()]


async def _expected(request: Request, stores: Stores, scenario_id: str) -> int | None:
    """The version that the caller takes for the newest, by `If-Match` or `If-None-Match: *`; HttpProblemError 412 where it is not."""
    wanted = _tags(request, "if-match")
    if not wanted:
        return 0 if _tags(request, "if-none-match") == ["*"] else None
    try:
        saved = await stores.run(lambda: stores.records.scenario(scenario_id))
    except NotFoundError:
        raise _failed_precondition(f"No scenario is saved as {scenario_id!r}", ", ".join(wanted), "no If-Match") from None
    if wanted != ["*"] and _etag(saved) not in wanted:
        detail = f"Scenario {scenario_id} is at version {saved.version} and not what If-Match names"
        raise _failed_precondition(detail, ", ".join(wanted), _etag(saved))
    return saved.version


def _moved_on(request: Request, error: ConflictError) -> HttpProblemError:
    """Somebody has saved (or removed) in between, or the id is taken."""
    if _tags(request, "if-match"):
        return _failed_precondition(str(error), error.got, error.allowed)
    return HttpProblemError(412, str(error), field="If-None-Match", got="*", allowed="an id that is not taken")


def _failed_precondition(detail: str, got: Any, allowed: str | None) -> HttpProblemError:
    return HttpProblemError(412, detail, field="If-Match", got=got, allowed=allowed)


class RunRoute(JsonRoute):
    """A run needs no words."""

    EMPTY = b"{}"


_ALL = "/v1/scenarios"
_ONE = f"{_ALL}/{{scenario_id}}"
_TAGS: dict[str, Any] = {"tags": ["Scenarios"]}
_KNOWN: dict[int | str, dict[str, Any]] = {304: {"description": "What the caller has is what there is"}}
ROUTES = [
    QueryRoute(_ALL, list_scenarios, methods=["GET"], responses=success(ScenarioList), **_TAGS),
    JsonRoute(
        _ONE,
        put_scenario,
        methods=["PUT"],
        responses={**success(ScenarioAnswer, 200, 201), **problems(400, 404, 412, 413, 415, 422)},
        **_TAGS,
    ),
    QueryRoute(_ONE, get_scenario, methods=["GET"], responses={**success(ScenarioAnswer), **_KNOWN, **problems(404, 422)}, **_TAGS),
    QueryRoute(_ONE, delete_scenario, methods=["DELETE"], status_code=204, responses=problems(404, 412, 422), **_TAGS),
    QueryRoute(f"{_ONE}/versions", list_versions, methods=["GET"], responses={**success(VersionList), **problems(404, 422)}, **_TAGS),
    RunRoute(
        f"{_ONE}/run",
        run_scenario_now,
        methods=["POST"],
        responses={**success(ScenarioRunAnswer), **problems(400, 404, 413, 415, 422, 503)},
        **_TAGS,
    ),
    QueryRoute(f"{_ONE}/changes", changes, methods=["GET"], responses={**success(ChangesAnswer), **problems(400, 404, 422, 503)}, **_TAGS),
    QueryRoute(f"{_ONE}/actual", actual, methods=["GET"], responses={**success(ActualAnswer), **problems(400, 404, 422, 503)}, **_TAGS),
]
