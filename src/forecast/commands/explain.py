"""Why will it cost more or less than last time? `forecast explain`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from forecast.commands import console
from forecast.commands.console import CostOption, JsonOption, ScopeOption, SnapshotOption, emit, group_name, line, money, origin, table
from forecast.commands.forecasts import EndOption, FiscalOption, PeriodOption, StartOption, read_calendar, read_days
from forecast.commands.home import Home

MOST_METERS_SHOWN = 6
SHORTEST_LINE = 40
"""Characters of a sentence's line on a narrow terminal."""


def register(app: typer.Typer) -> None:
    app.command("explain", epilog="Example: forecast explain --period 2027-Q1 --scope team=search --by provider")(explain)


def explain(
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    scope: ScopeOption = "",
    by: Annotated[str, typer.Option(metavar="DIMENSIONS", help="The same for each of these, such as team or provider,stage.")] = "",
    compare: Annotated[str | None, typer.Option(metavar="PERIOD", help="Compare with this period; by default the one before.")] = None,
    compare_start: Annotated[str | None, typer.Option(metavar="DATE", help="First day to compare with, in place of --compare.")] = None,
    compare_end: Annotated[str | None, typer.Option(metavar="DATE", help="First day that does not count there.")] = None,
    cost: CostOption = "effective",
    fiscal_start: FiscalOption = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a forecast: what makes the period cost more or less than the one before, in money that adds up."""
    from forecast.spend.dimensions import parse_dimensions
    from forecast.spend.periods import parse_day
    from forecast.spend.scope import Scope
    from forecast.workflows.explanation import explanation_answer, read_comparison

    home = Home()
    calendar = read_calendar(fiscal_start, home)
    days, filtered, groups = read_days(period, start, end, calendar), Scope.parse(scope), parse_dimensions(by)
    first, last = (None if text is None else parse_day(text, name) for text, name in ((compare_start, "compare_start"), (compare_end, "compare_end")))
    comparison = read_comparison(compare, first, last, calendar)
    answer = explanation_answer(
        home.snapshot(cost, snapshot_id), scope=filtered, period=days, comparison=comparison, group_by=groups, calendar=calendar
    )
    emit(answer, as_json, lambda: show_explanation(answer))


def show_explanation(answer: Mapping[str, Any]) -> None:
    before, after, change = answer["comparison"], answer["forecast"], answer["change_percent"]
    line(answer["sentence"])
    line()
    title = f"{answer['scope'] or 'The company'}: {before['start']} to {before['end']}, then {answer['start']} to {answer['end']} (exclusive)"
    rows = [["comparison", money(before["total"]), "", _billed(before)]]
    rows += [[part["name"], signed(part["money"]), signed_percent(part["share"]), part["sentence"]] for part in answer["contributions"]]
    told = [f"mean; P10 {money(after['p10'])}, P50 {money(after['p50'])}, P90 {money(after['p90'])}"] if after["p10"] < after["p90"] else []
    told += [f"{money(after['actual'])} of it billed"] if after["actual"] else []
    rows.append(["forecast", money(after["mean"]), signed_percent(None if change is None else change / 100), "; ".join(told)])
    wrapped(f"{title}, {answer['currency']}", rows)
    if answer["rows"]:
        names = [part["name"] for part in answer["contributions"]]
        shown = [
            [
                group_name(row["group"]),
                money(row["comparison"]),
                *(signed(row["contributions"].get(name, 0.0)) for name in names),
                money(row["forecast"]),
                signed(row["change"]),
            ]
            for row in answer["rows"]
        ]
        table("", ["", "comparison", *names, "forecast", "change"], shown)
    if answer["meters"]:
        shown = [
            [
                " ".join(meter[name] for name in ("ai_model", "meter") if meter[name] != "(none)") or "what names no meter",
                meter["unit"],
                quantity(meter["quantity_before"]),
                quantity(meter["quantity_after"]),
                *(signed(meter[name]) for name in ("price", "usage", "unquantified")),
            ]
            for meter in answer["meters"][:MOST_METERS_SHOWN]
        ]
        table(
            "Meters, at the period's number of days: in the comparison period, and by the cutoff",
            ["", "unit", "before", "after", "by price", "by usage", "unquantified"],
            shown,
            left=2,
        )
    origin(answer)


def _billed(before: Mapping[str, Any]) -> str:
    if before["over"]:
        return "all billed"
    return f"{money(before['actual'])} of it billed, the rest forecast" if before["actual"] else "forecast"


def wrapped(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Amounts with a sentence beside each, which takes several lines on a terminal and one elsewhere."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    beside = sum(widths) + 7
    room = max(shutil.get_terminal_size().columns - beside, SHORTEST_LINE) if sys.stdout.isatty() else 0
    line(title)
    for number, (name, amount, share, sentence) in enumerate(rows):
        if number in {0, 1, len(rows) - 1}:
            line(" " + "─" * (beside + 20))
        first, *others = (textwrap.wrap(sentence, room) if room else [sentence]) or [""]
        line(f" {name:<{widths[0]}}  {amount:>{widths[1]}}  {share:>{widths[2]}}  {first}".rstrip())
        for rest in others:
            line(" " * beside + rest)
    line()


def signed(amount: float) -> str:
    return "0" if amount == 0 else f"{'+' if amount > 0 else '-'}{money(abs(amount))}"


def signed_percent(share: float | None) -> str:
    return "" if share is None else console.signed_percent(share)


def quantity(amount: float) -> str:
    """A quantity in few characters: 12.3M, 1,250, 0.42."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(amount) >= size:
            return f"{amount / size:,.1f}{letter}"
    return f"{amount:,.0f}" if abs(amount) >= 100 or amount == 0 else f"{amount:,.2f}"
