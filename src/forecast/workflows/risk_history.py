"""How a budget's risk went through its period: what each training said of it, kept when it said it.

A row is never computed anew, so the history shows what was known on each day and not what is known now. Only where a kept snapshot has no row
(the budget was entered after the training) is it asked now, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any

from forecast.budgets.budget import Budget
from forecast.budgets.risk_history import BudgetRisk
from forecast.errors import InputError, UnknownScopeError
from forecast.snapshot import Snapshot
from forecast.spend.currency import Rates
from forecast.spend.fiscal import CALENDAR_YEAR, FiscalCalendar
from forecast.workflows.overruns import overrun_answers

SETTLED_DAYS = 62
"""A budget that has been over for so long is not asked any more: its bills are in, and each training would say the same again."""


def budget_risks(
    snapshot: Snapshot, budgets: Iterable[Budget], *, now: datetime, rates: Rates | None = None, calendar: FiscalCalendar = CALENDAR_YEAR
) -> tuple[list[BudgetRisk], list[str]]:
    """A row for each budget that this snapshot has an answer to, and a sentence for each that it should have had one to.

    Budgets of the other cost, those not begun within its sight, those long over and experiments before their first bill are left out without a
    word. now : when it is computed.
    A budget that repeats has the row of the occurrence that holds the first day after the cutoff.
    """
    asked = [budget for budget in budgets if _concerns(snapshot, budget)]
    found: list[BudgetRisk] = []
    notes: list[str] = []
    for budget, answer in zip(asked, overrun_answers(snapshot, asked, rates=rates, calendar=calendar), strict=True):
        if isinstance(answer, UnknownScopeError) and budget.kind == "experiment":
            continue  # a run is entered before its first bill
        if isinstance(answer, InputError):
            notes.append(f"The risk of budget {budget.id} is not in its history: {answer}")
        else:
            found.append(_risk(snapshot, budget.id, answer, now))
    return found, notes


def _risk(snapshot: Snapshot, budget_id: str, answer: Mapping[str, Any], now: datetime) -> BudgetRisk:
    total = answer["total"]
    return BudgetRisk(
        budget_id=budget_id,
        snapshot_id=snapshot.id,
        cutoff=snapshot.cutoff,
        computed_at=now,
        start=date.fromisoformat(answer["start"]),
        end=date.fromisoformat(answer["end"]),
        amount=answer["amount"],
        currency=snapshot.currency,
        spent=answer["spent"],
        mean=total["mean"],
        p10=total["p10"],
        p50=total["p50"],
        p90=total["p90"],
        overrun_probability=answer["overrun_probability"],
        expected_overrun=answer["expected_overrun"],
        state=answer["state"],
    )


def history_answer(
    budget: Budget,
    stored: Sequence[BudgetRisk],
    snapshots: Iterable[Snapshot] = (),
    *,
    now: datetime,
    since: date | None = None,
    rates: Rates | None = None,
    calendar: FiscalCalendar = CALENDAR_YEAR,
) -> dict[str, Any]:
    """The history of a budget, the oldest cutoff first.

    stored : its rows. snapshots : kept ones; those without a row are asked now and marked `stored: false`. since : only cutoffs from this day on.
    A row's `change` is what its probability and its mean moved since the row before it of the same period, null for the first.
    """
    known = {risk.snapshot_id for risk in stored}
    missing = [snapshot for snapshot in snapshots if snapshot.id not in known and (since is None or snapshot.cutoff >= since)]
    computed: list[BudgetRisk] = []
    notes: list[str] = []
    for snapshot in missing:
        more, why = budget_risks(snapshot, [budget], now=now, rates=rates, calendar=calendar)
        computed += more
        notes += why
    rows = sorted(
        [*((risk, True) for risk in stored if since is None or risk.cutoff >= since), *((risk, False) for risk in computed)],
        key=lambda row: (row[0].cutoff, row[1] is False, row[0].computed_at),
    )
    history: list[dict[str, Any]] = []
    before: dict[date, BudgetRisk] = {}
    for risk, is_stored in rows:
        history.append({**_plain(risk), "stored": is_stored, "change": _change(before.get(risk.start), risk)})
        before[risk.start] = risk
    return {
        "budget_id": budget.id,
        "name": budget.name,
        "owner": budget.owner,
        "scope": str(budget.scope),
        "kind": budget.kind,
        "cost": budget.cost,
        "history": history,
        "notes": notes,
    }


def _concerns(snapshot: Snapshot, budget: Budget) -> bool:
    if budget.cost != snapshot.cost or budget.start >= snapshot.horizon_end:
        return False
    return budget.repeats is not None or budget.end > snapshot.cutoff - timedelta(days=SETTLED_DAYS)


def _plain(risk: BudgetRisk) -> dict[str, Any]:
    values = {field.name: getattr(risk, field.name) for field in fields(risk) if field.name != "budget_id"}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def _change(before: BudgetRisk | None, risk: BudgetRisk) -> dict[str, float] | None:
    if before is None:
        return None
    return {
        "overrun_probability": risk.overrun_probability - before.overrun_probability,
        "mean": risk.mean - before.mean,
        "spent": risk.spent - before.spent,
        "amount": risk.amount - before.amount,
    }
