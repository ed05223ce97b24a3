"""An incident: one cause with an identity made of its labels, its money piece by piece, and the history of what happened to it.

A detection is what a detector says now; the incident is what becomes of it (`life_cycle`). Values only: nothing here knows what time it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from forecast.alerts.identity import fingerprint
from forecast.alerts.spans import DAY, Part, moment, span_texts, time_text
from forecast.errors import InputError

KINDS = ("spike", "drop", "level_shift", "creeping_growth", "new_spend", "price_change", "duplicate_billing", "missing_data")
"""Kinds that the detector names; another word of this form is no error."""
DIRECTIONS = ("up", "down")
STATUSES = ("open", "acknowledged", "resolved")
SEVERITIES = ("low", "medium", "high", "critical")
"""The mildest first."""
SEVERITY_PARTS = ((0.5, "critical"), (0.1, "high"), (0.03, "medium"))
"""Impact as part of a month of expected spend; the same steps as `anomalies.incidents`, which this package may not import (a test compares)."""
MONTH_DAYS = 30.0

_KIND = re.compile(r"[a-z][a-z_]{0,31}")


@dataclass(frozen=True)
class Detection:
    """What a detector says of one cause now.

    scope : dimension → value (several are joined by `|`, a bar or backslash inside one has a backslash before it; a dimension that is excluded
    ends in `!`); empty is the whole company. parts : its days or hours, apart from one another. p_value : of the strangest of them.
    root_causes : as answers show them, ranked.
    """

    kind: str
    direction: str
    scope: Mapping[str, str]
    parts: tuple[Part, ...]
    p_value: float
    currency: str = "USD"
    root_causes: tuple[Mapping[str, Any], ...] = ()
    sentence: str = ""

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            raise InputError(f"kind {self.kind!r} is none", field="kind", got=self.kind, allowed=", ".join(KINDS))
        if self.direction not in DIRECTIONS:
            raise InputError(f"direction {self.direction!r} is none", field="direction", got=self.direction, allowed="up or down")
        if not 0.0 <= self.p_value <= 1.0:
            raise InputError(f"p_value is no probability: got {self.p_value}", field="p_value", got=str(self.p_value), allowed="0 to 1")
        if not self.parts:
            raise InputError("a detection has no time", field="parts", got=0, allowed="at least one")
        object.__setattr__(self, "scope", dict(sorted(self.scope.items())))
        ordered = tuple(sorted(self.parts, key=lambda part: (part.start, part.end)))
        object.__setattr__(self, "parts", ordered)
        for first, second in pairwise(ordered):
            if second.start < first.end:
                raise InputError(f"two parts of a detection overlap at {second.start.isoformat()}", field="parts", got=second.start.isoformat())

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any], currency: str = "USD") -> Detection:
        """Read an incident as `POST /v1/anomalies` and `forecast detect` answer it.

        Where it says `parts` ([{start, end, actual, expected}]), money is kept by them; else it is one piece from start to end.
        """
        try:
            pieces = answer.get("parts") or [answer]
            parts = tuple(Part(moment(piece["start"]), moment(piece["end"]), float(piece["actual"]), float(piece["expected"])) for piece in pieces)
            return cls(
                str(answer["kind"]),
                str(answer["direction"]),
                {str(name): str(value) for name, value in answer["scope"].items()},
                parts,
                float(answer["p_value"]),
                str(answer.get("currency") or currency),
                tuple(answer.get("root_causes", ())),
                str(answer.get("sentence", "")),
            )
        except KeyError as missing:
            name = str(missing.args[0])
            raise InputError(f"an incident without {name!r} cannot be kept", field=name, allowed="the shape of an incident") from None

    @property
    def start(self) -> datetime:
        return self.parts[0].start

    @property
    def end(self) -> datetime:
        return max(part.end for part in self.parts)

    @property
    def impact(self) -> float:
        return math.fsum(part.impact for part in self.parts)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.kind, self.direction, self.scope)


@dataclass(frozen=True)
class Transition:
    """What happened to an incident: when, by whom ("forecast": by itself), what, the status after it, and why."""

    at: datetime
    by: str
    event: str
    status: str
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"at": time_text(self.at), "by": self.by, "event": self.event, "status": self.status, "why": self.why}


@dataclass(frozen=True)
class Suppression:
    """Why nobody is told: the feedback entry that says so. until : incidents that begin from then on are told again; None is no such time."""

    feedback: int
    verdict: str
    until: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        return {"feedback": self.feedback, "verdict": self.verdict, "until": None if self.until is None else time_text(self.until)}


@dataclass(frozen=True)
class Incident:
    """One cause with a life cycle; made and changed by the functions of `life_cycle` only.

    first_seen, last_seen : when a detector spoke of it. p_value : smallest so far; last_p_value : of the last detection. explained : size of the
    impact that `root_causes` were found for. reopens_from : strange spend from then on reopens it once it is resolved.
    feedback, suppressed : what `feedback.applied` makes of the entries; None where nobody said anything.
    """

    id: str
    kind: str
    direction: str
    scope: Mapping[str, str]
    currency: str
    status: str
    severity: str
    parts: tuple[Part, ...]
    first_seen: datetime
    last_seen: datetime
    p_value: float
    last_p_value: float
    root_causes: tuple[Mapping[str, Any], ...]
    sentence: str
    explained: float
    history: tuple[Transition, ...] = ()
    reopens_from: datetime | None = None
    feedback: str | None = None
    suppressed: Suppression | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scope", dict(sorted(self.scope.items())))
        object.__setattr__(self, "fingerprint", fingerprint(self.kind, self.direction, self.scope))

    @property
    def dedup_key(self) -> str:
        """The one key by which every receiver knows this incident; a later incident of the same fingerprint has another."""
        return self.id

    @property
    def is_active(self) -> bool:
        return self.status != "resolved"

    @property
    def start(self) -> datetime:
        return self.parts[0].start

    @property
    def end(self) -> datetime:
        return max(part.end for part in self.parts)

    @property
    def actual(self) -> float:
        return math.fsum(part.actual for part in self.parts)

    @property
    def expected(self) -> float:
        return math.fsum(part.expected for part in self.parts)

    @property
    def impact(self) -> float:
        return math.fsum(part.impact for part in self.parts)

    @property
    def impact_percent(self) -> float | None:
        """Impact ÷ |expected| × 100; None where nothing was expected."""
        expected = self.expected
        return 100.0 * self.impact / abs(expected) if expected else None

    @property
    def days(self) -> float:
        """Length of its parts, in days."""
        return sum((part.end - part.start for part in self.parts), timedelta()) / DAY

    @property
    def impact_a_day(self) -> float:
        return self.impact / self.days

    @property
    def largest_day_impact(self) -> float:
        """The impact of the UTC day on which it was largest in the incident's direction; a part of several days counts with its daily mean."""
        by_day: dict[date, float] = {}
        for part in self.parts:
            length = max((part.end - part.start) / DAY, 1.0)
            by_day[part.start.date()] = by_day.get(part.start.date(), 0.0) + part.impact / length
        return max(by_day.values(), key=lambda impact: impact if self.direction == "up" else -impact)

    def as_dict(self, *, history: bool = True) -> dict[str, Any]:
        """As answers carry it: the fields of an incident, and its life. start and end are days where they are midnights, else moments."""
        found: dict[str, Any] = {
            "id": self.id,
            "fingerprint": self.fingerprint,
            "kind": self.kind,
            "status": self.status,
            "direction": self.direction,
            "severity": self.severity,
            "scope": dict(self.scope),
            **span_texts(self.start, self.end),
            "first_seen": time_text(self.first_seen),
            "last_seen": time_text(self.last_seen),
            "currency": self.currency,
            "actual": self.actual,
            "expected": self.expected,
            "impact": self.impact,
            "impact_percent": self.impact_percent,
            "p_value": self.p_value,
            "root_causes": [dict(cause) for cause in self.root_causes],
            "sentence": self.sentence,
            "feedback": self.feedback,
            "suppressed": None if self.suppressed is None else self.suppressed.as_dict(),
        }
        return {**found, "history": [transition.as_dict() for transition in self.history]} if history else found


@dataclass(frozen=True)
class Event:
    """One change of an incident that somebody may be told of. number : its place in the history; incident : as it was right after it, or later."""

    incident: Incident
    number: int

    @property
    def transition(self) -> Transition:
        return self.incident.history[self.number]

    @property
    def id(self) -> str:
        """The same event has the same id, however often it is sent."""
        return f"{self.incident.id}.{self.number}"


def events_since(before: Incident | None, after: Incident) -> list[Event]:
    """What happened to an incident after an earlier state of it, in order; all of it where there was none."""
    return [Event(after, number) for number in range(0 if before is None else len(before.history), len(after.history))]


def severity(impact: float, expected_a_day: float) -> str:
    """low, medium, high or critical, by the impact as part of a month of expected spend; new spend has no month and is high."""
    month = abs(expected_a_day) * MONTH_DAYS
    if month == 0:
        return "high"
    return next((name for least, name in SEVERITY_PARTS if abs(impact) / month >= least), "low")
