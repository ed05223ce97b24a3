"""The record: how good the forecasts are, who makes them, and which were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.records import SnapshotRecord
from forecast.serving.answers import AccuracyAnswer, ChampionAnswer, SnapshotAnswer, SnapshotList
from forecast.serving.documents import problems, success
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of
from forecast.serving.schemas import Cost, SnapshotId, read_moment_day, read_scope
from forecast.snapshot import Snapshot
from forecast.spend.scope import Scope
from forecast.workflows.records import backtest_record

MOST_SCHEDULES = 10
_DAYS_BETWEEN = {"daily": 1.0, "weekly": 7.0, "monthly": 30.4, "quarterly": 91.3, "yearly": 365.25}
"""Between two charges of a cadence; those of a term are as far apart as the term is long."""


async def accuracy(
    request: Request,
    scope: Annotated[str, Query(max_length=4000, description="a filter such as team=ads; empty is the whole company")] = "",
    cost: Annotated[Cost, Query()] = "effective",
    as_of: Annotated[str | None, Query(max_length=40, description="the record that the newest snapshot of that day had")] = None,
    snapshot_id: Annotated[SnapshotId | None, Query()] = None,
) -> Response:
    """The backtest record: of a scope, and of every node that was scored."""
    stores = stores_of(request)
    wanted = read_scope(scope)
    snapshot = await stores.snapshot(cost, None if as_of is None else read_moment_day(as_of), snapshot_id)
    return json_response(await stores.run(lambda: _accuracy(snapshot, wanted)))


def _accuracy(snapshot: Snapshot, scope: Scope) -> dict[str, Any]:
    snapshot.hierarchy.leaf_mask(scope)  # an unknown value is an error here too
    return {
        "snapshot_id": snapshot.id,
        "cutoff": snapshot.cutoff.isoformat(),
        "currency": snapshot.currency,
        "cost": snapshot.cost,
        "scope": str(scope),
        "backtest": backtest_record(snapshot, scope),
        "record": snapshot.backtest,
    }


async def champion(request: Request) -> Response:
    """The model version that serves, and who served before."""
    records = stores_of(request).records

    def read() -> dict[str, Any]:
        model = records.champion()
        history = [
            {"name": line.name, "version": line.version, "promoted_at": line.promoted_at, "reason": line.reason} for line in records.promotions()
        ]
        return {
            "name": model.name,
            "version": model.version,
            "run_id": model.run_id,
            "registered_at": model.registered_at,
            "promoted_at": model.promoted_at,
            "history": history,
        }

    return json_response(await stores_of(request).run(read))


async def list_snapshots(request: Request) -> Response:
    """All snapshots, newest first."""
    stores = stores_of(request)
    return json_response({"snapshots": [describe(record) for record in await stores.run(stores.records.snapshots)]})


async def get_snapshot(
    request: Request,
    snapshot_id: str,
    schedules: Annotated[
        Literal["largest", "all"], Query(description=f"the {MOST_SCHEDULES} largest recurring charges of `meta`, or all")
    ] = "largest",
) -> Response:
    """One snapshot; the first 8 characters of its id are enough."""
    stores = stores_of(request)
    record = await stores.run(lambda: stores.records.snapshot(snapshot_id))
    snapshot = await stores.snapshot(record.cost, snapshot_id=record.id)
    return json_response(await stores.run(lambda: {**describe(record), **_reach(snapshot, None if schedules == "all" else MOST_SCHEDULES)}))


def describe(record: SnapshotRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "cutoff": record.cutoff,
        "cost": record.cost,
        "currency": record.currency,
        "n_paths": record.n_paths,
        "size_bytes": record.size_bytes,
        "champion": {"name": record.champion_name, "version": record.champion_version},
        "ledger_digest": record.ledger_digest,
        "is_current": record.is_current,
    }


def _reach(snapshot: Snapshot, most: int | None) -> dict[str, Any]:
    known = {"schedules": _schedules(snapshot.meta["schedules"], most)} if "schedules" in snapshot.meta else {}
    return {
        "first_day": snapshot.first_day,
        "daily_end": snapshot.daily_end,
        "horizon_end": snapshot.horizon_end,
        "dimensions": list(snapshot.hierarchy.dimensions),
        "leaves": len(snapshot.hierarchy.leaves),
        "nodes": len(snapshot.hierarchy.nodes),
        "meta": {**snapshot.meta, **known},
    }


def _schedules(columns: Mapping[str, Sequence[Any]], most: int | None) -> dict[str, Any]:
    """How many recurring charges the snapshot projects, and those of the most money a day, ended ones last.

    columns : `Schedules.record`, a list a column: a large company has thousands of entries.
    """
    every = [_DAYS_BETWEEN.get(cadence, max(term, 1)) for cadence, term in zip(columns["cadence"], columns["term"], strict=True)]
    sizes = [abs(amount) / days for amount, days in zip(columns["amount"], every, strict=True)]
    order = sorted(range(len(sizes)), key=lambda place: (bool(columns["ended"][place]), -sizes[place]))
    return {"count": len(sizes), "items": [{name: values[place] for name, values in columns.items()} for place in order[:most]]}


ROUTES = [
    QueryRoute("/v1/accuracy", accuracy, methods=["GET"], tags=["Record"], responses={**success(AccuracyAnswer), **problems(400, 404, 422, 503)}),
    QueryRoute("/v1/models/champion", champion, methods=["GET"], tags=["Record"], responses={**success(ChampionAnswer), **problems(404)}),
    QueryRoute("/v1/snapshots", list_snapshots, methods=["GET"], tags=["Record"], responses=success(SnapshotList)),
    QueryRoute(
        "/v1/snapshots/{snapshot_id}",
        get_snapshot,
        methods=["GET"],
        tags=["Record"],
        responses={**success(SnapshotAnswer), **problems(400, 404, 422)},
    ),
]
