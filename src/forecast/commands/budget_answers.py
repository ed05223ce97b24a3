"""Overrun answers as a person reads them: one budget in full, many in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forecast.commands.console import amounts, line, money, origin, percent, table

MOST_KNOWN = 8
"""Known items that are shown; `--json` has more of them."""


def show_overrun(answer: Mapping[str, Any]) -> None:
    """One answer: its figures, its phases, and what of the total is known."""
    of = answer.get("budget_id") or answer["scope"] or "the company"
    days = answer["exhaustion_day"]
    reached = [one["threshold"] for one in answer["thresholds"] if one["reached"]]
    rows = [
        ["budget", money(answer["amount"])],
        ["state", answer["state"] + (f" ({', '.join(reached)})" if reached else "")],
        ["spent to date", money(answer["spent"]) + _provisional(answer)],
        *([["still to be billed", money(answer["pending"]["mean"])]] if answer["pending"] else []),
        ["probability of an overrun", f"{percent(answer['overrun_probability'])} ± {percent(answer['standard_error'])}"],
        ["expected overrun", money(answer["expected_overrun"])],
        ["total: mean, P10, P50, P90", ", ".join(amounts(answer["total"]))],
        ["if the recent daily mean goes on", money(answer["run_rate"])],
        ["a day may still cost", money(answer["daily_allowance"])],
        ["used ÷ planned by now", "–" if answer["burn_ratio"] is None else f"{answer['burn_ratio']:.2f}"],
        ["used up on: P10, P50, P90", ", ".join(days[name] or "not in time" for name in ("p10", "p50", "p90"))],
        *_balance(answer.get("balance")),
    ]
    table(f"Budget of {of}, {answer['start']} to {answer['end']} (exclusive), {answer['currency']}", ["", ""], rows)
    if converted := answer["converted"]:
        source = f", {converted['source']}" if converted["source"] else ""
        line(f"{converted['amount']:,.2f} {converted['from']} at {converted['rate']} {converted['to']} (rate of {converted['day']}{source})")
    _show_phases(answer["phases"])
    _show_known(answer["known"])
    origin(answer)


def show_overruns(answers: Sequence[Mapping[str, Any]]) -> None:
    """A line for each answer."""
    if not answers:
        return
    named = "budget_id" in answers[0]
    rows = [
        [
            *([str(answer["budget_id"])] if named else []),
            answer["scope"] or "company",
            answer["start"],
            answer["end"],
            money(answer["amount"]),
            money(answer["spent"]),
            *amounts(answer["total"]),
            percent(answer["overrun_probability"]),
            answer["exhaustion_day"]["p50"] or "–",
            answer["state"],
        ]
        for answer in answers
    ]
    columns = ["scope", "from", "to", "amount", "spent", "mean", "P10", "P50", "P90", "overrun", "used up (P50)", "state"]
    table(f"Budgets, {answers[0]['currency']}", ["budget", *columns] if named else columns, rows, left=4 if named else 3)
    origin({**answers[0], "warnings": []})


def _provisional(answer: Mapping[str, Any]) -> str:
    return f" ({money(answer['spent_provisional'])} of it of days that are not fully billed)" if answer["spent_provisional"] else ""


def _balance(balance: Mapping[str, Any] | None) -> list[list[str]]:
    if balance is None:
        return []
    return [
        ["left today", money(balance["remaining"]["mean"])],
        ["left at the end: mean, P10, P50, P90", ", ".join(amounts(balance["unused"]))],
        ["probability that something is left", percent(balance["probability_unused"])],
    ]


def _show_phases(phases: Sequence[Mapping[str, Any]]) -> None:
    if not phases:
        return
    rows = [
        [
            phase["start"],
            phase["end"],
            money(phase["amount"]),
            money(phase["spent"]),
            *amounts(phase),
            percent(phase["overrun_probability"]),
            percent(phase["cumulative_overrun_probability"]),
        ]
        for phase in phases
    ]
    table("Phases", ["from", "to", "amount", "spent", "mean", "P10", "P50", "P90", "overrun", "overrun so far"], rows, left=2)


def _show_known(known: Sequence[Mapping[str, Any]]) -> None:
    if not known:
        return
    rows = [
        [one["kind"], one["name"], one["start"], one["end"], "billed" if one["in_bill"] else "to come", money(one["amount"])]
        for one in known[:MOST_KNOWN]
    ]
    table("Known, and part of the total", ["kind", "name", "from", "to", "", "amount"], rows, left=5)
