"""What people say of incidents, and what follows from it: who is no longer told of what, and how often we were right.

Nothing is kept but the list of entries; suppression, minimum impacts and precision are computed from those that stand, so an undo takes every
effect back. Of several entries on one incident the last one that was not undone counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import NormalDist

from forecast.alerts.identity import scope_text
from forecast.alerts.incident import Incident, Suppression
from forecast.alerts.spans import time_text, utc
from forecast.alerts.words import check_name, check_reason
from forecast.errors import InputError

VERDICTS = ("expected", "unexpected", "planned", "too_small")
SUPPRESSING = ("expected", "planned")
USUAL_DAYS = 30.0
"""How long `expected` and `planned` suppress the same fingerprint where nobody says how long."""
MOST_DAYS = 3660.0
MOST_GROWTH = 2.0
"""What costs more than this many times what was seen (a day; for `too_small` in all) is not what was spoken of: people are told again."""


@dataclass(frozen=True)
class Feedback:
    """What somebody said of an incident, with what was known of it then.

    number : its place in the list, counting up. since : start of the incident. until : what `expected` and `planned` hold for begins before it.
    impact, impact_a_day : of the incident when this was said. undone_at : None while the entry stands.
    """

    number: int
    incident_id: str
    verdict: str
    reason: str
    by: str
    at: datetime
    fingerprint: str
    scope: str
    since: datetime
    until: datetime | None
    impact: float
    impact_a_day: float
    currency: str
    undone_at: datetime | None = None
    undone_by: str = ""

    @property
    def stands(self) -> bool:
        return self.undone_at is None

    def as_dict(self) -> dict[str, object]:
        """As answers carry it."""
        return {
            "number": self.number,
            "incident_id": self.incident_id,
            "verdict": self.verdict,
            "reason": self.reason,
            "by": self.by,
            "at": time_text(self.at),
            "until": None if self.until is None else time_text(self.until),
            "undone_at": None if self.undone_at is None else time_text(self.undone_at),
            "undone_by": self.undone_by,
        }


@dataclass(frozen=True)
class Precision:
    """Share of the judged incidents that were worth telling, with its Wilson interval. value, low, high : None before the first feedback."""

    judged: int
    right: int
    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, object]:
        return {"judged": self.judged, "right": self.right, "value": self.value, "low": self.low, "high": self.high}


def feedback_on(
    incident: Incident,
    verdict: str,
    *,
    number: int,
    now: datetime,
    by: str = "",
    reason: str = "",
    until: datetime | None = None,
    days: float | None = None,
) -> Feedback:
    """A new entry.

    until or days (from now) : how long `expected` and `planned` suppress incidents of the same fingerprint; 30 days where neither is said,
    0 days is this incident only. InputError for an unknown verdict, a reason above 2,000 characters, both of them, or a time that is over.
    """
    if verdict not in VERDICTS:
        raise InputError(f"feedback {verdict!r} is none", field="verdict", got=verdict, allowed=", ".join(VERDICTS))
    check_name("by", by)
    check_reason("reason", reason)
    moment = utc(now)
    return Feedback(
        number,
        incident.id,
        verdict,
        reason,
        by,
        moment,
        incident.fingerprint,
        scope_text(incident.scope),
        incident.start,
        _until(verdict, moment, until, days),
        incident.impact,
        incident.impact_a_day,
        incident.currency,
    )


def undone(entry: Feedback, *, now: datetime, by: str = "") -> Feedback:
    """The entry without its effects; once more changes nothing."""
    check_name("by", by)
    return replace(entry, undone_at=utc(now), undone_by=by) if entry.stands else entry


def standing(entries: Iterable[Feedback]) -> dict[str, Feedback]:
    """The entry that counts, by incident."""
    return {entry.incident_id: entry for entry in sorted(entries, key=lambda entry: entry.number) if entry.stands}


def minimum_impacts(entries: Iterable[Feedback]) -> dict[tuple[str, str], float]:
    """(text of the scope, currency) → money: the largest impact there that was called too small. Impacts up to it are not told of."""
    found: dict[tuple[str, str], float] = {}
    for entry in standing(entries).values():
        if entry.verdict == "too_small":
            key = (entry.scope, entry.currency)
            found[key] = max(found.get(key, 0.0), abs(entry.impact))
    return found


def suppression(incident: Incident, entries: Iterable[Feedback]) -> Suppression | None:
    """Which entry keeps people from being told of an incident, None where none does.

    Its own verdict goes first: `unexpected` is always told. Else an `expected` or `planned` of the same fingerprint whose time it begins in, or
    a `too_small` of the same scope, any kind, whose impact it does not exceed.
    """
    counting = standing(entries)
    own = counting.get(incident.id)
    if own is not None:
        return _of(own) if own.verdict != "unexpected" and _is_alike(own, incident) else None
    holding = [entry for entry in counting.values() if _holds_for(entry, incident)]
    return _of(max(holding, key=lambda entry: entry.number)) if holding else None


def applied(incident: Incident, entries: Sequence[Feedback]) -> Incident:
    """The incident with the verdict on it and its suppression as the entries have them now."""
    own = standing(entry for entry in entries if entry.incident_id == incident.id).get(incident.id)
    return replace(incident, feedback=None if own is None else own.verdict, suppressed=suppression(incident, entries))


def precision(entries: Iterable[Feedback], *, coverage: float = 0.95) -> Precision:
    """How often we were right, by the last word on each incident: `unexpected` is right, the others are not."""
    if not 0 < coverage < 1:
        raise InputError(f"coverage is {coverage}", field="coverage", got=coverage, allowed="between 0 and 1")
    verdicts = [entry.verdict for entry in standing(entries).values()]
    judged, right = len(verdicts), verdicts.count("unexpected")
    if not judged:
        return Precision(0, 0, None, None, None)
    low, high = wilson(right, judged, coverage)
    return Precision(judged, right, right / judged, low, high)


def wilson(right: int, judged: int, coverage: float) -> tuple[float, float]:
    """Wilson's score interval of a share; within [0, 1] for any counts."""
    z = NormalDist().inv_cdf(0.5 + coverage / 2)
    share, weight = right / judged, z * z / judged
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / judged + weight / (4 * judged)) / (1 + weight)
    return (0.0 if right == 0 else middle - half), (1.0 if right == judged else middle + half)


