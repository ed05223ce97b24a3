"""Saved scenarios, comparisons, changes, what happened, and goals as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from forecast.commands.console import amounts, group_name, line, money, origin, percent, table
from forecast.commands.explain import signed

if TYPE_CHECKING:
    from forecast.scenarios.saved import SavedScenario, ScenarioRun

_SIDES = ("baseline", "scenario", "delta")
MOST_BUDGETS = 8


def told_run(run: ScenarioRun) -> str:
    """A run in a line."""
    said = run.summary
    return (
        f"On snapshot {run.snapshot_id[:12]} (cutoff {run.cutoff}): {said['start']} to {said['end']} (exclusive) "
        f"{signed(said['delta']['mean'])} {run.currency} on {money(said['baseline']['mean'])} "
        f"(P10 {signed(said['delta']['p10'])}, P90 {signed(said['delta']['p90'])})"
    )


def show_list(found: Sequence[SavedScenario], runs: Mapping[str, ScenarioRun]) -> None:
    if not found:
        line("No scenarios yet: forecast scenario save ID PLAN.toml")
        return
    rows = []
    for one in found:
        run = runs.get(one.id)
        delta = [""] * 3 if run is None else [str(run.cutoff), signed(run.summary["delta"]["mean"]), run.currency]
        rows.append([one.id, one.title if one.title != one.id else "", one.by, f"{one.saved_at:%Y-%m-%d}", str(one.version), *delta])
    table("Scenarios", ["id", "name", "by", "saved", "version", "run at cutoff", "change of the mean", ""], rows, left=4)


def show_scenario(saved: SavedScenario, versions: Sequence[SavedScenario], runs: Sequence[ScenarioRun]) -> None:
    line(f"Scenario {saved.id} version {saved.version} of {saved.latest}{f': {saved.title}' if saved.title != saved.id else ''}")
    plan = saved.plan
    days = plan.get("period") or f"{plan.get('start')} to {plan.get('end')} (exclusive)"
    line(f"Plan for {plan.get('scope') or 'the company'}, {days}")
    rows = []
    for number, lever in enumerate(plan.get("levers") or ()):
        rest = ", ".join(f"{name}={value}" for name, value in lever.items() if name not in {"type", "scope", "name"})
        rows.append([str(number), str(lever.get("type")), str(lever.get("name", "")), str(lever.get("scope", "")), rest])
    if rows:
        table("Levers", ["", "lever", "name", "scope", ""], rows, left=5)
    rows = [[str(one.version), f"{one.saved_at:%Y-%m-%d %H:%M}", one.by, one.name, one.note] for one in versions]
    table("Versions", ["version", "saved (UTC)", "by", "name", "note"], rows, left=5)
    for run in runs:
        line(f"Version {run.version}: {told_run(run)}")


def show_comparison(answer: Mapping[str, Any]) -> None:
    title = f"Side by side: {answer['scope'] or 'the company'}, {answer['start']} to {answer['end']} (exclusive), {answer['currency']}"
    rows = [["forecast as it is", *amounts(answer["baseline"]), "", "", "", ""]]
    for one in answer["scenarios"]:
        change = one["delta"]
        span = f"{signed(change['p10'])} … {signed(change['p90'])}"
        named = f"{one['id']} v{one['version']}" if one["version"] else one["id"]
        rows.append(
            [named, *amounts(one["scenario"]), signed(change["mean"]), span, percent(one["probability_cheaper"]), percent(one["probability_least"])]
        )
    table(title, ["", "mean", "P10", "P50", "P90", "change", "P10 … P90", "P(cheaper)", "P(cheapest)"], rows)
    risks: dict[str, list[str]] = {}
    for number, one in enumerate(answer["scenarios"]):
        for row in one["budgets"]:
            cells = risks.setdefault(row["id"], [percent(row["overrun_probability_before"]), *["–"] * len(answer["scenarios"])])
            cells[number + 1] = percent(row["overrun_probability_after"])
    if risks:
        shown = list(risks.items())[:MOST_BUDGETS]
        more = f" ({len(risks) - len(shown)} more with --json)" if len(risks) > len(shown) else ""
        columns = ["budget", "forecast", *(one["id"] for one in answer["scenarios"])]
        table(f"P(overrun){more}", columns, [[budget_id, *cells] for budget_id, cells in shown])
    best = answer["best"]
    line(f"Least mean: {best['mean']}. Least P90: {best['p90']}.")
    origin(answer)


def show_changes(answer: Mapping[str, Any]) -> None:
    line(answer["sentence"])
    line()
    for title, part in (("All of its days", answer), ("Days that are still open", answer["remaining"])):
        if part is None:
            continue
        rows = [[name, *(money(part[when][name]["mean"]) for when in ("before", "after")), *_moves(part["change"][name])] for name in _SIDES]
        table(f"{title}, {answer['currency']}", ["", "mean then", "mean now", "mean moved by", "P10 by", "P90 by"], rows)
    if answer["levers"]:
        rows = [
            [
                lever["name"] or lever["type"] if "name" in lever else lever["type"],
                *(signed(lever[when]["mean"]) for when in ("before", "after")),
                signed(lever["change"]),
            ]
            for lever in answer["levers"]
        ]
        table("Levers", ["", "then", "now", "moved by"], rows)
    rows = []
    for row in answer["budgets"][:MOST_BUDGETS]:
        cells = [percent(row[when]["overrun_probability_after"]) if row[when] else "–" for when in ("before", "after")]
        rows.append([row["id"], *cells])
    if rows:
        table("P(overrun) with the plan", ["budget", "then", "now"], rows)
    origin(answer)


def _moves(change: Mapping[str, float]) -> list[str]:
    return [signed(change[name]) for name in ("mean", "p10", "p90")]


def show_actual(answer: Mapping[str, Any]) -> None:
    line(answer["sentence"])
    line()
    rows = [_happened("total", answer)]
    several = len({row["start"] for row in answer["rows"]}) > 1
    rows += [_happened(_named(row, several), row) for row in answer["rows"] if row["group"] or several]
    columns = ["", "actual", "forecast", "with the plan", "P10 … P90", "actual less forecast", "planned", "the bill is, of the plan's"]
    table(f"{answer['start']} to {answer['end']} (exclusive), {answer['currency']}", columns, rows)
    if answer["levers"]:
        shown = [_happened(f"{row['lever']} {row['name'] or row['type']}: {row['scope']}", row) for row in answer["levers"]]
        table("Levers, each on its own scope and days", columns, shown)
    made = answer["made_on"]
    line(f"Judged by version {answer['version']} on snapshot {made['snapshot_id'][:12]} (cutoff {made['cutoff']})")
    origin(answer)


def _named(row: Mapping[str, Any], with_day: bool) -> str:
    return " ".join(part for part in (group_name(row["group"]) if row["group"] else "", row["start"] if with_day else "") if part)


def _happened(name: str, row: Mapping[str, Any]) -> list[str]:
    scenario = row["scenario"]
    span = "" if scenario["p10"] is None else f"{money(scenario['p10'])} … {money(scenario['p90'])}"
    told = [money(row["actual"]["cost"]), money(row["baseline"]["mean"]), money(scenario["mean"]), span]
    return [name, *told, signed(row["effect"]["mean"]), signed(row["delta"]["mean"]), row["place"]["scenario"] or ""]


def show_goal(answer: Mapping[str, Any]) -> None:
    goal, value = answer["goal"], answer["value"]
    line(answer["sentence"])
    line()
    is_share = goal["figure"] in {"overrun_probability", "probability_cheaper"}
    rows = []
    for point in answer["curve"]:
        mark = "<" if point["value"] == value else ""
        figure = percent(point["figure"]) if is_share else money(point["figure"])
        rows.append([f"{point['value']:,.6g}", figure, *amounts(point), mark])
    figure_name = goal["figure"].replace("_", " ") + (f" of {goal['budget']}" if goal["budget"] else "")
    table(f"{goal['field']} from {goal['low']:g} to {goal['high']:g}", [goal["field"], figure_name, "mean", "P10", "P50", "P90", ""], rows)
    if answer["bracket"] is not None:
        line(f"Bracket: {answer['bracket']['low']:.6g} to {answer['bracket']['high']:.6g}")
    origin(answer)
