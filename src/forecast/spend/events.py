"""Planned events: a launch, a campaign, a migration, a price change, a freeze; how large it will be, and how sure that is.

An event acts on the spend of a scope from its start on: as a factor, as money in total, or as money a day. `acting_days` says how much of
each period it acts, `draws` how large it turns out on each simulated path. One event has one draw a path, common to all series, from a seed
of its own: what one event draws does not depend on which other events there are.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import PlanError
from forecast.spend.scope import Scope

Floats = NDArray[np.float64]

TYPES = ("launch", "campaign", "migration", "price_change", "freeze", "other")
FACTOR, MONEY, MONEY_PER_DAY = "factor", "money", "money_per_day"
KINDS = (FACTOR, MONEY, MONEY_PER_DAY)

LARGEST_FACTOR = 1000.0
LARGEST_MONEY = 1e15
MOST_RAMP_DAYS = 3660
P90 = 1.2815515655446004
"""Standard normal quantile of 0.9: low and high are the 10 % and 90 % quantiles."""
LEARNT_DAYS = 28
"""Days in full effect after which the bills, and no longer the plan, say how large an event is."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_STREAM = 5
"""Of the seed: events draw beside the forecaster inside and the schedules, whose paths stay what they are."""
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")


@dataclass(frozen=True)
class Effect:
    """How large an event is.

    kind : "factor" multiplies the scope's spend; "money" is a total over the event's days; "money_per_day" is money of each day.
    expected : as likely to be exceeded as not. low, high : exceeded nine times and once in ten; equal to expected where nothing is said.
    """

    kind: str
    expected: float
    low: float = math.nan
    high: float = math.nan

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if isinstance(value := getattr(self, name), float) and math.isnan(value):
                object.__setattr__(self, name, self.expected)
        if self.kind not in KINDS:
            raise PlanError(f"effect {self.kind!r} is not one that is known", field="effect", got=self.kind, allowed=", ".join(KINDS))
        least, most = (0.0, LARGEST_FACTOR) if self.kind == FACTOR else (-LARGEST_MONEY, LARGEST_MONEY)
        for name in ("expected", "low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                allowed = f"a number from {least:g} to {most:g}"
                raise PlanError(f"effect.{name}: got {value!r}, allowed is {allowed}", field=f"effect.{name}", got=str(value), allowed=allowed)
            object.__setattr__(self, name, float(value))
        if not self.low <= self.expected <= self.high:
            raise PlanError(
                f"effect: low {self.low:g}, expected {self.expected:g} and high {self.high:g} are not in this order",
                field="effect",
                got=[self.low, self.expected, self.high],
                allowed="low at most expected, expected at most high",
            )
        if self.kind == FACTOR and self.low == 0.0 < self.high:
            raise PlanError(
                "effect: an uncertain factor cannot be nothing", field="effect.low", got=0.0, allowed="low above 0, or 0 for all three (a shutdown)"
            )

    @property
    def is_certain(self) -> bool:
        return self.low == self.high

    @property
    def is_neutral(self) -> bool:
        """Whether it certainly changes nothing."""
        return self.is_certain and self.expected == (1.0 if self.kind == FACTOR else 0.0)

    def as_dict(self) -> dict[str, float]:
        """As a person writes it: `{"factor": 2.0, "low": 1.5, "high": 3.0}`."""
        return {self.kind: self.expected, **({} if self.is_certain else {"low": self.low, "high": self.high})}


@dataclass(frozen=True)
class PlannedEvent:
    """One planned event, on the days [start, end) of `scope`; without an end it lasts.

    announced : from which day on it was known: a backtest from an earlier cutoff does not see it. ramp_days : it grows in equal daily parts
    to its full size over so many days; 0 or 1 is at once. currency : of money, None is the ledger's.
    """

    id: str
    name: str
    type: str
    start: date
    end: date | None
    scope: Scope
    effect: Effect
    announced: date
    ramp_days: int = 0
    currency: str | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise PlanError(
                f"Event id {self.id!r} is not one",
                field="id",
                got=self.id,
                allowed="1 to 100 letters, digits, '.', '_', '-', starting with a letter or digit",
            )
        if self.type not in TYPES:
            raise self._wrong("type", self.type, f"type {self.type!r} is not one that is known", ", ".join(TYPES))
        if self.end is not None and self.end <= self.start:
            raise self._wrong(
                "end", str(self.end), f"it is reversed or empty: start {self.start}, end {self.end} (exclusive)", f"a day after {self.start}, or none"
            )
        if self.effect.kind == MONEY and self.end is None:
            raise self._wrong("end", None, "money in total needs an end", "a day, or an effect of money_per_day for one that lasts")
        most = MOST_RAMP_DAYS if self.end is None else (self.end - self.start).days
        if isinstance(self.ramp_days, bool) or not isinstance(self.ramp_days, int) or not 0 <= self.ramp_days <= most:
            raise self._wrong("ramp_days", self.ramp_days, f"ramp_days {self.ramp_days!r} do not fit into it", f"0 to {most} whole days")
        if self.currency is not None and not _CURRENCY.fullmatch(self.currency):
            raise self._wrong("currency", self.currency, f"currency {self.currency!r} is not a code", "three capital letters such as USD")

    def _wrong(self, field: str, got: Any, problem: str, allowed: str) -> PlanError:
        return PlanError(f"Event {self.id}: {problem}", field=field, got=got, allowed=allowed)

    @property
    def lasts(self) -> bool:
        return self.end is None

    @property
    def days(self) -> float:
        """Days of full effect that make up the whole event; infinite where it lasts."""
        return math.inf if self.end is None else float(self._acted(np.array([(self.end - self.start).days], dtype=np.float64))[0])

    def acting_days(self, starts: NDArray[np.datetime64], ends: NDArray[np.datetime64]) -> Floats:
        """Days of full effect within each period [start, end): its length where the event acts in full, 0 outside, less while it ramps in."""
        return np.asarray(self._acted(self._since(ends)) - self._acted(self._since(starts)), dtype=np.float64)

    def full_days(self, until: NDArray[np.datetime64] | np.datetime64) -> Floats:
        """Days in full effect before the moment `until`."""
        return np.maximum(self._since(np.asarray(until)) - (max(self.ramp_days, 1) - 1), 0.0)

    def belief(self, until: NDArray[np.datetime64] | np.datetime64) -> Floats:
        """How much the plan still says at `until` beside the bills: 1 before a day in full effect is known, 0 after `LEARNT_DAYS` of them."""
        return np.clip(1.0 - self.full_days(until) / LEARNT_DAYS, 0.0, 1.0)

    def _since(self, moments: NDArray[np.datetime64]) -> Floats:
        """Days from the start to each moment, held inside the event."""
        days = (moments.astype("datetime64[us]") - np.datetime64(self.start, "us")).astype(np.float64) / _DAY
        return np.clip(days, 0.0, math.inf if self.end is None else float((self.end - self.start).days))

    def _acted(self, days: Floats) -> Floats:
        """Days of full effect in the first `days` days."""
        ramp = float(max(self.ramp_days, 1))
        whole = np.floor(days)
        within = np.minimum(whole, ramp)
        reached = np.minimum((whole + 1.0) / ramp, 1.0)
        return np.asarray(within * (within + 1.0) / (2.0 * ramp) + (whole - within) + (days - whole) * reached, dtype=np.float64)

    def draws(self, n_paths: int, seed: int) -> Floats:
        """(n_paths,) how large the event turns out: a split log-normal of factors, a split normal of money, through low, expected and high."""
        effect = self.effect
        if effect.is_certain:
            return np.full(n_paths, effect.expected)
        key = int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:8], "big")
        z = np.random.default_rng(np.random.SeedSequence([int(seed), _STREAM, key])).standard_normal(n_paths) / P90
        if effect.kind == FACTOR:
            below, above = math.log(effect.expected / effect.low), math.log(effect.high / effect.expected)
            return np.asarray(effect.expected * np.exp(z * np.where(z < 0.0, below, above)))
        return np.asarray(effect.expected + z * np.where(z < 0.0, effect.expected - effect.low, effect.high - effect.expected))


def in_order(events: tuple[PlannedEvent, ...] | list[PlannedEvent]) -> list[PlannedEvent]:
    """The order in which events act: by start, then by id, factors before money. PlanError where two have one id."""
    found = sorted(events, key=lambda event: (event.effect.kind != FACTOR, event.start, event.id))
    seen: set[str] = set()
    for event in found:
        if event.id in seen:
            raise PlanError(f"Two events have the id {event.id!r}", field="id", got=event.id, allowed="each id once")
        seen.add(event.id)
    return found


def describe(event: PlannedEvent) -> dict[str, Any]:
    """Plain data, as over HTTP, on the command line and in a snapshot."""
    return {
        "id": event.id,
        "name": event.name,
        "type": event.type,
        "start": event.start.isoformat(),
        "end": None if event.end is None else event.end.isoformat(),
        "scope": str(event.scope),
        "effect": event.effect.as_dict(),
        "ramp_days": event.ramp_days,
        "currency": event.currency,
        "announced": event.announced.isoformat(),
    }
