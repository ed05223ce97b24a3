"""Why the gate says what it says: a sentence for each number that counted, and for what could not be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecast.budgets.gate import Samples
from forecast.workflows.summary import distribution

if TYPE_CHECKING:
    from forecast.workflows.gate import Asked


def reasons(asked: Asked, probability: float, totals: Samples, rest: Samples | None) -> list[str]:
    """The decision's sentence first, then bills, report, rest of the run, the scope's forecast, and the budget's days."""
    found = [_decision(asked, probability, totals), *_bills(asked), *_report(asked), *_rest(asked, rest), *_beside(asked, rest)]
    if asked.is_outside:
        found.append(f"Today, {asked.today}, is outside of the budget's days {asked.budget.period}, so that the answer is warn at least.")
    return found


def _decision(asked: Asked, probability: float, totals: Samples) -> str:
    limits = asked.limits
    expected = float(totals.mean())
    side = (
        f"{_money(asked, abs(expected - asked.amount))} {'above' if expected > asked.amount else 'below'} the amount of {_money(asked, asked.amount)}"
    )
    return (
        f"In {_percent(probability)} of {len(totals):,} futures the budget is exceeded (warn from {_percent(limits.warn)}, "
        f"stop from {_percent(limits.stop)}); the expected total of {_money(asked, expected)} is {side}."
    )


def _bills(asked: Asked) -> list[str]:
    if asked.spent is None:
        return ["There is no snapshot: no bills are known."]
    if asked.known_until is None:
        return [f"Nothing has been billed for {asked.budget.scope or 'the company'} yet: only the run counts."]
    text = f"Billed up to {asked.known_until}: {_money(asked, asked.spent)}"
    owed = float((asked.bills.before + asked.bills.since).mean()) - asked.spent
    if abs(owed) >= 0.005:
        text += f", and {_money(asked, owed)} more is expected for these days"
    if asked.first_day is not None:
        text += f"; {_money(asked, float(asked.bills.since.mean()))} of it from the run's first day {asked.first_day} on"
    return [f"{text}."]


def _report(asked: Asked) -> list[str]:
    reported = asked.report.spent
    if reported is None:
        return []
    done = "" if asked.report.progress is None else f" with {_percent(asked.report.progress)} of its work done"
    said = f"The run reports {_money(asked, reported)}{done}"
    if asked.first_day is None:
        beside = " beside all bills: it names no first day" if asked.spent else ""
        found = [f"{said}, which counts{beside}."]
    else:
        since = float(asked.bills.since.mean())
        found = [f"{said}; bills from its first day on are the same money, and the larger counts: {_money(asked, max(reported, since))}."]
        if asked.first_day < asked.budget.start:
            found.append(f"It began before the budget, on {asked.first_day}; all that it reports counts.")
    return found


def _rest(asked: Asked, rest: Samples | None) -> list[str]:
    if not asked.is_of_a_run:
        return []
    progress = asked.report.progress
    if rest is None:
        return ["Nobody says what the rest of the run costs: there is no plan, and no progress to project from."]
    if progress == 1.0:
        return ["The run is done and costs no more."]
    summary = distribution(rest)
    run = "The run" if asked.report.spent is None else "The rest of the run"
    text = f"{run} costs {_money(asked, summary['mean'])} (P10 {_number(summary['p10'])}, P90 {_number(summary['p90'])})"
    plan = asked.plan
    by = []
    if plan is not None:
        by.append(f"its plan of {_money(asked, plan.planned)} ({_number(plan.low)} to {_number(plan.high)}{', assumed' * plan.assumed})")
    spent = asked.report.spent or 0.0
    if asked.alone:
        spent = max(spent, float(asked.bills.since.mean()))
    if progress and spent > 0.0:
        by.append(f"its pace, which projects to {_money(asked, spent / progress)}")
    if len(by) == 2:
        by[1] += f", weighed {_percent(1.0 - (progress or 0.0))} to {_percent(progress or 0.0)}"
    return [f"{text} by {' and '.join(by)}."]


def _beside(asked: Asked, rest: Samples | None) -> list[str]:
    coming = float(asked.bills.coming.mean())
    if asked.known_until is None or not asked.bills.coming.any():
        return []
    if asked.alone and rest is not None:
        return []
    beside = " beside the run" if asked.is_of_a_run and not asked.alone else ""
    return [f"The scope is forecast to cost {_money(asked, coming)} more after {asked.known_until}{beside}."]


def _money(asked: Asked, value: float) -> str:
    return f"{_number(value)} {asked.currency}" if asked.currency else _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