def _until(verdict: str, now: datetime, until: datetime | None, days: float | None) -> datetime | None:
    if until is not None and days is not None:
        raise InputError("until and days are both given", field="days", got=days, allowed="until or days")
    if verdict not in SUPPRESSING:
        if until is not None or days is not None:
            raise InputError(f"{verdict} has no time", field="until", got=str(until or days), allowed="until and days go with expected and planned")
        return None
    if until is not None:
        if utc(until) <= now:
            raise InputError(f"until {time_text(until)} is over", field="until", got=time_text(until), allowed=f"later than {time_text(now)}")
        return utc(until)
    length = USUAL_DAYS if days is None else days
    if not 0 <= length <= MOST_DAYS:
        raise InputError(f"days is {length}", field="days", got=str(length), allowed=f"0 to {MOST_DAYS:.0f}")
    return now + timedelta(days=length) if length else None


def _holds_for(entry: Feedback, incident: Incident) -> bool:
    """Whether an entry on another incident suppresses this one."""
    if entry.verdict == "too_small":
        here = (entry.scope, entry.currency) == (scope_text(incident.scope), incident.currency)
        return here and abs(incident.impact) <= abs(entry.impact)
    in_time = entry.until is not None and entry.since <= incident.start < entry.until
    return entry.verdict in SUPPRESSING and in_time and entry.fingerprint == incident.fingerprint and _is_alike(entry, incident)


def _is_alike(entry: Feedback, incident: Incident) -> bool:
    """Whether an incident has not outgrown what was seen when the entry was made."""
    if entry.currency != incident.currency:
        return False
    if entry.verdict == "too_small":
        return abs(incident.impact) <= MOST_GROWTH * abs(entry.impact)
    return abs(incident.impact_a_day) <= MOST_GROWTH * abs(entry.impact_a_day)


def _of(entry: Feedback) -> Suppression:
    return Suppression(entry.number, entry.verdict, entry.until)
