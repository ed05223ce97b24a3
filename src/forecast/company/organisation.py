"""Who spends on what: teams of very different size, their workloads, and the leaves of the company's bill.

Nothing here moves in time. A leaf is one (provider, service, team, stage, workload) with the law it follows (`kind`), its
expected mean daily cost at full size and the life (`lives.py`) that says when it begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from forecast.company import catalogue
from forecast.company.catalogue import AWS, GOOGLE, LLM_PROVIDERS, ON_PREMISES, Region
from forecast.company.lives import NEVER, Life
from forecast.company.span import Booleans, Floats, Integers
from forecast.company.stretch import Streams

Kind = Literal[
    "api_demand",
    "month_end_batch",
    "weekly_batch",
    "developer_use",
    "evaluation_runs",
    "gpu_serving",
    "gpu_training",
    "gpu_notebooks",
    "vector_store",
    "managed_ml",
    "egress",
    "on_premises",
    "licence",
    "central",
]

KIND_SHARE: dict[Kind, float] = {
    "api_demand": 0.37,
    "month_end_batch": 0.025,
    "weekly_batch": 0.015,
    "developer_use": 0.13,
    "evaluation_runs": 0.04,
    "gpu_serving": 0.14,
    "gpu_training": 0.12,
    "gpu_notebooks": 0.04,
    "vector_store": 0.04,
    "managed_ml": 0.03,
    "egress": 0.015,
    "on_premises": 0.035,
}
"""Expected share of each kind in the company's spend; licences come on top, by head."""

LAUNCH_HAZARD = 1.0 / 1500.0
"""Chance a day that a workload which a team has in mind is decided on."""
MORTALITY = 1.0 / 1600.0
"""Chance a day that a running workload (not a team's first) is to be given up."""
TEAM_MORTALITY = 1.0 / 3000.0
"""Chance a day that a small team is dissolved."""


@dataclass(frozen=True)
class Team:
    """One cost owner. `weight` is its share of the company, `first_day` when it was founded, `heads` its people."""

    name: str
    weight: float
    first_day: int
    heads: int
    projects: tuple[str, ...]


@dataclass(frozen=True)
class Leaf:
    """One line of the company's hierarchy.

    daily_cost : expected mean in USD over the days it lives at full size. life : position in `Organisation.lives`; `early`
    leaves begin with the decision to launch, the others with the launch. ramp_days : until it has its full size.
    """

    kind: Kind
    provider: str
    service: str
    team: str
    stage: str
    workload: str
    project: str
    region: Region
    life: int = 0
    early: bool = False
    ramp_days: float = 1.0
    weight: float = 1.0
    daily_cost: float = 0.0
    heads: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What makes a leaf one."""
        return (self.provider, self.service, self.team, self.stage, self.workload)

    @property
    def slug(self) -> str:
        """Name of its resources."""
        return f"{self.team}-{self.workload}-{self.stage}"

    def scope(self) -> dict[str, str]:
        """The filter that selects exactly this leaf."""
        return dict(zip(("provider", "service", "team", "stage", "workload"), self.key, strict=True))


@dataclass(frozen=True)
class Organisation:
    """The whole company at rest. `daily_cost` is its expected mean daily spend in USD."""

    teams: tuple[Team, ...]
    lives: tuple[Life, ...]
    leaves: tuple[Leaf, ...]
    daily_cost: float

    def of_kind(self, *kinds: Kind) -> list[int]:
        """Positions of the leaves of these kinds."""
        return [index for index, leaf in enumerate(self.leaves) if leaf.kind in kinds]

    def central(self, provider: str, service: str | None = None) -> int:
        """Position of a provider's central leaf (of one of its services)."""
        return next(
            index for index in self.of_kind("central") if self.leaves[index].provider == provider and service in (None, self.leaves[index].service)
        )


@dataclass(frozen=True, eq=False)
class LeafTraits:
    """Traits of some leaves as arrays (n,): the arguments of `Lived.size`."""

    life: Integers
    early: Booleans
    ramp_days: Floats
    daily_cost: Floats

    @classmethod
    def of(cls, leaves: list[Leaf]) -> LeafTraits:
        return cls(
            np.array([leaf.life for leaf in leaves], dtype=np.int64),
            np.array([leaf.early for leaf in leaves], dtype=np.bool_),
            np.array([leaf.ramp_days for leaf in leaves], dtype=np.float64),
            np.array([leaf.daily_cost for leaf in leaves], dtype=np.float64),
        )


