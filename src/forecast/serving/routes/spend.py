"""Bills in, of every format that `forecast ingest` knows: as JSON, NDJSON, CSV or Parquet."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from forecast.adapters.delivery import Covers
from forecast.adapters.ingest_report import IngestReport
from forecast.adapters.ledger import Ledger
from forecast.adapters.records import IngestionRecord, Records
from forecast.errors import InputError
from forecast.serving.answers import SpendReport
from forecast.serving.bodies import content_type, read_body, wrong_type
from forecast.serving.deliveries import ALLOWED_TYPES, KINDS, write_delivery
from forecast.serving.documents import problems, success
from forecast.serving.problems import LOGGER
from forecast.serving.queries import QueryRoute
from forecast.serving.responses import json_response, stores_of

MOST_SPEND = 64 * 1024 * 1024
"""Bytes of one delivery over HTTP, packed and unpacked; larger ones go through `forecast ingest`."""

_ROW = {"type": "object", "additionalProperties": True, "description": "one FOCUS row (PascalCase columns), or one page or row of another format"}
_ROWS = {"type": "array", "items": _ROW, "minItems": 1}
_PAGE = {"type": "object", "additionalProperties": True, "description": "one page of OpenAI's or Anthropic's API, one answer of LiteLLM or OpenCost"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"anyOf": [_ROWS, {"type": "object", "required": ["rows"], "properties": {"rows": _ROWS}}, _PAGE]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "one row or page a line"}},
        "text/csv": {"schema": {"type": "string", "description": "a bill as CSV with a header"}},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    },
}


async def ingest(
    request: Request,
    key: Annotated[
        str | None, Query(max_length=200, description="column whose value names a row for ever; without it rows are known by content")
    ] = None,
    format: Annotated[str, Query(max_length=40, description="focus, aws-cur, openai-costs, …; auto looks at the content")] = "auto",
    replace: Annotated[bool, Query(description="the delivery stands for all that its source said before about its billing periods")] = False,
    covers: Annotated[Covers, Query(description="what a delivery that replaces stands for; auto: what its days say")] = "auto",
    source: Annotated[str | None, Query(max_length=200, description="whose word the rows are; equal rows of two sources both count")] = None,
    also: Annotated[bool, Query(description="take in a new source whose rows another one has said already; both count")] = False,
    as_received: Annotated[datetime | None, Query(description="when the rows were known, ISO 8601; default now")] = None,
) -> Response:
    """Take in a delivery of any known format. The same again changes nothing; rows that cannot be counted are quarantined with their reasons."""
    got = content_type(request)
    kind = KINDS.get(got)
    if kind is None:
        raise wrong_type(got, ALLOWED_TYPES)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise wrong_type(f"{got} as {encoding}", f"{ALLOWED_TYPES}; Content-Encoding gzip or none")
    content = await read_body(request, MOST_SPEND)
    stores = stores_of(request)
    received_at = as_received or datetime.now(UTC)

    def take_in(ledger: Ledger) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="forecast-delivery-") as name:
            folder = Path(name)
            try:
                path = write_delivery(content, kind, folder, gzipped=encoding == "gzip", most=MOST_SPEND)
                report = ledger.ingest(
                    [path],
                    received_at=received_at,
                    format=format,
                    key=key,
                    replace=replace,
                    covers=covers,
                    source=source,
                    allow_overlap=also,
                    formats=stores.formats(),
                )
            except InputError as error:
                # The file is ours and gone when the caller reads this: its name says nothing to them.
                error.args = (str(error).replace(f"{folder}/", ""), *error.args[1:])
                raise
        answer = report.as_dict()
        log_delivery(stores.records, report, source or "http")
        return answer

    return json_response(await stores.run_ingest(take_in))


def log_delivery(records: Records, report: IngestReport, source: str) -> None:
    """Enter the delivery in the log; one that cannot be entered has been taken in all the same, and the log can be rebuilt."""
    try:
        records.log_ingestion(
            IngestionRecord(
                delivery_id=report.delivery_id,
                received_at=report.received_at,
                source=source,
                accepted=report.accepted,
                unchanged=report.unchanged,
                superseded=report.superseded,
                quarantined=report.quarantined,
                report=report.as_dict(),
            )
        )
    except Exception:
        LOGGER.exception("Delivery %s is in the ledger and could not be entered in the log", report.delivery_id)


ROUTES = [
    QueryRoute(
        "/v1/spend",
        ingest,
        methods=["POST"],
        tags=["Spend"],
        openapi_extra={"requestBody": _BODY},
        responses={**success(SpendReport), **problems(400, 413, 415, 422)},
    )
]
