"""Which currencies a ledger holds, what a delivery in another one must have, and sums in one currency when they are asked for.

Charges stay in the currency in which they were billed. Each commit names the currencies of the ledger up to it, so that a ledger of one
currency is known as such without a look at its rows, and is summed as if there were no rates. In the other kind lines are summed by
currency and day first, and the sums are converted: there are far fewer of them than lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb
from deltalake import DeltaTable

from forecast.adapters.duck import execute, quoted_name
from forecast.adapters.rates import converted_sql, rates_used, register_rates
from forecast.errors import SpendDataError
from forecast.spend import focus
from forecast.spend.currency import Rates, RatesUsed, check_currency, rounded

PLACES = 12
"""Decimals of the ledger, and of exact sums that leave it."""

SUMS = "sums_asked"
"""Temporary table of `Exchange.sums`, each in the currency in which it was billed."""
CURRENCY, DAY, ROWS = '"its currency"', '"its day"', '"its rows"'
"""Its columns beside the keys; no dimension's name has a blank in it."""

_CURRENCY = quoted_name(focus.BILLING_CURRENCY)
DAY_SQL = f"CAST(make_timestamp(epoch_us({quoted_name(focus.CHARGE_START)})) AS DATE)"
_COSTS = tuple(focus.COSTS.values())
_NO_TABLE = "there is no table of rates (setting `rates`)"


@dataclass(frozen=True)
class Reporting:
    """In which currency a ledger answers (None: the one that it held first), and the rates for it (None: there is no table)."""

    currency: str | None = None
    rates: Rates | None = None

    @classmethod
    def of(cls, currency: str | None, rates: Rates | None) -> Reporting:
        return cls(None if currency is None else check_currency(currency), rates)

    def target(self, held: Sequence[str]) -> str:
        """The currency of answers. held : what the ledger holds in order of arrival, not empty."""
        return self.currency or held[0]

    def exchange(self, held: Sequence[str]) -> Exchange | None:
        """How sums are made; None where every line is in the currency of the answers."""
        if not held or set(held) == {self.target(held)}:
            return None
        return Exchange(self.target(held), self.rates)


@dataclass(frozen=True)
class Exchange:
    """Sums of lines in several currencies, in one."""

    target: str
    rates: Rates | None

    def sums(
        self,
        connection: duckdb.DuckDBPyConnection,
        keys: str,
        money: Mapping[str, str],
        entries: str,
        parameters: list[object] | None = None,
        *,
        standing: str = "",
    ) -> tuple[str, tuple[RatesUsed, ...]]:
        """Sum `entries` by `keys`, currency and day, and give the relation of these sums in the target, and the rates that it took.

        keys : SELECT list. money : SQL of an amount, by the column that it becomes. entries : what comes after FROM, with `parameters`.
        standing : HAVING clause. The relation has the keys, the columns of `money`, `CURRENCY`, `DAY` and `ROWS`, the last of sums of signs.

        Raises SpendDataError where a currency and day has no rate, before anything is converted.
        """
        used = self.used(connection, entries, parameters, keys=keys, money=money, standing=standing)
        if not used or self.rates is None:
            return SUMS, ()
        relation = register_rates(connection, self.rates, self.target, [one.from_currency for one in used])
        select = converted_sql(SUMS, relation, money=list(money), currency=_name(CURRENCY), day=DAY)
        try:
            execute(connection, f"CREATE OR REPLACE TEMP TABLE {SUMS}_converted AS {select}")
        except duckdb.OutOfRangeException as error:
            raise _too_large(error) from None
        return f"{SUMS}_converted", used

    def used(
        self,
        connection: duckdb.DuckDBPyConnection,
        entries: str,
        parameters: list[object] | None = None,
        *,
        keys: str = "",
        money: Mapping[str, str] | None = None,
        standing: str = "",
    ) -> tuple[RatesUsed, ...]:
        """The rates that `sums` takes; leaves its table `SUMS`, in the currencies as billed."""
        columns = [keys] if keys else []
        columns += [f"{_CURRENCY} AS {CURRENCY}", f"{DAY_SQL} AS {DAY}", f"sum(sign)::BIGINT AS {ROWS}"]
        columns += [f"sum({amount}) AS {quoted_name(name)}" for name, amount in (money or {}).items()]
        execute(connection, f"CREATE OR REPLACE TEMP TABLE {SUMS} AS SELECT {', '.join(columns)} FROM {entries} GROUP BY ALL{standing}", parameters)
        return rates_used(connection, SUMS, self.rates, self.target, currency=_name(CURRENCY), day=DAY)

    def converted(
        self, connection: duckdb.DuckDBPyConnection, lines: str, money: Sequence[str], *, currency: str = focus.BILLING_CURRENCY, day: str = DAY_SQL
    ) -> tuple[str, tuple[RatesUsed, ...]]:
        """`lines` (SQL of a relation) with the columns `money` in the target, and the rates that it takes; `lines` itself where it takes none.

        Raises SpendDataError where a currency and day has no rate.
        """
        used = rates_used(connection, lines, self.rates, self.target, currency=currency, day=day)
        if not used or self.rates is None:
            return lines, ()
        relation = register_rates(connection, self.rates, self.target, [one.from_currency for one in used])
        return f"({converted_sql(lines, relation, money=money, currency=currency, day=day)})", used


