"""Levers that planners pull, chosen for a generated company by what it spent in its last eight weeks: for `benchmarks/scenarios.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecast.company import organisation
from forecast.company.catalogue import LLM_SERVICES
from forecast.company.stretch import Streams
from forecast.company.token_meters import METERS
from forecast.snapshot import Snapshot
from forecast.spend.dimensions import LEAF_DIMENSIONS, UNKNOWN
from forecast.spend.scope import Scope

UP, DOWN, PRICE, MOVE = "scale_up", "scale_down", "change_price", "move_share"
TOKENS, GPUS, FIXED, MIXED = "tokens", "gpus", "fixed", "mixed"
LOOKED_BACK = 28
"""Days of spend that the rule of thumb goes on with."""
MOVED = 0.5
OWN_OF_FIXED = "licence"
PARTLY_FIXED = ("vector_store", "on_premises")
GPU_KINDS = ("gpu_serving", "gpu_training", "gpu_notebooks")


@dataclass(frozen=True)
class Case:
    """One lever. lever, spend : kind of lever and of spend, as results are grouped. what : which law of the company it touches.

    scope : what the lever is about. factor : what the rule of thumb multiplies the scope's spend with. to : AI model that usage moves to.
    """

    lever: str
    spend: str
    what: str
    scope: str
    factor: float
    to: str = ""

    @property
    def id(self) -> str:
        """Names the case within its company."""
        return "|".join((self.lever, self.scope, self.to or f"{self.factor:g}"))

    def plan(self, start: str) -> dict[str, Any]:
        """The lever as it stands in a plan."""
        if self.lever == MOVE:
            return {"type": MOVE, "scope": self.scope, "to": f"ai_model={self.to}", "share": MOVED, "from": start}
        return {"type": PRICE if self.lever == PRICE else "scale_usage", "scope": self.scope, "factor": self.factor, "from": start}


def spend_of(snapshot: Snapshot) -> pd.DataFrame:
    """Columns of LEAF_DIMENSIONS, ai_model, cost and tokens of the last 28 days, and long_cost of all days that a snapshot keeps below its leaves."""
    recent = snapshot.recent
    late = recent["ds"] > pd.Timestamp(snapshot.cutoff) - pd.Timedelta(days=LOOKED_BACK)
    tokens = late & recent["meter"].isin([name for name, _ in METERS])
    values = {"cost": recent["cost"].where(late, 0.0), "tokens": recent["quantity"].where(tokens, 0.0), "long_cost": recent["cost"]}
    by = recent.assign(**values).groupby(["leaf", "ai_model"], as_index=False)[list(values)].sum()
    leaves = snapshot.hierarchy.leaves.reset_index(drop=True)
    return pd.concat([leaves.loc[by["leaf"], list(LEAF_DIMENSIONS)].reset_index(drop=True), by.drop(columns="leaf")], axis=1)


def spend_in(spend: pd.DataFrame, scope: str) -> float:
    """Money of the last 28 days in a scope. spend : what `spend_of` gives."""
    inside = pd.Series(data=True, index=spend.index)
    for clause in Scope.parse(scope).clauses:
        inside &= spend[clause.dimension].isin(clause.values) != clause.exclude
    return float(spend.loc[inside, "cost"].sum())


def cases_of(seed: int, spend: pd.DataFrame, days: int, teams: int) -> list[Case]:
    """The company's cases, each once: the largest workloads, teams, vendors and AI models of each kind of spend."""
    kind = {leaf.key: str(leaf.kind) for leaf in organisation.found(Streams(seed), days, teams).leaves}
    keys = spend[list(LEAF_DIMENSIONS)].replace(UNKNOWN, "").itertuples(index=False)
    table = spend.assign(kind=[kind.get(tuple(key), "central") for key in keys])
    found = [*_tokens(table), *_gpus(table), *_fixed(table), *_mixed(table)]
    return list({case.id: case for case in found}.values())


def _largest(table: pd.DataFrame, kinds: Sequence[str], by: Sequence[str], most: int) -> list[str]:
    """Scopes of the largest groups of some kinds of spend, the largest first."""
    sums = table[table["kind"].isin(kinds)].groupby(list(by))["long_cost"].sum().sort_values(ascending=False, kind="stable")
    return [_scope(dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))) for key in sums[sums > 0].index[:most]]


