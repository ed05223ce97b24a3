"""Was that strange?"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from forecast.errors import InputError
from forecast.serving.answers import AnomaliesAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import stores_of, to_json
from forecast.serving.schemas import AnomaliesRequest, AnomalyRow
from forecast.snapshot import Snapshot
from forecast.spend.hierarchy import COMPANY
from forecast.spend.scope import Clause, Scope, unknown_value
from forecast.workflows.incident_answers import detections_of, with_kept
from forecast.workflows.spikes import SpendRow, anomaly_answer


async def anomalies(request: Request, body: AnomaliesRequest) -> Response:
    """Per row: expected cost, interval, p-value, score, whether it is strange, and what drove it. Changes nothing unless `commit` is true."""
    stores = stores_of(request)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    now = datetime.now(UTC)

    def compute() -> bytes:
        answer = anomaly_answer(snapshot, read_rows(snapshot, body.rows), now=now)
        if body.commit:
            answer = with_kept(answer, stores.records.put_detections(detections_of(answer), now=now).incidents)
        return to_json(answer)

    return Response(await stores.run(compute), media_type="application/json")


def read_rows(snapshot: Snapshot, rows: tuple[AnomalyRow, ...]) -> list[SpendRow]:
    """The rows with their scopes; InputError with the row's place where one says its scope twice, UnknownScopeError for an unknown series."""

    @cache
    def scope_of_series(series: str) -> Scope:
        return scope_of(snapshot, series)

    found = []
    for number, row in enumerate(rows):
        if row.scope is not None and row.series is not None:
            raise InputError(f"rows.{number} says both scope and series", field=f"rows.{number}.series", got=row.series, allowed="scope or series")
        scope = row.scope or Scope() if row.series is None else scope_of_series(row.series)
        found.append(SpendRow(scope, row.timestamp, row.cost))
    return found


def scope_of(snapshot: Snapshot, series: str) -> Scope:
    """The scope of a leaf's id, or of a node's (`team=ads`, `company`)."""
    hierarchy = snapshot.hierarchy
    if series == COMPANY:
        return Scope()
    if series in hierarchy.leaves.index:
        values = hierarchy.leaves.loc[series]
        return Scope(tuple(sorted(Clause(str(name), (str(values[name]),)) for name in hierarchy.dimensions)))
    if series in hierarchy.node_ids:
        return Scope.parse(series)
    raise unknown_value("series", series, hierarchy.leaf_ids)


ROUTES = [
    JsonRoute(
        "/v1/anomalies",
        anomalies,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(AnomaliesAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
