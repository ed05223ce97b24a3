"""Lists of incidents: what a filter lets through, and pages that do not shift while incidents arrive."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

import sqlalchemy as sa

from forecast.adapters.incident_rows import INCIDENTS, incident_of
from forecast.adapters.record_rows import plain
from forecast.alerts.incident import KINDS, SEVERITIES, STATUSES, Incident
from forecast.alerts.spans import moment, time_text
from forecast.errors import InputError

MOST_IN_A_PAGE = 1000


@dataclass(frozen=True)
class IncidentFilter:
    """Which incidents a list has; empty and None let all through.

    scope : text that `service=vertex,team=ads` contains, in any case. since, until : those with a part in [since, until).
    minimum_impact : size of the impact, whatever its direction. suppressed : only those that people are (False) or are not (True) told of.
    """

    statuses: Collection[str] = ()
    kinds: Collection[str] = ()
    severities: Collection[str] = ()
    scope: str = ""
    since: datetime | None = None
    until: datetime | None = None
    minimum_impact: float | None = None
    suppressed: bool | None = None

    def __post_init__(self) -> None:
        for name, given, known in (("status", self.statuses, STATUSES), ("severity", self.severities, SEVERITIES)):
            if unknown := sorted(set(given) - set(known)):
                raise InputError(f"{name} {unknown[0]!r} is none", field=name, got=unknown[0], allowed=", ".join(known))
        for kind in self.kinds:
            if kind not in KINDS:
                near = get_close_matches(kind[:80], KINDS, n=1)
                hint = f"; nearest: {near[0]}" if near else ""
                raise InputError(f"kind {kind[:80]!r} is none{hint}", field="kind", got=kind[:80], allowed=", ".join(KINDS))
        if self.since is not None and self.until is not None and self.until <= self.since:
            told = f"until {time_text(self.until)} is not after since {time_text(self.since)}"
            raise InputError(told, field="until", got=time_text(self.until), allowed=f"later than {time_text(self.since)}")
        if self.minimum_impact is not None and not (math.isfinite(self.minimum_impact) and self.minimum_impact >= 0):
            raise InputError(
                f"minimum_impact is {self.minimum_impact}", field="minimum_impact", got=str(self.minimum_impact), allowed="money of 0 or more"
            )

    def digest(self) -> str:
        """Of what it lets through: a cursor belongs to one filter."""
        values = [sorted(value) if isinstance(value, Collection) and not isinstance(value, str) else str(value) for value in vars(self).values()]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class IncidentPage:
    """Incidents, the latest start first. next_cursor : of the page after this one, None on the last. etag : changes when the page does."""

    incidents: list[Incident]
    next_cursor: str | None
    etag: str


def read_page(connection: sa.Connection, wanted: IncidentFilter, limit: int, cursor: str | None) -> IncidentPage:
    """A page by start (the latest first) and id; InputError for a cursor of another list and a limit outside of 1..1000."""
    if not 1 <= limit <= MOST_IN_A_PAGE:
        raise InputError(f"limit is {limit}", field="limit", got=limit, allowed=f"1 to {MOST_IN_A_PAGE}")
    query = sa.select(INCIDENTS).where(*_conditions(wanted))
    if cursor is not None:
        start, after = _read_cursor(cursor, wanted)
        query = query.where((INCIDENTS.c.start < start) | ((INCIDENTS.c.start == start) & (INCIDENTS.c.id > after)))
    query = query.order_by(INCIDENTS.c.start.desc(), INCIDENTS.c.id).limit(limit + 1)
    found = [incident_of(row) for row in connection.execute(query)]
    page = found[:limit]
    following = _cursor(page[-1], wanted) if len(found) > limit else None
    return IncidentPage(page, following, _etag(page, following))


def _conditions(wanted: IncidentFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    for column, values in ((INCIDENTS.c.status, wanted.statuses), (INCIDENTS.c.kind, wanted.kinds), (INCIDENTS.c.severity, wanted.severities)):
        if values:
            found.append(column.in_([plain(value) for value in values]))
    if wanted.scope:
        found.append(INCIDENTS.c.scope_search.contains(plain(wanted.scope).casefold(), autoescape=True))
    if wanted.since is not None:
        found.append(INCIDENTS.c.end > wanted.since)
    if wanted.until is not None:
        found.append(INCIDENTS.c.start < wanted.until)
    if wanted.minimum_impact is not None:
        found.append(sa.func.abs(INCIDENTS.c.impact) >= wanted.minimum_impact)
    if wanted.suppressed is not None:
        found.append(INCIDENTS.c.is_suppressed == wanted.suppressed)
    return found


def _cursor(last: Incident, wanted: IncidentFilter) -> str:
    text = json.dumps([time_text(last.start), last.id, wanted.digest()], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, wanted: IncidentFilter) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        start, after, digest = json.loads(text)
        found = moment(start), plain(after)
        after.encode()
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error):
        raise InputError("cursor is not one of ours", field="cursor", got=cursor[:100], allowed="next_cursor of the page before") from None
    if digest != wanted.digest():
        raise InputError(
            "cursor belongs to a list with another filter", field="cursor", got=cursor[:100], allowed="the same filter as the page before"
        )
    return found


def _etag(page: Sequence[Incident], following: str | None) -> str:
    text = json.dumps([[incident.as_dict() for incident in page], following], sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
