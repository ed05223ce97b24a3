"""What the company knows beforehand: a price cut, releases of AI models, promotions, launches; and its budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecast.company.catalogue import FAMILIES
from forecast.company.organisation import LLM_PROVIDERS, Organisation
from forecast.company.processes import Streams
from forecast.company.span import Floats, Span

NOTICE_DAYS = 21
EVENT_COLUMNS = ("name", "type", "start", "end", "scope", "effect", "effect_low", "effect_high", "effect_unit", "announced")
BUDGET_COLUMNS = ("id", "scope", "start", "end", "amount", "currency")


@dataclass(frozen=True)
class Promotion:
    """Traffic of one team's workload is multiplied by `factor` on days [first_day, last_day)."""

    team: str
    workload: str
    first_day: int
    last_day: int
    factor: float


@dataclass(frozen=True)
class Plan:
    """Dates drawn by the seed. `releases` : day on which the new model of each family comes out, in catalogue order.

    cut_family, cut_day, cut_factor : the price cut; list prices of the family are multiplied by the factor from that day on.
    discount : negotiated share off the list price, by provider.
    """

    cut_family: int
    cut_day: int
    cut_factor: float
    releases: Floats
    promotions: tuple[Promotion, ...]
    discount: dict[str, float]


def draw(organisation: Organisation, streams: Streams, days: int, discounts: dict[str, tuple[float, float]]) -> Plan:
    """Draw the plan: one price cut in the middle of the span, one release a family, two promotions in and one after the span."""
    rng = streams.of("plans")
    used = {leaf.provider: 0.0 for leaf in organisation.leaves if leaf.provider in LLM_PROVIDERS}
    for leaf in organisation.leaves:
        if leaf.provider in used:
            used[leaf.provider] += leaf.daily_cost
    weights = np.array([family.weight * used.get(family.provider, 0.0) for family in FAMILIES])
    weights = np.where(weights >= np.sort(weights)[-4], weights, 0.0)
    cut_family = int(rng.choice(len(FAMILIES), p=weights / weights.sum()))
    cut_day = int(rng.uniform(0.45, 0.75) * days)
    cut_factor = float(rng.choice([0.5, 0.6, 0.75]))
    releases = rng.uniform(-0.1, 0.85, len(FAMILIES)) * days
    running = [organisation.leaves[index] for index in organisation.of_kind("api_demand") if organisation.leaves[index].first_day == 0]
    starts = [int(rng.uniform(0.2, 0.5) * days), int(rng.uniform(0.6, 0.9) * days), days + int(rng.integers(20, 46))]
    promotions = []
    for start in starts:
        leaf = running[int(rng.integers(len(running)))]
        promotions.append(Promotion(leaf.team, leaf.workload, start, start + int(rng.integers(7, 15)), round(float(rng.uniform(1.3, 2.0)), 2)))
    agreed = {name: round(float(rng.uniform(low, high)), 2) for name, (low, high) in discounts.items()}
    return Plan(cut_family, cut_day, cut_factor, releases, tuple(promotions), agreed)


