"""What will we spend, and what if we scale: `forecast predict`, `quarter`, `whatif`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from forecast.commands.console import (
    CostOption,
    JsonOption,
    ScopeOption,
    SnapshotOption,
    amounts,
    emit,
    group_name,
    line,
    money,
    note,
    origin,
    percent,
    signed_percent,
    table,
)
from forecast.commands.files import read_text
from forecast.commands.home import Home
from forecast.commands.whatif_tables import show_whatif as show_whatif
from forecast.errors import InputError, PlanError

if TYPE_CHECKING:
    from forecast.scenarios.plan import Plan
    from forecast.spend.days import Granularity
    from forecast.spend.fiscal import FiscalCalendar
    from forecast.spend.periods import Period

PeriodOption = Annotated[
    str | None, typer.Option(metavar="PERIOD", help="2027-Q1, 2027-03, 2027-P03, 2027-W05 or 2027; quarters, years and P are fiscal.")
]
StartOption = Annotated[str | None, typer.Option(metavar="DATE", help="First day, with --end in place of --period.")]
EndOption = Annotated[str | None, typer.Option(metavar="DATE", help="First day that does not count.")]
FiscalOption = Annotated[int | None, typer.Option("--fiscal-start", metavar="MM", help="First month of the fiscal year; default from the settings.")]


def register(app: typer.Typer) -> None:
    app.command("predict", epilog="Example: forecast predict --period 2027-Q1 --scope team=search --by service")(predict)
    app.command("quarter", epilog="Example: forecast quarter --by team --fiscal-start 4 --out report.xlsx")(quarter)
    app.command("whatif", epilog="Example: forecast whatif plan.toml --by team --granularity month")(whatif)


def read_days(period: str | None, start: str | None, end: str | None, calendar: FiscalCalendar, *, option: str = "--period") -> Period:
    """`period`, or `start` and `end`; InputError where they are said twice, by half, or not at all."""
    from forecast.spend.periods import Period, parse_day, parse_period

    allowed = "--period such as 2027-Q1, or both --start and --end"
    if period is not None and start is None and end is None:
        return parse_period(period, calendar)
    if period is None and start is not None and end is not None:
        return Period(parse_day(start, "start"), parse_day(end, "end"))
    if period is not None:
        raise InputError(f"The days are said twice, by {option} and by --start or --end; give {allowed}", field="period", got=period, allowed=allowed)
    missing = "period" if start is None and end is None else "start" if start is None else "end"
    raise InputError(f"--{missing} is missing: give {allowed}", field=missing, got=None, allowed=allowed)


def read_calendar(month: int | None, home: Home) -> FiscalCalendar:
    """The company's calendar; `month` in place of the one in which its year begins."""
    from dataclasses import replace

    return home.settings.calendar if month is None else replace(home.settings.calendar, start=month)


