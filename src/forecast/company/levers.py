"""A lever pulled in a simulated future: the truth that a what-if answer is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd

from forecast.company.catalogue import FAMILIES, FAMILIES_OF
from forecast.company.keys import require_known, selected
from forecast.company.organisation import Leaf
from forecast.company.span import Floats, Span
from forecast.errors import InputError
from forecast.spend.scope import Scope

LeverKind = Literal["scale_usage", "change_price", "move_share", "switch_off"]
KINDS: tuple[LeverKind, ...] = ("scale_usage", "change_price", "move_share", "switch_off")
LEAF_DIMENSIONS = ("provider", "service", "team", "stage", "workload")
MODELS = {model.id: (number, generation) for number, family in enumerate(FAMILIES) for generation, model in enumerate(family.models)}


@dataclass(frozen=True)
class Lever:
    """One change of the future on days [start, end); `end` None means for good.

    scale_usage : demand of the scope × `factor`; what it costs follows from the process (tokens in proportion, GPU pools in steps,
    seats, storage and commitments not at all). change_price : unit prices of the scope × `factor`. move_share : part `factor` of
    the tokens on AI model `source` goes to `target` of the same vendor (in a plan: scope `ai_model=…` and `to`). switch_off :
    nothing is used in the scope.
    """

    kind: LeverKind
    scope: Scope
    start: date
    end: date | None = None
    factor: float = 0.0
    source: str = ""
    target: str = ""

    @classmethod
    def parse(cls, raw: Lever | Mapping[str, Any], position: int) -> Lever:
        """From the names of a what-if plan: type, scope, factor (or share), from, until, to; source and target name AI models as well."""
        if isinstance(raw, Lever):
            return raw
        where = f"levers[{position}]"
        unknown = set(raw) - {"type", "scope", "factor", "share", "from", "until", "source", "target", "to"}
        if unknown:
            raise _bad(where, sorted(unknown), "type, scope, factor, share, from, until, source, target, to")
        kind = raw.get("type")
        if kind not in KINDS:
            raise _bad(f"{where}.type", kind, ", ".join(KINDS))
        scope = Scope.parse(raw.get("scope", ""))
        factor = raw.get("share" if kind == "move_share" else "factor", 0.0)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0.0 <= factor < 1e6 or (kind == "move_share" and factor > 1.0):
            raise _bad(f"{where}.factor", factor, "a number from 0 to 1 for a share, else from 0 to 1,000,000")
        start, until = _day(raw.get("from"), f"{where}.from"), raw.get("until")
        end = None if until is None else _day(until, f"{where}.until")
        if end is not None and end <= start:
            raise _bad(f"{where}.until", until, "a day after from")
        source = raw.get("source", "")
        if kind == "move_share" and not source:
            source = next((clause.values[0] for clause in scope.clauses if clause.dimension == "ai_model" and len(clause.values) == 1), "")
            scope = Scope(tuple(clause for clause in scope.clauses if clause.dimension != "ai_model"))
        models = [str(name).removeprefix("ai_model=") for name in (source, raw.get("target", raw.get("to", "")))]
        if kind == "move_share":
            for side, model in zip(("source", "target"), models, strict=True):
                if model not in MODELS:
                    raise _bad(f"{where}.{side}", raw.get(side), "an AI model of the catalogue: " + ", ".join(MODELS))
            if FAMILIES[MODELS[models[0]][0]].provider != FAMILIES[MODELS[models[1]][0]].provider:
                raise _bad(f"{where}.target", raw.get("target"), "an AI model of the same vendor as the source")
        return cls(kind, scope, start, end, float(factor), *models)

    def days(self, span: Span) -> Floats:
        """1 on the lever's days of a span, else 0; (days,)."""
        dates = span.dates
        during = dates >= np.datetime64(self.start)
        if self.end is not None:
            during &= dates < np.datetime64(self.end)
        return during.astype(np.float64)


def require_scopes(levers: Sequence[Lever], leaves: Sequence[Leaf]) -> None:
    """InputError where a lever's scope names a value or dimension that no leaf has."""
    keys = _keys(leaves)
    for lever in levers:
        selected(lever.scope, keys)
        require_known(lever.scope, keys)


def _hits(lever: Lever, leaves: Sequence[Leaf]) -> Floats:
    """Which leaves a lever's scope contains, (n,); a scope is over the leaf dimensions, project and region."""
    return selected(lever.scope, _keys(leaves)).astype(np.float64)


def _keys(leaves: Sequence[Leaf]) -> pd.DataFrame:
    return pd.DataFrame([{**leaf.scope(), "project": leaf.project, "region": leaf.region.id} for leaf in leaves])


def demand_factors(levers: Sequence[Lever], leaves: Sequence[Leaf], span: Span) -> Floats:
    """What levers multiply the demand of each leaf with, (days, 1, n)."""
    found = np.ones((span.days, 1, len(leaves)))
    for lever in levers:
        if lever.kind in ("scale_usage", "switch_off"):
            change = (lever.factor if lever.kind == "scale_usage" else 0.0) - 1.0
            found *= 1.0 + change * lever.days(span)[:, None, None] * _hits(lever, leaves)
    return found


def price_factors(levers: Sequence[Lever], leaves: Sequence[Leaf], span: Span) -> Floats:
    """What levers multiply the unit prices of each leaf with, (days, 1, n)."""
    found = np.ones((span.days, 1, len(leaves)))
    for lever in levers:
        if lever.kind == "change_price":
            found *= 1.0 + (lever.factor - 1.0) * lever.days(span)[:, None, None] * _hits(lever, leaves)
    return found


def moves(levers: Sequence[Lever], leaves: Sequence[Leaf], span: Span) -> list[tuple[tuple[int, int], tuple[int, int], Floats]]:
    """Moves between AI models: (slot, generation) of source and target within the vendor, and the share moved, (days, 1, n)."""
    found = []
    for lever in levers:
        if lever.kind == "move_share":
            (source, old), (target, new) = MODELS[lever.source], MODELS[lever.target]
            vendor = FAMILIES[source].provider
            slots = FAMILIES_OF[vendor]
            share = lever.factor * lever.days(span)[:, None, None] * _hits(lever, leaves)
            share = share * np.array([leaf.provider == vendor for leaf in leaves])
            found.append(((slots.index(source), old), (slots.index(target), new), share))
    return found


def _day(value: object, field: str) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise _bad(field, value, "a day as YYYY-MM-DD") from None


def _bad(field: str, got: object, allowed: str) -> InputError:
    return InputError(f"Company cannot be generated: {field} is {got!r}; allowed is {allowed}.", field=field, got=got, allowed=allowed)
