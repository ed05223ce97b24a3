"""The law of incidents: when they come, of which kind, to whom, how long and how large. One law for what happened and what may happen.

Arrivals are a Poisson process in time. Kind, victim and size are drawn at the start from what was usual in the RECENT_DAYS before it
(costs without incidents), so an incident depends on nothing that comes later, and on no other incident. Each has its own random
stream by its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from forecast.company.lines import ChargeLines
from forecast.company.organisation import Kind, Organisation
from forecast.company.span import Floats, Integers
from forecast.company.stretch import Streams

IncidentKind = Literal[
    "runaway_loop",
    "leaked_key",
    "forgotten_cluster",
    "retry_storm",
    "creeping_growth",
    "usage_drop",
    "price_error",
    "double_billing",
    "missing_data",
]
KINDS: tuple[IncidentKind, ...] = get_args(IncidentKind)
BILLING: tuple[IncidentKind, ...] = ("price_error", "double_billing", "missing_data")
"""Faults of the bill, not of use."""

INCIDENTS_A_MONTH = 0.8
"""In a company of REFERENCE_TEAMS teams; a larger one has more with the square root of its teams, because it also has more control."""
REFERENCE_TEAMS = 8
MONTH_DAYS = 365.25 / 12.0
QUIET_DAYS = 20
"""No incident in the first days: nobody could know what is normal."""
RECENT_DAYS = 28

SUBTLE_SHARE = 1.0 / 3.0
SUBTLE_MULTIPLE = (1.3, 1.8)
LARGEST_MULTIPLE = 50.0
MONEY_SHARE, MONEY_SPREAD = 0.08, 0.8
"""Median and log standard deviation of what a full day of an incident costs, as a share of the company's usual day."""
CREEP = (0.02, 0.05)
LOST = (0.85, 0.99)
SPREAD_SHARE = 0.35
SPREAD_KEYS = (20, 40)


@dataclass(frozen=True)
class Law:
    """strikes : kinds of leaves that it happens to. days : shortest and longest. active : victims had a cost on at least so many of
    the recent days. multiple : least and greatest of the usual day where it is not subtle. plain, subtle : weights among the others."""

    strikes: tuple[Kind, ...]
    days: tuple[int, int]
    active: int
    multiple: tuple[float, float]
    plain: float
    subtle: float


_SERVICES: tuple[Kind, ...] = ("gpu_serving", "gpu_notebooks", "vector_store", "managed_ml", "egress")
_ANY: tuple[Kind, ...] = ("api_demand", "developer_use", "evaluation_runs", "gpu_training", "on_premises", *_SERVICES)
LAWS: dict[IncidentKind, Law] = {
    "runaway_loop": Law(("developer_use", "evaluation_runs", "api_demand"), (1, 4), 5, (1.8, LARGEST_MULTIPLE), 1.5, 1.0),
    "leaked_key": Law(("api_demand", "developer_use"), (2, 7), 5, (1.8, LARGEST_MULTIPLE), 1.5, 1.0),
    "forgotten_cluster": Law(("gpu_training", "gpu_notebooks"), (6, 25), 5, (1.8, LARGEST_MULTIPLE), 1.2, 1.0),
    "retry_storm": Law(("api_demand", "evaluation_runs"), (1, 5), 20, (1.8, 6.0), 1.0, 1.0),
    "creeping_growth": Law(("api_demand", "developer_use", *_SERVICES), (15, 40), 18, (1.0, 1.0), 0.0, 2.0),
    "usage_drop": Law(("api_demand", "gpu_serving"), (1, 3), 24, (0.0, 0.0), 1.0, 0.0),
    "price_error": Law(("api_demand", *_SERVICES), (2, 12), 24, (2.0, 10.0), 0.8, 0.8),
    "double_billing": Law(_ANY, (1, 2), 24, (2.0, 2.0), 0.8, 0.0),
    "missing_data": Law(_ANY, (1, 2), 24, (0.0, 0.0), 1.0, 0.0),
}


@dataclass(frozen=True, eq=False)
class Recent:
    """What is usual before a day: USD a day and part of the days with a cost, each (leaves,)."""

    usual: Floats
    active: Floats

    @classmethod
    def before(cls, leaf_cost: Floats, day: int) -> Recent:
        """leaf_cost : (leaves, days) USD without incidents."""
        window = leaf_cost[:, max(0, day - RECENT_DAYS) : day]
        return cls(window.mean(axis=1), (window > 0.0).mean(axis=1))


