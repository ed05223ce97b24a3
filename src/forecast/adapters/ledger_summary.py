"""What is in force in a ledger, in a few figures: exact totals by provider and by currency, days and rates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb

from forecast.adapters.duck import execute, quoted_name
from forecast.adapters.ledger_currency import CURRENCY, DAY, DAY_SQL, PLACES, ROWS, SUMS, Exchange
from forecast.adapters.ledger_table import Scan
from forecast.spend import focus
from forecast.spend.currency import rounded

_STANDING = " HAVING sum(sign) > 0"
_MONEY = {"effective": quoted_name(focus.EFFECTIVE_COST), "billed": quoted_name(focus.BILLED_COST)}
_TOTALS = f"sum({ROWS})::BIGINT, sum(effective), sum(billed)"


def summary_of(connection: duckdb.DuckDBPyConnection, scan: Scan, exchange: Exchange | None, deliveries: int) -> dict[str, Any] | None:
    """Rows, first and last charge day, currency, totals as text, by provider and by currency as billed, rates; None where nothing is in force.

    exchange : how sums of several currencies become one, None in a ledger of one currency.
    """
    entries, rates = f"{scan.sql} AS charges WHERE sign <> 0", list[dict[str, Any]]()
    if exchange is None:
        money = ", ".join(f"sum({amount}) AS {name}" for name, amount in _MONEY.items())
        keys = f"provider, {DAY_SQL} AS {DAY}, any_value({quoted_name(focus.BILLING_CURRENCY)}) AS {CURRENCY}, sum(sign) AS {ROWS}"
        sums = f"(SELECT {keys}, {money} FROM {entries} GROUP BY ALL{_STANDING})"
    else:
        sums, used = exchange.sums(connection, "provider", _MONEY, entries, standing=_STANDING)
        rates = [rate.as_json() for rate in used]
    select = f"SELECT provider, {_TOTALS}, min({DAY}), max({DAY}), any_value({CURRENCY}) FROM {sums} AS sums GROUP BY 1 ORDER BY 3 DESC, 1"
    rows: list[Any] = execute(connection, select)
    if not rows:
        return None
    providers = [(row[0], row[1], *(_exact(amount, exchange) for amount in row[2:4])) for row in rows]
    total = (sum(row[1] for row in providers), *(sum((row[place] for row in providers), Decimal(0)) for place in (2, 3)))
    currency = rows[0][6] if exchange is None else exchange.target
    by_currency: list[Any] = [(currency, *total)]
    if exchange is not None:
        by_currency = execute(connection, f"SELECT {CURRENCY}, {_TOTALS} FROM {SUMS} GROUP BY 1 ORDER BY 1")
    return {
        "rows": total[0],
        "first_day": min(row[4] for row in rows).isoformat(),
        "last_day": max(row[5] for row in rows).isoformat(),
        "currency": currency,
        "deliveries": deliveries,
        "effective_cost": format(total[1], "f"),
        "billed_cost": format(total[2], "f"),
        "providers": [_figures("provider", row) for row in providers],
        "currencies": [_figures("currency", row) for row in by_currency],
        "rates": rates,
    }


def _exact(amount: Decimal, exchange: Exchange | None) -> Decimal:
    return amount if exchange is None else rounded(amount, PLACES)


def _figures(what: str, row: Any) -> dict[str, Any]:
    return {what: row[0], "rows": row[1], "effective_cost": format(row[2], "f"), "billed_cost": format(row[3], "f")}