def events(plan: Plan, organisation: Organisation, span: Span) -> pd.DataFrame:
    """Planned events, one row each, in order of start; days are half-open, an open end (NaT) means for good.

    `effect` is a factor on the scope's cost, or USD a day once the ramp is over (`effect_unit` says which), with its
    plausible range; `announced` is the day from which the company knew. One promotion lies after the last generated day.
    """
    cut = FAMILIES[plan.cut_family]
    rows: list[tuple[str, str, int, int | None, str, float, float, float, str]] = [
        (
            f"{cut.name} price cut", "price_cut", plan.cut_day, None, f"ai_model={cut.old.id}|{cut.new.id}",
            plan.cut_factor, plan.cut_factor, plan.cut_factor, "factor",
        )
    ]  # fmt: skip
    for family, release in zip(FAMILIES, plan.releases, strict=True):
        if 0 <= release < span.days:
            ratio = family.new.blended(0.85, 0.4) / family.old.blended(0.85, 0.4)
            effects = (round(ratio, 3), round(min(ratio, 1.0) * 0.9, 3), round(max(ratio, 1.0) * 1.1, 3))
            name = f"{family.new.id} replaces {family.old.id}"
            rows.append((name, "model_switch", int(release), None, f"ai_model={family.old.id}|{family.new.id}", *effects, "factor"))
    for promotion in plan.promotions:
        low, high = round(1.0 + 0.6 * (promotion.factor - 1.0), 2), round(1.0 + 1.5 * (promotion.factor - 1.0), 2)
        scope = f"team={promotion.team},workload={promotion.workload},stage=prod"
        name = f"{promotion.team} {promotion.workload} promotion"
        rows.append((name, "promotion", promotion.first_day, promotion.last_day, scope, promotion.factor, low, high, "factor"))
    launches: dict[tuple[str, str], tuple[int, float]] = {}
    for leaf in organisation.leaves:
        if leaf.first_day > 0 and leaf.stage == "prod" and leaf.kind in ("api_demand", "gpu_serving", "vector_store"):
            day, cost = launches.get((leaf.team, leaf.workload), (leaf.first_day, 0.0))
            launches[leaf.team, leaf.workload] = (day, cost + leaf.daily_cost)
    for (team, workload), (day, cost) in launches.items():
        usd = (round(cost, 0), round(0.5 * cost, 0), round(2.0 * cost, 0))
        rows.append((f"{team} launches {workload}", "launch", day, None, f"team={team},workload={workload},stage=prod", *usd, "usd_per_day"))
    frame = pd.DataFrame(rows, columns=list(EVENT_COLUMNS[:-1]))
    start = frame["start"].to_numpy(dtype=np.int64)
    origin = np.datetime64(span.start, "us")
    day_length = np.timedelta64(1, "D")
    frame["announced"] = origin + np.maximum(start - NOTICE_DAYS, 0) * day_length
    frame["start"] = origin + start * day_length
    ends = [np.datetime64("NaT", "us") if pd.isna(end) else origin + int(end) * day_length for end in frame["end"]]
    frame["end"] = np.array(ends, dtype="datetime64[us]")
    return frame.sort_values(["start", "name"], ignore_index=True)


def fiscal_quarter(day: date, fiscal_start: int, ahead: int = 0) -> tuple[str, date, date]:
    """Name, start and exclusive end of the fiscal quarter that contains `day`, or of one `ahead` quarters later.

    A fiscal year is named by the calendar year in which it ends, so with a start in January it is the calendar year.
    """
    months = day.year * 12 + day.month - 1
    first = months - (months - (fiscal_start - 1)) % 3 + 3 * ahead
    position = (first - (fiscal_start - 1)) % 12
    year_end = first - position + 11
    name = f"{year_end // 12}-Q{position // 3 + 1}"
    return name, date(first // 12, first % 12 + 1, 1), date((first + 3) // 12, (first + 3) % 12 + 1, 1)


def budgets(
    cost: Floats, teams: Sequence[str], team_of_line: Sequence[str], span: Span, streams: Streams, fiscal_start: int, currency: str
) -> pd.DataFrame:
    """Budgets of every team and of the whole company for the quarter of `span.end` and the next one.

    cost : (days, lines) effective cost without the incidents, which nobody budgets for. An amount is the run rate of the
    90 days before the current quarter × its days × a growth allowance × the planner's optimism (0.85 to 1.25).
    """
    rng = streams.of("budgets")
    owner = np.asarray(team_of_line)
    _, first_day, _ = fiscal_quarter(span.end, fiscal_start)
    known = min(max((first_day - span.start).days, 14), span.days)
    recent = cost[max(0, known - 90) : known]
    rows = []
    optimism = rng.uniform(0.85, 1.25, len(teams))
    for ahead, growth in ((0, 1.08), (1, 1.18)):
        name, start, end = fiscal_quarter(span.end, fiscal_start, ahead)
        whole = 0.0
        for team, factor in zip(teams, optimism, strict=True):
            run_rate = float(recent[:, owner == team].sum(axis=1).mean())
            amount = max(100.0, float(np.round(run_rate * (end - start).days * growth * factor, -2)))
            whole += amount
            rows.append((f"{name}-{team}", f"team={team}", start, end, amount, currency))
        rows.append((f"{name}-company", "", start, end, float(np.round(whole * 0.97, -3)) or whole, currency))
    frame = pd.DataFrame(rows, columns=list(BUDGET_COLUMNS))
    frame["start"] = frame["start"].to_numpy(dtype="datetime64[us]")
    frame["end"] = frame["end"].to_numpy(dtype="datetime64[us]")
    return frame