@dataclass(frozen=True, eq=False)
class Draft:
    """One incident as the law says it, on the days [first_day, first_day + len(added)), whatever the bill will be on them.

    leaves : positions of the leaves that it hits. added : (days,) USD that come on top. factor : (days,) what the cost of the
    leaves is multiplied with. keys : number of new resources. name : of its random stream.
    """

    number: int
    kind: IncidentKind
    subtle: bool
    first_day: int
    leaves: Integers
    added: Floats
    factor: Floats
    keys: int
    name: tuple[str, ...]

    @property
    def end_day(self) -> int:
        return self.first_day + len(self.added)


@dataclass(frozen=True, eq=False)
class IncidentLaw:
    """The law in one company. a_month : expected number a month for REFERENCE_TEAMS teams."""

    organisation: Organisation
    streams: Streams
    a_month: float

    @property
    def a_day(self) -> float:
        return self.a_month / MONTH_DAYS * float(np.sqrt(len(self.organisation.teams) / REFERENCE_TEAMS))

    def past(self, leaf_cost: Floats) -> list[Draft]:
        """All incidents that begin within the days of `leaf_cost`, (leaves, days) USD without incidents, in order of their start."""
        found = [
            self._draft(number, day, rng, Recent.before(leaf_cost, day), ("incident", str(number)))
            for number, day, rng in self._arrivals(("incident",), QUIET_DAYS, leaf_cost.shape[1])
        ]
        return [draft for draft in found if draft is not None]

    def future(self, world: int, first_day: int, end_day: int, recent: Recent) -> list[Draft]:
        """Incidents that begin in [first_day, end_day) of one alternative future; `recent` is what is usual at its beginning."""
        names = ("incident", "future", str(world))
        arrivals = self._arrivals(names, max(first_day, QUIET_DAYS), end_day)
        found = [self._draft(number, day, rng, recent, (*names, str(number))) for number, day, rng in arrivals]
        return [draft for draft in found if draft is not None]

    def _arrivals(self, names: tuple[str, ...], first_day: int, end_day: int) -> Iterator[tuple[int, int, np.random.Generator]]:
        """Number, day and random stream of each; waiting times are exponential."""
        if self.a_day <= 0.0:
            return
        moment, number = float(first_day), 0
        while True:
            number += 1
            rng = self.streams.of(*names, str(number))
            moment += rng.standard_exponential() / self.a_day
            if moment >= end_day:
                return
            yield number, int(moment), rng

    def _draft(self, number: int, day: int, rng: np.random.Generator, recent: Recent, name: tuple[str, ...]) -> Draft | None:
        """None where nothing in the company could be hit, as in a bill that has only just begun."""
        subtle = bool(rng.random() < SUBTLE_SHARE)
        weights = np.array([law.subtle if subtle else law.plain for law in LAWS.values()])
        # Exponential clocks: the first to ring has the right chance, and the others are in a random order behind it.
        order = np.argsort(rng.standard_exponential(len(weights)) / np.maximum(weights, 1e-12), kind="stable")
        for kind in (KINDS[place] for place in order if weights[place] > 0.0):
            leaves = self._victim(kind, rng, recent, subtle)
            if len(leaves):
                return self._sized(number, kind, day, rng, recent, subtle, leaves, name)
        return None

    def _victim(self, kind: IncidentKind, rng: np.random.Generator, recent: Recent, subtle: bool) -> Integers:
        """Positions of the leaves that are hit; none where no leaf is eligible."""
        law = LAWS[kind]
        choice = rng.random()
        alive = (recent.active >= law.active / RECENT_DAYS - 1e-9) & (recent.usual > 0.0)
        eligible = self._of_kind[kind][alive[self._of_kind[kind]]]
        if not len(eligible):
            return eligible
        if kind == "leaked_key" and choice < SPREAD_SHARE:
            groups = self._spreads(recent)
        elif kind == "double_billing":
            groups = self._accounts if choice < 0.4 else []
        elif kind == "missing_data":
            groups = self._providers if choice < 0.3 else self._accounts
        else:
            groups = []
        groups = [members for members in groups if alive[members].any()]
        if groups:
            size = np.array([recent.usual[members].sum() for members in groups])
            return groups[_pick(rng, size if kind in BILLING else size**0.5)]
        # Small things go wrong where nobody looks, subtle ones where there is much to hide in, faults of the bill wherever there is a bill.
        hidden = subtle or kind in BILLING or kind == "usage_drop"
        weight = recent.usual[eligible] if hidden else recent.usual[eligible] ** 0.5
        return eligible[[_pick(rng, weight)]]

    def _sized(
        self,
        number: int,
        kind: IncidentKind,
        day: int,
        rng: np.random.Generator,
        recent: Recent,
        subtle: bool,
        leaves: Integers,
        name: tuple[str, ...],
    ) -> Draft:
        """Money first: what a full day costs, as a share of the company's usual day; then what multiple of the victim's day that is."""
        law = LAWS[kind]
        length = int(rng.integers(law.days[0], law.days[1] + 1))
        usual = float(recent.usual[leaves].sum())
        money = float(recent.usual.sum()) * MONEY_SHARE * float(np.exp(MONEY_SPREAD * rng.standard_normal()))
        drawn = rng.uniform(*SUBTLE_MULTIPLE)
        multiple = float(drawn) if subtle else float(np.clip(1.0 + money / usual, *law.multiple))
        begin, finish = rng.uniform(0.3, 0.9), rng.uniform(0.2, 1.0)
        shape = np.ones(length)
        if kind not in BILLING:
            # Nothing begins or ends at midnight.
            shape[0] = begin
            if length > 1:
                shape[-1] = finish
        added: Floats = np.zeros(length)
        factor: Floats = np.ones(length)
        if kind in ("runaway_loop", "leaked_key"):
            added = (multiple - 1.0) * usual * shape * np.exp(0.15 * rng.standard_normal(length))
        elif kind == "forgotten_cluster":
            added = (multiple - 1.0) * usual * shape
        elif kind == "creeping_growth":
            factor = np.power(1.0 + rng.uniform(*CREEP), np.arange(1, length + 1))
        elif kind == "usage_drop":
            factor = 1.0 - rng.uniform(*LOST) * shape
        elif kind == "price_error":
            factor = np.full(length, round(multiple, 1))
        else:
            factor = 1.0 + (multiple - 1.0) * shape
        keys = {"leaked_key": 1, "forgotten_cluster": 1}.get(kind, 0)
        if kind == "leaked_key" and len(leaves) > 1:
            keys = int(rng.integers(SPREAD_KEYS[0], SPREAD_KEYS[1] + 1))
        return Draft(number, kind, subtle, day, leaves, added, factor, keys, name)

    @cached_property
    def _of_kind(self) -> dict[IncidentKind, Integers]:
        return {kind: np.array(self.organisation.of_kind(*law.strikes), dtype=np.int64) for kind, law in LAWS.items()}

    @cached_property
    def _providers(self) -> list[Integers]:
        """Leaves by provider, its taxes and credits included."""
        return self._grouped(range(len(self.organisation.leaves)), ("provider",))

    @cached_property
    def _accounts(self) -> list[Integers]:
        """Leaves by provider and team."""
        return self._grouped([index for index, leaf in enumerate(self.organisation.leaves) if leaf.team], ("provider", "team"))

    @cached_property
    def _keyed(self) -> list[Integers]:
        """Leaves with keys by provider, service and team."""
        return self._grouped(self.organisation.of_kind(*LAWS["leaked_key"].strikes), ("provider", "service", "team"))

    def _spreads(self, recent: Recent) -> list[Integers]:
        """Leaves in use of teams that have keys for several workloads and stages at one service: nothing smaller contains them."""
        leaves = self.organisation.leaves
        used = [members[recent.usual[members] > 0.0] for members in self._keyed]
        return [one for one in used if all(len({getattr(leaves[index], name) for index in one}) > 1 for name in ("workload", "stage"))]

    def _grouped(self, positions: Sequence[int], names: tuple[str, ...]) -> list[Integers]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for index in positions:
            groups.setdefault(tuple(getattr(self.organisation.leaves[index], name) for name in names), []).append(index)
        return [np.array(members, dtype=np.int64) for members in groups.values()]


def leaf_costs(lines: ChargeLines, cost: Floats, organisation: Organisation) -> Floats:
    """(leaves, days) USD from (days, lines)."""
    leaf = lines.attributes["leaf"].to_numpy(dtype=np.int64)
    order = np.argsort(leaf, kind="stable")
    present, starts = np.unique(leaf[order], return_index=True)
    found = np.zeros((len(organisation.leaves), len(cost)))
    found[present] = np.add.reduceat(cost[:, order], starts, axis=1).T
    return found


def _pick(rng: np.random.Generator, weight: Floats) -> int:
    """A position with probability proportional to its weight."""
    edges = np.cumsum(weight)
    return min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(edges) - 1)
