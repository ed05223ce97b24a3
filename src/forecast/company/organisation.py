"""Who spends on what: teams of very different size, their workloads, and the leaves of the company's bill.

Nothing here moves in time. A leaf is one (provider, service, team, stage, workload) with the law it follows (`kind`),
its expected mean daily cost and the days on which it begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from forecast.company import catalogue
from forecast.company.catalogue import ANTHROPIC, AWS, GOOGLE, OPENAI, Region
from forecast.company.processes import Streams, ramp
from forecast.company.span import Floats

Kind = Literal[
    "api_demand",
    "month_end_batch",
    "developer_use",
    "evaluation_runs",
    "gpu_serving",
    "gpu_training",
    "gpu_notebooks",
    "vector_store",
    "managed_ml",
    "licence",
]

KIND_SHARE: dict[Kind, float] = {
    "api_demand": 0.40,
    "month_end_batch": 0.03,
    "developer_use": 0.13,
    "evaluation_runs": 0.04,
    "gpu_serving": 0.15,
    "gpu_training": 0.13,
    "gpu_notebooks": 0.05,
    "vector_store": 0.04,
    "managed_ml": 0.03,
}
"""Expected share of each kind in the company's spend; licences come on top, by head."""

LLM_PROVIDERS = (OPENAI, ANTHROPIC, GOOGLE)
NEVER = 1_000_000


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
    """One line of the company's hierarchy. `daily_cost` : expected mean in USD over the days it lives at full size."""

    kind: Kind
    provider: str
    service: str
    team: str
    stage: str
    workload: str
    project: str
    region: Region
    first_day: int = 0
    ramp_days: float = 1.0
    last_day: int = NEVER
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
    leaves: tuple[Leaf, ...]
    daily_cost: float

    def of_kind(self, *kinds: Kind) -> list[int]:
        """Positions of the leaves of these kinds."""
        return [index for index, leaf in enumerate(self.leaves) if leaf.kind in kinds]


def alive(leaves: Sequence[Leaf], days: int) -> Floats:
    """Part of its full size that each leaf has on each day, (days, leaves): 0 before it begins, a ramp, 1, 0 after its end."""
    return ramp(
        days,
        np.array([leaf.first_day for leaf in leaves], dtype=np.int64),
        np.array([leaf.ramp_days for leaf in leaves], dtype=np.float64),
        np.array([leaf.last_day for leaf in leaves], dtype=np.int64),
    )


def found(streams: Streams, days: int, teams: int) -> Organisation:
    """Draw a company of `teams` teams over `days` days: 2.2 to 3.2 M USD a year for eight teams, in proportion for others."""
    rng = streams.of("organisation")
    people = _teams(rng, days, teams)
    drafts = [leaf for team in people for leaf in _leaves_of(team, rng, days)]
    yearly = rng.uniform(2.2e6, 3.2e6) * teams / 8.0
    return Organisation(people, _with_cost(drafts, yearly / 365.0), yearly / 365.0)


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


def _leaves_of(team: Team, rng: np.random.Generator, days: int) -> Iterator[Leaf]:
    """All leaves of one team, each key once."""
    seen: set[tuple[str, str, str, str, str]] = set()
    for leaf in _drafts_of(team, rng, days):
        if leaf.key not in seen:
            seen.add(leaf.key)
            yield replace(leaf, weight=team.weight * float(np.exp(0.6 * rng.standard_normal())))


def _drafts_of(team: Team, rng: np.random.Generator, days: int) -> Iterator[Leaf]:
    home = {name: provider.regions[int(rng.integers(len(provider.regions)))] for name, provider in catalogue.PROVIDERS.items()}
    vendors = [str(name) for name in rng.permutation(np.array(LLM_PROVIDERS))]
    cloud = AWS if rng.random() < 0.6 else GOOGLE

    def leaf(
        kind: Kind, provider: str, service: str, stage: str, workload: str, first_day: int = 0, ramp_days: float = 1.0, last_day: int = NEVER
    ) -> Leaf:
        project = team.projects[sum(map(ord, workload)) % len(team.projects)]
        begins = max(team.first_day, first_day)
        return Leaf(
            kind,
            provider,
            service,
            team.name,
            stage,
            workload,
            project,
            home[provider],
            begins,
            max(ramp_days, 30.0 if team.first_day else 1.0),
            last_day,
        )

    def llm(kind: Kind, vendor: str, stage: str, workload: str, first_day: int = 0, ramp_days: float = 1.0, last_day: int = NEVER) -> Leaf:
        return leaf(kind, vendor, catalogue.LLM_SERVICES[vendor], stage, workload, first_day, ramp_days, last_day)

    workloads = rng.choice(np.array(catalogue.PRODUCT_WORKLOADS), size=int(rng.integers(2, 5)), replace=False)
    for position, name in enumerate(str(workload) for workload in workloads):
        # The first workload is there from the beginning; some others are launched, a few are given up.
        launched = position > 0 and rng.random() < 0.22
        first_day = int(rng.uniform(0.15, 0.92) * days) if launched else 0
        retired = not launched and position > 0 and rng.random() < 0.07
        life = (first_day, float(rng.uniform(14, 45)) if launched else 1.0, int(rng.uniform(0.5, 0.95) * days) if retired else NEVER)
        early = (max(0, first_day - 40), 10.0, life[2])  # development begins before the launch
        yield llm("api_demand", vendors[0], "prod", name, *life)
        if rng.random() < 0.45:
            yield llm("api_demand", vendors[1], "prod", name, *life)
        if rng.random() < 0.6:
            yield llm("evaluation_runs", vendors[0], "test", name, *early)
        if rng.random() < 0.5:
            yield llm("developer_use", vendors[int(rng.integers(2))], "dev", name, *early)
        if rng.random() < 0.45:
            yield leaf("gpu_serving", cloud, catalogue.GPU_SERVICES[cloud], "prod", name, *life)
        if rng.random() < 0.5:
            store, service = [("Pinecone", "Pinecone"), (AWS, "Amazon OpenSearch Service")][int(rng.integers(2))]
            yield leaf("vector_store", store, service, "prod", name, *life)
            if rng.random() < 0.4:
                yield leaf("vector_store", store, service, "test", name, *early)
    for vendor in vendors[:2]:
        if rng.random() < 0.85:
            yield llm("developer_use", vendor, "dev", "coding-agents")
    yield llm("developer_use", vendors[2], "dev", "prototyping")
    if rng.random() < 0.5:
        yield llm("month_end_batch", vendors[0], "prod", "closing-reports")
    for workload, chance in (("fine-tuning", 0.75), ("pre-training", 0.5)):
        if rng.random() < chance:
            yield leaf("gpu_training", cloud, catalogue.GPU_SERVICES[cloud], "dev" if rng.random() < 0.7 else "prod", workload)
    yield leaf("gpu_notebooks", cloud, catalogue.GPU_SERVICES[cloud], "dev", "notebooks")
    if rng.random() < 0.6:
        yield leaf("managed_ml", AWS, "Amazon SageMaker", "prod", "feature-pipelines")
        yield leaf("managed_ml", AWS, "Amazon SageMaker", "test", "feature-pipelines")
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
