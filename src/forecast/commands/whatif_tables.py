"""A what-if answer for people: what changes, whose doing it is, what it does to budgets and to the cost of a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from forecast.commands.console import amounts, group_name, line, money, origin, percent, table

_UNITS = {"million_tokens": "a million tokens", "machine_hour": "an hour of a machine"}
NEXT_TO_NOTHING = 5e-4
"""Relative change of a unit's cost that nobody needs to see."""


def show_whatif(answer: Mapping[str, Any], *, with_rows: bool = False) -> None:
    """Everything that a person reads of an answer. with_rows : groups and periods too, where they were asked for."""
    named = f" · {answer['name']}" if answer.get("name") else ""
    title = f"What if{named}: {answer['start']} to {answer['end']} (exclusive), {answer['currency']}"
    table(title, ["", "mean", "P10", "P50", "P90"], [[name, *amounts(answer[name])] for name in ("baseline", "scenario", "delta")])
    if with_rows:
        _show_rows(answer)
    if answer.get("levers"):
        _show_levers(answer)
    if answer.get("budgets"):
        _show_budgets(answer)
    changed = [row for row in answer.get("unit_costs") or () if _changes(row)]
    if changed:
        rows = [[_UNITS.get(row["unit"], row["unit"]), _price(row["before"]), _price(row["after"])] for row in changed]
        table("Unit costs", ["", "before", "after"], rows)
    for text in _sentences(answer):
        line(text)
    origin(answer)


def _show_rows(answer: Mapping[str, Any]) -> None:
    rows = [
        [group_name(row["group"]) or "all", row["start"], money(row["baseline"]["mean"]), money(row["scenario"]["mean"]), *amounts(row["delta"])]
        for row in answer["rows"]
    ]
    table("Where and when", ["", "from", "baseline", "scenario", "change", "P10", "P50", "P90"], rows, left=2)


def _show_levers(answer: Mapping[str, Any]) -> None:
    rows = [
        [
            str(lever.get("name") or lever.get("type", "")),
            str(lever.get("scope") or lever.get("target") or "the company"),
            *amounts(lever["delta"]),
            money(lever.get("share_of_delta")),
        ]
        for lever in answer["levers"]
    ]
    table("Levers", ["lever", "scope", "mean in its turn", "P10", "P50", "P90", "share of delta"], rows, left=2)


def _show_budgets(answer: Mapping[str, Any]) -> None:
    rows = [
        [
            row["id"],
            row["scope"] or "company",
            money(row["amount"]),
            *(percent(row[f"overrun_probability_{when}"]) for when in ("before", "after")),
            *(_day(row.get(f"exhaustion_day_{when}")) for when in ("before", "after")),
        ]
        for row in answer["budgets"]
    ]
    table("Budgets", ["budget", "scope", "amount", "P(overrun) before", "after", "used up (P50) before", "after"], rows, left=2)


def _day(days: Mapping[str, Any] | None) -> str:
    return "–" if not days or days.get("p50") is None else str(days["p50"])


def _changes(row: Mapping[str, Any]) -> bool:
    return row["after"] is None or abs(row["after"] - row["before"]) > NEXT_TO_NOTHING * abs(row["before"])


def _price(value: float | None) -> str:
    """Four digits that count, so that the prices of one table are as long as one another."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.{max(3 - math.floor(math.log10(abs(value))), 0) if value else 0}f}"


def _sentences(answer: Mapping[str, Any]) -> list[str]:
    """What tables do not say."""
    found = []
    for number, lever in enumerate(answer.get("levers") or ()):
        found += [f"Lever {number} ({lever.get('name') or lever['type']}): {note}" for note in lever.get("notes") or ()]
    parts = answer.get("decomposition")
    if parts and answer.get("levers"):
        named = {"volume": "volume", "price_and_mix": "price and mix", "money": "money by itself"}
        told = [f"{named[name]} {money(value)}" for name, value in parts.items() if abs(value) >= 0.005]
        found += [f"Of the delta: {', '.join(told)}"] if told else []
    if energy := answer.get("energy"):
        found.append(f"Energy: {energy['kwh_before']:,.0f} kWh before, {energy['kwh_after']:,.0f} kWh after")
    even = answer.get("break_even")
    if even and even["probability"] > 0.0:
        day = f", from {even['p50']} on in half of them" if even["p50"] and even["p50"] > answer["start"] else ""
        found.append(f"Cheaper than the forecast in {percent(even['probability'])} of the futures{day}")
    return found