def _scope(values: Mapping[str, str]) -> str:
    return str(Scope.parse(dict(values)))


def _scaled(spend: str, what: str, scopes: Sequence[str], factors: Sequence[tuple[float, ...]]) -> Iterator[Case]:
    for scope, own in zip(scopes, factors, strict=False):
        for factor in own:
            yield Case(UP if factor > 1.0 else DOWN, spend, what, scope, factor)


def _tokens(table: pd.DataFrame) -> Iterator[Case]:
    place = ("service", "team", "workload")
    yield from _scaled(TOKENS, "product", _largest(table, ["api_demand"], place, 2), ((2.0, 0.5), (1.5, 0.25)))
    yield from _scaled(TOKENS, "people", _largest(table, ["developer_use"], place, 1), ((2.0, 0.5),))
    used = table[table["service"].isin(LLM_SERVICES.values()) & (table["tokens"] > 0) & (table["cost"] > 0)]
    vendors = _largest(used, used["kind"].unique().tolist(), ("service",), 3)
    yield from (Case(PRICE, TOKENS, "vendor", scope, factor) for factor, scope in zip((0.8, 1.25), vendors, strict=False))
    for scope, dearer in zip(vendors, (False, True, False), strict=False):
        yield from _moves(used[used["service"] == scope.removeprefix("service=")], dearer)


def _moves(used: pd.DataFrame, dearer: bool) -> Iterator[Case]:
    """Half of a vendor's most used AI model to the one in use that is cheapest, or to the most used one that is dearer; in the company and a team.

    The rule of thumb reads what a token of each costs off the last 28 days' bill.
    """
    sums = used.groupby("ai_model")[["cost", "tokens", "long_cost"]].sum().sort_values("long_cost", ascending=False, kind="stable")
    sums = sums[sums["cost"] > 0.01 * sums["cost"].sum()]
    price = sums["cost"] / sums["tokens"]
    for source in sums.index:
        others = [name for name in sums.index if name != source and (price[name] > price[source]) == dearer]
        if others:
            target = others[0] if dearer else min(others, key=lambda name: float(price[name]))
            factor = 1.0 + MOVED * (float(price[target] / price[source]) - 1.0)
            own = used[used["ai_model"] == source]
            team = str(own.groupby("team")["cost"].sum().idxmax())
            service = str(used["service"].iloc[0])
            for values in ({"service": service}, {"service": service, "team": team}):
                yield Case(MOVE, TOKENS, "dearer" if dearer else "cheaper", _scope({**values, "ai_model": str(source)}), factor, str(target))
            return


def _gpus(table: pd.DataFrame) -> Iterator[Case]:
    place = ("service", "team", "workload")
    yield from _scaled(GPUS, "serving", _largest(table, ["gpu_serving"], place, 2), ((2.0, 0.5), (1.5, 0.25)))
    yield from _scaled(GPUS, "training", _largest(table, ["gpu_training"], place, 1), ((2.0, 0.5),))
    yield from _scaled(GPUS, "notebooks", _largest(table, ["gpu_notebooks"], place, 1), ((2.0, 0.5),))
    for factor, scope in zip((0.85, 1.2), _largest(table, GPU_KINDS, ("service",), 2), strict=False):
        yield Case(PRICE, GPUS, "cloud", scope, factor)


def _fixed(table: pd.DataFrame) -> Iterator[Case]:
    licences = _largest(table, [OWN_OF_FIXED], ("service",), 1)
    yield from _scaled(FIXED, "licences", licences, ((2.0, 0.5),))
    yield from (Case(PRICE, FIXED, "licences", scope, 1.2) for scope in licences)
    for kind in PARTLY_FIXED:
        scopes = _largest(table, [kind], ("service", "team", "workload"), 1)
        yield from _scaled(FIXED, kind, scopes, ((2.0, 0.5),))
        yield from (Case(PRICE, FIXED, kind, scope, 1.2) for scope in scopes)


def _mixed(table: pd.DataFrame) -> Iterator[Case]:
    teams = _largest(table[table["team"] != UNKNOWN], table["kind"].unique().tolist(), ("team",), 3)
    yield from _scaled(MIXED, "team", teams[::2], ((2.0, 0.5), (1.5, 0.25)))
    yield from _scaled(MIXED, "production", [_scope({"stage": "prod"})], ((1.5, 0.5),))
