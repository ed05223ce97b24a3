"""Money is conserved: whatever is split, merged, restated, allocated or converted there and back comes out to the last unit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.adapters.rates import converted_sql, rates_used, register_rates
from forecast.spend.currency import DatedRate, Rates, allocate, rounded

DAY = dt.date(2026, 3, 1)
CENTS = st.integers(-(10**14), 10**14).map(lambda cents: Decimal(cents).scaleb(-2))
MONEY = st.integers(-(10**24), 10**24).map(lambda units: rounded(Fraction(units, 10**12), 12))
RATE = st.integers(1, 10**12).map(lambda units: Decimal(units).scaleb(-6))
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any)


def table(rate: Decimal, **options: bool | str) -> Rates:
    return Rates.of([DatedRate("USD", "EUR", DAY, rate, "test")], **options)  # type: ignore[arg-type]


def exact(amounts: list[Decimal]) -> Fraction:
    """Sum without the decimal context's 28 digits."""
    return sum((Fraction(amount) for amount in amounts), Fraction(0))


@given(CENTS, RATE)
def test_there_and_back_is_the_same_to_the_cent(amount: Decimal, rate: Decimal) -> None:
    rates = table(rate, inverse=True)
    there = Fraction(amount) * rates.rate("USD", "EUR", DAY).rate
    assert rounded(there * rates.rate("EUR", "USD", DAY).rate, 2) == amount
    # And through the ledger's 12 decimals, for rates that leave room for it.
    if Decimal("0.001") <= rate <= Decimal(1000):
        assert rates.convert(rates.convert(amount, "USD", "EUR", DAY), "EUR", "USD", DAY, 2) == amount


@given(MONEY, WEIGHTS)
def test_parts_of_an_allocation_add_up_to_it_and_are_within_a_unit_of_their_share(amount: Decimal, weights: list[int]) -> None:
    parts = allocate(amount, weights, 12)
    assert exact(parts) == Fraction(amount)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(Fraction(part) - Fraction(amount) * weight / sum(weights)) < Fraction(1, 10**12)
        assert weight or part == 0


@given(CENTS, WEIGHTS, WEIGHTS)
def test_parts_that_are_split_again_and_merged_are_the_whole(amount: Decimal, first: list[int], second: list[int]) -> None:
    assert exact([piece for part in allocate(amount, first) for piece in allocate(part, second)]) == Fraction(amount)


@given(CENTS, WEIGHTS)
def test_allocation_of_a_credit_is_the_mirror_of_a_charge(amount: Decimal, weights: list[int]) -> None:
    assert [-part for part in allocate(amount, weights)] == allocate(-amount, weights)


@given(st.lists(MONEY, min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_sum_in_the_ledgers_type_does_not_depend_on_order_or_parts(amounts: list[Decimal], random: object) -> None:
    expected = exact(amounts)
    getattr(random, "shuffle")(amounts)  # noqa: B009
    lines = pa.table({"cost": pa.array(amounts, pa.decimal128(38, 12)), "part": [number % 7 for number in range(len(amounts))]})
    with duckdb.connect() as connection:
        connection.register("lines", lines)
        whole = connection.execute("SELECT sum(cost) FROM lines").fetchall()[0][0]
        parts = connection.execute("SELECT sum(part) FROM (SELECT sum(cost) AS part FROM lines GROUP BY part)").fetchall()[0][0]
    assert Fraction(whole) == Fraction(parts) == expected


@given(st.lists(MONEY, min_size=1, max_size=30), MONEY)
def test_restatement_moves_a_sum_by_the_difference(amounts: list[Decimal], restated: Decimal) -> None:
    assert exact([*amounts, -amounts[0], restated]) - exact(amounts) == Fraction(restated) - Fraction(amounts[0])


LINE = st.tuples(st.sampled_from(["USD", "EUR", "JPY"]), st.integers(0, 9), st.integers(-(10**22), 10**22))


@given(st.lists(LINE, min_size=1, max_size=40), st.integers(500_000_000, 2_000_000_000), st.integers(10**10, 3 * 10**11))
@settings(max_examples=40, deadline=None)
def test_conversion_in_the_database_is_the_exact_one_to_a_millionth_of_a_cent(lines: list[tuple[str, int, int]], dollars: int, yen: int) -> None:
    rows = [DatedRate("EUR", "USD", DAY, Decimal(dollars).scaleb(-9), "a"), DatedRate("EUR", "JPY", DAY, Decimal(yen).scaleb(-9), "b")]
    rates = Rates.of(rows, inverse=True, base="EUR", max_age_days=9)
    days = [dt.datetime(2026, 3, 1) + dt.timedelta(days=number) for _, number, _ in lines]
    amounts = [rounded(Fraction(units, 10**12), 12) for _, _, units in lines]
    given = pa.table({"BillingCurrency": [code for code, _, _ in lines], "ChargePeriodStart": days, "cost": pa.array(amounts, pa.decimal128(38, 12))})
    for target in ("EUR", "USD"):
        with duckdb.connect() as connection:
            connection.register("lines", given)
            rates_used(connection, "lines", rates, target)
            relation = register_rates(connection, rates, target, ["USD", "EUR", "JPY"])
            rows_out = connection.execute(f"SELECT sum(cost), count(*) FROM ({converted_sql('lines', relation, money=['cost'])})").fetchall()
        expected = sum(
            (Fraction(one) * rates.rate(code, target, at.date()).rate for one, (code, _, _), at in zip(amounts, lines, days, strict=True)),
            Fraction(0),
        )
        assert rows_out[0][1] == len(lines)
        assert abs(Fraction(rows_out[0][0]) - expected) < Fraction(1, 10**8)


@given(st.lists(MONEY, min_size=1, max_size=40), st.integers(2, 10**11))
@settings(max_examples=30, deadline=None)
def test_quoted_rate_of_nine_decimals_is_exact_in_the_database(amounts: list[Decimal], rate: int) -> None:
    rates = table(Decimal(rate).scaleb(-9))
    given = pa.table({"BillingCurrency": ["USD"] * len(amounts), "day": [DAY] * len(amounts), "cost": pa.array(amounts, pa.decimal128(38, 12))})
    with duckdb.connect() as connection:
        connection.register("lines", given)
        relation = register_rates(connection, rates, "EUR", ["USD"])
        found = connection.execute(f"SELECT sum(cost) FROM ({converted_sql('lines', relation, money=['cost'], day='lines.day')})").fetchall()[0][0]
    assert Fraction(found) == exact(amounts) * Fraction(rates.rows[0].rate)