def predict(
    period: PeriodOption = None,
    start: StartOption = None,
    end: EndOption = None,
    scope: ScopeOption = "",
    by: Annotated[str, typer.Option(metavar="DIMENSIONS", help="Rows for each of these, such as team,service.")] = "",
    granularity: Annotated[str, typer.Option(metavar="WORD", help="day, week, month, quarter or year.")] = "month",
    quantiles: Annotated[str, typer.Option(metavar="LIST", help="Quantiles of the answer, floats between 0 and 1.")] = "0.1,0.5,0.9",
    cost: CostOption = "effective",
    fiscal_start: FiscalOption = None,
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast the spend of a scope over a period, with quantiles that come from joint paths."""
    from forecast.spend.dimensions import parse_dimensions
    from forecast.spend.scope import Scope
    from forecast.workflows.forecasts import forecast_answer

    home = Home()
    calendar = read_calendar(fiscal_start, home)
    days, wanted, filtered, groups = read_days(period, start, end, calendar), read_quantiles(quantiles), Scope.parse(scope), parse_dimensions(by)
    answer = forecast_answer(
        home.snapshot(cost, snapshot_id),
        scope=filtered,
        period=days,
        granularity=cast("Granularity", granularity),
        group_by=groups,
        quantiles=wanted,
        calendar=calendar,
    )
    emit(answer, as_json, lambda: show_forecast(answer))


def read_quantiles(text: str) -> list[float]:
    from forecast.paths import check_quantiles

    try:
        levels = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        allowed = "floats between 0 and 1 with commas between them, such as 0.1,0.5,0.9"
        raise InputError(f"quantiles are not numbers: got {text!r}, allowed are {allowed}", field="quantiles", got=text, allowed=allowed) from None
    return check_quantiles(levels)


def show_forecast(answer: Mapping[str, Any]) -> None:
    from forecast.commands.events import show_events

    asked = [key for key in answer["total"].get("quantiles") or {} if key not in {"0.1", "0.5", "0.9"}]
    title = f"Forecast of {answer['scope'] or 'the company'}, {answer['start']} to {answer['end']} (exclusive), {answer['currency']}"
    rows = [
        [
            group_name(row["group"]),
            row["start"],
            row["end"],
            *amounts(row),
            *(money((row.get("quantiles") or {}).get(key)) for key in asked),
        ]
        for row in answer["rows"]
    ]
    total = answer["total"]
    if len(rows) == 1 and not answer["rows"][0]["group"] and rows[0][1:3] == [answer["start"], answer["end"]]:
        rows = []  # it is the total
    rows.append(["total", answer["start"], answer["end"], *amounts(total), *(money(total["quantiles"][key]) for key in asked)])
    table(title, ["", "from", "to", "mean", "P10", "P50", "P90", *(f"P{100 * float(key):g}" for key in asked)], rows, left=3)
    if answer.get("spent"):
        owed = f", about {money(answer['pending']['mean'])} more will be billed for days that are over" if answer.get("pending") else ""
        line(f"Of the total {money(answer['spent'])} {answer['currency']} is billed already{owed}. Means add up over rows, quantiles do not.")
    else:
        line("Means add up over rows, quantiles do not.")
    show_events(answer)
    origin(answer)


def quarter(
    fiscal_start: FiscalOption = None,
    period: Annotated[str | None, typer.Option(metavar="PERIOD", help="Another quarter than the next one, such as 2027-Q2.")] = None,
    by: Annotated[str, typer.Option(metavar="DIMENSIONS", help="One row for each of these.")] = "team",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report: .xlsx, .csv or .json.")] = None,
    cost: CostOption = "effective",
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finance's answer: the next fiscal quarter by team, with last quarter and the budget beside it."""
    from forecast.adapters.reports import check_report_path, write_quarter_report
    from forecast.spend.dimensions import parse_dimensions
    from forecast.spend.periods import parse_period
    from forecast.workflows.quarter import quarter_answer

    home = Home()
    calendar = read_calendar(fiscal_start, home)
    groups = parse_dimensions(by)
    days = None if period is None else parse_period(period, calendar)
    if out is not None:
        check_report_path(out)
    snapshot = home.snapshot(cost, snapshot_id)
    budgets = home.records.budgets()
    rates = home.rates_for(budgets, snapshot.currency)
    answer = quarter_answer(snapshot, by=groups, period=days, calendar=calendar, budgets=budgets, rates=rates)
    if out is not None:
        write_quarter_report(answer, out)
        note(f"Report written to {out}")
    emit(answer, as_json, lambda: show_quarter(answer))


def show_quarter(answer: Mapping[str, Any]) -> None:
    title = f"{answer['quarter']}: {answer['start']} to {answer['end']} (exclusive), {answer['currency']}"
    rows = [
        [
            "total" if row is answer["total"] else group_name(row["group"]),
            *amounts(row),
            money(row["last_quarter"]),
            signed_percent(None if row["change_percent"] is None else row["change_percent"] / 100.0),
            money(row["budget"]),
            percent(row["overrun_probability"]),
        ]
        for row in (*answer["rows"], answer["total"])
    ]
    table(title, ["", "mean", "P10", "P50", "P90", "last quarter", "change", "budget", "P(overrun)"], rows)
    for text in answer["notes"]:
        line(text)
    origin(answer)


def whatif(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="TOML, JSON or YAML: start, end (or period), scope, and levers.")],
    compare: Annotated[list[str] | None, typer.Option(metavar="ID", help="Beside a saved scenario; once for each, base is the forecast.")] = None,
    goal: Annotated[str | None, typer.Option(metavar="TEXT", help="Seek: 'traffic.factor 1..5 while overrun(search-q1) <= 20%'.")] = None,
    by: Annotated[str | None, typer.Option(metavar="DIMENSIONS", help="Rows for each of these, such as team,service; by default the team.")] = None,
    granularity: Annotated[str | None, typer.Option(metavar="WORD", help="Rows by day, week, month, quarter or year.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it: .xlsx, .json, or a picture as .svg or .png.")] = None,
    cost: CostOption = "effective",
    snapshot_id: SnapshotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a plan with the baseline, path by path: what each lever does, and what that does to budgets."""
    from forecast.adapters.formats.pricing import load_prices, shipped_prices
    from forecast.commands import whatif_options as options
    from forecast.spend.days import check_granularity
    from forecast.spend.dimensions import parse_dimensions
    from forecast.workflows.whatif import meant_budget, whatif_answer

    home = Home()
    options.check_output(out)
    if granularity is not None:
        check_granularity(granularity)
    if goal is not None:
        return options.seek_goal(home, plan, goal, compare, cost, snapshot_id, out, as_json)
    parsed = read_plan(plan, home.settings.calendar)
    snapshot = home.snapshot(cost, snapshot_id)
    meant = [meant_budget(snapshot, budget, parsed.period, home.settings.calendar) for budget in home.records.budgets()]
    usable = [budget for budget in meant if why_not_usable(budget, snapshot) is None]
    rates = home.rates_for(usable, snapshot.currency)
    prices = shipped_prices() if home.settings.prices is None else load_prices(home.settings.prices)
    groups = None if by is None else parse_dimensions(by)
    answer = whatif_answer(
        snapshot,
        parsed,
        usable,
        groups,
        granularity=cast("Granularity | None", granularity),
        calendar=home.settings.calendar,
        rates=rates,
        prices=prices,
    )
    answer |= options.compared(home, snapshot, plan, parsed, compare)
    options.write(home, answer, out, snapshot, parsed)
    with_rows = by is not None or granularity is not None
    return emit(answer, as_json, lambda: options.show(answer, partial(show_whatif, with_rows=with_rows)))


def read_plan(path: Path, calendar: FiscalCalendar) -> Plan:
    """The plan in a TOML file; errors name the file."""
    from forecast.scenarios.plan import parse_plan

    text = read_text(path, "plan")
    try:
        return parse_plan(text, calendar=calendar)
    except InputError as error:
        raise PlanError(f"{path}: {error}", field=error.field, got=error.got, allowed=error.allowed) from None


def why_not_usable(budget: Any, snapshot: Any) -> str | None:
    """Why a snapshot has nothing to say about a budget, or None where it has."""
    if budget.cost != snapshot.cost:
        return f"it counts {budget.cost} cost, the snapshot {snapshot.cost}"
    if budget.start < snapshot.first_day:
        return f"it begins before the first day of spend {snapshot.first_day}"
    if budget.end <= snapshot.cutoff:
        return f"it was over before the cutoff {snapshot.cutoff}"
    if budget.end > snapshot.horizon_end:
        return f"it ends after the horizon {snapshot.horizon_end}"
    return None
