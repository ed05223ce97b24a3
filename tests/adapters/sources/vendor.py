"""A vendor's cost API on this machine: real HTTP, the paging, rate limits and errors of OpenAI and Anthropic, made-up money."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ADMIN_KEY = "sk-admin-made-up-0123456789"

Question = tuple[str, list[tuple[str, str]], dict[str, str]]


@dataclass
class Vendor:
    """costs : day → list of (line item, amount). troubles : answers given before the true ones, in order: (status, headers, body)."""

    costs: dict[dt.date, list[tuple[str, str]]] = field(default_factory=dict)
    troubles: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    buckets_a_page: int = 7
    address: str = ""
    endless: bool = False

    def answer(self, path: str, asked: list[tuple[str, str]], headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        self.questions.append((path, asked, headers))
        if self.troubles:
            return self.troubles.pop(0)
        openai = path == "/v1/organization/costs"
        if not openai and path != "/v1/organizations/cost_report":
            return 404, {}, json.dumps({"error": {"type": "not_found_error", "message": f"No such path {path}"}})
        key = headers.get("authorization", "").removeprefix("Bearer ") if openai else headers.get("x-api-key", "")
        if key != ADMIN_KEY:
            # OpenAI repeats the key that it was given.
            return 401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {key}.", "type": "invalid_request_error"}})
        given = dict(asked)
        if openai:
            since, until = (dt.datetime.fromtimestamp(int(given[name]), dt.UTC).date() for name in ("start_time", "end_time"))
        else:
            if headers.get("anthropic-version") != "2023-06-01":
                return 400, {}, json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "anthropic-version is missing"}})
            since, until = (dt.date.fromisoformat(given[name][:10]) for name in ("starting_at", "ending_at"))
        if until <= since:
            return 400, {}, json.dumps({"error": {"message": f"the range is empty, says {key}", "type": "invalid_request_error"}})
        days = [since + dt.timedelta(days=number) for number in range((until - since).days)]
        first = int(given.get("page", "page_0").removeprefix("page_"))
        shown = days[first : first + self.buckets_a_page]
        more = first + self.buckets_a_page < len(days) or self.endless
        following = f"page_{0 if self.endless else first + self.buckets_a_page}" if more else None
        buckets = [self._openai(day) if openai else self._anthropic(day) for day in shown]
        page: dict[str, Any] = {"data": buckets, "has_more": more, "next_page": following}
        return 200, {}, json.dumps({"object": "page", **page} if openai else page)

    def _openai(self, day: dt.date) -> dict[str, Any]:
        results = [
            {
                "object": "organization.costs.result",
                "amount": {"value": float(amount), "currency": "usd"},
                "line_item": item,
                "project_id": "proj_1",
                "project_name": "search",
            }
            for item, amount in self.costs.get(day, [])
        ]
        return {"object": "bucket", "start_time": _epoch(day), "end_time": _epoch(day + dt.timedelta(days=1)), "results": results}

    def _anthropic(self, day: dt.date) -> dict[str, Any]:
        results = [
            {
                "amount": amount,
                "currency": "USD",
                "description": item,
                "cost_type": "tokens",
                "model": "claude-sonnet-4-5-20250929",
                "token_type": "output_tokens",
                "workspace_id": "wrkspc_1",
            }
            for item, amount in self.costs.get(day, [])
        ]
        return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day + dt.timedelta(days=1)}T00:00:00Z", "results": results}


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, headers, body = vendor.answer(
                parts.path, parse_qsl(parts.query, keep_blank_values=True), {name.lower(): value for name, value in self.headers.items()}
            )
            content = body.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    vendor.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _epoch(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())
