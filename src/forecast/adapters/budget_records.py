"""Budgets in the records, and the history of their risk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from forecast.adapters.record_rows import plain, write
from forecast.adapters.records_schema import BUDGET_RISKS, BUDGETS
from forecast.budgets.budget import Budget, Phase
from forecast.budgets.budget_rows import describe
from forecast.budgets.entry import check_parents
from forecast.budgets.risk_history import BudgetRisk
from forecast.budgets.thresholds import Threshold
from forecast.errors import BudgetError, NotFoundError
from forecast.spend.nearest import not_kept
from forecast.spend.scope import Scope

_RISK_FIELDS = tuple(field.name for field in fields(BudgetRisk))


class BudgetRecords:
    """The part of `records.Records` that keeps budgets."""

    _readers: sa.Engine
    _writers: sa.Engine

    def put_budget(self, budget: Budget, *, now: datetime) -> bool:
        """Write a budget, in place of an older one with its id; returns whether it is new. Raises as `put_budgets` does."""
        return budget.id in self.put_budgets([budget], now=now)

    def put_budgets(self, budgets: Sequence[Budget], *, now: datetime) -> set[str]:
        """Write budgets, in place of older ones with their ids, all or none; returns the ids that are new.

        Raises BudgetError for a parent that is neither stored nor among them, and for budgets that would be their own ancestors.
        """
        with self._writers.begin() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's writers are one at a time already
                connection.execute(sa.text("LOCK TABLE budgets IN SHARE ROW EXCLUSIVE MODE"))
            stored = {row.id: row.parent for row in connection.execute(sa.select(BUDGETS.c.id, BUDGETS.c.parent))}
            check_parents(budgets, stored)
            for budget in budgets:
                write(connection, BUDGETS, {"id": budget.id}, _values(budget, now))
        return {budget.id for budget in budgets} - set(stored)

    def budget(self, budget_id: str) -> Budget:
        """The budget with this id; NotFoundError where there is none."""
        with self._readers.begin() as connection:
            row = connection.execute(sa.select(BUDGETS).where(BUDGETS.c.id == plain(budget_id))).one_or_none()
            if row is None:
                raise _no_budget(connection, budget_id)
        return _budget(row)

    def budgets(self) -> list[Budget]:
        """All budgets, by id."""
        with self._readers.begin() as connection:
            return [_budget(row) for row in connection.execute(sa.select(BUDGETS).order_by(BUDGETS.c.id))]

    def delete_budget(self, budget_id: str) -> None:
        """Remove a budget and the history of its risk; NotFoundError where there is none, BudgetError while it is a parent."""
        key = plain(budget_id)
        with self._writers.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("LOCK TABLE budgets IN SHARE ROW EXCLUSIVE MODE"))
            children = list(connection.execute(sa.select(BUDGETS.c.id).where(BUDGETS.c.parent == key).order_by(BUDGETS.c.id)).scalars())
            if children:
                raise _has_children(budget_id, children)
            if not connection.execute(sa.delete(BUDGETS).where(BUDGETS.c.id == key)).rowcount:
                raise _no_budget(connection, budget_id)

    def put_risks(self, risks: Iterable[BudgetRisk]) -> int:
        """Write rows of the history, in place of older ones of the same budget, snapshot and start; returns how many.

        A budget that was removed in the meantime has no history any more: its rows are left out.
        """
        rows = list(risks)
        if not rows:
            return 0
        with self._writers.begin() as connection:
            # FOR SHARE keeps PostgreSQL from removing one of them before this is through.
            known = set(connection.execute(sa.select(BUDGETS.c.id).with_for_update(read=True)).scalars())
            kept = [risk for risk in rows if risk.budget_id in known]
            for risk in kept:
                values = {name: getattr(risk, name) for name in _RISK_FIELDS}
                key = {name: values.pop(name) for name in ("budget_id", "snapshot_id", "start")}
                write(connection, BUDGET_RISKS, key, values)
        return len(kept)

    def risks(self, budget_id: str, since: date | None = None) -> list[BudgetRisk]:
        """The history of a budget's risk by cutoff, the oldest first; `since` : only cutoffs from this day on. Nothing where there is no budget."""
        query = sa.select(*(BUDGET_RISKS.c[name] for name in _RISK_FIELDS)).where(BUDGET_RISKS.c.budget_id == plain(budget_id))
        if since is not None:
            query = query.where(BUDGET_RISKS.c.cutoff >= since)
        with self._readers.begin() as connection:
            found = connection.execute(query.order_by(BUDGET_RISKS.c.cutoff, BUDGET_RISKS.c.computed_at, BUDGET_RISKS.c.start))
            return [BudgetRisk(**row._mapping) for row in found]


def _values(budget: Budget, now: datetime) -> dict[str, Any]:
    """Columns beside the id: what answers say of a budget, with days as days."""
    told = describe(budget)
    del told["id"]
    return {**told, "start": budget.start, "end": budget.end, "changed_at": now}


def _budget(row: Any) -> Budget:
    values = dict(row._mapping)
    del values["changed_at"]
    values["scope"] = Scope.parse(values["scope"])
    values["phases"] = tuple(Phase(date.fromisoformat(phase["start"]), float(phase["amount"])) for phase in values["phases"])
    values["thresholds"] = tuple(Threshold.parse(text) for text in values["thresholds"])
    return Budget(**values)


def _no_budget(connection: sa.Connection, budget_id: str) -> NotFoundError:
    return not_kept("No budget has the id", budget_id, connection.execute(sa.select(BUDGETS.c.id)).scalars())


def _has_children(budget_id: str, children: Collection[str]) -> BudgetError:
    return BudgetError(
        f"Budget {budget_id} is the parent of {', '.join(children)} and cannot be removed before them",
        field="id",
        got=budget_id,
        allowed="a budget that is no other budget's parent",
    )