@dataclass(frozen=True)
class DeliveryMoney:
    """The currencies of a delivery, and how its report sums them.

    held : the currencies of the ledger with it, in order of arrival. currency : of the report: the delivery's own where it has one, else that
    of answers. used : the rates to the currency of answers. exchange : None where nothing has to be converted for a sum.
    """

    held: tuple[str, ...]
    currency: str
    used: tuple[RatesUsed, ...] = ()
    exchange: Exchange | None = None

    def lines(self, connection: duckdb.DuckDBPyConnection, relation: str) -> str:
        """The relation with effective and billed cost in the report's currency."""
        return relation if self.exchange is None else self.exchange.converted(connection, relation, _COSTS)[0]

    def totals(self, connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[Decimal, Decimal]:
        """Exact sums of effective and billed cost; converted ones have the ledger's 12 decimals."""
        sums = ", ".join(f"coalesce(sum({quoted_name(name)}), 0)" for name in _COSTS)
        try:
            found = execute(connection, f"SELECT {sums} FROM {self.lines(connection, relation)} AS l")
        except duckdb.OutOfRangeException as error:
            raise _too_large(error) from None
        effective, billed = (Decimal(str(amount)) for amount in found[0])
        return (effective, billed) if self.exchange is None else (rounded(effective, PLACES), rounded(billed, PLACES))

    def notes(self, connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
        """What was billed in each currency where there are several, and the rates to the currency of answers."""
        found: list[str] = []
        if self.exchange is not None:
            sums = ", ".join(f"sum({quoted_name(name)})" for name in _COSTS)
            rows = execute(connection, f"SELECT {_CURRENCY}, count(*), {sums} FROM {relation} AS l GROUP BY 1 ORDER BY 1")
            found += [f"{rows} rows in {code}: {_plain(effective)} effective, {_plain(billed)} billed" for code, rows, effective, billed in rows]
        elif self.used:
            found.append(f"the charges stay in {self.currency}; answers are in {self.used[0].to_currency}")
        return found + [one.sentence for one in self.used]


def held_currencies(table: DeltaTable | None) -> tuple[str, ...]:
    """The currencies that ever came into the ledger, in order of arrival, as its newest commit names them; () where it names none.

    A ledger whose commits name none is empty, or of one currency: there were no others when it was written.
    """
    for most in (1, 16, None):
        for entry in [] if table is None else table.history(most):
            if "about" in entry:
                return tuple(json.loads(entry["about"]).get("currencies", ()))
    return ()


def first_currency(connection: duckdb.DuckDBPyConnection, ledger: str) -> tuple[str, ...]:
    """The currency of some line of a ledger (SQL of a relation) whose commits name none; () where no line stands."""
    rows = execute(connection, f"SELECT {_CURRENCY} FROM {ledger} AS charges WHERE sign = 1 LIMIT 1")
    return tuple(str(row[0]) for row in rows)


def billed_currencies(connection: duckdb.DuckDBPyConnection, staged: str) -> dict[str, str]:
    """The currencies of a delivery (relation `staged`, with file and line) and the place of the first line in each, in the order of these."""
    first = f"SELECT {_CURRENCY}, min((file, line)) AS place FROM {staged} GROUP BY 1"
    rows = execute(connection, f"SELECT {_CURRENCY}, place[1], place[2] FROM ({first}) ORDER BY place")
    return {str(code): f"{code} ({file}, line {line})" for code, file, line in rows}


def delivery_money(
    connection: duckdb.DuckDBPyConnection, staged: str, billed: Mapping[str, str], held: Sequence[str], reporting: Reporting
) -> DeliveryMoney:
    """What the currencies of a delivery, as `billed_currencies` gives them, mean to a ledger that holds `held`.

    Raises SpendDataError for a delivery in several currencies, or in another one than the ledger's, that has not a rate for each of its
    currencies and days in the currency of answers.
    """
    codes = tuple(billed)
    if not codes:
        return DeliveryMoney(tuple(held), reporting.target(held) if held or reporting.currency else "")
    after = tuple(dict.fromkeys([*held, *codes]))
    target = reporting.target(after)
    if reporting.rates is None:
        _refuse_others(billed, held, target)
        return DeliveryMoney(after, codes[0])
    try:
        used = rates_used(connection, staged, reporting.rates, target, day=DAY_SQL)
    except SpendDataError as error:
        begins = ", ".join(place for code, place in billed.items() if code != target)
        message = f"{error}; the delivery has lines in {begins}, and nothing of it was taken in"
        raise SpendDataError(message, field=error.field, got=error.got, allowed=error.allowed) from None
    if len(codes) == 1:
        return DeliveryMoney(after, codes[0], used)
    return DeliveryMoney(after, target, used, Exchange(target, reporting.rates))


def _refuse_others(billed: Mapping[str, str], held: Sequence[str], target: str) -> None:
    """Without rates a ledger has one currency, and answers in it."""
    codes = list(billed)
    if len(codes) > 1:
        message = f"The delivery mixes currencies: got {', '.join(billed.values())}; allowed is one currency: {_NO_TABLE}"
        raise SpendDataError(message, field=focus.BILLING_CURRENCY, got=codes, allowed="one currency, or several with a table of rates")
    allowed = target if not held or target in held else held[0]
    if codes[0] != allowed:
        message = f"The delivery is in another currency than the ledger: got {billed[codes[0]]}, allowed is {allowed}: {_NO_TABLE}"
        raise SpendDataError(message, field=focus.BILLING_CURRENCY, got=codes[0], allowed=allowed)


def _too_large(error: duckdb.Error) -> SpendDataError:
    message = "A sum is too large to be converted: allowed are amounts below 10^17"
    return SpendDataError(message, field="cost", got=str(error).splitlines()[0][:200], allowed="amounts below 10^17")


def _name(quoted: str) -> str:
    return quoted.strip('"')


def _plain(amount: object) -> str:
    """Without zeros at the end, and never as 1E+3."""
    exact = Decimal(str(amount))
    return format(exact.normalize() if exact else Decimal(0), "f")