def found(streams: Streams, days: int, teams: int) -> Organisation:
    """Draw a company of `teams` teams over `days` days: some 2.2 to 3.2 M USD a year for eight teams, in proportion for others."""
    rng = streams.of("organisation")
    people = _teams(rng, days, teams)
    smallest = np.argsort([team.weight for team in people])[: teams // 4]
    lives: list[Life] = []
    drafts: list[Leaf] = []
    for index, team in enumerate(people):
        own = len(lives)
        lives.append(Life(team.name, "", team.first_day, mortality=TEAM_MORTALITY if index in smallest else 0.0))
        drafts += _leaves_of(team, rng, lives, own)
    yearly = rng.uniform(2.45e6, 3.1e6) * teams / 8.0
    return Organisation(people, tuple(lives), (*_with_cost(drafts, yearly / 365.0), *_central()), yearly / 365.0)


def _central() -> Iterator[Leaf]:
    """What no team is charged for, one leaf a provider and service: taxes, credits, the unused part of a commitment. No sub-account, no tags."""
    services = catalogue.LLM_SERVICES | {AWS: catalogue.GPU_SERVICES[AWS]} | {product.provider: product.service for product in catalogue.LICENCES}
    for provider, service in (*services.items(), (GOOGLE, catalogue.GPU_SERVICES[GOOGLE])):
        yield Leaf("central", provider, service, "", "", "", "", catalogue.PROVIDERS[provider].regions[0])


def _teams(rng: np.random.Generator, days: int, count: int) -> tuple[Team, ...]:
    names = list(rng.permutation(np.array(catalogue.TEAM_NAMES)))
    # Beyond the catalogue a company has regional twins of its teams.
    names += [f"{name}-{number}" for number in range(2, 2 + count // len(names)) for name in names]
    weights = np.exp(0.75 * rng.standard_normal(count))
    weights /= weights.sum()
    late = int(np.argsort(weights)[count // 2]) if count >= 4 else -1
    late_day = int(rng.uniform(0.25, 0.5) * days)
    heads = np.maximum(6, np.round(55 * weights * count * rng.uniform(0.6, 1.4, count))).astype(int)
    teams = []
    for index in range(count):
        projects = tuple(str(name) for name in rng.choice(np.array(catalogue.PROJECT_NAMES), size=3, replace=False))
        teams.append(Team(str(names[index]), float(weights[index]), late_day if index == late else 0, int(heads[index]), projects))
    return tuple(teams)


def _leaves_of(team: Team, rng: np.random.Generator, lives: list[Life], own: int) -> Iterator[Leaf]:
    """All leaves of one team, each key once; the lives of its workloads are added to `lives`."""
    seen: set[tuple[str, str, str, str, str]] = set()
    for leaf in _drafts_of(team, rng, lives, own):
        if leaf.key not in seen:
            seen.add(leaf.key)
            yield replace(leaf, weight=team.weight * float(np.exp(0.6 * rng.standard_normal())))


def _drafts_of(team: Team, rng: np.random.Generator, lives: list[Life], own: int) -> Iterator[Leaf]:
    home = {name: provider.regions[int(rng.integers(len(provider.regions)))] for name, provider in catalogue.PROVIDERS.items()}
    vendors = [str(name) for name in rng.permutation(np.array(LLM_PROVIDERS))]
    cloud = AWS if rng.random() < 0.6 else GOOGLE

    def leaf(kind: Kind, provider: str, service: str, stage: str, workload: str, life: int = own, early: bool = False, ramp: float = 1.0) -> Leaf:
        project = team.projects[sum(map(ord, workload)) % len(team.projects)]
        return Leaf(
            kind, provider, service, team.name, stage, workload, project, home[provider], life, early, max(ramp, 30.0 if team.first_day else 1.0)
        )

    def llm(kind: Kind, vendor: str, stage: str, workload: str, life: int = own, early: bool = False, ramp: float = 1.0) -> Leaf:
        return leaf(kind, vendor, catalogue.LLM_SERVICES[vendor], stage, workload, life, early, ramp)

    running = int(rng.integers(2, 4))
    in_mind = int(rng.integers(1, 3))
    workloads = rng.choice(np.array(catalogue.PRODUCT_WORKLOADS), size=running + in_mind, replace=False)
    for position, name in enumerate(str(workload) for workload in workloads):
        # The first workload is there from the beginning and stays; others may be given up; some are still to be decided on.
        candidate = position >= running
        life = len(lives)
        lives.append(
            Life(
                team.name,
                name,
                first_day=NEVER if candidate else team.first_day,
                hazard=LAUNCH_HAZARD if candidate else 0.0,
                lead=int(rng.integers(25, 60)),
                mortality=MORTALITY if position else 0.0,
                announced=bool(rng.random() < 0.7),
                parent=own,
            )
        )
        ramp = float(rng.uniform(14, 45)) if candidate else 1.0
        yield llm("api_demand", vendors[0], "prod", name, life, ramp=ramp)
        if rng.random() < 0.45:
            yield llm("api_demand", vendors[1], "prod", name, life, ramp=ramp)
        if rng.random() < 0.6:
            yield llm("evaluation_runs", vendors[0], "test", name, life, early=True, ramp=10.0)
        if rng.random() < 0.5:
            yield llm("developer_use", vendors[int(rng.integers(2))], "dev", name, life, early=True, ramp=10.0)
        if rng.random() < 0.45:
            yield leaf("gpu_serving", cloud, catalogue.GPU_SERVICES[cloud], "prod", name, life, ramp=ramp)
        if rng.random() < 0.5:
            store, service = [("Pinecone", "Pinecone"), (AWS, "Amazon OpenSearch Service")][int(rng.integers(2))]
            yield leaf("vector_store", store, service, "prod", name, life, ramp=ramp)
            if rng.random() < 0.4:
                yield leaf("vector_store", store, service, "test", name, life, early=True, ramp=10.0)
        if rng.random() < 0.5:
            yield leaf("egress", cloud, catalogue.TRANSFER_SERVICES[cloud], "prod", name, life, ramp=ramp)
    for vendor in vendors[:2]:
        if rng.random() < 0.85:
            yield llm("developer_use", vendor, "dev", "coding-agents")
    yield llm("developer_use", vendors[2], "dev", "prototyping")
    if rng.random() < 0.5:
        yield llm("month_end_batch", vendors[0], "prod", "closing-reports")
    if rng.random() < 0.4:
        yield llm("weekly_batch", vendors[0], "prod", "index-refresh")
    for workload, chance in (("fine-tuning", 0.75), ("pre-training", 0.5)):
        if rng.random() < chance:
            yield leaf("gpu_training", cloud, catalogue.GPU_SERVICES[cloud], "dev" if rng.random() < 0.7 else "prod", workload)
    yield leaf("gpu_notebooks", cloud, catalogue.GPU_SERVICES[cloud], "dev", "notebooks")
    if rng.random() < 0.6:
        yield leaf("managed_ml", AWS, "Amazon SageMaker", "prod", "feature-pipelines")
        yield leaf("managed_ml", AWS, "Amazon SageMaker", "test", "feature-pipelines")
    if rng.random() < 0.25:
        yield leaf("on_premises", ON_PREMISES, catalogue.ON_PREMISES_SERVICE, "prod", "batch-inference")
    for product in catalogue.LICENCES:
        yield replace(leaf("licence", product.provider, product.service, product.stage, product.workload), heads=team.heads)


def _with_cost(drafts: list[Leaf], daily: float) -> tuple[Leaf, ...]:
    """Give each leaf its part of the company's daily spend: share of its kind × its weight within the kind."""
    present = {leaf.kind for leaf in drafts} & set(KIND_SHARE)
    total = sum(KIND_SHARE[kind] for kind in present)
    weight = {kind: sum(leaf.weight for leaf in drafts if leaf.kind == kind) for kind in present}
    return tuple(
        replace(leaf, daily_cost=daily * KIND_SHARE[leaf.kind] / total * leaf.weight / weight[leaf.kind]) if leaf.kind in present else leaf
        for leaf in drafts
    )
