"""What an ingest report and the KPIs say about charge lines: the share taken as AI, the largest lines left out, tag coverage.

Each is one SELECT over a relation with the ledger's columns, run on staged rows or on the ledger alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import duckdb

from forecast.adapters.ai_sql import AI_RULE
from forecast.adapters.duck import execute, quoted_name, quoted_text
from forecast.spend import focus
from forecast.spend.coverage import AiSummary, LeftOut
from forecast.spend.dimensions import DIMENSIONS, UNKNOWN

MOST_LEFT_OUT = 10

_EFFECTIVE, _BILLED = quoted_name(focus.EFFECTIVE_COST), quoted_name(focus.BILLED_COST)


def ai_summary_sql(relation: str) -> str:
    """One row for each rule (null: not AI): ai_rule, rows, effective_cost, billed_cost, effective_size, billed_size (absolute amounts).

    relation : a name or a subquery in parentheses with the columns ai_rule, EffectiveCost and BilledCost.
    """
    return (
        f"SELECT {AI_RULE}, count(*) AS rows, sum({_EFFECTIVE}) AS effective_cost, sum({_BILLED}) AS billed_cost, "
        f"sum(abs({_EFFECTIVE})) AS effective_size, sum(abs({_BILLED})) AS billed_size FROM {relation} GROUP BY {AI_RULE} "
        f"ORDER BY effective_size DESC, {AI_RULE}"
    )


def left_out_sql(relation: str, most: int = MOST_LEFT_OUT) -> str:
    """The `most` largest groups of lines that are not AI: provider, service, sku, description, rows, effective_cost, billed_cost.

    Lines without a SKU are told apart by their description; `description` is null where a SKU has several. A group is as large as the
    larger of its two costs, so a commitment that is only billed is seen too.

    relation : as for `ai_summary_sql`, with the columns provider, service, sku and ChargeDescription besides.
    """
    description = quoted_name(focus.CHARGE_DESCRIPTION)
    apart = f"CASE WHEN sku = {quoted_text(UNKNOWN)} OR sku IS NULL THEN {description} END"
    return (
        f"SELECT provider, service, sku, CASE WHEN min({description}) = max({description}) THEN min({description}) END AS description, "
        f"count(*) AS rows, sum({_EFFECTIVE}) AS effective_cost, sum({_BILLED}) AS billed_cost "
        f"FROM {relation} WHERE {AI_RULE} IS NULL GROUP BY provider, service, sku, {apart} "
        f"ORDER BY greatest(abs(sum({_EFFECTIVE})), abs(sum({_BILLED}))) DESC, provider, service, sku, description LIMIT {int(most)}"
    )


def coverage_sql(relation: str, dimensions: Sequence[str] = DIMENSIONS, cost: str = focus.EFFECTIVE_COST) -> str:
    """One row for each dimension: dimension, known, unknown, coverage; what they mean stands at `spend.coverage.tag_coverage`.

    relation : a name or a subquery in parentheses with a column for each dimension and the column `cost`.
    """
    amount = quoted_name(cost)
    parts = []
    for name in dimensions:
        known = f"coalesce({quoted_name(name)}, '') NOT IN ('', {quoted_text(UNKNOWN)})"
        parts.append(
            f"{{'dimension': {quoted_text(name)}, 'known': coalesce(sum({amount}) FILTER ({known}), 0), "
            f"'unknown': coalesce(sum({amount}) FILTER (NOT {known}), 0), "
            f"'coverage': CAST(coalesce(sum(abs({amount})) FILTER ({known}), 0) AS DOUBLE) / nullif(CAST(sum(abs({amount})) AS DOUBLE), 0)}}"
        )
    # All dimensions in one pass over the rows.
    return f"SELECT unnest(kpi, max_depth := 2) FROM (SELECT [{', '.join(parts)}] AS kpi FROM {relation})"


def ai_summary(connection: duckdb.DuckDBPyConnection, relation: str, most: int = MOST_LEFT_OUT) -> AiSummary:
    """What the AI rules made of the rows of `relation`, which has the columns of `left_out_sql`."""
    groups = execute(connection, ai_summary_sql(relation))
    left_out = execute(connection, left_out_sql(relation, most))
    taken = [group for group in groups if group[0] is not None]
    effective_share, billed_share = (_share(sum(_money(group[at]) for group in taken), sum(_money(group[at]) for group in groups)) for at in (4, 5))
    return AiSummary(
        rows=sum(int(str(group[1])) for group in groups),
        ai_rows=sum(int(str(group[1])) for group in taken),
        effective_cost=_total(groups, 2),
        ai_effective_cost=_total(taken, 2),
        billed_cost=_total(groups, 3),
        ai_billed_cost=_total(taken, 3),
        effective_share=effective_share,
        billed_share=billed_share,
        by_rule={str(group[0]): _money(group[2]) for group in taken},
        left_out=tuple(
            LeftOut(
                str(row[0]),
                str(row[1]),
                str(row[2] or UNKNOWN),
                None if row[3] is None else str(row[3]),
                int(str(row[4])),
                _money(row[5]),
                _money(row[6]),
            )
            for row in left_out
        ),
    )


def _money(value: object) -> Decimal:
    return Decimal(0) if value is None else Decimal(str(value))


def _total(groups: Sequence[tuple[object, ...]], at: int) -> Decimal:
    return sum((_money(group[at]) for group in groups), Decimal(0))


def _share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return float(part / whole) if whole else None
