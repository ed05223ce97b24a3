"""Planted incidents and their truth: what went wrong, where, from when to when, and what it cost to the cent.

An incident changes quantities only, after everything else has been drawn, so the company without incidents is the same
company: the difference of the two bills is the truth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from forecast.company.catalogue import PROVIDERS
from forecast.company.lines import ChargeLines, concatenate, money
from forecast.company.organisation import Kind, Organisation
from forecast.company.processes import Streams
from forecast.company.span import Booleans, Floats, Integers, Span
from forecast.company.token_meters import lines_of

INCIDENT_COLUMNS = ("id", "kind", "scope", "start", "end", "daily_excess", "total_excess")
FINAL_DAYS = 60
QUIET_DAYS = 20
"""No incident in the first days: nobody could know what is normal."""

STRIKES: dict[str, tuple[Kind, ...]] = {
    "runaway_loop": ("developer_use", "evaluation_runs"),
    "forgotten_cluster": ("gpu_training", "gpu_notebooks"),
    "leaked_key": ("api_demand", "developer_use"),
    "usage_drop": ("api_demand",),
}
"""Kinds of incident, and the kinds of leaves they happen to."""

DURATION = {"runaway_loop": (1, 4), "forgotten_cluster": (6, 20), "leaked_key": (2, 5), "usage_drop": (1, 3)}
SIZE = {"runaway_loop": (0.05, 0.20), "forgotten_cluster": (0.04, 0.12), "leaked_key": (0.10, 0.40)}
"""Cost of a full day as a share of the company's expected daily spend; at least three times the leaf's recent day."""

TOKEN_PARTS = {
    "runaway_loop": {"Input Tokens": 0.55, "Cached Input Tokens": 0.15, "Output Tokens": 0.30},
    "leaked_key": {"Input Tokens": 0.35, "Output Tokens": 0.65},
}


@dataclass(frozen=True)
class Planted:
    """lines : the base lines and those that incidents add, quantities without incidents.  extra : (days, lines), what
    incidents add to the quantities (negative in a drop).  truth : columns INCIDENT_COLUMNS."""

    lines: ChargeLines
    extra: Floats
    truth: pd.DataFrame


@dataclass(frozen=True)
class _Strike:
    """One incident on days [first_day, first_day + len(change)): change of quantity, (its days, lines)."""

    kind: str
    leaf: int
    first_day: int
    lines: Integers
    change: Floats


def plant(lines: ChargeLines, organisation: Organisation, streams: Streams, span: Span, spared: Booleans) -> Planted:
    """Plant 4 to 8 incidents (fewer in a short span), the last one or two within the final 60 days, no two in one leaf.

    spared : (lines,), lines whose leaf must be left alone because part of it carries no tags.
    """
    rng = streams.of("incidents")
    leaf_of_line = lines.attributes["leaf"].to_numpy(dtype=np.int64)
    cost = lines.effective_cost()
    leaf_cost = np.zeros((len(organisation.leaves), span.days))
    np.add.at(leaf_cost, leaf_of_line, cost.T)
    taken = set(leaf_of_line[spared].tolist())
    kinds = [str(kind) for _ in range(2) for kind in rng.permutation(np.array(list(STRIKES)))]
    current = lines
    strikes: list[_Strike] = []
    for drawn, first_day in zip(kinds, _first_days(rng, span.days), strict=False):
        # A small company may have no leaf left that this kind could strike: then another kind strikes.
        for kind in (drawn, *(other for other in STRIKES if other != drawn)):
            length = min(int(rng.integers(DURATION[kind][0], DURATION[kind][1] + 1)), span.days - first_day)
            leaf = _victim(rng, kind, organisation, leaf_cost, taken, first_day, first_day + length)
            if leaf is not None:
                break
        else:
            continue
        taken.add(leaf)
        recent = leaf_cost[leaf, max(0, first_day - 28) : first_day]
        worst_line = _dearest_line(cost, leaf_of_line, leaf, first_day)
        if kind == "usage_drop":
            hit = np.flatnonzero(leaf_of_line == leaf)
            lost = -np.floor(rng.uniform(0.85, 0.99) * lines.quantity[first_day : first_day + length, hit])
            strikes.append(_Strike(kind, leaf, first_day, hit, lost))
            continue
        full_day = max(rng.uniform(*SIZE[kind]) * organisation.daily_cost, 3.0 * float(recent.mean()))
        shape = np.ones(length)
        shape[0] = rng.uniform(0.3, 0.9)  # nothing begins at midnight
        daily = full_day * shape * np.exp(0.15 * rng.standard_normal(length))
        if kind == "forgotten_cluster":
            current, hit = _with_copies(current, np.array([worst_line]), len(strikes), "pool")
            price = float(lines.contracted_price[first_day, worst_line])
            machines = max(1.0, np.round(full_day / (24.0 * price)))
            change = np.round(machines * 24.0 * shape)[:, None]
        else:
            attributes = lines.attributes.iloc[worst_line]
            hit = lines_of(lines, str(attributes["resource_id"]), str(attributes["ai_model"]))
            parts = np.array([TOKEN_PARTS[kind].get(str(meter), 0.0) for meter in lines.attributes["sku_meter"].iloc[hit]])
            price_of_day = lines.contracted_price[first_day : first_day + length][:, hit]
            change = np.round(daily[:, None] * parts / parts.sum() / price_of_day)
            if kind == "leaked_key":
                current, hit = _with_copies(current, hit, len(strikes), "key")
        strikes.append(_Strike(kind, leaf, first_day, hit, change))
    extra = np.zeros_like(current.quantity)
    for strike in strikes:
        extra[strike.first_day : strike.first_day + len(strike.change), strike.lines] += strike.change
    return Planted(current, extra, _truth(strikes, current, extra, organisation, span))


def no_incidents() -> pd.DataFrame:
    """The truth of a company without incidents: no rows, the same columns and types."""
    empty = pd.DataFrame({name: pd.Series(dtype="str") for name in INCIDENT_COLUMNS})
    return empty.astype({"start": "datetime64[us]", "end": "datetime64[us]", "daily_excess": object, "total_excess": "float64"})


def _first_days(rng: np.random.Generator, days: int) -> list[int]:
    """Start days in order: one or two within the final 60 days, the others one in each of equal parts of the time before."""
    late = int(rng.integers(1, 3))
    early = min(int(rng.integers(4, 9)) - late, (days - FINAL_DAYS - QUIET_DAYS) // 30)
    edges = np.linspace(QUIET_DAYS, days - FINAL_DAYS - QUIET_DAYS, max(early, 0) + 1)
    starts = [int(rng.uniform(low, high)) for low, high in pairwise(edges)] if early > 0 else []
    last = np.linspace(max(QUIET_DAYS, days - FINAL_DAYS + 5), days - 8, late + 1)
    return starts + [int(rng.uniform(low, high)) for low, high in pairwise(last)]


def _victim(
    rng: np.random.Generator, kind: str, organisation: Organisation, leaf_cost: Floats, taken: set[int], first_day: int, end_day: int
) -> int | None:
    """A leaf of the right kind that is in use; a drop strikes one of the larger quarter, or nobody would call it an incident."""
    recent = leaf_cost[:, max(0, first_day - 28) : first_day].mean(axis=1)
    eligible = [
        index
        for index in organisation.of_kind(*STRIKES[kind])
        if index not in taken
        and recent[index] > 0.0
        and organisation.leaves[index].last_day > end_day
        and organisation.leaves[index].first_day < first_day - 14
    ]
    if kind == "usage_drop" and eligible:
        large = float(np.quantile(recent[eligible], 0.75))
        eligible = [index for index in eligible if recent[index] >= large and (leaf_cost[index, first_day:end_day] > 0.0).all()]
    return int(rng.choice(np.array(eligible))) if eligible else None


def _dearest_line(cost: Floats, leaf_of_line: Integers, leaf: int, first_day: int) -> int:
    own = np.flatnonzero(leaf_of_line == leaf)
    return int(own[np.argmax(cost[max(0, first_day - 28) : first_day, own].sum(axis=0))])


def _with_copies(lines: ChargeLines, positions: Integers, number: int, prefix: str) -> tuple[ChargeLines, Integers]:
    """Add unused copies of lines under a new resource in another region of the provider; returns where they stand."""
    copies = lines.attributes.iloc[positions].copy()
    provider = PROVIDERS[str(copies["provider_name"].iloc[0])]
    region = next((region for region in provider.regions if region.id != copies["region_id"].iloc[0]), provider.regions[0])
    name = f"{copies['sub_account_name'].iloc[0]}-{40 + number}"
    copies["resource_id"], copies["resource_name"] = f"{prefix}-{name}", name
    copies["region_id"], copies["region_name"] = region.id, region.name
    copies["sku_price_id"] = copies["sku_id"] + f".{region.id}"
    if prefix == "pool":
        copies["availability_zone"] = f"{region.id}a"
    new = ChargeLines(copies, np.zeros((len(lines.quantity), len(copies))), lines.list_price[:, positions], lines.contracted_price[:, positions])
    return concatenate([lines, new]), np.arange(len(lines.attributes), len(lines.attributes) + len(copies))


def _truth(strikes: list[_Strike], lines: ChargeLines, extra: Floats, organisation: Organisation, span: Span) -> pd.DataFrame:
    """Excess of each incident: cost with it minus cost without it, per day and in total, USD amortised."""
    rows = []
    for number, strike in enumerate(sorted(strikes, key=lambda strike: strike.first_day), start=1):
        window = slice(strike.first_day, strike.first_day + len(strike.change))
        price = lines.contracted_price[window, strike.lines]
        before = lines.quantity[window, strike.lines]
        excess = (money((before + extra[window, strike.lines]) * price) - money(before * price)).sum(axis=1)
        scope = json.dumps(organisation.leaves[strike.leaf].scope(), sort_keys=True)
        start, end = span.at(strike.first_day), span.at(strike.first_day + len(strike.change))
        daily = tuple(round(float(value), 6) for value in excess)
        rows.append((f"incident-{number:02d}", strike.kind, scope, start, end, daily, round(float(excess.sum()), 6)))
    if not rows:
        return no_incidents()
    frame = pd.DataFrame(rows, columns=list(INCIDENT_COLUMNS))
    return frame.astype({"start": "datetime64[us]", "end": "datetime64[us]"})
