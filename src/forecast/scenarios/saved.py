"""Saved scenarios: a plan under a name that other people can ask for, with every earlier version of it, and what it said when it was run."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from forecast.errors import NotFoundError, PlanError
from forecast.scenarios.values import is_printable, shown

BASE = "base"
"""Stands for the forecast as it is, where no scenario of that id is saved."""
MOST_COMPARED = 10
MOST_PLAN_BYTES = 256 * 1024
LONGEST_NOTE = 1_000
LONGEST_NAME = 200

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class SavedScenario:
    """One version of a saved scenario.

    version : 1 for the first; latest : the newest there is. plan : the plan as it was written (JSON data), read anew whenever it is run.
    by, note : who saved this version, and why. created_at : when the first version was saved, saved_at : this one.
    """

    id: str
    version: int
    latest: int
    name: str
    plan: Mapping[str, Any]
    by: str
    note: str
    created_at: datetime
    saved_at: datetime

    @property
    def digest(self) -> str:
        """Of what the version says; equal content is no new version."""
        return digest_of(self.name, self.plan)

    @property
    def title(self) -> str:
        return self.name or str(self.plan.get("name") or "") or self.id

    def describe(self) -> dict[str, Any]:
        """What answers say of it."""
        return {
            "id": self.id,
            "version": self.version,
            "latest_version": self.latest,
            "name": self.name,
            "plan": dict(self.plan),
            "by": self.by,
            "note": self.note,
            "created_at": self.created_at.isoformat(),
            "saved_at": self.saved_at.isoformat(),
        }


@dataclass(frozen=True)
class ScenarioRun:
    """What a version said on a snapshot; `summary` is JSON data that stays when the snapshot's paths are gone."""

    scenario_id: str
    version: int
    snapshot_id: str
    cutoff: date
    cost: str
    currency: str
    computed_at: datetime
    summary: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """Without the summary."""
        return {
            "version": self.version,
            "snapshot_id": self.snapshot_id,
            "cutoff": self.cutoff.isoformat(),
            "cost": self.cost,
            "currency": self.currency,
            "computed_at": self.computed_at.isoformat(),
        }


def digest_of(name: str, plan: Mapping[str, Any]) -> str:
    """Hex digest of a version's content, the same for the same plan whatever the order of its keys."""
    return hashlib.sha256(json.dumps([name, plan], sort_keys=True).encode()).hexdigest()


def check_scenario_id(text: str, field: str = "id") -> str:
    """The id; PlanError for what cannot name a scenario."""
    if not _ID.fullmatch(text):
        raise PlanError(
            f"Scenario {field} {text!r} is not one",
            field=field,
            got=text[:LONGEST_NAME],
            allowed="1 to 100 letters, digits, '.', '_', '-', starting with a letter or digit",
        )
    return text


def check_words(name: str, by: str, note: str) -> None:
    """PlanError for what is said of a version and is too long, or has control characters that would reach somebody's terminal."""
    for field, text, most, besides in (("name", name, LONGEST_NAME, ""), ("by", by, LONGEST_NAME, ""), ("note", note, LONGEST_NOTE, "\n\t")):
        if len(text) > most or not is_printable(text, besides):
            told = f"{field} has {len(text)} characters" if len(text) > most else f"{field} contains a control character: got {shown(text)}"
            raise PlanError(told, field=field, got=shown(text), allowed=f"at most {most} printable characters")


def plan_data(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan as JSON data: days become ISO text. PlanError for what JSON has no word for, and for plans that are too large to keep."""
    found = {str(name): _plain(value, str(name)) for name, value in plan.items()}
    size = len(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    if size > MOST_PLAN_BYTES:
        raise PlanError(f"plan has {size:,} bytes", field="plan", got=size, allowed=f"at most {MOST_PLAN_BYTES:,} bytes")
    return found


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError(f"{where} is not a finite number: got {value}", field=where, got=str(value), allowed="a finite number")
    if value is None or isinstance(value, str | int | float):
        return value
    raise PlanError(f"{where} is a {type(value).__name__}", field=where, got=type(value).__name__, allowed="text, numbers, days, lists and tables")


def no_scenario(scenario_id: str, known: Iterable[str], field: str = "id") -> NotFoundError:
    """The error for an id that is not saved; names the nearest that are."""
    ids = sorted(known)
    nearest = get_close_matches(scenario_id, ids, n=3, cutoff=0.5)
    if nearest:
        hint, allowed = f"; nearest: {', '.join(nearest)}", ", ".join(nearest)
    elif ids:
        hint, allowed = f"; saved are {', '.join(ids[:5])}{' …' if len(ids) > 5 else ''}", ", ".join(ids[:5])
    else:
        hint, allowed = "; none is saved yet", "an id of a saved scenario"
    return NotFoundError(f"No scenario is saved as {scenario_id!r}{hint}", field=field, got=scenario_id, allowed=allowed)


def check_compared(ids: Iterable[str], field: str = "compare_to") -> tuple[str, ...]:
    """Ids of scenarios to compare with; PlanError for one that is named twice and for more than MOST_COMPARED."""
    found = tuple(ids)
    if len(found) > MOST_COMPARED:
        raise PlanError(f"{field} names {len(found)} scenarios", field=field, got=len(found), allowed=f"at most {MOST_COMPARED}")
    for number, scenario_id in enumerate(found):
        check_scenario_id(scenario_id, f"{field}[{number}]")
        if scenario_id in found[:number]:
            raise PlanError(f"{field} names {scenario_id!r} twice", field=f"{field}[{number}]", got=scenario_id, allowed="each scenario once")
    return found
