"""Was that strange?"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.incident_lists import MOST_IN_A_PAGE, IncidentFilter
from forecast.adapters.records import Records
from forecast.adapters.sensitivity_file import load_sensitivity
from forecast.anomalies.sensitivity import Sensitivity
from forecast.errors import ConfigError, InputError, UnknownScopeError
from forecast.serving.answers import AnomaliesAnswer
from forecast.serving.bodies import JsonRoute
from forecast.serving.documents import problems, success
from forecast.serving.responses import stores_of, to_json
from forecast.serving.schemas import AnomaliesRequest, AnomalyRow
from forecast.snapshot import Snapshot
from forecast.spend.hierarchy import COMPANY
from forecast.spend.joined import split_values
from forecast.spend.scope import Clause, Scope, unknown_value
from forecast.workflows.incident_answers import detections_of, with_kept
from forecast.workflows.row_keeping import calm_through, over
from forecast.workflows.spikes import SpendRow, anomaly_answer

ACTIVE = ("open", "acknowledged")


async def anomalies(request: Request, body: AnomaliesRequest) -> Response:
    """Per row: expected cost, interval, p-value, score, whether it is strange, and what drove it. Changes nothing unless `commit` is true."""
    stores = stores_of(request)
    snapshot = await stores.snapshot(body.cost, body.as_of, body.snapshot_id)
    now = datetime.now(UTC)

    def compute() -> bytes:
        rows = read_rows(snapshot, body.rows)
        answer = anomaly_answer(snapshot, rows, now=now, rules=_rules(stores.settings.sensitivity))
        if body.commit:
            kept = stores.records.put_detections(detections_of(answer), now=now).incidents
            _settle(stores.records, calm_through(snapshot, rows, answer, now), now)
            answer = with_kept(answer, kept)
        return to_json(answer)

    return Response(await stores.run(compute), media_type="application/json")


def _rules(path: Path | None) -> Sensitivity:
    try:
        return load_sensitivity(path)
    except InputError as error:
        # The operator's file, not the caller's rows.
        raise ConfigError(f"Setting sensitivity cannot be used: {error}") from error


def _settle(records: Records, calm: dict[str, datetime], now: datetime) -> None:
    """Resolve the incidents of calm scopes that are over, as `forecast detect` does."""
    if not calm:
        return
    wanted = IncidentFilter(statuses=ACTIVE, scope=next(iter(calm)) if len(calm) == 1 else "", until=max(calm.values()))
    found: dict[str, datetime] = {}
    cursor: str | None = None
    while True:
        page = records.incidents(wanted, limit=MOST_IN_A_PAGE, cursor=cursor)
        found |= over(page.incidents, calm)
        if (cursor := page.next_cursor) is None:
            break
    for through in sorted(set(found.values())):
        records.settle_incidents(scored_through=through, now=now, only={name for name, end in found.items() if end == through})


def read_rows(snapshot: Snapshot, rows: tuple[AnomalyRow, ...]) -> list[SpendRow]:
    """The rows with their scopes; InputError with the row's place where one says its scope twice, UnknownScopeError for an unknown series."""

    @cache
    def scope_of_series(series: str) -> Scope:
        return scope_of(snapshot, series)

    found = []
    for number, row in enumerate(rows):
        if row.scope is not None and row.series is not None:
            raise InputError(f"rows.{number} says both scope and series", field=f"rows.{number}.series", got=row.series, allowed="scope or series")
        try:
            scope = row.scope or Scope() if row.series is None else scope_of_series(row.series)
        except UnknownScopeError as error:
            error.field = f"rows[{number}].series"
            raise
        found.append(SpendRow(scope, row.timestamp, row.cost))
    return found


def scope_of(snapshot: Snapshot, series: str) -> Scope:
    """The scope of a leaf's id, known or not, or of a node's (`team=ads`, `company`); UnknownScopeError for what is no such id."""
    hierarchy = snapshot.hierarchy
    if series == COMPANY:
        return Scope()
    if series in hierarchy.leaves.index:
        values = hierarchy.leaves.loc[series]
        return Scope(tuple(sorted(Clause(str(name), (str(values[name]),)) for name in hierarchy.dimensions)))
    if series in hierarchy.node_ids:
        return Scope.parse(series)
    parts = (series,) if len(hierarchy.dimensions) == 1 else split_values(series)
    if len(parts) == len(hierarchy.dimensions) and all(parts):
        return Scope(tuple(sorted(Clause(name, (value,)) for name, value in zip(hierarchy.dimensions, parts, strict=True))))
    error = unknown_value("series", series, hierarchy.leaf_ids)
    error.allowed = f"{'|'.join(hierarchy.dimensions)}, a value of each, or a node such as team=ads"
    raise error


ROUTES = [
    JsonRoute(
        "/v1/anomalies",
        anomalies,
        methods=["POST"],
        tags=["Answers"],
        responses={**success(AnomaliesAnswer), **problems(400, 404, 413, 415, 422, 503)},
    )
]
